"""Rows of predictions find their images: CIFAR-100's test set, folders of pictures, other runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from import_checks import kept_as, refused, same, taken
from made import made_run
from PIL import Image
from processes import ROOT

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.data.image_folder import list_folder
from cifarcore.data.known_images import known_images
from cifarcore.data.packs import Pack
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import delete, import_file, imported_path
from cifarcore.runs.run import load_run
from cifarcore.runs.test_sets import pack_path

BUNDLED = ROOT / "checkpoints" / "cnn-quick-0.npz"


@pytest.fixture
def run():
    """Made-up predictions of the official test images, which it names by content, in another order."""
    known, made = known_images(), made_run(100, 10_000)
    ids = known.sample_ids[np.argsort(known.labels, kind="stable")]
    by_class = replace(made.take(np.argsort(made.labels, kind="stable")), sample_ids=ids)
    return by_class.take(np.random.default_rng(0).permutation(10_000))


def ordered(path, order, folder, tmp_path, **options):
    return import_file(path, tmp_path / "out.npz", ImportConfig(order=order, **options), folder, overwrite=True).run


@pytest.mark.skipif(not BUNDLED.exists(), reason="needs the bundled run files: run in a clone of the repository")
def test_torchvisions_order_is_known_without_the_data_set(tmp_path):
    """As torchvision loads them: the first images of the official file are a mountain, a forest, a seal, a mushroom."""
    known, run = known_images(), load_run(BUNDLED)
    theirs = run.take(run_rows(run, known))
    assert [cifar100.CLASS_NAMES[c] for c in theirs.labels[:4]] == ["mountain", "forest", "seal", "mushroom"]
    np.save(tmp_path / "theirs.npy", theirs.logits)
    taken = ordered(tmp_path / "theirs.npy", "torchvision", tmp_path / "nothing", tmp_path)
    assert taken.meta["dataset"] == {"name": "CIFAR-100", "fingerprint": cifar100.TEST_FINGERPRINT}
    assert taken.class_names.tolist() == list(cifar100.CLASS_NAMES)
    same(taken, run)
    assert taken.correct.mean() == run.correct.mean()
    np.savez(tmp_path / "theirs.npz", logits=theirs.logits, y_true=theirs.labels)
    same(ordered(tmp_path / "theirs.npz", "torchvision", tmp_path / "nothing", tmp_path), run)


@pytest.mark.parametrize("sort", ["by class", "shuffled"])
def test_torchvisions_order_does_not_depend_on_the_data_folders(tmp_path, run, sort):
    """A cifar100.npz in any order: its pictures are found by content."""
    theirs = run.take(run_rows(run, known_images()))
    np.save(tmp_path / "theirs.npy", theirs.logits)
    classes = np.random.default_rng(0).permutation(np.arange(10_000) % 100).astype(np.uint8)
    classes = np.sort(classes) if sort == "by class" else classes
    images = np.zeros((10_000, 32, 32, 3), np.uint8)
    images[:, 0, :2, 0] = np.arange(10_000)[:, None] // [256, 1] % 256
    np.savez(tmp_path / cifar100.ARRAYS_FILE, x_test=images, y_test=classes)
    same(ordered(tmp_path / "theirs.npy", "torchvision", tmp_path, tmp_path), run)
    moved = ordered(tmp_path / "theirs.npy", "data", tmp_path, tmp_path)
    np.testing.assert_array_equal(moved.sample_ids, cifar100.sample_ids(images))
    np.testing.assert_array_equal(moved.labels, classes)


def test_rows_in_another_order_than_said_are_refused(tmp_path, run):
    theirs = run.take(run_rows(run, known_images()))
    moved = np.roll(np.arange(10_000), 1)
    np.savez(tmp_path / "moved.npz", logits=theirs.logits[moved], y_true=theirs.labels[moved])
    differ = (theirs.labels != theirs.labels[moved]).sum()
    with pytest.raises(CifarcoreError, match=f"labels of {differ:,} of 10,000 rows .* torchvision's test set"):
        ordered(tmp_path / "moved.npz", "torchvision", tmp_path, tmp_path)
    by_class = np.argsort(theirs.labels, kind="stable")
    np.savez(tmp_path / "sorted.npz", logits=theirs.logits[by_class], y_true=theirs.labels[by_class])
    with pytest.raises(CifarcoreError, match="use --order data if that is theirs, or give sample_ids in the file"):
        ordered(tmp_path / "sorted.npz", "torchvision", tmp_path, tmp_path)
    np.save(tmp_path / "few.npy", theirs.logits[:9000])
    with pytest.raises(CifarcoreError, match="9,000 rows of scores, but torchvision's test set has 10,000 images"):
        ordered(tmp_path / "few.npy", "torchvision", tmp_path, tmp_path)
    with pytest.raises(CifarcoreError, match="no cifar100.npz in .*--order data means"):
        ordered(tmp_path / "sorted.npz", "data", tmp_path, tmp_path)
    with pytest.raises(CifarcoreError, match="are unknown.* --order torchvision, or --order data"):
        ordered(tmp_path / "sorted.npz", "", tmp_path, tmp_path)


def run_rows(run, known):
    """Rows of the run in the official order."""
    at = {key: row for row, key in enumerate(zip(run.sample_ids.tolist(), run.labels.tolist(), strict=True))}
    return np.array([at[key] for key in zip(known.sample_ids.tolist(), known.labels.tolist(), strict=True)])


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of any size and kind, one of them twice, and what ImageFolder lists of it."""
    rng = np.random.default_rng(0)
    root = tmp_path / "birds"
    for name, sizes in (
        ("Barn owl", [(40, 30), (200, 150), (7, 9)]),
        ("wren", [(32, 32), (300, 20)]),
        ("Auk", [(5, 5)]),
    ):
        for i, (width, height) in enumerate(sizes):
            (root / name / "more").mkdir(parents=True, exist_ok=True)
            content = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(content).save(root / name / ("more" if i == 1 else "") / f"{name[0]}{9 - i}.png")
    (root / "wren" / "notes.txt").write_text("no picture")
    Image.open(root / "Auk" / "A9.png").save(root / "Auk" / "again.png")
    Image.new("L", (20, 10), 7).save(root / "wren" / "grey.gif.png")
    return root


def test_a_folder_of_pictures_in_torchvisions_order(tmp_path, pictures):
    from torchvision.datasets import ImageFolder

    theirs = ImageFolder(pictures)
    scores = np.random.default_rng(1).standard_normal((len(theirs), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    found = taken(tmp_path / "theirs.npy", tmp_path, images=str(pictures), order="imagefolder")
    run = found.run
    contents = [np.asarray(theirs[i][0]) for i in range(len(theirs))]
    ids = [cifar100.sample_ids(content[None])[0] for content in contents]
    kept = [i for i in range(len(ids)) if ids[i] not in ids[:i]]
    assert len(kept) == len(theirs) - 1 and any("1 pictures" in note for note in found.notes)
    assert run.sample_ids.tolist() == [ids[i] for i in kept]
    assert run.labels.tolist() == [theirs.targets[i] for i in kept] and run.class_names.tolist() == theirs.classes
    np.testing.assert_array_equal(run.logits, kept_as(scores)[kept])
    assert run.meta["dataset"]["name"] == "birds"
    pack = Pack(pack_path(tmp_path / "out.npz"))
    assert set(pack.ids.tolist()) == set(ids)
    for content, sample_id in zip(contents, ids, strict=True):
        shown = pack.pixels(int(sample_id))
        if max(content.shape) <= 128:
            np.testing.assert_array_equal(shown, content)
        else:
            assert max(shown.shape) == 128
    assert pack.pixels(1) is None


def test_a_folder_of_pictures_by_file_name(tmp_path, pictures):
    from torchvision.datasets import ImageFolder

    files = [Path(path).relative_to(pictures).as_posix() for path, _ in ImageFolder(pictures).samples]
    order = np.random.default_rng(2).permutation(len(files))[:-1]
    scores = np.random.default_rng(1).standard_normal((len(files), 3)).astype(np.float32)
    names = ["auk", "barn_owl", "wren"]

    def table(given, **more):
        frame = pd.DataFrame({"file": given} | more | dict(zip(reversed(names), scores[order, ::-1].T, strict=True)))
        frame.to_csv(tmp_path / "theirs.csv", index=False)
        return tmp_path / "theirs.csv"

    whole = [f"{pictures.as_posix()}/{files[i]}" for i in order]
    elsewhere = [f"/home/me/val/{files[i]}" for i in order]
    windows = [f"C:\\me\\{files[i]}".replace("/", "\\") for i in order]
    for given in ([files[i] for i in order], whole, elsewhere, windows, [Path(files[i]).name for i in order]):
        found = taken(table(given, label=[Path(files[i]).parts[0] for i in order]), tmp_path, images=str(pictures))
        assert found.run.class_names.tolist() == ["Auk", "Barn owl", "wren"]
        assert f"1 of the folder's {len(files)} pictures have no prediction" in found.notes
        expected = {files[i]: kept_as(scores)[i].tolist() for i in order}
        at = {
            int(cifar100.sample_ids(np.asarray(Image.open(pictures / f).convert("RGB"))[None])[0]): f for f in expected
        }
        for sample_id, row in zip(found.run.sample_ids.tolist(), found.run.logits.tolist(), strict=True):
            if "Auk" not in at[sample_id]:
                assert row == expected[at[sample_id]]
    assert "labels of" in refused(table(whole, label=["wren"] * len(order)), tmp_path, images=str(pictures))
    assert "1 of 7 files are not in the folder" in refused(
        table([*whole[:-1], "gone.png"]), tmp_path, images=str(pictures)
    )
    assert (
        "1 of 7 files are not in the folder"
        in refused(  # another class's file of that name is not this one
            table([*whole[:-1], "Auk/B9.png"]), tmp_path, images=str(pictures)
        )
    )
    Image.new("RGB", (3, 3)).save(pictures / "wren" / "B9.png")
    twins = [f"/flat/{Path(files[i]).name}" for i in order]
    assert (
        "have names that several classes have; name them class/file, as timm's --fullname does (first: '/flat/B9.png'"
        in refused(table(twins), tmp_path, images=str(pictures))
    )
    (pictures / "wren" / "B9.png").unlink()
    assert "are in several rows" in refused(table([*whole[:-1], whole[0]]), tmp_path, images=str(pictures))
    Path(whole[0]).write_bytes(b"no picture")
    with pytest.raises(CifarcoreError, match="cannot be read as a picture"):
        taken(table(whole), tmp_path, images=str(pictures))


def test_rows_of_a_folders_run_are_found_by_file(tmp_path, pictures):
    """As "model A's images" in the app has it: what was a picture's file is kept beside the run."""
    from torchvision.datasets import ImageFolder

    files = [Path(path).relative_to(pictures).as_posix() for path, _ in ImageFolder(pictures).samples]
    scores = 5 * np.random.default_rng(1).standard_normal((len(files), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    ours = tmp_path / "ours.npz"
    first = import_file(tmp_path / "theirs.npy", ours, ImportConfig(images=str(pictures), order="imagefolder")).run
    order = np.random.default_rng(2).permutation(len(files))
    frame = pd.DataFrame(scores[order], columns=first.class_names)
    frame.insert(0, "file", [f"/home/me/{files[i]}" for i in order])
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    found = taken(tmp_path / "theirs.csv", tmp_path, like=str(ours))
    assert found.run.n_images == first.n_images == len(files) - 1, "a picture of two files counts once"
    assert not any("order" in note for note in found.notes)
    kept = dict(zip(found.run.sample_ids.tolist(), found.run.logits.tolist(), strict=True))
    for row, (sample_id, logits) in enumerate(zip(first.sample_ids.tolist(), first.logits.tolist(), strict=True)):
        if "Auk" not in first.class_names[first.labels[row]]:  # whose two files have scores of their own
            assert kept[sample_id] == logits
    # without names beside it: the order is taken, and said to be unchecked; or the labels speak against it
    pack_path(ours).unlink()
    frame = frame.iloc[:-1].assign(file="x")
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    notes = " ".join(taken(tmp_path / "theirs.csv", tmp_path, like=str(ours)).notes)
    assert "the names of files were not used" in notes and "--images FOLDER" in notes and "cannot be checked" in notes
    frame.assign(label="wren").to_csv(tmp_path / "theirs.csv", index=False)
    assert "or give --images FOLDER, which finds them by file" in refused(
        tmp_path / "theirs.csv", tmp_path, like=str(ours)
    )


def test_a_refused_import_leaves_run_and_pictures_as_they_were(tmp_path, pictures):
    scores = np.random.default_rng(0).normal(size=(len(list_folder(pictures).files), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    np.save(tmp_path / "too-large.npy", 1e6 * scores)
    out = tmp_path / "runs" / "birds.npz"
    config = ImportConfig(images=str(pictures), order="imagefolder")
    with pytest.raises(CifarcoreError, match="too large"):
        import_file(tmp_path / "too-large.npy", out, config)
    assert not list(out.parent.iterdir())
    import_file(tmp_path / "theirs.npy", out, config)
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    Image.new("RGB", (9, 9)).save(pictures / "Auk" / "A9.png")
    with pytest.raises(CifarcoreError, match="too large"):
        import_file(tmp_path / "too-large.npy", out, config, overwrite=True)
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before and len(before) == 2


def test_folders_that_hold_no_classes(tmp_path):
    np.save(tmp_path / "theirs.npy", 5 * np.eye(4, 2, dtype=np.float32))
    assert "no such folder" in refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "none"))
    (tmp_path / "root" / "cat").mkdir(parents=True)
    assert "no picture" in refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root"))
    Image.new("RGB", (4, 4)).save(tmp_path / "root" / "cat" / "1.png")
    alone = refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root"))
    assert "one folder of a class alone, 'cat'; give one for each of two classes" in alone
    above = refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path))  # the parent of the classes' folders
    assert f"holds one folder alone, 'root'; if that holds the classes' folders, give {tmp_path / 'root'}" in above
    assert "no folder of a class in it" in refused(
        tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root" / "cat")
    )


def test_deleting_takes_run_and_pictures(tmp_path, pictures):
    np.save(tmp_path / "theirs.npy", 5 * np.eye(3, dtype=np.float32)[np.arange(8) % 3] - 1)
    out = imported_path(tmp_path, "theirs")
    import_file(tmp_path / "theirs.npy", out, ImportConfig(images=str(pictures), order="imagefolder"))
    assert pack_path(out).exists()
    delete(tmp_path, "theirs")
    assert not out.exists() and not pack_path(out).exists()
    for name in ("theirs", "../theirs"):
        with pytest.raises(CifarcoreError):
            delete(tmp_path, name)
