"""A checkpoint's predictions on corrupted test images, under the clean images' ids."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cifarcore.data.cifar100 import Dataset, sample_ids
from cifarcore.data.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from cifarcore.errors import CifarcoreError
from cifarcore.runs.corrupted import Corrupted, corrupted_path, kept_at, save_corrupted, subset
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.evaluation import check_classes, score

ALL, ALL_AT = "all", (1, 3, 5)  #: every corruption, at these severities unless one is named


def conditions_of(asked: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """The conditions that NAME, NAME:SEVERITY, all or all:SEVERITY name, each once.

    Raises CifarcoreError for a name or a severity that is not known.
    """
    conditions = []
    for text in asked:
        name, _, severity = text.partition(":")
        if name != ALL and name not in CORRUPTIONS:
            raise CifarcoreError(f"no corruption is called {name[:40]}; there are {', '.join((ALL, *CORRUPTIONS))}")
        if severity and severity not in map(str, SEVERITIES):
            raise CifarcoreError(f"severity {severity[:40]} of {name}: it is one of {', '.join(map(str, SEVERITIES))}")
        levels = (int(severity),) if severity else ALL_AT
        conditions += [(each, level) for each in (CORRUPTIONS if name == ALL else (name,)) for level in levels]
    return tuple(dict.fromkeys(conditions))


def evaluate_corrupted(
    path: Path,
    dataset: Dataset,
    conditions: Sequence[tuple[str, int]],
    most_images: int,
    device: str = "auto",
    on_condition: Callable[[str, int, float], None] = lambda name, severity, accuracy: None,
) -> Path:
    """Score at most `most_images` test images under each condition; the file beside the run, with what it held before.

    `on_condition` hears each condition's accuracy. What is done is saved after each corruption. Raises CifarcoreError
    where the checkpoint is of other classes, or the file of other images or another network.
    """
    checkpoint = load_checkpoint(path)
    check_classes(checkpoint, dataset)
    rows = subset(sample_ids(dataset.x_test), most_images)
    images, labels, ids = dataset.x_test[rows], dataset.y_test[rows], sample_ids(dataset.x_test[rows])

    def predicted(pictures: np.ndarray) -> np.ndarray:
        return score(checkpoint, pictures, device)[0].argmax(axis=1).astype(np.int16)

    out, clean = corrupted_path(path), predicted(images)
    kept_at(out, ids, clean)  # refused before the work is done
    for name in dict.fromkeys(name for name, _ in conditions):
        of_name = tuple(condition for condition in conditions if condition[0] == name)
        classes_of = np.stack([predicted(corrupted(images, ids, *condition)) for condition in of_name])
        save_corrupted(Corrupted(ids, clean, of_name, classes_of), out)
        for (_, severity), classes in zip(of_name, classes_of, strict=True):
            on_condition(name, severity, float(np.mean(classes == labels)))
    return out
