"""compare_summary.txt and the README's results table, made from run files and the report's three published numbers
alone.

Numbers come from `metrics` and `comparison`; here they are only laid out. A is the first group named, B the second.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.data.ids import fingerprint
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import absent, comparison, known, metrics, paired
from cifarcore.evidence.findings import is_about
from cifarcore.files import write_report
from cifarcore.reports.markers import put_between_markers
from cifarcore.runs.layout import dataset_name
from cifarcore.runs.run import Run, model_key, seed_of
from cifarcore.text import counted, mean_with_spread, one_line, p_value, plain, printable, spaced, with_spread

SUMMARY = "compare_summary.txt"  #: beside the run files
#: the numbers of the report that this project answers, mean and standard deviation over its runs
REPORT = {"accuracy": (0.5803, 0.0317), "macro_f1": (0.5779, 0.0320), "macro_auc": (0.9776, 0.0069)}
TITLES = {
    "accuracy": "Accuracy",
    "top5": "Top-5 accuracy",
    "macro_f1": "Macro-F1",
    "macro_auc": "Macro-AUC",
    "superclass_accuracy": "Superclass accuracy",
    "ece": "Expected calibration error",
    "brier": "Brier score",
    "log_loss": "Log loss (nats)",
}


def write_summary(runs: Sequence[Run], out: str | Path) -> str:
    """Write the summary of `runs` to `out`, atomically, and return it; `compared_sides` are compared."""
    text = summary_text(runs)
    write_report(out, text.encode())
    return text


def summary_text(runs: Sequence[Run]) -> str:
    """Each group's mean ± std over seeds, `compared_sides` compared, and CIFAR-100's runs together beside the report.

    Raises CifarcoreError where there is no run, or the same model and seed twice.
    """
    table = run_numbers(runs)
    groups = grouped(runs)
    beside = ""
    as_reported = []
    if all(map(is_about, runs)):  # its numbers say nothing of other data
        beside = (
            "; in the report's format it is over runs of several models, and no measure of uncertainty of any of them"
        )
        title = "In the report's format: mean ± std over runs, whatever their model"
        as_reported = [_section(title, _text(combined_table(table)))]
    parts = [
        f"Runs: {len(runs)}, of {len(groups)} model{'s' if len(groups) > 1 else ''}. "
        f"± is the sample standard deviation (n-1) over a model's seeds{beside}.",
        "Test images: " + "; ".join(dict.fromkeys(_test_set(run) for run in runs)),
        *_on_different_images(runs),
        *absent.notes(runs, ("top5", "macro_auc", "ece", "brier", "log_loss")),
        _section("Each model, mean over its seeds", _text(_group_rows(table))),
        *as_reported,
        _section("Each run", _text(_run_rows(table))),
    ]
    if sides := compared_sides(runs):
        result = comparison.compare(sides.a, sides.b)
        parts += [sides.why, comparison_text(*result.names, result)]
    return printable("\n\n".join(parts) + "\n")


def results_table(runs: Sequence[Run]) -> str:
    """The results as a Markdown table: a row for each group, then, of runs on CIFAR-100, the report's own numbers.

    Where the test images differ, a line below it says so.
    """
    rows = _group_rows(run_numbers(runs))
    if not all(map(is_about, runs)):
        return "\n\n".join([markdown(rows), *_on_different_images(runs)])
    report = {TITLES[name]: with_spread(*numbers, ".4f") for name, numbers in REPORT.items()}
    rows = pd.concat([rows, pd.DataFrame([{"Model": "the report", **report}])]).fillna("")
    return "\n\n".join([markdown(rows), *_on_different_images(runs)])


def _on_different_images(runs: Sequence[Run]) -> list[str]:
    """A line where the numbers of `runs` must not be held against each other; none where all have the same images."""
    if len({np.sort(run.sample_ids).tobytes() for run in runs}) == 1:
        return []
    sizes = all_of([f"{run.n_images:,}" for run in runs])
    return [
        f"Not comparable: each run was scored on its own test images, and these differ ({sizes} images). Models are "
        "compared on the images that they share."
    ]


def update_readme(runs: Sequence[Run], path: str | Path) -> None:
    """Put `results_table` between the two results markers of the file at `path`.

    Raises CifarcoreError where they are missing.
    """
    if not put_between_markers(path, "results", results_table(runs)):
        raise CifarcoreError(
            f"{path} has no results table; put the lines '<!-- results: -->' and '<!-- /results -->' where it belongs"
        )


def markdown(rows: pd.DataFrame) -> str:
    """A table of text as Markdown, in which no cell is an element, a link, a picture or anything else but text."""
    head, *lines = [list(rows.columns), *rows.to_numpy().tolist()]
    cells = [[_cell(cell) for cell in line] for line in (head, *lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (cells[0], ["---"] * len(head), *cells[1:]))


def _cell(value: object) -> str:
    text = re.sub(r"([\\`*\[\]|])", r"\\\1", one_line(value, 1000))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\_", text)  # within words it means nothing
    text = re.sub(r"<(?=[a-z/!?])", "&lt;", re.sub(r"&(?=#?\w+;)", "&amp;", text), flags=re.IGNORECASE)
    return re.sub(r"(?<=://)(?=\S)|(?<=www)(?=\.)|(?<=@)(?=\w)", "\u2060", text, flags=re.IGNORECASE)


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by group in the order named, each group's seeds ascending.

    A group is of what its files say (`model_key`); where two models have one name, that of a file tells them apart, as
    it does two runs alone of one seed. Raises CifarcoreError where there is no run, or one twice.
    """
    if not runs:
        raise CifarcoreError("no run file is named; name at least one, such as checkpoints/cnn-quick-0.npz")
    models: dict[Hashable, list[Run]] = {}
    for run in runs:
        key: Hashable = model_key(run.meta) or ("file", run.path or run.group)
        if any(seed_of(other.meta) == seed_of(run.meta) for other in models.get(key, [])):
            if len(runs) > 2 or comparison.same_run(*runs):
                raise CifarcoreError(
                    f"seed {seed_of(run.meta)} of {run.group} is named twice ({run.name}); name each run once"
                )
            key = "trained anew"  # production and candidate
        models.setdefault(key, []).append(run)
    groups: dict[str, list[Run]] = {}
    for seeds in models.values():
        first = seeds[0]
        names = (first.group, f"{first.group} ({first.name})", f"{first.group} ({first.path})")
        name = next(name for name in (*names, *map(str, range(len(models)))) if name not in groups)
        comparison.refuse_copies(seeds)
        groups[name] = sorted(seeds, key=lambda run: seed_of(run.meta))
    return groups


def run_numbers(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each run: group, preset, name, seed, the headline metrics, initialised, epochs, minutes, hardware."""
    rows = []
    for group, run in ((group, run) for group, seeds in grouped(runs).items() for run in seeds):
        facts = {
            "group": group,
            "preset": run.meta.get("preset") or "",
            "name": run.name,
            "seed": seed_of(run.meta),
            "n_images": run.n_images,
            "initialised": run.meta.get("initialised_from") or "not recorded",
            "epochs": len(run.history["epoch"]) if run.history else np.nan,
            "minutes": (run.meta.get("train_seconds") or np.nan) / 60,
            "hardware": run.meta.get("device") or "not recorded",
            "without_duplicates": _accuracy_without_duplicates(run),
        }
        rows.append(facts | metrics.headline(run))
    return pd.DataFrame(rows)


def combined_table(table: pd.DataFrame) -> pd.DataFrame:
    """As the report gives its numbers: mean ± std over all runs of `run_numbers`, whatever their model.

    Also over those of each preset if there are several, and the report's own.
    """
    sets = {"all runs": table}
    if table["preset"].nunique() > 1:
        sets |= {f"runs of preset {preset}": rows for preset, rows in table.groupby("preset", sort=False) if preset}
    columns = {"Metric": [TITLES[name] for name in REPORT]}
    for title, rows in sets.items():
        columns[f"{title} ({len(rows)})"] = [mean_with_spread(rows[name], ".4f") for name in REPORT]
    columns["the report"] = [with_spread(*numbers, ".4f") for numbers in REPORT.values()]
    return pd.DataFrame(columns)


def _group_rows(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, seeds in table.groupby("group", sort=False):
        row = {"Model": name, "Seeds": str(len(seeds))}
        row |= {TITLES[name]: mean_with_spread(seeds[name], ".4f") for name in REPORT}
        row["Initialised from"] = all_of(seeds["initialised"])
        row["Epochs"] = all_of("not recorded" if np.isnan(epochs) else f"{epochs:.4g}" for epochs in seeds["epochs"])
        row["Minutes"] = "not recorded" if seeds["minutes"].isna().any() else f"{seeds['minutes'].mean():.1f}"
        row["Hardware"] = all_of(seeds["hardware"])
        rows.append(row)
    return pd.DataFrame(rows)


def _run_rows(table: pd.DataFrame) -> pd.DataFrame:
    low, high = paired.wilson_interval(table["accuracy"] * table["n_images"], table["n_images"])
    columns = {"Run": table["name"], "Accuracy": [f"{value:.4f}" for value in table["accuracy"]]}
    columns["95% CI (Wilson)"] = [f"{a:.4f} to {b:.4f}" for a, b in zip(low, high, strict=True)]
    if table["without_duplicates"].notna().any():
        columns["Accuracy without duplicates"] = [_or_dash(value) for value in table["without_duplicates"]]
    for name in [name for name in list(TITLES)[1:] if table[name].notna().any()]:
        columns[TITLES[name]] = [_or_dash(value) for value in table[name]]
    return pd.DataFrame(columns)


def _or_dash(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"


@dataclass(frozen=True)
class ComparedSides:
    """The runs of A and of B among those named, and why these, as a sentence."""

    a: list[Run]
    b: list[Run]
    why: str


def compared_sides(runs: Sequence[Run]) -> ComparedSides | None:
    """The first two models named, or two seeds of one model where no other run is named; None for neither.

    Raises CifarcoreError where there is no run, or one twice.
    """
    groups = list(grouped(runs).values())
    if len(groups) > 1:
        others = "; the other models are not compared" if len(groups) > 2 else ""
        return ComparedSides(*groups[:2], f"A is the model named first, B the one named second{others}.")
    if len(runs) == 2:
        return ComparedSides([runs[0]], [runs[1]], "Two seeds of one model: A is the run named first.")
    return None


def comparison_text(name_a: str, name_b: str, result: comparison.Comparison) -> str:
    """The comparison of two models as the summary has it: verdict, metrics, and the classes whose recall changes."""
    rows = []
    for name, row in result.metrics.iterrows():
        if np.isfinite(row["difference"]):
            shown = {
                "Metric": TITLES[name],
                "A": f"{row['a']:.4f}",
                "B": f"{row['b']:.4f}",
                "B - A": f"{row['difference']:+.4f}",
            }
            known = np.isfinite(row["low"]) and np.isfinite(row["high"])
            shown["95% CI"] = f"{row['low']:+.4f} to {row['high']:+.4f}" if known else "-"
            shown |= {"p": p_value(row["p"]), "method": row["method"]}
            rows.append(shown)
    lines = [f"{result.verdict}. {result.sentence}", *result.notes, "", _text(pd.DataFrame(rows)), ""]
    for claim in ("improved", "declined"):
        table = result.class_table.query("claim == @claim")
        table = table.sort_values("recall_difference", key=abs, ascending=False, kind="stable")
        names = ", ".join(
            f"{spaced(row.name_)} {row.recall_difference:+.2f}"
            for row in table.rename(columns={"name": "name_"}).itertuples()
        )
        lines.append(f"Recall {claim} ({counted(len(table), 'class', 'classes')}): {names or 'none'}")
    return _section(f"A: {name_a}   B: {name_b}", "\n".join(lines))


def _accuracy_without_duplicates(run: Run) -> float:
    """Accuracy on the test images whose exact or near duplicate is not in the training set; NaN where nobody knows."""
    if not known.judged(run) and run.train_neighbor_ids is None:
        return float("nan")
    return float(run.correct[~np.isin(known.duplicates([run]), known.SAME_PHOTO)].mean())


def _test_set(run: Run) -> str:
    """By the images that it holds: what `meta` says may be of all of which they are a part."""
    name = plain(dataset_name(run.meta)) or "an unnamed data set"
    return f"{run.n_images:,} of {name} (fingerprint {fingerprint(run.sample_ids, run.labels)})"


def all_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _text(table: pd.DataFrame) -> str:
    """Columns side by side, left-aligned, two blanks apart."""
    lines = [list(table.columns), *([one_line(cell, 200) for cell in line] for line in table.to_numpy().tolist())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
