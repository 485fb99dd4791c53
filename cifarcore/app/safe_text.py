"""Text from files made safe to show and to export: literal Markdown, and CSV without formulas."""

import re
from collections.abc import Collection

import pandas as pd

from cifarcore.errors import readable
from cifarcore.text import no_formula, one_line, without_folders

MOST_CSV_ROWS = 100_000


#: what Streamlit still makes links, icons, pictures and arrows of when escapes are already resolved
_AFTER_PARSING = re.compile(
    r"""
    (?<=:)(?=(?:material[/_])?[\w+-]+:)              # :material/home:, :smile:, :streamlit:
    | (?<=://)(?=\S) | (?<=www)(?=\.) | (?<=@)(?=\w)  # addresses of pages and of mail
    | (?:(?<=\s)|^)[<>~=-](?=[>=-]{1,2}(?:\s|$))     # -> <- <-> -- >= <= ~=
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~$:&^=-])|(?<=^\d)[.](?=\s|$)|(?<=^\d\d)[.](?=\s|$)")
_NUMBERS = re.compile(r"[+-]?[\d.,]+%?(?: (?:to|±) [+-]?[\d.,]+%?)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_INTERVAL = re.compile(r"(?P<low>[+-]?[\d.,]+%?) to (?P<high>[+-]?[\d.,]+%?)")
_WORD_JOINER = "\u2060"  # seen by nobody, and by no pattern


def escape(text: object, limit: int = 80) -> str:
    """`text` from a file as one line of literal Markdown: nothing in it is formatted, linked, coloured or rendered as
    HTML, and nothing becomes an icon, an emoji or an arrow.
    """
    broken = _AFTER_PARSING.sub(lambda match: match[0] + _WORD_JOINER, one_line(text, limit))
    return _MARKUP.sub(lambda match: "\\" + match[0], broken)


def told(message: object, limit: int = 400) -> str:
    """An error, or what a process said of one, as `escape`: files and folders by their last names alone, since whoever
    sees a page need not know where its server keeps them.
    """
    if isinstance(message, OSError) and message.strerror:
        text = ": ".join(filter(None, (readable(str(message.filename or "")), message.strerror)))
    else:
        text = str(message)
    return escape(without_folders(text), limit)


def csv(frame: pd.DataFrame, measured: Collection[str] = ()) -> bytes:
    """CSV of at most MOST_CSV_ROWS rows as spreadsheets and pandas read it: the one way of downloading a table.

    UTF-8 with a mark, by which spreadsheets know it; numbers with a plain minus, intervals in two columns; no formula.
    Those of the columns `measured`, which hold no names, stand without marks of thousands, which make them text.
    """
    frame = frame.head(MOST_CSV_ROWS)
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind != "O" and not isinstance(column.dtype, pd.StringDtype):
            columns[name] = column
            continue
        cells = [_cell(cell) for cell in column]
        ends = [_INTERVAL.fullmatch(cell) if isinstance(cell, str) else None for cell in cells]
        if any(ends) and all(end or cell == "" for end, cell in zip(ends, cells, strict=True)):
            columns |= {f"{name} {end}": [match[end] if match else "" for match in ends] for end in ("low", "high")}
        else:
            columns[name] = [_without_marks(cell) for cell in cells] if name in measured else cells
    return pd.DataFrame(columns, index=frame.index).to_csv(index=False, float_format="%.6g").encode("utf-8-sig")


def _without_marks(cell: object) -> object:
    return cell.replace(",", "") if isinstance(cell, str) and _THOUSANDS.fullmatch(cell) else cell


def _cell(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    text = one_line(cell, 1000)
    machine = text.replace("−", "-")  # a true minus is text to a spreadsheet
    return machine if _NUMBERS.fullmatch(machine) else no_formula(text)
