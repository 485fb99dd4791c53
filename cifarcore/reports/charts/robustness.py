"""Robustness to corruptions: a pure function of a DataFrame."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import by_model


def by_severity(frame: pd.DataFrame, names: tuple[str, str]) -> alt.Chart:
    """Both models' accuracy by severity, mean over corruptions; 0 is the images as they are. Columns: severity, model,
    accuracy.
    """
    severities = sorted(set(frame["severity"]))
    axis = alt.Axis(values=severities, format="d", grid=False, labelFlush=True)
    return (
        alt.Chart(frame, height=240, description="Accuracy of both models by the severity of corruption; 0 is none")
        .mark_line(point=alt.OverlayMarkDef(size=60, filled=True))
        .encode(
            x=alt.X("severity:Q", title="severity of corruption (0: none)", axis=axis),
            y=alt.Y("accuracy:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            **by_model(names),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("severity:Q", format="d"),
                alt.Tooltip("accuracy:Q", format=".1%"),
            ],
        )
    )
