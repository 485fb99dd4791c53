"""Pictures: found by sample id, whole on disk, and their absence said with what mends it."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from cifarcore import CifarcoreError, data, image_folder
from cifarcore.app import images
from cifarcore.synthetic import make_synthetic


@pytest.fixture
def content():
    return np.random.default_rng(0).integers(256, size=(20, 32, 32, 3), dtype=np.uint8)


def read(root, url):
    return np.asarray(Image.open(root / url.removeprefix(f"{images.URL}/")))


def test_a_picture_is_found_by_its_id_not_its_place(tmp_path, content):
    pictures = images.Pictures(tmp_path, content)
    ids = data.sample_ids(content)
    order = np.random.default_rng(1).permutation(len(ids))
    for url, row in zip(pictures.urls(ids[order]), order, strict=True):
        np.testing.assert_array_equal(read(tmp_path, url), content[row])
        np.testing.assert_array_equal(pictures.pixels(ids[row]), content[row])


def test_unknown_ids_have_no_picture(tmp_path, content):
    pictures = images.Pictures(tmp_path, content)
    ids = np.array([1, data.sample_ids(content)[3], 2**64 - 1], np.uint64)
    assert [url is not None for url in pictures.urls(ids)] == [False, True, False]
    assert pictures.knows(ids).tolist() == [False, True, False]
    assert pictures.pixels(1) is None


def test_only_what_is_asked_for_is_written_until_all_are(tmp_path, content):
    pictures = images.Pictures(tmp_path, content)
    ids = data.sample_ids(content)
    assert all(pictures.urls(ids, now=False)) and not list(tmp_path.iterdir())
    pictures.urls(ids[:3])
    assert len(list(tmp_path.iterdir())) == 3
    pictures.write_all()
    assert {path.name for path in tmp_path.iterdir()} == {f"{i:016x}.png" for i in ids.tolist()}


def test_a_folder_that_cannot_be_written_is_said(tmp_path, content):
    pictures = images.Pictures(tmp_path / "gone", content)
    pictures.write_all()
    assert not pictures.available and "cannot be written" in pictures.problem


def test_without_data_the_way_to_get_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "nothing"))
    pictures = images.test_pictures(tmp_path, np.array([1], np.uint64))
    assert not pictures.available
    assert "cifarcore data" in pictures.problem and "CIFARCORE_DATA" in pictures.problem
    assert pictures.urls(np.array([1, 2], np.uint64)) == [None, None]


def test_a_damaged_file_of_images_is_said(tmp_path, monkeypatch):
    (tmp_path / data.ARRAYS_FILE).write_bytes(b"no zip")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path))
    pictures = images.test_pictures(tmp_path, np.array([1], np.uint64))
    assert not pictures.available and "cifarcore data" in pictures.problem


def test_a_pack_and_the_drawn_set_show_what_the_data_folder_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "nothing"))
    root = tmp_path / "birds"
    for name, color in (("owl", (9, 80, 7)), ("wren", (200, 1, 1))):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (50, 20), color).save(root / name / "1.png")
    listed = image_folder.list_folder(root)
    pack = tmp_path / "birds.pictures.zip"
    ids = image_folder.read_pictures(listed, np.arange(2), pack)
    album = images.test_pictures(tmp_path, ids, [pack])
    assert album.available and album.knows(np.array([ids[1], 5], np.uint64)).tolist() == [True, False]
    assert (read(tmp_path / images.FOLDER, album.urls(ids)[0]) == (9, 80, 7)).all()
    assert album.pixels(ids[1]).shape == (20, 50, 3)
    assert images.test_pictures(tmp_path, np.array([5], np.uint64), [pack]).problem == images.HOW_TO_GET

    drawn = make_synthetic()
    ids = data.sample_ids(drawn.x_test)
    album = images.test_pictures(tmp_path, ids, [], drawn=True)
    assert album.available and album.knows(ids).all()
    np.testing.assert_array_equal(read(tmp_path / images.FOLDER, album.urls(ids[7:8])[0]), drawn.x_test[7])


def test_a_pack_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "nothing"))
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    assert not images.test_pictures(tmp_path, np.array([5], np.uint64), [tmp_path / "broken.zip"]).available
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr(f"{5:016x}.png", b"no picture")
        Image.new("RGB", (4, 4)).save(tmp_path / "black.png")
        archive.write(tmp_path / "black.png", f"{6:016x}.png")
    pack = image_folder.Pack(tmp_path / "other.zip")
    assert pack.pixels(5) is None and pack.pixels(6) is None, "its bytes are another picture's"
    for name in ("../x.png", "zz.png", f"{1:020x}.png"):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(CifarcoreError):
            image_folder.Pack(tmp_path / "other.zip")
