"""Pieces of HTML that need no script and no network: tables, and charts drawn in advance. Text from files is
escaped.
"""

import base64
import io
from html import escape

import altair as alt
import pandas as pd


def section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def table(rows: pd.DataFrame, most: int | None = None) -> str:
    """`rows` as a table, of which at most the first `most` are shown."""
    if rows.empty:
        return '<p class="note">None.</p>'
    shown = rows if most is None else rows.head(most)
    more = f'<p class="note">The first {most} of {len(rows):,}.</p>' if most is not None and len(rows) > most else ""
    drawn: str = shown.to_html(index=False, border=0, escape=True, na_rep="", max_rows=None)
    return f'<div class="scroll">{drawn}</div>{more}'


def chart(drawing: alt.Chart | alt.LayerChart, width: int, description: str | None = None) -> str:
    """The chart as an image in the page: drawn now, so that it needs no script, apart from the page's markup."""
    svg = io.StringIO()
    drawing.properties(width=width).save(svg, format="svg")
    return image(svg.getvalue().encode(), "image/svg+xml", description or str(drawing.description))


def image(data: bytes, kind: str, description: str) -> str:
    """A picture of MIME type `kind` within the page, with its description for those who see it and those who do not."""
    encoded = base64.b64encode(data).decode()
    text = escape(description)
    return f'<figure><img src="data:{kind};base64,{encoded}" alt="{text}"><figcaption>{text}</figcaption></figure>'
