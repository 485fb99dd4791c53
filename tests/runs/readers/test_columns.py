"""What a column is, by its heading and its values: each rule at its bounds, on arrays alone."""

import numpy as np
import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers import columns
from cifarcore.runs.readers.columns import roles_of
from cifarcore.runs.readers.roles import heading_key, only, role_of

HALVES = np.array([0.5, 0.25, 0.75])
FILES = np.array(["a.png", "b.jpg", "c.webp"])


def test_whole_numbers_are_row_numbers_also_as_text():
    for values in (
        np.array([2, 0, 1]),
        np.array([2.0, 0, 1]),
        np.array(["2", "0", "1"]),
        np.array([2, 0, 1], np.uint8),
    ):
        found = columns.row_numbers(values)
        assert found.dtype == np.int64 and found.tolist() == [2, 0, 1]
    assert columns.row_numbers(np.array([2**53 - 1, -(2**53) + 1])).tolist() == [2**53 - 1, -(2**53) + 1]
    for none in (
        [0.5, 1], ["a", "1"], [np.nan, 1.0], [2.0**53, 0], [-(2.0**53), 0], [[0], [1]], [True, False], [],
    ):  # fmt: skip
        assert columns.row_numbers(np.array(none)) is None


def test_numbers_count_from_nought_or_one_in_any_order():
    for numbers, first in (([2, 0, 1], 0), ([3, 1, 2], 1), ([0], 0), ([1], 1)):
        assert columns.count_from(np.array(numbers)) == first
    for numbers in ([2, 3, 4], [0, 0, 1], [0, 2, 1, 4], [-1, 0, 1]):
        assert columns.count_from(np.array(numbers)) is None


def test_a_column_of_an_unknown_heading_by_its_values():
    ten, nine = np.arange(10), np.arange(9)
    for values, role in (
        (FILES, "files"), (np.array(["A.PNG", "b.txt"]), "other"), (np.array(["x", "y"]), "other"),
        (np.array(["1,5", "2"]), ""), (np.array(["-1e-3", "+2."]), ""), (np.array(["", "y"]), ""),
        (np.array([True, False]), "other"), (np.ones((3, 2)), "other"), (HALVES, ""), (ten, "other"), (nine, ""),
        (ten[::-1] + 1, "other"), (ten.astype(float), "other"), (np.r_[ten, 0.5], ""), (ten + 2, ""),
        (np.r_[0, ten], ""),
    ):  # fmt: skip
        assert columns._by_looks(values) == role, values


def test_a_column_that_names_a_place_by_its_values():
    for values, role in (
        (np.array([5, 3]), "rows"), (np.array(["0123456789abcdef"]), "sample_ids"),
        (np.array([2**60], np.uint64), "sample_ids"), (np.array(["18446744073709551615"]), "sample_ids"),
        (np.array(["0123456789abcde"]), "files"), (np.array(["a", "0123456789abcdef"]), "files"), (HALVES, "other"),
        (np.array(["3", "1"]), "rows"),
    ):  # fmt: skip
        assert columns._by_values(values) == role, values


def test_what_differs_in_every_row_is_not_overlooked_from_ten_rows_on():
    ten = np.random.default_rng(0).permutation(10)
    texts = np.array([f"picture {k}" for k in ten])
    for values, call in ((ten, "index"), (texts, "file")):
        columns._refuse_overlooked(["mine"], {"mine": values[:9]})
        with pytest.raises(CifarcoreError) as caught:
            columns._refuse_overlooked(["mine" * 20], {"mine" * 20: values})
        assert str(caught.value) == (
            f"{('mine' * 20)[:60]!r} differs in every row, so it may say which image a row is; call it {call} if it "
            "does, or leave it out"
        )
    for harmless in (np.arange(10), np.r_[texts[:9], texts[:1]], np.arange(10) * 2, np.full(10, 0.5)):
        columns._refuse_overlooked(["mine"], {"mine": harmless})
    named = {"mine": texts, "file": np.array([f"{k}.png" for k in ten]), "x": np.full(10, 0.5)}
    assert roles_of(named).unused == ("mine",), "where files name the images nothing is overlooked"
    with pytest.raises(CifarcoreError, match="'mine' differs in every row"):
        roles_of({"mine": texts, "x": np.full(10, 0.5)})


def test_of_paths_and_names_the_path_and_of_numbers_those_that_tell():
    paths = np.array(["x/a.png", "y/b.png"])
    assert roles_of({"filename": np.array(["a.png", "b.png"]), "path": paths}).files == "path"
    with pytest.raises(CifarcoreError, match="'path' and 'filename' mean the same and differ; keep one"):
        roles_of({"path": paths, "filename": np.array(["a.png", "c.png"])})
    both = {"index": np.array([0, 1, 2]), "id": np.array([2, 0, 1])}
    found = roles_of(both | {"x": HALVES})
    assert (found.rows, found.unused) == ("id", ("index",))
    assert roles_of({"index": np.array([4, 5, 6]), "id": np.array([1, 2, 3])}).rows == "index"
    with pytest.raises(CifarcoreError, match="'index' and 'id' mean the same and differ"):
        roles_of({"index": np.array([1, 0, 2]), "id": np.array([2, 0, 1])})


def test_labels_that_agree_one_to_one_are_taken_by_name():
    numbers, names = np.array([1, 0, 1]), np.array(["b", "a", "b"])
    for given in ({"label": numbers, "truth": names}, {"truth": names, "label": numbers}):
        assert roles_of(given).labels == "truth" and roles_of(given).unused == ("label",)
    assert roles_of({"label": numbers, "target": numbers}).labels == "label"
    for other in (np.array(["b", "a", "a"]), np.array(["a", "a", "a"]), np.array(["c", "a", "b"])):
        with pytest.raises(CifarcoreError, match="'truth' and 'label' mean the same and differ"):
            roles_of({"label": numbers, "truth": other})


def test_roles_without_scores():
    given = {"labels": np.array([0, 1]), "extra": np.array([0.5, 0.25]), "file": np.array(["a.png", "b.png"])}
    assert roles_of(given, scores=False) == columns.Roles("labels", files="file", unused=("extra",))
    assert roles_of(given).classes == ("extra",)


def test_what_is_read_says_where_it_stood():
    given = {
        "truth": np.array([1, 0]), "sample_id": np.array([7, 8], np.uint64), "path": np.array(["a.png", "b.png"]),
        "row": np.array(["1", "0"]),
    }  # fmt: skip
    roles = roles_of(given)
    read = columns.with_roles(Predictions(np.eye(2), sources=(("scores", "x"),), unused=("y",)), roles, given)
    assert read.labels.tolist() == [1, 0] and read.sample_ids.tolist() == [7, 8] and read.rows.tolist() == [1, 0]
    assert read.files == ("a.png", "b.png") and read.unused == ("y",)
    assert read.sources == (
        ("scores", "x"), ("labels", "truth"), ("sample_ids", "sample_id"), ("files", "path"), ("rows", "row"),
    )  # fmt: skip


def test_texts_and_numbers_of_columns():
    assert columns.texts_of(np.array([" a", "b "])) == ["a", "b"]
    for none in (np.array([1, 2]), np.array(["a", None], object), np.array([["a"]])):
        assert columns.texts_of(none) == []
    assert columns.numbers_of(np.array(["1", "2.5"])).tolist() == [1, 2.5]
    for none in (np.array(["x"]), np.array([True]), np.array([[1]])):
        assert columns.numbers_of(none) is None


def test_headings_are_compared_without_regard_to_capitals_blanks_and_hyphens():
    assert heading_key("  True - Label ") == "true_label" and role_of("True-Label") == "labels"
    for heading, role in (
        ("Image Path", "files"), ("SAMPLE_ID", "sample_ids"), ("", "place"), ("Unnamed: 0", "place"),
        ("loss", "other"), ("cat", ""),
    ):  # fmt: skip
        assert role_of(heading) == role
    assert only({"X": 0, "Labels": 1}, ("labels",)) == "Labels" and only({"X": 0}, ("labels",)) is None
    with pytest.raises(CifarcoreError, match="arrays label, Labels mean the same; keep one"):
        only({"label": 0, "Labels": 1}, ("label", "labels"))
