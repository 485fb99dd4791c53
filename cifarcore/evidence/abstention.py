"""Models that may abstain: which errors remain when the least confident images are left to somebody else.

Confidence: the probability of the predicted class. Differences count images, and seeds where there are several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, crossed, softmax
from cifarcore.evidence.crossed import Difference
from cifarcore.runs.run import Run

MAX_ERROR = 0.05  #: of the images that are answered
RESAMPLES = 400
MOST_POINTS = 400  #: of a curve


@dataclass(frozen=True)
class Abstention:
    """A number of both models (means over runs), with B − A and its 95% interval; NaN, and `why`, without one."""

    a: float
    b: float
    low: float
    high: float
    p: float
    why: str = ""
    resampled: bool = False  #: whether the interval comes of RESAMPLES, and so holds few digits

    @property
    def difference(self) -> float:
        return self.b - self.a

    @property
    def digits(self) -> int:
        """Digits after the point that the interval holds, of a share: from resamples its ends are themselves uncertain
        by their margin / √(2 RESAMPLES) or so.
        """
        if not self.resampled:
            return 4
        uncertain = (self.high - self.low) / 2 / np.sqrt(2 * RESAMPLES)
        return int(np.clip(np.floor(-np.log10(uncertain)), 1, 3)) if uncertain > 0 else 3


def augrc(run: Run) -> float:
    """Area under the generalized risk-coverage curve, in [0, 1/2]: the lower, the better; NaN without images or
    scores.

    The chance that a random image is wrong and at least as confident as another: what remains wrong and unnoticed,
    averaged over all coverages. Traub et al., NeurIPS 2024; unlike the AURC it is not ruled by the few surest errors.
    """
    if not run.n_images or absent.why("confidence", run):
        return float("nan")
    from scipy.stats import rankdata  # here and below, see `distributions`

    above = rankdata(softmax.confidence(run)) - 0.5  # images below it, half of those as confident, itself included
    return float((~run.correct * above).sum() / run.n_images**2)


def augrc_influence(run: Run) -> np.ndarray:
    """What each image adds to `augrc`, float (N,): the Hájek projection of this V-statistic, uncentred."""
    from scipy.stats import rankdata

    n, sure = run.n_images, softmax.confidence(run)
    if absent.why("confidence", run):
        return sure
    below = (rankdata(sure) - 0.5) / n
    wrong_sure = np.sort(sure[~run.correct])
    more, as_much = (len(wrong_sure) - np.searchsorted(wrong_sure, sure, side=side) for side in ("right", "left"))
    return (~run.correct * below + (more + as_much) / 2 / n) / n


def compared_augrc(runs: Sequence[Run], n_a: int) -> Abstention:
    """The AUGRC of both models and its difference."""
    if without := _without_confidence(runs, n_a, augrc):
        return without
    values = np.array([augrc(run) for run in runs])
    if few := _few_images(values, runs, n_a):
        return few
    influence = np.stack([augrc_influence(run) for run in runs])
    covariance = crossed.image_covariance(influence, *crossed.strata(runs[0].labels))
    return _estimate(values, crossed.difference(values, covariance, n_a), n_a)


def coverage_at(run: Run, max_error: float = MAX_ERROR) -> float:
    """The largest share of images, the surest first, of which at most `max_error` are wrong; 0 where there is none.

    NaN without scores.
    """
    if absent.why("confidence", run):
        return float("nan")
    order, last = _surest_first(run)
    return float(_coverages(np.ones((1, run.n_images)), ~run.correct[order], last, max_error)[0])


def compared_coverage(runs: Sequence[Run], n_a: int, max_error: float = MAX_ERROR, seed: int = 0) -> Abstention:
    """`coverage_at` of both models; its variance over images by bootstrap, the same images for all runs."""
    n = runs[0].n_images
    if not n:
        return Abstention(np.nan, np.nan, np.nan, np.nan, np.nan, "there is no image")
    if without := _without_confidence(runs, n_a, partial(coverage_at, max_error=max_error)):
        return without
    orders = [_surest_first(run) for run in runs]
    wrong = [~run.correct[order] for run, (order, _) in zip(runs, orders, strict=True)]
    values = np.array([coverage_at(run, max_error) for run in runs])
    if few := _few_images(values, runs, n_a):
        return few
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        weights = np.bincount(rng.integers(n, size=n), minlength=n)[None]
        drawn.append([
            _coverages(weights[:, order], w, last, max_error)[0]
            for (order, last), w in zip(orders, wrong, strict=True)
        ])  # fmt: skip
    return _estimate(values, crossed.difference(values, np.cov(np.array(drawn).T), n_a), n_a, resampled=True)


def risk_coverage(run: Run) -> pd.DataFrame:
    """Columns coverage, error (of the images answered), confidence (the lowest answered): a row for each threshold.

    At most MOST_POINTS rows, evenly spaced in coverage. El-Yaniv and Wiener, JMLR 2010. Empty without images
    or scores.
    """
    if absent.why("confidence", run):
        return pd.DataFrame(columns=["coverage", "error", "confidence"], dtype=float)
    order, last = _surest_first(run)
    answered = np.flatnonzero(last) + 1
    errors = np.cumsum(~run.correct[order])[last]
    if len(answered) > MOST_POINTS:
        kept = np.unique(np.searchsorted(answered, np.linspace(answered[0], answered[-1], MOST_POINTS)))
        answered, errors = answered[kept], errors[kept]
    sure = softmax.confidence(run)[order][answered - 1]
    return pd.DataFrame({"coverage": answered / run.n_images, "error": errors / answered, "confidence": sure})


def abstained(run: Run, coverage: float) -> np.ndarray:
    """The images that the model leaves unanswered at a coverage in [0, 1], int (n,), the least confident first, of
    equal ones that of the lowest id; none where its confidence is not known.
    """
    if absent.why("confidence", run):
        return np.array([], int)
    left_out = run.n_images - round(coverage * run.n_images)
    return np.lexsort((run.sample_ids, softmax.confidence(run)))[:left_out]


def error_at(run: Run, coverage: float) -> float:
    """The share of errors among the images that are answered at a coverage; NaN where none is, or none can
    be chosen for want of scores. Of equally confident images that are answered in part, the same share of errors is.
    """
    if absent.why("confidence", run):
        return float("nan")
    sure, answered = softmax.confidence(run), round(coverage * run.n_images)
    if not answered:
        return float("nan")
    least = np.sort(sure)[-answered]
    above, tied = sure > least, sure == least
    errors = (~run.correct)[above].sum() + (answered - above.sum()) * (~run.correct)[tied].mean()
    return float(errors / answered)


def _surest_first(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """The images by confidence, and where a threshold may lie: after the last of those equally confident, bool (N,)."""
    sure = softmax.confidence(run)
    order = np.argsort(-sure, kind="stable")
    ordered = sure[order]
    return order, np.append(ordered[1:] < ordered[:-1], True)[: run.n_images]


def _coverages(weights: np.ndarray, wrong: np.ndarray, last: np.ndarray, max_error: float) -> np.ndarray:
    """The largest coverage (K,) of which at most `max_error` is wrong; weights (K, N) and wrong (N,), surest first."""
    answered = np.cumsum(weights, axis=1)[:, last]
    errors = np.cumsum(weights * wrong, axis=1)[:, last]
    if not answered.size:
        return np.full(len(weights), np.nan)
    kept = np.where(errors <= max_error * answered + 1e-9, answered, 0)
    return np.asarray(kept.max(axis=1) / answered[:, -1])


def _without_confidence(runs: Sequence[Run], n_a: int, number: Callable[[Run], float]) -> Abstention | None:
    """The number of the model that has confidences, and why the difference is absent; None where both have."""
    if not (reason := absent.why("confidence", *runs)):
        return None
    a, b = (float(np.mean([number(run) for run in side])) for side in (runs[:n_a], runs[n_a:]))
    return Abstention(a, b, np.nan, np.nan, np.nan, reason)


def _few_images(values: np.ndarray, runs: Sequence[Run], n_a: int) -> Abstention | None:
    """Both numbers without an interval where there are too few images for one."""
    if runs[0].n_images >= crossed.FEW_IMAGES:
        return None
    a, b = float(values[:n_a].mean()), float(values[n_a:].mean())
    why = (
        f"fewer than {crossed.FEW_IMAGES} images, too few for an interval" if runs[0].n_images else "there is no image"
    )
    return Abstention(a, b, np.nan, np.nan, np.nan, why)


def _estimate(values: np.ndarray, tested: Difference, n_a: int, resampled: bool = False) -> Abstention:
    a, b = float(values[:n_a].mean()), float(values[n_a:].mean())
    if np.isnan(a + b):
        return Abstention(a, b, np.nan, np.nan, np.nan, "there is no image")
    low, high = float(tested.low), float(tested.high)
    if not high - low > 1e-12:
        return Abstention(a, b, np.nan, np.nan, np.nan, "both models answer alike, so no interval can be computed")
    return Abstention(a, b, max(low, -1.0), min(high, 1.0), float(tested.p), "", resampled)
