"""The whole comparison: verdicts, claims, seeds, partial overlap; each number against a plain computation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import f1_score, recall_score, roc_auc_score

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison, delong, metrics, roc_curves
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run, save_run


@pytest.fixture(scope="module")
def runs():
    return {
        "a": [made_run(20, 1000, 0.50, seed, "cnn") for seed in range(3)],
        "b": [made_run(20, 1000, 0.60, seed, "resnet18") for seed in range(3)],
    }


@pytest.fixture(scope="module")
def single(runs):
    return comparison.compare(runs["a"][:1], runs["b"][:1])


@pytest.fixture(scope="module")
def seeds(runs):
    return comparison.compare(runs["a"], runs["b"])


def test_single_pair_verdict(runs, single):
    a, b = runs["a"][0].correct, runs["b"][0].correct
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    assert single.better == "B" and single.verdict.startswith("resnet18-made beats cnn-made by ")
    assert single.metrics.loc["accuracy", "p"] == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
    assert f"only B is correct on {only_b} images, only A on {only_a}" in single.sentence
    assert any("With one seed each" in note for note in single.notes)
    swapped = comparison.compare(runs["b"][:1], runs["a"][:1])
    assert swapped.better == "A" and swapped.verdict == single.verdict
    np.testing.assert_allclose(swapped.metrics["difference"], -single.metrics["difference"])


def test_metric_values_are_those_of_the_runs(runs, single, seeds):
    for result, n in ((single, 1), (seeds, 3)):
        for letter in "ab":
            values = [metrics.headline(run) for run in runs[letter][:n]]
            for name, row in result.metrics.iterrows():
                assert row[letter] == pytest.approx(np.mean([value[name] for value in values]))
                if n > 1:
                    assert row[f"std_{letter}"] == pytest.approx(np.std([value[name] for value in values], ddof=1))
        np.testing.assert_allclose(result.metrics["difference"], result.metrics["b"] - result.metrics["a"])
        tested = result.metrics.drop(index="ece")  # which is biased, so that it has no interval
        inside = tested["low"] <= tested["difference"]
        assert inside.all() and (tested["difference"] <= tested["high"]).all()


def test_seeds_are_not_an_ensemble(runs, seeds):
    averaged = np.mean([run.logits.astype(float) for run in runs["b"]], axis=0).argmax(axis=1)
    assert (averaged == runs["b"][0].labels).mean() > seeds.metrics.loc["accuracy", "b"] + 0.01
    assert not any("one seed" in note for note in seeds.notes)


def test_spread_between_seeds_widens_the_interval(runs, seeds):
    accuracies = [0.45, 0.55, 0.65]
    spread = [made_run(20, 1000, accuracy, seed, "resnet18") for seed, accuracy in enumerate(accuracies)]
    wide = comparison.compare(runs["a"], spread)
    row, narrow = wide.metrics.loc["accuracy"], seeds.metrics.loc["accuracy"]
    assert row["high"] - row["low"] > 3 * (narrow["high"] - narrow["low"])
    assert wide.better == "" and wide.verdict.startswith("No significant difference in accuracy")


def test_no_seed_is_told_of_runs_that_gave_none(runs):
    meta = {"imported": {}, "seed": 0, "scores": "logits"}
    a, b = (replace(runs[letter][0], meta=meta) for letter in "ab")
    (note,) = (note for note in comparison.compare([a], [b]).notes if "With one run each" in note)
    assert "seed" not in note and "these two trained models" in note


def test_names_of_classes_are_shown_with_spaces():
    a, b = made_run(5, 500, 0.3, superclasses=False), made_run(5, 500, 0.9, model="resnet18", superclasses=False)
    names = np.array(["Tri_angle", "b_b", "c_c", "d_d", "e_e"])
    sentence = comparison.compare([replace(a, class_names=names)], [replace(b, class_names=names)]).sentence
    assert "b b (" in sentence or "Tri angle (" in sentence or "c c (" in sentence
    assert "_" not in sentence


def test_one_seed_against_several_says_so(runs):
    result = comparison.compare(runs["a"][:1], runs["b"])
    assert any("one seed of A" in note for note in result.notes)
    assert result.metrics.loc["accuracy", "method"].count("seeds")


def test_a_run_against_itself_differs_in_nothing(runs):
    for a in (runs["a"][:1], runs["a"]):
        result = comparison.compare(a, a)
        assert result.better == ""
        assert (result.metrics["difference"] == 0).all()
        assert (result.metrics["p"].dropna() == 1).all()
        for table in (result.class_table, result.cells, result.pairs):
            assert (table["claim"] == "").all()


def test_class_table(runs, single, seeds):
    for result, n in ((single, 1), (seeds, 3)):
        for letter in "ab":
            chosen = runs[letter][:n]
            recall = np.mean([recall_score(run.labels, run.predictions, average=None) for run in chosen], axis=0)
            f1 = np.mean([f1_score(run.labels, run.predictions, average=None) for run in chosen], axis=0)
            np.testing.assert_allclose(result.class_table[f"recall_{letter}"], recall)
            np.testing.assert_allclose(result.class_table[f"f1_{letter}"], f1)
            auc = np.mean([roc_curves.class_auc(run) for run in chosen], axis=0)
            np.testing.assert_allclose(result.class_table[f"auc_{letter}"], auc)
        table = result.class_table
        for name in ("recall", "f1", "auc"):
            assert (
                (table[f"{name}_low"] <= table[f"{name}_difference"])
                & (table[f"{name}_difference"] <= table[f"{name}_high"])
            ).all()


def mid_p(only_a, only_b):
    """The exact McNemar test, less half of the outcomes as likely as this one."""
    n, fewer = int(only_a + only_b), int(min(only_a, only_b))
    exact = stats.binomtest(fewer, n).pvalue
    return exact if 2 * fewer == n else exact - stats.binom.pmf(fewer, n, 0.5)


def test_class_claims_are_mid_p_mcnemar_with_false_discoveries_controlled(runs, single):
    a, b, table = runs["a"][0], runs["b"][0], single.class_table
    counts = [
        [int((x & ~y & (a.labels == c)).sum()) for x, y in ((a.correct, b.correct), (b.correct, a.correct))]
        for c in range(20)
    ]
    assert table[["only_a", "only_b"]].to_numpy().tolist() == counts
    family = [c for c in range(20) if sum(counts[c]) >= 6]
    p = [mid_p(*counts[c]) for c in family]
    q = stats.false_discovery_control(p)
    np.testing.assert_allclose(table["p"][family], p)
    np.testing.assert_allclose(table["q"][family], q)
    expected = {
        c: "" if q_c > 0.05 else "improved" if counts[c][1] > counts[c][0] else "declined"
        for c, q_c in zip(family, q, strict=True)
    }
    assert table["claim"].to_dict() == {c: expected.get(c, "") for c in range(20)}
    assert "improved" in expected.values()


def test_cells(runs, single):
    a, b, table = runs["a"][0], runs["b"][0], single.cells
    difference = metrics.confusion(b) - metrics.confusion(a)
    expected = 0
    for t in range(20):
        for p in range(20):
            in_a, in_b = ((run.predictions == p) & (run.labels == t) for run in (a, b))
            expected += t != p and (in_a ^ in_b).sum() >= 6
    assert len(table) == expected > 0
    for _, row in table.iterrows():
        assert row["difference"] == pytest.approx(difference[row["true"], row["predicted"]])
        assert row["p"] == pytest.approx(mid_p(row["only_a"], row["only_b"]))
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))


def test_pairs(runs, single, seeds):
    row = single.pairs.iloc[0]
    for letter in "ab":
        _, positive, rows = roc_curves.pair_scores(runs[letter][0], row["first"], row["second"])
        margin = runs[letter][0].logits[rows, row["first"]].astype(float) - runs[letter][0].logits[rows, row["second"]]
        assert row[letter] == pytest.approx(roc_auc_score(positive, margin))
    both = sum(metrics.confusion(runs[letter][0]).toarray() for letter in "ab")
    both = both + both.T
    np.fill_diagonal(both, 0)
    assert row["confused"] == both.max() == both[row["first"], row["second"]]
    assert (np.diff(single.pairs["confused"]) <= 0).all()
    assert set(single.pairs["claim"]) <= {"", "improved", "declined"}
    assert np.isfinite(seeds.pairs["p"]).all()


def test_auc_interval_is_delongs(runs, single):
    areas = delong.one_vs_rest([runs["a"][0], runs["b"][0]])
    variance = areas.covariance[4, 0, 0] + areas.covariance[4, 1, 1] - 2 * areas.covariance[4, 0, 1]
    row = single.class_table.loc[4]
    assert row["auc_high"] - row["auc_difference"] == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-5)


def test_partial_overlap_and_other_order(runs):
    a, b = runs["a"][0], runs["b"][0]
    shuffled = b.take(np.random.default_rng(0).permutation(1000)[:700])
    part = comparison.compare([a], [shuffled])
    same = comparison.compare(
        [a.take(np.isin(a.sample_ids, shuffled.sample_ids))], [b.take(np.isin(a.sample_ids, shuffled.sample_ids))]
    )
    assert "Only the 700 images" in part.notes[0] and "300" in part.notes[0]
    np.testing.assert_allclose(part.metrics["difference"], same.metrics["difference"])
    with pytest.raises(RunFileError, match="no test image"):
        comparison.compare([a], [replace(b, sample_ids=b.sample_ids + np.uint64(1))])
    with pytest.raises(CifarcoreError, match="no run"):
        comparison.compare([a], [])


def test_exact_duplicates_are_told(runs):
    a, b = runs["a"][0], runs["b"][0]
    ids = a.train_neighbor_ids.copy()
    ids[:10, 1] = a.sample_ids[:10]
    a = replace(a, train_neighbor_ids=ids)
    notes = comparison.compare([a], [b]).notes
    expected = f"{a.correct[10:].mean():.4f} (A) and {b.correct[10:].mean():.4f} (B)"
    assert any(note.startswith("10 test images") and expected in note for note in notes)


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 60), (3, 5), (300, 600)])
@pytest.mark.parametrize("n_seeds", [1, 2])
def test_other_sizes(n_classes, n_images, n_seeds):
    a, b = (
        [made_run(n_classes, n_images, 0.5, seed, model, superclasses=n_classes != 3) for seed in range(n_seeds)]
        for model in ("cnn", "vit")
    )
    result = comparison.compare(a, b)
    assert result.class_table["support"].sum() == n_images and len(result.class_table) == n_classes
    assert np.isnan(result.metrics.loc["superclass_accuracy", "a"]) == (n_classes == 3)


def test_a_class_without_images(runs):
    a, b = (run.take(run.labels != 5) for run in (runs["a"][0], runs["b"][0]))
    result = comparison.compare([a], [b])
    assert result.class_table.loc[5, ["recall_a", "recall_low", "auc_a", "auc_low", "p", "q"]].isna().all()
    assert result.metrics["difference"].notna().all() and result.metrics["low"].drop("ece").notna().all()


def test_bundled_runs_differ_and_each_is_like_itself():
    folder = Path(__file__).parents[2] / "checkpoints"
    paths = {model: [folder / f"{model}-quick-{seed}.npz" for seed in range(3)] for model in ("cnn", "resnet18")}
    if not all(path.exists() for files in paths.values() for path in files):
        pytest.skip("the bundled quick runs are not there; cifarcore train, evaluate and project make them")
    cnn, resnet = ([load_run(path) for path in paths[model]] for model in ("cnn", "resnet18"))
    for n in (1, 3):
        assert comparison.compare(cnn[:n], resnet[:n]).better == "B"
    same = comparison.compare(resnet[:1], resnet[:1])
    assert same.better == ""
    assert (same.metrics["p"].dropna() == 1).all() and (same.metrics["difference"] == 0).all()
    assert (same.class_table["claim"] == "").all() and same.cells.empty and (same.pairs["claim"] == "").all()


def test_a_run_without_superclasses_takes_the_others():
    a, b = made_run(), made_run(model="resnet18")
    bare = replace(b, superclass_names=None, superclass_of=None)
    whole = comparison.compare([a], [b]).metrics
    for pair in ([a], [bare]), ([replace(a, superclass_names=None, superclass_of=None)], [b]):
        pd.testing.assert_frame_equal(comparison.compare(*pair).metrics, whole)
    other = replace(b, superclass_names=np.array(["one", "two"]), superclass_of=np.arange(10, dtype=np.int16) % 2)
    one = comparison.compare([a], [other])
    pd.testing.assert_frame_equal(one.metrics, whole)
    assert any(
        "resnet18-made-0: the classes are in other superclasses than those of cnn-made-0" in note for note in one.notes
    )
    renamed = replace(b, superclass_names=np.char.upper(b.superclass_names))  # called otherwise, and the same
    assert not any("superclasses" in note for note in comparison.compare([a], [renamed]).notes)
    neither = [replace(run, superclass_names=None, superclass_of=None) for run in (a, b)]
    assert not np.isfinite(comparison.compare(neither[:1], neither[1:]).metrics.loc["superclass_accuracy", "a"])


def test_names_of_seeds_of_one_model_differ(runs):
    a = runs["a"]
    assert comparison.compare(a[:1], a[1:2]).names == ("cnn-made-0", "cnn-made-1")
    assert comparison.compare(a[:2], a[2:]).names == ("cnn-made (seeds 0, 1)", "cnn-made-2")
    assert comparison.compare(a[:2], runs["b"][:1]).names == ("cnn-made", "resnet18-made")


def test_no_two_models_are_called_alike(tmp_path):
    """A verdict that one name beats the same name says nothing."""
    a, b = (replace(made_run(accuracy=accuracy), digest=str(accuracy)) for accuracy in (0.5, 0.7))
    assert comparison.compare([a], [b]).names == ("cnn-made-0", "cnn-made-0 (2)")
    assert "cnn-made-0 (2) beats cnn-made-0 by" in comparison.compare([a], [b]).verdict
    for folder, run in (("old", a), ("new", b)):
        (tmp_path / folder).mkdir()
        save_run(replace(run, meta={}), tmp_path / folder / "mine.npz")
    paths = [tmp_path / folder / "mine.npz" for folder in ("old", "new")]
    one, other = map(load_run, paths)
    assert comparison.compare([one], [other]).names == ("old/mine", "new/mine")
    assert comparison.compare([one], [one]).names == ("mine", "mine")
    long = ["x" * 100 + end + "x" * 100 for end in "ab"]
    named = [replace(run, meta=run.meta | {"model": name}) for run, name in zip((a, b), long, strict=True)]
    assert len(set(comparison.compare(named[:1], named[1:]).names)) == 2


def test_images_whose_labels_differ_are_counted_apart(runs):
    a, b = runs["a"][0], runs["b"][0]
    other = (b.labels + (np.arange(1000) < 7)) % 20
    notes = comparison.compare([a], [replace(b, labels=other.astype(np.int16))]).notes
    assert notes[0] == (
        "Only the 993 images that all runs share are compared; up to 7 of a run are left out, 7 of them because the "
        "files give them different labels."
    )


def test_what_a_comparison_takes_is_asked_for_before(monkeypatch):
    asked = []
    monkeypatch.setattr(comparison, "refuse_beyond_memory", lambda *needed: asked.append(needed))
    comparison.refuse_too_large([made_run(1000, 300), made_run(20, 100), made_run(20, 50)])
    assert asked[0] == (6 * (300 * 1000 + 150 * 20), "comparing 3 runs with 303,000 scores")
    asked.clear()
    run = made_run(20, 100)
    folded = replace(run, superclass_of=np.arange(20) % 2, superclass_names=np.array([f"s{i}" for i in range(3000)]))
    comparison.refuse_too_large([run, folded])
    assert asked[2:] == [(60 * 3000**2, "the confusion matrix of 3,000 superclasses")]


def test_ties_among_the_most_confused_pairs_are_in_the_order_of_the_classes(runs, seeds):
    """Whichever seeds have them: sums of thirds are not equal to the last bit."""
    confused = seeds.pairs
    order = confused.sort_values(["confused", "first", "second"], ascending=[False, True, True], kind="stable")
    assert order.index.tolist() == list(range(len(confused)))
