"""What the card of one test image shows of each model, as DataFrames: its likeliest classes, its place on the map."""

import numpy as np
import pandas as pd

from cifarcore.evidence import softmax
from cifarcore.reports import headings
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.galleries import predictions

BACKDROP = 1500  #: points of a map that give its shape
TOP, NEAREST = 5, 6


def top_classes(sides: Sides, side: Side, row: int, most: int = TOP) -> pd.DataFrame:
    """The classes that the side's first run finds most probable for the image `row`, the likeliest first; behind them
    the true class, where it is not among them.

    Columns name, probability (0..1), rank (1: the likeliest), is_label (whether it is the true class).
    """
    probabilities = softmax.probabilities(side.first.take(np.array([row])))[0]
    order = np.argsort(-probabilities, kind="stable")
    rank = np.empty(len(order), int)
    rank[order] = np.arange(1, len(order) + 1)
    label = int(sides.labels[row])
    top = order[:most] if rank[label] <= most else np.append(order[:most], label)
    return pd.DataFrame(
        {
            "name": [sides.class_names[c] for c in top],
            "probability": probabilities[top],
            "rank": rank[top],
            "is_label": top == sides.labels[row],
        }
    )


def heading(sides: Sides, row: int) -> str:
    """The image's true class and what each model's first run makes of it."""
    pairs = zip(sides.names, (sides.a, sides.b), strict=True)
    shown = [(name, predictions(side, np.array([row]), sides.class_names, False)[0]) for name, side in pairs]
    parts = [(name, prediction["name"], prediction["confidence"]) for name, prediction in shown]
    return headings.of_image(sides.class_names[sides.labels[row]], parts)


def map_around(sides: Sides, side: Side, row: int) -> pd.DataFrame:
    """The image `row` on the side's t-SNE map, among all images of its class and a backdrop of others.

    Columns x, y, what ("this image", "same true class", "other test images").
    """
    positions = side.first.tsne
    same = sides.labels == sides.labels[row]
    backdrop = np.arange(0, len(positions), max(1, len(positions) // BACKDROP))
    rows = np.union1d(np.union1d(backdrop, np.flatnonzero(same)), row)
    return pd.DataFrame(
        {
            "x": positions[rows, 0],
            "y": positions[rows, 1],
            "what": np.select([rows == row, same[rows]], ["this image", "same true class"], "other test images"),
        }
    )


def near_on_map(positions: np.ndarray, row: int, n: int = NEAREST) -> np.ndarray:
    """The `n` rows nearest to `row` on a map (N, 2) by Euclidean distance, nearest first, without `row` itself."""
    distance = ((positions - positions[row]) ** 2).sum(axis=1)
    distance[row] = np.inf
    return np.argsort(distance, kind="stable")[:n]
