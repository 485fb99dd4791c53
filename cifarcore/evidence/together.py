"""Two models together: how far their errors agree beyond chance, and what combining them would give.

Combinations are compared with the more accurate of the two first runs, on the same images.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, paired, softmax
from cifarcore.evidence.flips import Estimate
from cifarcore.evidence.pairwise import mean_of_pairs
from cifarcore.evidence.shares import tango_interval
from cifarcore.runs.run import Run

ORACLE = "either model correct (oracle)"
AVERAGE = "average of A and B"


def error_consistency(runs: Sequence[Run], n_a: int) -> Estimate:
    """Cohen's kappa of being correct: 1 where the same images are correct, 0 where as many as chance gives.

    Geirhos, Meding and Wichmann, NeurIPS 2020; the mean over pairs of a seed of A and one of B, A's `n_a` runs first.
    Interval by the influence of each image (Fleiss, Cohen and Everitt, Psychol. Bull. 72:323, 1969), and of seeds.
    """
    if not runs[0].n_images or any(run.correct.all() or not run.correct.any() for run in runs):
        why = "there is no image" if not runs[0].n_images else "one of the models is right, or wrong, on all images"
        return Estimate(np.nan, np.nan, np.nan, why)
    mean = mean_of_pairs(runs, n_a, lambda a, b: _kappa(a.correct, b.correct))
    low, high = mean.interval
    if not high - low > 1e-12:
        return Estimate(mean.value, np.nan, np.nan, "the same images are correct, so no interval can be computed")
    return Estimate(mean.value, max(low, -1.0), min(high, 1.0))


def combinations(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """What combining gives, a row each: what, runs, accuracy, difference, low, high (95%, shares), p.

    `difference` is from the accuracy of the more accurate of the first run of A and that of B, in row 0. Rows: that,
    the oracle (an image counts where either is correct), the average of both first runs' probabilities, and of all
    seeds of a model with several, but no average of runs without scores. Tango's interval and exact McNemar test of
    these very runs. Empty without images.
    """
    if not runs[0].n_images:
        return pd.DataFrame(columns=["what", "runs", "accuracy", "difference", "low", "high", "p"])
    a, b = runs[0], runs[n_a]
    letter, better = ("A", a) if a.correct.mean() >= b.correct.mean() else ("B", b)
    rows = [{"what": f"{letter} alone", "runs": 1, "accuracy": better.correct.mean()}]
    rows.append(_against(better, a.correct | b.correct, ORACLE, 2))
    averages = {AVERAGE: [a, b], "average of A's seeds": runs[:n_a], "average of B's seeds": runs[n_a:]}
    for what, averaged in averages.items():
        if len(averaged) > 1 and not absent.why("average", *averaged):
            rows.append(_against(better, averaged_correct(averaged), what, len(averaged)))
    return pd.DataFrame(rows)


def averaged_correct(runs: Sequence[Run]) -> np.ndarray:
    """Whether the class of highest mean probability over `runs` is the label's, bool (N,)."""
    first = runs[0]
    correct = np.empty(first.n_images, bool)
    for rows in first.blocks():
        total = sum(softmax.block_probabilities(run, rows) for run in runs)
        correct[rows] = total.argmax(axis=1) == first.labels[rows]
    return correct


def _against(better: Run, correct: np.ndarray, what: str, n_runs: int) -> dict[str, object]:
    lost, won = int((better.correct & ~correct).sum()), int((correct & ~better.correct).sum())
    n = better.n_images
    low, high = map(float, tango_interval(lost, won, n))
    p = np.nan if what == ORACLE else float(paired.mcnemar_p(lost, won))  # an oracle cannot lose, so nothing is tested
    return {
        "what": what, "runs": n_runs, "accuracy": correct.mean(), "difference": (won - lost) / n, "low": low,
        "high": high, "p": p,
    }  # fmt: skip


def _kappa(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """Kappa of two bool arrays (N,), neither the same throughout, and the influence of each image on it, (N,)."""
    n = len(a)
    share_a, share_b = a.mean(), b.mean()
    agreed, by_chance = (a == b).mean(), share_a * share_b + (1 - share_a) * (1 - share_b)
    kappa = (agreed - by_chance) / (1 - by_chance)
    chance = (2 * share_b - 1) * (a - share_a) + (2 * share_a - 1) * (b - share_b)
    influence = ((a == b) - agreed) / (1 - by_chance) - (1 - agreed) / (1 - by_chance) ** 2 * chance
    return float(kappa), influence / n
