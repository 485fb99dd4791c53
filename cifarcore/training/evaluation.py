"""A checkpoint and a test set make a run file, and beside it the features that the maps are drawn from."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from cifarcore.data.cifar100 import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, sole_writer
from cifarcore.runs.archive import read_npz
from cifarcore.runs.run import Run, save_run
from cifarcore.training.checkpoints import Checkpoint, load_checkpoint
from cifarcore.training.hardware import resolve
from cifarcore.training.predict import EVALUATION_BATCH, predict
from cifarcore.training.rewriting import refuse_other_files, with_kept


@dataclass(frozen=True, eq=False)
class Features:
    """Penultimate features, float16: `test` (N, D), `train` (M, D) of all training images, with their ids and
    labels; `scores` says by `scores_digest` which network's they are.
    """

    test: np.ndarray
    test_ids: np.ndarray
    train: np.ndarray
    train_ids: np.ndarray
    train_labels: np.ndarray
    scores: str = ""


def evaluate(checkpoint: Checkpoint, dataset: Dataset, device: str = "auto") -> tuple[Run, Features]:
    """The run of `checkpoint` on the test and validation images of `dataset`, and the features of all images.

    Raises CifarcoreError where the data set has other classes than the checkpoint.
    """
    logits, val_logits, features = score_all(checkpoint, dataset, device)
    _, val_rows = split_validation(dataset.y_train, checkpoint.config.validation_size)
    return make_run(checkpoint, dataset, logits, val_logits, val_rows), features


def score_all(
    checkpoint: Checkpoint, dataset: Dataset, device: str = "auto", on_batch: Callable[[int], None] = lambda done: None
) -> tuple[np.ndarray, np.ndarray, Features]:
    """Test logits (N, C), validation logits (V, C) and the features of all images.

    The training images, of which features alone are kept, are computed in the fastest precision that the hardware has.
    `on_batch` hears how many images are done. Raises CifarcoreError as `evaluate`.
    """
    check_classes(checkpoint, dataset)
    rows, val_rows = split_validation(dataset.y_train, checkpoint.config.validation_size)
    done = 0

    def scored(images: np.ndarray, precision: str = "float32") -> tuple[np.ndarray, np.ndarray]:
        nonlocal done
        scores = score(checkpoint, images, device, lambda count: on_batch(done + count), precision)
        done += len(images)
        return scores

    logits, test = scored(dataset.x_test)
    val_logits, val = scored(dataset.x_train[val_rows]) if len(val_rows) else (logits[:0], test[:0])
    train = np.empty((len(dataset.x_train), test.shape[1]), dtype=test.dtype)
    train[val_rows] = val
    _, train[rows] = scored(dataset.x_train[rows], "auto")
    ids = sample_ids(dataset.x_test), sample_ids(dataset.x_train)
    labels = dataset.y_train.astype(np.int16)
    return logits, val_logits, Features(test, ids[0], train, ids[1], labels, scores_digest(logits))


def scores_digest(logits: np.ndarray) -> str:
    """A name for the test logits (N, C) of a network, whatever their order: BLAKE2b, 16-byte digest, of the sorted
    rows as float16.
    """
    rows = np.ascontiguousarray(logits, "<f2")
    return hashlib.blake2b(np.sort(rows.view(f"V{rows.strides[0]}")[:, 0]).tobytes(), digest_size=16).hexdigest()


def score(
    checkpoint: Checkpoint,
    images: np.ndarray,
    device: str = "auto",
    on_batch: Callable[[int], None] = lambda done: None,
    precision: str = "float32",
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, C) and features (N, D), float16, of uint8 images (N, H, W, 3), with the stored (float16) weights.

    Unless told otherwise computed in float32, so that any processor gives the same scores to the float16 that is
    stored. `on_batch` hears how many are done.
    """
    config = resolve(replace(checkpoint.config, device=device, precision=precision))
    model = checkpoint.model().to(config.device, memory_format=torch.channels_last)
    logits, features = [], []
    with _without_tf32():
        for start in range(0, len(images), EVALUATION_BATCH):
            part = torch.from_numpy(images[start : start + EVALUATION_BATCH]).to(config.device)
            outputs = predict(model, part, config)
            logits.append(outputs[0].cpu().numpy().astype(np.float16))
            features.append(outputs[1].cpu().numpy().astype(np.float16))
            on_batch(start + len(part))
    return np.concatenate(logits), np.concatenate(features)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """Convolutions in full float32; what the caller's training uses is as it was afterwards."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def make_run(
    checkpoint: Checkpoint, dataset: Dataset, logits: np.ndarray, val_logits: np.ndarray, val_rows: np.ndarray
) -> Run:
    """The run of a checkpoint that gave `logits` (N, C) to the test images and `val_logits` (V, C) to the training
    images that were held out, `val_rows` (V,).
    """
    test_ids = sample_ids(dataset.x_test)
    validation = {}
    if len(val_rows):
        validation = dict(
            val_sample_ids=sample_ids(dataset.x_train[val_rows]),
            val_labels=dataset.y_train[val_rows].astype(np.int16),
            val_logits=val_logits,
        )
    return Run(
        class_names=np.array(dataset.class_names),
        superclass_names=np.array(dataset.superclass_names) if dataset.superclass_names else None,
        superclass_of=np.array(dataset.superclass_of, dtype=np.int16) if dataset.superclass_names else None,
        sample_ids=test_ids,
        labels=dataset.y_test.astype(np.int16),
        logits=logits,
        meta=checkpoint.meta
        | {"dataset": {"name": dataset.name, "fingerprint": fingerprint(test_ids, dataset.y_test)}, "scores": "logits"},
        history=history_of(checkpoint),
        **validation,
    )


def history_of(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The history as a run holds it: HISTORY_COLUMNS -> float32 (E,)."""
    return {column: np.array(values, dtype=np.float32) for column, values in checkpoint.history.items()}


def check_classes(checkpoint: Checkpoint, dataset: Dataset) -> None:
    """Raises CifarcoreError where the data set has other classes than the checkpoint."""
    if checkpoint.class_names != list(dataset.class_names):
        raise CifarcoreError(
            f"the checkpoint was trained on {len(checkpoint.class_names)} classes ({checkpoint.class_names[0]}, "
            f"...) and {dataset.name} "
            f"has {dataset.n_classes} ({dataset.class_names[0]}, ...); evaluate it on the data that it was trained for"
        )


def evaluate_file(
    path: str | Path,
    dataset: Dataset,
    device: str = "auto",
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda note: None,
) -> Path:
    """Evaluate the checkpoint at `path`; writes and returns the run file next to it, and its features.

    The run of the same training is replaced, with what was added to it as far as that fits; `tell` hears what does not.
    Raises CifarcoreError where another file is there and `overwrite` is not given.
    """
    path = Path(path)
    checkpoint, run_file = load_checkpoint(path), path.with_suffix(".npz")
    refuse_other_files(checkpoint, run_file, features_path(path), overwrite)
    run, features = evaluate(checkpoint, dataset, device)
    with sole_writer(run_file):  # what another process added or put there meanwhile counts
        run, notes = with_kept(run, refuse_other_files(checkpoint, run_file, features_path(path), overwrite))
        save_features(features, features_path(path))
        save_run(run, run_file)
    for note in notes:
        tell(note)
    return run_file


def features_of(path: Path, run: Run, load_dataset: Callable[[str], Dataset]) -> Features | None:
    """The features of the run file at `path`, `test` in the order of its images.

    From the file that `evaluate` left; else computed from the checkpoint beside it; None where there is neither.
    Raises CifarcoreError where they are of other test images than the run, or of another network.
    """
    features = load_features(features_path(path))
    if features is None:
        if not path.with_suffix(".pt").exists():
            return None
        checkpoint = load_checkpoint(path.with_suffix(".pt"))
        _, features = evaluate(checkpoint, load_dataset(checkpoint.config.dataset))
        save_features(features, features_path(path))
    rows = all_rows_of(features.test_ids, run.sample_ids)
    if rows is None:
        raise CifarcoreError(
            f"{features_path(path)} holds the features of other test images than {path}; run `cifarcore evaluate` again"
        )
    if features.scores != scores_digest(run.logits):
        raise CifarcoreError(
            f"{features_path(path)} is not of the network that gave the scores of {path}, or does not say; run "
            "`cifarcore evaluate` again"
        )
    return replace(features, test=features.test[rows], test_ids=run.sample_ids)


def all_rows_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """The row of each of the `wanted` ids in `ids`; None where one is missing. Images of one id have the same
    features.
    """
    rows = rows_of(ids, wanted)
    return rows if (rows >= 0).all() else None


def rescored(run: Run, checkpoint: Checkpoint, logits: np.ndarray, val_logits: np.ndarray | None) -> Run:
    """The run of `checkpoint` on the images of `run`, in their order, by its own scores; without maps."""
    return Run(
        class_names=run.class_names,
        superclass_names=run.superclass_names,
        superclass_of=run.superclass_of,
        sample_ids=run.sample_ids,
        labels=run.labels,
        logits=logits,
        meta=checkpoint.meta | {"dataset": run.meta.get("dataset", {}), "scores": "logits"},
        val_sample_ids=run.val_sample_ids,
        val_labels=run.val_labels,
        val_logits=val_logits,
        history=history_of(checkpoint),
    )


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
        arrays = read_npz(path)
        scores = str(arrays.pop("scores", ""))
        names = [field.name for field in fields(Features) if field.name != "scores"]
        features = Features(**{name: arrays[name] for name in names}, scores=scores)
        for values, ids in ((features.test, features.test_ids), (features.train, features.train_ids)):
            if values.ndim != 2 or values.dtype.kind != "f" or ids.shape != values.shape[:1]:
                raise CifarcoreError(f"features {values.dtype} {values.shape} of {ids.shape} images")
        return features
    except (CifarcoreError, KeyError) as error:
        reason = str(error).removeprefix(f"{path}: ")[:200]
        raise CifarcoreError(f"{path}: damaged ({reason}); delete it and run `cifarcore evaluate` again") from None
