"""In which order images are shown, and what is said of each model's predictions on them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import softmax
from cifarcore.evidence.disagreement import FOUR_WAYS, four_way
from cifarcore.evidence.flips import NEWLY_RIGHT, NEWLY_WRONG
from cifarcore.reports.sides import Side, Sides
from cifarcore.runs.memo import memo
from cifarcore.text import number, plain

MOST_DOTS = 10  # seeds of which each has a dot
#: what each outcome is called everywhere, by what replacing A by B changes; and where there is room
OUTCOMES = dict(zip(FOUR_WAYS, ("both correct", NEWLY_WRONG, NEWLY_RIGHT, "neither"), strict=True))
OUTCOMES_SAID = OUTCOMES | {
    "only A": f"{NEWLY_WRONG} (only A correct)",
    "only B": f"{NEWLY_RIGHT} (only B correct)",
    "neither": "neither correct",
}
#: what the pictures of a slice are narrowed to
WITHIN_SLICE = ("all", NEWLY_WRONG, NEWLY_RIGHT, "misclassified by B")


def surest_first(sides: Sides, rows: np.ndarray) -> np.ndarray:
    """`rows`, those first on which either model (its first seed) is surest; as they are where neither has scores."""
    sure = np.fmax(memo(softmax.confidence, sides.a.first), memo(softmax.confidence, sides.b.first))
    return rows[np.argsort(-sure[rows], kind="stable")]


def surest_words(sides: Sides) -> str:
    """The order of `surest_first` in words, to follow what is shown; nothing where no confidence is known."""
    scored = sides.a.first.has_scores or sides.b.first.has_scores
    return ", the most confident prediction of either model first" if scored else ""


def within_slice(sides: Sides, rows: np.ndarray) -> dict[str, np.ndarray]:
    """`rows`, `surest_first`, of which each of WITHIN_SLICE is true under the first seeds."""
    rows = surest_first(sides, rows)
    outcome, wrong = memo(four_way, sides.pair)[rows], ~sides.b.first.correct[rows]
    kept = (np.ones(len(rows), bool), outcome == "only A", outcome == "only B", wrong)
    return {name: rows[mask] for name, mask in zip(WITHIN_SLICE, kept, strict=True)}


def wrong_first(sides: Sides, rows: np.ndarray) -> np.ndarray:
    """`rows` that some run gets wrong, those that most runs of both models get wrong first."""
    wrong = sides.a.wrong_in[rows] + sides.b.wrong_in[rows]
    order = np.argsort(-wrong, kind="stable")
    return rows[order][wrong[order] > 0]


def predictions(side: Side, rows: np.ndarray, names: Sequence[str], several_seeds: bool) -> list[dict]:
    """What the side's first run predicts for each of `rows`, as a tile shows it: letter, name (of the class, among
    `names`), confidence, right, seeds (how many runs are correct; empty unless there are `several_seeds`),
    dots (the same, a filled dot for each run that is correct).
    """
    run = side.first.take(rows)
    confidence, n = softmax.confidence(run), len(side.runs)
    return [
        {
            "letter": side.letter,
            "name": names[predicted],
            "confidence": number(share, ".0%"),
            "right": bool(right),
            "seeds": f"correct in {n - wrong} of {n} seeds" if several_seeds else "",
            "dots": "●" * (n - int(wrong)) + "○" * int(wrong) if several_seeds and n <= MOST_DOTS else "",
        }
        for predicted, share, right, wrong in zip(
            run.predictions, confidence, run.correct, side.wrong_in[rows], strict=True
        )
    ]


def seeds_legend(sides: Sides) -> str:
    """Whose predictions the tiles show, and what their dots mean by an example; empty without several seeds."""
    if not sides.several_seeds:
        return ""
    n = max(len(side.runs) for side in (sides.a, sides.b))
    dots = f" · {'●' * (n - 1)}○ correct in {n - 1} of {n} seeds" if n <= MOST_DOTS else ""
    return f"Predictions of {sides.first_seeds}{dots}"


def image_table(sides: Sides, rows: np.ndarray, notes: Sequence[str] | None = None) -> pd.DataFrame:
    """The images `rows`: id, label, and of each model's first run its prediction and the probabilities of it and of the
    label; in how many of its seeds the image is misclassified; a note where there are `notes`, one for each of `rows`.
    """
    names, labels, at = np.array(sides.class_names), sides.labels[rows], np.arange(len(rows))
    table: dict[str, object] = {
        "sample_id": [f"{i:016x}" for i in sides.sample_ids[rows]],
        "label": labels,
        "label_name": names[labels],
    }
    for side in (sides.a, sides.b):
        run = side.first.take(rows)
        probabilities = softmax.probabilities(run)
        table |= {
            f"{side.letter}_run": plain(side.first.name),
            f"{side.letter}_prediction": run.predictions,
            f"{side.letter}_prediction_name": names[run.predictions],
            f"{side.letter}_probability_of_prediction": probabilities[at, run.predictions],
            f"{side.letter}_probability_of_label": probabilities[at, labels],
            f"{side.letter}_wrong_seeds": side.wrong_in[rows],
            f"{side.letter}_seeds": len(side.runs),
        }
    if notes is not None:
        table["note"] = [plain(note) for note in notes]
    return pd.DataFrame(table)
