"""Any number of models on the same test images in one table: each one's numbers, and how sure it is that the best
leads.

The evidence is that of `comparison`: a row's difference, interval and verdict are what comparing it with the best says.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, delong, metrics, roc_curves, verdict
from cifarcore.evidence.comparison import on_shared_images
from cifarcore.runs.alignment import align
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import Run
from cifarcore.text import std

METRICS = ("accuracy", "macro_f1", "macro_auc")
BEST, WORSE = "most accurate", "significantly less accurate"
UNSURE = "no significant difference in accuracy"


def on_images_of(reference: Run, runs: Sequence[Run]) -> bool:
    """Whether all `runs` hold exactly the images and classes of `reference`."""
    try:
        pairs = [align(reference, run) for run in runs]
    except RunFileError:
        return False
    return not any(pair.partial for pair in pairs)


def scores(runs: Sequence[Run]) -> dict[str, float | str]:
    """METRICS of one model, mean over its seeds, and `std_` of each (sample standard deviation; NaN for one seed);
    `why` the macro-AUC is absent, or "".
    """
    values = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1, "macro_auc": roc_curves.macro_auc}
    row: dict[str, float | str] = {"seeds": len(runs), "why": absent.note("macro_auc", *runs)}
    for name in METRICS:
        of_seeds = [values[name](run) for run in runs]
        row[name], row[f"std_{name}"] = float(np.mean(of_seeds)), std(of_seeds)
    return row


def against(best: Sequence[Run], runs: Sequence[Run]) -> dict[str, float | str]:
    """Accuracy of `runs` minus that of `best`: difference, low, high (95%), p, and the verdict, as `compare` has
    them.
    """
    together = on_shared_images([*best, *runs])
    row = verdict.metric_differences(together, len(best), delong.one_vs_rest(together)).loc["accuracy"]
    word = {"A": WORSE, "B": BEST}.get(verdict.better(row), UNSURE)
    return {name: float(row[name]) for name in ("difference", "low", "high", "p")} | {"verdict": word}


def best_of(models: Mapping[str, Mapping[str, float | str]]) -> str:
    """The model of highest mean accuracy; the first among equals."""
    return max(models, key=lambda name: models[name]["accuracy"])


def table(
    models: Mapping[str, Mapping[str, float | str]], differences: Mapping[str, Mapping[str, float | str]]
) -> pd.DataFrame:
    """A row for each model, the most accurate first: model, `scores`, and `against` the best (NaN in its own row)."""
    best = best_of(models)
    none = {"difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "verdict": BEST}
    rows = [
        {"model": name} | dict(of) | (none if name == best else dict(differences[name])) for name, of in models.items()
    ]
    ranked = pd.DataFrame(rows)
    order = np.lexsort((ranked["model"] != best, -ranked["accuracy"]))
    return ranked.iloc[order].reset_index(drop=True)
