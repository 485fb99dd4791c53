"""How much of what was learned is kept: as far as the validation split bears it out."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from cifarcore.presets import WEIGHTS
from cifarcore.retraining.choosing import Scores, choose_weight, scores


def test_scores_are_accuracy_and_the_mean_f1_of_the_focus():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 6, 400).astype(np.int16), rng.normal(size=(400, 6))
    logits[np.arange(400), labels] += 1
    found, predicted = scores(logits, labels, (4, 1)), logits.argmax(1)
    assert found.accuracy == pytest.approx((predicted == labels).mean())
    assert found.focus_f1 == pytest.approx(f1_score(labels, predicted, labels=[4, 1], average="macro"))
    assert scores(logits, labels, ()) == Scores(found.accuracy, found.accuracy)


def logits_for(right: int, labels: np.ndarray) -> np.ndarray:
    """The first `right` images right, the others one class too far."""
    predicted = np.where(np.arange(len(labels)) < right, labels, (labels + 1) % 4)
    return np.eye(4)[predicted]


@pytest.mark.parametrize(
    ("half", "quarter", "expected"), [(80, 80, 0.5), (60, 80, 0.25), (60, 60, 0.0), (70, 70, 0.0), (60, 71, 0.25)]
)
def test_the_first_weight_that_holds_is_kept_else_the_parent(half, quarter, expected):
    labels = np.arange(100) % 4
    before = scores(logits_for(70, labels), labels, (0, 2))
    asked = []

    def logits_at(weight):
        asked.append(weight)
        return logits_for(half if weight == WEIGHTS[0] else quarter, labels)

    weight, logits = choose_weight(before, logits_at, labels, (0, 2))
    assert weight == expected and (logits is None) == (not expected)
    assert asked == list(WEIGHTS[: 1 if expected == WEIGHTS[0] else 2])


def test_a_better_focus_is_not_bought_with_all_others():
    labels = np.arange(100) % 4
    right = labels == 0
    before = scores(np.eye(4)[np.where(right & (np.arange(100) < 50), 1, labels)], labels, (0,))
    focus_alone = np.eye(4)[np.where(right | (np.arange(100) < 50), labels, (labels + 1) % 3 + 1)]
    assert scores(focus_alone, labels, (0,)).focus_f1 > before.focus_f1
    assert choose_weight(before, lambda weight: focus_alone, labels, (0,)) == (0.0, None)
