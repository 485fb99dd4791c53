"""Arrays by name, or one array alone: `.npz` and `.npy`. Nothing is unpickled."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.archive import DOUBLE, map_npy, read_npz
from cifarcore.runs.predictions import Predictions, as_texts
from cifarcore.runs.readers.columns import answers_beside, one_of_labels, roles_of, several_parts, with_roles
from cifarcore.runs.readers.roles import CLASSES, PREDICTED, SCORES, heading_key, only, role_of
from cifarcore.text import quoted


def from_npz(path: Path, known: Collection[str] = ()) -> Predictions:
    arrays = read_npz(path, widest=DOUBLE)
    return from_arrays(_named(arrays) if all(key.startswith("arr_") for key in arrays) else arrays)


def from_arrays(arrays: dict[str, np.ndarray]) -> Predictions:
    """Arrays named by what they are; scores of another name are the only table of numbers."""
    arrays = {key: plain(array) for key, array in arrays.items()}
    tables = [key for key, array in arrays.items() if array.ndim == 2 and role_of(key) != "labels"]  # one-hot
    name = only(tables, tuple(SCORES))
    if name is None and (called := [key for key in tables if _kind_in(key) is not None]):
        if len(called) > 1:
            raise CifarcoreError(f"arrays {', '.join(map(repr, called[:5]))} may all be the scores; keep one")
        name = called[0]  # as y_prob beside y_pred: with scores, nobody reads the predicted classes
    name = name or only(arrays, tuple(SCORES)) or only(arrays, PREDICTED)
    if name is None:
        tables = [key for key in tables if arrays[key].dtype.kind == "f"]
        if len(tables) != 1:
            raise CifarcoreError(
                f"no array of scores among {', '.join(list(arrays)[:10]) or 'none'}; name one logits or probabilities"
            )
        name = tables[0]
    read = Predictions(arrays[name], _kind_in(name) or "", sources=(("scores", name),))
    rest = {key: array for key, array in arrays.items() if key != name}
    if key := only(arrays, CLASSES):
        read = replace(read, columns=as_texts(rest.pop(key), key), sources=(*read.sources, ("class names", key)))
    n = len(read.scores) if read.scores.ndim else 0
    rest = {key: array.ravel() if array.shape in ((n, 1), (1, n)) else array for key, array in rest.items()}
    for key, array in rest.items():
        if role_of(key) in ("files", "place") and array.shape[:1] != (n,):
            raise CifarcoreError(
                f"{quoted(key)} of shape {array.shape} says nothing of {n:,} rows of scores; give a value for each, or "
                "leave it out"
            )
    per_row = {key: array for key, array in rest.items() if len(array.shape) and len(array) == n or role_of(key)}
    roles = roles_of(per_row, scores=False)
    if read.scores.ndim == 1:  # predicted classes
        answers = [key for key in roles.unused if heading_key(key) in PREDICTED and per_row[key].shape == (n,)]
        one_of_labels([name, *answers], arrays)
    read = with_roles(read, roles, per_row)
    notes = (*read.notes, *several_parts(per_row, roles.unused))
    read = replace(read, answers=answers_beside(per_row, read.scores), notes=notes)
    return replace(read, unused=(*read.unused, *(key for key in rest if key not in per_row)))


def _kind_in(heading: str) -> str | None:
    """The kind of scores that a heading, or a word in it, names, empty for any kind; None where it names none."""
    if (exact := SCORES.get(heading.lower())) is not None:
        return exact
    words = heading_key(heading).split("_")
    kinds = [kind for word in words if (kind := SCORES.get(word, SCORES.get(f"{word}s"))) is not None]
    return next(filter(None, kinds), "") if kinds else None


def _named(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays that were saved without names, arr_0 and arr_1: the only table is the scores, the only whole numbers that
    count its columns the labels.
    """
    tables = [key for key, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"]
    if len(tables) != 1:
        return arrays
    n, n_classes = arrays[tables[0]].shape
    whole = {key: array for key, array in arrays.items() if array.shape in ((n,), (n, 1)) and array.dtype.kind in "iu"}
    labels = [key for key, array in whole.items() if n and 0 <= array.min() <= array.max() <= n_classes]
    names = {tables[0]: "scores"} | ({labels[0]: "labels"} if len(labels) == 1 else {})
    return {names.get(key, key): array for key, array in arrays.items()}


def from_npy(path: Path, known: Collection[str] = ()) -> Predictions:
    try:
        return Predictions(plain(map_npy(path)))
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        raise CifarcoreError(
            'holds pickled Python objects, which are not read; save numbers: np.save(file, scores.astype("float32"))'
        ) from None


def plain(array: np.ndarray) -> np.ndarray:
    """Bytes as text, and bfloat16, which NumPy writes as two bytes without a meaning, as float32."""
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8")
    if array.dtype.kind == "V" and array.dtype.itemsize == 2 and array.dtype.names is None:
        return (np.ascontiguousarray(array).view("<u2").astype(np.uint32) << 16).view(np.float32)
    return array
