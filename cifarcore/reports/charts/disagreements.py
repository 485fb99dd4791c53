"""The disagreements page's chart: a pure function of a DataFrame."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import NEUTRAL
from cifarcore.reports.charts.style import by_test, in_order

OVER = "#d6336c"


def against_chance(frame: pd.DataFrame, kind: str) -> alt.LayerChart:
    """Images of each class in a group against the number expected by chance.

    Columns: name, images, expected, ratio, p, q, over (bool: significant).
    A click selects `name` (selection `name_clicked`).
    """
    clicked = alt.selection_point("name_clicked", fields=["name"])
    base = alt.Chart()
    bars = base.mark_bar(height=11).encode(
        x=alt.X(
            "images:Q",
            stack=None,
            title="test images (line: expected by chance)",
            axis=alt.Axis(tickMinStep=1, labelFlush=True, labelFlushOffset=-4),
        ),
        color=by_test(alt.ColorValue, {"datum.over": OVER}, NEUTRAL),
    )
    ticks = base.mark_tick(thickness=2, height=15, color="#16181d", opacity=0.9).encode(x=alt.X("expected:Q"))
    halo = base.mark_tick(thickness=4, height=15, color="#ffffff", opacity=0.8).encode(x=alt.X("expected:Q"))
    return alt.layer(
        bars.add_params(clicked),
        halo,
        ticks,
        data=frame,
        height=alt.Step(18),
        description=f"Images of each {kind} in the group, and the number expected by chance",
    ).encode(
        y=in_order(frame, "name", limit=190),
        tooltip=[
            alt.Tooltip("name:N", title=kind),
            alt.Tooltip("images:Q", format=","),
            alt.Tooltip("expected:Q", title="expected by chance", format=".1f"),
            alt.Tooltip("ratio:Q", title="times chance", format=".2f"),
            alt.Tooltip("p:Q", format=".2g"),
            alt.Tooltip("q:Q", title="q (Benjamini-Hochberg)", format=".2g"),
        ],
    )
