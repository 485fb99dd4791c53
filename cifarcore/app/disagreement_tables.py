"""Which images the disagreements page shows, in which order and with which note; the rules are disagreement's.

Predictions and confidences are those of each side's first seed; suspect labels take the agreement of all seeds.
"""

import numpy as np
import pandas as pd

from cifarcore import disagreement
from cifarcore.app.state import View, memo

SURE = 0.9  # what «confidently wrong» takes by default
#: the groups of the page: what each holds
GROUPS = {
    "only A right": "Model A is right and B wrong",
    "only B right": "Model B is right and A wrong",
    "both wrong": "Both models are wrong",
    "same wrong answer": "Both models give the same wrong class",
    "confidently wrong": "A model is wrong and sure of it",
    "suspect labels": "Every seed of both models gives one same class other than the label: a hint, no proof",
    "also in training": "The same picture, or one as near as a copy, is among the training images",
}
_FOUR_WAY = {"only A right": "only A", "only B right": "only B", "both wrong": "both wrong"}


def inside(view: View, group: str, sure: float = SURE) -> np.ndarray:
    """Which images of the view belong to one of GROUPS, bool (N,); `sure` is a confident error's least confidence."""
    a, b = view.a.first, view.b.first
    if group in _FOUR_WAY:
        return memo(disagreement.four_way, view.pair) == _FOUR_WAY[group]
    if group == "same wrong answer":
        return ~a.correct & (a.predictions == b.predictions)
    if group == "confidently wrong":
        return memo(disagreement.wrong_confidence, view.pair) >= sure
    mask = np.zeros(a.n_images, dtype=bool)
    if group == "suspect labels":
        mask[_suspects(view)["row"]] = True
    else:
        mask[_in_training(view) != ""] = True
    return mask


def in_every_seed(view: View, group: str) -> np.ndarray | None:
    """As `inside`, where every seed of each model is right, or wrong, as the group says; None for a group of one seed."""
    if group not in _FOUR_WAY:
        return None
    right = {"only A right": "A", "only B right": "B"}.get(group)
    each = [side.wrong_in == (0 if side.letter == right else len(side.runs)) for side in (view.a, view.b)]
    return each[0] & each[1]


def ranked(view: View, group: str, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The rows of `mask`, those first that the group is about, and a line on each."""
    rows = np.flatnonzero(mask)
    names = np.array(view.class_names)
    if group == "suspect labels":
        suspects = _suspects(view)
        suspects = suspects[mask[suspects["row"]]]
        said = names[suspects["predicted"]]
        notes = [
            f"all say {name}, {share:.0%} on average" for name, share in zip(said, suspects["confidence"], strict=True)
        ]
        return suspects["row"].to_numpy(), notes
    if group == "also in training":
        marks, cosine = _in_training(view)[rows], _nearest_cosine(view)[rows]
        order = np.lexsort((-cosine, marks != "in training"))
        return rows[order], [marks[i] + (f", cosine {cosine[i]:.3f}" if cosine[i] else "") for i in order]
    if group == "confidently wrong":
        score = memo(disagreement.wrong_confidence, view.pair)[rows]
        order = np.argsort(-score, kind="stable")
        return rows[order], [f"wrong with {score[i]:.1%}" for i in order]
    clash = memo(disagreement.both_sure, view.pair)[rows]
    order = np.argsort(-clash, kind="stable")
    word = "clash" if group in ("only A right", "only B right") else "both sure"
    return rows[order], [f"{word} {clash[i]:.2f}" for i in order]


def over_represented(view: View, mask: np.ndarray) -> pd.DataFrame:
    """disagreement.over_represented_among of all the test images, with names fit to show."""
    table = disagreement.over_represented_among(view.a.first, mask)
    names = {"class": view.class_names, "superclass": view.superclass_names}
    return table.assign(name=[names[kind][index] for kind, index in zip(table["kind"], table["index"], strict=True)])


def want_of_neighbors(view: View) -> str:
    """Why near-duplicates are not known, and what would find them; nothing where a run holds nearest training images."""
    runs = (view.a.first, view.b.first)
    if any(run.train_neighbor_ids is not None for run in runs):
        return ""
    if all("imported" in run.meta for run in runs):
        return "Images that resemble a training image are found by a model's features, which imported predictions do not hold."
    return "Images that resemble a training image are found by `cifarcore project RUN`, for models evaluated here."


def _suspects(view: View) -> pd.DataFrame:
    return memo(disagreement.suspect_labels, (*view.a.runs, *view.b.runs))


def _in_training(view: View) -> np.ndarray:
    """disagreement.duplicates by either model: what one of them has found among the training images."""
    a, b = (memo(disagreement.duplicates, side.first) for side in (view.a, view.b))
    return np.where((a == "in training") | (b == ""), a, b)


def _nearest_cosine(view: View) -> np.ndarray:
    """The cosine of the nearest training image, the greater of both models', float (N,); 0 without any."""
    found = [side.first.train_neighbor_cosine for side in (view.a, view.b)]
    known = [cosine[:, 0].astype(float) for cosine in found if cosine is not None]
    return np.max([np.zeros(len(view.labels)), *known], axis=0)
