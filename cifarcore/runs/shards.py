"""Several files of one run, as the processes of a distributed run write them: joined, and their padding removed."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.formats import read_predictions
from cifarcore.runs.layout import MAX_BYTES
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.scores import sum_to_one

_NAMING = ("sample_ids", "files", "rows")  #: what says which image a row is
_TOLERANCE = 0.01  #: between two outputs for one image, which differ in their last digits from one batch to another


def read_together(paths: Sequence[Path], known: Collection[str] = (), kind: str = "") -> Predictions:
    """Files of predictions as one; an image that is in several, as padding is, counts once.

    Raises CifarcoreError where a file does not say which image a row is, or where two contradict one another.
    """
    parts: list[Predictions] = []
    for path in paths:
        part = read_predictions(path, known, kind)
        if len(paths) == 1:
            return part
        if parts and (different := _difference(parts[0], part)):
            raise CifarcoreError(f"{path.name}: {different} than {paths[0].name}; give files of one run")
        if all(getattr(part, name) is None for name in _NAMING):
            raise CifarcoreError(
                f"{path.name}: one of several files, and nothing in it says which image a row is; processes share the "
                "images out in turn, so write file, sample_id or index beside the scores; or give --files seeds if "
                "these are seeds of one model"
            )
        parts.append(part)
        if sum(each.scores.nbytes for each in parts) > MAX_BYTES:
            raise CifarcoreError(f"more than {MAX_BYTES >> 30} GiB together; at most that is read")
    return _without_padding(_joined(parts))


def _difference(one: Predictions, other: Predictions) -> str:
    if one.columns != other.columns or one.scores.shape[1:] != other.scores.shape[1:]:
        return "has other columns"
    for name in ("labels", *_NAMING):
        if (getattr(one, name) is None) != (getattr(other, name) is None):
            return f"has {name.replace('_', ' ')} where the other has none, or none"
    if one.kind != other.kind or not one.kind and len({_looks_like(each.scores) for each in (one, other)} - {None}) > 1:
        return "has scores of another kind (logits or probabilities)"
    return ""


def _looks_like(scores: np.ndarray) -> str | None:
    """Logits, probabilities or their logarithms; None for predicted classes, and for a single image, of which logits
    may look like any.
    """
    if scores.ndim != 2 or len(scores) < 2:
        return None
    return ("logarithms" if scores.min() < 0 else "probabilities") if sum_to_one(scores) else "logits"


def _joined(parts: list[Predictions]) -> Predictions:
    changes: dict[str, Any] = {"scores": np.concatenate([part.scores for part in parts])}
    for name in ("labels", "sample_ids", "rows"):
        if getattr(parts[0], name) is not None:
            changes[name] = np.concatenate([getattr(part, name) for part in parts])
    if parts[0].files is not None:
        changes["files"] = tuple(file for part in parts for file in part.files or ())
    counts: Counter[tuple[int, str]] = Counter()
    for column, answer, count in (each for part in parts for each in part.answers):
        counts[column, answer] += count
    changes["answers"] = tuple((*pair, count) for pair, count in counts.items())
    for name in ("unused", "notes"):
        changes[name] = tuple(dict.fromkeys(text for part in parts for text in getattr(part, name)))
    return replace(parts[0], **changes, unordered=any(part.unordered for part in parts))


def _without_padding(predictions: Predictions) -> Predictions:
    keys = next(values for name in _NAMING if (values := getattr(predictions, name)) is not None)
    rows: dict[Any, int] = {}
    first = np.array([rows.setdefault(key, row) for row, key in enumerate(keys)])
    again = np.flatnonzero(first != np.arange(len(first)))
    if not len(again):
        return predictions
    before = first[again]
    scores, labels = predictions.scores, predictions.labels
    same = _same(scores[again], scores[before]) & (True if labels is None else labels[again] == labels[before])
    if not same.all():
        row = int(again[(~same).argmax()])
        raise CifarcoreError(
            f"{keys[row]!s:.100}: two files have different scores for this image; keep one, give --files "
            "seeds if they are of several seeds, or import each alone with --model NAME if they are of several models"
        )
    kept = np.unique(first)
    changes = {
        name: values[kept]
        for name in ("scores", "labels", "sample_ids", "rows")
        if (values := getattr(predictions, name)) is not None
    }
    files = predictions.files and tuple(predictions.files[row] for row in kept.tolist())
    note = f"{len(again):,} rows repeat an image, as the padding of a distributed run does, and count once"
    return replace(predictions, **changes, files=files, notes=(*predictions.notes, note))


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind != "f":
        return one == other
    return np.isclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE).all(axis=1)
