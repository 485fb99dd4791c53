"""Whether B is good enough: at most a margin worse than A (non-inferior), or within the margin either way (equivalent).

Judges by the two-sided 95% interval, so that each one-sided test is at 2.5%, as ICH E9 (Stat. Med. 18:1905, 1999) asks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.evidence.shares import ShareDifference, accuracy_difference
from cifarcore.runs.run import Run

MARGIN = 0.01  #: one percentage point
Outcome = Literal["equivalent", "B is non-inferior", "A is non-inferior", "inconclusive"]


@dataclass(frozen=True)
class Equivalence:
    """Where the 95% interval of B − A lies against −margin and +margin; shares, not points."""

    outcome: Outcome
    margin: float
    share: ShareDifference
    p_worse: float  #: one-sided p of "B is worse by the margin or more": at most 2.5% where B is non-inferior
    p_better: float  #: one-sided p of "B is better by the margin or more"
    why: str = ""  #: why nothing can be said


def equivalence(runs: Sequence[Run], n_a: int, margin: float = MARGIN) -> Equivalence:
    """Two one-sided tests of accuracy (Schuirmann, J. Pharmacokin. Biopharm. 1987) for `runs`, A's `n_a` first.

    One run each: Tango's score test; several: Student's t over seeds and images. Raises CifarcoreError for a margin
    that is not between 0 and 1 (shares).
    """
    return judged(accuracy_difference(runs, n_a), margin)


def judged(share: ShareDifference, margin: float = MARGIN) -> Equivalence:
    """As `equivalence`, of any share of images."""
    if not 0 < margin < 1:
        raise CifarcoreError(f"the margin is {100 * margin:g} points; give one above 0 and below 100")
    if np.isnan(share.low):
        return Equivalence("inconclusive", margin, share, np.nan, np.nan, share.why)
    not_worse, not_better = share.low > -margin, share.high < margin
    outcome: Outcome = "inconclusive"
    if not_worse and not_better:
        outcome = "equivalent"
    elif not_worse:
        outcome = "B is non-inferior"
    elif not_better:
        outcome = "A is non-inferior"
    return Equivalence(outcome, margin, share, share.beyond(-margin), 1 - share.beyond(margin))


def smallest_margin(share: ShareDifference) -> float:
    """The smallest margin at which B is non-inferior, in [0, 1]: how far below zero the interval reaches."""
    return float(np.maximum(-share.low, 0))
