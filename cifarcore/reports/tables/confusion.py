"""The tables behind the confusion matrix: cells, folded or not, and the images of a cell. Means over seeds."""

import numpy as np
import pandas as pd
from scipy.sparse import diags_array

from cifarcore.evidence import softmax
from cifarcore.evidence.comparison import Comparison
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.classes import mean_confusion
from cifarcore.runs.run import Run
from cifarcore.text import count_form, number, p_value, plain, spaced


def confusion_frame(
    sides: Sides, result: Comparison, show: str, rows: np.ndarray, columns: np.ndarray, errors_only: bool
) -> pd.DataFrame:
    """The cells of true classes `rows` and predicted classes `columns` that hold an image under A or B.

    `show` is "A", "B" or "B − A". Columns true, predicted, value, a, b, difference (images, means over seeds), claim,
    muted (a difference that is not significant).
    """
    a, b = (mean_confusion(side.runs)[rows][:, columns].toarray() for side in (sides.a, sides.b))
    claims = _claims(result, rows, columns, errors_only)
    left_out = rows[:, None] == columns[None, :] if errors_only else None
    names = ([sides.class_names[c] for c in classes] for classes in (rows, columns))
    return _cells(a, b, *names, show, claims, left_out)


def superclass_frame(sides: Sides, result: Comparison, show: str, errors_only: bool) -> pd.DataFrame:
    """As `confusion_frame`, folded to superclasses; with `errors_only` the diagonal holds errors within a superclass.

    Cells of superclasses are tested themselves, as a family of their own.
    """
    run = sides.a.first
    fold = softmax.superclass_fold(run)
    a, b = (mean_confusion(side.runs) for side in (sides.a, sides.b))
    if errors_only:
        a, b = (counts - diags_array(counts.diagonal()) for counts in (a, b))
    a, b = ((fold.T @ counts @ fold).toarray() for counts in (a, b))
    cells = result.superclass_cells
    claims = np.full((fold.shape[1],) * 2, "", dtype=object)  # a tenth of what texts would take
    for errors in (True, False)[: 1 if errors_only else 2]:  # with correct predictions the diagonal's own family
        shown = cells[cells["errors"] == errors]
        if not errors:
            np.fill_diagonal(claims, "")
        claims[shown["true"].to_numpy(int), shown["predicted"].to_numpy(int)] = shown["claim"]
    names = sides.superclass_names
    return _cells(a, b, names, names, show, claims, None)


def cells_text(result: Comparison, frame: pd.DataFrame, level: str) -> str:
    """What the tests of the cells in `frame` say of B − A, as a sentence; `level` is "superclasses" or "classes"."""
    how = f"tested cell by cell of {level}, FDR controlled at 5%"
    if (frame["claim"] != "not significant").any():
        return f"Muted cells do not differ significantly ({how})."
    text = f"No cell shown differs significantly ({how}): individual colours may be noise."
    changed = int((result.class_table["claim"] != "").sum())
    if not changed:
        return text
    classes = "one class" if changed == 1 else f"{changed} classes"
    return (
        f"{text} Recall changes significantly in {classes}, which does not contradict it: a class's errors are spread "
        "over many cells, each with too few images to be significant alone."
    )


def superclass_order(sides: Sides) -> np.ndarray:
    """All classes, those of a superclass next to each other; in their own order where there are no superclasses."""
    superclass_of = sides.a.first.superclass_of
    return np.arange(sides.n_classes) if superclass_of is None else np.argsort(superclass_of, kind="stable")


def superclass_ends(sides: Sides, order: np.ndarray) -> np.ndarray:
    """The places in `order`, classes by `superclass_order`, that the next superclass begins behind; none without
    superclasses.
    """
    superclass_of = sides.a.first.superclass_of
    return np.flatnonzero(np.diff(superclass_of[order])) if superclass_of is not None else np.empty(0, int)


def ranked_cells(frame: pd.DataFrame, show: str, most: int = 8) -> pd.DataFrame:
    """The cells of `frame` that differ most, those that differ significantly first, or that hold most images.

    Columns true, predicted, text: both counts, or the one of `show`, and whether the difference is significant.
    """
    claimed = frame["claim"] != "not significant"
    order = np.lexsort((-frame["value"].abs(), ~claimed if show == "B − A" else np.zeros(len(frame))))[:most]
    cells, form = frame.iloc[order], count_form(frame["a"], frame["b"])
    if show == "B − A":
        marks = ["○" if claim == "not significant" else "●" for claim in cells["claim"]]
        text = [
            f"A {number(row.a, form)}, B {number(row.b, form)} {mark} {row.claim}"
            for row, mark in zip(cells.itertuples(), marks, strict=True)
        ]
    else:
        text = [number(value, form) for value in cells["value"]]
    return cells[["true", "predicted"]].assign(text=text)


def cell_images(
    sides: Sides, true: np.ndarray, predicted: np.ndarray, letters: str, errors_only: bool
) -> tuple[np.ndarray, list[str]]:
    """The images of classes `true` that some run of the sides in `letters` gives one of the classes `predicted`.

    Returns rows, those that most runs put there first, and a note for each: how many runs of each side do.
    `errors_only` leaves out correct predictions (in a cell of several classes, or on the diagonal).
    """
    of_class = np.isin(sides.labels, true)
    sides = [side for side in (sides.a, sides.b) if side.letter in letters]

    def here(run: Run) -> np.ndarray:
        in_cell = np.isin(run.predictions, predicted) & of_class
        return in_cell & ~run.correct if errors_only else in_cell

    hits = {side.letter: np.sum([here(run) for run in side.runs], axis=0) for side in sides}
    total = np.sum(list(hits.values()), axis=0)
    rows = np.flatnonzero(total)
    rows = rows[np.argsort(-total[rows], kind="stable")]
    notes = [" · ".join(f"{s.letter}: {hits[s.letter][row]} of {len(s.runs)} seeds" for s in sides) for row in rows]
    return rows, notes


def _claims(result: Comparison, rows: np.ndarray, columns: np.ndarray, errors_only: bool) -> np.ndarray:
    """What comparison claims of each confusion cell of the classes `rows` and `columns`, str (rows, columns): "more in
    B", "fewer in B" or ""; of right answers by recall. Of these alone: all cells of many classes are all memory.
    """
    claims = np.full((len(rows), len(columns)), "", dtype="U20")
    places = []
    for classes, cells in ((rows, result.cells["true"]), (columns, result.cells["predicted"])):
        place = np.full(len(result.class_table), -1)
        place[classes] = np.arange(len(classes))
        places.append(place[cells.to_numpy(int)])
    here = (places[0] >= 0) & (places[1] >= 0)
    claims[places[0][here], places[1][here]] = result.cells["claim"].to_numpy()[here]
    if not errors_only:
        words = {"improved": "more in B", "declined": "fewer in B"}
        recalls = result.class_table["claim"].map(words).fillna("").to_numpy()
        same = np.nonzero(rows[:, None] == columns[None, :])
        claims[same] = recalls[rows[same[0]]]
    return claims


def _cells(
    a: np.ndarray,
    b: np.ndarray,
    row_names: list[str],
    column_names: list[str],
    show: str,
    claims: np.ndarray,
    left_out: np.ndarray | None,
) -> pd.DataFrame:
    """One row for each cell that holds an image under A or B and is not `left_out`; all arrays (rows, columns)."""
    filled = (a > 0) | (b > 0)
    if left_out is not None:
        filled &= ~left_out
    rows, columns = np.nonzero(filled)
    a, b, claims = a[filled], b[filled], claims[filled]
    return pd.DataFrame(
        {
            "true": pd.Categorical.from_codes(rows, row_names),
            "predicted": pd.Categorical.from_codes(columns, column_names),
            "value": {"A": a, "B": b}.get(show, b - a),
            "a": a,
            "b": b,
            "difference": b - a,
            "claim": np.where(claims == "", "not significant", claims),
            "muted": (claims == "") & (show == "B − A"),
        }
    )


def cell_table(result: Comparison) -> pd.DataFrame:
    """The tested cells of the confusion matrix as text; images are means over seeds."""
    return _as_text(result.cells)


def superclass_cell_table(result: Comparison) -> pd.DataFrame:
    """As `cell_table`, of the errors by superclass."""
    return _as_text(result.superclass_cells[result.superclass_cells["errors"]])


def _as_text(cells: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "True": [plain(spaced(name)) for name in cells["true_name"]],
            "Predicted": [plain(spaced(name)) for name in cells["predicted_name"]],
            "A": [f"{value:.1f}" for value in cells["a"]],
            "B": [f"{value:.1f}" for value in cells["b"]],
            "B − A": [number(value, "+.1f") for value in cells["difference"]],
            "q": [p_value(value) for value in cells["q"]],
            "Significance": [claim or "not significant" for claim in cells["claim"]],
        }
    )
