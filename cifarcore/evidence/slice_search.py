"""Search for the parts of a test set (slices) in which B - A differs most from the rest, with tests that account for
every slice looked at. Knows arrays alone.

Own enumeration: PyPI's sliceline (0.3) maximises one model's mean error, takes no signed difference, and tests nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cifarcore.evidence.distributions import student_quantile, student_tail
from cifarcore.evidence.paired import ALPHA, q_values

#: of each kind, of one condition and of two, that one half of the images proposes
MOST_PROPOSED = 10
#: two proposals share at most this much of their images (intersection over union: Jaccard 1901)
MOST_OVERLAP = 0.5
#: by how many standard errors two conditions must differ from either alone
BEYOND_PARENT = 2.0
#: of the 5% for all tests, what slices of one condition get; those of two get the rest
FOR_ONE_CONDITION = 0.5
_AT_ONCE = 1 << 26  # numbers of which sums are taken in memory
_CANDIDATES = 2000  # of two conditions, looked at for overlap in the order of their z
_COLUMNS = (
    "first", "second", "support", "chosen_by", "difference", "low", "high", "rest", "gap", "p", "q", "significant",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Conditions:
    """What slices are made of: row i of `masks` says of which images condition i is true."""

    masks: np.ndarray  #: bool (M, N)
    groups: np.ndarray  #: int (M,), the property that the condition is of; two conditions of one are never joined


@dataclass(frozen=True, eq=False)
class _Sums:
    """Of every two conditions at once, those images that meet both; of one condition on the diagonal. All (M, M)."""

    n: int
    counts: np.ndarray
    sums: np.ndarray  #: of the differences less their mean
    squares: np.ndarray  #: of the squares of these
    total: float  #: the sum of the squares of all images


def least_support(n_images: int) -> int:
    """Images that a slice needs: a hundredth of all, from 40 to 200; it has at most half of all."""
    return int(np.clip(n_images / 100, 40, 200))


def halves(sample_ids: np.ndarray) -> np.ndarray:
    """Which images, bool (N,), are of the first half: random, and the same for the same ids in any order."""
    first = np.zeros(len(sample_ids), dtype=bool)
    order = np.argsort(sample_ids, kind="stable")
    first[order[np.random.default_rng(0).permutation(len(order))[: len(order) // 2]]] = True
    return first


def search(difference: np.ndarray, conditions: Conditions, first_half: np.ndarray) -> pd.DataFrame:
    """Slices of one and two conditions whose B - A differs most: tested on all images, measured on those held out.

    `difference` float (N,) is each image's B - A in correctness (means over seeds, -1 to 1); `first_half` bool (N,).
    Every slice that has the support is tested against the rest by Welch's t, two-sided, on all images, the variance
    inside taken to be at least that of all. FDR is controlled at 5% over all these tests by weighted Benjamini-Hochberg
    (Genovese, Roeder and Wasserman, Biometrika 2006): half of the weight is for one condition, half for two; each
    property (or two) has as much as another, so that one of many values takes no power from the others. Listed is what
    either half of the images proposes, up to MOST_PROPOSED of one condition and of two, by |z|. Images are random; the
    seeds are these very ones. How often this errs, and finds: `experiments/RESULTS.md`.

    Returns a row for each slice proposed, smallest q first: first, second (indices of conditions, second -1 for none),
    support (images), chosen_by (1, or 2 where both halves proposed it), difference (B - A inside), low, high (95%),
    rest (B - A outside), gap (difference - rest), p, q, significant. Effect and interval are of the half that did not
    choose; where both chose, the mean of the two halves'.
    """
    masks, groups = conditions.masks, conditions.groups
    if not len(masks) or len(difference) < 4:
        return pd.DataFrame(columns=list(_COLUMNS))
    whole = _sums(difference, masks)
    usable = _usable(whole, groups)
    p, q = _tested(whole, usable, groups)
    chosen_by: dict[tuple[int, int], list[tuple]] = {}
    for choosing in (first_half, ~first_half):
        held_out = difference[~choosing]
        for pair in _proposed(difference[choosing], masks[:, choosing], usable):
            inside = _mask(masks[:, ~choosing], pair)
            if inside.sum() >= 2 and (~inside).sum() >= 2:
                chosen_by.setdefault(pair, []).append(_measured(held_out, inside))
    rows = []
    for pair, halves_of in chosen_by.items():
        inside, rest, error, df = np.array(halves_of).T
        half = student_quantile(1 - ALPHA / 2, df.min()) * np.sqrt((error**2).sum()) / len(halves_of)
        value, outside = inside.mean(), rest.mean()
        place = (pair[0], pair[0] if pair[1] < 0 else pair[1])
        row = (*pair, int(whole.counts[place]), len(halves_of), value, value - half, value + half, outside)
        rows.append((*row, value - outside, p[place], q[place], q[place] <= ALPHA))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    return table.sort_values(["q", "p", "first", "second"], ignore_index=True)


def against_rest(difference: np.ndarray, inside: np.ndarray) -> tuple[float, float, float, float, float]:
    """One slice that was not searched for: B - A inside with its 95% CI, B - A outside, and p of Welch's t, two-sided.

    `difference` float (N,), `inside` bool (N,); NaN, and p of 1, where fewer than two images are inside or outside.
    """
    if inside.sum() < 2 or (~inside).sum() < 2:
        return np.nan, np.nan, np.nan, np.nan, 1.0
    value, rest, error, df = _measured(difference, inside)
    half = student_quantile(1 - ALPHA / 2, df) * error
    sums = _sums(difference, inside[None])
    return value, value - half, value + half, rest, float(_welch(sums)[0, 0])


def _mask(masks: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    return masks[pair[0]] if pair[1] < 0 else masks[pair[0]] & masks[pair[1]]


def _sums(values: np.ndarray, masks: np.ndarray) -> _Sums:
    centred = values - values.mean()
    counts, sums, squares = np.zeros((3, len(masks), len(masks)), np.float32)
    step = max(1, _AT_ONCE // max(1, len(masks)))
    for start in range(0, len(values), step):
        rows = slice(start, start + step)
        bits = masks[:, rows].astype(np.float32)
        counts += bits @ bits.T
        for of, weight in ((sums, centred[rows]), (squares, centred[rows] ** 2)):
            of += (bits * weight.astype(np.float32)) @ bits.T
    return _Sums(len(values), counts, sums, squares, float((centred**2).sum()))


def _usable(whole: _Sums, groups: np.ndarray) -> np.ndarray:
    """Which slices are looked at, bool (M, M): one condition on the diagonal, two of different properties above it.

    What most images have in common is the rule; what the others have is the slice.
    """
    enough = (whole.counts >= least_support(whole.n)) & (whole.counts <= whole.n / 2)
    return enough & ((groups[:, None] < groups[None, :]) | np.eye(len(groups), dtype=bool))


def _tested(whole: _Sums, usable: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p and q of every usable slice, (M, M); 1 elsewhere."""
    p, q = np.ones((2, *usable.shape))
    if usable.any():
        first, second = np.nonzero(usable)
        p[usable] = _welch(whole)[usable]
        share = _shares(first == second, groups[first], groups[second])
        q[usable] = q_values(np.minimum(p[usable] / (share * len(share)), 1), np.ones(len(share), dtype=bool))
    return p, q


def _shares(single: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What part of the 5% each slice (n,) gets, by whether it is of one condition and of which properties; in all 1."""
    share = np.zeros(len(single))
    for kind, part in ((single, FOR_ONE_CONDITION), (~single, 1 - FOR_ONE_CONDITION)):
        if kind.any():
            properties = np.stack([first[kind], second[kind]])
            _, each, sizes = np.unique(properties, axis=1, return_inverse=True, return_counts=True)
            share[kind] = part / len(sizes) / sizes[each.ravel()]
    return share / share.sum()


def _welch(whole: _Sums) -> np.ndarray:
    """Two-sided p of Welch's t of each slice against the rest, (M, M); 1 where nothing varies or too few are inside."""
    n, counts, sums = whole.n, whole.counts.astype(float), whole.sums.astype(float)
    rest = n - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (whole.squares - sums**2 / counts) / (counts - 1)
        # a slice of few images may show no spread by luck alone
        variance = np.maximum(variance, whole.total / (n - 1)) / counts
        variance_rest = np.maximum(whole.total - whole.squares - sums**2 / rest, 0) / (rest - 1) / rest
        df = (variance + variance_rest) ** 2 / (variance**2 / (counts - 1) + variance_rest**2 / (rest - 1))
        t = (sums / counts + sums / rest) / np.sqrt(variance + variance_rest)
        p = 2 * student_tail(np.abs(t), df)
    return np.where(np.isfinite(p) & (whole.total > 0), p, 1.0)


def _measured(values: np.ndarray, inside: np.ndarray) -> tuple[float, float, float, float]:
    """Mean inside and outside, the standard error of the mean inside, and its df."""
    within, rest = values[inside], values[~inside]
    variance = max(within.var(ddof=1), values.var(ddof=1)) / len(within)
    return float(within.mean()), float(rest.mean()), float(np.sqrt(variance)), len(within) - 1.0


def _proposed(values: np.ndarray, masks: np.ndarray, usable: np.ndarray) -> list[tuple[int, int]]:
    """The slices that these images would choose, those of one condition first, each by |z|."""
    half = _sums(values, masks)
    spread = half.total / half.n
    z = _z(half, spread)
    single = np.where(usable.diagonal(), np.abs(z.diagonal()), 0)
    chosen: list[np.ndarray] = []
    ones = _apart([(int(i), -1) for i in np.argsort(-single, kind="stable") if single[i] > 0], masks, chosen)
    beyond = _beyond(half, spread, z)
    # as many standard errors of all images are fewer of half of them
    joined = usable & ~np.eye(len(masks), dtype=bool) & (np.minimum(beyond, beyond.T) >= BEYOND_PARENT * np.sqrt(0.5))
    strength = np.where(joined, np.abs(z), 0).ravel()
    best = np.argsort(-strength, kind="stable")[:_CANDIDATES]
    pairs = [divmod(int(place), len(masks)) for place in best if strength[place] > 0]
    return ones + _apart(pairs, masks, chosen)


def _z(of: _Sums, spread: float) -> np.ndarray:
    """How far the mean of each slice is from that of the rest, in standard errors; (M, M)."""
    rest = of.n - of.counts
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (of.sums / of.counts + of.sums / rest) / np.sqrt(spread * (1 / of.counts + 1 / rest))
    return np.nan_to_num(z, nan=0, posinf=0, neginf=0)


def _beyond(of: _Sums, spread: float, z: np.ndarray) -> np.ndarray:
    """By how many standard errors both conditions go beyond the row's alone, in the direction of z; (M, M)."""
    parent_sum, parent = of.sums.diagonal()[:, None], of.counts.diagonal()[:, None]
    left, left_sum = parent - of.counts, parent_sum - of.sums
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (of.sums / of.counts - left_sum / left) / np.sqrt(spread * (1 / of.counts + 1 / left))
    return np.nan_to_num(apart * np.sign(z), nan=0, posinf=0, neginf=0)


def _apart(pairs: list[tuple[int, int]], masks: np.ndarray, chosen: list[np.ndarray]) -> list[tuple[int, int]]:
    """The first MOST_PROPOSED of `pairs` that share little with `chosen`, one another, and what these leave out."""
    kept: list[tuple[int, int]] = []
    for pair in pairs:
        mask = _mask(masks, pair)
        alike = (np.sum(mask & other) > MOST_OVERLAP * np.sum(mask | other) for other in chosen)
        if any(alike) or any(np.array_equal(mask, ~other) for other in chosen):
            continue
        chosen.append(mask)
        kept.append(pair)
        if len(kept) == MOST_PROPOSED:
            break
    return kept
