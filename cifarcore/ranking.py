"""Any number of models on the same test images in one table: each one's numbers, and how sure it is that the best leads.

The evidence is that of `comparison`: a row's difference, interval and verdict are what comparing it with the best says.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cifarcore import delong, metrics, verdict
from cifarcore.as_text import std
from cifarcore.comparison import on_shared_images
from cifarcore.runs import Run, RunFileError, align

METRICS = ("accuracy", "macro_f1", "macro_auc")
BEST, WORSE, UNSURE = "best", "worse", "not distinguishable from the best"


def on_images_of(reference: Run, runs: Sequence[Run]) -> bool:
    """Whether all `runs` hold exactly the images and classes of `reference`."""
    try:
        pairs = [align(reference, run) for run in runs]
    except RunFileError:
        return False
    return not any(pair.partial for pair in pairs)


def scores(runs: Sequence[Run]) -> dict[str, float]:
    """METRICS of one model, mean over its seeds, and `std_` of each (sample standard deviation; NaN for one seed)."""
    values = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auc": metrics.macro_auc}
    found: dict[str, float] = {"seeds": len(runs)}
    for name in METRICS:
        of_seeds = [values[name](run) for run in runs]
        found[name], found[f"std_{name}"] = float(np.mean(of_seeds)), std(of_seeds)
    return found


def against(best: Sequence[Run], runs: Sequence[Run]) -> dict[str, float | str]:
    """Accuracy of `runs` minus that of `best`: difference, low, high (95 %), p, and the verdict, as `compare` has them."""
    together = on_shared_images([*best, *runs])
    resampled = verdict.resampled_differences(together) if len(together) == 2 else None
    row = verdict.metric_table(together, len(best), delong.one_vs_rest(together), resampled).loc["accuracy"]
    word = {"A is better": WORSE, "B is better": BEST}.get(verdict.word(row), UNSURE)
    return {name: float(row[name]) for name in ("difference", "low", "high", "p")} | {"verdict": word}


def best_of(found: Mapping[str, Mapping[str, float]]) -> str:
    """The model of highest mean accuracy; the first among equals."""
    return max(found, key=lambda name: found[name]["accuracy"])


def table(
    found: Mapping[str, Mapping[str, float]], differences: Mapping[str, Mapping[str, float | str]]
) -> pd.DataFrame:
    """A row for each model, the most accurate first: model, `scores`, and `against` the best (NaN in its own row)."""
    best = best_of(found)
    own = {"difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "verdict": BEST}
    rows = [
        {"model": name} | dict(of) | (own if name == best else dict(differences[name])) for name, of in found.items()
    ]
    ranked = pd.DataFrame(rows)
    order = np.lexsort((ranked["model"] != best, -ranked["accuracy"]))
    return ranked.iloc[order].reset_index(drop=True)
