"""Where retrainings and what they leave lie in the folder of runs: finding, renaming and deleting them. No torch."""

import hashlib
import re
import shutil
from pathlib import Path

from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import Version, check_plain, is_link, is_plain, refuse_changed, refuse_links, sole_writer
from cifarcore.retraining.jobs import Job, explained, read_job
from cifarcore.retraining.processes import end
from cifarcore.retraining.progress import PROCESS, SETUP, STARTED, read_json
from cifarcore.runs.corrupted import SUFFIX as CORRUPTED

FOLDER, FEATURES = "retrained", "features"


#: in a job's folder: what the learning goes on from
STATE = "resume.pt"


def retrained_dir(runs_folder: str | Path) -> Path:
    """Where the jobs and their results lie, in the folder of run files."""
    return Path(runs_folder) / FOLDER


def job_folder(runs_folder: str | Path, name: str) -> Path:
    """The folder of the job `name`. Raises CifarcoreError for a name that is not plain, so that none leads
    elsewhere.
    """
    check_plain(name)
    if name.casefold() == FEATURES:  # a file system may know no capitals
        raise CifarcoreError(f"{name}: features are kept in a folder of this name; choose another")
    folder = retrained_dir(runs_folder) / name
    refuse_links(folder.parent, folder.parent / FEATURES, *belongings(folder))
    return folder


def retrained_path(folder: Path) -> Path:
    """The run file that the job of `folder` writes."""
    return folder.with_name(f"{folder.name}.npz")


def weights_path(run: Path) -> Path:
    return run.with_suffix(".pt")


def free_name(runs_folder: str | Path, parent: Path, config: RetrainConfig) -> str:
    """A name for a new job that is not taken: the parent's, the focus and a number."""
    focus = f"{len(config.classes)}classes" if config.classes else config.focus.replace(":", "")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{parent.stem}-{focus}").strip("-_")[:70] or "retrained"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(name for name in names if name.casefold() != FEATURES and not taken(retrained_dir(runs_folder) / name))


def jobs(runs_folder: str | Path) -> list[Job]:
    """All jobs in the folder of run files, the latest set up first."""
    dated = []
    if is_link(retrained_dir(runs_folder)):
        return []
    for path in retrained_dir(runs_folder).glob(f"*/{SETUP}"):
        if is_plain(path.parent.name) and not is_link(path.parent):
            try:
                dated.append((path.stat().st_mtime_ns, read_job(path.parent)))
            except (OSError, CifarcoreError):  # another app on this folder has just deleted it
                continue
    return [job for _, job in sorted(dated, key=lambda each: each[0], reverse=True)]


def rename(runs_folder: str | Path, name: str, new: str, seen: Version | None = None) -> Path:
    """Rename a retraining that has ended: run file, weights, job folder; returns its folder.

    Raises CifarcoreError where it still runs, the name is taken, or its run file is not the one that was `seen`.
    """
    old, target = job_folder(runs_folder, name), job_folder(runs_folder, new)
    with sole_writer(old.parent):
        refuse_running(old)
        refuse_changed(retrained_path(old), seen)
        if taken(target):
            raise CifarcoreError(f"{new}: that name is taken; choose another")
        with explained(old):
            for before, after in zip(belongings(old), belongings(target), strict=True):
                if before.exists():
                    before.rename(after)
    return target


def delete(runs_folder: str | Path, name: str, seen: Version | None = None) -> None:
    """Remove a retraining: run file, weights, job folder. Raises CifarcoreError where it still runs, and where its run
    file is not the one that was `seen`.
    """
    folder = job_folder(runs_folder, name)
    with sole_writer(folder.parent), explained(folder):
        refuse_running(folder)
        refuse_changed(retrained_path(folder), seen)
        clear_leftovers(folder)
        if weights_path(retrained_path(folder)).is_file():
            digest = file_digest(weights_path(retrained_path(folder)))
            for path in feature_caches(folder.parent, digest) + feature_caches(folder.parent, f"block-{digest}"):
                path.unlink()
        for path in reversed(belongings(folder)):  # the run file first, so that no picker offers half of it
            if path.is_dir() and not is_link(path):
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def discard(runs_folder: str | Path, name: str) -> None:
    """End a retraining at once, wherever it is, and remove all that it left. Raises CifarcoreError where its process
    does not end.
    """
    folder = job_folder(runs_folder, name)
    if not (folder / SETUP).is_file():
        raise CifarcoreError(f"{name}: no such retraining in {folder.parent}")
    read_job(folder)  # refuses a folder of which something leads elsewhere
    for record in (STARTED, PROCESS):
        end(read_json(folder / record))
    delete(runs_folder, name)


def feature_cache(retrained: Path, weights_digest: str, data_fingerprint: str) -> Path:
    """Where a parent's features are kept for retraining its head."""
    return retrained / FEATURES / f"{weights_digest}-{data_fingerprint}.npz"


def feature_caches(retrained: Path, weights_digest: str) -> list[Path]:
    """The features kept of these weights, whatever the data."""
    folder = retrained / FEATURES
    return [] if is_link(folder) else list(folder.glob(f"{weights_digest}-*.npz"))


def block_cache(retrained: Path, weights_digest: str, data_fingerprint: str) -> Path:
    """Where what a parent's last block sees is kept for retraining it."""
    return retrained / FEATURES / f"block-{weights_digest}-{data_fingerprint}.npz"


def has_features(run_file: Path, runs_folder: str | Path) -> bool:
    """Whether the features that a head is trained on are there, so that it needs no images."""
    kept = feature_caches(retrained_dir(runs_folder), file_digest(weights_path(run_file)))
    return bool(kept) or run_file.with_suffix(".features.npz").exists()


def has_block(run_file: Path, runs_folder: str | Path) -> bool:
    """Whether what the last block sees is kept; another focus may still need other images."""
    return bool(feature_caches(retrained_dir(runs_folder), f"block-{file_digest(weights_path(run_file))}"))


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed job of `folder` was just writing; see files.atomic_write."""
    features = folder.parent / FEATURES
    left = [*folder.glob(".*.tmp"), *folder.parent.glob(f".{folder.name}.*.tmp")]
    for path in left if is_link(features) else (*left, *features.glob(".*.tmp")):  # one job at a time writes there
        path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """BLAKE2b, 16-byte digest, of a file's bytes, as Run.digest."""
    if path.exists() and not path.is_file():  # a pipe would be read for ever
        raise CifarcoreError(f"{path}: is no file, but a folder, a pipe or a device; remove it")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def belongings(folder: Path) -> tuple[Path, ...]:
    """All that a retraining owns, the run file last."""
    return (folder, *(folder.with_name(folder.name + suffix) for suffix in (".features.npz", CORRUPTED, ".pt", ".npz")))


def taken(folder: Path) -> bool:
    return any(path.exists() for path in belongings(folder))


def refuse_running(folder: Path) -> None:
    if not taken(folder):
        raise CifarcoreError(f"{folder.name}: no such retraining in {folder.parent}")
    if (folder / SETUP).is_file() and read_job(folder).is_under_way:
        raise CifarcoreError(f"{folder.name}: is still running; stop it first")
