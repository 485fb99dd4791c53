"""What the user knows of each image (camera, site, size, …): a table by file or sample id, kept as text in the run
file.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.runs.by_name import AMBIGUOUS, MISSING, lines_of
from cifarcore.runs.layout import MAX_METADATA, UNKNOWN
from cifarcore.runs.predictions import as_sample_ids, refuse_long_texts
from cifarcore.runs.readers.columns import count_from, row_numbers
from cifarcore.runs.readers.roles import role_of
from cifarcore.runs.readers.tables import refuse_unbounded
from cifarcore.text import one_line

MAX_BYTES = 1 << 26  #: of the file
MOST_CHARACTERS = 60  #: of a value that are kept
#: a number as it is written where the comma parts its decimals, and points may part its thousands; and one whose comma
#: may part its thousands
_WITH_COMMA = re.compile(r"[+-]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def read_metadata(
    path: str, files: Sequence[str] | None, ids: np.ndarray | None
) -> tuple[dict[str, np.ndarray], str, list[str]]:
    """A run's arrays `metadata_names` (M,) and `metadata_values` (N, M) of the CSV `path`; of how many images it is,
    and what was read otherwise than as written, in words.

    A column `sample_id` or `file` says which image a line is of: by its id among `ids` (N,), or by its own name, suffix
    aside, among `files` (N,). Images without a line have empty values. Raises CifarcoreError.
    """
    table = _read(path)
    name = Path(path).name
    by_id = next((column for column in table if role_of(column) == "sample_ids"), None)
    by_file = _of_files(table, name, files or ())
    if by_id is not None and ids is not None:
        key, keys = by_id, as_sample_ids(table[by_id].to_numpy()).tolist()
    elif by_file is not None and files is not None:
        key, keys = by_file, table[by_file].tolist()
    else:
        named_by = "file or sample_id" if files is not None else "sample_id, as the predictions name no files"
        raise CifarcoreError(f"metadata {name}: which line is of which image is unknown; give a column {named_by}")
    columns = [column for column in table if column not in (by_id, by_file)]
    if not 0 < len(columns) <= MAX_METADATA:
        raise CifarcoreError(f"metadata {name}: {len(columns)} columns beside {key!r}; give 1 to {MAX_METADATA}")
    coded = [pd.factorize(table[column], use_na_sentinel=False) for column in columns]  # few cells differ: read once
    texts, commas = _without_commas(
        {column: _kept(list(cells)) for column, (_, cells) in zip(columns, coded, strict=True)}
    )
    values = [np.array(cells, dtype=object)[places] for cells, (places, _) in zip(texts, coded, strict=True)]
    line_of: dict[object, int] = {}
    for line, of_image in enumerate(keys):
        before = line_of.setdefault(of_image, line)
        if before != line and any(column[before] != column[line] for column in values):
            raise CifarcoreError(
                f"metadata {name}: {table[key].iloc[line][:100]!r} is there twice and differs; keep one"
            )
    wanted = ids.tolist() if key == by_id and ids is not None else _named(name, list(line_of), files or ())
    refuse_long_texts(max((len(cell) for cells in texts for cell in cells), default=0), len(wanted) * len(columns))
    lines = np.array([line_of.get(of_image, -1) for of_image in wanted])
    known = int((lines >= 0).sum())
    if not known:
        raise CifarcoreError(f"metadata {name}: no line is of any of the {len(wanted):,} images, by {key!r}")
    kept = np.array([np.where(lines < 0, "", column[lines]) for column in values], dtype=str).T
    note = f"metadata of {known:,} of {len(wanted):,} images: {', '.join(map(repr, columns[:5]))}"
    note += ", …" if len(columns) > 5 else ""
    return {"metadata_names": np.array(columns), "metadata_values": kept}, note, commas


def _of_files(table: pd.DataFrame, name: str, files: Sequence[str]) -> str | None:
    """The column of a table that says which of `files` (N,) a line is of. Raises CifarcoreError where two differ."""
    columns = [column for column in table if role_of(column) == "files"]
    if not columns:  # an id beside the files may be any number
        return next((column for column in table if role_of(column) == "place"), None)
    lines = {column: lines_of(table[column].tolist(), files) for column in columns if len(columns) > 1}
    best = max(columns, key=lambda column: (lines[column] >= 0).sum() if lines else 0)
    for column, each in lines.items():
        if ((each >= 0) & (lines[best] >= 0) & (each != lines[best])).any():
            raise CifarcoreError(f"metadata {name}: {best!r} and {column!r} name different images; keep one")
    return best


def metadata_of(given: Any, ids: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """A run's arrays of columns in the order of its images `ids` (N,), or of a CSV file; none without. And notes on
    what is not as written.

    Raises CifarcoreError.
    """
    if given is None:
        return {}, []
    if isinstance(given, str | Path):
        arrays, known, told = read_metadata(str(given), None, ids)
        return arrays, told if (arrays["metadata_values"] != "").any(axis=1).all() else [known, *told]
    if not (isinstance(given, Mapping) or isinstance(given, pd.DataFrame)):
        raise CifarcoreError(f"{type(given).__name__}; give a mapping of columns, or the path of a CSV file")
    pairs = [(one_line(name, MOST_CHARACTERS), _listed(values)) for name, values in given.items()]
    columns = dict(pairs)
    if not 0 < len(pairs) <= MAX_METADATA or len(columns) < len(pairs):
        raise CifarcoreError(f"{len(columns)} columns of different names; give 1 to {MAX_METADATA}")
    bare = (str, set, frozenset, Mapping)
    if odd := [name for name, each in given.items() if isinstance(each, bare) or hasattr(each, "coords")]:
        raise CifarcoreError(f"{odd[0]!r} is a {type(given[odd[0]]).__name__}; give a list, a value for each image")
    columns = _by_id(columns, ids)
    for name, values in columns.items():
        if len(values) != len(ids):
            raise CifarcoreError(f"{len(values):,} values of {name!r} for {len(ids):,} images; give one for each")
    texts = [_kept(["" if _is_empty(value) else value for value in row]) for row in columns.values()]
    as_text = [name for name, values in columns.items() if any(isinstance(value, str) for value in values)]
    read, told = _without_commas({name: cells for name, cells in zip(columns, texts, strict=True) if name in as_text})
    of_text = dict(zip(as_text, read, strict=True))  # numbers have no commas, and their points part decimals
    texts = [of_text.get(name, cells) for name, cells in zip(columns, texts, strict=True)]
    return {"metadata_names": np.array(list(columns)), "metadata_values": np.array(texts, dtype=str).T}, told


def _without_commas(columns: Mapping[str, list[str]]) -> tuple[list[list[str]], list[str]]:
    """The values of each of `columns` (N,), numbers with a decimal comma as Python has them, and what is to be known of
    such: numbers whose commas may all part thousands stay text.
    """
    numbers = {
        name: cells
        for name, values in columns.items()
        if (cells := [value for value in values if value.lower() not in UNKNOWN])
        and all(map(_WITH_COMMA.fullmatch, cells))
    }
    sure = any("," in cell and not _THOUSANDS.fullmatch(cell) for cells in numbers.values() for cell in cells)
    commas = [name for name, cells in numbers.items() if any("," in cell for cell in cells)]
    read = [name for name, cells in numbers.items() if sure and any(set(cell) & set(".,") for cell in cells)]
    if sure:
        told = [f"points were read as parting thousands: {name!r}" for name in read if name not in commas]
        told.append("the decimal comma was read as such")
    else:
        told = [f"text, as a comma may part thousands: {name!r}" for name in commas]
    texts = [
        [value.replace(".", "").replace(",", ".") for value in values] if name in read else values
        for name, values in columns.items()
    ]
    return texts, told


def _by_id(columns: dict[str, list[Any]], ids: np.ndarray) -> dict[str, list[Any]]:
    """The columns in the order of `ids` (N,), where one of them says which image a value is of; as they are, else."""
    key = next((name for name in columns if role_of(name) == "sample_ids"), None)
    if key is None:
        _refuse_other_ids(columns, ids)
        return columns
    given = _ids_of(columns[key])
    rest = {name: values for name, values in columns.items() if name != key}
    if not rest:
        raise CifarcoreError(f"no column beside {key!r}; give at least one")
    if np.array_equal(given, ids):
        return rest
    if len(np.unique(given)) < len(given) or not np.array_equal(np.sort(given), np.sort(ids)):
        raise CifarcoreError(f"{key!r} are not the ids of these images, each once; give a row for each image")
    rows = rows_of(given, ids).tolist()
    if short := next((name for name, values in rest.items() if len(values) != len(ids)), None):
        raise CifarcoreError(f"{len(rest[short]):,} values of {short!r} for {len(ids):,} images; give one for each")
    return {name: [values[row] for row in rows] for name, values in rest.items()}


def _ids_of(values: list[Any]) -> np.ndarray:
    whole = all(isinstance(value, int) and 0 <= value < 2**64 for value in values)
    return as_sample_ids(np.array(values, np.uint64 if whole else None))  # left to itself, NumPy makes floats


def _refuse_other_ids(columns: dict[str, list[Any]], ids: np.ndarray) -> None:
    """Raises CifarcoreError where a column that is called otherwise has the `ids` (N,) in another order."""
    hashes = ids.max(initial=0) >= 2**32  # else any column may count the images, such as their ranks
    for name, values in columns.items():
        numbers = row_numbers(np.array(values, dtype=object)) if role_of(name) == "place" else None
        if numbers is not None and count_from(numbers) is not None and (np.diff(numbers) != 1).any():
            raise CifarcoreError(
                f"{name!r} numbers the rows in another order; bring them into the order of the images, or leave it out "
                "if they are"
            )
        if len(values) != len(ids) or not (hashes or role_of(name) == "place"):
            continue
        try:
            given = _ids_of(values)
        except (CifarcoreError, ValueError):  # other values
            continue
        if not np.array_equal(given, ids) and np.array_equal(np.sort(given), np.sort(ids)):
            raise CifarcoreError(
                f"{name!r} has the ids of these images in another order; call it sample_id to bring the rows into "
                "theirs, or leave it out if they are"
            )


def _read(path: str) -> pd.DataFrame:
    try:
        if Path(path).exists() and not Path(path).is_file():  # a device has no end, and a pipe is read but once
            raise CifarcoreError(f"metadata {Path(path).name}: is no file; write the table to one")
        if Path(path).stat().st_size > MAX_BYTES:
            raise CifarcoreError(f"metadata {Path(path).name}: more than {MAX_BYTES >> 20} MiB; leave columns out")
        content = Path(path).read_bytes()
        try:
            refuse_unbounded(content, MAX_METADATA, ",;\t")
        except CifarcoreError as error:
            raise CifarcoreError(f"metadata {Path(path).name}: {error}") from None
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, header=None, encoding="utf-8-sig")
    except (OSError, UnicodeError, ValueError, pd.errors.ParserError) as error:
        raise CifarcoreError(f"metadata {path}: cannot be read as CSV ({' '.join(str(error).split()):.200})") from None
    table.columns = [one_line(column, MOST_CHARACTERS) for column in table.iloc[0]]
    table = table.iloc[1:]
    if not all(table.columns) or len(set(table.columns)) < len(table.columns):
        raise CifarcoreError(f"metadata {Path(path).name}: a column has no heading, or that of another; name each")
    return table


def _kept(values: list[Any]) -> list[str]:
    """The values as they are kept; of long ones the middle is left out, or the end, for a digest, where they would be
    one without it.
    """
    short = [one_line(value, MOST_CHARACTERS) for value in values]
    if all(len(str(value)) <= MOST_CHARACTERS for value in values):
        return short
    whole = [one_line(value, MAX_BYTES) for value in values]
    if len(set(short)) == len(set(whole)):
        return short
    digests = (hashlib.blake2b(text.encode(errors="replace"), digest_size=3).hexdigest() for text in whole)
    return [
        text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 7]}…{digest}"
        for text, digest in zip(whole, digests, strict=True)
    ]


def _listed(values: Any) -> list[Any]:
    """A column's values; those of a tensor as numbers, which its own elements are not."""
    return list(values.detach().cpu().numpy() if hasattr(values, "detach") else values)


def _is_empty(value: object) -> bool:
    return value is np.ma.masked or (np.ndim(value) == 0 and bool(pd.isna(value)))


def _named(metadata: str, listed: list[Any], files: Sequence[str]) -> list[object]:
    """Which of the `listed` names each of `files` (N,) is; None where it is none. Raises CifarcoreError."""
    lines = lines_of(listed, files)
    if (unclear := lines == AMBIGUOUS).any():
        first = files[int(unclear.argmax())]
        raise CifarcoreError(
            f"metadata {metadata}: which line is of {first[:100]!r} is unclear, as another has its name; give their "
            "folders too, or a column sample_id instead"
        )
    return [None if line == MISSING else listed[line] for line in lines.tolist()]
