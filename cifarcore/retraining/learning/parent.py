"""What a retraining goes on from: the parent's weights, checked against its run, and its features, kept once
computed.
"""

import time
from pathlib import Path

import numpy as np
import torch

from cifarcore.data.cifar100 import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.retraining.folders import feature_cache, feature_caches, file_digest, weights_path
from cifarcore.retraining.jobs import Recorder, stop_asked
from cifarcore.retraining.learning.learner import WARM
from cifarcore.retraining.setup import Setup
from cifarcore.runs.run import Run, load_run
from cifarcore.training.checkpoints import Checkpoint, load_checkpoint
from cifarcore.training.evaluation import (
    Features,
    all_rows_of,
    check_classes,
    features_path,
    load_features,
    save_features,
    score,
    score_all,
)

REPORT_EVERY_SECONDS = 0.5
#: images by which the scoring at the end is timed, and the parent's weights held against its run file
PROBE_IMAGES = 200


TOLERANCE = 0.1  # of a logit: float16 and another processor stay far below


MOST_ROUNDING = 0.1  # of a feature vector's length: bfloat16 stays far below, other weights far above


class Counter:
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


def read_parent(setup: Setup) -> tuple[Run, Checkpoint]:
    run = load_run(setup.parent)
    checkpoint = load_checkpoint(weights_path(setup.parent))
    if file_digest(weights_path(setup.parent)) != setup.weights_digest:
        raise CifarcoreError(
            f"{weights_path(setup.parent)}: changed since this retraining was set up; delete it and start another"
        )
    if (last := max(setup.focus, default=0)) >= run.n_classes:
        raise CifarcoreError(
            f"{setup.parent}: has {run.n_classes} classes, and this retraining's focus is on number {last}; delete it "
            "and start another"
        )
    return run, checkpoint


def validation_rows(run: Run, parent: Checkpoint, dataset: Dataset, ids: np.ndarray) -> np.ndarray:
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
            f"{run.name}: its validation images are not those of {dataset.name} here and might be trained on; give "
            "the data it was trained on"
        )
    return rows


def probe(run: Run, parent: Checkpoint, dataset: Dataset) -> float:
    """Seconds that scoring will take at the end, by some images; these tell too whether run file and weights belong
    together.
    """
    images = dataset.x_test[:: max(1, len(dataset.x_test) // PROBE_IMAGES)][:PROBE_IMAGES]
    score(parent, images[:WARM])  # a GPU's first images take seconds
    began = time.monotonic()
    logits, _ = score(parent, images)
    seconds = time.monotonic() - began
    check_weights(run, sample_ids(images), logits)
    return seconds / len(images) * (len(dataset.x_test) + (0 if run.val_labels is None else len(run.val_labels)))


def check_weights(run: Run, ids: np.ndarray, logits: np.ndarray) -> None:
    """Raises CifarcoreError where `logits` (N, C) of the parent's weights on the images `ids` are not those of its run
    file.
    """
    rows = rows_of(run.sample_ids, ids)
    known = rows >= 0
    if known.any() and np.abs(logits[known].astype(np.float32) - run.logits[rows[known]]).max() > TOLERANCE:
        raise CifarcoreError(
            f"{run.name}: the weights beside it are not those that gave its scores; run `cifarcore evaluate` on "
            "them first"
        )


@torch.inference_mode()
def head_logits(checkpoint: Checkpoint, features: np.ndarray) -> np.ndarray:
    """Logits (N, C), float16, that the stored weights give to cached features (N, D)."""
    return checkpoint.head().head(torch.from_numpy(features).float()).numpy().astype(np.float16)


def in_place_of_images(features: Features, parent: Checkpoint) -> Dataset:
    """The features of the training images as a data set without a test split: all that a head learns from."""
    name = str(parent.meta.get("training_data", {}).get("name", ""))
    labels = features.train_labels.astype(np.int64)
    return Dataset(name, features.train, labels, features.test[:0], labels[:0], tuple(parent.class_names), (), ())


def kept_features(setup: Setup, run: Run, parent: Checkpoint, folder: Path) -> Features | None:
    """The features that were cached of these weights and the images that they were trained on; None before that.

    With these no image is read, which would take longer than all else before the learning.
    """
    known = parent.meta.get("training_data", {}).get("fingerprint")
    for path in feature_caches(folder.parent, setup.weights_digest):
        features = load_features(path)
        if features and fingerprint(features.train_ids, features.train_labels) == known and covers(features, run):
            return features
    return None


def covers(features: Features, run: Run) -> bool:
    """Whether there are features of all images of the run."""
    return all_rows_of(features.test_ids, run.sample_ids) is not None and (
        run.val_sample_ids is None or all_rows_of(features.train_ids, run.val_sample_ids) is not None
    )


def new_features(
    setup: Setup, parent: Checkpoint, dataset: Dataset, train_ids: np.ndarray, folder: Path, record: Recorder
) -> Features | None:
    """Features of all images under the parent, into the cache: from the file that `evaluate` left, else computed.

    None where a stop was asked for meanwhile.
    """
    cache = feature_cache(folder.parent, setup.weights_digest, fingerprint(train_ids, dataset.y_train))
    features = load_features(features_path(setup.parent))
    if not (
        features
        and np.array_equal(features.train_ids, train_ids)
        and np.array_equal(features.test_ids, sample_ids(dataset.x_test))
        and are_features_of(parent, dataset, features)
    ):
        report = Counter(record, "caching", len(dataset.x_train) + len(dataset.x_test))

        def on_batch(done: int) -> None:
            report(done)
            if stop_asked(folder):
                raise StopAsked

        try:
            _, _, features = score_all(parent, dataset, on_batch=on_batch)
        except StopAsked:
            return None
    save_features(features, cache)
    return features


class StopAsked(Exception):
    """Ends the caching of features."""


def are_features_of(parent: Checkpoint, dataset: Dataset, features: Features) -> bool:
    """Whether a few of the features are what the parent gives, but for rounding: the file does not say whose they
    are.
    """
    rows = np.linspace(0, len(dataset.x_train) - 1, 32).astype(int)
    expected = score(parent, dataset.x_train[rows])[1].astype(np.float32)
    if expected.shape[1] != features.train.shape[1]:
        return False
    distance = np.linalg.norm(features.train[rows].astype(np.float32) - expected, axis=1)
    return bool((distance <= MOST_ROUNDING * np.linalg.norm(expected, axis=1)).all())
