"""A table of text is the same run in every dialect in which spreadsheets, NumPy and pandas write it."""

import gzip

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, same, taken
from made import made_run
from scipy.special import softmax

from cifarcore.runs import layout
from cifarcore.runs.formats import read_predictions, stem_of, suffix_of
from cifarcore.runs.readers import delimited
from cifarcore.runs.run import save_run


@pytest.fixture(scope="module")
def run():
    return made_run(5, 60)


@pytest.fixture
def table(run):
    scores = softmax(run.logits.astype(np.float64), axis=1)
    columns = dict(zip(run.class_names, scores.T, strict=True))
    return pd.DataFrame({"label": run.class_names[run.labels], "sample_id": run.sample_ids} | columns)


DIALECTS = {
    "tabs.tsv": dict(sep="\t"),
    "tabs.csv": dict(sep="\t"),
    "bars.txt": dict(sep="|"),
    "semicolons.CSV": dict(sep=";"),
    "decimal commas.csv": dict(sep=";", decimal=","),
    "decimal commas, quoted.csv": dict(decimal=","),
    "byte order mark.csv": dict(encoding="utf-8-sig", lineterminator="\r\n"),
    "Excel's Unicode text.txt": dict(encoding="utf-16", sep="\t"),
    "packed.csv.gz": {},
    "packed.tsv.GZ": dict(sep="\t", compression="gzip"),
    "all quoted.csv": dict(quoting=1),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(run, table, tmp_path, name):
    table.to_csv(tmp_path / name, index=False, **DIALECTS[name])
    found = taken(tmp_path / name, tmp_path)
    same(found.run, run)
    assert any("decimal comma" in note for note in found.notes) == name.startswith("decimal")


@pytest.mark.parametrize("head", ["sep=;\n", "# resnet50, epoch 90\n", "\n# a\n\n# b; c\n", "\ufeffsep=;\n"])
def test_lines_before_the_header(run, table, tmp_path, head):
    (tmp_path / "x.csv").write_text(head + table.to_csv(index=False, sep=";"), encoding="utf-8")
    same(taken(tmp_path / "x.csv", tmp_path).run, run)


def test_letters_that_are_not_utf_8_are_said(tmp_path):
    (tmp_path / "x.csv").write_bytes("Löwe;Bär\n0,5;0,5\n".encode("cp1252"))
    read = read_predictions(tmp_path / "x.csv")
    assert read.columns == ("Löwe", "Bär")
    assert "the file is not UTF-8; it was read as Windows-1252 (Western European)" in read.notes


def test_names_of_classes_with_commas_and_numbers_without_points(tmp_path):
    (tmp_path / "x.csv").write_text('file;"goldfish, carp";tench, doctor fish\na.png;1;0\nb.png;0,25;0,75\n')
    read = read_predictions(tmp_path / "x.csv")
    assert read.columns == ("goldfish, carp", "tench, doctor fish") and read.files == ("a.png", "b.png")
    np.testing.assert_array_equal(read.scores, [[1, 0], [0.25, 0.75]])


@pytest.mark.parametrize("options", [{}, {"delimiter": ","}, {"fmt": "%.6g", "delimiter": "\t"}])
@pytest.mark.parametrize("headed", [False, True])
def test_what_savetxt_writes(run, tmp_path, options, headed):
    """The header is a comment; without one the columns are the classes in their order, as those of an array."""
    save_run(run, tmp_path / "ours.npz")
    names = np.array([name.replace(" ", "_") for name in run.class_names])
    order = np.arange(5)[::-1] if headed else np.arange(5)
    given = {"header": options.get("delimiter", " ").join(names[order])} if headed else {}
    np.savetxt(tmp_path / "x.txt", softmax(run.logits.astype(float), axis=1)[:, order], **options, **given)
    found = taken(tmp_path / "x.txt", tmp_path, like=str(tmp_path / "ours.npz"))
    same(found.run, run)
    assert any("no header; its columns are taken in the order of the classes" in note for note in found.notes) != headed


def test_rows_without_a_header(tmp_path):
    """A column of picture files is known by its cells; any other one may mean anything and is asked for."""
    read = write(tmp_path, "cat/a.png,0.25,0.75\ndog/b.JPEG,1,0\n")
    assert read.files == ("cat/a.png", "dog/b.JPEG") and read.columns is None
    np.testing.assert_array_equal(read.scores, [[0.25, 0.75], [1, 0]])
    np.testing.assert_array_equal(write(tmp_path, "-1,5;0,5\n2;0,25\n").scores, [[-1.5, 0.5], [2, 0.25]])
    for text, said in (
        ("cat,0.25,0.75\ndog,1,0\n", "column 0 holds 'cat'; head every column: file, label"),
        ("a.png,3,0.25,0.75\nb.png,1,0.5,0.5\n", "column 1 may be something other than scores"),
        ("a.png,b.png,0.25,0.75\nc.png,d.png,0.5,0.5\n", "column 1 may be something other than scores"),
    ):
        (tmp_path / "x.csv").write_text(text)
        assert said in refused(tmp_path / "x.csv", tmp_path)


def write(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    return read_predictions(tmp_path / "x.csv")


def test_numbers_over_the_columns_are_a_header(tmp_path):
    for header in ("0,1,2", "2,0,1", "file,1,0", "10,20,30", "nan,inf,cat"):
        read = write(tmp_path, f"{header}\n{'a.png' if 'file' in header else 0.25},0.75,0\n")
        assert len(read.scores) == 1 and read.columns == tuple(header.split(",")[header.startswith("file") :])


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(delimited, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 1 << 20)
    with gzip.open(tmp_path / "x.csv.gz", "w") as file:
        file.write(b"cat,dog\n" + b"0.5,0.5\n" * 1_000_000)
    assert (tmp_path / "x.csv.gz").stat().st_size < 1 << 20
    assert "GiB when read; at most" in refused(tmp_path / "x.csv.gz", tmp_path)


def test_many_cells_of_one_digit_are_refused_before_they_are_numbers(tmp_path, monkeypatch):
    """A table takes 8 bytes for each of them, and so does the array that is made of it."""
    with gzip.open(tmp_path / "x.csv.gz", "w") as file:
        file.write(b"cat,dog,emu,fox\n" + b"0,0,0,1\n" * 50_000)
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 500_000)
    assert "GiB when read; at most" in refused(tmp_path / "x.csv.gz", tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("cifarcore.memory.memory_bytes", lambda: 2_000_000)
    assert "reading it takes about" in refused(tmp_path / "x.csv.gz", tmp_path)


def test_suffixes_of_packed_files():
    assert [suffix_of(name) for name in ("a.b.CSV", "a.csv.gz", "a.gz", "a")] == [".csv", ".csv.gz", ".gz", ""]
    assert [stem_of(name) for name in ("a.b.CSV", "a.csv.gz", "a.gz", "a")] == ["a.b", "a", "a", "a"]


def test_blanks_in_names_and_cells_part_no_columns_where_tabs_do(tmp_path):
    path = tmp_path / "theirs.tsv"
    path.write_text("comment\tcat\teel pout\tsample_id\n" + "".join(f"so so\t{i / 8}\t0.5\t{i}\n" for i in range(9)))
    read = read_predictions(path)
    assert read.columns == ("cat", "eel pout") and read.unused == ("comment",)
