"""The words and tables of slices."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pages import two_models
from pictures import plain
from processes import invoke

from cifarcore.data import property_files
from cifarcore.data.image_folder import list_folder, read_pictures
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.slices import Slices, accuracy_by, find, of_columns
from cifarcore.reports.charts.slices import accuracy_by_bin, forest
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import slices as slice_tables
from cifarcore.runs.run import load_run, save_run
from cifarcore.runs.test_sets import pack_path


def test_sentences_name_the_clearest_slices_either_way():
    a, b = two_models(n_images=2000)
    difference = b.correct.astype(int) - a.correct
    camera = np.select([difference > 0, difference < 0], ["new", "old"], "usual")
    found = find([a], [b], of_columns({"camera": camera}))
    (first, more), (second, less) = slice_tables.sentences(found)
    assert (first, second) == ("camera: new", "camera: old")
    assert f"+100.0 points on {(difference > 0).sum():,} images" in more and "smaller" in less
    table = slice_tables.slice_table(found)
    assert table["Significant"].tolist()[:2] == ["yes", "yes"]
    (measured,) = (name for name in table if name.startswith("B − A") and "elsewhere" not in name)
    assert measured.endswith("(points)") and sorted(table[measured][:2]) == ["+100.0", "−100.0"]
    assert forest(slice_tables.forest_frame(found), found.difference).to_dict()["description"].startswith("B minus A")
    rows = forest(slice_tables.forest_frame(found), found.difference).to_dict()["layer"][-1]
    assert rows["mark"]["type"] == "bar" and rows["encoding"]["opacity"] == {"value": 0}
    assert accuracy_by_bin(accuracy_by([a], [b], found.bins[0]), ("a", "b")).to_dict()


def table_of(**changes):
    row = {
        "slice": "dark", "support": 1200, "accuracy_a": 0.5, "accuracy_b": 0.625, "difference": 0.125, "low": 0.1,
        "high": 0.15, "rest": -0.01, "gap": 0.135, "share": 0.2, "q": 0.00001, "significant": True,
    }  # fmt: skip
    return row | changes


def slices_of(*rows):
    return Slices(pd.DataFrame(rows), (), (), np.zeros((0, 5), bool), 0.05, 5)


def test_slices_as_text():
    found = slices_of(table_of(), table_of(slice="old", share=np.nan, q=0.2, significant=False, difference=-0.01))
    assert slice_tables.slice_table(found).to_numpy().tolist() == [
        ["dark", "1,200", "50.0%", "62.5%", "+12.5", "+10.0 to +15.0", "−1.0", "+20.0%", "< 0.0001", "yes"],
        ["old", "1,200", "50.0%", "62.5%", "−1.0", "+10.0 to +15.0", "−1.0", "", "0.2000", ""],
    ]


def test_a_folder_that_was_measured_is_searched(tmp_path, monkeypatch, capsys):
    """`properties --images` said "measured", and no page read it: the run kept no picture beside it."""
    monkeypatch.setattr(property_files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "none"))
    made = plain(tmp_path / "pictures", classes=10, each=20)
    runs = []
    for run in two_models(n_images=200, superclasses=False):
        run = replace(run, sample_ids=made.ids)
        runs.append(load_run(save_run(run, tmp_path / f"{run.meta['model']}.npz")))
    a, b = (Side(letter, letter, (run,)) for letter, run in zip("AB", runs, strict=True))
    sides = Sides(a, b, 0, 0, np.arange(10))
    assert not slice_tables.slices_of(sides).bins or "brightness" not in names(sides)
    printed = invoke("properties", runs[0].path, "--images", made.root)
    assert f"{runs[0].path}: 200 of 200 images are measured" in printed
    assert {"brightness", "contrast"} <= names(sides)
    pack = pack_path(runs[0].path)
    with pack.open("wb") as file:
        read_pictures(list_folder(made.root), np.arange(200), file)
    assert not slice_tables.lacking(sides), "the same pictures, which were measured in their folder"


def names(sides):
    return {each.property.name for each in slice_tables.bins_of_images(sides)}


def test_what_measured_none_of_a_runs_images_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(property_files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "none"))
    made = plain(tmp_path / "pictures")
    run = save_run(two_models(n_images=60)[0], tmp_path / "mine.npz")
    with pytest.raises(CifarcoreError, match=r"mine.npz: none of the pictures measured is one of its images; give --i"):
        invoke("properties", run, "--images", made.root)
    monkeypatch.setattr(property_files, "measure", lambda pixels: dict.fromkeys(property_files.PROPERTIES, [np.nan]))
    (made.root / "class 0" / "000.png").rename(made.root / "class 0" / "other.png")
    with pytest.raises(CifarcoreError, match="pictures: none of its pictures could be measured"):
        invoke("properties", "--images", made.root)


def test_what_two_files_say_otherwise_of_the_images_is_searched_as_two():
    """The file of A had the word of both, and slices held other images when the models were swapped."""
    a, b = two_models(n_images=200)
    day = np.where(np.arange(200) % 2, "wet", "dry")

    def of_both(theirs, ours=day, name="day"):
        runs = [
            replace(run, metadata_names=np.array([each]), metadata_values=np.array(values)[:, None])
            for run, each, values in ((a, "day", ours), (b, name, theirs))
        ]
        found = slice_tables._properties(runs[:1], runs[1:], ())
        return [each.name for each in found if each.kind == "own"]

    assert of_both(day) == ["day"] == of_both(np.where(day == "wet", "", day))
    assert of_both(np.roll(day, 1)) == ["day", "day (by B's file)"]
    assert of_both(np.arange(200).astype(str)) == ["day", "day (by B's file)"]
    assert of_both(np.roll(day, 1), name="site") == ["day", "site"]


def test_an_effect_of_held_out_images_is_called_that():
    assert list(slice_tables.slice_table(slices_of(table_of(chosen_by=1))))[4] == "B − A, held out (points)"
    assert list(slice_tables.slice_table(slices_of(table_of())))[4] == "B − A (points)"


def test_the_first_slice_either_way_is_said():
    found = slices_of(
        table_of(slice="no", significant=False), table_of(slice="none", gap=-0.1, difference=-0.1, q=0.0123),
        table_of(), table_of(slice="later"),
    )  # fmt: skip
    assert slice_tables.sentences(found) == [
        ("dark", "B − A is larger there: +12.5 points on 1,200 images (95% CI +10.0 to +15.0), −1.0 on the others; "
                 "q < 0.0001."),
        ("none", "B − A is smaller there: −10.0 points on 1,200 images (95% CI +10.0 to +15.0), −1.0 on the others; "
                 "q = 0.0123."),
    ]  # fmt: skip
    assert slice_tables.sentences(slices_of(table_of(gap=0.0)))[0][1].startswith("B − A is smaller")
    assert slice_tables.sentences(slices_of(table_of(rest=0.02)))[0][1].startswith("The gain is larger there: +12.5")
    assert slice_tables.sentences(slices_of(table_of(significant=False))) == []


def test_fifteen_slices_are_drawn():
    found = slices_of(*(table_of(slice=str(k)) for k in range(20)))
    assert slice_tables.forest_frame(found)["slice"].tolist() == [str(k) for k in range(15)]
