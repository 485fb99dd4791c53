"""What a comparison of one seed each is worth as a claim about recipes: by other seeds, where there are some."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifarcore.evidence import crossed
from cifarcore.evidence.comparison import on_shared_images, same_run
from cifarcore.evidence.distributions import normal_tail
from cifarcore.evidence.paired import ALPHA, Z
from cifarcore.evidence.shares import ShareDifference, accuracy_difference
from cifarcore.runs.run import Run


@dataclass(frozen=True)
class AllSeeds:
    """B − A in accuracy over all seeds that are there, and how often one seed of each would wrongly differ."""

    share: ShareDifference
    n_a: int  #: seeds of A
    n_b: int
    n_images: int  #: that all of these hold, which may be fewer than are compared
    spread: float  #: standard deviation of accuracy between seeds beyond what images bring, mean variance of A and B
    false_claims: float  #: of equal recipes with this spread, by the test of the two seeds that are compared


def with_other_seeds(a: Run, b: Run, others_a: Sequence[Run], others_b: Sequence[Run]) -> AllSeeds | None:
    """The seeds compared, `a` and `b`, with the other seeds of their models, on the images that all share.

    A run that is there twice counts once; None where there is no other seed. Raises RunFileError where classes differ
    or no image is shared.
    """
    if not (others_a or others_b):
        return None
    runs, n_a = on_shared_images([a, *others_a, b, *others_b]), 1 + len(others_a)
    of_a, of_b = _once(runs[:n_a]), _once(runs[n_a:])
    runs, n_a = [*of_a, *of_b], len(of_a)
    if len(runs) == 2:
        return None
    correct = np.stack([run.correct for run in runs])
    covariance = crossed.image_covariance(correct / runs[0].n_images, *crossed.strata(runs[0].labels))
    sides = [slice(0, n_a), slice(n_a, len(runs))]
    variances = [
        crossed.seed_variance(correct[side].mean(axis=1), covariance[side, side])
        for side in sides
        if side.stop - side.start > 1
    ]
    pair = covariance[np.ix_([0, n_a], [0, n_a])]
    error, spread = np.sqrt(max(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1], 0)), float(np.sqrt(np.mean(variances)))
    share = accuracy_difference(runs, n_a)
    return AllSeeds(share, n_a, len(runs) - n_a, runs[0].n_images, spread, float(false_claims(error, spread)))


def _once(runs: Sequence[Run]) -> list[Run]:
    """The runs without copies of earlier ones, which would look like seeds that do not vary."""
    kept: list[Run] = []
    for run in runs:
        if not any(same_run(run, other) for other in kept):
            kept.append(run)
    return kept


def false_claims(error: np.ndarray, seed_spread: float) -> np.ndarray:
    """How often the test of one seed each claims that equal recipes differ; 5% where seeds do not vary.

    `error`, any shape, is the standard error of B - A over images, `seed_spread` the standard deviation of both models'
    accuracy between seeds, beyond what images bring. The test takes the normal difference for one of variance error².
    """
    error = np.asarray(error, float)
    spread = np.sqrt(error**2 + 2 * seed_spread**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, 2 * normal_tail(Z * error / spread), ALPHA)
