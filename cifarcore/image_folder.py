"""A test set of one's own: a folder of `class/picture.png`, in torchvision's ImageFolder's order, and its pictures kept.

Knows no model. A pack of pictures is a `.zip` of `<sample id as 16 hex digits>.png` or `.jpg`, small enough to show.
"""

import io
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from cifarcore import CifarcoreError
from cifarcore.data import sample_ids
from cifarcore.files import atomic_write

#: as torchvision.datasets.folder.IMG_EXTENSIONS
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
PACK = ".pictures.zip"
#: pictures of at most this side are kept as they are, larger ones as a JPEG of this side
SIDE = 128
_NAME = re.compile(r"[0-9a-f]{16}\.(png|jpg)")
_MAX_PACKED_BYTES = 1 << 20


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
            raise CifarcoreError(f"{root / name}: no picture ({', '.join(EXTENSIONS)}) in this class's folder")
        files += found
        labels += [label] * len(found)
    if len(names) < 2:
        raise CifarcoreError(f"{root}: {len(names)} folders of classes; give one for each of two classes or more")
    return ImageFolder(root, tuple(names), tuple(files), np.array(labels))


def read_pictures(
    folder: ImageFolder, rows: np.ndarray, pack: Path, on_progress: Callable[[int, int], None] = lambda *_: None
) -> np.ndarray:
    """Sample ids, uint64 (n,), of the pictures `rows`; what is needed to show them goes to `pack`, atomically.

    Raises CifarcoreError, naming the file, where one cannot be read.
    """
    ids = np.empty(len(rows), np.uint64)
    with atomic_write(pack) as file, zipfile.ZipFile(file, "w") as archive:
        packed = set()
        for i, row in enumerate(rows.tolist()):
            name = folder.files[row]
            try:
                with Image.open(folder.root / name) as opened:
                    picture = opened.convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise CifarcoreError(f"{folder.root / name}: cannot be read as a picture ({error})") from None
            ids[i] = sample_ids(np.asarray(picture)[None])[0]
            if int(ids[i]) not in packed:
                packed.add(int(ids[i]))
                archive.writestr(*_packed(picture, int(ids[i])))
            on_progress(i + 1, len(rows))
    return ids


def rows_of_files(folder: ImageFolder, files: tuple[str, ...]) -> np.ndarray:
    """Row in `folder` of each file named (n,): by its path below the folder, else by its own name where that is unique.

    Raises CifarcoreError where one is not there, or named twice.
    """
    own_name: dict[str, int] = {}
    for row, name in enumerate(folder.files):
        base = PurePosixPath(name).name
        own_name[base] = -1 if base in own_name else row
    at = {name: row for row, name in enumerate(folder.files)}
    prefix = f"{folder.root.as_posix().rstrip('/')}/"
    rows = []
    for name in files:
        below = name.replace("\\", "/").removeprefix(prefix).removeprefix("./")
        rows.append(at.get(below, own_name.get(PurePosixPath(below).name, -2)))
    rows = np.array(rows)
    for code, why in ((-2, "are not in the folder"), (-1, "stand in several classes; name them class/file")):
        if (rows == code).any():
            first = files[int((rows == code).argmax())]
            raise CifarcoreError(
                f"{(rows == code).sum():,} of {len(rows):,} files {why} (first: {first[:100]!r}, in {folder.root})"
            )
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        first = folder.files[values[(counts > 1).argmax()]]
        raise CifarcoreError(f"{(counts > 1).sum():,} files stand in several rows (first: {first!r}); give each once")
    return rows


class Pack:
    """The pictures of a pack, found by sample id, each read when it is asked for."""

    def __init__(self, path: Path):
        """Raises CifarcoreError where `path` is no pack."""
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)  # kept open: its list of entries is long
            self._entries = {_id_of(entry.filename): entry for entry in self._archive.infolist()}
            self.ids = np.fromiter(self._entries, np.uint64, len(self._entries))
        except (OSError, ValueError, OverflowError, zipfile.BadZipFile) as error:
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
