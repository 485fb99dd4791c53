"""Tango's score interval, non-inferiority and power against brute force, exact sums, statsmodels and simulation."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats
from scipy.optimize import brentq, minimize_scalar
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.power import TTestPower

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison, crossed, equivalence, power, shares

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.66)
SEEDS = [made_run(accuracy=0.6, seed=s) for s in range(3)] + [
    made_run(model="resnet18", accuracy=0.64, seed=s) for s in range(3)
]


def brute_score(only_a, only_b, n, difference):
    """The likelihood of the three cells maximised by search, with the difference of the discordant shares held."""

    def loss(q):
        cells = (q + difference, q, 1 - 2 * q - difference)
        counts = (only_b, only_a, n - only_a - only_b)
        return -sum(k * np.log(max(c, 1e-300)) for k, c in zip(counts, cells, strict=True) if k)

    low, high = max(0, -difference), (1 - difference) / 2
    q = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    return (only_b - only_a - n * difference) / np.sqrt(n * (2 * q + difference * (1 - difference)))


@pytest.mark.parametrize(("only_a", "only_b", "n"), [(3, 14, 50), (86, 150, 1600), (0, 5, 30), (7, 7, 20), (5, 0, 12)])
def test_tango_is_the_score_test_of_a_searched_likelihood(only_a, only_b, n):
    for difference in (-0.3, -0.05, 0.02, 0.25):
        expected = brute_score(only_a, only_b, n, difference)
        assert shares.tango_score(only_a, only_b, n, difference) == pytest.approx(expected, abs=2e-4)
    low, high = shares.tango_interval(only_a, only_b, n)
    estimate = (only_b - only_a) / n
    for end, target, bracket in ((low, 1.959964, (-0.999, estimate)), (high, -1.959964, (estimate, 0.999))):
        found = brentq(lambda d, target=target: brute_score(only_a, only_b, n, d) - target, *bracket)
        assert end == pytest.approx(found, abs=1e-4)


def test_tango_at_zero_is_mcnemars_statistic_and_nothing_discordant_has_a_width():
    found = shares.tango_score(3, 14, 50, 0.0)
    assert found**2 == pytest.approx(mcnemar([[9, 3], [14, 24]], exact=False, correction=False).statistic)
    z2 = shares.Z**2
    np.testing.assert_allclose(shares.tango_interval(0, 0, 50), [-z2 / (50 + z2), z2 / (50 + z2)], atol=1e-9)
    assert np.isnan(shares.tango_interval(0, 0, 0)).all()


def test_tango_covers():
    rng = np.random.default_rng(0)
    for only_a, only_b in ((0.02, 0.02), (0.1, 0.25), (0.01, 0.1)):
        drawn = rng.multinomial(100, [only_a, only_b, 1 - only_a - only_b], size=4000)
        low, high = shares.tango_interval(drawn[:, 0], drawn[:, 1], np.full(4000, 100))
        assert 0.935 < ((low <= only_b - only_a) & (only_b - only_a <= high)).mean() < 0.975


def test_a_share_difference_is_that_of_the_comparison():
    for runs, n_a in (([A, B], 1), (SEEDS, 3), (SEEDS[2:], 1)):
        found = shares.accuracy_difference(runs, n_a)
        expected = comparison.compare(runs[:n_a], runs[n_a:]).metrics.loc["accuracy"]
        assert (found.a, found.b, found.p) == pytest.approx((expected["a"], expected["b"], expected["p"]))
        assert (found.low, found.high) == (expected["low"], expected["high"]) and found.method == expected["method"]


@pytest.mark.parametrize("runs", [[A, B], SEEDS])
def test_swapping_the_models_mirrors(runs):
    n = len(runs) // 2
    there, back = (shares.accuracy_difference(x, n) for x in (runs, [*runs[n:], *runs[:n]]))
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    swapped = {"B is non-inferior": "A is non-inferior", "A is non-inferior": "B is non-inferior"}
    for margin in (0.001, 0.02, 0.2):
        one, other = (equivalence.judged(x, margin) for x in (there, back))
        assert other.outcome == swapped.get(one.outcome, one.outcome)
        assert (other.p_worse, other.p_better) == pytest.approx((one.p_better, one.p_worse))
    one, other = (power.detectable(x, n).difference for x in (runs, [*runs[n:], *runs[:n]]))
    assert one == pytest.approx(other)


def test_identical_runs_differ_by_nothing_and_are_not_taken_to_be_equal():
    found = shares.accuracy_difference([A, A], 1)
    assert found.difference == 0 and found.low < 0 < found.high and found.p == 1
    assert np.isnan(power.detectable([A, A], 1).difference) and "unknown" in power.detectable([A, A], 1).why
    same = shares.accuracy_difference([A, A, A, A], 2)
    assert same.difference == 0 and not same.low == same.high


def test_no_image_one_image_and_all_right():
    nothing = equivalence.equivalence([A.take(np.arange(0)), B.take(np.arange(0))], 1)
    assert nothing.outcome == "inconclusive" and "no image" in nothing.why
    assert "no image" in power.detectable([A.take(np.arange(0)), B.take(np.arange(0))], 1).why
    one = shares.accuracy_difference([A.take(np.arange(1)), B.take(np.arange(1))], 1)
    assert one.high - one.low > 1
    perfect = replace(A, logits=np.eye(10, dtype=np.float16)[A.labels], digest="perfect")
    found = equivalence.equivalence([perfect, perfect], 1, 0.01)
    assert found.share.low < 0 < found.share.high and found.outcome == "equivalent"
    for runs, n_a in (([perfect] * 4, 2), ([perfect] * 3, 1)):  # seeds that agree on every image say as much as one
        assert shares.accuracy_difference(runs, n_a).low == pytest.approx(found.share.low)
    differing = [A.take(np.flatnonzero(A.correct != B.correct)[:1]), B.take(np.flatnonzero(A.correct != B.correct)[:1])]
    assert "one image is too few" in shares.accuracy_difference([*differing, *differing], 2).why


def test_judging_by_the_interval_is_judging_by_two_one_sided_tests():
    rng = np.random.default_rng(1)
    outcomes = set()
    for _ in range(300):
        n, counts = int(rng.integers(50, 4000)), rng.integers(0, 25, 2)
        holds = np.zeros((2, n), bool)
        holds[0, : counts[0]] = True
        holds[1, counts[0] : counts.sum()] = True
        found = equivalence.judged(shares.share_difference(holds, np.zeros(n, int), 1), 0.01)
        outcomes.add(found.outcome)
        assert (found.p_worse < 0.025) == (found.outcome in ("equivalent", "B is non-inferior"))
        assert (found.p_better < 0.025) == (found.outcome in ("equivalent", "A is non-inferior"))
    assert outcomes == {"equivalent", "B is non-inferior", "A is non-inferior", "inconclusive"}


def test_several_seeds_are_judged_by_students_t():
    share = shares.accuracy_difference(SEEDS, 3)
    holds = np.stack([run.correct for run in SEEDS])
    tested = crossed.difference(
        holds.mean(axis=1), crossed.image_covariance(holds / holds.shape[1], *crossed.strata(A.labels)), 3
    )
    assert share.df == pytest.approx(float(tested.df))
    statistic = (share.difference + 0.01) / share.error
    assert equivalence.judged(share, 0.01).p_worse == pytest.approx(stats.t.sf(statistic, share.df))
    assert equivalence.smallest_margin(share) == pytest.approx(max(-share.low, 0))


@pytest.mark.parametrize("margin", [0, -0.1, 1, np.nan])
def test_a_margin_is_between_nothing_and_all(margin):
    with pytest.raises(CifarcoreError, match="margin"):
        equivalence.equivalence([A, B], 1, margin)
    with pytest.raises(CifarcoreError, match="difference to detect"):
        power.needed([A, B], 1, margin)


@pytest.mark.parametrize(("discordant", "n"), [(0.13, 10_000), (0.3, 1000), (0.05, 3000)])
def test_connors_difference_is_detected_by_four_in_five_exact_tests(discordant, n):
    """Power of the two-sided mid-p McNemar test, summed over all numbers of discordant images."""
    difference = power.smallest_paired(discordant, n)
    favoured = (discordant + difference) / (2 * discordant)
    found = 0.0
    for k in range(*map(int, stats.binom.ppf([1e-9, 1 - 1e-9], n, discordant))):
        smaller = np.arange(k // 2 + 1)
        p = 2 * stats.binom.cdf(smaller, k, 0.5) - stats.binom.pmf(smaller, k, 0.5)
        critical = np.flatnonzero(p <= 0.05).max(initial=-1)
        rejected = stats.binom.cdf(critical, k, favoured) + stats.binom.sf(k - critical - 1, k, favoured)
        found += stats.binom.pmf(k, n, discordant) * rejected
    assert found == pytest.approx(0.8, abs=0.02)
    assert power.images_needed(discordant, difference) == pytest.approx(n, abs=1)


def test_students_ratio_is_statsmodels():
    for df in (3, 4, 30):
        effect = TTestPower().solve_power(nobs=df + 1, alpha=0.05, power=0.8)
        assert power.smallest_ratio(df) == pytest.approx(effect * np.sqrt(df + 1), rel=1e-3)
    assert power.smallest_ratio(np.inf) == pytest.approx(2.8015852)


def test_seeds_needed_reach_the_wished_difference_and_one_fewer_does_not():
    found = power.detectable(SEEDS, 3).difference
    assert 0 < found < 1
    assert power.needed(SEEDS, 3, found * 1.001).number <= 3.5
    need = power.needed(SEEDS, 3, 0.7 * found)
    assert need.unit == "seeds of each model" and (need.number > 3 or "any number of seeds" in need.why)
    assert "any number of seeds" in power.needed(SEEDS, 3, 1e-5).why
    assert power.needed(SEEDS[2:], 1, 0.01).unit == "images"
    assert "cannot be larger" in power.needed([A, B], 1, 0.9).why


def test_too_few_discordant_images_detect_nothing():
    few = power.detectable([A.take(np.arange(12)), B.take(np.arange(12))], 1)
    assert np.isnan(few.difference) and few.why


def test_an_interval_over_seeds_ends_at_a_hundred_points():
    """Seeds that vary much, and hardly an image that both models have."""
    right = np.arange(40) < np.array([[0], [4], [40], [34]])
    found = shares.share_difference(right, np.arange(40) % 4, 2)
    assert not found.one_each and 0 < found.difference < found.high == 1.0 and found.low > -1
    mirrored = shares.share_difference(right[[2, 3, 0, 1]], np.arange(40) % 4, 2)
    assert mirrored.low == -1.0 and mirrored.high == pytest.approx(-found.low)


def test_the_five_highest_of_six_classes_leave_one_out():
    assert shares.top5_correct(made_run(5, 60)) is None
    run = made_run(6, 60, 0.2)
    lowest = run.logits.argmin(axis=1) == run.labels
    assert lowest.any() and shares.top5_correct(run).tolist() == (~lowest).tolist()
