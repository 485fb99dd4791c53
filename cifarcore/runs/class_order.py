"""Whether a model's labels count the classes in another order than its scores: then accuracies are wrong, and nothing
else says so. Fitted on one half of the images and held against the other, so that chance finds nothing.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cifarcore.runs.run import Run

LEAST = 50  #: images from which there is something to be seen
MOST_CLASSES = 2000  #: of which a matrix is little memory
GAIN = 0.005  #: of accuracy that another order must bring
SURE = 3.0  #: standard errors by which the images that it gets right must outnumber those that it gets wrong


def doubt(run: "Run") -> str:
    """What another order of the predicted classes would make of the accuracy, without a full stop; else nothing."""
    n, classes = run.n_images, run.n_classes
    if n < LEAST or classes > MOST_CLASSES:
        return ""
    counts = _counts(run.predictions, run.labels, classes)
    if (counts.max(axis=1) - counts.diagonal()).sum() < GAIN * n:  # no order can gain more
        return ""
    half = np.empty(n, bool)
    half[np.argsort(run.labels, kind="stable")] = np.arange(n) % 2 > 0  # half of each class
    moved = np.empty_like(run.predictions)
    for one in (half, ~half):
        moved[~one] = _best(run.predictions[one], run.labels[one], classes)[run.predictions[~one]]
    right = moved == run.labels
    better, worse = int((right & ~run.correct).sum()), int((run.correct & ~right).sum())
    if better - worse < max(GAIN * n, SURE * (better + worse) ** 0.5):
        return ""
    gained, kinds = np.unique(
        np.stack([run.predictions, moved], axis=1)[right & ~run.correct], axis=0, return_counts=True
    )
    one, other = (run.class_names[kind].item()[:60] for kind in gained[kinds.argmax()])
    return (
        f"the accuracy would be {right.mean():.4f}, not {run.correct.mean():.4f}, with the classes in another order "
        f"({other!r} for {one!r}): do the labels and the scores count them alike?"
    )


def _counts(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Images by predicted class and label, int (C, C)."""
    pairs = predictions.astype(np.int64) * classes + labels
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _best(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class that each predicted class is best taken for, one for each, (C,); itself where nothing is gained."""
    from scipy.optimize import linear_sum_assignment  # a tenth of a second, which few runs need

    counts = 2 * _counts(predictions, labels, classes) + np.eye(classes, dtype=np.int64)
    return linear_sum_assignment(counts, maximize=True)[1]
