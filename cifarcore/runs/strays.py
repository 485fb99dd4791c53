"""Columns of a table that may be no class's scores: numbers beside them, such as a loss or a time in milliseconds.

Only where nothing but the table's own headings says which classes there are.
"""

import re
from collections.abc import Sequence
from os.path import commonprefix

import numpy as np

from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import are_numbers, canonical
from cifarcore.runs.readers.binary import of_no_class
from cifarcore.runs.readers.columns import FEWEST
from cifarcore.runs.scores import sum_to_one
from cifarcore.text import quoted


def refuse_strays(scores: np.ndarray, headings: tuple[str, ...], labels: np.ndarray, named: bool) -> None:
    """Raises CifarcoreError where a column of `scores` (N, C) may be of no class, as of the `labels` (N,), which count
    the `headings` and were `named` by them or are numbers.

    Evidence that all are: each is the class of an image, all sum to one, or their headings are alike or CIFAR-100's.
    """
    seen = np.isin(np.arange(len(headings)), labels)
    whole = (scores == np.floor(scores)).all(axis=0)
    # one class's scores are not whole where the others have fractions, nor called like those of a network's one output
    odd = whole if len(scores) >= FEWEST and not whole.all() else np.zeros(len(headings), bool)
    odd = odd | np.array(list(map(of_no_class, headings)))
    doubtful = ~seen if named else ~seen | odd if seen.all() else np.ones(len(headings), bool)
    if not doubtful.any() or _alike(headings) or canonical(headings) == CLASS_NAMES:
        return
    if sum_to_one(scores) and (scores != scores[0]).any(axis=0).all():
        return
    columns = [heading for heading, each in zip(headings, doubtful.tolist(), strict=True) if each]
    if named or seen.all():
        some = ", ".join(map(quoted, columns[:5])) + (", …" if len(columns) > 5 else "")
        what = f"no image has the label {some}" if named else f"the numbers under {some} look unlike the others"
    else:
        what = f"the labels are {seen.sum():,} of the numbers 0 to {len(headings) - 1:,}"
    raise CifarcoreError(
        f"{len(headings):,} columns are read as a class each, {quoted(headings[0])} to {quoted(headings[-1])}, but "
        f"{what}; leave out the columns that are no class's scores, or name all classes by --class-names FILE"
    )


def _alike(headings: Sequence[str]) -> bool:
    """Whether they have a start in common, as net_cat and net_dog, or count from 0 or 1, as c0 and c1."""
    if re.search(r"\w[_.: -]", commonprefix(list(headings))):
        return True
    stems = {heading.rstrip("0123456789") for heading in headings}
    numbers = [heading[len(stem) :] for stem in stems for heading in headings] if len(stems) == 1 else []
    return bool(numbers) and (are_numbers(numbers) or are_numbers(numbers, 1))
