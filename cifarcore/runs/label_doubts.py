"""What to do about labels that are not those of the test set, as the kind of disagreement suggests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import Names, are_decimal, are_numbers, canonical, normal_name, read_class_names
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.run import Run
from cifarcore.runs.test_sets import TestSet
from cifarcore.text import counted


def not_those_of(
    test: TestSet, readings: Sequence[np.ndarray], names: Sequence[str], predictions: Predictions, config: ImportConfig
) -> str:
    """The sentence with which labels are refused; `readings` are their classes (N,), as far as each reading has one."""
    labels = max(readings, key=lambda read: (read == test.labels).sum())
    wrong = labels != test.labels
    row = int(wrong.argmax())
    how = "by file" if test.by_file else "in this order"
    return (
        f"the labels of {wrong.sum():,} of {len(labels):,} rows are not those of {test.title} {how} (first: row {row}, "
        f"{names[labels[row]] if labels[row] >= 0 else 'another class'!r} instead of {names[test.labels[row]]!r}); "
        f"{_remedy(test, labels, wrong, predictions, config)}"
    )


def _remedy(
    test: TestSet, labels: np.ndarray, wrong: np.ndarray, predictions: Predictions, config: ImportConfig
) -> str:
    as_text = predictions.labels is not None and predictions.labels.dtype.kind == "U"
    if not as_text or np.char.isdecimal(predictions.labels).all():
        if not config.first_class and (labels - test.labels == 1).all():
            return "they count from 1: use --first-class 1"
        if fitting := [other.name for other in test.others if np.array_equal(labels, other.labels)]:
            return f"they are those of its files in another order: use --order {' or '.join(fitting)} if that is theirs"
        pairs = np.unique(np.stack([labels, test.labels]), axis=1)
        if len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1])) > 1:
            return (
                "each of its classes is always the same other one here, so the file counts the classes in another "
                "order: give --class-names FILE with the names in its order, one per line"
            )
    if test.by_file:
        if wrong.mean() < 0.5 and (heading := dict(predictions.sources).get("labels")):
            return f"give each file its own label; if {heading[:60]!r} is the model's answer, call it prediction"
        return "give each file its own label"
    remedy = "bring the rows into its order"
    if config.order in ("torchvision", "data"):
        other = "--order data" if config.order == "torchvision" else "--order torchvision"
        return f"{remedy}, use {other} if that is theirs, or give sample_ids in the file"
    if predictions.files:
        return f"{remedy}, or give --images FOLDER, which finds them by file"
    naming = "name their pictures in an array or a column file" if test.folder else "give sample_ids in the file"
    return (
        f"{remedy}, or {naming}; or compare runs by the numbers of their rows, without pictures, with --order rows "
        "--test-set NAME alone"
    )


def refuse_other_labels(predictions: Predictions, given: np.ndarray) -> None:
    """Raises CifarcoreError where the labels in the file, row by row, are not those `given` (N,) by --labels, whatever
    either calls the classes.
    """
    own = predictions.labels
    if own is None or len(own) != len(given) or predictions.rows is not None and (np.diff(predictions.rows) != 1).any():
        return
    pairs = {tuple(map(normal_name, pair)) for pair in zip(given.tolist(), own.tolist(), strict=True)}
    named, called = {one for one, _ in pairs}, {other for _, other in pairs}
    if not len(pairs) == len(named) == len(called) or named & called and any(one != other for one, other in pairs):
        heading = dict(predictions.sources).get("labels", "labels")
        raise CifarcoreError(
            f"the labels of --labels are not those in {heading[:60]!r}; leave out one of the two, or call that "
            "prediction if it is the model's answer"
        )


def refuse_uncounted(predictions: Predictions, given: np.ndarray | None, config: ImportConfig) -> None:
    """Raises CifarcoreError where labels `given` (N,) are numbers and nothing tells which order of the classes they
    count: names have none in objects, and --class-names may have another than the columns.
    """
    columns = predictions.columns
    if given is None or columns is None or are_numbers(columns, config.first_class):
        return
    texts = np.unique(given.astype(str)).tolist()
    if not are_decimal(texts) or set(texts) <= set(columns):
        return
    if config.class_names:
        named = read_class_names(config.class_names)
        places = Names(named).places(columns).tolist()
        if not predictions.unordered and places != sorted(places) and sorted(places) == list(range(len(named))):
            raise CifarcoreError(
                f"the labels are numbers, and the columns have the classes in another order than "
                f"{Path(config.class_names).name}, so they may count either; give the labels as names, or put both in "
                "one order"
            )
    elif predictions.unordered and canonical(columns) != cifar100.CLASS_NAMES:
        raise CifarcoreError(
            "the labels are numbers, and the file has its classes by name, in no order that numbers could count; give "
            "the labels as names, or --class-names FILE with the names in the order that they count"
        )


def not_cifar100s(run: Run) -> list[str]:
    """What is to be known of labels that are not those of CIFAR-100's test images, where the run is of these.

    Raises CifarcoreError where most are not: then they count something else, such as superclasses.
    """
    known = known_images()
    if tuple(run.class_names.tolist()) != cifar100.CLASS_NAMES or not np.isin(run.sample_ids, known.sample_ids).all():
        return []
    other = int((known.rows_of(run.sample_ids, run.labels) < 0).sum())
    if 2 * other > run.n_images:
        raise CifarcoreError(
            f"the images are CIFAR-100's test images, but the labels of {other:,} of {run.n_images:,} are not theirs: "
            "give the fine labels, from 0 in the order of the class names"
        )
    return [f"the labels of {counted(other, 'image')} are not those of CIFAR-100's test set"] if other else []
