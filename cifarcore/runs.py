"""The run file, version 1: one model's scores on one test set, with what is needed to compare it.

The contract between training and the app, so it knows NumPy alone: no torch, no Streamlit.
A file is hostile until `load_run` has accepted it: shapes, types and sizes are read from the
archive's headers and checked before anything is allocated, and nothing is ever unpickled.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cifarcore import CifarcoreError
from cifarcore.files import atomic_write
from cifarcore.run_layout import (
    GROUPS,
    HISTORY_COLUMNS,
    LAYOUT,
    MAX_BYTES,
    SCHEMA,
    RunFileError,
    check_schema,
    check_shapes,
    check_values,
    image_keys,
    parse_meta,
    refusal,
)

_STORED_AS_FLOAT16 = ("logits", "val_logits", "train_neighbor_cosine")


@dataclass(frozen=True, eq=False)
class Run:
    """One model's outputs on N test images of C classes.

    A loaded run's arrays are read-only. Optional ones are None, `history` is empty, where the file has none.
    """

    class_names: np.ndarray  #: unicode (C,)
    sample_ids: np.ndarray  #: uint64 (N,)
    labels: np.ndarray  #: int16 (N,)
    logits: np.ndarray  #: float (N, C), scores before softmax
    meta: dict = field(default_factory=dict)
    superclass_names: np.ndarray | None = None  #: unicode (S,)
    superclass_of: np.ndarray | None = None  #: int16 (C,)
    val_sample_ids: np.ndarray | None = None
    val_labels: np.ndarray | None = None
    val_logits: np.ndarray | None = None
    tsne: np.ndarray | None = None  #: float32 (N, 2)
    umap: np.ndarray | None = None  #: float32 (N, 2)
    train_neighbor_ids: np.ndarray | None = None  #: uint64 (N, K), nearest first
    train_neighbor_labels: np.ndarray | None = None  #: int16 (N, K)
    train_neighbor_cosine: np.ndarray | None = None  #: float16 (N, K)
    history: dict[str, np.ndarray] = field(default_factory=dict)  #: HISTORY_COLUMNS -> float32 (E,)
    path: Path | None = None  #: the file it was read from
    digest: str = ""  #: of the file's bytes, and of what was chosen since: equal digests, equal content

    @property
    def name(self) -> str:
        return self.path.stem if self.path else f"{self.group}-{self.meta.get('seed', 0)}"

    @property
    def group(self) -> str:
        """What the seeds of one model have in common: `model-preset`."""
        return group_of(self.meta, self.path)

    @property
    def n_images(self) -> int:
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    def blocks(self) -> list[slice]:
        """The rows in blocks whose scores fit a processor's cache."""
        step = max(2**18 // self.n_classes, 1)
        return [slice(start, start + step) for start in range(0, self.n_images, step)]

    @cached_property
    def predictions(self) -> np.ndarray:
        """The class of highest score of each image, (N,); the lowest index among equals."""
        found = np.empty(self.n_images, dtype=np.intp)
        for rows in self.blocks():
            found[rows] = self.logits[rows].astype(np.float32).argmax(axis=1)  # float16 is compared one by one
        return found

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each image's highest score is its label's, bool (N,)."""
        return self.predictions == self.labels

    def take(self, rows: np.ndarray) -> "Run":
        """The same run on the chosen test images, in the order of `rows` (integer indices or a mask)."""
        per_image = ("sample_ids", "labels", "logits", "tsne", "umap", *GROUPS[2])
        chosen = {name: getattr(self, name)[rows] for name in per_image if getattr(self, name) is not None}
        return replace(self, **chosen, digest=_derived_digest(self, np.asarray(rows)))


@dataclass(frozen=True)
class RunHeader:
    """What a picker needs of a run file, read without loading its arrays."""

    path: Path
    meta: dict
    n_images: int
    n_classes: int

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def group(self) -> str:
        return group_of(self.meta, self.path)

    @property
    def seed(self) -> int:
        return seed_of(self.meta)


@dataclass(frozen=True)
class AlignedPair:
    """Two runs on the test images that they share: row i of `a` and row i of `b` are one image."""

    a: Run
    b: Run
    only_a: int  #: images that only A has
    only_b: int

    @property
    def partial(self) -> bool:
        return self.only_a > 0 or self.only_b > 0


def group_of(meta: dict, path: Path | None) -> str:
    if meta.get("model"):
        return "-".join(str(meta[key]) for key in ("model", "preset") if meta.get(key))
    return path.stem if path else "run"


def seed_given(meta: dict) -> int | None:
    """The seed of a training; None where nobody gave one: `import` writes 0 for predictions that name no model."""
    seed = meta.get("seed")
    return None if "imported" in meta and not meta.get("model") and not seed else seed


def seed_of(meta: dict) -> int:
    """The seed by which the runs of a model are told apart and ordered: 0 where none is named."""
    return int(meta.get("seed") or 0)


def seeds_said(runs: Sequence[Run]) -> str:
    """For example «mean of seeds 0, 1, 2» or «seed 0»; nothing for a single run of which no seed is known."""
    names = ", ".join(str(seed_of(run.meta)) for run in runs)
    if len(runs) > 1:
        return f"mean of seeds {names}"
    return "" if seed_given(runs[0].meta) is None else f"seed {names}"


def save_run(run: Run, path: str | Path) -> Path:
    """Write `run` as one `.npz`, atomically. Raises RunFileError when it is not a valid run."""
    path = Path(path)
    try:
        meta = json.dumps(run.meta, ensure_ascii=False, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise refusal(path, f"meta cannot be written as JSON ({error})") from None
    arrays = {"schema": np.array(SCHEMA), "meta": np.array(meta)}
    for name in LAYOUT:
        value = (
            run.history.get(name.removeprefix("history_")) if name.startswith("history_") else getattr(run, name, None)
        )
        if name not in arrays and value is not None:
            arrays[name] = _native(np.asarray(value))
            if name in _STORED_AS_FLOAT16 and arrays[name].dtype.kind == "f":
                with np.errstate(over="ignore"):
                    arrays[name] = arrays[name].astype(np.float16)
    check_shapes({name: (array.dtype, array.shape) for name, array in arrays.items()}, path)
    parse_meta(arrays["meta"], path)
    check_values(arrays, path)
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **_with_int16(arrays))
    return path


def load_run(path: str | Path) -> Run:
    """Read and validate a run file. Raises RunFileError with one line that names the array and the reason."""
    path = Path(path)
    with _opened(path) as (file, archive, headers):
        arrays = {name: _read(archive, entry) for name, (entry, _, _) in headers.items()}
        file.seek(0)
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    check_schema(arrays.pop("schema"), path)
    meta = parse_meta(arrays.pop("meta", None), path)
    check_values(arrays, path)
    arrays = _with_int16(arrays)
    for array in arrays.values():
        array.flags.writeable = False
    history = {column: arrays.pop(f"history_{column}") for column in HISTORY_COLUMNS if f"history_{column}" in arrays}
    return Run(**arrays, meta=meta, history=history, path=path, digest=digest)


def read_header(path: str | Path) -> RunHeader:
    """Read what a picker needs, without the arrays. Raises RunFileError as `load_run` does for shapes and types."""
    path = Path(path)
    with _opened(path) as (_, archive, headers):
        schema, meta = (_read(archive, headers[name][0]) if name in headers else None for name in ("schema", "meta"))
    check_schema(schema, path)
    n_images, n_classes = headers["logits"][2]
    return RunHeader(path, parse_meta(meta, path), n_images, n_classes)


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """All arrays of any `.npz`, read as carefully as a run file's. Raises RunFileError."""
    with _opened(Path(path), foreign=True) as (_, archive, headers):
        return {name: _read(archive, entry) for name, (entry, _, _) in headers.items()}


def align(a: Run, b: Run) -> AlignedPair:
    """Match two runs on the test images that they share, by (sample id, label), in A's order of images and classes.

    Classes are matched by name, so B may list the same classes in another order. Superclasses are of the classes, not of
    a model: a run that names none gets the other's, and where both do, A's are both's.
    Raises RunFileError where the classes differ or no image is shared.
    """
    b = _with_classes_of(a, b)
    a = _with_superclasses_of(b, a) if a.superclass_of is None else a
    b = _with_superclasses_of(a, b)
    rows_a, rows_b = matching_rows(a, b)
    only_a, only_b = a.n_images - len(rows_a), b.n_images - len(rows_b)
    if only_a or not np.array_equal(rows_a, np.arange(a.n_images)):
        a = a.take(rows_a)
    if only_b or not np.array_equal(rows_b, np.arange(b.n_images)):
        b = b.take(rows_b)
    return AlignedPair(a, b, only_a, only_b)


def matching_rows(a: Run, b: Run) -> tuple[np.ndarray, np.ndarray]:
    """Rows (M,) of A and (M,) of B that hold the same images, in A's order; matched by sample id and class name.

    Raises RunFileError where the classes differ or no image is shared.
    """
    b = _with_classes_of(a, b)
    keys = image_keys(np.concatenate([a.sample_ids, b.sample_ids]), np.concatenate([a.labels, b.labels]))
    _, rows_a, rows_b = np.intersect1d(keys[: a.n_images], keys[a.n_images :], assume_unique=True, return_indices=True)
    if not len(rows_a):
        raise RunFileError(
            f"{a.name} and {b.name} share no test image; compare runs that were evaluated on the same test set"
        )
    order = np.argsort(rows_a)
    return rows_a[order], rows_b[order]


def _with_classes_of(a: Run, b: Run) -> Run:
    """B with its classes in A's order."""
    if np.array_equal(a.class_names, b.class_names):
        return b
    different = sorted(set(a.class_names.tolist()) ^ set(b.class_names.tolist()))
    if different:
        raise RunFileError(
            f"{a.name} and {b.name} have different classes ({len(different)} names in one only, such as "
            f"{different[0]!r}); compare runs with the same class names"
        )
    position = {name: index for index, name in enumerate(a.class_names)}
    to_a = np.array([position[name] for name in b.class_names], b.labels.dtype)
    columns = np.argsort(to_a)
    changes = {"class_names": a.class_names, "labels": to_a[b.labels], "logits": b.logits[:, columns]}
    if b.val_labels is not None:
        changes |= {"val_labels": to_a[b.val_labels], "val_logits": b.val_logits[:, columns]}
    if b.superclass_of is not None:
        changes["superclass_of"] = b.superclass_of[columns]
    if b.train_neighbor_labels is not None:
        changes["train_neighbor_labels"] = to_a[b.train_neighbor_labels]
    return replace(b, **changes, digest=_derived_digest(b, columns))


def _with_superclasses_of(run: Run, other: Run) -> Run:
    """`other`, of the same classes in the same order, with the superclasses of `run`, if that has any."""
    if run.superclass_of is None or (
        other.superclass_of is not None
        and np.array_equal(run.superclass_names, other.superclass_names)
        and np.array_equal(run.superclass_of, other.superclass_of)
    ):
        return other
    named = run.superclass_names[run.superclass_of]
    return replace(
        other,
        superclass_names=run.superclass_names,
        superclass_of=run.superclass_of,
        digest=_derived_digest(other, named),
    )


def _derived_digest(run: Run, choice: np.ndarray) -> str:
    if not run.digest:
        return ""
    return hashlib.blake2b(run.digest.encode() + choice.tobytes(), digest_size=16).hexdigest()


_Headers = dict[str, tuple[zipfile.ZipInfo, np.dtype, tuple[int, ...]]]


@contextmanager
def _opened(path: Path, foreign: bool = False) -> Iterator[tuple[BinaryIO, zipfile.ZipFile, _Headers]]:
    """The open file, its archive, and entry, dtype and shape of each known array, all checked against the layout.

    With `foreign`, of every array, whatever its name and shape.

    The file stays open in between, so that one put in its place meanwhile is not read unchecked.
    """
    if not path.exists():
        raise refusal(path, "no such file; `cifarcore evaluate CHECKPOINT` writes run files")
    if not path.is_file():
        raise refusal(path, "not a file; name an .npz run file")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            headers = _read_headers(archive, path, foreign)
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
        raise refusal(path, f"not a readable .npz run file ({error or type(error).__name__}); write it again") from None


def _read_headers(archive: zipfile.ZipFile, path: Path, foreign: bool) -> _Headers:
    headers: _Headers = {}
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
    total = sum(entry.file_size for entry, _, _ in headers.values())
    if total > MAX_BYTES:
        raise refusal(path, f"{total / 2**30:.1f} GiB when decompressed; at most {MAX_BYTES >> 30} GiB are read")
    return headers


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read()  # to the end, where zipfile compares the checksum
    return _native(array)


def _native(array: np.ndarray) -> np.ndarray:
    """The same values in this machine's byte order, rows contiguous, floats of at most 32 bits."""
    dtype = (
        np.dtype(np.float32) if array.dtype.kind == "f" and array.dtype.itemsize > 4 else array.dtype.newbyteorder("=")
    )
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused later
        return np.asarray(array, dtype, order="C")


def _with_int16(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Class indices as int16, once they are known to fit."""
    return {name: array.astype(np.int16) if LAYOUT[name][0] == "iu" else array for name, array in arrays.items()}
