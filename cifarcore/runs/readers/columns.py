"""Which array or column of someone's file says what, by its heading and its values.

Nothing that may say which image a row is gets lost: it is used, or refused, or named as unused.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cifarcore.data.image_folder import EXTENSIONS
from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions, as_class_labels, as_sample_ids, as_texts
from cifarcore.runs.readers.roles import PARTS, PREDICTED, heading_key, role_of
from cifarcore.text import quoted

READ = ("labels", "sample_ids", "files", "rows")  #: the roles that are read
FEWEST = 10  #: rows from which numbers of rows, or texts that all differ, are known as such under any heading
_NUMBER = re.compile(r"\s*[+-]?[\d.,]+([eE][+-]?\d+)?\s*")
_HEX = re.compile(r"[0-9a-fA-F]{16}")


@dataclass(frozen=True)
class Roles:
    """Which column says what; empty where none does."""

    labels: str = ""
    sample_ids: str = ""
    files: str = ""
    rows: str = ""  #: numbers of rows in the order of the images
    classes: tuple[str, ...] = ()  #: columns of scores, in their order
    unused: tuple[str, ...] = ()
    numbered: tuple[tuple[int, str], ...] = ()  #: as Predictions.numbered


def roles_of(columns: Mapping[str, np.ndarray], known: Collection[str] = (), scores: bool = True) -> Roles:
    """The role of each of `columns`, arrays (N, ...); `known` are names of classes, as far as they are known before.

    With `scores`, numbers under any other heading are the scores of the class of that name. Raises CifarcoreError
    where two columns contradict one another, or where one that is not understood may say which image a row is.
    """
    by_role: dict[str, list[str]] = {role: [] for role in READ}
    classes, unused = [], []
    of_labels = [text for name, values in columns.items() if role_of(name) == "labels" for text in texts_of(values)]
    known = {_plain(name) for name in {*known, *of_labels}}
    for name, values in columns.items():
        role = role_of(name)
        if role and scores and _are_scores(name, values, role, known):
            role = ""
        elif role == "place":
            role = _by_values(values)
        elif not role and (_plain(name) not in known or not scores):
            role = _by_looks(values)
        if role in by_role:
            by_role[role].append(name)
        elif role or not scores:
            unused.append(name)
        else:
            classes.append(name)
    choose = {"labels": one_of_labels, "sample_ids": _same, "files": _files_of, "rows": _rows_of}
    chosen = {role: choose[role](names, columns) if names else "" for role, names in by_role.items()}
    if not (chosen["files"] or chosen["sample_ids"]):
        _refuse_overlooked([name for name in unused if not role_of(name)], columns)
    unused += [name for role, names in by_role.items() for name in names if name != chosen[role]]
    numbered = _numbered(chosen["labels"], by_role["labels"], columns)
    return Roles(**chosen, classes=tuple(classes), unused=tuple(unused), numbered=numbered)


def with_roles(read: Predictions, roles: Roles, columns: Mapping[str, np.ndarray]) -> Predictions:
    """`read` with what the columns of these roles say, and where it stood."""
    changes: dict[str, Any] = {}
    if name := roles.labels:
        given = columns[name]
        if given.dtype.kind == "b" and not {"true", "false"} & set(map(str.casefold, read.columns or ())):
            given = given.astype(np.int64)  # of two classes of other names, the first and the second
        changes["labels"] = as_class_labels(given)
    if name := roles.sample_ids:
        changes["sample_ids"] = as_sample_ids(columns[name])
    if name := roles.files:
        changes["files"] = as_texts(columns[name], name)
    if name := roles.rows:
        changes["rows"] = row_numbers(columns[name])
    sources = tuple((role, name) for role in READ if (name := getattr(roles, role)))
    unused = (*read.unused, *roles.unused)
    return replace(read, **changes, sources=(*read.sources, *sources), unused=unused, numbered=roles.numbered)


def row_numbers(values: np.ndarray) -> np.ndarray | None:
    """Whole numbers (N,) as int64, also where they are text; None for anything else."""
    numbers = numbers_of(values)
    if numbers is None or not len(numbers) or not (np.abs(numbers) < 2**53).all() or fractions(numbers):
        return None
    return numbers.astype(np.int64)


def count_from(numbers: np.ndarray) -> int | None:
    """0 or 1 where the numbers are all of 0..N-1 or of 1..N, in any order; else None."""
    first = int(numbers.min())
    return first if first in (0, 1) and (np.sort(numbers) == np.arange(first, first + len(numbers))).all() else None


def _are_scores(name: str, values: np.ndarray, role: str, known: Collection[str]) -> bool:
    """Whether a column headed like a role is the class of that name: neither labels nor row numbers have fractions."""
    numbers = numbers_of(values)
    return numbers is not None and (_plain(name) in known or (role != "other" and fractions(numbers)))


def _by_values(values: np.ndarray) -> str:
    if row_numbers(values) is not None:
        return "rows"
    texts = texts_of(values)
    if (
        values.ndim == 1
        and values.dtype.kind == "u"
        or (texts and all(_HEX.fullmatch(text) or _is_digits(text) for text in texts))
    ):
        return "sample_ids"
    return "files" if texts else "other"


def _by_looks(values: np.ndarray) -> str:
    """What a column of an unknown heading is: files by their suffixes, or `other` where it cannot be a class."""
    texts = texts_of(values)
    if texts and all(text.lower().endswith(EXTENSIONS) for text in texts):
        return "files"
    if (
        values.ndim != 1
        or values.dtype.kind == "b"
        or (texts and all(texts) and not any(map(_NUMBER.fullmatch, texts)))
    ):
        return "other"
    numbers = None if len(values) < FEWEST or fractions(values[:FEWEST]) else row_numbers(values)
    return "other" if numbers is not None and count_from(numbers) is not None else ""


def _refuse_overlooked(names: list[str], columns: Mapping[str, np.ndarray]) -> None:
    for name in names:
        numbers, texts = row_numbers(columns[name]), texts_of(columns[name])
        if len(columns[name]) < FEWEST:
            continue
        shuffled = numbers is not None and count_from(numbers) is not None and bool((np.diff(numbers) < 0).any())
        if shuffled or (texts and len(set(texts)) == len(texts)):
            raise CifarcoreError(
                f"{name[:60]!r} differs in every row, so it may say which image a row is; call it "
                f"{'index' if shuffled else 'file'} if it does, or leave it out"
            )


def one_of_labels(names: list[str], columns: Mapping[str, np.ndarray]) -> str:
    """Of several columns of labels that agree one to one, the one of names."""
    best = min(names, key=lambda name: row_numbers(columns[name]) is not None)
    for name in names if len(names) > 1 else ():
        pairs = set(zip(*(map(str, columns[key].tolist()) for key in (best, name)), strict=True))
        if not len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
            raise CifarcoreError(_contradiction(best, name))
    return best


def _numbered(chosen: str, names: list[str], columns: Mapping[str, np.ndarray]) -> tuple[tuple[int, str], ...]:
    """The numbers that one of the columns `names` has for the labels in the column `chosen`, where these are names."""
    texts = texts_of(columns[chosen]) if chosen else []
    if not texts or row_numbers(columns[chosen]) is not None:
        return ()
    numbers = [each for name in names if (each := row_numbers(columns[name])) is not None]
    return tuple(sorted(set(zip(numbers[0].tolist(), texts, strict=True)))) if numbers else ()


def answers_beside(columns: Mapping[str, np.ndarray], scores: np.ndarray) -> tuple[tuple[int, str, int], ...]:
    """Predictions.answers, of the first of `columns` that holds a predicted class beside the `scores` (N, C)."""
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        return ()
    for name, values in columns.items():
        if heading_key(name) in PREDICTED and len(answers := _as_answers(values)) == len(scores):
            highest = scores.argmax(axis=1)
            if scores.shape[1] == 1:  # of the second of two classes
                highest = (scores[:, 0] > (0.5 if scores.min(initial=0) >= 0 else 0)).astype(np.int64)
            counts = Counter(zip(highest.tolist(), answers, strict=True))
            return tuple((column, answer, count) for (column, answer), count in counts.items())
    return ()


def _as_answers(values: np.ndarray) -> list[str]:
    """Predicted classes by name, number or truth, as text; nothing where these are something else."""
    if (numbers := row_numbers(values)) is not None:
        return list(map(str, numbers.tolist()))
    return list(map(str, values.tolist())) if values.ndim == 1 and values.dtype.kind == "b" else texts_of(values)


def several_parts(columns: Mapping[str, np.ndarray], unused: Collection[str]) -> tuple[str, ...]:
    """Notes on `unused` ones of `columns` that say which rows are of another split, model or epoch: all rows count."""
    notes = []
    for name in unused:
        values = np.unique(columns[name].astype(str)) if heading_key(name) in PARTS and columns[name].ndim == 1 else ()
        if 1 < len(values) < len(columns[name]):
            shown = ", ".join(quoted(value) for value in values[:3].tolist()) + (", …" if len(values) > 3 else "")
            notes.append(f"{quoted(name)} is {shown}, and the rows of all count: leave out those that are not meant")
    return tuple(notes)


def _same(names: list[str], columns: Mapping[str, np.ndarray]) -> str:
    for name in names[1:]:
        if not np.array_equal(columns[names[0]], columns[name]):
            raise CifarcoreError(_contradiction(names[0], name))
    return names[0]


def _files_of(names: list[str], columns: Mapping[str, np.ndarray]) -> str:
    """Of a picture's path and its own name, the path."""
    best = max(names, key=lambda name: sum(len(str(cell)) for cell in columns[name].tolist()))
    for name in names:
        pairs = zip(columns[best].tolist(), columns[name].tolist(), strict=True)
        if not all(str(path).endswith(str(end)) for path, end in pairs):
            raise CifarcoreError(_contradiction(best, name))
    return best


def _rows_of(names: list[str], columns: Mapping[str, np.ndarray]) -> str:
    """Numbers in the order of the file say nothing beside others."""
    numbers = {name: np.asarray(row_numbers(columns[name])) for name in names}
    telling = [name for name in names if (np.diff(numbers[name]) != 1).any()]
    return _same(telling, numbers) if telling else names[0]


def _plain(name: str) -> str:
    return name.strip().casefold()


def _contradiction(one: str, other: str) -> str:
    return f"{one[:60]!r} and {other[:60]!r} mean the same and differ; keep one"


def numbers_of(values: np.ndarray) -> np.ndarray | None:
    """A column of numbers, also as text; None for anything else."""
    if values.ndim != 1 or values.dtype.kind not in "iufUOT":
        return None
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        return None


def fractions(numbers: np.ndarray) -> bool:
    return numbers.dtype.kind == "f" and bool((np.isfinite(numbers) & (numbers != np.floor(numbers))).any())


def texts_of(values: np.ndarray) -> list[str]:
    """The cells of a column of text, else nothing."""
    if values.ndim != 1 or values.dtype.kind not in "UOT":
        return []
    cells = values.tolist()
    return [cell.strip() for cell in cells] if all(isinstance(cell, str) for cell in cells) else []


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()
