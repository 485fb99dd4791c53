"""The run file, version 1: one model's scores on one test set, with what is needed to compare it.

The contract between training and the app, so it knows NumPy alone: no torch, no Streamlit.
A file is hostile until `load_run` has accepted it: shapes, types and sizes are read from the
archive's headers and checked before anything is allocated, and nothing is ever unpickled.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cifarcore import CifarcoreError
from cifarcore.files import atomic_write

SCHEMA = 1
MAX_IMAGES = 2_000_000
MAX_CLASSES = 20_000
MAX_EPOCHS = 1_000_000
MAX_NAME_LENGTH = 10_000
MAX_META_BYTES = 4 << 20
MAX_BYTES = 4 << 30  # decompressed, all arrays together

HISTORY_COLUMNS = ("epoch", "train_loss", "val_accuracy", "lr", "seconds")

# name -> (kinds of dtype, shape); a letter in a shape is a length that all arrays share
_LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "schema": ("iu", ()),
    "meta": ("U", ()),
    "class_names": ("U", ("C",)),
    "superclass_names": ("U", ("S",)),
    "superclass_of": ("iu", ("C",)),
    "sample_ids": ("u8", ("N",)),
    "labels": ("iu", ("N",)),
    "logits": ("f", ("N", "C")),
    "val_sample_ids": ("u8", ("V",)),
    "val_labels": ("iu", ("V",)),
    "val_logits": ("f", ("V", "C")),
    "tsne": ("f", ("N", 2)),
    "umap": ("f", ("N", 2)),
    "train_neighbor_ids": ("u8", ("N", "K")),
    "train_neighbor_labels": ("iu", ("N", "K")),
    "train_neighbor_cosine": ("f", ("N", "K")),
    **{f"history_{column}": ("f", ("E",)) for column in HISTORY_COLUMNS},
}
_REQUIRED = ("schema", "class_names", "labels", "logits", "sample_ids")
_LIMITS = {"N": MAX_IMAGES, "V": MAX_IMAGES, "C": MAX_CLASSES, "S": MAX_CLASSES, "K": 1000, "E": MAX_EPOCHS}
# arrays that mean something only together
_GROUPS = (
    ("superclass_names", "superclass_of"),
    ("val_sample_ids", "val_labels", "val_logits"),
    ("train_neighbor_ids", "train_neighbor_labels", "train_neighbor_cosine"),
    tuple(f"history_{column}" for column in HISTORY_COLUMNS),
)
_STORED_AS = {"logits": np.float16, "val_logits": np.float16, "train_neighbor_cosine": np.float16}


class RunFileError(CifarcoreError):
    """A run file, or a pair of runs, that cannot be used; the message names the array and the reason."""


@dataclass(frozen=True, eq=False)
class Run:
    """One model's outputs on N test images of C classes; arrays as `design` of the run file says.

    Arrays are read-only. Optional ones are None, `history` is empty, where the file has none.
    """

    class_names: np.ndarray  #: unicode (C,)
    sample_ids: np.ndarray  #: uint64 (N,)
    labels: np.ndarray  #: int16 (N,), or int32 where C needs it
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
    digest: str = ""  #: of the file's bytes: equal digests, equal content

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

    @cached_property
    def predictions(self) -> np.ndarray:
        """The class of highest score of each image, (N,); the lowest index among equals."""
        return self.logits.argmax(axis=1)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each image's highest score is its label's, bool (N,)."""
        return self.predictions == self.labels

    def take(self, rows: np.ndarray) -> "Run":
        """The same run on the chosen test images, in the order of `rows` (integer indices or a mask)."""
        per_image = ("sample_ids", "labels", "logits", "tsne", "umap", *_GROUPS[2])
        chosen = {name: getattr(self, name)[rows] for name in per_image if getattr(self, name) is not None}
        return replace(self, **chosen)


@dataclass(frozen=True)
class RunHeader:
    """What a picker needs of a run file, read without loading its arrays."""

    path: Path
    meta: dict
    n_images: int
    n_classes: int
    arrays: frozenset[str]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def group(self) -> str:
        return group_of(self.meta, self.path)

    @property
    def seed(self) -> int:
        return int(self.meta.get("seed", 0))


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
    if "model" in meta:
        return "-".join(str(meta[key]) for key in ("model", "preset") if meta.get(key))
    return path.stem if path else "run"


def save_run(run: Run, path: str | Path) -> Path:
    """Write `run` as one `.npz`, atomically. Raises RunFileError when it is not a valid run."""
    path = Path(path)
    arrays: dict[str, np.ndarray] = {
        "schema": np.array(SCHEMA),
        "meta": np.array(json.dumps(run.meta, ensure_ascii=False, sort_keys=True)),
    }
    for name in _LAYOUT:
        value = run.history.get(name.removeprefix("history_")) if name.startswith("history_") else getattr(run, name, None)
        if name in arrays or value is None:
            continue
        arrays[name] = np.asarray(value).astype(_STORED_AS.get(name, np.asarray(value).dtype))
    _check_shapes({name: (array.dtype, array.shape) for name, array in arrays.items()}, path)
    _check_values(arrays, path)
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    return path


def load_run(path: str | Path) -> Run:
    """Read and validate a run file. Raises RunFileError with one line that names the array and the reason."""
    path = Path(path)
    headers = _read_headers(path)
    _check_shapes(headers, path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in headers}
        digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, MemoryError, RuntimeError, zipfile.zlib.error) as error:
        raise RunFileError(f"{path}: damaged ({_one_line(error)}); write it again with `cifarcore evaluate`") from None
    meta = _parse_meta(arrays.pop("meta", None), path)
    _check_values(arrays, path)
    arrays.pop("schema")
    history = {column: arrays.pop(f"history_{column}").astype(np.float32) for column in HISTORY_COLUMNS if f"history_{column}" in arrays}
    label_type = np.int16 if len(arrays["class_names"]) <= 2**15 else np.int32
    for name, array in arrays.items():
        if _LAYOUT[name][0] == "iu":
            array = array.astype(label_type)
        elif array.dtype.kind == "f" and array.dtype.itemsize > 4:
            array = array.astype(np.float32)
        array.flags.writeable = False
        arrays[name] = array
    return Run(**arrays, meta=meta, history=history, path=path, digest=digest)


def read_header(path: str | Path) -> RunHeader:
    """Read what a picker needs, without the arrays. Raises RunFileError as `load_run` does for shapes and types."""
    path = Path(path)
    headers = _read_headers(path)
    _check_shapes(headers, path)
    meta = None
    if "meta" in headers:
        try:
            with np.load(path, allow_pickle=False) as archive:
                meta = archive["meta"]
        except (OSError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, zipfile.zlib.error) as error:
            raise RunFileError(f"{path}: damaged ({_one_line(error)}); write it again with `cifarcore evaluate`") from None
    n_images, n_classes = headers["logits"][1]
    return RunHeader(path, _parse_meta(meta, path), n_images, n_classes, frozenset(headers))


def align(a: Run, b: Run) -> AlignedPair:
    """Match two runs on the test images that they share, by (sample id, label), in A's order of images and classes.

    Classes are matched by name, so B may list the same classes in another order.
    Raises RunFileError where the classes differ or no image is shared.
    """
    b = _with_classes_of(a, b)
    keys_a, keys_b = _image_keys(a), _image_keys(b)
    shared, rows_a, rows_b = np.intersect1d(keys_a, keys_b, assume_unique=True, return_indices=True)
    if not len(shared):
        raise RunFileError(f"{a.name} and {b.name} share no test image; compare runs that were evaluated on the same test set")
    order = np.argsort(rows_a)
    rows_a, rows_b = rows_a[order], rows_b[order]
    same = len(shared) == a.n_images == b.n_images
    if not (same and np.array_equal(rows_a, np.arange(a.n_images))):
        a = a.take(rows_a)
    if not (same and np.array_equal(rows_b, np.arange(b.n_images))):
        b = b.take(rows_b)
    return AlignedPair(a, b, len(keys_a) - len(shared), len(keys_b) - len(shared))


def _with_classes_of(a: Run, b: Run) -> Run:
    if np.array_equal(a.class_names, b.class_names):
        return b
    if set(a.class_names) != set(b.class_names):
        different = sorted(set(a.class_names) ^ set(b.class_names))
        raise RunFileError(
            f"{a.name} and {b.name} have different classes ({len(different)} names in one only, such as {different[0]!r}); "
            "compare runs with the same class names"
        )
    position = {name: index for index, name in enumerate(a.class_names)}
    to_a = np.array([position[name] for name in b.class_names])
    columns = np.argsort(to_a)
    changes = {"class_names": a.class_names, "labels": to_a[b.labels].astype(b.labels.dtype), "logits": b.logits[:, columns]}
    if b.val_labels is not None:
        changes |= {"val_labels": to_a[b.val_labels].astype(b.val_labels.dtype), "val_logits": b.val_logits[:, columns]}
    if b.superclass_of is not None:
        changes["superclass_of"] = b.superclass_of[columns]
    if b.train_neighbor_labels is not None:
        changes["train_neighbor_labels"] = to_a[b.train_neighbor_labels].astype(b.labels.dtype)
    return replace(b, **changes)


def _image_keys(run: Run) -> np.ndarray:
    return _keys(run.sample_ids, run.labels)


def _keys(sample_ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(id, label) as one structured array, so that NumPy's set operations work on the pair."""
    keys = np.empty(len(labels), dtype=[("id", np.uint64), ("label", np.int32)])
    keys["id"], keys["label"] = sample_ids, labels
    return keys


def _read_headers(path: Path) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """dtype and shape of each known array, from the archive's headers alone."""
    headers = {}
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name not in _LAYOUT:
                    continue  # a later version may add arrays
                if name in headers:
                    raise RunFileError(f"{path}: array {name!r} stands in it twice; write it again")
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                    shape, _, dtype = read(file)
                if dtype.hasobject:
                    raise RunFileError(f"{path}: array {name!r} holds Python objects (a pickle), which are never loaded; store plain numbers or text")
                size = int(np.prod(shape, dtype=object)) * dtype.itemsize
                if size + (1 << 16) < entry.file_size or size > entry.file_size:
                    raise RunFileError(f"{path}: array {name!r} is not as long as its header says; the file is damaged")
                total += size
                headers[name] = (dtype, shape)
    except FileNotFoundError:
        raise RunFileError(f"{path}: no such file; `cifarcore evaluate CHECKPOINT` writes run files") from None
    except IsADirectoryError:
        raise RunFileError(f"{path}: a folder, not a run file; name an .npz file") from None
    except RunFileError:
        raise
    except Exception as error:  # zipfile and NumPy's header reader raise many kinds on damaged bytes
        raise RunFileError(f"{path}: not a readable .npz run file ({_one_line(error)})") from None
    if total > MAX_BYTES:
        raise RunFileError(f"{path}: {total / 2**30:.1f} GiB when decompressed; at most {MAX_BYTES >> 30} GiB are read")
    return headers


def _check_shapes(headers: dict[str, tuple[np.dtype, tuple[int, ...]]], path: Path) -> None:
    for name in _REQUIRED:
        if name not in headers:
            raise RunFileError(f"{path}: array {name!r} is missing; a run file needs {', '.join(_REQUIRED)}")
    for group in _GROUPS:
        present = [name for name in group if name in headers]
        if present and len(present) < len(group):
            missing = next(name for name in group if name not in headers)
            raise RunFileError(f"{path}: array {missing!r} is missing beside {present[0]!r}; give all or none of {', '.join(group)}")
    lengths: dict[str, tuple[int, str]] = {}
    for name, (dtype, shape) in headers.items():
        kinds, expected = _LAYOUT[name]
        if not (dtype == np.uint64 if kinds == "u8" else dtype.kind in kinds):
            wanted = {"u8": "uint64", "iu": "integer", "f": "float", "U": "unicode text"}[kinds]
            raise RunFileError(f"{path}: array {name!r} has dtype {dtype}, expected {wanted}")
        if len(shape) != len(expected):
            raise RunFileError(f"{path}: array {name!r} has {len(shape)} dimensions, expected {len(expected)}")
        for length, symbol in zip(shape, expected, strict=True):
            if isinstance(symbol, int):
                if length != symbol:
                    raise RunFileError(f"{path}: array {name!r} has shape {shape}, expected {symbol} columns")
                continue
            known, first = lengths.setdefault(symbol, (length, name))
            if known != length:
                raise RunFileError(f"{path}: array {name!r} has length {length} where {first!r} has {known}; they must agree")
            if length > _LIMITS[symbol]:
                raise RunFileError(f"{path}: array {name!r} has length {length}, more than the {_LIMITS[symbol]} that are read")
        if dtype.kind == "U" and dtype.itemsize > 4 * (MAX_META_BYTES // 4 if name == "meta" else MAX_NAME_LENGTH):
            raise RunFileError(f"{path}: array {name!r} has text of {dtype.itemsize // 4} characters, more than are read")
    if lengths["N"][0] == 0:
        raise RunFileError(f"{path}: array 'labels' is empty; a run needs at least one test image")
    if lengths["C"][0] < 2:
        raise RunFileError(f"{path}: array 'class_names' has {lengths['C'][0]} names; a classifier needs at least two classes")


def _check_values(arrays: dict[str, np.ndarray], path: Path) -> None:
    schema = int(arrays["schema"])
    if schema != SCHEMA:
        raise RunFileError(f"{path}: schema {schema}, but this version reads schema {SCHEMA}; update cifarcore or write the file again")
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not name.startswith("history_") and not np.isfinite(array).all():
            raise RunFileError(f"{path}: array {name!r} holds NaN or infinite values; every score must be a finite number")
    n_classes = len(arrays["class_names"])
    for name in ("labels", "val_labels", "train_neighbor_labels", "superclass_of"):
        if name not in arrays or not arrays[name].size:
            continue
        bound = len(arrays["superclass_names"]) if name == "superclass_of" else n_classes
        low, high = int(arrays[name].min()), int(arrays[name].max())
        if low < 0 or high >= bound:
            raise RunFileError(f"{path}: array {name!r} holds {low if low < 0 else high}, outside 0..{bound - 1}")
    for name in ("class_names", "superclass_names"):
        if name in arrays:
            _check_names(arrays[name], name, path)
    for prefix in ("", "val_"):
        if f"{prefix}labels" in arrays:
            keys = _keys(arrays[f"{prefix}sample_ids"], arrays[f"{prefix}labels"])
            repeated = len(keys) - len(np.unique(keys))
            if repeated:
                raise RunFileError(f"{path}: array '{prefix}sample_ids' repeats {repeated} (id, label) pairs; each image may stand once")


def _check_names(names: np.ndarray, array: str, path: Path) -> None:
    texts = names.tolist()
    if len(set(texts)) < len(texts):
        raise RunFileError(f"{path}: array {array!r} names a class twice; names must differ")
    if any(not text.strip() for text in texts):
        raise RunFileError(f"{path}: array {array!r} holds an empty name; every class needs one")


def _parse_meta(array: np.ndarray | None, path: Path) -> dict:
    if array is None:
        return {}
    try:
        meta = json.loads(str(array))
    except (ValueError, RecursionError) as error:
        raise RunFileError(f"{path}: array 'meta' is not JSON ({_one_line(error)})") from None
    if not isinstance(meta, dict):
        raise RunFileError(f"{path}: array 'meta' is not a JSON object")
    if not isinstance(meta.get("seed", 0), int):
        raise RunFileError(f"{path}: array 'meta' has a seed that is not an integer")
    return meta


def _one_line(error: Exception | Iterable) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
