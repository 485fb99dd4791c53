"""A test set of one's own: a folder of `class/picture.png`, in ImageFolder's order, and its pictures kept."""

import os
import re
import unicodedata
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from cifarcore.data.packs import packed
from cifarcore.data.picture_files import EXTENSIONS, read_picture
from cifarcore.errors import CifarcoreError

_MAX_COMMENT = 65_000
_LONGEST = 1_000  #: a label's name
_DEEPEST = 255  #: folders of a path that are looked at
_AMBIGUOUS, _MISSING = -1, -2  # instead of a row


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """The pictures of a folder, in the order in which ImageFolder lists them."""

    root: Path
    class_names: tuple[str, ...]  #: the folders, or the labels of a flat one, sorted
    files: tuple[str, ...]  #: (N,) class/file, with /
    labels: np.ndarray  #: int64 (N,)
    flat: bool = False  #: the files lie below `root` without their class

    def path(self, row: int) -> str:
        """Where a file lies below `root`."""
        return self.files[row].split("/", 1)[1] if self.flat else self.files[row]


def is_flat(root: str | Path) -> bool:
    """Whether a folder holds pictures without folders for the classes: no folder in it, or one without folders."""
    if not Path(root).is_dir():
        return False
    folders = [entry for entry in os.scandir(root) if entry.is_dir()]
    return not folders or len(folders) == 1 and not any(entry.is_dir() for entry in os.scandir(folders[0]))


def flat_folder(root: str | Path, label_of: Mapping[str, str]) -> ImageFolder:
    """List the pictures below `root` that have a label; `label_of` names files with or without what stands before
    their own name, and with or without their suffix.

    Raises CifarcoreError where fewer than two classes have a picture, or a class's name is no folder's.
    """
    root = Path(root)
    known: dict[str, str] = {}
    for name, label in label_of.items():
        bare_name = bare(PurePosixPath(name.replace("\\", "/")).name)
        if known.setdefault(bare_name, label) != label:
            raise CifarcoreError(
                f"{name[:100]!r} has the labels {known[bare_name][:60]!r} and {label[:60]!r}; give one"
            )
    labelled = [(path, label) for path in _pictures(root, "") if (label := known.get(bare(PurePosixPath(path).name)))]
    names = sorted({label for _, label in labelled})
    if len(names) < 2:
        raise CifarcoreError(
            f"{root}: no folders of classes, and {len(labelled):,} of its pictures have a label, of {len(names)} "
            "classes; name a folder that holds a folder of pictures for each class, or give --labels FILE with a line "
            "file,label for each picture"
        )
    if wrong := [name for name in names if "/" in name]:
        raise CifarcoreError(f"label {wrong[0][:60]!r} holds a slash; give another name")
    if (longest := max(map(len, names))) > _LONGEST:
        raise CifarcoreError(f"a label has {longest:,} characters; give class indices or names")
    place = {name: index for index, name in enumerate(names)}
    return ImageFolder(
        root, tuple(names), tuple(f"{label}/{path}" for path, label in labelled),
        np.array([place[label] for _, label in labelled]), flat=True,
    )  # fmt: skip


def bare(name: str) -> str:
    """A picture's name without its suffix, in one of Unicode's spellings: macOS takes names apart."""
    name = unicodedata.normalize("NFC", name)
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in EXTENSIONS else name


def list_folder(root: str | Path) -> ImageFolder:
    """List `root` without opening a picture. Raises CifarcoreError where it does not hold classes of pictures."""
    root = Path(root)
    if not root.is_dir():
        raise CifarcoreError(f"{root}: no such folder; name one that holds a folder of pictures for each class")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    files, labels = [], []
    for label, name in enumerate(names):
        pictures = _pictures(root, name)
        if not pictures:
            raise CifarcoreError(
                f"{root / name}: no picture ({', '.join(EXTENSIONS)}) in this class's folder; name a folder that holds "
                "the folders of classes alone"
            )
        files += pictures
        labels += [label] * len(pictures)
    if len(names) < 2:
        raise CifarcoreError(_too_few(root, names))
    return ImageFolder(root, tuple(names), tuple(files), np.array(labels))


def in_natural_order(folder: ImageFolder) -> tuple[tuple[str, ...], np.ndarray]:
    """Classes and rows (N,) of `folder` as timm orders them: by number where names have one, in lower case."""

    def key(name: str) -> list[str | int]:
        return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.lower())]

    rows = sorted(range(len(folder.files)), key=lambda row: key(folder.path(row)))
    return tuple(sorted(folder.class_names, key=key)), np.array(rows)


def in_path_order(folder: ImageFolder) -> np.ndarray:
    """Rows (N,) of `folder` as Hugging Face's datasets order them: by whole paths as text, in which a class's name that
    another begins with does not always come first. The classes count as in `folder`.
    """
    return np.array(sorted(range(len(folder.files)), key=folder.path))


def read_pictures(
    folder: ImageFolder, rows: np.ndarray, pack: BinaryIO, on_progress: Callable[[int, int], None] = lambda *_: None
) -> np.ndarray:
    """Sample ids, uint64 (n,), of the pictures `rows`; what is needed to show them goes to `pack`.

    Raises CifarcoreError, naming the file, where one cannot be read.
    """
    ids = np.empty(len(rows), np.uint64)
    with zipfile.ZipFile(pack, "w") as archive:
        entries: dict[int, zipfile.ZipInfo] = {}
        first: dict[int, tuple[str, tuple[int, int]]] = {}
        for i, row in enumerate(rows.tolist()):
            name = folder.files[row]
            picture = read_picture(folder.root / folder.path(row))
            ids[i] = picture.sample_id
            if picture.sample_id not in entries:
                entry_name, content = packed(picture)
                archive.writestr(entry_name, content)
                entries[picture.sample_id] = archive.getinfo(entry_name)
                entries[picture.sample_id].comment = os.fsencode(name)
                first[picture.sample_id] = (name, picture.shown.size)
            elif first[picture.sample_id][1] != picture.shown.size:
                raise CifarcoreError(
                    f"{folder.root}: {first[picture.sample_id][0]} and {name} have the same pixels in another shape, "
                    "so they share one id; leave one out"
                )
            else:  # a comment holds 65,535 bytes
                entry = entries[picture.sample_id]
                entry.comment = (entry.comment + b"\0" + os.fsencode(name))[:_MAX_COMMENT]
            on_progress(i + 1, len(rows))
    return ids


def in_this_order(listed: Sequence[str], files: Sequence[str]) -> bool:
    """Whether each of `files` is one of `listed`, names class/file, at the same place; folders before it may lack."""
    if len(listed) != len(files):
        return False
    pairs = zip(listed, (unicodedata.normalize("NFC", name).replace("\\", "/") for name in files), strict=True)
    return all(f"/{unicodedata.normalize('NFC', name)}".endswith(f"/{file}") for name, file in pairs)


def rows_of_files(listed: Sequence[str], files: Sequence[str], where: str) -> np.ndarray:
    """Row in `listed`, names class/file as a folder lists them, of each of `files` (n,): by the end of its path that is
    there, whatever stands before it, else by its own name where that is unique; else so without its suffix.

    Raises CifarcoreError, which calls the folder `where`, where one is not there, or named twice.
    """
    names = [unicodedata.normalize("NFC", name) for name in listed]
    exact, without_suffix = _Places(names), _Places(list(map(bare, names)))
    places = []
    for name in files:
        name = unicodedata.normalize("NFC", name).replace("\\", "/")
        row = exact.row(name)
        places.append(without_suffix.row(bare(name)) if row == _MISSING else row)
    rows = np.array(places)
    for code, why in (
        (_MISSING, "are not in the folder"),
        (_AMBIGUOUS, "have names that several classes have; name them class/file, as timm's --fullname does"),
    ):
        if (rows == code).any():
            first = files[int((rows == code).argmax())]
            raise CifarcoreError(
                f"{(rows == code).sum():,} of {len(rows):,} files {why} (first: {first[:100]!r}, in {where})"
            )
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        first = listed[values[(counts > 1).argmax()]]
        raise CifarcoreError(f"{(counts > 1).sum():,} files are in several rows (first: {first!r}); give each once")
    return rows


class _Places:
    """Rows of files, class/file, by the end of a path."""

    def __init__(self, listed: Sequence[str]):
        self._listed = listed
        self._classes = {name.split("/")[0] for name in listed}
        self._deepest = min(_DEEPEST, max((name.count("/") + 1 for name in listed), default=0))
        self._at: dict[str, int] = {}
        self._own: dict[str, int] = {}
        for row, name in enumerate(listed):
            base = PurePosixPath(name).name
            self._at[name] = _AMBIGUOUS if name in self._at else row
            self._own[base] = _AMBIGUOUS if base in self._own else row

    def row(self, name: str) -> int:
        parts = PurePosixPath(name).parts
        ends = ("/".join(parts[i:]) for i in range(max(0, len(parts) - self._deepest), len(parts)))
        row = next((self._at[end] for end in ends if end in self._at), None)
        if row is not None:
            return row
        row = self._own.get(parts[-1] if parts else "", _MISSING)
        named = set(parts[-2:-1]) & self._classes  # a class that lacks the file is not another class's of that name
        other = row >= 0 and self._listed[row].split("/")[0] not in named
        return _MISSING if named and (row == _AMBIGUOUS or other) else row


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
        return (
            f"{root}: no folder of a class in it; name the folder that holds a folder of pictures for each class, or "
            "give --labels FILE with a line file,label for each picture"
        )
    inner = root / names[0]
    if any(entry.is_dir() for entry in os.scandir(inner)):
        return f"{root}: holds one folder alone, {names[0][:100]!r}; if that holds the classes' folders, give {inner}"
    return f"{root}: one folder of a class alone, {names[0][:100]!r}; give one for each of two classes or more"
