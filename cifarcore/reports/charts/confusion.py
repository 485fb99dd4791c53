"""The confusion matrix: a pure function of a DataFrame."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.charts.style import by_test, middle_cut

#: of the square of cells, in pixels, with and without names along it; of a cell
_LABELLED, _UNLABELLED, _CELL = 350, 480, 44
MOST_LABELLED = 40  #: classes along an axis that are named


def heatmap(
    frame: pd.DataFrame, rows: list[str], columns: list[str], show: str, groups: Sequence[str] = ()
) -> alt.LayerChart:
    """A confusion matrix of square cells. Columns: true, predicted, value, muted, chosen (bool), a, b, difference
    (images), claim.

    `rows` and `columns` are all names along the axes in order. `show` is "A", "B" or "B − A": orange where B has more,
    blue where A has, fading to the page's own background where there is no difference. Lines are drawn behind each of
    `groups`, the last classes of superclasses. A click selects `true` and `predicted` (selection `cell`).
    """
    bound = max(1.0, float(frame["value"].abs().max()))
    share = frame["value"].abs() / bound
    strength = (np.sqrt(share) if show in COLORS else share) * np.where(frame["muted"], 0.5, 1)
    n = max(len(rows), len(columns))
    side = min(_LABELLED if n <= MOST_LABELLED else _UNLABELLED, max(120, _CELL * n))
    cell = alt.selection_point("cell", fields=["true", "predicted"])
    x, y = (
        channel(
            f"{name}:N",
            sort=None,
            scale=alt.Scale(domain=names),
            title=name if len(names) <= MOST_LABELLED else None,  # as the names: on a canvas text knows no theme
            axis=_axis(len(names) <= MOST_LABELLED),
        )
        for channel, name, names in ((alt.X, "predicted", columns), (alt.Y, "true", rows))
    )
    more = by_test(alt.ColorValue, {"datum.difference > 0": COLORS["B"]}, COLORS["A"])
    cells = (
        alt.Chart(frame.assign(strength=strength))
        .mark_rect(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=alt.ColorValue(COLORS[show]) if show in COLORS else more,
            opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
            stroke=by_test(alt.StrokeValue, {"datum.chosen": "#d6336c"}, None),
            tooltip=[
                alt.Tooltip("true:N"),
                alt.Tooltip("predicted:N"),
                alt.Tooltip("a:Q", title="A: images", format=".1~f"),
                alt.Tooltip("b:Q", title="B: images", format=".1~f"),
                alt.Tooltip("difference:Q", title="B − A", format="+.1~f"),
                alt.Tooltip("claim:N", title="B − A, tested"),
            ],
        )
        .add_params(cell)
    )
    return alt.layer(
        cells,
        *_rules(groups, rows, columns),
        width=side * min(1, len(columns) / len(rows)),
        height=side * min(1, len(rows) / len(columns)),
        autosize=alt.AutoSizeParams(type="pad"),
        description=f"Confusion matrix, true class by predicted class: images of {show}",
    )


def _axis(labelled: bool) -> alt.Axis:
    return alt.Axis(
        labels=labelled, ticks=False, labelLimit=200, labelExpr=middle_cut(24), labelOverlap=False, labelFlush=False,
        domain=False, grid=False,
    )  # fmt: skip


def _rules(groups: Sequence[str], rows: list[str], columns: list[str]) -> list[alt.Chart]:
    """A line behind each of `groups` along both axes."""
    if not groups:
        return []
    ends = alt.Chart(pd.DataFrame({"true": groups, "predicted": groups}))
    rule = ends.mark_rule(color=NEUTRAL, opacity=0.35, strokeWidth=1)
    across, down = (alt.Scale(domain=names) for names in (columns, rows))
    return [
        rule.encode(x=alt.X("predicted:N", sort=None, scale=across, bandPosition=1)),
        rule.encode(y=alt.Y("true:N", sort=None, scale=down, bandPosition=1)),
    ]
