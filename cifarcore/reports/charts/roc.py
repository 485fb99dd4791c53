"""The ROC page's charts: pure functions of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.charts.style import model_scale

CORNER = 0.2  # how much of each axis the zoomed chart shows
SIDE = 360  # pixels of the square; a narrower page shrinks it whole
_FPR, _TPR, _RECALL, _PRECISION = (
    "false positive rate",
    "true positive rate",
    "recall (true positive rate)",
    "precision",
)


def roc(
    curves: pd.DataFrame, points: pd.DataFrame | None, labels: pd.DataFrame, title: str, corner: bool = False
) -> alt.LayerChart:
    """ROC curves of both models, with their names and operating points, in a square.

    Columns of `curves`: model, fpr, tpr, low, high (the band over seeds, NaN without one); of `points`: model, fpr,
    tpr, right; of `labels`: as roc_precision.label_frame. `corner` draws only false positive rates up to CORNER and
    true positive rates from 1 - CORNER.
    """
    domains = ([0, CORNER], [1 - CORNER, 1]) if corner else ([0, 1], [0, 1])
    chance = pd.DataFrame({"fpr": [0.0, 1.0], "tpr": [0.0, 1.0]})
    axes = ("fpr", "false positive rate"), ("tpr", "true positive rate")
    return _square(curves, points, labels, chance, *axes, domains, "ROC curves", title)


def precision_recall(
    curves: pd.DataFrame, points: pd.DataFrame, labels: pd.DataFrame, prevalence: float, title: str
) -> alt.LayerChart:
    """As `roc`, with recall and precision; the dashed line is the `prevalence`, the precision of chance.

    Columns of `curves`: model, recall, precision, low, high; of `points` as of `roc`, with precision.
    """
    chance = pd.DataFrame({"recall": [0.0, 1.0], "precision": [prevalence, prevalence]})
    points = points.assign(recall=points["tpr"]).dropna(subset="precision")
    axes = ("recall", "recall (true positive rate)"), ("precision", "precision")
    return _square(curves, points, labels, chance, *axes, ([0, 1], [0, 1]), "Precision-recall curves", title)


def _square(
    curves: pd.DataFrame,
    points: pd.DataFrame | None,
    labels: pd.DataFrame,
    chance: pd.DataFrame,
    x_axis: tuple[str, str],
    y_axis: tuple[str, str],
    domains: tuple[list[float], list[float]],
    what: str,
    title: str,
) -> alt.LayerChart:
    """Both curves, each with its band, name and operating point; `x_axis` and `y_axis` are columns and titles."""
    (x_name, x_title), (y_name, y_title) = x_axis, y_axis
    y_scale = alt.Scale(domain=domains[1], nice=False)
    x = alt.X(
        f"{x_name}:Q",
        title=x_title,
        scale=alt.Scale(domain=domains[0], nice=False),
        axis=alt.Axis(format=".0%", grid=False, labelFlush=True, labelFlushOffset=-4),
    )
    y = alt.Y(f"{y_name}:Q", title=y_title, scale=y_scale, axis=alt.Axis(format=".0%"))
    color = alt.Color("model:N", scale=model_scale(), legend=None)
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip(f"{x_name}:Q", title=x_title, format=".2%"),
        alt.Tooltip(f"{y_name}:Q", title=y_title, format=".2%"),
    ]
    layers = [alt.Chart(chance).mark_line(color=NEUTRAL, strokeDash=[4, 4], clip=True)]
    banded = curves[curves["low"].notna()]
    if len(banded):
        band = alt.Chart(banded).mark_area(opacity=0.18, clip=True)
        low = alt.Y("low:Q", scale=y_scale, title=y_title)
        layers.append(band.encode(y=low, y2=alt.Y2("high:Q"), color=color))
    # dashes tell the two models apart without colour
    dash = alt.StrokeDash("model:N", scale=alt.Scale(domain=list(COLORS), range=[[1, 0], [7, 2]]), legend=None)
    layers.append(
        alt.Chart(curves)
        .mark_line(clip=True, strokeWidth=2)
        .encode(color=color, strokeDash=dash, order=alt.Order("index:Q"), tooltip=tooltip)
        .transform_window(index="row_number()")
    )
    if points is not None:
        shape = alt.Shape("model:N", scale=alt.Scale(domain=list(COLORS), range=["circle", "diamond"]), legend=None)
        shown = [points[name].between(*domain) for name, domain in zip((x_name, y_name), domains, strict=True)]
        layers.append(  # not clipped: half a mark at an edge is no mark
            alt.Chart(points[shown[0] & shown[1]])
            .mark_point(filled=True, size=130, opacity=1, stroke="white", strokeWidth=1)
            .encode(
                color=color,
                shape=shape,
                tooltip=[*tooltip, alt.Tooltip("right:Q", title="accuracy", format=".2%")],
            )
        )
    return alt.layer(
        *layers,
        *_names(labels, x_name == "fpr"),
        width=SIDE,
        height=SIDE,
        autosize=alt.AutoSizeParams(type="pad"),  # the axes come outside, and the plot stays square
        description=f"{what}, A blue, B orange, the dashed line is chance: {title}",
    ).encode(x=x, y=y)


def _names(labels: pd.DataFrame, rising: bool) -> list[alt.Chart]:
    """The models' names in their colours, where `labels` puts them: off their curves, which rise or fall."""
    names = []
    for row in labels.to_dict("records"):
        align, aside = ("right", -10) if row["above"] == rising else ("left", 10)
        text = alt.Chart(pd.DataFrame([row])).mark_text(
            fontSize=13, fontWeight="bold", color=COLORS[row["model"]], align=align, dx=aside,
            dy=-10 if row["above"] else 14,
        )  # fmt: skip
        names.append(text.encode(text=alt.Text("text:N")))
    return names
