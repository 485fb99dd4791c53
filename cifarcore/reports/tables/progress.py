"""What a retraining is to take, and what a running one has reported, as the frames that its charts draw."""

import math

import pandas as pd

from cifarcore.retraining.progress import Progress
from cifarcore.retraining.speeds import Expectation

KINDS = ("focus classes", "other classes")
ALL = "all classes"
#: what may be hoped for, as was measured: see experiments/RESULTS.md
GAIN = (
    "Do not expect much: in the trials behind these defaults no gain in the focus classes' F1 was significant. What a "
    "minute gains is usually within noise; the page Retrained tests each result and says so."
)


def loss_frame(progress: Progress) -> pd.DataFrame:
    """Columns seconds (of learning), loss; a row for each report, the latest last."""
    return pd.DataFrame(
        [{"seconds": line["learned"], "loss": line["loss"]} for line in progress.series("loss")],
        columns=["seconds", "loss"],
    )


def accuracy_frame(progress: Progress) -> pd.DataFrame:
    """Columns seconds, accuracy (0..1, on the validation split), classes (one of KINDS; without a focus ALL), parent:
    the accuracy on the same images before the first step, NaN where that is not known; change against it, in points.
    """
    looks = progress.series("val_accuracy")
    first = _accuracies(looks[0]) if looks and looks[0].get("step") == 0 else {}
    records = [
        {"seconds": line["learned"], "accuracy": accuracy, "classes": kind, "parent": first.get(kind, math.nan)}
        for line in looks
        for kind, accuracy in _accuracies(line).items()
    ]
    frame = pd.DataFrame(records, columns=["seconds", "accuracy", "classes", "parent"])
    return frame.assign(change=100 * (frame["accuracy"] - frame["parent"]))


def accuracy_sentence(progress: Progress) -> str:
    """Where the validation accuracy is now, and where it was with the parent; "" before the first look."""
    frame = accuracy_frame(progress)
    if frame.empty:
        return ""
    parts = []
    for kind, rows in frame.groupby("classes", sort=False):
        last = rows.iloc[-1]
        before = f"{last['parent']:.1%} → " if len(rows) > 1 and math.isfinite(last["parent"]) else ""
        parts.append(f"{kind} {before}{last['accuracy']:.1%}")
    images = progress.series("val_accuracy")[-1].get("val_images", 0)
    accuracies = ", ".join(parts)
    return (
        f"Accuracy of {accuracies}, on {images:,.0f} validation images, which are never trained on. Dashed: the parent."
    )


def _accuracies(look: dict) -> dict[str, float]:
    """The accuracies of one look at the validation split, by kind of classes."""
    in_focus, images, of_focus = (look.get(f"val_{name}") for name in ("focus_accuracy", "images", "focus_images"))
    if in_focus is None or images is None or of_focus is None or not 0 < of_focus < images:
        return {ALL: look["val_accuracy"]}
    others = (look["val_accuracy"] * images - in_focus * of_focus) / (images - of_focus)
    return dict(zip(KINDS, (in_focus, others), strict=True))


def focus_rounds(expected: Expectation, focus_share: float, of_images: float) -> float:
    """How often each image of the focus is seen on average; the focus has the share `focus_share` of each batch and
    `of_images` of the training images (1 and 1 where all classes are alike).
    """
    return expected.passes * focus_share / of_images


def shortest(learning: float, rounds: float, step: float, scoring: float = 0.0) -> float:
    """The least budget, a multiple of `step`, in which each image of the focus is seen once, where while `learning` it
    is seen `rounds` times and the `scoring` takes so much of the budget.
    """
    return math.ceil(round((learning / rounds + scoring) / step, 6)) * step


def seconds_in_all(progress: Progress) -> float:
    """How long the learning will have taken at its end, by the share of it that is done; at least a second."""
    last = progress.series("loss")[-1]
    return max(1.0, last["learned"] / max(last.get("fraction", 1.0), 0.01))
