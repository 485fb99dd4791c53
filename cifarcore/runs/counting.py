"""Labels that are numbers, and how they count the classes: from 0 or from 1, as the columns stand or by name.

NumPy alone.
"""

from collections.abc import Sequence

import numpy as np

from cifarcore.errors import CifarcoreError

_SURE = 3.0  #: standard errors by which another reading of the labels must fit the answers better than the one taken


def outside(given: np.ndarray, n_classes: int, first: int = 0) -> str:
    bad = int(given.min() if given.min() < first else given.max())
    hint = "; if they count from 1, use --first-class 1" if not first and given.min() > 0 else ""
    return f"label {bad} is outside {first}..{n_classes - 1 + first}; labels count from {first}{hint}"


def refuse_counted_from_one(labels: np.ndarray, predicted: np.ndarray) -> None:
    """Raises CifarcoreError where numbers `labels` (N,), none of them 0, would be the `predicted` classes (N,) far more
    often if they counted from 1: they fit, too, where no image is of the last class.
    """
    fitting, lower = (int((predicted == each).sum()) for each in (labels, labels - 1))
    if labels.min() > 0 and lower - fitting > _SURE * (lower + fitting) ** 0.5:
        raise CifarcoreError(
            f"no label is 0, and {lower:,} of {len(labels):,} predicted classes are one below the label, {fitting:,} "
            "the label itself: if they count from 1, use --first-class 1, else give the labels as names"
        )


def refuse_counted_by_name(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> None:
    """Raises CifarcoreError where numbers `labels` (N,), taken for places of columns called `names` (C,), would be the
    `predicted` classes (N,) far more often as places in the sorted names, as folders are counted.
    """
    order = np.array(sorted(range(len(names)), key=lambda place: names[place]), np.int64)
    if len(order) <= labels.max() or (np.diff(order) == 1).all():
        return
    as_places, by_name = predicted == labels, predicted == order[labels]
    better, worse = int((by_name & ~as_places).sum()), int((as_places & ~by_name).sum())
    if better - worse > _SURE * (better + worse) ** 0.5:
        raise CifarcoreError(
            f"the labels are numbers: {as_places.sum():,} of {len(labels):,} are the predicted class if they count the "
            f"columns, {by_name.sum():,} if they count the sorted names; give the labels as names"
        )
