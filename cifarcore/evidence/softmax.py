"""What every number of one run is made of: its probabilities, kept for as long as the run lives."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from scipy.sparse import csc_array

from cifarcore.runs.run import Run
from cifarcore.runs.scores import LOG_PROBABILITIES

#: how far from 0 the logarithm of an image's summed probabilities may be, see runs.scores
_MOST_OFF = 0.7


class PerImage(NamedTuple):
    """What each image's scores come to."""

    log_normalizer: np.ndarray  #: float64 (N,)
    true_rank: np.ndarray  #: int (N,)
    brier: np.ndarray  #: float64 (N,)
    superclass: np.ndarray  #: int (N,), the one of highest probability; -1 without superclasses


Kept = TypeVar("Kept", np.ndarray, np.ndarray | None, PerImage)


_KEPT: dict[Callable, WeakKeyDictionary[Run, Any]] = {}


def once(function: Callable[[Run], Kept]) -> Callable[[Run], Kept]:
    """Keep what a function of a run returns, one number an image or class, for as long as the run lives; read-only.

    Beside `runs.memo`: these small arrays are asked for again within one computation, also of runs made for a moment
    (samples, simulations), which a cache of results for all sessions would hold on to.
    """
    kept: WeakKeyDictionary[Run, Kept] = WeakKeyDictionary()

    @wraps(function)
    def remembered(run: Run) -> Kept:
        if run not in kept:
            values = function(run)
            for array in values if isinstance(values, tuple) else (values,):
                if array is not None:
                    array.flags.writeable = False
            kept[run] = values
        return kept[run]

    _KEPT[remembered] = kept
    return remembered


def known(function: Callable[[Run], Kept], run: Run) -> Kept | None:
    """What a function that is computed `once` returned of the run; None where it has not been asked yet."""
    return _KEPT[function].get(run)


def probabilities(run: Run) -> np.ndarray:
    """Softmax of the logits, float32 (N, C)."""
    return block_probabilities(run, slice(None))


def block_probabilities(run: Run, rows: slice) -> np.ndarray:
    """`probabilities` of some rows; the highest score is subtracted first, so that float32 loses nothing."""
    scores = run.logits[rows].astype(np.float32)
    top = scores.max(axis=1)
    scores -= top[:, None]
    scores -= (log_normalizer(run)[rows] - top)[:, None].astype(np.float32)
    return np.exp(scores, out=scores)


def confidence(run: Run) -> np.ndarray:
    """The probability of the predicted class, float (N,)."""
    return np.exp(run.logits[np.arange(run.n_images), run.predictions] - log_normalizer(run))


def log_normalizer(run: Run) -> np.ndarray:
    """ln of the summed exponentials of each image's logits, float64 (N,).

    NaN, and with it every probability, where the run holds predicted classes without scores. In double precision;
    scipy's logsumexp, which also minds infinities, takes three times as long.
    """
    if not run.has_scores:
        return np.full(run.n_images, np.nan)
    remembered = known(per_image, run)
    return _log_normalizer(run) if remembered is None else remembered.log_normalizer


@once
def _log_normalizer(run: Run) -> np.ndarray:
    """Alone, for the pages that ask for nothing else: half the time of `per_image`."""
    normalizers, as_they_are = np.empty(run.n_images), _sum_to_one(run)
    for rows in run.blocks():
        _, sums, top = _exponentials(run.logits[rows].astype(np.float64))
        _, normalizers[rows] = _totals(as_they_are, sums, top)
    return normalizers


def superclass_fold(run: Run) -> csc_array:
    """1 for the superclass (column) of each class (row), float (C, S); sparse, as a class is of one alone."""
    ones = np.ones(run.n_classes), (np.arange(run.n_classes), run.superclass_of)
    return csc_array(ones, shape=(run.n_classes, len(run.superclass_names)))


@once
def per_image(run: Run) -> PerImage:
    """All that is asked of each image's scores, in one pass: of millions of scores, reading takes the most time."""
    n = run.n_images
    result = PerImage(np.empty(n), np.empty(n, np.intp), np.empty(n), np.full(n, -1, np.intp))
    folded = None if run.superclass_of is None else superclass_fold(run)
    as_they_are = _sum_to_one(run)
    for rows in run.blocks():
        scores, labels = run.logits[rows].astype(np.float64), run.labels[rows]
        true = np.arange(len(scores)), labels
        result.true_rank[rows] = _rank(scores, labels)
        scores, sums, top = _exponentials(scores)
        sums, result.log_normalizer[rows] = _totals(as_they_are, sums, top)
        scores /= sums[:, None]  # probabilities from here on
        if folded is not None:
            result.superclass[rows] = (scores @ folded).argmax(axis=1)
        scores[true] -= 1
        result.brier[rows] = np.einsum("ij,ij->i", scores, scores)
    return result


def _exponentials(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """e to the scores (n, C), overwritten, over each row's highest; their sums (n,) and those highest scores (n,)."""
    top = scores.max(axis=1)
    scores -= top[:, None]
    np.exp(scores, out=scores)
    return scores, scores.sum(axis=1), top


def _sum_to_one(run: Run) -> bool:
    """Whether a run's scores are log-probabilities, which are taken as they are: their sums are one but for rounding,
    and dividing by them would tell equal ones of two images apart. In older files all rows were shifted to a highest
    score of 0, and are divided.
    """
    if run.meta.get("scores") != LOG_PROBABILITIES:
        return False
    most_off = 0.0
    for rows in run.blocks():
        _, sums, top = _exponentials(run.logits[rows].astype(np.float64))
        if (top < 0).any():
            return True
        most_off = max(most_off, float(np.log(sums).max(initial=0)))
    return most_off < _MOST_OFF  # else not every image has a probability of 1


def _totals(as_they_are: bool, sums: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the exponentials over each row's highest are divided by, (n,), and its logarithm with that highest, (n,);
    nothing where the scores are to be taken `as_they_are` and the row allows it.
    """
    logarithms = np.log(sums) + top
    if not as_they_are:
        return sums, logarithms
    as_they_are = np.abs(logarithms) < _MOST_OFF
    return np.where(as_they_are, np.exp(-top), sums), np.where(as_they_are, 0.0, logarithms)


def _rank(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many of each row's scores (n, C) are higher than its label's; among equal ones the lower index counts so."""
    true = scores[np.arange(len(scores)), labels][:, None]
    rank, equal = (np.count_nonzero(mask, axis=1) for mask in (scores > true, scores == true))
    tied = np.flatnonzero(equal > 1)
    before = np.arange(scores.shape[1]) < labels[tied, None]
    rank[tied] += np.count_nonzero((scores[tied] == true[tied]) & before, axis=1)
    return rank


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, NaN where the denominator is zero."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
