"""How what a retraining learned is scored: from the images, from kept features, or from what the last block sees."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cifarcore.data.cifar100 import Dataset, sample_ids
from cifarcore.retraining.learning.block import Block, block_logits
from cifarcore.retraining.learning.parent import PROBE_IMAGES, check_weights, head_logits, probe
from cifarcore.runs.run import Run
from cifarcore.training.checkpoints import Checkpoint
from cifarcore.training.evaluation import Features, all_rows_of, make_run, rescored, score


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores checkpoints on the validation and test images of a parent's `run`; of the three sources one is enough."""

    run: Run
    dataset: Dataset
    val_rows: np.ndarray
    features: Features | None = None
    block: Block | None = None

    @property
    def images(self) -> int:
        test = self.run.n_images if self.features is not None else len(self.dataset.x_test)
        return test + len(self.val_rows)

    @property
    def val_labels(self) -> np.ndarray:
        """(V,), in the order of `validation`."""
        return self.dataset.y_train[self.val_rows] if self.features is None else self.run.val_labels

    def validation(self, checkpoint: Checkpoint, on_batch: Callable[[int], None] = lambda done: None) -> np.ndarray:
        """Logits (V, C) of the validation split, which is there."""
        if self.features is not None:
            rows = all_rows_of(self.features.train_ids, self.run.val_sample_ids)
            return head_logits(checkpoint, self.features.train[rows])
        if self.block is not None:
            return block_logits(checkpoint, self.block, sample_ids(self.dataset.x_train[self.val_rows]), on_batch)
        return score(checkpoint, self.dataset.x_train[self.val_rows], on_batch=on_batch)[0]

    def retrained(
        self, checkpoint: Checkpoint, val_logits: np.ndarray | None, on_batch: Callable[[int], None] = lambda done: None
    ) -> Run:
        """The run of `checkpoint`, whose validation logits are known."""
        if self.features is not None:
            rows = all_rows_of(self.features.test_ids, self.run.sample_ids)
            return rescored(self.run, checkpoint, head_logits(checkpoint, self.features.test[rows]), val_logits)
        if self.block is not None:
            test = block_logits(checkpoint, self.block, sample_ids(self.dataset.x_test), on_batch)
        else:
            test = score(checkpoint, self.dataset.x_test, on_batch=on_batch)[0]
        return make_run(checkpoint, self.dataset, test, test[:0] if val_logits is None else val_logits, self.val_rows)

    def check(self, parent: Checkpoint) -> float:
        """Seconds that scoring all images will take, by some of them. Raises CifarcoreError where these tell that the
        weights of `parent` did not give the scores of `run`.
        """
        if self.features is not None:
            check_weights(self.run, self.features.test_ids, head_logits(parent, self.features.test))
            return 0.0
        if self.block is None:
            return probe(self.run, parent, self.dataset)
        images = self.dataset.x_test
        ids = sample_ids(images[:: max(1, len(images) // PROBE_IMAGES)][:PROBE_IMAGES])
        block_logits(parent, self.block, ids[:8])  # a GPU's first images take seconds
        began = time.monotonic()
        logits = block_logits(parent, self.block, ids)
        seconds = time.monotonic() - began
        check_weights(self.run, ids, logits)
        return seconds / len(ids) * self.images
