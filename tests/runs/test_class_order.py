"""Another order of the classes is noticed by what it does to the accuracy, and no classifier is accused of it."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore import Run, compare
from cifarcore.evidence.verdict import class_order_notes
from cifarcore.runs import notes
from cifarcore.runs.class_order import LEAST, doubt
from cifarcore.runs.test_sets import TestSet

N_CLASSES, N_IMAGES = 10, 1000


def of_accuracy(accuracy, n_classes=N_CLASSES, n_images=N_IMAGES, seed=0):
    """Labels and predictions, wrong ones evenly spread over the other classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_images)
    guessed = (labels + rng.integers(1, n_classes, n_images)) % n_classes
    return labels.astype(np.int16), np.where(rng.random(n_images) < accuracy, labels, guessed)


def run_of(labels, predictions, n_classes=N_CLASSES):
    made = made_run(n_classes, len(labels), superclasses=False, maps=False, neighbors=False, history=False)
    return replace(made, labels=labels, logits=np.eye(n_classes, dtype=np.float16)[predictions], digest="")


@pytest.mark.parametrize("moved", [2, 3, 10])
@pytest.mark.parametrize("accuracy", [0.4, 0.9])
def test_classes_in_another_order_are_noticed(moved, accuracy):
    labels, predictions = of_accuracy(accuracy)
    order = np.arange(N_CLASSES)
    order[:moved] = np.roll(order[:moved], 1)
    found = doubt(run_of(order[labels].astype(np.int16), predictions))
    would_be, now = (predictions == labels).mean(), (predictions == order[labels]).mean()
    assert found.startswith(
        f"the accuracy would be {would_be:.4f}, not {now:.4f}, with the classes in another order ('"
    )


def test_images_that_take_turns_by_class_are_halved_within_each():
    labels = (np.arange(N_IMAGES) % N_CLASSES).astype(np.int16)
    order = np.array([2, 1, 0, *range(3, N_CLASSES)])  # both in every second row
    assert doubt(run_of(labels, order[labels])).startswith("the accuracy would be 1.0000, not 0.8000, with the classes")
    assert doubt(run_of(labels, labels)) == ""


def test_the_classes_named_are_two_that_changed_places():
    labels, predictions = of_accuracy(0.9)
    order = np.array([1, 0, *range(2, N_CLASSES)])
    run = run_of(order[labels].astype(np.int16), predictions)
    one, other = run.class_names[:2].tolist()
    found = doubt(run)
    assert f"({other!r} for {one!r})" in found or f"({one!r} for {other!r})" in found


@pytest.mark.parametrize("n_classes", [2, 3, 10, 100])
@pytest.mark.parametrize("n_images", [LEAST, 200, 1000])
def test_chance_is_not_taken_for_an_order(n_classes, n_images):
    for seed in range(10):
        labels, predictions = of_accuracy(1 / n_classes, n_classes, n_images, seed)
        assert doubt(run_of(labels, predictions, n_classes)) == ""


def test_a_class_that_a_model_never_answers_is_no_other_order():
    labels, predictions = of_accuracy(0.8)
    predictions[predictions == 3] = 5  # whose images it all calls by one other class
    predictions[labels == 3] = 5
    assert doubt(run_of(labels, predictions)) == ""


def test_few_images_show_nothing():
    labels, predictions = of_accuracy(1.0, n_images=LEAST - 1)
    assert doubt(run_of((labels + 1) % N_CLASSES, predictions)) == ""


def test_an_import_and_a_comparison_both_say_so():
    labels, predictions = of_accuracy(0.9)
    other = np.array([1, 2, 0, *range(3, N_CLASSES)], np.int16)[labels]
    good, bad = run_of(labels, predictions), run_of(other, predictions)
    assert doubt(bad) in notes.doubts(bad, None, True, False)
    assert not any("another order" in note for note in notes.doubts(good, None, True, False))
    assert class_order_notes([good, bad], 1) == [f"Of B, {doubt(bad)}"]
    assert class_order_notes([bad, good, good], 1) == [f"Of A, {doubt(bad)}"]
    scores = np.eye(N_CLASSES)[predictions] * 0.9 + 0.01
    would_be = f"Of A, the accuracy would be {(predictions == labels).mean():.4f}, not "
    given = dict(labels=other, class_names=list("abcdefghij"), sample_ids=range(N_IMAGES))
    with pytest.warns(UserWarning, match=f"^{would_be[6:]}.* do the labels and the scores count them alike"):
        runs = [Run.from_predictions(scores, **given, model=model) for model in "ab"]
    found = compare(*runs)
    assert [note for note in found.notes if note.startswith(would_be)], found.notes


def test_another_order_is_told_beside_an_accuracy_no_better_than_chance():
    labels, predictions = of_accuracy(0.9)
    bad = run_of(((labels + 1) % N_CLASSES).astype(np.int16), predictions)
    test = TestSet("the set", "set", tuple(bad.class_names.tolist()), bad.labels, by_file=False)
    found = notes.doubts(bad, test, True, False)
    assert doubt(bad) in found and any("no better than chance" in note for note in found)
    by_file = notes.doubts(bad, replace(test, by_file=True), True, True)
    assert doubt(bad) not in by_file and any("are the columns in the order" in note for note in by_file), "asked once"


def test_rows_that_repeat_earlier_ones_are_warned_of_where_nothing_else_tells_the_images_apart():
    """As the padding of a distributed run; ids would tell that each image is there once."""
    scores, labels = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 3
    scores[198:], labels[198:] = scores[:2], labels[:2]
    given = {"class_names": ["a", "b", "c"], "kind": "logits"}
    with pytest.warns(UserWarning, match="of 2 rows are those of an earlier row"):
        Run.from_predictions(scores, labels, test_set="shop", **given)
    for copies in (2, 4):
        with pytest.warns(UserWarning, match=f"of {198 * copies - 198} rows are those .* interval is too narrow"):
            Run.from_predictions(
                np.tile(scores[:198], (copies, 1)), np.tile(labels[:198], copies), test_set="x", **given
            )
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*earlier row")
        Run.from_predictions(scores, labels, sample_ids=np.arange(200), **given)
