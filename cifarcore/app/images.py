"""The pictures: test and training images by sample id, served as static files so that charts and cards can name a URL.

Knows nothing of runs: a picture is asked for by its id, never by its place in a file.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from cifarcore import CifarcoreError, data, synthetic
from cifarcore.image_folder import Pack

#: below the folder of streamlit_app.py; Streamlit serves `static/` at `app/static/`
FOLDER = Path("static") / "pictures"
URL = "app/static/pictures"
HOW_TO_GET = (
    "The pictures are not on this machine. `cifarcore data` downloads them; "
    "or set `CIFARCORE_DATA` to the folder that holds `cifar100.npz` and start the app again."
)
NOT_KEPT = (
    "No picture of these test images is here; `cifarcore import` with `--images FOLDER` keeps them beside the run."
)


class Pictures:
    """Images by sample id, written as PNG files `<id as 16 hex digits>.png` when first asked for.

    `problem` is empty, or says in one line (Markdown) why there are no pictures and what gets them.
    """

    def __init__(self, folder: Path, images: np.ndarray | Pack | None, problem: str = ""):
        """`images` is uint8 (N, H, W, 3) or a pack, or None with the `problem`; `folder` is where the files go."""
        self.folder = folder
        self.problem = problem
        self._images = np.empty((0, 32, 32, 3), np.uint8) if images is None else images
        if isinstance(images, Pack):
            ids = images.ids
        else:
            ids = data.sample_ids(self._images) if len(self._images) else np.empty(0, np.uint64)
        self._order = np.argsort(ids)
        self._ids = ids[self._order]
        self._written: set[int] = set()

    @property
    def available(self) -> bool:
        return not self.problem

    def knows(self, sample_ids: np.ndarray) -> np.ndarray:
        """Which of `sample_ids`, uint64 (n,), have a picture here; bool (n,)."""
        return self._rows(np.asarray(sample_ids, np.uint64)) >= 0

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """The image, uint8 (H, W, 3), or None where it is not here."""
        if isinstance(self._images, Pack):
            return self._images.pixels(int(sample_id))
        row = self._rows(np.array([sample_id], np.uint64))[0]
        return self._images[row] if row >= 0 else None

    def urls(self, sample_ids: np.ndarray, now: bool = True) -> list[str | None]:
        """A URL for each of `sample_ids`, uint64 (n,); None where there is no picture.

        Writes the files that are not there yet, unless not asked to do it `now` (tooltips of a whole map: `write_all`
        brings them within seconds).
        """
        sample_ids = np.asarray(sample_ids, np.uint64)
        urls: list[str | None] = []
        for sample_id, row in zip(sample_ids.tolist(), self._rows(sample_ids).tolist(), strict=True):
            if now and row >= 0 and sample_id not in self._written:
                self._write(sample_id)
            urls.append(f"{URL}/{sample_id:016x}.png" if row >= 0 else None)
        return urls

    def write_all(self) -> None:
        """Write every file that is not there yet; some seconds for 10,000, so meant for a thread of its own."""
        for sample_id in self._ids.tolist():
            if sample_id not in self._written and not self._write(sample_id):
                return

    def _rows(self, sample_ids: np.ndarray) -> np.ndarray:
        """Row of each id in the images, -1 where there is none."""
        if not len(self._ids):
            return np.full(len(sample_ids), -1)
        at = np.searchsorted(self._ids, sample_ids).clip(max=len(self._ids) - 1)
        return np.where(self._ids[at] == sample_ids, self._order[at], -1)

    def _write(self, sample_id: int) -> bool:
        """Write one file under another name, then rename it: a reader never sees half a picture. False on a full disk."""
        path = self.folder / f"{sample_id:016x}.png"
        try:
            if not path.exists() and (pixels := self.pixels(sample_id)) is not None:
                part = path.with_suffix(f".{threading.get_ident()}.tmp")
                Image.fromarray(pixels).save(part, format="PNG", compress_level=1)
                part.replace(path)
        except OSError as error:
            self.problem = f"The pictures cannot be written to `{FOLDER.as_posix()}/` ({error.strerror}); free some space or make it writable."
            return False
        self._written.add(sample_id)
        return True


class Album:
    """The pictures of a view, wherever they are: the data folder's, packs beside runs, the drawn ones."""

    def __init__(self, parts: Sequence[Pictures], sample_ids: np.ndarray):
        """`parts` are asked in turn; the first is the data folder's, whose absence is said where no other helps."""
        self._parts = parts
        self._useful = [part for part in parts if part.knows(sample_ids).any()]

    @property
    def problem(self) -> str:
        """Empty, or in one line (Markdown) why there are no pictures and what gets them."""
        if self._useful:
            return next((part.problem for part in self._useful if part.problem), "")
        return self._parts[0].problem or NOT_KEPT

    @property
    def available(self) -> bool:
        return not self.problem

    def knows(self, sample_ids: np.ndarray) -> np.ndarray:
        """As Pictures.knows."""
        return np.any([part.knows(sample_ids) for part in self._parts], axis=0)

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """As Pictures.pixels."""
        found = (part.pixels(sample_id) for part in self._useful)
        return next((pixels for pixels in found if pixels is not None), None)

    def urls(self, sample_ids: np.ndarray, now: bool = True) -> list[str | None]:
        """As Pictures.urls."""
        every = [part.urls(sample_ids, now) for part in self._useful]
        return [next(filter(None, urls), None) for urls in zip(*every, strict=True)] or [None] * len(sample_ids)


def test_pictures(root: Path, sample_ids: np.ndarray, packs: Sequence[Path] = (), drawn: bool = False) -> Album:
    """Pictures of the test images `sample_ids`, shared by all sessions; `root` is the folder of streamlit_app.py.

    `packs` are files beside imported runs; `drawn` asks for those of the synthetic data set too.
    """
    parts = [_pictures(root, *_state_of_data(), "test")]
    parts += [_packed(root, path, path.stat().st_mtime_ns) for path in packs if path.is_file()]
    if drawn:
        parts.append(_drawn(root))
    return Album(parts, sample_ids)


def train_pictures(root: Path) -> Pictures:
    """The training images, read (about two seconds) when the first image card asks for them."""
    return _pictures(root, *_state_of_data(), "train")


def _state_of_data() -> tuple[Path, int]:
    """The file of images and when it was written (0: not there), so that a finished download is noticed."""
    path = data.data_dir() / data.ARRAYS_FILE
    return path, path.stat().st_mtime_ns if path.exists() else 0


@st.cache_resource(show_spinner="Reading the pictures…", max_entries=4)
def _pictures(root: Path, arrays: Path, mtime_ns: int, split: str) -> Pictures:
    folder = root / FOLDER
    images, problem = None, HOW_TO_GET
    try:
        if mtime_ns and split == "train":
            images, problem = data.load_train_images(arrays.parent), ""
        elif mtime_ns:
            images, problem = data.load_test_images(arrays.parent)[0], ""
        folder.mkdir(parents=True, exist_ok=True)
    except CifarcoreError as error:
        problem = str(error)
    except OSError as error:
        images, problem = (
            None,
            f"The pictures cannot be written to `{FOLDER.as_posix()}/` ({error.strerror}); make it writable.",
        )
    pictures = Pictures(folder, images, problem)
    return _written_beside(pictures) if split == "test" else pictures


@st.cache_resource(show_spinner="Reading the pictures…", max_entries=8)
def _packed(root: Path, path: Path, mtime_ns: int) -> Pictures:
    try:
        return _written_beside(Pictures(root / FOLDER, Pack(path)))
    except CifarcoreError as error:
        return Pictures(root / FOLDER, None, str(error))


@st.cache_resource(show_spinner="Drawing the pictures…", max_entries=1)
def _drawn(root: Path) -> Pictures:
    return _written_beside(Pictures(root / FOLDER, synthetic.make_synthetic(n_train=1).x_test))


def _written_beside(pictures: Pictures) -> Pictures:
    """The same pictures, all being written by a thread of its own."""
    if pictures.available:
        threading.Thread(target=pictures.write_all, name="pictures", daemon=True).start()
    return pictures
