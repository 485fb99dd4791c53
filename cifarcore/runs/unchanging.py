"""Arrays that nobody changes: what is computed of a run is kept, and would be of other numbers than it holds.

Knows NumPy alone.
"""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np


def owned(array: np.ndarray) -> np.ndarray:
    """`array`, which nobody else holds, read-only, with what it is a view of."""
    for each in _beneath(array):
        each.flags.writeable = False
    return array


def unchanging(array: np.ndarray) -> np.ndarray:
    """`array` where nobody can change it, else a read-only copy."""
    return owned(array.copy()) if any(each.flags.writeable for each in _beneath(array)) else array


def keep_arrays(instance: Any) -> None:
    """Make all arrays of a dataclass unchanging, and those in its dicts, which stay the same where theirs are."""
    for each in fields(instance):
        value = getattr(instance, each.name)
        if isinstance(value, dict) and any(isinstance(one, np.ndarray) for one in value.values()):
            kept: Any = {name: unchanging(one) if isinstance(one, np.ndarray) else one for name, one in value.items()}
            if all(kept[name] is one for name, one in value.items()):
                continue
        elif isinstance(value, np.ndarray):
            kept = unchanging(value)
        else:
            continue
        object.__setattr__(instance, each.name, kept)


def _beneath(array: np.ndarray) -> Iterator[np.ndarray]:
    """`array`, what it is a view of, and so on."""
    below: object = array
    while isinstance(below, np.ndarray):
        yield below
        below = below.base
