"""Every metric against scikit-learn or a literal transcription of its definition."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy.special import expit
from scipy.special import softmax as by_scipy
from sklearn import metrics as sklearn_metrics

from cifarcore.evidence import calibration, metrics, roc_curves, softmax


@pytest.fixture(
    scope="module", params=[(2, 100), (10, 500), (100, 1500)], ids=["2 classes", "10 classes", "100 classes"]
)
def run(request):
    return made_run(*request.param)


def probabilities_in_float64(run):
    shifted = np.exp(run.logits.astype(float) - run.logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def test_probabilities_are_the_softmax(run):
    found = softmax.probabilities(run)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, probabilities_in_float64(run), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(softmax.confidence(run), found.max(axis=1), rtol=1e-5)


def test_large_logits_do_not_overflow():
    run = made_run(10, 100)
    large = replace(run, logits=run.logits.astype(np.float32) * 5000)
    assert np.isfinite(list(metrics.headline(large).values())).all()


def test_headline_equals_scikit_learn(run):
    found, p, predicted = metrics.headline(run), probabilities_in_float64(run), run.predictions
    assert found["accuracy"] == sklearn_metrics.accuracy_score(run.labels, predicted)
    assert found["macro_f1"] == pytest.approx(
        sklearn_metrics.f1_score(run.labels, predicted, average="macro"), abs=1e-12
    )
    classes = range(run.n_classes)
    if run.n_classes > 2:
        auc = sklearn_metrics.roc_auc_score(run.labels, p, multi_class="ovr", average="macro")
        top5 = sklearn_metrics.top_k_accuracy_score(run.labels, run.logits.astype(float), k=5, labels=classes)
        # scikit-learn puts the higher of two equal float16 scores last or first as its sort does: allow one such image
        assert found["top5"] == pytest.approx(top5, abs=1.01 / run.n_images)
    else:
        auc = sklearn_metrics.roc_auc_score(run.labels, p[:, 1])
        assert np.isnan(found["top5"]) and metrics.top_k_accuracy(run) == 1.0
    assert found["macro_auc"] == pytest.approx(auc, abs=1e-9)
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(run.labels, p, labels=classes), rel=1e-6)
    assert found["brier"] == pytest.approx(((p - np.eye(run.n_classes)[run.labels]) ** 2).sum(axis=1).mean(), rel=1e-5)


def test_class_table_equals_scikit_learn(run):
    table = metrics.class_table(run)
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        run.labels, run.predictions, labels=range(run.n_classes), zero_division=np.nan
    )
    for name, expected in {"precision": precision, "recall": recall, "f1": f1, "support": support}.items():
        np.testing.assert_allclose(table[name], expected, atol=1e-12)
    p = probabilities_in_float64(run)
    aucs = [sklearn_metrics.roc_auc_score(run.labels == c, p[:, c]) for c in range(run.n_classes)]
    np.testing.assert_allclose(table["auc"], aucs, atol=1e-9)
    assert list(table["name"]) == list(run.class_names)


def test_confusion_equals_scikit_learn(run):
    expected = sklearn_metrics.confusion_matrix(run.labels, run.predictions, labels=range(run.n_classes))
    np.testing.assert_array_equal(metrics.confusion(run).toarray(), expected)


def test_the_rank_of_the_true_class(run):
    order = np.argsort(-run.logits.astype(float), axis=1, kind="stable")
    np.testing.assert_array_equal(metrics.true_rank(run), (order == run.labels[:, None]).argmax(axis=1))
    np.testing.assert_array_equal(metrics.true_rank(run) == 0, run.correct)
    assert metrics.top_k_accuracy(run, 1) == metrics.accuracy(run)


def test_superclass_accuracy_sums_probabilities():
    run = made_run(20, 400)
    p, right = probabilities_in_float64(run), 0
    for row, label in zip(p, run.labels, strict=True):
        sums = [sum(row[c] for c in range(20) if run.superclass_of[c] == s) for s in range(len(run.superclass_names))]
        right += int(np.argmax(sums)) == run.superclass_of[label]
    assert metrics.superclass_accuracy(run) == right / run.n_images
    # not the same as the superclass of the most probable class
    assert (
        metrics.superclass_accuracy(run) != (run.superclass_of[run.predictions] == run.superclass_of[run.labels]).mean()
    )


def test_without_superclasses():
    run = made_run(superclasses=False)
    assert np.isnan(metrics.superclass_accuracy(run))
    assert set(metrics.class_table(run)["superclass"]) == {""}


@pytest.mark.parametrize("bins", [15, 7])
def test_ece_equals_its_definition(run, bins):
    sure = softmax.confidence(run)
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [i for i, x in enumerate(sure) if low <= x < high or (b == bins - 1 and x == 1)]
        if inside:
            gap = abs(np.mean([run.correct[i] for i in inside]) - np.mean([float(sure[i]) for i in inside]))
            total += len(inside) / run.n_images * gap
    assert calibration.expected_calibration_error(run, bins) == pytest.approx(total, abs=1e-9)


def test_a_confidence_of_one_is_in_the_last_bin():
    run = made_run(2, 50)
    certain = replace(
        run, logits=np.where(run.logits == run.logits.max(axis=1, keepdims=True), 500, -500).astype(np.float16)
    )
    table = calibration.reliability(certain)
    assert table["count"].tolist() == [0] * 14 + [50]
    np.testing.assert_allclose(table["bin_low"], np.arange(15) / 15)
    np.testing.assert_allclose(table["bin_high"], np.arange(1, 16) / 15)
    assert calibration.expected_calibration_error(certain) == pytest.approx(1 - certain.correct.mean())


def test_temperature_lowers_the_validation_loss():
    run = made_run(10, 500)
    temperature = calibration.fit_temperature(run)
    val = replace(run, logits=run.val_logits, labels=run.val_labels)

    def loss(t):
        return calibration.log_loss(replace(val, logits=val.logits.astype(np.float32) / np.float32(t)))

    assert loss(temperature) < min(loss(temperature * 1.02), loss(temperature / 1.02), loss(1.0) + 1e-9)
    assert calibration.fit_temperature(made_run(val=False)) is None
    # where the derivative of the loss is zero, the label's logit is on average what the probabilities expect
    logits = run.val_logits.astype(float)
    expected = (by_scipy(logits / temperature, axis=1) * logits).sum(axis=1).mean()
    assert expected == pytest.approx(logits[np.arange(len(logits)), run.val_labels].mean(), abs=1e-4)


def test_a_temperature_is_from_a_hundredth_to_a_hundred():
    run = made_run(10, 500)
    right = np.eye(10, dtype=np.float16)[run.val_labels]
    for logits, expected in ((right / 20, 0.01), (100 - 100 * right, 100)):
        assert calibration.fit_temperature(replace(run, val_logits=logits)) == pytest.approx(expected, rel=1e-3)


def test_a_class_without_images_is_left_out_not_made_zero():
    run = made_run(10, 500)
    subset = run.take((run.labels != 3) & (run.predictions != 3))
    table = metrics.class_table(subset)
    assert table.loc[3, "support"] == 0 and table.loc[3, ["recall", "f1", "auc"]].isna().all()
    assert metrics.macro_f1(subset) == pytest.approx(
        sklearn_metrics.f1_score(subset.labels, subset.predictions, average="macro")
    )
    assert np.isfinite(roc_curves.macro_auc(subset))
    one_class = run.take(run.labels == 3)
    assert np.isnan(roc_curves.macro_auc(one_class)) and roc_curves.macro_roc(one_class)["tpr"].isna().all()


def test_pair_scores_and_roc():
    run = made_run(10, 500)
    scores, is_positive, rows = roc_curves.pair_scores(run, 2, 7)
    p = probabilities_in_float64(run)[rows]
    np.testing.assert_allclose(expit(scores), p[:, 2] / (p[:, 2] + p[:, 7]), atol=1e-9)
    assert set(run.labels[rows]) == {2, 7}
    np.testing.assert_array_equal(is_positive, run.labels[rows] == 2)
    curve = roc_curves.roc(scores, is_positive)
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(sklearn_metrics.roc_auc_score(is_positive, scores))
    assert roc_curves.roc(scores, np.zeros(len(scores), bool)).empty


def test_macro_roc_has_the_macro_auc_under_it():
    run = made_run(10, 1500)
    curve = roc_curves.macro_roc(run)
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(roc_curves.macro_auc(run), abs=2e-3)
    assert (np.diff(curve["tpr"]) >= -1e-12).all()
