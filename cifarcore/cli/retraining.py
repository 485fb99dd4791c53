"""The command that trains a finished run a little further."""

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from cifarcore.cli.flags import config_flags
from cifarcore.cli.terminal import DataOption, console, load_dataset
from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import runs_dir


@config_flags(RetrainConfig)
def retrain(
    changes: dict,
    run: Annotated[Path | None, typer.Option(help="Run file of the parent; its weights (.pt) lie beside it.")] = None,
    name: Annotated[str, typer.Option(help="Name of the new run; else made from the parent's and the focus.")] = "",
    resume: Annotated[str, typer.Option(help="Resume the retraining of this name instead.")] = "",
    measure: Annotated[
        bool, typer.Option("--measure", help="Only measure how fast this machine trains and evaluates.")
    ] = False,
    watched: Annotated[bool, typer.Option("--watched", hidden=True)] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of run files, else $CIFARCORE_RUNS or checkpoints/; writes to its retrained/."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Train a finished run a little further, on chosen classes above all; Ctrl-C keeps what was learned."""
    from cifarcore.retraining import folders, jobs, setup, speeds

    if bool(run) == bool(resume) or (measure and not run):
        raise CifarcoreError("name the parent with --run, or a retraining to continue with --resume")
    if resume and set(changes) | ({"name"} if name else set()):
        raise CifarcoreError(f"{resume} goes on with the settings that it was started with; leave out the others")
    config = RetrainConfig(**changes)
    folder = folder or runs_dir()
    if measure:
        if watched:
            speeds.end_unwatched(folder)
        from cifarcore.retraining.learning.worker import measure as measure_speed

        speed = measure_speed(run, config, folder, lambda name: load_dataset(name, data))
        console.print(f"learning {speed['learning']:.0f} images/s, scoring {speed['scoring']:.0f} images/s")
        return
    if resume:
        job = folders.job_folder(folder, resume)
    else:
        jobs.refuse_if_busy()  # before anything is set up
        job = setup.create(config, run, folder, name)
    before = {number: signal.signal(number, lambda *_: jobs.stop(job)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with jobs.working(job, _show_retraining) as record, ThreadPoolExecutor(1) as beside:
            images = None
            if not setup.learns_from_kept_features(job):
                # read while torch is imported: each takes a second
                images = beside.submit(load_dataset, setup.dataset_name(job), data)
            from cifarcore.retraining.learning.worker import retrain as work

            came_out = work(job, record, lambda name: images.result() if images else load_dataset(name, data))
    except jobs.Busy:  # another began meanwhile
        if not resume:
            folders.delete(folder, job.name)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    console.print(f"{job.name}: {came_out}")


def _show_retraining(line: dict) -> None:
    """The lines of progress that a log should keep: those with a look at the validation split, and the other phases."""
    if line["phase"] != "learning":
        if line.get("done", 0) in (0, line.get("total")):
            share = f" {line['done']:.0f} of {line['total']:.0f} images" if "done" in line else ""
            console.print(f"{line['phase']}{share}")
    elif "val_images" in line:
        parts = [f"learning {line['fraction']:.0%}", f"step {line['step']:.0f}"]
        if "left" in line:  # unknown before the first step of a budget in epochs
            parts.append(f"{line['left']:.0f} s left")
        words = {"loss": "loss", "val_accuracy": "val. accuracy", "val_focus_accuracy": "focus classes"}
        console.print(", ".join(parts + [f"{word} {line[key]:.4f}" for key, word in words.items() if key in line]))
