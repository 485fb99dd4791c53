"""Classes with their scores as objects, and which of their keys say what where several may."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.text import quoted

NAME = ("label", "class", "class_name", "name", "category", "tag", "tagname", "index", "class_id", "prediction")
SCORE = ("score", "probability", "prob", "confidence", "logit", "value")


def pair(item: Any) -> Any:
    """{"label": ..., "score": ...} as a pair; anything else as it is."""
    if not isinstance(item, dict):
        return item
    (name, *_), (score, *_) = (keys or [None] for keys in _keys(item))
    if name is None or score is None:
        raise CifarcoreError(f"{', '.join(map(str, item))[:60]} hold no class and score; name them label and score")
    return str(item[name]), item[score]


def has_several(row: Any) -> bool:
    """Whether a row has objects with several names of a class, or several scores."""
    return all(isinstance(item, dict) for item in row) and max(map(len, _keys(row[0]))) > 1


def refuse_several(heading: str, rows: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Raises CifarcoreError where the objects in the `rows` have two names of a class, or two scores, that differ."""
    names, scores = _keys(rows[0][0])
    for known, differ, what in ((names, names_differ, "name the class"), (scores, _orders_differ, "be the score")):
        lists = {key: [[item.get(key) for item in row] for row in rows] for key in known if len(known) > 1}
        for other in known[1:]:
            if differ(lists[known[0]], lists[other]):
                raise CifarcoreError(
                    f"{quoted(known[0])} and {quoted(other)} in {quoted(heading)} may both {what}, and differ; keep one"
                )


def names_differ(names: Sequence[Sequence[Any]], others: Sequence[Sequence[Any]]) -> bool:
    """Whether classes have several of the `others`, or those of one another; ranks, as these count each row, and groups
    of classes say nothing else.
    """
    rows = [list(map(str, row)) for row in others]
    if any(all(row == list(map(str, range(first, first + len(row)))) for row in rows) for first in (0, 1)):
        return False
    pairs = {each for row, beside in zip(names, rows, strict=True) for each in zip(map(str, row), beside, strict=False)}
    ours, theirs = ({each[side] for each in pairs} for side in (0, 1))
    return len(pairs) > len(ours) or (ours == theirs and any(name != other for name, other in pairs))


def _orders_differ(scores: Sequence[Sequence[Any]], others: Sequence[Sequence[Any]]) -> bool:
    """Whether a class with a lower score has a higher one of the `others`."""
    for row, beside in zip(scores, others, strict=True):
        try:
            ours, theirs = np.asarray(row, np.float64), np.asarray(beside, np.float64)
        except (TypeError, ValueError):  # no score
            return False
        if (np.diff(theirs[np.lexsort((theirs, ours))]) < 0).any():
            return True
    return False


def _keys(item: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The keys of an object that may name its class, and those that may be its score, the most telling first."""
    keys = {str(key).lower(): key for key in item}
    names, scores = ([keys[key] for key in known if key in keys] for known in (NAME, SCORE))
    return names, scores
