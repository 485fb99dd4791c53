"""The headline of a comparison: each metric's difference with its interval and test, the verdict, and the words for it.

Methods are in `paired`, `delong` and `crossed`; here is which one goes with which number, and how it is told.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore import crossed, delong, disagreement, metrics, paired
from cifarcore.as_text import number, p_value, std
from cifarcore.runs import Run, seed_given

METRICS = ("accuracy", "top5", "macro_f1", "macro_auc", "superclass_accuracy", "ece", "brier", "log_loss")


def resampled_differences(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """B - A of two runs on the same bootstrap resamples of the images; see paired.bootstrap_scores."""
    superclass = [metrics.superclass_correct(run) for run in runs] if runs[0].superclass_of is not None else None
    scores = paired.bootstrap_scores(runs[0].labels, [run.predictions for run in runs], superclass, runs[0].n_classes)
    return {name: scores[1][name] - scores[0][name] for name in scores[0]}


def metric_table(
    runs: Sequence[Run], n_a: int, areas: delong.OneVsRest, resampled: dict[str, np.ndarray] | None
) -> pd.DataFrame:
    """The headline metrics of both models and their difference; columns as Comparison.metrics.

    `runs` holds A's `n_a` runs, then B's, row i of each the same image; `resampled` is for one run each.
    """
    values = pd.DataFrame(
        [metrics.headline(run, auc) for run, auc in zip(runs, crossed.macro_auc_values(areas), strict=True)]
    )
    parts = pd.DataFrame(
        [crossed.influences(run) | {"macro_auc": row} for run, row in zip(runs, areas.influence, strict=True)]
    )
    groups = crossed.strata(runs[0].labels)
    rows = {}
    for name in METRICS:
        value = values[name].to_numpy()
        a, b = value[:n_a], value[n_a:]
        low, high, p, method = np.nan, np.nan, np.nan, ""
        if np.isfinite(value).all():
            found = crossed.difference(value, crossed.image_covariance(np.stack(list(parts[name])), *groups), n_a)
            low, high, p = float(found.low), float(found.high), float(found.p)
            if resampled is not None:
                low, high, p, method = _of_single_runs(name, runs, resampled, (low, high, p))
            elif np.isinf(found.df):
                method = "normal test over images"
            else:
                method = f"t test over seeds and images, df {found.df:.1f}"
            if name == "ece":  # not differentiable where a bin's gap is zero: an interval to go by, no test
                p, method = np.nan, method.replace("test", "interval")
        rows[name] = {"a": a.mean(), "b": b.mean(), "difference": b.mean() - a.mean(), "low": low, "high": high,
                      "std_a": std(a), "std_b": std(b), "p": p, "method": method}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def _of_single_runs(
    name: str, runs: Sequence[Run], resampled: dict[str, np.ndarray], normal: tuple[float, float, float]
) -> tuple[float, float, float, str]:
    """low, high, p and method for one run each, where exact tests and the bootstrap serve better than `normal` ones."""
    low, high, p = normal
    if name == "macro_auc":
        return low, high, p, "paired DeLong test"
    method = "normal interval"
    if name in resampled:
        low, high = map(float, paired.percentile_interval(resampled[name]))
        method = "bootstrap interval"
    right = {"accuracy": _right, "top5": _top5_right, "superclass_accuracy": metrics.superclass_correct}.get(name)
    if right:
        a, b = map(right, runs)
        return low, high, float(paired.mcnemar_p((a & ~b).sum(), (b & ~a).sum())), f"exact McNemar test, {method}"
    return low, high, np.nan, method


def word(accuracy: pd.Series) -> str:
    """«B is better», «A is better» or «not distinguishable»: the test of accuracy (a row of metric_table) at 5 %."""
    if not accuracy["p"] < paired.ALPHA:
        return "not distinguishable"
    return "B is better" if accuracy["difference"] > 0 else "A is better"


def sentence(word: str, accuracy: pd.Series, runs: Sequence[Run], n_a: int, class_table: pd.DataFrame) -> str:
    """The verdict in words: both accuracies, the difference with interval and test, and where it comes from."""
    n = runs[0].n_images
    found, low, high = (_points(accuracy[name]) for name in ("difference", "low", "high"))
    points = f"B − A {found} percentage points, 95 % interval {low} to {high}"
    p = p_value(accuracy["p"])
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    n_b = len(runs) - n_a
    if len(runs) == 2:
        right_a, right_b = runs[0].correct, runs[1].correct
        test = (
            f"only B is right on {(right_b & ~right_a).sum():,} images, only A on {(right_a & ~right_b).sum():,} "
            f"(exact McNemar test, {p})"
        )
    elif min(n_a, n_b) == 1:
        test = f"test over images alone, {p}"
    else:
        test = f"test over seeds and images, {p}"
    of_seeds = "" if len(runs) == 2 else f", means over {n_a} and {n_b} seed{'s' if n_b > 1 else ''}"
    told = (
        f"B is right on {accuracy['b']:.2%} of {n:,} images and A on {accuracy['a']:.2%}{of_seeds} ({points}); {test}."
    )
    return " ".join(filter(None, (told, _origin(word, class_table))))


def notes(accuracy: pd.Series, runs: Sequence[Run], n_a: int, left_out: int) -> list[str]:
    """What the headline leaves open, a sentence each."""
    found = []
    if left_out:
        found.append(
            f"Only the {runs[0].n_images:,} images that all runs share are compared; "
            f"up to {left_out:,} of a run are left out."
        )
    single = {letter: side[0] for letter, side in (("A", runs[:n_a]), ("B", runs[n_a:])) if len(side) == 1}
    if single:
        seeds = all(seed_given(run.meta) is not None for run in single.values())
        one, again = ("seed", "what another seed of the same recipe") if seeds else ("run", "what training it again")
        found.append(
            f"There is one {one} of {' and of '.join(single)}: {again} would give cannot be known from it, so the "
            "verdict is about these models, not about how they were trained."
        )
    inside = accuracy["low"] <= 0 <= accuracy["high"]
    if np.isfinite(accuracy["p"]) and inside == (accuracy["p"] < paired.ALPHA):
        found.append(
            "Test and interval do not agree on accuracy: the interval "
            f"{'includes' if inside else 'leaves out'} zero; the test, which decides, gives p = {accuracy['p']:.4f}."
        )
    marks = np.stack([disagreement.duplicates(run) for run in runs])
    known = (marks == "in training").any(axis=0)
    near = (marks != "").any(axis=0)
    if known.any():
        stand = "test image stands" if known.sum() == 1 else "test images stand"
        found.append(f"{known.sum()} {stand} byte for byte in the training set; {_without(known, runs, n_a)}.")
    if near.sum() > known.sum():
        more = near.sum() - known.sum()
        found.append(
            f"{more} more {'is a near-duplicate' if more == 1 else 'are near-duplicates'} of a training image by the features of at least one run "
            f"(cosine similarity {disagreement.NEAR_DUPLICATE_COSINE} or above); {_without(near, runs, n_a, 'all of these')}."
        )
    return found


def _without(images: np.ndarray, runs: Sequence[Run], n_a: int, them: str = "") -> str:
    if images.all():
        return "these are all there are"
    a, b = (np.mean([run.correct[~images].mean() for run in side]) for side in (runs[:n_a], runs[n_a:]))
    them = them or ("them" if images.sum() > 1 else "it")
    return f"without {them} accuracy is {a:.4f} (A) and {b:.4f} (B), B − A {_points(b - a)} points"


def _origin(word: str, class_table: pd.DataFrame) -> str:
    """Which superclasses (or classes) bring most of the difference, and how many classes are claimed to differ."""
    claims = class_table["claim"].value_counts()
    gained, lost = claims.get("gained", 0), claims.get("lost", 0)
    counted = (
        f"{gained} class{'' if gained == 1 else 'es'} gained recall and {lost} lost it (false-discovery rate 5 %)."
    )
    if word == "not distinguishable":
        return f"Of single classes, {counted}" if claims.drop("", errors="ignore").sum() else ""
    by = "superclass" if class_table["superclass"].ne("").all() else "name"
    images = (class_table["recall_difference"] * class_table["support"]).groupby(class_table[by]).sum()
    images = images.sort_values(ascending=word != "B is better", kind="stable").head(3)
    most = ", ".join(f"{name} ({number(count, '+.0f')} images)" for name, count in images.items())
    return f"B {'gains' if word == 'B is better' else 'loses'} most in {most}; {counted}"


def _right(run: Run) -> np.ndarray:
    return run.correct


def _top5_right(run: Run) -> np.ndarray:
    return metrics.true_rank(run) < 5


def _points(share: float) -> str:
    return number(100 * share, "+.2f")
