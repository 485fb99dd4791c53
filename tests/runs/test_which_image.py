"""What a file says about which image a row is: used, or refused, whatever it is called; what is not used is named."""

from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from pictures import draw, plain

from cifarcore.data.image_folder import in_natural_order, list_folder
from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers.columns import roles_of


@pytest.fixture
def made(tmp_path):
    return plain(tmp_path / "pictures")


@pytest.fixture
def order(made):
    return np.random.default_rng(1).permutation(len(made.files))


def saved(frame, path, **options):
    if path.suffix == ".csv":
        frame.to_csv(path, **options)
    elif path.suffix == ".parquet":
        frame.to_parquet(path, **options)
    else:
        with ZipFile(path, "w") as archive:  # np.savez takes no array called file
            for name, array in frame.items():
                with archive.open(f"{name}.npy", "w") as file:
                    np.save(file, array)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("labelled", [False, True])
def test_the_index_of_a_table_names_the_files(tmp_path, made, order, suffix, labelled):
    """As timm's inference writes it: the files' names are the index, which Parquet keeps out of the columns."""
    frame = made.frame(**({"label": made.labels} if labelled else {}))
    for name in ("filename", None):
        frame.index = pd.Index(made.files, name=name)
        path = saved(frame.iloc[order], tmp_path / f"theirs{suffix}")
        found = taken(path, tmp_path, images=str(made.root))
        made.check(found.run)
        assert not found.notes


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("name", [None, "index", "row"])
def test_row_numbers_are_applied(tmp_path, made, order, suffix, name):
    """A frame sorted by something and written with its index."""
    frame = made.frame(label=made.labels).rename_axis(name).iloc[order]
    found = taken(saved(frame, tmp_path / f"theirs{suffix}"), tmp_path, images=str(made.root))
    made.check(found.run)
    frame.index += 1
    made.check(taken(saved(frame, tmp_path / f"theirs{suffix}"), tmp_path, images=str(made.root)).run)


@pytest.mark.parametrize("step", [1, -1])
def test_a_range_of_which_parquet_keeps_the_ends_alone_is_applied(tmp_path, made, step):
    path = saved(made.frame().iloc[::step], tmp_path / "theirs.parquet")
    made.check(taken(path, tmp_path, images=str(made.root)).run)


def test_an_index_that_was_reset_stands_beside_its_successor(tmp_path, made, order):
    frame = made.frame().iloc[order].reset_index()
    made.check(taken(saved(frame, tmp_path / "theirs.csv"), tmp_path, images=str(made.root)).run)


def test_row_numbers_that_number_no_images_are_refused(tmp_path, made):
    n = len(made.files)
    for numbers, said in (
        (np.arange(n) % 8, "'index' repeats 16 row numbers"),
        (np.arange(n) * 2, "'index' runs from 0 to 46, so it does not number the 24 images; leave it out if"),
        (np.arange(n) + 2, "'index' runs from 2 to 25"),
    ):
        path = saved(made.frame(index=numbers), tmp_path / "theirs.csv", index=False)
        assert said in refused(path, tmp_path, images=str(made.root))


def test_labels_in_a_file_of_their_own_are_in_the_order_of_the_rows_or_of_the_images(tmp_path, made, order):
    path = saved(made.frame().iloc[order], tmp_path / "theirs.csv")
    for labels in (made.labels, made.labels[order]):
        np.save(tmp_path / "labels.npy", labels)
        made.check(taken(path, tmp_path, images=str(made.root), labels=str(tmp_path / "labels.npy")).run)
    np.save(tmp_path / "labels.npy", np.roll(made.labels, 1))
    assert "labels of" in refused(path, tmp_path, images=str(made.root), labels=str(tmp_path / "labels.npy"))


FILE_HEADINGS = ("file", "image_paths", "filename", "image_path", "id", "image_id", "Id", "Image Path", "whatever")


@pytest.mark.parametrize("heading", FILE_HEADINGS)
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_files_are_found_under_any_heading(tmp_path, made, order, suffix, heading):
    files = np.array(made.files)[order]
    if suffix == ".npz":
        content = {"probs": made.probabilities[order], "labels": made.labels[order], heading: files}
    else:
        content = made.frame(label=made.labels, **{heading: np.array(made.files)}).iloc[order]
    options = {} if suffix == ".npz" else {"index": False}
    found = taken(saved(content, tmp_path / f"theirs{suffix}", **options), tmp_path, images=str(made.root))
    made.check(found.run)
    assert not found.notes


def test_arrays_of_row_numbers_are_applied(tmp_path, made, order):
    for heading in ("index", "indices", "idx"):
        content = {"probs": made.probabilities[order], "labels": made.labels[order], heading: order}
        made.check(taken(saved(content, tmp_path / "theirs.npz"), tmp_path, images=str(made.root)).run)


def test_what_may_name_the_images_is_not_overlooked(tmp_path, made, order):
    for values, call in ((order, "index"), (np.array([f"picture {i}" for i in order]), "file")):
        content = {"probs": made.probabilities[order], "labels": made.labels[order], "mine": values}
        path = saved(content, tmp_path / "theirs.npz")
        said = f"'mine' differs in every row, so it may say which image a row is; call it {call} if it does, or leave"
        assert said in refused(path, tmp_path, images=str(made.root))
        path = saved(made.frame(mine=values), tmp_path / "theirs.csv", index=False)
        assert said in refused(path, tmp_path, images=str(made.root))


def test_columns_and_arrays_that_are_not_used_are_named(tmp_path, made, order):
    frame = made.frame(file=made.files, comment="so so", split="val", confidence=0.5, correct=True).iloc[order]
    found = taken(saved(frame, tmp_path / "theirs.csv"), tmp_path, images=str(made.root))
    made.check(found.run)
    assert found.notes == ("not used: 'comment', 'split', 'confidence', 'correct', 'Unnamed: 0'",)
    content = {"probs": made.probabilities, "labels": made.labels, "features": np.ones((24, 9), int), "lr": 0.1}
    assert (
        "not used: 'features', 'lr'"
        in taken(saved(content, tmp_path / "theirs.npz"), tmp_path, images=str(made.root)).notes
    )


def test_columns_of_one_meaning_agree_or_are_refused():
    files = np.array(["a/1.png", "b/2.png"])
    names = np.array(["1.png", "2.png"])
    assert roles_of({"path": files, "filename": names}).files == "path"
    assert roles_of({"label": np.array([0, 1]), "label_name": np.array(["b", "a"])}).labels == "label_name"
    for columns in (
        {"path": files, "filename": names[::-1]},
        {"label": np.array([0, 0]), "truth": np.array(["b", "a"])},
        {"label": np.array([0, 1]), "truth": np.array(["b", "b"])},
        {"sample_id": np.array([7, 8]), "sample_ids": np.array([8, 7])},
        {"index": np.array([1, 0, 2]), "id": np.array([0, 2, 1])},
    ):
        with pytest.raises(CifarcoreError, match="mean the same and differ; keep one"):
            roles_of(columns)


def test_a_class_may_be_called_like_what_else_a_column_may_be():
    """Known by fractions, by the test set's classes, or by the labels; else a column of its heading."""
    half, whole = np.array([0.5, 0.25]), np.array([1, 0])
    words = {"file": np.array(["a", "b"]), "label": np.array(["X", "Y"])}
    assert roles_of(words | {"X": half, "Y": half, "index": half}).classes == ("X", "Y", "index")
    assert roles_of(words | {"X": whole, "Y": whole}).classes == ("X", "Y")
    assert roles_of({"X": whole, "Y": whole}).labels == "Y"
    assert roles_of({"X": whole, "Y": whole}, {"X", "Y"}).classes == ("X", "Y")
    assert roles_of({"loss": half}).unused == ("loss",) and roles_of({"loss": half}, {"Loss"}).classes == ("loss",)
    text = roles_of({"label": np.array(["X", "X"]), "X": half}, {"label", "X"})
    assert (text.labels, text.classes) == ("label", ("X",)), "words are no scores"


@pytest.mark.parametrize("labelled", [False, True])
def test_files_that_sort_in_two_ways_are_asked_about(tmp_path, labelled):
    """ImageFolder sorts val_1054 before val_23, timm after it."""
    names = [f"val_{i}.png" for i in (23, 1054, 7, 130, 1251)]
    made = draw(tmp_path / "pictures", {"cat": names, "dog": names, "eel": names})
    natural = sorted(range(15), key=lambda row: (made.labels[row], int(made.files[row].split("_")[1][:-4])))
    path = tmp_path / "theirs.npz"
    for order, rows in (("imagefolder", list(range(15))), ("natural", natural)):
        labels = {"labels": made.labels[rows]} if labelled else {}
        np.savez(path, probs=made.probabilities[rows], **labels)
        said = refused(path, tmp_path, images=str(made.root))
        assert "--order imagefolder, as in torchvision, Keras and Hugging Face's datasets (row 0: 'cat/val_1054" in said
        assert "or --order natural, as in timm (row 0: 'cat/val_7.png')" in said
        made.check(taken(path, tmp_path, images=str(made.root), order=order).run)
    for options, said in (
        ({"order": "natural"}, "--order natural is of a folder of pictures; give --images FOLDER with it"),
        ({"order": "torchvision", "images": str(made.root)}, "give one of them"),
    ):
        assert said in refused(path, tmp_path, **options)


def test_names_that_every_class_has_are_taken_in_a_stated_order_that_they_fit(tmp_path):
    """timm's inference.py writes the names alone, without their folders."""
    made = draw(tmp_path / "pictures", {name: [f"img_{i}.png" for i in range(12)] for name in ("cat", "dog", "eel")})
    _, rows = in_natural_order(list_folder(made.root))
    names = np.array([file.split("/")[1] for file in made.files])
    path, options = tmp_path / "theirs.npz", dict(images=str(made.root))
    np.savez(path, probs=made.probabilities[rows], filename=names[rows])
    said = refused(path, tmp_path, **options)
    assert (
        "that several classes have; name them class/file, as timm's --fullname does" in said
        and "or give --order imagefolder, natural or paths" in said
    )
    right = taken(path, tmp_path, **options, order="natural")
    made.check(right.run)
    assert "the rows are matched by the --order given, which all names fit" in " ".join(right.notes)
    assert "the names of files were not used" not in " ".join(right.notes)
    wrong = refused(path, tmp_path, **options, order="imagefolder")
    assert "that several classes have" in wrong and "; all names fit --order natural, not the one given" in wrong
    np.savez(path, probs=made.probabilities[rows], filename=np.roll(names[rows], 1))
    wrong = refused(path, tmp_path, **options, order="natural")
    assert "that several classes have" in wrong and "--order" not in wrong


def test_the_natural_order_is_timms(tmp_path):
    """As timm's readers sort: by the numbers in a path, in lower case."""
    classes = {"b10": ["x2.png", "X10.png", "a.png"], "B9": ["2.png", "10.png", "1b.png"], "a": ["0.png"]}
    names, rows = in_natural_order(folder := list_folder(draw(tmp_path / "pictures", classes).root))
    assert names == ("a", "B9", "b10")
    assert [folder.files[row] for row in rows] == [
        *("a/0.png", "B9/1b.png", "B9/2.png", "B9/10.png", "b10/a.png", "b10/x2.png", "b10/X10.png")
    ]


def test_which_order_is_asked_last(tmp_path):
    """Where the file fits in neither order, what is wrong is said at once."""
    names = [f"val_{i}.png" for i in (23, 1054, 7)]
    made = draw(tmp_path / "pictures", {"cat": names, "dog": names, "eel": names})
    path = tmp_path / "theirs.npz"
    np.savez(path, probs=made.probabilities, labels=(made.labels + 1) % 3)
    assert "give --class-names FILE" in refused(path, tmp_path, images=str(made.root))
    np.savez(path, probs=made.probabilities[:, :2])
    assert "2 columns of scores, but the folder pictures has 3 classes" in refused(
        path, tmp_path, images=str(made.root)
    )


def test_a_class_that_another_begins_with_stands_elsewhere_where_whole_paths_are_sorted(tmp_path):
    """As Hugging Face's datasets list a folder: a blank, a hyphen and a dot come before the slash."""
    files = {name: [f"img_{i}.png" for i in range(12)] for name in ("bear", "bear cub", "eel")}
    made = draw(tmp_path / "pictures", files)
    rows = np.array(sorted(range(len(made.files)), key=made.files.__getitem__))
    assert made.files[rows[0]] == "bear cub/img_0.png" and made.files[rows[1]] == "bear cub/img_1.png"
    path, options = tmp_path / "theirs.npz", dict(images=str(made.root))
    np.savez(path, predictions=made.probabilities[rows], label_ids=made.labels[rows])
    said = refused(path, tmp_path, **options)
    assert "has 3 usual orders" in said
    assert "--order paths, as in Hugging Face's datasets (row 0: 'bear cub/img_0.png'" in said
    assert "--order imagefolder, as in torchvision and Keras (row 0: 'bear/img_0.png'" in said
    made.check(taken(path, tmp_path, **options, order="paths").run)
    said = refused(path, tmp_path, **options, order="imagefolder")
    assert "use --order natural or paths if that is theirs" in said and "--class-names" not in said
    padded = draw(tmp_path / "padded", {name: [f"img_{i:02}.png" for i in range(12)] for name in files})
    np.savez(path, predictions=padded.probabilities)
    said = refused(path, tmp_path, images=str(padded.root))
    assert "has 2 usual orders" in said and "as in timm and Hugging Face's datasets (row 0: 'bear cub" in said
