"""A table of one row for each image, whatever file it was in: its columns are roles, and all others one class each."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import MAX_BYTES, MAX_COLUMNS, MAX_IMAGES
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.binary import FIRST
from cifarcore.runs.readers.cells import Cells, cells_of, kind_of
from cifarcore.runs.readers.columns import (
    READ,
    Roles,
    answers_beside,
    fractions,
    roles_of,
    several_parts,
    texts_of,
    with_roles,
)
from cifarcore.runs.readers.long_form import one_row_each
from cifarcore.runs.readers.predicted import predicted_classes
from cifarcore.runs.readers.roles import PREDICTED, PREFIXES, heading_key, role_of
from cifarcore.text import one_line, quoted

UNORDERED = "unordered"  #: among the `attrs` of a table whose rows had its columns in different orders
_WHOLE = re.compile(r"\d+\.0+")


def from_table(table: pd.DataFrame, known: Collection[str] = ()) -> Predictions:
    """A row for each image: columns of labels, sample ids, files or row numbers, all others one class each.

    `known` are names of classes, as far as they are known before: a class may be called like a role.
    """
    table.columns = list(map(str, table.columns))
    refuse_repeated(list(table.columns))
    for name in table:
        if table[name].dtype.kind == "O" and len(table) and isinstance(table[name].iloc[0], bytes):
            table[name] = [cell.decode("utf-8") if isinstance(cell, bytes) else cell for cell in table[name]]
    unused: tuple[str, ...] = ()
    if gathered := one_row_each(table):
        table, unused = gathered
    cells = cells_of(table)
    others = {name: table[name].to_numpy() for name in table if cells is None or name not in cells.read}
    for name, values in others.items():
        if role_of(name) == "labels" or heading_key(name) in PREDICTED:
            others[name] = _without_fractions(values, {*known, *table.columns})
    named = {*known, *(text for name in others if role_of(name) == "labels" for text in texts_of(others[name]))}
    roles = roles_of(others, known, scores=cells is None)
    hard = predicted_classes(others, roles, known) if cells is None and len(roles.classes) < 2 else None
    roles = hard[1] if hard else roles
    used = [name for role in READ if (name := getattr(roles, role))]
    if hard:
        read = hard[0]
        used.append(hard[0].sources[0][1])
    elif cells is None:
        scores = _scores(table, roles, used)
        names = without_prefix(list(roles.classes), named)
        read = Predictions(scores, columns=names, headed=names == roles.classes, unordered=UNORDERED in table.attrs)
    else:
        classes = None if cells.classes is None else without_prefix(list(cells.classes), named)
        _refuse_other_scores(cells, table[[name for name in roles.unused if fractions(others[name])]])
        kind = kind_of(cells.heading) or ""
        sources = (("scores", cells.heading),)
        read = Predictions(cells.scores, kind, classes, unordered=cells.unordered, sources=sources)
    read = read if hard else replace(read, answers=answers_beside(others, read.scores))
    for name in used:
        empty = table[name].isna() | (table[name].astype(object) == "")
        if empty.any():
            raise CifarcoreError(f"column {quoted(name)} is empty in row {int(empty.argmax())}")
    read = with_roles(read, roles, {name: others[name] for name in used})
    notes = (*read.notes, *several_parts(others, roles.unused))
    return replace(read, unused=(*read.unused, *unused), notes=notes)


def _refuse_other_scores(cells: Cells, beside: pd.DataFrame) -> None:
    """Raises CifarcoreError where as many columns of numbers are `beside` the lists of scores as these have classes,
    and are highest elsewhere, as those of another model.
    """
    if cells.classes is not None and set(cells.classes) == set(beside):
        beside = beside[list(cells.classes)]
    others = beside.to_numpy(np.float64)
    if others.shape != cells.scores.shape or others.shape[1] < 2 or not np.isfinite(others).all():
        return
    here = np.take_along_axis(others, cells.scores.argmax(axis=1)[:, None], axis=1)[:, 0]
    if (here < others.max(axis=1)).any():
        raise CifarcoreError(
            f"the lists in {quoted(cells.heading)} and the columns {quoted(str(beside.columns[0]))} to "
            f"{quoted(str(beside.columns[-1]))} may both be the scores, and differ; keep one"
        )


def refuse_unbounded(content: bytes, most: int, separators: str = ",") -> None:
    """Raises CifarcoreError for text of more lines than images are read, or of more than `most` columns beside one or
    two that say which image it is: pandas makes a name, and a column, of each.
    """
    refuse_long((content.count(b"\n") + content.count(b"\r")) // 2 - 1)
    header = re.split(rb"[\r\n]", content.lstrip(b"\xef\xbb\xbf \t\r\n"), maxsplit=1)[0]
    if max(header.count(separator.encode()) for separator in separators) > most + 1:
        raise CifarcoreError(f"more than {most} columns; leave some out")
    if header.count(b'"') % 2:  # the rest of the header would be further lines
        raise CifarcoreError("a heading has a line break; write the header on one line")


def _without_fractions(values: np.ndarray, names: Collection[str]) -> np.ndarray:
    """Classes by number as text without the .0 that pandas gives them where a cell was empty once; unless one of
    `names` is such.
    """
    texts = texts_of(values)
    if not texts or set(texts) & set(names) or not all(map(_WHOLE.fullmatch, texts)):
        return values
    return np.array([text.partition(".")[0] for text in texts], dtype=object)


def _scores(table: pd.DataFrame, roles: Roles, used: list[str]) -> np.ndarray:
    """The columns of the classes as float64 (N, C)."""
    classes, others = list(roles.classes), [*used, *roles.unused]
    if len(classes) < 2 and not (classes and fractions(table[classes[0]].to_numpy())):
        raise CifarcoreError(
            f"{len(classes)} columns of classes beside {one_line(', '.join(others), 300) or 'none other'}; "
            "give one column of scores for each class, headed by its name, or the predicted class of each image in a "
            "column prediction (timm's index or label)"
        )
    for name in classes:
        if not pd.api.types.is_numeric_dtype(table[name]):  # a class may be called like a role, whose cells are text
            texts = table[name].map(str)
            numbers = pd.to_numeric(texts, errors="coerce")
            wrong = numbers.isna() & table[name].notna() & (texts != "")
            if wrong.any() or role_of(name) == "":
                examples = table[name][wrong if wrong.any() else table[name].notna()].map(str).tolist()
                held = f"holds {examples[0][:40]!r}, not a number" if examples else "is empty"
                percent = "; write 12.5% as 0.125" if examples and examples[0].strip().endswith("%") else ""
                raise CifarcoreError(f"column {quoted(name)} {held}; each column is one class's score{percent}")
            table[name] = numbers
    return table[classes].to_numpy(np.float64)


def without_header(table: pd.DataFrame, is_picture: Callable[[object], bool]) -> Predictions:
    """Rows of scores whose columns have no names; one column of picture files may be among them."""
    remedy = "head every column: file, label, and each class's name over its scores"
    files, scores = [], []
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        if not numeric and not table[name].map(is_picture).all():
            cell = str(table[name].iloc[0])[:40]
            raise CifarcoreError(f"the file has no header, and column {name} holds {cell!r}; {remedy}")
        (scores if numeric else files).append(name)
    whole = [name for name in scores if pd.api.types.is_integer_dtype(table[name])]
    if doubtful := files[1:] or (whole if len(whole) < len(scores) else []):
        raise CifarcoreError(
            f"the file has no header, and column {doubtful[0]} may be something other than scores; {remedy}"
        )
    read = Predictions(table[scores].to_numpy(np.float64))
    return replace(read, files=tuple(map(str, table[files[0]]))) if files else read


def refuse_repeated(names: list[str]) -> None:
    refuse_wide(len(names))
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise CifarcoreError(f"column {quoted(repeated[0])} is there twice; keep one")


def refuse_wide(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise CifarcoreError(f"{columns:,} columns; at most {MAX_COLUMNS:,} are read")


def refuse_long(rows: int) -> None:
    if rows > MAX_IMAGES:
        raise CifarcoreError(f"{rows:,} rows; at most {MAX_IMAGES:,} are read")


def refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise CifarcoreError(f"{size / 2**30:.1f} GiB when read; at most {MAX_BYTES >> 30} GiB are")


def without_prefix(names: list[str], known: Collection[str] = ()) -> tuple[str, ...]:
    """The headings without what says that they are scores; as they are where one is `known` for a class's name."""
    if not {heading_key(name) for name in known}.isdisjoint(map(heading_key, names)):
        return tuple(names)  # without it, class_10 would be the tenth class of whatever order
    if len(names) == 1 and heading_key(names[0]) in FIRST:
        return (heading_key(names[0]),)
    for prefix in PREFIXES:
        if all(name.lower().startswith(prefix) and len(name) > len(prefix) for name in names):
            return tuple(name[len(prefix) :] for name in names)
    return tuple(names)
