"""Properties kept by sample id: of CIFAR-100's file, of packs and of folders of photos; measured once, read by id."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from cifarcore.data import property_files
from cifarcore.data.ids import sample_ids
from cifarcore.data.image_folder import list_folder, read_pictures
from cifarcore.data.image_properties import PROPERTIES, measure
from cifarcore.data.packs import PACK, packed
from cifarcore.data.picture_files import Picture
from cifarcore.data.property_files import SIZES, kept_at, measure_source, properties_of
from cifarcore.errors import CifarcoreError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(property_files, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(256, size=(20 + i, 30, 3), dtype=np.uint8) for i in range(4)]
    for i, each in enumerate(pixels):
        folder = tmp_path / "photos" / ("cat" if i < 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(each).save(folder / f"{i}.png")
    return tmp_path / "photos", pixels


def test_a_folder_is_measured_by_id_with_the_sizes_of_its_photos(photos):
    root, pixels = photos
    ids = np.array([sample_ids(each[None])[0] for each in pixels])
    seen = []
    measure_source(root, lambda *progress: seen.append(progress))
    assert seen[-1] == (4, 4)
    found = properties_of(np.r_[ids[::-1], np.uint64(5)], [root])
    assert set(found) == {*PROPERTIES, *SIZES}
    for i, each in enumerate(pixels):
        assert found["aspect ratio"][3 - i] == pytest.approx(30 / (20 + i))
        for name, values in measure(each[None]).items():
            assert found[name][3 - i] == pytest.approx(values[0])
    assert np.isnan(found["brightness"][4])


def test_a_pack_is_measured_like_its_pictures(photos, tmp_path):
    root, pixels = photos
    path = tmp_path / f"run{PACK}"
    with path.open("wb") as file:
        ids = read_pictures(list_folder(root), np.arange(4), file)
    measure_source(path)
    found = properties_of(ids, [path])
    assert found["contrast"] == pytest.approx(np.concatenate([measure(each[None])["contrast"] for each in pixels]))


def test_what_is_measured_of_a_picture_that_only_claims_an_id_gives_way_to_one_whose_pixels_tell_it(photos, tmp_path):
    """As of pictures: the JPEG of a pack that is read first can claim any id."""
    root, pixels = photos
    true, forged = tmp_path / f"true{PACK}", tmp_path / f"forged{PACK}"
    with true.open("wb") as file:
        ids = read_pictures(list_folder(root), np.arange(4), file)
    grey = Image.new("RGB", (9, 9), "grey")
    with zipfile.ZipFile(forged, "w") as archive:
        for sample_id in (ids[0], np.uint64(5)):
            archive.writestr(*packed(Picture(int(sample_id), grey, exact=False)))
    for source in (forged, true):
        measure_source(source)
    contrast = np.concatenate([measure(each[None])["contrast"] for each in pixels])
    for files in ((forged, true), (true, forged)):
        found = properties_of(np.r_[ids, np.uint64(5)], files)["contrast"]
        assert found[:4] == pytest.approx(contrast) and found[4] == 0
    forged.unlink()
    assert properties_of(ids, [forged, true])["contrast"] == pytest.approx(contrast)


def test_what_is_kept_is_not_measured_again_and_what_is_damaged_is(photos, monkeypatch):
    root, _ = photos
    path = measure_source(root)
    monkeypatch.setattr(property_files, "_of_folder", lambda *_: pytest.fail("measured again"))
    assert measure_source(root) == path == kept_at(root)
    path.write_bytes(b"PK no archive")
    assert properties_of(np.zeros(1, np.uint64), [root]) == {}
    with pytest.raises(pytest.fail.Exception):
        measure_source(root)


def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_kept(photos):
    root, _ = photos
    (root / "cat" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(CifarcoreError, match="broken.png: cannot be read"):
        measure_source(root)
    assert not kept_at(root).exists()
