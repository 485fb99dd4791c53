"""Pictures: found by sample id and by source, served to this site alone, and their absence said with what mends it."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from processes import in_own_loop
from starlette.applications import Starlette

from cifarcore.app import pictures as images
from cifarcore.app.addresses import PICTURES
from cifarcore.app.serving import routes
from cifarcore.data import cifar100 as data
from cifarcore.data import image_folder
from cifarcore.data.known_images import known_images
from cifarcore.data.packs import Pack
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.reports.thumbnails import thumbnails


@pytest.fixture
def content():
    return np.random.default_rng(0).integers(256, size=(20, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path / "nothing"))


def get(url):
    """Status, headers and content of what the server answers for a picture's URL."""
    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": f"/{url}", "raw_path": b"", "query_string": b"", "headers": []}
    in_own_loop(Starlette(routes=routes(Path()))(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent)


def read(url):
    status, _, content = get(url)
    assert status == 200
    return np.asarray(Image.open(io.BytesIO(content)))


def pack_of(folder, **colors):
    """A pack of pictures of one colour each, and their ids."""
    for name, color in colors.items():
        (folder / name).mkdir(parents=True)
        Image.new("RGB", (50, 20), color).save(folder / name / "1.png")
    pack = folder.with_name(f"{folder.name}.pictures.zip")
    return pack, image_folder.read_pictures(image_folder.list_folder(folder), np.arange(len(colors)), pack)


def jpeg(side=32, color="red"):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), color).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_picture_is_found_by_its_id_not_its_place(content):
    album = images.Album([images.Pictures(content, "made")])
    ids = data.sample_ids(content)
    order = np.random.default_rng(1).permutation(len(ids))
    for url, row in zip(album.urls(ids[order]), order, strict=True):
        np.testing.assert_array_equal(read(url), content[row])
        np.testing.assert_array_equal(album.pixels(ids[row]), content[row])


def test_unknown_ids_have_no_picture(content):
    album = images.Album([images.Pictures(content, "made")])
    ids = np.array([1, data.sample_ids(content)[3], 2**64 - 1], np.uint64)
    assert [url is not None for url in album.urls(ids)] == [False, True, False]
    assert album.knows(ids).tolist() == [False, True, False]
    assert album.pixels(1) is None and get(f"{album.url}{1:016x}.png")[0] == 404


def test_a_picture_is_served_to_this_site_alone_at_an_address_that_none_can_guess(content):
    album = images.Album([images.Pictures(content, "made")])
    (url,) = album.urls(data.sample_ids(content)[:1])
    headers = get(url)[1]
    assert headers["content-type"] == "image/png" and headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin" and headers["cache-control"].startswith("private")
    assert "access-control-allow-origin" not in headers
    name = url.rpartition("/")[2]
    for other in (
        f"{PICTURES}/{name}",
        f"{PICTURES}/{'A' * 16}/{name}",
        f"{album.url}../{name}",
        f"{album.url}x.png",
    ):
        assert get(other)[0] == 404
    again = images.Album([images.Pictures(content, "made")])
    assert again.url == album.url != images.Album([images.Pictures(content, "made at another time")]).url


def test_albums_are_bounded(content):
    first = images.Album([images.Pictures(content, "made")])
    (url,) = first.urls(data.sample_ids(content)[:1])
    for number in range(images.MOST_ALBUMS):
        images.Album([images.Pictures(None, str(number))])
    assert get(url)[0] == 404 and len(images._albums) <= images.MOST_ALBUMS


def test_without_data_the_way_to_get_it_is_said(no_data):
    pictures = images.test_pictures(np.array([1, known_images().sample_ids[0]], np.uint64))
    assert not pictures.available
    assert "cifarcore data" in pictures.problem and "CIFARCORE_DATA" in pictures.problem
    others = images.test_pictures(np.array([1], np.uint64)).problem
    assert "cifarcore import" in others and "cifarcore data" not in others, "CIFAR-100 would show none of these"
    assert pictures.urls(np.array([1, 2], np.uint64)) == [None, None]


def test_a_damaged_file_of_images_is_said(tmp_path, monkeypatch):
    (tmp_path / data.ARRAYS_FILE).write_bytes(b"no zip")
    monkeypatch.setenv("CIFARCORE_DATA", str(tmp_path))
    pictures = images.test_pictures(np.array([1], np.uint64))
    assert not pictures.available and "cifarcore data" in pictures.problem


def test_a_pack_and_the_drawn_set_show_what_the_data_folder_lacks(tmp_path, no_data):
    pack, ids = pack_of(tmp_path / "birds", owl=(9, 80, 7), wren=(200, 1, 1))
    album = images.test_pictures(ids, [pack])
    assert album.available and album.knows(np.array([ids[1], 5], np.uint64)).tolist() == [True, False]
    assert (read(album.urls(ids)[0]) == (9, 80, 7)).all()
    assert album.pixels(ids[1]).shape == (20, 50, 3)
    assert images.test_pictures(np.array([5], np.uint64), [pack]).problem == images.NOT_KEPT
    official = known_images().sample_ids[:1]
    assert images.test_pictures(official, [pack]).problem == images.HOW_TO_GET

    drawn = make_synthetic()
    ids = data.sample_ids(drawn.x_test)
    album = images.test_pictures(ids, [], drawn=True)
    assert album.available and album.knows(ids).all()
    np.testing.assert_array_equal(read(album.urls(ids[7:8])[0]), drawn.x_test[7])


def test_a_deleted_pack_is_served_no_more(tmp_path, no_data):
    pack, ids = pack_of(tmp_path / "private", cat="red", dog="blue")
    url = images.test_pictures(ids, [pack]).urls(ids)[0]
    assert get(url)[0] == 200
    other, _ = pack_of(tmp_path / "others", cat="red", dog="blue")
    pack.unlink()
    assert get(url)[0] == 404
    other.rename(pack)
    assert get(url)[0] == 404, "another file has taken its place"
    assert get(images.test_pictures(ids, [pack]).urls(ids)[0])[0] == 200


def test_no_file_stays_open(tmp_path, no_data):
    """Or a few dozen packs would use up the handles of a process, and Windows would delete none."""
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else None
    packs = [Pack(pack_of(tmp_path / f"{number}", cat="red", dog="blue")[0]) for number in range(20)]
    assert all(pack.pixels(int(pack.ids[0])) is not None for pack in packs)
    if before is None:
        pytest.skip("the system does not tell the open files: run on Linux")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_pack_does_not_hide_a_data_sets_own_pictures(tmp_path, no_data):
    drawn = make_synthetic(n_train=1)
    ids = data.sample_ids(drawn.x_test[:3])
    with zipfile.ZipFile(tmp_path / "forged.zip", "w") as archive:
        for sample_id in ids.tolist():
            archive.writestr(f"{sample_id:016x}.jpg", jpeg())
    seen_without = images.test_pictures(ids, [tmp_path / "forged.zip"])
    assert (read(seen_without.urls(ids)[0])[..., 0] > 200).all()
    album = images.test_pictures(ids, [tmp_path / "forged.zip"], drawn=True)
    np.testing.assert_array_equal(read(album.urls(ids)[0]), drawn.x_test[0])


def test_no_jpeg_of_a_pack_is_believed_to_be_of_cifar_100(tmp_path, no_data):
    """Their pixels cannot be checked, and CIFAR-100's pictures are small enough for PNG."""
    known = known_images().sample_ids[:5]
    with zipfile.ZipFile(tmp_path / "forged.zip", "w") as archive:
        for sample_id in (*known.tolist(), 77):
            archive.writestr(f"{sample_id:016x}.jpg", jpeg())
    album = images.test_pictures(np.append(known, np.uint64(77)), [tmp_path / "forged.zip"])
    assert album.knows(np.append(known, np.uint64(77))).tolist() == [False] * 5 + [True]
    assert album.pixels(int(known[0])) is None and album.urls(known) == [None] * 5


def test_a_jpeg_of_another_runs_pack_hides_no_picture_that_its_pixels_tell(tmp_path, no_data):
    pack, ids = pack_of(tmp_path / "birds", owl=(9, 80, 7), wren=(200, 1, 1))
    with zipfile.ZipFile(tmp_path / "forged.zip", "w") as archive:
        for sample_id in (*ids.tolist(), 77):
            archive.writestr(f"{sample_id:016x}.jpg", jpeg())
    album = images.test_pictures(np.append(ids, np.uint64(77)), [tmp_path / "forged.zip", pack])
    assert (album.pixels(int(ids[0])) == (9, 80, 7)).all() and (read(album.urls(ids)[1]) == (200, 1, 1)).all()
    assert album.pixels(77).shape == (32, 32, 3)
    found = thumbnails(ids, [SimpleNamespace(path=tmp_path / f"{name}.npz") for name in ("forged", "birds")])
    (tmp_path / "forged.zip").rename(tmp_path / "forged.pictures.zip")
    runs = [SimpleNamespace(path=tmp_path / f"{name}.npz") for name in ("forged", "birds")]
    assert thumbnails(ids, runs) == found and len(found) == 2


def test_a_pack_is_not_believed(tmp_path, no_data):
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    assert not images.test_pictures(np.array([5], np.uint64), [tmp_path / "broken.zip"]).available
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr(f"{5:016x}.png", b"no picture")
        Image.new("RGB", (4, 4)).save(tmp_path / "black.png")
        archive.write(tmp_path / "black.png", f"{6:016x}.png")
        archive.writestr(f"{7:016x}.jpg", jpeg(side=400))
        archive.writestr(f"{8:016x}.jpg", jpeg(), compress_type=zipfile.ZIP_DEFLATED)
        archive.writestr(f"{9:016x}.jpg", jpeg())
    pack = Pack(tmp_path / "other.zip")
    assert pack.pixels(5) is None and pack.pixels(6) is None, "its bytes are another picture's"
    assert pack.pixels(7) is None and pack.pixels(8) is None and pack.pixels(9) is not None
    damaged = bytearray((tmp_path / "other.zip").read_bytes())
    damaged[damaged.index(f"{9:016x}.jpg".encode()) + 200] ^= 1
    (tmp_path / "other.zip").write_bytes(damaged)
    assert pack.pixels(9) is None and Pack(tmp_path / "other.zip").pixels(9) is None
    for name in ("../x.png", "zz.png", f"{1:020x}.png"):
        with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
            archive.writestr(name, b"")
        with pytest.raises(CifarcoreError):
            Pack(tmp_path / "other.zip")
