"""The study as Markdown, from its run files alone: what each change brought against the base of its model.

A is the base, B the change, on the validation images. Tests come from `claims`; here they are laid out.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import other_seeds, paired
from cifarcore.evidence.comparison import on_shared_images
from cifarcore.evidence.shares import accuracy_difference
from cifarcore.evidence.verdict import of as better_of
from cifarcore.experiments.study_plan import BASE
from cifarcore.files import write_report
from cifarcore.reports.markers import put_between_markers
from cifarcore.reports.summary import all_of, grouped, markdown
from cifarcore.runs.run import Run
from cifarcore.text import interval, mean_with_spread, number, p_value

VERDICTS = ("better", "worse")
NO_EFFECT = "not significant"
MOST = 3
#: standard deviation of accuracy between seeds, about that of the bundled quick runs (compare_summary.txt)
SEED_SPREAD = 0.003


def write_study(runs: Sequence[Run], out: str | Path, readme: str | Path | None = None) -> str:
    """Write the study of `runs` to `out`, atomically, and return it; a short form goes into `readme` where it has the
    markers.
    """
    table = study_table(runs)
    text = study_text(table)
    write_report(out, text.encode())
    if readme:
        put_between_markers(readme, "study", short_text(table))
    return text


def study_table(runs: Sequence[Run]) -> pd.DataFrame:
    """One row for each change, under each model its base first and then the others, the largest gain on top.

    Columns model, change, what, group, arithmetic, seeds, accuracy (each seed's), epochs, minutes, hardware, images,
    difference (B - A), low, high, p, verdict: "better", "worse" or "not significant" by the paired test at 5%; NaN and
    "" for the base. Raises CifarcoreError where a run is not the study's, a model has no base, or images differ.
    """
    of_model: dict[str, dict[str, list[Run]]] = {}
    for group in grouped(runs).values():
        record = group[0].meta.get("study")
        if not isinstance(record, dict) or "change" not in record:
            raise CifarcoreError(f"{group[0].name} is no run of the study; `cifarcore study` writes these")
        of_model.setdefault(str(group[0].meta.get("model")), {})[str(record["change"])] = group
    rows = []
    for model, changes in of_model.items():
        if BASE not in changes:
            raise CifarcoreError(f"no base of the {model} is named; name its run file {model}-{BASE}-0.npz too")
        base = changes.pop(BASE)
        rows.append(_row(base) | _nothing_to_compare())
        compared = [_row(group) | _against(base, group) for group in changes.values()]
        rows += sorted(compared, key=lambda row: -row["difference"])
    return pd.DataFrame(rows)


def study_text(table: pd.DataFrame) -> str:
    """The whole study: what brought most, then a table for each model with every change in it."""
    arithmetic = "Arithmetic: the multiplications of the whole training, relative to the base's."
    parts = ["# What each change brings", f"{_conditions(table)} {arithmetic}", _most(table)]
    for model, rows in table.groupby("model", sort=False):
        parts += [f"## {model}", markdown(pd.DataFrame([_cells(row) for _, row in rows.iterrows()]))]
    return "\n\n".join(parts) + "\n"


def short_text(table: pd.DataFrame) -> str:
    """For the README: what brought most, the changes that were better than their base, and the names of the others."""
    better = table[(table["change"] == BASE) | (table["verdict"] == "better")]
    columns = ["Change", "Seeds", "Epochs", "Minutes", "Hardware", "Accuracy", "B − A (points)", "95% CI"]
    rows = [{"Model": row["model"]} | {name: _cells(row)[name] for name in columns} for _, row in better.iterrows()]
    parts = [_most(table), markdown(pd.DataFrame(rows)), _conditions(table)]
    base_epochs = _base_epochs(table)
    for verdict in (NO_EFFECT, "worse"):
        for model, others in table[table["verdict"] == verdict].groupby("model", sort=False):
            named = [f"{row['what']}{_other_epochs(row, base_epochs)}" for _, row in others.iterrows()]
            parts.append(f"{verdict.capitalize()} for the {model}: {'; '.join(named)}.")
    return "\n\n".join(parts)


def _row(group: list[Run]) -> dict:
    """What one change's runs say of themselves."""
    record = group[0].meta["study"]
    minutes = [(run.meta.get("train_seconds") or np.nan) / 60 for run in group]
    return {
        "model": str(group[0].meta.get("model")),
        "change": str(record["change"]),
        "what": str(record.get("what", record["change"])),
        "group": str(record.get("group", "")),
        "arithmetic": float(record.get("arithmetic", 1.0)),
        "seeds": len(group),
        "accuracy": [float(run.correct.mean()) for run in group],
        "epochs": all_of(str(len(run.history["epoch"])) if run.history else "not recorded" for run in group),
        "minutes": float(np.mean(minutes)),
        "hardware": all_of(run.meta.get("device") or "not recorded" for run in group),
        "images": group[0].n_images,
    }


def _nothing_to_compare() -> dict:
    return dict.fromkeys(("difference", "low", "high", "p"), np.nan) | {"verdict": ""}


def _against(base: list[Run], group: list[Run]) -> dict:
    runs = on_shared_images([*base, *group])
    if any(run.n_images != other.n_images for run, other in zip(runs, [*base, *group], strict=True)):
        raise CifarcoreError(
            f"{group[0].name} was evaluated on other images than {base[0].name}; name runs of one study"
        )
    share = accuracy_difference(runs, len(base))
    better = dict(zip("BA", VERDICTS, strict=True)).get(better_of(share.difference, share.p), NO_EFFECT)
    return {name: getattr(share, name) for name in ("difference", "low", "high", "p")} | {"verdict": better}


def _cells(row: pd.Series) -> dict[str, str]:
    """One row as text."""
    is_base = row["change"] == BASE
    return {
        "Change": f"base: {row['what']}" if is_base else row["what"],
        "Kind": row["group"],
        "Seeds": str(row["seeds"]),
        "Epochs": row["epochs"],
        "Arithmetic": f"{row['arithmetic']:.2f}",
        "Minutes": "not recorded" if np.isnan(row["minutes"]) else f"{row['minutes']:.1f}",
        "Hardware": row["hardware"],
        "Accuracy": mean_with_spread(row["accuracy"], ".4f"),
        "B − A (points)": _points(row),
        "95% CI": _points_interval(row),
        "p": p_value(row["p"]),
        "Verdict": row["verdict"],
    }


def _base_epochs(table: pd.DataFrame) -> pd.Series:
    return table[table["change"] == BASE].set_index("model")["epochs"]


def _other_epochs(row: pd.Series, base_epochs: pd.Series) -> str:
    """How many epochs a change had where its base had another number."""
    of_base = base_epochs[row["model"]]
    return "" if row["epochs"] == of_base else f", epochs: {row['epochs']} for the base's {of_base}"


def _most(table: pd.DataFrame) -> str:
    """The changes of largest gain, and of largest loss, over all models: those whose test says so."""
    base_epochs = _base_epochs(table)
    parts = []
    for verdict, title, ascending in (("better", "Largest gains", False), ("worse", "Largest losses", True)):
        rows = table[table["verdict"] == verdict].sort_values("difference", ascending=ascending, kind="stable")
        lines = [
            f"{place}. {row['model']}, {row['what']}: {_points(row)} points "
            f"({_points_interval(row)}){_other_epochs(row, base_epochs)}"
            + ("" if abs(row["arithmetic"] - 1) < 0.15 else f", at {row['arithmetic']:.2f} times the arithmetic")
            for place, (_, row) in enumerate(rows.head(MOST).iterrows(), start=1)
        ]
        parts.append(f"{title}:\n\n" + ("\n".join(lines) or "none"))
    return "\n\n".join(parts)


def _conditions(table: pd.DataFrame) -> str:
    tested = table[table["verdict"] != ""]
    error = ((tested["high"] - tested["low"]) / 2 / paired.Z)[tested["seeds"] == 1].to_numpy(float)
    false = paired.ALPHA * len(tested)
    with_seeds = false - paired.ALPHA * len(error) + other_seeds.false_claims(error, SEED_SPREAD).sum()
    return (
        f"Accuracy on {table['images'].max():,} validation images that no training saw; the test images were not "
        "looked at. B is the change, A the base of its model, both scored on the same images. One setting is changed "
        "at a time; where that changes the cost of an epoch, the number of epochs changes too, so that the cost of the "
        'training stays about that of the base: what is worse in few epochs may be better in many. "Not significant" '
        "at 5% (one seed each: exact McNemar test; several seeds: t-test, seeds and images as random effects) does not "
        f"show that there is no effect. If none of the {len(tested)} changes had an effect, about {false:.0f} would be "
        f"significant all the same if seeds did not vary, and about {with_seeds:.0f} if they vary by ± "
        f"{100 * SEED_SPREAD:g} points, as those of the models that come with the project do: with one seed that is "
        "not counted. The largest of many differences owe something to luck, so the lists of the largest overstate "
        "them. This screens; runs at full length confirm. Minutes are wall-clock on shared cores and not to be "
        "compared."
    )


def _points(row: pd.Series) -> str:
    """B − A in percentage points; nothing for a base."""
    return number(100 * row["difference"], "+.2f")


def _points_interval(row: pd.Series) -> str:
    return interval(100 * row["low"], 100 * row["high"], "+.2f")
