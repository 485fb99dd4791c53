"""Small charts as HTML: dots, intervals and the numbers beside them, as a page and the report show them.

Vega takes a browser longer to load, and to compile each chart, than all else on the first page.
"""

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

from cifarcore.evidence.groups import MOST_GROUPS
from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.text import number, shortened

_MOST_TICKS = 7
_MOST_LETTERS = 28  #: of a model's name
_EDGE = 1.1  #: half the width of a plot of metrics, whose longest interval ends at 1

#: how all of them look; a page has it once
STYLE = """
.marks { margin: 0; padding: 0.3rem 0 0.9rem; font-size: 0.8rem; line-height: 1.3; overflow-x: auto; }
.marks { container-type: inline-size; color: light-dark(#50545d, #b9bdc5); }
.marks > div { display: grid; align-items: center; position: relative; }
.marks i { position: absolute; top: 50%; box-sizing: border-box; }
.marks .name { text-align: right; white-space: nowrap; padding-right: 0.6rem; }
.marks .dot { width: 0.8em; height: 0.8em; margin: -0.4em; border-radius: 50%; border: 2px solid; }
.marks .line { height: 0.2em; margin-top: -0.1em; min-width: 0.2em; }
.marks .zero { top: 0; left: 50%; height: 100%; border-left: 1px solid #8a8f9866; }
.marks .at { position: absolute; top: 0; transform: translateX(-50%); white-space: nowrap; }
.marks .plot { position: relative; align-self: stretch; text-align: center; }
.marks .difference { height: 4.4rem; font-size: 0.9rem; }
.marks .difference i { top: 1.9rem; }
.marks .difference .zero { top: 0.4rem; height: 2.4rem; border-left: 1px dashed #8a8f98; }
.marks .difference .tick { top: 3.1rem; font-size: 0.75rem; }
.marks figcaption { text-align: center; }
.marks .metrics { grid-template-columns: max-content minmax(5rem, 1fr) max-content; }
.marks .metrics { grid-auto-rows: 1.85rem; }
.marks .why { text-align: left; overflow: hidden; white-space: nowrap; text-overflow: ellipsis; line-height: 1.85rem; }
.marks .brief { display: none; }
@container (max-width: 500px) { .marks .brief { display: inline; } .marks .shown { display: none; } }
.marks .groups { grid-auto-rows: 1.7rem; }
.marks .number { padding-left: 0.4rem; }
.marks .groups .plot .dot { left: 50%; }
.marks .groups .joined { position: relative; top: 0; width: 4px; height: auto; margin: 0.85rem 0; }
.marks .groups .joined { justify-self: center; align-self: stretch; }
"""


def difference_interval(row: pd.Series, names: tuple[str, str]) -> str:
    """B − A in accuracy with its 95% CI about zero; `row` has difference, low, high (0..1), `names` are A's and B's."""
    difference, low, high = (100 * float(row[name]) for name in ("difference", "low", "high"))
    reach = 1.25 * max(1.0, *map(abs, (difference, low, high)))
    color, said = COLORS["B" if difference > 0 else "A"], number(difference, "+.2f")
    tip = f"difference {said}\nlow {number(low, '+.2f')}\nhigh {number(high, '+.2f')}"
    ticks = "".join(_text(number(tick, "+g"), tick, reach, "at tick") for tick in _ticks(reach))
    scale = f"← {shortened(names[0], 20)} better · percentage points · {shortened(names[1], 20)} better →"
    return _figure(
        "The difference in accuracy with its 95% CI; the dashed line is no difference",
        f'<div class="difference" title="{escape(tip)}"><i class="zero"></i>'
        + _interval(low, high, reach, color)
        + _dot(difference, reach, color)
        + _text(said, difference, reach, "at")
        + f"{ticks}</div><figcaption>{escape(scale)}</figcaption>",
    )


def metric_rows(frame: pd.DataFrame, names: tuple[str, str]) -> str:
    """Each metric's difference as a dot with its 95% CI, turned so that right is better for B, on a scale of its own.

    Columns as tables.overview.metric_rows: metric, shown, brief (what is shown where that does not fit), ci, lacking
    (why there is no interval), x, low, high (-1..1; NaN without interval), significant, color ("A" or "B": whom it
    favours), method. Filled where significant.
    """
    rows = []
    for row in frame.to_dict("records"):
        tip = f"{row['metric']}\nA → B: {row['shown']}\n95% CI: {row['ci']}\n{row['method']}"
        color = COLORS[row["color"]]
        plot = "" if row["lacking"] else '<i class="zero"></i>'  # words are not struck through
        if np.isfinite(row["x"]):
            plot += _interval(row["low"], row["high"], _EDGE, color) + _dot(row["x"], _EDGE, color, row["significant"])
        why = f'<div class="why">{escape(row["lacking"])}</div>' if row["lacking"] else ""
        numbers = "".join(f'<span class="{name}">{escape(row[name])}</span>' for name in ("shown", "brief"))
        rows.append(
            f'<span class="name">{escape(row["metric"])}</span>'
            f'<div class="plot" title="{escape(tip)}">{plot}{why}</div><span>{numbers}</span>'
        )
    return _figure(
        f"Each metric with the 95% CI of its difference, right where {names[1]} is better than {names[0]}; "
        "filled where significant",
        '<div class="metrics"><span></span><span class="plot">← A better · B better →</span><span></span>'
        f"{''.join(rows)}</div><figcaption>each row has its own scale; filled: significant</figcaption>",
    )


def group_rows(frame: pd.DataFrame, letters: Mapping[str, str] | None = None) -> str:
    """Models by accuracy, a column for each group without significant differences. Columns: tables.models.group_frame.

    `letters` are the keys, "A" or "B", of the models compared, which are in their colours.
    """
    keys = letters or {}
    models = frame.sort_values("accuracy", ascending=False, kind="stable").drop_duplicates("model")
    row_of = {name: place for place, name in enumerate(models["model"], 3)}
    drawn = frame[frame["letter"] != ""]
    by_letter = drawn.groupby("letter", sort=False)["model"]
    groups = {letter: sorted(row_of[name] for name in of) for letter, of in by_letter}
    columns = {letter: place for place, letter in enumerate(groups, 2)}
    last = len(columns) + 2
    cells = [_cell("group", 1, f"2 / {last}")] if groups else []
    cells += [_cell(letter, 2, column) for letter, column in columns.items()]
    for letter, rows in groups.items():
        place = f"grid-row:{rows[0]} / {rows[-1] + 1};grid-column:{columns[letter]}"
        cells.append(f'<i class="joined" style="{place};background:{NEUTRAL}"></i>')
    for model in models.to_dict("records"):
        name, row = model["model"], row_of[model["model"]]
        accuracy, color = model["accuracy"], COLORS.get(keys.get(name, ""), NEUTRAL)
        tip = f"{name}\naccuracy {number(accuracy, '.2%')}\ngroups {model['letters']}"
        cells.append(_cell(escape(shortened(name, _MOST_LETTERS)), row, 1, "name"))
        for letter in drawn.loc[drawn["model"] == name, "letter"]:
            dot = f'<i class="dot" style="background:{color};border-color:{color}"></i>'
            cells.append(_cell(dot, row, columns[letter], "plot", tip))
        cells.append(_cell(number(accuracy, ".1%"), row, last, "number"))
    between = f"repeat({len(columns)}, minmax(1.1em, 1fr)) " if columns else ""
    grid = f'<div class="groups" style="grid-template-columns:max-content {between}max-content">{"".join(cells)}</div>'
    if not columns:
        few = f"<figcaption>more than {MOST_GROUPS} groups, too many to be drawn: see the pairs</figcaption>"
        return _figure("Models in order of accuracy", grid + few)
    return _figure("Models in order of accuracy; those that share a column do not differ significantly (Holm)", grid)


def _figure(description: str, content: str) -> str:
    return f'<figure class="marks" aria-label="{escape(description)}">{content}</figure>'


def _cell(content: str, row: int, column: int | str, kind: str = "plot", tip: str = "") -> str:
    title = f' title="{escape(tip)}"' if tip else ""
    return f'<span class="{kind}" style="grid-row:{row};grid-column:{column}"{title}>{content}</span>'


def _text(text: str, value: float, reach: float, kind: str) -> str:
    return f'<span class="{kind}" style="left:{_at(value, reach)}">{text}</span>'


def _dot(value: float, reach: float, color: str, filled: bool = True) -> str:
    ground = color if filled else "transparent"
    return f'<i class="dot" style="left:{_at(value, reach)};border-color:{color};background:{ground}"></i>'


def _interval(one: float, other: float, reach: float, color: str) -> str:
    """A line between two ends, in either order."""
    low, high = sorted((one, other))
    width = f"{50 * (high - low) / reach:.2f}%"
    return f'<i class="line" style="left:{_at(low, reach)};width:{width};background:{color}"></i>'


def _at(value: float, reach: float) -> str:
    """Where `value` is on an axis from −reach to reach, in CSS."""
    return f"{50 + 50 * value / reach:.2f}%"


def _ticks(reach: float) -> list[float]:
    """At most _MOST_TICKS round numbers about zero between −reach and reach."""
    power = 10.0 ** np.floor(np.log10(reach))
    steps = (step * power * scale for scale in (0.1, 1) for step in (1, 2, 5))
    step = next(step for step in steps if 2 * int(reach / step) + 1 <= _MOST_TICKS)
    most = int(reach / step)
    return [step * place for place in range(-most, most + 1)]
