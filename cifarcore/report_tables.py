"""The tables and chart data of the HTML report, laid out from what `comparison`, `findings` and `metrics` say.

Knows no page and no chart; `report` makes those. Text that is a whole paragraph is escaped here, cells are not.
"""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from cifarcore import disagreement, metrics, summary
from cifarcore.as_text import interval, number, p_value, with_spread
from cifarcore.comparison import Comparison
from cifarcore.runs import Run

MAX_CLASSES = 200  #: that are drawn; beyond it the largest changes are


def metric_table(result: Comparison) -> pd.DataFrame:
    rows = []
    for name, row in result.metrics.dropna(subset="difference").iterrows():
        cells = {"Metric": summary.TITLES[name]}
        for letter in "ab":
            cells[letter.upper()] = with_spread(row[letter], row[f"std_{letter}"], ".4f")
        cells |= {
            "B − A": number(row["difference"], "+.4f"),
            "95 % interval": interval(row["low"], row["high"], "+.4f"),
        }
        rows.append(cells | {"p": p_value(row["p"]), "by": row["method"]})
    return pd.DataFrame(rows)


def split_table(frame: pd.DataFrame) -> pd.DataFrame:
    """disagreement.split_frame as text."""
    shares = [f"{share:.1%}" for share in frame["share"]]
    return pd.DataFrame({"Right": frame["group"], "Images": [f"{n:,}" for n in frame["images"]], "Share": shares})


def severity_text(sides: dict[str, list[Run]]) -> str:
    told = []
    for letter, runs in sides.items():
        table = disagreement.severity(runs[0])
        if table["images"].sum() > 0:
            row = table.loc["within superclass"]
            chance = "" if np.isnan(row["ratio"]) else f", {row['ratio']:.1f} times chance"
            told.append(f"{row['share']:.1%} of {letter}'s errors stay within the superclass{chance}")
    return escape("; ".join(told) + "." if told else "")


def class_frame(result: Comparison) -> pd.DataFrame:
    table = result.class_table.dropna(subset="recall_difference")
    if len(table) > MAX_CLASSES:
        table = table.loc[table["recall_difference"].abs().nlargest(MAX_CLASSES).index]
    table = table.sort_values("recall_difference", ascending=False, kind="stable")
    names = {"name": "class", **{f"recall_{part}": part for part in ("a", "b", "difference", "low", "high")}}
    return table.rename(columns=names)[[*names.values(), "claim", "superclass", "support"]]


def claimed_classes(result: Comparison) -> str:
    told = []
    for claim in ("gained", "lost"):
        table = result.class_table.query("claim == @claim")
        names = [
            f"{name} {number(gain, '+.2f')}"
            for name, gain in zip(table["name"], table["recall_difference"], strict=True)
        ]
        told.append(f"<p><b>Recall {claim} in B: {len(table)} classes.</b> {escape(', '.join(names))}</p>")
    return "".join(told)


def cell_table(result: Comparison) -> pd.DataFrame:
    cells = result.cells
    return pd.DataFrame(
        {
            "True": cells["true_name"],
            "Predicted": cells["predicted_name"],
            "A": [f"{value:.1f}" for value in cells["a"]],
            "B": [f"{value:.1f}" for value in cells["b"]],
            "B − A": [number(value, "+.1f") for value in cells["difference"]],
            "q": [p_value(value) for value in cells["q"]],
            "Claim": cells["claim"],
        }
    )


def pair_table(result: Comparison) -> pd.DataFrame:
    pairs = result.pairs
    return pd.DataFrame(
        {
            "Pair": [f"{one} or {other}" for one, other in zip(pairs["first_name"], pairs["second_name"], strict=True)],
            "Confused (A + B)": [f"{value:.1f}" for value in pairs["confused"]],
            "AUC of A": [number(value, ".4f") for value in pairs["a"]],
            "AUC of B": [number(value, ".4f") for value in pairs["b"]],
            "B − A": [number(value, "+.4f") for value in pairs["difference"]],
            "95 % interval": [interval(*row, "+.4f") for row in pairs[["low", "high"]].itertuples(index=False)],
            "q": [p_value(value) for value in pairs["q"]],
            "Claim": pairs["claim"],
        }
    )


def reliability_frame(sides: dict[str, list[Run]]) -> pd.DataFrame:
    frames = [
        metrics.reliability(run).assign(model=letter, run=run.name) for letter, runs in sides.items() for run in runs
    ]
    return pd.concat(frames).query("count > 0")


def temperature_table(sides: dict[str, list[Run]]) -> pd.DataFrame:
    rows = []
    for letter, runs in sides.items():
        for run in runs:
            fitted = metrics.fit_temperature(run)
            rows.append(
                {
                    "Model": letter,
                    "Run": run.name,
                    "Temperature": "no validation split" if fitted is None else f"{fitted:.3f}",
                }
            )
    return pd.DataFrame(rows)


def finding_table(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Claim": table["claim"],
            "Measure": table["measure"],
            "Holds where": table["bounds"],
            "Model": table["model"],
            "Value": [number(value, ".4f") or "not measured" for value in table["value"]],
            "95 % interval": [interval(*row, ".4f") for row in table[["low", "high"]].itertuples(index=False)],
            "Verdict": table["verdict"],
        }
    )


def suspect_table(runs: list[Run]) -> pd.DataFrame:
    table = disagreement.suspect_labels(runs)
    return pd.DataFrame(
        {
            "Sample id": [f"{sample_id:016x}" for sample_id in table["sample_id"]],
            "Label": table["label_name"],
            "Every run says": table["predicted_name"],
            "Mean confidence": [f"{value:.1%}" for value in table["confidence"]],
        }
    )


def run_table(runs: Sequence[Run], runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    """One row for each of `runs`, with the side that it was compared on; nothing there for those listed beside."""
    rows = []
    for run in runs:
        letters = [letter for letter, side in (("A", runs_a), ("B", runs_b)) if any(run is other for other in side)]
        dataset, versions = run.meta.get("dataset") or {}, run.meta.get("versions") or {}
        row = {
            "Run": run.name,
            "Compared as": " and ".join(letters),
            "Accuracy": f"{metrics.accuracy(run):.4f}",
            "Data": f"{dataset.get('name', 'not named')}, {run.n_images:,} images",
            "Fingerprint": dataset.get("fingerprint", "not said"),
            "Initialised from": run.meta.get("initialised_from") or "not said",
            "Hardware": run.meta.get("device") or "not said",
            "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "not said",
            "File digest": run.digest,
        }
        rows.append(row)
    return pd.DataFrame(rows)
