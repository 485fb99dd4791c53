"""Predictions from the process that read them to the one that asked: an archive of arrays, and all else as JSON."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions

_REST = "rest"


def hand_over(read: Predictions, out: Path) -> None:
    """Write predictions as the archive `out`. Raises CifarcoreError where there is no room for it."""
    values = {field.name: getattr(read, field.name) for field in fields(read)}
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    rest = json.dumps({name: value for name, value in values.items() if name not in arrays}, default=_plain)
    try:
        with out.open("wb") as file:
            np.savez(file, **arrays, **{_REST: np.frombuffer(rest.encode(), np.uint8)})
    except OSError as error:
        raise CifarcoreError(f"there is no room to read it in {out.parent.parent} ({error.strerror})") from None


def handed(out: Path) -> Predictions:
    """What `hand_over` wrote."""
    with np.load(out, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    rest = json.loads(arrays.pop(_REST).tobytes())
    return Predictions(**arrays, **{name: _as_tuples(value) for name, value in rest.items()})


def _plain(value: Any) -> Any:
    return value.item()  # a number of NumPy's


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
