"""In which order images are shown, and what is said of each model's predictions on them, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from made import classes_only
from two_seeds import LABELS, RUNS, answers, softmax

from cifarcore.reports.sides import Side
from cifarcore.reports.tables.galleries import (
    image_table,
    predictions,
    seeds_legend,
    surest_first,
    surest_words,
    within_slice,
    wrong_first,
)

NAMES = np.array([name.replace("_", " ") for name in RUNS["A"][0].class_names])


def test_wrong_first_leaves_out_what_every_run_gets_right(view):
    wrong = sum((answer != LABELS).astype(int) for letter in "AB" for answer in answers(letter))
    rows = wrong_first(view, np.arange(len(LABELS)))
    assert set(rows.tolist()) == set(np.flatnonzero(wrong).tolist())
    assert (np.diff(wrong[rows]) <= 0).all()


def test_the_order_of_pictures(view):
    rows = np.array([5, 3, 9, 11])
    sure = np.maximum(*(softmax(RUNS[letter][0]).max(1) for letter in "AB"))
    assert surest_first(view, rows).tolist() == sorted(rows, key=lambda row: -sure[row])
    assert surest_words(view) == ", the most confident prediction of either model first"
    hard = {letter: Side(letter, letter, (classes_only(RUNS[letter][0]),)) for letter in "AB"}
    assert surest_words(replace(view, a=hard["A"], b=hard["B"])) == ""
    assert surest_words(replace(view, a=hard["A"])) == surest_words(replace(view, b=hard["B"])) != ""
    half = surest_first(replace(view, a=hard["A"]), rows)
    of_b = softmax(RUNS["B"][0]).max(1)
    assert half.tolist() == sorted(rows, key=lambda row: -of_b[row])


@pytest.mark.parametrize("letter", RUNS)
def test_predictions_with_confidence_and_wrong_seeds(view, letter):
    runs, side = RUNS[letter], {"A": view.a, "B": view.b}[letter]
    rows = np.arange(len(LABELS))[::-7]
    given = runs[0].logits[rows].argmax(axis=1)
    wrong = np.sum([answer[rows] != LABELS[rows] for answer in answers(letter)], axis=0)
    shown = predictions(side, rows, view.class_names, several_seeds=True)
    assert [each["letter"] for each in shown] == [letter] * len(rows)
    assert [each["name"] for each in shown] == NAMES[given].tolist()
    assert [each["confidence"] for each in shown] == [f"{share:.0%}" for share in softmax(runs[0])[rows].max(axis=1)]
    assert [each["right"] for each in shown] == (given == LABELS[rows]).tolist()
    assert [each["seeds"] for each in shown] == [f"correct in {2 - count} of 2 seeds" for count in wrong]
    assert {each["seeds"] for each in predictions(side, rows, view.class_names, several_seeds=False)} == {""}


def test_the_table_of_images_has_each_models_predictions_and_both_probabilities(view):
    a, b = answers("A")[0], answers("B")[0]
    rows = np.flatnonzero((a != LABELS) & (b != a))[::-1][:20]
    table = image_table(view, rows, [f"note {row}" for row in rows])
    assert table["sample_id"].tolist() == [f"{i:016x}" for i in RUNS["A"][0].sample_ids[rows]]
    assert table["label"].tolist() == LABELS[rows].tolist()
    assert table["label_name"].tolist() == NAMES[LABELS[rows]].tolist()
    assert table["note"].tolist() == [f"note {row}" for row in rows] and "note" not in image_table(view, rows)
    for letter, runs in RUNS.items():
        column = {name.removeprefix(f"{letter}_"): table[name] for name in table if name.startswith(f"{letter}_")}
        given = answers(letter)[0][rows]
        assert set(column["run"]) == {runs[0].name}
        assert column["prediction"].tolist() == given.tolist()
        assert column["prediction_name"].tolist() == NAMES[given].tolist()
        of_prediction, of_label = (softmax(runs[0])[rows, classes] for classes in (given, LABELS[rows]))
        np.testing.assert_allclose(column["probability_of_prediction"], of_prediction, atol=1e-6)
        np.testing.assert_allclose(column["probability_of_label"], of_label, atol=1e-6)
        wrong = np.sum([answer[rows] != LABELS[rows] for answer in answers(letter)], axis=0)
        assert column["wrong_seeds"].tolist() == wrong.tolist() and set(column["seeds"]) == {2}


def test_a_slice_is_narrowed_to_what_changes_under_the_first_seeds(view):
    rows = np.arange(1, 500, 2)
    right_a, right_b = (side.first.logits.argmax(1) == view.labels for side in (view.a, view.b))
    kept = within_slice(view, rows)
    expected = {"all": True, "newly wrong": right_a & ~right_b, "newly right": right_b & ~right_a,
                "misclassified by B": ~right_b}  # fmt: skip
    assert list(kept) == list(expected)
    for name, images in expected.items():
        assert kept[name].tolist() == [row for row in surest_first(view, rows) if np.broadcast_to(images, 500)[row]]


def test_whose_predictions_are_shown_is_said_where_there_are_several_seeds(view):
    assert seeds_legend(view) == f"Predictions of {view.first_seeds} · ●○ correct in 1 of 2 seeds"
    one = (replace(side, runs=side.runs[:1]) for side in (view.a, view.b))
    assert seeds_legend(replace(view, **dict(zip("ab", one, strict=True)))) == ""
