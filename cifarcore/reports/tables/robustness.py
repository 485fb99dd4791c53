"""Robustness to corruptions as text: the section of the page Slices and of the report."""

from typing import Any

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import robustness
from cifarcore.evidence.robustness import CLEAN, Ratio, Robustness
from cifarcore.files import seen
from cifarcore.reports.sides import Sides
from cifarcore.runs.corrupted import corrupted_of, corrupted_path
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, spaced, without_folders

TITLE = "Robustness to corruptions"
HOW = (
    "`cifarcore evaluate CHECKPOINT --corruption all` scores a model on corrupted test images; run it for both models."
)
METHOD = (
    "Corruptions as described by Hendrycks and Dietterich (ICLR 2019), drawn by cifarcore itself, so that figures "
    "compare within it alone. Each image's B − A is a mean over severities and seeds; intervals and tests are "
    "Student's t over images, FDR controlled at 5% over the corruptions; seeds are fixed. Mean corruption error: B's "
    "errors over A's, mean over corruptions; relative: of the errors that corruption adds (bootstrap over images)."
)


def robustness_of(sides: Sides) -> Robustness | None:
    """The two models on corrupted images, by those of their runs that were scored on them; None where there is nothing
    to compare. Raises CifarcoreError for a file that is damaged or of another network.
    """
    kept = tuple((run, seen(corrupted_path(run.path)) if run.path else None) for run in (*sides.a.runs, *sides.b.runs))
    return memo(_compared, sides.a.runs, sides.b.runs, tuple(version for _, version in kept))


def _compared(runs_a: tuple[Run, ...], runs_b: tuple[Run, ...], _: Any) -> Robustness | None:
    scored = [[(run, corrupted) for run in runs if (corrupted := corrupted_of(run))] for runs in (runs_a, runs_b)]
    return robustness.compare(*scored)


def why_not(sides: Sides) -> str:
    """Why there is nothing to compare; "" where there is."""
    try:
        return "" if robustness_of(sides) else HOW
    except CifarcoreError as error:
        return without_folders(str(error))  # reports and pages are passed on


def severity_frame(compared: Robustness) -> pd.DataFrame:
    """severity, model ("A", "B") and accuracy, as charts.robustness.by_severity takes them."""
    table = compared.by_severity
    parts = [
        pd.DataFrame({"severity": table["severity"], "model": letter, "accuracy": table[f"accuracy_{letter.lower()}"]})
        for letter in "AB"
    ]
    return pd.concat(parts, ignore_index=True)


def corruption_table(compared: Robustness) -> pd.DataFrame:
    """A row for each corruption, the largest B − A first, as text."""
    table = compared.by_corruption.sort_values("difference", ascending=False, kind="stable")
    return pd.DataFrame(
        {
            "Corruption": [spaced(name) for name in table["corruption"]],
            "A": [f"{value:.1%}" for value in table["accuracy_a"]],
            "B": [f"{value:.1%}" for value in table["accuracy_b"]],
            "B − A (points)": [number(100 * value, "+.1f") for value in table["difference"]],
            "95% CI": [interval(*ends, "+.1f") for ends in 100 * table[["low", "high"]].to_numpy()],
            "q": [p_value(value) for value in table["q"]],
            "Significant": ["yes" if value else "" for value in table["significant"]],
        }
    )


def summary_text(compared: Robustness, sides: Sides) -> str:
    """What corruption costs either model, and who stands it better, in a few sentences."""
    names = sides.names
    hit, lost = compared.overall.loc["corrupted"], compared.overall.loc["lost"]
    levels = [str(level) for level in compared.by_severity["severity"] if level != CLEAN]
    sentences = [
        f"Under {len(compared.by_corruption)} corruptions at severity {', '.join(levels)}, {names[0]} classifies "
        f"{hit['accuracy_a']:.1%} of {compared.n_images:,} test images correctly and {names[1]} {hit['accuracy_b']:.1%}"
        f"{_runs(compared.seeds, (len(sides.a.runs), len(sides.b.runs)))}: B − A {_points(hit)}.",
        f"Corruption costs {names[0]} {100 * lost['accuracy_a']:.1f} points and {names[1]} "
        f"{100 * lost['accuracy_b']:.1f}: {_loses(lost, names)}.",
    ]
    for ratio, what in (
        (compared.error, "Mean corruption error"),
        (compared.relative, "relative mean corruption error"),
    ):
        if not np.isnan(ratio.value):
            sentences.append(f"{what[0].upper()}{what[1:]} of B over A {_ratio(ratio)}.")
    return " ".join(sentences)


def _runs(scored: tuple[int, int], given: tuple[int, int]) -> str:
    """Of how many runs these are the means; all else of the report is of those `given`."""
    if scored != given:
        return (
            f" (of {scored[0]} of A's {given[0]} runs and {scored[1]} of B's {given[1]}: no others were scored on them)"
        )
    return "" if scored == (1, 1) else f" (mean of {scored[0]} and {scored[1]} runs)"


def _points(row: pd.Series) -> str:
    ends = interval(100 * row["low"], 100 * row["high"], "+.1f")
    return f"{number(100 * row['difference'], '+.1f')} points" + (f" (95% CI {ends})" if ends else "")


def _loses(lost: pd.Series, names: tuple[str, str]) -> str:
    if not lost["p"] <= robustness.ALPHA:
        return f"no significant difference in what they lose, {_points(lost)}"
    return f"{names[1]} loses {'more' if lost['difference'] > 0 else 'less'}, {_points(lost)}"


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} (95% CI {interval(ratio.low, ratio.high, '.2f')})"


def robustness_numbers(sides: Sides) -> dict[str, Any] | None:
    """For the JSON; None where there is nothing to compare."""
    if why_not(sides) or (compared := robustness_of(sides)) is None:
        return None
    return {
        "images": compared.n_images,
        "runs": list(compared.seeds),
        "overall": compared.overall.rename_axis("what").reset_index().to_dict("records"),
        "by_severity": compared.by_severity.to_dict("records"),
        "by_corruption": compared.by_corruption.to_dict("records"),
        "mean_corruption_error": vars(compared.error),
        "relative_mean_corruption_error": vars(compared.relative),
    }
