"""Which classes, confusion cells and class pairs differ between two models, with the false-discovery rate controlled.

Takes runs whose rows are the same images, `n_a` of model A first. One run each: mid-p McNemar tests, DeLong for pairs;
several: `crossed`, seeds and images as random effects.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import crossed, delong, metrics, moderation, paired, roc_curves
from cifarcore.evidence.shares import seeds_agree, tango_interval
from cifarcore.runs.run import Run

#: the family of class pairs that are tested: those that both models together confuse most
MOST_CONFUSED_PAIRS = 100


def class_claims(runs: Sequence[Run], n_a: int, areas: delong.OneVsRest) -> pd.DataFrame:
    """One row for each class (index): its recall, F1 and AUC under A and B (means over runs), and what changed.

    Columns name, superclass, support; for each of recall, f1, auc: `_a`, `_b`, `_difference`, `_low`, `_high`; only_a
    and only_b (images of the class right under one model only, means over pairs of runs), p, q, claim: "improved" or
    "declined" where B's recall is claimed to be higher or lower, else "". Claims are about recall alone: F1 depends on
    the images of all other classes as well, and gets an interval only.
    """
    first = runs[0]
    rights = np.stack([run.correct for run in runs])
    recall = rate_claims(
        [rights[:, first.labels == c] for c in range(first.n_classes)], len(runs), n_a, ("improved", "declined")
    )
    table = metrics.class_table(first, auc=False)[["name", "superclass", "support"]]
    table = table.join(recall[["a", "b", "difference", "low", "high"]].add_prefix("recall_"))
    f1 = np.stack([metrics.f1_scores(*metrics.class_counts(run)) for run in runs], axis=1)
    changed = crossed.difference(f1, _f1_covariance(runs), n_a)
    ends = (np.where(table["support"] > 1, end, np.nan) for end in (changed.low, changed.high))
    table = table.join(_columns("f1_", f1, n_a, *ends))
    changed = crossed.difference(areas.auc.T, areas.covariance, n_a)
    table = table.join(_columns("auc_", areas.auc.T, n_a, changed.low, changed.high))
    return table.join(recall[["only_a", "only_b", "p", "q", "claim"]])


def cell_claims(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """The confusion cells (images of one class given another) that can be tested: at least six discordant images.

    Columns true, predicted (class indices), true_name, predicted_name, a, b, difference (images, means over runs),
    only_a, only_b, p, q, claim: "more in B", "fewer in B" or ""; the surest first.
    """
    first, given = runs[0], np.stack([run.predictions for run in runs])
    return _tested_cells(first.labels, given, first.labels != given, first.class_names, n_a)


def superclass_cell_claims(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """As `cell_claims` of superclasses, by the superclass of the predicted class; empty without superclasses.

    true and predicted are superclass indices. Two families of their own: where `errors` is True, the errors of all
    cells (on the diagonal those within the superclass), else the diagonal with its correct predictions.
    """
    first, given = runs[0], np.stack([run.predictions for run in runs])
    names, folded = first.superclass_names, first.superclass_of
    if folded is None:
        names, folded = np.array([], str), np.zeros(first.n_classes, int)
    of_image, given_superclass = folded[first.labels], folded[given]
    kinds = {True: first.labels != given, False: of_image == given_superclass}
    return pd.concat(
        [_tested_cells(of_image, given_superclass, among, names, n_a).assign(errors=e) for e, among in kinds.items()],
        ignore_index=True,
    )


def _tested_cells(true: np.ndarray, given: np.ndarray, among: np.ndarray, names: np.ndarray, n_a: int) -> pd.DataFrame:
    """As cell_claims, of the groups `true` (N,) of images by those `given` (R, N), where `among` (R, N); one family."""
    n = len(names)
    cells = true.astype(np.int64) * n + given
    filled, both = _images_of(cells, among if n else np.zeros_like(among), n_a)
    # no cell of fewer images has so many discordant ones
    rows, columns = np.divmod(filled[both >= paired.MIN_DISCORDANT], n)
    of_group = [np.flatnonzero(true == group) for group in range(n)]
    here = np.where(among, given, -1)
    indicators = [here[:, of_group[t]] == p for t, p in zip(rows, columns, strict=True)]
    rates = rate_claims(indicators, len(given), n_a, ("more in B", "fewer in B"))
    images = np.array([len(of_group[t]) for t in rows])
    table = pd.DataFrame({"true": rows, "predicted": columns})
    table["true_name"], table["predicted_name"] = names[rows], names[columns]
    for name in ("a", "b", "difference"):
        table[name] = rates[name] * images
    table = table.join(rates[["only_a", "only_b", "p", "q", "claim"]])
    return table[table["q"].notna()].sort_values(["q", "p"], kind="stable", ignore_index=True)


def pair_claims(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """How well each model tells two classes apart, for the most confused pairs: AUC on the images of the two classes.

    Columns first, second (class indices), first_name, second_name, confused (images of either misclassified as the
    other, mean over runs of A plus that of B), a, b, difference, low, high, p (paired DeLong), q, claim ("improved",
    "declined", ""); no AUC where a run has no scores.
    """
    first = runs[0]
    given, n = np.stack([run.predictions for run in runs]), first.n_classes
    pairs = np.minimum(first.labels, given).astype(np.int64) * n + np.maximum(first.labels, given)
    pairs, both = _images_of(pairs, first.labels != given, n_a)
    order = np.argsort(-both, kind="stable")[:MOST_CONFUSED_PAIRS]
    ones, others = np.divmod(pairs[order], n)
    values, covariances = [np.zeros((0, len(runs)))], [np.zeros((0, len(runs), len(runs)))]
    for one, other in zip(ones, others, strict=True):
        rows = np.flatnonzero((first.labels == one) | (first.labels == other))
        margins = np.stack([roc_curves.margins(run, rows, one, other) for run in runs])
        of_one = first.labels[rows] == one
        if not of_one.any() or of_one.all() or not all(run.has_scores for run in runs):
            value, covariance = np.full(len(runs), np.nan), np.full((len(runs),) * 2, np.nan)
        else:
            value, covariance = delong.auc_covariance(margins, of_one)
        values.append(value[None])
        covariances.append(covariance[None])
    changed = crossed.difference(np.concatenate(values), np.concatenate(covariances), n_a)
    table = pd.DataFrame({"first": ones, "second": others, "confused": both[order]})
    table["first_name"], table["second_name"] = first.class_names[ones], first.class_names[others]
    table = table.join(_columns("", np.concatenate(values), n_a, changed.low, changed.high))
    q, claim = _claim(changed.p, np.isfinite(changed.p), changed.difference, ("improved", "declined"))
    return table.assign(p=changed.p, q=q, claim=claim)


def _images_of(cells: np.ndarray, among: np.ndarray, n_a: int) -> tuple[np.ndarray, np.ndarray]:
    """The different `cells` (R, N) in which a run has an image `among` (R, N) those counted, in order; and how many,
    mean over the runs of A plus that of B.
    """
    filled = np.unique(cells[among])
    counts = np.array([
        np.bincount(np.searchsorted(filled, cell[counted]), minlength=len(filled))
        for cell, counted in zip(cells, among, strict=True)
    ])  # fmt: skip
    return filled, counts[:n_a].mean(axis=0) + counts[n_a:].mean(axis=0)


def rate_claims(indicators: list[np.ndarray], n_runs: int, n_a: int, words: tuple[str, str]) -> pd.DataFrame:
    """Compare shares of images: a row for each of `indicators`, bool (`n_runs`, n) of the same runs on n images.

    Columns a, b, difference, low, high, only_a, only_b (means over pairs of runs), p, q, claim (`words`: more in B,
    fewer in B). One run each: mid-p McNemar. Several: `crossed`, the variances between seeds drawn towards what the
    rows have in common (in units of p (1 - p) / n), its test with second moments about zero as in McNemar's chi-square,
    which keeps rare events from looking surer than they are. Intervals are those of `shares`. The family is the rows
    with at least six discordant images.
    """
    n = np.array([x.shape[1] for x in indicators], float)
    values = np.array([x.mean(axis=1) if x.shape[1] else np.full(n_runs, np.nan) for x in indicators]).reshape(
        -1, n_runs
    )
    a, b = ([x[part].mean(axis=0) for x in indicators] for part in (slice(n_a), slice(n_a, None)))
    only_a, only_b = (
        np.array([(x * (1 - y)).sum() for x, y in zip(*sides, strict=True)]) for sides in ((a, b), (b, a))
    )
    low, high = tango_interval(only_a, only_b, n)
    if n_runs == 2:
        p = paired.mcnemar_mid_p(only_a, only_b)
    else:
        moments = np.array([x.astype(float) @ x.T for x in indicators]).reshape(-1, n_runs, n_runs)
        with np.errstate(invalid="ignore", divide="ignore"):
            about_zero = moments / (n**2)[:, None, None]
            about_mean = (moments - np.einsum("ki,kj,k->kij", values, values, n)) / (n * (n - 1))[:, None, None]
            share = (values.sum(axis=1) * n + 0.5) / (n_runs * n + 1)
            unit = np.where(only_a + only_b >= paired.MIN_DISCORDANT, share * (1 - share) / n, 0)
            alike = moderation.Rows(unit, 1 / (24 * n**2))  # two equal counts differ by up to half an image either way
        interval = crossed.difference(values, about_mean, n_a, alike)
        agree = np.array([seeds_agree(x, n_a) for x in indicators], bool)
        low, high = np.where(agree, (low, high), np.clip((interval.low, interval.high), -1, 1))
        p = crossed.difference(values, about_zero, n_a, alike).p
    low, high, p = (np.where(n > 0, x, np.nan) for x in (low, high, p))
    table = _columns("", values, n_a, low, high).assign(only_a=only_a, only_b=only_b, p=p)
    q, claim = _claim(p, np.isfinite(p) & (only_a + only_b >= paired.MIN_DISCORDANT), table["difference"], words)
    return table.assign(q=q, claim=claim)


def _claim(
    p: np.ndarray, family: np.ndarray, difference: np.ndarray, words: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """q, and what is claimed: words[0] where B has more, words[1] where it has fewer, "" where nothing is."""
    q = paired.q_values(p, family)
    return q, np.where(~(q <= paired.ALPHA), "", np.where(difference > 0, *words))


def _columns(prefix: str, values: np.ndarray, n_a: int, low: np.ndarray, high: np.ndarray) -> pd.DataFrame:
    """a, b, difference, low, high from the values (K, R) of each run."""
    a, b = values[:, :n_a].mean(axis=1), values[:, n_a:].mean(axis=1)
    return pd.DataFrame({"a": a, "b": b, "difference": b - a, "low": low, "high": high}).add_prefix(prefix)


def _f1_covariance(runs: Sequence[Run]) -> np.ndarray:
    """Covariance (C, R, R) of the runs' F1 of each class over test sets of these class counts."""
    labels, (stratum, sizes) = runs[0].labels, crossed.strata(runs[0].labels)
    parts, estimates = [crossed.f1_influence(run) for run in runs], []
    predictions = np.stack([run.predictions for run in runs])
    for c in range(runs[0].n_classes):
        rows = np.flatnonzero((labels == c) | (predictions == c).any(axis=0))
        of_class, given = labels[rows] == c, predictions[:, rows] == c
        influence = [
            (in_truth[c] * of_class + in_prediction[c]) * g
            for (in_truth, in_prediction), g in zip(parts, given, strict=True)
        ]
        estimates.append(crossed.image_covariance(np.stack(influence), stratum[rows], sizes))
    return np.array(estimates)
