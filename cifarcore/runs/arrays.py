"""Arrays of whatever framework as a run file would keep them.

Imports no framework: a tensor is known by what it can do.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarcore.data.ids import fingerprint, row_ids, sample_ids
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import indices, refuse_alike, superclasses
from cifarcore.runs.counting import refuse_counted_from_one
from cifarcore.runs.labelled import refuse_labelled, refuse_other_columns, refuse_other_count, refuse_other_index
from cifarcore.runs.layout import BY_ROW
from cifarcore.runs.metadata import metadata_of
from cifarcore.runs.notes import doubts, repeated_rows
from cifarcore.runs.predictions import Predictions, as_class_labels, as_sample_ids, checked_scores, text_array
from cifarcore.runs.scores import (
    FLOOR,
    KINDS,
    SOFTMAX,
    as_logits,
    is_softmax,
    notes_on,
    one_hot,
    refuse_unfilled,
    zeros,
)
from cifarcore.runs.unchanging import owned
from cifarcore.text import brief, counted

if TYPE_CHECKING:
    from cifarcore.runs.run import Run

TINY = 0.01  #: of the scores that are too small to be told apart, from which it matters: a sure network has some
#: what the command's flags, as messages have them, are for the callers of `Run.from_predictions`
_WORDS = {
    "use --scores logits": 'give kind="logits"',
    "use --first-class 1": "give labels - 1",
}


def arrays_of(
    scores: Any,
    labels: Any,
    *,
    class_names: Sequence[str],
    ids: Any,
    images: Any,
    test_set: str,
    kind: str,
    model: str,
    preset: str,
    seed: int,
    superclass_of: Mapping[str, str] | None,
    metadata: Any,
    meta: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The fields of `Run.from_predictions`, whose arguments these are."""
    refuse_other_count(class_names)
    names, test_set = tuple(map(str, as_array(class_names, "class_names").tolist())), test_set.strip()
    for argument, given in (("scores", scores), ("labels", labels)):  # labels may be a column for each class, too
        refuse_other_columns(argument, given, names)
    columns = {f"metadata[{name!r}]": each for name, each in metadata.items()} if isinstance(metadata, Mapping) else {}
    if isinstance(ids, list | tuple) and all(type(each) is int and 0 <= each < 2**64 for each in ids):
        ids = np.array(ids, np.uint64)  # left to itself, NumPy makes floats of them
    listed = None if ids is None else as_array(ids, "sample_ids")
    refuse_other_index(listed, {"scores": scores, "labels": labels, "sample_ids": ids, "metadata": metadata} | columns)
    if kind and kind not in KINDS:
        raise CifarcoreError(f"kind: {kind!r}; choose one of {', '.join(KINDS)}, or leave it out")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise CifarcoreError(f"seed: {brief(seed)}; give a whole number")
    _named("class_names", lambda: refuse_alike(names, names))
    table = as_array(scores, "scores")
    if table.ndim == 1 and table.dtype.kind != "f" and len(table):
        table, kind = _named("scores", lambda: one_hot(_classes(table, names), len(names))), ""
    if table.ndim == 2 and table.shape[1] != len(names):
        raise CifarcoreError(
            f"class_names: {len(names)} names for {table.shape[1]} columns of scores; give one for each"
        )
    checked = _named("scores", lambda: checked_scores(Predictions(table, columns=names)))
    n = len(checked)
    truth = as_array(labels, "labels")
    truth = _named("labels", lambda: as_class_labels(_truths(truth, names)))
    if [ids is None, images is None, not test_set].count(False) != 1:
        raise CifarcoreError(
            "sample_ids, images, test_set: give one of the three, so that the images are known in other runs"
        )
    if test_set:
        own_ids = row_ids(test_set, n)
    elif images is None:
        own_ids = as_array(ids, "sample_ids")
        own_ids = _named("sample_ids", lambda: as_sample_ids(own_ids))
    else:
        own_ids = _ids_of(images)
    for argument, values in (("labels", truth), ("sample_ids" if images is None else "images", own_ids)):
        if len(values) != n:
            raise CifarcoreError(f"{argument}: {len(values):,} for {n:,} rows of scores; give one for each")
    given, truth = truth, _named("labels", lambda: indices(truth, names, names))
    if given.dtype.kind == "U" and set(given.tolist()).isdisjoint(names) and all(map(str.isdecimal, given.tolist())):
        given = given.astype(np.int64)
    if given.dtype.kind != "U" and np.array_equal(given, truth):
        _named("labels", lambda: refuse_counted_from_one(truth, checked.argmax(axis=1)))
    if superclass_of is not None and not isinstance(superclass_of, Mapping):
        raise CifarcoreError("superclass_of: give a dictionary of class names and their superclasses")
    named = {name for name, each in (superclass_of or {}).items() if isinstance(each, str) and each.strip()}
    if missing := [name for name in names if superclass_of is not None and name not in named]:
        which = f"{counted(len(missing), 'class', 'classes')}, such as {missing[0]!r}"
        raise CifarcoreError(f"superclass_of: no name of a superclass for {which}")
    if kind != "logits":
        _named("scores", lambda: refuse_unfilled(checked))
    stored = _named("scores", lambda: as_logits(checked, kind))
    if stored.floored and (tiny := int(((table > 0) & (table < FLOOR)).sum())) > TINY * table.size:
        warnings.warn(
            f"{tiny:,} probabilities below {FLOOR:g} are kept as {FLOOR:g}: ties in AUC and top-5 accuracy; give their "
            "logarithms, such as scikit-learn's predict_log_proba",
            stacklevel=3,
        )
    softmax = kind == "logits" and is_softmax(checked)
    known_of_images, notes = _named("metadata", lambda: metadata_of(metadata, own_ids))
    for note in notes_on(checked, stored.kind, kind == "logits", softmax) + [f"metadata: {note}" for note in notes]:
        warnings.warn(note, stacklevel=3)
    with np.errstate(over="ignore"):  # what float16 cannot hold is refused below
        logits = owned(stored.logits.astype(np.float32 if stored.precise else np.float16))  # as a run file has them
    kin = superclasses(names, known=None if superclass_of is None else dict(superclass_of))
    known = {"model": model, "preset": preset, "seed": int(seed)} | stored.meta
    known |= zeros(checked, truth) if stored.floored else {}
    known |= {SOFTMAX: n} if softmax else {}
    dataset = {"name": test_set, "matched_by": BY_ROW} if test_set else {}
    dataset |= {"fingerprint": fingerprint(own_ids, truth)}
    further = dict(meta or {})
    if isinstance(described := further.pop("dataset", {}), Mapping):  # such as its name
        dataset |= described
    if other := [name for name in further if known.get(name) and known[name] != further[name]]:
        raise CifarcoreError(f"meta: {other[0]} is {brief(known[other[0]])} by the other arguments; leave it out")
    return {
        "class_names": np.array(names),
        "sample_ids": own_ids,
        "labels": truth.astype(np.int16),
        "logits": logits,
        "meta": {name: value for name, value in known.items() if value != ""} | {"dataset": dataset} | further,
        **kin,
        **known_of_images,
    }


def warn_of_doubts(run: "Run", by_row: bool) -> None:
    """Warns the caller of `Run.from_predictions` of what `import` has notes on; rows known by their numbers `by_row`
    may be there twice.
    """
    for note in [*doubts(run, None, True, False), *(repeated_rows(run) if by_row else ())]:
        warnings.warn(note, stacklevel=3)


def as_array(values: Any, argument: str) -> np.ndarray:
    """An array, a tensor of any device or a list as a NumPy array of numbers or text."""
    refuse_labelled(argument, values)
    try:
        for name in ("detach", "cpu"):
            values = getattr(values, name, lambda values=values: values)()
        if "bfloat16" in str(getattr(values, "dtype", "")) and hasattr(values, "float"):
            values = values.float()  # which NumPy does not know
        masked = any(map(np.ma.is_masked, values if isinstance(values, list | tuple) else [values]))
        array = np.asarray(values)
    except Exception as error:  # each framework raises its own kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CifarcoreError(f"{argument}: cannot be read as an array ({reason:.200})") from None
    if masked:
        raise CifarcoreError(f"{argument}: some of it is masked; leave these images out, or fill them")
    if array.dtype.kind in "OT" and array.ndim == 1 and all(isinstance(each, str) for each in array.tolist()):
        array = text_array(array.tolist())  # as pandas keeps it
    if array.dtype.kind not in "biufU":
        raise CifarcoreError(f"{argument}: {array.dtype} of shape {array.shape}; give an array of numbers or text")
    return array


def _classes(predicted: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Predicted classes (N,), names or whole numbers, as indices."""
    return indices(as_class_labels(_truths(predicted, names)), names, names)


def _truths(values: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """False and True (N,) as the first and the second of two classes, as in a file; by name where they are names."""
    if values.dtype.kind != "b" or values.ndim != 1 or {"true", "false"} & set(map(str.casefold, names)):
        return values
    if len(names) != 2:
        raise CifarcoreError(f"false and true of {len(names)} classes; give class indices or names")
    return values.astype(np.int64)


def _ids_of(images: Any) -> np.ndarray:
    """The ids of raw images: one array, or PIL images or arrays of any size, as a folder of them would have them."""
    listed = list(images) if isinstance(images, Sequence) else []
    if listed and all(hasattr(each, "convert") for each in listed):
        if odd := {each.mode for each in listed} - {"1", "L", "P", "RGB"}:
            raise CifarcoreError(
                f"images of mode {', '.join(sorted(odd))}; give sample_ids, or import with --images FOLDER"
            )
        return np.array([int(sample_ids(np.asarray(each.convert("RGB"))[None])[0]) for each in listed], np.uint64)
    if len({getattr(each, "shape", None) for each in listed}) > 1:
        return np.concatenate([_ids_of(as_array(each, "images")[None]) for each in listed])
    array = as_array(images, "images")
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise CifarcoreError(
            f"images: {array.dtype} of shape {array.shape}; give the raw images, uint8 RGB (N, height, width, 3)"
        )
    return sample_ids(array)


def _named(argument: str, make: Any) -> Any:
    """What `make` returns; its refusal names the argument."""
    try:
        return make()
    except CifarcoreError as error:
        raise CifarcoreError(f"{argument}: {_in_python(str(error))}") from None


def _in_python(message: str) -> str:
    """A message that speaks of the command's flags, in the words of the arguments of `Run.from_predictions`."""
    for flag, words in _WORDS.items():
        message = message.replace(flag, words)
    return message
