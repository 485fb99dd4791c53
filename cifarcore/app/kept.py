"""The comparison that the first page shows, kept on disk from one start of the app to the next.

What is kept is known by the runs' content and by all the code that made it, and is checked against the runs: where
anything is amiss, it is computed anew.
"""

import hashlib
import io
import json
import sys
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy

import cifarcore
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison
from cifarcore.evidence.comparison import Comparison
from cifarcore.files import atomic_write
from cifarcore.places import cache_folder
from cifarcore.reports.sides import Side
from cifarcore.runs.memo import is_kept, memo, remember

MOST_FILES, MOST_BYTES = 16, 4 << 20
_WORDS = "words"  #: the array of all that is no column of numbers, as JSON
_FRAMES = ("metrics", "class_table", "cells", "superclass_cells", "pairs")


def compare_ahead(a: Side, b: Side) -> None:
    """See that `memo` has comparison.compare of two sides of saved runs: from disk, or computed, and kept there."""
    what = (comparison.compare, a.runs, b.runs)
    if is_kept(*what):
        return
    path = _path(a, b)
    if (result := _read(path, a, b)) is not None:
        remember(result, *what)
    else:
        with suppress(OSError, CifarcoreError):  # a full disk: the next start computes it again
            _write(path, memo(*what))


def _path(a: Side, b: Side) -> Path:
    runs = [[(run.digest, run.name) for run in side.runs] for side in (a, b)]
    key = hashlib.blake2b(json.dumps([_code(), runs]).encode(), digest_size=16).hexdigest()
    return cache_folder() / "compared" / f"{key}.npz"


@cache
def _code() -> list[str]:
    """What computes a comparison: this package as it is, and the versions of what it computes with."""
    files = sorted(path for path in Path(cifarcore.__file__).parent.rglob("*") if path.suffix in (".py", ".npz"))
    content = hashlib.blake2b(b"".join(hashlib.blake2b(path.read_bytes()).digest() for path in files)).hexdigest()
    return [content, sys.version, np.__version__, scipy.__version__, pd.__version__]


def _write(path: Path, result: Comparison) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **_arrays(result))
    if not _equal(result, _comparison(content)):  # what does not come back as it was is not kept
        return
    with atomic_write(path) as file:
        file.write(content.getbuffer())
    by_age = sorted(path.parent.glob("*.npz"), key=lambda each: each.stat().st_mtime_ns)
    for old in by_age[:-MOST_FILES]:
        old.unlink(missing_ok=True)


def _read(path: Path, a: Side, b: Side) -> Comparison | None:
    """None where there is no file, or none that tells of these runs."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        result = _comparison(path)
        said = result.metrics.loc["accuracy", ["a", "b"]].to_numpy(float)
        names = comparison.names_of(a.runs, b.runs)
    except Exception:  # zipfile, NumPy's header reader and pandas raise many kinds on damaged bytes: it is made again
        return None
    accuracies = [np.mean([run.correct.mean() for run in side.runs]) for side in (a, b)]
    return result if result.names == names and np.allclose(said, accuracies, rtol=0, atol=1e-12) else None


def _arrays(result: Comparison) -> dict[str, np.ndarray]:
    """All of a comparison as arrays that need no pickle: columns of numbers, and the rest as JSON."""
    arrays: dict[str, np.ndarray] = {}
    words: dict[str, Any] = {}
    for field in fields(result):
        value = getattr(result, field.name)
        if field.name not in _FRAMES:
            words[field.name] = value
            continue
        columns = words[field.name] = []
        for place, column in enumerate((value.index.to_series(), *(value[name] for name in value.columns))):
            numeric = column.dtype.kind in "biuf"
            columns.append((column.name, str(column.dtype), None if numeric else column.tolist()))
            if numeric:
                arrays[f"{field.name}-{place}"] = column.to_numpy()
    return arrays | {_WORDS: np.frombuffer(json.dumps(words).encode(), np.uint8)}


def _comparison(file: Path | io.BytesIO) -> Comparison:
    """Of `_arrays` as they were saved. Raises whatever there is where the file is damaged."""
    if isinstance(file, io.BytesIO):
        file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        words = json.loads(arrays[_WORDS].tobytes())
        for frame in _FRAMES:
            index, *columns = (
                pd.Series(arrays[f"{frame}-{place}"] if value is None else value, dtype=kind, name=name)
                for place, (name, kind, value) in enumerate(words[frame])
            )
            words[frame] = pd.DataFrame({column.name: column for column in columns}).set_index(pd.Index(index))
    return Comparison(**words | {name: tuple(words[name]) for name in ("names", "notes")})


def _equal(one: Comparison, other: Comparison) -> bool:
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)]
    return all(a.equals(b) if isinstance(a, pd.DataFrame) else a == b for a, b in pairs)
