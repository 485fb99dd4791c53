"""AUCs and the covariance of their errors against a literal O(n²) transcription, scikit-learn and the bootstrap."""

import numpy as np
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import roc_auc_score

from cifarcore.evidence import crossed, delong, roc_curves


def literal_delong(scores, is_positive):
    """The formulas of DeLong et al. as they stand: all pairs, one by one."""
    x, y = scores[:, is_positive], scores[:, ~is_positive]
    r, m, n = len(scores), x.shape[1], y.shape[1]
    psi = np.zeros((r, m, n))
    for k in range(r):
        for i in range(m):
            for j in range(n):
                psi[k, i, j] = 1.0 if y[k, j] < x[k, i] else 0.5 if y[k, j] == x[k, i] else 0.0
    theta = psi.mean(axis=(1, 2))
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    s10 = (v10 - theta[:, None]) @ (v10 - theta[:, None]).T / (m - 1)
    s01 = (v01 - theta[:, None]) @ (v01 - theta[:, None]).T / (n - 1)
    return theta, s10 / m + s01 / n


@pytest.mark.parametrize("ties", [False, True])
def test_equals_the_literal_version(ties):
    rng = np.random.default_rng(0)
    is_positive = rng.random(90) < 0.3
    scores = rng.standard_normal((3, 90)) + 0.8 * is_positive + 0.7 * rng.standard_normal(90)
    if ties:
        scores = np.round(scores)
    auc, covariance = delong.auc_covariance(scores, is_positive)
    expected_auc, expected = literal_delong(scores, is_positive)
    np.testing.assert_allclose(auc, expected_auc, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)
    np.testing.assert_allclose(auc, [roc_auc_score(is_positive, row) for row in scores], atol=1e-12)


def test_every_class_one_against_the_rest():
    runs = [made_run(10, 400, 0.5, model="cnn"), made_run(10, 400, 0.7, model="resnet18")]
    areas = delong.one_vs_rest(runs)
    np.testing.assert_allclose(areas.auc, [roc_curves.class_auc(run) for run in runs], atol=1e-12)
    scores = np.stack([np.stack(list(roc_curves.class_scores(run))) for run in runs], axis=1)  # (C, R, N)
    _, expected = literal_delong(scores[3][:, :200], runs[0].labels[:200] == 3)
    _, found = delong.auc_covariance(scores[3][:, :200], runs[0].labels[:200] == 3)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(
        areas.covariance[3], delong.auc_covariance(scores[3], runs[0].labels == 3)[1], atol=1e-12
    )


def test_variance_of_the_difference_equals_the_bootstrap():
    """Class and macro-AUC: resample images within their class, score with scikit-learn's definition."""
    runs = [made_run(5, 400, 0.5, model="cnn"), made_run(5, 400, 0.65, model="resnet18")]
    labels, rng, drawn = runs[0].labels, np.random.default_rng(0), []
    of_class = [np.flatnonzero(labels == c) for c in range(5)]
    for _ in range(800):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in of_class])
        drawn.append([roc_curves.class_auc(run.take(rows)) for run in runs])
    drawn = np.array(drawn)  # (resamples, R, C)
    areas = delong.one_vs_rest(runs)
    covariance = crossed.image_covariance(areas.influence, *crossed.strata(labels))
    macro = drawn.mean(axis=2)
    assert np.sqrt(covariance.diagonal()) == pytest.approx(macro.std(axis=0), rel=0.1)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert np.sqrt(variance) == pytest.approx((macro[:, 1] - macro[:, 0]).std(), rel=0.1)
    single = areas.covariance[:, 0, 0] + areas.covariance[:, 1, 1] - 2 * areas.covariance[:, 0, 1]
    # DeLong lets the other classes' shares vary, the resampling here does not: never smaller, hardly larger
    assert np.sqrt(single) == pytest.approx((drawn[:, 1] - drawn[:, 0]).std(axis=0), rel=0.2)


def test_a_class_without_images_has_no_auc_and_spoils_no_other():
    runs = [run.take(run.labels != 2) for run in (made_run(5, 200), made_run(5, 200, model="resnet18"))]
    areas = delong.one_vs_rest(runs)
    assert np.isnan(areas.auc[:, 2]).all() and np.isnan(areas.covariance[2]).all()
    assert np.isfinite(areas.influence).all() and np.isfinite(np.delete(areas.auc, 2, axis=1)).all()
    np.testing.assert_allclose(crossed.macro_auc_values(areas), [roc_curves.macro_auc(run) for run in runs], atol=1e-12)


def test_an_image_adds_its_share_of_images_ranked_rightly():
    """As a positive of its class, and as a negative of every other, so that all images add up to twice the AUC."""
    runs = [made_run(4, 60, 0.5), made_run(4, 60, 0.7, model="resnet18")]
    areas, labels = delong.one_vs_rest(runs), runs[0].labels
    assert areas.influence.sum(axis=1) == pytest.approx(2 * areas.auc.mean(axis=1))
    for run, influence in zip(runs, areas.influence, strict=True):
        expected = np.zeros(60)
        for c, scores in enumerate(roc_curves.class_scores(run)):
            of_class = labels == c
            wins = np.greater.outer(scores, scores) + np.equal.outer(scores, scores) / 2
            expected[of_class] += wins[of_class][:, ~of_class].mean(axis=1) / of_class.sum()
            expected[~of_class] += wins[of_class][:, ~of_class].mean(axis=0) / (~of_class).sum()
        assert influence == pytest.approx(expected / 4)


def test_the_interval_of_an_area_is_normal_on_the_logit_scale():
    for auc, variance in ((0.9, 0.0004), (0.3, 0.002)):
        low, high = delong.auc_interval(auc, variance)
        error = np.sqrt(variance) / (auc * (1 - auc))
        expected = [1 / (1 + np.exp(-(np.log(auc / (1 - auc)) + z * error))) for z in stats.norm.ppf([0.025, 0.975])]
        assert [low, high] == pytest.approx(expected)
    for auc, variance in ((0, 0.1), (1, 0.1), (0.5, np.nan)):
        assert np.isnan(delong.auc_interval(auc, variance)).all()


def test_one_image_of_a_kind_tells_nothing_of_the_error():
    scores = np.random.default_rng(0).standard_normal((2, 30))
    auc, covariance = delong.auc_covariance(scores, np.arange(30) == 4)
    assert np.isfinite(auc).all() and np.isnan(covariance).all()
    assert np.isfinite(delong.auc_covariance(scores, np.arange(30) < 2)[1]).all()


def test_a_class_that_holds_every_image_has_no_auc():
    run = made_run(5, 100)
    areas = delong.one_vs_rest([run.take(run.labels == 2)])
    assert np.isnan(areas.auc).all() and (areas.influence == 0).all()


def test_a_class_of_one_image_has_an_area_whose_error_is_not_known():
    run = made_run(5, 100)
    keep = np.r_[np.flatnonzero(run.labels == 2)[:1], np.flatnonzero(run.labels != 2)]
    areas = delong.one_vs_rest([run.take(keep)])
    np.testing.assert_allclose(areas.auc[0], roc_curves.class_auc(run.take(keep)))
    assert np.isfinite(areas.auc).all() and np.isnan(areas.covariance[2]).all()
