"""What the errors among the images marked on the explorer's map have in common: superclasses, and properties that they
have more often than all other test images.
"""

import numpy as np

from cifarcore.evidence import slices
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.explorer_list import of_errors
from cifarcore.reports.tables.slices import LEAST_Z, bins_of_images

MOST = 6  #: of each list
_SUPERCLASS = "superclass"


def in_common(sides: Sides, rows: np.ndarray, chosen: str) -> list[dict]:
    """Lists, as explorer_list.holds gives them, of those of `rows` that either model misclassifies (first seeds);
    `chosen` is the condition that was clicked.
    """
    errors = np.zeros(len(sides.labels), bool)
    errors[rows] = ~(sides.a.first.correct & sides.b.first.correct)[rows]
    count, every = int(errors.sum()), bins_of_images(sides)
    if not count:
        return []
    lists = []
    for each in (each for each in every if each.property.name == _SUPERCLASS):
        images = (each.masks & errors).sum(axis=1)
        kinds = [k for k in np.argsort(-images, kind="stable")[:MOST] if images[k]]
        items = [(each.conditions[k], each.labels[k], images[k]) for k in kinds]
        lists.append((f"Superclass, {of_errors(count)}", items))
    others = [each for each in every if each.property.name != _SUPERCLASS]
    shared = slices.apart_of(others, errors, over=True)
    items = [
        (row.condition, f"{row.condition} · {row.inside:.0%}, others {row.outside:.0%}", row.inside * count)
        for row in shared[shared["z"] >= LEAST_Z].head(MOST).itertuples()
    ]
    lists.append((f"More frequent among these {count:,} than among all other test images", items))
    return [
        {
            "key": "having",
            "title": title,
            "items": [{"value": value, "name": name, "count": round(n)} for value, name, n in items],
            "chosen": chosen,
        }
        for title, items in lists
        if items
    ]


def having(sides: Sides, condition: str) -> np.ndarray | None:
    """Which images meet the condition, bool (N,); None where none is called that."""
    every = bins_of_images(sides)
    met = (mask for each in every for name, mask in zip(each.conditions, each.masks, strict=True) if name == condition)
    return next(met, None)
