"""What people have found in CIFAR-100's test images, as sentences and tables of text; computed by evidence.known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.known_images import known_images
from cifarcore.evidence import known
from cifarcore.reports.sides import Sides
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, spaced

DUPLICATES_STUDY = "Barz and Denzler, Journal of Imaging 2020"
LABELS_STUDY = "Northcutt, Athalye and Mueller, NeurIPS Datasets and Benchmarks 2021"
DUPLICATES = f"Duplicates: {DUPLICATES_STUDY}."
LABELS = f"Labels: five people each, {LABELS_STUDY}. Disputed: fewer than three confirm it."
SOURCES = (
    f"{DUPLICATES} {LABELS} Corrected: three or more prefer the other class that was offered; the other disputed ones "
    "are left out."
)


def repeat_text(repeats: pd.DataFrame) -> str:
    """known.repeats as a sentence: how far B - A moves."""
    if len(repeats) < 2:
        return "Neither a duplicate of a training image nor a disputed label is known among these test images."
    points = 100 * repeats["difference"]
    return (
        f"B − A is {number(points[0], '+.2f')} points on all {repeats['images'][0]:,} test images, and between "
        f"{number(points[1:].min(), '+.2f')} and {number(points[1:].max(), '+.2f')} without duplicates of training "
        "images and with disputed labels left out or corrected."
    )


def repeat_table(repeats: pd.DataFrame) -> pd.DataFrame:
    """known.repeats as text: Test images, Images, Labels changed, A, B, B − A (points), 95% CI, p."""
    return pd.DataFrame(
        {
            "Test images": [what[0].upper() + what[1:] for what in repeats["what"]],
            "Images": [f"{n:,}" for n in repeats["images"]],
            "Labels changed": [f"{n:,}" if n else "" for n in repeats["corrected"]],
            "A": [number(value, ".4f") for value in repeats["a"]],
            "B": [number(value, ".4f") for value in repeats["b"]],
            "B − A (points)": [number(100 * value, "+.2f") for value in repeats["difference"]],
            "95% CI": [interval(100 * low, 100 * high, "+.2f") for low, high in repeats[["low", "high"]].to_numpy()],
            "p": [p_value(value) for value in repeats["p"]],
        }
    )


def coincidence_text(counts: known.Coincidence | None) -> str:
    """How far people dispute the labels that the models suspect; nothing where nobody was asked about these images."""
    if counts is None or not counts.suspects:
        return ""
    if not counts.asked:
        return f"None of these {counts.suspects:,} images was shown to people."
    share, usual = counts.disputed / counts.asked, counts.all_disputed / counts.all_asked
    return (
        f"Five people each were asked about {counts.asked:,} of these {counts.suspects:,} images. They dispute the "
        f"label of {counts.disputed:,} ({share:.0%}, 95% CI {counts.low:.0%} to {counts.high:.0%}; {usual:.0%} of all "
        f"{counts.all_asked:,} that they were asked about), and prefer the models' class for {counts.agreed:,}. They "
        "were shown images that another model had doubted, so this says nothing about the others."
    )


def vote_lines(sides: Sides, rows: np.ndarray) -> list[str]:
    """What five people said of the label of each of the images `rows`; empty where nobody was asked."""
    votes = memo(known.people, sides.a.first)
    if votes is None:
        return [""] * len(rows)
    lines = []
    for row in rows:
        given, other, neither, both = votes.votes[row].tolist()
        counts = [(given, sides.class_names[sides.labels[row]]), (other, sides.class_names[votes.other[row]])]
        counts += [(n, word) for n, word in ((both, "both"), (neither, "neither")) if n]
        line = "five people: " + ", ".join(f"{n} {word}" for n, word in counts)
        lines.append(line if votes.asked[row] else "")
    return lines


def duplicate_kinds(sides: Sides) -> np.ndarray:
    """known.duplicates of both models' first seeds, computed once."""
    kinds: np.ndarray = memo(known.duplicates, (sides.a.first, sides.b.first))
    return kinds


def twin_ids(sides: Sides) -> np.ndarray:
    """Sample id of the CIFAR-100 training image that each image duplicates, uint64 (N,); 0 without one."""
    rows = memo(known.official_rows, sides.a.first)
    return np.where(rows >= 0, known_images().twin_id[rows], np.uint64(0))


def twin_labels(sides: Sides) -> list[str]:
    """The class of that training image, as it is shown; empty without one."""
    rows = memo(known.official_rows, sides.a.first)
    names = np.array([*map(spaced, CLASS_NAMES), ""])
    labels: list[str] = names[np.where(rows >= 0, known_images().twin_label[rows], -1)].tolist()
    return labels


def known_numbers(runs: Sequence[Run], n_a: int) -> dict[str, Any] | None:
    """All of it as numbers for JSON; None where nothing is known of these images."""
    if not known.judged(runs[0]):
        return None
    coincidence = known.coincidence(runs)
    return {
        "repeats": known.repeats(runs, n_a).to_dict("records"),
        "suspect_labels": None if coincidence is None else vars(coincidence),
    }
