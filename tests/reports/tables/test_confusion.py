"""The tables of the confusion matrix against scikit-learn and plain NumPy on the same runs."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run
from two_seeds import LABELS, RUNS, C, answers, mean_matrix

from cifarcore.evidence import comparison
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.confusion import (
    _claims,
    cell_images,
    cell_table,
    cells_text,
    confusion_frame,
    ranked_cells,
    superclass_cell_table,
    superclass_frame,
    superclass_order,
)


@pytest.mark.parametrize("show", ["A", "B", "B − A"])
@pytest.mark.parametrize("errors_only", [True, False])
def test_confusion_frame(view, result, show, errors_only):
    rows, columns = np.array([2, 5, 1]), np.array([1, 2, 8, 9])
    frame = confusion_frame(view, result, show, rows, columns, errors_only)
    a, b = (mean_matrix(letter) for letter in "AB")
    value = {"A": a, "B": b, "B − A": b - a}[show]
    names = RUNS["A"][0].class_names
    expected = {
        (names[t], names[p]): value[t, p]
        for t in rows
        for p in columns
        if (a[t, p] or b[t, p]) and not (errors_only and t == p)
    }
    assert {(row.true, row.predicted): row.value for row in frame.itertuples()} == pytest.approx(expected)


@pytest.mark.parametrize("errors_only", [True, False])
def test_superclass_frame_folds_the_class_matrix(view, result, errors_only):
    frame = superclass_frame(view, result, "A", errors_only)
    run = RUNS["A"][0]
    expected = np.zeros((len(run.superclass_names),) * 2)
    for answer in answers("A"):
        for label, given in zip(LABELS, answer, strict=True):
            if not (errors_only and label == given):
                expected[run.superclass_of[label], run.superclass_of[given]] += 0.5
    names = [name.replace("_", " ") for name in run.superclass_names]
    for row in frame.itertuples():
        assert row.value == pytest.approx(expected[names.index(row.true), names.index(row.predicted)])
    assert frame["value"].sum() == pytest.approx(expected.sum())


def test_unclaimed_differences_are_muted_and_claims_are_comparisons(view, result):
    everything = np.arange(C)
    frame = confusion_frame(view, result, "B − A", everything, everything, True)
    names = [name.replace("_", " ") for name in RUNS["A"][0].class_names]
    claimed = {(names[c.true], names[c.predicted]): c.claim for c in result.cells.itertuples() if c.claim}
    shown = {(row.true, row.predicted): row.claim for row in frame.itertuples() if not row.muted}
    assert shown == claimed
    # with right answers, those of a class are claimed as its recall is
    frame = confusion_frame(view, result, "B − A", everything, everything, False)
    diagonal = {row.true: row.claim for row in frame.itertuples() if row.true == row.predicted}
    recall = result.class_table.assign(name=result.class_table["name"].str.replace("_", " ")).set_index("name")["claim"]
    words = {"improved": "more in B", "declined": "fewer in B", "": "not significant"}
    assert diagonal == {name: words[recall[name]] for name in diagonal} and set(diagonal.values()) > {"not significant"}


@pytest.mark.parametrize("errors_only", [True, False])
def test_a_matrix_of_superclasses_shows_the_tests_of_superclass_cells(view, result, errors_only):
    """One cell of each kind differs, none of the classes: neither is taken from the other level."""
    names = [name.replace("_", " ") for name in RUNS["A"][0].superclass_names]
    cells = result.superclass_cells.assign(claim="")
    error = cells.index[cells["errors"] & (cells["true"] != cells["predicted"])][0]
    stays = cells.index[~cells["errors"]][0]
    cells.loc[[error, stays], "claim"] = ["fewer in B", "more in B"]
    made = replace(result, superclass_cells=cells, cells=result.cells.assign(claim="more in B"))
    frame = superclass_frame(view, made, "B − A", errors_only)
    shown = {(row.true, row.predicted): row.claim for row in frame.itertuples() if not row.muted}
    named = {i: (names[cells.loc[i, "true"]], names[cells.loc[i, "predicted"]]) for i in (error, stays)}
    expected = {named[error]: "fewer in B"} | ({} if errors_only else {named[stays]: "more in B"})
    assert shown == expected


def test_what_the_tests_of_cells_say(view, result):
    """At the level shown; no cell, and classes whose recall changes, do not read as a contradiction."""
    some = superclass_frame(view, result, "B − A", True).assign(claim="not significant")
    unchanged = replace(result, class_table=result.class_table.assign(claim=""))
    text = (
        "No cell shown differs significantly (tested cell by cell of superclasses, FDR controlled at 5%): individual "
        "colours may be noise."
    )
    assert cells_text(unchanged, some, "superclasses") == text
    for count, words in ((1, "one class"), (3, "3 classes")):
        claims = ["improved"] * (count - 1) + ["declined"] + [""] * (C - count)
        changed = replace(result, class_table=result.class_table.assign(claim=claims))
        assert cells_text(changed, some, "superclasses") == (
            f"{text} Recall changes significantly in {words}, which does not contradict it: a class's errors are "
            "spread over many cells, each with too few images to be significant alone."
        )
    some.loc[0, "claim"] = "more in B"
    assert cells_text(result, some, "classes") == (
        "Muted cells do not differ significantly (tested cell by cell of classes, FDR controlled at 5%)."
    )


@pytest.mark.parametrize("letters", ["A", "B", "AB"])
def test_cell_images_are_those_that_some_run_puts_there(view, letters):
    rows, notes = cell_images(view, np.array([1, 2]), np.array([2, 4]), letters, errors_only=True)
    given = [answer for letter in letters for answer in answers(letter)]
    here = [np.isin(LABELS, [1, 2]) & np.isin(answer, [2, 4]) & (answer != LABELS) for answer in given]
    assert set(rows.tolist()) == set(np.flatnonzero(np.any(here, axis=0)).tolist())
    counts = np.sum(here, axis=0)[rows]
    assert (np.diff(counts) <= 0).all()
    assert all(letter in note for note in notes for letter in letters)


def test_cell_images_say_in_how_many_seeds(view):
    rows, notes = cell_images(view, np.array([1]), np.arange(C), "AB", errors_only=False)
    assert sorted(rows) == np.flatnonzero(LABELS == 1).tolist() and set(notes) == {"A: 2 of 2 seeds · B: 2 of 2 seeds"}
    rows, notes = cell_images(view, np.array([1]), np.array([1]), "A", errors_only=False)
    hits = sum((answer == 1) & (LABELS == 1) for answer in answers("A"))
    assert notes == [f"A: {hits[row]} of 2 seeds" for row in rows]
    assert cell_images(view, np.array([1]), np.array([1]), "A", errors_only=True)[1] == []


def test_the_order_of_superclasses(view):
    kin = RUNS["A"][0].superclass_of
    assert superclass_order(view).tolist() == sorted(range(C), key=lambda c: kin[c])
    bare = replace(RUNS["A"][0], superclass_of=None, superclass_names=None)
    alone = Sides(Side("A", "A", (bare,)), Side("B", "B", (bare,)), 0, 0, np.arange(C))
    assert superclass_order(alone).tolist() == list(range(C))


def test_cells_as_text(result):
    cells = pd.DataFrame(
        {
            "true_name": ["oak_tree", "a"], "predicted_name": ["elm", "=b"], "a": [1.5, 0], "b": [3, 2.25],
            "difference": [1.5, -2.25], "q": [0.00001, 0.2], "claim": ["more in B", ""], "errors": [True, False],
        }
    )  # fmt: skip
    made = replace(result, cells=cells, superclass_cells=cells)
    rows = [
        ["oak tree", "elm", "1.5", "3.0", "+1.5", "< 0.0001", "more in B"],
        ["a", "'=b", "0.0", "2.2", "−2.2", "0.2000", "not significant"],
    ]
    assert cell_table(made).to_numpy().tolist() == rows and superclass_cell_table(made).to_numpy().tolist() == rows[:1]


def test_the_largest_cells_and_the_largest_changes():
    frame = pd.DataFrame(
        {
            "true": list("abcd"), "predicted": list("wxyz"), "value": [1.0, -5.0, 3.0, -2.0], "a": [2.0, 9.0, 0.0, 2.0],
            "b": [3.0, 4.0, 3.0, 0.0], "difference": [1.0, -5.0, 3.0, -2.0], "muted": [True, False, True, True],
            "claim": ["not significant", "fewer in B", "not significant", "not significant"],
        }
    )  # fmt: skip
    table = ranked_cells(frame.assign(claim=frame["claim"].where(frame["true"] != "d", "fewer in B")), "B − A", 3)
    assert table.to_numpy().tolist() == [
        ["b", "x", "A 9, B 4 ● fewer in B"], ["d", "z", "A 2, B 0 ● fewer in B"],
        ["c", "y", "A 0, B 3 ○ not significant"],
    ]  # fmt: skip
    counts = frame.assign(value=[2.5, 9.0, 0.0, 2.0], a=[2.5, 9.0, 0.0, 2.0])
    assert ranked_cells(counts, "A", 2).to_numpy().tolist() == [["b", "x", "9.0"], ["a", "w", "2.5"]]


def test_many_classes_of_which_few_are_drawn_take_little_memory():
    """Claims of all cells were made as texts, 80 bytes each, before those drawn were chosen from them."""
    a, b = (made_run(2000, 4000, accuracy, 0, model) for accuracy, model in ((0.4, "a"), (0.6, "b")))
    found = comparison.compare([a], [b])
    rows = np.arange(20)
    tracemalloc.start()
    claims = _claims(found, rows, rows[::-1], errors_only=False)
    assert claims.shape == (20, 20) and tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
