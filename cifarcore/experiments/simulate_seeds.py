"""How often intervals and tests over seeds and images err, by design: coverage, size and power.

`python -m cifarcore.experiments.simulation` runs it and writes its table; the designs are written down here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from cifarcore.evidence import crossed
from cifarcore.evidence.paired import ALPHA
from cifarcore.reports.summary import markdown as as_markdown

COVERAGE = (0.935, 0.965)
EFFECT = 0.02  #: of B over A, for the power
N_CLASSES = 10


@dataclass(frozen=True)
class Design:
    """Seeds of A and B whose accuracies scatter by `spread_a` and `spread_b` (standard deviation, in points)."""

    n_a: int
    n_b: int  #: 0: the mean of A alone
    spread_a: float
    spread_b: float = 0.0
    start: float = 0.0  #: what a random start, drawn once for a model and shared by its seeds, adds
    n_images: int = 10_000
    accuracy: float = 0.6
    heavy: bool = False  #: seeds scatter as Student's t with 3 degrees of freedom
    choosing: bool = True  #: used to choose the method

    @property
    def shown_by_seeds(self) -> bool:
        """Whether the seeds can show all that varies: not a start that they share, nor what one seed each varies by."""
        return not self.start and max(self.n_a, self.n_b) > 1

    @property
    def name(self) -> str:
        if self.n_b:
            text = f"{self.n_a} and {self.n_b} seeds, ± {self.spread_a:g} and ± {self.spread_b:g} points"
        else:
            text = f"mean of {self.n_a} seeds, ± {self.spread_a:g} points"
        if self.start:
            text += f", a shared start ± {self.start:g}"
        if self.n_images != Design.n_images:
            text += f", {self.n_images:,} images"
        if self.accuracy != Design.accuracy:
            text += f", accuracy {self.accuracy:g}"
        return text + (", heavy tails" if self.heavy else "")


DESIGNS = (
    Design(2, 2, 0.2, 2), Design(3, 3, 0.1, 1), Design(2, 2, 0, 0), Design(3, 3, 0, 0), Design(2, 2, 0.3, 0.3),
    Design(3, 3, 0.3, 0.3), Design(2, 2, 1, 1), Design(3, 3, 1, 1), Design(5, 5, 0.3, 0.3), Design(5, 5, 0.1, 1),
    Design(2, 5, 0.3, 0.3), Design(2, 5, 1, 0.2), Design(3, 10, 1, 0.1), Design(3, 1, 0.3, 0.3), Design(3, 1, 1, 0.1),
    Design(2, 0, 0.3), Design(2, 0, 2), Design(3, 0, 1), Design(3, 0, 0.1),
    Design(3, 3, 0.3, 0.3, start=0.3, choosing=False), Design(3, 3, 0.1, 0.1, start=1, choosing=False),
    Design(4, 4, 0.6, 0.2, choosing=False), Design(2, 4, 0.6, 0.6, choosing=False),
    Design(3, 4, 1.5, 0.5, choosing=False), Design(2, 2, 0.6, 0.2, choosing=False),
    Design(3, 3, 0.8, 0.8, n_images=1000, choosing=False), Design(3, 3, 0.3, 0.3, accuracy=0.93, choosing=False),
    Design(3, 3, 0.5, 0.5, heavy=True, choosing=False), Design(10, 10, 0.5, 0.2, choosing=False),
    Design(5, 1, 0.4, 0.4, choosing=False), Design(4, 0, 0.5, choosing=False), Design(3, 1, 0.1, 1, choosing=False),
    Design(1, 1, 0.26, 0.26, choosing=False), Design(1, 1, 0.5, 0.5, choosing=False),
)  # fmt: skip


def correct(rng: np.random.Generator, design: Design, shift: float = 0.0) -> np.ndarray:
    """Which images each run has right, bool (R, N), A's runs first; expected accuracy is `shift` higher for B.

    An image is right where difficulty (shared by all), the model's taste, the seed's own noise, and the luck of the
    seed and of the model's start, add up to more than a threshold.
    """
    return _scores(rng, design) > _thresholds(design, shift)


def _scores(rng: np.random.Generator, design: Design) -> np.ndarray:
    model, (spread, start), n = _models(design), _luck(design), design.n_images
    scores = 0.7 * rng.standard_normal(n, np.float32) + 0.5 * rng.standard_normal((2, n), np.float32)[model]
    scores += np.float32(np.sqrt(1 - 0.7**2 - 0.5**2)) * rng.standard_normal((len(model), n), np.float32)
    drawn = rng.standard_t(3, len(model)) / np.sqrt(3) if design.heavy else rng.standard_normal(len(model))
    scores += (spread * drawn + start * rng.standard_normal(2)[model]).astype(np.float32)[:, None]
    return scores


def _thresholds(design: Design, shift: float) -> np.ndarray:
    """Of each run's scores (R, 1): luck widens them, so they are stretched to keep expected accuracy where it is."""
    spread, start = _luck(design)
    quantile = norm.ppf(1 - design.accuracy - shift * _models(design))
    return (quantile * np.sqrt(1 + spread**2 + start**2)).astype(np.float32)[:, None]


def _models(design: Design) -> np.ndarray:
    return np.repeat([0, 1], [design.n_a, design.n_b])


def _luck(design: Design) -> tuple[np.ndarray, float]:
    """Standard deviations of the scores between a model's seeds (R,), and between starts."""
    slope = norm.pdf(norm.ppf(1 - design.accuracy))  # accuracy per unit of the score
    return np.array([design.spread_a, design.spread_b])[_models(design)] / 100 / slope, design.start / 100 / slope


def satterthwaite(values: np.ndarray, covariance: np.ndarray, n_a: int) -> tuple[float, float]:
    """The 95% interval of one total variance with Satterthwaite's degrees of freedom, for comparison.

    As images alone where one side has one seed; s² of a model's seeds is at least the noise of its own images.
    """
    n = len(values)
    sides = [slice(0, n_a), slice(n_a, n)] if n_a < n else [slice(0, n)]
    weights = np.full(n, 1 / n) if n_a == n else np.r_[np.full(n_a, -1 / n_a), np.full(n - n_a, 1 / (n - n_a))]
    difference, variance, parts = weights @ values, weights @ covariance @ weights, []
    if all(side.stop - side.start > 1 for side in sides):
        for side in sides:
            k, of_model = side.stop - side.start, covariance[side, side]
            noise = (np.trace(of_model) / k - (of_model.sum() - np.trace(of_model)) / (k * (k - 1))) / k
            seeds = max(values[side].var(ddof=1) / k, noise)
            parts.append((seeds, k - 1))
            variance += seeds - noise
    df = variance**2 / sum(part**2 / of_model for part, of_model in parts) if parts else np.inf
    half = student.ppf(1 - ALPHA / 2, df) * np.sqrt(variance)
    return difference - half, difference + half


def measured(design: Design, sets: int, rng: np.random.Generator) -> dict[str, float | str]:
    """Coverage of both intervals, size of the test on equal models, its power at EFFECT, and the mean half-width."""
    groups = crossed.strata(np.arange(design.n_images) % N_CLASSES)
    covered = np.zeros((2, sets), bool)
    rejected, half = np.zeros((2, sets), bool), np.zeros(sets)
    truth = 0.0 if design.n_b else design.accuracy
    for k in range(sets):
        scores = _scores(rng, design)
        for which, shift in enumerate((0.0, EFFECT) if design.n_b else (0.0,)):
            right = scores > _thresholds(design, shift)
            values, covariance = right.mean(axis=1), crossed.image_covariance(right / design.n_images, *groups)
            if design.n_b:
                tested = crossed.difference(values, covariance, design.n_a)
            else:
                tested = crossed.mean(values, covariance)
            rejected[which, k] = tested.p < ALPHA
            if not shift:
                other = satterthwaite(values, covariance, design.n_a)
                covered[:, k] = tested.low <= truth <= tested.high, other[0] <= truth <= other[1]
                half[k] = (tested.high - tested.low) / 2
    size, power = rejected.mean(axis=1) if design.n_b else (np.nan, np.nan)
    return {
        "design": design.name, "chosen on it": "yes" if design.choosing else "no", "coverage": covered[0].mean(),
        "Satterthwaite": covered[1].mean(), "size": size, "power": power, "half": 100 * np.median(half),
    }  # fmt: skip


def table(
    sets: int, seed: int = 0, known: Mapping[str, dict[str, float | str]] | None = None
) -> Iterator[dict[str, float | str]]:
    """`measured` of all designs, each with random numbers of its own; those in `known`, by name, are taken from it."""
    for index, design in enumerate(DESIGNS):
        if known and design.name in known:
            yield known[design.name]
        else:
            yield measured(design, sets, np.random.default_rng([seed, index]))


def markdown(rows: list[dict[str, float | str]], sets: int) -> str:
    """The table with what it shows, as Markdown."""
    frame = pd.DataFrame(rows)
    low, high = (f"{bound:.1%}" for bound in COVERAGE)
    inside, others = (frame[name].between(*COVERAGE) for name in ("coverage", "Satterthwaite"))
    shown_by_seeds = {design.name: design.shown_by_seeds for design in DESIGNS}
    shows = frame["design"].map(shown_by_seeds).astype(bool)
    below, above = (shows & outside for outside in (frame["coverage"] < COVERAGE[0], frame["coverage"] > COVERAGE[1]))
    chance = 100 * np.sqrt(0.05 * 0.95 / sets)
    shown = pd.DataFrame({"Seeds": frame["design"], "Used to choose the method": frame["chosen on it"]})
    columns = {"Coverage": "coverage", "Satterthwaite's": "Satterthwaite", "Size": "size", "Power": "power"}
    for title, name in columns.items():
        shown[title] = ["" if np.isnan(value) else f"{value:.1%}" for value in frame[name]]
    shown["Coverage"] = [f"{text}{'' if held else ' *'}" for text, held in zip(shown["Coverage"], inside, strict=True)]
    shown["Median half-width (points)"] = [f"{value:.2f}" for value in frame["half"]]
    return f"""# Intervals over seeds and images: `python -m cifarcore.experiments.simulation --table FILE`

{sets:,} simulated comparisons of each design; the standard error of a coverage near 95% is {chance:.1f} points. 95%
CIs of B − A in accuracy of equal models, the size of the test at 5%, its power for a difference of {100 * EFFECT:g}
points, and, for one model, the CI of its mean. ± is the standard deviation of accuracy between seeds. Beside it the
coverage of one total variance with Satterthwaite's degrees of freedom, of images alone where a model has one seed.

Of the {shows.sum()} designs whose seeds can show all that varies, coverage lies within {low} to {high} in
{(inside & shows).sum()} (Satterthwaite's in {(others & shows).sum()}). * marks where it does not.

- Too low: {_listed(frame[below])}
- Too high: {_listed(frame[above])}

{as_markdown(shown)}

Where a comparison is of such a kind, a note under it says so:
- Two seeds hardly tell how much seeds vary; where those of one model vary much more than those of the other, no
  interval of a useful width covers 95%. Nor does that of one model's mean of two seeds that vary much.
- A model of one seed is taken to vary as the other does: the interval is too narrow where it varies more.
- Where seeds vary hardly more than their images make them, the interval is wider than it need be: equal models are
  called different in fewer than 5% of cases, and small differences are missed more often.
- A start that all seeds share is not counted: the interval is about models of that start, which no number of seeds can
  vary, and its coverage here is of models whose start is drawn anew.
- One seed each says nothing of how seeds vary: the interval is about these trained models, and its coverage here is of
  their recipes.
"""


def _listed(rows: pd.DataFrame) -> str:
    return "; ".join(f"{row.design} ({row.coverage:.1%})" for row in rows.itertuples()) or "none"
