"""Properties of images kept by sample id in the user's cache folder, measured once by a process of its own.

One .npz for CIFAR-100's test images and one for each pack of pictures or folder of photos. No torch, no Streamlit.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from cifarcore import places
from cifarcore.data import cifar100
from cifarcore.data.ids import rows_of, sample_ids
from cifarcore.data.image_folder import list_folder
from cifarcore.data.image_properties import PROPERTIES, SIDE, measure
from cifarcore.data.packs import PACK, Pack
from cifarcore.data.picture_files import read_picture
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write

#: of a photo as it is on disk, before it is scaled down to be measured
SIZES = ("megapixels", "aspect ratio")
_EXACT = "exact"  #: whether the pixels that were measured tell the id that they are kept under
_NAMES = (*PROPERTIES, _EXACT)
_FOLDERS = "folder-"  #: how the names of files begin that are of folders
_MOST_BYTES = 1 << 28
Progress = Callable[[int, int], None]


def cache_folder() -> Path:
    """Where the files are: `properties/` in the user's cache folder."""
    return places.cache_folder() / "properties"


def kept_at(source: Path) -> Path:
    """The file for the pictures in `source`: cifar100.npz, a pack, or a folder of photos, as it is now."""
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    digest = hashlib.blake2b(os.fsencode(f"{source.resolve()} {sorted(_NAMES)}"), digest_size=12)
    for file in files:  # the time of a folder does not tell what was changed below it
        stat = file.stat()
        digest.update(os.fsencode(f"{file.relative_to(source)} {stat.st_mtime_ns} {stat.st_size}\0"))
    return cache_folder() / f"{_FOLDERS if source.is_dir() else ''}{digest.hexdigest()}.npz"


def measured_folders() -> list[tuple[Path, int]]:
    """What is kept of folders of photos, whose names no run knows, and when each was measured, in ns: read by
    `properties_of` as sources are.
    """
    kept = []
    for path in sorted(cache_folder().glob(f"{_FOLDERS}*.npz")):
        with suppress(OSError):  # deleted meanwhile
            kept.append((path, path.stat().st_mtime_ns))
    return kept


def when_measured(source: Path) -> int | None:
    """When the pictures of `source` as it is now were measured, in ns; None where they were not, or it is gone."""
    try:
        return kept_at(source).stat().st_mtime_ns
    except OSError:
        return None


def sources(data: str | Path | None, packs: Sequence[Path]) -> list[Path]:
    """The sources of pictures that are there and may be read: CIFAR-100's in the data folder, and these packs."""
    named = (cifar100.data_dir(data) / cifar100.ARRAYS_FILE, *packs)
    return [path for path in named if os.path.isfile(path) and os.access(path, os.R_OK)]


def properties_of(ids: np.ndarray, files: Sequence[Path]) -> dict[str, np.ndarray]:
    """Each property of the images `ids`, uint64 (N,), as far as it was measured: float32 (N,), NaN where it was not.

    Of pictures whose pixels tell their id before any other, whichever file they are in.
    """
    values: dict[str, np.ndarray] = {}
    for kept, exact in [(each, exact) for exact in (True, False) for each in _kept(files)]:
        rows = rows_of(kept["sample_ids"], ids)
        of_kind = (rows >= 0) & (kept[_EXACT][rows] == exact)
        for name in kept.keys() - {"sample_ids", _EXACT}:
            whole = values.setdefault(name, np.full(len(ids), np.nan, np.float32))
            new = of_kind & np.isnan(whole)
            whole[new] = kept[name][rows[new]]
    return {name: column for name, column in values.items() if np.isfinite(column).any()}


def measure_source(source: Path, on_progress: Progress = lambda *_: None) -> Path:
    """Measure the pictures of `source` and keep what was found; nothing is done where it is kept already.

    Raises CifarcoreError, naming the file, where a picture cannot be read.
    """
    path = kept_at(source)
    if _read(path) is not None:
        return path
    if source.is_dir():
        arrays = _of_folder(source, on_progress)
    elif source.name.endswith(PACK):
        pack = Pack(source)
        pixels = ((sample_id, pack.pixels(sample_id)) for sample_id in pack.ids.tolist())
        arrays = _one_by_one(pixels, len(pack.ids), on_progress)
        arrays[_EXACT] = np.array([pack.is_exact(sample_id) for sample_id in pack.ids.tolist()], bool)
    else:
        read = cifar100.load_test_images(source.parent)
        if read is None:
            raise CifarcoreError(f"{source}: not there; run `cifarcore data`")
        arrays = {"sample_ids": sample_ids(read[0]), **measure(read[0], on_progress)}
    if not any(np.isfinite(arrays[name]).any() for name in PROPERTIES):
        raise CifarcoreError(f"{source}: none of its pictures could be measured")
    arrays.setdefault(_EXACT, np.ones(len(arrays["sample_ids"]), bool))
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)
    return path


def _of_folder(root: Path, on_progress: Progress) -> dict[str, np.ndarray]:
    listed = list_folder(root)
    sizes = []

    def pictures():
        for name in listed.files:
            picture = read_picture(root / name)
            shown = picture.shown
            sizes.append((shown.width * shown.height / 1e6, shown.width / shown.height))
            shown.thumbnail((SIDE, SIDE))
            yield picture.sample_id, np.asarray(shown)

    arrays = _one_by_one(pictures(), len(listed.files), on_progress)
    return arrays | dict(zip(SIZES, np.array(sizes, np.float32).T, strict=True))


def _one_by_one(pictures, total: int, on_progress: Progress) -> dict[str, np.ndarray]:
    """Pictures of any sizes, (sample id, uint8 (H, W, 3) or None)."""
    ids, columns = [], {name: [] for name in PROPERTIES}
    for number, (sample_id, pixels) in enumerate(pictures, 1):
        values = None if pixels is None else measure(pixels[None])
        ids.append(sample_id)
        for name, column in columns.items():
            column.append(np.nan if values is None else values[name][0])
        on_progress(number, total)
    kept = {name: np.array(column, np.float32) for name, column in columns.items()}
    return {"sample_ids": np.array(ids, np.uint64), **kept}


def _kept(files: Sequence[Path]) -> list[dict[str, np.ndarray]]:
    """What was measured of the sources that are still there."""
    kept = []
    for source in files:
        with suppress(OSError):  # deleted meanwhile
            kept.append(_read(source if source.parent == cache_folder() else kept_at(source)))
    return [each for each in kept if each is not None]


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """What is kept in `path`; None where it is not there, or is no file of this kind, and is to be made anew."""
    try:
        if os.path.getsize(path) > _MOST_BYTES:
            return None
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception:  # zipfile, zlib and NumPy's header reader raise many kinds on damaged bytes: it is made again
        return None
    ids = arrays.get("sample_ids")
    fits = ids is not None and ids.dtype == np.uint64 and ids.ndim == 1
    fits = fits and _EXACT in arrays and arrays[_EXACT].dtype == bool
    if not fits or any(
        a.shape != ids.shape or name not in ("sample_ids", *_NAMES, *SIZES) for name, a in arrays.items()
    ):
        return None
    return arrays
