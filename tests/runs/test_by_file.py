"""Pictures that were saved anew are matched by the names of their files when asked, and flat folders take their labels
from a table.
"""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused
from PIL import Image

from cifarcore.config import ImportConfig
from cifarcore.data.image_folder import bare, rows_of_files
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.importing import import_file

CLASSES = ("cat", "dog", "eel")
FILES = [f"{name}/{name}_{i}" for name in CLASSES for i in range(12)]
LABELS = np.repeat(np.arange(3), 12)


def pictures(root, suffix, size=8, flat=False):
    rng = np.random.default_rng(7)
    for name in FILES:
        pixels = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((size, size))
        path = root / (name.split("/")[1] if flat else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels.save(path.with_suffix(suffix))
    return root


def table(path, suffix=".png", own_name=False, seed=0, label=False):
    """Scores by file, in a random order; about three quarters are right."""
    rng = np.random.default_rng(seed)
    scores = rng.random((36, 3)) + 1.2 * np.eye(3)[LABELS] * (rng.random((36, 1)) < 0.8)
    names = [(name.split("/")[1] if own_name else name) + suffix for name in FILES]
    frame = pd.DataFrame(scores / scores.sum(axis=1, keepdims=True), columns=CLASSES)
    frame.insert(0, "file", names)
    if label:
        frame.insert(1, "label", [CLASSES[c] for c in LABELS])
    frame.sample(frac=1, random_state=seed).to_csv(path, index=False)
    return path, frame.set_index("file").idxmax(axis=1) if not label else None


def imported(path, out, **options):
    return import_file(path, out, ImportConfig(**options), overwrite=True)


def predicted(run):
    return run.class_names[run.predictions]


@pytest.mark.parametrize("suffix", [".png", ".JPEG", ".webp", ""])
@pytest.mark.parametrize("own_name", [False, True])
def test_a_suffix_of_another_kind_makes_no_other_picture(tmp_path, suffix, own_name):
    folder = pictures(tmp_path / "pics", ".png")
    path, _ = table(tmp_path / "a.csv", suffix, own_name)
    found = imported(path, tmp_path / "a.npz", images=str(folder))
    reference = imported(table(tmp_path / "b.csv")[0], tmp_path / "b.npz", images=str(folder))
    np.testing.assert_array_equal(align(reference.run, found.run).b.predictions, reference.run.predictions)
    told = [note for note in found.notes if "without their suffix" in note]
    assert bool(told) == (suffix in (".JPEG", ".webp")) and (not told or told[0].startswith("36 files"))


def test_two_pictures_that_differ_by_suffix_alone_need_it():
    listed = ["cat/1.png", "cat/1.jpg", "dog/2.png"]
    assert rows_of_files(listed, ["cat/1.jpg", "1.png", "2.jpeg"], "pics").tolist() == [1, 0, 2]
    for name in ("cat/1.webp", "1", "cat/1"):
        with pytest.raises(CifarcoreError, match="that several classes have|are not in the folder"):
            rows_of_files(listed, [name], "pics")
    with pytest.raises(CifarcoreError, match="are not in the folder"):
        rows_of_files(listed, ["dog/1.png"], "pics")  # a class that lacks the file
    assert [bare(name) for name in ("a/b.PNG", "x.001", "é.jpg")] == ["a/b", "x.001", "é"]


@pytest.mark.parametrize("size", [8, 4])
def test_runs_of_resized_pictures_are_refused_with_the_remedy_and_then_matched_by_file(tmp_path, size):
    first, second = pictures(tmp_path / "one", ".png"), pictures(tmp_path / "two", ".jpg", size)
    a = imported(table(tmp_path / "a.csv")[0], tmp_path / "a.npz", images=str(first)).run
    path, expected = table(tmp_path / "b.csv", ".jpg", seed=1)
    b = imported(path, tmp_path / "b.npz", images=str(second)).run
    with pytest.raises(
        CifarcoreError, match="^a and b share no test image, but 36 of their files have the same .*--like"
    ):
        align(a, b)
    again = imported(path, tmp_path / "b.npz", like=str(tmp_path / "a.npz"))
    assert any("matched to those of a by name; their pixels are not compared" in note for note in again.notes)
    pair = align(a, again.run)
    assert pair.only_a == pair.only_b == 0
    # each picture of A has the prediction that B's file of that name has
    names = {int(_id(first / f"{name}.png")[0]): name for name in FILES}
    said = dict(zip((names[int(i)] for i in again.run.sample_ids), predicted(again.run), strict=True))
    assert said == {bare(file): name for file, name in expected.items()}


def _id(path):
    from cifarcore.data.ids import sample_ids

    return sample_ids(np.asarray(Image.open(path).convert("RGB"))[None])


def test_other_pictures_under_other_names_are_just_other_pictures(tmp_path):
    first = pictures(tmp_path / "one", ".png")
    a = imported(table(tmp_path / "a.csv")[0], tmp_path / "a.npz", images=str(first)).run
    other = tmp_path / "other"
    for name in CLASSES:
        (other / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (5, 5), (i, 3, len(name))).save(other / name / f"other{name}{i}.png")
    np.save(tmp_path / "b.npy", np.eye(3)[np.repeat(np.arange(3), 2)])
    b = imported(tmp_path / "b.npy", tmp_path / "b.npz", images=str(other)).run
    with pytest.raises(CifarcoreError, match="share no test image; compare runs"):
        align(a, b)


LABEL_TABLES = {
    "comma": ",".join,
    "tab and boxes": lambda row: "\t".join([*row, "0", "32", "44", "62"]),
    "blanks": "  ".join,
}


@pytest.mark.parametrize("form", LABEL_TABLES)
@pytest.mark.parametrize("inside", [False, True])
def test_a_flat_folder_takes_its_labels_from_a_table(tmp_path, form, inside):
    root = tmp_path / "val"
    pictures(root / "images" if inside else root, ".JPEG", flat=True)
    lines = [LABEL_TABLES[form]([f"{name.split('/')[1]}.JPEG", name.split("/")[0]]) for name in FILES]
    labels = tmp_path / "annotations.txt"
    labels.write_text("\n".join(lines))
    nested = pictures(tmp_path / "nested", ".JPEG")
    path, _ = table(tmp_path / "a.csv", ".JPEG", own_name=True)
    found = imported(path, tmp_path / "a.npz", images=str(root), labels=str(labels)).run
    same = imported(path, tmp_path / "b.npz", images=str(nested)).run
    pair = align(same, found)
    assert pair.only_a == pair.only_b == 0 and len(pair.a.labels) == 36
    np.testing.assert_array_equal(pair.a.predictions, pair.b.predictions)
    # a further model finds the pictures by file beside the run, as of any folder
    other, _ = table(tmp_path / "c.csv", ".png", own_name=True, seed=2)
    like = imported(other, tmp_path / "c.npz", like=str(tmp_path / "a.npz")).run
    np.testing.assert_array_equal(
        align(same, like).b.predictions,
        align(same, imported(other, tmp_path / "d.npz", images=str(nested)).run).b.predictions,
    )


@pytest.mark.parametrize("numbers", [False, True])
def test_a_flat_folder_takes_its_labels_from_the_predictions(tmp_path, numbers):
    root = pictures(tmp_path / "val", ".png", flat=True)
    path, _ = table(tmp_path / "a.csv", own_name=True, label=True)
    frame = pd.read_csv(path)
    if numbers:
        frame.assign(label=frame["label"].map(CLASSES.index)).to_csv(path, index=False)
    found = imported(path, tmp_path / "a.npz", images=str(root)).run
    assert found.class_names.tolist() == list(CLASSES)
    answers = frame[list(CLASSES)].idxmax(axis=1)
    assert found.correct.mean() == pytest.approx((answers == frame["label"]).mean())
    truth = {int(_id(root / file)[0]): label for file, label in zip(frame["file"], frame["label"], strict=True)}
    said = dict(zip(found.sample_ids.tolist(), found.class_names[found.labels].tolist(), strict=True))
    assert said == truth


def test_a_flat_folder_in_the_order_of_its_files(tmp_path):
    root = pictures(tmp_path / "val", ".png", flat=True)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["file,label", *(f"{name.split('/')[1]}.png,{name.split('/')[0]}" for name in FILES)]))
    by_name = sorted(range(36), key=lambda row: FILES[row].split("/")[1])
    np.save(tmp_path / "a.npy", 0.1 + 0.7 * np.eye(3)[LABELS[by_name]])
    options = {"images": str(root), "labels": str(labels)}
    assert "--order natural" in refused(tmp_path / "a.npy", tmp_path, **options)
    assert imported(tmp_path / "a.npy", tmp_path / "a.npz", **options, order="imagefolder").run.correct.all()


def test_what_is_missing_of_a_flat_folder_is_said(tmp_path):
    root = pictures(tmp_path / "val", ".png", flat=True)
    path, _ = table(tmp_path / "a.csv", own_name=True)
    assert "give --labels FILE with a line file,label" in refused(path, tmp_path, images=str(root))
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(f"{name.split('/')[1]}.png,{name.split('/')[0]}" for name in FILES[:30]))
    message = refused(path, tmp_path, images=str(root), labels=str(labels))
    assert "6 of 36 files have no label in --labels" in message
    labels.write_text("cat_0.png,cat\ncat_0.png,dog")
    assert "twice, with two labels" in refused(path, tmp_path, images=str(root), labels=str(labels))
