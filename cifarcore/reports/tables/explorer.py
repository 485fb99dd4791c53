"""What is marked on the two models' maps, and the confusions among the images inside: NumPy and pandas.

Knows neither Streamlit nor how anything is drawn. A box or lasso is kept in the units of the map that it was drawn on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

MOST_DRAWN = 50_000  # images drawn on each map; a selection is among all
MOST_CORNERS = 100  # of a lasso


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
class Lasso:
    """A polygon drawn by hand on the map of model A or B, in that map's own units."""

    letter: str
    corners: tuple[tuple[float, float], ...]

    def holds(self, positions: np.ndarray) -> np.ndarray:
        """Which of the `positions`, float (N, 2), are inside by the even-odd rule, bool (N,)."""
        x, y = positions[:, 0].astype(float), positions[:, 1].astype(float)
        inside = np.zeros(len(x), dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.corners, (*self.corners[1:], self.corners[0]), strict=True):
            if y0 != y1:
                inside ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * ((y - y0) / (y1 - y0)) + x0)
        return inside

    def __str__(self) -> str:
        return f"{self.letter}~" + ",".join(f"{value:.10g}" for corner in self.corners for value in corner)

    @classmethod
    def parse(cls, text: str) -> "Lasso | None":
        """The lasso that `str` wrote, or None."""
        letter, _, listed = text.partition("~")
        try:
            numbers = [float(number) for number in listed.split(",")]
        except ValueError:
            return None
        enough = 6 <= len(numbers) <= 2 * MOST_CORNERS and len(numbers) % 2 == 0
        if letter not in ("A", "B") or not enough or not np.isfinite(numbers).all():
            return None
        return cls(letter, tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def typed(letter: str, positions: Sequence[np.ndarray | None], *given: float | None) -> Box:
    """The box of x from, x to, y from and y to on the map of `letter`; None leaves that side open."""
    x0, x1, y0, y1 = (whole if end is None else float(end) for end, whole in zip(given, ends(positions), strict=True))
    return Box(letter, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))


def ends(maps: Sequence[np.ndarray | None]) -> tuple[float, float, float, float]:
    """Where all points of the maps, float (N, 2) each or None, lie: x from, x to, y from, y to."""
    points = np.concatenate([positions for positions in maps if positions is not None])
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return float(x0), float(x1), float(y0), float(y1)


def marked(text: str) -> Box | Lasso | None:
    """The part of a map that an address names; None where it names none."""
    return Box.parse(text) or Lasso.parse(text)


def drawn(rows: np.ndarray, most: int = MOST_DRAWN) -> np.ndarray:
    """`rows`, or `most` of them at random (always the same ones), in their order."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def confusions(labels: np.ndarray, a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    """The confusions among n images with `labels` (n,) and the predictions of A and of B (n,), most images first.

    Columns: true, predicted (class indices), a, b (images that A, that B so confuses) and images (by either).
    """
    true, of_a, of_b = (np.asarray(each, np.int64) for each in (labels, a, b))
    n = int(max(each.max(initial=0) for each in (true, of_a, of_b))) + 1
    wrong_a, wrong_b = of_a != true, of_b != true
    pair_a, pair_b = (true * n + of_a)[wrong_a], (true * n + of_b)[wrong_b]
    pairs, places = np.unique(np.concatenate([pair_a, pair_b]), return_inverse=True)
    counts = [np.bincount(each, minlength=len(pairs)) for each in (places[: len(pair_a)], places[len(pair_a) :])]
    alike = np.searchsorted(pairs, (true * n + of_a)[wrong_a & (of_a == of_b)])
    images = counts[0] + counts[1] - np.bincount(alike, minlength=len(pairs))
    order = np.argsort(-images, kind="stable")  # of one number by true and predicted
    columns = {"true": pairs // n, "predicted": pairs % n, "a": counts[0], "b": counts[1], "images": images}
    return pd.DataFrame({name: values[order] for name, values in columns.items()})


def places_of(table: pd.DataFrame, labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The row of `confusions`' table that counts each of n images as `predicted`, int (n,); -1 where that is right."""
    true, given = np.asarray(labels, np.int64), np.asarray(predicted, np.int64)
    n = int(max(true.max(initial=0), given.max(initial=0), table[["true", "predicted"]].to_numpy().max(initial=0))) + 1
    pairs = (table["true"] * n + table["predicted"]).to_numpy()
    by_pair = np.argsort(pairs)
    wrong = true != given
    places = np.full(len(true), -1)
    places[wrong] = by_pair[np.searchsorted(pairs, (true * n + given)[wrong], sorter=by_pair)]
    return places


def by_confusion(labels: np.ndarray, a: np.ndarray, b: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An order of n images that puts misclassified ones first, those of one confusion together, the commonest first.

    An image that A and B confuse in two ways stands with the commoner of the two; within a confusion the surest
    (`sure`, float (n,)) comes first. Returns the order, int (n,), and the place of each ordered image's confusion in
    `confusions`' rows, int (n,), -1 for an image that both have right.
    """
    table = confusions(labels, a, b)
    none = len(table)
    of_a, of_b = (places_of(table, labels, predicted) for predicted in (a, b))
    group = np.minimum(np.where(of_a < 0, none, of_a), np.where(of_b < 0, none, of_b))
    order = np.lexsort((-sure, group))
    return order, np.where(group[order] == none, -1, group[order])
