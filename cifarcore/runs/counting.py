"""Labels that are numbers, and whether they count the classes from 0 or from 1. NumPy alone."""

import numpy as np

from cifarcore.errors import CifarcoreError

_SURE = 3.0  #: standard errors by which the labels less one must fit the answers better than the labels


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
