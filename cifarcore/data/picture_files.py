"""One picture file, read as hostile: what it is known by, and how it is shown."""

import hashlib
import io
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cifarcore.data.ids import sample_ids
from cifarcore.errors import CifarcoreError

#: as torchvision.datasets.folder.IMG_EXTENSIONS
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
#: what is opened, whatever the file is called: Pillow reads many more, some by other programs
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
MOST_PIXELS = 1 << 26  #: about 200 MB as RGB
#: of a JPEG, each of which goes over all its pixels: a dozen are usual, and a few bytes are enough for one
MOST_SCANS = 100
MOST_SEGMENTS = 10_000  #: of a JPEG, of at most 64 KiB each; colour profiles and notes of cameras take some hundred
_JPEG = b"\xff\xd8"
MOST_TEXT = 12  #: bytes of a number in a PPM that is text, with the blanks around it
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # of ITU T.81, B.1.1.3; the others stand within a scan
_SCAN, _END, _BARE = 0xDA, 0xD9, (0x01, 0xD8)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it is known, and as it is shown: RGB, 8 bits, upright, on white where it is transparent."""

    sample_id: int  #: of the original pixels, see `read_picture`
    shown: Image.Image
    exact: bool  #: whether `sample_id` is that of the pixels shown


def read_picture(path: Path) -> Picture:
    """Read the picture file `path`. Raises CifarcoreError, naming it, where that cannot be done.

    What is grey or RGB of 8 bits, with whatever palette, is known by its RGB pixels, see `sample_ids`. Pictures of more
    bits, in other colours or with transparency are known by all that is in them, size and mode among it: as RGB of 8
    bits, different ones would be the same. An orientation (EXIF) turns what is shown, not what it is known by.
    """
    try:
        if not path.is_file():
            raise ValueError("no file")
        with path.open("rb", buffering=0) as raw, _quick(raw), Image.open(_Clipped(raw), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels; at most {MOST_PIXELS:,} are read")
            if picture.format == "PPM" and _is_padded(raw.fileno(), picture):
                raise ValueError("far more text than its numbers take, such as comments; save it anew")
            whole = not _loses_bits(picture)
            picture.load()
            original = _lossless(picture)
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) != 1
            shown = _shown(_lossless(ImageOps.exif_transpose(picture)) if turned else original)
            if original.mode == "RGB" and whole:
                sample_id = int(sample_ids(np.asarray(original)[None])[0])
            elif whole:
                sample_id = _digest(f"{original.mode} {original.width} {original.height} ".encode(), original.tobytes())
            else:
                with path.open("rb") as file:  # a part at a time: what follows the picture may be of any size
                    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).digest()
                sample_id = int.from_bytes(digest, "little")
            exact = original.mode == "RGB" and whole and not turned
    except Exception as error:  # Pillow's decoders raise many kinds on damaged bytes
        reason = " ".join(str(error).split()).replace(str(path), "").strip() or type(error).__name__
        raise CifarcoreError(f"{path}: cannot be read as a picture ({reason:.200})") from None
    return Picture(sample_id, shown, exact)


class _Clipped(io.BufferedReader):
    """A file that is asked for no more than is left of it: Python makes room for all that a chunk claims to be."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            return super().read()
        return super().read(min(size, max(0, os.fstat(self.fileno()).st_size - self.tell())))


def _is_padded(file: int, picture: Image.Image) -> bool:
    """Whether the PPM open as `file`, whose pixels are written as text, is longer than that: Pillow copies what is left
    of a block for each comment.
    """
    samples = picture.width * picture.height * len(picture.getbands())
    with mmap.mmap(file, 0, access=mmap.ACCESS_READ) as content:
        return content[:2] in (b"P1", b"P2", b"P3") and len(content) > MOST_TEXT * samples + (1 << 16)


@contextmanager
def _quick(file: io.FileIO) -> Iterator[None]:
    """`refuse_slow` of an open file."""
    if os.fstat(file.fileno()).st_size:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            refuse_slow(content)
    yield


def refuse_slow(content: bytes | mmap.mmap) -> None:
    """Raises ValueError for a JPEG of more scans or segments than a picture needs: each scan goes over all pixels, and
    with each segment Pillow copies those before it.
    """
    if content[:2] != _JPEG:
        return
    scans, segments, at = 0, 0, 2
    while (found := _MARKER.search(content, at)) and found[1][0] != _END:
        scans, segments = scans + (found[1][0] == _SCAN), segments + 1
        if scans > MOST_SCANS or segments > MOST_SEGMENTS:
            what = f"{MOST_SCANS} scans" if scans > MOST_SCANS else f"{MOST_SEGMENTS:,} segments"
            raise ValueError(f"more than {what}, which no picture needs; save it anew")
        at = found.end()
        if found[1][0] not in _BARE:
            at += int.from_bytes(content[at : at + 2], "big")


def _loses_bits(picture: Image.Image) -> bool:
    """Whether Pillow reads fewer bits of an opened file than are in it, as of PNG with colours of 16 bits."""
    for tile in picture.tile:
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw = next((each for each in arguments if isinstance(each, str)), "")
        bits = 8 if picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else 32
        deepest = max((each for each in arguments if type(each) is int and picture.format == "PPM"), default=0)
        if bits == 8 and (";16" in raw or ";12" in raw or deepest > 255) or ";64F" in raw:
            return True
    return False


def _lossless(picture: Image.Image) -> Image.Image:
    """The same look in as few modes as can be: RGB, RGBA where something is transparent, else the picture's own."""
    if "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        with_alpha = picture.convert("RGBA")
        return with_alpha.convert("RGB") if with_alpha.getextrema()[3] == (255, 255) else with_alpha
    return picture.convert("RGB") if picture.mode in ("1", "L", "P", "RGB") else picture


def _shown(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGBA":
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    if picture.mode[:1] in "IF":  # numbers of any range
        values = np.asarray(picture).astype(np.float32)  # a copy, which is worked on in place: it may be large
        finite = np.isfinite(values)
        low = float(np.min(values, where=finite, initial=np.inf))
        high = float(np.max(values, where=finite, initial=-np.inf))
        if low >= high:
            return Image.new("RGB", picture.size)
        np.clip(np.nan_to_num(values, copy=False), low, high, out=values)
        values /= max(abs(low), abs(high))  # first, since the range of the largest is no number
        values -= values.min()
        values *= 255 / (float(values.max()) or 1)
        return Image.fromarray(values.round(out=values).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def _digest(*parts: bytes) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), "little")
