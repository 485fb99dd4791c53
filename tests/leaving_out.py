"""What an image adds to macro-F1, by leaving it out and asking scikit-learn again."""

from functools import cache

import numpy as np
from sklearn.metrics import f1_score


def macro_f1_influence(run, classes=None):
    """Float (N,), the others of the image's class weighing as much more, so that the class keeps its size."""
    return _influence(run, None if classes is None else tuple(classes))


@cache
def _influence(run, classes):
    sizes = np.bincount(run.labels, minlength=run.n_classes)
    classes = np.intersect1d(np.unique(run.labels), np.arange(run.n_classes) if classes is None else classes)

    def score(weights):
        return f1_score(
            run.labels, run.predictions, labels=classes, average="macro", sample_weight=weights, zero_division=0
        )

    found, whole = np.empty(run.n_images), score(np.ones(run.n_images))
    for i, label in enumerate(run.labels):
        n = sizes[label]
        weights = np.where(run.labels == label, n / (n - 1), 1.0)
        weights[i] = 0
        found[i] = (n - 1) / n * (whole - score(weights))
    return found
