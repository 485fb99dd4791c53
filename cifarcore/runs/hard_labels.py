"""Predicted classes without scores, brought into the form of scores: a row of one 1 and else 0 for each image."""

from dataclasses import replace

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import Names, read_class_names
from cifarcore.runs.classes import are_digits
from cifarcore.runs.counting import outside
from cifarcore.runs.layout import MAX_BYTES
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.scores import CLASSES, one_hot
from cifarcore.runs.test_sets import TestSet, names_by_content

NOTE = "the file holds predicted classes without scores: what needs scores, such as AUC and calibration, is absent"


def as_rows(
    predictions: Predictions, given: np.ndarray | None, test: TestSet | None, config: ImportConfig
) -> Predictions:
    """`predictions`, whose scores are predicted classes (N,), with rows of one 1 and else 0, (N, C), for these.

    Names are those of --class-names or of the test set, else of all classes that occur; what numbers count is left to
    `classes`, as of columns without names. Raises CifarcoreError where a prediction is of no class.
    """
    predicted = predictions.scores
    named = read_class_names(config.class_names) if config.class_names else None
    if predicted.dtype.kind == "U" and not are_digits(predicted):
        lists = [list(map(list, named))] if named else []
        lists += [[[name] for name in test.class_names]] if test else []
        names, index = _by_name(predicted, given, lists)
        return replace(predictions, scores=_rows(index, len(names)), columns=names, kind=CLASSES)
    known = named or (test.class_names if test else names_by_content(predictions.sample_ids, given, len(CLASS_NAMES)))
    if known is None:
        raise CifarcoreError("the classes are unknown; give --class-names FILE")
    numbers, first = predicted.astype(np.int64), config.first_class
    if numbers.min() < first or numbers.max() >= first + len(known):
        raise CifarcoreError(f"predicted {outside(numbers, len(known), first)}")
    headings = tuple(map(str, range(first, first + len(known)))) if predicted.dtype.kind == "U" else None
    return replace(predictions, scores=_rows(numbers - first, len(known)), columns=headings, kind=CLASSES)


def _by_name(
    predicted: np.ndarray, given: np.ndarray | None, lists: list[list[list[str]]]
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes (C,) and the class of each prediction (N,), by the first of `lists` that has them all."""
    if not lists:
        if given is not None and are_digits(given.astype(str)) and set(given.tolist()).isdisjoint(predicted.tolist()):
            raise CifarcoreError("the classes are unknown; give --class-names FILE, or the labels as names")
        if given is not None and not np.isin(predicted, given).any():
            pair = " and ".join(repr(str(each[0])[:60]) for each in (predicted, given))
            raise CifarcoreError(
                f"no prediction is the label of any image (such as {pair}); "
                "name both alike, or give --class-names FILE with all names of each class"
            )
        occurring = np.unique(np.concatenate([predicted, *([] if given is None else [given])])).tolist()
        lists = [[[name] for name in occurring]]
    texts, inverse = np.unique(predicted, return_inverse=True)
    for names in lists:
        at = Names(names).places(texts.tolist())
        if (at >= 0).all():
            return tuple(aliases[0] for aliases in names), at[inverse]
    unknown = int((at[inverse] < 0).sum())
    raise CifarcoreError(
        f"{unknown:,} of {len(predicted):,} predictions are no class's name (such as {texts[at < 0][0][:60]!r}); name "
        "the classes as the test set does, or give --class-names FILE"
    )


def _rows(index: np.ndarray, n_classes: int) -> np.ndarray:
    if len(index) * n_classes * 4 > MAX_BYTES:  # as float32, several of which are held at once
        raise CifarcoreError(
            f"{len(index):,} images of {n_classes:,} classes make more than {MAX_BYTES >> 30} GiB of rows"
        )
    return one_hot(index, n_classes)
