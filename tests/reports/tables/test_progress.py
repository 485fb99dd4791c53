"""What a retraining is to take, and what a running one reports, as its charts draw it."""

import math

import pytest

from cifarcore.reports.tables.progress import (
    accuracy_frame,
    accuracy_sentence,
    focus_rounds,
    loss_frame,
    seconds_in_all,
    shortest,
)
from cifarcore.retraining.progress import Progress
from cifarcore.retraining.speeds import Expectation


def learning(learned, **numbers):
    return {"phase": "learning", "at": 100.0 + learned, "learned": learned} | numbers


def test_losses_and_accuracies_by_seconds_of_learning():
    lines = (
        {"phase": "starting", "at": 99.0},
        learning(0.0, loss=4.5, fraction=0.0, val_accuracy=0.25, val_focus_accuracy=0.125),
        learning(2.0, loss=3.5, fraction=0.1),
        learning(5.0, loss=3.0, fraction=0.25, val_accuracy=0.5),
    )
    progress = Progress(lines)
    assert loss_frame(progress).to_dict("list") == {"seconds": [0.0, 2.0, 5.0], "loss": [4.5, 3.5, 3.0]}
    assert seconds_in_all(progress) == 20.0
    assert seconds_in_all(Progress(lines[:2])) == 1.0
    assert seconds_in_all(Progress((learning(7.0, loss=1.0),))) == 7.0
    assert loss_frame(Progress()).empty and accuracy_frame(Progress(lines[:1])).columns.tolist() == [
        "seconds", "accuracy", "classes", "parent", "change",
    ]  # fmt: skip


def test_the_focus_and_the_other_classes_are_drawn_beside_the_parent():
    """Of 100 validation images 20 are of the focus: 52 correct with 4 of these, later 51 with 7 of these."""
    images = {"val_images": 100.0, "val_focus_images": 20.0}
    progress = Progress(
        (
            learning(0.0, step=0.0, val_accuracy=0.52, val_focus_accuracy=0.2, **images),
            learning(5.0, step=50.0, val_accuracy=0.51, val_focus_accuracy=0.35, **images),
        )
    )
    frame = accuracy_frame(progress)
    assert frame["classes"].tolist() == ["focus classes", "other classes"] * 2
    assert frame["accuracy"].tolist() == pytest.approx([4 / 20, 48 / 80, 7 / 20, 44 / 80])
    assert frame["parent"].tolist() == pytest.approx([4 / 20, 48 / 80] * 2)
    assert frame["change"].tolist() == pytest.approx([0, 0, 15, -5])
    said = accuracy_sentence(progress)
    assert "focus classes 20.0% → 35.0%, other classes 60.0% → 55.0%, on 100 validation images" in said
    assert accuracy_sentence(Progress()) == ""


def test_without_a_focus_or_the_first_look_there_is_one_curve_or_no_level():
    progress = Progress((learning(5.0, step=50.0, val_accuracy=0.5, val_images=100.0),))
    (row,) = accuracy_frame(progress).to_dict("records")
    assert (row["accuracy"], row["classes"]) == (0.5, "all classes") and math.isnan(row["parent"])
    assert accuracy_sentence(progress).startswith("Accuracy of all classes 50.0%, on 100 ")


def test_the_shortest_budget_shows_each_image_of_the_focus_once():
    """100 images/s for 30 s are 3,000 images, half of them of the focus, which has a tenth of 50,000: 0.3 of each."""
    expected = Expectation(images_per_second=100.0, passes=0.06, learning=30.0, caching=0.0, scoring=5.0)
    rounds = focus_rounds(expected, 0.5, 0.1)
    assert rounds == pytest.approx(0.3)
    assert shortest(30.0, rounds, 5) == 100.0 and shortest(30.0, 0.29, 5) == 105.0
    assert shortest(30.0, rounds, 5, scoring=7.0) == 110.0
    assert shortest(0.2, 0.5, 0.1) == pytest.approx(0.4)
