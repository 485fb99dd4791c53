"""The evidence checked by simulation: how often verdicts, intervals and claims are wrong where the truth is known.

`python -m cifarcore.experiments.simulation` runs it in full; a short form is in the tests. It calls what `compare`
calls.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from scipy.stats import norm
from sklearn.metrics import f1_score

from cifarcore.evidence import claims, crossed, delong, metrics, paired, roc_curves, shares
from cifarcore.experiments import simulate_seeds
from cifarcore.files import atomic_write
from cifarcore.runs.run import Run

SETS = 2000
N_IMAGES = 10_000
N_CLASSES = 100
N_SEEDS = 3
#: images of each class in the made population that test sets are drawn from, with replacement
POPULATION = 1000
#: standard deviation of accuracy between seeds, about that of the bundled runs and well beyond it
SEED_SPREADS = (0.0, 0.003, 0.02)
MOST_WRONG_VERDICTS = 0.065
COVERAGE = (0.935, 0.965)
#: of test sets with as few images of each class
SMALL_COVERAGE = (0.93, 0.975)
IMAGES_A_CLASS = (10, 5, 2)


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
        for n_seeds in (1, 2, N_SEEDS):
            yield _false_claims(sets, changed, n_seeds, rng)
    for n_seeds in (1, 2, N_SEEDS):  # as rare as cells of the confusion matrix
        yield _false_claims(sets, 0.0, n_seeds, rng, base=-0.54)
    yield from _small_classes(sets, rng)
    yield _uneven_classes_of_seeds(sets, rng)
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
        estimate = crossed.difference(right.mean(axis=1), crossed.image_covariance(right / N_IMAGES, *groups), N_SEEDS)
        wrong += estimate.p < paired.ALPHA
        covered += estimate.low <= 0 <= estimate.high
    where = f"equal models, {N_SEEDS} seeds each, seeds' accuracy ± {spread}"
    yield Check(f"either verdict on {where}", wrong / sets, 0, MOST_WRONG_VERDICTS)
    # wider than 96.5% is no fault where seeds hardly differ: their spread is estimated from three, never below zero
    yield Check(f"interval covers zero for {where}", covered / sets, COVERAGE[0], 1)


def _false_claims(sets: int, changed: float, n_seeds: int, rng: np.random.Generator, base: float = 0.0) -> Check:
    """Shares of all classes, `changed` of which truly differ, by 10 to 20 points either way; `base` is added to 0.6."""
    per_class = N_IMAGES // N_CLASSES
    shift = np.zeros(N_CLASSES)
    n = round(changed * N_CLASSES)
    shift[:n] = rng.uniform(0.1, 0.2, n) * rng.choice([-1, 1], n)
    share = 0.0
    for _ in range(sets):
        spread = 0.0 if n_seeds == 1 else 0.03 if not base else 0.01
        indicators = [_right_or_wrong(rng, per_class, 2 * n_seeds, spread, s, base) for s in shift]
        claim = claims.rate_claims(indicators, 2 * n_seeds, n_seeds, ("gained", "lost"))["claim"].to_numpy()
        true = np.where(shift > 0, "gained", np.where(shift < 0, "lost", ""))
        share += ((claim != "") & (claim != true)).sum() / max((claim != "").sum(), 1) / sets
    what = f"claims about shares of {0.6 + base:.2f} of {per_class} images"
    return Check(f"false {what}, {n} of {N_CLASSES} classes differ, {n_seeds} seed(s) each", share, 0, paired.ALPHA)


def _coverage(sets: int, rng: np.random.Generator) -> Iterator[Check]:
    """Intervals of B - A against the difference in the population that the test sets are drawn from."""
    population = [_population(rng, skill) for skill in (2.3, 2.4)]
    names = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auc": roc_curves.macro_auc}
    truth = {name: function(population[1]) - function(population[0]) for name, function in names.items()}
    covered = dict.fromkeys(names, 0)
    starts = np.arange(N_CLASSES)[:, None] * POPULATION
    for _ in range(sets):
        rows = (starts + rng.integers(POPULATION, size=(N_CLASSES, N_IMAGES // N_CLASSES))).ravel()
        runs = [run.take(rows) for run in population]
        areas = delong.one_vs_rest(runs)
        covariance = crossed.image_covariance(areas.influence, *crossed.strata(runs[0].labels))
        delong_found = crossed.difference(crossed.macro_auc_values(areas), covariance, 1)
        share = shares.accuracy_difference(runs, 1)
        intervals = {
            "accuracy": (share.low, share.high), "macro_f1": _macro_f1_interval(runs),
            "macro_auc": (delong_found.low, delong_found.high),
        }  # fmt: skip
        for name, (low, high) in intervals.items():
            covered[name] += low <= truth[name] <= high
    methods = {"accuracy": "Tango", "macro_f1": "jackknife", "macro_auc": "DeLong"}
    for name, count in covered.items():
        method = methods[name]
        yield Check(
            f"95% {method} interval of B − A in {name} covers the truth ({truth[name]:+.4f})", count / sets, *COVERAGE
        )


def _macro_f1_interval(runs: list[Run]) -> tuple[float, float]:
    influence = np.stack([crossed.macro_f1_influence(run) for run in runs])
    covariance = crossed.image_covariance(influence, *crossed.strata(runs[0].labels))
    tested = crossed.difference(np.array([metrics.macro_f1(run) for run in runs]), covariance, 1)
    return float(tested.low), float(tested.high)


def _small_classes(sets: int, rng: np.random.Generator) -> Iterator[Check]:
    """Test sets of few images a class, and of classes of very different sizes, at least two images each."""
    population = [_population(rng, skill) for skill in (2.3, 2.4)]
    labels = population[0].labels
    designs = {f"{n} images a class": np.full(N_CLASSES, n) for n in IMAGES_A_CLASS} | {"Zipf classes": _zipf_sizes()}
    for design, sizes in designs.items():
        weight = (sizes / POPULATION)[labels]
        rights = [np.average(run.correct, weights=weight) for run in population]
        f1 = [f1_score(labels, run.predictions, average="macro", sample_weight=weight) for run in population]
        truth = {"accuracy": rights[1] - rights[0], "macro_f1": f1[1] - f1[0]}
        covered = dict.fromkeys(truth, 0)
        for _ in range(sets):
            drawn = [c * POPULATION + rng.integers(POPULATION, size=n) for c, n in enumerate(sizes)]
            runs = [run.take(np.concatenate(drawn)) for run in population]
            share = shares.accuracy_difference(runs, 1)
            intervals = {"accuracy": (share.low, share.high), "macro_f1": _macro_f1_interval(runs)}
            for name, (low, high) in intervals.items():
                covered[name] += low <= truth[name] <= high
        for name, count in covered.items():
            yield Check(f"95% interval of B − A in {name} covers the truth, {design}", count / sets, *SMALL_COVERAGE)


def _zipf_sizes() -> np.ndarray:
    """Images of each class, the largest first; of the small ones two."""
    return np.maximum(np.round(2 * N_CLASSES / np.arange(1, N_CLASSES + 1)), 2).astype(int)


def _uneven_classes_of_seeds(sets: int, rng: np.random.Generator) -> Check:
    """Macro-F1 of equal models over seeds, on classes of very different sizes."""
    labels = np.repeat(np.arange(N_CLASSES), _zipf_sizes()).astype(np.int16)
    names, ids, n = np.array([f"class {c:02d}" for c in range(N_CLASSES)]), np.arange(len(labels)), len(labels)
    model, covered = np.repeat([0, 1], N_SEEDS), 0
    groups = crossed.strata(labels)
    for _ in range(sets):
        logits = rng.standard_normal((2 * N_SEEDS, n, N_CLASSES), dtype=np.float32)
        skill = 2.3 - rng.standard_normal(n) + 0.6 * rng.standard_normal((2, n))[model]
        logits[:, np.arange(n), labels] += skill + 0.05 * rng.standard_normal((2 * N_SEEDS, 1))
        runs = [Run(names, ids, labels, each) for each in logits]
        influence = np.stack([crossed.macro_f1_influence(run) for run in runs])
        values = np.array([metrics.macro_f1(run) for run in runs])
        tested = crossed.difference(values, crossed.image_covariance(influence, *groups), N_SEEDS)
        covered += tested.low <= 0 <= tested.high
    # as over seeds of large test sets, wider is no fault
    where = f"equal models, {N_SEEDS} seeds each, Zipf classes"
    return Check(f"95% interval of B − A in macro_f1 covers zero for {where}", covered / sets, SMALL_COVERAGE[0], 1)


def _right_or_wrong(
    rng: np.random.Generator,
    n_images: int,
    n_runs: int,
    seed_spread: float = 0.0,
    shift: float = 0.0,
    base: float = 0.0,
) -> np.ndarray:
    """Which images each run gets right, bool (n_runs, n_images): the first half of the runs is model A.

    An image is right where difficulty (shared by all), the model's taste, the seed's own noise and the seed's luck add
    up to more than zero; the variances of the first three add up to one. Expected accuracy is 0.6 + `base` for A, and
    `shift` more for B; seeds' accuracies scatter by about `seed_spread`.
    """
    model = np.repeat([0, 1], n_runs // 2)
    latent = 0.7 * rng.standard_normal(n_images) + 0.5 * rng.standard_normal((2, n_images))[model]
    latent += np.sqrt(1 - 0.7**2 - 0.5**2) * rng.standard_normal((n_runs, n_images))
    slope = norm.pdf(norm.ppf(0.4 - base))  # accuracy per unit of the latent score
    luck = seed_spread / slope * rng.standard_normal((n_runs, 1))
    # luck widens the latent, so the threshold is stretched to keep expected accuracy where it is
    stretch = np.sqrt(1 + (seed_spread / slope) ** 2)
    threshold = stretch * norm.ppf(0.4 - base - shift * model)[:, None]
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
    designs = (
        skill
        + class_skill[labels]
        + 0.3 * rng.standard_normal(N_CLASSES)[labels]
        - difficulty
        + 0.6 * rng.standard_normal(n)
    )
    logits[np.arange(n), labels] += designs
    names = np.array([f"class {c:02d}" for c in range(N_CLASSES)])
    return Run(names, np.arange(n, dtype=np.uint64), labels, logits.astype(np.float16))


def main(
    sets: int = typer.Option(SETS, help="Simulated test sets for each check."),
    table: Path | None = typer.Option(None, help="Instead, measure the designs of seeds and write their table here."),
) -> None:
    """Print each check with its bounds; exit status 1 where one is not held."""
    started, held = time.perf_counter(), True
    if table is not None:
        _write_table(table, sets)
        return
    for check in checks(sets):
        print(check, flush=True)
        held &= check.holds
    print(f"{sets:,} simulated test sets each, {(time.perf_counter() - started) / 60:.1f} minutes")
    raise typer.Exit(0 if held else 1)


def _write_table(path: Path, sets: int) -> None:
    """Measure the designs of seeds and write their table; stopped and begun again, it goes on after the last design."""
    partial, rows = path.with_name(f"{path.name}.{sets}.partial.json"), []
    known = {row["design"]: row for row in json.loads(partial.read_text())} if partial.exists() else {}
    for row in simulate_seeds.table(sets, known=known):
        print(f"{row['coverage']:6.2%}  {row['design']}", flush=True)
        rows.append(row)
        with atomic_write(partial) as file:
            file.write(json.dumps(rows).encode())
    with atomic_write(path) as file:
        file.write(simulate_seeds.markdown(rows, sets).encode())
    partial.unlink()


if __name__ == "__main__":
    typer.run(main)
