"""The mean over pairs of runs, its standard error and its quantile, against a literal version of each part."""

import numpy as np
import pytest
from scipy import stats

from cifarcore.evidence import crossed, pairwise, shares


def drawn(n_a, n_b, spread, n=80, seed=0):
    """A number of n images for every pair of runs (n_a, n_b, n), of four classes: images, seeds and noise add up."""
    rng = np.random.default_rng(seed)
    of_a, of_b = spread * rng.standard_normal((n_a, 1, 1)), spread * rng.standard_normal((1, n_b, 1))
    return rng.standard_normal(n) + of_a + of_b + 0.3 * rng.standard_normal((n_a, n_b, n)), np.arange(n) % 4


def pair_mean(pairs, labels):
    n = pairs.shape[2]
    return pairwise.pair_mean(pairs.mean(axis=2), pairs.mean(axis=1) / n, pairs.mean(axis=0) / n, labels)


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (3, 5)])
@pytest.mark.parametrize("spread", [0.001, 0.5])
def test_seeds_and_images_add_up_in_quadrature(n_a, n_b, spread):
    pairs, labels = drawn(n_a, n_b, spread, seed=n_b)
    found, n = pair_mean(pairs, labels), 80

    def covariance(rows):
        return sum((labels == c).sum() * np.cov(rows[:, labels == c]) for c in range(4)) / n**2

    of_a, of_b = pairs.mean(axis=1), pairs.mean(axis=0)
    images, total, excess, least = covariance(of_a).mean(), [], 0, 0
    for rows in (of_a, of_b):
        k, own = len(rows), covariance(rows)
        noise = own.diagonal().mean() - own[~np.eye(k, dtype=bool)].mean()
        total.append((rows.mean(axis=1).var(ddof=1) / k, k - 1))
        excess += max(total[-1][0] - noise / k, 0)
        least += noise / k
    images = max(images, least)
    df = sum(part for part, _ in total) ** 2 / sum(part**2 / own for part, own in total)
    half = np.sqrt(stats.norm.ppf(0.975) ** 2 * images + stats.t.ppf(0.975, df) ** 2 * excess)
    assert found.value == pytest.approx(pairs.mean()) and found.error == pytest.approx(np.sqrt(images + excess))
    assert found.interval == pytest.approx((found.value - half, found.value + half))
    assert (excess > images) == (spread == 0.5)


def test_a_difference_of_accuracy_as_a_mean_over_pairs_has_the_interval_of_the_verdict():
    """The one number that both are: B right less A right, over all pairs."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 4
    skill = rng.standard_normal(400)
    right = skill + rng.standard_normal((5, 400)) + 0.4 * rng.standard_normal((5, 1)) > 0
    pairs = right[None, 3:].astype(float) - right[:3, None]
    found = pair_mean(pairs, labels)
    share = shares.share_difference(right, labels, 3)
    assert share.p < 1 and not share.one_each
    assert found.interval == pytest.approx((share.low, share.high)) and found.error == pytest.approx(share.error)


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
def test_one_seed_on_a_side_is_taken_to_vary_as_the_others(shape):
    pairs, labels = drawn(*shape, 0.5)
    found = pair_mean(pairs, labels)
    side = pairs.reshape(4, 80)
    covariance = sum((labels == c).sum() * np.cov(side[:, labels == c]) for c in range(4)) / 80**2
    noise = covariance.diagonal().mean() - covariance[~np.eye(4, dtype=bool)].mean()
    beyond = max(side.mean(axis=1).var(ddof=1) - noise, 0)
    assert found.error == pytest.approx(np.sqrt(max(covariance.mean(), noise / 4) + beyond * (1 + 1 / 4)))
    assert stats.norm.ppf(0.975) < found.quantile < stats.t.ppf(0.975, 3)


def test_one_seed_each_leaves_the_images_alone():
    pairs, labels = drawn(1, 1, 0)
    found = pair_mean(pairs, labels)
    expected = crossed.image_covariance(pairs[0] / 80, *crossed.strata(labels))[0, 0]
    assert found.error == pytest.approx(np.sqrt(expected)) and found.quantile == pytest.approx(stats.norm.ppf(0.975))


def test_two_images_vary_and_one_tells_nothing():
    of = np.array([[0.1, 0.3]])
    two = pairwise.pair_mean(np.array([[0.4]]), of, of, np.zeros(2, int))
    assert two.error == pytest.approx(np.sqrt(2 * 0.02))
    one = pairwise.pair_mean(np.array([[0.5]]), of[:, :1], of[:, :1], np.zeros(1, int))
    assert one.error == 0 and np.isnan(one.interval).all()
