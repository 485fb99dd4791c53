"""A folder of one text file for each picture, `0.92 cat` in each line, as Ultralytics saves a classifier's results."""

import re
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.files import is_link
from cifarcore.runs.layout import MAX_IMAGES
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.tables import from_table, refuse_large

_LARGEST = 1 << 21  #: bytes of a file with the scores of all classes
_LINE = re.compile(r"(\d+(?:\.\d+)?) (.+)")


def from_text_folder(path: Path, known: Collection[str] = ()) -> Predictions:
    """Each file's name is its picture's, without the suffix. Raises CifarcoreError."""
    files = sorted(file for file in path.glob("*.txt") if file.is_file() and not is_link(file))
    if not files or len(files) > MAX_IMAGES:
        raise CifarcoreError(
            f"a folder with {len(files):,} text files; predictions in a folder are one such file for each picture, of "
            "lines such as '0.92 cat'"
        )
    refuse_large(sum(100 + 20 * file.stat().st_size for file in files))  # of which lists and texts are made
    pairs, names = [], {}  # each name is kept once
    for file in files:
        if (size := file.stat().st_size) > _LARGEST:
            raise CifarcoreError(f"{file.name}: {size:,} bytes; the scores of a picture are at most {_LARGEST:,}")
        texts = file.read_text(encoding="utf-8").splitlines()
        lines = [_LINE.fullmatch(text.strip()) for text in texts if text.strip()]
        if not lines or not all(lines):
            raise CifarcoreError(f"{file.name}: not lines such as '0.92 cat', a score and its class")
        pairs.append([(names.setdefault(line[2], line[2]), float(line[1])) for line in lines if line])
    return from_table(pd.DataFrame({"file": [file.stem for file in files], "scores": pairs}), known)
