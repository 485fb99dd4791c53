"""Two classifiers on the same images: exact tests, intervals of proportions, false discoveries, bootstrap.

Works on counts and predictions; knows nothing of run files, of several seeds, or of how a result is worded.
"""

import numpy as np
from scipy.stats import binom, false_discovery_control, norm

from cifarcore.metrics import f1_scores

ALPHA = 0.05  #: tests are made at 5 %, intervals at 95 %, false discoveries kept to 5 %
Z = float(norm.ppf(1 - ALPHA / 2))
RESAMPLES = 2000
#: with fewer discordant images than this, the exact McNemar test cannot reach 5 % (2 x 0.5^5 = 0.0625)
MIN_DISCORDANT = 6
_DRAWS_AT_ONCE = 2**23


def mcnemar_p(only_a: np.ndarray, only_b: np.ndarray) -> np.ndarray:
    """Exact two-sided McNemar test: p-values of the discordant counts, any shape; 1 where there are none.

    Under equal accuracy each discordant image is as likely to be A's as B's, so the smaller count is binomial(n, 1/2).
    McNemar, Psychometrika 1947; equal to scipy's binomtest and statsmodels' mcnemar(exact=True).
    """
    only_a, only_b = np.asarray(only_a), np.asarray(only_b)
    return np.minimum(2 * binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5), 1.0)


def wilson_interval(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % score interval (low, high) of a proportion, any shape; NaN where n is 0. Wilson, JASA 1927."""
    successes, n = np.asarray(successes, float), np.asarray(n, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = successes / n
        middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return middle - half, middle + half


def paired_interval(only_a: np.ndarray, only_b: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval (low, high) of the difference of two paired proportions, (only_b - only_a) / n, any shape.

    Adjusted Wald, sound for few images and for no discordant one: Bonett and Price, J. Educ. Behav. Stat. 2012.
    """
    n = np.asarray(n, float) + 2
    a, b = (np.asarray(only_a) + 1) / n, (np.asarray(only_b) + 1) / n
    half = Z * np.sqrt((a + b - (b - a) ** 2) / n)
    return np.maximum(b - a - half, -1), np.minimum(b - a + half, 1)


def q_values(p: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values (n,) within the boolean mask `family` (n,); NaN outside it.

    Claiming where q <= 0.05 keeps the expected share of false claims to 5 %: Benjamini and Hochberg, JRSS B 1995.
    """
    q = np.full(len(p), np.nan)
    if family.any():
        q[family] = false_discovery_control(p[family])
    return q


def bootstrap_scores(
    labels: np.ndarray,
    predictions: list[np.ndarray],
    superclass_correct: list[np.ndarray] | None,
    n_classes: int,
    resamples: int = RESAMPLES,
    seed: int | np.random.Generator = 0,
) -> list[dict[str, np.ndarray]]:
    """Paired bootstrap: the scores of each model on the same `resamples` resampled test sets.

    labels and each of `predictions` int (N,), each of `superclass_correct` bool (N,). Images are drawn with replacement
    within their class, so that every test set keeps its class counts (Efron and Tibshirani, 1993, stratified). Returns
    for each model `accuracy`, `macro_f1` and, where given, `superclass_accuracy` (R,), and `f1` (R, C).
    """
    rng = np.random.default_rng(seed)
    models = range(len(predictions))
    hits = [np.zeros((n_classes, resamples), np.int32) for _ in models]
    predicted = [np.zeros((n_classes, resamples), np.int32) for _ in models]
    right_superclass = [np.zeros(resamples, np.int64) for _ in models]
    columns = np.stack([*predictions, *(superclass_correct or [])], axis=1)
    for c in np.unique(labels):
        # images of a class that no model tells apart are counted together
        kinds, kind_of_image = np.unique(columns[labels == c], axis=0, return_inverse=True)
        counts = _resampled_counts(kind_of_image.ravel(), len(kinds), resamples, rng)
        for m in models:
            order = np.argsort(kinds[:, m], kind="stable")
            classes, starts = np.unique(kinds[order, m], return_index=True)
            predicted[m][classes] += np.add.reduceat(counts[order], starts, axis=0)
            hits[m][c] = counts[kinds[:, m] == c].sum(axis=0)
            if superclass_correct:
                right_superclass[m] += counts[kinds[:, len(predictions) + m] == 1].sum(axis=0)
    support = np.bincount(labels, minlength=n_classes)[:, None]
    scores = []
    for m in models:
        f1 = f1_scores(hits[m], support, predicted[m])
        score = {"accuracy": hits[m].sum(axis=0) / len(labels), "f1": f1.T, "macro_f1": np.nanmean(f1, axis=0)}
        if superclass_correct:
            score["superclass_accuracy"] = right_superclass[m] / len(labels)
        scores.append(score)
    return scores


def percentile_interval(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle 95 % of the resampled values, along the first axis; NaN where any value is NaN."""
    low, high = np.quantile(resampled, [ALPHA / 2, 1 - ALPHA / 2], axis=0)
    return low, high


def _resampled_counts(kind: np.ndarray, n_kinds: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Images of each kind when len(kind) images are drawn with replacement, int (n_kinds, resamples)."""
    n = len(kind)
    at_once = max(_DRAWS_AT_ONCE // n, 1)
    blocks = []
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        drawn = rng.integers(n, size=(size, n), dtype=np.uint16 if n < 2**16 else np.uint32)
        cells = kind[drawn] * size + np.arange(size)[:, None]
        blocks.append(np.bincount(cells.ravel(), minlength=n_kinds * size).reshape(n_kinds, size))
    return np.concatenate(blocks, axis=1)
