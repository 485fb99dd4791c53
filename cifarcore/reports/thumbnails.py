"""Pictures of the images that a report names, embedded: from CIFAR-100 in the data folder, and packs beside the runs.

Where a picture is not on this machine there is none, and the report says the same without it.
"""

import io
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from PIL import Image

from cifarcore.data import cifar100
from cifarcore.data.ids import rows_of
from cifarcore.data.packs import Pack
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import Run
from cifarcore.runs.test_sets import pack_path

SIDE = 64  #: pixels at most, of larger pictures


def thumbnails(sample_ids: np.ndarray, runs: Sequence[Run]) -> dict[int, bytes]:
    """The PNG of each of `sample_ids`, uint64 (n,), that is here, by its id."""
    pictures = _of_cifar100(sample_ids) if len(sample_ids) else {}
    packs = []
    for path in dict.fromkeys(pack_path(run.path) for run in runs if run.path):
        with suppress(CifarcoreError, OSError):
            packs += [Pack(path)] if path.is_file() and len(pictures) < len(set(sample_ids.tolist())) else []
    for i in (i for i in sample_ids.tolist() if i not in pictures):
        # one that its pixels tell to be of the id before any other
        offered = (pack.pixels(i) for pack in sorted(packs, key=lambda pack, i=i: not pack.is_exact(i)))
        if (pixels := next((each for each in offered if each is not None), None)) is not None:
            pictures[i] = _png(pixels)
    return pictures


def _of_cifar100(sample_ids: np.ndarray) -> dict[int, bytes]:
    try:
        loaded = cifar100.load_test_images()
    except (CifarcoreError, OSError):  # a folder of others may not be readable
        return {}
    if loaded is None:
        return {}
    rows = rows_of(cifar100.sample_ids(loaded[0]), sample_ids)
    pairs = zip(sample_ids.tolist(), rows.tolist(), strict=True)
    return {sample_id: _png(loaded[0][row]) for sample_id, row in pairs if row >= 0}


def _png(pixels: np.ndarray) -> bytes:
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
