"""The images that the ROC page lists at an operating point, against plain NumPy."""

import numpy as np
import pytest
from pages import pair_by_hand
from two_seeds import LABELS, RUNS, answers, softmax

from cifarcore.reports.tables.roc import Task
from cifarcore.reports.tables.roc_images import CONFUSED, FLIPS, flip_text, listed

FIRST, SECOND, SHARE = 1, 4, 0.2


def by_hand(task):
    """Of A and of B: each image's probability of the first class; which images are of it; their rows."""
    if task.negative is not None:
        a, b = (pair_by_hand(RUNS[letter][0], FIRST, SECOND) for letter in "AB")
        return (a[0], b[0]), a[1], a[2]
    return tuple(softmax(RUNS[letter][0])[:, FIRST] for letter in "AB"), LABELS == FIRST, np.arange(len(LABELS))


@pytest.mark.parametrize("task", [Task(FIRST, SECOND), Task(FIRST, None)], ids=["two classes", "one and the rest"])
def test_each_choice_lists_its_images_those_first_on_which_the_models_differ_most(view, task):
    (a, b), _, rows = by_hand(task)
    flip_a, flip_b = ((p >= SHARE) != (p >= 0.5) for p in (a, b))
    chosen = dict(zip(FLIPS, (flip_a | flip_b, flip_a, flip_b, (a >= SHARE) != (b >= SHARE)), strict=True))
    if task.negative is not None:
        other = np.where(LABELS[rows] == FIRST, SECOND, FIRST)
        in_a, in_b = (answers(letter)[0][rows] == other for letter in "AB")
        chosen |= dict(zip(CONFUSED, (in_a | in_b, in_a, in_b), strict=True))
    name = view.class_names[FIRST]
    for shown, images in chosen.items():
        found, notes = listed(view, task, SHARE, shown)
        assert sorted(found.tolist()) == rows[images].tolist() and images.any(), shown
        at = {row: index for index, row in enumerate(rows.tolist())}
        gaps = [abs(a[at[row]] - b[at[row]]) for row in found.tolist()]
        assert np.diff(gaps).max(initial=0) <= 1e-6
        assert notes == [f"{name}: A {a[at[row]]:.1%} · B {b[at[row]]:.1%}" for row in found.tolist()]


def test_how_many_flip_to_the_correct_class(view):
    task = Task(FIRST, SECOND)
    (a, b), is_first, _ = by_hand(task)
    words = []
    for letter, p in (("A", a), ("B", b)):
        flips = (p >= SHARE) != (p >= 0.5)
        right = flips & ((p >= SHARE) == is_first)
        words.append(f"{letter} net flips **{flips.sum()}** ({right.sum()} of them to the correct class)")
    assert flip_text(view, task, SHARE, {"A": "A net", "B": "B net"}) == f"From 50% to 20%: {words[0]}, {words[1]}"
