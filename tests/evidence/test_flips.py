"""Flips, churn, odds and agreement against statsmodels, scikit-learn, SciPy and simulation."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats
from scipy.special import softmax
from scipy.stats import mannwhitneyu, norm
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from cifarcore.evidence import flips, pairwise, together

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.66)
SEEDS = [made_run(accuracy=0.6, seed=s) for s in range(3)] + [
    made_run(model="resnet18", accuracy=0.62, seed=s) for s in range(4)
]
PERFECT = replace(A, logits=np.eye(10, dtype=np.float16)[A.labels], digest="perfect")


def test_flips_of_one_pair_are_counted_with_wilsons_interval():
    found = flips.flips([A, B], 1)
    counts = {
        "newly wrong": (A.correct & ~B.correct).sum(),
        "newly right": (B.correct & ~A.correct).sum(),
        "churn": (A.logits.argmax(1) != B.logits.argmax(1)).sum(),
    }
    for name, count in counts.items():
        row = found.loc[name]
        assert row["images"] == pytest.approx(count) and row["share"] == pytest.approx(count / 500)
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(count, 500, method="wilson"), abs=1e-4)
    assert found.loc["newly right", "share"] - found.loc["newly wrong", "share"] == pytest.approx(
        B.correct.mean() - A.correct.mean()
    )


def test_flips_of_several_seeds_are_means_over_pairs_and_wider_than_over_images():
    found = flips.flips(SEEDS, 3)
    literal = [(a.predictions != b.predictions).mean() for a in SEEDS[:3] for b in SEEDS[3:]]
    row = found.loc["churn"]
    assert row["share"] == pytest.approx(np.mean(literal)) and row["low"] < row["share"] < row["high"]


@pytest.mark.parametrize(("runs", "n_a", "n_b"), [([A, B], 1, 1), (SEEDS, 3, 4)])
def test_swapping_the_models_mirrors(runs, n_a, n_b):
    there, back = flips.flips(runs, n_a), flips.flips([*runs[n_a:], *runs[:n_a]], n_b)
    mirrored = {"newly wrong": "newly right", "newly right": "newly wrong", "churn": "churn"}
    for name, other in mirrored.items():
        np.testing.assert_allclose(there.loc[name], back.loc[other])
    one = together.error_consistency(runs, n_a)
    back_kappa = together.error_consistency([*runs[n_a:], *runs[:n_a]], n_b)
    assert (back_kappa.low, back_kappa.value) == pytest.approx((one.low, one.value))
    wins, losses = flips.seed_wins(runs, n_a), flips.seed_wins([*runs[n_a:], *runs[:n_a]], n_b)
    assert (wins.value, wins.low, wins.high) == pytest.approx(
        (1 - losses.value, 1 - losses.high, 1 - losses.low), nan_ok=True
    )


def test_odds_ratio_is_the_exact_conditional_one():
    found = flips.odds_ratio([A, B], 1)
    right, wrong = (B.correct & ~A.correct).sum(), (A.correct & ~B.correct).sum()
    assert found.value == pytest.approx(right / wrong)
    low, high = proportion_confint(right, right + wrong, method="beta")
    assert (found.low, found.high) == pytest.approx((low / (1 - low), high / (1 - high)))
    perfect = flips.odds_ratio([A, PERFECT], 1)
    assert perfect.value == perfect.high == np.inf and 1 < perfect.low < np.inf
    assert "no image" in flips.odds_ratio([A, A], 1).why and "one seed" in flips.odds_ratio(SEEDS, 3).why


def test_a_seed_wins_as_often_as_mann_whitney_counts():
    a, b = ([run.correct.mean() for run in side] for side in (SEEDS[:3], SEEDS[3:]))
    found = flips.seed_wins(SEEDS, 3)
    assert found.value == pytest.approx(mannwhitneyu(b, a).statistic / 12)
    assert 0 <= found.low < found.value < found.high <= 1 or found.value in (0, 1)
    always = flips.win_interval(1.0, 3, 3)
    assert always[0] < 0.75 and always[1] == 1  # three seeds each, all better: not proven yet
    assert "two seeds" in flips.seed_wins([A, B], 1).why


def test_the_interval_of_winning_covers():
    rng = np.random.default_rng(0)
    for n, shift in ((3, 0.0), (5, 1.0), (10, 0.5)):
        truth = norm.cdf(shift / np.sqrt(2))
        covered = 0
        for _ in range(600):
            a, b = rng.standard_normal(n), rng.standard_normal(n) + shift
            low, high = flips.win_interval(float((np.subtract.outer(b, a) > 0).mean()), n, n)
            covered += low <= truth <= high
        assert covered / 600 > 0.92


def test_kappa_is_scikit_learns_with_the_interval_of_statsmodels():
    found = together.error_consistency([A, B], 1)
    assert found.value == pytest.approx(cohen_kappa_score(A.correct, B.correct))
    table = [[(x & y).sum() for y in (B.correct, ~B.correct)] for x in (A.correct, ~A.correct)]
    expected = cohens_kappa(table)
    assert (found.low, found.high) == pytest.approx((expected.kappa_low, expected.kappa_upp), abs=2e-3)
    several = together.error_consistency(SEEDS, 3)
    literal = [cohen_kappa_score(a.correct, b.correct) for a in SEEDS[:3] for b in SEEDS[3:]]
    assert several.value == pytest.approx(np.mean(literal)) and several.low < several.value < several.high


def test_many_seeds_take_the_memory_of_their_images_and_not_of_all_pairs():
    """Pairs of three hundred seeds a side, on ten thousand images, are seven gigabytes."""
    runs = [made_run(seed=seed, val=False, maps=False, neighbors=False) for seed in range(120)]
    assert all(run.correct.any() for run in runs)  # kept by each run, so computed before
    tracemalloc.start()
    together.error_consistency(runs, 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * 60 * A.n_images * 8 / 2


def test_what_agrees_wholly_has_no_interval_and_what_is_all_right_no_kappa():
    same = together.error_consistency([A, A], 1)
    assert same.value == 1 and np.isnan(same.low) and same.why
    assert np.isnan(together.error_consistency([A, PERFECT], 1).value)
    none = [run.take(np.arange(0)) for run in (A, B)]
    assert "no image" in together.error_consistency(none, 1).why and together.combinations(none, 1).empty
    assert flips.flips(none, 1)["low"].isna().all()


def test_kappa_of_a_few_images_is_one_of_minus_one_to_one():
    rows = [A.correct & B.correct, A.correct & ~B.correct, ~A.correct & ~B.correct]
    close = np.concatenate([np.flatnonzero(each)[:n] for each, n in zip(rows, (4, 1, 3), strict=True)])
    found = together.error_consistency([A.take(close), B.take(close)], 1)
    assert found.low < found.value < found.high == 1.0
    rows = [A.correct & ~B.correct, ~A.correct & B.correct, ~A.correct & ~B.correct]
    far = np.concatenate([np.flatnonzero(each)[:n] for each, n in zip(rows, (4, 4, 1), strict=True)])
    found = together.error_consistency([A.take(far), B.take(far)], 1)
    assert -1.0 == found.low < found.value < found.high


def test_combinations_are_those_of_averaged_probabilities():
    found = together.combinations(SEEDS, 3).set_index("what")
    a, b = SEEDS[0], SEEDS[3]
    best = max(a, b, key=lambda run: run.correct.mean())
    of = {run.digest: softmax(run.logits.astype(float), axis=1) for run in SEEDS}
    literal = {
        together.AVERAGE: (of[a.digest] + of[b.digest]).argmax(1) == a.labels,
        "average of A's seeds": sum(of[run.digest] for run in SEEDS[:3]).argmax(1) == a.labels,
        "average of B's seeds": sum(of[run.digest] for run in SEEDS[3:]).argmax(1) == a.labels,
        together.ORACLE: a.correct | b.correct,
    }
    for name, correct in literal.items():
        row = found.loc[name]
        assert row["accuracy"] == pytest.approx(correct.mean(), abs=0.0021)
        assert row["difference"] == pytest.approx(row["accuracy"] - best.correct.mean())
        assert row["low"] < row["difference"] < row["high"]
    assert np.isnan(found.loc[together.ORACLE, "p"])


def test_combining_a_model_with_itself_changes_nothing_and_claims_no_certainty():
    found = together.combinations([A, A], 1).iloc[1:]
    assert (found["difference"] == 0).all() and (found["low"] < 0).all() and (found["high"] > 0).all()


def test_identical_runs_have_no_flips_but_an_interval():
    found = flips.flips([A, A], 1)
    assert (found["share"] == 0).all() and (found["high"] > 0).all()
    assert (flips.flips([A] * 4, 2)["high"] > 0).all()
    all_wrong = flips.flips([PERFECT, replace(A, logits=-PERFECT.logits, digest="wrong")], 1)
    assert all_wrong.loc["newly wrong", "share"] == 1 and all_wrong.loc["newly wrong", "low"] < 1


def test_the_mean_over_pairs_covers_its_expectation():
    """Images and seeds drawn anew: an additive model with known mean."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        image, of_a, of_b = rng.normal(0, 1, 400), rng.normal(0, 0.05, 4), rng.normal(0, 0.05, 4)
        x = image + of_a[:, None, None] + of_b[None, :, None] + rng.normal(0, 0.3, (4, 4, 400))
        each = x.mean(axis=1) / 400, x.mean(axis=0) / 400
        low, high = pairwise.pair_mean(x.mean(axis=2), *each, np.zeros(400, int)).interval
        covered += low <= 0 <= high
    assert 0.92 < covered / 400 < 0.99


def test_the_effective_number_of_images_is_that_of_a_share_of_the_same_error():
    for share, error, quantile, n, effective in (
        (0.2, 0.02, 2.5, 1000, 400),
        (0.2, 0.001, 1.96, 1000, 1000),  # at most as many as there are
        (0.2, 0.0, 1.96, 1000, 1000),
        (0.0, 0.02, 1.96, 1000, 1000),
        (1.0, 0.02, 1.96, 1000, 1000),
    ):
        found = flips.share_interval(pairwise.PairMean(share, error, quantile), n)
        root = quantile * np.sqrt(share * (1 - share) / effective + (quantile / effective) ** 2 / 4)
        middle, stretch = share + quantile**2 / effective / 2, 1 + quantile**2 / effective
        assert found == pytest.approx((max((middle - root) / stretch, 0), min((middle + root) / stretch, 1)))


def test_flips_of_several_seeds_use_the_mean_influence_of_all_pairs():
    found = flips.flips(SEEDS, 3).loc["newly right"]
    pairs = np.array([[b.correct & ~a.correct for b in SEEDS[3:]] for a in SEEDS[:3]])
    mean = pairwise.pair_mean(pairs.mean(axis=2), pairs.mean(axis=1) / 500, pairs.mean(axis=0) / 500, A.labels)
    assert found["images"] == pytest.approx(500 * pairs.mean())
    assert (found["low"], found["high"]) == pytest.approx(flips.share_interval(mean, 500))


def test_no_image_has_no_share():
    found = flips.flips([run.take(np.arange(0)) for run in (A, B)], 1)
    assert (found["images"] == 0).all() and found[["share", "low", "high"]].isna().all(axis=None)
    one = flips.flips([run.take(np.arange(1)) for run in (A, B)], 1)
    assert (one["high"] - one["low"] > 0.5).all()


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (3, 5), (7, 2)])
def test_the_interval_of_winning_solves_newcombes_equation(n_a, n_b):
    """Method 5: the variance of Hanley and McNeil with the mean of both sizes, on either side."""
    quantile, more = stats.t.ppf(0.975, n_a + n_b - 2), (n_a + n_b) / 2 - 1
    for wins in (0.3, 0.5, 0.95):
        ends = flips.win_interval(wins, n_a, n_b)
        assert ends[0] < wins < ends[1]
        for theta in ends:
            variance = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta))
            assert (wins - theta) ** 2 == pytest.approx(quantile**2 * variance / (n_a * n_b), abs=1e-8)
    low, high = flips.win_interval(0.0, n_a, n_b)
    assert low == 0 and 0.2 < high < 1 and flips.win_interval(1.0, n_a, n_b) == pytest.approx((1 - high, 1))


def test_a_gain_is_meaningful_from_three_quarters_on():
    assert flips.MEANINGFUL == 0.75  # Bouthillier et al., MLSys 2021


def test_the_exact_odds_where_one_side_never_wins():
    only = np.zeros(500, bool)
    only[:5] = True

    def correct(where):
        return replace(A, logits=np.where(where, PERFECT.logits.T, -PERFECT.logits.T).T.astype(np.float16))

    found = flips.odds_ratio([correct(~only), correct(np.ones(500, bool))], 1)
    assert (found.value, found.high) == (np.inf, np.inf)
    low = 0.025 ** (1 / 5)  # P(all five to B) = 2.5%
    assert found.low == pytest.approx(low / (1 - low))
    back = flips.odds_ratio([correct(np.ones(500, bool)), correct(~only)], 1)
    assert (back.value, back.low) == (0, 0) and back.high == pytest.approx((1 - low) / low)
    assert "two seeds" in flips.seed_wins([A, *SEEDS[3:]], 1).why and "one seed" in flips.odds_ratio([A, B, B], 1).why


def test_as_many_newly_right_as_newly_wrong_images_are_even_odds():
    rows = np.r_[np.flatnonzero(A.correct & ~B.correct)[:7], np.flatnonzero(B.correct & ~A.correct)[:7]]
    found = flips.odds_ratio([A.take(rows), B.take(rows)], 1)
    assert found.value == 1 and found.low == pytest.approx(1 / found.high) and found.why == ""
