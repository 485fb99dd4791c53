"""Tables as text, in whatever dialect: `.csv`, `.tsv` and `.txt`, also packed with gzip.

The first rows tell the encoding, what stands between columns, and whether there is a header.
"""

import codecs
import csv
import gzip
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.memory import refuse_beyond_memory
from cifarcore.runs.layout import MAX_BYTES
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.roles import role_of
from cifarcore.runs.readers.tables import (
    from_table,
    refuse_large,
    refuse_long,
    refuse_repeated,
    refuse_wide,
    without_header,
)
from cifarcore.text import quoted

_NO_SCORE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
_SAMPLE = 1 << 24  #: bytes from which the dialect is told
_ROWS = 20
_SEPARATORS = (",", "\t", ";", "|")
_TIMES = 10  #: more separators than columns may stand in lists and in numbers
_BLANKS = r"\s+"  #: between columns, as np.savetxt writes
_NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)?|[.,]\d+)(e[-+]?\d+)?\s*", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+(e[-+]?\d+)?\s*", re.IGNORECASE)
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*")
_PICTURE = re.compile(r".+\.(png|jpe?g|webp|bmp|gif|tiff?|ppm)", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a text file is written."""

    encoding: str
    separator: str
    skipped: int  #: lines before the header, or before the first row
    header: list[str] | None  #: cells of the header; None where the first row is one of scores
    in_place: bool = True  #: the header is a line of its own, not a comment


def from_delimited(path: Path, known: Collection[str] = ()) -> Predictions:
    """A table of text, one row for each image. Raises CifarcoreError."""
    packed = path.suffix.lower() == ".gz"
    size = lines = cells = 0
    for block in _blocks(path):
        size, lines = size + len(block), lines + block.count(b"\n") + block.count(b"\r")
        cells += max(block.count(each) for each in (b",", b"\t", b";", b"|", b" "))
    refuse_large(size)
    refuse_long(lines // 2 - 1)  # a line may end in both, and one is the header's
    refuse_large(cells * 4)  # as many scores are kept as float32, and before that as a table and an array of float64
    refuse_beyond_memory(cells * 16, "reading it")
    with gzip.open(path) if packed else path.open("rb") as file:
        dialect = _dialect(file.read(_SAMPLE), ended=not file.read(1))
    header = dialect.header or []
    refuse_repeated(header)
    texts = {name: str for name in header if role_of(name)}  # as they are: a class may be called None, or NA
    options = {
        "sep": dialect.separator,
        "encoding": dialect.encoding,
        "skiprows": dialect.skipped,
        "header": 0 if dialect.header and dialect.in_place else None,
        "names": None if dialect.in_place else dialect.header,
        "dtype": texts,
        "keep_default_na": False,
        "na_values": {name: list(_NO_SCORE) for name in header if name not in texts},
        "compression": "gzip" if packed else None,
    }
    table = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what the header does not name for the rows' names
        raise CifarcoreError(f"rows have more cells than the {len(header)} columns of the header; name every column")
    _refuse_repeated_header(table)
    if commas := _decimal_commas(table, texts):
        _refuse_thousands(table, texts)
        table = pd.read_csv(path, decimal=",", **options)
    read = from_table(table, known) if dialect.header else without_header(table, _is_picture)
    return replace(read, notes=read.notes + _understood(dialect, commas))


def unpacked(path: Path) -> bytes:
    """What gzip packed. Raises CifarcoreError where it is too much."""
    content = b"".join(_blocks(path))
    refuse_large(len(content))
    return content


def _blocks(path: Path) -> Iterator[bytes]:
    """What the file holds, unpacked, no further than it takes to refuse it."""
    length = 0
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        while length <= MAX_BYTES and (block := file.read(1 << 20)):
            yield block
            length += len(block)


def _dialect(sample: bytes, ended: bool) -> Dialect:
    encoding = _encoding(sample)
    text = io.StringIO(codecs.getincrementaldecoder(encoding)("strict").decode(sample, final=ended), newline="")
    skipped, start, separators, comment = 0, 0, (*_SEPARATORS, _BLANKS), ""
    while line := text.readline():
        line = line.strip()
        if re.fullmatch("sep=.", line):  # as Excel is told
            separators = (line[-1],)
        elif line.startswith("#"):
            comment = line.lstrip("#").strip()
        elif line:
            refuse_wide(max(map(line.count, _SEPARATORS)) // _TIMES)
            break
        skipped, start = skipped + 1, text.tell()
    rows = {}
    for separator in separators:
        text.seek(start)
        rows[separator] = _rows(text, separator, ended)
    even = [each for each, first in rows.items() if len(set(map(len, first))) == 1 and len(first[0]) > 1]
    if "\t" in even:  # blanks would part names of two words, too
        even = [each for each in even if each != _BLANKS]
    separator = max(even, key=lambda each: (len(_numbers(rows[each][-1])), len(rows[each][0])), default=separators[0])
    first = next(iter(rows[separator]), [])
    refuse_wide(len(first))
    if not _is_data(first):
        return Dialect(encoding, separator, skipped, first)
    cells = next(iter(_rows(io.StringIO(comment), separator, True)), [])
    named = [cell.strip() for cell in cells] if len(cells) == len(first) and not _is_data(cells) else None
    return Dialect(encoding, separator, skipped, named, in_place=False)


def _encoding(sample: bytes) -> str:
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in sample[:2]:  # without its mark, as some databases export it
        return "utf-16-be" if sample[:1] == b"\0" else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _rows(text: io.StringIO, separator: str, ended: bool) -> list[list[str]]:
    """The next rows as `separator` parts them; none where that fails."""
    parted = map(str.split, text) if separator == _BLANKS else csv.reader(text, delimiter=separator)
    try:
        rows = list(islice(parted, _ROWS + 1))
    except csv.Error:
        return []
    rows = rows if ended or len(rows) < 2 else rows[:-1]  # the last may be cut
    return [row for row in rows if any(cell.strip() for cell in row)]


def _is_data(row: list[str]) -> bool:
    """Whether a first row is one of an image, not of headings: these may be numbers, but whole and different ones."""
    if any(map(_is_picture, row)):
        return True
    numbers = _numbers(row)
    if not numbers or any(map(role_of, row)):
        return False
    return len(set(numbers)) < len(numbers) or not all(cell.strip().isdecimal() for cell in numbers)


def _numbers(row: list[str]) -> list[str]:
    return [cell for cell in row if _NUMBER.fullmatch(cell)]


def _refuse_repeated_header(table: pd.DataFrame) -> None:
    """Raises CifarcoreError where a row has the headings again, as of files put together by cat: of text alone it would
    be an image.
    """
    texts = [name for name in table if isinstance(name, str) and not pd.api.types.is_numeric_dtype(table[name])]
    again = pd.Series(bool(texts), table.index)
    for name in texts:
        again &= table[name].astype(str).str.strip() == name.strip()
    if not again.any():
        return
    raise CifarcoreError(f"row {int(again.to_numpy().argmax())} has the headings again; leave such rows out")


def _decimal_commas(table: pd.DataFrame, texts: dict[str, type]) -> bool:
    columns = [name for name in table if name not in texts and not pd.api.types.is_numeric_dtype(table[name])]
    return any(table[name].map(lambda cell: bool(_DECIMAL_COMMA.fullmatch(str(cell)))).any() for name in columns)


def _refuse_thousands(table: pd.DataFrame, texts: dict[str, type]) -> None:
    """Raises CifarcoreError where each comma may part the thousands of a number as well as its decimals."""
    cells = (str(cell) for name in table if name not in texts for cell in table[name].tolist())
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if all(map(_THOUSANDS.fullmatch, commas)):
        raise CifarcoreError(f"{quoted(commas[0])} may be thousands or a decimal comma; write numbers without a comma")


def _is_picture(cell: object) -> bool:
    return bool(_PICTURE.fullmatch(str(cell).strip()))


def _understood(dialect: Dialect, commas: bool) -> tuple[str, ...]:
    notes = []
    if dialect.encoding == "cp1252":
        notes.append("the file is not UTF-8; it was read as Windows-1252 (Western European)")
    if commas:
        notes.append("the decimal comma was read as such")
    if dialect.header is None:
        notes.append("the file has no header; its columns are taken in the order of the classes")
    return tuple(notes)
