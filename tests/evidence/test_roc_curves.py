"""Scores and areas of one class against another and against the rest, against scikit-learn."""

import numpy as np
import pytest
from made import made_run
from scipy.special import log_softmax
from sklearn.metrics import roc_auc_score

from cifarcore.evidence import roc_curves

RUN = made_run(6, 240)


def test_scores_against_the_rest_are_log_probabilities_of_every_image():
    scores, is_positive, rows = roc_curves.rest_scores(RUN, 4)
    np.testing.assert_allclose(scores, log_softmax(RUN.logits.astype(float), axis=1)[:, 4], atol=1e-6)
    assert is_positive.tolist() == (RUN.labels == 4).tolist() and rows.tolist() == list(range(240))
    assert roc_auc_score(is_positive, scores) == pytest.approx(roc_curves.class_auc(RUN)[4])


def test_areas_of_pairs():
    pairs = np.array([[0, 1], [1, 0], [5, 2]])
    found = roc_curves.pair_aucs(RUN, pairs)
    for area, (first, second) in zip(found, pairs, strict=True):
        scores, is_positive, rows = roc_curves.pair_scores(RUN, first, second)
        assert area == pytest.approx(roc_auc_score(is_positive, scores))
        assert sorted(set(RUN.labels[rows])) == sorted((first, second))
    assert found[0] == pytest.approx(found[1]), "swapping the two classes turns scores and roles"


def test_a_pair_without_images_of_one_class_has_no_area():
    run = RUN.take(RUN.labels != 3)
    found = roc_curves.pair_aucs(run, np.array([[3, 1], [1, 3], [0, 1]]))
    assert np.isnan(found).tolist() == [True, True, False]
    for positive in ([True, True], [False, False]):
        curve = roc_curves.roc(np.array([0.1, 0.2]), np.array(positive))
        assert curve.empty and curve.columns.tolist() == ["fpr", "tpr", "threshold"]


def test_shares_below_count_ties_half():
    found = roc_curves.share_below(np.array([3.0, 1, 2, 2]), np.array([2.0, 0, 9, 1]))
    assert found.tolist() == [0.5, 0, 1, 0.125]


def test_the_mean_curve_is_that_of_the_classes_with_images():
    run = RUN.take(RUN.labels != 3)
    curves = [roc_curves.roc(*roc_curves.rest_scores(run, c)[:2]) for c in range(6) if c != 3]
    grid = np.arange(501) / 500
    found = roc_curves.macro_roc(run)
    np.testing.assert_allclose(found["fpr"], grid)
    np.testing.assert_allclose(
        found["tpr"], np.mean([np.interp(grid, one["fpr"], one["tpr"]) for one in curves], axis=0), atol=1e-12
    )
    first = curves[0].iloc[0]
    assert (first["fpr"], first["tpr"], first["threshold"]) == (0, 0, np.inf)
    assert roc_curves.macro_auc(run) == pytest.approx(np.delete(roc_curves.class_auc(run), 3).mean())
