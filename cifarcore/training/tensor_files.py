"""Tensors that torch.save wrote, as arrays: `python -m cifarcore.training.tensor_files FILE OUT.npz`.

A process of its own, since what reads runs imports no torch. Nothing is unpickled but tensors and plain values.
"""

import re
import sys
import zipfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cifarcore.errors import CifarcoreError
from cifarcore.runs.layout import MAX_BYTES, MAX_IMAGES
from cifarcore.runs.predictions import text_array
from cifarcore.runs.readers.tensors import INDICES, SCORES
from cifarcore.training.checkpoints import as_listed

MAX_ITEMS = 8 * MAX_IMAGES  #: tensors and plain values in one file
_UNSAFE = (
    "holds {what}, which only unpickling would read; where you trust the file, write its arrays alone: python -c "
    "\"import numpy, torch; x = torch.load('{name}', weights_only=False); numpy.savez('{stem}.npz', **(x if "
    "isinstance(x, dict) else {{'scores': numpy.vstack(list(x))}}))\""
)


def convert(path: Path, out: Path) -> None:
    """Write the arrays in `path` as the `.npz` `out`. Raises CifarcoreError with one line that says what is wrong."""
    if path.stem.startswith(INDICES):
        raise CifarcoreError(
            f"holds the numbers of rows, as Lightning writes them; import {path.name.replace(INDICES, SCORES, 1)} "
            "beside it"
        )
    arrays = arrays_in(load(path))
    beside = path.with_name(path.name.replace(SCORES, INDICES, 1))
    if path.stem.startswith(SCORES) and beside.is_file():
        arrays["row"] = _row_numbers(load(beside), beside.name, arrays)
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def load(path: Path) -> Any:
    """What torch.save wrote: tensors on the CPU, and plain values. Raises CifarcoreError."""
    try:
        return torch.load(as_listed(path), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises many kinds on damaged bytes
        text = " ".join(str(error).split())
        if (what := re.search(r"GLOBAL (\S+)", text)) is None:
            raise CifarcoreError(f"not a file that torch.save wrote ({text[:150]})") from None
        raise CifarcoreError(_UNSAFE.format(what=what[1], name=path.name, stem=path.stem)) from None


def arrays_in(value: Any) -> dict[str, np.ndarray]:
    """The arrays of a tensor, of a dictionary or pair of tensors, or of a list of such batches, by name.

    Tensors without names are `scores` where they have two dimensions, `labels` where they are whole numbers, one for
    each row of the scores, and `other_1`, ... else. Raises CifarcoreError.
    """
    _count(value)
    parts = [value, *value.values()] if isinstance(value, dict) else []
    if any(str(name).endswith((".weight", ".bias")) for part in parts if isinstance(part, dict) for name in part):
        raise CifarcoreError("holds a model's weights, not its outputs; run the model on the test set and save these")
    joined = _joined(value)
    named = joined if isinstance(joined, dict) else _named(joined if isinstance(joined, tuple) else (joined,))
    return {name: array for name, array in named.items() if isinstance(array, np.ndarray)}


def _joined(value: Any) -> Any:
    """A value with its batches put together: an array, a tuple or a dictionary of these; None for what is neither."""
    if isinstance(value, Tensor):
        return _array(value)
    if isinstance(value, dict):
        return {str(name): _joined(each) for name, each in value.items()}
    if not isinstance(value, list | tuple) or not value:
        return None
    first = value[0]
    if isinstance(first, dict):
        if any(not isinstance(each, dict) or each.keys() != first.keys() for each in value):
            raise CifarcoreError("holds a list of dictionaries of different keys; save batches that are alike")
        return {str(name): _stacked([each[name] for each in value]) for name in first}
    if isinstance(first, list | tuple) and any(isinstance(each, Tensor) for each in first):
        if len(value) == 1:
            return _joined(first)
        if _is_pair(first) and all(isinstance(each, list | tuple) and len(each) == len(first) for each in value):
            return tuple(_stacked(list(each)) for each in zip(*value, strict=True))
        raise CifarcoreError(
            f"holds {len(value)} lists of tensors, as of several data loaders; save the outputs of one at a time"
        )
    if isinstance(value, tuple) or _is_pair(value):
        return tuple(_joined(each) for each in value)
    return _stacked(value)


def _is_pair(value: list | tuple) -> bool:
    """Scores, and for each of their rows something else, such as the labels: no list of batches."""
    if len(value) < 2 or not all(isinstance(each, Tensor) and each.ndim for each in value):
        return False
    alike = len({each.shape for each in value}) == 1
    return not alike and len({len(each) for each in value}) == 1 and {each.ndim for each in value} >= {1, 2}


def _stacked(values: list) -> Any:
    """Batches, or values of one image each, as one array; None for what is no numbers and no text."""
    if all(isinstance(each, list | tuple) for each in values):
        values = [item for each in values for item in each]
    if not values:
        return None
    if all(isinstance(each, str) for each in values):
        return text_array(values)
    if any(isinstance(each, str) for each in values):  # each would take the room of the longest
        return None
    if not all(isinstance(each, Tensor) for each in values):
        try:
            array = np.array(values)
        except ValueError:
            return None
        return array if array.dtype.kind in "iufb" else None
    per_image = not values[0].ndim or (
        values[0].ndim == 1 and values[0].is_floating_point() and len({each.shape for each in values}) == 1
    )
    arrays = [_array(each) for each in values]
    try:
        return np.stack(arrays) if per_image else np.concatenate(arrays)
    except ValueError as error:
        raise CifarcoreError(f"holds tensors that do not fit together ({' '.join(str(error).split())[:150]})") from None


def _named(arrays: Iterable[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    kept = [array for array in arrays if isinstance(array, np.ndarray)]
    labels = _labels_among(kept)
    _refuse_other_scores([array for array in kept if array.ndim == 2 and array.size])
    for i, array in enumerate(kept):
        if array.ndim == 2 and "scores" not in named:
            named["scores"] = array
        elif array is labels:
            named["labels"] = array
        else:
            named["scores" if len(kept) == 1 else f"other_{i}"] = array
    return named


def _refuse_other_scores(tables: list[np.ndarray]) -> None:
    """Raises CifarcoreError where a further one of the `tables` has the shape of the first, but is highest elsewhere,
    as the scores of another model: neither these scores as probabilities nor one-hot labels.
    """
    for other in tables[1:]:
        if other.shape != tables[0].shape or (np.isin(other, (0, 1)).all() and (other.sum(axis=1) == 1).all()):
            continue
        here = np.take_along_axis(other, tables[0].argmax(axis=1)[:, None], axis=1)[:, 0]
        if (here < other.max(axis=1)).any():
            raise CifarcoreError(
                f"holds tables of one shape, {other.shape}, of which any may be the scores; save those that are meant: "
                "torch.save({'logits': ..., 'labels': ...}, ...)"
            )


def _labels_among(arrays: list[np.ndarray]) -> np.ndarray | None:
    """The whole numbers, one for each row of the scores, that are no model's answers: these are the classes of the
    highest scores. Raises CifarcoreError where several may be the labels.
    """
    scores = next((array for array in arrays if array.ndim == 2 and array.size), None)
    if scores is None:
        return None
    whole = [a for a in arrays if a.ndim == 1 and a.dtype.kind in "iu" and len(a) == len(scores)]
    best = scores.argmax(axis=1)
    others = [array for array in whole if not np.array_equal(array, best)] if len(whole) > 1 else whole
    if len(others) > 1:
        raise CifarcoreError(
            f"holds {len(others)} columns of whole numbers beside the scores, of which any may be the labels; save "
            "them by name: torch.save({'logits': ..., 'labels': ...}, ...)"
        )
    return (others or whole or [None])[0]


def _row_numbers(value: Any, name: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers in nested lists of batches, one for each row of the scores."""
    _count(value)
    numbers, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            waiting.extend(reversed(each))
        elif isinstance(each, Tensor):
            waiting.extend(reversed(each.tolist()))
        elif type(each) is int:
            numbers.append(each)
    n = max((len(array) for array in arrays.values() if array.ndim == 2), default=0)
    if len(numbers) != n:
        raise CifarcoreError(
            f"has {n:,} rows of scores, but {name} beside it numbers {len(numbers):,}: they are not of one prediction; "
            "write both anew, or move that file away and say which images the rows are of, in their order: --order, "
            "--images or --like, or --order rows --test-set NAME with --labels FILE"
        )
    return np.array(numbers)


def _array(tensor: Tensor) -> np.ndarray:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_complex():
        raise CifarcoreError(f"holds a tensor of {tensor.dtype} and {tensor.layout}; save plain numbers: x.to_dense()")
    if tensor.is_floating_point() and tensor.dtype != torch.float64:
        tensor = tensor.float()
    return tensor.detach().numpy()


def _count(value: Any) -> None:
    """Refuse what a few bytes may claim to hold: a tensor of one number may be of any shape, a list may be repeated.

    Each list is walked through once, however often it is there. Raises CifarcoreError, for lists in themselves too.
    """
    counted: dict[int, tuple[int, int]] = {}  # items and bytes of each list, by its id

    def sizes(part: Any) -> tuple[int, int]:
        if isinstance(part, Tensor):
            return 1, part.numel() * 4
        return counted.get(id(part), (0, 0)) if isinstance(part, dict | list | tuple) else (1, 0)

    def parts_of(part: Any) -> Collection[Any]:
        return part.values() if isinstance(part, dict) else part

    open_list = 0, 0
    waiting: list[tuple[Any, bool]] = [([value], False)]
    while waiting:
        each, walked = waiting.pop()
        if walked:
            items, size = (1 + sum(numbers) for numbers in zip((0, 0), *map(sizes, parts_of(each)), strict=True))
            counted[id(each)] = items, size
            if size > MAX_BYTES or items > MAX_ITEMS:
                raise CifarcoreError(f"holds more than {MAX_BYTES >> 30} GiB or {MAX_ITEMS:,} values; save less")
        elif counted.get(id(each)) == open_list:
            raise CifarcoreError("holds a list that is in itself; save tensors, or lists of them")
        elif id(each) not in counted:
            counted[id(each)] = open_list
            waiting.append((each, True))
            waiting += [(part, False) for part in parts_of(each) if isinstance(part, dict | list | tuple)]


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except CifarcoreError as refusal:
        sys.exit(str(refusal))
