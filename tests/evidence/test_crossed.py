"""Seeds and images as crossed effects: the variance against a literal version and against what repeating gives."""

import numpy as np
import pytest
from leaving_out import macro_f1_influence
from made import made_run
from scipy import stats
from sklearn.metrics import f1_score

from cifarcore.evidence import crossed, metrics, paired


def repeated(n_a, n_b, seed_spread, n_images=300, repeats=4000, seed=0):
    """Values and image covariance of mean scores of made seeds on made images, drawn anew each time."""
    rng = np.random.default_rng(seed)
    runs = n_a + n_b
    model = np.repeat([0, 1], [n_a, n_b])
    image = rng.standard_normal((repeats, 1, n_images)) + 0.7 * rng.standard_normal((repeats, 2, n_images))[:, model]
    scores = (
        image + seed_spread * rng.standard_normal((repeats, runs, 1)) + rng.standard_normal((repeats, runs, n_images))
    )
    centred = scores - scores.mean(axis=2, keepdims=True)
    return scores.mean(axis=2), centred @ centred.transpose(0, 2, 1) / n_images / (n_images - 1)


@pytest.mark.parametrize(("n_a", "n_b"), [(3, 3), (2, 4)])
@pytest.mark.parametrize("seed_spread", [0.0, 0.05, 0.3])
def test_equal_models_are_told_apart_as_rarely_as_stated(n_a, n_b, seed_spread):
    values, covariance = repeated(n_a, n_b, seed_spread)
    found = crossed.difference(values, covariance, n_a)
    assert (found.p < paired.ALPHA).mean() <= 0.065
    covered = (found.low <= 0) & (found.high >= 0)
    np.testing.assert_array_equal(covered, found.p >= paired.ALPHA)


def test_variance_is_what_repeating_gives():
    values, covariance = repeated(3, 3, 0.3)
    found = crossed.difference(values, covariance, 3)
    variance = ((found.high - found.difference) / stats.t.ppf(0.975, found.df)) ** 2
    assert variance.mean() == pytest.approx(found.difference.var(), rel=0.08)


def literal(values, covariance, n_a):
    """The docstring's formula, pair by pair of runs: variances of images and of seeds, and the seeds' t-quantile."""
    sides = range(n_a), range(n_a, len(values))
    excess, total, least = [], [], 0
    for side in sides:
        n = len(side)
        if n == 1:
            continue
        pairs = [covariance[i, j] for i in side for j in side if i != j]
        noise = sum(covariance[i, i] for i in side) / n - sum(pairs) / len(pairs)
        mean = sum(values[i] for i in side) / n
        total.append((sum((values[i] - mean) ** 2 for i in side) / (n - 1), n))
        excess.append((max(total[-1][0] - noise, 0), n))
        least += max(noise, 0) / n
    weights = [-1 / n_a] * n_a + [1 / len(sides[1])] * len(sides[1])
    images = sum(covariance[i, j] * u * v for i, u in enumerate(weights) for j, v in enumerate(weights))
    images = max(images, least)
    if len(excess) == 1:
        ((variance, n),) = excess
        return images, variance * (1 / n + 1), stats.t.ppf(0.975, n - 1)
    parts = [(variance / n, n - 1) for variance, n in total]
    df = sum(part for part, _ in parts) ** 2 / sum(part**2 / own for part, own in parts)
    return images, sum(variance / n for variance, n in excess), stats.t.ppf(0.975, df)


@pytest.mark.parametrize(("n_a", "n_b"), [(2, 2), (3, 3), (2, 5), (1, 3), (4, 1)])
@pytest.mark.parametrize("spread", [0.001, 0.3])  # below the noise of a seed's images, and above
def test_difference_is_both_margins_in_quadrature(n_a, n_b, spread):
    values, covariance = repeated(n_a, n_b, spread, repeats=20)
    found = crossed.difference(values, covariance, n_a)
    for k in range(20):
        images, seeds, quantile = literal(values[k], covariance[k], n_a)
        difference = values[k, n_a:].mean() - values[k, :n_a].mean()
        half = np.sqrt(1.959964**2 * images + quantile**2 * seeds)
        assert found.difference[k] == pytest.approx(difference)
        assert (found.low[k], found.high[k]) == pytest.approx((difference - half, difference + half), rel=1e-5)
        if seeds:
            assert stats.t.ppf(0.975, found.df[k]) == pytest.approx(half / np.sqrt(images + seeds), rel=1e-5)
        else:
            assert np.isinf(found.df[k])
        p = 2 * stats.t.sf(abs(difference) / np.sqrt(images + seeds), found.df[k])
        assert found.p[k] == pytest.approx(p) and (p < 0.05) == (abs(difference) > half)


def test_mean_of_one_models_seeds_is_tested_against_zero():
    values, covariance = repeated(4, 1, 0.3, repeats=1)
    values, covariance = values[0, :4], covariance[0, :4, :4]
    noise = covariance.diagonal().mean() - covariance[~np.eye(4, dtype=bool)].mean()
    seeds = (values.var(ddof=1) - noise) / 4
    found = crossed.mean(values, covariance)
    assert found.difference == pytest.approx(values.mean()) and seeds > 0
    half = np.sqrt(stats.t.ppf(0.975, 3) ** 2 * seeds + 1.959964**2 * covariance.mean())
    assert found.high - found.difference == pytest.approx(half, rel=1e-5)
    one = crossed.mean(values[:1], covariance[:1, :1])
    assert one.difference == values[0] and np.isinf(one.df)
    assert one.high - one.difference == pytest.approx(1.959964 * np.sqrt(covariance[0, 0]))


def test_images_bring_at_least_the_noise_of_each_seeds_own():
    """Each seed misses another image, so that the mean over seeds is the same on all: the interval has a width."""
    alone = np.ones((3, 3)) - np.eye(3)
    both = np.concatenate([alone, alone[::-1]])
    found = crossed.difference(both.mean(axis=1), np.cov(both) / 3, 3)
    assert found.difference == 0 and found.high - found.low > 0.1
    assert np.isfinite(crossed.mean(alone.mean(axis=1), np.cov(alone) / 3).low)


def test_effective_df_gives_back_the_margin_between_its_bounds():
    assert np.isinf(crossed.effective_df(1.0, 0.0, 2)) and crossed.effective_df(0.0, 1.0, 2) == pytest.approx(2)
    assert np.isinf(crossed.effective_df(0.0, 0.0, 2))
    for images, seeds, df in ((1.0, 0.1, 1), (0.3, 2.0, 4.5), (5.0, 1.0, 30)):
        found = float(crossed.effective_df(images, seeds, df))
        margin = stats.t.ppf(0.975, found) ** 2 * (images + seeds)
        assert margin == pytest.approx(1.959964**2 * images + stats.t.ppf(0.975, df) ** 2 * seeds, rel=1e-6)
        assert found > df


def test_one_seed_gives_the_paired_test_of_the_images():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((2, 500)) + rng.standard_normal(500)
    found = crossed.difference(scores.mean(axis=1), np.cov(scores) / 500, 1)
    expected = stats.ttest_rel(scores[1], scores[0])
    assert found.difference == pytest.approx(scores[1].mean() - scores[0].mean())
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(expected.statistic)))
    assert np.isinf(found.df)


def test_nothing_differs_where_nothing_varies():
    found = crossed.difference(np.full(4, 0.5), np.zeros((4, 4)), 2)
    assert found.p == 1 and np.isnan([found.low, found.high]).all()  # no interval, rather than one without a width
    one = crossed.difference(np.full((3, 2), 0.5), np.full((3, 2, 2), 1e-30), 1)
    assert (one.p == 1).all() and np.isnan([one.low, one.high]).all()
    apart = crossed.difference(np.array([0.0, 1.0]), np.zeros((2, 2)), 1)
    assert apart.difference == 1 and np.isnan([apart.p, apart.low, apart.high]).all()


def test_degrees_of_freedom_are_printed_with_the_digits_that_matter():
    start = "t-test, seeds and images as random effects, df "
    for df, text in ((2.345, "2.3"), (321.7, "321.7"), (3.1e55, "over 1,000")):
        assert crossed.method(df) == start + text
    assert crossed.method(np.inf) == "z-test, images as random effects"


def test_image_covariance_is_the_sum_over_classes():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 50 + [2, 3])  # two classes of one image each count as one
    influence = rng.standard_normal((3, len(labels)))
    groups = [labels == 0, labels == 1, labels > 1]
    expected = sum(g.sum() * np.cov(influence[:, g]) for g in groups)
    # one such class alone counts with the smallest other one
    alone = np.array([0] * 30 + [1] * 49 + [2, 1])
    pooled = sum(g.sum() * np.cov(influence[:, : len(alone)][:, g]) for g in (alone == 1, alone != 1))
    found = crossed.image_covariance(influence[:, : len(alone)], *crossed.strata(alone))
    np.testing.assert_allclose(found, pooled, atol=1e-12)
    assert np.isnan(crossed.image_covariance(influence[:, :1], *crossed.strata(labels[:1]))).all()
    np.testing.assert_allclose(crossed.image_covariance(influence, *crossed.strata(labels)), expected, atol=1e-12)


def test_influences_add_up_to_the_metric():
    run = made_run(10, 400)
    found, headline = crossed.influences(run), metrics.headline(run)
    for name in ("accuracy", "top5", "superclass_accuracy", "brier", "log_loss"):
        assert found[name].sum() == pytest.approx(headline[name])


def test_macro_f1_influence_is_what_leaving_an_image_out_takes_away():
    for run, classes in ((made_run(5, 120), None), (made_run(20, 60), None), (made_run(10, 80), np.array([1, 4, 7]))):
        np.testing.assert_allclose(
            crossed.macro_f1_influence(run, classes), macro_f1_influence(run, classes), atol=1e-12
        )
        averaged = np.arange(run.n_classes) if classes is None else classes
        expected = f1_score(run.labels, run.predictions, labels=averaged, average="macro")
        assert metrics.macro_f1(run, classes) == pytest.approx(expected)


def test_the_only_image_of_a_class_has_no_influence_that_is_known():
    run = made_run(10, 85)
    kept = run.take(np.r_[np.flatnonzero(run.labels > 0), np.flatnonzero(run.labels == 0)[:1]])
    assert np.flatnonzero(np.isnan(crossed.macro_f1_influence(kept))).tolist() == [kept.n_images - 1]


def test_macro_f1_spread_equals_the_bootstrap():
    a, b = made_run(10, 800, 0.5, model="cnn"), made_run(10, 800, 0.6, model="resnet18")
    rng, drawn = np.random.default_rng(0), []
    of_class = [np.flatnonzero(a.labels == c) for c in range(10)]
    for _ in range(1500):
        rows = np.concatenate([rng.choice(images, len(images)) for images in of_class])
        drawn.append([metrics.macro_f1(run.take(rows)) for run in (a, b)])
    influence = np.stack([crossed.macro_f1_influence(run) for run in (a, b)])
    covariance = crossed.image_covariance(influence, *crossed.strata(a.labels))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    spread = np.diff(np.array(drawn), axis=1).std() * np.sqrt(80 / 79)  # 80 images a class
    assert np.sqrt(variance) == pytest.approx(spread, rel=0.06)


def test_images_that_all_runs_share_never_take_away_from_the_variance():
    """A covariance below zero between seeds, as few images may show, counts as none."""
    values = np.array([0.1, 0.3, 0.5, 0.9])
    covariance = np.full((4, 4), -0.001)
    np.fill_diagonal(covariance, 0.002)
    one = crossed.mean(values, covariance)
    seeds = values.var(ddof=1) / 4
    noise = 0.003 / 4  # of the images of each seed, which its own spread holds already
    quadrature = np.sqrt(stats.norm.ppf(0.975) ** 2 * noise + stats.t.ppf(0.975, 3) ** 2 * (seeds - noise))
    assert one.high - one.difference == pytest.approx(quadrature)
    assert one.high - one.difference == pytest.approx(stats.t.ppf(0.975, one.df) * np.sqrt(seeds))
    both = crossed.difference(values, covariance, 2)
    variance = values[:2].var(ddof=1) / 2 + values[2:].var(ddof=1) / 2
    assert both.high - both.difference == pytest.approx(stats.t.ppf(0.975, both.df) * np.sqrt(variance))


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [
        ([0, 0, 0, 1, 1], [3, 2]),
        ([0, 0, 0, 1], [4]),
        ([0, 0, 0, 1, 2, 2], [3, 3]),  # with the smallest of the others
        ([0, 0, 1, 2], [2, 2]),  # two of one image are together
        ([0], [1]),
    ],
)
def test_classes_of_one_image_are_taken_together(labels, sizes):
    stratum, found = crossed.strata(np.array(labels))
    assert sorted(found.tolist()) == sorted(sizes) and np.bincount(stratum).tolist() == found.tolist()
