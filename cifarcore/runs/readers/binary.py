"""One column of scores for two classes, as a network with one output writes it."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.columns import FEWEST
from cifarcore.runs.readers.roles import PREFIXES, SCORES
from cifarcore.runs.scores import FLOOR

_ANY = ("score", "sigmoid", "output", "p", "positive", "confidence", "0")  #: headings that name no class
ROUNDING = 1e-6  #: by which a probability in single precision may lie outside 0..1
#: headings of the class 0; 0 alone is what pandas calls a column without a name
FIRST = tuple(f"{prefix}0" for prefix in PREFIXES)


def of_no_class(heading: str) -> bool:
    """Whether a heading is that of the one output of a network rather than a class's name."""
    return heading.casefold() in (*SCORES, *_ANY) and heading.casefold() not in ("positive", "0")


def of_two_classes(predictions: Predictions, known: Collection[str], kind: str = "") -> Predictions:
    """One column of fractions, (N,) or (N, 1), as two: of the class that heads it, else of the second of `known`.

    Whole numbers are predicted classes, (N,). Raises CifarcoreError where there are more classes, or where the column
    may be the probability of whichever class was predicted.
    """
    scores, headings = np.asarray(predictions.scores), predictions.columns or ()
    if scores.dtype.kind not in "fiu" or not len(scores) or scores.shape[1:] not in ((), (1,)) or len(headings) > 2:
        return predictions
    column = scores.reshape(len(scores))
    if scores.dtype.kind != "f" or (np.isfinite(column).all() and (column == np.floor(column)).all()):
        whole = column if scores.dtype.kind != "f" else column.astype(np.int64)
        return replace(predictions, scores=whole, columns=None if len(headings) < 2 else headings)
    names = headings if len(headings) == 2 else tuple(known)
    if names and len(names) != 2:
        raise CifarcoreError(
            f"one column of scores, but {len(names):,} classes; give one for each (timm: --topk 0 "
            "--results-separate-col), or the predicted class of each image in a column prediction"
        )
    unit = column.min() >= -ROUNDING and column.max() <= 1 + ROUNDING
    kind = kind or predictions.kind or ("probabilities" if unit else "logits")
    if kind == "probabilities" and len(column) >= FEWEST and column.min() >= 0.5:
        raise CifarcoreError(
            "one column of scores, none below 0.5, as of whichever class was predicted; give one column for each class"
        )
    pair = np.stack([_other(column, kind), column], axis=1)
    columns, of_class = (headings if len(headings) == 2 else None), "the second of the two classes"
    if len(headings) == 1 and headings[0] in FIRST and "0" not in names[1:]:
        pair, columns, of_class = pair[:, ::-1].copy(), None, "the first of the two classes"
    elif len(headings) == 1 and headings[0].casefold() not in (*SCORES, *_ANY):
        at = [name.casefold() for name in names]
        if headings[0].casefold() not in at:
            raise CifarcoreError(
                f"one column of scores, headed {headings[0][:60]!r}, which is none of the two classes "
                f"{' and '.join(names) or '(which are not known)'}; give one column for each class"
            )
        columns = (names[1 - at.index(headings[0].casefold())], headings[0])
        of_class = repr(headings[0])
    note = f"one column of scores: read as those of {of_class}"
    return replace(predictions, scores=pair, columns=columns, kind=kind, notes=(*predictions.notes, note))


def _other(column: np.ndarray, kind: str) -> np.ndarray:
    """The scores of the other class."""
    if kind == "probabilities":
        return 1 - column
    return np.zeros_like(column) if kind == "logits" else np.log(np.maximum(1 - np.exp(column), FLOOR))
