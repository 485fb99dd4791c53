"""Whether float16, in which a run file keeps scores, tells them apart as the scores themselves do."""

import numpy as np

#: it does not where of more than this share of images some of the foremost scores differ, but not as float16
MANY, FOREMOST = 0.05, 6
#: nor where the standard deviation of an image's log-probabilities is below this one in the median
FLAT = 0.5
#: nor where rounding moves the images of a class by more than this share of the standard deviation between them, as
#: where a prior, far larger than what the images tell, lies beneath; some images show it
COARSE, SOME = 0.01, 2000


def merges(scores: np.ndarray, rounded: np.ndarray) -> bool:
    """Whether log-probabilities (N, C) are too close to each other, image by image, for what they are `rounded` to."""
    with np.errstate(invalid="ignore"):  # what float16 cannot hold is infinite there
        merged = (_different(scores) > _different(rounded)).mean()
    highest = scores.max(axis=1)  # of a sure model near 0, where float16 has steps that are large beside it
    moved = np.abs(rounded.max(axis=1) - highest) > COARSE * np.abs(highest)
    return bool(max(merged, moved.mean()) > MANY or np.median(scores.std(axis=1)) < FLAT)


def saturates(given: np.ndarray) -> bool:
    """Whether probabilities (N, C) in double precision are so sure of many images that in single precision what is left
    of 1 is lost, by which these are ranked.
    """
    if given.dtype.kind != "f" or given.dtype.itemsize <= 4 or given.min() < 0 or given.max() > 1 + 1e-9:
        return False
    highest = given.max(axis=1)
    left, kept = 1 - highest, 1 - highest.astype(np.float32).astype(np.float64)
    return bool(((left > 0) & (np.abs(left - kept) > COARSE * left)).mean() > MANY)


def blurs(scores: np.ndarray) -> bool:
    """Whether float16 is too coarse for some class's scores, logits or log-probabilities (N, C), from image to image:
    its AUC would be another.
    """
    some = scores[:: -(-len(scores) // SOME)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # saving refuses what float16 cannot hold
        moved = (some.astype(np.float16) - some).std(axis=0)
    some -= some.max(axis=1, keepdims=True)
    some -= np.log(np.exp(some).sum(axis=1, keepdims=True))
    return bool((moved > COARSE * some.std(axis=0)).any())


def _different(scores: np.ndarray) -> np.ndarray:
    """How many of the FOREMOST scores of each image differ from the next higher, int (N,)."""
    most = min(FOREMOST, scores.shape[1])
    foremost = np.sort(np.partition(scores, scores.shape[1] - most, axis=1)[:, -most:], axis=1)
    return np.count_nonzero(np.diff(foremost, axis=1), axis=1)
