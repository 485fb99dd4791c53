"""More than two models on the same test images: every pair compared, and groups without a significant difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import groups, ranking
from cifarcore.reports.summary import grouped
from cifarcore.runs.alignment import align
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, plain

LETTERS = (
    "Models that share a letter do not differ significantly in accuracy (all pairs tested together at 5%, Holm's "
    "correction)."
)
MOST_PAIRED = 40  #: models of which every two are compared
GROUPS = (
    "Models in order of accuracy. Those that share a column, or a letter, do not differ significantly: all pairs "
    "together are tested at 5% (Holm), each as the comparison of the two, with seeds counted."
)


@dataclass(frozen=True, eq=False)
class Models:
    """Mean accuracy and number of seeds of each model, and groups.all_pairs of them."""

    accuracies: dict[str, float]
    seeds: dict[str, int]
    pairs: pd.DataFrame


def models_among(runs: Sequence[Run]) -> Models | None:
    """The models of `runs` that are on the images of the first, compared (the MOST_PAIRED most accurate); None for
    fewer than three.
    """
    try:
        of_model = {name: seeds for name, seeds in grouped(runs).items() if ranking.on_images_of(runs[0], seeds)}
    except CifarcoreError:  # a seed twice: what they are means of is not clear
        return None
    if len(of_model) < 3:
        return None
    accuracies = {name: float(np.mean([run.correct.mean() for run in seeds])) for name, seeds in of_model.items()}
    names = in_order(accuracies)[:MOST_PAIRED]
    aligned = {name: [align(runs[0], seed).b for seed in of_model[name]] for name in names}
    return Models(
        {name: accuracies[name] for name in names},
        {name: len(of_model[name]) for name in names},
        groups.all_pairs(aligned),
    )


def model_table(models: Models) -> pd.DataFrame:
    """Model, Seeds, Accuracy, Groups, the most accurate first."""
    names = in_order(models.accuracies)
    letters = groups.letters(names, models.pairs)
    return pd.DataFrame(
        {
            "Model": [plain(name) for name in names],
            "Seeds": [str(models.seeds[name]) for name in names],
            "Accuracy": [f"{models.accuracies[name]:.4f}" for name in names],
            "Groups": [letters[name] or "too many" for name in names],
        }
    )


def model_numbers(models: Models | None) -> dict[str, Any] | None:
    """All of it as numbers for JSON."""
    if models is None:
        return None
    names = in_order(models.accuracies)
    letters = groups.letters(names, models.pairs)
    ranked = [
        {
            "model": name,
            "seeds": models.seeds[name],
            "accuracy": models.accuracies[name],
            "groups": letters[name] or None,
        }
        for name in names
    ]
    return {"ranked": ranked, "pairs": models.pairs.to_dict("records")}


def pair_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """groups.all_pairs as text, in percentage points, the surest first."""
    ordered = pairs.sort_values(["adjusted", "p"], kind="stable")
    return pd.DataFrame(
        {
            "First": [plain(name) for name in ordered["first"]],
            "Second": [plain(name) for name in ordered["second"]],
            "Second − first (points)": [number(100 * value, "+.2f") for value in ordered["difference"]],
            "95% CI": [interval(100 * r.low, 100 * r.high, "+.2f") for r in ordered.itertuples()],
            "p": [p_value(value) for value in ordered["p"]],
            "p (Holm)": [p_value(value) for value in ordered["adjusted"]],
            "Significant": ["yes" if value else "no" for value in ordered["significant"]],
        }
    )


def group_frame(accuracies: Mapping[str, float], pairs: pd.DataFrame) -> pd.DataFrame:
    """A row for each model and letter it has, for charts.marks.group_rows: model, letter, accuracy, letters."""
    names = in_order(accuracies)
    shown = groups.letters(names, pairs)
    frame = groups.group_lines(names, pairs)
    frame["accuracy"] = [accuracies[name] for name in frame["model"]]
    frame["letters"] = [shown[name] for name in frame["model"]]
    frame["model"] = [plain(name) for name in frame["model"]]
    return frame


def in_order(accuracies: Mapping[str, float]) -> list[str]:
    """The names, the most accurate first."""
    return sorted(accuracies, key=lambda name: -accuracies[name])
