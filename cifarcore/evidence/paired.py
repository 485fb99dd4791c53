"""Two classifiers on the same images: exact tests, intervals of proportions, false discoveries.

Works on counts and predictions; knows nothing of run files, of several seeds, or of how a result is worded.
"""

import numpy as np

from cifarcore.evidence.distributions import fair_binomial, false_discovery_control, normal_quantile

ALPHA = 0.05  #: tests are made at 5%, intervals at 95%, false discoveries kept to 5%
Z = float(normal_quantile(1 - ALPHA / 2))
#: with fewer discordant images than this, the exact McNemar test cannot reach 5% (2 x 0.5^5 = 0.0625)
MIN_DISCORDANT = 6


def mcnemar_p(only_a: np.ndarray, only_b: np.ndarray) -> np.ndarray:
    """Exact two-sided McNemar test: p-values of the discordant counts, any shape; 1 where there are none.

    Under equal accuracy each discordant image is as likely to be A's as B's, so the smaller count is binomial(n, 1/2).
    McNemar, Psychometrika 1947; equal to scipy's binomtest and statsmodels' mcnemar(exact=True).
    """
    only_a, only_b = np.asarray(only_a), np.asarray(only_b)
    return np.minimum(2 * fair_binomial(np.minimum(only_a, only_b), only_a + only_b), 1.0)


def mcnemar_mid_p(only_a: np.ndarray, only_b: np.ndarray) -> np.ndarray:
    """Mid-p McNemar test: as `mcnemar_p`, the counts observed counted half; less conservative where they are few.

    Fagerland, Lydersen and Laake, BMC Med. Res. Methodol. 13:91, 2013. Its level is at most 1.01 times the nominal one
    for 20 to 500 images, by summing over all outcomes (the tests do so again).
    """
    from scipy.stats import binom  # here, see `distributions`

    only_a, only_b = np.asarray(only_a), np.asarray(only_b)
    fewer, n = np.minimum(only_a, only_b), only_a + only_b
    return np.minimum(2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5), 1.0)


def wilson_interval(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95% score interval (low, high) of a proportion, any shape; NaN where n is 0. Wilson, JASA 1927."""
    successes, n = np.asarray(successes, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def q_values(p: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (n,) within the boolean mask `family` (n,); NaN outside it.

    Claiming where q <= 0.05 keeps the expected share of false claims to 5%: Benjamini and Hochberg, JRSS B 1995.
    """
    q = np.full(len(p), np.nan)
    if family.any():
        q[family] = false_discovery_control(p[family])
    return q
