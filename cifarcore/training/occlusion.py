"""Which parts of a picture a prediction depends on: how much less probable it is where a patch is hidden (Zeiler and
Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifarcore.files import atomic_write
from cifarcore.training.checkpoints import Checkpoint
from cifarcore.training.evaluation import score

PATCH, STRIDE = 4, 16  # the patch is a quarter of the picture's side, and moves by a sixteenth
ARRAYS = frozenset(("drop", "predicted", "probability"))  #: of the file that `save_occlusion` writes
MOST_SIDE = 256  #: pixels of a picture whose copies, one for each place of the patch, take 1 GiB


@dataclass(frozen=True, eq=False)
class Occlusion:
    """What hiding each part of a picture takes from the probability of the class that is predicted for it whole."""

    predicted: int
    probability: float  #: of that class, for the whole picture
    drop: np.ndarray  #: float32 (H, W): the mean over the patches that hide a pixel; below 0 where it rises


def occlusion(checkpoint: Checkpoint, image: np.ndarray, device: str = "auto") -> Occlusion:
    """`image` is uint8 (H, W, 3), as the network takes it; a hidden patch has the picture's mean colour."""
    height, width = image.shape[:2]
    patch, step = max(1, height // PATCH), max(1, height // STRIDE)
    windows = [
        (slice(max(0, y), y + patch), slice(max(0, x), x + patch))
        for y in range(step - patch, height, step)
        for x in range(step - patch, width, step)
    ]
    hidden = np.repeat(image[None], len(windows) + 1, axis=0)
    mean = np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
    for picture, (rows, columns) in zip(hidden[1:], windows, strict=True):
        picture[rows, columns] = mean
    logits = score(checkpoint, hidden, device)[0].astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    predicted = int(logits[0].argmax())
    probability = (powers / powers.sum(axis=1, keepdims=True))[:, predicted]
    total, covered = np.zeros((height, width)), np.zeros((height, width))
    for (rows, columns), left in zip(windows, probability[1:], strict=True):
        total[rows, columns] += probability[0] - left
        covered[rows, columns] += 1
    return Occlusion(predicted, float(probability[0]), (total / covered).astype(np.float32))


def save_occlusion(effect: Occlusion, path: Path) -> None:
    """As arrays `drop`, `predicted` and `probability` of an .npz, atomically."""
    with atomic_write(path) as file:
        np.savez(file, drop=effect.drop, predicted=effect.predicted, probability=effect.probability)
