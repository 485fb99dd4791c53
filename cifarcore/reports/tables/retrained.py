"""What the page of a retraining shows, as DataFrames: pure functions of the run before and the run after."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cifarcore.evidence import comparison, crossed, metrics, verdict
from cifarcore.evidence.flips import NEWLY_RIGHT, NEWLY_WRONG
from cifarcore.evidence.shares import share_difference
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.classes import class_frame
from cifarcore.reports.tables.galleries import surest_first
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value


def change_table(before: Run, after: Run, focus: tuple[int, ...]) -> pd.DataFrame:
    """What the retraining changed on the same test images, in the same order, with 95% intervals.

    Columns measure, before, after, difference, low, high, p (NaN where none is defined), images, better (`verdict.of`:
    "A" is the run before). Accuracy as everywhere (`shares`), F1 by a z-test over images (`crossed`). `focus` are
    class indices; none: the rows of focus and other classes are left out.
    """
    in_focus = np.isin(before.labels, focus)
    everything = np.ones(before.n_images, bool)
    classes = np.arange(before.n_classes)
    records = [
        _accuracy(OVERALL, before, after, everything),
        _f1("Macro-F1", before, after, classes, everything),
    ]
    if len(focus):
        records += [
            _f1(FOCUS, before, after, np.array(focus), in_focus),
            _accuracy("Accuracy on images of the focus classes", before, after, in_focus),
            _f1("Mean F1 of the other classes", before, after, np.setdiff1d(classes, focus), ~in_focus),
            _accuracy("Accuracy on images of the other classes", before, after, ~in_focus),
        ]
    table = pd.DataFrame(records)
    return table.assign(better=[verdict.of(*row) for row in table[["difference", "p"]].itertuples(index=False)])


def change_text(table: pd.DataFrame) -> pd.DataFrame:
    """`change_table` as text."""
    columns = {
        "Measure": table["measure"],
        "Before (A)": [number(value, ".4f") for value in table["before"]],
        "After (B)": [number(value, ".4f") for value in table["after"]],
        "B − A": [number(value, "+.4f") for value in table["difference"]],
        "95% CI": [interval(*row, "+.4f") for row in table[["low", "high"]].itertuples(index=False)],
        "p": [p_value(value) for value in table["p"]],
        "Images": table["images"],
        "Significant": np.where(table["better"] != "", "yes", "no"),
    }
    return pd.DataFrame(columns)


def change_sentences(table: pd.DataFrame) -> list[str]:
    """What the retraining changed in the focus classes and overall, a sentence each; `headings.of_retraining` is the
    verdict.
    """
    rows, sentences = table.set_index("measure"), []
    for measure in (FOCUS, OVERALL):
        if measure not in rows.index:
            continue
        row = rows.loc[measure]
        change, ends = number(row["difference"], "+.4f"), interval(row["low"], row["high"], "+.4f")
        ci = f"95% CI {ends}" if ends else "no CI"
        unsure = "" if row["better"] else "; not significant"
        sentences.append(f"{measure}: {row['before']:.4f} before, {row['after']:.4f} after ({change}, {ci}{unsure}).")
    return sentences


def focus_frame(sides: Sides, focus: tuple[int, ...]) -> pd.DataFrame:
    """F1 of each focus class before and after, as `class_frame`, of the first seeds: largest gain first."""
    one, other = (replace(side, runs=side.runs[:1]) for side in (sides.a, sides.b))
    first = replace(sides, a=one, b=other, classes=np.array(focus, int))
    frame = class_frame(first, memo(comparison.compare, one.runs, other.runs), "f1")
    return frame.sort_values("difference", ascending=False, kind="stable", ignore_index=True)


def focus_classes(run: Run, names: object) -> tuple[int, ...]:
    """Indices of the classes that a retraining's record names as its focus, each once, as far as `run` has them."""
    position = {str(name): index for index, name in enumerate(run.class_names)}
    given = names if isinstance(names, list) else []
    known = (position[name] for name in given if isinstance(name, str) and name in position)
    return tuple(dict.fromkeys(known))


def changed_images(sides: Sides, focus: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Rows of the images in the filter that the retraining (from A to B) made newly right (wrong before and correct
    after) and newly wrong. Those of the classes `focus` come first, of either kind the most confident.
    """
    before, after = sides.a.first.correct, sides.b.first.correct
    changed = {}
    for name, images in ((NEWLY_RIGHT, ~before & after), (NEWLY_WRONG, before & ~after)):
        rows = surest_first(sides, np.flatnonzero(images & sides.in_filter))
        changed[name] = rows[np.argsort(~np.isin(sides.labels[rows], focus), kind="stable")]
    return changed


def _accuracy(measure: str, before: Run, after: Run, images: np.ndarray) -> dict:
    share = share_difference(np.stack([before.correct, after.correct])[:, images], before.labels[images], 1)
    return _record(measure, [share.a, share.b], share.low, share.high, share.p, int(images.sum()))


def _f1(measure: str, before: Run, after: Run, classes: np.ndarray, images: np.ndarray) -> dict:
    runs = (before, after)
    values = np.array([metrics.macro_f1(run, classes) for run in runs])
    influence = np.stack([crossed.macro_f1_influence(run, classes) for run in runs])
    tested = crossed.difference(values, crossed.image_covariance(influence, *crossed.strata(before.labels)), 1)
    return _record(measure, values.tolist(), float(tested.low), float(tested.high), float(tested.p), int(images.sum()))


def _record(measure: str, values: list[float], low: float, high: float, p: float, images: int) -> dict:
    return {
        "measure": measure, "before": values[0], "after": values[1], "difference": values[1] - values[0],
        "low": low, "high": high, "p": p, "images": images,
    }  # fmt: skip
