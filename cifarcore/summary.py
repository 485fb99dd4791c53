"""compare_summary.txt and the README's results table, made from run files and the report's three published numbers alone.

Numbers come from `metrics` and `comparison`; here they are only laid out. A is the first group named, B the second.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore import CifarcoreError, comparison, disagreement, metrics, paired
from cifarcore.as_text import mean_with_spread, p_value, with_spread
from cifarcore.files import atomic_write
from cifarcore.runs import Run, seed_of

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
    """Write the summary of `runs` to `out`, atomically, and return it; the first two groups named are compared."""
    text = summary_text(runs)
    with atomic_write(out) as file:
        file.write(text.encode())
    return text


def summary_text(runs: Sequence[Run]) -> str:
    """Each group's mean ± std over seeds, all runs together beside the report, and the first two groups compared.

    Raises CifarcoreError where there is no run, or the same model and seed twice.
    """
    table = run_table(runs)
    groups = grouped(runs)
    parts = [
        f"Runs: {len(runs)}, of {len(groups)} model{'s' if len(groups) > 1 else ''}. "
        "± is the sample standard deviation (n-1): over a model's seeds, or over all runs where all are taken together.",
        "Test images: " + "; ".join(dict.fromkeys(_test_set(run) for run in runs)),
        _section("Each model, mean over its seeds", _text(_group_rows(table))),
        _section("All runs together, beside the report", _text(combined_table(table))),
        _section("Each run", _text(_run_rows(table))),
    ]
    if len(groups) > 1:
        (name_a, runs_a), (name_b, runs_b) = list(groups.items())[:2]
        result = comparison.compare(runs_a, runs_b)
        parts.append(_section(f"A: {name_a}   B: {name_b}", _comparison_text(result)))
    return "\n\n".join(parts) + "\n"


def results_table(runs: Sequence[Run]) -> str:
    """The results as a Markdown table: a row for each group, then the report's own numbers."""
    rows = _group_rows(run_table(runs))
    report = {TITLES[name]: with_spread(*numbers, ".4f") for name, numbers in REPORT.items()}
    rows = pd.concat([rows, pd.DataFrame([{"Model": "the report", **report}])]).fillna("")
    return markdown(rows)


def update_readme(runs: Sequence[Run], path: str | Path) -> None:
    """Put `results_table` between the two results markers of the file at `path`.

    Raises CifarcoreError where they are missing.
    """
    if not put_between_markers(path, "results", results_table(runs)):
        raise CifarcoreError(
            f"{path} has no results table; put the lines '<!-- results: -->' and '<!-- /results -->' where it belongs"
        )


def put_between_markers(path: str | Path, name: str, text: str) -> bool:
    """Put `text` between `<!-- name: ... -->` and `<!-- /name -->` in the file at `path`, atomically.

    False, and nothing is written, where the file has no such pair or several. Raises CifarcoreError for no such file.
    """
    path = Path(path)
    try:
        before = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CifarcoreError(
            f"{path} cannot be read ({error.strerror}); name the README that holds the {name} table"
        ) from None
    markers = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if len(markers.findall(before)) != 1:
        return False
    with atomic_write(path) as file:
        file.write(markers.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", before).encode())
    return True


def markdown(rows: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    lines = [list(rows.columns), ["---"] * len(rows.columns), *rows.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def grouped(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by group in the order named, each group's seeds ascending.

    Raises CifarcoreError where there is no run, or one twice.
    """
    if not runs:
        raise CifarcoreError("no run file is named; name at least one, such as checkpoints/cnn-quick-0.npz")
    groups: dict[str, list[Run]] = {}
    for run in runs:
        seeds = groups.setdefault(run.group, [])
        if any(seed_of(other.meta) == seed_of(run.meta) for other in seeds):
            raise CifarcoreError(
                f"seed {seed_of(run.meta)} of {run.group} is named twice ({run.name}); name each run once"
            )
        seeds.append(run)
    return {name: sorted(seeds, key=lambda run: seed_of(run.meta)) for name, seeds in groups.items()}


def run_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each run: group, preset, name, seed, the headline metrics, initialised, epochs, minutes, hardware."""
    rows = []
    for run in (run for seeds in grouped(runs).values() for run in seeds):
        facts = {
            "group": run.group,
            "preset": run.meta.get("preset") or "",
            "name": run.name,
            "seed": seed_of(run.meta),
            "n_images": run.n_images,
            "initialised": run.meta.get("initialised_from") or "not said",
            "epochs": len(run.history["epoch"]) if run.history else np.nan,
            "minutes": (run.meta.get("train_seconds") or np.nan) / 60,
            "hardware": run.meta.get("device") or "not said",
            "without_duplicates": _accuracy_without_duplicates(run),
        }
        rows.append(facts | metrics.headline(run))
    return pd.DataFrame(rows)


def combined_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean ± std over all runs of `run_table`, over those of each preset if there are several, and the report's own."""
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
        row["Epochs"] = all_of("not said" if np.isnan(epochs) else f"{epochs:.0f}" for epochs in seeds["epochs"])
        row["Minutes"] = "not said" if seeds["minutes"].isna().any() else f"{seeds['minutes'].mean():.1f}"
        row["Hardware"] = all_of(seeds["hardware"])
        rows.append(row)
    return pd.DataFrame(rows)


def _run_rows(table: pd.DataFrame) -> pd.DataFrame:
    low, high = paired.wilson_interval(table["accuracy"] * table["n_images"], table["n_images"])
    columns = {"Run": table["name"], "Accuracy": [f"{value:.4f}" for value in table["accuracy"]]}
    columns["95 % interval (Wilson)"] = [f"{a:.4f} to {b:.4f}" for a, b in zip(low, high, strict=True)]
    if table["without_duplicates"].notna().any():
        columns["Accuracy without training duplicates"] = [f"{value:.4f}" for value in table["without_duplicates"]]
    for name in [name for name in list(TITLES)[1:] if table[name].notna().any()]:
        columns[TITLES[name]] = ["-" if np.isnan(value) else f"{value:.4f}" for value in table[name]]
    return pd.DataFrame(columns)


def _comparison_text(result: comparison.Comparison) -> str:
    rows = []
    for name, row in result.metrics.iterrows():
        if np.isfinite(row["difference"]):
            shown = {
                "Metric": TITLES[name],
                "A": f"{row['a']:.4f}",
                "B": f"{row['b']:.4f}",
                "B - A": f"{row['difference']:+.4f}",
            }
            shown["95 % interval"] = f"{row['low']:+.4f} to {row['high']:+.4f}"
            shown |= {"p": p_value(row["p"]), "by": row["method"]}
            rows.append(shown)
    lines = [f"{result.verdict}. {result.sentence}", *result.notes, "", _text(pd.DataFrame(rows)), ""]
    for claim in ("gained", "lost"):
        table = result.class_table.query("claim == @claim")
        table = table.sort_values("recall_difference", key=abs, ascending=False, kind="stable")
        names = ", ".join(
            f"{row.name_} {row.recall_difference:+.2f}" for row in table.rename(columns={"name": "name_"}).itertuples()
        )
        lines.append(f"Classes whose recall B {claim} ({len(table)}): {names or 'none'}")
    return "\n".join(lines)


def _accuracy_without_duplicates(run: Run) -> float:
    """Accuracy on the test images that do not stand in the training set; NaN where the file cannot tell."""
    known = disagreement.duplicates(run) == "in training"
    if run.train_neighbor_ids is None and not known.any():
        return float("nan")
    return float(run.correct[~known].mean())


def _test_set(run: Run) -> str:
    dataset = run.meta.get("dataset") or {}
    name, fingerprint = dataset.get("name", "a data set that is not named"), dataset.get("fingerprint", "not said")
    return f"{run.n_images:,} of {name} (fingerprint {fingerprint})"


def all_of(values: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def _section(title: str, body: str) -> str:
    return f"{title}\n{'-' * len(title)}\n{body}"


def _text(table: pd.DataFrame) -> str:
    """Columns side by side, left-aligned, two blanks apart."""
    lines = [list(table.columns), *table.astype(str).to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
