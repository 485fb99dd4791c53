"""Constructed comparisons whose right answer is plain: nothing silently wrong, and no two sentences that disagree."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore import Run, compare
from cifarcore.evidence import abstention, calibrated, comparison, crossed, power
from cifarcore.reports.tables import decisions


def scored(scores, labels, model, seed=0):
    names, ids = [f"c{i}" for i in range(scores.shape[1])], range(len(labels))
    return Run.from_predictions(
        scores, labels, class_names=names, sample_ids=ids, kind="logits", model=model, seed=seed
    )  # fmt: skip


def run_of(labels, skill, model, seed=0, n_classes=5):
    """Scores of chance, of which the label's is `skill` higher."""
    scores = np.random.default_rng([seed, len(model), abs(round(10 * skill))]).standard_normal((len(labels), n_classes))
    scores[np.arange(len(labels)), labels] += skill
    return scored(scores, labels, model, seed)


@pytest.mark.parametrize("seeds", [(1, 1), (2, 3)])
def test_all_right_against_all_wrong_varies_in_nothing(seeds):
    labels = np.arange(50) % 5
    sides = [
        [run_of(labels, skill, m, s) for s in range(n)] for n, skill, m in zip(seeds, (-99, 99), "ab", strict=True)
    ]
    result = compare(*sides)
    assert result.better == "B"
    auc = result.metrics.loc["macro_auc"]
    assert (auc["a"], auc["b"], auc["method"]) == (0, 1, "no interval: nothing varies")
    area = abstention.compared_augrc([*sides[0], *sides[1]], seeds[0])
    assert (area.a, area.b) == (0.5, 0) and np.isnan([area.low, area.high, area.p]).all() and area.why
    assert "∞" in decisions.flip_text([sides[0][0], sides[1][0]], 1)
    for table in (result.metrics, result.classes, result.pairs):
        for low in (column for column in table if column.endswith("low")):
            width = table[low.removesuffix("low") + "high"] - table[low]
            assert (width.dropna() > 1e-6).all(), low


@pytest.mark.parametrize("n", [1, 2, 19])
def test_of_a_few_images_no_normal_interval_is_given(n):
    labels = np.arange(n) % 2
    a, b = run_of(labels, 1, "a"), run_of(labels, 3, "bb")
    table = compare(a, b).metrics
    for name, row in table.iterrows():
        if name in ("accuracy", "superclass_accuracy"):
            continue
        assert np.isnan([row["low"], row["high"], row["p"]]).all(), name
    assert table.loc["brier", "method"] == "no interval: fewer than 20 images"
    assert np.isfinite(table.loc["accuracy", ["low", "high", "p"]].astype(float)).all()
    assert calibrated.compared([a, b], 1)["why"].ne("").all()
    for found in (abstention.compared_augrc([a, b], 1), abstention.compared_coverage([a, b], 1)):
        assert (
            np.isnan(found.low)
            and found.why == "fewer than 20 images, too few for an interval"
            and np.isfinite(found.b)
        )
    more = compare(*(run.take(np.r_[:20]) for run in (made_run(2, 40), made_run(2, 40, 0.8, model="b")))).metrics
    assert np.isfinite(more.loc["brier", ["low", "high"]].astype(float)).all() and crossed.FEW_IMAGES == 20


def test_one_image_is_one_image():
    labels = np.zeros(1, int)
    assert "of 1 image and" in compare(run_of(labels, 99, "a"), run_of(labels, 99, "bb")).sentence
    labels = np.arange(30) % 5
    best = run_of(labels, 99, "a")
    scores = np.array(best.logits, float)
    scores[0, labels[0]] = -200
    assert "only B is correct on 0 images, only A on 1 " in compare(best, scored(scores, labels, "b")).sentence
    assert "only B is correct on 1 image, only A on 0 " in compare(scored(scores, labels, "b"), best).sentence


def test_no_more_than_a_hundred_points_can_be_detected():
    labels = np.arange(6)
    runs = [run_of(labels, skill, model, seed, 6) for skill, model, seed in ((-9, "a", 0), (9, "a", 1), (2, "b", 0))]
    found = power.detectable(runs, 2)
    assert np.isnan(found.difference) and found.share.error * power.smallest_ratio(found.share.df) > 1
    assert "do not even detect one of 100 points" in decisions.detectable_text(runs, 2)


def test_the_same_scores_on_both_sides_are_said():
    a, b = made_run(), made_run(model="resnet18")
    shared = replace(a, meta=a.meta | {"model": "again"}, digest="again")
    for sides in ((a, shared), (shared, a), ([a, made_run(seed=1)], shared)):
        assert compare(*sides).notes[0].endswith("-made-0: the same scores are in A and in B.")
    assert compare(a, a, names=("x", "y")).notes[0] == "cnn-made-0: the same scores are in A and in B."
    assert "the same scores" not in " ".join(compare(a, b).notes)


def test_the_same_scores_at_other_images_are_doubted():
    """As where a folder's files were taken in the order of another framework, whose labels are the same."""
    a = made_run()
    rows = np.arange(a.n_images)
    for label in range(a.n_classes):
        of_class = np.flatnonzero(a.labels == label)
        rows[of_class] = np.roll(of_class, 1)
    shuffled = replace(a, logits=a.logits[rows], meta=a.meta | {"model": "again"}, digest="again")
    said = "hold the same scores for different images"
    for sides in ((a, shuffled), (shuffled, a), ([made_run(seed=1), a], shuffled)):
        (note,) = [note for note in compare(*sides).notes if said in note]
        assert "cnn-made-0 and again-made-0" in note or "again-made-0 and cnn-made-0" in note
    assert said not in " ".join(compare(a, made_run(model="resnet18")).notes + compare(a, a, names=("x", "y")).notes)


def test_each_run_is_sorted_once_to_know_its_scores_at_other_images(monkeypatch):
    """Those of all pairs of three hundred seeds a side take minutes."""
    runs, sorted_arrays, sort = [made_run(seed=seed, n_images=100) for seed in range(12)], [], np.sort
    monkeypatch.setattr(np, "sort", lambda *given, **named: sorted_arrays.append(given) or sort(*given, **named))
    assert comparison._in_both(runs, 6) == [] and len(sorted_arrays) == len(runs)


def test_the_table_and_the_sentence_of_abstention_have_the_same_digits():
    runs = [made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.7)]
    for allowed in (0.025, 0.05, 0.1, 0.3):
        table, coverage = decisions.abstention_table(runs, 1, allowed)
        row = table.iloc[1]
        text = decisions.abstention_text(coverage, allowed, ("a", "b"))
        assert f"At {100 * allowed:g}% errors b (B) answers {row['B']}% of images and a (A) {row['A']}%" in text
        assert f"(B − A {row['B − A']} points, 95% CI {row['95% CI']})" in text
