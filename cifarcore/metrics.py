"""The numbers of one run: accuracy, F1, one-vs-rest AUC, confusion, calibration, superclass accuracy.

Each is a function of a Run's logits and labels alone. Knows nothing of a second run, of intervals, or of the app.
"""

from collections.abc import Callable, Iterator
from functools import wraps
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from sklearn.metrics import roc_curve

from cifarcore.runs import Run

ECE_BINS = 15
ROC_GRID = np.linspace(0, 1, 501)


def _once(function: Callable[[Run], np.ndarray | None]) -> Callable[[Run], np.ndarray | None]:
    """Keep what a function of a run returns, one number an image or class, for as long as the run lives; read-only."""
    known: WeakKeyDictionary[Run, np.ndarray | None] = WeakKeyDictionary()

    @wraps(function)
    def remembered(run: Run) -> np.ndarray | None:
        if run not in known:
            values = function(run)
            if values is not None:
                values.flags.writeable = False
            known[run] = values
        return known[run]

    return remembered


def probabilities(run: Run) -> np.ndarray:
    """Softmax of the logits, float32 (N, C)."""
    return _probabilities(run, slice(None))


def _probabilities(run: Run, rows: slice) -> np.ndarray:
    """`probabilities` of some rows; the highest score is subtracted first, so that float32 loses nothing."""
    scores = run.logits[rows].astype(np.float32)
    top = scores.max(axis=1)
    scores -= top[:, None]
    scores -= (log_normalizer(run)[rows] - top)[:, None].astype(np.float32)
    return np.exp(scores, out=scores)


def confidence(run: Run) -> np.ndarray:
    """The probability of the predicted class, float (N,)."""
    return np.exp(run.logits[np.arange(run.n_images), run.predictions] - log_normalizer(run))


def accuracy(run: Run) -> float:
    """Share of images whose highest score is their label's."""
    return float(run.correct.mean())


@_once
def true_rank(run: Run) -> np.ndarray:
    """How many classes score higher than the true one, int (N,); among equal scores the lower index counts as higher.

    0 is right, so that `true_rank(run) == 0` is `run.correct`.
    """
    ranks = np.empty(run.n_images, dtype=np.intp)
    for rows in run.blocks():
        scores, labels = run.logits[rows].astype(np.float32), run.labels[rows, None]
        own = np.take_along_axis(scores, labels.astype(np.intp), axis=1)
        equal_before = (scores == own) & (np.arange(run.n_classes) < labels)
        ranks[rows] = np.count_nonzero(scores > own, axis=1) + np.count_nonzero(equal_before, axis=1)
    return ranks


def top_k_accuracy(run: Run, k: int = 5) -> float:
    """Share of images whose true class is among the `k` highest scores."""
    return float((true_rank(run) < k).mean())


def confusion(run: Run) -> np.ndarray:
    """Images by true class (row) and predicted class (column), int (C, C)."""
    return _crosstab(run.labels, run.predictions, run.n_classes)


def f1_scores(hits: np.ndarray, support: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (images of the class + images given the class), any shape; NaN for a class with neither.

    van Rijsbergen, Information Retrieval, 1979; equal to scikit-learn's f1_score.
    """
    return _ratio(2 * hits, support + predicted)


def class_counts(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right images, images and predictions of each class, int (C,) each."""
    right = run.labels[run.correct]
    hits, support, predicted = (np.bincount(x, minlength=run.n_classes) for x in (right, run.labels, run.predictions))
    return hits, support, predicted


def macro_f1(run: Run) -> float:
    """Unweighted mean of the classes' F1, over the classes that occur among labels or predictions (as scikit-learn)."""
    return float(np.nanmean(f1_scores(*class_counts(run))))


@_once
def class_auc(run: Run) -> np.ndarray:
    """One-vs-rest area under the ROC curve of each class, float (C,); NaN for a class with no images, or with all.

    The probability that an image of the class gets a higher probability for it than one of another class (Hanley and
    McNeil, Radiology 1982), ties counted half; equal to scikit-learn's roc_auc_score on the softmax.
    """
    aucs = np.full(run.n_classes, np.nan)
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
    for column in np.ascontiguousarray(run.logits.T):
        yield column - normalizer


@_once
def log_normalizer(run: Run) -> np.ndarray:
    """ln of the summed exponentials of each image's logits, float64 (N,)."""
    normalizer = np.empty(run.n_images)
    for rows in run.blocks():  # scipy's logsumexp, which also minds infinities, takes three times as long
        scores = run.logits[rows].astype(np.float64)
        top = scores.max(axis=1)
        scores -= top[:, None]
        normalizer[rows] = np.log(np.exp(scores, out=scores).sum(axis=1)) + top
    return normalizer


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


@_once
def superclass_predictions(run: Run) -> np.ndarray | None:
    """The superclass of highest probability, summed over its classes, int (N,); None without superclasses."""
    if run.superclass_of is None:
        return None
    order = np.argsort(run.superclass_of, kind="stable")
    present, starts = np.unique(run.superclass_of[order], return_index=True)
    sums = (np.add.reduceat(_probabilities(run, rows)[:, order], starts, axis=1) for rows in run.blocks())
    return present[np.concatenate([block.argmax(axis=1) for block in sums])].astype(np.intp)


def superclass_correct(run: Run) -> np.ndarray | None:
    """Whether `superclass_predictions` is the label's superclass, bool (N,); None without superclasses."""
    predicted = superclass_predictions(run)
    return None if predicted is None else predicted == run.superclass_of[run.labels]


def superclass_accuracy(run: Run) -> float:
    """Share of images of `superclass_correct`; NaN without superclasses."""
    correct = superclass_correct(run)
    return float("nan") if correct is None else float(correct.mean())


def reliability(run: Run, bins: int = ECE_BINS) -> pd.DataFrame:
    """Confidence against accuracy in `bins` bins of equal width, [low, high), the last one closed.

    Columns bin_low, bin_high, count, and the bin's mean confidence and accuracy (NaN where it is empty).
    """
    edges = np.linspace(0, 1, bins + 1)
    sure = confidence(run)
    index = confidence_bin(sure, bins)
    count, sum_sure, sum_right = (np.bincount(index, weights, minlength=bins) for weights in (None, sure, run.correct))
    return pd.DataFrame(
        {
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "count": count,
            "confidence": _ratio(sum_sure, count),
            "accuracy": _ratio(sum_right, count),
        }
    )


def confidence_bin(confidences: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """The bin of `reliability` that each confidence falls in, int (N,)."""
    return np.digitize(confidences, np.linspace(0, 1, bins + 1)[1:-1])


def expected_calibration_error(run: Run, bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, weighted by their images.

    Naeini et al., AAAI 2015, as Guo et al., ICML 2017, use it. Biased upwards by noise in thinly filled bins.
    """
    table = reliability(run, bins).query("count > 0")
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["count"]))


def brier_score(run: Run) -> float:
    """Mean over images of the summed squared error of all C probabilities, 0 to 2 (Brier, 1950)."""
    return float(brier_terms(run).mean())


@_once
def brier_terms(run: Run) -> np.ndarray:
    """Each image's summed squared error, float (N,)."""
    terms = []
    for rows in run.blocks():
        errors = _probabilities(run, rows)
        errors[np.arange(len(errors)), run.labels[rows]] -= 1
        terms.append(np.einsum("ij,ij->i", errors, errors))
    return np.concatenate(terms)


def log_loss(run: Run) -> float:
    """Mean of -ln p(true class), in nats."""
    return float(log_loss_terms(run).mean())


def log_loss_terms(run: Run) -> np.ndarray:
    """-ln p(true class) of each image, float (N,), in nats; from the logits, so that it is never infinite."""
    return log_normalizer(run) - run.logits[np.arange(run.n_images), run.labels]


def headline(run: Run, known_macro_auc: float | None = None) -> dict[str, float]:
    """All headline numbers: shares in [0, 1] (`brier` in [0, 2], `log_loss` in nats), NaN where there is none.

    The macro-AUC takes most of the time; give it where it is known already.
    """
    return {
        "accuracy": accuracy(run),
        "top5": top_k_accuracy(run) if run.n_classes > 5 else float("nan"),  # of five, the first five are all
        "macro_f1": macro_f1(run),
        "macro_auc": macro_auc(run) if known_macro_auc is None else float(known_macro_auc),
        "superclass_accuracy": superclass_accuracy(run),
        "ece": expected_calibration_error(run),
        "brier": brier_score(run),
        "log_loss": log_loss(run),
    }


def class_table(run: Run, auc: bool = True) -> pd.DataFrame:
    """One row for each class: name, superclass ("" without), support, precision, recall, f1, auc (one-vs-rest).

    NaN where a number is not defined: recall of a class with no images, precision of one never predicted. The areas
    take most of the time, seconds for 1,000 classes; without `auc` there is no such column.
    """
    hits, support, predicted = class_counts(run)
    superclass = [""] * run.n_classes if run.superclass_of is None else run.superclass_names[run.superclass_of]
    return pd.DataFrame(
        {
            "name": run.class_names,
            "superclass": superclass,
            "support": support,
            "precision": _ratio(hits, predicted),
            "recall": _ratio(hits, support),
            "f1": f1_scores(hits, support, predicted),
            **({"auc": class_auc(run)} if auc else {}),
        }
    )


def fit_temperature(run: Run) -> float | None:
    """The temperature T > 0 whose softmax(logits / T) has least log loss on the validation split; None without one.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Below 1 where the model is too unsure.
    """
    if run.val_logits is None:
        return None
    logits, rows = run.val_logits.astype(np.float64), np.arange(len(run.val_labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, run.val_labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded").x))


def pair_scores(run: Run, positive: int, negative: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much the images of two classes look like the first: scores (n,), is_positive bool (n,), rows (n,).

    The score is p(positive) / (p(positive) + p(negative)), taken from the logits since probabilities underflow.
    """
    rows = np.flatnonzero((run.labels == positive) | (run.labels == negative))
    margin = run.logits[rows, positive].astype(np.float64) - run.logits[rows, negative]
    return expit(margin), run.labels[rows] == positive, rows


def rest_scores(run: Run, positive: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much every image looks like one class: log-probability float64 (N,), is_positive bool (N,), rows int (N,)."""
    return run.logits[:, positive] - log_normalizer(run), run.labels == positive, np.arange(run.n_images)


def pair_aucs(run: Run, pairs: np.ndarray) -> np.ndarray:
    """The AUC of `pair_scores` for each pair of classes, int (P, 2) -> float (P,), ties half; NaN without images.

    By the margins, which rank as their logistic does.
    """
    rows = [np.flatnonzero(run.labels == c) for c in range(run.n_classes)]
    aucs = np.full(len(pairs), np.nan)
    for index, (positive, negative) in enumerate(pairs):
        ours, others = rows[positive], rows[negative]
        if len(ours) and len(others):
            margin = [run.logits[r, positive].astype(np.float64) - run.logits[r, negative] for r in (others, ours)]
            aucs[index] = share_below(*margin).mean()
    return aucs


def roc(scores: np.ndarray, is_positive: np.ndarray) -> pd.DataFrame:
    """The ROC curve by scikit-learn: columns fpr, tpr, threshold, from (0, 0), whose threshold is infinite, to (1, 1).

    Empty where one of the two classes has no image.
    """
    if is_positive.all() or not is_positive.any():
        return pd.DataFrame({"fpr": [], "tpr": [], "threshold": []}, dtype=float)
    fpr, tpr, threshold = roc_curve(is_positive, scores)
    return pd.DataFrame({"fpr": fpr, "tpr": tpr, "threshold": threshold})


def macro_roc(run: Run) -> pd.DataFrame:
    """Mean of the classes' one-vs-rest curves at 501 false positive rates: columns fpr, tpr."""
    curves = [roc(scores, run.labels == c) for c, scores in enumerate(class_scores(run))]
    tprs = [np.interp(ROC_GRID, curve["fpr"], curve["tpr"]) for curve in curves if len(curve)]
    return pd.DataFrame({"fpr": ROC_GRID, "tpr": np.mean(tprs, axis=0) if tprs else np.nan})


def _crosstab(rows: np.ndarray, columns: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(rows.astype(np.int64) * n + columns, minlength=n * n).reshape(n, n)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient, NaN where the denominator is zero."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def _mean(values: np.ndarray) -> float:
    """Mean of those that are not NaN; NaN where none is."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
