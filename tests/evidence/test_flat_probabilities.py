"""Probabilities that lie close together, as of many classes and a model that is sure of none, keep their order."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from import_checks import taken
from scipy.special import expit, log_expit, softmax
from sklearn.metrics import log_loss, roc_auc_score, top_k_accuracy_score

from cifarcore import CifarcoreError, Run, compare, load_run, save_run
from cifarcore.evidence.metrics import top_k_accuracy
from cifarcore.evidence.roc_curves import class_auc, macro_auc
from cifarcore.evidence.softmax import confidence, probabilities
from cifarcore.runs.scores import STORED_AS

N_CLASSES, N_IMAGES = 100, 2000


def flat(spread, seed=0, n_classes=N_CLASSES):
    """Labels and probabilities (N, C) that differ by some `spread` of their size, as cosines without a temperature."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, N_IMAGES)
    scores = rng.normal(0, spread, (N_IMAGES, n_classes))
    scores[np.arange(N_IMAGES), labels] += 2.5 * spread
    return labels, softmax(scores, axis=1).astype(np.float32)


def run_of(given, labels, model="flat"):
    names = [f"class {c}" for c in range(given.shape[1])]
    return Run.from_predictions(given, labels, class_names=names, sample_ids=range(1, len(given) + 1), model=model)


@pytest.mark.parametrize("spread", [1.0, 0.3, 0.025, 0.002])
@pytest.mark.parametrize("kind", ["probabilities", "log_probabilities"])
def test_their_metrics_are_those_of_scikit_learn(spread, kind, tmp_path):
    labels, given = flat(spread)
    run = run_of(np.log(given) if kind == "log_probabilities" else given, labels)
    run = load_run(save_run(run, tmp_path / "x.npz"))
    np.testing.assert_allclose(probabilities(run), given, rtol=1e-6 if spread < 0.5 else 1e-2)
    assert top_k_accuracy(run, 5) == pytest.approx(top_k_accuracy_score(labels, given, k=5), abs=1.1 / N_IMAGES)
    exact = given.astype(np.float64) / given.sum(axis=1, keepdims=True, dtype=np.float64)
    close = 1e-6 if spread < 0.5 else 1e-4
    assert macro_auc(run) == pytest.approx(roc_auc_score(labels, exact, multi_class="ovr"), abs=close)
    log_losses = compare(run, run_of(given[:, ::-1], labels, "other")).metrics.loc["log_loss"]
    assert log_losses["a"] == pytest.approx(log_loss(labels, exact), abs=1e-3)


def test_an_import_keeps_them_as_well(tmp_path):
    labels, given = flat(0.002)
    table = pd.DataFrame(given, columns=[f"class {c}" for c in range(N_CLASSES)])
    table.assign(label=[f"class {c}" for c in labels]).to_csv(tmp_path / "flat.csv", index=False)
    found = taken(tmp_path / "flat.csv", tmp_path, order="rows", test_set="some").run
    run = load_run(save_run(found, tmp_path / "x.npz"))
    assert run.logits.dtype == np.float32
    np.testing.assert_allclose(probabilities(run), given, rtol=1e-6)


def test_equal_probabilities_stay_equal_of_whatever_image():
    labels, given = flat(0.02)
    given[::2, 4] += given[::2, 3] - np.float32(0.01)  # sums stay
    given[::2, 3] = 0.01
    assert len(np.unique(probabilities(run_of(given, labels))[::2, 3])) == 1


def test_one_image_in_ten_is_enough():
    labels, given = flat(4.0)
    given[::10] = flat(0.003)[1][::10]
    run = run_of(given, labels)
    assert run.logits.dtype == np.float32
    assert top_k_accuracy(run, 5) == pytest.approx(top_k_accuracy_score(labels, given, k=5), abs=1.1 / N_IMAGES)


@pytest.mark.parametrize("n_classes", [2, 10, 1000])
def test_those_of_a_model_that_is_sure_of_some_are_kept_as_float16(n_classes, tmp_path):
    labels, given = flat(3.0, n_classes=n_classes)
    run = run_of(given, labels)
    assert run.logits.dtype == load_run(save_run(run, tmp_path / "x.npz")).logits.dtype == np.float16
    assert STORED_AS not in run.meta


@pytest.mark.parametrize("as_probabilities", [False, True])
@pytest.mark.parametrize("beneath", ["prior", "one class far ahead"])
def test_what_differs_little_from_image_to_image_keeps_its_order(beneath, as_probabilities, tmp_path):
    """Each image's scores lie far apart, but those of a class hardly differ."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, N_CLASSES, N_IMAGES)
    told = rng.normal(0, 1.5, (N_IMAGES, N_CLASSES)) + 3.0 * (labels[:, None] == np.arange(N_CLASSES))
    prior = rng.normal(0, 3, N_CLASSES)
    given = 0.01 * told + prior if beneath == "prior" else 0.3 * told + 60 * (np.arange(N_CLASSES) == 0)
    given = given.astype(np.float32)
    exact = softmax(given.astype(np.float64), axis=1)
    run = run_of(exact.astype(np.float32) if as_probabilities else given, labels)
    run = load_run(save_run(run, tmp_path / "x.npz"))
    by_hand = [roc_auc_score(labels == c, exact[:, c]) for c in range(1, N_CLASSES)]
    np.testing.assert_allclose(class_auc(run)[1:], by_hand, atol=2e-4)
    assert top_k_accuracy(run, 5) == pytest.approx(top_k_accuracy_score(labels, given, k=5), abs=1.1 / N_IMAGES)


@pytest.mark.parametrize("form", ["probabilities", "what is left of one", "log_probabilities"])
def test_what_a_sure_model_leaves_of_one_ranks_its_images(form, tmp_path):
    """As naive Bayes: in double precision, of which single precision, and float16 of logarithms, make 1."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, N_IMAGES)
    margin = 12.0 * (rng.normal(0, 1, N_IMAGES) + 2 * labels - 1)
    exact = expit(np.stack([-margin, margin], axis=1))
    if form == "what is left of one":
        exact[:, 0] = 1 - exact[:, 1]
    exact[margin.argmax(), 1] = 1 + 2e-16  # as sums and exponentials in double precision may come to
    with np.errstate(divide="ignore"):
        run = run_of(log_expit(np.stack([-margin, margin], axis=1)) if form[:3] == "log" else exact, labels)
    run = load_run(save_run(run, tmp_path / "x.npz"))
    by_hand = [roc_auc_score(labels == c, exact[:, c]) for c in range(2)]
    np.testing.assert_allclose(class_auc(run), by_hand, atol=2e-4)
    right = run.correct
    assert roc_auc_score(right, confidence(run)) == pytest.approx(roc_auc_score(right, exact.max(axis=1)), abs=2e-4)


def test_logarithms_of_a_sure_model_may_lie_beyond_float16(recwarn):
    left = -np.geomspace(1e-12, 1e-3, 40)
    run = run_of(np.stack([left, np.full(40, -7e4), np.full(40, -8e4)], axis=1), np.arange(40) % 3)
    np.testing.assert_allclose(run.logits[:, 0], left, rtol=1e-6)
    assert not [each for each in recwarn if issubclass(each.category, RuntimeWarning)]


def test_single_precision_written_as_double_stays_float16():
    labels, given = flat(6.0, n_classes=10)
    given = given.astype(np.float64)
    assert (given.max(axis=1) > 1 - 1e-6).mean() > 0.05 and run_of(given, labels).logits.dtype == np.float16


@pytest.mark.parametrize("written", ["x", True, 3, None, [], {}])
def test_what_a_file_says_of_it_may_be_anything(written, tmp_path):
    labels, given = flat(0.3)
    run = run_of(given, labels)
    other = replace(run, meta=run.meta | {STORED_AS: written}, digest="")
    assert load_run(save_run(other, tmp_path / "x.npz")).logits.dtype == np.float16


def fine():
    """Probabilities that differ by 1e-7 of their size and less, as AdaBoost's of many classes."""
    labels, given = flat(0.3)
    return labels, softmax(1e-7 * given.astype(np.float64), axis=1)


def test_what_float32_cannot_tell_apart_is_refused():
    labels, given = fine()
    with pytest.raises(CifarcoreError, match="scores: .*% of the scores that differ are equal in float32.*; give"):
        run_of(given, labels)


def test_probabilities_that_differ_from_image_to_image_by_less_are_refused():
    labels, given = flat(0.3)
    given = np.full_like(given, 0.0, dtype=np.float64) + (np.abs(given - given.max(axis=1, keepdims=True)) == 0)
    given = 1 + 1e-3 * given + 1e-9 * np.arange(N_IMAGES)[:, None] * (np.arange(N_CLASSES) == 7)
    with pytest.raises(CifarcoreError, match="decision_function"):
        run_of(given / given.sum(axis=1, keepdims=True), labels)


def test_a_model_that_is_sure_of_all_is_not_refused():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, N_IMAGES)
    logits = np.stack([-rng.uniform(15, 40, N_IMAGES), np.zeros(N_IMAGES)], axis=1)
    given = softmax(np.where(labels[:, None] == 1, logits, logits[:, ::-1]), axis=1)
    assert run_of(given, labels).correct.all()


def test_probabilities_below_the_floor_are_not_refused():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, N_IMAGES)
    given = softmax(rng.normal(0, 60, (N_IMAGES, 10)) + 200 * np.eye(10)[labels], axis=1)
    assert (given < 1e-38).mean() > 0.5 and run_of(given, labels).correct.mean() > 0.9


def test_the_noise_of_means_is_no_difference():
    rng = np.random.default_rng(0)
    votes = rng.integers(0, 10, (10, 500, 4)) / 10.0
    votes /= votes.sum(axis=2, keepdims=True) + 1e-300
    labels = rng.integers(0, 4, 500)
    votes[:] = votes[:1]  # means of equal numbers, in double precision
    given = votes.mean(axis=0) + rng.normal(0, 1e-17, (500, 4))
    rows = np.abs(given.sum(axis=1) - 1) < 1e-9
    assert len(run_of(given[rows], labels[rows]).labels) == rows.sum()
