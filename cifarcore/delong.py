"""Areas under ROC curves with the covariance of their errors: DeLong's placement values, fast, for any number of runs.

E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 1988; by sorting instead of all pairs, as X. Sun and
W. Xu, IEEE Signal Processing Letters 2014. Knows nothing of tests or of seeds: `crossed` draws conclusions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from cifarcore.metrics import class_scores, share_below
from cifarcore.paired import Z
from cifarcore.runs import Run


@dataclass(frozen=True)
class OneVsRest:
    """The one-vs-rest AUCs of R runs on the same N images of C classes; NaN for a class with no images, or with all."""

    auc: np.ndarray  #: float (R, C)
    covariance: np.ndarray  #: float (C, R, R), of the runs' AUCs of one class
    influence: np.ndarray  #: float (R, N): what each image adds to the macro-AUC, all else equal


def auc_covariance(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The AUC of each of R scores (R, n) of the same images, and the covariance of their errors (R, R)."""
    placed_positives, placed_negatives = _placements(scores, is_positive)
    return placed_positives.mean(axis=1), _delong(placed_positives, placed_negatives)


def auc_interval(auc: float, variance: float) -> tuple[float, float]:
    """95 % interval (low, high) of an AUC, on the logit scale so that it stays within 0..1; images vary, not seeds.

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
    for c, scores in enumerate(zip(*map(class_scores, runs), strict=True)):
        positive = labels == c
        if not positive.any() or positive.all():
            continue
        placed_positives, placed_negatives = _placements(np.stack(scores), positive)
        auc[:, c] = placed_positives.mean(axis=1)
        covariance[c] = _delong(placed_positives, placed_negatives)
        influence[:, positive] += placed_positives / placed_positives.shape[1]
        influence[:, ~positive] += placed_negatives / placed_negatives.shape[1]
    return OneVsRest(auc, covariance, influence / max(np.isfinite(auc[0]).sum(), 1))


def _placements(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each positive the share of negatives below it (R, n1), for each negative of positives above it (R, n0)."""
    positives, negatives = scores[:, is_positive], scores[:, ~is_positive]
    above = [share_below(n, p) for n, p in zip(negatives, positives, strict=True)]
    below = [1 - share_below(p, n) for n, p in zip(negatives, positives, strict=True)]
    return np.stack(above), np.stack(below)


def _delong(placed_positives: np.ndarray, placed_negatives: np.ndarray) -> np.ndarray:
    return sum(_covariance(placed) / placed.shape[1] for placed in (placed_positives, placed_negatives))


def _covariance(values: np.ndarray) -> np.ndarray:
    """Sample covariance (R, R) of R variables (R, n); NaN for a single observation, which tells nothing of spread."""
    n = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    return centred @ centred.T / (n - 1) if n > 1 else np.full((len(values),) * 2, np.nan)
