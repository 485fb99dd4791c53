"""A folder of text files, one for each picture, is read where all classes are in each."""

import numpy as np
import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.runs.formats import read_predictions


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "labels").mkdir()
    return tmp_path / "labels"


def test_all_classes_in_any_order(folder):
    (folder / "b_2.txt").write_text("0.57 polar bear\n0.29 ant\n0.15 cow\n")
    (folder / "b_1.txt").write_text("0.90 ant\n0.10 cow\n0.00 polar bear\n")
    read = read_predictions(folder)
    assert read.files == ("b_1", "b_2") and read.columns == ("ant", "cow", "polar bear")
    np.testing.assert_allclose(read.scores, [[0.9, 0.1, 0], [0.29, 0.15, 0.57]], rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("0.57 ant\n0.3 cow\n", "holds 2 of at least 3 classes for an image; write the scores of all"),
        ("0 0.5 0.5 0.1 0.1\n", "holds 1 of at least"),
        ("ant 0.5\n", "x.txt: not lines such as '0.92 cat'"),
        ("", "x.txt: not lines such as '0.92 cat'"),
        ("0.5 ant\n0.5 ant\n", "names a class twice for one image"),
        ("1 a\n" * (1 << 19) + "1 b\n", "x.txt: 2,097,156 bytes; the scores of a picture are at most 2,097,152"),
        (None, "a folder with 0 text files"),
    ],
)
def test_what_is_refused(folder, content, said):
    if content is not None:
        (folder / "x.txt").write_text(content)
        (folder / "y.txt").write_text("0.5 ant\n0.3 cow\n0.2 dog\n")
    with pytest.raises(CifarcoreError) as caught:
        read_predictions(folder)
    assert said in str(caught.value) and str(caught.value).startswith("labels: ")
