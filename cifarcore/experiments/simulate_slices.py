"""The search for slices checked by simulation: false reports on equal models, and how often it finds what is planted.

`python -m cifarcore.experiments.simulate_slices` runs it in full and prints the table that slices.md keeps.
"""

import time
from collections.abc import Iterator

import numpy as np
import typer
from scipy.stats import norm

from cifarcore.evidence.paired import ALPHA
from cifarcore.evidence.slice_search import Conditions, halves, search
from cifarcore.experiments.simulation import Check

SEARCHES = 1000
N_IMAGES = 10_000
#: numeric properties, searched by fifths, the half of which go with how hard an image is; and one of 20 categories
N_NUMERIC, N_CATEGORIES = 10, 20
SUPPORT, POINTS = 300, 0.1
LEAST_FOUND = 0.8


def checks(searches: int = SEARCHES, seed: int = 0) -> Iterator[Check]:
    """Every check on `searches` simulated test sets each."""
    rng = np.random.default_rng(seed)
    for n_seeds in (3, 1):
        reported = np.mean([_reports(rng, n_seeds, planted=0)[0] for _ in range(searches)])
        yield Check(f"searches that report anything on equal models, {_of(n_seeds)}", float(reported), 0, ALPHA)
    for n_seeds, least in ((3, LEAST_FOUND), (1, 0.0)):  # one seed alone is noisier; no bound is held there
        for planted in (1, 2):
            power = np.mean([_reports(rng, n_seeds, planted)[1] for _ in range(searches)])
            what = (
                f"{SUPPORT} images of {N_IMAGES:,}, {100 * POINTS:.0f} points, {planted} condition(s), {_of(n_seeds)}"
            )
            yield Check(f"planted slices found: {what}", float(power), least if planted == 1 else 0, 1)


def _of(n_seeds: int) -> str:
    return "one run each" if n_seeds == 1 else f"{n_seeds} seeds each"


def _reports(rng: np.random.Generator, n_seeds: int, planted: int) -> tuple[bool, bool]:
    """Whether one search reports anything, and whether a slice that is mostly the planted one is among it."""
    difficulty = rng.standard_normal(N_IMAGES)
    masks, groups = _conditions(rng, difficulty, planted)
    inside = np.zeros(N_IMAGES, dtype=bool)
    if planted == 1:
        inside = masks[-1]
    elif planted == 2:
        inside = masks[-1] & masks[0]
    right = _right(rng, difficulty, n_seeds, inside)
    difference = right[n_seeds:].mean(axis=0) - right[:n_seeds].mean(axis=0)
    table = search(difference, Conditions(masks, groups), halves(rng.integers(2**63, size=N_IMAGES).astype(np.uint64)))
    reported = table[table["significant"]]
    slices = [masks[i] & (masks[j] if j >= 0 else True) for i, j in reported[["first", "second"]].to_numpy()]
    alike = [(inside & each).sum() / max((inside | each).sum(), 1) for each in slices]
    return len(slices) > 0, max(alike, default=0) > 0.5


def _conditions(rng: np.random.Generator, difficulty: np.ndarray, planted: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks (M, N) and properties (M,); the last one marks SUPPORT images, or with one of the first fifth as many."""
    masks, groups = [], []
    for number in range(N_NUMERIC):
        values = rng.standard_normal(N_IMAGES) + (number % 2) * difficulty
        fifth = np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values)
        masks += [fifth == k for k in range(5)]
        groups += [number] * 5
    category = rng.integers(N_CATEGORIES, size=N_IMAGES)
    masks += [category == k for k in range(N_CATEGORIES)]
    groups += [N_NUMERIC] * N_CATEGORIES
    mark = np.zeros(N_IMAGES, dtype=bool)
    mark[rng.choice(N_IMAGES, 5 * SUPPORT if planted == 2 else SUPPORT, replace=False)] = True
    return np.array([*masks, mark]), np.array([*groups, N_NUMERIC + 1])


def _right(rng: np.random.Generator, difficulty: np.ndarray, n_seeds: int, inside: np.ndarray) -> np.ndarray:
    """Which images each run gets right, bool (2 n_seeds, N): 60% of each model, POINTS more of B's `inside`.

    As `simulation` has it: what is hard for all, a model's taste and a seed's own noise, of variances that sum to one.
    """
    model = np.repeat([0, 1], n_seeds)
    latent = 0.7 * difficulty + 0.5 * rng.standard_normal((2, N_IMAGES))[model]
    latent += np.sqrt(1 - 0.7**2 - 0.5**2) * rng.standard_normal((2 * n_seeds, N_IMAGES))
    return latent > norm.ppf(0.4 - POINTS * inside * model[:, None])


def main(searches: int = typer.Option(SEARCHES, help="Simulated test sets for each check.")) -> None:
    """Print each check with its bounds; exit status 1 where one is not held."""
    started, held = time.perf_counter(), True
    for check in checks(searches):
        print(check, flush=True)
        held &= check.holds
    print(f"{searches:,} searches each, {(time.perf_counter() - started) / 60:.1f} minutes")
    raise typer.Exit(0 if held else 1)


if __name__ == "__main__":
    typer.run(main)
