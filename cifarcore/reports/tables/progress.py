"""What a running retraining has reported, as the frames that its charts draw."""

import pandas as pd

from cifarcore.retraining.progress import Progress

KINDS = ("all", "focus")  #: of classes


def loss_frame(progress: Progress) -> pd.DataFrame:
    """Columns seconds (of learning), loss; a row for each report, the latest last."""
    return pd.DataFrame(
        [{"seconds": line["learned"], "loss": line["loss"]} for line in progress.series("loss")],
        columns=["seconds", "loss"],
    )


def accuracy_frame(progress: Progress) -> pd.DataFrame:
    """Columns seconds, accuracy (0..1, on the validation split), classes (one of KINDS: all, or the focus alone)."""
    records = [
        {"seconds": line["learned"], "accuracy": line[key], "classes": kind}
        for line in progress.series("val_accuracy")
        for key, kind in zip(("val_accuracy", "val_focus_accuracy"), KINDS, strict=True)
        if key in line
    ]
    return pd.DataFrame(records, columns=["seconds", "accuracy", "classes"])


def seconds_in_all(progress: Progress) -> float:
    """How long the learning will have taken at its end, by the share of it that is done; at least a second."""
    last = progress.series("loss")[-1]
    return max(1.0, last["learned"] / max(last.get("fraction", 1.0), 0.01))
