"""The replication's chart: a pure function of a DataFrame."""

import altair as alt
import pandas as pd

from cifarcore.evidence.findings import FAILS, HOLDS, UNKNOWN
from cifarcore.reports.charts.colors import NEUTRAL
from cifarcore.reports.charts.style import wrapped_to_width

_COLORS = {HOLDS: "#2a9d8f", UNKNOWN: NEUTRAL, FAILS: "#d6336c"}
#: what moves the lines of a title up, so that the last one stands above the band
_LINES_ABOVE = "-12 * (length(split(datum.label, '\\n')) - 1)"
_STEP, _ROW = 60, 12  #: pixels of a row, and its middle's way down to the band


def bands(frame: pd.DataFrame) -> alt.LayerChart:
    """Each measurement's interval against the band that it must lie in, a row each on a scale of its own, on which the
    band's ends are the ticks. Columns of `frame` as tables.findings.band_frame.
    """
    base = alt.Chart()
    unit = alt.Scale(domain=[0, 1], nice=False)
    color = alt.Color("verdict:N", scale=alt.Scale(domain=list(_COLORS), range=list(_COLORS.values())), legend=None)
    band = base.mark_bar(height=10, yOffset=_ROW, color=NEUTRAL, opacity=0.3).encode(
        x=alt.X("least:Q", scale=unit, axis=None), x2=alt.X2("most:Q")
    )
    ends = [
        layer.transform_filter(f"datum.{end}_text != ''").encode(x=alt.X(f"{end}:Q", scale=unit, axis=None), **more)
        for end, align in (("least", "right"), ("most", "left"))
        for layer, more in (
            (base.mark_tick(thickness=1.5, height=16, yOffset=_ROW, color=NEUTRAL, opacity=1), {}),
            (
                base.mark_text(align=align, dx=3 if align == "right" else -3, yOffset=_ROW + 15, color=NEUTRAL),
                {"text": alt.Text(f"{end}_text:N")},
            ),
        )
    ]
    rule = base.mark_rule(strokeWidth=3, yOffset=_ROW).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), color=color)
    shapes = alt.Scale(domain=list(_COLORS), range=["circle", "triangle-up", "cross"])
    point = base.mark_point(filled=True, size=70, opacity=1, yOffset=_ROW).encode(
        x=alt.X("value:Q"), color=color, shape=alt.Shape("verdict:N", scale=shapes, legend=None)
    )
    text = (
        base.mark_text(
            align="left",
            baseline="bottom",
            lineBreak="\n",
            lineHeight=12,
            dy=alt.ExprRef(_LINES_ABOVE),
            x=0,
            yOffset=_ROW - 10,
            color=NEUTRAL,
        )
        .encode(text=alt.Text("label:N"))
        .transform_calculate(label=wrapped_to_width("title"))
    )
    return alt.layer(
        band,
        *ends,
        rule,
        point,
        text,
        data=frame,
        height=_STEP * len(frame),
        description="Each measurement's 95% CI against the band in which the claim holds, whose ends are labelled, "
        "failures first",
    ).encode(
        y=alt.Y("row:O", axis=None, scale=alt.Scale(domain=frame["row"].tolist(), padding=0)),
        tooltip=[
            alt.Tooltip("claim:N"),
            alt.Tooltip("text:N", title="measurement"),
            alt.Tooltip("model:N"),
            alt.Tooltip("bounds:N", title="holds where"),
            alt.Tooltip("shown:N", title="value (95% CI)"),
            alt.Tooltip("verdict:N"),
        ],
    )
