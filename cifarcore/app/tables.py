"""What charts and tables show, as DataFrames: pure functions of runs and of metrics' and comparison's results.

Counts and rates over several seeds are the means of the per-seed numbers. No rule of evidence lives here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore import metrics
from cifarcore.app.state import Side, View, mean_class_table, memo, plain
from cifarcore.as_text import interval, number, p_value, std, with_spread
from cifarcore.comparison import Comparison
from cifarcore.runs import Run
from cifarcore.summary import TITLES

#: as in the summary; here there is room to say which AUC
_TITLES = TITLES | {"macro_auc": "Macro-AUC (one-vs-rest)"}


def metric_table(view: View, result: Comparison) -> pd.DataFrame:
    """The overview's table as text: a row for each metric, with the mean ± std over seeds and the interval of B − A."""
    records = []
    for key, title in _TITLES.items():
        if key not in result.metrics.index:
            continue
        row = result.metrics.loc[key]
        if np.isnan(row["a"]) and np.isnan(row["b"]):  # no superclasses, or too few classes for a top five
            continue
        records.append(
            {
                "Metric": title,
                "A": with_spread(row["a"], row["std_a"], ".4f"),
                "B": with_spread(row["b"], row["std_b"], ".4f"),
                "B − A": number(row["difference"], "+.4f"),
                "95 % interval of B − A": interval(row["low"], row["high"], "+.4f"),
                "p": p_value(row["p"]),
                "Method": row["method"],
            }
        )
    for title, form, value in RUN_FACTS:
        a, b = ([value(run) for run in side.runs] for side in (view.a, view.b))
        mean_a, mean_b = _mean(a), _mean(b)
        if np.isnan(mean_a) and np.isnan(mean_b):
            continue
        records.append(
            {
                "Metric": title,
                "A": with_spread(mean_a, _std_unless_equal(a), form),
                "B": with_spread(mean_b, _std_unless_equal(b), form),
                "B − A": number(mean_b - mean_a, "+" + form),
                "95 % interval of B − A": "",
                "p": "",
                "Method": "",
            }
        )
    return pd.DataFrame(records)


def class_frame(view: View, result: Comparison, metric: str) -> pd.DataFrame:
    """A row for each class that the filter leaves, hardest first; `metric` is a column of metrics.class_table.

    Columns class, superclass, support, a, b, difference (B − A), low, high (95 %, NaN where comparison gives none), claim.
    """
    classes = view.classes
    a, b = (mean_class_table(side.runs, metric).iloc[classes] for side in (view.a, view.b))
    tested = result.class_table.loc[classes]
    interval = {
        name: tested.get(f"{metric}_{name}", pd.Series(np.nan, index=tested.index)).to_numpy()
        for name in ("low", "high")
    }
    return pd.DataFrame(
        {
            "class": [view.class_names[c] for c in classes],
            "superclass": [view.superclass(c) for c in classes],
            "support": a["support"].to_numpy(int),
            "a": a[metric].to_numpy(),
            "b": b[metric].to_numpy(),
            "difference": b[metric].to_numpy() - a[metric].to_numpy(),
            **interval,
            "claim": tested["claim"].to_numpy(),
        }
    )


def claimed_classes(view: View, result: Comparison, claim: str) -> list[str]:
    """The names of the classes that comparison claims as «gained» or «lost», the largest change first."""
    table = result.class_table[result.class_table["claim"] == claim]
    order = (table["recall_b"] - table["recall_a"]).abs().sort_values(ascending=False).index
    return [view.class_names[index] for index in order]


def surest_first(view: View, rows: np.ndarray) -> np.ndarray:
    """`rows`, those first on which either model (its first seed) is surest."""
    sure = np.maximum(memo(metrics.confidence, view.a.first), memo(metrics.confidence, view.b.first))
    return rows[np.argsort(-sure[rows], kind="stable")]


def findings_table(found: pd.DataFrame) -> pd.DataFrame:
    """findings.findings as text, the claim and the measurement said once: Claim, Measurement, Holds where, Model, Value, Verdict."""
    repeated = found["claim"] == found["claim"].shift()
    same = repeated & (found["measure"] == found["measure"].shift())
    return pd.DataFrame(
        {
            "Claim": found["claim"].mask(repeated, ""),
            "Measurement": found["measure"].mask(same, ""),
            "Holds where": found["bounds"].mask(same, ""),
            "Model": found["model"],
            "Value (95 % interval)": [
                _finding(*row) for row in found[["value", "low", "high"]].itertuples(index=False)
            ],
            "Verdict": found["verdict"],
        }
    )


def history_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """Columns model, run, epoch, val_accuracy, train_loss, minutes: a row for each epoch of each run with a validation split."""
    frames = [
        pd.DataFrame(
            {
                "model": side.letter,
                "run": plain(run.name),
                "epoch": run.history["epoch"],
                "val_accuracy": run.history["val_accuracy"],
                "train_loss": run.history["train_loss"],
                "minutes": run.history["seconds"] / 60,
            }
        )
        for side in sides
        for run in side.runs
        if run.history and np.isfinite(run.history["val_accuracy"]).any()
    ]
    columns = ["model", "run", "epoch", "val_accuracy", "train_loss", "minutes"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def reliability_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """metrics.reliability of every run, with columns model and run; bins without an image are left out."""
    frames = [
        memo(metrics.reliability, run).assign(model=side.letter, run=plain(run.name))
        for side in sides
        for run in side.runs
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame[frame["count"] > 0]


def wrong_first(view: View, rows: np.ndarray) -> np.ndarray:
    """`rows` that some run gets wrong, those that most runs of both models get wrong first."""
    wrong = view.a.wrong_in[rows] + view.b.wrong_in[rows]
    order = np.argsort(-wrong, kind="stable")
    return rows[order][wrong[order] > 0]


def _float(value: object) -> float:
    """A number from a file's meta, NaN where it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan


def _images_per_second(run: Run) -> float:
    """Training images seen in a second, over the whole training; NaN where the run file does not say."""
    images = run.meta.get("training_data")
    images = _float(images.get("images")) if isinstance(images, dict) else np.nan
    seconds = _float(run.meta.get("train_seconds"))
    return images * _epochs(run) / seconds if seconds else np.nan


def _epochs(run: Run) -> float:
    return float(run.history["epoch"][-1]) if run.history and len(run.history["epoch"]) else np.nan


#: what a run file's meta tells of the model and its training: title, format, function of a run
RUN_FACTS = (
    ("Parameters", ",.0f", lambda run: _float(run.meta.get("parameters"))),
    ("Training minutes", ",.1f", lambda run: _float(run.meta.get("train_seconds")) / 60),
    ("Training images/s", ",.0f", _images_per_second),
    ("Epochs", ",.0f", _epochs),
)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _std_unless_equal(values: list[float]) -> float:
    """`std` over seeds; NaN also where all are equal (the number of parameters)."""
    return std(values) if len(set(values)) > 1 else np.nan


def count_form(*values: Sequence[float], sign: str = "") -> str:
    """The column format of counts of images: whole where all are, as those of a single run; means with one digit."""
    whole = all((np.asarray(each, float) % 1 == 0).all() for each in values)
    return f"%{sign}{'d' if whole else '.1f'}"


def _finding(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return "not measured"
    form = ".1f" if abs(value) >= 10 else ".3f"
    return number(value, form) + (f" ({interval(low, high, form)})" if np.isfinite(low) else "")
