"""The pictures: test and training images by sample id, each with a URL that charts and cards can name.

Knows nothing of runs: a picture is asked for by its id, never by its place in a file. Nothing is written: the server
asks here for each picture, by an address that only this process's pages know.
"""

import base64
import hashlib
import io
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import streamlit as st
from cachetools import LRUCache, cached
from PIL import Image

from cifarcore.app.addresses import PICTURES
from cifarcore.app.safe_text import told
from cifarcore.data import cifar100 as data
from cifarcore.data import synthetic
from cifarcore.data.ids import Rows, rows_of
from cifarcore.data.known_images import known_images
from cifarcore.data.packs import Pack
from cifarcore.errors import CifarcoreError
from cifarcore.files import Version, version

HOW_TO_GET = (
    "The pictures are not on this machine. `cifarcore data` downloads them; "
    "or set `CIFARCORE_DATA` to the folder that holds `cifar100.npz` and start the app again."
)
NOT_KEPT = (
    "No pictures of these test images are here; `cifarcore import` with `--images FOLDER` keeps them beside the run."
)
MOST_ALBUMS = 256

_SECRET = secrets.token_bytes(32)
_albums: LRUCache = LRUCache(MOST_ALBUMS)  #: those of the views that were drawn last, by the name in their address
_lock = threading.Lock()

NUMBERED = (
    "These runs identify their test images by row number alone; "
    "`cifarcore import` with `--images FOLDER` keeps the pictures."
)


class Pictures:
    """Images of one source by sample id.

    `problem` is empty, or says in one line (Markdown) why there are no pictures and what gets them.
    """

    def __init__(self, images: np.ndarray | Pack | None, source: str = "", problem: str = ""):
        """`images` is uint8 (N, H, W, 3) or a pack, or None with the `problem`; `source` is where they are from."""
        self.source = source
        self.problem = problem
        self._images = np.empty((0, 32, 32, 3), np.uint8) if images is None else images
        if isinstance(images, Pack):
            ids = images.ids
        else:
            ids = data.sample_ids(self._images) if len(self._images) else np.empty(0, np.uint64)
        self._rows = Rows(ids)

    def knows(self, sample_ids: np.ndarray) -> np.ndarray:
        """Which of `sample_ids`, uint64 (n,), have a picture here; bool (n,)."""
        return self._rows.of(np.asarray(sample_ids, np.uint64)) >= 0

    def is_exact(self, sample_id: int) -> bool:
        """As Pack.is_exact; those of a data set are."""
        return not isinstance(self._images, Pack) or self._images.is_exact(int(sample_id))

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """The image, uint8 (H, W, 3), or None where it is not here."""
        if isinstance(self._images, Pack):
            return self._images.pixels(int(sample_id))
        row = self._rows.of(np.array([sample_id], np.uint64))[0]
        return self._images[row] if row >= 0 else None


class Album:
    """The pictures of a view, wherever they are: the data folder's, the drawn ones, packs beside runs.

    The first source that has a picture shows it, one that its pixels tell to be of its id before any other, so that no
    pack hides a picture of a data set or of another run.
    """

    def __init__(self, parts: Sequence[Pictures], sample_ids: np.ndarray | None = None, remedy: str = ""):
        """`parts` are asked in turn; the first is the data folder's, whose absence is said where no other helps.

        `sample_ids` are those of the view; None: any. `remedy` is said in place of HOW_TO_GET.
        """
        self._parts, self._remedy = parts, remedy
        self._useful = [part for part in parts if sample_ids is None or part.knows(sample_ids).any()]
        key = "\0".join(part.source for part in self._useful)
        digest = hashlib.blake2b(key.encode(), key=_SECRET, digest_size=12).digest()
        self.name = base64.urlsafe_b64encode(digest).decode()
        with _lock:
            _albums[self.name] = self

    @property
    def url(self) -> str:
        """What stands before a picture's `<sample id as 16 hex digits>.png`."""
        return f"{PICTURES}/{self.name}/"

    @property
    def problem(self) -> str:
        """Empty, or in one line (Markdown) why there are no pictures and what gets them."""
        if self._useful:
            return next((part.problem for part in self._useful if part.problem), "")
        problem = self._parts[0].problem or NOT_KEPT
        return self._remedy or problem if problem in (HOW_TO_GET, NOT_KEPT) else problem

    @property
    def available(self) -> bool:
        return not self.problem

    def knows(self, sample_ids: np.ndarray) -> np.ndarray:
        """As Pictures.knows."""
        return np.any([part.knows(sample_ids) for part in self._parts], axis=0)

    def pixels(self, sample_id: int) -> np.ndarray | None:
        """As Pictures.pixels."""
        ranked = sorted(self._useful, key=lambda part: not part.is_exact(sample_id))
        candidates = (part.pixels(sample_id) for part in ranked)
        return next((pixels for pixels in candidates if pixels is not None), None)

    def urls(self, sample_ids: np.ndarray) -> list[str | None]:
        """A URL for each of `sample_ids`, uint64 (n,); None where there is no picture."""
        sample_ids = np.asarray(sample_ids, np.uint64)
        known = zip(sample_ids.tolist(), self.knows(sample_ids).tolist(), strict=True)
        return [f"{self.url}{sample_id:016x}.png" if here else None for sample_id, here in known]


def png(album: str, sample_id: int) -> bytes | None:
    """The file at a picture's URL; None where there is no such album, or no such picture in it any more."""
    with _lock:
        candidates = _albums.get(album)
    pixels = None if candidates is None else candidates.pixels(sample_id)
    if pixels is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def test_pictures(
    sample_ids: np.ndarray, packs: Sequence[Path] = (), drawn: bool = False, numbered: bool = False
) -> Album:
    """Pictures of the test images `sample_ids`, shared by all sessions.

    `packs` are files beside imported runs; `drawn` asks for those of the synthetic data set too. Where the ids only
    number rows (`numbered`), no picture can be found.
    """
    if numbered:
        return Album([Pictures(None, problem=NUMBERED)], sample_ids)
    parts = [_pictures(_state_of_data(), "test")]
    if drawn:
        parts.append(_drawn())
    for path in packs:
        with suppress(OSError):  # deleted meanwhile
            parts.append(_packed(version(path)))
    official = (rows_of(known_images().sample_ids, sample_ids) >= 0).any()
    return Album(parts, sample_ids, HOW_TO_GET if official else NOT_KEPT)


def read_ahead() -> None:
    """Read the test images beside other work, since the first page asks whether it has their pictures."""
    _pictures(_state_of_data(), "test")


def train_pictures() -> Album:
    """The training images, read (about two seconds) when the first image card asks for them."""
    with st.spinner("Reading the pictures…"):
        return Album([_pictures(_state_of_data(), "train")])


def _state_of_data() -> Version | None:
    """The file of images as it is, so that a finished download is noticed; None where it is not there."""
    path = data.data_dir() / data.ARRAYS_FILE
    return version(path) if path.exists() else None


# by the file's time, since it has no digest that `memo` could know it by; read_ahead has no page to say so on
@cached(LRUCache(4), condition=threading.Condition())
def _pictures(arrays: Version | None, split: str) -> Pictures:
    images, problem = None, HOW_TO_GET
    try:
        if arrays and split == "train":
            images, problem = data.load_train_images(arrays.path.parent), ""
        elif arrays:
            images, problem = data.load_test_images(arrays.path.parent)[0], ""
    except CifarcoreError as error:
        problem = told(error, 400)
    return Pictures(images, f"{arrays} {split}", problem)


# by the file's time too; the reader sees what is awaited
@st.cache_resource(show_spinner="Reading the pictures…", max_entries=8)
def _packed(file: Version) -> Pictures:
    try:
        return Pictures(Pack(file.path), str(file))
    except CifarcoreError as error:
        return Pictures(None, problem=told(error, 400))


@st.cache_resource(show_spinner="Drawing the pictures…", max_entries=1)  # as _packed
def _drawn() -> Pictures:
    return Pictures(synthetic.make_synthetic(n_train=1).x_test, "drawn")
