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

from cifarcore import memory
from cifarcore.data.ids import rows_of, sample_ids
from cifarcore.data.known_images import known_images
from cifarcore.data.picture_files import Picture, refuse_slow
from cifarcore.errors import CifarcoreError
from cifarcore.files import open_file, open_zip

PACK = ".pictures.zip"
#: pictures of at most this side are kept as they are, larger ones as a JPEG of this side
SIDE = 128
_NAME = re.compile(r"[0-9a-f]{16}\.(png|jpg)")
_MAX_PACKED_BYTES = 1 << 20
_MOST_LISTED = 1 << 28  #: of two million pictures, with the names of their files
_OF_LISTED = 10  #: what zipfile makes of a list of entries is at most so many times as large
#: what is kept of an entry, since zipfile's objects are ten times as large
_ENTRY = np.dtype([("id", "u8"), ("offset", "u8"), ("bytes", "u8"), ("crc", "u4"), ("stored", "?"), ("exact", "?")])
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
        with open_file(pack) as file, _listed(file) as archive:
            return {
                name: _id_of(entry.filename)
                for entry in archive.infolist()
                for name in os.fsdecode(entry.comment).split("\0")
                if name
            }
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return {}


def is_pack(path: Path) -> bool:
    """Whether all that `path` holds is called as the pictures of a pack."""
    try:
        with open_file(path) as file, _listed(file) as archive:
            return all(_NAME.fullmatch(name) for name in archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return False


class Pack:
    """The pictures of a pack, found by sample id, each read when it is asked for, as long as the file is the same.

    The id of a JPEG's picture cannot be checked by its pixels. None is believed to be of CIFAR-100, whose pictures are
    small enough to be kept as they are.
    """

    def __init__(self, path: Path):
        """Raises CifarcoreError where `path` is no pack."""
        self.path = path
        try:
            with open_file(path) as file, _listed(file) as archive:
                self._file = _same(file)
                entries = np.fromiter(map(_kept, archive.infolist()), _ENTRY)
        except (OSError, ValueError, OverflowError, NotImplementedError, zipfile.BadZipFile) as error:
            raise CifarcoreError(f"{path.name}: no readable pack of pictures ({error}); import its run again") from None
        known = rows_of(known_images().sample_ids, entries["id"]) >= 0
        entries = entries[entries["exact"] | ~known][::-1]
        self.ids, last = np.unique(entries["id"], return_index=True)
        self._entries = entries[last]

    def is_exact(self, sample_id: int) -> bool:
        """Whether the pixels of its picture of that id, if it has one, give that id."""
        row = int(np.searchsorted(self.ids, np.uint64(sample_id)))
        return row < len(self.ids) and int(self.ids[row]) == sample_id and bool(self._entries["exact"][row])

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """The picture, uint8 (H, W, 3) with sides of at most SIDE; None where it cannot be read."""
        row = int(np.searchsorted(self.ids, np.uint64(sample_id)))
        if row == len(self.ids) or int(self.ids[row]) != sample_id:
            return None
        entry = self._entries[row]
        try:
            content = self._content(entry)
            refuse_slow(content)
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
                if max(picture.size) > SIDE:
                    return None
                pixels = np.asarray(picture.convert("RGB"))
        except Exception:  # Pillow's decoders raise many kinds on damaged bytes
            return None
        return None if entry["exact"] and int(sample_ids(pixels[None])[0]) != sample_id else pixels

    def _content(self, entry: np.void) -> bytes:
        """An entry's bytes. The file is opened anew: a list of entries is long to read, an open file cannot be deleted
        everywhere.
        """
        if not entry["stored"] or entry["bytes"] > _MAX_PACKED_BYTES:
            raise ValueError("not written by this package")
        with open_file(self.path) as file:
            if _same(file) != self._file:
                raise ValueError("another file by now")
            file.seek(int(entry["offset"]))
            signature, name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(name + extra, os.SEEK_CUR)
            content = file.read(int(entry["bytes"]))
        if signature != b"PK\3\4" or zlib.crc32(content) != entry["crc"]:
            raise ValueError("damaged")
        return content


def _listed(file: BinaryIO) -> zipfile.ZipFile:
    """Raises BadZipFile where the list of entries is larger than there is memory for."""
    return open_zip(file, min(_MOST_LISTED, int(memory.SHARE * memory.memory_bytes() / _OF_LISTED)))


def _same(file: BinaryIO) -> tuple[int, ...]:
    """What is the same as long as a file is neither replaced nor written."""
    stat = os.fstat(file.fileno())
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _kept(entry: zipfile.ZipInfo) -> tuple[int, int, int, int, bool, bool]:
    stored, exact = entry.compress_type == zipfile.ZIP_STORED, entry.filename.endswith(".png")
    return _id_of(entry.filename), entry.header_offset, entry.file_size, entry.CRC, stored, exact


def _id_of(name: str) -> int:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:50]!r} is no picture's name")
    return int(name[:16], 16)
