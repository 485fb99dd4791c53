"""The explorer's chart: both maps as one view, so that a box or a click marks the same images in both at once.

A pure function of a DataFrame; the marking happens in the browser, with no further data sent.
"""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import NEUTRAL, SPLIT_COLORS
from cifarcore.reports.tables.explorer import Plane

HEIGHT = 560
WRONG = "#d6336c"
#: names of the selections, as Streamlit returns them
BOX, POINT = "box", "point"
_MOST_IN_LEGEND = 24
_LEGEND_COLUMNS = 5


def maps(
    frame: pd.DataFrame,
    plane: Plane,
    names: list[str],
    legend: list[str] | None,
    title: str,
    picture_url: str,
    start: dict | None = None,
) -> alt.Chart:
    """Two scatter plots side by side, of the images of both models.

    Columns of `frame`: row (int, names the image in a click), a_x, a_y, b_x, b_y (each map's own units; a pair may be
    missing), a_color, b_color (index into `legend`, or a number from 0 to 1 where `legend` is None), label, a_class,
    b_class (indices into `names`), a_sure, b_sure (confidence in per cent, NaN where not known), picture (name of the
    file, or "").
    `start` holds the selection shown at first: x and y bounds under BOX, or a row under POINT.
    """
    start = start or {}
    letters = [letter for letter in "ab" if f"{letter}_x" in frame]
    box = alt.selection_interval(name=BOX, encodings=["x", "y"], value=start.get(BOX) or alt.Undefined)
    point = alt.selection_point(
        name=POINT, fields=["row"], value=[{"row": start[POINT]}] if POINT in start else alt.Undefined
    )
    lookup = alt.param(name="class_names", value=names)
    groups = alt.param(name="legend_names", value=legend or [])
    url = alt.param(name="picture_url", value=picture_url)
    # which map the box was drawn on decides by its centre, as Plane.box does
    boxed = alt.param(name="boxed", expr=f"isArray({BOX}.x) && {BOX}.x[0] != {BOX}.x[1]")
    on_a = alt.param(name="on_a", expr=f"boxed && {_left_of(plane, f'({BOX}.x[0] + {BOX}.x[1]) / 2')}")
    picked = alt.param(name="picked", expr=f"isArray({POINT}.row) ? {POINT}.row : []")
    chart = alt.Chart(frame).transform_calculate(
        truth="class_names[datum.label]",
        said_a=_said("a"),
        said_b=_said("b"),
        image="datum.picture ? picture_url + datum.picture : ''",
    )
    chart = chart.transform_fold([f"{letter}_x" for letter in letters], as_=["map", "x"]).transform_calculate(
        x=f"datum.map == 'a_x' ? datum.a_x : datum.b_x + {plane.shift!r}",
        y="datum.map == 'a_x' ? datum.a_y : datum.b_y",
        color=_indexed("datum.map == 'a_x' ? datum.a_color : datum.b_color", legend),
    )
    size = float(min(60, max(9, 150_000 / max(len(frame), 1))))
    nothing_marked = "(!boxed && !length(picked))"
    in_box = " || ".join(
        f"({'on_a' if letter == 'a' else '!on_a'} && inrange(datum.{letter}_x{move}, {BOX}.x)"
        f" && inrange(datum.{letter}_y, {BOX}.y))"
        for letter, move in (("a", ""), ("b", f" + {plane.shift!r}"))
        if letter in letters
    )
    marked = f"(boxed && ({in_box})) || indexof(picked, datum.row) >= 0"
    return (
        chart.mark_circle()
        .encode(
            x=alt.X("x:Q", scale=_fixed(plane.x), axis=_divider(plane, len(letters) == 2), title=None),
            y=alt.Y("y:Q", scale=_fixed(plane.y), axis=None),
            color=_color(legend, title),
            opacity=alt.when(nothing_marked)
            .then(alt.value(0.7))
            .when(marked)
            .then(alt.value(0.95))
            .otherwise(alt.value(0.07)),
            size=alt.when("indexof(picked, datum.row) >= 0").then(alt.value(160)).otherwise(alt.value(size)),
            tooltip=[
                alt.Tooltip("image:N"),
                alt.Tooltip("truth:N", title="true class"),
                alt.Tooltip("said_a:N", title="A"),
                alt.Tooltip("said_b:N", title="B"),
            ],
        )
        .add_params(box, point, lookup, groups, url, boxed, on_a, picked)
        .properties(
            height=HEIGHT,
            description="Maps of the test images by A (left) and B (right); near points are similar images",
            usermeta={"embedOptions": {"renderer": "canvas"}},
        )
        .configure(aria=False)
        .configure_view(stroke=None)
    )


def _said(letter: str) -> str:
    sure = f"isValid(datum.{letter}_sure) ? ', ' + datum.{letter}_sure + '%' : ''"
    right = f"datum.{letter}_class == datum.label ? ' ✓' : ' ✗'"
    return f"class_names[datum.{letter}_class] + ({sure}) + ({right})"


def _left_of(plane: Plane, x: str) -> str:
    return {float("inf"): "true", float("-inf"): "false"}.get(plane.middle, f"{x} < {plane.middle!r}")


def _indexed(code: str, legend: list[str] | None) -> str:
    return code if legend is None else f"legend_names[{code}]"


def _fixed(domain: tuple[float, float]) -> alt.Scale:
    return alt.Scale(domain=list(domain), nice=False, zero=False)


def _divider(plane: Plane, both: bool) -> alt.Axis | None:
    """One vertical line between the two maps."""
    if not both:
        return None
    return alt.Axis(
        values=[plane.middle], labels=False, ticks=False, domain=False, grid=True, gridColor=NEUTRAL, gridOpacity=0.5
    )


def _color(legend: list[str] | None, title: str) -> alt.Color:
    if legend is None:
        return alt.Color(
            "color:Q",
            title=title,
            scale=alt.Scale(domain=[0, 1], scheme="viridis"),
            legend=alt.Legend(orient="top", format="%", gradientLength=220),
        )
    columns = len(legend) if len(legend) <= 6 else _LEGEND_COLUMNS
    shown = alt.Legend(orient="top", columns=columns, symbolOpacity=1, symbolSize=70, labelLimit=150, title=None)
    return alt.Color(
        "color:N",
        scale=alt.Scale(domain=legend, range=_range(legend)),
        legend=shown if len(legend) <= _MOST_IN_LEGEND else None,
    )


def _range(legend: list[str]) -> list[str]:
    fixed = SPLIT_COLORS | {"correct": SPLIT_COLORS["both correct"], "misclassified": WRONG}
    if set(legend) <= set(fixed):
        return [fixed[name] for name in legend]
    # neighbours in the list differ in hue by a golden turn, and in lightness
    return [
        f"hsl({(index * 137.508) % 360:.0f}, {(70, 55)[index % 2]}%, {(48, 60, 38)[index % 3]}%)"
        for index in range(len(legend))
    ]
