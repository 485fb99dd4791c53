"""Picture files: different ones are known apart, the same ones are the same, and each is shown as it is meant."""

import hashlib
import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from cifarcore.data.ids import sample_ids
from cifarcore.data.image_folder import list_folder, read_pictures
from cifarcore.data.packs import PACK, Pack, packed_files
from cifarcore.data.picture_files import MOST_PIXELS, read_picture
from cifarcore.errors import CifarcoreError

RGB = np.random.default_rng(0).integers(256, size=(12, 20, 3), dtype=np.uint8)


def _drawing(seed, bits=8):
    return np.random.default_rng(seed).integers(2**bits, size=(12, 20))


def _alpha(seed, mode):
    picture = Image.new(mode, (20, 12), 0)
    picture.putalpha(Image.fromarray(_drawing(seed).astype(np.uint8)))
    return picture


def _transparent_palette(seed):
    picture = Image.fromarray((_drawing(seed) % 2).astype(np.uint8)).convert("P")
    picture.putpalette([0] * 6)
    return picture


#: suffix -> the picture that a seed gives; as RGB of 8 bits all seeds look alike
COLLAPSING = {
    "12 bits in 16.png": lambda seed: Image.fromarray((_drawing(seed, 12) + 300).astype(np.uint16)),
    "float.tif": lambda seed: Image.fromarray((_drawing(seed) / 256 + 0.5).astype(np.float32)),
    "int32.tif": lambda seed: Image.fromarray((_drawing(seed) + 70_000).astype(np.int32)),
    "alpha.png": lambda seed: _alpha(seed, "RGBA"),
    "grey and alpha.png": lambda seed: _alpha(seed, "LA"),
    "alpha.webp": lambda seed: _alpha(seed, "RGBA"),
    "palette.png": _transparent_palette,
}


@pytest.mark.parametrize("name", COLLAPSING)
def test_pictures_that_look_alike_as_rgb_are_known_apart(tmp_path, name):
    options = {"transparency": b"\0\xff"} if name == "palette.png" else {"lossless": True} if "webp" in name else {}
    found = []
    for seed in range(4):
        path = tmp_path / f"{seed}-{name}"
        COLLAPSING[name](seed).save(path, **options)
        found.append(read_picture(path))
        assert found[-1].shown.mode == "RGB" and np.asarray(found[-1].shown).std() > 20, "what is in it is seen"
        assert not found[-1].exact and read_picture(path).sample_id == found[-1].sample_id
    assert len({each.sample_id for each in found}) == 4


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1"])
def test_what_is_rgb_in_another_mode_keeps_the_id_of_its_rgb_pixels(tmp_path, mode):
    grey = {"L": 1, "LA": 1}.get(mode)
    picture = Image.fromarray(RGB).quantize(8).convert("RGB") if mode == "P" else Image.fromarray(RGB)
    picture = picture.convert(mode) if grey or mode == "1" else picture
    wanted = np.asarray(picture.convert("RGB"))
    picture = picture.quantize(8) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "picture.png")
    found = read_picture(tmp_path / "picture.png")
    assert found.exact and found.sample_id == int(sample_ids(wanted[None])[0])
    np.testing.assert_array_equal(np.asarray(found.shown), wanted)


def _ppm(pixels):
    return b"P6 20 12 65535\n" + pixels.tobytes()


def _png(pixels):
    def chunk(kind, content):
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", 20, 12, 16, 2, 0, 0, 0)  # 16 bits, RGB
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("write", [_ppm, _png])
def test_colours_of_16_bits_are_known_apart_although_pillow_reads_8(tmp_path, write):
    for seed in range(3):
        pixels = (_drawing(seed, 6)[..., None] + np.arange(3)).astype(">u2")
        (tmp_path / f"{seed}{write.__name__}.png").write_bytes(write(pixels))
    found = [read_picture(tmp_path / f"{seed}{write.__name__}.png") for seed in range(3)]
    assert len({each.sample_id for each in found}) == 3 and not any(each.exact for each in found)
    assert len({each.shown.tobytes() for each in found}) == 1


def test_a_picture_known_by_its_file_is_read_a_part_at_a_time(tmp_path):
    """All that follows it in the file was read at once: a file of any size is."""
    pixels = (_drawing(0, 6)[..., None] + np.arange(3)).astype(">u2")
    path = tmp_path / "long.png"
    path.write_bytes(_png(pixels))
    with path.open("r+b") as file:
        file.truncate(64 << 20)
    tracemalloc.start()
    found = read_picture(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20
    digest = hashlib.blake2b(path.read_bytes(), digest_size=8).digest()
    assert found.sample_id == int.from_bytes(digest, "little")


def test_an_orientation_turns_what_is_shown_not_what_it_is_known_by(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees
    Image.fromarray(RGB).save(tmp_path / "lying.png", exif=exif)
    found = read_picture(tmp_path / "lying.png")
    assert found.sample_id == int(sample_ids(RGB[None])[0]) and not found.exact
    np.testing.assert_array_equal(np.asarray(found.shown), np.rot90(RGB, -1))


def test_only_formats_that_are_meant_are_opened(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
    Image.fromarray(RGB).save(tmp_path / "b.gif")
    (tmp_path / "b.gif").rename(tmp_path / "b.png")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    for name in "ab":
        with pytest.raises(CifarcoreError, match=rf"{name}\.png: cannot be read as a picture \(cannot identify"):
            read_picture(tmp_path / f"{name}.png")


def test_more_pixels_than_are_read_are_refused_before_they_are(tmp_path):
    side = int(MOST_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 20_000
    with pytest.raises(CifarcoreError, match=rf"bomb\.png: .*{side} x {side} pixels; at most"):
        read_picture(tmp_path / "bomb.png")


def test_a_folder_keeps_all_of_them_and_shows_each(tmp_path):
    for seed in range(6):
        place = tmp_path / "xrays" / "ab"[seed % 2]
        place.mkdir(parents=True, exist_ok=True)
        COLLAPSING["12 bits in 16.png"](seed).save(place / f"{seed}.png")
    pack = tmp_path / "xrays.pictures.zip"
    ids = read_pictures(list_folder(tmp_path / "xrays"), np.arange(6), pack)
    assert len(set(ids.tolist())) == 6 and set(packed_files(pack).values()) == set(ids.tolist())
    assert all(Pack(pack).pixels(i).std() > 20 for i in ids.tolist())


def test_the_same_pixels_in_another_shape_are_not_taken_for_one_picture(tmp_path):
    for name, size in (("a", (8, 4)), ("b", (4, 8))):
        (tmp_path / "plain" / name).mkdir(parents=True)
        Image.new("RGB", size, "red").save(tmp_path / "plain" / name / "1.png")
    with pytest.raises(CifarcoreError, match=r"a/1\.png and b/1\.png have the same pixels in another shape"):
        read_pictures(list_folder(tmp_path / "plain"), np.arange(2), tmp_path / "pack.zip")


def test_no_room_is_made_for_what_a_part_of_a_picture_claims_to_be(tmp_path):
    path = tmp_path / "claims.png"
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(path)
    content = path.read_bytes()
    at = content.index(b"IDAT")
    path.write_bytes(content[: at - 4] + struct.pack(">I", 0xFFFFFF00) + content[at:])
    tracemalloc.start()
    try:
        read_picture(path)
    except CifarcoreError as error:
        assert "MemoryError" not in str(error)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 << 20


@pytest.mark.parametrize("repeated", [0, 80, 120])
def test_a_jpeg_of_thousands_of_scans_goes_over_its_pixels_as_often(tmp_path, repeated):
    buffer, path = io.BytesIO(), tmp_path / "picture.jpg"
    Image.new("RGB", (64, 64), "teal").save(buffer, "JPEG", progressive=True, comment=b"\xff\xda" * 200)
    content = buffer.getvalue()
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:-2] + content[last:-2] * repeated + content[-2:] + b"\xff\xda\xff\xda" * 200)
    if repeated < 90:  # beside the ten that it has
        assert read_picture(path).shown.getpixel((0, 0)) == pytest.approx((0, 128, 128), abs=8)
    else:
        with pytest.raises(CifarcoreError, match="more than 100 scans, which no picture needs"):
            read_picture(path)


@pytest.mark.parametrize("segments", [500, 20_000])
def test_a_jpeg_of_thousands_of_segments_is_refused(tmp_path, segments):
    """Pillow joins those of Exif one after the other: a million bytes of them took minutes."""
    buffer, path = io.BytesIO(), tmp_path / "picture.jpg"
    Image.new("RGB", (8, 8), "teal").save(buffer, "JPEG")
    content = buffer.getvalue()
    path.write_bytes(content[:2] + b"\xff\xe1\0\x09Exif\0\0a" * segments + content[2:])
    if segments < 10_000:
        assert read_picture(path).shown.size == (8, 8)
    else:
        with pytest.raises(CifarcoreError, match="more than 10,000 segments, which no picture needs; save it anew"):
            read_picture(path)


def test_a_picture_as_text_that_is_mostly_comments_is_refused(tmp_path):
    """Pillow took a minute for each few megabytes of them."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    text = b" \n".join(b"%5d" % value for value in pixels.ravel().tolist())
    (tmp_path / "plain.ppm").write_bytes(b"P3\n# of mine\n8 8\n255\n" + text)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "plain.ppm").shown), pixels)
    (tmp_path / "padded.ppm").write_bytes(b"P3\n8 8\n255\n" + b"#\n" * 50_000 + text)
    with pytest.raises(CifarcoreError, match="far more text than its numbers take, such as comments; save it anew"):
        read_picture(tmp_path / "padded.ppm")
    Image.fromarray(pixels).save(tmp_path / "binary.ppm")
    (tmp_path / "binary.ppm").write_bytes((tmp_path / "binary.ppm").read_bytes() + bytes(1 << 17))
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "binary.ppm").shown), pixels)


def test_a_kept_jpeg_of_thousands_of_scans_is_not_drawn(tmp_path):
    """A picture of a pack took a second, and a megabyte can name one ten thousand times."""
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128)).save(buffer, "JPEG", progressive=True)
    content = buffer.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    for number, repeated in enumerate((20, 2000)):
        with zipfile.ZipFile(tmp_path / f"{number}{PACK}", "w") as archive:
            archive.writestr(f"{7:016x}.jpg", content[:-2] + last * repeated + content[-2:])
    assert Pack(tmp_path / f"0{PACK}").pixels(7).shape == (128, 128, 3)
    assert Pack(tmp_path / f"1{PACK}").pixels(7) is None
