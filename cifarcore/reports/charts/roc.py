"""The ROC page's chart: a pure function of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import COLORS, NEUTRAL, model_scale

CORNER = 0.2  # how much of each axis the zoomed chart shows


def roc(curves: pd.DataFrame, points: pd.DataFrame | None, title: str, corner: bool = False) -> alt.LayerChart:
    """ROC curves of both models, with their operating points.

    Columns of `curves`: model, fpr, tpr, low, high (the band over seeds, NaN without one); of `points`: model, fpr,
    tpr, right. `corner` draws only false positive rates up to CORNER and true positive rates from 1 - CORNER.
    """
    x_domain, y_domain = ([0, CORNER], [1 - CORNER, 1]) if corner else ([0, 1], [0, 1])
    y_scale = alt.Scale(domain=y_domain, nice=False)
    x = alt.X(
        "fpr:Q",
        title="false positive rate",
        scale=alt.Scale(domain=x_domain, nice=False),
        axis=alt.Axis(format=".0%", grid=False, labelFlush=True, labelFlushOffset=-4),
    )
    y = alt.Y("tpr:Q", title="true positive rate", scale=y_scale, axis=alt.Axis(format=".0%"))
    color = alt.Color("model:N", scale=model_scale(), legend=None)
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("fpr:Q", title="false positive rate", format=".2%"),
        alt.Tooltip("tpr:Q", title="true positive rate", format=".2%"),
    ]
    chance = (
        alt.Chart(pd.DataFrame({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]}))
        .mark_line(color=NEUTRAL, strokeDash=[4, 4], clip=True)
        .encode(x=x, y=y)
    )
    layers = [chance]
    banded = curves[curves["low"].notna()]
    if len(banded):
        layers.append(
            alt.Chart(banded)
            .mark_area(opacity=0.18, clip=True)
            .encode(x=x, y=alt.Y("low:Q", scale=y_scale, title="true positive rate"), y2=alt.Y2("high:Q"), color=color)
        )
    # dashes tell the two models apart without colour
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=list(COLORS), range=[[1, 0], [7, 2]]), legend=None)
    layers.append(
        alt.Chart(curves)
        .mark_line(clip=True, strokeWidth=2)
        .encode(x=x, y=y, color=color, strokeDash=dash, order=alt.Order("index:Q"), tooltip=tooltip)
        .transform_window(index="row_number()")
    )
    if points is not None:
        shape = alt.Shape("model:N", scale=alt.Scale(domain=list(COLORS), range=["circle", "diamond"]), legend=None)
        layers.append(
            alt.Chart(points)
            .mark_point(filled=True, size=130, opacity=1, clip=True, stroke="white", strokeWidth=1)
            .encode(
                x=x,
                y=y,
                color=color,
                shape=shape,
                tooltip=[*tooltip, alt.Tooltip("right:Q", title="accuracy", format=".2%")],
            )
        )
    return alt.layer(*layers).properties(height=430, description=f"ROC curves, A blue, B orange: {title}")
