"""Setting up, starting, following and clearing away short retrainings of a finished run.

No torch: the app and the command line work with this; `worker` does the learning in the job's own process.
"""

import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np

from cifarcore.config import RetrainConfig
from cifarcore.data.cifar100 import ARRAYS_FILE, PYTHON_FOLDER, data_dir
from cifarcore.errors import CifarcoreError
from cifarcore.files import is_link, refuse_links, sole_writer
from cifarcore.retraining.folders import (
    feature_caches,
    file_digest,
    free_name,
    has_features,
    job_folder,
    retrained_dir,
    taken,
    weights_path,
)
from cifarcore.retraining.jobs import DiskFull, Job, explained, read_job, refuse_if_busy, refuse_others_files
from cifarcore.retraining.processes import TOKEN, detached, identity
from cifarcore.retraining.progress import LOG, PROCESS, SETUP, STARTED, read_json, write_json
from cifarcore.runs.run import Run, RunHeader, load_run, read_header

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


def parents(runs_folder: str | Path) -> list[Path]:
    """The run files whose weights lie beside them: what can be retrained."""
    retrained = retrained_dir(runs_folder)
    finished = [] if is_link(retrained) else [path for path in sorted(retrained.glob("*.npz")) if not is_link(path)]
    return [path for path in [*sorted(Path(runs_folder).glob("*.npz")), *finished] if weights_path(path).is_file()]


def validation_run(run: Run) -> Run | None:
    """The validation split of `run` as a run of its own, so that every metric can be had of it; None without one."""
    if run.val_logits is None:
        return None
    bare = Run(run.class_names, run.val_sample_ids, run.val_labels, run.val_logits, run.meta)
    return replace(
        bare, superclass_names=run.superclass_names, superclass_of=run.superclass_of, digest=f"{run.digest}-validation"
    )


def choose_focus(run: Run, config: RetrainConfig) -> tuple[int, ...]:
    """Class indices of the focus, hardest first where it is by hardness; () for all classes. The test split is never
    looked at.

    Raises CifarcoreError where "hardest" has no validation split to go by, and for unknown or too many classes.
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
        from cifarcore.evidence import metrics

        f1 = metrics.class_table(validation, auc=False)["f1"].to_numpy(dtype=float)
        order = np.argsort(f1, kind="stable")  # classes without a validation image are NaN, which sorts last
        chosen = tuple(int(index) for index in order[: config.hardest] if np.isfinite(f1[index]))
    if not 0 < len(chosen) < len(names):
        raise CifarcoreError(
            f"focus {config.focus[:80]!r} is {len(chosen)} of {len(names)} classes; choose fewer, or all"
        )
    return chosen


def create(config: RetrainConfig, parent: str | Path, runs_folder: str | Path, name: str = "") -> Path:
    """Set a job up and return its folder; nothing runs yet. Raises CifarcoreError where it could not be done."""
    parent = Path(parent)
    run = load_run(parent)
    if not weights_path(parent).is_file():
        raise CifarcoreError(
            f"{weights_path(parent)}: no such file, so {parent.name} cannot be retrained; put its weights beside it"
        )
    if config.leave_out_duplicates and not of_cifar100(run.meta):
        raise CifarcoreError(
            f"{run.name} was not trained on CIFAR-100, and duplicates are known of its images only; leave out "
            "--leave-out-duplicates"
        )
    focus = choose_focus(run, config)
    # a float16 file; float32 weights and momentum, old and new
    needed = 64 * 2**20 + 20 * weights_path(parent).stat().st_size
    setup = {
        "config": config.to_dict(),
        "parent": _from(retrained_dir(runs_folder).resolve() / "job", parent.resolve()),
        "parent_digest": run.digest,
        "weights_digest": file_digest(weights_path(parent)),
        "focus": list(focus),
        "focus_names": [str(run.class_names[index]) for index in focus],
    }
    while not _claim(folder := job_folder(runs_folder, name or free_name(runs_folder, parent, config)), needed, setup):
        if name:
            raise CifarcoreError(f"{name}: that name is taken; choose another")
    return folder


def _from(folder: Path, path: Path) -> str:
    """`path` as seen from `folder`, so that both can move together; in full where they are on two drives of Windows."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return str(path)


def _claim(folder: Path, needed: int, setup: dict) -> bool:
    """Make a new job's folder with its `setup`; whether its name was free. Raises DiskFull below `needed` bytes."""
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(folder.parent).free) < needed:
            raise DiskFull(
                f"{folder.parent}: {free >> 20} MiB free and a retraining needs {needed >> 20}; make room, then "
                "start again"
            )
        with sole_writer(folder.parent):  # nobody renames another to it meanwhile
            if taken(folder):
                return False
            # a kill must leave no folder without a setup, whose name would be taken by a job that nobody is shown
            unnamed = folder.with_name(f".{folder.name}.tmp")
            refuse_links(unnamed)
            shutil.rmtree(unnamed, ignore_errors=True)
            try:
                write_json(unnamed / SETUP, setup)
                unnamed.rename(folder)
            finally:
                shutil.rmtree(unnamed, ignore_errors=True)
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
    """Run the job of `folder`, from its last checkpoint where there is one; returns once its process has this machine's
    lock.

    The process has its own session, so that it outlives the app. Raises CifarcoreError where it does not begin.
    """
    refuse_others_files(folder)
    token = uuid4().hex
    process = spawn(["--resume", folder.name, "--folder", str(folder.parent.parent.resolve())], folder / LOG, token)
    with suppress(OSError):  # on a full disk nobody is told that it starts
        write_json(folder / STARTED, identity(process.pid) | {"token": token})
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        if read_json(folder / PROCESS).get("token") == token:
            return read_job(folder)
        if ended:
            log_lines = read_job(folder).log_tail.splitlines() or [
                f"its process ended with status {process.returncode}"
            ]
            raise CifarcoreError(log_lines[-1].removeprefix("cifarcore: "))
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise CifarcoreError(
        f"{folder.name}: did not begin within {START_TIMEOUT_SECONDS:.0f} s; try again when the machine is less busy"
    )


def spawn(arguments: list[str], log: Path, token: str = "") -> subprocess.Popen:
    """`cifarcore retrain` in a session of its own, its output at the end of `log`; it is known by `token`. Raises
    CifarcoreError where that cannot be.
    """
    with explained(log.parent), log.open("ab") as file:
        return detached(["cifarcore", "retrain", *arguments], file, **{TOKEN: token})


def read_setup(folder: Path) -> Setup:
    """Raises CifarcoreError where it is missing or damaged."""
    values = read_json(folder / SETUP)
    try:
        focus, names = (tuple(values[key]) for key in ("focus", "focus_names"))
        if not all(type(index) is int and index >= 0 for index in focus) or len(focus) != len(names):
            raise TypeError("focus holds no class indices")
        if not re.fullmatch("[0-9a-f]{32}", values["weights_digest"]):
            raise ValueError("weights_digest is no digest")
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


def of_cifar100(meta: dict) -> bool:
    """Whether the run of `meta` was trained on CIFAR-100 itself."""
    network = meta.get("config")
    return isinstance(network, dict) and network.get("dataset", "cifar100") == "cifar100"


def lacks_images(header: RunHeader, config: RetrainConfig, runs_folder: str | Path) -> bool:
    """Whether retraining the run of `header` needs the images of CIFAR-100 and these are not on this machine."""
    if not of_cifar100(header.meta):
        return False
    if any((data_dir() / name).exists() for name in (ARRAYS_FILE, PYTHON_FOLDER)):
        return False
    return config.train_layers != "head" or not has_features(header.path, runs_folder)


def dataset_name(folder: Path) -> str:
    """The data set that the parent of the job of `folder` was trained on, as a config names it."""
    config = read_header(read_setup(folder).parent).meta.get("config")
    return str(config.get("dataset")) if isinstance(config, dict) and config.get("dataset") else "cifar100"
