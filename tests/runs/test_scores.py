"""Scores as a run file keeps them: how their kind is known, the tolerance of their sums, and the floor."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from cifarcore.errors import CifarcoreError
from cifarcore.runs import scores

LOGITS = np.array([[2.0, 0, -1], [0, 1, 3], [1, 5, 0]], np.float32)
PROBABILITIES = softmax(LOGITS, axis=1)


def refused(*arguments):
    with pytest.raises(CifarcoreError) as caught:
        scores.as_logits(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "kind", "kept"),
    [
        (LOGITS, "", "logits"),
        (LOGITS - 9, "", "logits"),  # all below zero, as log-probabilities are, but of other sums
        (-LOGITS[:1] - 1, "", "logits"),
        (PROBABILITIES, "", "log_probabilities"),
        (PROBABILITIES, "probabilities", "log_probabilities"),
        (np.log(PROBABILITIES), "", "log_probabilities"),
        (np.log(PROBABILITIES), "log_probabilities", "log_probabilities"),
        (PROBABILITIES, "logits", "logits"),
    ],
)
def test_the_kind_is_named_or_known_by_sums(given, kind, kept):
    found, name, floored, *_ = scores.as_logits(given, kind)
    assert (name, floored) == (kept, 0) and (found.max(axis=1) == 0).all() == (kept == "logits")
    as_given = given if kept == "logits" or given.max() <= 0 else np.log(given)
    close = {"atol": 1e-5} if kept == "logits" else {"rtol": 2**-10, "atol": 1e-3}  # in steps of float16
    np.testing.assert_allclose(log_softmax(found, axis=1), log_softmax(as_given, axis=1), **close)


def test_logits_with_a_highest_of_zero_are_no_decimal_logarithms():
    sure = np.array([[0, -2.1, -9], [-9, 0, -2.1]], np.float32)
    assert scores.as_logits(sure)[1] == "logits"
    assert "decimal logarithms" in refused(np.log10(PROBABILITIES))


def test_sums_may_be_off_by_a_hundredth():
    for factor in (0.9901, 1.0099):
        assert scores.as_logits(PROBABILITIES * np.float32(factor))[1] == "log_probabilities"
        assert scores.as_logits(np.log(PROBABILITIES * np.float32(factor)), "log_probabilities")
    for factor in (0.985, 1.015):
        assert f"every row of the scores sums to {factor}, not to one; divide them by {factor} if" in refused(
            PROBABILITIES * np.float32(factor)
        )
        assert "3 of 3 rows do not sum to one (row 0: " in refused(
            np.log(PROBABILITIES * np.float32(factor)), "log_probabilities"
        )
    assert scores.SUM_TOLERANCE == 0.01 and scores.FLOOR == 1e-38


def test_one_row_that_does_not_sum_to_one_is_named():
    broken = PROBABILITIES.copy()
    broken[1] /= 2
    for kind in ("", "probabilities"):
        assert refused(broken, kind).startswith("the probabilities of 1 of 3 rows do not sum to one (row 1: 0.5); ")
    single = np.array([[0.5, 0.25]], np.float32)
    assert "1 of 1 rows do not sum to one (row 0: 0.75)" in refused(single, "probabilities")


def test_probabilities_that_leave_their_range():
    assert refused(LOGITS, "probabilities") == "probabilities reach from -1 to 5, outside 0..1"
    uneven = np.array([[0.0, 2.0], [0.5, 0.25]], np.float32)
    assert refused(uneven, "probabilities") == "probabilities reach from 0 to 2, outside 0..1"
    assert scores.as_logits(uneven)[1] == "logits"


def test_a_single_row_of_other_sums_is_a_row_of_logits():
    assert scores.as_logits(np.array([[3.0, 2.0]], np.float32))[1] == "logits"
    assert "sums to 5" in refused(np.array([[3.0, 2.0], [1.0, 4.0]], np.float32))


def test_probabilities_below_the_floor_are_counted():
    given = np.array([[1.0, 0, 0], [0.5, 0.5, 1e-39]], np.float64)
    found, kind, floored, *_ = scores.as_logits(given)
    assert (kind, floored) == ("log_probabilities", 3)
    assert found[0].tolist() == pytest.approx([0, np.log(1e-38), np.log(1e-38)], rel=2**-11)  # in steps of float16


def test_rows_of_one_are_predicted_classes_unless_they_are_said_to_be_logits():
    hot = scores.one_hot(np.array([2, 0]), 3)
    assert hot.tolist() == [[0, 0, 1], [1, 0, 0]] and hot.dtype == np.float32
    for kind in ("", "probabilities"):
        found, name, floored, *_ = scores.as_logits(hot, kind)
        assert (name, floored) == ("classes", 0) and found.tolist() == [[-100, -100, 0], [0, -100, -100]]
    assert scores.as_logits(hot, "logits")[1] == "logits"
    for other in ([[0, 0, 1], [1, 1, 0]], [[0, 0, 1], [0, 0, 0]], [[0, 0, 1], [0.5, 0.5, 0]], [[1, 2, 0], [1, 0, 0]]):
        assert not scores.is_one_hot(np.array(other, np.float32))
    assert scores.is_one_hot(hot)


def test_rounded_probabilities_sum_to_one_as_far_as_their_rounding_allows():
    rng = np.random.default_rng(0)
    for decimals, classes in ((2, 70), (3, 300), (4, 3000)):  # all of a class in the same direction, the worst case
        unsure = np.full(classes, 1 / classes)
        rounded = np.stack([unsure, *rng.dirichlet(np.full(classes, 0.1), 9)]).round(decimals).astype(np.float32)
        assert abs(rounded[0].sum() - 1) > 0.05
        for kind in ("", "probabilities"):
            assert scores.as_logits(rounded, kind)[1] == "log_probabilities"
    without_zeros = np.full((5, 30), 0.03, np.float32)
    assert scores.as_logits(without_zeros, "")[1] == "log_probabilities"
    given = rng.dirichlet(np.full(100, 0.05), 500)
    # what no rounding explains is refused as before
    assert "do not sum to one" in refused((given * rng.uniform(0.9, 1.1, (500, 1))).astype(np.float32), "probabilities")
    assert "do not sum to one" in refused((given * 0.8).round(3).astype(np.float32)[:1], "probabilities")
    marks = (rng.random((20, 10)) < 0.5).astype(np.float32)
    assert "do not sum to one" in refused(marks, "probabilities")


def test_a_softmax_is_told_from_logits():
    given = np.random.default_rng(0).dirichlet(np.ones(5), 30).astype(np.float32)
    for each in (given, given.astype(np.float16), given.round(3)):
        assert scores.is_softmax(each)
    for other in (np.log(given), given * 2, given - 0.1, given[:1], scores.one_hot(np.arange(5), 5), given[:, :4]):
        assert not scores.is_softmax(other)
    below = np.array([[-0.25, 0.75, 0.5], [0.2, 0.3, 0.5]], np.float32)
    assert not scores.is_softmax(below), "sums of one alone are no softmax"


@pytest.mark.parametrize("kind", ["", "probabilities"])
def test_probabilities_of_some_of_the_classes_are_made_to_sum_to_one(kind):
    given = np.array([[0.25, 0.25, 0], [0.2, 0.3, 0.5], [0.1, 0, 0.1]], np.float32)
    part = scores.of_part(given, kind)
    assert part.dtype == np.float32 and part.tolist() == pytest.approx(given / given.sum(axis=1, keepdims=True))
    below = np.array([[-0.25, 0.5, 0.25], *given[1:]], np.float32)
    for other in (below, given * 2.1, given * [[1], [1], [0]], given[1:2], given[0]):
        assert scores.of_part(np.asarray(other, np.float32), kind) is None
    assert scores.of_part(given, "logits") is None


def test_images_whose_own_class_has_a_probability_of_zero_are_counted():
    given = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.2, 0.6]], np.float32)
    assert scores.zeros(given, np.array([1, 0, 2])) == {"zero_probabilities": 1}
    assert scores.zeros(given, np.array([0, 0, 2])) == {}
