"""The mean of a number that two runs have together (churn, agreement) over all pairs of a seed of A with one of B.

Its interval counts images and seeds as that of a difference does. Knows values and influences alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cifarcore.evidence import crossed
from cifarcore.evidence.distributions import student_quantile
from cifarcore.evidence.paired import ALPHA
from cifarcore.runs.run import Run


@dataclass(frozen=True)
class PairMean:
    """A mean over pairs of runs, its standard error (0 where nothing varies) and the quantile of its 95% interval."""

    value: float
    error: float
    quantile: float  #: of Student's t, or of the normal distribution where only images vary

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval; NaN where nothing varies."""
        half = self.quantile * self.error if self.error > 0 else np.nan
        return self.value - half, self.value + half


def mean_of_pairs(runs: Sequence[Run], n_a: int, of_pair: Callable[[Run, Run], tuple[float, np.ndarray]]) -> PairMean:
    """`pair_mean` of what `of_pair` gives of each seed of A, `n_a` runs first, and each of B: a value, and what each
    image adds to it, (N,). The images of one pair are held at a time: those of 300 seeds by 300 fill the memory.
    """
    runs_a, runs_b = runs[:n_a], runs[n_a:]
    values = np.empty((len(runs_a), len(runs_b)))
    of_a, of_b = (np.zeros((len(side), runs[0].n_images)) for side in (runs_a, runs_b))
    for i, a in enumerate(runs_a):
        for j, b in enumerate(runs_b):
            values[i, j], added = of_pair(a, b)
            of_a[i] += added
            of_b[j] += added
    return pair_mean(values, of_a / len(runs_b), of_b / len(runs_a), runs[0].labels)


def pair_mean(values: np.ndarray, of_a: np.ndarray, of_b: np.ndarray, labels: np.ndarray) -> PairMean:
    """Mean of `values` (n_A, n_B) over pairs, on N images of the classes `labels` (N,).

    `of_a` (n_A, N) is what each image adds to the mean of a seed of A over those of B, `of_b` (n_B, N) the other way
    round. Both models' seeds vary as in a two-sample U-statistic (Sen, Calcutta Stat. Assoc. Bull. 10:1, 1960); the
    margins are those of `crossed.difference`. A single image says nothing of how images vary.
    """
    groups = crossed.strata(labels)
    covariances = [np.nan_to_num(crossed.image_covariance(of, *groups)) for of in (of_a, of_b)]
    sides = [(values.mean(axis=1), covariances[0]), (values.mean(axis=0), covariances[1])]
    tested = crossed.of_two(values.mean(), covariances[0].mean(), sides)
    quantile = float(student_quantile(1 - ALPHA / 2, tested.df))
    error = float(tested.high - tested.low) / 2 / quantile
    return PairMean(float(values.mean()), 0.0 if np.isnan(error) else error, quantile)
