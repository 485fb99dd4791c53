"""The work of a retraining job, start to end: parent, cached features, learning, scoring, run file.

Runs in the job's own process, which `retraining` starts; what is learned and how is in `finetuning`.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cifarcore.config import RetrainConfig
from cifarcore.data.cifar100 import Dataset, fingerprint, sample_ids
from cifarcore.errors import CifarcoreError
from cifarcore.retraining.folders import (
    STATE,
    clear_leftovers,
    file_digest,
    retrained_path,
    weights_path,
)
from cifarcore.retraining.jobs import Recorder, stop_asked
from cifarcore.retraining.learner import Learner
from cifarcore.retraining.parent import (
    REPORT_EVERY_SECONDS,
    Counter,
    check_weights,
    head_logits,
    head_scores,
    in_place_of_images,
    kept_features,
    new_features,
    probe,
    read_parent,
    validation_rows,
)
from cifarcore.retraining.processes import lower_priority
from cifarcore.retraining.setup import Setup, read_setup
from cifarcore.retraining.speeds import save_speed
from cifarcore.runs.run import Run, save_run
from cifarcore.training.checkpoints import Checkpoint, save_checkpoint
from cifarcore.training.evaluation import (
    make_run,
    rescored,
    score,
)
from cifarcore.training.hardware import cpu_threads, keep_freed_memory

SAVE_EVERY_SECONDS = 10.0


#: looks at the validation split, and the share of the learning's time that they may take
CHECKS, CHECK_SHARE = 6, 0.08


NOTHING = "stopped before the first step; no run was written"


def retrain(folder: Path, record: Recorder, load_dataset: Callable[[str], Dataset]) -> str:
    """Do, or go on with, the job of `folder`; records its end and returns in words what came out.

    Writes the weights and the run file beside the folder. `load_dataset` gives the data set of the name in a config.
    Raises CifarcoreError where the parent or the data no longer fit.
    """
    clear_leftovers(folder)
    setup = read_setup(folder)
    run, parent = read_parent(setup)
    # what will be written at the end, so that a disk that fills up meanwhile loses nothing
    record.reserve(2 * weights_path(setup.parent).stat().st_size + 2 * setup.parent.stat().st_size + (8 << 20))
    keep_freed_memory()
    on_features, scoring_seconds = setup.config.train_layers == "head", 0.0
    with cpu_threads(setup.config.threads or all_cores_but_one()):
        features = kept_features(setup, run, parent, folder) if on_features else None
        if features is None:
            dataset = load_dataset(parent.config.dataset)
            ids = sample_ids(dataset.x_train)
            val_rows = validation_rows(run, parent, dataset, ids)
            with cpu_threads(setup.config.threads or all_cores()):
                if on_features:
                    features = new_features(setup, parent, dataset, ids, folder, record)
                else:
                    scoring_seconds = probe(run, parent, dataset)
        if stop_asked(folder):
            return record.end("stopped", NOTHING)
        if features is not None:
            check_weights(run, features.test_ids, head_logits(parent, features.test))
            dataset, ids = in_place_of_images(features, parent), features.train_ids
            val_rows = validation_rows(run, parent, dataset, ids)
        learner = Learner(setup, parent, dataset, val_rows, on_features)
        if (folder / STATE).exists():
            learner.load(folder / STATE)
        record.say(f"scoring at the end will take about {scoring_seconds:.0f} s")
        _learn(learner, folder, record, scoring_seconds)
        if not learner.step:
            return record.end("stopped", NOTHING)
        checkpoint = learner.checkpoint(parent, run, fingerprint(ids, dataset.y_train), stopped=learner.fraction < 1)
        with cpu_threads(setup.config.threads or all_cores()):
            if on_features:
                record("evaluating")
                retrained = rescored(run, checkpoint, *head_scores(checkpoint, features, run))
            else:
                retrained = _score(checkpoint, dataset, val_rows, record)
        record("writing")
        record.release()
        save_checkpoint(checkpoint, weights_path(retrained_path(folder)))
        save_run(retrained, retrained_path(folder))  # last, since with it the retraining is there for everybody
    came_out = (
        f"test accuracy {run.correct.mean():.4f} before, {retrained.correct.mean():.4f} after "
        f"{learner.learned:.0f} s of training"
    )
    record.end("stopped" if learner.fraction < 1 else "finished", came_out)
    (folder / STATE).unlink(missing_ok=True)
    return came_out


def measure(
    run_file: Path,
    config: RetrainConfig,
    runs_folder: Path,
    load_dataset: Callable[[str], Dataset],
    seconds: float = 3.0,
) -> dict[str, float]:
    """Images per second of learning and of scoring on this machine, kept where the app finds them."""
    lower_priority()
    setup = Setup(replace(config, focus="all"), run_file, "", file_digest(weights_path(run_file)), (), ())
    run, parent = read_parent(setup)
    keep_freed_memory()
    with cpu_threads(config.threads or all_cores_but_one()):
        dataset = load_dataset(parent.config.dataset)
        held_out = 0 if run.val_labels is None else len(run.val_labels)
        with cpu_threads(config.threads or all_cores()):
            scored = (len(dataset.x_test) + held_out) / probe(run, parent, dataset)
        val_rows = validation_rows(run, parent, dataset, sample_ids(dataset.x_train))
        on_features = config.train_layers == "head"
        if on_features:  # its speed does not depend on what the features are
            shape = len(dataset.x_train), parent.head().stages()[0].in_features
            drawn = np.random.default_rng(0).random(shape, dtype=np.float32).astype(np.float16)
            dataset = replace(dataset, x_train=drawn)
        learner = Learner(setup, parent, dataset, val_rows, on_features)
        for _ in range(2):
            learner.take_step()
        began, step = time.monotonic(), learner.step
        while time.monotonic() - began < seconds:
            learner.take_step().item()
        speed = {
            "learning": (learner.step - step) * sum(learner.shares) / (time.monotonic() - began),
            "scoring": scored,
        }
    save_speed(runs_folder, run.meta, config, speed)
    return speed


def all_cores() -> int:
    """Threads for what only scores images: at the job's priority whoever waits for a page still goes first."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def all_cores_but_one() -> int:
    """Threads that leave the app a core."""
    return max(1, all_cores() - 1)


def _learn(learner: Learner, folder: Path, record: Recorder, scoring_seconds: float) -> None:
    """Take steps until the budget is used or a stop is asked for; the state is saved now and then, and at the end."""
    budget = learner.config.seconds if not learner.config.epochs else 60.0
    rows = learner.validation_rows(budget * CHECK_SHARE / CHECKS)
    checks = math.ceil(learner.fraction * CHECKS)
    loss_sum, loss_count = torch.zeros((), device=learner.train_config.device), 0
    began, learned_before, step_before = time.monotonic(), learner.learned, learner.step
    last_report = last_save = -math.inf
    while True:
        now = time.monotonic()
        learner.learned = learned_before + now - began
        ending = learner.fraction >= 1 or stop_asked(folder)
        check = ending or learner.fraction * CHECKS >= checks
        if check or now - last_report >= max(REPORT_EVERY_SECONDS, learner.learned / 500):
            loss = loss_sum.item() / loss_count if loss_count else math.nan
            if loss_count and not math.isfinite(loss):
                raise CifarcoreError("the loss is no longer a number; start again with a lower learning rate")
            rate = (learner.step - step_before) * sum(learner.shares) / max(now - began, 1e-9)
            figures = {
                "learned": learner.learned,
                "step": learner.step,
                "fraction": learner.fraction,
                "passes": learner.passes,
                "loss": loss,
            }
            figures |= {"images_per_second": rate or math.nan, "left": learner.seconds_left() + scoring_seconds}
            record("learning", **figures, **(learner.look(loss, rows) if check else {}))
            loss_sum.zero_()
            loss_count, last_report, checks = 0, now, checks + check
        if ending or now - last_save >= SAVE_EVERY_SECONDS:
            try:
                learner.save(folder / STATE)
            except OSError as error:  # what is being learned may still find room at the end
                record.say(f"no checkpoint saved: {error.strerror or error}")
            last_save = now
        if ending:
            return
        loss_sum += learner.take_step()
        loss_count += 1


def _score(checkpoint: Checkpoint, dataset: Dataset, val_rows: np.ndarray, record: Recorder) -> Run:
    """The run of `checkpoint` on the test and validation images, with the code of `evaluate`."""
    total = len(dataset.x_test) + len(val_rows)
    report = Counter(record, "evaluating", total)
    logits, _ = score(checkpoint, dataset.x_test, on_batch=report)
    report.before = len(logits)
    val_logits = score(checkpoint, dataset.x_train[val_rows], on_batch=report)[0] if len(val_rows) else logits[:0]
    return make_run(checkpoint, dataset, logits, val_logits)
