"""Predictions brought onto a test set: each row its image, each column its class, the labels held against those of the
images. What does not fit is refused.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100 as data
from cifarcore.data.ids import row_ids
from cifarcore.errors import CifarcoreError
from cifarcore.runs import hard_labels
from cifarcore.runs.class_names import are_decimal, are_numbers, names_of, superclasses
from cifarcore.runs.classes import Classes, classes_of
from cifarcore.runs.counting import refuse_counted_by_name, refuse_counted_from_one
from cifarcore.runs.file_labels import labels_of, own_labels, read_file_labels
from cifarcore.runs.formats import read_labels
from cifarcore.runs.imported_scores import logits_of
from cifarcore.runs.label_doubts import not_cifar100s, refuse_other_labels, refuse_uncounted
from cifarcore.runs.layout import BY_ROW
from cifarcore.runs.metadata import read_metadata
from cifarcore.runs.notes import (
    doubts,
    not_told_by_labels,
    numbered_rows,
    refuse_repeated,
    repeated_rows,
    without_repeated,
)
from cifarcore.runs.predictions import Predictions, text_array
from cifarcore.runs.row_order import in_row_order, refuse_names_that_are_numbers, refuse_repeated_files
from cifarcore.runs.run import Run
from cifarcore.runs.test_sets import ROWS, TestSet, find_test_set
from cifarcore.runs.unchanging import owned
from cifarcore.runs.understood import examples, summary, understood
from cifarcore.text import counted
from cifarcore.version import __version__

MOST_OTHER = 0.05  #: of the rows that a file's own answers may differ in, by rounding or averaging, without a word


@dataclass(frozen=True, eq=False)
class Checked:
    """Predictions that fit their test set and are not kept yet."""

    run: Run  #: its sample ids are still to be filled where `test` is a folder, whose pictures are read last
    test: TestSet | None
    notes: tuple[str, ...]  #: what their reader should know of how the run came about, a sentence each
    summary: dict[str, str]  #: what was understood of the file, by what it is of: Rows, Images, Classes, ...
    examples: tuple[tuple[str, str, str], ...] = ()  #: image, true label and predicted class of the first rows
    source: Path = field(default_factory=Path)
    inputs: tuple[Path, ...] = ()  #: all files that were read, which no output may replace
    name: str = ""  #: under which the run is kept unless another is chosen


def matched(predictions: Predictions, config: ImportConfig, data_folder: str | Path | None) -> Checked:
    """The run that `predictions` are, by what the options say. Raises CifarcoreError, with what was read."""
    try:
        return _matched(predictions, config, data_folder)
    except CifarcoreError as error:
        raise CifarcoreError(f"{error} ({understood(predictions)})") from None


def dataset_of(name: str, run: Run) -> dict[str, str]:
    """What `meta.dataset` says: the images' name, or CIFAR-100's where they are its test images; their fingerprint."""
    actual = data.fingerprint(run.sample_ids, run.labels)
    return {"name": "CIFAR-100" if actual == data.TEST_FINGERPRINT else name, "fingerprint": actual}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _matched(read: Predictions, config: ImportConfig, data_folder: str | Path | None) -> Checked:
    given, test = _labels_and_images(read, config, data_folder)
    predictions, labelled = _in_order(read, given, test, config)
    if predictions.scores.ndim == 1:
        predictions = hard_labels.as_rows(predictions, labelled[0] if labelled else None, test, config)
    classes = _classes(predictions, labelled, test, config)
    truth = classes.labels
    if truth is None:
        if config.labels:
            raise CifarcoreError(
                f"{Path(config.labels).name} has the labels of files, and the predictions name none; put the files "
                "beside the predictions, or give --labels the labels alone, in the order of the rows"
            )
        raise CifarcoreError(
            "no labels; give a column or an array named label, target, y_true, ground_truth, fine_label or the like, "
            "or --labels FILE"
        )
    of_answers = _other_answers(predictions, classes)
    if test is None and (truth >= 0).all():
        columns = classes.columns[truth]
        if np.array_equal(columns.astype(str), labelled[0].astype(str)):  # numbers that count the columns
            answers = predictions.scores.argmax(axis=1)
            refuse_counted_from_one(columns, answers)
            refuse_counted_by_name(columns, answers, predictions.columns or ())
    scores, meta, of_scores = logits_of(predictions, classes, config)  # last: sums tell nothing if a column is missing
    n = len(scores)
    named_by = {"model": config.model, "preset": config.preset}
    run = Run(
        class_names=text_array(classes.names),
        sample_ids=np.zeros(n, np.uint64) if predictions.sample_ids is None else predictions.sample_ids,
        labels=truth.astype(np.int16),
        logits=owned(scores),
        meta={"seed": config.seed, "versions": {"cifarcore": __version__}, "created": now()}
        | meta
        | {key: value for key, value in named_by.items() if value},
        **superclasses(classes.names, config.superclasses, test.superclasses if test else None),
    )
    notes = [*predictions.notes, *of_answers]
    if config.metadata:
        run, note = _with_metadata(run, predictions, test, config)
        notes.append(note)
    if (left := int((truth < 0).sum())) == n:
        raise CifarcoreError("no image is of a class that has a column")
    if left:
        kept = np.flatnonzero(truth >= 0)
        run, test = run.take(kept), None if test is None else test.take(kept)
    numbered = predictions.columns is None or are_numbers(predictions.columns, config.first_class)
    notes += [*doubts(run, test, given is not None, bool(predictions.files), numbered), *(test.notes if test else ())]
    if given is not None and test is not None:
        notes += not_told_by_labels(test, given)
    if left:
        notes.append(f"left out: {counted(left, 'image')} of classes that the columns lack")
    flat = test is not None and test.folder is not None and test.folder.flat
    if config.labels and not predictions.files and not flat and read_file_labels(config.labels) is not None:
        notes.append("the labels of --labels were not used, as the rows name no files; those of the images hold")
    if config.order == ROWS:
        notes += [*numbered_rows(config.test_set.strip(), bool(predictions.files)), *repeated_rows(run)]
    notes += of_scores
    if test is not None and test.folder is not None:
        if missing := len(test.folder.files) - n:
            notes.append(f"{missing:,} of the folder's {len(test.folder.files):,} pictures have no prediction")
    else:
        run, repeated = _with_ids(run, test, config)
        notes += repeated
    lines = summary(run, test, predictions, given is not None, config)
    return Checked(run, test, tuple(notes), lines, examples(run, test, predictions.files))


def _labels_and_images(
    predictions: Predictions, config: ImportConfig, data_folder: str | Path | None
) -> tuple[np.ndarray | None, TestSet | None]:
    """The labels of the rows, (N,), as far as there are any, and the images that the options name."""
    n = len(predictions.scores)
    table = read_file_labels(config.labels) if config.labels else None
    if table is not None:
        given = labels_of(predictions.files, table) if predictions.files else predictions.labels
    else:
        given = read_labels(config.labels) if config.labels else predictions.labels
    if given is not None and len(given) != n:
        turned = predictions.scores.ndim > 1 and len(given) == predictions.scores.shape[1]
        raise CifarcoreError(
            f"{len(given):,} labels for {n:,} rows of scores; give one for each"
            + (": these have a row for each class, so save them transposed, scores.T" if turned else "")
        )
    if config.labels and given is not None:
        refuse_other_labels(predictions, given)
    label_of = table if table is not None else own_labels(predictions, given, config)
    test = find_test_set(config, data_folder, n, predictions.files, label_of)
    by_row = config.order == ROWS
    if test is None and predictions.sample_ids is None and not by_row:
        if predictions.files:
            raise CifarcoreError("the file names its pictures; give --images FOLDER, which holds them, or --like RUN")
        raise CifarcoreError(
            "the test images are unknown: give sample_ids (see cifarcore.data.sample_ids) in the file, "
            "or --images FOLDER, or --order torchvision, or --order data (cifar100.npz's x_test), or --like RUN; or, "
            "without pictures, --order rows --test-set NAME"
        )
    if test is None or test.folder is not None and test.folder.flat:
        refuse_uncounted(predictions, given, config)  # no folders of classes tell what they count
    if (test is not None or by_row) and predictions.sample_ids is not None:
        raise CifarcoreError("the file names its images by sample ids; leave out --order, --images and --like")
    if predictions.sample_ids is not None and len(predictions.sample_ids) != n:
        raise CifarcoreError(f"{len(predictions.sample_ids):,} sample ids for {n:,} rows of scores; give one for each")
    return given, test


def _in_order(
    predictions: Predictions, given: np.ndarray | None, test: TestSet | None, config: ImportConfig
) -> tuple[Predictions, list[np.ndarray]]:
    """The rows in the order of the images, and their labels (N,) in each order in which they may be; none without."""
    by_row, order = config.order == ROWS, None
    if test is not None and not by_row and not config.order and predictions.files is None:
        refuse_names_that_are_numbers(predictions, test)
    if (by_row or test is not None and not test.by_file) and predictions.rows is not None:
        predictions, order = in_row_order(predictions)
        given = given if config.labels else predictions.labels
    if by_row and config.labels and order is not None and (np.diff(order) != 1).any():
        raise CifarcoreError("the file numbers its rows in another order than --labels; put the labels into the file")
    if by_row:
        refuse_repeated_files(predictions, given)
        ids = row_ids(config.test_set.strip(), len(predictions.scores))
        predictions = replace(predictions, sample_ids=ids, rows=None)
    labelled = [] if given is None else [given]
    if given is not None and config.labels and order is not None:  # in the order of the images, or of the rows
        labelled.append(given[order])
    return predictions, labelled


def _classes(predictions: Predictions, given: list[np.ndarray], test: TestSet | None, config: ImportConfig) -> Classes:
    """The classes of `predictions`; which order is meant is asked last, where the file fits in one at least."""
    orders = [order for order in (test, test.other) if order] if test else [None]
    errors = []
    for order in orders:
        try:
            classes = classes_of(predictions, given, order, config)
        except CifarcoreError as error:
            errors.append(error)
    if len(errors) == len(orders):
        raise errors[0]
    if test is not None and test.ask:
        raise CifarcoreError(test.ask)
    return classes


def _other_answers(predictions: Predictions, classes: Classes) -> list[str]:
    """A note where the file has another predicted class than its highest score's. Raises CifarcoreError where it names
    another in most rows: then the columns are those of other classes.
    """
    class_at = {column: place for place, column in enumerate(classes.columns.tolist())}
    named = names_of(classes.names)
    known = [(class_at.get(column, -1), named.place(text), count) for column, text, count in predictions.answers]
    if all(answer < 0 for _, answer, _ in known) or are_decimal([text for _, text, _ in predictions.answers]):
        return _other_codes(predictions.answers)
    total = sum(count for _, answer, count in known if answer >= 0)
    wrong = sum(count for scored, answer, count in known if answer not in (-1, scored))
    if wrong <= MOST_OTHER * total:
        return []
    said = f"the file names another predicted class than its highest score does in {wrong:,} of {total:,} rows"
    if 2 * wrong > total:
        raise CifarcoreError(f"{said}: name each column of scores, or put them into the order of the classes")
    return [f"{said}: are the columns in the order of these classes?"]


def _other_codes(answers: Sequence[tuple[int, str, int]]) -> list[str]:
    """A note where predicted classes, numbers that may count the classes in any order, are others than those of the
    highest scores, whatever each stands for.
    """
    of_column: Counter[int] = Counter()
    of_code: Counter[str] = Counter()
    for column, code, count in answers:
        of_column[column] = max(of_column[column], count)
        of_code[code] = max(of_code[code], count)
    total = sum(count for _, _, count in answers)
    wrong = total - min(of_column.total(), of_code.total())
    if wrong <= MOST_OTHER * total:
        return []
    return [
        f"the file's predicted class is not that of its highest score in at least {wrong:,} of {total:,} rows, as by "
        "another threshold or another model: the scores are what counts; give the predicted classes without them if "
        "those are meant"
    ]


def _with_metadata(run: Run, predictions: Predictions, test: TestSet | None, config: ImportConfig) -> tuple[Run, str]:
    files, ids = predictions.files, test.sample_ids if test else predictions.sample_ids
    if test and test.folder and files is None:
        files = tuple(test.folder.files[row] for row in np.asarray(test.rows).tolist())
    arrays, known, told = read_metadata(config.metadata, files, ids)
    return replace(run, **arrays), "; ".join([known, *told])


def _with_ids(run: Run, test: TestSet | None, config: ImportConfig) -> tuple[Run, list[str]]:
    """The run of images that are known without reading pictures, each once, and their data set's name."""
    notes: list[str] = []
    if test is not None:
        run = replace(run, sample_ids=test.sample_ids)
        if test.by_file:  # one picture may have had two files
            run, notes = without_repeated(run)
    refuse_repeated(run)
    notes += not_cifar100s(run) if test is None and config.order != ROWS else []
    dataset = dataset_of(test.name if test else config.test_set.strip(), run)
    dataset |= {"matched_by": BY_ROW} if config.order == ROWS else {}
    return replace(run, meta=run.meta | {"dataset": dataset}), notes
