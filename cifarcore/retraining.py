"""Setting up, starting, following and clearing away short retrainings of a finished run.

No torch: the app and the command line work with this; `finetuning` does the learning in the job's own process.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cifarcore import CifarcoreError
from cifarcore.config import RetrainConfig
from cifarcore.files import check_plain, is_plain
from cifarcore.jobs import (
    LOG,
    PROCESS,
    SETUP,
    STARTED,
    DiskFull,
    Job,
    explained,
    identity,
    read_job,
    read_json,
    refuse_if_busy,
    write_json,
)
from cifarcore.runs import Run, load_run, read_header

FOLDER = "retrained"
#: in a job's folder: what the learning goes on from
STATE = "resume.pt"
START_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True)
class Setup:
    """What a job was asked to do, fixed when it was set up."""

    config: RetrainConfig
    parent: Path  #: the parent's run file; its weights lie beside it
    parent_digest: str  #: of the run file, as Run.digest
    weights_digest: str  #: of the weights file
    focus: tuple[int, ...]  #: class indices, hardest first; none: all classes alike
    focus_names: tuple[str, ...]


def retrained_dir(runs_folder: str | Path) -> Path:
    """Where the jobs and their results lie, in the folder of run files."""
    return Path(runs_folder) / FOLDER


def job_folder(runs_folder: str | Path, name: str) -> Path:
    """The folder of the job `name`. Raises CifarcoreError for a name that is not plain, so that none leads elsewhere."""
    check_plain(name)
    folder = retrained_dir(runs_folder) / name
    for place in (folder.parent, *_belongings(folder)):
        if place.is_symlink():
            raise CifarcoreError(f"{place}: is a link; jobs work only in folders of their own, so remove the link")
    return folder


def run_path(folder: Path) -> Path:
    """The run file that the job of `folder` writes."""
    return folder.with_name(f"{folder.name}.npz")


def weights_path(run: Path) -> Path:
    return run.with_suffix(".pt")


def parents(runs_folder: str | Path) -> list[Path]:
    """The run files whose weights lie beside them: what can be retrained."""
    folders = (Path(runs_folder), retrained_dir(runs_folder))
    return [path for folder in folders for path in sorted(folder.glob("*.npz")) if weights_path(path).is_file()]


def validation_run(run: Run) -> Run | None:
    """The validation split of `run` as a run of its own, so that every metric can be had of it; None without one."""
    if run.val_logits is None:
        return None
    bare = Run(run.class_names, run.val_sample_ids, run.val_labels, run.val_logits, run.meta)
    return replace(
        bare, superclass_names=run.superclass_names, superclass_of=run.superclass_of, digest=f"{run.digest}-validation"
    )


def choose_focus(run: Run, config: RetrainConfig) -> tuple[int, ...]:
    """Class indices of the focus, hardest first where it is by hardness; () for all classes. The test split is never looked at.

    Raises CifarcoreError where «hardest» has no validation split to go by, and for unknown or too many classes.
    """
    names = run.class_names.tolist()
    if config.focus == "all":
        return ()
    if config.classes:
        if unknown := [name for name in config.classes if name not in names]:
            raise CifarcoreError(
                f"{run.name} has no class {unknown[0][:80]!r}; its classes are {', '.join(names[:5])}, ..."
            )
        chosen = tuple(dict.fromkeys(names.index(name) for name in config.classes))
    else:
        validation = validation_run(run)
        if validation is None:
            raise CifarcoreError(
                f"{run.name} has no validation split, and the hardest classes are never chosen on the test images; "
                "name the classes (classes:NAME,NAME) or retrain on all"
            )
        from cifarcore import metrics  # scikit-learn takes a second to come, which a job going on need not wait for

        f1 = metrics.class_table(validation, auc=False)["f1"].to_numpy(dtype=float)
        order = np.argsort(f1, kind="stable")  # classes without a validation image are NaN, which sorts last
        chosen = tuple(int(index) for index in order[: config.hardest] if np.isfinite(f1[index]))
    if not 0 < len(chosen) < len(names):
        raise CifarcoreError(
            f"focus {config.focus[:80]!r} is {len(chosen)} of {len(names)} classes; choose fewer, or all"
        )
    return chosen


def free_name(runs_folder: str | Path, parent: Path, config: RetrainConfig) -> str:
    """A name for a new job that is not taken: the parent's, the focus and a number."""
    focus = f"{len(config.classes)}classes" if config.classes else config.focus.replace(":", "")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{parent.stem}-{focus}").strip("-_")[:70] or "retrained"
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
    return next(name for name in names if not _taken(retrained_dir(runs_folder) / name))


def create(config: RetrainConfig, parent: str | Path, runs_folder: str | Path, name: str = "") -> Path:
    """Set a job up and return its folder; nothing runs yet. Raises CifarcoreError where it could not be done."""
    parent = Path(parent)
    run = load_run(parent)
    if not weights_path(parent).is_file():
        raise CifarcoreError(
            f"{weights_path(parent)}: no such file, so {parent.name} cannot be retrained; put its weights beside it"
        )
    focus = choose_focus(run, config)
    # a float16 file; float32 weights and momentum, old and new
    needed = 64 * 2**20 + 20 * weights_path(parent).stat().st_size
    while not _claim(folder := job_folder(runs_folder, name or free_name(runs_folder, parent, config)), needed):
        if name:
            raise CifarcoreError(f"{name}: that name is taken; choose another")
    with explained(folder):
        setup = {
            "config": config.to_dict(),
            "parent": os.path.relpath(parent.resolve(), folder.resolve()),
            "parent_digest": run.digest,
            "weights_digest": file_digest(weights_path(parent)),
            "focus": list(focus),
            "focus_names": [str(run.class_names[index]) for index in focus],
        }
        try:
            write_json(folder / SETUP, setup)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return folder


def _claim(folder: Path, needed: int) -> bool:
    """Make the folder of a new job; whether its name was free. Raises DiskFull below `needed` bytes."""
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(folder.parent).free) < needed:
            raise DiskFull(
                f"{folder.parent}: {free >> 20} MiB free and a retraining needs {needed >> 20}; make room, then start again"
            )
        if _taken(folder):
            return False
        try:
            folder.mkdir()
        except FileExistsError:  # two asked for the name at once, and the other got it
            return False
        return True


def start(config: RetrainConfig, parent: str | Path, runs_folder: str | Path, name: str = "") -> Job:
    """Set a job up and run it in a process of its own. Raises Busy where one runs already, CifarcoreError otherwise."""
    refuse_if_busy()
    folder = create(config, parent, runs_folder, name)
    try:
        return go_on(folder)
    except CifarcoreError:
        if not (folder / PROCESS).exists():  # it never had the lock
            shutil.rmtree(folder, ignore_errors=True)
        raise


def go_on(folder: Path) -> Job:
    """Run the job of `folder`, from its last checkpoint where there is one; returns once its process has this machine's lock.

    The process has its own session, so that it outlives the app. Raises CifarcoreError where it does not begin.
    """
    process = spawn(["--resume", folder.name, "--folder", str(folder.parent.parent.resolve())], folder / LOG)
    with suppress(OSError):  # on a full disk nobody is told that it starts
        write_json(folder / STARTED, identity(process.pid))
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if read_json(folder / PROCESS).get("pid") == process.pid:
            return read_job(folder)
        if ended:
            said = read_job(folder).log_tail.splitlines() or [f"its process ended with status {process.returncode}"]
            raise CifarcoreError(said[-1].removeprefix("cifarcore: "))
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise CifarcoreError(
        f"{folder.name}: did not begin within {START_TIMEOUT_SECONDS:.0f} s; try again when the machine is less busy"
    )


def spawn(arguments: list[str], log: Path) -> subprocess.Popen:
    """`cifarcore retrain` in a session of its own, its output at the end of `log`. Raises CifarcoreError where that cannot be."""
    here = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    with explained(log.parent), log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "cifarcore.cli", "retrain", *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip


def jobs(runs_folder: str | Path) -> list[Job]:
    """All jobs in the folder of run files, the latest set up first."""
    found = []
    for path in retrained_dir(runs_folder).glob(f"*/{SETUP}"):
        if is_plain(path.parent.name) and not path.parent.is_symlink():
            try:
                found.append((path.stat().st_mtime_ns, read_job(path.parent)))
            except (OSError, CifarcoreError):  # another app on this folder has just deleted it
                continue
    return [job for _, job in sorted(found, key=lambda each: each[0], reverse=True)]


def read_setup(folder: Path) -> Setup:
    """Raises CifarcoreError where it is missing or damaged."""
    values = read_json(folder / SETUP)
    try:
        focus, names = (tuple(values[key]) for key in ("focus", "focus_names"))
        if not all(type(index) is int and index >= 0 for index in focus) or len(focus) != len(names):
            raise TypeError("focus holds no class indices")
        return Setup(
            config=RetrainConfig.from_dict(values["config"]),
            parent=Path(os.path.normpath(folder.resolve() / values["parent"])),
            parent_digest=str(values["parent_digest"]),
            weights_digest=str(values["weights_digest"]),
            focus=focus,
            focus_names=tuple(str(name) for name in names),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CifarcoreError(
            f"{folder / SETUP}: damaged ({error!r:.100}); delete this retraining and start another"
        ) from None


def learns_from_kept_features(folder: Path) -> bool:
    """Whether the job of `folder` trains a head of which there are features already, and so needs no images."""
    setup = read_setup(folder)
    return setup.config.train_layers == "head" and bool(feature_caches(folder.parent, setup.weights_digest))


def dataset_name(folder: Path) -> str:
    """The data set that the parent of the job of `folder` was trained on, as a config names it."""
    config = read_header(read_setup(folder).parent).meta.get("config")
    return str(config.get("dataset")) if isinstance(config, dict) and config.get("dataset") else "cifar100"


def rename(runs_folder: str | Path, name: str, new: str) -> Path:
    """Rename a retraining that has ended: run file, weights, job folder; returns its folder.

    Raises CifarcoreError where it still runs or the name is taken.
    """
    old, target = job_folder(runs_folder, name), job_folder(runs_folder, new)
    _refuse_running(old)
    if _taken(target):
        raise CifarcoreError(f"{new}: that name is taken; choose another")
    with explained(old):
        for before, after in zip(_belongings(old), _belongings(target), strict=True):
            if before.exists():
                before.rename(after)
    return target


def delete(runs_folder: str | Path, name: str) -> None:
    """Remove a retraining: run file, weights, job folder. Raises CifarcoreError where it still runs."""
    folder = job_folder(runs_folder, name)
    _refuse_running(folder)
    with explained(folder):
        clear_leftovers(folder)
        if weights_path(run_path(folder)).is_file():
            for path in feature_caches(folder.parent, file_digest(weights_path(run_path(folder)))):
                path.unlink()
        for path in reversed(_belongings(folder)):  # the run file first, so that no picker offers half of it
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def feature_cache(retrained: Path, weights_digest: str, data_fingerprint: str) -> Path:
    """Where a parent's features are kept for retraining its head."""
    return retrained / "features" / f"{weights_digest}-{data_fingerprint}.npz"


def feature_caches(retrained: Path, weights_digest: str) -> list[Path]:
    """The features kept of these weights, whatever the data."""
    folder = retrained / "features"
    return [] if folder.is_symlink() else list(folder.glob(f"{weights_digest}-*.npz"))


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed job of `folder` was just writing; see files.atomic_write."""
    features = folder.parent / "features"
    left = [*folder.glob(".*.tmp"), *folder.parent.glob(f".{folder.name}.*.tmp")]
    for path in left if features.is_symlink() else (*left, *features.glob(".*.tmp")):  # one job at a time writes there
        path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """BLAKE2b, 16-byte digest, of a file's bytes, as Run.digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _belongings(folder: Path) -> tuple[Path, ...]:
    """All that a retraining owns, the run file last."""
    return (folder, *(folder.with_name(folder.name + suffix) for suffix in (".features.npz", ".pt", ".npz")))


def _taken(folder: Path) -> bool:
    return any(path.exists() for path in _belongings(folder))


def _refuse_running(folder: Path) -> None:
    if not _taken(folder):
        raise CifarcoreError(f"{folder.name}: no such retraining in {folder.parent}")
    if (folder / SETUP).is_file() and read_job(folder).is_under_way:
        raise CifarcoreError(f"{folder.name}: is still running; stop it first")
