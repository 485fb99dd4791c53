"""Predicted classes without scores: the column that holds them, in a file that has no scores of all classes."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from cifarcore.runs.predictions import Predictions, as_class_labels
from cifarcore.runs.readers.binary import FIRST
from cifarcore.runs.readers.columns import (
    FEWEST,
    Roles,
    fractions,
    numbers_of,
    one_of_labels,
    row_numbers,
    texts_of,
)
from cifarcore.runs.readers.roles import PREDICTED, heading_key, role_of
from cifarcore.runs.scores import CLASSES
from cifarcore.text import counted, quoted


def predicted_classes(
    columns: Mapping[str, np.ndarray], roles: Roles, known: Collection[str] = ()
) -> tuple[Predictions, Roles] | None:
    """The predicted class of each image, and what the other columns say; None where no column holds classes. Beside the
    one output of a network, whose class they show, its scores instead.

    That is the column called so; else, where images are named, the only one that is not something else, or the labels:
    in a file for a contest these are the answers. Raises CifarcoreError where two such columns contradict.
    """
    others = (*roles.classes, *roles.unused)
    usable = [name for name in others if _are_classes(columns[name])]
    named = [name for name in usable if heading_key(name) in PREDICTED]
    spare = [name for name in usable if role_of(name) == "" and _may_be_of(columns.get(roles.labels), columns[name])]
    named_images = roles.files or roles.sample_ids or roles.rows
    notes: tuple[str, ...] = ()
    if named:
        heading = one_of_labels(named, columns)
        if len(roles.classes) == 1 and (one := _one_output(columns, roles.classes[0], heading, len(known))):
            unused = tuple(name for name in others if name != roles.classes[0])
            return one, replace(roles, classes=(), unused=unused)
    elif named_images and len(spare) == 1 and not spare[0].strip().isdecimal():
        heading = spare[0]
    elif named_images and roles.labels and not any(map(_may_be, others)):
        heading, roles = roles.labels, replace(roles, labels="")
        notes = (
            f"{quoted(heading)} is read as the predicted classes, as the file has no other; true labels give 1.0000",
        )
    else:
        return None
    unused = tuple(name for name in others if name != heading)
    sources = (("predicted classes", heading),)
    read = Predictions(as_class_labels(columns[heading]), CLASSES, sources=sources, notes=notes)
    return read, replace(roles, classes=(), unused=unused)


def _one_output(columns: Mapping[str, np.ndarray], score: str, answer: str, n_known: int) -> Predictions | None:
    """The column `score` as the scores (N, 1) of the one of two classes that the column `answer` has for the higher
    ones; None where it tells no two classes apart, as the score of whichever class was predicted.
    """
    scores, answers = numbers_of(columns[score]), as_class_labels(columns[answer])
    values, of_row = np.unique(answers, return_inverse=True)
    if scores is None or not fractions(scores) or not np.isfinite(scores).all():
        return None
    if len(scores) < FEWEST or len(values) != 2 or n_known not in (0, 2) or 0.5 <= scores.min() <= scores.max() <= 1:
        return None
    parts = [scores[of_row == each] for each in (0, 1)]
    high = next((each for each in (0, 1) if parts[each].min() >= parts[1 - each].max()), None)
    if high is None or scores.min() >= 0 and scores.max() > 1:
        return None
    low_name, high_name = values[[1 - high, high]].tolist()
    headings = (low_name, high_name) if answers.dtype.kind == "U" else (FIRST[0],) if high == 0 else None
    middle = 0.5 if scores.min() >= 0 else 0
    other = int(((scores > middle) != (of_row == high)).sum())
    notes = [f"{quoted(score)} is read as the scores of {quoted(high_name)}, for which {quoted(answer)} has the higher"]
    if other:
        notes.append(f"{quoted(answer)} is another class than that of the higher score in {counted(other, 'row')}")
    return Predictions(scores[:, None], columns=headings, sources=(("scores", score),), notes=tuple(notes))


def _may_be_of(labels: np.ndarray | None, values: np.ndarray) -> bool:
    """Whether some of the values are labels; a comment has none of them."""
    return labels is None or not set(map(str, labels.tolist())).isdisjoint(map(str, values.tolist()))


def _may_be(name: str) -> bool:
    return role_of(name) == "" or heading_key(name) in PREDICTED


def _are_classes(values: np.ndarray) -> bool:
    """Names or whole numbers."""
    if values.ndim != 1 or values.dtype.kind == "b" or (numbers_of(values) is not None and row_numbers(values) is None):
        return False
    return row_numbers(values) is not None or any(texts_of(values))
