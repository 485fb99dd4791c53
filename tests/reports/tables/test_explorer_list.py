"""The list of marked images against plain Python on the same runs."""

from collections import Counter

import numpy as np
import pytest
from two_seeds import LABELS, RUNS, answers, softmax

from cifarcore.reports.tables.explorer_list import SHOWN, listing

ROWS = np.arange(3, 500, 2)


def confusions_of(view, row, letters):
    """The confusion of each of the models on the image, "" where it is correct."""
    names = view.class_names
    given = [int(answers(letter)[0][row]) for letter in letters]
    return ["" if g == LABELS[row] else f"{names[LABELS[row]]} → {names[g]}" for g in given]


@pytest.mark.parametrize(("shown", "letters"), list(zip(SHOWN, ("AB", "A", "B", "AB"), strict=True)))
def test_the_images_of_a_choice_stand_by_their_commonest_confusion(view, shown, letters):
    listed = listing(view, ROWS, shown)
    wrong = {row: set(confusions_of(view, row, letters)) - {""} for row in ROWS.tolist()}
    expected = [row for row, confused in wrong.items() if confused or shown == SHOWN[3]]
    assert sorted(listed.rows.tolist()) == expected
    counts = Counter(name for row in expected for name in wrong[row])
    assert Counter(counts.values()) == Counter(counts[name] for name in listed.confusions)
    assert [counts[name] for name in listed.confusions] == sorted(counts.values(), reverse=True)
    place = {name: index for index, name in enumerate(listed.confusions)} | {"": len(counts)}
    sure = np.maximum(*(softmax(RUNS[letter][0]).max(1) for letter in "AB"))
    keys = []
    for row, note in zip(listed.rows.tolist(), listed.notes, strict=True):
        assert note == min(wrong[row] or {""}, key=place.get)
        keys.append((place[note], -sure[row]))
    assert keys == sorted(keys)


@pytest.mark.parametrize(("shown", "letters"), [(SHOWN[0], "AB"), (SHOWN[2], "B")])
def test_one_confusion_holds_the_images_that_either_model_shown_confuses_so(view, shown, letters):
    listed = listing(view, ROWS, shown)
    for name in (listed.confusions[0], listed.confusions[-1]):
        only = listed.only(name)
        assert sorted(only.rows.tolist()) == [row for row in ROWS if name in confusions_of(view, row, letters)]
        assert only.notes == [name] * len(only.rows) and only.confusions == listed.confusions
    assert len(listed.only("no → such").rows) == 0
