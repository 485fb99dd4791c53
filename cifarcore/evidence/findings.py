"""The claims of the report that this project implements, each beside a measurement on the runs that are chosen.

A claim holds where the whole 95% CI lies within its bounds (B − A in accuracy: by its test), fails where outside.
The bounds are the report's own words and numbers, written down before anything was measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from cifarcore.data import cifar100
from cifarcore.evidence import claim_measures, claims, comparison, known, softmax, verdict
from cifarcore.evidence.claim_measures import NOTHING, Interval
from cifarcore.evidence.shares import share_difference
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import Run

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "inconclusive"

#: how a measure of the t-SNE map begins: another start of t-SNE gives another map, which the interval does not count
MAP = "t-SNE (CI for this one map of a run): "
CLOSE = 0.01  #: "close", for two shares: one percentage point, four times the report's own gap (0.5803 and 0.5779)
REPORT_ACCURACY = (0.55, 0.61)  #: "about 0.58": within the report's own standard deviation, 0.03
#: "about 0.98": what two digits say, with room for the report's own standard deviation, 0.007
REPORT_AUC = (0.97, 0.99)
REPORT_DIAGONAL = (0.8, 0.9)  #: the report's own words
FEW = 0.1  #: "few": at most one class in ten has one
BLOCK = 0.1  #: a block: one image in ten of a whole superclass goes to one other superclass
MOST = 0.5  #: more often than not
CLUSTERED = 10.0  #: times chance: a map without structure gives 1, one of pure clusters the number of classes
OVERLAP = 2.0  #: times chance
CORRELATED = 0.3  #: rank correlation, "medium" after Cohen, Statistical Power Analysis, 1988
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
    Measure(
        "macro-F1 is close to accuracy", "macro-F1 minus accuracy", -CLOSE, CLOSE, claim_measures.f1_minus_accuracy
    ),
    Measure("macro-AUC is about 0.98 while accuracy is about 0.58", "macro-AUC", *REPORT_AUC, claim_measures.macro_auc),
    Measure(
        "macro-AUC is about 0.98 while accuracy is about 0.58", "accuracy", *REPORT_ACCURACY, claim_measures.accuracy
    ),
    Measure(
        "high diagonal confidence, 0.8 to 0.9",
        "mean recall: the diagonal of the confusion matrix",
        *REPORT_DIAGONAL,
        claim_measures.diagonal,
    ),
    Measure(
        "high diagonal confidence, 0.8 to 0.9",
        "mean confidence when correct",
        *REPORT_DIAGONAL,
        claim_measures.confidence_when_right,
    ),
    Measure(
        "few strong confusions between unrelated classes",
        f"share of classes with {claim_measures.STRONG:.0%} of their images or more misclassified as one class of "
        "another superclass",
        -np.inf,
        FEW,
        claim_measures.classes_with_strong_confusions,
    ),
    Measure(
        "errors do not form blocks of whole categories",
        "largest share of one superclass's images misclassified as one other superclass",
        -np.inf,
        BLOCK,
        claim_measures.largest_block,
    ),
    Measure(
        "a misclassified image's true class still ranks high",
        f"share of errors whose true class is among the first {claim_measures.TOP}",
        MOST,
        np.inf,
        claim_measures.true_class_ranks_high,
    ),
    Measure(
        "the map shows local clusters",
        MAP + f"share of the {claim_measures.NEIGHBORS} nearest images of the same class, times chance",
        CLUSTERED,
        np.inf,
        lambda runs: claim_measures.neighbor_ratio(runs, "class"),
    ),
    Measure(
        "the map shows overlap between similar classes",
        MAP + f"share of the same superclass among the {claim_measures.NEIGHBORS} nearest "
        "images of other classes, times chance",
        OVERLAP,
        np.inf,
        lambda runs: claim_measures.neighbor_ratio(runs, "superclass"),
    ),
    Measure(
        "the map shows a smooth global structure",
        MAP + "rank correlation of distances between classes with those of their mean log-probabilities",
        CORRELATED,
        np.inf,
        claim_measures.smoothness,
    ),
    Measure(
        "the map shows a dense centre of variable classes",
        MAP + "density of images in the inner quarter of the area, times the mean",
        1,
        np.inf,
        claim_measures.center_density,
    ),
    Measure(
        "the map shows a dense centre of variable classes",
        MAP + "rank correlation of a class's distance from the middle with the scatter of its images",
        -np.inf,
        -CORRELATED,
        claim_measures.center_variability,
    ),
    Measure(
        "performance is balanced across classes",
        "standard deviation of recall between classes, beyond sampling noise",
        -np.inf,
        BALANCED,
        claim_measures.imbalance,
    ),
)


def is_about(run: Run) -> bool:
    """Whether the claims can be judged on the run's images: CIFAR-100's, known by content, in its classes."""
    return set(run.class_names.tolist()) == set(cifar100.CLASS_NAMES) and known.judged(run)


def findings(runs_a: Sequence[Run], runs_b: Sequence[Run], others: Sequence[Run] = ()) -> pd.DataFrame:
    """One row for each claim, measure and model.

    Columns claim, measure, bounds, least and most (the same as numbers), model ("A", "B", "B − A"), value, low, high,
    verdict.
    Values are means over seeds; intervals count images, or classes, and seeds. `others` are further runs that may tell
    what input size does. A value is NaN, and the verdict UNKNOWN, where the runs do not hold what is measured.
    """
    n_a = len(runs_a)
    runs = comparison.on_shared_images([*runs_a, *runs_b])
    sides = {"A": runs[:n_a], "B": runs[n_a:]}
    rows = []
    for measure in MEASURES:
        for model, side in sides.items():
            rows.append(_row(measure.claim, measure.text, (measure.low, measure.high), model, measure.of(side)))
    claim = "low resolution limits accuracy"
    text, gain = _gain_of_input_size([*runs_a, *runs_b, *others])
    rows.append(_row(claim, text, (0, np.inf), "B − A", NOTHING) | gain)
    claim = "the pretrained ResNet-18 beats the CNN"
    fitting = all(_is(run, "cnn", "random") for run in sides["A"]) and all(
        _is(run, "resnet", "imagenet") for run in sides["B"]
    )
    for text, subset in _halves(sides["A"]).items():
        row = _row(claim, f"B − A in accuracy, {text}", (0, np.inf), "B − A", NOTHING)
        rows.append(row | _gain(runs, n_a, subset) if fitting else row)
    return pd.DataFrame(rows)


def gain_by_superclass(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    """Where B's gain comes from: a row for each superclass, the largest gain first; empty without superclasses.

    Columns name, images (of the test split), gained (images, mean over seeds), a, b, difference, low, high (recall of
    the fine classes), p, q, claim ("improved", "declined", ""): false discoveries controlled over the superclasses.
    """
    n_a = len(runs_a)
    runs = comparison.on_shared_images([*runs_a, *runs_b])
    if runs[0].superclass_of is None:
        return pd.DataFrame()
    of_image, names = runs[0].superclass_of[runs[0].labels], runs[0].superclass_names
    rights = np.stack([run.correct for run in runs])
    table = claims.rate_claims(
        [rights[:, of_image == s] for s in range(len(names))], len(runs), n_a, ("improved", "declined")
    )
    images = np.bincount(of_image, minlength=len(names))
    table = table.assign(name=names, images=images, gained=table["difference"] * images)
    return table.sort_values("gained", ascending=False, kind="stable", ignore_index=True)


def _row(claim: str, text: str, bounds: tuple[float, float], model: str, gain: Interval) -> dict:
    value, low, high = map(float, gain)
    judged = UNKNOWN
    if np.isfinite([low, high]).all():
        judged = (
            HOLDS
            if bounds[0] <= low and high <= bounds[1]
            else FAILS
            if high < bounds[0] or low > bounds[1]
            else UNKNOWN
        )
    row = {"claim": claim, "measure": text, "bounds": _bounds(*bounds), "least": bounds[0], "most": bounds[1]}
    row |= {"model": model}
    return row | {"value": value, "low": low, "high": high, "verdict": judged}


def _bounds(low: float, high: float) -> str:
    if np.isinf(high):
        text = f"at least {low:g}" if low else "above 0"
    else:
        text = f"at most {high:g}" if np.isinf(low) else f"{low:g} to {high:g}"
    return text.replace("-", "−")


def _halves(runs_a: list[Run]) -> dict[str, np.ndarray]:
    """All images, and those that A (mean over its seeds) is less and more sure of than its median; no image in the
    halves where A's confidence is not known.
    """
    sure = np.mean([softmax.confidence(run) for run in runs_a], axis=0)
    middle = np.median(sure)  # NaN where one is, which no comparison holds for
    return {
        "all images": np.ones(len(sure), bool),
        "the half on which A is less confident": sure <= middle,
        "the half on which A is more confident": sure > middle,
    }


def _gain(runs: Sequence[Run], n_a: int, subset: np.ndarray) -> dict:
    """value, low, high and verdict of B − A in accuracy on `subset`, bool (N,): by its test, as everywhere."""
    share = share_difference(np.stack([run.correct for run in runs])[:, subset], runs[0].labels[subset], n_a)
    better = {"B": HOLDS, "A": FAILS}.get(verdict.of(share.difference, share.p), UNKNOWN)
    return {"value": share.difference, "low": share.low, "high": share.high, "verdict": better}


def _gain_of_input_size(runs: Sequence[Run]) -> tuple[str, dict]:
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
        run.digest or id(run): run for run in runs if isinstance((run.meta.get("config") or {}).get("image_size"), int)
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
            few = shared[0].n_images < max(run.n_images for side in by_size.values() for run in side)
            on = f", on the {shared[0].n_images:,} images that these share" if few else ""
            model = shared[0].meta.get("model")
            text = f"accuracy at {large} pixels minus that at {small} ({model}, the rest alike{on})"
            return text, _gain(shared, len(by_size[small]), np.ones(shared[0].n_images, bool))
    return (
        "accuracy at a larger input size minus that at a smaller (needs runs that differ in input size alone)",
        {},
    )


def _is(run: Run, model: str, initialised: str) -> bool:
    return str(run.meta.get("model", "")).lower().startswith(model) and str(
        run.meta.get("initialised_from", "")
    ).lower().startswith(initialised)
