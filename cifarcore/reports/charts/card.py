"""The charts of one image's card: pure functions of DataFrames."""

import altair as alt
import numpy as np
import pandas as pd

from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.charts.style import by_test, in_order

_COLUMNS = ["name", "rank", "is_label"]
TOP_LEGEND = "✓: the true class, with its rank among all classes"
MAP_SIDE = 280
MAP_LEGEND = "Pink diamond: this image; green: the others of its true class; grey: other test images"
_LOST, _GAINED = (214, 39, 40), (31, 119, 180)  #: where hiding lowers the probability, and where it raises it
_DENSEST = 0.75


def top_classes(frame: pd.DataFrame, letter: str) -> alt.LayerChart:
    """Bars of one model's most probable classes. Columns: name, probability (0..1), rank, is_label (true
    class or not). The true class is said with its rank, as TOP_LEGEND has it.
    """
    shown = [
        f"✓ {row.name}, rank {row.rank}" if row.is_label else row.name
        for row in frame[_COLUMNS].itertuples(index=False)
    ]
    frame = frame.assign(shown=shown)
    base = alt.Chart()
    bars = base.mark_bar(color=COLORS[letter], height=11).encode(
        opacity=by_test(alt.OpacityValue, {"datum.is_label": 1}, 0.55)
    )
    text = base.mark_text(align="left", dx=4, color=NEUTRAL).encode(text=alt.Text("probability:Q", format=".1%"))
    return alt.layer(
        bars,
        text,
        data=frame,
        height=18 * len(frame) + 4,
        description=f"The most probable classes by {letter}; ✓ marks the true class and its rank",
    ).encode(
        y=in_order(frame, "shown", least=150),
        x=alt.X("probability:Q", stack=None, title=None, scale=alt.Scale(domain=[0, 1.12], nice=False), axis=None),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("probability:Q", format=".4f")],
    )


def place_on_map(frame: pd.DataFrame, title: str) -> alt.LayerChart:
    """One image's place on a map, a square of equal scales. Columns: x, y, what ("this image", "same true class",
    "other test images"). Which colour is which stands in MAP_LEGEND: a legend within would take from the square.
    """
    middles = {axis: (frame[axis].min() + frame[axis].max()) / 2 for axis in "xy"}
    half = 0.52 * max(1e-9, *(frame[axis].max() - frame[axis].min() for axis in "xy"))
    scales = {
        axis: alt.Scale(domain=[float(middle - half), float(middle + half)], nice=False, zero=False)
        for axis, middle in middles.items()
    }
    colors = {"other test images": "#b9bec6", "same true class": "#2a9d8f", "this image": "#d6336c"}
    layers = [
        alt.Chart(frame[frame["what"] == what])
        .mark_point(filled=True, size=size, shape=shape, opacity=opacity)
        .encode(
            x=alt.X("x:Q", axis=None, scale=scales["x"]),
            y=alt.Y("y:Q", axis=None, scale=scales["y"]),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=list(colors), range=list(colors.values())),
                legend=None,
            ),
        )
        for what, size, shape, opacity in zip(
            colors, (8, 24, 240), ("circle", "circle", "diamond"), (0.4, 0.9, 1), strict=True
        )
    ]
    return alt.layer(*layers, width=MAP_SIDE, height=MAP_SIDE, padding=0, description=title)


def overlay(image: np.ndarray, drop: np.ndarray, most: float) -> np.ndarray:
    """`image`, uint8 (H, W, 3), under what hiding its parts takes from a probability, float (H, W): red where it falls,
    blue where it rises, the denser the more, densest at `most`. uint8 (H, W, 3).
    """
    share = np.clip(np.abs(drop) / max(most, 1e-9), 0, 1)[..., None] * _DENSEST
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    tint = np.where(drop[..., None] > 0, _LOST, _GAINED)
    return np.asarray(np.rint(grey * (1 - share) + tint * share).astype(np.uint8))
