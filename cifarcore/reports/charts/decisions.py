"""Charts of what people decide by: a margin with the interval in it, risk and coverage."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import NEUTRAL
from cifarcore.reports.charts.style import by_model


def margin_chart(difference: float, low: float, high: float, margin: float) -> alt.LayerChart:
    """The 95% interval of B − A in points against the band from −margin to +margin; all in percentage points."""
    frame = pd.DataFrame({"difference": [difference], "low": [low], "high": [high], "from": [-margin], "to": [margin]})
    title = "B − A, percentage points"
    base = alt.Chart(frame)
    x = alt.X("from:Q", title=title, axis=alt.Axis(tickCount=8, labelFlush=True))
    band = base.mark_rect(color=NEUTRAL, opacity=0.35).encode(x=x, x2=alt.X2("to:Q"))
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(x=alt.X("x:Q"))
    tips = [alt.Tooltip(f"{name}:Q", format="+.2f") for name in ("difference", "low", "high")]
    line = base.mark_rule(strokeWidth=3, color=NEUTRAL).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), tooltip=tips)
    point = base.mark_point(filled=True, size=110, color="#e07b1a", opacity=1).encode(
        x=alt.X("difference:Q"), tooltip=tips
    )
    return alt.layer(
        band, zero, line, point, height=110, description="The 95% CI of B − A; the grey band is the margin either way"
    )


def risk_coverage(frame: pd.DataFrame, names: tuple[str, str], max_error: float) -> alt.LayerChart:
    """Errors among the images answered by the share answered, a line for each run. Columns: decisions.curve_frame."""
    percent = alt.Axis(format="%", grid=False, labelFlush=True, labelFlushOffset=-4)
    limit = alt.Chart(pd.DataFrame({"y": [max_error]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4])
    encoded = by_model(names)
    lines = (
        alt.Chart(frame)
        .mark_line()
        .encode(
            x=alt.X("coverage:Q", title="coverage (share of images answered)", axis=percent),
            y=alt.Y("error:Q", title="errors among these", axis=alt.Axis(format="%")),
            color=encoded["color"],
            detail=alt.Detail("run:N"),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("coverage:Q", format=".1%"),
                alt.Tooltip("error:Q", format=".2%"),
                alt.Tooltip("confidence:Q", title="lowest confidence answered", format=".1%"),
            ],
        )
    )
    return alt.layer(
        limit.encode(y=alt.Y("y:Q")),
        lines,
        height=300,
        description="Risk-coverage curves; the dashed line is the error rate chosen",
    )
