"""The difference of two models over several seeds: seeds and test images as crossed random effects.

Knows values, and the covariance of their errors over images; nothing of verdicts or tables.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import stdtridf

from cifarcore.evidence import calibration, metrics, moderation
from cifarcore.evidence.delong import OneVsRest
from cifarcore.evidence.distributions import chi2_quantile, student_quantile, student_tail
from cifarcore.evidence.paired import ALPHA, Z
from cifarcore.runs.run import Run

_ROUNDING = 1e-7  #: a standard error up to this, of values up to one, is what rounding leaves of none
FEW_IMAGES = 20  #: of fewer, a normal interval of a mean is too narrow by far


@dataclass(frozen=True)
class Difference:
    """B minus A with its 95% interval; arrays of one shape. `p` is two-sided, `df` infinite where images alone vary.

    Where nothing varies there is no interval, and a p-value (of 1) only where there is no difference either.
    """

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    df: np.ndarray


def method(df: float, several: bool = False) -> str:
    """How `difference` tests, by its degrees of freedom, in words; `several` seeds of a model, or one of each."""
    if np.isinf(df):
        return "z-test, images as random effects" + (" (seeds add no variance)" if several else "")
    digits = f"{df:.1f}" if df < 1000 else "over 1,000"
    return f"t-test, seeds and images as random effects, df {digits}"


def difference(
    values: np.ndarray, covariance: np.ndarray, n_a: int, rows_alike: moderation.Rows | None = None
) -> Difference:
    """Mean of B's runs minus mean of A's, tested against what other seeds and other images would give.

    `values` (..., R) holds A's `n_a` runs, then B's; `covariance` (..., R, R) is that of their errors over test images.

    Two margins of error in quadrature (Zou and Donner, Statistics in Medicine 27:1693, 2008): over images, as normal
    for the mean of these very runs, and over seeds, Student's t for what seeds vary beyond the noise of their images,
        max(s²_A - e²_A, 0) / n_A + max(s²_B - e²_B, 0) / n_B,
    s² the variance between a model's seeds, e² a seed's own noise of images (the mean variance of its seeds less their
    mean covariance), with the degrees of freedom of Welch; images bring at least that noise. That is the model of
    Obuchowski and Rockette (Commun. Stat. Simul. Comput. 1995) with readers nested in modalities (Hillis, Statistics in
    Medicine 33:330, 2014), runs being readers and images cases. `df` is that of the Student's t with the same 95%
    margin. Chosen by simulation, see `experiments/simulation.md`.

    A model of one seed is taken to vary between seeds as the other does; with one seed each only images are random.
    With `rows_alike` the variances between seeds of K rows are drawn towards each other (`moderation`).
    """
    a, b = values[..., :n_a], values[..., n_a:]
    n_b = b.shape[-1]
    weights = np.r_[np.full(n_a, -1 / n_a), np.full(n_b, 1 / n_b)]
    images = np.einsum("...ij,i,j->...", covariance, weights, weights)
    sides = [(a, covariance[..., :n_a, :n_a]), (b, covariance[..., n_a:, n_a:])]
    return of_two(b.mean(axis=-1) - a.mean(axis=-1), images, sides, rows_alike)


def of_two(
    gain: np.ndarray,
    images: np.ndarray,
    sides: list[tuple[np.ndarray, np.ndarray]],
    rows_alike: moderation.Rows | None = None,
) -> Difference:
    """As `difference`, of a number `gain` that two models have together, whose variance over images is `images`.

    `sides` are what each seed of A, and then of B, brings to it (..., n), with the covariance of these (..., n, n).
    """
    n_a, n_b = (of.shape[-1] for of, _ in sides)
    spreads = [_spread(of, part, rows_alike) for of, part in sides if of.shape[-1] > 1]
    if not spreads:
        return _tested(gain, images, np.zeros_like(images), np.inf)
    several = [n for n in (n_a, n_b) if n > 1]
    images = np.maximum(images, sum(spread.noise / n for spread, n in zip(spreads, several, strict=True)))
    seeds = sum(spread.beyond_images / n for spread, n in zip((spreads * 2)[:2], (n_a, n_b), strict=True))
    if len(spreads) == 1:
        return _tested(gain, images, seeds, spreads[0].df)
    parts = [(spread.variance / n, spread.df) for spread, n in zip(spreads, (n_a, n_b), strict=True)]
    return _tested(gain, images, seeds, _welch(parts))


def mean(values: np.ndarray, covariance: np.ndarray) -> Difference:
    """As `difference`, for the mean of one model's runs (..., R) against zero."""
    n = values.shape[-1]
    images = covariance.mean(axis=(-2, -1))
    if n == 1:
        return _tested(values[..., 0], images, np.zeros_like(images), np.inf)
    spread = _spread(values, covariance, None)
    return _tested(values.mean(axis=-1), np.maximum(images, spread.noise / n), spread.beyond_images / n, spread.df)


def seed_variance(values: np.ndarray, covariance: np.ndarray) -> float:
    """The variance between one model's seeds, values (n,), n > 1, beyond the noise of their own images; not below 0."""
    return float(_spread(values, covariance, None).beyond_images)


def seeds_vary(values: np.ndarray, covariance: np.ndarray) -> bool:
    """Whether one model's seeds, values (n,), n > 1, vary more than the noise of their images: chi-square, at 5%."""
    df, spread = len(values) - 1, _spread(values, covariance, None)
    return bool(df * spread.variance > chi2_quantile(1 - ALPHA, df) * spread.noise)


def strata(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group of each image (N,) within which images vary, and the groups' sizes: the classes.

    Classes with a single image, which tells nothing of its spread, are taken together; only one such class, with the
    smallest of the others.
    """
    _, stratum, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    together = sizes == 1
    if together.sum() == 1 and len(sizes) > 1:
        together[np.argmin(np.where(together, len(labels), sizes))] = True
    _, stratum, sizes = np.unique(np.where(together[stratum], -1, stratum), return_inverse=True, return_counts=True)
    return stratum, sizes


def image_covariance(influence: np.ndarray, stratum: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Covariance (R, R) of R runs' values over test sets of the same class counts.

    `influence` (R, n) is what each image adds to each run's value (`influences`), `stratum` (n,) the images' group and
    `sizes` the size of each group (`strata`); images that add nothing to any run may be left out. NaN for one image.
    """
    if sizes.sum() < 2:
        return np.full((len(influence),) * 2, np.nan)
    sums = np.stack([np.bincount(stratum, row, minlength=len(sizes)) for row in influence])
    weights = sizes / (sizes - 1)
    return influence * weights[stratum] @ influence.T - sums * (weights / sizes) @ sums.T


def influences(run: Run) -> dict[str, np.ndarray]:
    """For each metric of `metrics.headline` but AUC and calibration error, what each image adds to it, float (N,).

    Exact for means over images; for macro-F1 by the jackknife.
    """
    n = run.n_images
    if not run.has_scores:
        return _influences_of_classes(run)
    terms = {
        "accuracy": run.correct / n,
        "top5": (metrics.true_rank(run) < 5) / n,
        "macro_f1": macro_f1_influence(run),
        "brier": calibration.brier_terms(run) / n,
        "log_loss": calibration.log_loss_terms(run) / n,
    }
    superclass_correct = metrics.superclass_correct(run)
    return terms if superclass_correct is None else terms | {"superclass_accuracy": superclass_correct / n}


def _influences_of_classes(run: Run) -> dict[str, np.ndarray]:
    """`influences` of a run of predicted classes alone; NaN for what needs scores."""
    terms = dict.fromkeys(("top5", "brier", "log_loss"), np.full(run.n_images, np.nan))
    terms |= {"accuracy": run.correct / run.n_images, "macro_f1": macro_f1_influence(run)}
    superclass_correct = metrics.superclass_correct(run)
    return terms if superclass_correct is None else terms | {"superclass_accuracy": superclass_correct / run.n_images}


def macro_f1_influence(run: Run, classes: np.ndarray | None = None) -> np.ndarray:
    """What each image adds to `metrics.macro_f1`, float (N,), by leaving it out; NaN for the only image of its class.

    The others of its class then weigh as much more, so that the classes keep their sizes: the jackknife within strata,
    whose variance is on average not too small (Efron and Stein, Ann. Statist. 1981), which that of the derivative is
    where classes have two or three images. A class without images is not averaged over.
    """
    hits, support, predicted = (counts.astype(float) for counts in metrics.class_counts(run))
    f1 = np.nan_to_num(metrics.f1_scores(hits, support, predicted))
    averaged = support > 0
    if classes is not None:
        averaged &= np.isin(np.arange(run.n_classes), classes)
    cells, cell_of_image, counts = np.unique(
        run.labels.astype(np.int64) * run.n_classes + run.predictions, return_inverse=True, return_counts=True
    )
    true, given = np.divmod(cells, run.n_classes)
    added = np.full(len(cells), np.nan)
    for c in np.unique(true):
        row, n = slice(*np.searchsorted(true, [c, c + 1])), support[c]
        if n > 1:
            to = given[row]
            without = (counts[row] - np.eye(len(to))) * n / (n - 1)  # the class's predictions, one left out
            kept = np.where(to == c, without, hits[to])
            changed = np.nan_to_num(metrics.f1_scores(kept, support[to], predicted[to] - counts[row] + without))
            added[row] = (n - 1) / n * (f1[to] - changed) @ averaged[to]
    return added[cell_of_image.ravel()] / (np.count_nonzero(averaged) or np.nan)


def f1_influence(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """By class (C,): what a right image adds to its class's F1, and what any image adds to its predicted class's."""
    hits, support, predicted = metrics.class_counts(run)
    total = np.maximum(support + predicted, 1)
    f1 = 2 * hits / total
    return 2 / total, -f1 / total


def macro_auc_values(areas: OneVsRest) -> np.ndarray:
    """Macro-AUC of each run (R,): the mean over the classes where it is defined."""
    defined = np.isfinite(areas.auc).any(axis=0)
    return areas.auc[:, defined].mean(axis=1) if defined.any() else np.full(len(areas.auc), np.nan)


class _Spread(NamedTuple):
    """How a model's seeds vary."""

    variance: np.ndarray  #: between seeds
    noise: np.ndarray  #: of one seed, what its own images bring and the other seeds do not share
    beyond_images: np.ndarray  #: of the variance, what the noise of each seed's own images does not bring
    df: np.ndarray  #: its degrees of freedom


def _spread(values: np.ndarray, covariance: np.ndarray, rows_alike: moderation.Rows | None) -> _Spread:
    """Of one model's seeds, values (..., n), n > 1."""
    n = values.shape[-1]
    of_one = np.einsum("...ii->...", covariance) / n
    noise = np.maximum(of_one - (covariance.sum(axis=(-2, -1)) - n * of_one) / (n * (n - 1)), 0)
    variance, df = values.var(axis=-1, ddof=1), np.full(values.shape[:-1], n - 1.0)
    if rows_alike is not None:
        rows, scale = rows_alike.unit > 0, rows_alike.unit
        units = variance[rows] / scale[rows]
        units, df[rows] = moderation.moderated(
            units, n - 1, moderation.prior(units, n - 1, rows_alike.smallest[rows] / scale[rows])
        )
        variance[rows] = units * scale[rows]
    return _Spread(variance, noise, np.maximum(variance - noise, 0), df)


def _welch(parts: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Degrees of freedom of a sum of variances with their own (Welch, Biometrika 1938); at least the fewest."""
    with np.errstate(invalid="ignore", divide="ignore"):
        df = sum(part for part, _ in parts) ** 2 / sum(part**2 / df for part, df in parts)
    return np.where(np.isnan(df), np.minimum(*(fewest for _, fewest in parts)), df)


def _tested(gain: np.ndarray, images: np.ndarray, seeds: np.ndarray, df_seeds: np.ndarray | float) -> Difference:
    """Interval and test of `gain`, whose variance is that of `images`, known, and that of `seeds`, with `df_seeds`."""
    images = np.maximum(images, 0)
    df, error = effective_df(images, seeds, df_seeds), np.sqrt(images + seeds)
    known, rounding = np.isfinite(error), _ROUNDING * np.maximum(np.abs(gain), 1)
    error = np.where(error > rounding, error, np.nan)
    half = student_quantile(1 - ALPHA / 2, df) * error
    p = 2 * student_tail(np.abs(gain) / error, df)
    p = np.where(np.isnan(error) & known & (np.abs(gain) <= rounding), 1.0, p)
    return Difference(gain, gain - half, gain + half, p, df)


def effective_df(images: np.ndarray, seeds: np.ndarray, df_seeds: np.ndarray | float) -> np.ndarray:
    """Degrees of freedom of the Student's t whose 95% margin is that of both variances in quadrature."""
    images, seeds = np.asarray(images, float), np.asarray(seeds, float)
    quantile = student_quantile(1 - ALPHA / 2, df_seeds)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt((images * Z**2 + seeds * quantile**2) / (images + seeds))
        return np.where(ratio > Z * (1 + 1e-7), stdtridf(1 - ALPHA / 2, ratio), np.inf)
