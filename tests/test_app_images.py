"""Pictures: found by sample id, whole on disk, and their absence said with what mends it."""

import numpy as np
import pytest
from PIL import Image

from cifarcore import data
from cifarcore.app import images


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
    pictures = images.test_pictures(tmp_path)
    assert not pictures.available
    assert "cifarcore data" in pictures.problem and "CIFARCORE_DATA" in pictures.problem
    assert pictures.urls(np.array([1, 2], np.uint64)) == [None, None]


def test_a_damaged_file_of_images_is_said(tmp_path, monkeypatch):
    (tmp_path / data.ARRAYS_FILE).write_bytes(b"no zip")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path))
    pictures = images.test_pictures(tmp_path)
    assert not pictures.available and "cifarcore data" in pictures.problem
