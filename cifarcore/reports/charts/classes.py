"""The charts of classes: pure functions of DataFrames."""

import altair as alt
import numpy as np
import pandas as pd

from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.charts.style import by_test, in_order, interval_tips, model_scale

#: where the column of differences lies, to the right of values from 0 to 1, and that of what is significant
_MIDDLE, _HALF, _TESTED = 1.6, 0.36, 2.24
_POINTS = "format(100 * datum.value, '+.0f')"
_ARROWS = {"improved": "▲", "declined": "▼"}
ARROWS_LEGEND = "▲ ▼: recall is significantly higher or lower in B"


def dumbbells(frame: pd.DataFrame, metric: str, chosen: str = "") -> alt.LayerChart:
    """Each class's value under A and B and, in a column of its own, the difference with its interval about zero.

    Columns: class, a, b, difference, low, high (of the difference), claim, superclass, support. What is tested is
    recall, whatever the `metric`: it has a column of its own, see ARROWS_LEGEND. A click selects `class` (selection
    `class_clicked`); the row of `chosen` is marked.
    """
    reach = max(0.1, float(np.ceil(10 * frame[["difference", "low", "high"]].abs().max(axis=None)) / 10) or 0.1)
    placed = {f"{name}_at": _MIDDLE + frame[name] * _HALF / reach for name in ("difference", "low", "high")}
    frame = frame.assign(**placed, chosen=frame["class"] == chosen, arrow=frame["claim"].map(_ARROWS).fillna(""))
    clicked = alt.selection_point("class_clicked", fields=["class"])
    scale = alt.Scale(domain=[0, 2.36], nice=False)
    values = [0, 0.25, 0.5, 0.75, 1, _MIDDLE - _HALF, _MIDDLE, _MIDDLE + _HALF, _TESTED]
    change = f"format((datum.value - {_MIDDLE}) * {100 * reach / _HALF}, '+.0f')"
    label = f"datum.value > 2 ? 'recall' : datum.value > 1.01 ? {change} : format(datum.value, '.0%')"
    axis = alt.Axis(values=values, labelExpr=label, orient="top", grid=False, labelOverlap=False)
    title = f"{metric} of A and B, and B − A in points" + (" with its 95% CI" if frame["low"].notna().any() else "")
    color = by_test(alt.ColorValue, {"datum.difference >= 0": COLORS["B"]}, COLORS["A"])
    base = alt.Chart()
    zero = (
        alt.Chart(pd.DataFrame({"x": [_MIDDLE]}))
        .mark_rule(color=NEUTRAL, strokeDash=[4, 4])
        .encode(x=alt.X("x:Q", scale=scale, title=title, axis=axis))
    )
    bar = base.mark_bar(height=4, opacity=0.55).encode(x=alt.X("a:Q"), x2=alt.X2("b:Q"), color=color)
    points_a = base.mark_point(shape="circle", filled=True, size=64, opacity=1, color=COLORS["A"]).encode(
        x=alt.X("a:Q")
    )
    points_b = base.mark_point(shape="diamond", filled=True, size=80, opacity=1, color=COLORS["B"]).encode(
        x=alt.X("b:Q")
    )
    interval = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low_at:Q"), x2=alt.X2("high_at:Q"), color=color)
    difference = base.mark_point(filled=True, size=50, opacity=1).encode(x=alt.X("difference_at:Q"), color=color)
    tested = base.mark_text(fontSize=11).encode(
        x=alt.XDatum(_TESTED),
        text=alt.Text("arrow:N"),
        color=by_test(alt.ColorValue, {"datum.claim == 'improved'": COLORS["B"]}, COLORS["A"]),
    )
    whole_row = (
        base.mark_bar(height=18, color=NEUTRAL)
        .encode(
            x=alt.XValue(0),
            x2=alt.X2Value("width"),
            opacity=by_test(alt.OpacityValue, {"datum.chosen": 0.25}, 0),
        )
        .add_params(clicked)
    )
    rows = alt.layer(bar, points_a, points_b, interval, difference, tested, whole_row, data=frame).encode(
        y=in_order(frame, "class", grid=True),
        tooltip=[
            alt.Tooltip("class:N"),
            alt.Tooltip("superclass:N"),
            alt.Tooltip("support:Q", title="test images", format=","),
            alt.Tooltip("a:Q", title=f"A: {metric}", format=".3f"),
            alt.Tooltip("b:Q", title=f"B: {metric}", format=".3f"),
            alt.Tooltip("difference:Q", title="B − A", format="+.3f"),
            *interval_tips("+.3f"),
            alt.Tooltip("claim:N", title="recall, tested"),
        ],
    )
    return alt.layer(
        zero,
        rows,
        height=alt.Step(18),
        description=f"{metric} of each class under A (circle, blue) and B (diamond, orange), and the difference",
    )


def outcomes(frame: pd.DataFrame) -> alt.Chart:
    """How one class's images were classified. Columns: predicted, model, images, share, kind ("correct", "wrong",
    "outside the filter").
    """
    return (
        alt.Chart(
            frame, height=alt.Step(11), description="How the images of the chosen class were classified, by each model"
        )
        .mark_bar(height=7)
        .encode(
            y=in_order(frame, "predicted"),
            yOffset=alt.YOffset("model:N", sort=["A", "B"]),
            x=alt.X(
                "share:Q",
                stack=None,
                title="share of the class's images",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5, labelFlush=True, labelFlushOffset=-4),
            ),
            color=alt.Color("model:N", scale=model_scale(), legend=None),
            opacity=alt.Opacity(
                "kind:N",
                scale=alt.Scale(domain=["correct", "wrong", "outside the filter"], range=[1, 0.75, 0.35]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("predicted:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("images:Q", format=".1~f"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
    )


def gains(frame: pd.DataFrame) -> alt.LayerChart:
    """B − A for each group, with its interval. Columns: name, images, gained, a, b, difference, low, high, claim."""
    base = alt.Chart()
    x = alt.X("difference:Q", stack=None, title="B − A in recall, points", axis=alt.Axis(labelExpr=_POINTS))
    color = by_test(alt.ColorValue, {"datum.difference >= 0": COLORS["B"]}, COLORS["A"])
    bars = base.mark_bar(height=10).encode(
        x=x, color=color, opacity=by_test(alt.OpacityValue, {"datum.claim != ''": 1}, 0.4)
    )
    intervals = base.mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    return alt.layer(
        bars,
        intervals,
        data=frame,
        height=alt.Step(20),
        description="B minus A in recall for each superclass, with its 95% CI; pale where not significant",
    ).encode(
        y=in_order(frame, "name", limit=220),
        tooltip=[
            alt.Tooltip("name:N", title="superclass"),
            alt.Tooltip("images:Q", title="test images", format=","),
            alt.Tooltip("a:Q", title="A: recall", format=".3f"),
            alt.Tooltip("b:Q", title="B: recall", format=".3f"),
            alt.Tooltip("difference:Q", title="B − A", format="+.3f"),
            *interval_tips("+.3f"),
            alt.Tooltip("gained:Q", title="B − A in images", format="+.1~f"),
            alt.Tooltip("claim:N", title="tested"),
        ],
    )
