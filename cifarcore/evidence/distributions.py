"""Quantiles and tails of distributions from scipy.special, since scipy.stats takes most of a second to import.

Arguments stand as scipy.stats has them, of any shapes that broadcast; what only some pages need asks it, when they do.
"""

import numpy as np
from scipy.special import betainc, gammaincinv, ndtr, ndtri, stdtr, stdtrit


def normal_quantile(p: np.ndarray | float) -> np.ndarray:
    """norm.ppf."""
    return ndtri(p)


def normal_tail(x: np.ndarray | float) -> np.ndarray:
    """norm.sf: the probability of more than x."""
    return ndtr(-np.asarray(x))


def student_quantile(p: np.ndarray | float, df: np.ndarray | float) -> np.ndarray:
    """t.ppf for p > 0; `df` may be infinite."""
    return stdtrit(df, p)


def student_tail(x: np.ndarray | float, df: np.ndarray | float) -> np.ndarray:
    """t.sf: the probability of more than x; `df` may be infinite."""
    return stdtr(df, -np.asarray(x))


def chi2_quantile(p: np.ndarray | float, df: np.ndarray | float) -> np.ndarray:
    """chi2.ppf."""
    return 2 * gammaincinv(np.asarray(df) / 2, p)


def fair_binomial(k: np.ndarray | int, n: np.ndarray | int) -> np.ndarray:
    """binom.cdf(k, n, 1/2): the probability of at most k heads, 0 <= k <= n, in n throws of a fair coin."""
    k, n = np.asarray(k, float), np.asarray(n, float)
    with np.errstate(invalid="ignore"):
        return np.where(k < n, betainc(n - k, k + 1, 0.5), 1.0)


def false_discovery_control(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (n,), as scipy.stats.false_discovery_control."""
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values are between 0 and 1")
    falling = np.argsort(p)[::-1]
    adjusted = np.empty(len(p))
    adjusted[falling] = np.minimum.accumulate(p[falling] * (len(p) / np.arange(len(p), 0, -1)))
    return np.minimum(adjusted, 1.0)
