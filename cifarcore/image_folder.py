"""A test set of one's own: a folder of `class/picture.png`, in torchvision's ImageFolder's order, and its pictures kept.

Knows no model. A pack of pictures is a `.zip` of `<sample id as 16 hex digits>.png` or `.jpg`, small enough to show; an
entry's comment names the files that it was, with NUL between.
"""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
from PIL import Image

from cifarcore import CifarcoreError
from cifarcore.data import sample_ids

#: as torchvision.datasets.folder.IMG_EXTENSIONS
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
PACK = ".pictures.zip"
#: pictures of at most this side are kept as they are, larger ones as a JPEG of this side
SIDE = 128
_NAME = re.compile(r"[0-9a-f]{16}\.(png|jpg)")
_MAX_PACKED_BYTES = 1 << 20
_MAX_COMMENT = 65_000
_AMBIGUOUS, _MISSING = -1, -2  # instead of a row


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The pictures of a folder, in the order in which ImageFolder lists them."""

    root: Path
    class_names: tuple[str, ...]  #: the folders, sorted
    files: tuple[str, ...]  #: (N,) below `root`, with /
    labels: np.ndarray  #: int64 (N,)


def list_folder(root: str | Path) -> ImageFolder:
    """List `root` without opening a picture. Raises CifarcoreError where it does not hold classes of pictures."""
    root = Path(root)
    if not root.is_dir():
        raise CifarcoreError(f"{root}: no such folder; name one that holds a folder of pictures for each class")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    files, labels = [], []
    for label, name in enumerate(names):
        found = _pictures(root, name)
        if not found:
            raise CifarcoreError(
                f"{root / name}: no picture ({', '.join(EXTENSIONS)}) in this class's folder; name a folder that holds "
                "the folders of classes alone"
            )
        files += found
        labels += [label] * len(found)
    if len(names) < 2:
        raise CifarcoreError(_too_few(root, names))
    return ImageFolder(root, tuple(names), tuple(files), np.array(labels))


def read_pictures(
    folder: ImageFolder, rows: np.ndarray, pack: BinaryIO, on_progress: Callable[[int, int], None] = lambda *_: None
) -> np.ndarray:
    """Sample ids, uint64 (n,), of the pictures `rows`; what is needed to show them goes to `pack`.

    Raises CifarcoreError, naming the file, where one cannot be read.
    """
    ids = np.empty(len(rows), np.uint64)
    with zipfile.ZipFile(pack, "w") as archive:
        packed = {}
        for i, row in enumerate(rows.tolist()):
            name = folder.files[row]
            try:
                with Image.open(folder.root / name) as opened:
                    picture = opened.convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise CifarcoreError(f"{folder.root / name}: cannot be read as a picture ({error})") from None
            ids[i] = sample_ids(np.asarray(picture)[None])[0]
            if int(ids[i]) not in packed:
                entry_name, content = _packed(picture, int(ids[i]))
                archive.writestr(entry_name, content)
                packed[int(ids[i])] = archive.getinfo(entry_name)
                packed[int(ids[i])].comment = os.fsencode(name)
            else:  # a comment holds 65,535 bytes
                entry = packed[int(ids[i])]
                entry.comment = (entry.comment + b"\0" + os.fsencode(name))[:_MAX_COMMENT]
            on_progress(i + 1, len(rows))
    return ids


def rows_of_files(listed: Sequence[str], files: Sequence[str], where: str) -> np.ndarray:
    """Row in `listed`, names class/file as a folder lists them, of each of `files` (n,): by the end of its path that is
    there, whatever stands before it, else by its own name where that is unique.

    Raises CifarcoreError, which calls the folder `where`, where one is not there, or named twice.
    """
    at = {name: row for row, name in enumerate(listed)}
    classes = {PurePosixPath(name).parts[0] for name in listed}
    own_name: dict[str, int] = {}
    for row, name in enumerate(listed):
        base = PurePosixPath(name).name
        own_name[base] = _AMBIGUOUS if base in own_name else row
    rows = []
    for name in files:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        row = next((at[end] for i in range(len(parts)) if (end := "/".join(parts[i:])) in at), None)
        if row is None:
            row = own_name.get(parts[-1] if parts else "", _MISSING)
            said = set(parts[-2:-1]) & classes  # a class that lacks the file is not another class's file of that name
            if said and (row == _AMBIGUOUS or row >= 0 and PurePosixPath(listed[row]).parts[0] not in said):
                row = _MISSING
        rows.append(row)
    rows = np.array(rows)
    for code, why in (
        (_MISSING, "are not in the folder"),
        (_AMBIGUOUS, "stand in several classes; name them class/file"),
    ):
        if (rows == code).any():
            first = files[int((rows == code).argmax())]
            raise CifarcoreError(
                f"{(rows == code).sum():,} of {len(rows):,} files {why} (first: {first[:100]!r}, in {where})"
            )
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        first = listed[values[(counts > 1).argmax()]]
        raise CifarcoreError(f"{(counts > 1).sum():,} files stand in several rows (first: {first!r}); give each once")
    return rows


def packed_files(pack: Path) -> dict[str, int]:
    """Sample id of each file, class/file, whose picture the pack holds; none of a pack that keeps no names, or is none."""
    try:
        with zipfile.ZipFile(pack) as archive:
            return {
                name: _id_of(entry.filename)
                for entry in archive.infolist()
                for name in os.fsdecode(entry.comment).split("\0")
                if name
            }
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return {}


class Pack:
    """The pictures of a pack, found by sample id, each read when it is asked for."""

    def __init__(self, path: Path):
        """Raises CifarcoreError where `path` is no pack."""
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)  # kept open: its list of entries is long
            self._entries = {_id_of(entry.filename): entry for entry in self._archive.infolist()}
            self.ids = np.fromiter(self._entries, np.uint64, len(self._entries))
        except (OSError, ValueError, OverflowError, NotImplementedError, zipfile.BadZipFile) as error:
            raise CifarcoreError(f"{path.name}: no readable pack of pictures ({error}); import its run again") from None

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """The picture, uint8 (H, W, 3) with sides of at most SIDE; None where it cannot be read."""
        entry = self._entries.get(sample_id)
        if entry is None or entry.file_size > _MAX_PACKED_BYTES:
            return None
        try:
            with Image.open(io.BytesIO(self._archive.read(entry)), formats=("PNG", "JPEG")) as picture:
                if max(picture.size) > SIDE:
                    return None
                pixels = np.asarray(picture.convert("RGB"))
        except (OSError, ValueError, SyntaxError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            return None
        exact = entry.filename.endswith(".png")
        return None if exact and int(sample_ids(pixels[None])[0]) != sample_id else pixels


def _pictures(root: Path, name: str) -> list[str]:
    """The pictures of one class as ImageFolder finds them: folder by folder, each sorted; links are not followed."""
    return [
        Path(place, file).relative_to(root).as_posix()
        for place, _, files in sorted(os.walk(root / name))
        for file in sorted(files)
        if file.lower().endswith(EXTENSIONS)
    ]


def _too_few(root: Path, names: list[str]) -> str:
    """Why a folder with none or one of a class is refused, and which one may have been meant."""
    if not names:
        return f"{root}: no folder of a class in it; name the folder that holds a folder of pictures for each class"
    inner = root / names[0]
    if any(entry.is_dir() for entry in os.scandir(inner)):
        return f"{root}: holds one folder alone, {names[0][:100]!r}; if that holds the classes' folders, give {inner}"
    return f"{root}: one folder of a class alone, {names[0][:100]!r}; give one for each of two classes or more"


def _id_of(name: str) -> int:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:50]!r} is no picture's name")
    return int(name[:16], 16)


def _packed(picture: Image.Image, sample_id: int) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    small = max(picture.size) <= SIDE
    if small:
        picture.save(buffer, "PNG")
    else:
        picture.thumbnail((SIDE, SIDE))
        picture.save(buffer, "JPEG", quality=90)
    return f"{sample_id:016x}.{'png' if small else 'jpg'}", buffer.getvalue()
