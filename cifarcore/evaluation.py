"""A checkpoint and a test set make a run file, and beside it the features that the maps are drawn from."""

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cifarcore import CifarcoreError
from cifarcore.checkpoints import Checkpoint, load_checkpoint
from cifarcore.data import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.files import atomic_write
from cifarcore.runs import Run, save_run
from cifarcore.training import predict, resolve


@dataclass(frozen=True, eq=False)
class Features:
    """Penultimate features, float16: `test` (N, D), `train` (M, D) of all training images, with their ids and labels."""

    test: np.ndarray
    test_ids: np.ndarray
    train: np.ndarray
    train_ids: np.ndarray
    train_labels: np.ndarray


def evaluate(checkpoint: Checkpoint, dataset: Dataset, device: str = "auto") -> tuple[Run, Features]:
    """Score the test and validation images of `dataset` in float32 with the stored (float16) weights.

    Raises CifarcoreError where the data set has other classes than the checkpoint.
    """
    if checkpoint.class_names != list(dataset.class_names):
        raise CifarcoreError(
            f"the checkpoint was trained on {len(checkpoint.class_names)} classes ({checkpoint.class_names[0]}, ...) and {dataset.name} "
            f"has {dataset.n_classes} ({dataset.class_names[0]}, ...); evaluate it on the data that it was trained for"
        )
    # float32 throughout, so that any processor gives the same scores to the float16 that is stored
    config = resolve(replace(checkpoint.config, device=device, precision="float32"))
    torch.backends.cudnn.allow_tf32 = False
    model = checkpoint.model().to(config.device, memory_format=torch.channels_last)

    def scores(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, features = predict(model, torch.from_numpy(images).to(config.device), config)
        return logits.cpu().numpy().astype(np.float16), features.cpu().numpy().astype(np.float16)

    logits, test_features = scores(dataset.x_test)
    train_logits, train_features = scores(dataset.x_train)
    test_ids, train_ids = sample_ids(dataset.x_test), sample_ids(dataset.x_train)
    _, val_rows = split_validation(dataset.y_train, config.validation_size)
    validation = {}
    if len(val_rows):
        validation = dict(
            val_sample_ids=train_ids[val_rows], val_labels=dataset.y_train[val_rows].astype(np.int16), val_logits=train_logits[val_rows]
        )
    run = Run(
        class_names=np.array(dataset.class_names),
        superclass_names=np.array(dataset.superclass_names) if dataset.superclass_names else None,
        superclass_of=np.array(dataset.superclass_of, dtype=np.int16) if dataset.superclass_names else None,
        sample_ids=test_ids,
        labels=dataset.y_test.astype(np.int16),
        logits=logits,
        meta=checkpoint.meta | {"dataset": {"name": dataset.name, "fingerprint": fingerprint(test_ids, dataset.y_test)}, "scores": "logits"},
        history={column: np.array(values, dtype=np.float32) for column, values in checkpoint.history.items()},
        **validation,
    )
    return run, Features(test_features, test_ids, train_features, train_ids, dataset.y_train.astype(np.int16))


def evaluate_file(path: str | Path, dataset: Dataset, device: str = "auto") -> Path:
    """Evaluate the checkpoint at `path`; writes and returns the run file next to it, and its features."""
    path = Path(path)
    run, features = evaluate(load_checkpoint(path), dataset, device)
    save_features(features, features_path(path))
    return save_run(run, path.with_suffix(".npz"))


def features_path(path: Path) -> Path:
    """Where the features of a checkpoint or run file are kept."""
    return path.with_suffix(".features.npz")


def save_features(features: Features, path: Path) -> None:
    with atomic_write(path) as file:
        np.savez(file, **vars(features))


def load_features(path: Path) -> Features | None:
    """The features at `path`, or None where there are none. Raises CifarcoreError for a damaged file."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            return Features(**{name: archive[name] for name in ("test", "test_ids", "train", "train_ids", "train_labels")})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CifarcoreError(f"{path}: damaged ({error}); delete it and run `cifarcore evaluate` again") from None
