"""How much of what was learned is kept: averaged with the parent as far as the validation split bears it out. No torch.

M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cifarcore.presets import TOLERANCE, WEIGHTS


@dataclass(frozen=True)
class Scores:
    """Of a network on the validation split: accuracy, and the mean F1 of the focus classes, accuracy without one."""

    accuracy: float
    focus_f1: float


def scores(logits: np.ndarray, labels: np.ndarray, focus: tuple[int, ...]) -> Scores:
    """Of logits (V, C) and labels (V,); `focus` are class indices."""
    predicted, labels = logits.argmax(1), labels.astype(int)
    right = predicted == labels
    accuracy = float(right.mean())
    if not focus:
        return Scores(accuracy, accuracy)
    count = logits.shape[1]
    hits = np.bincount(labels[right], minlength=count)
    both = np.bincount(labels, minlength=count) + np.bincount(predicted, minlength=count)
    f1 = 2 * hits / np.maximum(both, 1)
    return Scores(accuracy, float(f1[list(focus)].mean()))


def choose_weight(
    before: Scores, logits_at: Callable[[float], np.ndarray], labels: np.ndarray, focus: tuple[int, ...]
) -> tuple[float, np.ndarray | None]:
    """The first of WEIGHTS at which the focus does better than `before` and all classes no worse but for TOLERANCE, and
    its validation logits; (0, None) where none does. `logits_at` scores the validation split at a weight.
    """
    for weight in WEIGHTS:
        logits = logits_at(weight)
        after = scores(logits, labels, focus)
        if after.focus_f1 > before.focus_f1 and after.accuracy >= before.accuracy - TOLERANCE:
            return weight, logits
    return 0.0, None
