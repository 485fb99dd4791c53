"""What the user knows of each image comes along with its predictions, and the page of slices searches it."""

import os

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken, write
from made import made_run
from PIL import Image

from cifarcore import Run
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.slices import columns_of
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.slices import bins_of_images, slices_of
from cifarcore.runs import metadata as module
from cifarcore.runs.run import load_run, save_run
from cifarcore.text import one_line


@pytest.fixture
def run():
    return made_run(10, 400, 0.5)


def predictions(tmp_path, run, **more):
    return write(tmp_path / "theirs.npz", run, labels=run.labels, sample_ids=run.sample_ids, **more)


def metadata(tmp_path, run, separator=",", hexadecimal=False):
    rng = np.random.default_rng(0)
    ids = [f"{i:016x}" for i in run.sample_ids] if hexadecimal else run.sample_ids
    frame = pd.DataFrame(
        {
            "sample_id": ids,
            "site": rng.choice(["north", "south"], run.n_images),
            "exposure": rng.random(run.n_images).round(3),
            "remark": [f"no. {i}" if i % 3 else "" for i in range(run.n_images)],
        }
    )
    path = tmp_path / "known.csv"
    frame.sample(frac=1, random_state=1).to_csv(path, index=False, sep=separator)
    return path, frame


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("hexadecimal", [True, False])
def test_columns_come_along_by_sample_id(tmp_path, run, separator, hexadecimal):
    path, frame = metadata(tmp_path, run, separator, hexadecimal)
    found = taken(predictions(tmp_path, run), tmp_path, metadata=str(path))
    assert any(note == "metadata of 400 of 400 images: 'site', 'exposure', 'remark'" for note in found.notes)
    place = {int(i): row for row, i in enumerate(run.sample_ids)}
    rows = [place[int(i)] for i in found.run.sample_ids]
    columns = columns_of(found.run)
    assert columns["site"].tolist() == frame["site"].iloc[rows].tolist()
    np.testing.assert_allclose(columns["exposure"], frame["exposure"].iloc[rows])
    assert columns["remark"].tolist() == frame["remark"].iloc[rows].tolist()
    part = found.run.take(np.array([7, 3]))
    assert part.metadata_values.tolist() == found.run.metadata_values[[7, 3]].tolist()
    again = load_run(save_run(part, tmp_path / "part.npz"))
    assert columns_of(again)["site"].tolist() == columns["site"][[7, 3]].tolist()
    # a run file gets them, too
    save_run(run, tmp_path / "run.npz")
    assert (
        columns_of(taken(tmp_path / "run.npz", tmp_path, metadata=str(path)).run)["site"].tolist()
        == frame["site"].tolist()
    )


def test_columns_come_along_by_file(tmp_path):
    names = [f"{name}/{name}{i}" for name in ("cat", "dog") for i in range(6)]
    for i, name in enumerate(names):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (20 * i, 1, 2)).save(tmp_path / "pics" / f"{name}.png")
    scores = pd.DataFrame({"file": [f"{name}.png" for name in names], "cat": 0.7, "dog": 0.3})
    scores.sample(frac=1, random_state=3).to_csv(tmp_path / "theirs.csv", index=False)
    known = pd.DataFrame({"filename": [f"{name.split('/')[1]}.jpg" for name in names[1:]], "site": range(1, 12)})
    known.to_csv(tmp_path / "known.csv", index=False)
    options = {"images": str(tmp_path / "pics"), "metadata": str(tmp_path / "known.csv")}
    found = taken(tmp_path / "theirs.csv", tmp_path, **options)
    assert any(note.startswith("metadata of 11 of 12 images") for note in found.notes)
    from cifarcore.data.ids import sample_ids

    of_id = {int(sample_ids(np.full((1, 4, 4, 3), (20 * i, 1, 2), np.uint8))[0]): i for i in range(12)}
    site = columns_of(found.run)["site"]
    expected = [float(of_id[int(i)]) or np.nan for i in found.run.sample_ids]
    np.testing.assert_array_equal(site, expected)
    # in the order of the folder there are names, too
    np.save(tmp_path / "theirs.npy", np.tile([0.7, 0.3], (12, 1)))
    again = columns_of(taken(tmp_path / "theirs.npy", tmp_path, **options).run)["site"]
    assert sorted(again[~np.isnan(again)]) == list(range(1, 12))


def test_the_file_says_which_image_a_line_is_of_and_not_an_id_beside_it(tmp_path):
    names = [f"{name}/{i}.png" for i, name in enumerate(["cat", "dog"] * 6)]
    for i, name in enumerate(names):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (20 * i, 1, 2)).save(tmp_path / "pics" / name)
    pd.DataFrame({"file": names, "cat": 0.7, "dog": 0.3}).to_csv(tmp_path / "theirs.csv", index=False)
    known = pd.DataFrame({"id": range(12), "file": names[::-1], "site": [f"of {name}" for name in names[::-1]]})
    known.to_csv(tmp_path / "known.csv", index=False)
    options = {"images": str(tmp_path / "pics"), "metadata": str(tmp_path / "known.csv")}
    found = taken(tmp_path / "theirs.csv", tmp_path, **options)
    assert found.run.metadata_names.tolist() == ["id", "site"]
    assert sorted(found.run.metadata_values[:, 1]) == sorted(f"of {name}" for name in names)
    from cifarcore.data.ids import sample_ids

    of_id = {int(sample_ids(np.full((1, 4, 4, 3), (20 * i, 1, 2), np.uint8))[0]): i for i in range(12)}
    assert found.run.metadata_values[:, 1].tolist() == [f"of {names[of_id[int(i)]]}" for i in found.run.sample_ids]


def test_of_two_columns_of_files_the_one_that_names_the_images_counts(tmp_path):
    """And none where both do, otherwise: the first of them was taken, whichever was meant."""
    names = [f"{name}/{i}.png" for i, name in enumerate(["cat", "dog"] * 6)]
    for i, name in enumerate(names):
        (tmp_path / "pics" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (20 * i, 1, 2)).save(tmp_path / "pics" / name)
    pd.DataFrame({"file": names, "cat": 0.7, "dog": 0.3}).to_csv(tmp_path / "theirs.csv", index=False)
    options = {"images": str(tmp_path / "pics"), "metadata": str(tmp_path / "known.csv")}
    for others in ([f"IMG_{i}.jpg" for i in range(12)], [name.split("/")[1] for name in names], names):
        for order in ([0, 1, 2], [1, 0, 2]):
            known = pd.DataFrame({"path": names, "filename": others, "site": [f"of {name}" for name in names]})
            known.iloc[:, order].to_csv(tmp_path / "known.csv", index=False)
            found = taken(tmp_path / "theirs.csv", tmp_path, **options).run
            assert columns_of(found)["site"].tolist() == [f"of {name}" for name in names]
            known.assign(filename=names[1:] + names[:1]).iloc[:, order].to_csv(tmp_path / "known.csv", index=False)
            said = refused(tmp_path / "theirs.csv", tmp_path, **options)
            assert "name different images; keep one" in said


def test_slices_are_searched_by_them(run):
    worse = np.arange(400) < 120
    other = made_run(10, 400, 0.8, model="resnet18")
    logits = other.logits.copy()
    rows = np.flatnonzero(worse)
    logits[rows] = 0
    logits[rows, (run.labels[rows] + 1) % 10] = 5
    names, values = np.array(["site", "superclass"]), np.stack([np.where(worse, "dark", "bright"), ["x"] * 400], axis=1)
    from dataclasses import replace

    other = replace(other, logits=logits, metadata_names=names, metadata_values=values, digest="")
    sides = Sides(Side("A", "a", (replace(run, digest=""),)), Side("B", "b", (other,)), 0, 0, np.arange(10))
    found = slices_of(sides).table.set_index("slice")
    assert found.loc["site: dark", "significant"] and found.loc["site: dark", "support"] == 120
    assert "superclass (metadata)" not in "".join(found.index)  # one value is no slice
    # a column that is called like an image's property, beside one that is called as that would then be
    names = np.array(["superclass", "superclass (metadata)"])
    other = replace(other, metadata_names=names, metadata_values=np.stack([values[:, 0], values[::-1, 0]], axis=1))
    sides = Sides(Side("A", "a", (replace(run, digest=""),)), Side("B", "b", (other,)), 0, 0, np.arange(10))
    shown = [each.property.name for each in bins_of_images(sides)]
    assert {"superclass (metadata)", "superclass (metadata) (metadata)"} <= set(shown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="sample_id"), "give a column sample_id, as the predictions name no files"),
        (lambda f: f[["sample_id"]], "0 columns beside 'sample_id'"),
        (lambda f: f.assign(sample_id=range(400)), "no line is of any of the 400 images"),
        (lambda f: pd.concat([f, f.iloc[:1].assign(site="east")]), "is there twice and differs"),
        (lambda f: f.rename(columns={"site": ""}), "a column has no heading"),
        (lambda f: f.assign(sample_id="x"), "sample ids are not"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, run, change, message):
    path, frame = metadata(tmp_path, run)
    change(frame).to_csv(path, index=False)
    assert message in refused(predictions(tmp_path, run), tmp_path, metadata=str(path))


def test_cells_that_are_alike_are_read_once(tmp_path, monkeypatch):
    lines = [f"{number},{number % 2},,x" for number in range(500)]  # 64 MiB of such took minutes
    (tmp_path / "meta.csv").write_text("\n".join(["sample_id,a,b,c", *lines, lines[7]]))
    read = []
    monkeypatch.setattr(module, "one_line", lambda text, limit: read.append(text) or one_line(text, limit))
    arrays, note, _ = module.read_metadata(str(tmp_path / "meta.csv"), None, np.array([7, 900, 4], np.uint64))
    assert arrays["metadata_values"].tolist() == [["1", "", "x"], ["", "", ""], ["0", "", "x"]]
    assert "of 2 of 3 images" in note and len(read) < 20


def test_a_metadata_file_of_a_heading_alone_is_refused(tmp_path):
    (tmp_path / "meta.csv").write_text("sample_id,a\n")
    with pytest.raises(CifarcoreError, match="no line is of any of the 1 images"):
        module.read_metadata(str(tmp_path / "meta.csv"), None, np.array([7], np.uint64))


def test_metadata_in_a_folder_or_a_device_are_refused_and_not_read_for_ever(tmp_path):
    for path in (str(tmp_path), os.devnull):
        with pytest.raises(CifarcoreError, match="is no file; write the table to one"):
            module.read_metadata(path, None, np.array([7], np.uint64))


def test_a_file_with_code_points_beyond_unicode_is_refused(tmp_path, run):
    from dataclasses import replace

    from cifarcore.runs.layout import RunFileError

    values = np.full((400, 1), "ab")
    values.view(np.uint32)[0, 0] = 0x7FFFFFFF
    with pytest.raises(RunFileError, match="metadata_values"):
        save_run(replace(run, metadata_names=np.array(["x"]), metadata_values=values), tmp_path / "x.npz")
    with pytest.raises(RunFileError, match="'metadata_values' is missing"):
        save_run(replace(run, metadata_names=np.array(["x"])), tmp_path / "x.npz")


COMMAS = {
    "decimals": (["0,5", "1,25", "NA", "-3"], [0.5, 1.25, np.nan, -3]),
    "thousands by points": (["1.234,5", "12", "1.000", ""], [1234.5, 12, 1000, np.nan]),
}


@pytest.mark.parametrize("form", COMMAS)
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_decimal_commas_are_those_of_numbers(tmp_path, run, separator, form):
    written, meant = ((each * 100) for each in COMMAS[form])
    frame = pd.DataFrame({"sample_id": run.sample_ids, "size": written, "site": ["a, b", "c"] * 200, "count": 7})
    frame.to_csv(tmp_path / "known.csv", index=False, sep=separator)
    found = taken(predictions(tmp_path, run), tmp_path, metadata=str(tmp_path / "known.csv"))
    assert any(note.endswith("; the decimal comma was read as such") for note in found.notes)
    columns = columns_of(found.run)
    np.testing.assert_allclose(columns["size"].astype(float), meant)
    assert columns["site"].tolist() == frame["site"].tolist() and set(columns["count"].tolist()) == {7}
    given = frame.drop(columns="sample_id").to_dict("list")
    own = Run.from_predictions(
        run.logits, run.labels, class_names=run.class_names, sample_ids=run.sample_ids, metadata=given
    )
    np.testing.assert_allclose(columns_of(own)["size"].astype(float), meant)


def test_commas_that_may_part_thousands_are_told_to_be_text(tmp_path, run):
    frame = pd.DataFrame({"sample_id": run.sample_ids, "size": ["1,234", "2,500"] * 200, "site": ["1.234", "2"] * 200})
    frame.to_csv(tmp_path / "known.csv", index=False, sep=";")
    found = taken(predictions(tmp_path, run), tmp_path, metadata=str(tmp_path / "known.csv"))
    assert any(note.endswith("; text, as a comma may part thousands: 'size'") for note in found.notes)
    columns = columns_of(found.run)
    assert columns["size"].tolist() == frame["size"].tolist() and columns["site"].tolist() == [1.234, 2] * 200


def test_points_of_numbers_part_no_thousands(tmp_path, run):
    known = {"site": ["4,25", "1,5"] * 200, "sharpness": [1.375, 2.125] * 200, "count": ["1.375", "2.125"] * 200}
    known |= {"share": ["0.125", "0.375"] * 200}
    given = dict(class_names=run.class_names, sample_ids=run.sample_ids)
    columns = columns_of(Run.from_predictions(run.logits, run.labels, **given, metadata=known))
    assert columns["sharpness"].tolist() == [1.375, 2.125] * 200 and columns["share"].tolist() == [0.125, 0.375] * 200
    assert columns["count"].tolist() == [1375, 2125] * 200 and columns["site"].tolist() == [4.25, 1.5] * 200
    frame = pd.DataFrame({"sample_id": run.sample_ids} | known)
    frame.to_csv(tmp_path / "known.csv", index=False)
    found = taken(predictions(tmp_path, run), tmp_path, metadata=str(tmp_path / "known.csv"))
    assert columns_of(found.run)["share"].tolist() == [0.125, 0.375] * 200
    told = [note for note in found.notes if "points were read as parting thousands: 'count'; the decimal" in note]
    assert len(told) == 1 and "thousands: 'share'" not in told[0]


def test_columns_of_tensors_are_numbers_and_what_is_masked_is_not_known(run):
    torch = pytest.importorskip("torch")
    known = {"size": torch.arange(400) / 8, "age": np.ma.masked_array(np.arange(400), np.arange(400) % 4 == 0)}
    given = dict(class_names=run.class_names, sample_ids=run.sample_ids, metadata=known)
    made = Run.from_predictions(run.logits, run.labels, **given)
    assert columns_of(made)["size"].tolist() == (np.arange(400) / 8).tolist()
    assert made.metadata_values[:5, 1].tolist() == ["", "1", "2", "3", ""]
