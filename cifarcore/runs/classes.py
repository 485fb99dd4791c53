"""Which class each column of scores and each label of a file is of: by name, by number, or as the labels decide.

Where two readings differ and nothing decides between them, the file is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import (
    NUMBERED,
    Names,
    are_decimal,
    are_numbers,
    canonical,
    names_of,
    read_class_names,
    refuse_alike,
    refuse_unknown,
)
from cifarcore.runs.counting import outside
from cifarcore.runs.label_doubts import not_those_of
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.strays import refuse_strays
from cifarcore.runs.test_sets import TestSet, names_by_content

#: readings of a heading or a label: a name; the place of a class in the order of names; that in their natural order
NAME, NUMBER, NATURAL = "name", "number", "natural"


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of a run, and where a file has them."""

    names: tuple[str, ...]
    columns: np.ndarray  #: int64 (C,), the column of each class
    labels: np.ndarray | None  #: int64 (N,), counting `names`; -1 where an image's class is none of them
    left_out: int  #: columns of other classes


@dataclass(frozen=True, eq=False)
class _File:
    """What a file and the options say of classes; places count `names`, -1 is none of them."""

    names: tuple[str, ...]  #: the test set's, else those of --class-names, else those of the columns
    known: Names
    headings: tuple[str, ...] | None
    numbers: np.ndarray | None  #: (columns,) the number of each column, where it has no name
    lines: np.ndarray | None  #: the class of each line of --class-names
    given: Sequence[np.ndarray]  #: the labels in each order in which they may be
    test: TestSet | None
    numbered: Sequence[tuple[int, str]]  #: numbers that the file has for names of its labels
    config: ImportConfig = field(repr=False)

    @property
    def in_order(self) -> bool:
        """Whether the columns have no names, or the numbers 0, 1, 2, … in this order."""
        return self.numbers is not None and (self.headings is None or bool((np.diff(self.numbers) == 1).all()))


def classes_of(
    predictions: Predictions, given: Sequence[np.ndarray], test: TestSet | None, config: ImportConfig
) -> Classes:
    """The classes of `found`, N rows in the order of the images. `given` are its labels (N,), if it has any, in each
    order in which they may be.

    Raises CifarcoreError where names, numbers and labels do not fit one another, or the test set.
    """
    file = _file(predictions, given, test, config)
    labels = _readings_of_labels(file)
    expected = None if test is None else test.labels
    if labels and expected is not None:
        fitting = [how for how, read in labels if np.array_equal(read, expected)]
        if not fitting:
            raise CifarcoreError(not_those_of(test, [read for _, read in labels], file.names, predictions, config))
        truth = expected
    else:
        fitting = [how for how, _ in labels]
        truth = expected if expected is not None else labels[0][1] if labels else None
        if any(not np.array_equal(read, truth) for _, read in labels):
            raise CifarcoreError(NUMBERED)
    if predictions.headed and truth is not None and file.names is file.headings:
        refuse_strays(predictions.scores, file.names, truth, any(how == NAME for how, _ in labels))
    columns = _chosen(_readings_of_columns(file), set(fitting) if labels and test is not None else set(), file)
    return _in_order(file, columns, truth)


def _file(predictions: Predictions, given: Sequence[np.ndarray], test: TestSet | None, config: ImportConfig) -> _File:
    n_columns = predictions.scores.shape[1]
    named = read_class_names(config.class_names) if config.class_names else None
    headings = predictions.columns
    unnamed = headings is None or are_numbers(headings, config.first_class)
    for names, needed in ((headings, True), (named, unnamed)):
        if names is not None and needed and len(names) != n_columns:
            raise CifarcoreError(f"{len(names)} class names for {n_columns} columns of scores; give one for each")
    if named:
        class_names = tuple(names[0] for names in named)
    elif test is None:
        content = names_by_content(predictions.sample_ids, given[0] if given else None, n_columns)
        class_names = content or (None if unnamed or are_numbers(headings or (), 1) else headings)
    if test is None and class_names is None:
        raise CifarcoreError(
            "the classes of the columns are unknown; name them, or give --class-names FILE"
            + _from_one(headings, config)
        )
    names = test.class_names if test else class_names
    known, lines = names_of(names), None
    if named and test:
        places = [max(map(known.place, each)) for each in named]
        known = Names(
            [
                (name, *(other for each, at in zip(named, places, strict=True) if at == place for other in each))
                for place, name in enumerate(names)
            ]
        )
        lines = np.array(places)
        _check(lines, [each[0] for each in named], names, f"{test.title}'s", config, Path(config.class_names).name)
    elif named:
        known, lines = Names(named), np.arange(len(named))
    elif headings is names:
        refuse_alike(names, [text for labels in given if labels.dtype.kind == "U" for text in set(labels.tolist())])
    numbers = None
    if unnamed:
        numbers = np.arange(n_columns) if headings is None else np.array(headings, np.int64) - config.first_class
    return _File(names, known, headings, numbers, lines, given, test, predictions.numbered, config)


def _readings_of_columns(file: _File) -> list[tuple[str, np.ndarray]]:
    """The class of each column (columns,), as each reading has it."""
    if file.numbers is None:
        return [(NAME, file.known.places(file.headings or ()))]
    counted = [order for order in _counted(file) if len(order[1]) == len(file.numbers)]
    if file.numbered and file.lines is None:  # columns count as the labels beside them do
        fitting = [(how, order) for how, order in counted if _counts_so(order, file)]
        if counted and not fitting:
            number, name = file.numbered[0]
            raise CifarcoreError(
                f"the file's labels count the classes in another order than {_whose(file)} (number {number} is "
                f"{name[:60]!r}), and its columns have no names: give --class-names FILE with the names in the order "
                "of the columns"
            )
        counted = fitting
    readings = [(how, order[file.numbers]) for how, order in counted]
    if file.lines is not None:
        readings = readings[:1]
        if file.in_order:
            return readings  # the file of names has a line for each column, in their order
    # without headings, a network may count its classes as their names do
    if are_numbers(file.names) and len(file.names) == len(file.numbers) and (file.headings or file.given):
        headings = file.headings or tuple(map(str, range(len(file.names))))
        by_name = file.known.places(headings)
        if (by_name >= 0).all():
            readings.append((NAME, by_name))
    return readings


def _counts_so(order: np.ndarray, file: _File) -> bool:
    """Whether the classes in this order have the numbers that the file gives them."""
    first = file.config.first_class
    return all(
        0 <= number - first < len(order) and order[number - first] == file.known.place(name)
        for number, name in file.numbered
    )


def _chosen(readings: list[tuple[str, np.ndarray]], fitting: set[str], file: _File) -> np.ndarray:
    """The class of each column, where the readings agree, the labels count in one of them alone, or an option says
    it.
    """
    title = file.test.title if file.test else "the file of names"
    if not readings:
        raise CifarcoreError(
            f"{len(file.numbers)} columns of scores, but {title} has {len(file.names)} classes; give one for each, or "
            "the names of all columns by --class-names FILE and --classes shared"
        )
    if any(not np.array_equal(read, readings[0][1]) for _, read in readings):
        # labels that count the classes in one way show how columns in a row are counted; headings in another order may
        # still be names
        decided = [(how, read) for how, read in readings if {how} == fitting and how != NAME and file.in_order]
        if not decided and (file.headings or not (file.config.images and file.config.order)):
            shown = ", ".join(name[:20] for name in file.names[:3])
            if file.in_order:
                remedy = "the class of each column, one per line in their order"
                remedy += "" if file.headings else ", or --order imagefolder (this order) or natural (that of numbers)"
                remedy += ", or labels that count as the columns do"
            else:
                first = file.config.first_class
                remedy = (
                    f"the lines {first}, {first + 1}, {first + 2}, … if each heading is the name of its class; if it "
                    "counts the classes, with the class of each number, and put the columns in the order of the numbers"
                )
            raise CifarcoreError(
                f"the columns have numbers, and {title} has the classes {shown}, … in this order or in another that is "
                f"usual: give --class-names FILE with {remedy}"
            )
        readings = decided or readings
    columns = readings[0][1]
    if file.numbers is None:
        _check(columns, file.headings or (), file.names, _whose(file), file.config)
    return columns


def _whose(file: _File) -> str:
    if file.test:
        return "the test set's"
    return f"{Path(file.config.class_names).name}'s" if file.config.class_names else "CIFAR-100's"


def _check(
    places: np.ndarray, spelled: Sequence[str], names: Sequence[str], whose: str, config: ImportConfig, of: str = ""
) -> None:
    """Raises CifarcoreError where `spelled` are not exactly the classes `names`, or two are the same."""
    taken: dict[int, str] = {}
    for place, name in zip(places.tolist(), spelled, strict=True):
        if place >= 0 and place in taken:
            raise CifarcoreError(
                f"classes {taken[place][:60]!r} and {name[:60]!r} are the same name; names must differ"
            )
        taken[place] = name
    extra = [name for name, place in zip(spelled, places.tolist(), strict=True) if place < 0]
    missing = [name for place, name in enumerate(names) if place not in taken]
    if not (extra or missing) or (config.classes == "shared" and len(places) - len(extra) >= 2):
        return
    problems = [f"{len(extra)} unknown name{'s' * (len(extra) > 1)} (such as {extra[0][:60]!r})"] if extra else []
    problems += [f"{len(missing)} missing (such as {missing[0][:60]!r})"] if missing else []
    both = " (both names of a class on one line, with a tab between)"
    remedy = f"name the others by --class-names FILE{both}{_from_one(spelled, config)}"
    if len(places) - len(extra) >= 2:
        remedy = "--classes shared keeps the classes that both have"
    raise CifarcoreError(
        f"the class names{of and f' of {of}'} do not fit {whose} {len(names)} classes: {', '.join(problems)}; {remedy}"
    )


def _readings_of_labels(file: _File) -> list[tuple[str, np.ndarray]]:
    """The class of each row (N,), in each order of the labels and as each reading has it; none without labels."""
    readings: list[tuple[str, np.ndarray]] = []
    for given in file.given:
        texts, inverse = np.unique(given.astype(str), return_inverse=True)
        by_name = file.known.places(texts.tolist())[inverse]
        is_text = given.dtype.kind == "U"
        if file.test is None and is_text:  # nothing else shows that one class is meant
            refuse_alike(texts.tolist(), file.names)
        if (by_name >= 0).all() and (is_text or are_decimal(file.names)):
            readings.append((NAME, by_name))
        if is_text and not are_digits(texts):
            if not readings:
                refuse_unknown(given, by_name < 0)
            continue
        numbers = np.array([min(int(text), 2**31) for text in texts.tolist()])[inverse] - file.config.first_class
        fitting = [(how, order) for how, order in _counted(file) if numbers.min() >= 0 and numbers.max() < len(order)]
        readings += [(how, order[numbers]) for how, order in fitting]
    if not readings and file.given:
        given = file.given[0].astype(np.int64)
        raise CifarcoreError(outside(given, min(len(order) for _, order in _counted(file)), file.config.first_class))
    return readings


def _counted(file: _File) -> list[tuple[str, np.ndarray]]:
    """The classes in each order that numbers may count."""
    if file.lines is not None:
        orders = [(NUMBER, file.lines)]
    elif file.numbers is None:
        orders = [(NUMBER, file.known.places(file.headings or ()))]
    else:
        orders = []
    if file.test is not None or not orders:
        orders.append((NUMBER, np.arange(len(file.names))))
    if file.test is not None and file.test.natural is not None:
        orders.append((NATURAL, file.test.natural))
    return orders


def _in_order(file: _File, columns: np.ndarray, truth: np.ndarray | None) -> Classes:
    """The classes that the columns have, CIFAR-100's in its own order, and where their columns are."""
    names = canonical(file.names)
    at = {int(place): column for column, place in enumerate(columns.tolist()) if place >= 0}
    places = [place for place in names_of(file.names).places(names).tolist() if place in at]
    to_run = np.full(len(file.names) + 1, -1)
    to_run[places] = np.arange(len(places))
    kept = tuple(names) if len(places) == len(names) else tuple(file.names[place] for place in places)
    return Classes(
        kept,
        np.array([at[place] for place in places]),
        None if truth is None else to_run[truth],
        len(columns) - len(places),
    )


def are_digits(texts: np.ndarray) -> bool:
    return all(text.isascii() and text.lstrip("-").isdecimal() for text in texts.tolist())


def _from_one(headings: Sequence[str] | None, config: ImportConfig) -> str:
    counts = headings is not None and not config.first_class and are_numbers(headings, 1)
    return ", or use --first-class 1 if the columns are numbered from 1" if counts else ""
