"""Requirements on B against A, as a pipeline states them: `accuracy >= -0.5`, `recall[otter] >= 0`.

A requirement is met where the whole 95% interval of B − A meets it: what the images do not show does not pass. Of zero
the comparison's test decides, as in its verdict.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import absent, claims, comparison, verdict
from cifarcore.evidence.shares import SHARES, share_difference
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, spaced

#: metrics of the comparison that are no shares of images: these have an interval there, in their own unit
OTHERS = ("macro_f1", "macro_auc", "brier", "log_loss")
#: metrics of one class, or of one superclass, named in brackets
OF_CLASS, OF_SUPERCLASS = ("recall", "f1", "auc"), "superclass_accuracy"
RAW = ("brier", "log_loss")  #: not in percentage points
_FORM = re.compile(r"\s*(\w+)\s*(?:\[(.+)\])?\s*(>=|<=)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*", re.IGNORECASE)


class RequirementError(CifarcoreError):
    """A requirement that cannot be read, or names what the runs do not have."""


@dataclass(frozen=True)
class Requirement:
    """`metric[name] >= bound`, of B − A: in percentage points, for Brier score and log loss in their own unit."""

    text: str
    metric: str
    name: str  #: of a class or superclass; empty for the whole test set
    sign: Literal[">=", "<="]
    bound: float


@dataclass(frozen=True)
class Outcome:
    """What the runs say to a requirement: B − A with its 95% interval, in the requirement's unit."""

    requirement: Requirement
    met: bool
    difference: float
    low: float
    high: float
    why: str = ""  #: why there is no interval, so that the requirement cannot be met
    p: float = np.nan  #: of the test that decides, where the bound is zero and the metric has one

    @property
    def test_disagrees(self) -> bool:
        """Whether the test, which decides, says otherwise than the interval: near 5% they may differ."""
        return bool(np.isfinite(self.p)) and self.met != _within(self.requirement, self.low, self.high)

    @property
    def unit(self) -> str:
        return "" if self.requirement.metric in RAW else " points"

    @property
    def line(self) -> str:
        """For example "met: accuracy >= -0.5: B − A +0.20 points, 95% CI −0.31 to +0.71"."""
        form = "+.4f" if self.requirement.metric in RAW else "+.2f"
        known = number(self.difference, form)
        difference = f"B − A {known}{self.unit}" if known else "B − A unknown"
        has_ci = np.isfinite(self.low) and np.isfinite(self.high)
        ci = f"95% CI {interval(self.low, self.high, form)}" if has_ci else f"no CI: {self.why}"
        test = f"; of zero the test decides, as in the verdict: p = {p_value(self.p)}" if self.test_disagrees else ""
        return f"{'met' if self.met else 'NOT met'}: {self.requirement.text}: {difference}, {ci}{test}"


def requirement(text: str) -> Requirement:
    """Read one requirement. Raises RequirementError.

    >>> requirement("recall[otter] >= -2").name
    'otter'
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise RequirementError(f"{text!r} is not a requirement; write METRIC >= POINTS, such as “accuracy >= -0.5”")
    metric, name, sign, bound = match[1].lower(), (match[2] or "").strip(), match[3], float(match[4])
    if not math.isfinite(bound):  # what every interval meets, or none
        raise RequirementError(f"{text!r}: the bound is beyond all numbers; give one that is not")
    whole, parts = (*SHARES, *OTHERS), (*OF_CLASS, OF_SUPERCLASS)
    if metric not in (parts if name else whole):
        allowed = ", ".join(f"{part}[NAME]" for part in parts) if name else ", ".join((*whole, *(
            f"{part}[CLASS]" for part in OF_CLASS
        )))  # fmt: skip
        raise RequirementError(f"{text!r}: there is no metric {metric!r} here; choose one of {allowed}")
    return Requirement(text.strip(), metric, name, ">=" if sign == ">=" else "<=", bound)


def check(requirements: Sequence[Requirement], runs_a: Sequence[Run], runs_b: Sequence[Run]) -> list[Outcome]:
    """Judge each requirement on the images that all runs share, one run or several of each model.

    Shares of images: Tango's score interval; of several seeds Student's t, seeds and images. Others: `comparison`'s. Of
    zero: its test.
    Raises RequirementError for a class that is not there, RunFileError where the runs do not fit together.
    """
    return check_with_notes(requirements, runs_a, runs_b)[0]


def check_with_notes(
    requirements: Sequence[Requirement], runs_a: Sequence[Run], runs_b: Sequence[Run]
) -> tuple[list[Outcome], list[str]]:
    """As `check`, and what must be known beside: images that not all runs have, superclasses that differ, a sentence
    each.
    """
    sides = _Sides(runs_a, runs_b)
    outcomes = [_judged(one, *sides.interval(one)) for one in requirements]
    notes = comparison.doubts([*runs_a, *runs_b], sides.runs, sides.n_a)
    if any(one.metric == OF_SUPERCLASS for one in requirements):
        notes += comparison.other_superclasses([*runs_a, *runs_b])
    return outcomes, notes


class _Sides:
    """Both models on their shared images; the whole comparison is computed where a requirement needs it."""

    def __init__(self, runs_a: Sequence[Run], runs_b: Sequence[Run]) -> None:
        self.runs = comparison.on_shared_images([*runs_a, *runs_b])
        self.n_a = len(runs_a)
        for side in (self.runs[: self.n_a], self.runs[self.n_a :]):
            comparison.refuse_copies(side)  # also of other rows or orders

    @cached_property  # for all requirements that need it, and never where none does
    def compared(self) -> comparison.Comparison:
        return comparison.compare(self.runs[: self.n_a], self.runs[self.n_a :])

    def interval(self, one: Requirement) -> tuple[float, float, float, str, float]:
        """difference, low, high in the unit of the metric's definition, why there is no interval, and p."""
        first = self.runs[0]
        if reason := absent.why({"auc": "macro_auc"}.get(one.metric, one.metric), *self.runs):
            return np.nan, np.nan, np.nan, reason, np.nan
        # over several seeds the classes of the comparison share what seeds vary by
        if one.metric in ("f1", "auc") or (one.metric == "recall" and len(self.runs) > 2):
            row = self.compared.class_table.iloc[_index(first.class_names, one)]
            bounds = tuple(float(row[f"{one.metric}_{part}"]) for part in ("difference", "low", "high"))
            p = float(row["p"]) if one.metric == "recall" else np.nan  # of this class alone: it was named in advance
            return *bounds, f"{one.metric} of this class is not defined on these images", p
        if one.metric in OTHERS:
            row = self.compared.metrics.loc[one.metric]
            why = row["why"] or row["method"].removeprefix("no interval: ") or "not defined on these images"
            return float(row["difference"]), float(row["low"]), float(row["high"]), why, float(row["p"])
        kind = "accuracy" if one.metric == "recall" else one.metric
        holds = [SHARES[kind](run) for run in self.runs]
        if any(each is None for each in holds):
            lacking = "superclasses" if kind == OF_SUPERCLASS else "more than five classes"
            raise RequirementError(f"{one.text!r}: the runs have no {lacking}; leave it out")
        rows = np.ones(first.n_images, bool)
        if one.metric == "recall":
            rows = first.labels == _index(first.class_names, one)
        elif one.name:
            rows = first.superclass_of[first.labels] == _index(first.superclass_names, one)
        holds = np.stack(holds)[:, rows]
        share = share_difference(holds, first.labels[rows], self.n_a)
        p = share.p
        if one.metric == "recall":  # tested as on the page of the classes
            p = float(claims.rate_claims([holds], len(holds), self.n_a, ("", ""))["p"].iloc[0])
        return share.difference, share.low, share.high, share.why, p


def _judged(one: Requirement, difference: float, low: float, high: float, why: str, p: float) -> Outcome:
    scale = 1 if one.metric in RAW else 100
    difference, low, high = scale * difference, scale * low, scale * high
    met, p = _within(one, low, high), np.nan if one.bound else float(p)
    if np.isfinite(p):
        met = verdict.of(difference, p) == ("B" if one.sign == ">=" else "A")
    return Outcome(one, met, difference, low, high, "" if np.isfinite(low) and np.isfinite(high) else why, p)


def _within(one: Requirement, low: float, high: float) -> bool:
    return bool(low >= one.bound if one.sign == ">=" else high <= one.bound)


def _index(names: np.ndarray, one: Requirement) -> int:
    """The class or superclass of that name: as it is written, else in other capitals where these tell no two apart."""
    spellings: tuple[Callable[[object], str], ...] = (str, spaced, lambda name: spaced(name).casefold())
    for spelled in spellings:
        places = [place for place, name in enumerate(names) if spelled(name) == spelled(one.name)]
        if len(places) == 1:
            return places[0]
        if places:
            both = " and ".join(repr(str(names[place])) for place in places[:2])
            raise RequirementError(f"{one.text!r}: {both} are both called so; write the name as it is")
    raise RequirementError(f"{one.text!r}: there is no class {one.name!r} here, but such as {spaced(names[0])!r}")
