"""What an evaluation finds where its files go: refused where it is another's, and kept in the new run file where it
still fits.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.archive import names_in
from cifarcore.runs.layout import GROUPS
from cifarcore.runs.run import Run, load_run
from cifarcore.training.checkpoints import Checkpoint

_NEIGHBORS, _METADATA = GROUPS[2], GROUPS[4]
_OF_THE_SCORES = ("tsne", "umap", "clusters", *_NEIGHBORS)  #: what `cifarcore project` adds


def refuse_other_files(checkpoint: Checkpoint, run_file: Path, features_file: Path, overwrite: bool) -> Run | None:
    """The run of this training that is there already; None where none is.

    Raises CifarcoreError where `run_file` is anything else and `overwrite` is not given, and where `features_file` is
    no file of features.
    """
    if features_file.exists() and not {"test", "test_ids", "train"} <= names_in(features_file):
        raise CifarcoreError(
            f"{features_file}: holds no features of images, which are kept under this name; move it away"
        )
    if not run_file.exists():
        return None
    try:
        run = load_run(run_file)
    except CifarcoreError:
        run = None
    if not overwrite and (run is None or not _is_of(run.meta, checkpoint.meta)):
        what = "is no run file" if run is None else "is the run of another training"
        raise CifarcoreError(f"{run_file}: {what}; move it away, or replace it with --overwrite")
    return run


def with_kept(run: Run, before: Run | None) -> tuple[Run, tuple[str, ...]]:
    """`run` with the maps, neighbours and metadata of the run file that it replaces, as far as they are of the same
    images and scores, and a sentence on what was left out.
    """
    if before is None:
        return run, ()
    maps = [name for name in _OF_THE_SCORES if getattr(before, name) is not None]
    known = [name for name in _METADATA if getattr(before, name) is not None]
    rows = _same_images(before, run)
    kept: dict[str, Any] = {}
    if rows is not None and known:
        kept = {"metadata_names": before.metadata_names, "metadata_values": before.metadata_values[rows]}
    if maps and rows is not None and _same_scores(run.logits, before.logits[rows]):
        kept |= {name: getattr(before, name)[rows] for name in maps}
        kept["meta"] = run.meta | {key: before.meta[key] for key in ("map_source", "maps") if key in before.meta}
    left_out = [("maps", "scores; `cifarcore project` draws them again")] * bool(maps and "meta" not in kept)
    left_out += [("metadata", "images; `cifarcore import --metadata` adds them again")] * bool(known and rows is None)
    notes = tuple(
        f"the {what} of the former run file are left out, as they are of other {why}" for what, why in left_out
    )
    return replace(run, **kept), notes


def _same_images(before: Run, run: Run) -> np.ndarray | None:
    """The row in `before` of each image of `run`, by id and label; None where they are not of the same images."""
    at, there = (np.lexsort((each.labels, each.sample_ids)) for each in (run, before))
    if not all(
        np.array_equal(getattr(run, name)[at], getattr(before, name)[there]) for name in ("sample_ids", "labels")
    ):
        return None
    rows = np.empty_like(there)
    rows[at] = there
    return rows


def _is_of(meta: dict[str, Any], training: dict[str, Any]) -> bool:
    """Whether a run's meta is that of this training, as JSON keeps it."""
    return all(meta.get(key) == value for key, value in json.loads(json.dumps(training)).items())


def _same_scores(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two tables of float16 logits are one network's: another processor may round the last bits otherwise."""
    if one.shape != other.shape:
        return False
    step = np.spacing(np.float16(np.abs(other).max())).astype(np.float32)
    return bool(np.abs(one.astype(np.float32) - other).max() <= 2 * step)
