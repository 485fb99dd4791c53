"""The slices page's charts: pure functions of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import NEUTRAL
from cifarcore.reports.charts.style import by_model, by_test, cut_to_width, in_order, interval_tips

#: a page on which names find no room beside the plot, and stand above their rows
_NARROW = "(width >= 0 && containerSize()[0] < 520)"
GAIN, LOSS = "#e07b1a", "#2f7fc1"


def forest(frame: pd.DataFrame, whole: float) -> alt.LayerChart:
    """B - A in each slice with its 95% CI; the line is B - A of all images, `whole`.

    Columns: slice, support, difference, low, high, rest, q, significant, share. A click selects `slice` (selection
    `slice_clicked`).
    """
    clicked = alt.selection_point("slice_clicked", fields=["slice"])
    base = alt.Chart(frame).encode(
        y=in_order(frame, "slice", limit=330, grid=True, unless=_NARROW, joint=" & "),
        opacity=by_test(alt.OpacityValue, {"datum.significant": 1.0}, 0.45),
        color=by_test(alt.ColorValue, {"datum.difference > datum.rest": GAIN}, LOSS),
        tooltip=[
            alt.Tooltip("slice:N"),
            alt.Tooltip("support:Q", title="test images", format=","),
            alt.Tooltip("difference:Q", title="B − A inside", format="+.1%"),
            *interval_tips("+.1%"),
            alt.Tooltip("rest:Q", title="B − A elsewhere", format="+.1%"),
            alt.Tooltip("share:Q", title="share of the difference", format="+.1%"),
            alt.Tooltip("q:Q", title="q", format=".2g"),
        ],
    )
    line = alt.Chart(pd.DataFrame({"whole": [whole]})).mark_rule(strokeDash=[4, 3], color=NEUTRAL)
    points_of = "format(100 * datum.value, '+.0f')"
    axis = alt.Axis(
        labelExpr=points_of, orient="top", titleAnchor="end"
    )  # a narrow plot has room beside it, to the left
    points = base.mark_point(filled=True, size=80).encode(
        x=alt.X("difference:Q", title="B − A in accuracy, points (dashed: all images)", axis=axis)
    )
    rules = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    # the rows take clicks and are not seen: an encoded opacity wins over a mark's
    unseen = {"x": alt.XValue(0), "x2": alt.X2Value("width"), "opacity": alt.OpacityValue(0)}
    above = (
        base.mark_text(align="left", x=0, yOffset=-12, color=NEUTRAL)
        .encode(text=alt.Text("above:N"), color=alt.ColorValue(NEUTRAL), opacity=alt.OpacityValue(1))
        .transform_calculate(above=f"{_NARROW} ? {cut_to_width('slice')} : ''")
    )
    row = base.mark_bar(height=20).encode(**unseen).add_params(clicked)
    return alt.layer(
        points,
        line.encode(x=alt.X("whole:Q")),
        rules,
        points,
        above,
        row,
        height=alt.Step(26),
        description="B minus A in each slice, with its 95% CI; pale where not significant",
    )


def accuracy_by_bin(frame: pd.DataFrame, names: tuple[str, str]) -> alt.LayerChart:
    """Both models' accuracy in each bin of one property, a row each: so all names have room, on a narrow page too.
    Columns: bin, model, images, accuracy, low, high.
    """
    base = alt.Chart()
    scale = alt.Scale(zero=False)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("accuracy:Q", scale=scale, title="accuracy", axis=alt.Axis(format="%")), shape=by_model(names)["shape"]
    )
    rules = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title="accuracy"), x2=alt.X2("high:Q"))
    return alt.layer(
        points,
        rules,
        data=frame,
        height=alt.Step(9),
        description="Accuracy of both models by the property, with 95% CIs",
    ).encode(
        y=in_order(frame, "bin", limit=200, grid=True),
        yOffset=alt.YOffset("model:N", sort=["A", "B"]),
        color=by_model(names)["color"],
        tooltip=[
            alt.Tooltip("bin:N"),
            alt.Tooltip("model:N"),
            alt.Tooltip("images:Q", format=","),
            alt.Tooltip("accuracy:Q", format=".1%"),
            *interval_tips(".1%"),
        ],
    )
