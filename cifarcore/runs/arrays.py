"""Arrays of whatever framework as a run file would keep them.

Imports no framework: a tensor is known by what it can do.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cifarcore.data.ids import fingerprint, row_ids, sample_ids
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import indices, names_of, refuse_alike, superclasses
from cifarcore.runs.counting import refuse_counted_from_one
from cifarcore.runs.layout import BY_ROW
from cifarcore.runs.metadata import metadata_of
from cifarcore.runs.notes import doubts, repeated_rows
from cifarcore.runs.predictions import Predictions, as_class_labels, as_sample_ids, checked_scores, text_array
from cifarcore.runs.readers.tables import without_prefix
from cifarcore.runs.scores import FLOOR, KINDS, SOFTMAX, as_logits, is_softmax, one_hot, refuse_unfilled, zeros
from cifarcore.runs.unchanging import owned
from cifarcore.text import brief, counted

if TYPE_CHECKING:
    from cifarcore.runs.run import Run

TINY = 0.01  #: of the scores that are too small to be told apart, from which it matters: a sure network has some
#: a heading that counts the classes, such as LABEL_7 or 7.0
_NUMBERED = re.compile(r"(?P<before>\D*)(?P<number>\d{1,9})(\.0+)?(?P<after>\D*)")
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
    _refuse_other_count(class_names)
    names, test_set = tuple(map(str, as_array(class_names, "class_names").tolist())), test_set.strip()
    for argument, given in (("scores", scores), ("labels", labels)):  # labels may be a column for each class, too
        _refuse_other_columns(argument, given, names)
    columns = {f"metadata[{name!r}]": each for name, each in metadata.items()} if isinstance(metadata, Mapping) else {}
    _refuse_other_index(ids, {"scores": scores, "labels": labels, "sample_ids": ids, "metadata": metadata} | columns)
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
    if isinstance(ids, list | tuple) and all(type(each) is int and 0 <= each < 2**64 for each in ids):
        ids = np.array(ids, np.uint64)  # left to itself, NumPy makes floats of them
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
    with np.errstate(over="ignore"):  # what float16 cannot hold is refused below
        logits = owned(stored.logits.astype(np.float32 if stored.precise else np.float16))  # as a run file has them
    kin = superclasses(names, known=None if superclass_of is None else dict(superclass_of))
    known = {"model": model, "preset": preset, "seed": int(seed)} | stored.meta
    known |= zeros(checked, truth) if stored.floored else {}
    known |= {SOFTMAX: n} if kind == "logits" and is_softmax(checked) else {}
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
        **_named("metadata", lambda: metadata_of(metadata, own_ids)),
    }


def warn_of_doubts(run: "Run", by_row: bool) -> None:
    """Warns the caller of `Run.from_predictions` of what `import` has notes on; rows known by their numbers `by_row`
    may be there twice.
    """
    for note in [*doubts(run, None, True, False), *(repeated_rows(run) if by_row else ())]:
        warnings.warn(note, stacklevel=3)


def _refuse_other_columns(argument: str, table: Any, names: tuple[str, ...]) -> None:
    """Raises CifarcoreError for a data frame whose columns are not called like the classes, or counted, in order."""
    headings = list(map(str, getattr(table, "column_names", getattr(table, "columns", ()))))
    if len(headings) < 2:
        return
    places, order = names_of(names).places(without_prefix(headings, names)), np.arange(len(headings))
    if np.array_equal(places, order) or headings == list(map(str, order)):  # as pandas counts
        return
    numbers = [_NUMBERED.fullmatch(heading) for heading in headings]
    around = {(number["before"], number["after"]) for number in numbers if number}
    if (places < 0).all() and all(numbers) and len(around) == 1:
        counted = np.array([int(number["number"]) for number in numbers if number])
        if np.array_equal(counted - counted[0], order) and counted[0] in (0, 1):
            return
    raise CifarcoreError(
        f"{argument}: its columns are called {', '.join(map(repr, headings[:3]))[:100]}, … and class_names are "
        f"{', '.join(map(repr, names[:3]))[:100]}, …; give both in one order, or {argument}.to_numpy() if they are"
    )


def _refuse_other_count(class_names: Any) -> None:
    """Raises CifarcoreError for names of classes in a series whose index counts them in another order."""
    if isinstance(class_names, pd.Series):
        numbers = pd.to_numeric(class_names.index.to_series(), errors="coerce")
        if numbers.notna().all() and not numbers.is_monotonic_increasing:
            raise CifarcoreError(
                "class_names: its index counts the classes in another order; give class_names.sort_index(), or "
                "class_names.tolist() if they are in the order of the columns"
            )


def _refuse_other_index(ids: Any, arguments: Mapping[str, Any]) -> None:
    """Raises CifarcoreError where pandas' indices have the same rows in different orders, or an index the sample ids
    `ids` in another order: either may hold.
    """
    indexed = {name: each.index for name, each in arguments.items() if isinstance(each, pd.DataFrame | pd.Series)}
    counted = {name for name, index in indexed.items() if index.equals(pd.RangeIndex(len(index)))}  # nobody's ids
    if ids is not None:
        own = _as_ids(pd.Index(as_array(ids, "sample_ids").ravel()))
        for name in indexed.keys() - counted:
            levels = map(indexed[name].get_level_values, range(indexed[name].nlevels))
            if any(_in_another_order(own, _as_ids(level)) for level in levels):
                raise CifarcoreError(
                    f"{name}: its index has the sample_ids in another order; give {name}.loc[sample_ids], or "
                    f"{name}.reset_index(drop=True) if its rows are in the order of sample_ids"
                )
    for first, name in combinations(indexed, 2):
        if _in_another_order(_as_ids(indexed[first]), _as_ids(indexed[name])):
            raise CifarcoreError(
                f"{name}: its index has the rows of {first} in another order; bring both into one order, or give "
                f"{name}.reset_index(drop=True), and {first} so, if they are in one"
            )


def _as_ids(index: pd.Index) -> pd.Index:
    """Sample ids in one form, be they numbers or text of them; any other index as it is."""
    try:
        return index if index.nlevels > 1 else pd.Index(as_sample_ids(index.to_numpy()))
    except CifarcoreError:
        return index


def _in_another_order(one: pd.Index, other: pd.Index) -> bool:
    return len(one) == len(other) and not one.equals(other) and not len(one.symmetric_difference(other, sort=False))


def _refuse_labelled(argument: str, values: Any) -> None:
    """Raises CifarcoreError for rows and columns with labels of their own that nothing holds against the others': of
    labelled arrays only pandas' frames and series are.
    """
    if hasattr(values, "coords"):  # as xarray's have
        raise CifarcoreError(
            f"{argument}: a {type(values).__name__} with coordinates of its own; bring it into the order of the other "
            f"arguments and give {argument}.to_numpy()"
        )
    if isinstance(values, list | tuple):
        for kind in {type(each) for each in values if hasattr(each, "coords") or isinstance(each, pd.Series)}:
            raise CifarcoreError(
                f"{argument}: a list of {kind.__name__}, whose order may be another in each; give one table, such as "
                f"pd.DataFrame({argument})[class_names]"
            )


def as_array(values: Any, argument: str) -> np.ndarray:
    """An array, a tensor of any device or a list as a NumPy array of numbers or text."""
    _refuse_labelled(argument, values)
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
