"""The findings of the report that this project implements, each beside a measurement on the runs that are chosen.

A finding holds where the whole 95 % interval of its measurement lies within the bounds below, does not hold where the
whole of it lies outside, and else cannot be told. The bounds are the report's own words and numbers made exact; they
were written down before any of these measurements was made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from cifarcore import claims, comparison, labels, measures, metrics
from cifarcore.measures import NOTHING, Interval
from cifarcore.runs import Run, RunFileError

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"

CLOSE = 0.01  #: «close», for two shares: one percentage point, four times the report's own gap (0.5803 and 0.5779)
REPORT_ACCURACY = (0.55, 0.61)  #: «about 0.58»: within the report's own standard deviation, 0.03
#: «about 0.98»: what two digits say, with room for the report's own standard deviation, 0.007
REPORT_AUC = (0.97, 0.99)
REPORT_DIAGONAL = (0.8, 0.9)  #: the report's own words
FEW = 0.1  #: «few»: at most one class in ten has one
BLOCK = 0.1  #: a block: one image in ten of a whole superclass goes to one other superclass
MOST = 0.5  #: more often than not
CLUSTERED = 10.0  #: times chance: a map without structure gives 1, one of pure clusters the number of classes
OVERLAP = 2.0  #: times chance
CORRELATED = 0.3  #: rank correlation, «medium» after Cohen, Statistical Power Analysis, 1988
BALANCED = 0.1  #: standard deviation of recall: two thirds of the classes within ten points of the mean


@dataclass(frozen=True)
class Measure:
    """One measurement of one model's seeds, and the bounds within which the claim holds."""

    claim: str
    text: str
    low: float
    high: float
    of: Callable[[list[Run]], Interval]


MEASURES = (
    Measure("macro-F1 is close to accuracy", "macro-F1 minus accuracy", -CLOSE, CLOSE, measures.f1_minus_accuracy),
    Measure("macro-AUC is about 0.98 while accuracy is about 0.58", "macro-AUC", *REPORT_AUC, measures.macro_auc),
    Measure("macro-AUC is about 0.98 while accuracy is about 0.58", "accuracy", *REPORT_ACCURACY, measures.accuracy),
    Measure(
        "high diagonal confidence, 0.8 to 0.9",
        "mean recall: the diagonal of the confusion matrix",
        *REPORT_DIAGONAL,
        measures.diagonal,
    ),
    Measure(
        "high diagonal confidence, 0.8 to 0.9",
        "mean confidence when right",
        *REPORT_DIAGONAL,
        measures.confidence_when_right,
    ),
    Measure(
        "few strong confusions between unrelated classes",
        f"share of classes with {measures.STRONG:.0%} of their images or more given to one class of another superclass",
        -np.inf,
        FEW,
        measures.classes_with_strong_confusions,
    ),
    Measure(
        "errors do not form blocks of whole categories",
        "largest share of one superclass's images given to one other superclass",
        -np.inf,
        BLOCK,
        measures.largest_block,
    ),
    Measure(
        "a misclassified image's true class still ranks high",
        f"share of errors whose true class is among the first {measures.TOP}",
        MOST,
        np.inf,
        measures.true_class_ranks_high,
    ),
    Measure(
        "the map shows local clusters",
        f"t-SNE: share of the {measures.NEIGHBORS} nearest images of the same class, times chance",
        CLUSTERED,
        np.inf,
        lambda runs: measures.neighbor_ratio(runs, "class"),
    ),
    Measure(
        "the map shows overlap between similar classes",
        f"t-SNE: share of the same superclass among the {measures.NEIGHBORS} nearest images of other classes, "
        "times chance",
        OVERLAP,
        np.inf,
        lambda runs: measures.neighbor_ratio(runs, "superclass"),
    ),
    Measure(
        "the map shows a smooth global structure",
        "t-SNE: rank correlation of distances between classes with those of their mean log-probabilities",
        CORRELATED,
        np.inf,
        measures.smoothness,
    ),
    Measure(
        "the map shows a dense centre of variable classes",
        "t-SNE: density of images in the inner quarter of the area, times the mean",
        1,
        np.inf,
        measures.center_density,
    ),
    Measure(
        "the map shows a dense centre of variable classes",
        "t-SNE: rank correlation of a class's distance from the middle with the scatter of its images",
        -np.inf,
        -CORRELATED,
        measures.center_variability,
    ),
    Measure(
        "performance is balanced across classes",
        "standard deviation of recall between classes, beyond sampling noise",
        -np.inf,
        BALANCED,
        measures.imbalance,
    ),
)


def is_about(run: Run) -> bool:
    """Whether the claims can be judged on the run's images: they are of CIFAR-100, known by its class names."""
    return set(run.class_names.tolist()) == set(labels.CLASS_NAMES)


def findings(runs_a: Sequence[Run], runs_b: Sequence[Run], others: Sequence[Run] = ()) -> pd.DataFrame:
    """One row for each claim, measure and model.

    Columns claim, measure, bounds, model («A», «B», «B − A»), value, low, high, verdict.
    Values are means over seeds; intervals count images, or classes, and seeds. `others` are further runs that may tell
    what input size does. A value is NaN, and the verdict «cannot be told», where the runs do not hold what is measured.
    """
    n_a = len(runs_a)
    runs = comparison.on_shared_images([*runs_a, *runs_b])
    sides = {"A": runs[:n_a], "B": runs[n_a:]}
    rows = []
    for measure in MEASURES:
        for model, side in sides.items():
            rows.append(_row(measure.claim, measure.text, (measure.low, measure.high), model, measure.of(side)))
    claim = "low resolution limits accuracy"
    text, found = _gain_of_input_size([*runs_a, *runs_b, *others])
    rows.append(_row(claim, text, (0, np.inf), "B − A", found))
    claim = "the pretrained ResNet-18 beats the CNN"
    fitting = all(_is(run, "cnn", "random") for run in sides["A"]) and all(
        _is(run, "resnet", "imagenet") for run in sides["B"]
    )
    for text, subset in _halves(sides["A"]).items():
        found = measures.gain(runs, n_a, subset) if fitting else NOTHING
        rows.append(_row(claim, f"B − A in accuracy, {text}", (0, np.inf), "B − A", found))
    return pd.DataFrame(rows)


def gain_by_superclass(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    """Where B's gain comes from: a row for each superclass, the largest gain first; empty without superclasses.

    Columns name, images (of the test split), gained (images, mean over seeds), a, b, difference, low, high (recall of
    the fine classes), p, q, claim («gained», «lost», ""): false discoveries controlled over the superclasses.
    """
    n_a = len(runs_a)
    runs = comparison.on_shared_images([*runs_a, *runs_b])
    if runs[0].superclass_of is None:
        return pd.DataFrame()
    of_image, names = runs[0].superclass_of[runs[0].labels], runs[0].superclass_names
    rights = np.stack([run.correct for run in runs])
    table = claims.rate_claims(
        [rights[:, of_image == s] for s in range(len(names))], len(runs), n_a, ("gained", "lost")
    )
    images = np.bincount(of_image, minlength=len(names))
    table = table.assign(name=names, images=images, gained=table["difference"] * images)
    return table.sort_values("gained", ascending=False, kind="stable", ignore_index=True)


def _row(claim: str, text: str, bounds: tuple[float, float], model: str, found: Interval) -> dict:
    value, low, high = map(float, found)
    verdict = UNKNOWN
    if np.isfinite([low, high]).all():
        verdict = (
            HOLDS
            if bounds[0] <= low and high <= bounds[1]
            else FAILS
            if high < bounds[0] or low > bounds[1]
            else UNKNOWN
        )
    row = {"claim": claim, "measure": text, "bounds": _bounds(*bounds), "model": model}
    return row | {"value": value, "low": low, "high": high, "verdict": verdict}


def _bounds(low: float, high: float) -> str:
    if np.isinf(high):
        text = f"at least {low:g}" if low else "above 0"
    else:
        text = f"at most {high:g}" if np.isinf(low) else f"{low:g} to {high:g}"
    return text.replace("-", "−")


def _halves(runs_a: list[Run]) -> dict[str, np.ndarray]:
    """All images, and those that A (mean over its seeds) is less and more sure of than its median."""
    sure = np.mean([metrics.confidence(run) for run in runs_a], axis=0)
    unsure = sure <= np.median(sure)
    return {
        "all images": np.ones(len(sure), bool),
        "the half that A is less sure of": unsure,
        "the half that A is surer of": ~unsure,
    }


def _gain_of_input_size(runs: Sequence[Run]) -> tuple[str, Interval]:
    """What the largest input brings over the smallest, in runs that differ in input size and seed alone."""

    def recipe(run: Run) -> str:
        config = run.meta.get("config") or {}
        return repr(
            sorted(
                (k, v)
                for k, v in config.items()
                if k not in ("image_size", "seed", "preset", "device", "threads", "num_workers")
            )
        )

    distinct = {
        run.digest or run.name: run for run in runs if isinstance((run.meta.get("config") or {}).get("image_size"), int)
    }
    for _, alike in groupby(sorted(distinct.values(), key=recipe), recipe):
        by_size: dict[int, list[Run]] = {}
        for run in alike:
            by_size.setdefault(run.meta["config"]["image_size"], []).append(run)
        if len(by_size) > 1:
            small, large = min(by_size), max(by_size)
            try:
                shared = comparison.on_shared_images([*by_size[small], *by_size[large]])
            except RunFileError:  # of other images: these two say nothing of the input size
                continue
            text = f"accuracy at {large} pixels minus that at {small} ({shared[0].meta.get('model')}, the rest alike)"
            return text, measures.gain(shared, len(by_size[small]), np.ones(shared[0].n_images, bool))
    return (
        "accuracy at a larger input size minus that at a smaller (needs runs that differ in input size alone)",
        NOTHING,
    )


def _is(run: Run, model: str, initialised: str) -> bool:
    return str(run.meta.get("model", "")).lower().startswith(model) and str(
        run.meta.get("initialised_from", "")
    ).lower().startswith(initialised)
