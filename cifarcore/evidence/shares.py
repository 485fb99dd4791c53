"""The difference of two models in a share of images, such as accuracy: one method for every question asked of it.

One run each, or seeds that agree on every image: Tango's score interval, the exact McNemar test. Else seeds and images
as random effects (`crossed`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cifarcore.evidence import absent, crossed, metrics, paired
from cifarcore.evidence.distributions import normal_quantile, normal_tail, student_quantile, student_tail
from cifarcore.runs.run import Run

Z = float(normal_quantile(1 - paired.ALPHA / 2))
_HALVINGS = 60  # of an interval of width 2: below the precision of a float


@dataclass(frozen=True)
class ShareDifference:
    """B minus A of a share of images, with its 95% interval; NaN where there is none, which `why` explains."""

    a: float  #: mean over A's runs
    b: float
    low: float
    high: float
    p: float  #: two-sided, of equal shares
    error: float  #: standard error of the difference
    df: float  #: of Student's t, infinite where only images vary
    n: int  #: images
    only_a: float  #: share of images for which it holds in A alone, mean over pairs of runs
    only_b: float
    one_each: bool  #: one run of each model, or seeds that agree on every image, which say as much
    why: str = ""

    @property
    def method(self) -> str:
        """The test and the interval in words; why there is none."""
        if self.why:
            return f"no interval: {self.why}"
        return "exact McNemar test, Tango's score interval" if self.one_each else crossed.method(self.df, several=True)

    @property
    def difference(self) -> float:
        return self.b - self.a

    def beyond(self, margin: float) -> float:
        """One-sided p-value of "B − A is at most `margin`": small where the difference is shown to be greater."""
        if self.one_each:
            counts = (round(self.only_a * self.n), round(self.only_b * self.n))
            return float(normal_tail(tango_score(*counts, self.n, margin))) if self.n else np.nan
        if not self.error > 0:
            return np.nan
        return float(student_tail((self.difference - margin) / self.error, self.df))


def share_difference(holds: np.ndarray, labels: np.ndarray, n_a: int) -> ShareDifference:
    """Compare shares of images: `holds` bool (R, N), A's `n_a` runs first; `labels` (N,) are the images' classes."""
    holds = np.asarray(holds, bool)
    n, one_each = holds.shape[1], seeds_agree(holds, n_a)
    if not n:
        nothing = (np.nan,) * 6
        return ShareDifference(*nothing, np.inf, 0, np.nan, np.nan, one_each, "there is no image to compare on")
    a, b = holds[:n_a].mean(axis=0), holds[n_a:].mean(axis=0)
    only_a, only_b = float((a * (1 - b)).mean()), float((b * (1 - a)).mean())
    values = holds.mean(axis=1)
    tested = crossed.difference(values, crossed.image_covariance(holds / n, *crossed.strata(labels)), n_a)
    df = float(tested.df)
    error = float(tested.high - tested.low) / 2 / float(student_quantile(1 - paired.ALPHA / 2, df))
    means = (float(values[:n_a].mean()), float(values[n_a:].mean()))
    if one_each:
        counts = (int((holds[0] & ~holds[n_a]).sum()), int((holds[n_a] & ~holds[0]).sum()))
        low, high = map(float, tango_interval(*counts, n))
        return ShareDifference(*means, low, high, float(paired.mcnemar_p(*counts)), error, df, n, only_a, only_b, True)
    low, high, p = max(float(tested.low), -1.0), min(float(tested.high), 1.0), float(tested.p)
    why = "" if high > low else "one image is too few to estimate a variance"
    return ShareDifference(*means, low, high, p, error, df, n, only_a, only_b, False, why)


def model_share(holds: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """One model's share of images with its 95% interval (value, low, high): `holds` bool (R, N) of its R runs.

    One run, or seeds that agree on every image: Wilson's score interval; else seeds and images as random effects.
    """
    value = float(holds.mean())
    if (holds == holds[0]).all():
        low, high = paired.wilson_interval(holds[0].sum(), holds.shape[1])
    else:
        groups = crossed.strata(labels)
        tested = crossed.mean(holds.mean(axis=1), crossed.image_covariance(holds / holds.shape[1], *groups))
        low, high = np.clip([tested.low, tested.high], 0, 1)
    return value, float(low), float(high)


def seeds_agree(holds: np.ndarray, n_a: int) -> bool:
    """Whether each model's runs hold alike on every image, bool (R, N), A's `n_a` first; so where each has one run."""
    return bool((holds[:n_a] == holds[0]).all() and (holds[n_a:] == holds[n_a]).all())


def accuracy_difference(runs: Sequence[Run], n_a: int) -> ShareDifference:
    """Of accuracy; `runs` are on the same images in one order, A's `n_a` first."""
    return share_difference(np.stack([run.correct for run in runs]), runs[0].labels, n_a)


def top5_correct(run: Run) -> np.ndarray | None:
    """Whether the true class is among the five highest scores, bool (N,); None where there are no more than five, or
    no scores.
    """
    return metrics.true_rank(run) < 5 if run.n_classes > 5 and not absent.why("top5", run) else None


#: metrics that are shares of images: what holds for each image, bool (N,), or None where the run has no such metric
SHARES: dict[str, Callable[[Run], np.ndarray | None]] = {
    "accuracy": lambda run: run.correct,
    "top5": top5_correct,
    "superclass_accuracy": metrics.superclass_correct,
}


def tango_score(only_a: np.ndarray, only_b: np.ndarray, n: np.ndarray, difference: np.ndarray) -> np.ndarray:
    """Score statistic of "only_b / n − only_a / n is `difference`", standard normal under it; any shape.

    Tango, Statistics in Medicine 17:891, 1998: the nuisance share is at its maximum likelihood given the difference.
    At 0 it is McNemar's statistic without continuity correction; 0 where no image is discordant.
    """
    c, b, n, d = (np.asarray(value, float) for value in (only_a, only_b, n, difference))
    linear = -b - c + (2 * n - b + c) * d
    root = np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0))
    # the smaller solution of 2n q² + linear q − c d (1 − d) = 0 would be negative
    share = np.maximum((root - linear) / (4 * n), np.maximum(-d, 0))
    variance = n * np.maximum(2 * share + d * (1 - d), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = (b - c - n * d) / np.sqrt(variance)
    return np.where(b - c - n * d == 0, 0.0, score)


def tango_interval(
    only_a: np.ndarray, only_b: np.ndarray, n: np.ndarray, z: float = Z
) -> tuple[np.ndarray, np.ndarray]:
    """95% score interval (low, high) of two paired proportions' difference, (only_b − only_a) / n; NaN if n = 0.

    All differences that `tango_score` does not reject: it has a width also where no image is discordant. Tango 1998.
    """
    n = np.asarray(n, float)
    estimate = np.divide(np.subtract(only_b, only_a), n, out=np.full(np.shape(n), np.nan), where=n > 0)
    ends = []
    for sign in (-1, 1):
        inside, outside = estimate, np.full_like(estimate, float(sign))
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            accepted = np.abs(tango_score(only_a, only_b, n, middle)) <= z
            inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
        ends.append(inside)
    return ends[0], ends[1]
