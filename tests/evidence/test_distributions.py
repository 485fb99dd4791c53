"""Distributions without scipy.stats are as it has them."""

import numpy as np
import pytest
from scipy import stats

from cifarcore.evidence import distributions

_RNG = np.random.default_rng(0)
P = np.r_[_RNG.uniform(1e-12, 1, 500), 0.025, 0.975, 0.975, 0.975, 1, np.nan, 0.5]
X = np.r_[_RNG.normal(0, 10, 500), -40, 40, np.inf, -np.inf, 0, np.nan, 1]
DF = np.r_[_RNG.exponential(20, 500), 1, 2, np.inf, 1e-3, 5, 5, np.nan]


@pytest.mark.parametrize(("ours", "theirs"), [
    (distributions.normal_quantile(P), stats.norm.ppf(P)),
    (distributions.normal_tail(X), stats.norm.sf(X)),
    (distributions.student_quantile(P, DF), stats.t.ppf(P, DF)),
    (distributions.student_tail(X, DF), stats.t.sf(X, DF)),
    (distributions.chi2_quantile(P, DF), stats.chi2.ppf(P, DF)),
])  # fmt: skip
def test_quantiles_and_tails(ours, theirs):
    np.testing.assert_array_equal(ours, theirs)


def test_a_fair_coin():
    n = np.r_[np.repeat(np.arange(60), 3), _RNG.integers(1, 50_000, 500)]
    k = np.r_[np.tile([0.0, 0.5, 1.0], 60), _RNG.random(500)] * n
    k = k.astype(int)
    np.testing.assert_allclose(distributions.fair_binomial(k, n), stats.binom.cdf(k, n, 0.5), rtol=2e-14)


def test_false_discoveries():
    for p in (_RNG.random(300) ** 3, np.round(_RNG.random(40), 1), np.array([0.0, 1.0, 1.0]), np.array([0.04])):
        np.testing.assert_array_equal(distributions.false_discovery_control(p), stats.false_discovery_control(p))
    for bad in (np.nan, -0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            distributions.false_discovery_control(np.array([0.5, bad]))
