"""What all charts share: the two models' colours, axes of names, and lines with points.

What is encoded is written as an object (`alt.X("x:Q")`, `alt.XValue(0)`, `by_test`): of a bare string Altair makes that
object anew in 2 ms, of `alt.value` or `alt.condition` in 3.
"""

import json

import altair as alt
import pandas as pd

from cifarcore.reports.charts.colors import COLORS
from cifarcore.text import keyed

# No chart stacks or sorts by names, scales of names have domains, and in an expression no name stands alone: Vega looks
# these up in objects of JavaScript's, which know "constructor" already.


def middle_cut(most: int, label: str = "datum.label") -> str:
    """`text.shortened` as a Vega expression of an axis's label, cut to `most` letters."""
    half = (most - 1) // 2
    return f"length({label}) > {most} ? slice({label}, 0, {half}) + '…' + slice({label}, -{half}) : {label}"


def on_two_lines(most: int, joint: str) -> str:
    """As `middle_cut`, of a label longer than that whose two parts `joint` joins: each has a line, and is cut there."""
    parts = f"split(datum.label, '{joint}')"
    lines = f"[{middle_cut(most, f'{parts}[0]')}, '{joint.lstrip()}' + ({middle_cut(most, f'{parts}[1]')})]"
    return f"{_is_parted(most, joint)} ? {lines} : ({middle_cut(most)})"


def _is_parted(most: int, joint: str) -> str:
    return f"(length(datum.label) > {most} && length(split(datum.label, '{joint}')) == 2)"


def cut_to_width(field: str, letter: float = 5.6) -> str:
    """As `middle_cut`, of a field's text, to what the width of the plot holds at `letter` pixels a letter."""
    most = f"floor(width / {letter})"
    half = f"floor(({most} - 1) / 2)"
    cut = f"slice(datum.{field}, 0, {half}) + '…' + slice(datum.{field}, -{half})"
    return f"length(datum.{field}) > {most} ? {cut} : datum.{field}"


def wrapped_to_width(field: str, letter: float = 4.7) -> str:
    """As `cut_to_width`, a field's text in lines, parted by line feeds, that end between words."""
    return f"trim(replace(datum.{field}, regexp('(.{{1,' + floor(width / {letter}) + '}})( |$)', 'g'), '$1\\n'))"


def in_order(
    frame: pd.DataFrame,
    field: str,
    limit: int = 150,
    least: int = 0,
    grid: bool = False,
    unless: str = "",
    joint: str = "",
) -> alt.Y:
    """The vertical axis of names, in the order of the rows of `frame`; labels take from `least` to `limit` pixels and
    are cut in their middle, those of two parts that `joint` joins on two lines. `unless` is a test of Vega's by which
    there are none.

    The order stands in the specification: where only the data change, Vega keeps the order of the old ones.
    """
    label = on_two_lines(limit // 6, joint) if joint else middle_cut(limit // 6)
    # a label of two lines starts in the middle of its row; half a line up it stands there
    lifted = {"condition": {"test": _is_parted(limit // 6, joint), "value": -6}, "value": 0} if joint else alt.Undefined
    axis = alt.Axis(
        labelLimit=2 * limit,
        labelOffset=lifted,
        labelExpr=f"{unless} ? '' : ({label})" if unless else label,
        minExtent=least,
        labelOverlap=False,
        labelFlush=False,
        ticks=False,
        domain=False,
        grid=grid,
    )
    return alt.Y(
        f"{field}:N", sort=None, scale=alt.Scale(domain=list(dict.fromkeys(frame[field]))), title=None, axis=axis
    )


def by_test(channel: type, tests: dict[str, object], otherwise: object) -> alt.SchemaBase:
    """A value by the first test of the datum that holds, else `otherwise`; `channel` is alt.ColorValue and the like."""
    return channel(otherwise, condition=[{"test": test, "value": value} for test, value in tests.items()])


def interval_tips(form: str) -> tuple[alt.Tooltip, alt.Tooltip]:
    """The lines of a tooltip for a 95% interval, columns low and high, its ends in the number format `form`."""
    return alt.Tooltip("low:Q", title="95% CI from", format=form), alt.Tooltip("high:Q", title="to", format=form)


def model_scale() -> alt.Scale:
    """The colour scale of a field that holds "A" and "B"."""
    return alt.Scale(domain=list(COLORS), range=list(COLORS.values()))


def by_model(names: tuple[str, str]) -> dict[str, alt.Color | alt.Shape]:
    """Colour and shape of a line with points by its field `model`, with one legend for both; `names` are those of A and
    B.
    """
    shown = json.dumps({letter: keyed(letter, name, 26) for letter, name in zip(COLORS, names, strict=True)})
    legend = alt.Legend(title=None, orient="top", labelExpr=f"{shown}[datum.label]", labelLimit=220, symbolSize=70)
    shape = alt.Scale(domain=list(COLORS), range=["circle", "diamond"])
    return {
        "color": alt.Color("model:N", scale=model_scale(), legend=legend),
        "shape": alt.Shape("model:N", scale=shape, legend=legend),
    }
