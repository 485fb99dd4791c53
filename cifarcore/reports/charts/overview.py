"""The overview's charts: pure functions of DataFrames."""

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import NEUTRAL, SPLIT_COLORS
from cifarcore.reports.charts.style import by_model

_LETTER = 6  #: pixels of a letter


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
