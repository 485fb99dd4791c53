"""Files of predictions by their suffix, and the labels and names beside them.

`readers` has a module for each family. `python -m cifarcore.runs.formats FILE OUT` reads one apart, asked on its input.
"""

import json
import re
import sys
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.files import read_whole
from cifarcore.runs.archive import Shapes, map_npy, read_npz
from cifarcore.runs.layout import MAX_BYTES
from cifarcore.runs.predictions import Predictions, as_class_labels, as_texts, checked_scores, refuse_ranked
from cifarcore.runs.readers.apart import read_apart
from cifarcore.runs.readers.arrays import from_npy, from_npz, plain
from cifarcore.runs.readers.arrow_files import from_arrow
from cifarcore.runs.readers.binary import of_two_classes
from cifarcore.runs.readers.columnar import from_parquet
from cifarcore.runs.readers.columns import Roles, roles_of, row_numbers
from cifarcore.runs.readers.delimited import from_delimited
from cifarcore.runs.readers.handed import hand_over, handed
from cifarcore.runs.readers.json_files import from_json
from cifarcore.runs.readers.matlab import from_matlab
from cifarcore.runs.readers.roles import LABELS, only
from cifarcore.runs.readers.tables import refuse_long
from cifarcore.runs.readers.tensors import from_tensors
from cifarcore.runs.readers.text_folder import from_text_folder
from cifarcore.text import quoted

FOLDER = "folder"  #: in place of a suffix
_READERS: dict[str, Callable[[Path, Collection[str]], Predictions]] = {
    ".npz": from_npz,
    ".npy": from_npy,
    **dict.fromkeys((".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz"), from_delimited),
    **dict.fromkeys((".json", ".jsonl", ".json.gz", ".jsonl.gz"), from_json),
    ".parquet": from_parquet,
    **dict.fromkeys((".feather", ".arrow"), from_arrow),
    **dict.fromkeys((".pt", ".pth"), from_tensors),
    ".mat": from_matlab,
    FOLDER: from_text_folder,
}
SUFFIXES = tuple(suffix for suffix in _READERS if suffix != FOLDER)
#: one array, of which the header tells all before it is read; and tensors, for which another process has torch
_READ_HERE = (".npy", ".pt", ".pth")
_MOST_TEXT = 1 << 26  #: bytes of a list of labels or names
_REMEDY = "write it as plain CSV, or its scores as .npy"
_PLAIN = re.compile(r"[\w.+-][\w.+ -]*")
_PICKLES = (
    'it would have to be unpickled; where you trust it: python -c "import pandas; '
    "pandas.DataFrame(pandas.read_pickle('{name}')).to_csv('{stem}.csv')\""
)
#: the line that converts what is not read
_REMEDIES = {
    **dict.fromkeys((".pkl", ".pickle"), _PICKLES),
    **dict.fromkeys(
        (".h5", ".hdf5"),
        "python -c \"import h5py, numpy; numpy.savez('{stem}.npz', **{{k: numpy.array(v.asstr()[()], str) if "
        "v.dtype.hasobject else v[()] for k, v in h5py.File('{name}').items()}})\"",
    ),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV"),
    **dict.fromkeys(
        (".ckpt", ".bin", ".onnx", ".keras", ".tflite"),
        "this may be a model, not its outputs; run it on the test set and save these",
    ),
    ".safetensors": (
        'python -c "import numpy; from safetensors.numpy import load_file; '
        "numpy.savez('{stem}.npz', **load_file('{name}'))\""
    ),
    ".zip": "unpack it first",
    ".xz": "unpack it first",
    ".bz2": "unpack it first",
    ".zst": "unpack it first",
}


def suffix_of(path: str | Path) -> str:
    """The suffix by which a file is read, in lower case: `.npz`, but `.csv.gz`."""
    path = Path(path)
    of_packed = Path(path.stem).suffix if path.suffix.lower() == ".gz" else ""
    return f"{of_packed}{path.suffix}".lower()


def stem_of(path: str | Path) -> str:
    """A file's name without the suffix by which it is read."""
    return Path(path).name[: len(Path(path).name) - len(suffix_of(path))]


def read_predictions(path: str | Path, known: Collection[str] = (), kind: str = "") -> Predictions:
    """Read a file of predictions by its suffix; `known` are names of classes, as far as they are known before.

    `kind` is one of KINDS where it is stated what the scores are.

    Raises CifarcoreError with one line that says what does not fit.
    """
    path = Path(path)
    suffix = FOLDER if path.is_dir() else suffix_of(path)
    if suffix not in (*SUFFIXES, FOLDER):
        name = path.name if _PLAIN.fullmatch(path.name) else f"mine{path.suffix}"  # the line is meant for a shell
        remedy = _REMEDIES.get(path.suffix.lower(), "").format(name=name, stem=Path(name).stem)
        raise CifarcoreError(
            f"{path.name}: {suffix or 'no suffix'}; predictions are read from {_or(SUFFIXES)}{remedy and f'; {remedy}'}"
        )
    if suffix != FOLDER and not path.is_file():
        raise CifarcoreError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise CifarcoreError(
            f"{path.name}: {path.stat().st_size / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are read"
        )
    try:
        return read_here(path, known, kind) if suffix in _READ_HERE else _read_apart(path, known, kind)
    except CifarcoreError as error:
        raise CifarcoreError(f"{path.name}: {str(error).removeprefix(f'{path}: ')}") from None


def read_here(path: Path, known: Collection[str] = (), kind: str = "") -> Predictions:
    """The same in this process, of a file whose suffix is known. Raises CifarcoreError."""
    suffix = FOLDER if path.is_dir() else suffix_of(path)
    try:
        read = of_two_classes(_READERS[suffix](path, known), known, kind)
        read = replace(read, scores=checked_scores(read))
        refuse_ranked(read)
        return read
    except CifarcoreError:
        raise
    except OSError as error:
        raise CifarcoreError(f"cannot be read ({' '.join(str(error.strerror or error).split())})") from None
    except Exception as error:  # of what anybody wrote: readers raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CifarcoreError(f"not a readable {suffix.removeprefix('.')} file ({reason:.200})") from None


def _read_apart(path: Path, known: Collection[str], kind: str) -> Predictions:
    asked = json.dumps([list(known), kind])
    with read_apart("cifarcore.runs.formats", path, _REMEDY, asked) as out:
        return handed(out)


def read_labels(path: str | Path) -> np.ndarray:
    """The labels (N,) of a file of their own: `.npy`, `.npz`, or text with one a line. Raises CifarcoreError."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            return as_class_labels(map_npy(path))
        if path.suffix.lower() == ".npz":
            labels, roles, arrays = _label_arrays(path)
            numbers = row_numbers(arrays[roles.rows]) if roles.rows else None
            unsorted = numbers is not None and bool((np.diff(numbers) != 1).any())
            if named := roles.sample_ids or (roles.rows if unsorted else ""):
                raise CifarcoreError(
                    f"{quoted(named)} says which image each label is of, but labels of a file of their own are taken "
                    "row by row, or by the names of files; put them into the predictions, or save them alone"
                )
            return labels
        lines = read_lines(path)
        texts = lines[1:] if lines[0].lower() in LABELS else lines
        return as_class_labels(np.array(texts, dtype=object))
    except (OSError, ValueError, EOFError, CifarcoreError) as error:
        raise CifarcoreError(f"labels {path.name}: {str(error).removeprefix(f'{path}: ')}") from None


def read_labelled_files(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The files that an `.npz` of labels names, and the label of each; None where it names none. Raises
    CifarcoreError.
    """
    try:
        labels, roles, arrays = _label_arrays(Path(path))
        if not roles.files:
            return None
        return as_texts(arrays[roles.files], roles.files), tuple(map(str, labels.tolist()))
    except (OSError, ValueError, EOFError, CifarcoreError) as error:
        raise CifarcoreError(f"labels {Path(path).name}: {str(error).removeprefix(f'{path}: ')}") from None


def _label_arrays(path: Path) -> tuple[np.ndarray, Roles, dict[str, np.ndarray]]:
    """The labels (N,) of an `.npz`, and which of its arrays (N,) say which image each is of. Raises CifarcoreError."""
    arrays = {name: plain(array) for name, array in read_npz(path, pick=_labels_and_beside).items()}
    labels = as_class_labels(arrays.pop(next(iter(arrays))))
    beside = {each: array for each, array in arrays.items() if array.shape == labels.shape}
    return labels, roles_of(beside, scores=False), beside


def _labels_and_beside(shapes: Shapes) -> list[str]:
    """The array of labels among all, and those that have a value for each of them. Raises CifarcoreError."""
    name = only(shapes, LABELS) or (next(iter(shapes)) if len(shapes) == 1 else None)
    if name is None:
        raise CifarcoreError(f"no array of labels (one of {', '.join(LABELS)})")
    return [name, *(each for each, shape in shapes.items() if each != name and shape == shapes[name][:1])]


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file, without blank ones. Raises CifarcoreError."""
    try:
        text = read_whole(Path(path), _MOST_TEXT).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        refuse_long(text.count("\n"))
        lines = [line.strip() for line in text.split("\n")]
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CifarcoreError(f"{path}: cannot be read as text ({reason})") from None
    lines = [line for line in lines if line]
    if not lines:
        raise CifarcoreError(f"{path}: empty; give one name per line")
    return lines


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


if __name__ == "__main__":
    try:
        hand_over(read_here(Path(sys.argv[1]), *json.load(sys.stdin)), Path(sys.argv[2]))
    except CifarcoreError as refusal:
        sys.exit(" ".join(str(refusal).splitlines()))
