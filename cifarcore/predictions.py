"""Someone else's outputs as they come: scores, labels and names out of an `.npz`, `.npy`, CSV or Parquet file.

Knows no test set: `importing` brings what is read here onto one. Nothing is unpickled, and sizes are known before
anything is allocated.
"""

import csv
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore import CifarcoreError
from cifarcore.run_layout import MAX_BYTES, MAX_CLASSES, MAX_NAME_LENGTH
from cifarcore.runs import read_npz

SUFFIXES = (".npz", ".npy", ".csv", ".parquet")
KINDS = ("logits", "probabilities", "log_probabilities")
#: a probability of zero has no logarithm; it is kept as this one, about the smallest that float32 holds in full
FLOOR = 1e-38
#: how far from one the probabilities of an image may sum: they may have been rounded to a few digits
SUM_TOLERANCE = 0.01

# what an array or a column may be called, in lower case
_LABELS = ("label", "labels", "target", "targets", "true", "y_true", "y_test", "y")
_IDS = ("sample_id", "sample_ids")
_FILES = ("file", "files", "filename", "filenames", "file_name", "path", "paths", "image", "images")
_CLASSES = ("class_names", "classes", "classes_")
_NO_CLASS = ("", "unnamed: 0", "index", "prediction", "predicted", "pred", "split")
_SCORES = {
    **dict.fromkeys(("logits", "logit"), "logits"),
    **dict.fromkeys(("probabilities", "probs", "proba", "predict_proba", "softmax"), "probabilities"),
    **dict.fromkeys(("log_probabilities", "log_probs", "log_proba", "log_softmax"), "log_probabilities"),
    **dict.fromkeys(("scores", "outputs", "predictions", "y_pred", "arr_0"), ""),
}
_NO_SCORE = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
_PREFIXES = ("logits_", "logit_", "probability_", "prob_", "proba_", "p_", "score_", "class_")


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a file holds, row by row; None where it says nothing of it."""

    scores: np.ndarray  #: float (N, C)
    kind: str = ""  #: one of KINDS where the file names it
    columns: tuple[str, ...] | None = None  #: the class of each column of `scores`
    labels: np.ndarray | None = None  #: (N,) of int64, or of text
    sample_ids: np.ndarray | None = None  #: uint64 (N,)
    files: tuple[str, ...] | None = None  #: (N,) names of picture files


def read_predictions(path: str | Path) -> Predictions:
    """Read a file of predictions by its suffix. Raises CifarcoreError with one line that says what does not fit."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise CifarcoreError(f"{path.name}: {path.suffix or 'no suffix'}; predictions are read from {_or(SUFFIXES)}")
    if not path.is_file():
        raise CifarcoreError(f"{path}: no such file")
    if path.stat().st_size > MAX_BYTES:
        raise CifarcoreError(
            f"{path.name}: {path.stat().st_size / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are read"
        )
    readers = {".npz": _from_npz, ".npy": _from_npy, ".csv": _from_csv, ".parquet": _from_parquet}
    try:
        found = readers[path.suffix.lower()](path)
        return replace(found, scores=_checked_scores(found))
    except CifarcoreError as error:
        raise CifarcoreError(f"{path.name}: {str(error).removeprefix(f'{path}: ')}") from None
    except OSError as error:
        raise CifarcoreError(f"{path.name}: cannot be read ({error.strerror or error})") from None
    except (MemoryError, ValueError, EOFError, UnicodeError, OverflowError, csv.Error) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise CifarcoreError(f"{path.name}: not a readable {path.suffix[1:]} file ({said:.200})") from None


def read_labels(path: str | Path) -> np.ndarray:
    """The labels (N,) of a file of their own: `.npy`, `.npz`, or text with one a line. Raises CifarcoreError."""
    path = Path(path)
    try:
        if path.suffix.lower() == ".npy":
            return _labels(np.lib.format.open_memmap(path, mode="r"))
        if path.suffix.lower() == ".npz":
            arrays = read_npz(path)
            name = _only(arrays, _LABELS) or (next(iter(arrays)) if len(arrays) == 1 else None)
            if name is None:
                raise CifarcoreError(f"no array of labels (one of {', '.join(_LABELS)})")
            return _labels(arrays[name])
        lines = read_lines(path)
        return _labels(np.array(lines[1:] if lines[0].lower() in _LABELS else lines))
    except (OSError, ValueError, EOFError, CifarcoreError) as error:
        raise CifarcoreError(f"labels {path.name}: {str(error).removeprefix(f'{path}: ')}") from None


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file, without blank ones. Raises CifarcoreError."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeError) as error:
        raise CifarcoreError(f"{path}: cannot be read as text ({error})") from None
    lines = [line for line in lines if line]
    if not lines:
        raise CifarcoreError(f"{path}: empty; give one name a line")
    return lines


def as_logits(scores: np.ndarray, kind: str = "") -> tuple[np.ndarray, str, int]:
    """Scores (N, C) as a run file keeps them, what they are (`logits` or `log_probabilities`), and how many are floored.

    `kind` is one of KINDS; empty: probabilities are known by their sums. Probabilities become their logarithms, those
    below FLOOR that of FLOOR. Each row is shifted to a highest score of 0, which changes no softmax and keeps the best
    apart in float16. Raises CifarcoreError where the scores are not of that kind.
    """
    low, high = float(scores.min()), float(scores.max())
    unit = low >= 0 and high <= 1 + SUM_TOLERANCE
    if kind in ("", "probabilities") and low >= 0:
        _refuse_other_sum(scores)
    if not kind and not unit:
        kind = "log_probabilities" if high <= 0 and _off(np.exp(scores)) is None else "logits"
    if kind == "log_probabilities":
        _check_sums(np.exp(scores))
    elif kind != "logits":
        if not unit:
            raise CifarcoreError(f"probabilities reach from {low:.4g} to {high:.4g}, outside 0..1")
        _check_sums(scores)
        floored = int((scores < FLOOR).sum())
        scores = np.log(np.maximum(scores, FLOOR))
        return scores - scores.max(axis=1, keepdims=True), "log_probabilities", floored
    return scores - scores.max(axis=1, keepdims=True), kind, 0


def _off(probabilities: np.ndarray) -> int | None:
    """The first row that does not sum to one."""
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) > SUM_TOLERANCE
    return int(off.argmax()) if off.any() else None


def _refuse_other_sum(scores: np.ndarray) -> None:
    """Raises for percentages and for sums over several networks: taken as logits, they would spoil the calibration unnoticed."""
    sums = scores.sum(axis=1, dtype=np.float64)
    middle = float(np.median(sums))
    alike = len(sums) > 1 and middle > 0 and (np.abs(sums - middle) <= SUM_TOLERANCE * middle).all()
    if alike and abs(middle - 1) > SUM_TOLERANCE:
        raise CifarcoreError(
            f"every row of the scores sums to {middle:.4g}, not to one; divide them by {middle:.4g} if they are "
            "probabilities, or say --scores logits if they come before softmax"
        )


def _check_sums(probabilities: np.ndarray) -> None:
    if (row := _off(probabilities)) is None:
        return
    sums = probabilities.sum(axis=1, dtype=np.float64)
    count = int((np.abs(sums - 1) > SUM_TOLERANCE).sum())
    raise CifarcoreError(
        f"the probabilities of {count:,} of {len(sums):,} rows do not sum to one (row {row}: {sums[row]:.4g}); "
        "give softmax outputs, or say --scores logits if the scores come before softmax"
    )


def _from_npz(path: Path) -> Predictions:
    arrays = read_npz(path)
    name = _only(arrays, tuple(_SCORES))
    if name is None:
        tables = [key for key, array in arrays.items() if array.ndim == 2 and array.dtype.kind == "f"]
        if len(tables) != 1:
            raise CifarcoreError(
                f"no array of scores among {', '.join(list(arrays)[:10]) or 'none'}; name one logits or probabilities"
            )
        name = tables[0]
    found = Predictions(arrays[name], _SCORES.get(name.lower(), ""))
    if key := _only(arrays, _CLASSES):
        found = replace(found, columns=_texts(arrays[key], key))
    if key := _only(arrays, _LABELS):
        found = replace(found, labels=_labels(arrays[key]))
    if key := _only(arrays, _IDS):
        found = replace(found, sample_ids=_ids(arrays[key]))
    if key := _only(arrays, _FILES):
        found = replace(found, files=_texts(arrays[key], key))
    return found


def _from_npy(path: Path) -> Predictions:
    try:  # mapped, so that a header that promises more than the file holds is refused before anything is allocated
        return Predictions(np.lib.format.open_memmap(path, mode="r"))
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        raise CifarcoreError(
            'holds pickled Python objects, which are not read; save numbers: np.save(file, scores.astype("float32"))'
        ) from None


def _from_csv(path: Path) -> Predictions:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    if len(header) < 3 and any(mark in "".join(header) for mark in ";\t"):
        raise CifarcoreError("columns are not separated by commas; write it with commas")
    _refuse_repeated(header)
    texts = {name: str for name in header if _role(name)}  # as they are: a class may be called None, or NA
    holes = {name: list(_NO_SCORE) for name in header if name not in texts}
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=holes, encoding="utf-8-sig")
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what the header does not name for the rows' names
        raise CifarcoreError(f"rows have more cells than the {len(header)} columns of the header; name every column")
    return _from_table(table)


def _from_parquet(path: Path) -> Predictions:
    try:
        import pyarrow
        from pyarrow import compute
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise CifarcoreError("reading Parquet needs pyarrow (pip install pyarrow); or write CSV") from None
    try:
        with ParquetFile(path) as file:
            told, kinds = file.metadata, file.schema_arrow
        _refuse_repeated(kinds.names)
        unpacked = sum(told.row_group(i).total_byte_size for i in range(told.num_row_groups))
        _refuse_large(max(told.num_rows * told.num_columns * 8, unpacked))
        of_text = (pyarrow.string(), pyarrow.large_string())
        texts = [field.name for field in kinds if field.type in of_text]
        with ParquetFile(path, read_dictionary=texts) as file:  # a text that is repeated is read once
            table = file.read()
        folded = [
            chunk
            for column in table.columns
            for chunk in column.chunks
            if pyarrow.types.is_dictionary(chunk.type) and chunk.type.value_type in of_text
        ]
        lengths = [compute.take(compute.binary_length(chunk.dictionary), chunk.indices) for chunk in folded]
        _refuse_large(sum(compute.sum(each).as_py() or 0 for each in lengths))
        return _from_table(table.to_pandas())
    except pyarrow.ArrowException as error:
        raise CifarcoreError(f"not a readable Parquet file ({' '.join(str(error).split()):.200})") from None


def _refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise CifarcoreError(f"{size / 2**30:.1f} GiB when read; at most {MAX_BYTES >> 30} GiB are")


def _from_table(table: pd.DataFrame) -> Predictions:
    """A row for each image: columns of labels, sample ids or files where there are such, all others one class each."""
    roles: dict[tuple[str, ...], str] = {}
    classes = []
    for name in map(str, table.columns):
        role = _role(name)
        if role in roles:
            raise CifarcoreError(f"columns {roles[role]!r} and {name!r} both say the same; keep one")
        if role:
            roles[role] = name
        elif name.strip().lower() not in _NO_CLASS:
            classes.append(name)
    table.columns = list(map(str, table.columns))
    if len(classes) < 2:
        raise CifarcoreError(
            f"{len(classes)} columns of classes beside {', '.join(roles.values()) or 'none other'}; "
            "give one column of scores for each class, headed by its name"
        )
    texts = [name for name in classes if not pd.api.types.is_numeric_dtype(table[name])]
    if texts:
        example = next((str(value) for value in table[texts[0]] if not _is_number(value)), "")
        raise CifarcoreError(f"column {texts[0]!r} holds {example[:40]!r}, no number; each column is one class's score")
    found = Predictions(table[classes].to_numpy(np.float64), columns=_without_prefix(classes))
    for role, name in roles.items():
        empty = table[name].isna() | (table[name].astype(object) == "")
        if empty.any():
            raise CifarcoreError(f"column {name!r} is empty in row {int(empty.argmax())}")
    if name := roles.get(_LABELS):
        found = replace(found, labels=_labels(table[name].to_numpy()))
    if name := roles.get(_IDS):
        found = replace(found, sample_ids=_ids(table[name].to_numpy()))
    if name := roles.get(_FILES):
        found = replace(found, files=tuple(map(str, table[name])))
    return found


def _role(column: str) -> tuple[str, ...] | None:
    return next((names for names in (_LABELS, _IDS, _FILES) if str(column).strip().lower() in names), None)


def _only(arrays: dict[str, np.ndarray], names: tuple[str, ...]) -> str | None:
    found = [key for key in arrays if key.lower() in names]
    if len(found) > 1:
        raise CifarcoreError(f"arrays {', '.join(found)} all say the same; keep one")
    return found[0] if found else None


def _refuse_repeated(names: list[str]) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise CifarcoreError(f"column {repeated[0][:MAX_NAME_LENGTH]!r} stands twice; keep one")


def _without_prefix(names: list[str]) -> tuple[str, ...]:
    for prefix in _PREFIXES:
        if all(name.lower().startswith(prefix) and len(name) > len(prefix) for name in names):
            return tuple(name[len(prefix) :] for name in names)
    return tuple(names)


def _checked_scores(found: Predictions) -> np.ndarray:
    """The scores as float32 rows, finite."""
    scores = found.scores
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise CifarcoreError(
            f"scores are {scores.dtype} of shape {scores.shape}; give numbers, one row an image and one column a class"
        )
    if not len(scores):
        raise CifarcoreError("no row; give one for each test image")
    if not 2 <= scores.shape[1] <= MAX_CLASSES:
        raise CifarcoreError(f"{scores.shape[1]} columns of scores; give one for each of 2 to {MAX_CLASSES} classes")
    with np.errstate(over="ignore"):
        scores = np.ascontiguousarray(scores, np.float32)
    bad = ~np.isfinite(scores)
    if bad.any():
        row, column = np.unravel_index(bad.argmax(), bad.shape)
        raise CifarcoreError(
            f"{bad.sum():,} scores in {bad.any(axis=1).sum():,} rows are NaN, empty or infinite (first: row {row}, "
            f"column {found.columns[column] if found.columns else column})"
        )
    return scores


def _labels(values: np.ndarray) -> np.ndarray:
    """Labels (N,) as int64 or text; from (N, 1), one-hot (N, C), whole floats and digits too."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "fiub":
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            raise CifarcoreError(f"labels of shape {values.shape} are not one-hot; give one label for each image")
        values = values.argmax(axis=1)
    if values.ndim != 1:
        raise CifarcoreError(f"labels have shape {values.shape}; give one for each image")
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
            raise CifarcoreError("labels are no whole numbers; give class indices or names")
        values = values.astype(np.int64)
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    texts = [str(value).strip() for value in values.tolist()]
    if (longest := max(map(len, texts), default=0)) > MAX_NAME_LENGTH:  # as an array, every row takes that room
        raise CifarcoreError(f"a label has {longest:,} characters; give class indices or names")
    return np.array(texts, dtype=str)


def _ids(values: np.ndarray) -> np.ndarray:
    """Sample ids as uint64: numbers, or text of 16 hexadecimal digits or of a decimal number."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise CifarcoreError(f"sample ids have shape {values.shape}; give one for each image")
    if values.dtype.kind == "u" or (values.dtype.kind == "i" and values.min(initial=0) >= 0):
        return values.astype(np.uint64)
    texts = [str(value).strip() for value in values.tolist()]
    base = 16 if all(len(text) == 16 for text in texts) else 10
    try:
        return np.array([int(text, base) for text in texts], dtype=np.uint64)
    except (ValueError, OverflowError):
        raise CifarcoreError(
            "sample ids are no unsigned 64-bit numbers, nor text of 16 hexadecimal digits; see cifarcore.data.sample_ids"
        ) from None


def _texts(values: np.ndarray, name: str) -> tuple[str, ...]:
    if values.ndim != 1 or values.dtype.kind not in "Uiu":
        raise CifarcoreError(f"array {name!r} is {values.dtype} of shape {values.shape}; give text, one for each")
    return tuple(map(str, values.tolist()))


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True


def _or(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
