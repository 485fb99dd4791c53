"""Which images the disagreements page shows, in which order and with which note; the rules are disagreement's.

Predictions and confidences are those of each side's first seed; suspect labels take the agreement of all seeds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.data.known_images import DUPLICATE_KINDS
from cifarcore.evidence import disagreement, known
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.galleries import OUTCOMES
from cifarcore.reports.tables.known import duplicate_kinds, twin_ids, twin_labels, vote_lines
from cifarcore.runs.memo import memo
from cifarcore.text import distinct, number, plain, spaced

SURE = 0.9  # what "confidently wrong" takes by default
#: the groups of the page: what each holds
GROUPS = {
    "only A correct": "{a} is correct and {b} is wrong",
    "only B correct": "{b} is correct and {a} is wrong",
    "both wrong": "Both models are wrong",
    "same wrong class": "Both models predict the same wrong class",
    "confidently wrong": "At least one model is confidently wrong",
    "suspect labels": "Every seed of both models predicts the same class, which is not the label: a hint, not a proof",
    "disputed labels": "Fewer than three of five people confirm the label",
    "train-test duplicates": "The image, or one like it, is among the training images, as judged by people",
}
#: what the last one holds where nobody has looked at the images
_RESEMBLING = (
    "An exact copy, or an image with nearly the same features, is among the training images: a hint, not a judgement"
)
_FOUR_WAY = {"only A correct": "only A", "only B correct": "only B", "both wrong": "neither"}


def groups(sides: Sides) -> dict[str, str]:
    """Those of GROUPS that these images can have, and what each holds."""
    asked = memo(known.people, sides.a.first) is not None
    possible = {group: what for group, what in GROUPS.items() if asked or group != "disputed labels"}
    return possible if memo(known.judged, sides.a.first) else possible | {"train-test duplicates": _RESEMBLING}


def inside(sides: Sides, group: str, sure: float = SURE) -> np.ndarray:
    """Which images of the sides belong to one of GROUPS, bool (N,); `sure` is a confident error's least confidence."""
    a, b = sides.a.first, sides.b.first
    if group in _FOUR_WAY:
        return memo(disagreement.four_way, sides.pair) == _FOUR_WAY[group]
    if group == "same wrong class":
        return ~a.correct & (a.predictions == b.predictions)
    if group == "confidently wrong":
        return memo(disagreement.wrong_confidence, sides.pair) >= sure
    mask = np.zeros(a.n_images, dtype=bool)
    if group == "suspect labels":
        mask[_suspects(sides)["row"]] = True
    elif group == "disputed labels":
        votes = memo(known.people, a)
        mask = mask if votes is None else votes.disputed
    else:
        mask[_marks(sides) != ""] = True
    return mask


def counted(sides: Sides, names: Sequence[str], sure: float = SURE) -> dict[str, str]:
    """The groups `names` as they stand on the page's segments, with their images."""
    return {name: f"{called(name)} {inside(sides, name, sure).sum():,}" for name in names}


def counted_by(sides: Sides) -> str:
    """What `counted` counts by other seeds than the page's title, in words; nothing where each model has one."""
    return "suspect labels by all seeds" if sides.several_seeds else ""


def called(group: str) -> str:
    """One of GROUPS by its name on the page: what replacing A by B breaks is newly wrong, what it mends newly right."""
    return OUTCOMES[_FOUR_WAY[group]] if group in ("only A correct", "only B correct") else group


def in_every_seed(sides: Sides, group: str) -> np.ndarray | None:
    """As `inside`, where every seed of each model is right, or wrong, as the group says; None for a group of one
    seed.
    """
    if group not in _FOUR_WAY:
        return None
    right = {"only A correct": "A", "only B correct": "B"}.get(group)
    each = [side.wrong_in == (0 if side.letter == right else len(side.runs)) for side in (sides.a, sides.b)]
    return each[0] & each[1]


def ranked(sides: Sides, group: str, mask: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The rows of `mask`, those first that the group is about, and a line on each."""
    rows = np.flatnonzero(mask)
    if group == "suspect labels":
        suspects = _suspects(sides)
        suspects = suspects[mask[suspects["row"]]]
        rows = suspects["row"].to_numpy()
        notes = [
            "; ".join(filter(None, (_if_known(share, "mean confidence {:.0%}"), votes)))
            for share, votes in zip(suspects["confidence"], vote_lines(sides, rows), strict=True)
        ]
        return rows, notes
    if group == "disputed labels":
        votes = memo(known.people, sides.a.first).votes[rows]
        rows = rows[np.lexsort((-votes[:, 1], votes[:, 0]))]
        return rows, vote_lines(sides, rows)
    if group == "train-test duplicates":
        return _ranked_duplicates(sides, rows)
    if group == "confidently wrong":
        score = memo(disagreement.wrong_confidence, sides.pair)[rows]
        order = np.argsort(-score, kind="stable")
        return rows[order], [f"wrong at {score[i]:.1%} confidence" for i in order]
    joint = memo(disagreement.both_sure, sides.pair)[rows]
    order = np.argsort(-joint, kind="stable")
    return rows[order], [_if_known(joint[i], "joint confidence {:.2f}") for i in order]


def order_words(sides: Sides, group: str) -> str:
    """The order in which `ranked` gives a group's images, in words; nothing where no confidence is known."""
    scored = [run.has_scores for run in (*sides.a.runs, *sides.b.runs)]
    if group == "train-test duplicates":
        return "exact ones first"
    if group == "disputed labels":
        return "least confirmed first"
    if group in ("suspect labels", "confidently wrong"):
        return "most confident first" if any(scored) else ""
    return "highest joint confidence first" if sides.a.first.has_scores and sides.b.first.has_scores else ""


def _if_known(value: float, form: str) -> str:
    return "" if np.isnan(value) else form.format(value)


def over_represented(sides: Sides, mask: np.ndarray) -> pd.DataFrame:
    """disagreement.over_represented_among of all the test images, with names fit to show."""
    table = disagreement.over_represented_among(sides.a.first, mask)
    names = dict(zip(("class", "superclass"), _names(sides), strict=True))
    return table.assign(name=[names[kind][index] for kind, index in zip(table["kind"], table["index"], strict=True)])


def of_name(sides: Sides, name: str | None) -> np.ndarray:
    """Which images are of the class or superclass called `name`, bool (N,); all of them for None."""
    classes, superclasses = _names(sides)
    of_class, of = np.array([name in (None, each) for each in classes]), sides.a.first.superclass_of
    if of is not None:
        of_class |= (np.array(superclasses) == name)[of]
    return of_class[sides.labels]


def _names(sides: Sides) -> tuple[list[str], list[str]]:
    """Of the classes and of the superclasses, no two alike: one list offers both, and a superclass is often called as
    one of its classes.
    """
    taken = sides.class_names
    superclasses = (f"{name} (superclass)" if name in taken else name for name in sides.superclass_names)
    names = distinct([*taken, *superclasses])
    return names[: len(taken)], names[len(taken) :]


def want_of_neighbors(sides: Sides) -> str:
    """Why resembling training images are not known, and what would find them; nothing where people have looked, or a
    run holds nearest training images.
    """
    runs = (sides.a.first, sides.b.first)
    if memo(known.judged, runs[0]) or any(run.train_neighbor_ids is not None for run in runs):
        return ""
    if all("imported" in run.meta for run in runs):
        return (
            "Images that resemble a training image are found by a model's features, which imported predictions "
            "do not hold."
        )
    return "Images that resemble a training image are found by `cifarcore project RUN`, for models evaluated here."


def twins_of(sides: Sides, group: str, rows: np.ndarray) -> np.ndarray | None:
    """Sample id of the training image that each of `rows` duplicates, uint64 (n,), 0 for none; None in other groups."""
    return twin_ids(sides)[rows] if group == "train-test duplicates" else None


def _suspects(sides: Sides) -> pd.DataFrame:
    return memo(disagreement.suspect_labels, (*sides.a.runs, *sides.b.runs))


def _marks(sides: Sides) -> np.ndarray:
    """known.duplicates; of images at which nobody has looked also "features", by the nearest training image."""
    kinds = duplicate_kinds(sides)
    if memo(known.judged, sides.a.first):
        return kinds
    near = memo(disagreement.resembling, sides.a.first) | memo(disagreement.resembling, sides.b.first)
    return np.where((kinds == "") & near, "features", kinds)


def _ranked_duplicates(sides: Sides, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Exact ones first, then near, similar, and those that a model's features alone point at, the nearest first."""
    marks, labels, (cosine, letter) = _marks(sides), twin_labels(sides), _nearest_cosine(sides)
    kinds = [*DUPLICATE_KINDS[1:], "features", ""]
    place = np.array([kinds.index(mark) for mark in marks[rows]], int)
    rows = rows[np.lexsort((-cosine[rows], place))]
    notes = []
    for row in rows:
        if marks[row] == "features":
            notes.append(f"cosine {cosine[row]:.3f} by {letter[row]}'s features")
        elif not labels[row]:
            notes.append("exact copy of a training image" if marks[row] else "")
        else:
            what = "similar to" if marks[row] == "similar" else f"{marks[row]} duplicate of"
            notes.append(f"{what} a training image of {labels[row]}")
    return rows, notes


def _nearest_cosine(sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """The cosine of the nearest training image, the greater of both models', float (N,), and whose it is, str (N,)."""
    both = [
        np.zeros(len(sides.labels)) if cosine is None else cosine[:, 0].astype(float)
        for cosine in (side.first.train_neighbor_cosine for side in (sides.a, sides.b))
    ]
    return np.maximum(*both), np.where(both[1] > both[0], "B", "A")


def suspect_table(sides: Sides) -> pd.DataFrame:
    """The images to which every run gives the same other class, surest first, as text."""
    table = _suspects(sides)
    lines = vote_lines(sides, table["row"].to_numpy())
    return pd.DataFrame(
        {
            "Sample id": [f"{sample_id:016x}" for sample_id in table["sample_id"]],
            "Label": [plain(spaced(name)) for name in table["label_name"]],
            "Every run predicts": [plain(spaced(name)) for name in table["predicted_name"]],
            "Mean confidence": [number(value, ".1%") for value in table["confidence"]],
        }
        | ({"People": lines} if any(lines) else {})
    )
