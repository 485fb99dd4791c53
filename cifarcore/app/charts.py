"""Charts that several pages share: pure functions DataFrame -> altair.Chart, and the two models' colours.

A chart computes nothing but its drawing, and knows neither runs nor Streamlit.
"""

import altair as alt
import pandas as pd

#: model A is blue, model B orange, everywhere: far apart for every common colour blindness, readable on light and dark
COLORS = {"A": "#2f7fc1", "B": "#e07b1a"}
NEUTRAL = "#8a8f98"


def model_scale() -> alt.Scale:
    """The colour scale of a field that holds «A» and «B»."""
    return alt.Scale(domain=list(COLORS), range=list(COLORS.values()))


def top_classes(frame: pd.DataFrame, letter: str) -> alt.LayerChart:
    """Bars of one model's most probable classes. Columns: name, probability (0..1), is_label (true class or not)."""
    frame = frame.assign(shown=[f"{name} ✓" if right else name for name, right in zip(frame["name"], frame["is_label"], strict=True)])
    base = alt.Chart(frame).encode(
        y=alt.Y("shown:N", sort=None, title=None, axis=alt.Axis(labelLimit=150, minExtent=150, labelOverlap=False, ticks=False, domain=False)),
        x=alt.X("probability:Q", title=None, scale=alt.Scale(domain=[0, 1.12], nice=False), axis=None),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("probability:Q", format=".4f")],
    )
    bars = base.mark_bar(color=COLORS[letter], height=11).encode(
        opacity=alt.condition("datum.is_label", alt.value(1), alt.value(0.55))
    )
    text = base.mark_text(align="left", dx=4, color=NEUTRAL).encode(text=alt.Text("probability:Q", format=".1%"))
    return (bars + text).properties(
        height=18 * len(frame) + 4, description=f"The classes that model {letter} finds most probable; ✓ marks the true class"
    )


def place_on_map(frame: pd.DataFrame, title: str) -> alt.Chart:
    """One image's place on a map. Columns: x, y, what («this image», «same true class», «other test images»)."""
    kinds = ["other test images", "same true class", "this image"]
    return (
        alt.Chart(frame)
        .mark_circle()
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=kinds, range=["#b9bec6", "#2a9d8f", "#d6336c"]),
                legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1),
            ),
            size=alt.Size("what:N", scale=alt.Scale(domain=kinds, range=[8, 24, 160]), legend=None),
            opacity=alt.Opacity("what:N", scale=alt.Scale(domain=kinds, range=[0.35, 0.9, 1]), legend=None),
            order=alt.Order("order:O"),
        )
        .transform_calculate(order=f"indexof({kinds}, datum.what)")
        .properties(title=title, height=240, description=title)
    )
