"""Risk and coverage against literal loops, scikit-learn and the bootstrap."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from cifarcore.evidence import abstention, crossed

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.66)
SEEDS = [made_run(accuracy=0.6, seed=s) for s in range(3)] + [
    made_run(model="resnet18", accuracy=0.62, seed=s) for s in range(3)
]
PERFECT = replace(A, logits=np.eye(10, dtype=np.float16)[A.labels], digest="perfect")


def sureness(run):
    return softmax(run.logits.astype(float), axis=1).max(axis=1)


def test_augrc_is_the_literal_double_loop_and_the_papers_identity():
    sure, wrong = sureness(A), ~A.correct
    above = (sure[:, None] > sure[None]) + 0.5 * (sure[:, None] == sure[None])
    assert abstention.augrc(A) == pytest.approx((wrong[:, None] * above).mean(), abs=1e-5)
    accuracy = A.correct.mean()
    area = roc_auc_score(A.correct, sure)
    assert abstention.augrc(A) == pytest.approx(
        (1 - area) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2, abs=1e-5
    )


def test_augrc_interval_is_that_of_a_bootstrap():
    found = abstention.compared_augrc([A, B], 1)
    assert (found.a, found.b) == pytest.approx((abstention.augrc(A), abstention.augrc(B)))
    rng, drawn = np.random.default_rng(0), []
    of_class = [np.flatnonzero(A.labels == c) for c in range(A.n_classes)]
    for _ in range(400):
        rows = np.concatenate([rng.choice(members, len(members)) for members in of_class])
        drawn.append(abstention.augrc(B.take(rows)) - abstention.augrc(A.take(rows)))
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(np.std(drawn), rel=0.12)


def test_coverage_at_an_error_is_the_largest_prefix():
    order = np.argsort(-sureness(A), kind="stable")
    for max_error in (0.05, 0.2, 0.9):
        errors = np.cumsum(~A.correct[order]) / np.arange(1, 501)
        assert abstention.coverage_at(A, max_error) == pytest.approx(
            (np.flatnonzero(errors <= max_error) + 1).max(initial=0) / 500, abs=0.003
        )
    assert abstention.coverage_at(PERFECT, 0.05) == 1


def test_coverage_has_an_interval_of_paired_resamples():
    found = abstention.compared_coverage([A, B], 1, 0.2)
    assert found.low < found.difference < found.high
    rng, drawn = np.random.default_rng(5), []
    for _ in range(300):
        rows = rng.integers(500, size=500)
        drawn.append(abstention.coverage_at(B.take(rows), 0.2) - abstention.coverage_at(A.take(rows), 0.2))
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(np.std(drawn), rel=0.2)


@pytest.mark.parametrize("compared", [abstention.compared_augrc, abstention.compared_coverage])
@pytest.mark.parametrize("runs", [[A, B], SEEDS])
def test_swapping_mirrors(compared, runs):
    n = len(runs) // 2
    there, back = compared(runs, n), compared([*runs[n:], *runs[:n]], n)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p == pytest.approx(there.p)


@pytest.mark.parametrize("compared", [abstention.compared_augrc, abstention.compared_coverage])
def test_what_allows_no_interval_says_why(compared):
    same = compared([A, A], 1)
    assert same.difference == 0 and np.isnan(same.low) and "alike" in same.why
    none = compared([run.take(np.arange(0)) for run in (A, B)], 1)
    assert np.isnan(none.difference) and "no image" in none.why
    assert "alike" in compared([PERFECT, PERFECT], 1).why


def test_the_curve_ends_at_the_error_of_all_images():
    curve = abstention.risk_coverage(A)
    assert curve["coverage"].iloc[-1] == 1 and curve["error"].iloc[-1] == pytest.approx(1 - A.correct.mean())
    assert len(curve) <= abstention.MOST_POINTS and curve["coverage"].is_monotonic_increasing
    row = curve.iloc[len(curve) // 2]
    answered = sureness(A) >= row["confidence"] - 1e-9
    assert answered.mean() == pytest.approx(row["coverage"], abs=0.003)
    assert abstention.risk_coverage(A.take(np.arange(0))).empty
    one = A.take(np.flatnonzero(A.correct)[:1])
    assert abstention.risk_coverage(one)[["coverage", "error"]].to_numpy().tolist() == [[1, 0]]


def test_a_model_abstains_on_what_it_is_least_sure_of():
    rows = abstention.abstained(A, 0.7)
    assert len(rows) == 150 and sureness(A)[rows].max() <= np.delete(sureness(A), rows).min() + 1e-6
    assert abstention.error_at(A, 0.7) == pytest.approx((~np.delete(A.correct, rows)).mean())
    assert not len(abstention.abstained(A, 1.0)) and np.isnan(abstention.error_at(A, 0.0))


def test_equal_confidence_is_answered_or_left_together():
    flat = replace(A, logits=np.where(np.arange(10) == A.predictions[:, None], 4, 0).astype(np.float16), digest="flat")
    assert len(abstention.risk_coverage(flat)) <= 3  # but for rounding one threshold
    assert abstention.augrc(flat) == pytest.approx((1 - flat.correct.mean()) / 2, abs=0.001)


def test_the_influence_of_an_image_is_the_derivative_by_its_weight():
    few = A.take(np.arange(60))
    sure, wrong = sureness(few), ~few.correct
    above = (sure[:, None] > sure[None]) + 0.5 * (sure[:, None] == sure[None])
    # of mean(w_i w_j wrong_i above_ij) by w_k, both places of it
    expected = [((wrong[k] * above[k]).sum() + (wrong * above[:, k]).sum()) / 60**2 for k in range(60)]
    assert abstention.augrc_influence(few) == pytest.approx(expected, abs=1e-6)
    assert abstention.augrc_influence(few).sum() == pytest.approx(2 * abstention.augrc(few))
    assert np.isnan(abstention.augrc(few.take(np.arange(0))))


def test_a_long_curve_is_thinned_evenly_and_keeps_its_ends():
    run = made_run(n_images=3000)
    curve = abstention.risk_coverage(run)
    order = np.argsort(-sureness(run), kind="stable")
    errors = np.cumsum(~run.correct[order]) / np.arange(1, 3001)
    assert 390 <= len(curve) <= 400 == abstention.MOST_POINTS
    answered = np.flatnonzero(np.diff(-np.sort(-sureness(run)), append=0) < 0) + 1
    assert curve["coverage"].iloc[[0, -1]].tolist() == [answered[0] / 3000, 1]
    assert curve["coverage"].diff().max() < 2.5 / 400
    for row in curve.itertuples():
        k = round(row.coverage * 3000)
        assert row.error == pytest.approx(errors[k - 1]) and row.confidence == pytest.approx(
            sureness(run)[order][k - 1], abs=1e-5
        )


def literal_coverage(run, max_error):
    """Threshold by threshold."""
    sure, best = sureness(run), 0.0
    for threshold in np.unique(sure):
        answered = sure >= threshold
        if (~run.correct)[answered].mean() <= max_error + 1e-12:
            best = max(best, answered.mean())
    return best


def test_coverage_at_an_error_is_that_of_the_best_threshold():
    for run in (A.take(np.arange(40)), B, PERFECT):
        for max_error in (0.0, 0.05, 0.25, 1.0):
            assert abstention.coverage_at(run, max_error) == pytest.approx(literal_coverage(run, max_error), abs=1e-9)
    assert abstention.MAX_ERROR == 0.05 and abstention.coverage_at(A) == abstention.coverage_at(A, 0.05)
    exactly = A.take(np.r_[np.flatnonzero(~A.correct)[:1], np.flatnonzero(A.correct)[:3]])
    assert abstention.coverage_at(exactly, 0.25) == 1, "an error of just the bound is allowed"


def test_several_seeds_are_means_with_an_interval_over_seeds_and_images():
    for compared, number in ((abstention.compared_augrc, abstention.augrc), (abstention.compared_coverage, None)):
        found = compared(SEEDS[1:], 2)
        values = [(number or abstention.coverage_at)(run) for run in SEEDS[1:]]
        assert (found.a, found.b) == pytest.approx((np.mean(values[:2]), np.mean(values[2:])))
        assert found.difference == found.b - found.a and found.low < found.difference < found.high
        assert 0 <= found.p <= 1 and found.why == ""
    influence = np.stack([abstention.augrc_influence(run) for run in SEEDS])
    covariance = sum((A.labels == c).sum() * np.cov(influence[:, A.labels == c]) for c in range(10))
    expected = crossed.difference(np.array([abstention.augrc(run) for run in SEEDS]), covariance, 3)
    found = abstention.compared_augrc(SEEDS, 3)
    assert (found.low, found.high, found.p) == pytest.approx(
        tuple(map(float, (expected.low, expected.high, expected.p)))
    )


def test_how_many_images_are_left_out():
    for coverage, left_out in ((0.0, 500), (0.333, 500 - 166), (0.9989, 1), (1.0, 0)):
        assert len(abstention.abstained(A, coverage)) == left_out
    rows = abstention.abstained(A, 0.9)
    assert (np.diff(sureness(A)[rows]) >= -1e-6).all()


def test_the_same_resamples_where_nothing_else_is_asked():
    assert abstention.RESAMPLES == 400
    found = abstention.compared_coverage([A, B], 1)
    assert found == abstention.compared_coverage([A, B], 1, 0.05, seed=0)
    assert found.high != abstention.compared_coverage([A, B], 1, 0.05, seed=1).high


def test_resampled_numbers_have_the_digits_that_their_interval_holds():
    """Of 400 resamples the ends of an interval are uncertain by half its width / √800."""

    def digits(uncertain, resampled=True):
        half = uncertain * np.sqrt(800)
        return abstention.Abstention(0.5, 0.5, -half, half, 0.5, "", resampled).digits

    assert [digits(u) for u in (0.5, 0.0101, 0.0099, 0.00099, 1e-6, 0.0)] == [1, 1, 2, 3, 3, 3]
    assert digits(0.5, resampled=False) == 4


def test_a_difference_of_shares_is_one_of_at_most_all_images():
    tested = crossed.Difference(*map(np.array, (0.9, -1.25, 1.5, 0.3, np.inf)))
    found = abstention._estimate(np.array([0.05, 0.95]), tested, 1)
    assert (found.low, found.high, found.p, found.difference) == (-1, 1, 0.3, pytest.approx(0.9))
