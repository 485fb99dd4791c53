"""Which images of two classes, or of one and the rest, the ROC page lists at an operating point; first seeds alone."""

from collections.abc import Mapping

import numpy as np

from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.roc import HALF, Task, flips

FLIPS = ("flipped by either", "flipped by A", "flipped by B", "A and B decide differently")
CONFUSED = ("confused by either", "confused by A", "confused by B")


def flip_text(sides: Sides, task: Task, share: float, names: Mapping[str, str]) -> str:
    """How many images each model decides differently at `share` than at one half, in Markdown; `names`, in Markdown
    too, are the models', by letter.
    """
    parts = []
    for side in (sides.a, sides.b):
        moved = flips(side.first, task, share)
        is_positive = task.scores(side.first)[1]
        right = int((moved & (task.positives(side.first, share) == is_positive)).sum())
        parts.append(f"{names[side.letter]} flips **{moved.sum():,}** ({right:,} of them to the correct class)")
    return f"From {HALF:.0%} to {100 * share:.4g}%: " + ", ".join(parts)


def listed(sides: Sides, task: Task, share: float, shown: str) -> tuple[np.ndarray, list[str]]:
    """The images that `shown`, one of FLIPS or CONFUSED, names, and a note on each with both models' probabilities.

    Returns rows of the sides, int (n,), those on whose probability the models differ most first.
    """
    runs = (sides.a.first, sides.b.first)
    if shown in CONFUSED:
        a, b = (task.confused(run) for run in runs)
    elif shown == FLIPS[3]:
        a, b = (task.positives(run, share) for run in runs)
    else:
        a, b = (flips(run, task, share) for run in runs)
    chosen = {FLIPS[1]: a, CONFUSED[1]: a, FLIPS[2]: b, CONFUSED[2]: b, FLIPS[3]: a != b}.get(shown, a | b)
    p_a, p_b = (task.probability(task.scores(run)[0])[chosen] for run in runs)
    order = np.argsort(-np.abs(p_b - p_a), kind="stable")
    name = sides.class_names[task.positive]
    notes = [f"{name}: A {p_a[i]:.1%} · B {p_b[i]:.1%}" for i in order]
    return task.scores(sides.a.first)[2][chosen][order], notes
