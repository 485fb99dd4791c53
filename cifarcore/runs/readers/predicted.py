"""Predicted classes without scores: the column that holds them, in a file that has no scores of all classes."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cifarcore.runs.predictions import Predictions, as_class_labels
from cifarcore.runs.readers.columns import Roles, numbers_of, one_of_labels, row_numbers, texts_of
from cifarcore.runs.readers.roles import PREDICTED, heading_key, role_of
from cifarcore.runs.scores import CLASSES
from cifarcore.text import quoted


def predicted_classes(columns: Mapping[str, np.ndarray], roles: Roles) -> tuple[Predictions, Roles] | None:
    """The predicted class of each image, and what the other columns say; None where no column holds classes.

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
