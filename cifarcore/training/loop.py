"""One training loop for every model and preset: fit(config) -> checkpoint.

Every random choice is a function of (seed, step): a resumed run takes the steps of one that never stopped (CPU: bit for
bit).
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import Dataset
from cifarcore.errors import CifarcoreError
from cifarcore.files import no_leftovers, sole_writer
from cifarcore.training.checkpoints import load_checkpoint, load_tensors, save_checkpoint, trained_on
from cifarcore.training.distributed import World
from cifarcore.training.hardware import cpu_threads, keep_freed_memory, own_randomness, resolve
from cifarcore.training.trainer import Progress, Trainer

SAVE_EVERY_SECONDS = 30.0


REPORT_EVERY_SECONDS = 0.5


class Stopped(Exception):
    """Training was asked to stop; its state is saved and `--resume` goes on from there."""


def fit(
    config: TrainConfig,
    dataset: Dataset,
    folder: str | Path = "checkpoints",
    *,
    resume: bool = False,
    overwrite: bool = False,
    data_folder: str | Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    save_every: float = SAVE_EVERY_SECONDS,
    world: World = World(),
) -> Path:
    """Train and write `{folder}/{config.name}.pt`; returns its path.

    Keeps `{config.name}.resume.pt` beside it while it runs: at most `save_every` seconds of work are lost by a kill.
    In a `world` of several processes all call this alike; only the first writes and hears `on_progress`, and what any
    process's `should_stop` says holds for all.
    Raises Stopped when `should_stop` says so; CifarcoreError for a resume that does not fit, where a training of this
    name is there already and neither `resume` nor `overwrite` is given, or under way, and after an epoch whose loss is
    no number.
    """
    config = resolve(config)
    world.own_gpu(config.device)
    if config.device == "cpu" and config.loader == "memory":
        keep_freed_memory()
    path, state_path = Path(folder) / f"{config.name}.pt", Path(folder) / f"{config.name}.resume.pt"
    tell = on_progress if world.first else lambda progress: None
    with (
        sole_writer(path) if world.first else nullcontext(),
        own_randomness(config),
        cpu_threads(config.threads),
        no_leftovers(path, state_path),
    ):
        if world.first and not overwrite:
            _refuse_to_overwrite(config, path, state_path, resume)
        trainer = Trainer(config, dataset, data_folder, world)
        unfinished = world.first and resume and state_path.exists()
        if state := world.from_first(load_tensors(state_path) if unfinished else None):
            trainer.load(state, state_path)
        elif world.from_first(world.first and resume and not overwrite and path.exists()):
            if world.first:
                done = load_checkpoint(path)
                teacher = done.meta.get("teacher_digest", trainer.teacher_digest)  # not in files of earlier versions
                trainer.refuse_other(trained_on(done) or trainer.data_fingerprint, teacher, path)
            return path
        last_saved = last_report = time.monotonic()
        while (finished := len(trainer.history["epoch"])) < config.epochs:
            # a stop may lie between an epoch's last step and its validation
            ended = trainer.step == (finished + 1) * trainer.steps_per_epoch
            for _ in () if ended else trainer.train_steps():
                now = time.monotonic()
                report, save, stop = world.agree(
                    now - last_report >= REPORT_EVERY_SECONDS, now - last_saved >= save_every, should_stop()
                )
                if report:
                    tell(trainer.progress())
                    last_report = now
                if save or stop:
                    trainer.save(state_path)
                    last_saved = time.monotonic()
                if stop:
                    world.wait()
                    raise Stopped(f"stopped at step {trainer.step} of {trainer.total_steps}; continue with --resume")
            trainer.finish_epoch()
            tell(trainer.progress())
        if world.first:
            save_checkpoint(trainer.checkpoint(), path)
            state_path.unlink(missing_ok=True)
        world.wait()
    return path


def _refuse_to_overwrite(config: TrainConfig, path: Path, state_path: Path, resume: bool) -> None:
    """Raises CifarcoreError where files are there that this training would replace."""
    if state_path.exists():  # whether it fits, the trainer tells
        if not resume:
            raise CifarcoreError(
                f"{state_path}: an unfinished training of this name; --resume continues it, --overwrite starts over"
            )
    elif not path.exists():
        if not resume and (run := path.with_suffix(".npz")).exists():  # which evaluating this training would replace
            raise CifarcoreError(
                f"{run}: a run of this name is here without its weights; --overwrite replaces it, --name or --folder "
                "keep both"
            )
    else:
        if not resume:
            raise CifarcoreError(f"{path}: exists already; --overwrite replaces it, --name keeps both")
        if (kept := load_checkpoint(path).config) != config:
            theirs, ours = kept.to_dict(), config.to_dict()
            different = ", ".join(name for name in ours if theirs.get(name) != ours[name])
            raise CifarcoreError(
                f"{path}: was trained with other settings ({different}); --overwrite replaces it, --name keeps both"
            )
