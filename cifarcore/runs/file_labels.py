"""Labels that come with the names of files: a table with a file and its label in each line, or two columns of the
predictions.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data.picture_files import EXTENSIONS
from cifarcore.errors import CifarcoreError
from cifarcore.runs.by_name import AMBIGUOUS, MISSING, lines_of
from cifarcore.runs.class_names import read_class_names
from cifarcore.runs.classes import are_digits
from cifarcore.runs.formats import read_labelled_files, read_lines
from cifarcore.runs.predictions import Predictions, text_array
from cifarcore.runs.readers.columns import FEWEST, count_from, row_numbers
from cifarcore.runs.readers.roles import PREDICTED, heading_key, role_of

_MARKS = ("\t", ";", ",")
_PICTURE = re.compile(rf"({'|'.join(map(re.escape, EXTENSIONS))})([\"\s,;]|$)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_REMEDY = "write a CSV with the columns file and label, names that hold a comma in quotes"


def read_file_labels(path: str) -> dict[str, str] | None:
    """The label of each file, by its name: the cells of a table under the heading of labels, or beside the only other
    column; of an `.npz` the arrays of both; None for a file that names no pictures.

    A first line that names no picture is the header; without one, the files and then the labels come first, or there
    are these two columns alone. Raises CifarcoreError where a file has two labels, and where it is open which column
    they are in.
    """
    if Path(path).suffix.lower() == ".npz":
        named = read_labelled_files(path)
        return None if named is None else _each_once(zip(*named, strict=True), Path(path).name)
    if Path(path).suffix.lower() == ".npy":
        return None
    lines, name = read_lines(path), Path(path).name
    if not all(map(_PICTURE.search, lines[1:] or lines)):
        return None
    try:
        header, rows = _table(lines)
        file = _column_of_files(header, rows)
        column = _column_of_labels(header, rows, file)
    except CifarcoreError as error:
        raise CifarcoreError(f"labels {name}: {error}") from None
    if short := next((row[file] for row in rows if column >= len(row) or not row[column]), None):
        raise CifarcoreError(f"labels {name}: {short[:100]!r} has no label; give one for each file")
    return _each_once(((row[file], row[column]) for row in rows), name)


def _each_once(pairs: Iterable[tuple[str, str]], name: str) -> dict[str, str]:
    """The label of each file of `pairs`. Raises CifarcoreError where one has two."""
    labels: dict[str, str] = {}
    for picture, label in pairs:
        if labels.setdefault(picture, label) != label:
            raise CifarcoreError(f"labels {name}: {picture[:100]!r} is there twice, with two labels; keep one")
    return labels


def _table(lines: list[str]) -> tuple[list[str], list[list[str]]]:
    """The header, empty where there is none, and the rows of a table that has a picture in each."""
    tables = [table for mark in _MARKS if (table := _with_header(_parted(lines, mark)))]
    if not tables:  # blanks may also stand in the names of classes
        split = _with_header([line.split() for line in lines])
        if split and all(len(row) == 2 or all(map(_NUMBER.fullmatch, row[2:])) for row in split[1]):
            tables = [split]
    if len(tables) != 1:
        what = "may be parted in two ways" if tables else "cannot be read as a table of files and labels"
        raise CifarcoreError(f"its lines {what}; {_REMEDY}")
    return tables[0]


def _parted(lines: list[str], mark: str) -> list[list[str]]:
    try:
        parted = csv.reader(lines, delimiter=mark, skipinitialspace=mark != "\t", strict=True)
        return [[cell.strip() for cell in row] for row in parted]
    except csv.Error:
        return []


def _with_header(rows: list[list[str]]) -> tuple[list[str], list[list[str]]] | None:
    """The header and the rows below it; None where a row has no picture, nothing beside it, or cells too many, as of
    names with commas.
    """
    header: list[str] = []
    if len(rows) > 1 and not any(map(_is_file, rows[0])):
        header, *rows = rows
        if all(len(row) == len(header) + 1 and not _is_file(row[0]) for row in rows):  # R heads no names of rows
            header = ["", *header]
    if not all(len(row) > 1 and any(map(_is_file, row)) for row in rows):
        return None
    most = len(header) or min(map(len, rows), default=0)
    return (header, rows) if rows and not any(cell for row in rows for cell in row[most:]) else None


def _column_of_files(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    fewest = min(map(len, rows))
    columns = [place for place in range(fewest) if all(_is_file(row[place]) for row in rows)]
    if len(columns) > 1 and header:
        columns = [place for place in columns if role_of(header[place]) == "files"]
    if len(columns) != 1 or not header and columns[0] and max(map(len, rows)) > 2:
        raise CifarcoreError(f"it is open which column has the files; {_REMEDY}")
    return columns[0]


def _column_of_labels(header: Sequence[str], rows: Sequence[Sequence[str]], file: int) -> int:
    """The column headed as labels, else the only one that may be some."""
    others = [place for place in range(len(header) or max(map(len, rows))) if place != file]
    if not header:
        return others[0]
    named = [place for place in others if role_of(header[place]) == "labels"]
    if not named and len(others) > 1:  # an index, as pandas and R write it first
        others = [place for place in others if header[place] not in ("", "Unnamed: 0")]
    if (
        not named
        and len(others) == 1
        and not _is_other(header[others[0]], ["".join(row[others[0] : others[0] + 1]) for row in rows])
    ):
        named = others
    if len(named) != 1:
        raise CifarcoreError(
            f"{len(named) or 'none'} of its columns {', '.join(header)[:200]} are headed as labels; "
            "head the one that holds them label, and no other so"
        )
    return named[0]


def _is_other(heading: str, cells: list[str]) -> bool:
    """Whether a column is of predicted classes, or numbers the rows."""
    numbers = row_numbers(np.array(cells, object))
    counts = numbers is not None and len(numbers) >= FEWEST and count_from(numbers) is not None
    return heading_key(heading) in PREDICTED or counts


def own_labels(predictions: Predictions, given: np.ndarray | None, config: ImportConfig) -> dict[str, str] | None:
    """The labels `given` (N,) by the predictions' files, as names where these are known; None without both."""
    if predictions.files is None or given is None or len(given) != len(predictions.files):
        return None
    names = [each[0] for each in read_class_names(config.class_names)] if config.class_names else predictions.columns
    labels = given.astype(str).tolist()
    if names and are_digits(np.unique(labels)) and not set(labels) <= set(names):
        numbers = given.astype(np.int64) - config.first_class
        if numbers.min() >= 0 and numbers.max() < len(names):
            labels = [names[number] for number in numbers.tolist()]
    return dict(zip(predictions.files, labels, strict=True))


def labels_of(files: Sequence[str], label_of: Mapping[str, str]) -> np.ndarray:
    """The label of each of `files` (n,), text, by its name. Raises CifarcoreError where one has none, or several."""
    lines = lines_of(tuple(label_of), files)
    for code, problem in ((MISSING, "have no label in"), (AMBIGUOUS, "are of no line of their own in")):
        if (wrong := lines == code).any():
            remedy = "" if code == MISSING else "; name them there with their folders"
            first = files[int(wrong.argmax())]
            raise CifarcoreError(
                f"{wrong.sum():,} of {len(files):,} files {problem} --labels (first: {first[:100]!r}){remedy}"
            )
    labels = tuple(label_of.values())
    return text_array([labels[line] for line in lines.tolist()])


def _is_file(cell: str) -> bool:
    return cell.lower().endswith(EXTENSIONS)
