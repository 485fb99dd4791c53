"""What a run file, version 1, may hold: arrays, types, limits, and the checks behind every refusal.

Knows NumPy alone, and nothing of files: `runs` reads and writes them.
"""

import json
import math
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from cifarcore.data.ids import image_keys
from cifarcore.errors import CifarcoreError
from cifarcore.text import brief

SCHEMA = 1
MAX_IMAGES = 2_000_000
MAX_CLASSES = 20_000
MAX_EPOCHS = 1_000_000
MAX_METADATA = 100  # columns
MAX_COLUMNS = MAX_CLASSES + 1_000  # of a table that someone else wrote
MAX_NAME_LENGTH = 1_000
MAX_CLUSTERS = 1_000
MAX_EMPTY_SUPERCLASSES = 100  # in which no class is: every two superclasses are compared, however few classes there are
MAX_META_LENGTH = 1_000_000
MAX_BYTES = 1 << 30  # decompressed, all arrays together; the app takes a few times as much to compare two such runs

#: `meta.dataset.matched_by` where sample ids only number the rows of a named test set (`data.ids.row_ids`)
BY_ROW = "row number"
#: how spreadsheets, R, pandas and databases write an unknown number
UNKNOWN = ("", "na", "n/a", "#n/a", "nan", "null", "none", "<na>", "-")
HISTORY_COLUMNS = ("epoch", "train_loss", "val_accuracy", "lr", "seconds")

# name -> (kinds of dtype, shape); a letter in a shape is a length that all arrays share
LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
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
    "clusters": ("iu", ("N",)),
    "train_neighbor_ids": ("u8", ("N", "K")),
    "train_neighbor_labels": ("iu", ("N", "K")),
    "train_neighbor_cosine": ("f", ("N", "K")),
    "metadata_names": ("U", ("M",)),
    "metadata_values": ("U", ("N", "M")),
    **{f"history_{column}": ("f", ("E",)) for column in HISTORY_COLUMNS},
}
_REQUIRED = ("schema", "class_names", "labels", "logits", "sample_ids")
_LIMITS = {"N": MAX_IMAGES, "V": MAX_IMAGES, "C": MAX_CLASSES, "S": MAX_CLASSES, "K": 1000, "E": MAX_EPOCHS}
_LIMITS["M"] = MAX_METADATA
# arrays that mean something only together
GROUPS = (
    ("superclass_names", "superclass_of"),
    ("val_sample_ids", "val_labels", "val_logits"),
    ("train_neighbor_ids", "train_neighbor_labels", "train_neighbor_cosine"),
    tuple(f"history_{column}" for column in HISTORY_COLUMNS),
    ("metadata_names", "metadata_values"),
)
_META_TYPES: dict[str, Any] = {
    **dict.fromkeys(("model", "preset", "initialised_from", "device", "created", "scores", "map_source"), str),
    **dict.fromkeys(("config", "dataset", "versions", "maps"), dict),
    **dict.fromkeys(("seed", "parameters", "zero_probabilities", "through_softmax"), int),
    "train_seconds": (int, float),
}


class RunFileError(CifarcoreError):
    """A run file, or a pair of runs, that cannot be used; the message names the array and the reason."""


def dataset_name(meta: dict[str, Any]) -> str:
    """The name of the test images as the file has it; empty where it has none."""
    return str((meta.get("dataset") or {}).get("name") or "").strip()


def dataset_fingerprint(meta: dict[str, Any]) -> str:
    """The fingerprint of the test images as the file has it; empty where it has none."""
    return str((meta.get("dataset") or {}).get("fingerprint") or "")


def check_shapes(headers: dict[str, tuple[np.dtype, tuple[int, ...]]], path: Path) -> None:
    for name in _REQUIRED:
        if name not in headers:
            raise refusal(path, f"array {name!r} is missing; a run file needs {', '.join(_REQUIRED)}")
    for group in GROUPS:
        present = [name for name in group if name in headers]
        if present and len(present) < len(group):
            missing = next(name for name in group if name not in headers)
            raise refusal(
                path, f"array {missing!r} is missing beside {present[0]!r}; give all or none of {', '.join(group)}"
            )
    lengths: dict[str, tuple[int, str]] = {}
    for name, (dtype, shape) in headers.items():
        kinds, expected = LAYOUT[name]
        if not (dtype.kind == "u" and dtype.itemsize == 8 if kinds == "u8" else dtype.kind in kinds):
            wanted = {"u8": "uint64", "iu": "integer", "f": "float", "U": "unicode text"}[kinds]
            raise refusal(path, f"array {name!r} has dtype {dtype}, expected {wanted}")
        if len(shape) != len(expected):
            raise refusal(path, f"array {name!r} has {len(shape)} dimensions, expected {len(expected)}")
        for length, symbol in zip(shape, expected, strict=True):
            if isinstance(symbol, int):
                if length != symbol:
                    raise refusal(path, f"array {name!r} has shape {shape}, expected {symbol} columns")
                continue
            known, first = lengths.setdefault(symbol, (length, name))
            if known != length:
                raise refusal(path, f"array {name!r} has length {length} where {first!r} has {known}; they must agree")
            if length == 0:
                raise refusal(path, f"array {name!r} is empty; give at least one, or leave out an optional array")
            if length > _LIMITS[symbol]:
                raise refusal(
                    path, f"array {name!r} has length {length}, more than the {_LIMITS[symbol]} that are read"
                )
        longest = MAX_META_LENGTH if name == "meta" else MAX_NAME_LENGTH
        if dtype.kind == "U" and dtype.itemsize // 4 > longest:
            raise refusal(
                path,
                f"array {name!r} has text of {dtype.itemsize // 4} characters, more than the {longest} that are read",
            )
    if lengths["C"][0] < 2:
        raise refusal(path, "array 'class_names' has one name; a classifier needs at least two classes")


def check_schema(array: np.ndarray | None, path: Path) -> None:
    if array is None or int(array) != SCHEMA:
        raise refusal(
            path, f"schema {array}, but this version reads schema {SCHEMA}; update cifarcore or write the file again"
        )


def check_values(arrays: dict[str, np.ndarray], path: Path) -> None:
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not name.startswith("history_") and not np.isfinite(array).all():
            raise refusal(
                path,
                f"array {name!r} holds NaN, infinite or too large values; give finite numbers (up to 65504 as float16)",
            )
    n_classes = len(arrays["class_names"])
    for name in ("labels", "val_labels", "train_neighbor_labels", "superclass_of"):
        if name in arrays:
            bound = len(arrays["superclass_names"]) if name == "superclass_of" else n_classes
            low, high = int(arrays[name].min()), int(arrays[name].max())
            if low < 0 or high >= bound:
                raise refusal(path, f"array {name!r} holds {low if low < 0 else high}, outside 0..{bound - 1}")
    if "superclass_of" in arrays:
        empty = len(arrays["superclass_names"]) - len(np.unique(arrays["superclass_of"]))
        if empty > MAX_EMPTY_SUPERCLASSES:
            raise refusal(path, f"array 'superclass_names' has {empty:,} names that no class is in; leave these out")
    if "clusters" in arrays and not 0 <= arrays["clusters"].min() <= arrays["clusters"].max() < MAX_CLUSTERS:
        raise refusal(path, f"array 'clusters' holds numbers outside 0..{MAX_CLUSTERS - 1}")
    if "metadata_values" in arrays and not is_unicode(arrays["metadata_values"], with_halves=False):
        raise refusal(path, "array 'metadata_values' holds code points that are no characters; use plain text")
    for name in ("class_names", "superclass_names", "metadata_names"):
        if name in arrays:
            _check_names(arrays[name], name, path)
    for prefix in ("", "val_"):
        if f"{prefix}labels" in arrays:
            keys = image_keys(arrays[f"{prefix}sample_ids"], arrays[f"{prefix}labels"])
            repeated = len(keys) - len(np.unique(keys))
            if repeated:
                raise refusal(
                    path, f"array '{prefix}sample_ids' repeats {repeated} (id, label) pairs; give each image once"
                )


def _check_names(names: np.ndarray, array: str, path: Path) -> None:
    if not is_unicode(names):
        raise refusal(path, f"array {array!r} holds code points beyond Unicode; use plain text")
    texts = names.tolist()
    if len(set(texts)) < len(texts):
        raise refusal(path, f"array {array!r} names a class twice; names must differ")
    if any(not text.strip() for text in texts):
        raise refusal(path, f"array {array!r} holds an empty name; every class needs one")
    if not all(map(_is_text, texts)):
        raise refusal(path, f"array {array!r} holds a name with control characters; use plain text")


def is_unicode(array: np.ndarray, with_halves: bool = True) -> bool:
    """NumPy takes any 32-bit number for a character; Python's strings are corrupt with some, and no table is made of
    halves of surrogate pairs.
    """
    points = np.frombuffer(array.tobytes(), np.uint32)
    return bool(points.max(initial=0) <= sys.maxunicode) and (with_halves or not (points >> 11 == 0x1B).any())


def _is_text(text: str) -> bool:
    """No control characters, no half of a surrogate pair: what can be shown and encoded."""
    return text.isprintable() or not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def parse_meta(array: np.ndarray | None, path: Path) -> dict[str, Any]:
    if array is None:
        return {}
    if not is_unicode(array):
        raise refusal(path, "array 'meta' holds code points beyond Unicode; write it with json.dumps")

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        meta = json.loads(array.item(), parse_constant=refuse_constant)
        _in_range(meta)  # which goes as deep
        json.dumps(meta, ensure_ascii=False).encode()  # half a surrogate pair could not be shown
    except (ValueError, RecursionError) as error:
        raise refusal(path, f"array 'meta' is not JSON ({error}); write it with json.dumps") from None
    if not isinstance(meta, dict):
        raise refusal(path, "array 'meta' is not a JSON object; write a dict with json.dumps")
    for key, kind in _META_TYPES.items():
        value = meta.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise refusal(
                path,
                f"array 'meta' has a {key} of the wrong type ({type(value).__name__}); leave it out or give another",
            )
        if isinstance(value, int) and abs(value) >= 2**63:
            raise refusal(path, f"array 'meta' has a {key} beyond 64 bits; give a smaller number")
    for key in ("model", "preset"):
        if not _is_text(meta.get(key) or "") or len(meta.get(key) or "") > MAX_NAME_LENGTH:
            raise refusal(
                path, f"array 'meta' has a {key} with control characters or of great length; use a short name"
            )
    return {key: _in_range(value) for key, value in meta.items()}


def _in_range(value: Any) -> Any:
    """A value of meta with numbers that no arithmetic here can hold as text, wherever they are in it."""
    if isinstance(value, dict):
        return {key: _in_range(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_range(each) for each in value]
    if isinstance(value, int) and abs(value) >= 2**63 or isinstance(value, float) and not math.isfinite(value):
        return brief(value)
    return value


def refusal(path: Path, reason: str) -> RunFileError:
    """One line, whatever a path or an error of another library holds."""
    return RunFileError(" ".join(f"{path}: {reason}".split())[:1000])
