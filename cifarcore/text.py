"""Numbers and names as text, the same in the app, in reports and in the verdict. A leaf: knows NumPy alone.

A `form` is a format such as ".4f"; with a leading + the sign is always written. The minus is a true one.
"""

import re
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

_FORMULA = (
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
#: the folders of a path in full, with its drive on Windows; a part may have spaces within
_FOLDERS = re.compile(r"""(?<![\w/\\:.~])(?:/|[A-Za-z]:[/\\])(?:[^/\\:'"\s](?:[^/\\:'"\n]*[^/\\:'"\s])?[/\\])+""")
_NUMBERS = re.compile(r"[+-]|[+-]?[\d.,]+%?( (to|±) [+-]?[\d.,]+%?)?")


def without_folders(text: str) -> str:
    """`text` with files and folders by their last names alone: where it is shown letter by letter, such as a log."""
    return _FOLDERS.sub("", text)


def number(value: float, form: str) -> str:
    """A number as text, with a true minus, which nothing that is rounded to zero has; nothing for NaN."""
    text = "" if np.isnan(value) else format(value, form)
    return text.replace("-", "−") if text.strip("-+0.,%") else text.replace("-", "+" if "+" in form else "")


def rough(value: float) -> str:
    """A number to two digits, never with an exponent, such as "0.036", "1.2" or "120"."""
    if abs(value) >= 9.95 or np.isnan(value):
        return number(float(f"{value:.2g}"), ",.0f")
    return np.format_float_positional(value, precision=2, fractional=False, unique=False, trim="-")


def interval(low: float, high: float, form: str) -> str:
    """Such as "0.1 to 0.2"; empty where either is NaN."""
    return "" if np.isnan(low) or np.isnan(high) else f"{number(low, form)} to {number(high, form)}"


def p_value(value: float) -> str:
    """A p-value, or a q-value, as text; nothing for NaN."""
    return "" if np.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def counted(n: int, one: str, several: str = "") -> str:
    """Such as "1 image" or "2,000 images"; `several` where the plural is more than an s."""
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def std(values: Sequence[float]) -> float:
    """Sample standard deviation (n-1) of values (n,), in their unit; NaN for a single one."""
    return float(np.std(np.asarray(values, float), ddof=1)) if len(values) > 1 else np.nan


def with_spread(mean: float, spread: float, form: str) -> str:
    """Mean ± standard deviation as text, the mean alone where there is none (NaN)."""
    return number(mean, form) + ("" if np.isnan(spread) else f" ± {number(spread, form)}")


def mean_with_spread(values: Sequence[float], form: str) -> str:
    """`with_spread` of values (n,)."""
    return with_spread(float(np.mean(np.asarray(values, float))), std(values), form)


def plain(text: object, limit: int = 80) -> str:
    """`text` from a file as one line of at most `limit` printable characters, for charts, tables and options.

    Charts and tables can be downloaded as CSV by Streamlit's own buttons, so it is no formula either.
    """
    return no_formula(one_line(text, limit))


def distinct(names: Iterable[str], limit: int = 80) -> list[str]:
    """`plain` of each name, with a number where that made it like one before."""
    shown: dict[str, None] = {}
    last: dict[str, int] = {}  # of each name: thousands that are alike would be counted anew for each
    for name in (plain(each, limit) for each in names):
        text, number = name, last.get(name, 1)
        while text in shown:
            number += 1
            text = f"{name} ({number})"
        shown[text], last[name] = None, number
    return list(shown)


def spaced(name: object) -> str:
    """A class's name as it is shown: with spaces for underscores."""
    return str(name).replace("_", " ")


def no_formula(text: str) -> str:
    """`text` as a spreadsheet takes for text: a leading = + - @ gets a quote, but for numbers (OWASP, "CSV
    injection").
    """
    return f"'{text}" if text[:1] in _FORMULA and text and not _NUMBERS.fullmatch(text) else text


def printable(text: str) -> str:
    """`text` without what would steer a terminal: of characters that cannot be printed, ends of lines and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def shown(text: str) -> str:
    """`text` without what no page and no chart may hold: control characters but ends of lines and tabs, what turns the
    direction of writing, and what is no character.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else "" for c in text)


class _Brief(reprlib.Repr):
    """Cut by structure: a few bytes of a file can stand for lists that have no end when they are printed."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxstring, self.maxother = 2, 4, 60, 60
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 4

    def repr_int(self, number: int, level: int) -> str:
        return repr(number) if abs(number) < 10**30 else "a huge number"  # of which Python may print no digit


def brief(value: object) -> str:
    """What a value from a file is, on one line of bounded length: the only way for one into a message."""
    return one_line(_Brief().repr(value), 100)


def one_line(text: object, limit: int) -> str:
    """`text` on one line, what cannot be printed left out, `shortened` to `limit` characters."""
    return shortened(" ".join("".join(c if c.isprintable() else " " for c in str(text)).split()), limit)


def quoted(name: object, limit: int = 60) -> str:
    """A name from a file as messages quote it, however long it is there."""
    return repr(one_line(name, limit))


def shortened(text: str, limit: int) -> str:
    """`text` cut in its middle to at most `limit` characters: names that are alike differ at their ends, and messages
    end with what to do.
    """
    half = (limit - 1) // 2
    return text if len(text) <= limit else f"{text[: limit - 1 - half]}…{text[len(text) - half :]}"


def keyed(letter: str, name: str, limit: int = 22) -> str:
    """A model as tables and charts head it: its key, "A" or "B", and its name, `shortened`."""
    return f"{letter} {shortened(name, limit)}"


def count_form(*values: Sequence[float], sign: str = "") -> str:
    """The form of counts of images: whole where all are, as those of a single run; means with one digit."""
    whole = all((np.asarray(each, float) % 1 == 0).all() for each in values)
    return f"{sign}{'.0f' if whole else '.1f'}"
