"""The search for slices checked by simulation: false reports on equal models, and how often it finds what is planted.

`python -m cifarcore.experiments.simulate_slices` runs it in full and prints the table that RESULTS.md keeps.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import typer
from scipy.stats import norm

from cifarcore.evidence.paired import ALPHA
from cifarcore.evidence.slice_search import Conditions, halves, search
from cifarcore.experiments.simulation import Check

SEARCHES = 1000
#: numeric properties, searched by fifths, the half of which go with how hard an image is; and one of 20 categories
N_NUMERIC, N_CATEGORIES = 10, 20
SUPPORT, POINTS = 300, 0.1
LEAST_FOUND = 0.8
#: weights of how hard an image is for all, and of the model's own taste; the image-wise B - A of three seeds each then
#: has a standard deviation as `simulation` has it, and as the bundled pair has it
APART = {0.42: (0.7, 0.5), 0.35: (0.8, 0.35)}
#: what a planted slice is: a property of its own, one of 20 categories, or where two conditions meet
PLANTED = ("mark", "category", "two conditions")


@dataclass(frozen=True)
class Design:
    """One kind of simulated test sets, and the share of searches that must at least find what is planted."""

    spread: float = 0.42
    n_seeds: int = 3
    n_images: int = 10_000
    planted: str = ""
    least: float = 0.0

    def __str__(self) -> str:
        seeds = "one run each" if self.n_seeds == 1 else f"{self.n_seeds} seeds each"
        spread = f", spread {self.spread}" if self.n_seeds > 1 else ""
        where = f"{seeds}{spread}, {self.n_images:,} images"
        if not self.planted:
            return f"searches that report anything on equal models, {where}"
        return f"planted slices found: {self.planted}, {SUPPORT} images, {100 * POINTS:.0f} points, {where}"


DESIGNS = (
    Design(),
    Design(spread=0.35),
    Design(n_seeds=1),
    Design(n_images=1000),
    Design(planted="mark", least=LEAST_FOUND),
    Design(spread=0.35, planted="mark", least=LEAST_FOUND),
    Design(planted="category"),
    Design(spread=0.35, planted="category", least=LEAST_FOUND),
    Design(planted="two conditions"),
    Design(spread=0.35, planted="two conditions"),
    Design(n_seeds=1, planted="mark"),
)


@dataclass(frozen=True)
class Report:
    """What one search reported: how many slices, and of the one that is mostly the planted one what was measured."""

    reported: int
    detected: bool = False
    excess: float = np.nan  #: the effect reported less the true one
    covered: bool = False  #: whether the interval holds the true one


def checks(searches: int = SEARCHES, seed: int = 0, designs: tuple[Design, ...] = DESIGNS) -> Iterator[Check]:
    """Every check on `searches` simulated test sets each; a design's are the same whichever others are checked."""
    for design in designs:
        rng = np.random.default_rng([seed, DESIGNS.index(design)])
        reports = [report(rng, design) for _ in range(searches)]
        if not design.planted:
            yield Check(str(design), float(np.mean([each.reported > 0 for each in reports])), 0, ALPHA)
            continue
        hits = [each for each in reports if each.detected]
        what = f"{design} (of those found, effect {100 * np.mean([each.excess for each in hits]):+.1f} points too far "
        what += f"from 0, 95% CI covers {np.mean([each.covered for each in hits]):.1%})" if hits else ")"
        yield Check(what, len(hits) / searches, design.least, 1)


def report(rng: np.random.Generator, design: Design) -> Report:
    """One search of one simulated pair of models, 60% right each, but for POINTS more of B in what is planted."""
    difficulty = rng.standard_normal(design.n_images)
    masks, groups, inside = _conditions(rng, difficulty, design.planted)
    right, gain = _right(rng, difficulty, design, inside)
    difference = right[design.n_seeds :].mean(axis=0) - right[: design.n_seeds].mean(axis=0)
    ids = rng.integers(2**63, size=design.n_images).astype(np.uint64)
    table = search(difference, Conditions(masks, groups), halves(ids))
    reported = table[table["significant"].astype(bool)]
    for row in reported.itertuples():
        each = masks[row.first] & (masks[row.second] if row.second >= 0 else True)
        if (inside & each).sum() > 0.5 * (inside | each).sum():
            truth = float(gain[each].mean())
            return Report(len(reported), True, row.difference - truth, row.low <= truth <= row.high)
    return Report(len(reported))


def _conditions(
    rng: np.random.Generator, difficulty: np.ndarray, planted: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks (M, N), properties (M,), and the planted slice (N,), of SUPPORT images; the last property is a mark."""
    n = len(difficulty)
    masks, groups = [], []
    for number in range(N_NUMERIC):
        values = rng.standard_normal(n) + (number % 2) * difficulty
        fifth = np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values)
        masks += [fifth == k for k in range(5)]
        groups += [number] * 5
    category = (
        1 + rng.integers(N_CATEGORIES - 1, size=n) if planted == "category" else rng.integers(N_CATEGORIES, size=n)
    )
    if planted == "category":
        category[rng.choice(n, SUPPORT, replace=False)] = 0
    masks += [category == k for k in range(N_CATEGORIES)]
    mark = np.zeros(n, dtype=bool)
    # with one fifth of the images it then has SUPPORT
    mark[rng.choice(n, 5 * SUPPORT if planted == "two conditions" else min(SUPPORT, n // 4), replace=False)] = True
    masks += [mark, ~mark]
    groups += [N_NUMERIC] * N_CATEGORIES + [N_NUMERIC + 1] * 2
    none = np.zeros(n, dtype=bool)
    inside = {"": none, "mark": mark, "category": category == 0, "two conditions": mark & masks[0]}[planted]
    return np.array(masks), np.array(groups), inside


def _right(
    rng: np.random.Generator, difficulty: np.ndarray, design: Design, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which images each run gets right, bool (2 seeds, N), and by how much B is more likely to, float (N,).

    As `simulation` has it: what is hard for all, a model's taste and a seed's own noise, of variances that sum to one.
    """
    common, taste = APART[design.spread]
    model = np.repeat([0, 1], design.n_seeds)
    latent = common * difficulty + taste * rng.standard_normal((2, design.n_images))[model]
    latent += np.sqrt(1 - common**2 - taste**2) * rng.standard_normal((2 * design.n_seeds, design.n_images))
    right = latent > norm.ppf(0.4 - POINTS * inside * model[:, None])
    return right, POINTS * inside


def main(
    searches: int = typer.Option(SEARCHES, help="Simulated test sets for each check."),
    seed: int = typer.Option(0, help="Of the random numbers."),
    first: int = typer.Option(0, help="The first design to check."),
    last: int = typer.Option(len(DESIGNS) - 1, help="The last design to check."),
) -> None:
    """Print each check with its bounds; exit status 1 where one is not held."""
    started, held = time.perf_counter(), True
    for check in checks(searches, seed, DESIGNS[first : last + 1]):
        print(check, flush=True)
        held &= check.holds
    print(f"{searches:,} searches each, {(time.perf_counter() - started) / 60:.1f} minutes")
    raise typer.Exit(0 if held else 1)


if __name__ == "__main__":
    typer.run(main)
