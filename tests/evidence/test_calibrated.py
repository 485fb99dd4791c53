"""Brier score and log loss, paired, before and after temperature scaling, against scikit-learn and by simulation."""

from dataclasses import replace

import numpy as np
import pytest
from made import classes_only, made_run
from scipy import stats
from scipy.special import log_softmax
from scipy.special import softmax as by_scipy
from sklearn import metrics as sk

from cifarcore.evidence import calibrated, calibration, crossed
from cifarcore.reports.result import compare
from cifarcore.reports.tables import overview
from cifarcore.runs.run import Run

A = [made_run(10, 600, 0.55, seed) for seed in range(3)]
B = [made_run(10, 600, 0.62, seed, model="resnet18") for seed in range(3)]


def probabilities(run, temperature):
    return by_scipy(run.logits.astype(float) / temperature, axis=1)


@pytest.mark.parametrize("temperature", [1.0, 2.3])
def test_scores_equal_scikit_learn(temperature):
    run = A[0]
    brier, loss = calibration.score_terms(run, temperature)
    p = probabilities(run, temperature)
    assert loss.mean() == pytest.approx(sk.log_loss(run.labels, p, labels=range(10)))
    expected = [sk.brier_score_loss(run.labels == c, p[:, c]) for c in range(10)]
    assert brier.mean() == pytest.approx(np.sum(expected))
    if temperature == 1:
        np.testing.assert_allclose(brier, calibration.brier_terms(run), atol=1e-5)
        np.testing.assert_allclose(loss, calibration.log_loss_terms(run), atol=1e-5)


@pytest.mark.parametrize("n", [1, 3])
def test_both_models_are_compared_before_and_after(n):
    runs = [*A[:n], *B[:n]]
    table = calibrated.compared(runs, n).set_index(["score", "when"])
    assert list(table.index) == [(s, w) for w in (calibrated.BEFORE, calibrated.AFTER) for s in calibrated.SCORES]
    for (score, when), row in table.iterrows():
        temperatures = [calibration.fit_temperature(run) if when == calibrated.AFTER else 1 for run in runs]
        p = [probabilities(run, t) for run, t in zip(runs, temperatures, strict=True)]
        truth = np.eye(10)[runs[0].labels]
        each = [((q - truth) ** 2).sum(axis=1) if score == "brier" else -np.log((q * truth).sum(axis=1)) for q in p]
        covariance = sum(
            (runs[0].labels == c).sum() * np.cov(np.array(each)[:, runs[0].labels == c] / 600) for c in range(10)
        )
        found = crossed.difference(np.mean(each, axis=1), covariance, n)
        numbers = [found.difference, found.low, found.high, found.p]
        assert row[["difference", "low", "high", "p"]].tolist() == pytest.approx([float(x) for x in numbers])
        assert row["b"] - row["a"] == pytest.approx(row["difference"]) and row["why"] == ""
        if n == 1 and when == calibrated.BEFORE:  # a stratified z-test: about the paired t-test's p
            assert stats.norm.isf(row["p"] / 2) == pytest.approx(abs(stats.ttest_rel(*each).statistic), rel=0.1)
    metrics = compare(runs[:n], runs[n:]).metrics
    for score in calibrated.SCORES:
        row, before = metrics.loc[score], table.loc[(score, calibrated.BEFORE)]
        assert row[["low", "high", "p"]].tolist() == pytest.approx(before[["low", "high", "p"]].tolist(), abs=1e-5)
        assert before["method"].split(", df")[0] == row["method"].split(", df")[0]  # df is of float32 there


def test_the_method_is_named_as_in_the_table_of_metrics_and_where_nothing_varies_that_is_said():
    same = replace(A[0], meta=A[0].meta | {"model": "same"}, digest="same")
    turns = np.where(np.arange(600) % 2, 1.25, 0.75)[:, None].astype(np.float16)  # alike but for images of their own
    alike = [replace(run, logits=A[0].logits * by) for run, by in zip(A[:2], (turns, turns[::-1]), strict=True)]
    for runs, n, method in (
        ((A[0], same), 1, "no interval: nothing varies"),
        ((*alike, B[0]), 2, "z-test, images as random effects (seeds add no variance)"),
    ):
        scores = compare(runs[:n], runs[n:], names=("A", "B")).metrics.loc[list(calibrated.SCORES)]
        table = calibrated.compared(runs, n)
        named = [of.split(", df")[0] for of in table.loc[table["when"] == calibrated.BEFORE, "method"]]
        assert named == [of.split(", df")[0] for of in scores["method"]] and named[1] == method


def test_what_is_absent_says_why_and_is_shown_nowhere():
    bare = replace(B[0], val_logits=None, val_labels=None, val_sample_ids=None, digest="bare")
    table = calibrated.compared([A[0], bare], 1).set_index(["when", "score"])
    assert (table.loc[calibrated.BEFORE, "why"] == "").all()
    after = table.loc[calibrated.AFTER]
    assert (after["why"] == "resnet18-made has no validation split to fit a temperature on").all()
    assert after[["a", "b", "difference", "low", "high", "p"]].isna().all(axis=None)
    result = compare(A[0], bare)
    assert overview.calibration_table(result.sides)["Measure"].tolist() == [
        "Brier score, before temperature scaling", "Log loss (nats), before temperature scaling",
    ]  # fmt: skip
    note = "No comparison after temperature scaling: resnet18-made has no validation split to fit a temperature on."
    assert overview.calibration_notes(result.sides) == [note] and note in result.html()
    hard = calibrated.compared([A[0], classes_only(B[0])], 1)
    assert hard["why"].str.contains("without scores").all() and hard["difference"].isna().all()


def test_the_report_and_the_json_show_the_same():
    result = compare(A[0], B[0])
    table = overview.calibration_table(result.sides)
    assert len(table) == 4
    for row, written in zip(table.to_dict("records"), result.to_dict()["calibration"], strict=True):
        assert row["B − A"] == f"{written['difference']:+.4f}".replace("-", "−")
        assert row["95% CI of B − A"] in result.html()


def test_the_interval_covers_where_one_model_is_calibrated_and_the_other_is_not():
    """Labels are drawn from A's own probabilities; B is as accurate and too sure of itself."""
    rng, n, sets, size = np.random.default_rng(0), 40_000, 500, 1000
    logits = (2.2 * rng.standard_normal((n, 10))).astype(np.float16)
    chances = by_scipy(logits.astype(float), axis=1)
    labels = (chances.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1).astype(np.int16)
    a = Run(np.array([f"c{k}" for k in range(10)]), np.arange(n, dtype=np.uint64), labels, logits)
    b = replace(a, logits=(logits * np.float16(1.25)))
    assert calibration.expected_calibration_error(a) < 0.01 < 0.03 < calibration.expected_calibration_error(b)
    expected = -(chances * (log_softmax(b.logits.astype(float), axis=1) - np.log(chances))).sum(axis=1).mean()
    terms = [calibration.score_terms(run) for run in (a, b)]
    truth = [of_b.mean() - of_a.mean() for of_a, of_b in zip(*terms, strict=True)]
    assert truth[1] == pytest.approx(expected, rel=0.2) and min(truth) > 0  # calibrated probabilities score best
    for place in (0, 1):
        covered, each = 0, np.stack([of[place] for of in terms])
        for _ in range(sets):
            rows = rng.integers(n, size=size)
            covariance = crossed.image_covariance(each[:, rows] / size, *crossed.strata(labels[rows]))
            found = crossed.difference(each[:, rows].mean(axis=1), covariance, 1)
            covered += found.low <= truth[place] <= found.high
        assert 0.93 <= covered / sets <= 0.97
