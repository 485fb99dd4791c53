"""Single images between two models: who is right, what is surprising, and which images or labels are doubtful.

Knows predictions and nearest training images; nothing of intervals or verdicts.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import paired, softmax
from cifarcore.runs.alignment import AlignedPair
from cifarcore.runs.run import Run

FOUR_WAYS = ("both correct", "only A", "only B", "neither")
#: Cosine of the features from which a training image is listed as one that the test image resembles. A hint, not a
#: judgement: of the duplicates that people found in CIFAR-100, features of a weak model find few, and other images too.
RESEMBLES_COSINE = 0.98


def four_way(pair: AlignedPair) -> np.ndarray:
    """Correctness: which of the two models is right on each image, str (N,): one of FOUR_WAYS."""
    a, b = pair.a.correct, pair.b.correct
    return np.select([a & b, a, b], FOUR_WAYS[:3], FOUR_WAYS[3])


def split_frame(groups: np.ndarray) -> pd.DataFrame:
    """Columns group, images, share (0..1) of the outcomes that `four_way` gives, str (N,); a row for each of
    FOUR_WAYS.
    """
    images = [int((groups == group).sum()) for group in FOUR_WAYS]
    return pd.DataFrame({"group": FOUR_WAYS, "images": images, "share": np.divide(images, max(len(groups), 1))})


def both_sure(pair: AlignedPair) -> np.ndarray:
    """The product of both models' confidences, float (N,): large where both are sure, of different classes even."""
    return softmax.confidence(pair.a) * softmax.confidence(pair.b)


def wrong_confidence(pair: AlignedPair) -> np.ndarray:
    """The greatest confidence with which a model is wrong on each image, float (N,); 0 where both are right, or only
    models without scores are wrong.
    """
    sure = (np.where(run.correct | (not run.has_scores), 0, softmax.confidence(run)) for run in (pair.a, pair.b))
    return np.maximum(*sure)


def over_represented_among(run: Run, inside: np.ndarray) -> pd.DataFrame:
    """Which classes and superclasses hold more of the images `inside`, bool (N,), than chance would put there.

    Columns kind ("class" or "superclass"), index, name, images, expected, ratio, p (one-sided hypergeometric, Fisher's
    exact test), q (Benjamini-Hochberg over the classes, and over the superclasses), over (bool: q <= 0.05); the surest
    first.
    """
    from scipy.stats import hypergeom  # here, see `distributions`

    kinds = {"class": (run.labels, run.class_names)}
    if run.superclass_of is not None:
        kinds["superclass"] = (run.superclass_of[run.labels], run.superclass_names)
    tables = []
    for kind, (of_image, names) in kinds.items():
        size, images = (np.bincount(x, minlength=len(names)) for x in (of_image, of_image[inside]))
        expected = size * inside.mean()
        p = hypergeom.sf(images - 1, run.n_images, inside.sum(), size)
        q = paired.q_values(p, size > 0)
        ratio = np.divide(images, expected, out=np.full(len(names), np.nan), where=expected > 0)
        columns = {
            "name": names,
            "images": images,
            "expected": expected,
            "ratio": ratio,
            "p": p,
            "q": q,
            "over": q <= paired.ALPHA,
        }
        tables.append(pd.DataFrame({"kind": kind, "index": np.arange(len(names)), **columns}))
    return pd.concat(tables).sort_values(["p", "ratio"], ascending=[True, False], kind="stable", ignore_index=True)


def severity(run: Run) -> pd.DataFrame:
    """Errors that stay within the superclass, and those that leave it, against chance; empty without superclasses.

    Index "within superclass", "across superclasses"; columns images, share (of all errors), chance (the share if every
    error were a class drawn evenly from the others), ratio (share / chance).
    """
    columns = ["images", "share", "chance", "ratio"]
    if run.superclass_of is None:
        return pd.DataFrame(columns=columns)
    wrong = ~run.correct
    true_superclass = run.superclass_of[run.labels[wrong]]
    within = int((run.superclass_of[run.predictions[wrong]] == true_superclass).sum())
    images = np.array([within, wrong.sum() - within])
    siblings = np.bincount(run.superclass_of, minlength=len(run.superclass_names))[true_superclass] - 1
    chance = siblings.mean() / (run.n_classes - 1) if wrong.any() else np.nan
    share, chances = images / max(wrong.sum(), 1), np.array([chance, 1 - chance])
    ratio = np.divide(share, chances, out=np.full(2, np.nan), where=chances > 0)
    return pd.DataFrame(
        dict(zip(columns, (images, share, chances, ratio), strict=True)),
        index=["within superclass", "across superclasses"],
    )


def suspect_labels(runs: Sequence[Run]) -> pd.DataFrame:
    """Images to which every run gives one same class other than the label; row i of every run must be the same image.

    Columns row, sample_id, label, predicted (class indices), label_name, predicted_name, confidence (mean over the runs
    that have scores, else NaN), the surest first. Agreement of models is a hint to look, not a proof: they share
    training images and their mistakes.
    """
    first = runs[0]
    agreed = np.all([run.predictions == first.predictions for run in runs], axis=0) & ~first.correct
    known = [softmax.confidence(run) for run in runs if run.has_scores]
    sure = np.mean(known, axis=0) if known else np.full(first.n_images, np.nan)
    rows = np.flatnonzero(agreed)
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    label, predicted = first.labels[rows], first.predictions[rows]
    return pd.DataFrame(
        {
            "row": rows,
            "sample_id": first.sample_ids[rows],
            "label": label,
            "predicted": predicted,
            "label_name": first.class_names[label],
            "predicted_name": first.class_names[predicted],
            "confidence": sure[rows],
        }
    )


def resembling(run: Run) -> np.ndarray:
    """Which images have a training image with nearly the same features of this model, bool (N,): a hint to look."""
    if run.train_neighbor_cosine is None:
        return np.zeros(run.n_images, dtype=bool)
    return np.asarray(run.train_neighbor_cosine[:, 0] >= RESEMBLES_COSINE)
