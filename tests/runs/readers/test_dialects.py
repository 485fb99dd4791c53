"""How a table of text is written, told from its first rows."""

import gzip

import numpy as np
import pandas as pd
import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers import delimited, tables


def dialect(text, ended=True, encoding="utf-8"):
    return delimited._dialect(text.encode(encoding), ended)


def test_headers_separators_and_lines_before():
    for text, separator, skipped, header in (
        ("a,b\n1,2\n", ",", 0, ["a", "b"]),
        ("a;b\n1,5;2\n", ";", 0, ["a", "b"]),
        ("sep=|\na|b\n1|2\n", "|", 1, ["a", "b"]),
        ("# by me\n\nfile\tcat\nx.png\t1\n", "\t", 2, ["file", "cat"]),
        ("a, b;c\n1;2\n", ";", 0, ["a, b", "c"]),
        ("a\n1\n", ",", 0, ["a"]),
    ):
        found = dialect(text)
        assert (found.separator, found.skipped, found.header, found.in_place) == (separator, skipped, header, True)
    data = dialect("# cat dog\n0.5 0.25\n1 2\n")
    assert (data.separator, data.skipped, data.header, data.in_place) == (r"\s+", 1, ["cat", "dog"], False)
    assert dialect("# cat\n0.5 0.25\n").header is None and dialect("# 1.5 2\n0.5 0.25\n").header is None


def test_encodings():
    assert dialect("a,b\n").encoding == "utf-8-sig" and dialect("ä,b\n").encoding == "utf-8-sig"
    assert dialect("ä,b\n", encoding="cp1252").encoding == "cp1252"
    assert dialect("a,b\n1,2\n", encoding="utf-16").header == ["a", "b"]
    for encoding in ("utf-16-le", "utf-16-be"):
        unmarked = dialect("a,b\n1,2\n", encoding=encoding)
        assert (unmarked.encoding, unmarked.header) == (encoding, ["a", "b"])
    cut = "a,b\n1,ä".encode()[:-1]
    assert delimited._dialect(cut, ended=False).encoding == "utf-8-sig", "a letter may be cut at the sample's end"


def test_a_first_row_is_one_of_scores_where_its_numbers_are_broken_or_equal():
    for row in (["0.5", "x"], ["1", "1"], ["-1", "2"], ["1e3", "2"], [".5"], ["1,5"]):
        assert delimited._is_data(row)
    for row in (["0", "1"], ["a", "b"], ["label", "0.5"], ["10", "x"], []):
        assert not delimited._is_data(row)


def test_the_last_row_of_a_sample_may_be_cut():
    text = "\n".join(["a,b"] * 3)
    for ended, n in ((True, 3), (False, 2)):
        assert len(delimited._rows(delimited.io.StringIO(text), ",", ended)) == n
    many = delimited.io.StringIO("1,2\n" * 50)
    assert len(delimited._rows(many, ",", True)) == 21
    assert delimited._rows(delimited.io.StringIO("a  b\n\n c\td\n"), r"\s+", True) == [["a", "b"], ["c", "d"]]
    assert delimited._rows(delimited.io.StringIO("a,b"), ",", False) == [["a", "b"]], "the only one is kept"


def test_decimal_commas_are_those_of_numbers():
    table = pd.DataFrame({"a": ["1,5", "x"], "b": [1, 2], "file": ["1,5", "2"]})
    assert delimited._decimal_commas(table, {"file": str}) and not delimited._decimal_commas(
        table, {"a": str, "file": str}
    )
    for cells, found in ((["1.5"], False), (["1,"], False), (["-1,5e3"], True), (["1,5,5"], False)):
        assert delimited._decimal_commas(pd.DataFrame({"a": cells}), {}) == found


def test_pictures_by_suffix():
    for name in ("a.png", "x/b.JPG", "c.jpeg", "d.tif", "e.tiff", "f.webp "):
        assert delimited._is_picture(name)
    for name in (".png", "a.txt", "png", 3):
        assert not delimited._is_picture(name)


def test_what_gzip_packed_is_read_no_further_than_needed(tmp_path, monkeypatch):
    path = tmp_path / "x.gz"
    with gzip.open(path, "w") as file:
        file.write(bytes(5 << 20))
    assert len(delimited.unpacked(path)) == 5 << 20
    monkeypatch.setattr(delimited, "MAX_BYTES", 2 << 20)
    assert sum(map(len, delimited._blocks(path))) == 3 << 20


def test_what_was_understood_is_said():
    plain = delimited.Dialect("utf-8-sig", ",", 0, ["a"])
    assert delimited._understood(plain, False) == ()
    assert delimited._understood(plain, True) == ("the decimal comma was read as such",)
    odd = delimited.Dialect("cp1252", ",", 0, None)
    assert delimited._understood(odd, False) == (
        "the file is not UTF-8; it was read as Windows-1252 (Western European)",
        "the file has no header; its columns are taken in the order of the classes",
    )


def test_rows_without_a_header_are_scores_and_one_column_of_files():
    table = pd.DataFrame({0: ["a.png", "b.png"], 1: [0.5, 0.25], 2: [1.0, 2.0]})
    read = tables.without_header(table, delimited._is_picture)
    assert read.files == ("a.png", "b.png") and read.scores.tolist() == [[0.5, 1], [0.25, 2]]
    whole = tables.without_header(table[[1, 2]].astype(int), delimited._is_picture)
    assert whole.files is None and whole.scores.tolist() == [[0, 1], [0, 2]]
    for changes, said in (
        ({2: [1, 2]}, "column 2 may be something other than scores"),
        ({2: ["c.png", "d.png"]}, "column 2 may be something other than scores"),
        ({2: ["c" * 50, "d"]}, f"column 2 holds {'c' * 40!r}; head every column"),
    ):
        with pytest.raises(CifarcoreError) as caught:
            tables.without_header(pd.DataFrame(table.to_dict("list") | changes), delimited._is_picture)
        assert said in str(caught.value)


def test_sizes_and_repeated_headings_are_refused():
    tables.refuse_large(2**30)
    with pytest.raises(CifarcoreError, match="1.5 GiB when read; at most 1 GiB are"):
        tables.refuse_large(2**30 + 2**29)
    with pytest.raises(CifarcoreError, match="1.0 GiB when read"):
        tables.refuse_large(2**30 + 1)
    tables.refuse_repeated(["a", "b"])
    with pytest.raises(CifarcoreError, match=f"column '{'x' * 30}…{'x' * 29}' is there twice; keep one"):
        tables.refuse_repeated(["a", "x" * 1001, "x" * 1001])


def test_a_prefix_that_all_classes_share_is_left_out():
    assert tables.without_prefix(["prob_cat", "Prob_dog"]) == ("cat", "dog")
    assert tables.without_prefix(["prob_cat", "dog"]) == ("prob_cat", "dog")
    assert tables.without_prefix(["p_", "p_x"]) == ("p_", "p_x")
    assert tables.without_prefix(["class_0", "class_1"], ["cat"]) == ("0", "1")
    assert tables.without_prefix(["class_0", "class_1"], ["Class 1"]) == ("class_0", "class_1")


def test_cells_of_classes_that_are_no_numbers_or_empty():
    def read(**cells):
        return tables.from_table(pd.DataFrame({"a": [0.5, 0.25], "b": [0.5, 0.75]} | cells))

    assert read(file=["x.png", "y.png"]).scores.tolist() == [[0.5, 0.5], [0.25, 0.75]]
    for cells, said in (
        ({"file": ["x.png", ""]}, "column 'file' is empty in row 1"),
        ({"label": ["x", None]}, "column 'label' is empty in row 1"),
        ({"a": ["1", "25%"]}, "column 'a' holds '25%', not a number; .*; write 12.5% as 0.125"),
        ({"a": ["1", "2,5x"]}, "column 'a' holds '2,5x', not a number; each column is one class's score"),
        ({"a": [None, None]}, "column 'a' is empty; each column is one class's score"),
        ({"a": ["1.250", "2.5"]}, "column 'a' holds '1.250', not a number; each column is one class's score"),
    ):
        with pytest.raises(CifarcoreError, match=said):
            read(**cells)
    np.testing.assert_array_equal(read().scores, [[0.5, 0.5], [0.25, 0.75]])
