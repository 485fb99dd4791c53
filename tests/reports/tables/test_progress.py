"""What a running retraining reports, as its charts draw it."""

from cifarcore.reports.tables.progress import accuracy_frame, loss_frame, seconds_in_all
from cifarcore.retraining.progress import Progress


def learning(learned, **numbers):
    return {"phase": "learning", "at": 100.0 + learned, "learned": learned} | numbers


def test_losses_and_accuracies_by_seconds_of_learning():
    lines = (
        {"phase": "starting", "at": 99.0},
        learning(0.0, loss=4.5, fraction=0.0, val_accuracy=0.25, val_focus_accuracy=0.125),
        learning(2.0, loss=3.5, fraction=0.1),
        learning(5.0, loss=3.0, fraction=0.25, val_accuracy=0.5),
    )
    progress = Progress(lines)
    assert loss_frame(progress).to_dict("list") == {"seconds": [0.0, 2.0, 5.0], "loss": [4.5, 3.5, 3.0]}
    assert accuracy_frame(progress).to_dict("list") == {
        "seconds": [0.0, 0.0, 5.0], "accuracy": [0.25, 0.125, 0.5], "classes": ["all", "focus", "all"],
    }  # fmt: skip
    assert seconds_in_all(progress) == 20.0
    assert seconds_in_all(Progress(lines[:2])) == 1.0
    assert seconds_in_all(Progress((learning(7.0, loss=1.0),))) == 7.0
    assert loss_frame(Progress()).empty and accuracy_frame(Progress(lines[:1])).columns.tolist() == [
        "seconds", "accuracy", "classes",
    ]  # fmt: skip
