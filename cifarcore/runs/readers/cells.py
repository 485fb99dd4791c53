"""Scores that stand in one cell for each image: a list, names with their scores, or ranks with the names beside them.

All classes are there, or the file is refused: a score that is left out is no zero.
"""

import ast
import json
import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import MAX_BYTES, MAX_CLASSES
from cifarcore.runs.readers.pairs import has_several, names_differ, pair, refuse_several
from cifarcore.runs.readers.roles import SCORES
from cifarcore.text import quoted

_NAMES = re.compile(r"((class|display)_?)?(index|indices|ids?|labels?|class|classes|names?|category|categories)", re.I)
_RANKED = re.compile(r"(.*\D)(\d+)")
_NUMPY = re.compile(r"np\.\w+\(([^()]*)\)")
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
#: by one walk through the text: an open quote would be looked for from each quote on
_ALL_QUOTED = re.compile(rf"[\[\], \n\t]*+(?:(?:{_QUOTED.pattern})[\[\], \n\t]*+)++")
#: whether every quote is closed
_CLOSED = re.compile(rf"(?:[^'\"]++|{_QUOTED.pattern})*+")
#: a text as Python or JSON writes it, or what counts a class before its colon
_NAMED = re.compile(rf"{_QUOTED.pattern}|(?<=[{{,\s])(-?\d+)(?=\s*:)")
_LONGEST = 1 << 21  #: characters of a cell with the scores of all classes
_OBJECT = 64  #: bytes of a name, or of a pair, at least
_LIST = re.compile(r"\s*((tensor|array)\(\s*)?[\[{]")


class Cells(NamedTuple):
    """What the cells of one column hold."""

    heading: str
    scores: np.ndarray  #: float64 (N, C)
    classes: tuple[str, ...] | None  #: the class of each column, where the cells name them
    read: tuple[str, ...]  #: headings of all columns that were read for it
    unordered: bool = False  #: as Predictions.unordered


def cells_of(table: pd.DataFrame) -> Cells | None:
    """The scores of a table whose rows have them in one cell; None for any other table.

    Raises CifarcoreError where they are not those of all classes, or where two columns may be the scores.
    """
    lists = {name: rows for name in table if (rows := _rows(name, table[name])) is not None}
    read = {name: (name,) for name in lists}
    if not lists:
        lists, read = _ranked(table)
    names = [name for name, rows in lists.items() if _are_names(name, rows)]
    candidates = [name for name, rows in lists.items() if name not in names and not isinstance(_first(rows), str)]
    headed = [name for name in candidates if kind_of(name) is not None]
    others = table.drop(columns=[name for columns in read.values() for name in columns])
    if not candidates or not (headed or names or others.select_dtypes("float").empty):
        return None  # each class has its column, and the lists are something else
    if len(headed or candidates) > 1:
        raise CifarcoreError(f"columns {', '.join(map(repr, candidates[:5]))} may all be the scores; keep one")
    heading = (headed or candidates)[0]
    rows, used = lists[heading], read[heading]
    if isinstance(_first(rows), tuple):
        return _by_name(heading, rows, used)
    if not names:
        return Cells(heading, _matrix(heading, rows), None, used)
    beside = min(names, key=lambda name: not isinstance(_first(lists[name]), str))
    if other := next((name for name in names if name != beside and names_differ(lists[beside], lists[name])), None):
        raise CifarcoreError(f"{quoted(beside)} and {quoted(other)} may both name the classes, and differ; keep one")
    pairs = []
    for i, (classes, row) in enumerate(zip(lists[beside], rows, strict=True)):
        if len(classes) != len(row):
            raise CifarcoreError(
                f"{quoted(beside)} has {len(classes)} cells in row {i}, but {quoted(heading)} has {len(row)}"
            )
        pairs.append(list(zip(classes, row, strict=True)))
    return _by_name(heading, pairs, (*used, *(each for name in names for each in read[name])))


def kind_of(heading: str) -> str | None:
    """The kind of scores that a heading names, empty for any kind; None where it names none."""
    return SCORES.get(heading.rsplit(".")[-1].strip().lower())


def _rows(heading: str, column: pd.Series) -> list[list[Any]] | None:
    """The lists in the cells of a column, names with their scores as pairs; None where the cells hold none."""
    if column.dtype.kind not in "OUT" and not isinstance(column.dtype, pd.StringDtype):
        return None
    cells = column.tolist()
    if not cells or not _is_list(cells[0]):
        return None
    rows, size, several = [], 0, []
    for i, cell in enumerate(cells):
        if not _is_list(cell):
            raise CifarcoreError(f"{quoted(heading)} holds no list in row {i}, as it does in row 0")
        row = _parsed(heading, i, cell) if isinstance(cell, str) else cell
        if (array := _numbers(row)) is not None:
            rows.append(array)
            size += 8 * len(array)
        else:
            rows.append(list(row.items()) if isinstance(row, dict) else list(map(pair, row)))
            size += _OBJECT * len(row)
            several += [row] * (not isinstance(row, dict) and has_several(row))
        if size > MAX_BYTES:
            raise CifarcoreError(f"{quoted(heading)} holds more than the {MAX_BYTES >> 30} GiB that are read")
    if several:
        refuse_several(heading, several)
    return rows


def _numbers(row: Any) -> np.ndarray | None:
    """A cell's numbers as an array, since a list of them takes five times as much; None where it holds others."""
    if not isinstance(row, np.ndarray) and (isinstance(row, dict) or not all(isinstance(x, int | float) for x in row)):
        return None
    array = np.asarray(row)  # of whole numbers beyond 64 bits one of objects
    return array if array.ndim == 1 and array.dtype.kind in "fiub" else None


def _is_list(cell: object) -> bool:
    if isinstance(cell, str):
        return bool(_LIST.match(cell))
    return isinstance(cell, list | tuple | np.ndarray | dict) and len(cell) > 0


def _parsed(heading: str, row: int, text: str) -> Any:
    """A list as JSON, Python or NumPy print it."""
    if len(text) > _LONGEST:
        raise CifarcoreError(
            f"{quoted(heading)} has {len(text):,} characters in row {row}; give the scores of at most {MAX_CLASSES:,} "
            "classes"
        )
    if "..." in text:
        raise CifarcoreError(
            f"{quoted(heading)} was shortened to '...' when row {row} was printed; write numbers, as .npy does"
        )
    start, end = min(at for at in (text.find("["), text.find("{")) if at >= 0), max(text.rfind("]"), text.rfind("}"))
    inside = _NUMPY.sub(r"\1", text[start : end + 1])
    try:
        if "{" in inside:
            if not _CLOSED.fullmatch(inside):
                raise ValueError
            return json.loads(_NAMED.sub(_as_json, inside), object_pairs_hook=_without_twins)
        if _ALL_QUOTED.fullmatch(inside):
            return [one or other for one, other in _QUOTED.findall(inside)]  # NumPy prints no commas between them
        return [
            int(number) if number.isdecimal() else float(number)
            for number in re.split(r"[\s,]+", inside.strip("[] \n\t,"))
        ]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise CifarcoreError(
            f"{quoted(heading)} holds {text[:40]!r} in row {row}, which is no list of numbers"
        ) from None


def _as_json(found: re.Match[str]) -> str:
    """A text as JSON writes it: Python's own reader would take minutes, and a gigabyte, for what is no dictionary."""
    plain, _, number = found.groups()
    if number is not None:
        return f'"{number}"'
    text = found[0]
    if plain is None or "\\" not in text and '"' not in text:
        return text if plain is None else f'"{plain}"'
    return json.dumps(ast.literal_eval(text))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dictionary. Raises CifarcoreError where it has a key twice, of which only the last would be kept."""
    if len(read := dict(pairs)) < len(pairs):
        raise CifarcoreError(f"a cell names {len(pairs) - len(read)} of its {len(pairs)} classes twice")
    return read


def _ranked(table: pd.DataFrame) -> tuple[dict[str, list[list[Any]]], dict[str, tuple[str, ...]]]:
    """Columns index_0, index_1, ..., prob_0, prob_1, ... as one column of lists each, by their numbers."""
    families: dict[str, list[str]] = {}
    numbered = [(int(match[2]), name, match[1]) for name in table if (match := _RANKED.fullmatch(name))]
    for _, name, stem in sorted(numbered, key=lambda each: each[0]):
        families.setdefault(stem.rstrip("_ "), []).append(name)
    if not any(_NAMES.fullmatch(stem) for stem in families):
        return {}, {}
    longest = max(map(len, families.values()))
    read = {stem: tuple(names) for stem, names in families.items() if len(names) == longest}
    if len(read) < 2:
        return {}, {}
    cells = {
        stem: [_whole(table[name]) if _NAMES.fullmatch(stem) else table[name].tolist() for name in names]
        for stem, names in read.items()
    }
    return {stem: list(map(list, zip(*columns, strict=True))) for stem, columns in cells.items()}, read


def _whole(column: pd.Series) -> list[Any]:
    """The cells of a column that names classes: 2.0, as pandas writes 2 where a cell was empty once, is 2."""
    if column.dtype.kind == "f" and np.isfinite(column).all() and (column == np.floor(column)).all():
        return column.astype(np.int64).tolist()
    return column.tolist()


def _first(rows: list[list[Any]]) -> Any:
    return next((row[0] for row in rows if len(row)), None)


def _are_names(heading: str, rows: list[list[Any]]) -> bool:
    """Whether lists name classes: texts or whole numbers, no two alike in a row."""
    if not _NAMES.fullmatch(heading.rsplit(".")[-1]):
        return False
    return all(isinstance(name, str | int | np.integer) for row in rows for name in row)


def _by_name(heading: str, rows: list[list[tuple[Any, Any]]], read: tuple[str, ...]) -> Cells:
    """Pairs of a class and its score, in any order, as scores (N, C) of the classes in the order of their names."""
    known = [{str(name): score for name, score in row} for row in rows]
    names = {name for row in known for name in row}
    fewest = min(map(len, known))
    if any(len(row) < len(pairs) for row, pairs in zip(known, rows, strict=True)):
        raise CifarcoreError(f"{quoted(heading)} names a class twice for one image")
    if fewest < len(names):
        raise CifarcoreError(
            f"{quoted(heading)} holds {fewest} of at least {len(names):,} classes for an image; write the scores of "
            "all (transformers: top_k=None; timm: --topk 0; Ultralytics: result.probs.data), or the class of the "
            "highest score alone in a column prediction"
        )
    if len(names) > MAX_CLASSES:
        raise CifarcoreError(f"{quoted(heading)} names {len(names):,} classes; at most {MAX_CLASSES:,} are read")
    classes = tuple(sorted(names, key=lambda name: (int(name) if name.isascii() and name.isdecimal() else -1, name)))
    scores = _matrix(heading, [[row[name] for name in classes] for row in known])
    return Cells(heading, scores, classes, read, unordered=any(tuple(row) != classes for row in known))


def _matrix(heading: str, rows: list[list[Any]]) -> np.ndarray:
    """Lists of numbers as one array; a list in a list, as of a batch of one image, counts as one."""
    first = len(rows[0])
    if (row := next((i for i, each in enumerate(rows) if len(each) != first), None)) is not None:
        raise CifarcoreError(f"{quoted(heading)} has {len(rows[row])} numbers in row {row}, but {first} in row 0")
    try:
        scores = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise CifarcoreError(f"{quoted(heading)} holds something other than numbers; give lists of scores") from None
    return scores[:, 0] if scores.ndim == 3 and scores.shape[1] == 1 else scores
