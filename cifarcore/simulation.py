"""The evidence checked by simulation: how often verdicts, intervals and claims are wrong where the truth is known.

`python -m cifarcore.simulation` runs it in full; a short form is in the tests. It calls what `compare` calls. What it
printed, with 2,000 simulated test sets each (35 minutes on one core):

     4.50% (at most 6.5%) either verdict on equal models, one run each, 10,000 images
     2.65% (at most 6.5%) either verdict on equal models, 3 seeds each, seeds' accuracy ± 0.0
    97.35% (93.5% to 100.0%) interval covers zero for equal models, 3 seeds each, seeds' accuracy ± 0.0
     3.65% (at most 6.5%) either verdict on equal models, 3 seeds each, seeds' accuracy ± 0.003
    96.35% (93.5% to 100.0%) interval covers zero for equal models, 3 seeds each, seeds' accuracy ± 0.003
     3.70% (at most 6.5%) either verdict on equal models, 3 seeds each, seeds' accuracy ± 0.02
    96.30% (93.5% to 100.0%) interval covers zero for equal models, 3 seeds each, seeds' accuracy ± 0.02
     2.45% (at most 5.0%) false class claims, 0 of 100 classes differ, 1 seed(s) each
     0.50% (at most 5.0%) false class claims, 0 of 100 classes differ, 3 seed(s) each
     2.03% (at most 5.0%) false class claims, 30 of 100 classes differ, 1 seed(s) each
     1.45% (at most 5.0%) false class claims, 30 of 100 classes differ, 3 seed(s) each
    94.65% (93.5% to 96.5%) 95 % bootstrap interval of B − A in accuracy covers the truth (+0.0168)
    94.65% (93.5% to 96.5%) 95 % bootstrap interval of B − A in macro_f1 covers the truth (+0.0158)
    95.60% (93.5% to 96.5%) 95 % DeLong interval of B − A in macro_auc covers the truth (+0.0022)

Verdicts and class claims err less often than allowed: the exact test is conservative, and so is the crossed interval
where seeds hardly differ, since their spread is estimated from three.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import typer
from scipy.stats import norm

from cifarcore import claims, crossed, delong, metrics, paired
from cifarcore.runs import Run

SETS = 2000
N_IMAGES = 10_000
N_CLASSES = 100
N_SEEDS = 3
#: images of each class in the made population that test sets are drawn from, with replacement
POPULATION = 1000
#: standard deviation of accuracy between seeds, about that of the bundled runs and well beyond it
SEED_SPREADS = (0.0, 0.003, 0.02)
#: accuracy per unit of the latent score, at an accuracy of 0.6
_SLOPE = float(norm.pdf(norm.ppf(0.4)))
MOST_WRONG_VERDICTS = 0.065
COVERAGE = (0.935, 0.965)


@dataclass(frozen=True)
class Check:
    """One measured share, and the bounds that it must lie in."""

    name: str
    measured: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        return self.low <= self.measured <= self.high

    def __str__(self) -> str:
        bounds = f"at most {self.high:.1%}" if self.low == 0 else f"{self.low:.1%} to {self.high:.1%}"
        return f"{self.measured:6.2%}  ({bounds}{'' if self.holds else ', NOT HELD'})  {self.name}"


def checks(sets: int = SETS, seed: int = 0) -> Iterator[Check]:
    """Every check on `sets` simulated test sets each, the quick ones first."""
    rng = np.random.default_rng(seed)
    yield _equal_pair(sets, rng)
    for spread in SEED_SPREADS:
        yield from _equal_models_over_seeds(sets, spread, rng)
    for changed in (0.0, 0.3):
        for n_seeds in (1, N_SEEDS):
            yield _false_class_claims(sets, changed, n_seeds, rng)
    yield from _coverage(sets, rng)


def _equal_pair(sets: int, rng: np.random.Generator) -> Check:
    """Two models of equal true accuracy, right or wrong together more often than not."""
    wrong = 0
    for _ in range(sets):
        a, b = _right_or_wrong(rng, N_IMAGES, 2)
        wrong += paired.mcnemar_p((a & ~b).sum(), (b & ~a).sum()) < paired.ALPHA
    return Check(
        f"either verdict on equal models, one run each, {N_IMAGES:,} images", wrong / sets, 0, MOST_WRONG_VERDICTS
    )


def _equal_models_over_seeds(sets: int, spread: float, rng: np.random.Generator) -> Iterator[Check]:
    """Models of equal expected accuracy, whose seeds differ by `spread` (standard deviation of accuracy)."""
    groups = crossed.strata(np.arange(N_IMAGES) % N_CLASSES)
    wrong, covered = 0, 0
    for _ in range(sets):
        right = _right_or_wrong(rng, N_IMAGES, 2 * N_SEEDS, spread)
        found = crossed.difference(right.mean(axis=1), crossed.image_covariance(right / N_IMAGES, *groups), N_SEEDS)
        wrong += found.p < paired.ALPHA
        covered += found.low <= 0 <= found.high
    where = f"equal models, {N_SEEDS} seeds each, seeds' accuracy ± {spread}"
    yield Check(f"either verdict on {where}", wrong / sets, 0, MOST_WRONG_VERDICTS)
    # wider than 96.5 % is no fault where seeds hardly differ: their spread is estimated from three and never below zero
    yield Check(f"interval covers zero for {where}", covered / sets, COVERAGE[0], 1)


def _false_class_claims(sets: int, changed: float, n_seeds: int, rng: np.random.Generator) -> Check:
    """Recall of all classes, a share `changed` of which truly differs, by 10 to 20 points either way."""
    per_class = N_IMAGES // N_CLASSES
    shift = np.zeros(N_CLASSES)
    n = round(changed * N_CLASSES)
    shift[:n] = rng.uniform(0.1, 0.2, n) * rng.choice([-1, 1], n)
    share = 0.0
    for _ in range(sets):
        indicators = [_right_or_wrong(rng, per_class, 2 * n_seeds, 0.03 if n_seeds > 1 else 0, shift=s) for s in shift]
        claim = claims.rate_claims(indicators, 2 * n_seeds, n_seeds, ("gained", "lost"))["claim"].to_numpy()
        true = np.where(shift > 0, "gained", np.where(shift < 0, "lost", ""))
        share += ((claim != "") & (claim != true)).sum() / max((claim != "").sum(), 1) / sets
    return Check(
        f"false class claims, {n} of {N_CLASSES} classes differ, {n_seeds} seed(s) each", share, 0, paired.ALPHA
    )


def _coverage(sets: int, rng: np.random.Generator) -> Iterator[Check]:
    """Intervals of B - A against the difference in the population that the test sets are drawn from."""
    population = [_population(rng, skill) for skill in (2.3, 2.4)]
    names = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auc": metrics.macro_auc}
    truth = {name: function(population[1]) - function(population[0]) for name, function in names.items()}
    covered = dict.fromkeys(names, 0)
    starts = np.arange(N_CLASSES)[:, None] * POPULATION
    for _ in range(sets):
        rows = (starts + rng.integers(POPULATION, size=(N_CLASSES, N_IMAGES // N_CLASSES))).ravel()
        runs = [run.take(rows) for run in population]
        scores = paired.bootstrap_scores(runs[0].labels, [run.predictions for run in runs], None, N_CLASSES, seed=rng)
        areas = delong.one_vs_rest(runs)
        covariance = crossed.image_covariance(areas.influence, *crossed.strata(runs[0].labels))
        delong_found = crossed.difference(crossed.macro_auc_values(areas), covariance, 1)
        intervals = {
            name: paired.percentile_interval(scores[1][name] - scores[0][name]) for name in ("accuracy", "macro_f1")
        }
        intervals["macro_auc"] = delong_found.low, delong_found.high
        for name, (low, high) in intervals.items():
            covered[name] += low <= truth[name] <= high
    for name, count in covered.items():
        method = "DeLong" if name == "macro_auc" else "bootstrap"
        yield Check(
            f"95 % {method} interval of B − A in {name} covers the truth ({truth[name]:+.4f})", count / sets, *COVERAGE
        )


def _right_or_wrong(
    rng: np.random.Generator, n_images: int, n_runs: int, seed_spread: float = 0.0, shift: float = 0.0
) -> np.ndarray:
    """Which images each run gets right, bool (n_runs, n_images): the first half of the runs is model A.

    An image is right where difficulty (shared by all), the model's taste, the seed's own noise and the seed's luck add
    up to more than zero; the variances of the first three add up to one. Expected accuracy is 0.6 for A, 0.6 + `shift`
    for B; seeds' accuracies scatter by about `seed_spread`.
    """
    model = np.repeat([0, 1], n_runs // 2)
    latent = 0.7 * rng.standard_normal(n_images) + 0.5 * rng.standard_normal((2, n_images))[model]
    latent += np.sqrt(1 - 0.7**2 - 0.5**2) * rng.standard_normal((n_runs, n_images))
    luck = seed_spread / _SLOPE * rng.standard_normal((n_runs, 1))
    # luck widens the latent, so the threshold is stretched to keep expected accuracy where it is
    stretch = np.sqrt(1 + (seed_spread / _SLOPE) ** 2)
    threshold = stretch * norm.ppf(0.4 - shift * model)[:, None]
    return latent + luck > threshold


def _population(rng: np.random.Generator, skill: float) -> Run:
    """A model's logits on a balanced population in the order of classes; models made one after the other differ.

    Images are hard or easy for all models alike, classes differ, and groups of five classes are alike.
    """
    n = N_CLASSES * POPULATION
    labels = np.repeat(np.arange(N_CLASSES), POPULATION).astype(np.int16)
    shared = np.random.default_rng(0)  # the same images for every model
    difficulty, class_skill = shared.standard_normal(n), 0.4 * shared.standard_normal(N_CLASSES)
    logits = rng.standard_normal((n, N_CLASSES), dtype=np.float32)
    logits += 0.8 * (np.arange(N_CLASSES) // 5 == labels[:, None] // 5)
    own = (
        skill
        + class_skill[labels]
        + 0.3 * rng.standard_normal(N_CLASSES)[labels]
        - difficulty
        + 0.6 * rng.standard_normal(n)
    )
    logits[np.arange(n), labels] += own
    names = np.array([f"class {c:02d}" for c in range(N_CLASSES)])
    return Run(names, np.arange(n, dtype=np.uint64), labels, logits.astype(np.float16))


def main(sets: int = typer.Option(SETS, help="Simulated test sets for each check.")) -> None:
    """Print each check with its bounds; exit status 1 where one is not held."""
    started, held = time.perf_counter(), True
    for check in checks(sets):
        print(check, flush=True)
        held &= check.holds
    print(f"{sets:,} simulated test sets each, {(time.perf_counter() - started) / 60:.1f} minutes")
    raise typer.Exit(0 if held else 1)


if __name__ == "__main__":
    typer.run(main)
