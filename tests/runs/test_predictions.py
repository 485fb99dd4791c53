"""Someone else's scores, labels, ids and names: what is taken, in one form, and what is refused, in one line."""

import numpy as np
import pytest

from cifarcore import Run
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.softmax import probabilities
from cifarcore.runs.predictions import (
    Predictions,
    as_class_labels,
    as_sample_ids,
    as_texts,
    checked_scores,
    refuse_ranked,
)


def refused(function, *arguments):
    with pytest.raises(CifarcoreError) as caught:
        function(*arguments)
    return str(caught.value)


def test_scores_are_rows_of_two_to_twenty_thousand_classes():
    for shape in ((1, 2), (1, 20_000), (3, 4)):
        assert checked_scores(Predictions(np.zeros(shape))).shape == shape
    for columns in (1, 20_001):
        said = f"{columns} columns of scores; give one for each of 2 to 20000 classes"
        assert refused(checked_scores, Predictions(np.zeros((1, columns)))) == said
    assert refused(checked_scores, Predictions(np.zeros((0, 3)))) == "no rows; give one for each test image"
    for bad in (np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 2), complex), np.array([["a", "b"]])):
        assert "one row per image and one column per class" in refused(checked_scores, Predictions(bad))
    whole = checked_scores(Predictions(np.array([[1, 2], [3, 4]], np.uint8)))
    assert whole.dtype == np.float32 and whole.flags.c_contiguous and whole.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("columns", [None, ("cat", "dog", "sea")])
def test_numbers_that_are_none_are_counted_and_the_first_is_named(columns):
    scores = np.ones((5, 3))
    scores[2, 1:], scores[3, 0] = (np.inf, np.nan), 1e300
    assert refused(checked_scores, Predictions(scores, columns=columns)) == (
        "3 scores in 2 rows are NaN, empty or infinite (first: row 2, column " + ("dog)" if columns else "1)")
    )


def test_five_columns_that_fall_in_every_row_are_ranks():
    falling = np.array([[5.0, 4, 3, 2, 2], [9, 4, 3, 1, 0]])
    for columns in (None, tuple("01234"), tuple("34567")):
        assert "sorted by rank, not by class" in refused(refuse_ranked, Predictions(falling, columns=columns))
    refuse_ranked(Predictions(falling, columns=tuple("abcde")))
    refuse_ranked(Predictions(falling, columns=(*"0123", "x")))
    refuse_ranked(Predictions(falling[:, :4]))
    refuse_ranked(Predictions(falling[:1]))  # of one row, or of equal ones, nothing can be said
    refuse_ranked(Predictions(np.r_[falling, [[5, 4, 3, 2, 2.5]]]))


def test_labels_in_any_form_are_whole_numbers_or_text():
    for given in (
        [2, 0, 1],
        [[2], [0], [1]],
        [2.0, 0.0, 1.0],
        np.eye(3)[[2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1]],
        np.array([2, 0, 1], np.uint8),
    ):
        found = as_class_labels(given)
        assert found.dtype == np.int64 and found.tolist() == [2, 0, 1]
    assert as_class_labels(np.array([" cat", "dog "])).tolist() == ["cat", "dog"]
    assert as_class_labels(np.array(["x" * 1000])).tolist() == ["x" * 1000]
    assert as_class_labels([-1, 2**40]).tolist() == [-1, 2**40]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([[1, 1], [0, 1]], "labels of shape (2, 2) are not one-hot; give one label for each image"),
        ([[0, 2], [0, 1]], "labels of shape (2, 2) are not one-hot; give one label for each image"),
        ([[0, 0], [0, 1]], "labels of shape (2, 2) are not one-hot; give one label for each image"),
        ([[2, -1], [0, 1]], "labels of shape (2, 2) are not one-hot; give one label for each image"),
        (np.zeros((1, 1, 1)), "labels have shape (1, 1, 1); give one for each image"),
        (np.array([["a", "b"]]), "labels have shape (1, 2); give one for each image"),
        (3, "labels have shape (); give one for each image"),
        ([0.5, 1], "labels are not whole numbers; give class indices or names"),
        ([np.nan, 1], "labels are not whole numbers; give class indices or names"),
        (["x" * 1001], "a label has 1,001 characters; give class indices or names"),
    ],
)
def test_labels_that_are_none(given, said):
    assert refused(as_class_labels, given) == said


def test_ids_are_numbers_of_64_bits_or_their_text():
    for given, expected in (
        (np.array([0, 2**64 - 1], np.uint64), [0, 2**64 - 1]),
        (np.array([0, 7]), [0, 7]),
        (np.array(["10", " 11 "]), [10, 11]),
        (np.array([f"{17:016x}", f"{10:016X}"]), [17, 10]),
        (np.array([f"{17:016x}"[:15] + "0", "10"]), [10, 10]),
        (np.zeros(0, int), []),
    ):
        found = as_sample_ids(given)
        assert found.dtype == np.uint64 and found.tolist() == expected
    assert "may be decimal or hexadecimal; give them as" in refused(as_sample_ids, np.array(["1234567890123456"] * 2))
    for given in (np.array([0, -1]), np.array(["x"]), np.array([str(2**64)]), np.array(["-1"]), np.array([0.5])):
        assert "sample ids are not unsigned 64-bit numbers" in refused(as_sample_ids, given)
    assert (
        refused(as_sample_ids, np.zeros((2, 1), np.uint64)) == "sample ids have shape (2, 1); give one for each image"
    )


@pytest.mark.parametrize("below", [-1e-17, -1e-7, -0.004])
@pytest.mark.parametrize("kind", ["", "probabilities"])
def test_probabilities_a_little_below_zero_are_zeros_and_no_logits(below, kind):
    given = np.array([[0.7, 0.3, 0], [0.2, 0.2, 0.6], [1 - below, 0, below]])
    run = Run.from_predictions(given, [0, 2, 0], class_names=["a", "b", "c"], sample_ids=[1, 2, 3], kind=kind)
    assert run.meta["scores"] == "log_probabilities"
    np.testing.assert_allclose(probabilities(run), np.clip(given, 0, 1), atol=5e-3)


@pytest.mark.parametrize("lowest", [-0.5, -0.004])
def test_scores_below_zero_are_kept_where_rows_do_not_sum_to_one(lowest):
    given = np.array([[0.7, 0.3, lowest], [0.2, 0.9, 0.6]])
    np.testing.assert_array_equal(checked_scores(Predictions(given)), given.astype(np.float32))


def test_what_sums_to_one_as_of_a_regression_is_noted():
    rng = np.random.default_rng(0)
    given = rng.normal(0, 0.2, (40, 3)) + np.eye(3)[np.arange(40) % 3]
    given += (1 - given.sum(axis=1, keepdims=True)) / 3
    with pytest.warns(UserWarning, match="sum to one, but some are below zero"):
        run = Run.from_predictions(given, np.arange(40) % 3, class_names=["a", "b", "c"], sample_ids=range(1, 41))
    assert run.meta["scores"] == "logits"


def test_texts_are_of_one_dimension():
    assert as_texts(np.array(["a", "b"]), "files") == ("a", "b") and as_texts(np.array([1, 2]), "files") == ("1", "2")
    for bad in (np.array([["a"]]), np.array([0.5]), np.array("a")):
        assert f"array 'files' is {bad.dtype} of shape {bad.shape}; give text" in refused(as_texts, bad, "files")
