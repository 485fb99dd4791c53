"""Rows brought into the order of the images where the file numbers them."""

from collections import Counter
from dataclasses import replace

import numpy as np

from cifarcore.data.image_folder import bare
from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.columns import count_from
from cifarcore.runs.test_sets import TestSet


def in_row_order(predictions: Predictions) -> tuple[Predictions, np.ndarray]:
    """What a file holds, sorted by its row numbers, which must be 0..N-1 or 1..N in any order; and that order, (N,).

    Raises CifarcoreError where they are not: then they do not say which image a row is, or not all images are there.
    """
    numbers = np.asarray(predictions.rows)
    if count_from(numbers) is None:
        heading = next(name for role, name in predictions.sources if role == "rows")
        repeated = len(numbers) - len(np.unique(numbers))
        what = f"repeats {repeated:,} row numbers" if repeated else f"runs from {numbers.min()} to {numbers.max()}"
        raise CifarcoreError(
            f"{heading[:60]!r} {what}, so it does not number the {len(numbers):,} images; leave it out if the rows are "
            "in order, or name the images in a column file or sample_id"
        )
    order = np.argsort(numbers)
    files = None if predictions.files is None else tuple(predictions.files[row] for row in order.tolist())
    labels = None if predictions.labels is None else predictions.labels[order]
    return replace(
        predictions, scores=predictions.scores[order], labels=labels, files=files, rows=numbers[order]
    ), order


def refuse_names_that_are_numbers(predictions: Predictions, test: TestSet) -> None:
    """Raises CifarcoreError where the numbers of the rows are the names of the folder's pictures too, in another order:
    either may be meant.
    """
    if test.folder is None or predictions.rows is None or test.by_file:
        return
    names = [bare(test.folder.files[row]).rsplit("/", 1)[-1] for row in np.asarray(test.rows).tolist()]
    if len(set(names)) < len(names) or not all(
        name.isascii() and name.isdecimal() and len(name) < 16 for name in names
    ):
        return
    numbers = np.array(list(map(int, names)))
    if np.array_equal(np.sort(numbers), np.sort(predictions.rows)) and (np.diff(numbers) != 1).any():
        heading = dict(predictions.sources)["rows"]
        raise CifarcoreError(
            f"{heading[:60]!r} may name the pictures, which are called {names[0][:20]!r} and so on, or number the rows "
            "in the folder's order; call it file in the first case, and give --order in the second"
        )


def refuse_repeated_files(predictions: Predictions, given: np.ndarray | None) -> None:
    """Raises CifarcoreError where rows that are to be an image each name one file and its label, `given` (N,), several
    times, as the rows of several models or epochs do.
    """
    if predictions.files is None or given is None:
        return
    counts = Counter(zip(predictions.files, given.tolist(), strict=True))
    (file, label), most = counts.most_common(1)[0]
    if most > 1:
        raise CifarcoreError(
            f"{len(given) - len(counts):,} of {len(given):,} rows repeat a file and its label (such as {file[:100]!r}, "
            f"{str(label)[:60]!r}), as of several models or epochs: give each image once, or leave the column of files "
            "out if these are different images"
        )
