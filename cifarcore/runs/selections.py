"""Selections of test images that the user named and kept: one CSV of sample ids each, in a folder beside the runs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, plain_name, refuse_links, sole_writer

FOLDER = "selections"
MAX_BYTES = 1 << 26
_COLUMNS = ["sample_id", "label"]


@dataclass(frozen=True, eq=False)
class Selection:
    """Images by content and label, as a run has them."""

    name: str
    sample_ids: np.ndarray  #: uint64 (n,)
    labels: np.ndarray  #: int (n,)

    def among(self, sample_ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Which of the images (N,) are in it, bool (N,)."""
        own = pd.MultiIndex.from_arrays([self.sample_ids, self.labels])
        return np.asarray(pd.MultiIndex.from_arrays([sample_ids, labels.astype(np.int64)]).isin(own))


def save_selection(runs_folder: Path, title: str, sample_ids: np.ndarray, labels: np.ndarray) -> str:
    """Keep the images `sample_ids`, uint64 (n,), under `labels` (n,); returns the name that `title` becomes.

    Raises CifarcoreError for no images, no name, one that is taken, and a folder that cannot be written.
    """
    if not title.strip():
        raise CifarcoreError("the slice has no name; give it one")
    if not len(sample_ids):
        raise CifarcoreError("no image is selected; select some")
    name = plain_name(title.strip())
    path = runs_folder / FOLDER / f"{name}.csv"
    refuse_links(path.parent, path)
    table = pd.DataFrame({"sample_id": [f"{i:016x}" for i in sample_ids.tolist()], "label": labels.astype(int)})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sole_writer(path):
            if path.exists():
                raise CifarcoreError(f"a slice {name} is kept already; choose another name, or delete it first")
            with atomic_write(path) as file:
                file.write(table.to_csv(index=False).encode())
    except OSError as error:
        raise CifarcoreError(f"{path}: could not be written ({error.strerror or error})") from None
    return name


def delete_selection(runs_folder: Path, name: str) -> None:
    """Forget a selection. Raises CifarcoreError where it cannot be removed."""
    path = runs_folder / FOLDER / f"{name}.csv"
    refuse_links(path.parent, path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CifarcoreError(f"{path}: could not be removed ({error.strerror or error})") from None


def selections(runs_folder: Path) -> tuple[list[Selection], list[str]]:
    """Those kept beside the runs, by name, and a line on each file that is none."""
    folder = runs_folder / FOLDER
    kept, refused = [], []
    try:
        refuse_links(folder)
        paths = sorted(folder.glob("*.csv"))
    except (OSError, CifarcoreError) as error:
        return [], [str(error)]
    for path in paths:
        try:
            kept.append(_read(path))
        except CifarcoreError as error:
            refused.append(str(error))
    return kept, refused


def _read(path: Path) -> Selection:
    refuse_links(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CifarcoreError(f"{path.name}: is larger than {MAX_BYTES >> 20} MiB, which no selection is")
        table = pd.read_csv(path, dtype=str, usecols=_COLUMNS, keep_default_na=False)
        ids = np.array([int(text, 16) for text in table["sample_id"]], dtype=np.uint64)
        return Selection(path.stem, ids, table["label"].astype(np.int64).to_numpy())
    except (OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CifarcoreError(f"{path.name}: is no list of sample_id and label ({reason}); remove it") from None
