"""Curves, areas, operating points and pairs of classes against scikit-learn and NumPy."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made import made_run
from pages import pair_by_hand, side, two_models
from scipy import stats
from scipy.special import expit, softmax
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from cifarcore.evidence import crossed, delong, roc_curves
from cifarcore.evidence.comparison import compare
from cifarcore.reports.charts import roc as roc_charts
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables import roc as roc_tables
from cifarcore.reports.tables.roc import SOURCES, Task
from cifarcore.reports.tables.roc_precision import average_precisions, label_frame, page_table, precision_frame
from cifarcore.runs.run import Run


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (10, 500), (100, 2000)])
def test_auc_of_a_pair_is_scikit_learns(n_classes, n_images):
    a, b = (
        made_run(n_classes, n_images, accuracy=accuracy, model=model)
        for model, accuracy in (("cnn", 0.4), ("resnet18", 0.6))
    )
    frame = roc_tables.auc_frame(side("A", a), side("B", b), Task(1, 0))
    by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(run, 1, 0) for run in (a, b))]
    assert frame.loc[["A", "B"], "auc"].to_numpy() == pytest.approx(by_hand, abs=1e-12)
    assert frame.loc["B − A", "auc"] == pytest.approx(by_hand[1] - by_hand[0], abs=1e-12)
    for _, row in frame.iterrows():
        assert row["low"] <= row["auc"] <= row["high"]


def test_the_interval_of_several_seeds_is_of_their_mean_and_not_of_one_seed():
    """DeLong's variance of the seeds' mean placement values, all pairs of images one by one."""
    a = [made_run(10, 500, accuracy=accuracy, seed=seed) for seed, accuracy in enumerate((0.4, 0.5, 0.7))]
    b = [made_run(10, 500, accuracy=0.6, seed=seed, model="resnet18") for seed in range(2)]
    frame = roc_tables.auc_frame(side("A", *a), side("B", *b), Task(1, 0))
    for letter, runs in (("A", a), ("B", b)):
        scores = [pair_by_hand(run, 1, 0)[:2] for run in runs]
        wins = [np.greater.outer(x[of], x[~of]) + np.equal.outer(x[of], x[~of]) / 2 for x, of in scores]
        errors = [
            np.sqrt(each.mean(1).var(ddof=1) / len(each) + each.mean(0).var(ddof=1) / each.shape[1])
            for each in (np.mean(wins, axis=0), *wins)
        ]
        assert all(abs(error / errors[0] - 1) > 0.02 for error in errors[1:]), "no seed's error is that of the mean"
        auc = np.mean(wins)
        expected = expit(np.log(auc / (1 - auc)) + np.array([-1, 1]) * 1.959964 * errors[0] / (auc * (1 - auc)))
        assert frame.loc[letter, ["low", "high"]].to_numpy(float) == pytest.approx(expected, abs=1e-6)


def test_auc_of_one_class_and_of_all_is_scikit_learns():
    a, b = two_models()
    p = softmax(a.logits.astype(np.float64), axis=1)
    frame = roc_tables.auc_frame(side("A", a), side("B", b), Task(3, None))
    assert frame.loc["A", "auc"] == pytest.approx(roc_auc_score(a.labels == 3, p[:, 3]), abs=1e-12)
    assert roc_tables.macro_frame(
        Sides(side("A", a), side("B", b), 0, 0, np.arange(a.n_classes)), compare([a], [b])
    ).loc["A", "auc"] == pytest.approx(
        roc_auc_score(a.labels, p / p.sum(1, keepdims=True), multi_class="ovr"), abs=1e-9
    )


def test_areas_of_all_pairs_are_scikit_learns():
    a = made_run()
    pairs = np.array(list(combinations(range(10), 2)))
    by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(a, *pair) for pair in pairs)]
    assert roc_curves.pair_aucs(a, pairs) == pytest.approx(by_hand, abs=1e-12)


def test_scores_that_underflow_as_probabilities_still_rank():
    """p(first) and p(second) are both 0 in any float, their logits are not."""
    logits = np.array([[900, -800, -810], [900, -810, -800], [900, -800, -805], [900, -806, -800]], np.float32)
    hopeless = replace(made_run(3, 4), logits=logits, labels=np.array([1, 2, 1, 2], np.int16))
    assert softmax(logits.astype(float), axis=1)[:, 1:].max() == 0
    assert roc_curves.pair_aucs(hopeless, np.array([[1, 2]])) == [1.0]
    scores, truth, _ = Task(1, 2).scores(hopeless)
    assert Task(1, 2).probability(scores) == pytest.approx(expit([10, -10, 5, -6]))
    assert truth.tolist() == [True, False, True, False]


def test_the_curve_of_one_seed_is_scikit_learns_and_of_several_their_mean_and_range():
    seeds = [made_run(seed=seed) for seed in range(3)]
    task = Task(0, 1)
    single = roc_tables.curve_frame([side("A", seeds[0])], task.curve)
    score, truth, _ = pair_by_hand(seeds[0], 0, 1)
    fpr, tpr, _ = roc_curve(truth, score)
    assert single["fpr"].to_numpy() == pytest.approx(fpr) and single["tpr"].to_numpy() == pytest.approx(tpr)
    assert single["low"].isna().all()
    mean = roc_tables.curve_frame([side("A", *seeds)], task.curve)
    at = []
    for seed in seeds:
        score, truth, _ = pair_by_hand(seed, 0, 1)
        fpr, tpr, _ = roc_curve(truth, score)
        at.append(np.interp(mean["fpr"], fpr, tpr))
    assert mean["tpr"].to_numpy() == pytest.approx(np.mean(at, axis=0))
    assert mean["low"].to_numpy() == pytest.approx(np.min(at, axis=0)) and mean["high"].to_numpy() == pytest.approx(
        np.max(at, axis=0)
    )


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.98])
@pytest.mark.parametrize("negative", [1, None])
def test_operating_points_and_flips(share, negative):
    runs = [made_run(seed=seed) for seed in range(2)]
    task = Task(0, negative)
    rates, flipped = [], []
    for each in runs:
        if negative is None:
            p, truth = softmax(each.logits.astype(np.float64), axis=1)[:, 0], each.labels == 0
        else:
            p, truth, _ = pair_by_hand(each, 0, 1)
        called = p >= share
        hits = (called & truth).sum()
        precision = hits / called.sum() if called.any() else np.nan
        rates.append(
            [(called & ~truth).sum() / (~truth).sum(), hits / truth.sum(), precision, (called == truth).mean()]
        )
        flipped.append(called != (p >= 0.5))
    points = roc_tables.operating_points([side("A", *runs)], task, share)
    expected = pytest.approx(np.mean(rates, axis=0).tolist(), nan_ok=True)
    assert points.loc[0, ["fpr", "tpr", "precision", "right"]].tolist() == expected
    assert np.array_equal(roc_tables.flips(runs[0], task, share), flipped[0])


@pytest.mark.parametrize("source", SOURCES)
def test_pairs_worth_a_look(source):
    a, b = (
        tuple(made_run(accuracy=accuracy, seed=seed, model=model) for seed in range(2))
        for model, accuracy in (("cnn", 0.4), ("resnet18", 0.7))
    )
    view = SimpleNamespace(a=side("A", *a), b=side("B", *b), classes=np.array([7, 2, 5, 1, 0, 3]))
    records = []
    for first, second in combinations(sorted(view.classes.tolist()), 2):
        confused, areas = [], []
        for runs in (a, b):
            tables = [confusion_matrix(run.labels, run.logits.argmax(1), labels=range(10)) for run in runs]
            confused.append(np.mean([table[first, second] + table[second, first] for table in tables]))
            areas.append(
                np.mean(
                    [
                        roc_auc_score(truth, score)
                        for score, truth, _ in (pair_by_hand(run, first, second) for run in runs)
                    ]
                )
            )
        records.append((first, second, *confused, *areas))
    value = {SOURCES[0]: lambda r: r[2], SOURCES[1]: lambda r: r[3], SOURCES[2]: lambda r: abs(r[5] - r[4])}[source]
    best = sorted(records, key=value, reverse=True)[:5]
    frame = roc_tables.pair_frame(view, source, 5)
    assert [
        value(tuple(row)) for row in frame[["first", "second", "confused_a", "confused_b", "auc_a", "auc_b"]].to_numpy()
    ] == pytest.approx([value(record) for record in best])
    known = {record[:2]: record for record in records}
    for row in frame.itertuples():
        assert known[row.first, row.second][2:] == pytest.approx((row.confused_a, row.confused_b, row.auc_a, row.auc_b))


def test_the_chart_draws_both_models_and_can_zoom():
    seeds = [made_run(seed=seed) for seed in range(2)]
    curves = roc_tables.curve_frame([side("A", *seeds), side("B", *seeds)], Task(0, 1).curve)
    points = roc_tables.operating_points([side("A", *seeds), side("B", *seeds)], Task(0, 1), 0.5)
    labels = label_frame(curves, ("old", "new"), "fpr", "tpr", 0.1)
    chart = roc_charts.roc(curves, points, labels, "cats against dogs", corner=True).to_dict()
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["line", "area", "line", "point", "text", "text"]
    assert chart["encoding"]["x"]["scale"]["domain"] == [0, roc_charts.CORNER]
    assert "cats against dogs" in chart["description"]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_pair_chosen_by_its_difference_is_tested_for_the_choice(seeds):
    """Bonferroni's p and interval, from the standard error and the degrees of freedom of the test."""
    a, b = (
        [made_run(accuracy=accuracy, seed=seed, model=model) for seed in seeds]
        for model, accuracy in (("cnn", 0.4), ("resnet18", 0.6))
    )
    plain, adjusted = (
        roc_tables.auc_frame(side("A", *a), side("B", *b), Task(1, 0), choices).loc["B − A"] for choices in (1, 45)
    )
    scores = np.stack([pair_by_hand(run, 1, 0)[0] for run in (*a, *b)])
    found = crossed.difference(*delong.auc_covariance(scores, pair_by_hand(a[0], 1, 0)[1]), len(a))
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, found.df)
    half = stats.t.ppf(1 - 0.05 / 45 / 2, found.df) * error
    assert [adjusted["low"], adjusted["high"]] == pytest.approx([adjusted["auc"] - half, adjusted["auc"] + half])
    assert adjusted["p"] == pytest.approx(min(45 * plain["p"], 1)) and adjusted["auc"] == plain["auc"]
    assert (adjusted["p"] < 0.05) == (adjusted["low"] > 0)


def test_only_a_pair_listed_for_its_difference_counts_as_chosen():
    a, b = two_models()
    view = Sides(side("A", a), side("B", b), 0, 0, np.array([7, 2, 5, 1, 0, 3]))
    listed = roc_tables.pair_frame(view, SOURCES[2])
    first, second = listed.loc[0, ["first", "second"]].astype(int)
    hidden = next(pair for pair in combinations(range(10), 2) if list(pair) not in listed.to_numpy()[:, :2].tolist())
    assert roc_tables.choices(view, SOURCES[2], Task(first, second)) == 15
    assert roc_tables.choices(view, SOURCES[2], Task(second, first)) == 15
    assert roc_tables.choices(view, SOURCES[0], Task(first, second)) == 1
    assert (
        roc_tables.choices(view, SOURCES[2], Task(*hidden)) == roc_tables.choices(view, SOURCES[2], Task(1, None)) == 1
    )


def test_what_a_task_calls_positive_and_what_a_model_confuses():
    run = made_run(seed=1)
    pair, rest = Task(4, 2), Task(4, None)
    scores, is_positive, rows = pair.scores(run)
    assert pair.positives(run, 0.3).tolist() == (expit(scores) >= 0.3).tolist()
    p = softmax(run.logits.astype(float), axis=1)[:, 4]
    assert rest.probability(rest.scores(run)[0]) == pytest.approx(p, abs=1e-6)
    assert rest.positives(run, 0.2).tolist() == (p >= 0.2).tolist()
    expected = [run.predictions[row] == (2 if run.labels[row] == 4 else 4) for row in rows]
    assert pair.confused(run).tolist() == expected and any(expected)
    assert is_positive.tolist() == [run.labels[row] == 4 for row in rows]
    assert roc_tables.HALF == 0.5 and roc_tables.flips(run, pair, 0.5).sum() == 0


def test_the_mean_and_spread_of_each_models_areas():
    a = [made_run(accuracy=0.5, seed=seed) for seed in range(3)]
    b = [made_run(accuracy=0.6, seed=seed, model="resnet18") for seed in range(2)]
    frame = roc_tables.auc_frame(side("A", *a), side("B", *b), Task(1, 0))
    for letter, runs in (("A", a), ("B", b)):
        areas = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(run, 1, 0) for run in runs)]
        assert frame.loc[letter, ["auc", "std"]].tolist() == pytest.approx([np.mean(areas), np.std(areas, ddof=1)])
        assert np.isnan(frame.loc[letter, "p"])
    scores = np.stack([pair_by_hand(run, 1, 0)[0] for run in (*a, *b)])
    found = crossed.difference(*delong.auc_covariance(scores, pair_by_hand(a[0], 1, 0)[1]), 3)
    expected = [float(getattr(found, name)) for name in ("difference", "low", "high", "p")]
    assert frame.loc["B − A", ["auc", "low", "high", "p"]].tolist() == pytest.approx(expected)
    assert np.isnan(frame.loc["B − A", "std"])


def test_macro_areas_are_those_of_the_comparison():
    a, b = ([made_run(accuracy=x, seed=seed, model=m) for seed in range(2)] for m, x in (("cnn", 0.5), ("vit", 0.6)))
    result = compare(a, b)
    frame = roc_tables.macro_frame(Sides(side("A", *a), side("B", *b), 0, 0, np.arange(10)), result)
    row = result.metrics.loc["macro_auc"]
    assert frame.loc["A", ["auc", "std"]].tolist() == pytest.approx([row["a"], row["std_a"]])
    assert frame.loc["B", ["auc", "std"]].tolist() == pytest.approx([row["b"], row["std_b"]])
    assert frame.loc[["A", "B"], ["low", "high", "p"]].isna().all(axis=None)
    expected = row[["difference", "low", "high", "p"]].astype(float).tolist()
    assert frame.loc["B − A", ["auc", "low", "high", "p"]].tolist() == pytest.approx(expected)


def test_areas_and_points_as_text():
    columns = ["auc", "std", "low", "high", "p"]
    areas = pd.DataFrame(
        [[0.9, 0.01, 0.85, 0.95, np.nan], [0.8, np.nan, np.nan, np.nan, np.nan], [-0.1, np.nan, -0.2, 0.00005, 0.04]],
        index=["A", "B", "B − A"], columns=columns,
    )  # fmt: skip
    assert roc_tables.auc_table(areas).to_numpy().tolist() == [
        ["A", "0.9000 ± 0.0100", "0.8500 to 0.9500", ""],
        ["B", "0.8000", "", ""],
        ["B − A", "−0.1000", "−0.2000 to +0.0001", "0.0400"],
    ]
    points = pd.DataFrame(
        [["A", 0.1, 0.8, 0.5, 0.85], ["B", 0.125, 0.7, np.nan, 0.85]],
        columns=["model", "fpr", "tpr", "precision", "right"],
    )
    table = page_table(areas, points, (0.25, 0.5), ("old", "a" * 20 + "b" * 20))
    assert table.iloc[:, :4].to_numpy().tolist() == [
        ["A old", *roc_tables.auc_table(areas).iloc[0, 1:]],
        ["B aaaaaaaaaaa…bbbbbbbbbb", *roc_tables.auc_table(areas).iloc[1, 1:]],
        ["B − A", *roc_tables.auc_table(areas).iloc[2, 1:]],
    ]
    assert table.iloc[:, 4:].to_dict("list") == {
        "Average precision": ["0.2500", "0.5000", "+0.2500"],
        "True positive rate": ["80.0%", "70.0%", "−10.0 points"],
        "False positive rate": ["10.0%", "12.5%", "+2.5 points"],
        "Precision": ["50.0%", "", ""],
        "Accuracy": ["85.0%", "85.0%", "+0.0 points"],
    }
    assert page_table(areas, None, None, ("old", "new")).shape == (3, 4)


def test_precision_and_recall_are_scikit_learns_and_of_several_seeds_their_mean_and_range():
    seeds = [made_run(seed=seed) for seed in range(3)]
    task = Task(2, None)
    by_hand = []
    for seed in seeds:
        p, truth = softmax(seed.logits.astype(np.float64), axis=1)[:, 2], seed.labels == 2
        precision, recall, _ = precision_recall_curve(truth, p)
        by_hand.append((average_precision_score(truth, p), precision, recall))
    assert average_precisions([side("A", *seeds), side("B", seeds[1])], task) == pytest.approx(
        [np.mean([each[0] for each in by_hand]), by_hand[1][0]]
    )
    single = precision_frame([side("A", seeds[0])], task)
    points = {(round(r, 9), round(p, 9)) for p, r in zip(*by_hand[0][1:], strict=True)}
    drawn = {(round(r, 9), round(p, 9)) for r, p in zip(single["recall"], single["precision"], strict=True)}
    assert drawn <= points and single["recall"].is_monotonic_increasing and single["low"].isna().all()
    assert {0.0, 1.0} <= set(single["recall"])
    mean = precision_frame([side("A", *seeds)], task)
    for at in (0.1, 0.5, 1.0):  # at each recall the best precision of the thresholds that just reach it
        row = mean.loc[(mean["recall"] - at).abs().idxmin()]
        reached = [[(r, p) for p, r in zip(*each[1:], strict=True) if r >= row["recall"] - 1e-12] for each in by_hand]
        read = [max(p for r, p in each if r == min(each)[0]) for each in reached]
        assert row[["precision", "low", "high"]].tolist() == pytest.approx([np.mean(read), min(read), max(read)])
    nobody = made_run().take(made_run().labels != 2)
    assert precision_frame([side("A", nobody)], task).empty and np.isnan(
        average_precisions([side("A", nobody)], task)[0]
    )


def test_each_curve_is_named_on_its_own_side():
    curves = pd.DataFrame({"model": ["A", "A", "B", "B"], "fpr": [0, 1, 0, 1], "tpr": [0.0, 0.5, 0.5, 1.0]})
    labels = label_frame(curves, ("old", "new"), "fpr", "tpr", 0.5)
    assert labels.to_dict("list") == {
        "model": ["A", "B"], "text": ["A old", "B new"], "fpr": [0.5, 0.5], "tpr": [0.25, 0.75], "above": [False, True],
    }  # fmt: skip


def test_the_confused_pairs_as_text():
    pairs = pd.DataFrame(
        {
            "first_name": ["oak_tree", "a"], "second_name": ["elm", "b"], "confused": [12.5, 3], "a": [0.9, np.nan],
            "b": [0.95, np.nan], "difference": [0.05, np.nan], "low": [0.01, np.nan], "high": [0.09, np.nan],
            "q": [0.01234, np.nan], "claim": ["improved", ""],
        }
    )  # fmt: skip
    shown = roc_tables.pair_table(SimpleNamespace(pairs=pairs)).to_numpy().tolist()
    assert shown == [
        ["oak tree or elm", "12.5", "0.9000", "0.9500", "+0.0500", "+0.0100 to +0.0900", "0.0123", "improved"],
        ["a or b", "3.0", "", "", "", "", "", "not tested"],
    ]
    unsure = roc_tables.pair_table(SimpleNamespace(pairs=pairs.assign(q=0.5, claim="")))
    assert unsure["Significance"].tolist() == ["not significant"] * 2


def test_a_filter_of_one_class_offers_all():
    a, b = two_models()
    for classes, expected in (([3, 1], [3, 1]), ([3], list(range(10))), ([], list(range(10)))):
        view = Sides(side("A", a), side("B", b), 0, 0, np.array(classes, int))
        assert roc_tables.offered(view).tolist() == expected
    few = roc_tables.pair_frame(Sides(side("A", a), side("B", b), 0, 0, np.arange(10)), SOURCES[0])
    assert len(few) == 12 and (few["confused_a"].diff().dropna() <= 0).all()


def test_pairs_that_no_model_confuses_follow_in_the_order_of_the_classes():
    logits = np.full((10, 5), -9, np.float16)
    labels = np.repeat(np.arange(5), 2).astype(np.int16)
    logits[np.arange(10), labels] = 0
    logits[6, 1] = 1  # an image of class 3
    run = Run(np.array(list("abcde")), np.arange(10, dtype=np.uint64), labels, logits, {"model": "m"})
    for source in SOURCES[:2]:
        pairs = roc_tables.pair_frame(Sides(side("A", run), side("B", run), 0, 0, np.array([4, 3, 1, 0])), source, 4)
        assert pairs[["first", "second"]].to_numpy().tolist() == [[1, 3], [0, 1], [0, 3], [0, 4]]
        assert pairs["confused_a"].tolist() == pairs["confused_b"].tolist() == [1, 0, 0, 0]


def test_curves_that_are_not_defined_are_left_out():
    run = made_run().take(made_run().labels != 3)
    assert roc_tables.curve_frame([side("A", run)], Task(3, 1).curve).columns.tolist() == [
        "model", "fpr", "tpr", "low", "high",
    ]  # fmt: skip
    both = roc_tables.curve_frame([side("A", run), side("B", made_run())], Task(3, 1).curve)
    assert set(both["model"]) == {"B"}
    one_class = made_run().take(made_run().labels == 3)
    assert roc_tables.curve_frame([side("A", one_class)], roc_tables.macro_curve).empty
    macro = roc_tables.curve_frame([side("A", made_run())], roc_tables.macro_curve)
    assert len(macro) == 501 and macro["low"].isna().all()


def test_pairs_to_choose_from_and_the_one_to_begin_with():
    a, b = two_models()
    sides = Sides(side("A", a), side("B", b), 0, 0, np.array([4, 1, 8, 6]))
    frame = roc_tables.pair_frame(sides, SOURCES[1])
    shown = roc_tables.pair_choices(sides, frame)
    assert shown.columns.tolist() == ["Pair", "A", "B", "AUC B − A"] and len(shown) == 6
    names = [name.replace("_", " ") for name in a.class_names]
    for row, pair in zip(shown.to_numpy(), frame.itertuples(), strict=True):
        assert row.tolist() == [
            f"{names[pair.first]} · {names[pair.second]}", pair.confused_a, pair.confused_b, pair.auc_b - pair.auc_a,
        ]  # fmt: skip
    matrix = confusion_matrix(a.labels, a.predictions, labels=range(10))
    both_ways = {pair: matrix[pair] + matrix[pair[::-1]] for pair in combinations((1, 4, 6, 8), 2)}
    assert roc_tables.first_pair(sides) == max(both_ways, key=both_ways.get)
    two = two_models(n_classes=2)
    assert roc_tables.first_pair(Sides(side("A", two[0]), side("B", two[1]), 0, 0, np.array([1, 0]))) == (1, 0)


def test_where_curves_meet_the_name_of_the_one_that_is_higher_elsewhere_stands_above():
    fpr = np.array([0.0, 0.2, 0.5, 1.0])
    curves = pd.DataFrame({"model": ["A"] * 4 + ["B"] * 4, "fpr": [*fpr, *fpr], "tpr": [0, 0.5, 1, 1, 0, 0.9, 1, 1]})
    labels = label_frame(curves, ("old", "new"), "fpr", "tpr", 0.5).set_index("model")
    assert labels["above"].to_dict() == {"A": False, "B": True}
