"""The charts of one image's card: pure functions of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import COLORS, NEUTRAL, in_order

_COLUMNS = ["name", "rank", "is_label"]


def top_classes(frame: pd.DataFrame, letter: str) -> alt.LayerChart:
    """Bars of one model's most probable classes. Columns: name, probability (0..1), rank, is_label (true
    class or not). The true class is said with its rank.
    """
    shown = [
        f"{row.name} ✓ {row.rank}." if row.is_label else row.name for row in frame[_COLUMNS].itertuples(index=False)
    ]
    frame = frame.assign(shown=shown)
    base = alt.Chart(frame).encode(
        y=in_order(frame, "shown", least=150),
        x=alt.X("probability:Q", stack=None, title=None, scale=alt.Scale(domain=[0, 1.12], nice=False), axis=None),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("probability:Q", format=".4f")],
    )
    bars = base.mark_bar(color=COLORS[letter], height=11).encode(
        opacity=alt.condition("datum.is_label", alt.value(1), alt.value(0.55))
    )
    text = base.mark_text(align="left", dx=4, color=NEUTRAL).encode(text=alt.Text("probability:Q", format=".1%"))
    return (bars + text).properties(
        height=18 * len(frame) + 4,
        description=f"The most probable classes by {letter}; ✓ marks the true class and its rank",
    )


def place_on_map(frame: pd.DataFrame, title: str) -> alt.LayerChart:
    """One image's place on a map. Columns: x, y, what ("this image", "same true class", "other test images")."""
    colors = {"other test images": "#b9bec6", "same true class": "#2a9d8f", "this image": "#d6336c"}
    layers = [
        alt.Chart(frame[frame["what"] == what])
        .mark_point(filled=True, size=size, shape=shape, opacity=opacity)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=list(colors), range=list(colors.values())),
                legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=60),
            ),
        )
        for what, size, shape, opacity in zip(
            colors, (8, 24, 240), ("circle", "circle", "diamond"), (0.4, 0.9, 1), strict=True
        )
    ]
    return alt.layer(*layers).properties(title=title, height=240, description=title)
