"""Someone else's outputs, row by row: scores, labels, ids and names, each checked and in one form.

Knows no file and no test set: `formats` reads them, `importing` brings them onto a test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import MAX_BYTES, MAX_CLASSES, MAX_NAME_LENGTH
from cifarcore.runs.precision import saturates
from cifarcore.runs.scores import FLOOR, without_noise

RANKED = 5  #: classes from which rows that all fall are no coincidence, even of a network that knows nothing
NOISE = 1e-11  #: relative differences of float64 that sums and means of equal numbers have
MANY = 0.25  #: share of the differences among scores that may be lost
FEW = 20  #: such differences tell nothing
SATURATED = 0.5  #: above it probabilities of a sure model differ by little, and all are of its class


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a file holds, row by row; None where it says nothing of it."""

    scores: np.ndarray  #: float (N, C); or, where there are none, the predicted classes (N,), int64 or text
    kind: str = ""  #: one of KINDS where the file names it
    columns: tuple[str, ...] | None = None  #: the class of each column of `scores`
    headed: bool = False  #: `columns` are headings of a table, of which some may be over something else
    unordered: bool = False  #: the file has its classes by name, in an order that is not that of `columns`
    labels: np.ndarray | None = None  #: (N,) of int64, or of text
    sample_ids: np.ndarray | None = None  #: uint64 (N,)
    files: tuple[str, ...] | None = None  #: (N,) names of picture files
    rows: np.ndarray | None = None  #: int64 (N,), which row in the order of the images each one is; not yet checked
    sources: tuple[tuple[str, str], ...] = ()  #: what was read -> the heading it stood under
    unused: tuple[str, ...] = ()  #: columns or arrays that say nothing that is read
    numbered: tuple[tuple[int, str], ...] = ()  #: numbers beside the labels that are names, each with its name
    #: the column of the highest score, the class that a column of answers has beside it, and how many rows have both
    answers: tuple[tuple[int, str, int], ...] = ()
    notes: tuple[str, ...] = ()  #: what was understood of the file that its writer may have meant otherwise


def checked_scores(predictions: Predictions) -> np.ndarray:
    """The scores as float32 rows, finite, probabilities none below zero, and as float64 where they need it; predicted
    classes as they are.
    """
    scores = predictions.scores
    if scores.ndim == 1 and scores.dtype.kind in "iuU" and len(scores):
        return as_class_labels(scores)
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise CifarcoreError(
            f"scores are {scores.dtype} of shape {scores.shape}; give numbers, one row per image and one column per "
            "class"
        )
    if not len(scores):
        raise CifarcoreError("no rows; give one for each test image")
    if not 2 <= scores.shape[1] <= MAX_CLASSES:
        raise CifarcoreError(f"{scores.shape[1]} columns of scores; give one for each of 2 to {MAX_CLASSES} classes")
    given = scores
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.ascontiguousarray(scores, np.float32)
    bad = ~np.isfinite(scores)
    if bad.any():
        row, column = np.unravel_index(bad.argmax(), bad.shape)
        raise CifarcoreError(
            f"{bad.sum():,} scores in {bad.any(axis=1).sum():,} rows are NaN, empty or infinite (first: row {row}, "
            f"column {predictions.columns[column] if predictions.columns else column})"
        )
    if given.dtype.kind == "f" and given.dtype.itemsize > 4:
        _refuse_too_fine(given, scores)
        scores = np.ascontiguousarray(given, np.float64) if saturates(given) else scores
    return without_noise(scores)


def _refuse_too_fine(given: np.ndarray, scores: np.ndarray) -> None:
    """Raises CifarcoreError where many scores (N, C) of an image, or for a class, differ, but no longer as the float32
    `scores`: ranks, top-5 accuracy and AUC would be others. Some images and some classes tell.
    """
    rows, columns = (slice(None, None, -(-n // most)) for n, most in zip(scores.shape, (1000, 50), strict=True))
    for part, axis in ((np.s_[rows], 1), (np.s_[:, columns], 0)):
        fine, coarse = np.sort(given[part], axis=axis), np.sort(scores[part], axis=axis)
        gap, high = np.diff(fine, axis=axis), fine[1:] if axis == 0 else fine[:, 1:]
        differ = (gap > NOISE * np.abs(high)) & (high < SATURATED) & (np.abs(high) > FLOOR)
        lost = differ & (np.diff(coarse, axis=axis) == 0)
        if lost.sum() > max(FEW, MANY * differ.sum()):
            raise CifarcoreError(
                f"{lost.sum() / differ.sum():.0%} of the scores that differ are equal in float32, in which they are "
                "read; give the scores before they became probabilities, such as scikit-learn's decision_function"
            )


def refuse_ranked(predictions: Predictions) -> None:
    """Raises CifarcoreError where columns without names are the classes' scores by rank: then every row falls."""
    scores, columns = predictions.scores, predictions.columns
    if scores.ndim == 1:
        return
    numbered = columns is None or all(name.isdecimal() for name in columns)
    if not numbered or scores.shape[1] < RANKED or (scores == scores[0]).all():
        return
    if (np.diff(scores, axis=1) <= 0).all():
        raise CifarcoreError(
            "every row falls from its first column to its last: the scores are sorted by rank, not by class; write "
            "them in the order of the classes (timm: --topk 0), or the class of each rank too (timm: --include-index), "
            "or the class of the first rank alone in a column prediction"
        )


def as_class_labels(values: np.ndarray) -> np.ndarray:
    """Labels (N,) as int64 or text; from (N, 1), one-hot (N, C), whole floats and digits too."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "fiub":
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise CifarcoreError(f"labels of shape {values.shape} are not one-hot; give one label for each image")
        values = values.argmax(axis=1)
    if values.ndim != 1:
        raise CifarcoreError(f"labels have shape {values.shape}; give one for each image")
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
            raise CifarcoreError("labels are not whole numbers; give class indices or names")
        values = values.astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    texts = [str(value).strip() for value in values.tolist()]
    if (longest := max(map(len, texts), default=0)) > MAX_NAME_LENGTH:
        raise CifarcoreError(f"a label has {longest:,} characters; give class indices or names")
    return text_array(texts)


def text_array(texts: Sequence[str]) -> np.ndarray:
    """Texts as an array (n,). Raises CifarcoreError where that is too large."""
    refuse_long_texts(max(map(len, texts), default=0), len(texts))
    return np.array(texts, dtype=str)


def refuse_long_texts(longest: int, count: int) -> None:
    """Raises CifarcoreError where an array of so many texts is too large: each takes the room of the longest."""
    if 4 * longest * count > MAX_BYTES:
        raise CifarcoreError(f"one of {count:,} texts has {longest:,} characters, too many to keep; shorten it")


def as_sample_ids(values: np.ndarray, ours: bool = False) -> np.ndarray:
    """Sample ids as uint64: numbers, or text of 16 hexadecimal digits, as `ours` are, or of a decimal number."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise CifarcoreError(f"sample ids have shape {values.shape}; give one for each image")
    if values.dtype.kind == "u" or (values.dtype.kind == "i" and values.min(initial=0) >= 0):
        return values.astype(np.uint64)
    texts = [str(value).strip() for value in values.tolist()]
    base = 16 if all(len(text) == 16 for text in texts) else 10
    if base == 16 and not ours and texts and all(text.isdecimal() and text[0] != "0" for text in texts):
        raise CifarcoreError(
            "sample ids of 16 digits, none of them a letter, may be decimal or hexadecimal; give them as unsigned "
            "64-bit numbers"
        )
    try:
        return np.array([int(text, base) for text in texts], dtype=np.uint64)
    except (ValueError, OverflowError):
        raise CifarcoreError(
            "sample ids are not unsigned 64-bit numbers, nor text of 16 hexadecimal digits; see "
            "cifarcore.data.sample_ids"
        ) from None


def as_texts(values: np.ndarray, name: str) -> tuple[str, ...]:
    if values.ndim != 1 or values.dtype.kind not in "UOTiu":
        raise CifarcoreError(f"array {name!r} is {values.dtype} of shape {values.shape}; give text, one for each")
    return tuple(map(str, values.tolist()))
