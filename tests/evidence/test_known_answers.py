"""Small and odd test sets cut from the bundled runs, whose right answers are known beforehand."""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from leaving_out import macro_f1_influence
from sklearn.metrics import f1_score

import cifarcore
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import crossed, metrics, shares
from cifarcore.evidence.comparison import compare
from cifarcore.reports.summary import summary_text
from cifarcore.runs.run import load_run, save_run

BUNDLED = Path(__file__).parents[2] / "checkpoints"
pytestmark = pytest.mark.skipif(
    not (BUNDLED / "cnn-quick-0.npz").exists(), reason="needs the bundled run files: run in a clone of the repository"
)


@cache
def bundled(name):
    return load_run(BUNDLED / f"{name}.npz")


def test_predicted_classes_alone_tell_seeds_from_copies_by_their_errors():
    names, labels = ["cat", "dog"], np.arange(60) % 2
    for errors, refused in ((0, False), (9, False), (10, True)):
        given = np.where(np.arange(60) < errors, 1 - labels, labels)
        a, again, b = (
            cifarcore.Run.from_predictions(
                given, labels, class_names=names, sample_ids=range(60), seed=s, model=m
            )
            for m, s in (("a", 0), ("a", 1), ("b", 0))
        )  # fmt: skip
        if refused:
            with pytest.raises(CifarcoreError, match="one and the same run"):
                compare([a, again], [b])
        else:
            assert compare([a, again], [b]).better == ""


@pytest.fixture(scope="module")
def pair():
    return bundled("cnn-quick-0"), bundled("resnet18-quick-0")


def test_macro_f1_averages_over_the_classes_with_images_the_same_for_both_models(pair):
    few = [run.take(np.flatnonzero(run.labels < 3)) for run in pair]
    row = compare(few[:1], few[1:]).metrics.loc["macro_f1"]
    assert row[["a", "b"]].round(3).tolist() == [0.848, 0.920]
    for run, found in zip(few, row[["a", "b"]], strict=True):
        assert found == pytest.approx(f1_score(run.labels, run.predictions, labels=[0, 1, 2], average="macro"))
        table = metrics.class_table(run, auc=False)
        assert table["f1"].notna().tolist() == [c < 3 for c in range(100)]
    assert 0.03 < row["low"] < row["difference"] < row["high"] < 0.12


def test_the_influence_of_an_image_on_macro_f1_where_classes_have_no_images(pair):
    run = pair[0].take(np.flatnonzero(pair[0].labels < 3)[::4])
    assert len(np.setdiff1d(run.predictions, run.labels)) > 3
    np.testing.assert_allclose(crossed.macro_f1_influence(run), macro_f1_influence(run), atol=1e-12)


def test_one_image_of_each_class_gives_accuracy_an_interval_and_means_over_classes_none(pair):
    first = np.unique(pair[0].labels, return_index=True)[1]
    a, b = (run.take(first) for run in pair)
    table = compare([a], [b]).metrics
    row, only_a, only_b = table.loc["accuracy"], (a.correct & ~b.correct).sum(), (b.correct & ~a.correct).sum()
    assert row["difference"] == pytest.approx(0.13) and row["low"] < 0.05 < 0.2 < row["high"]
    assert (row["low"], row["high"]) == pytest.approx(tuple(map(float, shares.tango_interval(only_a, only_b, 100))))
    for sides in ((a, b), (a, bundled("cnn-quick-1").take(first), b, bundled("resnet18-quick-1").take(first))):
        n = len(sides) // 2
        for name in ("macro_f1", "macro_auc"):
            row = compare(sides[:n], sides[n:]).metrics.loc[name]
            assert np.isnan([row["low"], row["high"], row["p"]]).all() and np.isfinite(row["difference"])
            assert row["method"] == "no interval: 100 classes have a single image"


def test_intervals_cover_from_two_images_a_class_on(pair):
    """Test sets drawn from the bundled ones, class by class; classes of very different sizes last."""
    labels = pair[0].labels
    of_class = [np.flatnonzero(labels == c) for c in range(100)]
    uneven = np.maximum(np.round(190 / np.arange(1, 101)), 2).astype(int)
    rng, sets = np.random.default_rng(1), 250
    for sizes in (np.full(100, 10), np.full(100, 5), np.full(100, 2), uneven):
        weight = sizes[labels] / 100  # of an image of the population that the test sets are drawn from
        truth = {
            "accuracy": np.average(pair[1].correct, weights=weight) - np.average(pair[0].correct, weights=weight),
            "macro_f1": np.subtract(*(
                f1_score(labels, run.predictions, average="macro", sample_weight=weight) for run in pair[::-1]
            )),
        }  # fmt: skip
        covered = dict.fromkeys(truth, 0)
        for _ in range(sets):
            rows = np.concatenate([rng.choice(images, n) for images, n in zip(of_class, sizes, strict=True)])
            runs = [run.take(rows) for run in pair]
            share = shares.accuracy_difference(runs, 1)
            influence = np.stack([crossed.macro_f1_influence(run) for run in runs])
            covariance = crossed.image_covariance(influence, *crossed.strata(runs[0].labels))
            f1 = crossed.difference(np.array([metrics.macro_f1(run) for run in runs]), covariance, 1)
            for name, found in (("accuracy", share), ("macro_f1", f1)):
                covered[name] += bool(found.low <= truth[name] <= found.high)
        assert all(0.93 <= count / sets <= 0.99 for count in covered.values()), (sizes[-1], covered)


def test_nothing_varies_and_no_interval_is_without_a_width(pair):
    right = np.flatnonzero(pair[0].correct & pair[1].correct)[:50]
    more = [bundled(name) for name in ("cnn-quick-1", "cnn-quick-2", "resnet18-quick-1", "resnet18-quick-2")]
    seeds = [pair[0], *more[:2], pair[1], *more[2:]]
    all_right = np.flatnonzero(np.all([run.correct for run in seeds], axis=0))[:50]
    for runs, rows in ((pair, right), (seeds, all_right)):
        few = [run.take(rows) for run in runs]
        result = compare(few[: len(few) // 2], few[len(few) // 2 :])
        row, z2 = result.metrics.loc["accuracy"], shares.Z**2
        assert (row["low"], row["high"]) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)))
        assert row["p"] == 1 and result.better == "" and "95% CI −7.13 to +7.13" in result.sentence
        assert "exact McNemar test, p = 1.0000" in result.sentence
        assert result.metrics.loc["macro_f1", "method"].startswith("no interval")
        for table in (result.metrics, result.class_table, result.pairs):
            for low in (column for column in table if column.endswith("low")):
                width = table[low.removesuffix("low") + "high"] - table[low]
                assert (width.dropna() > 1e-6).all(), low


def test_recall_of_small_classes_over_several_seeds(pair):
    """Five images a class; where every seed is right on all of them, the interval still has a width."""
    rows = np.concatenate([np.flatnonzero(pair[0].labels == c)[:5] for c in range(100)])
    sides = [[bundled(f"{name}-quick-{seed}").take(rows) for seed in range(3)] for name in ("cnn", "resnet18")]
    table = compare(*sides).class_table
    agreeing = 0
    for c in range(100):
        correct = [np.array([run.correct[run.labels == c] for run in side]) for side in sides]
        if all((of == of[0]).all() for of in correct):
            agreeing += 1
            counts = (correct[0][0] & ~correct[1][0]).sum(), (correct[1][0] & ~correct[0][0]).sum()
            expected = tuple(map(float, shares.tango_interval(*counts, 5)))
            assert (table.loc[c, "recall_low"], table.loc[c, "recall_high"]) == pytest.approx(expected)
    assert agreeing > 5 and (table["recall_high"] - table["recall_low"] > 0.05).all()


def test_one_run_is_not_two_seeds(pair, tmp_path):
    copied = shutil.copy(BUNDLED / "cnn-quick-0.npz", tmp_path / "another.npz")
    renamed = replace(load_run(copied), meta={"seed": 1})
    for again in (pair[0], renamed):
        for sides in (([pair[0], again], [pair[1]]), ([pair[1]], [bundled("cnn-quick-1"), pair[0], again])):
            with pytest.raises(CifarcoreError, match="are one and the same run, not two seeds; give it once"):
                compare(*sides)
    with pytest.raises(CifarcoreError, match="one and the same run"):
        cifarcore.compare([pair[0], renamed], pair[1], names=("A", "B"))
    first = load_run(save_run(replace(pair[0], meta=pair[0].meta | {"seed": 7}), tmp_path / "cnn-quick-7.npz"))
    turned = load_run(save_run(first.take(np.arange(10_000)[::-1]), tmp_path / "turned.npz"))
    for again in (first, turned):
        assert again.digest != pair[0].digest
        with pytest.raises(CifarcoreError, match=f"cnn-quick-0 and {again.name} are one and the same run"):
            compare([pair[0], again], [pair[1]])
    with pytest.raises(CifarcoreError, match="cnn-quick-0 and cnn-quick-7 are one and the same run"):
        summary_text([pair[1], bundled("resnet18-longer-0"), pair[0], first])  # of no model that is compared
    assert compare([pair[0]], [pair[0]]).better == ""  # a run may be held against itself
