"""Moderated variances against the likelihood of scaled F variances, and against what repeating gives."""

import numpy as np
import pytest
from scipy import optimize, special, stats

from cifarcore.evidence import claims, moderation, paired


def drawn(rows, df, df_prior, variance, seed=0):
    """Variances of rows whose true ones scatter as a scaled inverse chi-square around `variance`."""
    rng = np.random.default_rng(seed)
    true = np.full(rows, variance)
    if np.isfinite(df_prior):
        true = df_prior * variance / rng.chisquare(df_prior, rows)
    return true, true * rng.chisquare(df, rows) / df


@pytest.mark.parametrize(("df", "df_prior"), [(1, 4.0), (2, 6.0), (4, 15.0)])
def test_the_prior_is_the_true_one_and_near_maximum_likelihood(df, df_prior):
    """Variances over the prior's are F distributed with (df, df_prior) degrees of freedom."""
    _, variances = drawn(40_000, df, df_prior, 2.5)
    found = moderation.prior(variances, df)
    assert found.variance == pytest.approx(2.5, rel=0.05) and found.df == pytest.approx(df_prior, rel=0.15)

    def unlikely(logs):
        scale, own = np.exp(logs)
        return -(stats.f.logpdf(variances / scale, df, own) - np.log(scale)).mean()

    best = np.exp(optimize.minimize(unlikely, np.log([1.0, 5.0]), method="Nelder-Mead").x)
    assert (found.variance, found.df) == pytest.approx(best, rel=0.12)


def test_the_prior_solves_the_moments_of_the_logarithms():
    """By bisection, with the mean and the variance of a log F variable written out."""
    _, variances = drawn(300, 2, 4.0, 0.3, seed=1)
    spread = np.var(np.log(variances), ddof=1)
    df = optimize.brentq(lambda d: special.polygamma(1, 1.0) + special.polygamma(1, d / 2) - spread, 0.1, 1e6)
    mean = special.digamma(1.0) - np.log(1.0) - special.digamma(df / 2) + np.log(df / 2)
    expected = np.exp(np.log(variances).mean() - mean)
    assert moderation.prior(variances, 2) == pytest.approx((expected, df))


def test_rows_that_agree_have_one_variance():
    variances = np.linspace(0.9, 1.1, 30)
    found = moderation.prior(variances, 2)
    assert found.variance == pytest.approx(1.0) and np.isinf(found.df)
    pooled, df = moderation.moderated(variances, 2, found)
    assert pooled == pytest.approx(np.ones(30)) and df == 60


def test_moderated_variances_weigh_rows_and_prior_by_their_degrees_of_freedom():
    variances = np.array([0.0, 1.0, 9.0])
    found, df = moderation.moderated(variances, 2, moderation.Prior(1.0, 6.0))
    assert found == pytest.approx([0.75, 1.0, 3.0]) and df == 6  # not more than of all rows together
    assert moderation.moderated(np.ones(5), 2, moderation.Prior(1.0, 6.0))[1] == 8


def test_too_few_rows_or_too_many_zeros_stand_for_themselves():
    few = np.arange(1.0, moderation.MIN_ROWS)
    zeros = np.r_[np.zeros(8), np.ones(7)]
    for variances in (few, zeros, np.array([])):
        common = moderation.prior(variances, 2)
        assert common == (0, 0)
        same, df = moderation.moderated(variances, 2, common)
        assert np.array_equal(same, variances) and df == 2


def test_small_variances_are_lifted():
    variances = np.r_[np.zeros(3), np.geomspace(0.3, 900, 17)]
    lifted = np.r_[np.full(3, 0.2), np.geomspace(0.3, 900, 17)]
    assert np.isfinite(moderation.prior(lifted, 1).df)
    assert moderation.prior(variances, 1, 0.2) == moderation.prior(lifted, 1)
    assert moderation.prior(variances, 1, np.full(20, 0.2)) == moderation.prior(lifted, 1)
    median = np.median(variances)
    lifted[:3] = 1e-5 * median
    assert moderation.prior(variances, 1) == moderation.prior(lifted, 1)


@pytest.mark.parametrize("value", [1e8, 1000.0, 1.6449, 0.3, 1e-3, 1e-7])
def test_trigamma_inverse(value):
    assert special.polygamma(1, moderation._trigamma_inverse(value)) == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("n", [20, 100, 500])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_mid_p_mcnemar_holds_its_level(n, alpha):
    """By summing over all outcomes: at most a hundredth above the level, where the exact test stays far below."""
    levels = {True: [], False: []}
    for share in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        level = dict.fromkeys(levels, 0.0)
        for discordant in range(1, n + 1):
            likely = stats.binom.pmf(discordant, n, share)
            if likely < 1e-10:
                continue
            only_a = np.arange(discordant + 1)
            of_outcome = stats.binom.pmf(only_a, discordant, 0.5)
            for mid, test in ((True, paired.mcnemar_mid_p), (False, paired.mcnemar_p)):
                level[mid] += likely * of_outcome[test(only_a, discordant - only_a) <= alpha].sum()
        for mid in levels:
            levels[mid].append(level[mid])
    assert max(levels[False]) < max(levels[True]) <= 1.01 * alpha


def test_two_seeds_claim_what_one_seed_would():
    """Recall of 100 classes, 30 of which differ by 15 points: pooling gives two seeds more power than one, no less."""
    rng = np.random.default_rng(0)
    shift = np.r_[np.full(30, 0.15), np.zeros(70)]

    def indicators(shift):
        image = rng.standard_normal((1, 100))
        latent = 0.7 * image + 0.7 * rng.standard_normal((4, 100)) + 0.05 * rng.standard_normal((4, 1))
        return latent < stats.norm.ppf(0.6 + shift * np.array([0, 0, 1, 1]))[:, None]

    rows = [indicators(each) for each in shift]
    two = claims.rate_claims(rows, 4, 2, ("more", "fewer"))["claim"] == "more"
    one = claims.rate_claims([row[[0, 2]] for row in rows], 2, 1, ("more", "fewer"))["claim"] == "more"
    assert two[:30].sum() > one[:30].sum() >= 5 and two[30:].sum() <= 2
