"""The bytes of an `.npz`: read as hostile, whoever wrote it.

Shapes, types and sizes are read from the archive's headers and checked before anything is allocated, and nothing is
ever unpickled.
"""

import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.files import open_file, open_zip
from cifarcore.memory import refuse_beyond_memory
from cifarcore.runs.layout import (
    LAYOUT,
    MAX_BYTES,
    MAX_IMAGES,
    check_shapes,
    is_unicode,
    refusal,
)

SUFFIX = ".npz"
NO_RUN = "not a run file (.npz); if it holds predictions, `cifarcore import` makes a run file of them"

SINGLE, DOUBLE = 4, 8  #: bytes of a float
Shapes = dict[str, tuple[int, ...]]
Headers = dict[str, tuple[zipfile.ZipInfo, np.dtype, tuple[int, ...]]]


@contextmanager
def opened(
    path: Path, foreign: bool = False, most: int | None = None
) -> Iterator[tuple[BufferedReader, zipfile.ZipFile, Headers]]:
    """The open file, its archive, and entry, dtype and shape of each known array, all checked against the layout.

    With `foreign`, of every array, whatever its name and shape. All together they have at most `most` bytes.

    The file stays open in between, so that one put in its place meanwhile is not read unchecked.
    """
    if not path.exists():
        raise refusal(
            path, "no such file; `cifarcore evaluate CHECKPOINT` and `cifarcore import PREDICTIONS` write run files"
        )
    if not path.is_file():
        raise refusal(path, "not a file; name an .npz run file")
    try:
        with path.open("rb") as file, open_zip(file) as archive:
            headers = _read_headers(archive, path, foreign, MAX_BYTES if most is None else most)
            if not foreign:
                check_shapes({name: header[1:] for name, header in headers.items()}, path)
            yield file, archive, headers
    except CifarcoreError:
        raise
    except OSError as error:
        raise refusal(
            path, f"cannot be read ({error.strerror or error}); check its permissions, or write it again"
        ) from None
    except Exception as error:  # zipfile, zlib and NumPy's header reader raise many kinds on damaged bytes
        if path.suffix.lower() != SUFFIX:
            raise refusal(path, NO_RUN) from None
        raise refusal(path, f"not a readable .npz run file ({error or type(error).__name__}); write it again") from None


def _read_headers(archive: zipfile.ZipFile, path: Path, foreign: bool, most: int) -> Headers:
    headers: Headers = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name not in LAYOUT and not foreign:
            continue  # a later version may add arrays
        if name in headers:
            raise refusal(path, f"array {name!r} is in the file twice; write it again")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refusal(
                path, f"array {name!r} is compressed in a way NumPy does not write; write it with np.savez_compressed"
            )
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            length = entry.file_size - file.tell()
        if dtype.hasobject:
            raise refusal(
                path, f"array {name!r} holds Python objects (a pickle), which are never loaded; store numbers or text"
            )
        if (
            min(shape, default=0) < 0
            or not dtype.itemsize
            or int(np.prod(shape, dtype=object)) * dtype.itemsize != length
        ):
            raise refusal(
                path, f"array {name!r} is not as long as its header says; the file is damaged, write it again"
            )
        headers[name] = (entry, dtype, shape)
        if foreign and shape and shape[0] > MAX_IMAGES and min(shape[1:], default=1):
            raise refusal(path, f"array {name!r} has {shape[0]:,} rows; at most {MAX_IMAGES:,} are read")
    total = sum(_decoded(dtype, shape) if foreign else entry.file_size for entry, dtype, shape in headers.values())
    if total > most:
        raise refusal(path, f"{total / 2**30:.1f} GiB when decompressed; at most {most / 2**30:g} GiB are read")
    refuse_beyond_memory(4 * total, f"{path.name}: reading it")
    return headers


def _decoded(dtype: np.dtype, shape: tuple[int, ...]) -> int:
    """Bytes of an array as it is worked with: numbers of a table of scores as float32."""
    return int(np.prod(shape, dtype=object)) * max(dtype.itemsize, 4 if len(shape) > 1 else 1)


def read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, widest: int = SINGLE) -> np.ndarray:
    with archive.open(entry) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # to the end, where zipfile compares the checksum
    return native(array, widest)


def read_npz(
    path: str | Path,
    most: int | None = None,
    pick: Callable[[Shapes], Collection[str]] = tuple,
    widest: int = SINGLE,
) -> dict[str, np.ndarray]:
    """All arrays of any `.npz`, of at most `most` bytes, read as carefully as a run file's, floats of at most `widest`
    bytes; or those that are picked by their names and shapes. Raises RunFileError, and what `pick` raises.
    """
    with opened(Path(path), foreign=True, most=most) as (_, archive, headers):
        picked = pick({name: shape for name, (_, _, shape) in headers.items()})
        arrays = {name: read_array(archive, headers[name][0], widest) for name in picked}
    for name, array in arrays.items():
        if array.dtype.kind == "U" and not is_unicode(array):
            raise refusal(Path(path), f"array {name!r} holds code points beyond Unicode; use plain text")
    return arrays


def map_npy(path: Path) -> np.ndarray:
    """The array of an `.npy`, mapped: a header that promises more than the file holds is refused before anything is
    allocated. Raises CifarcoreError for text that is none, ValueError for damage.
    """
    if not path.is_file():  # a pipe would be waited for
        raise CifarcoreError("is no file" if path.exists() else "no such file")
    array = np.lib.format.open_memmap(path, mode="r")
    if array.dtype.kind == "U" and not is_unicode(native(array)):
        raise CifarcoreError("holds code points beyond Unicode; use plain text")
    return array


def native(array: np.ndarray, widest: int = SINGLE) -> np.ndarray:
    """The same values in this machine's byte order, rows contiguous, floats of at most `widest` bytes."""
    wide = array.dtype.kind == "f" and array.dtype.itemsize > widest
    dtype = np.dtype(f"f{widest}") if wide else array.dtype.newbyteorder("=")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        return np.asarray(array, dtype, order="C")


def is_run_file(path: Path) -> bool:
    """Whether an `.npz` says that it is a run file; whether it is a sound one, `load_run` tells."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return holds_run(file)
    except OSError:
        return False


def holds_run(file: BinaryIO) -> bool:
    """The same of an open archive, which may be in memory."""
    return "schema" in _names(file)


def names_in(path: Path) -> frozenset[str]:
    """The names of the arrays of an `.npz`; none of a file that is not there or is none."""
    try:
        with open_file(path) as file:
            return _names(file)
    except OSError:
        return frozenset()


def _names(file: BinaryIO) -> frozenset[str]:
    try:
        with open_zip(file) as archive:
            return frozenset(name.removesuffix(".npy") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return frozenset()
