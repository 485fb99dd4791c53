"""What could have been detected: the smallest difference in accuracy that 80% of such tests find significant.

And how many images, or seeds, a smaller one would take. Plans with the variances that these very runs show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import crossed, paired
from cifarcore.evidence.distributions import chi2_quantile, normal_quantile, normal_tail, student_quantile
from cifarcore.evidence.shares import ShareDifference, accuracy_difference
from cifarcore.runs.run import Run

POWER = 0.8
MOST_SEEDS = 1000  #: beyond which "no number of seeds" is said
_Z_ALPHA = float(normal_quantile(1 - paired.ALPHA / 2))
_QUANTILES = 4000


@dataclass(frozen=True)
class Detectable:
    """The smallest detectable difference, a share; NaN where there is none, which `why` explains."""

    difference: float
    share: ShareDifference
    why: str = ""


@dataclass(frozen=True)
class Needed:
    """How many images or seeds a wished difference takes; NaN where no number does, which `why` explains."""

    unit: Literal["images", "seeds of each model"]
    number: float
    why: str = ""


def detectable(runs: Sequence[Run], n_a: int, power: float = POWER) -> Detectable:
    """For `runs` on the same images, A's `n_a` first: by discordant images, or the variance of seeds and images."""
    share = accuracy_difference(runs, n_a)
    if share.one_each:
        discordant = share.only_a + share.only_b
        if not discordant > 0:
            why = share.why or "no image is correct under one model only, so that the share of such images is unknown"
            return Detectable(np.nan, share, why)
        smallest = smallest_paired(discordant, share.n, power)
        too_few = (
            "too few images are correct under one model only: even if all favoured one model, the test would not be "
            "significant"
        )
        return Detectable(smallest, share, too_few if np.isnan(smallest) else "")
    if not share.error > 0:
        return Detectable(np.nan, share, share.why)
    smallest = share.error * smallest_ratio(share.df, power)
    if smallest > 1:
        return Detectable(np.nan, share, "so few images and seeds do not even detect one of 100 points")
    return Detectable(smallest, share)


def needed(runs: Sequence[Run], n_a: int, wished: float, power: float = POWER) -> Needed:
    """What a difference of `wished` (a share) takes. Raises CifarcoreError where `wished` is not between 0 and 1.

    Images for one run on a side; seeds of each model, on these images, for several of both.
    """
    if not 0 < wished < 1:
        raise CifarcoreError(f"the difference to detect is {100 * wished:g} points; give one above 0 and below 100")
    share = accuracy_difference(runs, n_a)
    if share.one_each:
        discordant = share.only_a + share.only_b
        if not discordant > 0:
            return Needed("images", np.nan, share.why or "no image is correct under one model only")
        if wished > discordant:
            why = (
                f"only {discordant:.2%} of images are correct under one model only, so the difference cannot be larger"
            )
            return Needed("images", np.nan, why)
        return Needed("images", images_needed(discordant, wished, power))
    if not share.error > 0:
        return Needed("images", np.nan, share.why)
    if min(n_a, len(runs) - n_a) == 1:
        return _images_needed(runs, n_a, share, wished, power)
    return _seeds_needed(runs, n_a, share, wished, power)


def smallest_paired(discordant: float, n: int, power: float = POWER) -> float:
    """The smallest difference of paired proportions that McNemar's test detects; NaN where not even `discordant` is.

    `discordant` is the share of discordant pairs among `n`. Solves Connor's formula (Biometrics 43:207, 1987).
    """

    from scipy.optimize import brentq  # here, see `distributions`

    def lacking(difference: float) -> float:
        return _connor_error(discordant, difference, power) - difference * np.sqrt(n)

    return float(brentq(lacking, 0, discordant)) if lacking(discordant) <= 0 else np.nan


def images_needed(discordant: float, difference: float, power: float = POWER) -> float:
    """Pairs that McNemar's test needs for `difference`, at most `discordant`: Connor, Biometrics 43:207, 1987."""
    return float(np.ceil((_connor_error(discordant, difference, power) / difference) ** 2))


def smallest_ratio(df: float, power: float = POWER) -> float:
    """The difference over its standard error that Student's two-sided t-test at 5% detects with `power`."""
    from scipy.optimize import brentq  # here, see `distributions`

    if np.isinf(df):  # the chance of a significant difference in the wrong direction is below one in a million
        return float(_Z_ALPHA + normal_quantile(power))
    critical = student_quantile(1 - paired.ALPHA / 2, df)
    # the noncentral t as a mixture over its estimated errors; scipy's own is NaN where df is small
    errors = np.sqrt(chi2_quantile((np.arange(_QUANTILES) + 0.5) / _QUANTILES, df) / df)

    def lacking(ratio: float) -> float:
        detected = normal_tail(critical * errors - ratio) + normal_tail(critical * errors + ratio)
        return float(detected.mean()) - power

    return float(brentq(lacking, 0, 10 * critical))


def _connor_error(discordant: float, difference: float, power: float) -> float:
    spread = max(discordant - difference**2, 0)
    return _Z_ALPHA * np.sqrt(discordant) + float(normal_quantile(power)) * np.sqrt(spread)


def _seeds_needed(runs: Sequence[Run], n_a: int, share: ShareDifference, wished: float, power: float) -> Needed:
    """Seeds of each model, taken to vary alike; what the shared images bring does not shrink with more seeds."""
    covariance, images = _image_variance(runs, n_a, share)
    parts = (_off_diagonal(part) for part in (covariance[:n_a, :n_a], covariance[n_a:, n_a:]))
    shared = min(max(sum(parts) - 2 * float(covariance[:n_a, n_a:].mean()), 0), images)
    per_seed = 2 / (1 / n_a + 1 / (len(runs) - n_a))
    excess, noise = max(share.error**2 - images, 0) * per_seed, (images - shared) * per_seed

    def smallest(n: int) -> float:
        df = float(crossed.effective_df(shared + noise / n, excess / n, 2 * (n - 1)))
        return float(np.sqrt(shared + (noise + excess) / n)) * smallest_ratio(df, power)

    if smallest(2) <= wished:
        return Needed("seeds of each model", 2)
    if smallest(MOST_SEEDS) > wished:
        limit = np.sqrt(shared) * smallest_ratio(np.inf, power)
        why = f"with any number of seeds these {share.n:,} images can detect {100 * limit:.2f} points at best"
        return Needed("seeds of each model", np.nan, why)
    few, many = 2, MOST_SEEDS
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if smallest(middle) <= wished else (middle, many)
    return Needed("seeds of each model", many)


def _images_needed(runs: Sequence[Run], n_a: int, share: ShareDifference, wished: float, power: float) -> Needed:
    """Images where one model has one seed: their variance shrinks with their number, that of the seeds does not."""
    from scipy.optimize import brentq  # here, see `distributions`

    _, images = _image_variance(runs, n_a, share)
    seeds, df_seeds = max(share.error**2 - images, 0.0), len(runs) - 2

    def smallest(factor: float) -> float:
        variance = images / factor
        df = float(crossed.effective_df(variance, seeds, df_seeds))
        return float(np.sqrt(variance + seeds)) * smallest_ratio(df, power)

    limit = float(np.sqrt(seeds)) * smallest_ratio(df_seeds, power)
    if limit >= wished:
        why = f"these seeds can detect {100 * limit:.2f} points at best; more seeds of both models would help"
        return Needed("images", np.nan, why)
    factor = brentq(lambda log: smallest(np.exp(log)) - wished, -20, 40)
    return Needed("images", float(np.ceil(share.n * np.exp(factor))))


def _image_variance(runs: Sequence[Run], n_a: int, share: ShareDifference) -> tuple[np.ndarray, float]:
    """The covariance (R, R) of the runs' accuracies over images, and the variance of B - A that it makes."""
    holds, n_b = np.stack([run.correct for run in runs]), len(runs) - n_a
    covariance = crossed.image_covariance(holds / share.n, *crossed.strata(runs[0].labels))
    weights = np.r_[np.full(n_a, -1 / n_a), np.full(n_b, 1 / n_b)]
    return covariance, float(weights @ covariance @ weights)


def _off_diagonal(covariance: np.ndarray) -> float:
    """The mean covariance of two different runs."""
    n = len(covariance)
    return float((covariance.sum() - np.trace(covariance)) / (n * (n - 1)))
