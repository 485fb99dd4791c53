"""Two models on corrupted test images, paired by image: accuracy by corruption and severity, and what either loses.

Images are random, the seeds are these very ones. Each corruption counts as much as another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cifarcore.data.ids import rows_of
from cifarcore.evidence.distributions import student_quantile, student_tail
from cifarcore.evidence.paired import ALPHA, q_values
from cifarcore.runs.corrupted import Corrupted
from cifarcore.runs.run import Run

RESAMPLES = 2000
_AT_ONCE = 1 << 22  #: weights of images in resamples that are in memory at a time
CLEAN = 0  #: the severity of images as they are
Scored = tuple[Run, Corrupted]


@dataclass(frozen=True)
class Ratio:
    """B's over A's, with its 95% interval (percentile bootstrap over images); NaN where A has nothing to divide by."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Robustness:
    """What n images that both models were scored on say, under the conditions that both have."""

    n_images: int
    seeds: tuple[int, int]  #: runs of A and of B
    #: severity (CLEAN first), accuracy_a, accuracy_b, difference, low, high: means over the corruptions
    by_severity: pd.DataFrame
    #: corruption, accuracy_a, accuracy_b, difference, low, high, p, q, significant: means over the severities
    by_corruption: pd.DataFrame
    #: accuracy_a, accuracy_b, difference, low, high, p of three means over corruptions, by name: "clean", "corrupted",
    #: and "lost", the first less the second
    overall: pd.DataFrame
    #: mean corruption error of Hendrycks and Dietterich (ICLR 2019), with A where they have AlexNet
    error: Ratio
    relative: Ratio  #: their relative one, of the errors that corruption adds


def compare(scored_a: Sequence[Scored], scored_b: Sequence[Scored]) -> Robustness | None:
    """Compare two models, each a list of runs (one per seed) with what they predict on corrupted images.

    Row i of every run must be the same image. Only images and conditions that all of them have count. A
    difference is B - A of each image's correctness (mean over seeds), its interval Student's t over images; false
    discoveries are controlled at 5% over the corruptions. None where nothing is shared, or fewer than two images.
    """
    every = [*scored_a, *scored_b]
    if not scored_a or not scored_b:
        return None
    kept = np.flatnonzero(np.all([_held(*each) for each in every], axis=0))
    shared = [c for c in every[0][1].conditions if all(c in corrupted.conditions for _, corrupted in every)]
    if len(kept) < 2 or not shared:
        return None
    (clean_a, a), (clean_b, b) = (_correct(side, kept, shared) for side in (scored_a, scored_b))
    names = list(dict.fromkeys(name for name, _ in shared))
    of_name = [np.array([name == each for name, _ in shared]) for each in names]
    by_name_a, by_name_b = (np.stack([side[of].mean(axis=0) for of in of_name]) for side in (a, b))
    rows = [_row(x, y) for x, y in zip(by_name_a, by_name_b, strict=True)]
    by_corruption = pd.DataFrame(rows).assign(corruption=names)
    by_corruption["q"] = q_values(by_corruption["p"].to_numpy(float), np.ones(len(names), dtype=bool))
    by_corruption["significant"] = by_corruption["q"] <= ALPHA
    levels = sorted({severity for _, severity in shared})
    at = [np.array([severity == level for _, severity in shared]) for level in levels]
    curves = [_row(clean_a, clean_b), *(_row(a[of].mean(axis=0), b[of].mean(axis=0)) for of in at)]
    means = {"clean": (clean_a, clean_b), "corrupted": (by_name_a.mean(axis=0), by_name_b.mean(axis=0))}
    means["lost"] = (means["clean"][0] - means["corrupted"][0], means["clean"][1] - means["corrupted"][1])
    error, relative = _ratios(by_name_a, by_name_b, clean_a, clean_b)
    return Robustness(
        len(kept),
        (len(scored_a), len(scored_b)),
        pd.DataFrame(curves).assign(severity=[CLEAN, *levels]).drop(columns="p"),
        by_corruption,
        pd.DataFrame.from_dict({name: _row(*sides) for name, sides in means.items()}, orient="index"),
        error,
        relative,
    )


def _held(run: Run, corrupted: Corrupted) -> np.ndarray:
    """Which images of the run are in the file, bool (N,): one that has two labels as often as it is there."""
    ids = pd.Series(run.sample_ids)
    return (ids.groupby(ids).cumcount() < ids.map(pd.Series(corrupted.sample_ids).value_counts())).to_numpy()


def _correct(
    scored: Sequence[Scored], rows: np.ndarray, shared: Sequence[tuple[str, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Correctness of the images in `rows` (n,), clean (n,) and under each condition (K, n): means over the runs."""
    clean, changed = [], []
    for run, corrupted in scored:
        labels, at = run.labels[rows], rows_of(corrupted.sample_ids, run.sample_ids[rows])
        places = [corrupted.conditions.index(condition) for condition in shared]
        clean.append(corrupted.clean[at] == labels)
        changed.append(corrupted.predictions[places][:, at] == labels)
    return np.mean(clean, axis=0), np.mean(changed, axis=0)


def _row(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Both means, and their paired difference with Student's interval and p; no interval where nothing varies."""
    difference, n = b - a, len(a)
    error = difference.std(ddof=1) / np.sqrt(n)
    half = student_quantile(1 - ALPHA / 2, n - 1) * error if error > 0 else np.nan
    p = float(2 * student_tail(abs(difference.mean()) / error, n - 1)) if error > 0 else 1.0
    middle = float(difference.mean())
    return {
        "accuracy_a": float(a.mean()), "accuracy_b": float(b.mean()), "difference": middle, "low": middle - half,
        "high": middle + half, "p": p,
    }  # fmt: skip


def _ratios(a: np.ndarray, b: np.ndarray, clean_a: np.ndarray, clean_b: np.ndarray) -> tuple[Ratio, Ratio]:
    """Mean corruption error and its relative form, of correctness by corruption (K, n) and on clean images (n,)."""
    n, k = len(clean_a), len(a)
    every, even = np.vstack([a, b, clean_a, clean_b]).T, np.full(n, 1 / n)
    generator, step = np.random.default_rng(0), max(1, _AT_ONCE // n)
    sizes = (min(step, RESAMPLES - done) for done in range(0, RESAMPLES, step))
    means = [generator.multinomial(n, even, size) / n @ every for size in sizes]
    errors = 1 - np.vstack([every.mean(axis=0), *means])
    errors_a, errors_b, base_a, base_b = np.split(errors, [k, 2 * k, 2 * k + 1], axis=1)
    return _ratio(errors_b, errors_a), _ratio(errors_b - base_b, errors_a - base_a)


def _ratio(above: np.ndarray, below: np.ndarray) -> Ratio:
    """Mean over columns of above / below, the first row's with the interval of the others."""
    if (below <= 0).any():  # nothing to divide by, in these images or in a resample of them
        return Ratio(np.nan, np.nan, np.nan)
    ratios = (above / below).mean(axis=1)
    low, high = np.quantile(ratios[1:], [ALPHA / 2, 1 - ALPHA / 2])
    return Ratio(float(ratios[0]), float(low), float(high))
