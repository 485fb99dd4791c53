"""Scores in one cell: each form of a list, of pairs and of ranks, on tables alone."""

import numpy as np
import pandas as pd
import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers import cells, pairs
from cifarcore.runs.readers.long_form import one_row_each


def refused(function, *arguments):
    with pytest.raises(CifarcoreError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1, 2.5]", [1, 2.5]),
        ("[ 1  2.5\n 3. ]", [1, 2.5, 3]),
        ("tensor([1e-3, -2], device='cuda:0')", [0.001, -2]),
        ("array([0.5, 0.25], dtype=float32)", [0.5, 0.25]),
        ("[np.float64(0.5), np.float32(1)]", [0.5, 1]),
        ("{'cat': 1, 'dog': 0.5}", {"cat": 1, "dog": 0.5}),
        ("[{'label': 'cat', 'score': 1}]", [{"label": "cat", "score": 1}]),
        ("['cat' 'sea lion']", ["cat", "sea lion"]),
        ('["it\'s", "b"]', ["it's", "b"]),
    ],
)
def test_lists_as_they_are_printed(text, expected):
    assert cells._parsed("x", 0, text) == expected


def test_lists_that_cannot_be_read():
    assert refused(cells._parsed, "x", 3, "[0.1 ... 0.2]") == (
        "'x' was shortened to '...' when row 3 was printed; write numbers, as .npy does"
    )
    long = "[one, " + "two" * 20 + "]"
    assert refused(cells._parsed, "x", 2, long) == f"'x' holds {long[:40]!r} in row 2, which is no list of numbers"


def test_what_a_list_is():
    for cell in ("[1]", " {'a': 1}", "tensor([1])", "array( [1])", [1], (1,), {"a": 1}, np.ones(2)):
        assert cells._is_list(cell)
    for cell in ("1", "x[1]", "", [], {}, 1.5, None):
        assert not cells._is_list(cell)
    assert cells._rows("x", pd.Series([1.0, 2])) is None and cells._rows("x", pd.Series([], dtype=object)) is None
    assert np.array_equal(cells._rows("x", pd.Series(["[1, 2]", [3, 4]])), [[1, 2], [3, 4]])
    assert cells._rows("x", pd.Series([{"a": 1, "b": 2}])) == [[("a", 1), ("b", 2)]]
    assert refused(cells._rows, "x", pd.Series(["[1]", "2"])) == "'x' holds no list in row 1, as it does in row 0"


def test_a_class_and_its_score_under_any_of_their_names():
    assert pairs.pair({"Label": 3, "Score": 0.5, "rank": 1}) == ("3", 0.5)
    assert pairs.pair({"class_name": "cat", "probability": 1}) == ("cat", 1) and pairs.pair(7) == 7
    assert pairs.pair({"tagName": "a", "probability": 1, "tagId": "x"}) == ("a", 1), "Azure's Custom Vision"
    for item in ({"label": "a"}, {"score": 1}, {"x": 1, "y": 2}):
        said = refused(pairs.pair, item)
        assert said == f"{', '.join(item)} hold no class and score; name them label and score"


def test_scores_by_class_are_brought_into_one_order():
    _, scores, names, *_ = cells._by_name("x", [[("b", 1), ("a", 2)], [("a", 3), ("b", 4)]], ())
    assert names == ("a", "b") and scores.tolist() == [[2, 1], [3, 4]]
    _, scores, names, *_ = cells._by_name("x", [[("10", 1), ("9", 2), ("x", 3), ("1", 4)]], ())
    assert names == ("x", "1", "9", "10") and scores.tolist() == [[3, 4, 2, 1]]
    assert refused(cells._by_name, "x", [[("a", 1), ("a", 2)]], ()) == "'x' names a class twice for one image"
    assert refused(cells._by_name, "x", [[("a", 1), ("b", 2)], [("c", 1), ("b", 2)]], ()).startswith(
        "'x' holds 2 of at least 3 classes for an image; write the scores of all"
    )
    many = [[(str(k), k) for k in range(20_001)]]
    assert refused(cells._by_name, "x", many, ()) == "'x' names 20,001 classes; at most 20,000 are read"
    assert cells._by_name("x", [many[0][:20_000]], ()).scores.shape == (1, 20_000)


@pytest.mark.parametrize("cell", ["[0.25, 1e-3, 7]", "[0.25 0.001 7]", [0.25, 0.001, 7], np.array([0.25, 0.001, 7])])
def test_numbers_of_a_cell_are_an_array(cell):
    """As objects of Python's, 1 GiB of them took four times as much."""
    (row,) = cells._rows("scores", pd.Series([cell], dtype=object))
    assert isinstance(row, np.ndarray) and row.tolist() == [0.25, 0.001, 7]


@pytest.mark.parametrize("cell", [["cat", "dog"], [1, "dog"], [[0.1, 0.2], [0.3]], [1, None], [1, 10**30]])
def test_what_is_not_numbers_alone_stays_as_it_is(cell):
    assert cells._rows("scores", pd.Series([cell], dtype=object)) == [cell]


def test_names_and_pairs_count_as_the_objects_that_they_are(monkeypatch):
    monkeypatch.setattr(cells, "MAX_BYTES", 64 * 150)
    assert len(cells._rows("x", pd.Series([["a"] * 75] * 2))) == 2
    assert cells._rows("x", pd.Series([[0.5] * 500] * 2)) is not None
    assert "'x' holds more than the" in refused(cells._rows, "x", pd.Series([["a"] * 76] * 2))


def test_lists_of_one_length():
    assert cells._matrix("x", [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert cells._matrix("x", [[[1, 2]], [[3, 4]]]).tolist() == [[1, 2], [3, 4]]
    assert cells._matrix("x", [[[1, 2], [5, 6]]]).shape == (1, 2, 2)
    assert refused(cells._matrix, "x", [[1, 2], [1, 2], [3]]) == "'x' has 1 numbers in row 2, but 2 in row 0"
    assert "something other than numbers" in refused(cells._matrix, "x", [["a", 2]])


def test_ranks_in_columns_of_their_own():
    table = pd.DataFrame({"label_0": ["a", "b"], "label_1": ["b", "a"], "prob_0": [0.9, 0.8], "prob_1": [0.1, 0.2]})
    found = cells.cells_of(table.assign(file=["x.png", "y.png"]))
    assert (found.heading, found.classes) == ("prob", ("a", "b"))
    assert found.scores.tolist() == [[0.9, 0.1], [0.2, 0.8]] and set(found.read) == set(table)
    turned = table[["prob_1", "label_0", "prob_0", "label_1"]]  # by their numbers, wherever they stand
    assert cells.cells_of(turned).scores.tolist() == found.scores.tolist()
    assert cells._ranked(table.drop(columns=["label_0", "label_1"])) == ({}, {})
    assert cells._ranked(table.drop(columns=["prob_0", "prob_1"])) == ({}, {})
    short = table.drop(columns="prob_1")
    assert cells._ranked(short) == ({}, {}), "families of one length make ranks"


def test_names_beside_scores():
    table = pd.DataFrame(
        {"classes": [["a", "b"], ["b", "a"]], "index": [[0, 1], [1, 0]], "probs": [[1, 0], [0.5, 0.5]]}
    )
    found = cells.cells_of(table)
    assert found.classes == ("a", "b") and found.scores.tolist() == [[1, 0], [0.5, 0.5]]
    assert found.read == ("probs", "classes", "index")
    wrong = table.assign(classes=[["a", "b"], ["b"]])
    assert refused(cells.cells_of, wrong) == "'classes' has 1 cells in row 1, but 'probs' has 2"
    assert cells.cells_of(table[["index", "classes"]]) is None
    two = pd.DataFrame({"probs": [[1, 0]], "logits": [[1, 0]]})
    assert refused(cells.cells_of, two) == "columns 'probs', 'logits' may all be the scores; keep one"
    assert cells.cells_of(two.rename(columns={"logits": "features"})).heading == "probs"
    assert cells.cells_of(pd.DataFrame({"features": [[1.0, 0]], "cat": [0.5]})) is None
    assert (cells.kind_of("outputs.logits"), cells.kind_of("Probs"), cells.kind_of("x")) == (
        "logits",
        "probabilities",
        None,
    )


def long(**changes):
    columns = {
        "file": ["x"] * 2 + ["y"] * 2,
        "label": ["a", "b"] * 2,
        "score": [0.9, 0.1, 0.2, 0.8],
        "rank": [1, 2, 2, 1],
    }
    return pd.DataFrame(columns | changes)


def test_one_row_for_each_image_and_class():
    table, unused = one_row_each(long(truth=["a", "a", "b", "b"]))
    assert table["file"].tolist() == ["x", "y"] and table["truth"].tolist() == ["a", "b"] and unused == ("rank",)
    assert table["score"].tolist() == [{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]
    assert one_row_each(long(file=list("wxyz"))) is None and one_row_each(long(score=[1, 2, 3, 4])) is None
    assert one_row_each(long(label=["a"] * 4)) is None and one_row_each(long(prob=[0.5] * 4)) is None
    two = long(category=["q", "r", "q", "r"])
    assert refused(one_row_each, two) == "columns 'label' and 'category' may both name the class of a score; keep one"
    by_id, _ = one_row_each(long(file=["x"] * 4, sample_id=[1, 1, 2, 2]).rename(columns={"file": "image"}))
    assert by_id["sample_id"].tolist() == [1, 2]
