"""JSON in the shapes in which frameworks and data frames write it: `.json` and `.jsonl`, also packed with gzip."""

import io
import json
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.data.image_folder import EXTENSIONS
from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import MAX_CLASSES
from cifarcore.runs.predictions import Predictions, as_texts
from cifarcore.runs.readers.arrays import from_arrays
from cifarcore.runs.readers.delimited import unpacked
from cifarcore.runs.readers.roles import CLASSES, SCORES, only, role_of
from cifarcore.runs.readers.tables import UNORDERED, from_table, refuse_large, refuse_wide
from cifarcore.text import quoted

_CONTAINER, _ITEM = 72, 40  #: bytes that an empty list or dictionary, and an item of one, take in memory
#: what holds the records of the images in an object that says more than these
_RECORDS = ("samples", "data", "results", "predictions", "images", "items", "records", "outputs")
_REMEDY = "write a list with one object for each image: file, label, and a list of scores or each class's score"


def from_json(path: Path, known: Collection[str] = ()) -> Predictions:
    """One JSON value, or one in each line. Raises CifarcoreError."""
    data = path.read_bytes() if path.suffix.lower() != ".gz" else unpacked(path)
    opened = data.count(b"[") + data.count(b"{")
    refuse_large(len(data) + _CONTAINER * opened + _ITEM * data.count(b","))
    objects = _Objects()
    try:
        value = json.loads(data, object_pairs_hook=objects)
    except RecursionError:
        raise CifarcoreError(f"holds lists in lists without end; {_REMEDY}") from None
    except ValueError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        value = [json.loads(line, object_pairs_hook=objects) for line in lines]
    return _understood(value, known)


class _Objects:
    """Makes what a JSON's objects stand for, and counts what packed arrays unpack to: a few bytes may be many."""

    def __init__(self) -> None:
        self.unpacked = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> Any:
        entries = dict(pairs)
        if len(entries) < len(pairs):
            raise CifarcoreError("a key is twice in one object; keep one")
        if entries.keys() != {"$binary"}:
            return entries
        vector = _vector(entries["$binary"])
        self.unpacked += 8 * len(vector)
        refuse_large(self.unpacked)
        return vector


def _vector(packed: Any) -> np.ndarray:
    """Numbers as FiftyOne exports those of a model's output: an array of NumPy's, compressed, as base 64."""
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(b64decode(packed["base64"]), MAX_CLASSES * 8 + 1000)
        array = np.load(io.BytesIO(content), allow_pickle=False)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{array.dtype}")
        if array.ndim != 1 or not 0 < array.size <= MAX_CLASSES:
            raise ValueError(f"shape {array.shape}")
        return array
    except (TypeError, KeyError, ValueError, EOFError, zlib.error) as error:
        raise CifarcoreError(
            f"holds $binary that is no array of numbers ({' '.join(str(error).split())[:100]})"
        ) from None


def _understood(value: Any, known: Collection[str]) -> Predictions:
    if isinstance(value, list) and value:
        if all(isinstance(each, dict) for each in value):
            return from_table(_of_records(value), known)
        if all(isinstance(each, list) and each and isinstance(each[0], dict) for each in value):
            return from_table(pd.DataFrame({"scores": value}), known)
        return from_arrays({"scores": _array(value)})
    if isinstance(value, dict) and value:
        if (table := _table(value)) is not None:
            return from_table(table, known)
        for name in _RECORDS:
            if isinstance(value.get(name), list) and all(isinstance(each, dict) for each in value[name]):
                return _beside(_understood(value[name], known), name, value)
        return _columns(value, known)
    raise CifarcoreError(f"holds no predictions; {_REMEDY}")


def _beside(read: Predictions, records: str, value: dict[str, Any]) -> Predictions:
    """`read` of the list of `records` in the object `value`, with the class names that stand beside it; what else does
    is named as unused. Raises CifarcoreError for other lists that may be of the images or of the classes.
    """
    lists = {name: each for name, each in value.items() if name != records and isinstance(each, list) and each}
    if (names := only(lists, CLASSES)) is not None:
        classes = _names(lists.pop(names), names)
        if read.scores.ndim == 2 and read.columns is None:
            read = replace(read, columns=classes, sources=(*read.sources, ("class names", names)))
    if doubtful := next((name for name in lists if role_of(name) or name.lower() in SCORES), None):
        raise CifarcoreError(
            f"{quoted(doubtful)} stands beside {quoted(records)}, not in its objects; put its items into these, or "
            "call it class_names if it names the classes in the order of the scores"
        )
    return replace(read, unused=(*read.unused, *lists))


def _table(value: dict[str, Any]) -> pd.DataFrame | None:
    """A data frame as pandas, MLflow and Weights & Biases write it, or one object for each image by its name."""
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = [name if isinstance(name, str) else json.dumps(name) for name in value["columns"]]
        refuse_wide(len(names))
        if any(not isinstance(row, list) or len(row) != len(names) for row in value["data"]):
            raise CifarcoreError(
                f"a row of data does not have the {len(names)} cells that columns names; write it again"
            )
        table = pd.DataFrame(value["data"], columns=names)
        index = value.get("index")
        return table if index is None or "index" in names else table.assign(index=index)
    if not all(isinstance(each, dict) and each for each in value.values()):
        return None
    inner = next(iter(value.values())).keys()
    if any(each.keys() != inner for each in value.values()):
        raise CifarcoreError(f"its objects have different keys; {_REMEDY}")
    outer_rows, inner_rows = _are_rows(value), _are_rows(inner)
    if outer_rows == inner_rows:
        raise CifarcoreError(f"it is unclear which of its keys are the images; {_REMEDY}")
    by_row = value if outer_rows else {row: {name: column[row] for name, column in value.items()} for row in inner}
    table = _of_records(list(by_row.values()))
    heading = "index" if all(row.isdecimal() for row in by_row) else "file"
    return table if heading in table else table.assign(**{heading: list(by_row)})


def _are_rows(keys: Collection[str]) -> bool:
    """Whether keys are images: names of pictures, or the numbers 0..N-1 of rows."""
    return all(key.lower().endswith(EXTENSIONS) for key in keys) or (
        len(keys) > 1 and sorted(keys) == sorted(map(str, range(len(keys))))
    )


def _columns(value: dict[str, Any], known: Collection[str]) -> Predictions:
    """One list for each heading, or one list of scores for each picture."""
    lists = {name: each for name, each in value.items() if isinstance(each, list)}
    if lists and all(name.lower().endswith(EXTENSIONS) for name in value):
        return from_table(pd.DataFrame({"file": list(value), "scores": list(value.values())}), known)
    names = only(lists, CLASSES)
    classes = None if names is None else _names(lists.pop(names), names)
    if not lists:
        raise CifarcoreError(f"holds {', '.join(list(value)[:10])[:200]}, but no list of predictions; {_REMEDY}")
    longest = max(map(len, lists.values()))
    rows = {name: each for name, each in lists.items() if len(each) == longest}
    refuse_wide(len(rows))
    if short := [name for name in lists if name not in rows and role_of(name)]:
        raise CifarcoreError(
            f"{quoted(short[0])} has {len(lists[short[0]]):,} items, and others {longest:,}; give one for each image"
        )
    read = from_table(pd.DataFrame(rows), known)
    left = tuple(name for name in value if name not in rows and name != names)
    return replace(read, columns=read.columns if classes is None else classes, unused=(*read.unused, *left))


def _names(given: list[Any], heading: str) -> tuple[str, ...]:
    texts = any(isinstance(each, str) for each in given)
    return as_texts(np.array(given, dtype=object if texts else None), heading)


def _of_records(records: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each record. Raises CifarcoreError where they have so many keys that the table would be too large."""
    flat = list(map(_flat, records))
    names = {name for each in flat for name in each}
    refuse_wide(len(names))
    refuse_large(8 * len(names) * len(flat))
    table = pd.DataFrame(flat)
    place = {name: at for at, name in enumerate(table)}
    if any((np.diff([place[name] for name in each]) < 0).any() for each in flat):
        table.attrs[UNORDERED] = True
    return table


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record without objects in it, but for scores by class; a label with its details stands under its own name, and
    what two objects have under one key under both names.
    """
    nested = Counter(part for value in record.values() if isinstance(value, dict) for part in value)
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if not isinstance(value, dict) or _are_scores(value):
            flat[name] = value
        elif isinstance(value.get("label"), str):
            flat[name] = value["label"]
            flat |= {f"{name}.{part}": each for part, each in value.items() if part != "label"}
        else:
            alone = {part for part in value if part not in record and nested[part] == 1}
            flat |= {part if part in alone else f"{name}.{part}": each for part, each in value.items()}
    return flat


def _are_scores(value: dict[str, Any]) -> bool:
    return bool(value) and all(isinstance(each, int | float) for each in value.values())


def _array(value: list[Any]) -> np.ndarray:
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise CifarcoreError(
            f"its lists are not of one length, or hold something other than numbers; {_REMEDY}"
        ) from None
