"""Exact tests, intervals, false discoveries and the bootstrap against statsmodels, scipy and literal loops."""

import numpy as np
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cifarcore import metrics, paired

COUNTS = [(0, 0), (0, 5), (0, 6), (6, 0), (3, 14), (40, 41), (991, 1805), (5000, 4800)]


@pytest.mark.parametrize(("only_a", "only_b"), COUNTS)
def test_mcnemar_equals_statsmodels_and_scipy(only_a, only_b):
    found = paired.mcnemar_p(only_a, only_b)
    assert found == pytest.approx(min(mcnemar([[10, only_a], [only_b, 10]], exact=True).pvalue, 1), rel=1e-9)
    if only_a + only_b:
        assert found == pytest.approx(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue, rel=1e-9)


def test_fewer_discordant_images_than_the_family_asks_for_cannot_reach_five_percent():
    assert paired.mcnemar_p(0, paired.MIN_DISCORDANT) <= paired.ALPHA < paired.mcnemar_p(0, paired.MIN_DISCORDANT - 1)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (57, 100), (6524, 10000)])
def test_wilson_equals_statsmodels(successes, n):
    np.testing.assert_allclose(
        paired.wilson_interval(successes, n), proportion_confint(successes, n, method="wilson"), atol=1e-12
    )


def test_wilson_of_nothing_is_undefined():
    assert np.isnan(paired.wilson_interval(0, 0)).all()


def test_paired_interval_covers():
    rng = np.random.default_rng(0)
    for only_a, only_b in ((0.02, 0.02), (0.1, 0.25), (0.01, 0.1)):
        drawn = rng.multinomial(100, [only_a, only_b, 1 - only_a - only_b], size=20_000)
        low, high = paired.paired_interval(drawn[:, 0], drawn[:, 1], 100)
        assert ((low <= only_b - only_a) & (only_b - only_a <= high)).mean() > 0.945
    low, high = paired.paired_interval(0, 0, 100)
    assert low < 0 < high  # no discordant image among 100 is no proof of equality


def test_benjamini_hochberg_within_the_family():
    p = np.array([0.001, 0.2, 0.012, 0.04, 0.9, 0.03])
    family = np.array([True, True, True, True, False, True])
    found = paired.q_values(p, family)
    np.testing.assert_allclose(found[family], stats.false_discovery_control(p[family]))
    np.testing.assert_allclose(found[family], multipletests(p[family], method="fdr_bh")[1])
    assert np.isnan(found[~family]).all()
    assert np.isnan(paired.q_values(p, np.zeros(6, bool))).all()


def test_bootstrap_resamples_images_within_classes():
    """Against a literal loop that draws images, class by class, and scores them with scikit-learn."""
    a, b = made_run(4, 160, 0.5, model="cnn"), made_run(4, 160, 0.6, model="resnet18")
    right = [metrics.superclass_correct(run) for run in (a, b)]
    found = paired.bootstrap_scores(a.labels, [a.predictions, b.predictions], right, 4, resamples=1500)
    rng, literal = np.random.default_rng(1), []
    for _ in range(1500):
        rows = np.concatenate([rng.choice(np.flatnonzero(a.labels == c), (a.labels == c).sum()) for c in range(4)])
        literal.append([value for run, s in zip((a, b), right, strict=True) for value in (
            run.correct[rows].mean(), s[rows].mean(),
            f1_score(run.labels[rows], run.predictions[rows], average="macro") if len(literal) < 300 else np.nan)])  # fmt: skip
    literal = np.array(literal)
    names = ("accuracy", "superclass_accuracy", "macro_f1")
    for model in (0, 1):
        for k, name in enumerate(names):
            column = literal[:, 3 * model + k]
            column = column[np.isfinite(column)]
            noise = column.std() / np.sqrt(len(column))
            assert found[model][name].mean() == pytest.approx(column.mean(), abs=5 * noise)
            assert found[model][name].std() == pytest.approx(column.std(), rel=5 / np.sqrt(2 * len(column)))
    # the same images are drawn for both models
    assert np.corrcoef(found[0]["accuracy"], found[1]["accuracy"])[0, 1] == pytest.approx(
        np.corrcoef(literal[:, 0], literal[:, 3])[0, 1], abs=0.1
    )


def test_bootstrap_interval_equals_scipys():
    """One class only, where within-class resampling is plain resampling."""
    rng = np.random.default_rng(0)
    labels = np.zeros(150, np.int16)
    a, b = (rng.random(150) < 0.3).astype(np.int64), (rng.random(150) < 0.45).astype(np.int64)
    scores = paired.bootstrap_scores(labels, [a, b], None, 2, resamples=20_000)
    found = paired.percentile_interval(scores[1]["accuracy"] - scores[0]["accuracy"])
    difference = (b == 0).astype(float) - (a == 0)
    expected = stats.bootstrap(
        (difference,), np.mean, n_resamples=20_000, method="percentile", rng=rng
    ).confidence_interval
    np.testing.assert_allclose(found, expected, atol=1.01 / 150)  # to one image


def test_bootstrap_repeats_itself_and_a_run_against_itself_does_not_differ():
    run = made_run(10, 300)
    first, second = (
        paired.bootstrap_scores(run.labels, [run.predictions] * 2, None, 10, resamples=200) for _ in range(2)
    )
    np.testing.assert_array_equal(first[0]["macro_f1"], second[0]["macro_f1"])
    np.testing.assert_array_equal(first[0]["f1"], first[1]["f1"])
    assert first[0]["f1"].shape == (200, 10)


def test_many_images_of_one_class_are_drawn_in_blocks():
    n = 70_000
    labels, predictions = np.zeros(n, np.int16), np.arange(n) % 2
    scores = paired.bootstrap_scores(labels, [predictions], None, 2, resamples=300)[0]["accuracy"]
    assert scores.shape == (300,)
    assert scores.std() == pytest.approx(np.sqrt(0.25 / n), rel=0.2)
