"""Search for the parts of a test set (slices) in which B - A differs most from the rest, with tests that the search did
not see. Knows arrays alone.

Own enumeration: PyPI's sliceline (0.3) maximises one model's mean error, takes no signed difference, and tests nothing.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from cifarcore.evidence.paired import ALPHA, q_values

#: of each kind, of one condition and of two, that one half of the images proposes to the other
MOST_PROPOSED = 10
#: two proposals share at most this much of their images (intersection over union: Jaccard 1901)
MOST_OVERLAP = 0.5
#: by how many standard errors two conditions must differ from either alone
BEYOND_PARENT = 2.0
_CANDIDATES = 2000  # of two conditions, looked at for overlap in the order of their z


@dataclass(frozen=True, eq=False)
class Conditions:
    """What slices are made of: row i of `masks` says of which images condition i is true."""

    masks: np.ndarray  #: bool (M, N)
    groups: np.ndarray  #: int (M,), the property that the condition is of; two conditions of one are never joined


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
    """Slices of one and two conditions whose B - A differs most: proposed by one half, tested on the other.

    `difference` float (N,) is each image's B - A in correctness (means over seeds, -1 to 1); `first_half` bool (N,).
    Each half proposes up to MOST_PROPOSED slices of one condition and as many of two, by |z|, and the other half tests
    each by Welch's t, one-sided in the direction proposed, the variance inside taken to be at least that of all images.
    FDR is controlled at 5% over all tests of both halves together, those proposed first having the greater weight, as
    1 / rank (Genovese, Roeder and Wasserman, Biometrika 2006). Images are random; the seeds are these very ones.

    Returns a row for each slice proposed, smallest q first: first, second (indices of conditions, second -1 for none),
    support (images), tests (1, or 2 where both halves proposed it), difference (B - A inside), low, high (95%), rest
    (B - A outside), gap (difference - rest), p, q (of the better test where there are two), significant. Effect and
    interval are of the half that did not choose; where both chose, the mean of the two halves'.
    """
    chosen_by: dict[tuple[int, int], list[tuple]] = {}
    for choosing in (first_half, ~first_half):
        proposed = _proposed(difference[choosing], conditions.masks[:, choosing], conditions.groups)
        held_out = difference[~choosing]
        for pair, sign, weight in proposed:
            inside = _mask(conditions.masks[:, ~choosing], pair)
            if (inside.sum() >= 2) and ((~inside).sum() >= 2):
                chosen_by.setdefault(pair, []).append((weight, *_tested(held_out, inside, sign)))
    columns = [
        "first",
        "second",
        "support",
        "tests",
        "difference",
        "low",
        "high",
        "rest",
        "gap",
        "p",
        "q",
        "significant",
    ]
    if not chosen_by:
        return pd.DataFrame(columns=columns)
    weight, p = np.array([(test[0], test[-1]) for tests in chosen_by.values() for test in tests]).T
    weighted = np.minimum(p * weight.mean() / weight, 1)
    q = iter(q_values(weighted, np.ones(len(p), dtype=bool)))
    rows = []
    for pair, tests in chosen_by.items():
        _, inside, rest, error, df, p_own = np.array(tests).T
        half = student.ppf(1 - ALPHA / 2, df.min()) * np.sqrt((error**2).sum()) / len(tests)
        value, outside = inside.mean(), rest.mean()
        best_q = min(next(q) for _ in tests)
        support = int(_mask(conditions.masks, pair).sum())
        rows.append(
            (
                *pair,
                support,
                len(tests),
                value,
                value - half,
                value + half,
                outside,
                value - outside,
                p_own.min(),
                best_q,
            )
        )
    table = pd.DataFrame(rows, columns=columns[:-1])
    table["significant"] = table["q"] <= ALPHA
    return table.sort_values(["q", "p", "first", "second"], ignore_index=True)


def _mask(masks: np.ndarray, pair: tuple[int, int]) -> np.ndarray:
    return masks[pair[0]] if pair[1] < 0 else masks[pair[0]] & masks[pair[1]]


def _tested(values: np.ndarray, inside: np.ndarray, sign: float) -> tuple[float, float, float, float, float]:
    """Mean inside and outside, the standard error of the mean inside, df, and p in the direction `sign`."""
    within, rest = values[inside], values[~inside]
    # a slice of few images may show no spread by luck alone
    variance = max(within.var(ddof=1), values.var(ddof=1)) / len(within)
    variance_rest = rest.var(ddof=1) / len(rest)
    total = variance + variance_rest
    if total == 0:
        return float(within.mean()), float(rest.mean()), 0.0, len(values) - 2.0, 1.0
    df = total**2 / (variance**2 / (len(within) - 1) + variance_rest**2 / (len(rest) - 1))
    p = student.sf(sign * (within.mean() - rest.mean()) / np.sqrt(total), df)
    return float(within.mean()), float(rest.mean()), float(np.sqrt(variance)), float(df), float(p)


def _proposed(values: np.ndarray, masks: np.ndarray, groups: np.ndarray) -> list[tuple[tuple[int, int], float, float]]:
    """The slices that these images would choose, each with the sign of its gap and its weight, 1 / rank in its kind."""
    if not len(masks):
        return []
    least, spread = least_support(2 * len(values)) / 2, values.var()
    bits = masks.astype(np.float32)
    centred = (values - values.mean()).astype(np.float32)
    # of every two conditions at once: the images that meet both, and the sum of their differences
    counts, sums = bits @ bits.T, (bits * centred) @ bits.T
    z = _z(sums, counts, len(values), spread)
    # what most images have in common is the rule; what the others have is the slice
    usable = (counts >= least) & (counts <= len(values) / 2)
    single = np.where(usable.diagonal(), np.abs(z.diagonal()), 0)
    chosen: list[np.ndarray] = []
    ones = _apart([(int(i), -1) for i in np.argsort(-single, kind="stable") if single[i] > 0], masks, chosen)
    beyond = np.minimum(_beyond(sums, counts, spread, z), _beyond(sums.T, counts.T, spread, z))
    joined = usable & (groups[:, None] < groups[None, :]) & (beyond >= BEYOND_PARENT)
    strength = np.where(joined, np.abs(z), 0).ravel()
    best = np.argsort(-strength, kind="stable")[:_CANDIDATES]
    pairs = [divmod(int(place), len(masks)) for place in best if strength[place] > 0]
    twos = _apart(pairs, masks, chosen)
    signs = np.sign(z)
    return [
        (pair, float(signs[pair[0], pair[1] if pair[1] >= 0 else pair[0]]), 1 / rank)
        for kind in (ones, twos)
        for rank, pair in enumerate(kind, 1)
    ]


def _z(sums: np.ndarray, counts: np.ndarray, n: int, spread: float) -> np.ndarray:
    """How far the mean of `counts` of n images is from that of the rest, in standard errors; sums of centred values."""
    rest = n - counts
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (sums / counts + sums / rest) / np.sqrt(spread * (1 / counts + 1 / rest))
    return np.nan_to_num(z, nan=0, posinf=0, neginf=0)


def _beyond(sums: np.ndarray, counts: np.ndarray, spread: float, z: np.ndarray) -> np.ndarray:
    """By how many standard errors both conditions go beyond the row's alone, in the direction of z; (M, M)."""
    parent_sum, parent = sums.diagonal()[:, None], counts.diagonal()[:, None]
    left, left_sum = parent - counts, parent_sum - sums
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (sums / counts - left_sum / left) / np.sqrt(spread * (1 / counts + 1 / left))
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
