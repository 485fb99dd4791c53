"""Arrow's own files: Feather, and what `datasets` saves. What their compressed buffers unpack to is known before."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.columnar import folded_lengths, read_table, refuse_shared
from cifarcore.runs.readers.tables import from_table, refuse_large, refuse_repeated

if TYPE_CHECKING:
    import pyarrow

_FILE = b"ARROW1"


def from_arrow(path: Path, known: Collection[str] = ()) -> Predictions:
    """A table in Arrow's file or stream format. Raises CifarcoreError."""
    return from_table(read_table(path, "Arrow", arrow_table), known)


def arrow_table(path: Path) -> "pyarrow.Table":
    """What an Arrow file holds. Raises CifarcoreError and what pyarrow raises."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        start = 8 if source.read(len(_FILE)) == _FILE else 0  # a file is a stream with a head and a foot
        source.seek(start)
        refuse_large(sum(map(_size, _messages(source))))
        source.seek(start)
        with pyarrow.ipc.open_stream(source) as stream:
            refuse_repeated(stream.schema.names)
            refuse_shared(stream.schema)
            table = stream.read_all()
        table.validate(full=True)  # places in a buffer are not checked when they are used
        refuse_large(max(table.num_rows * table.num_columns * 8, folded_lengths(table)))
        return table


def _messages(source: "pyarrow.NativeFile") -> "Iterator[pyarrow.Message]":
    import pyarrow

    reader = pyarrow.ipc.MessageReader.open_stream(source)
    while True:
        try:
            yield reader.read_next_message()
        except StopIteration:
            return


def _size(message: "pyarrow.Message") -> int:
    """Bytes that a message takes once it is read: those of its buffers, or 8 for each value: nulls are in no buffer."""
    if message.body is None or message.type not in ("record batch", "dictionary"):
        return 0
    header = np.frombuffer(message.metadata, np.uint8)
    batch = _follow(header, _field(header, _root(header), 2))
    if message.type == "dictionary":
        batch = _follow(header, _field(header, batch, 1))
    at = _follow(header, _field(header, batch, 1))
    fields = _number(header, at, "<u4")
    values = header[at + 4 : at + 4 + 16 * fields].copy().view("<i8").reshape(fields, 2)[:, 0]
    return max(_unpacked(message, header, batch), 8 * sum(each for each in values.tolist() if each > 0))


def _unpacked(message: "pyarrow.Message", header: np.ndarray, batch: int) -> int:
    """Bytes of a message's buffers once they are unpacked: each compressed one says so in its first eight bytes."""
    if _field(header, batch, 3) is None:  # not compressed
        return len(message.body)
    at = _follow(header, _field(header, batch, 2))
    count = _number(header, at, "<u4")
    places = header[at + 4 : at + 4 + 16 * count].copy().view("<i8").reshape(count, 2)
    body = np.frombuffer(message.body, np.uint8)
    sizes = [_number(body, start, "<i8") for start, length in places.tolist() if length >= 8]
    return len(message.body) + sum(size for size in sizes if size > 0)


def _number(buffer: np.ndarray, at: int, kind: str) -> int:
    return int(buffer[at : at + np.dtype(kind).itemsize].copy().view(kind)[0])


def _root(buffer: np.ndarray) -> int:
    """Place of the outermost table of a flatbuffer."""
    return _number(buffer, 0, "<u4")


def _field(buffer: np.ndarray, table: int, number: int) -> int | None:
    """Place of a table's field; None where it has none."""
    fields = table - _number(buffer, table, "<i4")
    if 4 + 2 * number >= _number(buffer, fields, "<u2"):
        return None
    offset = _number(buffer, fields + 4 + 2 * number, "<u2")
    return table + offset if offset else None


def _follow(buffer: np.ndarray, place: int | None) -> int:
    """Where the table or the list is that a field points to."""
    if place is None:
        raise IndexError("a field is missing")
    return place + _number(buffer, place, "<u4")
