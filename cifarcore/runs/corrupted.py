"""What a network predicts on corrupted test images, beside its run file: `<run>.corruptions`.

An .npz, kept apart from the run file and not called .npz, so that nothing scored on corrupted images counts as a run.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cifarcore.data.corruptions import CORRUPTIONS, SEVERITIES
from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, refuse_links
from cifarcore.runs.alignment import places_of_file
from cifarcore.runs.archive import read_npz
from cifarcore.runs.layout import MAX_CLASSES
from cifarcore.runs.run import Run

SUFFIX = ".corruptions"
#: of the clean images' predictions that must be the run's own; another processor may round a near tie otherwise
LEAST_ALIKE = 0.995
MOST_BYTES = 1 << 28  #: of the file, and of what it holds
MOST_IMAGES = 100_000  #: CIFAR-100 has 10,000; a bootstrap takes a time and room that grow with them


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Predicted classes of n test images: `clean` (n,) as they are, and under each condition, int16."""

    sample_ids: np.ndarray  #: uint64 (n,), of the images before they were corrupted
    clean: np.ndarray
    conditions: tuple[tuple[str, int], ...]  #: corruption and severity of each row of `predictions`
    predictions: np.ndarray  #: int16 (K, n)

    def merged(self, other: "Corrupted") -> "Corrupted":
        """With the conditions of `other`, which is of the same images and takes the place of what both have."""
        new = dict(zip(self.conditions, self.predictions, strict=True))
        new |= dict(zip(other.conditions, other.predictions, strict=True))
        ordered = sorted(new, key=lambda condition: (list(CORRUPTIONS).index(condition[0]), condition[1]))
        return replace(self, conditions=tuple(ordered), predictions=np.stack([new[each] for each in ordered]))


def corrupted_path(run: Path) -> Path:
    """Where the predictions of the run file or checkpoint `run` on corrupted images are kept."""
    return run.with_suffix(SUFFIX)


def subset(ids: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most `most` images, in their own order: random, and the same for the same ids (N,) in any order."""
    order = np.argsort(ids, kind="stable")
    return np.sort(order[np.random.default_rng(1).permutation(len(order))[:most]])


def kept_at(path: Path, sample_ids: np.ndarray, clean: np.ndarray) -> Corrupted | None:
    """What `path` holds of these images, uint64 (n,), and the network that predicts `clean`; None where there is none.

    Raises CifarcoreError where it holds other images or another network's predictions.
    """
    refuse_links(path)
    if not path.exists():
        return None
    kept = load_corrupted(path)
    if not np.array_equal(kept.sample_ids, sample_ids):
        raise CifarcoreError(
            f"{path} is of {len(kept.sample_ids):,} images and this of {len(sample_ids):,}, not the same; name as many "
            "--images as before, or delete the file"
        )
    if np.mean(kept.clean == clean) < LEAST_ALIKE:
        raise CifarcoreError(f"{path} is of another network than this checkpoint; delete it and repeat the command")
    return kept


def save_corrupted(corrupted: Corrupted, path: Path) -> None:
    """Write `corrupted` beside what `path` holds already; see `kept_at`."""
    if kept := kept_at(path, corrupted.sample_ids, corrupted.clean):
        corrupted = kept.merged(corrupted)
    names = np.array([name for name, _ in corrupted.conditions])
    severities = np.array([severity for _, severity in corrupted.conditions], np.int8)
    with atomic_write(path) as file:
        np.savez_compressed(
            file, sample_ids=corrupted.sample_ids, clean=corrupted.clean.astype(np.int16), corruption=names,
            severity=severities, predictions=corrupted.predictions.astype(np.int16),
        )  # fmt: skip


def load_corrupted(path: Path) -> Corrupted:
    """Raises CifarcoreError, naming the file, for one that is not of this kind."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise CifarcoreError(f"{path.stat().st_size >> 20:,} MiB")
        arrays = read_npz(path, MOST_BYTES)
        ids, clean, predictions = arrays["sample_ids"], arrays["clean"], arrays["predictions"]
        conditions = tuple(zip(map(str, arrays["corruption"]), map(int, arrays["severity"]), strict=True))
        whole = (len(conditions), len(ids))
        if ids.dtype != np.uint64 or ids.ndim != 1 or clean.shape != ids.shape or predictions.shape != whole:
            raise CifarcoreError(f"predictions {predictions.shape} of {len(ids):,} images")
        if len(ids) > MOST_IMAGES:
            raise CifarcoreError(f"{len(ids):,} images; at most {MOST_IMAGES:,} are read")
        if clean.dtype.kind not in "iu" or predictions.dtype.kind not in "iu" or len(set(conditions)) < len(conditions):
            raise CifarcoreError("predictions that are no classes, or one condition twice")
        if any(each.size and not 0 <= each.min() <= each.max() < MAX_CLASSES for each in (clean, predictions)):
            raise CifarcoreError("predictions of no class")
        for name, severity in conditions:
            if name not in CORRUPTIONS or severity not in SEVERITIES:
                raise CifarcoreError(f"corruption {name[:40]!r} at severity {severity}")
    except (CifarcoreError, KeyError, ValueError, TypeError, OverflowError, OSError) as error:
        reason = str(error).removeprefix(f"{path}: ")[:200]
        raise CifarcoreError(
            f"{path}: damaged ({reason}); delete it and run `cifarcore evaluate CHECKPOINT --corruption all` again"
        ) from None
    return Corrupted(ids, clean.astype(np.int16), conditions, predictions.astype(np.int16))


def corrupted_of(run: Run) -> Corrupted | None:
    """What is kept beside the run's file, of those of its images that the run has, with its classes as the run counts
    them, which may not be the file's order; None where there is nothing.

    Raises CifarcoreError where it is damaged, or of another network than gave the run's predictions.
    """
    path = None if run.path is None else corrupted_path(run.path)
    if path is None or not path.is_file():
        return None
    corrupted = load_corrupted(path)
    rows = rows_of(run.sample_ids, corrupted.sample_ids)
    here = rows >= 0
    if not here.any():
        return None
    counted = _with_classes_of(run, corrupted)
    if counted is None or np.mean(run.predictions[rows[here]] == counted.clean[here]) < LEAST_ALIKE:
        raise CifarcoreError(
            f"{path} is of another network than {run.path.name}; delete it and run `cifarcore evaluate CHECKPOINT "
            "--corruption all` again"
        )
    corrupted = counted
    return replace(corrupted, sample_ids=corrupted.sample_ids[here], clean=corrupted.clean[here],
                   predictions=corrupted.predictions[:, here])  # fmt: skip


def _with_classes_of(run: Run, corrupted: Corrupted) -> Corrupted | None:
    """`corrupted`, whose classes count those of the run's file, counting those of the run; None where it has others."""
    places = places_of_file(run).astype(np.int16)
    if (places < 0).any() or max(corrupted.clean.max(), corrupted.predictions.max(initial=0)) >= len(places):
        return None
    return replace(corrupted, clean=places[corrupted.clean], predictions=places[corrupted.predictions])
