"""Charts that several pages share: pure functions DataFrame -> altair.Chart, and the two models' colours.

A chart computes nothing but its drawing, and knows neither runs nor Streamlit. What is encoded is written as an object
(`alt.X("x:Q")`): of a bare string, Altair makes that object anew in 2 ms each.
"""

import altair as alt
import pandas as pd

#: model A is blue, model B orange, everywhere: far apart for every common colour blindness, readable on light and dark
COLORS = {"A": "#2f7fc1", "B": "#e07b1a"}
NEUTRAL = "#8a8f98"
#: from model A's colour over grey to model B's, for differences B − A
DIVERGING = [COLORS["A"], "#c9ccd1", COLORS["B"]]
#: the four-way split of the test images
SPLIT_COLORS = {"both right": "#8f96a0", "only A": COLORS["A"], "only B": COLORS["B"], "both wrong": "#5f6670"}


def in_order(frame: pd.DataFrame, field: str, limit: int = 150, least: int = 0, grid: bool = False) -> alt.Y:
    """The vertical axis of names, in the order of the rows of `frame`; labels take from `least` to `limit` pixels.

    The order stands in the specification: where only the data change, Vega keeps the order of the old ones.
    """
    axis = alt.Axis(
        labelLimit=limit, minExtent=least, labelOverlap=False, labelFlush=False, ticks=False, domain=False, grid=grid
    )
    return alt.Y(
        f"{field}:N", sort=None, scale=alt.Scale(domain=list(dict.fromkeys(frame[field]))), title=None, axis=axis
    )


def model_scale() -> alt.Scale:
    """The colour scale of a field that holds «A» and «B»."""
    return alt.Scale(domain=list(COLORS), range=list(COLORS.values()))


def by_model() -> dict[str, alt.Color | alt.Shape]:
    """Colour and shape of a line with points by its field `model`, with one legend for both."""
    legend = alt.Legend(title=None, orient="top", labelExpr="'model ' + datum.label", symbolSize=70)
    shape = alt.Scale(domain=list(COLORS), range=["circle", "diamond"])
    return {
        "color": alt.Color("model:N", scale=model_scale(), legend=legend),
        "shape": alt.Shape("model:N", scale=shape, legend=legend),
    }


def top_classes(frame: pd.DataFrame, letter: str) -> alt.LayerChart:
    """Bars of one model's most probable classes. Columns: name, probability (0..1), is_label (true class or not)."""
    frame = frame.assign(
        shown=[f"{name} ✓" if right else name for name, right in zip(frame["name"], frame["is_label"], strict=True)]
    )
    base = alt.Chart(frame).encode(
        y=in_order(frame, "shown", least=150),
        x=alt.X("probability:Q", title=None, scale=alt.Scale(domain=[0, 1.12], nice=False), axis=None),
        tooltip=[alt.Tooltip("name:N", title="class"), alt.Tooltip("probability:Q", format=".4f")],
    )
    bars = base.mark_bar(color=COLORS[letter], height=11).encode(
        opacity=alt.condition("datum.is_label", alt.value(1), alt.value(0.55))
    )
    text = base.mark_text(align="left", dx=4, color=NEUTRAL).encode(text=alt.Text("probability:Q", format=".1%"))
    return (bars + text).properties(
        height=18 * len(frame) + 4,
        description=f"The classes that model {letter} finds most probable; ✓ marks the true class",
    )


def place_on_map(frame: pd.DataFrame, title: str) -> alt.LayerChart:
    """One image's place on a map. Columns: x, y, what («this image», «same true class», «other test images»)."""
    colors = {"other test images": "#b9bec6", "same true class": "#2a9d8f", "this image": "#d6336c"}
    layers = [
        alt.Chart(frame[frame["what"] == what])
        .mark_point(filled=True, size=size, shape=shape, opacity=opacity)
        .encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=list(colors), range=list(colors.values())),
                legend=alt.Legend(title=None, orient="bottom", symbolOpacity=1, symbolSize=60),
            ),
        )
        for what, size, shape, opacity in zip(
            colors, (8, 24, 240), ("circle", "circle", "diamond"), (0.4, 0.9, 1), strict=True
        )
    ]
    return alt.layer(*layers).properties(title=title, height=240, description=title)


def split_bar(frame: pd.DataFrame) -> alt.LayerChart:
    """How the test images split in four, as one bar. Columns: group, images, share (0..1), in the order of drawing."""
    frame = frame.assign(end=frame["share"].cumsum(), start=frame["share"].cumsum() - frame["share"])
    frame["middle"] = (frame["start"] + frame["end"]) / 2
    frame["text"] = [
        f"{group} {share:.1%}" if share > 0.09 else ""
        for group, share in zip(frame["group"], frame["share"], strict=True)
    ]
    base = alt.Chart(frame)
    bars = base.mark_bar(height=34, stroke="white", strokeWidth=1).encode(
        x=alt.X("start:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False)),
        x2=alt.X2("end:Q"),
        color=alt.Color(
            "group:N", legend=None, scale=alt.Scale(domain=list(SPLIT_COLORS), range=list(SPLIT_COLORS.values()))
        ),
        tooltip=[alt.Tooltip("group:N"), alt.Tooltip("images:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
    )
    text = base.mark_text(color="white", fontWeight="bold").encode(x=alt.X("middle:Q"), text=alt.Text("text:N"))
    # Streamlit takes 20 pixels of it for padding below
    return (bars + text).properties(height=58, description="Test images by which of the two models is right")


def learning_curves(frame: pd.DataFrame) -> alt.Chart:
    """Validation accuracy by epoch, a line for each run. Columns: model («A», «B»), run, epoch, val_accuracy, train_loss, minutes."""
    return (
        alt.Chart(frame)
        .mark_line(point=alt.OverlayMarkDef(size=28))
        .encode(
            x=alt.X(
                "epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, grid=False, labelFlush=True, labelFlushOffset=-4)
            ),
            y=alt.Y(
                "val_accuracy:Q", title="validation accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
            ),
            **by_model(),
            detail=alt.Detail("run:N"),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("run:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("val_accuracy:Q", title="validation accuracy", format=".2%"),
                alt.Tooltip("train_loss:Q", title="training loss", format=".3f"),
                alt.Tooltip("minutes:Q", format=".1f"),
            ],
        )
        .properties(
            height=290, description="Validation accuracy of each run over its epochs, model A blue, model B orange"
        )
    )


def reliability(frame: pd.DataFrame) -> alt.LayerChart:
    """Reliability curves, a line for each run. Columns: model, run, confidence, accuracy (means of a bin, 0..1), count."""
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
            **by_model(),
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
    return (ideal + curves).properties(
        height=290,
        description="Share of images that are right against the model's confidence; the dashed line is perfect calibration",
    )


def dumbbells(frame: pd.DataFrame, metric: str) -> alt.LayerChart:
    """Each class's value under A and B. Columns: class, a, b, difference, low, high (of the difference), claim, superclass, support.

    A thin line from a + low to a + high shows the interval of the difference: where it spans A's point, nothing is
    claimed. A click selects `class` (selection `class_clicked`).
    """
    frame = frame.assign(low_end=frame["a"] + frame["low"], high_end=frame["a"] + frame["high"])
    unit = alt.Scale(domain=[0, 1.26], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.2, 0.4, 0.6, 0.8, 1], orient="top", grid=True)
    clicked = alt.selection_point("class_clicked", fields=["class"])
    base = alt.Chart(frame).encode(
        y=in_order(frame, "class", grid=True),
        tooltip=[
            alt.Tooltip("class:N"),
            alt.Tooltip("superclass:N"),
            alt.Tooltip("support:Q", title="test images", format=","),
            alt.Tooltip("a:Q", title=f"A: {metric}", format=".3f"),
            alt.Tooltip("b:Q", title=f"B: {metric}", format=".3f"),
            alt.Tooltip("difference:Q", title="B − A", format="+.3f"),
            alt.Tooltip("low:Q", title="95 % interval from", format="+.3f"),
            alt.Tooltip("high:Q", title="to", format="+.3f"),
            alt.Tooltip("claim:N", title="recall (tested)"),
        ],
    )
    interval = base.mark_rule(color=NEUTRAL, opacity=0.6, strokeWidth=1.5, clip=True).encode(
        x=alt.X("low_end:Q"), x2=alt.X2("high_end:Q")
    )
    bar = base.mark_bar(height=4, opacity=0.55).encode(
        x=alt.X("a:Q"),
        x2=alt.X2("b:Q"),
        color=alt.condition("datum.difference >= 0", alt.value(COLORS["B"]), alt.value(COLORS["A"])),
    )
    points_a = base.mark_point(shape="circle", filled=True, size=64, opacity=1, color=COLORS["A"]).encode(
        x=alt.X("a:Q", scale=unit, title=f"{metric} of each class", axis=axis)
    )
    points_b = base.mark_point(shape="diamond", filled=True, size=80, opacity=1, color=COLORS["B"]).encode(
        x=alt.X("b:Q")
    )
    whole_row = base.mark_bar(opacity=0, height=18).encode(x=alt.value(0), x2=alt.value("width")).add_params(clicked)
    claims = (
        base.transform_filter("datum.claim != ''")
        .transform_calculate(mark="datum.claim == 'gained' ? '▲ recall gained' : '▼ recall lost'")
        .mark_text(align="right", x="width", fontWeight="bold", dx=-2)
        .encode(
            text=alt.Text("mark:N"),
            color=alt.condition("datum.claim == 'gained'", alt.value(COLORS["B"]), alt.value(COLORS["A"])),
        )
    )
    return alt.layer(points_a, interval, bar, points_a, points_b, claims, whole_row).properties(
        height=alt.Step(18),
        description=f"{metric} of each class under model A (circle, blue) and model B (diamond, orange)",
    )


def heatmap(frame: pd.DataFrame, rows: list[str], columns: list[str], signed: bool, height: int) -> alt.Chart:
    """A confusion matrix. Columns: true, predicted, value, muted, chosen (bool), a, b, difference (images), claim.

    `rows` and `columns` are all names along the axes in order. `signed` draws B − A with a diverging scale.
    A click selects `true` and `predicted` (selection `cell`).
    """
    cell = alt.selection_point("cell", fields=["true", "predicted"])
    axes = [
        alt.Axis(
            labels=len(names) <= 40,
            ticks=False,
            labelLimit=140,
            labelOverlap=False,
            labelFlush=False,
            domain=False,
            grid=False,
        )
        for names in (columns, rows)
    ]
    bound = max(1.0, float(frame["value"].abs().max()))
    title = "B − A (images)" if signed else "images"
    scale = (
        alt.Scale(domain=[-bound, 0, bound], range=DIVERGING, interpolate="rgb")
        if signed
        else alt.Scale(type="sqrt", domain=[0, bound], scheme="viridis")
    )
    return (
        alt.Chart(frame)
        .mark_rect(strokeWidth=2)
        .encode(
            x=alt.X("predicted:N", sort=columns, scale=alt.Scale(domain=columns), title="predicted", axis=axes[0]),
            y=alt.Y("true:N", sort=rows, scale=alt.Scale(domain=rows), title="true", axis=axes[1]),
            color=alt.Color("value:Q", scale=scale, legend=alt.Legend(title=title, orient="top", gradientLength=200)),
            opacity=alt.condition("datum.muted", alt.value(0.45), alt.value(1)),
            stroke=alt.condition("datum.chosen", alt.value("#d6336c"), alt.value(None)),
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
        .properties(height=height, description=f"Confusion matrix, true class by predicted class: {title}")
    )


def outcomes(frame: pd.DataFrame) -> alt.Chart:
    """Where one class's images went. Columns: predicted, model, images, share, kind («right», «wrong», «left the filter»)."""
    return (
        alt.Chart(frame)
        .mark_bar(height=7)
        .encode(
            y=in_order(frame, "predicted"),
            yOffset=alt.YOffset("model:N", sort=["A", "B"]),
            x=alt.X(
                "share:Q",
                title="share of the class's images",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5, labelFlush=True, labelFlushOffset=-4),
            ),
            color=alt.Color("model:N", scale=model_scale(), legend=None),
            opacity=alt.Opacity(
                "kind:N",
                scale=alt.Scale(domain=["right", "wrong", "left the filter"], range=[1, 0.75, 0.35]),
                legend=None,
            ),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("predicted:N"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("images:Q", format=".1~f"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
        .properties(
            height=alt.Step(11), description="The classes that the images of the chosen class are given, by each model"
        )
    )


def gains(frame: pd.DataFrame) -> alt.LayerChart:
    """B − A for each group, with its interval. Columns: name, images, gained, a, b, difference, low, high, claim."""
    base = alt.Chart(frame).encode(
        y=in_order(frame, "name", limit=220),
        tooltip=[
            alt.Tooltip("name:N", title="superclass"),
            alt.Tooltip("images:Q", title="test images", format=","),
            alt.Tooltip("a:Q", title="A: recall", format=".3f"),
            alt.Tooltip("b:Q", title="B: recall", format=".3f"),
            alt.Tooltip("difference:Q", title="B − A", format="+.3f"),
            alt.Tooltip("low:Q", title="95 % interval from", format="+.3f"),
            alt.Tooltip("high:Q", title="to", format="+.3f"),
            alt.Tooltip("gained:Q", title="B − A in images", format="+.1~f"),
            alt.Tooltip("claim:N", title="tested"),
        ],
    )
    x = alt.X("difference:Q", title="B − A in recall", axis=alt.Axis(format="+%"))
    color = alt.condition("datum.difference >= 0", alt.value(COLORS["B"]), alt.value(COLORS["A"]))
    bars = base.mark_bar(height=10).encode(
        x=x, color=color, opacity=alt.condition("datum.claim != ''", alt.value(1), alt.value(0.4))
    )
    intervals = base.mark_rule(color=NEUTRAL, strokeWidth=1.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    return (bars + intervals).properties(
        height=alt.Step(20),
        description="B minus A in recall for each superclass, with its 95 % interval; what is not claimed is pale",
    )
