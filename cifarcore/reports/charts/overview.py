"""The overview's charts: pure functions of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.style import (
    COLORS,
    NEUTRAL,
    SPLIT_COLORS,
    by_model,
    by_test,
    cut_to_width,
    in_order,
    model_scale,
)
from cifarcore.text import shortened

_LETTER = 6  #: pixels of a letter
_WIDE = 330  #: pixels of a plot in which both values of a metric find room beside its interval


def difference_interval(row: pd.Series, names: tuple[str, str]) -> alt.LayerChart:
    """B − A in accuracy with its 95% CI about zero; `row` has difference, low, high (0..1), `names` are A's and B's."""
    frame = pd.DataFrame([{name: 100 * row[name] for name in ("difference", "low", "high")}])
    color = COLORS["B" if row["difference"] > 0 else "A"]
    tooltip = [alt.Tooltip(f"{name}:Q", format="+.2f") for name in ("difference", "low", "high")]
    base = alt.Chart(frame).encode(tooltip=tooltip)
    reach = 1.25 * max(1.0, float(frame.abs().max(axis=None)))
    x = alt.X(
        "difference:Q",
        scale=alt.Scale(domain=[-reach, reach], nice=False),
        title=f"← {shortened(names[0], 20)} better · percentage points · {shortened(names[1], 20)} better →",
        axis=alt.Axis(format="+.1~f", tickCount=7, grid=False),
    )
    zero = alt.Chart(pd.DataFrame({"difference": [0.0]})).mark_rule(color=NEUTRAL, strokeDash=[4, 4]).encode(x=x)
    ends = base.mark_rule(strokeWidth=4, color=color).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    point = base.mark_point(filled=True, size=140, color=color, opacity=1).encode(x=x)
    text = base.mark_text(color=NEUTRAL, dy=-18, fontSize=13).encode(x=x, text=alt.Text("difference:Q", format="+.2f"))
    return alt.layer(
        zero,
        ends,
        point,
        text,
        height=115,
        description="The difference in accuracy with its 95% CI; the dashed line is no difference",
    )


def metric_rows(frame: pd.DataFrame, names: tuple[str, str]) -> alt.LayerChart:
    """Each metric's difference as a dot with its 95% CI, turned so that right is better for B, on a scale of its own.

    Columns as tables.overview.metric_rows: metric, shown, brief (what is shown where that does not fit), ci, lacking
    (why there is no interval), x, low, high (-1..1; NaN without interval), significant, color ("A" or "B": whom it
    favours), method. Filled where significant.
    """
    base = alt.Chart()
    # the numbers stand to the right of the intervals
    scale = alt.Scale(domain=[-1.1, 3.2], nice=False)
    axis = alt.Axis(
        values=[0],
        orient="top",
        ticks=False,
        domain=False,
        labelExpr="['← A better · B better →', 'each row has its own scale']",
        labelLimit=200,
    )
    x = alt.X("x:Q", scale=scale, axis=axis, title=None)
    color = alt.Color("color:N", scale=model_scale(), legend=None)
    rule = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high:Q"), color=color)
    point = base.mark_point(size=70, strokeWidth=2, opacity=1).encode(
        x=x,
        color=color,
        fill=by_test(
            alt.FillValue, {"!datum.significant": "transparent", "datum.color == 'A'": COLORS["A"]}, COLORS["B"]
        ),
    )
    text = (
        base.mark_text(align="left", color=NEUTRAL)
        .encode(x=alt.XDatum(1.25), text=alt.Text("words:N"))
        .transform_calculate(words=f"width < {_WIDE} ? datum.brief : datum.shown")
    )
    lacking = (
        base.mark_text(align="left", color=NEUTRAL)
        .encode(x=alt.XDatum(-1.05), text=alt.Text("why:N"))
        .transform_calculate(why=cut_to_width("lacking", 2.1 * _LETTER))  # before the numbers
    )
    return alt.layer(
        rule,
        point,
        text,
        lacking,
        data=frame,
        height=alt.Step(26),
        description=f"Each metric with the 95% CI of its difference, right where {names[1]} is better than {names[0]}; "
        "filled where significant",
    ).encode(
        y=in_order(frame, "metric", limit=200),
        tooltip=[
            alt.Tooltip("metric:N"),
            alt.Tooltip("shown:N", title="A → B"),
            alt.Tooltip("ci:N", title="95% CI"),
            alt.Tooltip("method:N"),
        ],
    )


def split_bar(frame: pd.DataFrame) -> alt.LayerChart:
    """How the test images split in four, as one bar. Columns: group, name, images, share (0..1), in the order of
    drawing.

    A click selects `group` (selection `outcome`).
    """
    frame = frame.assign(end=frame["share"].cumsum(), start=frame["share"].cumsum() - frame["share"])
    frame["text"] = [f"{name} {images:,}" for name, images in zip(frame["name"], frame["images"], strict=True)]
    clicked = alt.selection_point("outcome", fields=["group"])
    fits = f"(datum.end - datum.start) * width > {_LETTER} * length(datum.text)"
    base = alt.Chart(frame).transform_calculate(
        fitting=f"{fits} ? datum.text : ''", besides=f"{fits} ? '' : datum.text"
    )
    bars = (
        base.mark_bar(height=26, y=45, stroke="white", strokeWidth=1, cursor="pointer")
        .encode(
            x=alt.X("start:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False)),
            x2=alt.X2("end:Q"),
            color=alt.Color(
                "name:N",
                title="group",
                legend=None,
                scale=alt.Scale(domain=frame["name"].tolist(), range=[SPLIT_COLORS[group] for group in frame["group"]]),
            ),
            tooltip=[
                alt.Tooltip("name:N", title="group"),
                alt.Tooltip("images:Q", format=","),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .add_params(clicked)
    )
    text = base.mark_text(color=NEUTRAL, align="left", y=18).encode(x=alt.X("start:Q"), text=alt.Text("fitting:N"))
    # where there is no room above them, the two in the middle have their words below, away from one another
    below = [
        base.mark_text(color=NEUTRAL, align=align, dx=dx, y=70)
        .encode(x=alt.X(f"{end}:Q"), text=alt.Text("besides:N"))
        .transform_filter(f"datum.group == '{group}'")
        for group, end, align, dx in (("only A", "end", "right", -4), ("only B", "start", "left", 4))
    ]
    # Streamlit takes 20 pixels of it for padding below
    return alt.layer(bars, text, *below, height=90, description="Test images by which of the two models is correct")


def learning_curves(frame: pd.DataFrame, names: tuple[str, str] = ("", "")) -> alt.Chart:
    """Validation accuracy by epoch, a line for each run. Columns: model ("A", "B"), run, epoch, val_accuracy,
    train_loss, minutes.
    """
    return (
        alt.Chart(frame, height=290, description="Validation accuracy of each run by epoch, A blue, B orange")
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(grid=False, labelFlush=True, labelFlushOffset=-4)),
            y=alt.Y(
                "val_accuracy:Q", title="validation accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
            ),
            **by_model(names),
            detail=alt.Detail("run:N"),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("epoch:Q", format=".4~f"),
                alt.Tooltip("val_accuracy:Q", title="validation accuracy", format=".2%"),
                alt.Tooltip("train_loss:Q", title="training loss", format=".3f"),
                alt.Tooltip("minutes:Q", format=".1f"),
            ],
        )
    )


def reliability(frame: pd.DataFrame, names: tuple[str, str] = ("", "")) -> alt.LayerChart:
    """Reliability curves, a line for each run. Columns: model, run, confidence, accuracy (means of a bin, 0..1),
    count.
    """
    unit = alt.Scale(domain=[0, 1])
    ideal = (
        alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
        .mark_line(color=NEUTRAL, strokeDash=[4, 4])
        .encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))
    )
    curves = (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=alt.X(
                "confidence:Q",
                title="confidence",
                scale=unit,
                axis=alt.Axis(format="%", grid=False, labelFlush=True, labelFlushOffset=-4),
            ),
            y=alt.Y("accuracy:Q", title="accuracy", scale=unit, axis=alt.Axis(format="%")),
            **by_model(names),
            detail=alt.Detail("run:N"),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("confidence:Q", format=".1%"),
                alt.Tooltip("accuracy:Q", format=".1%"),
                alt.Tooltip("count:Q", format=","),
            ],
        )
    )
    return alt.layer(
        ideal,
        curves,
        height=290,
        description="Accuracy against the model's confidence (reliability diagram); the dashed line is perfect "
        "calibration",
    )
