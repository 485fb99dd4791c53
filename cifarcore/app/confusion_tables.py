"""The tables behind confusions: matrices, folded or not, a class's outcomes and rivals, and the images of a cell.

Counts over several seeds are the means of the per-seed counts. No rule of evidence lives here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore import metrics
from cifarcore.app.state import View, memo
from cifarcore.comparison import Comparison
from cifarcore.runs import Run


def mean_confusion(runs: Sequence[Run]) -> np.ndarray:
    """Mean over `runs` of metrics.confusion, float (C, C): row = true, column = predicted."""
    return memo(_mean_confusion, tuple(runs))


def outcome_frame(view: View, class_index: int, most: int = 8) -> pd.DataFrame:
    """Where the images of a class went. Columns predicted, model, images, share, kind («right», «wrong», «left the filter»).

    The `most` common answers of both models together, and «other classes» for the rest.
    """
    names = np.array(view.class_names)
    rows = {side.letter: mean_confusion(side.runs)[class_index] for side in (view.a, view.b)}
    total = rows["A"] + rows["B"]
    order = [class_index] + [int(c) for c in np.argsort(-total, kind="stable") if c != class_index and total[c] > 0]
    shown, rest = order[: most + 1], order[most + 1 :]
    support = max(rows["A"].sum(), 1)
    inside = set(view.classes.tolist())
    records = []
    for letter, row in rows.items():
        for c in shown:
            kind = "right" if c == class_index else "wrong" if c in inside else "left the filter"
            records.append((names[c], letter, row[c], row[c] / support, kind))
        if rest:
            records.append(("other classes", letter, row[rest].sum(), row[rest].sum() / support, "wrong"))
    return pd.DataFrame(records, columns=["predicted", "model", "images", "share", "kind"])


def share_outside(view: View, classes: np.ndarray) -> dict[str, float]:
    """The share (0..1) of the images of `classes` that each model sends to classes that the filter leaves out."""
    outside = np.ones(view.n_classes, dtype=bool)
    outside[view.classes] = False
    rows = {side.letter: mean_confusion(side.runs)[classes] for side in (view.a, view.b)}
    return {letter: float(row[:, outside].sum() / max(row.sum(), 1)) for letter, row in rows.items()}


def rivals_frame(view: View, class_index: int, most: int = 6) -> pd.DataFrame:
    """The classes that this one is most confused with, either way and by both models together.

    Columns Rival; → A, → B, → B − A: images of this class taken for the rival; ← A, ← B, ← B − A: the rival's images
    taken for this class (means over seeds).
    """
    a, b = (mean_confusion(side.runs) for side in (view.a, view.b))
    both_ways = a[class_index] + a[:, class_index] + b[class_index] + b[:, class_index]
    both_ways[class_index] = 0
    order = [int(c) for c in np.argsort(-both_ways, kind="stable")[:most] if both_ways[c] > 0]
    return pd.DataFrame(
        {
            "Rival": [view.class_names[c] for c in order],
            **{f"→ {column}": values for column, values in _trio(a[class_index, order], b[class_index, order]).items()},
            **{f"← {column}": values for column, values in _trio(a[order, class_index], b[order, class_index]).items()},
        }
    )


def confusion_frame(
    view: View, result: Comparison, show: str, rows: np.ndarray, columns: np.ndarray, errors_only: bool
) -> pd.DataFrame:
    """The cells of true classes `rows` and predicted classes `columns` that hold an image under A or B.

    `show` is «A», «B» or «B − A». Columns true, predicted, value, a, b, difference (images, means over seeds), claim,
    muted (a difference that comparison does not claim).
    """
    a, b = (mean_confusion(side.runs)[np.ix_(rows, columns)] for side in (view.a, view.b))
    claims = _claims(view, result, errors_only)[np.ix_(rows, columns)]
    left_out = rows[:, None] == columns[None, :] if errors_only else None
    names = ([view.class_names[c] for c in classes] for classes in (rows, columns))
    return _cells(a, b, *names, show, claims, left_out)


def superclass_frame(view: View, result: Comparison, show: str, errors_only: bool) -> pd.DataFrame:
    """As `confusion_frame`, folded to superclasses; with `errors_only` the diagonal holds errors within a superclass.

    A folded cell counts as claimed where comparison claims a cell of classes in it.
    """
    run = view.a.first
    fold = np.eye(len(run.superclass_names))[run.superclass_of]  # (C, S)
    a, b = (mean_confusion(side.runs) for side in (view.a, view.b))
    if errors_only:
        a, b = (counts - np.diag(np.diag(counts)) for counts in (a, b))
    claimed = fold.T @ (_claims(view, result, errors_only) != "") @ fold
    claims = np.where(claimed > 0, "classes in it differ", "")
    names = view.superclass_names
    return _cells(fold.T @ a @ fold, fold.T @ b @ fold, names, names, show, claims, None)


def superclass_order(view: View) -> np.ndarray:
    """All classes, those of a superclass next to each other; in their own order where there are no superclasses."""
    superclass_of = view.a.first.superclass_of
    return np.arange(view.n_classes) if superclass_of is None else np.argsort(superclass_of, kind="stable")


def cell_images(
    view: View, true: np.ndarray, predicted: np.ndarray, letters: str, errors_only: bool
) -> tuple[np.ndarray, list[str]]:
    """The images of classes `true` that some run of the sides in `letters` gives one of the classes `predicted`.

    Returns rows, those that most runs put there first, and a note for each: how many runs of each side do.
    `errors_only` leaves out right answers (in a cell of several classes, or on the diagonal).
    """
    of_class = np.isin(view.labels, true)
    sides = [side for side in (view.a, view.b) if side.letter in letters]

    def here(run: Run) -> np.ndarray:
        in_cell = np.isin(run.predictions, predicted) & of_class
        return in_cell & ~run.correct if errors_only else in_cell

    hits = {side.letter: np.sum([here(run) for run in side.runs], axis=0) for side in sides}
    total = np.sum(list(hits.values()), axis=0)
    rows = np.flatnonzero(total)
    rows = rows[np.argsort(-total[rows], kind="stable")]
    notes = [" · ".join(f"{s.letter}: {hits[s.letter][row]} of {len(s.runs)} here" for s in sides) for row in rows]
    return rows, notes


def _claims(view: View, result: Comparison, errors_only: bool) -> np.ndarray:
    """What comparison claims of each confusion cell, str (C, C): «more in B», «fewer in B» or ""; of right answers by recall."""
    claims = np.full((view.n_classes, view.n_classes), "", dtype="U20")
    claims[result.cells["true"].to_numpy(int), result.cells["predicted"].to_numpy(int)] = result.cells["claim"]
    if not errors_only:
        words = {"gained": "more in B", "lost": "fewer in B"}
        np.fill_diagonal(claims, result.class_table["claim"].map(words).fillna(""))
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
            "claim": np.where(claims == "", "not claimed", claims),
            "muted": (claims == "") & (show == "B − A"),
        }
    )


def _mean_confusion(runs: tuple[Run, ...]) -> np.ndarray:
    mean = np.mean([metrics.confusion(run) for run in runs], axis=0)
    mean.flags.writeable = False
    return mean


def _trio(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    return {"A": a, "B": b, "B − A": b - a}
