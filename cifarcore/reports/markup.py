"""Pieces of HTML that need no script and no network: tables, and charts drawn in advance. Text from files is
escaped.
"""

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.memory import address_limit
from cifarcore.text import shown

_ADDRESSES = 100 << 30  #: bytes that the library that draws reserves, of which it takes few

#: the reader's letters may be wider than those by which a chart was laid out, and a picture is cut at its edges
_LONG = 28  #: letters of a cell from which its column's lines wrap
MOST_COLUMNS = 12  #: of a table, of which any may wrap
#: letters, of light and of dark pages: a chart within a page is a picture, which the page's style does not reach
_LETTERS = {
    "#000": ("#1d2127", "#d5d8dd"),
    "#8a8f98": ("#565d68", "#b9bdc5"),
    "#2f7fc1": ("#2a6fab", "#6fb0e8"),
    "#e07b1a": ("#a0520c", "#f09a45"),
}
_PADDING = {"left": 36, "right": 20, "top": 5, "bottom": 5}


def prose(text: str) -> str:
    """`text` escaped, what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def table(rows: pd.DataFrame, most: int | None = None) -> str:
    """`rows` as a table, of which at most the first `most` are shown."""
    if rows.empty:
        return '<p class="note">None.</p>'
    listed = rows if most is None else rows.head(most)
    more = f'<p class="note">The first {most} of {len(rows):,}.</p>' if most is not None and len(rows) > most else ""
    wrapped = [f" wrap-{i}" for i, name in enumerate(listed, 1) if listed[name].astype(str).str.len().max() > _LONG]
    cells: str = listed.to_html(index=False, border=0, escape=True, na_rep="", max_rows=None)
    return f'<div class="scroll{"".join(wrapped)}">{cells}</div>{more}'


def chart(drawing: alt.Chart | alt.LayerChart, width: int, description: str | None = None, follows: bool = True) -> str:
    """The chart as an image in the page: drawn now, so that it needs no script, apart from the page's markup. It
    `follows` the reader's light or dark, unless it stands on a light ground always.
    """
    svg = _with_style(drawn(drawing.properties(width=width, padding=_PADDING), "svg"), follows)
    return image(svg, "image/svg+xml", description or str(drawing.description))


def _with_style(svg: bytes, follows: bool) -> bytes:
    """The drawing with letters that can be read on light and, if it `follows`, on dark ground, and no ground of its
    own.
    """
    light, dark = (
        "".join(f'text[fill="{letter}"]{{fill:{colors[mode]}}}' for letter, colors in _LETTERS.items())
        for mode in (0, 1)
    )
    lines = '[stroke="#ddd"]{stroke:#3a3f47}'
    style = f"svg>rect{{fill:none}}{light}"
    if follows:
        style += f"@media (prefers-color-scheme:dark){{{dark}{lines}}}"
    head, end, rest = svg.partition(b">")
    return head + end + f"<style>{style}</style>".encode() + rest


def drawn(drawing: alt.TopLevelMixin, kind: str, scale: float = 1.0) -> bytes:
    """The chart as a file of the kind svg or png. What is no character of XML is left out of its texts: the library
    that draws ends the whole process over it, as over a limit of addresses, for which CifarcoreError is raised.
    """
    if (limit := address_limit()) is not None and limit < _ADDRESSES:
        raise CifarcoreError(
            f"charts cannot be drawn under this shell's limit of addresses (ulimit -v {limit >> 10}), whatever memory "
            "there is; use ulimit -v unlimited, or leave the page out"
        )
    kind_of_chart: Any = type(drawing)
    with alt.data_transformers.enable("default", max_rows=None):  # it refuses 5,000 rows, as of a dozen seeds' curves
        of_text = kind_of_chart.from_dict(_readable(drawing.to_dict()))
    if kind == "svg":
        text = io.StringIO()
        of_text.save(text, format="svg")
        return text.getvalue().encode()
    picture = io.BytesIO()
    of_text.save(picture, format=kind, scale_factor=scale)
    return picture.getvalue()


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {shown(key): _readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return list(map(_readable, value))
    return shown(value) if isinstance(value, str) else value


def image(data: bytes, kind: str, description: str) -> str:
    """A picture of MIME type `kind` within the page, with its description for those who see it and those who do not."""
    encoded = base64.b64encode(data).decode()
    text = escape(description)
    return f'<figure><img src="data:{kind};base64,{encoded}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def pictures(items: Sequence[tuple[bytes | None, str]]) -> str:
    """Small pictures in a row, PNG each, with a line beneath; nothing of those that are None."""
    drawn = [
        f'<span class="picture"><img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt=""><br>'
        f"{escape(text)}</span>"
        for png, text in items
        if png
    ]
    return f'<div class="pictures">{"".join(drawn)}</div>' if drawn else ""
