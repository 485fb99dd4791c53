"""What the explorer draws of each image: its place on both maps, and the colour that stands for a property of it."""

import numpy as np
import pandas as pd

from cifarcore.evidence import softmax
from cifarcore.evidence.disagreement import FOUR_WAYS, four_way
from cifarcore.reports.sides import Sides
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import plain

#: the groups of the colour "slice"; the last is drawn on top
OF_SLICE = ("other images", "in the slice")
MOST_NAMED = 20  #: classes whose names have room on a map that is seen as a whole
NEAREST = 100  #: images about a median, by which it is said whether a superclass clusters there


def color_codes(sides: Sides, run: Run, color: str, inside: np.ndarray | None = None) -> np.ndarray:
    """Each image's place in the `color_legend`, int16 (N,), or its confidence, float32 (N,); `inside`, bool (N,), says
    of the colour "slice" which images are in it.
    """
    if color == "slice" and inside is not None:
        return inside.astype(np.int16)
    if color == "confidence":
        return memo(softmax.confidence, run).astype(np.float32)
    if color == "correct or wrong":
        return (~run.correct).astype(np.int16)
    if color == "class":
        place = np.zeros(sides.n_classes, np.int16)
        place[sides.classes] = np.arange(len(sides.classes))
        return place[sides.labels]
    if color == "superclass":
        return sides.a.first.superclass_of[sides.labels]
    groups = memo(four_way, sides.pair)
    return np.select([groups == group for group in FOUR_WAYS], range(len(FOUR_WAYS))).astype(np.int16)


def color_legend(sides: Sides, color: str) -> list[str] | None:
    """The names that the codes of `color_codes` count; None for a colour that is a number."""
    if color == "confidence":
        return None
    if color == "slice":
        return list(OF_SLICE)
    if color == "correct or wrong":
        return ["correct", "misclassified"]
    if color == "class":
        return [sides.class_names[index] for index in sides.classes]
    if color == "superclass":
        return sides.superclass_names
    return list(FOUR_WAYS)


def map_frame(
    sides: Sides, rows: np.ndarray, kind: str, color: str, pictured: np.ndarray, inside: np.ndarray | None = None
) -> pd.DataFrame:
    """What charts.explorer.content sends of the images `rows`; `pictured`, bool, of those whose picture is known;
    `inside` as in `color_codes`.
    """
    columns: dict[str, np.ndarray] = {"id": sides.sample_ids[rows], "label": sides.labels[rows], "pictured": pictured}
    for side in (sides.a, sides.b):
        run, letter = side.first, side.letter.lower()
        positions = getattr(run, kind)
        if positions is not None:
            columns |= {f"{letter}_x": positions[rows, 0], f"{letter}_y": positions[rows, 1]}
        columns |= {
            f"{letter}_color": color_codes(sides, run, color, inside)[rows],
            f"{letter}_class": run.predictions[rows].astype(np.int16),
            f"{letter}_sure": np.rint(100 * memo(softmax.confidence, run)[rows]).astype(
                np.int16 if run.has_scores else np.float32
            ),
        }
    return pd.DataFrame(columns)


def places(sides: Sides, positions: np.ndarray) -> list[tuple[str, float, float]]:
    """Where the names of the classes shown are written on a map, float (N, 2): at the medians of their images.

    The class comes first whose images lie closest together, by the mean absolute distance from the median.
    """
    names = {index: sides.class_names[index] for index in sides.classes}
    return [(name, x, y) for _, name, x, y in _medians(positions, sides.labels, names)]


def superclass_places(sides: Sides, positions: np.ndarray) -> list[tuple[str, float, float]]:
    """As `places`, the superclasses of the classes shown, to be written while the whole of a map is seen: those that
    most of the NEAREST images to their median are of. None with MOST_NAMED classes or fewer, or without superclasses.
    """
    superclass_of = sides.a.first.superclass_of
    if superclass_of is None or len(sides.classes) <= MOST_NAMED:
        return []
    positions, of = positions[sides.in_filter], superclass_of[sides.labels[sides.in_filter]]
    placed = []
    for index, name, x, y in _medians(positions, of, dict(enumerate(sides.superclass_names))):
        near = min(NEAREST, int((of == index).sum()))
        nearest = np.argpartition(np.hypot(*(positions - [x, y]).T), near - 1)[:near]
        if (of[nearest] == index).mean() > 0.5:
            placed.append((name, x, y))
    return placed


def _medians(positions: np.ndarray, codes: np.ndarray, names: dict[int, str]) -> list[tuple[int, str, float, float]]:
    """Each of the `codes`, int (N,), that `names` knows: its name and the median of its images, the tightest first."""
    medians = []
    for code, name in names.items():
        of_code = positions[codes == code].astype(float)
        if len(of_code):
            middle = np.median(of_code, axis=0)
            medians.append((np.abs(of_code - middle).mean(), code, _shortened(name), *middle.tolist()))
    return [(code, name, x, y) for _, code, name, x, y in sorted(medians, key=lambda each: each[0])]


def _shortened(name: str, most: int = 24) -> str:
    """Names that are alike differ at their ends: a long one loses its middle."""
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"


def titles(sides: Sides) -> dict[str, str]:
    """The names of both maps, by letter."""
    return {side.letter: plain(side.first_title) for side in (sides.a, sides.b)}
