"""What stands beside the ROC curves: precision and recall, the curves' names, and the one table of all numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import roc_curves
from cifarcore.reports.sides import Side
from cifarcore.reports.tables.roc import Task, auc_table
from cifarcore.text import keyed, number

_RATES = {"tpr": "True positive rate", "fpr": "False positive rate", "precision": "Precision", "right": "Accuracy"}


def precision_frame(sides: Sequence[Side], task: Task) -> pd.DataFrame:
    """Columns model, recall, precision, low, high: as `curve_frame`; several curves are read at the same 501 recalls,
    each at its precision of the least recall that reaches them.
    """
    frames = []
    for side in sides:
        curves = [task.precision_recall(run) for run in side.runs]
        if any(curve.empty for curve in curves):
            continue
        if len(curves) == 1:
            frame = curves[0].assign(low=np.nan, high=np.nan)
        else:
            reached = [np.searchsorted(curve["recall"], roc_curves.ROC_GRID, "left") for curve in curves]
            read = np.array([c["precision"].to_numpy()[at] for c, at in zip(curves, reached, strict=True)])
            columns = {"precision": read.mean(0), "low": read.min(0), "high": read.max(0)}
            frame = pd.DataFrame({"recall": roc_curves.ROC_GRID, **columns})
        frames.append(frame.assign(model=side.letter))
    columns = ["model", "recall", "precision", "low", "high"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def average_precisions(sides: Sequence[Side], task: Task) -> list[float]:
    """Of each model, the mean over its seeds."""
    precisions = [[roc_curves.average_precision(*task.scores(run)[:2]) for run in side.runs] for side in sides]
    return [float(np.mean(each)) for each in precisions]


def page_table(
    areas: pd.DataFrame, points: pd.DataFrame | None, precisions: Sequence[float] | None, names: tuple[str, str]
) -> pd.DataFrame:
    """All numbers of the page as text, a row for each model and for B − A: `auc_table`, the `average_precisions` of
    both, and `operating_points`; `names` are those of A and B.
    """
    table = auc_table(areas)
    table["Model"] = [*(keyed(*each) for each in zip("AB", names, strict=True)), "B − A"]
    if precisions is not None:
        a, b = precisions
        table["Average precision"] = [number(a, ".4f"), number(b, ".4f"), number(b - a, "+.4f")]
    if points is not None:
        rates = points.set_index("model")
        titles = {
            "tpr": "True positive rate",
            "fpr": "False positive rate",
            "precision": "Precision",
            "right": "Accuracy",
        }
        for name, title in titles.items():
            a, b = rates.loc[["A", "B"], name]
            change = number(100 * (b - a), "+.1f")
            table[title] = [number(a, ".1%"), number(b, ".1%"), f"{change} points" if change else ""]
    return table


def label_frame(curves: pd.DataFrame, names: tuple[str, str], x: str, y: str, at: float) -> pd.DataFrame:
    """Where each curve's name stands: columns model, text, `x`, `y`, above (bool).

    Each curve is read at `at`; the name of the higher one (where they meet, of the one that is higher on the whole)
    stands above it, that of the lower one below.
    """
    every = {letter: of for letter, of in curves.groupby("model", sort=True) if len(of)}
    heights = {letter: float(np.interp(at, of[x], of[y])) for letter, of in every.items()}
    whole = {letter: np.interp(np.linspace(0, 1, 101), of[x], of[y]).mean() for letter, of in every.items()}
    higher = max(heights, key=lambda letter: (round(heights[letter], 3), whole[letter])) if heights else ""
    rows = [
        {
            "model": letter, "text": keyed(letter, names["AB".index(letter)]), x: at, y: height,
            "above": letter == higher,
        }
        for letter, height in heights.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["model", "text", x, y, "above"])
