"""How long each page's numbers take, first and cached, against the loop over scikit-learn that one would write.

All timed in one run, turn by turn, the minimum kept: the machine may be busy, the work is the same.
"""

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from cifarcore.evidence import comparison, crossed, delong, disagreement, known, metrics, roc_curves, softmax
from cifarcore.runs.alignment import align
from cifarcore.runs.run import Run

ROUNDS = 3
# To leave out each image would take the loop minutes: a few are timed and the time is multiplied.
LOOP_IMAGES = 10


def metrics_table(run_a: Run, run_b: Run) -> pd.DataFrame:
    """One row a page: seconds of the numbers of two runs (first time), cached as in the app, and of the scikit-learn
    loop.
    """
    logging.getLogger("streamlit").setLevel(logging.ERROR)  # it warns that no app runs around its cache
    from cifarcore.runs.memo import memo

    run_a, run_b = comparison.on_shared_images([run_a, run_b])
    sides = (run_a,), (run_b,)
    pair = align(run_a, run_b)
    one, other = _most_confused(run_a)

    def cached() -> None:
        memo(comparison.compare, *sides)

    cached()
    rows = [
        (
            "overview, classes, confusion: everything compared",
            lambda: comparison.compare(*sides),
            cached,
            lambda: _loop(run_a, run_b),
        ),
        (
            "interval of macro-F1: each image left out once",
            lambda: _jackknife(run_a, run_b),
            cached,
            lambda: _loop_jackknife(run_a, run_b),
        ),
        (
            "ROC of a pair with its interval",
            lambda: _pair(run_a, run_b, one, other),
            lambda: memo(roc_curves.pair_scores, run_a, one, other),
            lambda: _loop_pair(run_a, run_b, one, other),
        ),
        (
            "explorer: confidences and correctness",
            lambda: _explorer(pair),
            lambda: memo(disagreement.four_way, pair),
            None,
        ),
        (
            "disagreements: over-represented, suspect, duplicates",
            lambda: _disagreements(pair, [run_a, run_b]),
            lambda: memo(disagreement.suspect_labels, (run_a, run_b)),
            None,
        ),
    ]
    table = []
    for name, ours, again, loop in rows:
        times = [_interleaved([ours, again, loop] if loop else [ours, again]) for _ in range(ROUNDS)]
        best = np.min(times, axis=0)
        scale = run_a.n_images / LOOP_IMAGES if loop and "left out" in name else 1
        theirs = best[2] * scale if loop else np.nan
        table.append(
            {
                "numbers": name,
                "first": best[0],
                "cached": best[1],
                "scikit_learn_loop": theirs,
                "ratio": theirs / best[0],
            }
        )
    return pd.DataFrame(table)


def _interleaved(functions: Sequence[Callable[[], object]]) -> list[float]:
    times = []
    for function in functions:
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return times


def _fresh(run: Run) -> Run:
    """The run without what it has computed already."""
    return run.take(np.arange(run.n_images))


def _jackknife(run_a: Run, run_b: Run) -> None:
    influence = np.stack([crossed.macro_f1_influence(run) for run in (run_a, run_b)])
    crossed.image_covariance(influence, *crossed.strata(run_a.labels))


def _most_confused(run: Run) -> tuple[int, int]:
    counts = metrics.confusion(run).toarray()
    np.fill_diagonal(counts, 0)
    one, other = np.unravel_index(np.argmax(counts + counts.T), counts.shape)
    return int(one), int(other)


def _pair(run_a: Run, run_b: Run, one: int, other: int) -> None:
    pairs = [roc_curves.pair_scores(run, one, other) for run in (run_a, run_b)]
    for scores, is_positive, _ in pairs:
        roc_curves.roc(scores, is_positive)
    delong.auc_covariance(np.stack([scores for scores, _, _ in pairs]), pairs[0][1])


def _explorer(pair) -> None:
    disagreement.four_way(pair)
    for run in (pair.a, pair.b):
        softmax.confidence(_fresh(run))


def _disagreements(pair, runs: list[Run]) -> None:
    groups = disagreement.four_way(pair)
    for group in disagreement.FOUR_WAYS:
        disagreement.over_represented_among(pair.a, groups == group)
    disagreement.suspect_labels(runs)
    known.duplicates(runs[:1])


def _loop(*runs: Run) -> None:
    """The same kinds of numbers as tutorials compute them, with no interval and no test among them."""
    for run in runs:
        scores = np.exp(run.logits.astype(np.float64))
        scores /= scores.sum(axis=1, keepdims=True)
        predicted = scores.argmax(axis=1)
        sk.accuracy_score(run.labels, predicted)
        sk.top_k_accuracy_score(run.labels, scores, k=5)
        sk.precision_recall_fscore_support(run.labels, predicted, zero_division=0)
        sk.confusion_matrix(run.labels, predicted)
        for index in range(run.n_classes):
            sk.roc_auc_score(run.labels == index, scores[:, index])


def _loop_jackknife(*runs: Run) -> None:
    for left_out in range(LOOP_IMAGES):
        for run in runs:
            labels, predictions = (np.delete(each, left_out) for each in (run.labels, run.predictions))
            sk.f1_score(labels, predictions, average="macro", zero_division=0)


def _loop_pair(run_a: Run, run_b: Run, one: int, other: int) -> None:
    for run in (run_a, run_b):
        rows = np.isin(run.labels, (one, other))
        score = run.logits[rows, one].astype(float) - run.logits[rows, other]
        sk.roc_curve(run.labels[rows] == one, score)
        sk.roc_auc_score(run.labels[rows] == one, score)
