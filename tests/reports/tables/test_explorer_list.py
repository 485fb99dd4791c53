"""The list of marked images against plain Python on the same runs."""

import re
from collections import Counter

import numpy as np
import pytest
from two_seeds import LABELS, RUNS, answers, softmax

from cifarcore.reports.tables.explorer_list import SHOWN, holds, listing, selection_text

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
        title = min(wrong[row] or {""}, key=place.get)
        by = [
            letter for letter, confused in zip(letters, confusions_of(view, row, letters), strict=True)
            if confused == title
        ]  # fmt: skip
        assert note == (f"{' and '.join(by)}: {title}" if title else "")
        keys.append((place[title], -sure[row]))
    assert keys == sorted(keys)


@pytest.mark.parametrize(("shown", "letters"), [(SHOWN[0], "AB"), (SHOWN[2], "B")])
def test_one_confusion_holds_the_images_that_either_model_shown_confuses_so(view, shown, letters):
    listed = listing(view, ROWS, shown)
    for name in (listed.confusions[0], listed.confusions[-1]):
        only = listed.only(name)
        assert sorted(only.rows.tolist()) == [row for row in ROWS if name in confusions_of(view, row, letters)]
        assert only.confusions == listed.confusions
        for row, note in zip(only.rows.tolist(), only.notes, strict=True):
            of_models = zip(letters, confusions_of(view, row, letters), strict=True)
            assert note == f"{' and '.join(each for each, confused in of_models if confused == name)}: {name}"
    assert len(listed.only("no → such").rows) == 0


def test_a_selection_is_told_in_a_line_and_each_of_its_lists_says_of_which_images_it_is(view):
    confused = {letter: [name for row in ROWS if (name := confusions_of(view, row, letter)[0])] for letter in "AB"}
    right = {letter: len(ROWS) - len(names) for letter, names in confused.items()}
    of_class = Counter(view.class_names[label] for label in LABELS[ROWS])
    said = selection_text(view, ROWS)
    assert said.startswith(f"A classifies {right['A']} correctly, B {right['B']} · most frequent true class: ")
    name, count = re.search(r"true class: (.+?) \((\d+)\)", said).groups()
    assert of_class[name] == int(count) == max(of_class.values())
    name, *counts = re.search(r"frequent confusion: (.+) \(A (\d+), B (\d+)\)$", said).groups()
    assert [confused[letter].count(name) for letter in "AB"] == [int(count) for count in counts]
    assert selection_text(view, ROWS[:0]) == "A classifies 0 correctly, B 0"
    wrong = sum(1 for row in ROWS if any(confusions_of(view, row, "AB")))
    assert [each["title"] for each in holds(view, ROWS, "", "", "")] == [
        f"Outcome, of {len(ROWS)} images",
        f"True class, of {len(ROWS)} images",
        f"Confusion (true → predicted), of {wrong} images misclassified by either",
    ]
