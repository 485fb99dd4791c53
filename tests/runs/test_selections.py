"""Selections that the user keeps beside the runs: names made safe, nothing overwritten, bad files refused in a line."""

import os

import numpy as np
import pytest

from cifarcore.errors import CifarcoreError
from cifarcore.files import seen
from cifarcore.runs import selections
from cifarcore.runs.selections import delete_selection, exported, import_selections, save_selection

IDS = np.array([1, 2**63 + 5, 3], np.uint64)
LABELS = np.array([0, 4, 4], np.int16)


def test_what_is_saved_is_read_and_known_by_content_and_label(tmp_path):
    assert save_selection(tmp_path, " Dark otters ", IDS[:2], LABELS[:2]) == "Dark-otters"
    (kept,), refused = selections.selections(tmp_path)
    assert refused == [] and kept.name == "Dark-otters"
    assert kept.among(IDS, LABELS).tolist() == [True, True, False]
    assert kept.among(np.repeat(IDS, 2), np.array([0, 1, 0, 4, 4, 0])).tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    assert kept.among(IDS[:0], LABELS[:0]).tolist() == []
    delete_selection(tmp_path, "Dark-otters")
    assert selections.selections(tmp_path) == ([], []) == selections.selections(tmp_path / "nowhere")


def test_a_selection_holds_its_images_whatever_the_order_of_the_classes(tmp_path):
    """Of runs that count the classes otherwise it held a part of its images, or none, without a word."""
    save_selection(tmp_path, "x", IDS, LABELS)
    (kept,), _ = selections.selections(tmp_path)
    for labels in ([4, 0, 0], [0, 1, 1], [4, 4, 4]):
        assert kept.among(np.append(IDS, np.uint64(7)), np.array([*labels, 4])).tolist() == [True] * 3 + [False]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here: run on Linux or macOS")
def test_a_pipe_among_the_selections_is_refused_and_not_waited_for(tmp_path):
    save_selection(tmp_path, "x", IDS, LABELS)
    os.mkfifo(tmp_path / selections.FOLDER / "pipe.csv")
    kept, refused = selections.selections(tmp_path)
    assert [each.name for each in kept] == ["x"]
    assert refused == ["pipe.csv: is no list of sample_id and label (no file); remove it"]


def test_another_selection_than_was_seen_is_not_deleted(tmp_path):
    save_selection(tmp_path, "x", IDS, LABELS)
    path = selections.selection_path(tmp_path, "x")
    before = seen(path)
    delete_selection(tmp_path, "x")
    with pytest.raises(CifarcoreError, match="has changed since it was shown"):
        delete_selection(tmp_path, "x", before)
    save_selection(tmp_path, "x", IDS[:1], LABELS[:1])
    with pytest.raises(CifarcoreError, match="has changed since it was shown"):
        delete_selection(tmp_path, "x", before)
    delete_selection(tmp_path, "x", seen(path))
    assert not path.exists()


def test_names_lead_nowhere_else_and_none_is_overwritten(tmp_path):
    assert save_selection(tmp_path, "../../etc/passwd", IDS, LABELS) == "etc-passwd"
    with pytest.raises(CifarcoreError, match="etc-passwd is kept already"):
        save_selection(tmp_path, "etc-passwd", IDS[:1], LABELS[:1])
    assert len(selections.selections(tmp_path)[0][0].labels) == 3
    for title, ids, reason in (("  ", IDS, "has no name"), ("x", IDS[:0], "no image")):
        with pytest.raises(CifarcoreError, match=reason):
            save_selection(tmp_path, title, ids, LABELS[: len(ids)])


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / selections.FOLDER).write_text("a file where the folder should be")
    with pytest.raises(CifarcoreError, match="could not be written"):
        save_selection(tmp_path, "x", IDS, LABELS)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / selections.FOLDER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CifarcoreError, match="is a link"):
        save_selection(tmp_path / "runs", "x", IDS, LABELS)
    kept, (line,) = selections.selections(tmp_path / "runs")
    assert kept == [] and "is a link" in line


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"sample_id,label\nxyz,1\n", b"sample_id,label\n1,9.5\n",
                b"sample_id,label\n" + b"f" * 40 + b",1\n", b"sample_id,label\n-1,1\n"]
)  # fmt: skip
def test_a_file_that_is_none_is_named_and_the_others_stay(tmp_path, content):
    save_selection(tmp_path, "good", IDS, LABELS)
    (tmp_path / selections.FOLDER / "bad.csv").write_bytes(content)
    kept, (line,) = selections.selections(tmp_path)
    assert [each.name for each in kept] == ["good"] and line.startswith("bad.csv: ") and "\n" not in line


def test_exported_slices_are_imported_again(tmp_path):
    ids, labels = np.array([3, 2**63 + 5], np.uint64), np.array([1, 7])
    save_selection(tmp_path / "a", "dark", ids, labels)
    save_selection(tmp_path / "a", "blurred", ids[:1], labels[:1])
    content = exported(selections.selections(tmp_path / "a")[0])
    assert content.decode().splitlines()[:2] == ["slice,sample_id,label", "blurred,0000000000000003,1"]
    assert import_selections(tmp_path / "b", "any.csv", content) == ["blurred", "dark"]
    (blurred, dark), refused = selections.selections(tmp_path / "b")
    assert dark.sample_ids.tolist() == ids.tolist() and dark.labels.tolist() == [1, 7] and not refused
    assert blurred.sample_ids.tolist() == [3] and exported([]) == b""
    bare = content.decode().replace("slice,", "").replace("blurred,", "").replace("dark,", "").encode()
    assert import_selections(tmp_path / "b", "mine (2).csv", bare) == ["mine-2"]


def test_ids_are_read_as_in_any_other_file(tmp_path):
    """10 was read as sixteen, and other images were shown as the slice."""
    rows = "".join(f"{number},{name}\n" for number, name in ((10, 1), (11, 2), (2**63 + 5, 0)))
    assert import_selections(tmp_path, "mine.csv", f"sample_id,label\n{rows}".encode()) == ["mine"]
    ((kept,), refused) = selections.selections(tmp_path)
    assert kept.sample_ids.tolist() == [10, 11, 2**63 + 5] and not refused
    rows = "x,000000000000000a,1\ny,000000000000000b,1\n"
    import_selections(tmp_path, "two.csv", f"slice,sample_id,label\n{rows}".encode())
    assert [each.sample_ids.tolist() for each in selections.selections(tmp_path)[0][1:]] == [[10], [11]]
    with pytest.raises(CifarcoreError, match="sample ids are not unsigned 64-bit numbers, nor text of 16 hex"):
        import_selections(tmp_path, "odd.csv", b"sample_id,label\n1f,1\n")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"sample_id\n00ff\n", "is no CSV with sample_id and label"),
        (b"", "is no CSV"),
        (b"sample_id,label\nxyz,1\n", "is no CSV with sample_id and label"),
        (b"sample_id,label\n", "holds no image"),
        (b"\xff\xfe\x00", "is no CSV"),
        (b"slice,sample_id,label\na-new,01,1\nkept,01,1\n", "a slice kept is kept already"),
        (b"slice,sample_id,label\na b,01,1\na-b,02,1\n", "two slices that would both be called a-b"),
        (b"slice,sample_id,label\nnew,01,1\nNEW,02,1\n", "two slices that would both be called"),
        (b"slice,sample_id,label\nab,01,1\n ,02,1\n", "a slice without a name"),
        (b"sample_id,label\nff,1,2,3\n", "rows have more fields than the header"),
    ],
)
def test_what_is_no_export_is_refused_and_nothing_of_it_kept(tmp_path, content, reason):
    save_selection(tmp_path, "kept", np.array([1], np.uint64), np.array([1]))
    with pytest.raises(CifarcoreError, match=reason):
        import_selections(tmp_path, "mine.csv", content)
    assert [each.name for each in selections.selections(tmp_path)[0]] == ["kept"]


def test_a_files_name_is_shown_in_one_line_however_long_it_is(tmp_path):
    with pytest.raises(CifarcoreError) as caught:
        import_selections(tmp_path, "a\nb" + "x" * 5000 + ".csv", b"")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_an_import_that_fails_half_way_keeps_none(tmp_path, monkeypatch):
    kept = [selections.Selection(name, IDS, LABELS) for name in ("a", "b")]
    content, save = exported(kept), selections.save_selection

    def failing(folder, title, *arrays):
        if title == "b":
            raise CifarcoreError("the disk is full")
        return save(folder, title, *arrays)

    monkeypatch.setattr(selections, "save_selection", failing)
    with pytest.raises(CifarcoreError, match="the disk is full"):
        import_selections(tmp_path, "x.csv", content)
    assert selections.selections(tmp_path) == ([], [])
    monkeypatch.undo()
    assert import_selections(tmp_path, "x.csv", content) == ["a", "b"]


@pytest.mark.parametrize("ids", [[2**63 + 5], [0x1234567812345678, 0x8000000000000005], [1, 2]])
def test_ids_without_a_letter_are_read_as_they_were_written(tmp_path, ids):
    save_selection(tmp_path, "x", np.array(ids, np.uint64), np.zeros(len(ids), np.int16))
    (kept,), refused = selections.selections(tmp_path)
    assert kept.sample_ids.tolist() == ids and not refused


@pytest.mark.parametrize("ids", [[2**63 + 5], [0x1234567812345678, 0x8000000000000005], [1, 2]])
def test_ids_without_a_letter_are_imported_as_they_were_exported(tmp_path, ids):
    """The export of a slice of one image was refused, as its id might have been decimal."""
    content = exported([selections.Selection("x", np.array(ids, np.uint64), np.zeros(len(ids), np.int16))])
    assert import_selections(tmp_path, "any.csv", content) == ["x"]
    ((kept,), refused) = selections.selections(tmp_path)
    assert kept.sample_ids.tolist() == ids and not refused


def test_ids_of_16_digits_in_another_file_than_an_export_may_be_decimal(tmp_path):
    with pytest.raises(CifarcoreError, match="may be decimal or hexadecimal"):
        import_selections(tmp_path, "mine.csv", b"sample_id,label\n1234567812345678,0\n")


def test_no_more_slices_are_imported_saved_and_read_than_can_be_shown(tmp_path, monkeypatch):
    """Thousands of names took the square of their number to be told apart, and every look at the page minutes."""
    many = "".join(f"s{number},{number:016x},0\n" for number in range(1, 30_001))
    with pytest.raises(CifarcoreError, match="30,000 slices; at most 500 are kept"):
        import_selections(tmp_path, "many.csv", f"slice,sample_id,label\n{many}".encode())
    assert not (tmp_path / selections.FOLDER).exists()
    monkeypatch.setattr(selections, "MOST", 2)
    save_selection(tmp_path, "b", IDS, LABELS)
    with pytest.raises(CifarcoreError, match="1 slices are kept, and at most 2 can be; delete some first"):
        import_selections(tmp_path, "two.csv", b"slice,sample_id,label\nx,0000000000000001,0\ny,0000000000000001,0\n")
    save_selection(tmp_path, "c", IDS, LABELS)
    with pytest.raises(CifarcoreError, match="2 slices are kept"):
        save_selection(tmp_path, "a", IDS, LABELS)
    (tmp_path / selections.FOLDER / "a.csv").write_bytes((tmp_path / selections.FOLDER / "c.csv").read_bytes())
    kept, refused = selections.selections(tmp_path)
    assert [each.name for each in kept] == ["a", "b"]
    assert refused == ["selections: of 3 slices the first 2 by name are read; remove some files"]
