"""The charts of the short retraining: pure functions DataFrame -> altair.Chart."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import COLORS, NEUTRAL
from cifarcore.reports.tables.progress import KINDS


def loss_curve(frame: pd.DataFrame, budget: float) -> alt.Chart:
    """Training loss while it learns. Columns: seconds, loss. `budget` is the seconds at which it will end."""
    return (
        alt.Chart(frame)
        .mark_line(color=NEUTRAL, strokeWidth=1.5)
        .encode(
            x=_seconds(budget),
            y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=3, format=".2f")),
        )
        .properties(height=110, description="Training loss by seconds of training")
    )


def accuracy_curves(frame: pd.DataFrame, budget: float) -> alt.Chart:
    """Validation accuracy while it learns. Columns: seconds, accuracy (0..1), classes (one of KINDS)."""
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=24))
        .encode(
            x=_seconds(budget),
            y=alt.Y(
                "accuracy:Q",
                title="val. accuracy",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=3),
            ),
            color=alt.Color(
                "classes:N",
                scale=alt.Scale(domain=KINDS, range=[NEUTRAL, COLORS["B"]]),
                legend=alt.Legend(title="classes", orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip("classes:N"),
                alt.Tooltip("accuracy:Q", format=".1%"),
                alt.Tooltip("seconds:Q", format=".0f"),
            ],
        )
        .properties(
            height=170,
            description="Validation accuracy by seconds of training, of all classes and of the focus classes",
        )
    )


def _seconds(budget: float) -> alt.X:
    axis = alt.Axis(grid=False, tickCount=4, labelExpr="datum.label + ' s'")
    return alt.X("seconds:Q", title=None, scale=alt.Scale(domain=[0, budget], nice=False), axis=axis)
