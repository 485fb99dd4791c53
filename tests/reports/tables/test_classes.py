"""The tables of classes against scikit-learn and plain NumPy on the same runs."""

from dataclasses import replace

import numpy as np
import pytest
from two_seeds import LABELS, RUNS, SKLEARN, C, mean_matrix

from cifarcore.reports.sides import Side
from cifarcore.reports.tables.classes import (
    HARDNESS,
    by_recall_change,
    changed_classes,
    class_confusions,
    class_frame,
    class_text,
    hardest_first,
    mean_class_table,
    outcome_frame,
    share_outside,
)


@pytest.mark.parametrize("metric", SKLEARN)
def test_class_frame_is_the_mean_of_per_seed_numbers(view, result, metric):
    order = np.array([3, 1, 7])
    frame = class_frame(replace(view, classes=order), result, metric)
    a, b = (np.mean([SKLEARN[metric](run) for run in RUNS[letter]], axis=0)[order] for letter in "AB")
    assert frame["class"].tolist() == RUNS["A"][0].class_names[order].tolist()
    np.testing.assert_allclose(frame["a"], a, atol=1e-6)
    np.testing.assert_allclose(frame["b"], b, atol=1e-6)
    np.testing.assert_allclose(frame["difference"], b - a, atol=1e-6)


def test_outcomes_sum_to_the_class_and_mark_what_left_the_filter(view):
    filtered = replace(view, classes=np.array([0, 1, 2]))
    frame = outcome_frame(filtered, 1)
    for letter in "AB":
        of_model = frame[frame["model"] == letter]
        assert of_model["images"].sum() == pytest.approx(np.sum(LABELS == 1))
        assert of_model["share"].sum() == pytest.approx(1)
    row = mean_matrix("A")[1]
    assert share_outside(filtered, np.array([1]))["A"] == pytest.approx(row[3:].sum() / row.sum())


def test_confusions_of_a_class_either_way_the_most_frequent_first(view):
    a, b = (mean_matrix(letter) for letter in "AB")
    names = view.class_names
    by_hand = {
        f"{names[t]} → {names[p]}": (a[t, p], b[t, p]) for t in range(C) for p in range(C) if t != p and 4 in (t, p)
    }
    every = class_confusions(view, 4, 2 * C)
    found = {row.confusion: (row.A, row.B) for row in every.itertuples()}
    assert found == {name: counts for name, counts in by_hand.items() if sum(counts)}
    assert (np.diff(every["A"] + every["B"]) <= 1e-9).all() and every.columns.tolist() == ["confusion", "A", "B"]
    assert class_confusions(view, 4, 3).equals(every.head(3))


def test_what_becomes_of_a_class_names_the_model_of_each_number(view):
    a, b = (mean_matrix(letter)[4] / 50 for letter in "AB")
    said = class_text(view, 4)
    assert f": recall {a[4]:.0%} (A), {b[4]:.0%} (B); B's errors (images per seed): " in said


def test_hardest_classes_come_first_by_the_model_named(view):
    f1 = {letter: np.mean([SKLEARN["f1"](run) for run in RUNS[letter]], axis=0) for letter in "AB"}
    for hardness, value in (("A", f1["A"]), ("B", f1["B"]), ("A and B", (f1["A"] + f1["B"]) / 2)):
        assert hardest_first(view.a, view.b, hardness, "f1").tolist() == np.argsort(value, kind="stable").tolist()
    assert HARDNESS == ("A and B", "A", "B")
    none = tuple(run.take(run.labels != 4) for run in RUNS["A"])
    assert hardest_first(Side("A", "A", none), Side("B", "B", none), "A", "recall")[-1] == 4


def test_the_area_is_computed_where_it_is_asked_for(view):
    assert "auc" in mean_class_table(RUNS["A"], "auc") and "auc" not in mean_class_table(RUNS["A"], "f1")


def test_intervals_of_classes_are_the_comparisons(view, result):
    frame = class_frame(view, result, "recall")
    for name in ("low", "high"):
        np.testing.assert_array_equal(frame[name], result.class_table[f"recall_{name}"])
    assert frame["claim"].tolist() == result.class_table["claim"].tolist()
    assert class_frame(view, result, "precision")[["low", "high"]].isna().all(axis=None)
    assert frame["support"].tolist() == [50] * 10 and frame["superclass"].tolist() == [
        view.superclass(c) for c in range(C)
    ]


def claimed(result):
    changes = [0.1, -0.3, 0.2, 0.0, -0.1, 0.3, -0.2, np.nan, 0.05, -0.05]
    claims = ["improved", "declined", "improved", "", "declined", "improved", "", "", "", ""]
    return replace(result, class_table=result.class_table.assign(recall_difference=changes, claim=claims))


def test_changed_classes_the_largest_change_first(view, result):
    made, names = claimed(result), view.class_names
    for claim, order, changes in (("improved", (5, 2, 0), (0.3, 0.2, 0.1)), ("declined", (1, 4), (-0.3, -0.1))):
        table = changed_classes(view, made, claim)
        assert table["class"].tolist() == [names[c] for c in order] and table["difference"].tolist() == list(changes)
    assert by_recall_change(made, 9).tolist() == [5, 2, 0, 8, 3, 9, 4, 6, 1]
    assert by_recall_change(made, 4).tolist() == [5, 2, 6, 1]


def test_outcomes_of_a_class_by_hand(view):
    filtered = replace(view, classes=np.array([0, 1, 2]))
    a, b = (mean_matrix(letter)[1] for letter in "AB")
    for most in (2, 9):
        frame = outcome_frame(filtered, 1, most)
        others = [c for c in np.argsort(-(a + b), kind="stable") if c != 1 and (a + b)[c] > 0]
        shown = [1, *others[:most]]
        names = [view.class_names[c] for c in shown] + ["other classes"] * (len(others) > most)
        assert frame["predicted"].tolist() == names * 2 and frame["model"].tolist() == ["A"] * len(names) + ["B"] * len(
            names
        )
        for letter, row in (("A", a), ("B", b)):
            own = frame[frame["model"] == letter]
            images = [row[c] for c in shown] + [row[others[most:]].sum()] * (len(others) > most)
            assert own["images"].tolist() == pytest.approx(images)
            assert own["share"].tolist() == pytest.approx([value / 50 for value in images])
            kinds = ["correct"] + ["wrong" if c in (0, 2) else "outside the filter" for c in shown[1:]]
            assert own["kind"].tolist() == kinds + ["wrong"] * (len(others) > most)
    share = share_outside(filtered, np.array([0, 1]))
    for letter in "AB":
        rows = mean_matrix(letter)[[0, 1]]
        assert share[letter] == pytest.approx(rows[:, 3:].sum() / 100)
    assert len(outcome_frame(view, 1)["predicted"].unique()) <= 10
