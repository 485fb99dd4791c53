"""What the page of a retraining shows, as DataFrames: pure functions of the run before and the run after."""

import numpy as np
import pandas as pd

from cifarcore import metrics, paired
from cifarcore.runs import Run


def change_table(before: Run, after: Run, focus: tuple[int, ...]) -> pd.DataFrame:
    """What the retraining changed on the same test images, in the same order, with 95 % intervals.

    Columns measure, before, after, difference, low, high, p (NaN where none is defined), images, sure (the interval
    leaves out 0). Accuracy by exact McNemar test and Bonett and Price's interval, F1 by the paired bootstrap within
    classes (see `paired`). `focus` are class indices; none: the rows of focus and other classes are left out.
    """
    in_focus = np.isin(before.labels, focus)
    everything = np.ones(before.n_images, bool)
    scores = paired.bootstrap_scores(before.labels, [before.predictions, after.predictions], None, before.n_classes)
    f1 = [metrics.class_table(run, auc=False)["f1"].to_numpy() for run in (before, after)]
    classes = np.arange(before.n_classes)
    records = [
        _accuracy("Accuracy", before, after, everything),
        _f1("Macro-F1", scores, f1, classes, before.n_images),
    ]
    if len(focus):
        records += [
            _f1("Mean F1 of the focus classes", scores, f1, np.array(focus), int(in_focus.sum())),
            _accuracy("Accuracy on images of the focus classes", before, after, in_focus),
            _f1("Mean F1 of the other classes", scores, f1, np.setdiff1d(classes, focus), int((~in_focus).sum())),
            _accuracy("Accuracy on images of the other classes", before, after, ~in_focus),
        ]
    table = pd.DataFrame(records)
    return table.assign(sure=(table["low"] > 0) | (table["high"] < 0))


def _accuracy(measure: str, before: Run, after: Run, images: np.ndarray) -> dict:
    only_before = int((before.correct & ~after.correct & images).sum())
    only_after = int((~before.correct & after.correct & images).sum())
    low, high = paired.paired_interval(only_before, only_after, images.sum())
    shares = [float(run.correct[images].mean()) if images.any() else np.nan for run in (before, after)]
    return _record(
        measure, shares, float(low), float(high), float(paired.mcnemar_p(only_before, only_after)), int(images.sum())
    )


def _f1(measure: str, scores: list[dict], f1: list[np.ndarray], classes: np.ndarray, images: int) -> dict:
    present = classes[~np.isnan(f1[0][classes]) & ~np.isnan(f1[1][classes])]
    resampled = [
        np.nanmean(score["f1"][:, present], axis=1) if len(present) else np.array([np.nan]) for score in scores
    ]
    low, high = paired.percentile_interval(resampled[1] - resampled[0])
    means = [float(values[present].mean()) if len(present) else np.nan for values in f1]
    return _record(measure, means, float(low), float(high), np.nan, images)


def _record(measure: str, values: list[float], low: float, high: float, p: float, images: int) -> dict:
    return {
        "measure": measure, "before": values[0], "after": values[1], "difference": values[1] - values[0],
        "low": low, "high": high, "p": p, "images": images,
    }  # fmt: skip
