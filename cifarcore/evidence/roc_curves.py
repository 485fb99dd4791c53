"""ROC curves and areas under them, of one run: one class against another, or against the rest."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cifarcore.evidence.softmax import log_normalizer, once
from cifarcore.runs.run import Run
from cifarcore.runs.scores import FLOOR, LOG_PROBABILITIES

ROC_GRID = np.linspace(0, 1, 501)
COLUMNS = 64  #: of the scores that are turned at once: few enough to stay in the cache, many enough to fill its lines


@once
def class_auc(run: Run) -> np.ndarray:
    """One-vs-rest area under the ROC curve of each class, float (C,); NaN for a class with no images, or with all,
    and for all where there are no scores.

    The probability that an image of the class gets a higher probability for it than one of another class (Hanley and
    McNeil, Radiology 1982), ties counted half; equal to scikit-learn's roc_auc_score on the softmax.
    """
    aucs = np.full(run.n_classes, np.nan)
    if not run.has_scores:
        return aucs
    for c, scores in enumerate(class_scores(run)):
        of_class = run.labels == c
        if of_class.any() and not of_class.all():
            aucs[c] = placements(scores, of_class)[0].mean()
    return aucs


def macro_auc(run: Run) -> float:
    """Unweighted mean of `class_auc`, over the classes where it is defined; NaN where it is for none."""
    return _mean(class_auc(run))


def class_scores(run: Run) -> Iterator[np.ndarray]:
    """The log-probabilities of one class after the other, float64 (N,) each.

    They rank images as the probabilities do, but never underflow into ties; one class at a time keeps memory small.
    """
    normalizer = log_normalizer(run)
    for start in range(0, run.n_classes, COLUMNS):
        for column in np.ascontiguousarray(run.logits[:, start : start + COLUMNS].T):
            yield column - normalizer


def share_below(others: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each of `values` (n,) the share of `others` (m,) that lie below it, ties counted half, float (n,).

    The placement values of E. R. DeLong et al., Biometrics 1988, by sorting: O((n + m) log m).
    """
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(others))


def placements(scores: np.ndarray, is_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How two kinds of images lie among each other by their scores (n,), ties counted half.

    For each positive the share of negatives below it (n1,), whose mean is the AUC; for each image the share of
    positives below it (n,), 0 for the positives themselves. As `share_below`, but only the negatives that reach the
    lowest positive are sorted in: few, where a class is one of many and told well.
    """
    positives = scores[is_positive]
    ordered = np.sort(positives)
    reaching = np.flatnonzero((scores >= ordered[0]) & ~is_positive)
    under, upto = (np.searchsorted(ordered, scores[reaching], side) for side in ("left", "right"))
    n_negatives = len(scores) - len(positives)
    # a negative is below a positive when the positives up to it end before that one and its equals, and not above it
    # when those under it do
    first = np.searchsorted(ordered, positives, "left")
    counts = sum(np.cumsum(np.bincount(ends, minlength=len(ordered) + 1))[first] for ends in (under, upto))
    below = np.zeros(len(scores))
    below[reaching] = (under + upto) / (2 * len(ordered))
    return (n_negatives - len(reaching) + counts / 2) / n_negatives, below


def pair_scores(run: Run, positive: int, negative: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much the images of two classes look like the first: scores (n,), is_positive bool (n,), rows (n,).

    The score is the logarithm of p(positive) / p(negative), see `margins`; NaN without scores.
    """
    rows = np.flatnonzero((run.labels == positive) | (run.labels == negative))
    margin = margins(run, rows, positive, negative)
    if not run.has_scores:
        margin[:] = np.nan
    return margin, run.labels[rows] == positive, rows


def margins(run: Run, rows: np.ndarray, positive: int, negative: int) -> np.ndarray:
    """By how much the logit of one class is above another's, float64 (n,): ranks the images as the share of p(positive)
    in both does, but never underflows into ties.

    Where one of the two probabilities is zero, that share is 0 or 1 whatever the other one is: these are ties.
    """
    ours, others = (run.logits[rows, c].astype(np.float64) for c in (positive, negative))
    margin = ours - others
    if run.meta.get("scores") == LOG_PROBABILITIES:
        kept = np.log(FLOOR)  # what a probability of zero is kept as, more or less rounded
        of_none = [each.astype(np.float16) == np.float16(kept) for each in (ours, others)]
        margin[of_none[1] & ~of_none[0]] = -kept
        margin[of_none[0] & ~of_none[1]] = kept
    return margin


def rest_scores(run: Run, positive: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much every image looks like one class: log-probability float64 (N,), is_positive bool (N,), rows int (N,)."""
    return run.logits[:, positive] - log_normalizer(run), run.labels == positive, np.arange(run.n_images)


def pair_aucs(run: Run, pairs: np.ndarray) -> np.ndarray:
    """The AUC of `pair_scores` for each pair of classes, int (P, 2) -> float (P,), ties half; NaN without images or
    scores.
    """
    rows = [np.flatnonzero(run.labels == c) for c in range(run.n_classes)]
    aucs = np.full(len(pairs), np.nan)
    for index, (positive, negative) in enumerate(pairs if run.has_scores else ()):
        ours, others = rows[positive], rows[negative]
        if len(ours) and len(others):
            aucs[index] = share_below(*(margins(run, r, positive, negative) for r in (others, ours))).mean()
    return aucs


def roc(scores: np.ndarray, is_positive: np.ndarray) -> pd.DataFrame:
    """The ROC curve by scikit-learn: columns fpr, tpr, threshold, from (0, 0), whose threshold is infinite, to (1, 1).

    Empty where one of the two classes has no image, or scores are NaN.
    """
    if np.isnan(scores).any() or is_positive.all() or not is_positive.any():
        return pd.DataFrame({"fpr": [], "tpr": [], "threshold": []}, dtype=float)
    from sklearn.metrics import roc_curve  # here and below: comparing models needs none, and it takes long to import

    fpr, tpr, threshold = roc_curve(is_positive, scores)
    return pd.DataFrame({"fpr": fpr, "tpr": tpr, "threshold": threshold})


def precision_recall(scores: np.ndarray, is_positive: np.ndarray) -> pd.DataFrame:
    """The precision-recall curve by scikit-learn: columns recall (rising from 0), precision.

    What a ROC curve hides where positives are few: how many of the images called positive are (Saito and Rehmsmeier,
    PLOS ONE 2015). Empty where one of the two classes has no image, or scores are NaN.
    """
    if np.isnan(scores).any() or is_positive.all() or not is_positive.any():
        return pd.DataFrame({"recall": [], "precision": []}, dtype=float)
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(is_positive, scores, drop_intermediate=True)
    return pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]})


def average_precision(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """The mean precision over recalls, without interpolation, by scikit-learn; NaN where there is no curve."""
    if np.isnan(scores).any() or not is_positive.any():
        return float("nan")
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(is_positive, scores))


def macro_roc(run: Run) -> pd.DataFrame:
    """Mean of the classes' one-vs-rest curves at 501 false positive rates: columns fpr, tpr."""
    curves = [roc(scores, run.labels == c) for c, scores in enumerate(class_scores(run))]
    tprs = [np.interp(ROC_GRID, curve["fpr"], curve["tpr"]) for curve in curves if len(curve)]
    return pd.DataFrame({"fpr": ROC_GRID, "tpr": np.mean(tprs, axis=0) if tprs else np.nan})


def _mean(values: np.ndarray) -> float:
    """Mean of those that are not NaN; NaN where none is."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
