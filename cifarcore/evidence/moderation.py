"""Variances of many rows with few degrees of freedom each, drawn towards what the rows have in common.

G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3(1):3, 2004 (limma's moderated t): variances are scaled chi-squares, whose
true values scatter as a scaled inverse chi-square. Knows variances alone.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import digamma, polygamma

MIN_ROWS = 10  #: fewer rows say too little of what they have in common
_STEPS = 50  # Newton's, of which few are needed


class Rows(NamedTuple):
    """Rows whose variances are alike once each is measured in its own unit."""

    unit: np.ndarray  #: (K,), such as p (1 - p) / n of a share; 0 for a row that stands for itself
    smallest: np.ndarray  #: (K,): what a variance is lifted to where values are equal because they are rounded


class Prior(NamedTuple):
    """What rows have in common: a variance, and the degrees of freedom it is worth; infinite where all agree."""

    variance: float
    df: float


def prior(variances: np.ndarray, df: int, smallest: np.ndarray | float = 0.0) -> Prior:
    """The prior of variances (K,), each with `df` degrees of freedom, by the moments of their logarithms.

    Variances below `smallest` are lifted to it, such as those of counts that happen to be equal, and zeros to 1e-5 of
    the median, as limma does. No prior (0 degrees of freedom) for fewer than MIN_ROWS rows, or where half of them are
    zero.
    """
    median = float(np.median(variances)) if len(variances) else 0.0
    if len(variances) < MIN_ROWS or not median > 0:
        return Prior(0.0, 0.0)
    logs = np.log(np.maximum(variances, np.maximum(smallest, 1e-5 * median))) - digamma(df / 2) + np.log(df / 2)
    excess = float(logs.var(ddof=1)) - float(polygamma(1, df / 2))
    if excess <= 0:
        return Prior(float(variances.mean()), np.inf)
    df_prior = 2 * _trigamma_inverse(excess)
    return Prior(float(np.exp(logs.mean() + digamma(df_prior / 2) - np.log(df_prior / 2))), df_prior)


def moderated(variances: np.ndarray, df: int, common: Prior) -> tuple[np.ndarray, float]:
    """Variances (K,) drawn towards the prior, and their degrees of freedom, at most those of all rows together."""
    if common.df == 0:
        return variances, float(df)
    if np.isinf(common.df):
        return np.full_like(variances, common.variance), float(df * len(variances))
    drawn = (common.df * common.variance + df * variances) / (common.df + df)
    return drawn, min(common.df + df, float(df * len(variances)))


def _trigamma_inverse(value: float) -> float:
    """The x > 0 whose trigamma function is `value` > 0: Newton's method on its reciprocal, which is nearly straight."""
    if value > 1e7:
        return float(1 / np.sqrt(value))
    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(_STEPS):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if -step / x < 1e-8:
            break
    return x
