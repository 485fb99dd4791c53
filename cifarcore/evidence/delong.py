"""Areas under ROC curves with the covariance of their errors: DeLong's placement values, fast, for any number of runs.

E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 1988; by sorting instead of all pairs, as X. Sun and
W. Xu, IEEE Signal Processing Letters 2014. Knows nothing of tests or of seeds: `crossed` draws conclusions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.special import expit, logit

from cifarcore.evidence.paired import Z
from cifarcore.evidence.roc_curves import class_scores, placements
from cifarcore.runs.run import Run
from cifarcore.threads import each

#: classes whose placements are held at once, of all runs: in turn the threads would wait for each other
AT_ONCE = 16


@dataclass(frozen=True)
class OneVsRest:
    """The one-vs-rest AUCs of R runs on the same N images of C classes; NaN for a class with no images, or with all,
    and for a run without scores.
    """

    auc: np.ndarray  #: float (R, C)
    covariance: np.ndarray  #: float (C, R, R), of the runs' AUCs of one class
    #: float (R, N): what each image adds to the macro-AUC, all else equal; NaN for the only image of its class, which
    #: tells nothing of how its images vary
    influence: np.ndarray


def auc_covariance(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The AUC of each of R scores (R, n) of the same images, and the covariance of their errors (R, R)."""
    above, below = _stacked(placements(of_run, is_positive) for of_run in scores)
    return above.mean(axis=1), _delong(above, below, int((~is_positive).sum()))


def auc_interval(auc: float, variance: float) -> tuple[float, float]:
    """95% interval (low, high) of an AUC, on the logit scale so that it stays within 0..1; images vary, not seeds.

    Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2. NaN for an AUC of 0 or 1, whose estimated
    variance is 0 however few images it comes from.
    """
    if not 0 < auc < 1 or np.isnan(variance):
        return float("nan"), float("nan")
    half = Z * np.sqrt(variance) / (auc * (1 - auc))
    return float(expit(logit(auc) - half)), float(expit(logit(auc) + half))


def one_vs_rest(runs: Sequence[Run]) -> OneVsRest:
    """The AUC of every class of runs whose rows are the same images.

    The macro-AUC's errors are kept by image: one image is a positive of its class and a negative of all others, and
    its placement values add up, so that the covariance between classes is counted.
    """
    n_runs, labels, n_classes = len(runs), runs[0].labels, runs[0].n_classes
    auc = np.full((n_runs, n_classes), np.nan)
    covariance = np.full((n_classes, n_runs, n_runs), np.nan)
    influence = np.zeros((n_runs, len(labels)))
    for c, above, below in _class_placements(runs):
        rows = np.flatnonzero(labels == c)
        n_others = len(labels) - len(rows)
        auc[:, c] = above.mean(axis=1)
        covariance[c] = _delong(above, below, n_others)
        # an image of another class adds the share of positives above it, 1 - below
        influence -= below / n_others
        influence += 1 / n_others
        influence[:, rows] += above / len(rows) - 1 / n_others if len(rows) > 1 else np.nan
    influence /= max(np.isfinite(auc[0]).sum(), 1)
    without = [not run.has_scores for run in runs]
    auc[without], influence[without] = np.nan, np.nan
    covariance[:, without], covariance[:, :, without] = np.nan, np.nan
    return OneVsRest(auc, covariance, influence)


def _class_placements(runs: Sequence[Run]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each class that some but not all images are of, with the placements of its scores; the runs side by side."""
    labels, of_runs = runs[0].labels, [class_scores(run) for run in runs]
    support = np.bincount(labels, minlength=runs[0].n_classes)
    defined = (support > 0) & (support < len(labels))

    def of_block(scores: Iterator[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        columns = list(islice(scores, len(block)))
        return [placements(columns[c - block[0]], labels == c) for c in block if defined[c]]

    for start in range(0, len(support), AT_ONCE):
        block = range(start, min(start + AT_ONCE, len(support)))
        of_classes = zip(*each(of_block, of_runs), strict=True)
        for c, of_class in zip(filter(defined.__getitem__, block), of_classes, strict=True):
            yield c, *_stacked(of_class)


def _stacked(of_runs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """roc_curves.placements of each of R runs: (R, n1) of the positives, (R, n) of the negatives."""
    above, below = zip(*of_runs, strict=True)
    return np.stack(above), np.stack(below)


def _delong(above: np.ndarray, below: np.ndarray, n_others: int) -> np.ndarray:
    """The covariance of R areas from their placements; `below` is 0 for the positives, which do not count in it."""
    return _covariance(above, above.shape[1]) / above.shape[1] + _covariance(below, n_others) / n_others


def _covariance(values: np.ndarray, n: int) -> np.ndarray:
    """Sample covariance (R, R) of R variables with `n` observations, and zeros besides; NaN for one, which tells
    nothing.
    """
    if n == 1:
        return np.full((len(values),) * 2, np.nan)
    mean = values.sum(axis=1) / n
    return (values @ values.T - n * np.outer(mean, mean)) / (n - 1)
