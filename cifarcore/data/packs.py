"""The pictures of someone's test images, kept beside a run file: small enough to show, found by sample id.

A pack is a `.zip` that stores `<sample id as 16 hex digits>.png`, whose pixels are those that the id is of, or `.jpg`,
which only shows a picture too large or of another kind; an entry's comment names the files that it was, NUL between.
"""

import io
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from cifarcore.data.ids import sample_ids
from cifarcore.data.known_images import known_images
from cifarcore.data.picture_files import Picture
from cifarcore.errors import CifarcoreError
from cifarcore.files import open_zip

PACK = ".pictures.zip"
#: pictures of at most this side are kept as they are, larger ones as a JPEG of this side
SIDE = 128
_NAME = re.compile(r"[0-9a-f]{16}\.(png|jpg)")
_MAX_PACKED_BYTES = 1 << 20
_MOST_LISTED = 1 << 28  #: of two million pictures, with the names of their files
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of PKWARE's APPNOTE: signature, lengths of name and extra field


def packed(picture: Picture) -> tuple[str, bytes]:
    """An entry's name and content: PNG where its pixels are those that the id is of, JPEG where they only show it."""
    buffer = io.BytesIO()
    exact = picture.exact and max(picture.shown.size) <= SIDE
    if exact:
        picture.shown.save(buffer, "PNG")
    else:
        shown = picture.shown.copy()
        shown.thumbnail((SIDE, SIDE))
        shown.save(buffer, "JPEG", quality=90)
    return f"{picture.sample_id:016x}.{'png' if exact else 'jpg'}", buffer.getvalue()


def packed_files(pack: Path) -> dict[str, int]:
    """Sample id of each file, class/file, whose picture the pack holds; none of a pack that keeps no names, or is
    none.
    """
    try:
        with pack.open("rb") as file, open_zip(file, _MOST_LISTED) as archive:
            return {
                name: _id_of(entry.filename)
                for entry in archive.infolist()
                for name in os.fsdecode(entry.comment).split("\0")
                if name
            }
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return {}


class Pack:
    """The pictures of a pack, found by sample id, each read when it is asked for, as long as the file is the same.

    The id of a JPEG's picture cannot be checked by its pixels. None is believed to be of CIFAR-100, whose pictures are
    small enough to be kept as they are.
    """

    def __init__(self, path: Path):
        """Raises CifarcoreError where `path` is no pack."""
        self.path = path
        try:
            with path.open("rb") as file, open_zip(file, _MOST_LISTED) as archive:
                self._file = _same(file)
                entries = {_id_of(entry.filename): entry for entry in archive.infolist()}
        except (OSError, ValueError, OverflowError, NotImplementedError, zipfile.BadZipFile) as error:
            raise CifarcoreError(f"{path.name}: no readable pack of pictures ({error}); import its run again") from None
        known = set(known_images().sample_ids.tolist())
        self._entries = {key: entry for key, entry in entries.items() if _is_exact(entry) or key not in known}
        self.ids = np.fromiter(self._entries, np.uint64, len(self._entries))

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """The picture, uint8 (H, W, 3) with sides of at most SIDE; None where it cannot be read."""
        entry = self._entries.get(sample_id)
        if entry is None:
            return None
        try:
            with Image.open(io.BytesIO(self._content(entry)), formats=("PNG", "JPEG")) as picture:
                if max(picture.size) > SIDE:
                    return None
                pixels = np.asarray(picture.convert("RGB"))
        except Exception:  # Pillow's decoders raise many kinds on damaged bytes
            return None
        return None if _is_exact(entry) and int(sample_ids(pixels[None])[0]) != sample_id else pixels

    def _content(self, entry: zipfile.ZipInfo) -> bytes:
        """An entry's bytes. The file is opened anew: a list of entries is long to read, an open file cannot be deleted
        everywhere.
        """
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > _MAX_PACKED_BYTES:
            raise ValueError("not written by this package")
        with self.path.open("rb") as file:
            if _same(file) != self._file:
                raise ValueError("another file by now")
            file.seek(entry.header_offset)
            signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(name + extra, os.SEEK_CUR)
            content = file.read(entry.file_size)
        if signature != b"PK\3\4" or zlib.crc32(content) != entry.CRC:
            raise ValueError("damaged")
        return content


def _same(file: BinaryIO) -> tuple[int, ...]:
    """What is the same as long as a file is neither replaced nor written."""
    stat = os.fstat(file.fileno())
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _is_exact(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith(".png")


def _id_of(name: str) -> int:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:50]!r} is no picture's name")
    return int(name[:16], 16)
