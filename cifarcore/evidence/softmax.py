"""What every number of one run is made of: its probabilities, kept for as long as the run lives."""

from collections.abc import Callable
from functools import wraps
from weakref import WeakKeyDictionary

import numpy as np

from cifarcore.runs.run import Run


def once(function: Callable[[Run], np.ndarray | None]) -> Callable[[Run], np.ndarray | None]:
    """Keep what a function of a run returns, one number an image or class, for as long as the run lives; read-only.

    Beside `runs.memo`: these small arrays are asked for again within one computation, also of runs made for a moment
    (samples, simulations), which a cache of results for all sessions would hold on to.
    """
    known: WeakKeyDictionary[Run, np.ndarray | None] = WeakKeyDictionary()

    @wraps(function)
    def remembered(run: Run) -> np.ndarray | None:
        if run not in known:
            values = function(run)
            if values is not None:
                values.flags.writeable = False
            known[run] = values
        return known[run]

    return remembered


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


@once
def log_normalizer(run: Run) -> np.ndarray:
    """ln of the summed exponentials of each image's logits, float64 (N,).

    NaN, and with it every probability, where the run holds predicted classes without scores.
    """
    normalizer = np.full(run.n_images, np.nan)
    if not run.has_scores:
        return normalizer
    for rows in run.blocks():  # scipy's logsumexp, which also minds infinities, takes three times as long
        scores = run.logits[rows].astype(np.float64)
        top = scores.max(axis=1)
        scores -= top[:, None]
        normalizer[rows] = np.log(np.exp(scores, out=scores).sum(axis=1)) + top
    return normalizer


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, NaN where the denominator is zero."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
