"""Which parts of an image each model's prediction depends on, for models whose weights are beside their run files.

Computed on demand in a process of its own, since the app imports no torch, and kept in the cache folder.
"""

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import softmax
from cifarcore.files import version
from cifarcore.places import cache_folder
from cifarcore.reports import charts
from cifarcore.reports.sides import Side
from cifarcore.retraining.folders import weights_path
from cifarcore.runs.alignment import places_of_file
from cifarcore.runs.memo import memo
from cifarcore.text import number

TIMEOUT_SECONDS = 300
SHOWN_WIDTH = 256
MOST_APART = 0.05  #: of a probability: float16 and another processor stay far below
_READING = (
    "Red: hiding this part makes the prediction less probable; blue: more probable. Occlusion (Zeiler and Fergus, "
    "ECCV 2014): a patch of a quarter of the picture's side, in its mean colour, is moved across it."
)


@dataclass(frozen=True, eq=False)
class Kept:
    """What `cifarcore explain` wrote of one picture."""

    predicted: int
    probability: float
    drop: np.ndarray  #: float32 (H, W)


def why(view: View, row: int) -> None:
    """The maps of both models for the view's image `row`, or one line on what is missing."""
    st.markdown("**Why**: the parts of the picture that each prediction depends on")
    pixels = view.pictures.pixels(int(view.sample_ids[row]))
    if pixels is None:
        st.caption("Needs the picture, which is not on this machine.")
        return
    sides = [side for side in (view.a, view.b) if _weights(side) is not None]
    for side in (view.a, view.b):
        if side not in sides:
            name = "" if side.first.path is None else f" ({escape(weights_path(side.first.path).name)})"
            lead = f"Only for {sides[0].letter}: the" if sides else "The"
            st.caption(f"{lead} weights of {escape(side.first_title, 100)}{name} are not beside its run file.")
    if not sides:
        return
    try:
        paths = {side.letter: kept_at(side, pixels) for side in sides}
    except (CifarcoreError, OSError) as error:  # deleted meanwhile
        st.caption(told(error, 300))
        return
    if any(_read(path, pixels.shape[:2]) is None for path in paths.values()):
        place = st.empty()
        if not place.button("Compute the maps", icon=":material/visibility:", key="card-why"):
            st.caption("Takes some seconds, once.")
            return
        place.empty()
        for side in sides:
            with st.spinner(f"Hiding parts of the picture from {escape(side.group)}…", show_time=True):
                if problem := _compute(side, pixels, paths[side.letter]):
                    st.error(told(problem, 400))
                    return
    maps = {letter: _read(path, pixels.shape[:2]) for letter, path in paths.items()}
    most = max((float(np.abs(each.drop).max()) for each in maps.values() if each), default=0.0)
    for column, side in zip(st.columns(2, gap="medium"), sides, strict=False):
        with column:
            _draw(view, side, row, pixels, maps[side.letter], most)
    st.caption(_READING)


def _draw(view: View, side: Side, row: int, pixels: np.ndarray, kept: Kept | None, most: float) -> None:
    predicted = None if kept is None else _class_of(side, kept)
    sure = float(memo(softmax.confidence, side.first)[row])
    # of a network that was trained further most predictions are the same
    own = kept is not None and predicted == side.first.predictions[row] and abs(kept.probability - sure) <= MOST_APART
    if kept is None or predicted is None or not own:
        st.caption(
            f"The weights beside {escape(side.first_title, 100)} are not those that gave its scores; "
            "`cifarcore evaluate` scores them."
        )
        return
    name = view.class_names[predicted]
    st.image(charts.card.overlay(pixels, kept.drop, most), width=SHOWN_WIDTH)
    st.caption(
        f"{escape(side.first_title, 100)}: {escape(name)} at {number(kept.probability, '.0%')}; hiding the most "
        f"important patch lowers it by {number(100 * float(kept.drop.max()), '.0f')} points"
    )


def _class_of(side: Side, kept: Kept) -> int | None:
    """The class that the network predicts, as the run counts them; None where it has none of it."""
    try:
        places = places_of_file(side.first)
    except CifarcoreError:  # deleted meanwhile
        return None
    return int(places[kept.predicted]) if 0 <= kept.predicted < len(places) else None


def kept_at(side: Side, pixels: np.ndarray) -> Path:
    """Where the map of one picture is kept: a file of its own for each version of the weights."""
    weights = _weights(side)
    if weights is None:
        raise CifarcoreError("no weights are beside the run file")
    named = repr((version(weights), pixels.shape)).encode() + pixels.tobytes()
    name = hashlib.blake2b(named, digest_size=16).hexdigest()
    return cache_folder() / "why" / f"{name}.npz"


def _weights(side: Side) -> Path | None:
    path = side.first.path
    return weights_path(path) if path is not None and weights_path(path).is_file() else None


def _compute(side: Side, pixels: np.ndarray, out: Path) -> str:
    """Compute and keep the map; returns what went wrong, in one line."""
    weights = _weights(side)
    try:
        with tempfile.TemporaryDirectory(prefix="cifarcore-why-") as folder:
            picture = Path(folder) / "picture.png"
            Image.fromarray(pixels).save(picture)
            command = [sys.executable, "-m", "cifarcore", "explain", str(weights), str(picture), "--out", str(out)]
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
            )
    except subprocess.TimeoutExpired:
        return f"stopped after {TIMEOUT_SECONDS} seconds"
    except OSError as error:  # a full disk
        return f"{error.strerror or error}; make room for temporary files"
    return (done.stderr.strip().splitlines() or ["stopped"])[-1] if done.returncode else ""


def _read(path: Path, shape: tuple[int, ...]) -> Kept | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            drop = arrays["drop"].astype(np.float32)
            kept = Kept(int(arrays["predicted"]), float(arrays["probability"]), drop)
    except Exception:  # zipfile, zlib and NumPy's header reader raise many kinds on damaged bytes: it is made again
        return None
    return kept if drop.shape == shape and np.isfinite(drop).all() else None
