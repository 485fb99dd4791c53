"""Two models on corrupted images, against NumPy, SciPy and a bootstrap of its own."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats

from cifarcore.evidence.robustness import CLEAN, compare
from cifarcore.runs.corrupted import Corrupted

CONDITIONS = (("fog", 1), ("fog", 5), ("snow", 1), ("snow", 5), ("contrast", 1))
N = 500


def scored(run, drop, seed=0):
    """Predictions of which a share, `drop` times the severity's, is another class than on the clean image."""
    rng = np.random.default_rng(seed)
    predictions = np.stack([run.predictions] * len(CONDITIONS)).astype(np.int16)
    for row, (_, severity) in enumerate(CONDITIONS):
        changed = rng.random(N) < drop * severity
        predictions[row, changed] = rng.integers(10, size=changed.sum())
    return run, Corrupted(run.sample_ids, run.predictions.astype(np.int16), CONDITIONS, predictions)


@pytest.fixture(scope="module")
def models():
    a = [scored(made_run(seed=seed, accuracy=0.6, model="cnn"), 0.12, seed) for seed in (0, 1)]
    b = [scored(made_run(seed=0, accuracy=0.75, model="resnet18"), 0.06, 7)]
    return a, b


def by_hand(side):
    """Correctness (K, N) and clean (N,), means over runs."""
    return (
        np.mean([found.predictions == run.labels for run, found in side], axis=0),
        np.mean([run.correct for run, _ in side], axis=0),
    )


def test_differences_are_paired_by_image(models):
    found = compare(*models)
    (a, clean_a), (b, clean_b) = map(by_hand, models)
    assert found.n_images == N and found.seeds == (2, 1)
    of = {"fog": [0, 1], "snow": [2, 3], "contrast": [4]}
    table = found.by_corruption.set_index("corruption")
    assert table.index.tolist() == list(of)
    for name, rows in of.items():
        test = stats.ttest_rel(b[rows].mean(axis=0), a[rows].mean(axis=0))
        ends = test.confidence_interval(0.95)
        row = table.loc[name]
        assert row["accuracy_a"] == pytest.approx(a[rows].mean()) and row["accuracy_b"] == pytest.approx(b[rows].mean())
        assert (row["low"], row["high"], row["p"]) == pytest.approx((ends.low, ends.high, test.pvalue))
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    assert table["significant"].tolist() == (table["q"] <= 0.05).tolist()
    curves = found.by_severity.set_index("severity")
    assert curves.index.tolist() == [CLEAN, 1, 5]
    for severity, rows in {1: [0, 2, 4], 5: [1, 3]}.items():
        assert curves.loc[severity, "accuracy_a"] == pytest.approx(a[rows].mean())
        assert curves.loc[severity, "difference"] == pytest.approx(b[rows].mean() - a[rows].mean())
    assert curves.loc[CLEAN, "accuracy_b"] == pytest.approx(clean_b.mean())


def test_each_corruption_counts_alike_and_what_is_lost_is_against_the_clean_images(models):
    found = compare(*models)
    (a, clean_a), (b, clean_b) = map(by_hand, models)
    each = [[0, 1], [2, 3], [4]]
    mean_a, mean_b = (np.mean([x[rows].mean(axis=0) for rows in each], axis=0) for x in (a, b))
    assert found.overall.loc["corrupted", "accuracy_a"] == pytest.approx(mean_a.mean())
    lost = found.overall.loc["lost"]
    test = stats.ttest_rel(clean_b - mean_b, clean_a - mean_a)
    assert lost["accuracy_b"] == pytest.approx(clean_b.mean() - mean_b.mean())
    assert (lost["difference"], lost["p"]) == pytest.approx(((clean_b - mean_b - clean_a + mean_a).mean(), test.pvalue))


def test_mean_corruption_error_is_the_mean_of_ratios(models):
    found = compare(*models)
    (a, clean_a), (b, clean_b) = map(by_hand, models)
    each = [[0, 1], [2, 3], [4]]
    ratios = [(1 - b[rows]).sum() / (1 - a[rows]).sum() for rows in each]
    relative = [(clean_b.mean() - b[rows].mean()) / (clean_a.mean() - a[rows].mean()) for rows in each]
    assert found.error.value == pytest.approx(np.mean(ratios)) and found.relative.value == pytest.approx(
        np.mean(relative)
    )
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(1000):
        rows = rng.integers(N, size=N)
        drawn.append(np.mean([(1 - b[c][:, rows]).sum() / (1 - a[c][:, rows]).sum() for c in each]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.error.low, found.error.high) == pytest.approx((low, high), abs=0.15 * (high - low))


def test_swapped_models_swap_the_signs(models):
    there, back = compare(*models), compare(*models[::-1])
    np.testing.assert_allclose(there.by_corruption["difference"], -back.by_corruption["difference"])
    np.testing.assert_allclose(there.overall["low"], -back.overall["high"])


def test_only_images_and_conditions_that_all_have_count(models):
    a, b = models
    run, found = b[0]
    few = replace(
        found, sample_ids=found.sample_ids[::-1][:200], clean=found.clean[::-1][:200],
        conditions=CONDITIONS[1:], predictions=found.predictions[1:, ::-1][:, :200],
    )  # fmt: skip
    part = compare(a, [(run, few)])
    assert part.n_images == 200 and part.by_corruption["corruption"].tolist() == ["fog", "snow", "contrast"]
    rows = slice(300, 500)
    expected = (found.predictions[1] == run.labels)[rows].mean()
    assert part.by_corruption["accuracy_b"].iloc[0] == pytest.approx(expected)


def test_nothing_shared_is_nothing_compared(models):
    a, b = models
    run, found = b[0]
    other = replace(found, conditions=(("frost", 1),), predictions=found.predictions[:1])
    assert compare(a, [(run, other)]) is None and compare(a, []) is None
    elsewhere = replace(found, sample_ids=found.sample_ids + np.uint64(1))
    assert compare(a, [(run, elsewhere)]) is None


def test_a_ratio_without_anything_below_it_is_not_said():
    run, found = scored(made_run(), 0.1)
    perfect = replace(found, predictions=np.stack([run.labels] * len(CONDITIONS)).astype(np.int16))
    none = compare([(run, perfect)], [(run, found)])
    assert np.isnan(none.error.value) and np.isnan(none.relative.value)
    alike = compare([(run, found)], [(run, found)])
    assert alike.by_corruption["p"].eq(1).all() and alike.by_corruption["low"].isna().all() and alike.error.value == 1


def test_an_image_under_two_labels_counts_under_each(models):
    """CIFAR-100 has two such images, which counted twice under the first label."""
    (a, found), _ = models[0][0], models[1]
    rows = np.arange(N)
    rows[1] = 0
    ids, labels = a.sample_ids[rows], a.labels[rows].copy()
    labels[1] = (labels[0] + 1) % 10
    twice = replace(a, sample_ids=ids, labels=labels, logits=a.logits[rows])
    of_ids = replace(found, sample_ids=ids, clean=found.clean[rows], predictions=found.predictions[:, rows])
    both = compare([(twice, of_ids)], [(twice, of_ids)])
    assert both.n_images == N
    assert both.overall.loc["clean", "accuracy_a"] == twice.correct.mean()
    once = replace(
        found, sample_ids=ids[1:], clean=found.clean[rows][1:], predictions=found.predictions[:, rows][:, 1:]
    )
    first = np.arange(N) != 1
    kept = compare([(twice, once)], [(twice, once)])
    assert (kept.n_images, kept.overall.loc["clean", "accuracy_a"]) == (N - 1, twice.correct[first].mean())


def test_a_bootstrap_of_many_images_takes_little_memory(models):
    """Of two million images it took 30 GB, of a file of a few MB."""
    run, found = models[0][0]
    times = 60
    ids = np.arange(N * times, dtype=np.uint64)
    many = replace(run, sample_ids=ids, labels=np.tile(run.labels, times), logits=np.tile(run.logits, (times, 1)))
    of_many = Corrupted(ids, np.tile(found.clean, times), CONDITIONS[:1], np.tile(found.predictions[:1], times))
    tracemalloc.start()
    compare([(many, of_many)], [(many, of_many)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20, "480 MB as one array"
