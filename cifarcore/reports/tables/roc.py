"""What the ROC page shows, as DataFrames and masks: curves, areas, an operating point, pairs worth a look.

Numbers over several seeds are means of per-seed numbers; the arithmetic of one run is metrics'.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, triu
from scipy.special import expit

from cifarcore.evidence import roc_curves
from cifarcore.evidence.comparison import Comparison
from cifarcore.evidence.crossed import difference
from cifarcore.evidence.delong import auc_covariance, auc_interval
from cifarcore.evidence.distributions import student_quantile
from cifarcore.evidence.paired import ALPHA
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.classes import mean_confusion
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, plain, spaced, std, with_spread

SOURCES = ("most confused by A", "most confused by B", "AUC differs most")
MOST_PAIRS = 5000  # whose AUC is computed to find those that differ most
HALF = 0.5


@dataclass(frozen=True)
class Task:
    """What is compared: the images of class `positive` from those of `negative`, or (None) from all others."""

    positive: int
    negative: int | None

    def scores(self, run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores (n,), is_positive bool (n,), rows (n,): the same rows for every run of a sides."""
        if self.negative is None:
            return memo(roc_curves.rest_scores, run, self.positive)
        return memo(roc_curves.pair_scores, run, self.positive, self.negative)

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """The probability of `positive` that stands for each score, 0..1."""
        return np.exp(scores) if self.negative is None else expit(scores)

    def positives(self, run: Run, share: float) -> np.ndarray:
        """Which images are called `positive` when that takes a probability of at least `share`, bool (n,)."""
        return self.probability(self.scores(run)[0]) >= share

    def confused(self, run: Run) -> np.ndarray:
        """Which of the pair's images the model, choosing among all classes, gives the other class of the two, bool
        (n,).
        """
        _, is_positive, rows = self.scores(run)
        return run.predictions[rows] == np.where(is_positive, self.negative, self.positive)

    def curve(self, run: Run) -> pd.DataFrame:
        scores, is_positive, _ = self.scores(run)
        return roc_curves.roc(scores, is_positive)

    def precision_recall(self, run: Run) -> pd.DataFrame:
        scores, is_positive, _ = self.scores(run)
        return roc_curves.precision_recall(scores, is_positive)


def curve_frame(sides: Sequence[Side], curve) -> pd.DataFrame:
    """Columns model, fpr, tpr, low, high: one run's curve, or the mean of several with their range.

    `curve(run)` gives columns fpr and tpr; several curves are read at the same 501 false positive rates. Empty where
    there is no curve.
    """
    frames = []
    for side in sides:
        curves = [curve(run) for run in side.runs]
        if any(c.empty or c["tpr"].isna().all() for c in curves):
            continue
        if len(curves) == 1:
            frame = curves[0][["fpr", "tpr"]].assign(low=np.nan, high=np.nan)
        else:
            tprs = np.array([_read(c) for c in curves])
            frame = pd.DataFrame(
                {"fpr": roc_curves.ROC_GRID, "tpr": tprs.mean(0), "low": tprs.min(0), "high": tprs.max(0)}
            )
        frames.append(frame.assign(model=side.letter))
    return (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["model", "fpr", "tpr", "low", "high"])
    )


def macro_curve(run: Run) -> pd.DataFrame:
    return memo(roc_curves.macro_roc, run)


def operating_points(sides: Sequence[Side], task: Task, share: float) -> pd.DataFrame:
    """Each model at one operating point, means over seeds. Columns model, fpr, tpr, precision (NaN where a seed calls
    no image positive), right (share of images decided rightly, 0..1).
    """
    records = []
    for side in sides:
        rates = []
        for run in side.runs:
            called, is_positive = task.positives(run, share), task.scores(run)[1]
            precision = is_positive[called].mean() if called.any() else np.nan
            rates.append(
                (called[~is_positive].mean(), called[is_positive].mean(), precision, (called == is_positive).mean())
            )
        records.append((side.letter, *np.mean(rates, axis=0)))
    return pd.DataFrame(records, columns=["model", "fpr", "tpr", "precision", "right"])


def flips(run: Run, task: Task, share: float) -> np.ndarray:
    """Which of the task's images one run decides differently at `share` than at one half, bool (n,)."""
    return task.positives(run, share) != task.positives(run, HALF)


def auc_frame(a: Side, b: Side, task: Task, choices: int = 1) -> pd.DataFrame:
    """Rows A, B and B - A; columns auc (mean over seeds), std (of the seeds), low, high (95%), p (of B - A).

    The interval of one model's AUC is DeLong's for these very runs, over test images; that of B - A is crossed's, over
    seeds too where both sides have several. p and interval of B - A are adjusted for a choice among so many `choices`
    (Bonferroni, which holds however it was made).
    """
    scores = np.stack([task.scores(run)[0] for run in (*a.runs, *b.runs)])
    areas, covariance = auc_covariance(scores, task.scores(a.first)[1])
    n_a = len(a.runs)
    records = {}
    for side, of in ((a, slice(None, n_a)), (b, slice(n_a, None))):
        mean = float(areas[of].mean())
        records[side.letter] = (mean, std(areas[of]), *auc_interval(mean, covariance[of, of].mean()), np.nan)
    gain = difference(areas, covariance, n_a)
    value, half = float(gain.difference), float(gain.high - gain.low) / 2
    half *= float(student_quantile(1 - ALPHA / choices / 2, gain.df) / student_quantile(1 - ALPHA / 2, gain.df))
    records["B − A"] = (value, np.nan, value - half, value + half, min(float(gain.p) * choices, 1.0))
    return pd.DataFrame.from_dict(records, orient="index", columns=["auc", "std", "low", "high", "p"])


def macro_frame(sides: Sides, result: Comparison) -> pd.DataFrame:
    """As `auc_frame`, of the macro-averaged AUC; the difference is the overview's."""
    records = {}
    for side in (sides.a, sides.b):
        areas = np.array([memo(roc_curves.macro_auc, run) for run in side.runs])
        records[side.letter] = (areas.mean(), std(areas), np.nan, np.nan, np.nan)
    row = result.metrics.loc["macro_auc"]
    records["B − A"] = (row["difference"], np.nan, row["low"], row["high"], row["p"])
    return pd.DataFrame.from_dict(records, orient="index", columns=["auc", "std", "low", "high", "p"])


def auc_table(areas: pd.DataFrame) -> pd.DataFrame:
    """`auc_frame` or `macro_frame` as text."""
    forms = {name: "+.4f" if name == "B − A" else ".4f" for name in areas.index}
    rows = [(name, row, forms[name]) for name, row in areas.iterrows()]
    return pd.DataFrame(
        {
            "Model": [name for name, _, _ in rows],
            "AUC": [with_spread(row["auc"], row["std"], form) for _, row, form in rows],
            "95% CI": [interval(row["low"], row["high"], form) for _, row, form in rows],
            "p": [p_value(row["p"]) for _, row, _ in rows],
        }
    )


def pair_frame(sides: Sides, source: str, most: int = 12) -> pd.DataFrame:
    """Pairs of the filter's classes worth a look, by one of SOURCES, each taken both ways round.

    Columns first, second (class indices), confused_a, confused_b (images, mean over seeds), auc_a, auc_b,
    difference (B - A).
    """
    return memo(_pair_frame, sides.a.runs, sides.b.runs, tuple(sorted(offered(sides).tolist())), source, most)


def pair_choices(sides: Sides, frame: pd.DataFrame) -> pd.DataFrame:
    """`pair_frame` as a list to choose from: Pair, A, B (images confused), AUC B − A."""
    names = sides.class_names
    pairs = frame[["first", "second"]].itertuples(index=False)
    return pd.DataFrame(
        {
            "Pair": [f"{names[first]} · {names[second]}" for first, second in pairs],
            "A": frame["confused_a"],
            "B": frame["confused_b"],
            "AUC B − A": frame["difference"],
        }
    )


def first_pair(sides: Sides) -> tuple[int, int]:
    """The two classes to begin with: those that A confuses most; the first two offered where there are no more."""
    best = pair_frame(sides, SOURCES[0], 1) if sides.n_classes > 2 else ()
    first, second = best.loc[0, ["first", "second"]] if len(best) else offered(sides)[:2]
    return int(first), int(second)


def choices(sides: Sides, source: str, task: Task) -> int:
    """Among how many pairs `task` was chosen by its B - A: all that are offered where it is listed under the last of
    SOURCES, else 1.
    """
    if source != SOURCES[2] or task.negative is None:
        return 1
    frame = pair_frame(sides, source)
    listed = {frozenset(pair) for pair in frame[["first", "second"]].to_numpy().tolist()}
    return math.comb(len(offered(sides)), 2) if frozenset((task.positive, task.negative)) in listed else 1


def offered(sides: Sides) -> np.ndarray:
    """The filter's classes, hardest first; all of them where it leaves one, as a pair needs two."""
    return sides.classes if len(sides.classes) > 1 else np.arange(sides.n_classes)


def _pair_frame(
    a: tuple[Run, ...], b: tuple[Run, ...], classes: tuple[int, ...], source: str, most: int
) -> pd.DataFrame:
    chosen = np.array(classes)
    confused = [_confused(mean_confusion(runs)[chosen][:, chosen]) for runs in (a, b)]
    by = {SOURCES[0]: confused[0], SOURCES[1]: confused[1]}.get(source, confused[0].add(confused[1], fill_value=0))
    places = _first_pairs(by, len(chosen), most if source in SOURCES[:2] else MOST_PAIRS)
    pairs = chosen[np.array(places, int).reshape(-1, 2)]
    areas = [np.mean([roc_curves.pair_aucs(run, pairs) for run in runs], axis=0) for runs in (a, b)]
    frame = pd.DataFrame(
        {
            "first": pairs[:, 0],
            "second": pairs[:, 1],
            "confused_a": confused[0].reindex(places, fill_value=0).to_numpy(),
            "confused_b": confused[1].reindex(places, fill_value=0).to_numpy(),
            "auc_a": areas[0],
            "auc_b": areas[1],
            "difference": areas[1] - areas[0],
        }
    )
    if source == SOURCES[2]:
        frame = frame.reindex(frame["difference"].abs().sort_values(ascending=False, kind="stable").index)
    return frame.head(most).reset_index(drop=True)


def _confused(counts: csr_array) -> pd.Series:
    """Images of either of two classes that are misclassified as the other, by pair of places; of pairs that have some,
    as there may be millions of pairs.
    """
    pairs = triu(counts + counts.T, 1).tocoo()
    return pd.Series(pairs.data, pd.MultiIndex.from_arrays([pairs.row, pairs.col])).sort_index()


def _first_pairs(by: pd.Series, n: int, most: int) -> list[tuple[int, int]]:
    """The `most` highest of all pairs of `n` places, of equal ones the first; pairs that are not in `by` have 0."""
    ranked = by.sort_values(ascending=False, kind="stable").index[:most].tolist()
    known = set(ranked)
    others = (pair for pair in combinations(range(n), 2) if pair not in known)
    return [*ranked, *islice(others, most - len(ranked))]


def _read(curve: pd.DataFrame) -> np.ndarray:
    """The curve's true positive rates at ROC_GRID."""
    return np.interp(roc_curves.ROC_GRID, curve["fpr"], curve["tpr"])


def pair_table(result: Comparison) -> pd.DataFrame:
    """The most confused pairs of classes and both models' AUC on their images, as text."""
    pairs = result.pairs
    names = ([plain(spaced(name)) for name in pairs[column]] for column in ("first_name", "second_name"))
    return pd.DataFrame(
        {
            "Pair": [f"{one} or {other}" for one, other in zip(*names, strict=True)],
            "Misclassified as each other (A + B)": [f"{value:.1f}" for value in pairs["confused"]],
            "AUC of A": [number(value, ".4f") for value in pairs["a"]],
            "AUC of B": [number(value, ".4f") for value in pairs["b"]],
            "B − A": [number(value, "+.4f") for value in pairs["difference"]],
            "95% CI": [interval(*row, "+.4f") for row in pairs[["low", "high"]].itertuples(index=False)],
            "q": [p_value(value) for value in pairs["q"]],
            "Significance": [
                claim or ("not tested" if np.isnan(q) else "not significant")
                for claim, q in zip(pairs["claim"], pairs["q"], strict=True)
            ],
        }
    )
