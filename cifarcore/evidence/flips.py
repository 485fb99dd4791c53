"""What changes for users when B replaces A: newly wrong and newly right images, churn, and how often a seed of B wins.

For several seeds all numbers are means over the pairs of a seed of A with one of B.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.special import betaincinv

from cifarcore.evidence import paired
from cifarcore.evidence.distributions import student_quantile
from cifarcore.evidence.pairwise import PairMean, mean_of_pairs
from cifarcore.runs.run import Run

NEWLY_WRONG, NEWLY_RIGHT, CHURN = "newly wrong", "newly right", "churn"
#: from here on Bouthillier et al. call one model meaningfully better, where the interval excludes one half too
MEANINGFUL = 0.75


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval; NaN where there is none, which `why` explains."""

    value: float
    low: float
    high: float
    why: str = ""


def flips(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """Rows (index) newly wrong, newly right, churn; columns images, share, low, high (95%).

    Churn is the share of images predicted differently, right or not: Milani Fard et al., Launch and iterate, NIPS 2016.
    Intervals: Wilson's score; for several seeds with the number of images that their variance amounts to.
    """
    n = runs[0].n_images
    rows = []
    for kind in (NEWLY_WRONG, NEWLY_RIGHT, CHURN):
        if not n:
            rows.append({"images": 0.0, "share": np.nan, "low": np.nan, "high": np.nan})
            continue
        mean = mean_of_pairs(runs, n_a, partial(_changed, kind))
        low, high = share_interval(mean, n)
        rows.append({"images": mean.value * n, "share": mean.value, "low": low, "high": high})
    return pd.DataFrame(rows, index=pd.Index([NEWLY_WRONG, NEWLY_RIGHT, CHURN], name="change"))


def share_interval(mean: PairMean, n: int) -> tuple[float, float]:
    """95% Wilson interval (low, high) of a mean share of `n` images, with its quantile and effective number of images.

    The effective number is that of a simple share with the same standard error, at most `n` (Korn and Graubard, Survey
    Methodology 24:193, 1998); so an interval has a width also where nothing varies. NaN without images.
    """
    if not n:
        return np.nan, np.nan
    share = mean.value
    effective = min(share * (1 - share) / mean.error**2, n) if mean.error > 0 and 0 < share < 1 else n
    z2 = mean.quantile**2 / effective
    middle = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def odds_ratio(runs: Sequence[Run], n_a: int) -> Estimate:
    """Newly right over newly wrong images, the odds ratio of matched pairs, with its exact conditional interval.

    Given the number of discordant images, those that B wins are binomial: the interval of that share (Clopper and
    Pearson, Biometrika 1934) as odds; see Breslow and Day, Statistical Methods in Cancer Research I, 1980, section 5.2.
    """
    if len(runs) > 2:
        return Estimate(np.nan, np.nan, np.nan, "the exact interval is for one seed of each model")
    a, b = runs[0].correct, runs[1].correct
    wrong, right = int((a & ~b).sum()), int((b & ~a).sum())
    if not wrong + right:
        return Estimate(np.nan, np.nan, np.nan, "no image is correct under one model only")
    tail = paired.ALPHA / 2
    low = float(betaincinv(right, wrong + 1, tail)) if right else 0.0
    high = float(betaincinv(right + 1, wrong, 1 - tail)) if wrong else 1.0
    return Estimate(_odds(right, wrong), _odds(low, 1 - low), _odds(high, 1 - high))


def seed_wins(runs: Sequence[Run], n_a: int) -> Estimate:
    """The probability that a seed of B is more accurate than one of A on these images; equal ones count half.

    The criterion of Bouthillier et al., MLSys 2021. Interval: Newcombe's score method (Stat. Med. 25:559, 2006, method
    5), which has a width also where every seed of B beats every one of A. One seed on a side gives none.
    """
    a, b = ([run.correct.mean() for run in side] for side in (runs[:n_a], runs[n_a:]))
    if min(len(a), len(b)) < 2:
        return Estimate(np.nan, np.nan, np.nan, "two seeds or more of each model are needed")
    wins = float((np.sign(np.subtract.outer(b, a)) / 2 + 0.5).mean())
    return Estimate(wins, *win_interval(wins, len(a), len(b)))


def win_interval(wins: float, n_a: int, n_b: int) -> tuple[float, float]:
    """Newcombe's 95% score interval (low, high) of a probability of one exceeding the other, from n_a and n_b draws.

    With the quantile of Student's t for that of the normal distribution: by the latter, three seeds each, all of B
    better, would exclude one half, which the exact Mann-Whitney test (p = 0.1) does not.
    """
    from scipy.optimize import brentq  # here, see `distributions`

    quantile = float(student_quantile(1 - paired.ALPHA / 2, n_a + n_b - 2))
    more = (n_a + n_b) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + more * (1 - theta) / (2 - theta) + more * theta / (1 + theta))
        return (wins - theta) ** 2 - quantile**2 * variance / (n_a * n_b)

    inside = min(max(wins, 1e-9), 1 - 1e-9)  # at 0 and at 1 the estimate itself solves the equation as well
    low = brentq(excess, 0, inside) if wins > 0 else 0.0
    high = brentq(excess, inside, 1) if wins < 1 else 1.0
    return float(low), float(high)


def _changed(kind: str, a: Run, b: Run) -> tuple[float, np.ndarray]:
    """The share of images that change so, and what each adds to it, (N,)."""
    if kind == CHURN:
        changed = np.asarray(a.predictions != b.predictions)
    else:
        changed = a.correct & ~b.correct if kind == NEWLY_WRONG else b.correct & ~a.correct
    return float(changed.mean()), changed / len(changed)


def _odds(one: float, other: float) -> float:
    return one / other if other else np.inf
