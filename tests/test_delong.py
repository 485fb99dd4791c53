"""AUCs and the covariance of their errors against a literal O(n²) transcription, scikit-learn and the bootstrap."""

import numpy as np
import pytest
from made import made_run
from sklearn.metrics import roc_auc_score

from cifarcore import crossed, delong, metrics


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
    np.testing.assert_allclose(areas.auc, [metrics.class_auc(run) for run in runs], atol=1e-12)
    scores = np.stack([np.stack(list(metrics.class_scores(run))) for run in runs], axis=1)  # (C, R, N)
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
        drawn.append([metrics.class_auc(run.take(rows)) for run in runs])
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
    np.testing.assert_allclose(crossed.macro_auc_values(areas), [metrics.macro_auc(run) for run in runs], atol=1e-12)
