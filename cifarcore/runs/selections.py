"""Selections of test images that the user named and kept: one CSV of sample ids each, in a folder beside the runs."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError, readable
from cifarcore.files import Version, atomic_write, plain_name, refuse_changed, refuse_links, sole_writer
from cifarcore.runs.layout import MAX_METADATA
from cifarcore.runs.predictions import as_sample_ids
from cifarcore.runs.readers.tables import refuse_unbounded
from cifarcore.text import no_formula, one_line

FOLDER = "selections"
MAX_BYTES = 1 << 26
MOST = 500  #: each is compared with all images, and drawn
_COLUMNS = ["sample_id", "label"]
_NAME = "slice"  #: the column that names each row's, where one file holds several


@dataclass(frozen=True, eq=False)
class Selection:
    """Images by content and label, as a run has them."""

    name: str
    sample_ids: np.ndarray  #: uint64 (n,)
    labels: np.ndarray  #: int (n,)

    def among(self, sample_ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Which of the images (N,) are in it, bool (N,): by content, since runs may count the classes in another order;
        one that has two labels under that of the selection.
        """
        keys = pd.MultiIndex.from_arrays([self.sample_ids, self.labels])
        alike = np.asarray(pd.MultiIndex.from_arrays([sample_ids, labels.astype(np.int64)]).isin(keys))
        return alike | np.isin(sample_ids, self.sample_ids) & ~np.isin(sample_ids, sample_ids[alike])


def exported(kept: Sequence[Selection]) -> bytes:
    """One CSV of all these: a row for each image, with columns slice, sample_id and label."""
    names = [no_formula(readable(each.name)) for each in kept]  # of files, which may be called anything
    rows = [_table(each).assign(**{_NAME: name})[[_NAME, *_COLUMNS]] for name, each in zip(names, kept, strict=True)]
    return pd.concat(rows).to_csv(index=False).encode() if rows else b""


def import_selections(runs_folder: Path, file_name: str, content: bytes) -> list[str]:
    """Keep what `exported` wrote, or a CSV with sample_id and label alone, called by its file; returns the names.

    Raises CifarcoreError for what is no such table, and as `save_selection`, where nothing of it is kept.
    """
    file = one_line(file_name, 100)
    if len(content) > MAX_BYTES:
        raise CifarcoreError(f"{file}: is larger than {MAX_BYTES >> 20} MiB, which no selection is")
    try:
        table = _read_csv(content)
        ours = table.columns.tolist() == [_NAME, *_COLUMNS]  # else as in any other file of theirs
        table["sample_id"] = as_sample_ids(table["sample_id"].to_numpy(), ours)
        names = table[_NAME] if _NAME in table else pd.Series(Path(file_name).stem, index=table.index)
        if (several := names.nunique()) > MOST:
            raise CifarcoreError(f"{several:,} slices; at most {MOST} are kept")
        imported = [_selection(str(name), rows) for name, rows in table[_COLUMNS].groupby(names, sort=True)]
    except (CifarcoreError, KeyError, ValueError, OverflowError) as error:
        raise CifarcoreError(f"{file}: is no CSV with sample_id and label ({_reason(error)})") from None
    if not imported:
        raise CifarcoreError(f"{file}: holds no image")
    if not all(each.name.strip() for each in imported):
        raise CifarcoreError(f"{file}: holds a slice without a name; give it one")
    names = [plain_name(each.name.strip()) for each in imported]
    _refuse_more(runs_folder, len(names))
    counts = Counter(name.casefold() for name in names)
    alike = [name for name in names if counts[name.casefold()] > 1]
    if alike:
        raise CifarcoreError(f"{file}: holds two slices that would both be called {alike[0]}; rename one of them")
    taken = [name for name in names if selection_path(runs_folder, name).exists()]
    if taken:
        raise CifarcoreError(f"a slice {taken[0]} is kept already; rename it in the file, or delete it first")
    kept: list[str] = []
    try:
        for each in imported:
            name = save_selection(runs_folder, each.name, each.sample_ids, each.labels)
            kept.append(name)
    except CifarcoreError:
        for name in kept:  # all or none, so that the same file can be imported again
            delete_selection(runs_folder, name)
        raise
    return kept


def save_selection(runs_folder: Path, title: str, sample_ids: np.ndarray, labels: np.ndarray) -> str:
    """Keep the images `sample_ids`, uint64 (n,), under `labels` (n,); returns the name that `title` becomes.

    Raises CifarcoreError for no images, no name, one that is taken, and a folder that cannot be written.
    """
    if not title.strip():
        raise CifarcoreError("the slice has no name; give it one")
    if not len(sample_ids):
        raise CifarcoreError("no image is selected; select some")
    _refuse_more(runs_folder, 1)
    name = plain_name(title.strip())
    path = selection_path(runs_folder, name)
    refuse_links(path.parent, path)
    table = _table(Selection(name, sample_ids, labels))
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


def selection_path(runs_folder: Path, name: str) -> Path:
    """Where the selection of that name is kept."""
    return runs_folder / FOLDER / f"{name}.csv"


def delete_selection(runs_folder: Path, name: str, seen: Version | None = None) -> None:
    """Forget a selection. Raises CifarcoreError where it cannot be removed, or is another one than was `seen`."""
    path = selection_path(runs_folder, name)
    refuse_links(path.parent, path)
    refuse_changed(path, seen)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise CifarcoreError(f"{path}: could not be removed ({error.strerror or error})") from None


def selections(runs_folder: Path) -> tuple[list[Selection], list[str]]:
    """Those kept beside the runs, the first MOST by name, and a line on each file that is none, and on what is left
    out.
    """
    folder = runs_folder / FOLDER
    kept, refused = [], []
    try:
        refuse_links(folder)
        paths = sorted(folder.glob("*.csv"))
    except (OSError, CifarcoreError) as error:
        return [], [str(error)]
    if len(paths) > MOST:
        refused.append(f"{folder.name}: of {len(paths):,} slices the first {MOST} by name are read; remove some files")
    for path in paths[:MOST]:
        try:
            kept.append(_read(path))
        except CifarcoreError as error:
            refused.append(str(error))
    return kept, refused


def _refuse_more(runs_folder: Path, new: int) -> None:
    folder = runs_folder / FOLDER
    refuse_links(folder)
    if (there := sum(1 for _ in folder.glob("*.csv"))) + new > MOST:
        raise CifarcoreError(f"{there} slices are kept, and at most {MOST} can be; delete some first")


def _read(path: Path) -> Selection:
    refuse_links(path)
    try:
        if not path.is_file():  # a pipe would be read for ever
            raise CifarcoreError("no file")
        if path.stat().st_size > MAX_BYTES:
            raise CifarcoreError(f"{path.name}: is larger than {MAX_BYTES >> 20} MiB, which no selection is")
        return _selection(path.stem, _read_csv(path.read_bytes()))
    except (OSError, CifarcoreError, KeyError, ValueError, OverflowError) as error:
        message = f"{path.name}: is no list of sample_id and label ({_reason(error)}); remove it"
        raise CifarcoreError(message) from None


def _read_csv(content: bytes) -> pd.DataFrame:
    refuse_unbounded(content, MAX_METADATA)
    table = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False)
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first fields for names of rows
        raise ValueError("rows have more fields than the header")
    return table


def _table(each: Selection) -> pd.DataFrame:
    ids = [f"{sample_id:016x}" for sample_id in each.sample_ids.tolist()]
    return pd.DataFrame({"sample_id": ids, "label": each.labels.astype(int)})


def _selection(name: str, table: pd.DataFrame) -> Selection:
    ids = as_sample_ids(table["sample_id"].to_numpy(), ours=True)
    return Selection(name, ids, table["label"].astype(np.int64).to_numpy())


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:100]
