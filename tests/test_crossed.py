"""Seeds and images as crossed effects: the variance against a literal version and against what repeating gives."""

import numpy as np
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import f1_score

from cifarcore import crossed, metrics, paired


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
    assert found.p == 1 and found.low == found.high == 0
    one = crossed.difference(np.full((3, 2), 0.5), np.zeros((3, 2, 2)), 1)
    assert (one.p == 1).all() and (one.low == 0).all()


def test_image_covariance_is_the_sum_over_classes():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 30 + [1] * 50 + [2, 3])  # two classes of one image each count as one
    influence = rng.standard_normal((3, len(labels)))
    groups = [labels == 0, labels == 1, labels > 1]
    expected = sum(g.sum() * np.cov(influence[:, g]) for g in groups)
    np.testing.assert_allclose(crossed.image_covariance(influence, *crossed.strata(labels)), expected, atol=1e-12)


def test_influences_add_up_to_the_metric():
    run = made_run(10, 400)
    found, headline = crossed.influences(run), metrics.headline(run)
    for name in ("accuracy", "top5", "superclass_accuracy", "brier", "log_loss", "ece"):
        assert found[name].sum() == pytest.approx(headline[name])


def test_macro_f1_influence_is_the_derivative_by_an_images_weight():
    run = made_run(5, 120)
    step, expected = 1e-6, []
    for i in range(run.n_images):
        weights = np.ones(run.n_images)
        weights[i] += step
        expected.append(f1_score(run.labels, run.predictions, average="macro", sample_weight=weights) / step)
    expected = np.array(expected) - metrics.macro_f1(run) / step
    found = crossed.macro_f1_influence(run)
    for c in range(5):  # scikit-learn's weight also changes the class's size, the same for all its images
        rows = run.labels == c
        np.testing.assert_allclose(found[rows] - found[rows].mean(), expected[rows] - expected[rows].mean(), atol=1e-6)


def test_macro_f1_spread_equals_the_bootstrap():
    a, b = made_run(10, 800, 0.5, model="cnn"), made_run(10, 800, 0.6, model="resnet18")
    drawn = paired.bootstrap_scores(a.labels, [a.predictions, b.predictions], None, 10, resamples=4000)
    influence = np.stack([crossed.macro_f1_influence(run) for run in (a, b)])
    covariance = crossed.image_covariance(influence, *crossed.strata(a.labels))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert np.sqrt(variance) == pytest.approx((drawn[1]["macro_f1"] - drawn[0]["macro_f1"]).std(), rel=0.05)
