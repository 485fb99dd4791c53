"""The charts of the short retraining: pure functions DataFrame -> altair.Chart."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.tables.progress import ALL, KINDS


def loss_curve(frame: pd.DataFrame, budget: float) -> alt.Chart:
    """Training loss while it learns. Columns: seconds, loss. `budget` is the seconds at which it will end."""
    return (
        alt.Chart(frame, height=110, description="Training loss by seconds of training")
        .mark_line(color=NEUTRAL, strokeWidth=1.5)
        .encode(
            x=_seconds(budget),
            y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=3, format=".2f")),
        )
    )


def accuracy_curves(frame: pd.DataFrame, budget: float) -> alt.LayerChart:
    """Change of the validation accuracy while it learns, beside the parent's level. Columns: seconds, accuracy, parent
    (0..1), change (percentage points), classes (one of KINDS, or ALL).
    """
    kinds = [*KINDS, ALL]
    curves = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=24))
        .encode(
            x=_seconds(budget),
            y=alt.Y("change:Q", title="change in points", axis=alt.Axis(format="+.1~f", tickCount=4, tickMinStep=0.1)),
            color=alt.Color(
                "classes:N",
                scale=alt.Scale(domain=kinds, range=[COLORS["B"], NEUTRAL, NEUTRAL]),
                legend=alt.Legend(title=None, orient="bottom", values=[k for k in kinds if k in set(frame["classes"])]),
            ),
            tooltip=[
                alt.Tooltip("classes:N"),
                alt.Tooltip("accuracy:Q", format=".1%"),
                alt.Tooltip("parent:Q", format=".1%"),
                alt.Tooltip("seconds:Q", format=".0f"),
            ],
        )
    )
    level = alt.Chart(pd.DataFrame({"change": [0.0], "name": ["the parent"]})).encode(y=alt.Y("change:Q"))
    return alt.layer(
        level.mark_rule(strokeDash=[4, 4], color=NEUTRAL),
        level.mark_text(align="right", baseline="bottom", dy=-3, color=NEUTRAL).encode(
            x=alt.XValue("width"), text=alt.Text("name:N")
        ),
        curves,
        height=190,
        description="Change of the validation accuracy against the parent by seconds of training, of the focus classes "
        "and of the others",
    )


def _seconds(budget: float) -> alt.X:
    axis = alt.Axis(grid=False, tickCount=4, labelExpr="datum.label + ' s'")
    return alt.X("seconds:Q", title=None, scale=alt.Scale(domain=[0, budget], nice=False), axis=axis)
