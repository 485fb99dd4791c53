"""What people have found in CIFAR-100's test images, applied to runs: duplicates of training images, disputed labels,
and how much both matter for the difference in accuracy. Of other images only exact copies are known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.ids import rows_of
from cifarcore.data.known_images import DUPLICATE_KINDS, SAME_PHOTO, VOTES, known_images
from cifarcore.evidence.paired import wilson_interval
from cifarcore.evidence.shares import share_difference
from cifarcore.runs.class_names import normal_name
from cifarcore.runs.run import Run
from cifarcore.text import number

MOST = 3  #: of five people


@dataclass(frozen=True, eq=False)
class People:
    """What five people each said of the label of N images; classes are indices into the run's class names."""

    votes: np.ndarray  #: int8 (N, 4), how many of five gave each of known_images.VOTES; all 0 where nobody was asked
    other: np.ndarray  #: int64 (N,), the class that was offered beside the label; -1 where nobody was asked

    @property
    def asked(self) -> np.ndarray:
        """bool (N,)"""
        return self.other >= 0

    @property
    def disputed(self) -> np.ndarray:
        """Whether fewer than three of five found the label right, bool (N,)."""
        return self.asked & (self.votes[:, VOTES.index("given")] < MOST)

    @property
    def prefer_other(self) -> np.ndarray:
        """Whether three or more of five found the other class right instead of the label, bool (N,)."""
        return self.votes[:, VOTES.index("other")] >= MOST


def people(run: Run) -> People | None:
    """The votes on the run's images, known by id and label; None where none is of CIFAR-100's test split."""
    ours = {normal_name(name): place for place, name in enumerate(run.class_names.tolist())}
    place = np.array([ours.get(normal_name(name), -1) for name in CLASS_NAMES])  # of CIFAR-100's classes in the run
    if (place < 0).any():
        return None
    known = known_images()
    back = np.full(run.n_classes, -1)
    back[place] = np.arange(len(CLASS_NAMES))
    rows = known.rows_of(run.sample_ids, back[run.labels])
    if (rows < 0).all():
        return None
    here = rows >= 0
    asked = here & known.asked[rows]
    return People(np.where(here[:, None], known.votes[rows], 0), np.where(asked, place[known.other_label[rows]], -1))


def official_rows(run: Run) -> np.ndarray:
    """Row in known_images() of each image that is known there, by its id alone, int64 (N,); -1 for other images."""
    return rows_of(known_images().sample_ids, run.sample_ids)


def duplicates(runs: Sequence[Run]) -> np.ndarray:
    """Which images are in the training set again, str (N,): one of DUPLICATE_KINDS, by people's judgement.

    Of images that are not CIFAR-100's only "exact" is known: a run lists their own bytes among the nearest training
    images. Row i of every run is the same image.
    """
    rows = official_rows(runs[0])
    copies = np.zeros(len(rows), bool)
    for run in runs:
        if run.train_neighbor_ids is not None:
            copies |= (run.train_neighbor_ids == run.sample_ids[:, None]).any(axis=1)
    judged = np.array(DUPLICATE_KINDS)[known_images().duplicate[rows]]
    return np.where(rows >= 0, judged, np.where(copies, "exact", ""))


def judged(run: Run) -> bool:
    """Whether people have looked for duplicates of any of the run's images."""
    return bool((official_rows(run) >= 0).any())


def repeats(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """The difference in accuracy on all images, and again without the doubtful ones; A's `n_a` runs first.

    Columns what, images, left_out, corrected (images), a, b (accuracies), difference, low, high (95%), p, by
    shares.share_difference. No row but the first where nothing is known. Corrected is a label where at least three of
    five people prefer the other class; disputed ones without such a majority are left out.
    """
    first, labels = runs[0], runs[0].labels.astype(np.int64)
    kinds, votes = duplicates(runs), people(first)
    same = np.isin(kinds, SAME_PHOTO)
    cases = [
        ("all images", np.ones(len(labels), bool), labels),
        ("without exact duplicates", kinds != "exact", labels),
        ("without exact and near duplicates", ~same, labels),
        ("without exact, near and similar ones", kinds == "", labels),
    ]
    if votes is not None:
        corrected = np.where(votes.disputed & votes.prefer_other, votes.other, labels)
        clear = ~votes.disputed | votes.prefer_other
        cases += [
            ("without disputed labels", ~votes.disputed, labels),
            ("with disputed labels corrected", clear, corrected),
            ("without exact and near duplicates, labels corrected", clear & ~same, corrected),
        ]
    rows: list[dict] = []
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    for what, keep, truth in cases:
        changed = int((truth != labels)[keep].sum())
        if any(np.array_equal(keep, other) and np.array_equal(truth, another) for other, another in seen):
            continue  # no image of this kind
        seen.append((keep, truth))
        share = share_difference(np.stack([run.predictions[keep] == truth[keep] for run in runs]), truth[keep], n_a)
        rows.append(
            {"what": what, "images": int(keep.sum()), "left_out": int((~keep).sum()), "corrected": changed,
             "a": share.a, "b": share.b, "difference": share.difference, "low": share.low, "high": share.high,
             "p": share.p}
        )  # fmt: skip
    return pd.DataFrame(rows)


def notes(runs: Sequence[Run], n_a: int) -> list[str]:
    """What duplicates and disputed labels do to the difference in accuracy, a sentence each."""
    kinds, votes = duplicates(runs), people(runs[0])
    same = np.isin(kinds, SAME_PHOTO)
    if not judged(runs[0]):
        return _without(
            same, runs, n_a, "1 test image is an exact copy of a training image (train-test duplicate)",
            "{n:,} test images are exact copies of training images (train-test duplicates)",
        )  # fmt: skip
    sentences = _without(
        same, runs, n_a, "1 test image is an exact or near duplicate of a training image (Barz and Denzler, 2020)",
        "{n:,} test images are exact or near duplicates of training images (Barz and Denzler, 2020)",
    )  # fmt: skip
    if votes is not None:
        sentences += _without(
            votes.disputed, runs, n_a,
            "1 label is disputed: fewer than three of five people confirm it (Northcutt et al., 2021)",
            "{n:,} labels are disputed: fewer than three of five people confirm them (Northcutt et al., 2021)",
        )  # fmt: skip
    return sentences


@dataclass(frozen=True)
class Coincidence:
    """How far the labels that the models suspect are those that people dispute."""

    suspects: int  #: images to which every run gives one same class other than the label
    asked: int  #: of these, about which people were asked
    disputed: int  #: of these, whose label people dispute
    agreed: int  #: of those asked, for which at least three of five people name the models' class
    low: float  #: 95% CI (Wilson) of disputed / asked
    high: float
    all_asked: int  #: of all images of the comparison
    all_disputed: int


def coincidence(runs: Sequence[Run]) -> Coincidence | None:
    """Count it on the images of the runs, row i of which are the same; None where nobody was asked about them."""
    first, votes = runs[0], people(runs[0])
    if votes is None or not votes.asked.any():
        return None
    suspect = np.all([run.predictions == first.predictions for run in runs], axis=0) & ~first.correct
    asked = suspect & votes.asked
    low, high = wilson_interval(np.array((asked & votes.disputed).sum()), np.array(asked.sum()))
    agreed = asked & votes.prefer_other & (votes.other == first.predictions)
    counts = (suspect, asked, asked & votes.disputed, agreed)
    return Coincidence(
        *(int(mask.sum()) for mask in counts), float(low), float(high), int(votes.asked.sum()),
        int(votes.disputed.sum()),
    )  # fmt: skip


def _without(images: np.ndarray, runs: Sequence[Run], n_a: int, one: str, several: str) -> list[str]:
    """The sentence on `images`, bool (N,), which `one` or `several` of them are; none where there is none."""
    n = int(images.sum())
    if not n:
        return []
    what = one if n == 1 else several.format(n=n)
    if images.all():
        return [f"{what}; these are all there are."]
    a, b = (np.mean([run.correct[~images].mean() for run in side]) for side in (runs[:n_a], runs[n_a:]))
    return [
        f"{what}; without {'it' if n == 1 else 'them'} accuracy is {a:.4f} (A) and {b:.4f} (B), "
        f"B − A {number(100 * (b - a), '+.2f')} points."
    ]
