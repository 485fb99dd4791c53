"""Labels that come with the names of files: a table of a file and its label in each line, or two columns of the
predictions.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data.picture_files import EXTENSIONS
from cifarcore.errors import CifarcoreError
from cifarcore.runs.by_name import AMBIGUOUS, MISSING, lines_of
from cifarcore.runs.class_names import read_class_names
from cifarcore.runs.classes import are_digits
from cifarcore.runs.formats import read_lines
from cifarcore.runs.predictions import Predictions, text_array
from cifarcore.runs.readers.roles import role_of

_SEPARATORS = (",", "\t", ";", r"\s+")


def read_file_labels(path: str) -> dict[str, str] | None:
    """The label of each file, by its name: of each line of a table the first cell, and the second, or the one under
    the heading of labels; None for any other file.

    A first line that names no picture is the header. Raises CifarcoreError where a file has two labels, and where the
    header leaves open which column they are in.
    """
    if Path(path).suffix.lower() in (".npy", ".npz"):
        return None
    lines = read_lines(path)
    for separator in _SEPARATORS:
        rows, header = [re.split(separator, line) for line in lines], []
        if len(rows) > 1 and not _is_file(rows[0][0]):
            header, *rows = rows
        if all(len(row) > 1 and _is_file(row[0]) for row in rows):
            break
    else:
        return None
    labels: dict[str, str] = {}
    column = _column_of_labels(header, Path(path).name)
    if short := next((row[0] for row in rows if len(row) <= column), None):
        raise CifarcoreError(f"labels {Path(path).name}: {short[:100]!r} has no label; give one for each file")
    for row in rows:
        name, label = (row[place].strip().strip('"') for place in (0, column))
        if labels.setdefault(name, label) != label:
            raise CifarcoreError(f"labels {Path(path).name}: {name[:100]!r} is there twice, with two labels; keep one")
    return labels


def _column_of_labels(header: Sequence[str], file: str) -> int:
    headings = [cell.strip().strip('"') for cell in header]
    if len(headings) <= 2:
        return 1
    named = [place for place, heading in enumerate(headings) if place and role_of(heading) == "labels"]
    if len(named) != 1:
        raise CifarcoreError(
            f"labels {file}: {len(named) or 'none'} of its columns {', '.join(headings)[:200]} are headed as labels; "
            "head the one that holds them label, and no other so"
        )
    return named[0]


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
    return cell.strip().strip('"').lower().endswith(EXTENSIONS)
