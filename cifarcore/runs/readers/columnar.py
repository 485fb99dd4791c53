"""Tables by column: Parquet. Its decoded size is known before it is decoded."""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.tables import from_table, refuse_large, refuse_long, refuse_repeated
from cifarcore.text import quoted

if TYPE_CHECKING:
    import pyarrow

#: of objects as pandas makes them, a little more than CPython's
_BYTES_OF = {"number": 8, "decimal": 112, "list": 120, "dict": 240, "entry": 72}


def from_parquet(path: Path, known: Collection[str] = ()) -> Predictions:
    return from_table(read_table(path, "Parquet", parquet_table), known)


def read_table(path: Path, kind: str, read: "Callable[[Path], pyarrow.Table]") -> pd.DataFrame:
    """What `read` reads of a file of this `kind`, «Parquet» or «Arrow» files. Raises CifarcoreError."""
    try:
        import pyarrow
    except ImportError:
        raise CifarcoreError(f"reading {kind} files needs pyarrow (pip install pyarrow); or write CSV") from None
    try:
        table = read(path)
        table.validate(full=True)
    except (pyarrow.ArrowException, IndexError, OSError, ValueError, KeyError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise CifarcoreError(f"not a readable {kind} file ({reason:.200})") from None
    return with_index(table.unify_dictionaries())


def parquet_table(path: Path) -> "pyarrow.Table":
    """What a Parquet file holds, texts that are repeated once. Raises CifarcoreError and what pyarrow raises."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        metadata, kinds = file.metadata, file.schema_arrow
    refuse_repeated(kinds.names)
    refuse_shared(kinds)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    # in lists there are more values than rows
    values = sum(group.column(i).num_values for group in groups for i in range(group.num_columns))
    refuse_large(max(values * 8, sum(group.total_byte_size for group in groups)))
    of_text = _of_text()
    texts = [field.name for field in kinds if field.type in of_text]
    _refuse_repeated_text(path, [field.name for field in kinds if _holds_text(field.type)])
    with ParquetFile(path, read_dictionary=texts) as file:  # a text that is repeated is read once
        table = file.read()
    refuse_large(folded_lengths(table))
    return table


def refuse_shared(schema: "pyarrow.Schema") -> None:
    """Raises CifarcoreError for columns of a type whose values may share their bytes in a way that is not counted here:
    a few bytes then are gigabytes once each value is an object.
    """
    from pyarrow import types

    for field in schema:
        kind, folded = field.type, types.is_dictionary(field.type)
        if _shares(kind.value_type if folded else kind) or folded and not _is_plain(kind.value_type):
            raise CifarcoreError(
                f"column {quoted(field.name)} is of type {kind!s:.60}; write plain numbers, texts or lists"
            )


def _is_plain(kind: "pyarrow.DataType") -> bool:
    """Whether a dictionary of such values is counted: texts by `folded_lengths`, and what takes eight bytes at most."""
    from pyarrow import types

    return kind in _of_text() or types.is_primitive(kind) or types.is_null(kind)


def _shares(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    kind = getattr(kind, "storage_type", kind)
    within = (kind.field(i).type for i in range(kind.num_fields))
    is_view = str(kind).partition("<")[0].endswith("_view")  # no field's name, which may end so
    return is_view or types.is_dictionary(kind) or types.is_run_end_encoded(kind) or any(map(_shares, within))


def folded_lengths(table: "pyarrow.Table") -> int:
    """Bytes of the texts of a table that are kept once, where each row had its own."""
    import pyarrow
    from pyarrow import compute

    folded = [
        chunk
        for column in table.columns
        for chunk in column.chunks
        if pyarrow.types.is_dictionary(chunk.type) and chunk.type.value_type in _of_text()
    ]
    lengths = [compute.take(compute.binary_length(chunk.dictionary), chunk.indices) for chunk in folded]
    return sum(compute.sum(each).as_py() or 0 for each in lengths)


def _of_text() -> "tuple[pyarrow.DataType, ...]":
    import pyarrow

    return pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.large_binary()


def _holds_text(kind: "pyarrow.DataType") -> bool:
    """Whether a type has text or bytes somewhere within, as a list of names has."""
    from pyarrow import types

    inner = [kind.field(i).type for i in range(kind.num_fields)]
    is_text = any(test(each) for test in (types.is_string, types.is_large_string, types.is_binary,
                  types.is_large_binary) for each in inner)  # fmt: skip
    return is_text or any(map(_holds_text, inner))


def _refuse_repeated_text(path: Path, columns: list[str]) -> None:
    """Raises CifarcoreError where texts in lists, which a file may hold once and name often, are too large together."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        size = 0
        for column in columns:
            for batch in file.iter_batches(batch_size=16, columns=[column]):
                size += batch.nbytes
                refuse_large(size)


def _bytes_of_objects(array: "pyarrow.Array") -> int:
    """What pandas takes for an array: a Python object for each value that is no number or text, and each one within."""
    from pyarrow import types

    kind, n = array.type, len(array)
    if types.is_struct(kind):
        return n * _BYTES_OF["dict"] + sum(_BYTES_OF["entry"] * n + _bytes_of_objects(each) for each in array.flatten())
    if types.is_map(kind):
        return n * _BYTES_OF["list"] + sum(map(_bytes_of_objects, (array.keys, array.items)))
    if kind.num_fields == 1 and hasattr(array, "values"):
        return n * _BYTES_OF["list"] + _bytes_of_objects(array.values)
    return n * _BYTES_OF["decimal" if types.is_decimal(kind) else "number"]


def with_index(table: "pyarrow.Table") -> pd.DataFrame:
    """The table with pandas' index, which may say which image a row is, as a column like any other."""
    refuse_long(table.num_rows)
    refuse_large(sum(_bytes_of_objects(chunk) for column in table.columns for chunk in column.chunks))
    frame = table.replace_schema_metadata(None).to_pandas(ignore_metadata=True)
    for kept in _kept_indices(table):
        try:  # of a range only the ends are written, which may be any
            numbers = range(kept["start"], kept["stop"], kept["step"])
            name = kept.get("name") or "__index_level_0__"
            if len(numbers) == len(frame) and name not in frame and numbers != range(len(frame)):
                frame[name] = np.array(numbers, np.int64)
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
    return frame


def _kept_indices(table: "pyarrow.Table") -> list[dict[str, Any]]:
    """What pandas wrote of indices that are ranges."""
    try:
        written = json.loads((table.schema.metadata or {}).get(b"pandas", b"{}"))
        kept = written.get("index_columns", []) if isinstance(written, dict) else []
    except (ValueError, RecursionError):
        return []
    kept = kept if isinstance(kept, list) else []
    return [each for each in kept if isinstance(each, dict) and each.get("kind") == "range"]
