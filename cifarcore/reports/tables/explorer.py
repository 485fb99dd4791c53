"""The two models' maps in one plane, boxes drawn on them, and the confusions among the images inside: NumPy and pandas.

Knows neither Streamlit nor how anything is drawn. A box is kept in the units of the map that it was drawn on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

MARGIN = 0.03  # of the maps' width, around them and between them
MOST_DRAWN = 20_000  # images drawn on each map; a box selects among all


@dataclass(frozen=True)
class Box:
    """A rectangle on the map of model A or B, in that map's own units, borders included."""

    letter: str
    x: tuple[float, float]
    y: tuple[float, float]

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Which of the `positions`, float (N, 2), are inside, bool (N,)."""
        x, y = positions[:, 0].astype(float), positions[:, 1].astype(float)
        return (x >= self.x[0]) & (x <= self.x[1]) & (y >= self.y[0]) & (y <= self.y[1])

    def __str__(self) -> str:
        return ",".join([self.letter, *(f"{value:.10g}" for value in (*self.x, *self.y))])

    @classmethod
    def parse(cls, text: str) -> "Box | None":
        """The box that `str` wrote, or None."""
        letter, *numbers = text.split(",")
        try:
            x0, x1, y0, y1 = (float(number) for number in numbers)
        except ValueError:
            return None
        if letter not in ("A", "B") or not np.isfinite([x0, x1, y0, y1]).all():
            return None
        return cls(letter, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))


@dataclass(frozen=True)
class Plane:
    """Both maps on one scale: A where it is, B moved right by `shift`."""

    shift: float
    middle: float  #: the x between the two maps; beyond every point where there is one map alone
    x: tuple[float, float]  #: what is drawn
    y: tuple[float, float]

    def box(self, x: Sequence[float], y: Sequence[float]) -> Box | None:
        """The box of bounds in the plane; it belongs to the map that holds its centre. None without an area."""
        (x0, x1), (y0, y1) = sorted(map(float, x)), sorted(map(float, y))
        if x0 == x1 or y0 == y1:
            return None
        if (x0 + x1) / 2 < self.middle:
            return Box("A", (x0, x1), (y0, y1))
        return Box("B", (x0 - self.shift, x1 - self.shift), (y0, y1))

    def typed(self, letter: str, *ends: float | None) -> Box:
        """The box of x from, x to, y from and y to on a map, in its own units; None leaves that side open."""
        x0, x1, y0, y1 = (
            whole if end is None else float(end) for end, whole in zip(ends, (*self.part(letter), *self.y), strict=True)
        )
        return Box(letter, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))

    def bounds(self, box: Box) -> dict[str, list[float]]:
        """`box` in the plane, as x and y bounds, cut to its own map's part: its centre shall tell whose it is."""
        low, high = self.part(box.letter)
        move = self.shift if box.letter == "B" else 0.0
        return {
            "x": [min(max(x, low), high) + move for x in box.x],
            "y": [min(max(y, self.y[0]), self.y[1]) for y in box.y],
        }

    def part(self, letter: str) -> tuple[float, float]:
        """Where a map's part of the plane begins and ends, in that map's units."""
        if letter == "A":
            return self.x[0], min(self.middle, self.x[1])
        return max(self.middle, self.x[0]) - self.shift, self.x[1] - self.shift


def plane(a: np.ndarray | None, b: np.ndarray | None) -> Plane:
    """Lay out the maps, float (N, 2) each; one of them may be None, and then the other has the plane for itself."""
    present = [positions for positions in (a, b) if positions is not None]
    low, high = (np.array([getattr(p, end)(axis=0) for p in present], float) for end in ("min", "max"))
    (x0, y0), (x1, y1) = low.min(axis=0), high.max(axis=0)
    width, height = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    gap_x, gap_y = MARGIN * width, MARGIN * height
    vertical = (float(y0 - gap_y), float(y1 + gap_y))
    if len(present) == 1:
        middle = np.inf if a is not None else -np.inf
        return Plane(0.0, float(middle), (float(x0 - gap_x), float(x1 + gap_x)), vertical)
    shift = width + 2 * gap_x
    return Plane(float(shift), float(x1 + gap_x), (float(x0 - gap_x), float(x1 + shift + gap_x)), vertical)


def ends(maps: Sequence[np.ndarray | None]) -> tuple[float, float, float, float]:
    """Where all points of the maps, float (N, 2) each or None, lie: x from, x to, y from, y to."""
    points = np.concatenate([positions for positions in maps if positions is not None])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(x1), float(y0), float(y1)


def drawn(rows: np.ndarray, most: int = MOST_DRAWN) -> np.ndarray:
    """`rows`, or `most` of them at random (always the same ones), in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def confusions(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    """The confusions among n images with `labels` (n,) and the predictions of A and of B (n,), most images first.

    Columns: true, predicted (class indices), a, b (images that A, that B so confuses) and images (by either).
    """
    wrong_a, wrong_b = a != labels, b != labels
    errors = pd.DataFrame(
        {
            "image": np.concatenate([np.flatnonzero(wrong_a), np.flatnonzero(wrong_b)]),
            "true": np.concatenate([labels[wrong_a], labels[wrong_b]]),
            "predicted": np.concatenate([a[wrong_a], b[wrong_b]]),
            "a": np.repeat([1, 0], [wrong_a.sum(), wrong_b.sum()]),
        }
    )
    errors["b"] = 1 - errors["a"]
    table = errors.groupby(["true", "predicted"], as_index=False).agg(
        a=("a", "sum"), b=("b", "sum"), images=("image", "nunique")
    )
    return table.sort_values(["images", "true", "predicted"], ascending=[False, True, True], ignore_index=True)


def by_confusion(labels: np.ndarray, a: np.ndarray, b: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order of n images that puts misclassified ones first, those of one confusion together, the commonest first.

    An image that A and B confuse in two ways stands with the commoner of the two; within a confusion the surest
    (`sure`, float (n,)) comes first. Returns the order, int (n,), and the place of each ordered image's confusion in
    `confusions`' rows, int (n,), -1 for an image that both have right.
    """
    table = confusions(labels, a, b)
    place = {pair: index for index, pair in enumerate(zip(table["true"], table["predicted"], strict=True))}
    none = len(table)
    of_a, of_b = (
        np.array([place.get((t, p), none) for t, p in zip(labels.tolist(), predicted.tolist(), strict=True)], int)
        for predicted in (a, b)
    )
    group = np.minimum(of_a, of_b)
    order = np.lexsort((-sure, group))
    return order, np.where(group[order] == none, -1, group[order])
