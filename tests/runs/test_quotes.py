"""What messages quote of a file: the beginning of long names, and the reading of the labels that fits best."""

import numpy as np
import pytest

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.label_doubts import not_those_of
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers import pairs, text_folder
from cifarcore.runs.test_sets import TestSet
from cifarcore.runs.understood import understood

LONG = "".join(chr(97 + i % 26) for i in range(80))
OTHER = LONG[::-1]
NAMES = ("cat", "dog", "sea")


def test_what_was_read_of_a_file_is_quoted_in_part():
    found = Predictions(
        np.zeros((3, 2)), columns=(LONG, OTHER), sources=(("files", LONG), ("labels", "y")), unused=(OTHER, *"bcdef")
    )
    assert understood(found) == (
        f"read: 3 rows, 2 columns of scores; picture files from {LONG[:60]!r}; labels from 'y'; classes {LONG[:30]!r} "
        f"to {OTHER[:30]!r}; not used: {OTHER[:30]!r}, 'b', 'c', 'd', 'e'"
    )
    assert understood(Predictions(np.array([1, 0]))) == "read: 2 rows, a predicted class each"


def refused_labels(readings, labels=(0, 1, 2, 0), by_file=False, given=None, **options):
    test = TestSet("the set", "", NAMES, np.array(labels), by_file=by_file)
    found = Predictions(
        np.zeros((len(labels), 3)), labels=np.array(["x"] * len(labels)) if given is None else given,
        sources=(("labels", LONG),),
    )  # fmt: skip
    return not_those_of(test, [np.array(each) for each in readings], NAMES, found, ImportConfig(**options))


def test_labels_that_are_refused_are_those_of_the_reading_that_fits_best():
    said = refused_labels([(1, 2, 0, 1), (0, 1, 2, 1)])
    assert said.startswith("the labels of 1 of 4 rows are not those of the set in this order (first: row 3, 'dog' ")
    assert said.endswith(
        "instead of 'cat'); bring the rows into its order, or give sample_ids in the file; or compare runs "
        "by the numbers of their rows, without pictures, with --order rows --test-set NAME alone"
    )
    assert "row 2, 'another class' instead of 'sea'" in refused_labels([(0, 1, -1, 0)])


def test_the_remedy_names_the_other_order_or_the_column():
    moved = [(1, 1, 2, 0)]
    for order, other in (("torchvision", "data"), ("data", "torchvision")):
        assert f"use --order {other} if that is theirs" in refused_labels(moved, order=order)
    by_file = refused_labels(moved, by_file=True)
    assert by_file.endswith(f"give each file its own label; if {LONG[:60]!r} is the model's answer, call it prediction")
    assert refused_labels([(1, 2, 0, 0)], by_file=True).endswith("give each file its own label"), "most are others"
    counted = np.array([1, 2, 3, 1])
    assert refused_labels([counted], given=counted).endswith("they count from 1: use --first-class 1")


@pytest.mark.parametrize(
    ("read", "labels", "other_order"),
    [
        ((1, 0, 1, 0), (0, 1, 0, 1), True),
        ((2, 0, 1, 2), (0, 1, 2, 0), True),
        ((2, 2, 2, 2), (0, 0, 0, 0), False),  # of one class nothing can be said
        ((2, 2, 0, 2), (0, 1, 2, 1), False),  # one class is two
        ((1, 2, 0, 1), (0, 0, 2, 0), False),  # two classes are one
    ],
)
def test_classes_that_are_always_the_same_other_ones_are_in_another_order(read, labels, other_order):
    for given in (np.array(read), np.array(list(map(str, read)))):
        said = refused_labels([read], labels, given=given)
        assert ("so the file counts the classes in another order: give --class-names FILE" in said) == other_order
    assert "another order" not in refused_labels([read], labels), "names count nothing"


def test_an_object_without_a_class_is_quoted_by_its_keys():
    with pytest.raises(CifarcoreError, match=f"^{LONG[:60]} hold no class and score; name them label and score$"):
        pairs.pair({LONG: 1, "other": 2})


def test_the_texts_of_a_folder_are_measured_before_they_are_read(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text("0.9 cat\n0.1 dog\n")
    sizes = []
    monkeypatch.setattr(text_folder, "refuse_large", sizes.append)
    text_folder.from_text_folder(tmp_path)
    assert sizes == [3 * (100 + 20 * 16)]
