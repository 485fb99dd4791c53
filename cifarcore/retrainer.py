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

from cifarcore import CifarcoreError
from cifarcore.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from cifarcore.config import RetrainConfig
from cifarcore.data import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.evaluation import (
    Features,
    check_classes,
    features_path,
    load_features,
    make_run,
    rescored,
    rows_of,
    save_features,
    score,
    score_all,
)
from cifarcore.finetuning import WARM, Learner
from cifarcore.hardware import cpu_threads, keep_freed_memory
from cifarcore.jobs import Recorder, lower_priority, stop_asked
from cifarcore.retraining import (
    STATE,
    Setup,
    clear_leftovers,
    feature_cache,
    feature_caches,
    file_digest,
    read_setup,
    run_path,
    weights_path,
)
from cifarcore.runs import Run, load_run, save_run
from cifarcore.speeds import save_speed

REPORT_EVERY_SECONDS = 0.5
SAVE_EVERY_SECONDS = 10.0
#: looks at the validation split, and the share of the learning's time that they may take
CHECKS, CHECK_SHARE = 6, 0.08
#: images by which the scoring at the end is timed, and the parent's weights held against its run file
PROBE_IMAGES = 200
TOLERANCE = 0.1  # of a logit: float16 and another processor stay far below
MOST_ROUNDING = 0.1  # of a feature vector's length: bfloat16 stays far below, other weights far above
NOTHING = "stopped before it learned anything; no run was written"


def retrain(folder: Path, record: Recorder, load_dataset: Callable[[str], Dataset]) -> str:
    """Do, or go on with, the job of `folder`; records its end and returns in words what came out.

    Writes the weights and the run file beside the folder. `load_dataset` gives the data set of the name in a config.
    Raises CifarcoreError where the parent or the data no longer fit.
    """
    clear_leftovers(folder)
    setup = read_setup(folder)
    run, parent = _read_parent(setup)
    # what will be written at the end, so that a disk that fills up meanwhile loses nothing
    record.reserve(2 * weights_path(setup.parent).stat().st_size + 2 * setup.parent.stat().st_size + (8 << 20))
    keep_freed_memory()
    on_features, scoring_seconds = setup.config.train_layers == "head", 0.0
    with cpu_threads(setup.config.threads or all_cores_but_one()):
        features = _kept_features(setup, run, parent, folder) if on_features else None
        if features is None:
            dataset = load_dataset(parent.config.dataset)
            ids = sample_ids(dataset.x_train)
            val_rows = _validation_rows(run, parent, dataset, ids)
            with cpu_threads(setup.config.threads or all_cores()):
                if on_features:
                    features = _new_features(setup, parent, dataset, ids, folder, record)
                else:
                    scoring_seconds = _probe(run, parent, dataset)
        if stop_asked(folder):
            return record.end("stopped", NOTHING)
        if features is not None:
            _check_weights(run, features.test_ids, _head_logits(parent, features.test))
            dataset, ids = _in_place_of_images(features, parent), features.train_ids
            val_rows = _validation_rows(run, parent, dataset, ids)
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
                retrained = rescored(run, checkpoint, *_head_scores(checkpoint, features, run))
            else:
                retrained = _score(checkpoint, dataset, val_rows, record)
        record("writing")
        record.release()
        save_checkpoint(checkpoint, weights_path(run_path(folder)))
        save_run(retrained, run_path(folder))  # last, since with it the retraining is there for everybody
    came_out = f"test accuracy {run.correct.mean():.4f} before, {retrained.correct.mean():.4f} after {learner.learned:.0f} s of learning"
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
    run, parent = _read_parent(setup)
    keep_freed_memory()
    with cpu_threads(config.threads or all_cores_but_one()):
        dataset = load_dataset(parent.config.dataset)
        held_out = 0 if run.val_labels is None else len(run.val_labels)
        with cpu_threads(config.threads or all_cores()):
            scored = (len(dataset.x_test) + held_out) / _probe(run, parent, dataset)
        val_rows = _validation_rows(run, parent, dataset, sample_ids(dataset.x_train))
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
        found = {
            "learning": (learner.step - step) * sum(learner.shares) / (time.monotonic() - began),
            "scoring": scored,
        }
    save_speed(runs_folder, run.meta, config, found)
    return found


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
    report = _Counter(record, "evaluating", total)
    logits, _ = score(checkpoint, dataset.x_test, on_batch=report)
    report.before = len(logits)
    val_logits = score(checkpoint, dataset.x_train[val_rows], on_batch=report)[0] if len(val_rows) else logits[:0]
    return make_run(checkpoint, dataset, logits, val_logits)


class _Counter:
    """Progress of a phase that goes through images."""

    def __init__(self, record: Recorder, phase: str, total: int):
        self.record, self.phase, self.total = record, phase, total
        self.before = 0
        self.began = self.last_report = time.monotonic()
        record(phase, done=0, total=total)

    def __call__(self, done: int) -> None:
        now, done = time.monotonic(), self.before + done
        if now - self.last_report >= REPORT_EVERY_SECONDS or done == self.total:
            self.last_report = now
            self.record(self.phase, done=done, total=self.total, left=(now - self.began) * (self.total / done - 1))


def _read_parent(setup: Setup) -> tuple[Run, Checkpoint]:
    run = load_run(setup.parent)
    checkpoint = load_checkpoint(weights_path(setup.parent))
    if file_digest(weights_path(setup.parent)) != setup.weights_digest:
        raise CifarcoreError(
            f"{weights_path(setup.parent)}: changed since this retraining was set up; delete it and start another"
        )
    return run, checkpoint


def _validation_rows(run: Run, parent: Checkpoint, dataset: Dataset, ids: np.ndarray) -> np.ndarray:
    """Rows of the training images `ids` that the parent was validated on.

    Raises CifarcoreError where the data set is not the parent's: its validation images might be trained on.
    """
    check_classes(parent, dataset)
    theirs = np.empty(0, np.uint64) if run.val_sample_ids is None else run.val_sample_ids
    rows = np.flatnonzero(np.isin(ids, theirs))
    if len(rows) != parent.config.validation_size:  # a picture that is there twice may be on both sides
        _, rows = split_validation(dataset.y_train, parent.config.validation_size)
    if not np.array_equal(np.sort(ids[rows]), np.sort(theirs)):
        raise CifarcoreError(
            f"{run.name}: its validation images are not those of {dataset.name} here and might be trained on; give the data it was trained on"
        )
    return rows


def _probe(run: Run, parent: Checkpoint, dataset: Dataset) -> float:
    """Seconds that scoring will take at the end, by some images; these tell too whether run file and weights belong together."""
    images = dataset.x_test[:: max(1, len(dataset.x_test) // PROBE_IMAGES)][:PROBE_IMAGES]
    score(parent, images[:WARM])  # a GPU's first images take seconds
    began = time.monotonic()
    logits, _ = score(parent, images)
    seconds = time.monotonic() - began
    _check_weights(run, sample_ids(images), logits)
    return seconds / len(images) * (len(dataset.x_test) + (0 if run.val_labels is None else len(run.val_labels)))


def _check_weights(run: Run, ids: np.ndarray, logits: np.ndarray) -> None:
    """Raises CifarcoreError where `logits` (N, C) of the parent's weights on the images `ids` are not those of its run file."""
    order = np.argsort(run.sample_ids)
    rows = order[np.searchsorted(run.sample_ids, ids, sorter=order).clip(max=len(order) - 1)]
    known = run.sample_ids[rows] == ids
    if known.any() and np.abs(logits[known].astype(np.float32) - run.logits[rows[known]]).max() > TOLERANCE:
        raise CifarcoreError(
            f"{run.name}: the weights beside it are not those that gave its scores; run `cifarcore evaluate` on them first"
        )


@torch.inference_mode()
def _head_logits(checkpoint: Checkpoint, features: np.ndarray) -> np.ndarray:
    """Logits (N, C), float16, that the stored weights give to cached features (N, D)."""
    return checkpoint.head().head(torch.from_numpy(features).float()).numpy().astype(np.float16)


def _head_scores(checkpoint: Checkpoint, features: Features, run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Logits that the stored head gives to the test and validation images of `run`, in their order, by their features."""
    test = features.test[rows_of(features.test_ids, run.sample_ids)]
    if run.val_sample_ids is None:
        return _head_logits(checkpoint, test), None
    val = features.train[rows_of(features.train_ids, run.val_sample_ids)]
    return _head_logits(checkpoint, test), _head_logits(checkpoint, val)


def _in_place_of_images(features: Features, parent: Checkpoint) -> Dataset:
    """The features of the training images as a data set without a test split: all that a head learns from."""
    name = str(parent.meta.get("training_data", {}).get("name", ""))
    labels = features.train_labels.astype(np.int64)
    return Dataset(name, features.train, labels, features.test[:0], labels[:0], tuple(parent.class_names), (), ())


def _kept_features(setup: Setup, run: Run, parent: Checkpoint, folder: Path) -> Features | None:
    """The features that were cached of these weights and the images that they were trained on; None before that.

    With these no image is read, which would take longer than all else before the learning.
    """
    known = parent.meta.get("training_data", {}).get("fingerprint")
    for path in feature_caches(folder.parent, setup.weights_digest):
        found = load_features(path)
        if found and fingerprint(found.train_ids, found.train_labels) == known and _covers(found, run):
            return found
    return None


def _covers(features: Features, run: Run) -> bool:
    """Whether there are features of all images of the run."""
    return rows_of(features.test_ids, run.sample_ids) is not None and (
        run.val_sample_ids is None or rows_of(features.train_ids, run.val_sample_ids) is not None
    )


def _new_features(
    setup: Setup, parent: Checkpoint, dataset: Dataset, train_ids: np.ndarray, folder: Path, record: Recorder
) -> Features | None:
    """Features of all images under the parent, into the cache: from the file that `evaluate` left, else computed.

    None where a stop was asked for meanwhile.
    """
    cache = feature_cache(folder.parent, setup.weights_digest, fingerprint(train_ids, dataset.y_train))
    found = load_features(features_path(setup.parent))
    if not (
        found
        and np.array_equal(found.train_ids, train_ids)
        and np.array_equal(found.test_ids, sample_ids(dataset.x_test))
        and _are_features_of(parent, dataset, found)
    ):
        report = _Counter(record, "caching", len(dataset.x_train) + len(dataset.x_test))

        def on_batch(done: int) -> None:
            report(done)
            if stop_asked(folder):
                raise _StopAsked

        try:
            _, _, found = score_all(parent, dataset, on_batch=on_batch)
        except _StopAsked:
            return None
    save_features(found, cache)
    return found


class _StopAsked(Exception):
    """Ends the caching of features."""


def _are_features_of(parent: Checkpoint, dataset: Dataset, features: Features) -> bool:
    """Whether a few of the features are what the parent gives, but for rounding: the file does not say whose they are."""
    rows = np.linspace(0, len(dataset.x_train) - 1, 32).astype(int)
    expected = score(parent, dataset.x_train[rows])[1].astype(np.float32)
    if expected.shape[1] != features.train.shape[1]:
        return False
    distance = np.linalg.norm(features.train[rows].astype(np.float32) - expected, axis=1)
    return bool((distance <= MOST_ROUNDING * np.linalg.norm(expected, axis=1)).all())
