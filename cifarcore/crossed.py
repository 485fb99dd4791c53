"""The difference of two models over several seeds: seeds and test images as crossed random effects.

Knows values, and the covariance of their errors over images; nothing of verdicts or tables.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from cifarcore import metrics
from cifarcore.delong import OneVsRest
from cifarcore.paired import ALPHA
from cifarcore.runs import Run


@dataclass(frozen=True)
class Difference:
    """B minus A with its 95 % interval; arrays of one shape. `p` is two-sided, `df` infinite where only images vary."""

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    df: np.ndarray


def difference(values: np.ndarray, covariance: np.ndarray, n_a: int) -> Difference:
    """Mean of B's runs minus mean of A's, tested against what other seeds and other images would give.

    `values` (..., R) holds A's `n_a` runs, then B's; `covariance` (..., R, R) is that of their errors over test images.

    With two seeds or more on each side, the variance is
        s²_A / n_A + s²_B / n_B + max(cov_AA + cov_BB - 2 cov_AB, 0),
    s² the variance between a model's seeds, cov_AA the mean covariance of two different seeds of A, cov_AB of a seed of
    A with one of B: what the images that all runs share bring, each seed's own noise being in s² already. That is the
    model of Obuchowski and Rockette (Commun. Stat. Simul. Comput. 1995) for cases read by other readers in each
    modality, runs being readers and images cases. As a seed cannot vary less than the noise of its own images, s² is
    taken to be at least that. Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 1946; Hillis,
    Statistics in Medicine 2007). With one seed on a side only the images are random: a normal test of these very runs.
    """
    a, b = values[..., :n_a], values[..., n_a:]
    n_b = b.shape[-1]
    found = b.mean(axis=-1) - a.mean(axis=-1)
    if min(n_a, n_b) == 1:
        weights = np.r_[np.full(n_a, -1 / n_a), np.full(n_b, 1 / n_b)]
        return _tested(found, np.einsum("...ij,i,j->...", covariance, weights, weights), [])
    seeds_a, shared_a = _seeds_and_shared(a, covariance[..., :n_a, :n_a])
    seeds_b, shared_b = _seeds_and_shared(b, covariance[..., n_a:, n_a:])
    shared = shared_a + shared_b - 2 * covariance[..., :n_a, n_a:].mean(axis=(-2, -1))
    return _tested(found, seeds_a + seeds_b + np.maximum(shared, 0), [(seeds_a, n_a - 1), (seeds_b, n_b - 1)])


def mean(values: np.ndarray, covariance: np.ndarray) -> Difference:
    """As `difference`, for the mean of one model's runs (..., R) against zero."""
    n = values.shape[-1]
    if n == 1:
        return _tested(values[..., 0], covariance[..., 0, 0], [])
    seeds, shared = _seeds_and_shared(values, covariance)
    return _tested(values.mean(axis=-1), seeds + np.maximum(shared, 0), [(seeds, n - 1)])


def strata(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group of each image (N,) within which images vary, and the groups' sizes: the classes.

    Classes with a single image, which tells nothing of its spread, are taken together.
    """
    _, stratum, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _, stratum, sizes = np.unique(np.where(sizes[stratum] == 1, -1, stratum), return_inverse=True, return_counts=True)
    return stratum, sizes


def image_covariance(influence: np.ndarray, stratum: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Covariance (R, R) of R runs' values over test sets of the same class counts.

    `influence` (R, n) is what each image adds to each run's value (`influences`), `stratum` (n,) the images' group and
    `sizes` the size of each group (`strata`); images that add nothing to any run may be left out.
    """
    sums = np.stack([np.bincount(stratum, row, minlength=len(sizes)) for row in influence])
    weights = sizes / np.maximum(sizes - 1, 1)
    return influence * weights[stratum] @ influence.T - sums * (weights / sizes) @ sums.T


def influences(run: Run) -> dict[str, np.ndarray]:
    """For each metric of `metrics.headline` but the AUC, what each image adds to it, float (N,).

    Exact for means over images; for macro-F1 and the calibration error the first-order term (infinitesimal jackknife:
    Jaeckel, Bell Laboratories 1972; Efron and Tibshirani, 1993, chapter 22), the signs of a bin's gap held fixed.
    """
    n = run.n_images
    sure = metrics.confidence(run)
    gap, bins = run.correct - sure, metrics.confidence_bin(sure)
    sign = np.sign(np.bincount(bins, gap, minlength=metrics.ECE_BINS))
    found = {
        "accuracy": run.correct / n,
        "top5": (metrics.true_rank(run) < 5) / n,
        "macro_f1": macro_f1_influence(run),
        "ece": sign[bins] * gap / n,
        "brier": metrics.brier_terms(run) / n,
        "log_loss": metrics.log_loss_terms(run) / n,
    }
    superclass_correct = metrics.superclass_correct(run)
    return found if superclass_correct is None else found | {"superclass_accuracy": superclass_correct / n}


def macro_f1_influence(run: Run) -> np.ndarray:
    """The derivative of macro-F1 by the weight of each image, float (N,), class counts held fixed."""
    in_truth, in_prediction = f1_influence(run)
    counted = np.isin(np.arange(run.n_classes), np.union1d(run.labels, run.predictions)).sum()
    return (in_truth[run.labels] * run.correct + in_prediction[run.predictions]) / counted


def f1_influence(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """By class (C,): what a right image adds to its class's F1, and what any image adds to its predicted class's."""
    table = metrics.confusion(run)
    total = np.maximum(table.sum(axis=1) + table.sum(axis=0), 1)
    f1 = 2 * table.diagonal() / total
    return 2 / total, -f1 / total


def macro_auc_values(areas: OneVsRest) -> np.ndarray:
    """Macro-AUC of each run (R,): the mean over the classes where it is defined."""
    defined = np.isfinite(areas.auc[0])
    return areas.auc[:, defined].mean(axis=1) if defined.any() else np.full(len(areas.auc), np.nan)


def _seeds_and_shared(values: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance that seeds bring to the mean of values (..., n), n > 1, and that which the shared images bring."""
    n = values.shape[-1]
    own = np.einsum("...ii->...", covariance) / n
    shared = (covariance.sum(axis=(-2, -1)) - n * own) / (n * (n - 1))
    return np.maximum(values.var(axis=-1, ddof=1), own - shared) / n, shared


def _tested(found: np.ndarray, variance: np.ndarray, estimated: list[tuple[np.ndarray, int]]) -> Difference:
    """Interval and test of `found`; `estimated` are the parts of its variance that few seeds gave, with their df."""
    with np.errstate(invalid="ignore", divide="ignore"):
        df = (
            variance**2 / sum(part**2 / freedom for part, freedom in estimated)
            if estimated
            else np.full(np.shape(found), np.inf)
        )
    df = np.where(np.isnan(df), np.inf, df)
    error = np.sqrt(np.maximum(variance, 0))
    half = student.ppf(1 - ALPHA / 2, df) * error
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * student.sf(np.abs(found) / error, df)
    p = np.where((found == 0) & (error == 0), 1.0, p)
    return Difference(found, found - half, found + half, p, df)
