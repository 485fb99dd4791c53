"""Why a number is absent: what its runs would have to hold for it. Every table, page and file asks here."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from cifarcore.evidence.softmax import once
from cifarcore.runs.run import Run
from cifarcore.runs.scores import SOFTMAX, ZEROS, is_softmax
from cifarcore.text import plain

#: numbers that need more than the predicted class of each image, as messages name them
NEEDS_SCORES = {
    "top5": "top-5 accuracy",
    "macro_auc": "ROC curves and AUC",
    "ece": "calibration error",
    "brier": "Brier score",
    "log_loss": "log loss",
    "confidence": "confidence",
    "average": "averaged probabilities",
    "maps": "maps of the scores",
}


#: of one model by the summed probabilities and of the other by the predicted class, it would be two measures
SUPERCLASS = "superclass_accuracy"
_NAMES = NEEDS_SCORES | {SUPERCLASS: "a comparison of superclass accuracy"}

_ENOUGH = 100  #: images tell logits from probabilities; only where they do not, all are looked at

#: what a run may lack: the numbers that it leaves out, which runs those are, and what they give in place
_REASONS: tuple[tuple[Collection[str], Callable[[Run], bool], str], ...] = (
    (NEEDS_SCORES, lambda run: not run.has_scores, "the predicted class of each image, without scores"),
    (
        ("ece", "brier", "log_loss"),
        lambda run: bool(_through_softmax(run)[0]),
        "as logits what lies within 0..1 and sums to one, as after softmax; import these scores as probabilities",
    ),
    (("macro_auc",), lambda run: bool((run.labels == run.labels[:1]).all()), "images of one class alone"),
    (("log_loss",), lambda run: bool(run.meta.get(ZEROS)), "the true class of some images a probability of zero"),
)


def why(number: str, *runs: Run) -> str:
    """Why `number` cannot be had of these runs, in words that name them; "" where it can.

    `number` is one of verdict.METRICS or a key of NEEDS_SCORES; whatever is not listed here can always be had.
    """
    for numbers, lacking, given in _REASONS:
        names = dict.fromkeys(plain(run.group) for run in runs if number in numbers and lacking(run))
        if names:
            return f"{' and '.join(names)} {'gives' if len(names) == 1 else 'give'} {given}"
    if number == SUPERCLASS and len({run.has_scores for run in runs if run.superclass_of is not None}) > 1:
        return why("confidence", *runs) + ", and the other model's superclass is that of the highest summed probability"
    return ""


def notes(runs: Sequence[Run], numbers: Sequence[str] = tuple(_NAMES)) -> list[str]:
    """Which of the `numbers` are absent of these runs and why, a sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for number in numbers:
        if reason := why(number, *runs):
            by_reason.setdefault(reason, []).append(_NAMES[number])
    return [f"Not available: {', '.join(absent)}; {reason}." for reason, absent in by_reason.items()]


def note(number: str, *runs: Run) -> str:
    """`notes` of one number; "" where it can be had."""
    return "".join(notes(runs, (number,)))


@once
def _through_softmax(run: Run) -> np.ndarray:
    """Whether what a run holds as logits was through softmax, bool (1,): its `meta` knows, if `import` wrote it."""
    by_hand = run.has_scores and is_softmax(run.logits[:_ENOUGH]) and is_softmax(run.logits)
    return np.array([by_hand or bool(run.meta.get(SOFTMAX))])
