"""Trains one entry of the study's plan and scores the validation split; the test split is never read.

What comes out is a small run file whose images are the validation images. Knows nothing of statistics or tables.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.errors import CifarcoreError
from cifarcore.experiments.study_plan import BASE, Change, mirrored
from cifarcore.runs.run import Run, read_header, save_run
from cifarcore.training.checkpoints import Checkpoint, load_checkpoint
from cifarcore.training.evaluation import check_classes, history_of, score
from cifarcore.training.hardware import resolve
from cifarcore.training.loop import fit

#: what keeps a run file of the study small: scores are multiples of the step, those below the highest ones are cut off
LOGITS_STEP = 0.0625
LOGITS_KEPT = 10
# what may differ between two machines that train the same entry
_OF_THE_MACHINE = ("device", "precision", "threads", "num_workers", "loader", "weights", "teacher")


def study_path(change: Change, seed: int, folder: str | Path) -> Path:
    return Path(folder) / f"{change.model}-{change.name}-{seed}.npz"


def is_done(change: Change, config: TrainConfig, folder: str | Path) -> bool:
    """Whether the run files of an entry are there. Raises CifarcoreError where one was trained with other settings than
    `config`.
    """
    parts = [change, mirrored(change)] if change.name == BASE else [change]
    paths = [study_path(part, config.seed, folder) for part in parts]
    for path in filter(Path.exists, paths):
        theirs, ours = read_header(path).meta.get("config") or {}, resolve(config).to_dict()
        different = [
            name for name in ours if name not in _OF_THE_MACHINE and theirs.get(name, ours[name]) != ours[name]
        ]
        if different:
            raise CifarcoreError(
                f"{path} was trained with other settings ({', '.join(different)}); move it to train again"
            )
    return all(path.exists() for path in paths)


def train_and_score(
    change: Change,
    config: TrainConfig,
    dataset: Dataset,
    folder: str | Path,
    *,
    keep: bool = False,
    data_folder: str | Path | None = None,
    **watch: Callable | float,
) -> Path:
    """Train `config` (an entry's, or a small one of a test), going on where it was stopped; returns the run file.

    Beside the base's run file goes that of its mirrored images. `keep` leaves the weights there too; `watch` is passed
    to `fit`. Raises Stopped as `fit` does, CifarcoreError where the teacher has seen the validation images.
    """
    path = study_path(change, config.seed, folder)
    if keep and path.with_suffix(".pt").exists():
        raise CifarcoreError(f"{path.with_suffix('.pt')}: exists already; move it away, or leave out --keep")
    weights = fit(config, dataset, folder, resume=True, data_folder=data_folder, **watch)
    checkpoint = load_checkpoint(weights)
    check_classes(checkpoint, dataset)
    _, rows = split_validation(dataset.y_train, checkpoint.config.validation_size)
    images, labels = dataset.x_train[rows], dataset.y_train[rows]
    logits = score(checkpoint, images)[0].astype(np.float32)
    if change.name == BASE:
        mirror = score(checkpoint, np.ascontiguousarray(images[:, :, ::-1]))[0].astype(np.float32)
        both = mirrored(change)
        run = _validation_run(both, checkpoint, dataset, images, labels, (logits + mirror) / 2)
        save_run(run, study_path(both, config.seed, folder))
    save_run(_validation_run(change, checkpoint, dataset, images, labels, logits), path)
    if keep:
        weights.replace(path.with_suffix(".pt"))
    else:
        weights.unlink()
    return path


def thinned(logits: np.ndarray) -> np.ndarray:
    """Logits (N, C) for a small file, float16: multiples of LOGITS_STEP, all but the LOGITS_KEPT highest set to the
    last of these.

    The class of highest score stays the same one, so accuracy is exact; areas under curves are not.
    """
    stepped = np.round(logits.astype(np.float32) / LOGITS_STEP) * LOGITS_STEP
    kept = min(LOGITS_KEPT, stepped.shape[1])
    stepped = np.maximum(stepped, np.partition(stepped, -kept, axis=1)[:, [-kept]])
    rows, top = np.arange(len(stepped)), logits.argmax(axis=1)
    others = stepped.copy()
    others[rows, top] = -np.inf
    stepped[rows, top] = np.maximum(stepped[rows, top], others.max(axis=1) + LOGITS_STEP)
    return stepped.astype(np.float16)


def _validation_run(
    change: Change, checkpoint: Checkpoint, dataset: Dataset, images: np.ndarray, labels: np.ndarray, logits: np.ndarray
) -> Run:
    ids = sample_ids(images)
    extra = {
        "preset": f"study-{change.name}",
        "dataset": {"name": f"{dataset.name} validation split", "fingerprint": fingerprint(ids, labels)},
        "scores": "logits",
        "logits_step": LOGITS_STEP,
        "logits_kept": LOGITS_KEPT,
        "study": change.meta(),
    }
    return Run(
        class_names=np.array(dataset.class_names),
        sample_ids=ids,
        labels=labels.astype(np.int16),
        logits=thinned(logits),
        meta=checkpoint.meta | extra,
        history=history_of(checkpoint),
    )
