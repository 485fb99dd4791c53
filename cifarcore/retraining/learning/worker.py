"""The work of a retraining job, start to end: parent, cached features, learning, scoring, run file.

Runs in the job's own process, which `setup` starts; what is learned and how is in `learner`.
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
from cifarcore.presets import VIEWS, WEIGHTS
from cifarcore.retraining.choosing import choose_weight, scores
from cifarcore.retraining.folders import (
    STATE,
    block_cache,
    clear_leftovers,
    file_digest,
    retrained_path,
    weights_path,
)
from cifarcore.retraining.jobs import Recorder, stop_asked
from cifarcore.retraining.learning.block import Block, block_logits, load_block, new_block, save_block
from cifarcore.retraining.learning.dealing import choose_rivals, rows_to_keep
from cifarcore.retraining.learning.learner import Learner
from cifarcore.retraining.learning.parent import (
    PROBE_IMAGES,
    REPORT_EVERY_SECONDS,
    Counter,
    StopAsked,
    in_place_of_images,
    kept_features,
    new_features,
    probe,
    read_parent,
    validation_rows,
)
from cifarcore.retraining.learning.scoring import Scorer
from cifarcore.retraining.processes import lower_priority
from cifarcore.retraining.setup import Setup, read_setup
from cifarcore.retraining.speeds import save_speed
from cifarcore.runs.run import Run, save_run
from cifarcore.training.checkpoints import Checkpoint, save_checkpoint
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
    layers = setup.config.train_layers
    with cpu_threads(setup.config.threads or all_cores_but_one()):
        features = kept_features(setup, run, parent, folder) if layers == "head" else None
        block, rivals = None, _rivals(run, setup)
        if features is None:
            dataset = load_dataset(parent.config.dataset)
            ids = sample_ids(dataset.x_train)
            val_rows = validation_rows(run, parent, dataset, ids)
            with cpu_threads(setup.config.threads or all_cores()):
                if layers == "head":
                    features = new_features(setup, parent, dataset, ids, folder, record)
                elif layers == "last_block":
                    block = _block(setup, run, parent, dataset, ids, val_rows, rivals, folder, record)
        if stop_asked(folder):
            return record.end("stopped", NOTHING)
        if features is not None:
            dataset, ids = in_place_of_images(features, parent), features.train_ids
            val_rows = validation_rows(run, parent, dataset, ids)
        scorer = Scorer(run, dataset, val_rows, features, block)
        with cpu_threads(setup.config.threads or all_cores()):
            scoring_seconds = scorer.check(parent)
        learner = Learner(setup, parent, dataset, val_rows, features is not None, None, rivals, block, ids)
        learner.scoring = scoring_seconds
        if (folder / STATE).exists():
            learner.load(folder / STATE)
        if setup.config.leave_out_duplicates:
            record.say(f"left out as duplicates of test images: {learner.left_out:,} training images")
        record.say(f"scoring at the end will take about {scoring_seconds:.0f} s")
        _learn(learner, folder, record, scoring_seconds)
        if not learner.step:
            return record.end("stopped", NOTHING)
        stopped = learner.fraction < 1

        def at(weight: float) -> Checkpoint:
            return learner.checkpoint(parent, run, fingerprint(ids, dataset.y_train), stopped, weight)

        with cpu_threads(setup.config.threads or all_cores()):
            checkpoint, retrained = _chosen(at, scorer, setup, record)
        record("writing")
        record.release()
        save_checkpoint(checkpoint, weights_path(retrained_path(folder)))
        save_run(retrained, retrained_path(folder))  # last, since with it the retraining is there for everybody
    kept = (
        ""
        if checkpoint.meta["retraining"]["weight"]
        else "; no gain held on the validation split, so the parent's weights were kept"
    )
    came_out = (
        f"test accuracy {run.correct.mean():.4f} before, {retrained.correct.mean():.4f} after "
        f"{learner.learned:.0f} s of training{kept}"
    )
    record.end("stopped" if stopped else "finished", came_out)
    (folder / STATE).unlink(missing_ok=True)
    return came_out


def _chosen(
    at: Callable[[float], Checkpoint], scorer: Scorer, setup: Setup, record: Recorder
) -> tuple[Checkpoint, Run]:
    """The checkpoint `at` the weight that holds on the validation split, and its run; what the split says of it and of
    the parent goes into the checkpoint's record.
    """
    run, report = scorer.run, Counter(record, "evaluating", scorer.images)
    if run.val_labels is None or run.val_logits is None or not len(run.val_labels):  # nothing to choose by
        checkpoint = at(WEIGHTS[0])
        return checkpoint, scorer.retrained(checkpoint, None, report)
    labels = scorer.val_labels
    before = scores(run.val_logits, run.val_labels, setup.focus)
    weight, logits = choose_weight(before, lambda weight: scorer.validation(at(weight), report), labels, setup.focus)
    checkpoint = at(weight)
    if logits is None:
        logits = scorer.validation(checkpoint, report)
    after = scores(logits, labels, setup.focus)
    checkpoint.meta["retraining"]["validation"] = {
        "accuracy": [round(before.accuracy, 6), round(after.accuracy, 6)],
        "focus_f1": [round(before.focus_f1, 6), round(after.focus_f1, 6)],
    }
    report.before = len(labels)
    return checkpoint, scorer.retrained(checkpoint, logits, report)


def _rivals(run: Run, setup: Setup) -> tuple[int, ...]:
    """The rivals of the focus by the parent's validation split; none without one, or without a focus."""
    if run.val_labels is None or run.val_logits is None or not setup.focus:
        return ()
    return choose_rivals(run.val_labels, run.val_logits.argmax(1), run.n_classes, setup.focus)


def _block(
    setup: Setup,
    run: Run,
    parent: Checkpoint,
    dataset: Dataset,
    ids: np.ndarray,
    val_rows: np.ndarray,
    rivals: tuple[int, ...],
    folder: Path,
    record: Recorder,
) -> Block | None:
    """What the last block sees, as it was kept, else computed and kept. None where a stop was asked for meanwhile."""
    path = block_cache(folder.parent, setup.weights_digest, fingerprint(ids, dataset.y_train))
    rows = rows_to_keep(dataset.y_train, np.setdiff1d(np.arange(len(ids)), val_rows), setup.focus, rivals)
    test_ids = sample_ids(dataset.x_test)
    plain_ids = np.concatenate([ids[val_rows], test_ids])
    block = load_block(path, setup.weights_digest)
    if block is not None and block.covers(ids[rows], plain_ids):
        return block
    report = Counter(record, "caching", VIEWS * len(rows) + len(plain_ids))

    def on_batch(done: int) -> None:
        report(done)
        if stop_asked(folder):
            raise StopAsked

    try:
        block = new_block(parent, setup.weights_digest, dataset, ids, rows, val_rows, test_ids, on_batch)
    except StopAsked:
        return None
    try:
        save_block(block, path)
    except OSError as error:  # it is only there to save time
        record.say(f"what the last block sees was not kept: {error.strerror or error}")
    return block


def measure(
    run_file: Path,
    config: RetrainConfig,
    runs_folder: Path,
    load_dataset: Callable[[str], Dataset],
    seconds: float = 3.0,
) -> dict[str, float]:
    """Images per second of learning and of scoring on this machine, kept where the app finds them; see `speed_of`."""
    lower_priority()
    setup = Setup(replace(config, focus="all"), run_file, "", file_digest(weights_path(run_file)), (), ())
    run, parent = read_parent(setup)
    keep_freed_memory()
    with cpu_threads(config.threads or all_cores_but_one()):
        dataset = load_dataset(parent.config.dataset)
        held_out = 0 if run.val_labels is None else len(run.val_labels)
        with cpu_threads(config.threads or all_cores()):
            scored = (len(dataset.x_test) + held_out) / probe(run, parent, dataset)
        ids = sample_ids(dataset.x_train)
        val_rows = validation_rows(run, parent, dataset, ids)
        on_features, block = config.train_layers == "head", None
        if on_features:  # its speed does not depend on what the features are
            shape = len(dataset.x_train), parent.head().stages()[0].in_features
            drawn = np.random.default_rng(0).random(shape, dtype=np.float32).astype(np.float16)
            dataset = replace(dataset, x_train=drawn)
        elif config.train_layers == "last_block":
            some = np.setdiff1d(np.arange(len(ids)), val_rows)[:PROBE_IMAGES]
            test_ids = sample_ids(dataset.x_test[:PROBE_IMAGES])
            few = replace(dataset, x_test=dataset.x_test[:PROBE_IMAGES])
            began = time.monotonic()
            block = new_block(parent, "", few, ids, some, val_rows[:0], test_ids, lambda done: None)
            cached = (VIEWS * len(some) + len(test_ids)) / (time.monotonic() - began)
            began = time.monotonic()
            block_logits(parent, block, test_ids)
            rescored = len(test_ids) / (time.monotonic() - began)
        learner = Learner(setup, parent, dataset, val_rows, on_features, None, (), block, ids)
        for _ in range(2):
            learner.take_step()
        began, began_cpu, step = time.monotonic(), time.process_time(), learner.step
        while time.monotonic() - began < seconds:
            learner.take_step().item()
        passed = time.monotonic() - began
        speed = {
            "learning": (learner.step - step) * sum(learner.shares) / passed,
            "scoring": scored,
            "share": (time.process_time() - began_cpu) / (passed * torch.get_num_threads()),
        } | ({} if block is None else {"rescoring": rescored, "caching": cached})
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
