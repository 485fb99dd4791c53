"""Which line of a table is of which picture, where both name files: by the end of their paths, suffix aside."""

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from cifarcore.data.image_folder import bare

AMBIGUOUS, MISSING = -1, -2  #: instead of a line


def lines_of(listed: Sequence[str], files: Sequence[str]) -> np.ndarray:
    """The line of `listed`, names that all differ, for each of `files` (n,): by its whole name, else by its own name
    with that of its folder, else by its own name. AMBIGUOUS where several are, or the line is another file's too;
    MISSING where none is. A picture in one folder is not that of its name in another, where both sides name folders.
    """
    exact = {_plain(name): line for line, name in enumerate(listed)}
    at: dict[tuple[str, ...], int] = {}
    parts = [_parts(name) for name in listed]
    for line, each in enumerate(parts):
        for end in {each, each[-2:], each[-1:]}:
            at[end] = AMBIGUOUS if end in at else line
    wanted = [_parts(name) for name in files]
    folders = (
        {folder for each in parts for folder in each[-2:-1]},
        {folder for each in wanted for folder in each[-2:-1]},
    )

    def line_of(name: str, file: tuple[str, ...]) -> int:
        if _plain(name) in exact:
            return exact[_plain(name)]
        if (line := at.get(file, at.get(file[-2:], MISSING))) != MISSING:
            return line
        line = at.get(file[-1:], MISSING)
        if line == MISSING or set(file[-2:-1]) & folders[0]:
            return MISSING
        return MISSING if line >= 0 and len(file) > 1 and set(parts[line][-2:-1]) & folders[1] else line

    lines = np.array([line_of(name, file) for name, file in zip(files, wanted, strict=True)], np.int64)
    present, counts = np.unique(lines, return_counts=True)
    lines[np.isin(lines, present[(counts > 1) & (present >= 0)])] = AMBIGUOUS
    return lines


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(bare(_plain(name))).parts or ("",)
