"""MATLAB's `.mat`, up to version 7. Damage ends the library that reads them, and so the process: see `apart`."""

import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.archive import DOUBLE, native
from cifarcore.runs.layout import MAX_BYTES, MAX_IMAGES
from cifarcore.runs.predictions import Predictions, text_array
from cifarcore.runs.readers.arrays import from_arrays
from cifarcore.runs.readers.tables import refuse_large, refuse_long

_HEADER, _COMPRESSED, _MATRIX = 128, 15, 14
MOST_CELLS = 2 * MAX_IMAGES  #: of eight bytes each, of which the reader makes an object


def from_matlab(path: Path, known: Collection[str] = ()) -> Predictions:
    """The matrices, and cell arrays of text, by their names. Raises CifarcoreError."""
    _refuse_bomb(path)
    return from_arrays(arrays_in(path))


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers and of text in a file, by their names. Raises CifarcoreError."""
    from scipy.io import loadmat  # here, since the app needs none of it

    try:
        values = loadmat(path, squeeze_me=True)
    except NotImplementedError:
        raise CifarcoreError(
            "is of MATLAB's version 7.3; save('mine.mat', 'scores', '-v7') writes one that is read"
        ) from None
    except Exception as error:  # scipy's reader raises many kinds on damaged bytes
        raise CifarcoreError(f"not a readable .mat file ({' '.join(str(error).split())[:150]})") from None
    arrays = {name: np.asarray(value) for name, value in values.items() if not name.startswith("__")}
    for name, array in arrays.items():
        refuse_long(max(array.shape, default=0))
        if array.dtype.kind == "O" and all(isinstance(cell, str) for cell in array.ravel().tolist()):
            arrays[name] = text_array(array.ravel().tolist()).reshape(array.shape)
    return {name: native(array, DOUBLE) for name, array in arrays.items() if array.dtype.kind in "fiubU" and array.size}


def _refuse_bomb(path: Path) -> None:
    """Each variable is packed on its own; all are unpacked here block by block, and kept nowhere."""
    size, cells, whole = 0, 0, path.stat().st_size
    with path.open("rb") as file:
        file.seek(_HEADER - 2)
        order = ">" if file.read(2) == b"MI" else "<"
        cell = struct.pack(f"{order}I", _MATRIX)
        while len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            size += length
            refuse_large(size)
            content = file.read(min(length, whole))  # for what is asked of it, room is made before it is read
            cells += content.count(cell)
            unpacking = zlib.decompressobj()
            while kind == _COMPRESSED and content and size <= MAX_BYTES:
                try:
                    block = unpacking.decompress(content, 1 << 20)
                except zlib.error:
                    break  # which the reader says
                size, cells = size + len(block), cells + block.count(cell)
                content = unpacking.unconsumed_tail
            refuse_large(size)
            if cells > MOST_CELLS:
                raise CifarcoreError(f"{cells:,} cells; at most {MOST_CELLS:,} are read: save names and scores alone")
