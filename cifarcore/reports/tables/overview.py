"""The overview's tables: metrics and facts of both models, learning curves, calibration."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.data.ids import fingerprint
from cifarcore.evidence import calibrated, calibration, disagreement, metrics, verdict
from cifarcore.evidence.comparison import Comparison
from cifarcore.evidence.opposing import LOWER_IS_BETTER
from cifarcore.reports.sides import MOST_LINES, Side, Sides
from cifarcore.reports.summary import TITLES
from cifarcore.reports.tables.galleries import OUTCOMES, OUTCOMES_SAID
from cifarcore.runs.layout import dataset_name
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import interval, number, p_value, plain, std, with_spread

#: as in the summary; here there is room to say which AUC
_TITLES = TITLES | {"macro_auc": "Macro-AUC (one-vs-rest)"}

MOST_EPOCHS = 1000  #: of a run that are drawn: a chart of a million takes all memory


def metric_table(sides: Sides, result: Comparison) -> pd.DataFrame:
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
                "95% CI of B − A": interval(row["low"], row["high"], "+.4f"),
                "p": p_value(row["p"]),
                "Method": row["method"] or row["why"],
            }
        )
    for title, form, value in RUN_FACTS:
        a, b = ([value(run) for run in side.runs] for side in (sides.a, sides.b))
        mean_a, mean_b = _mean(a), _mean(b)
        if np.isnan(mean_a) and np.isnan(mean_b):
            continue
        records.append(
            {
                "Metric": title,
                "A": with_spread(mean_a, _std_unless_equal(a), form),
                "B": with_spread(mean_b, _std_unless_equal(b), form),
                "B − A": number(mean_b - mean_a, "+" + form),
                "95% CI of B − A": "",
                "p": "",
                "Method": "",
            }
        )
    return pd.DataFrame(records)


def metric_rows(result: Comparison) -> pd.DataFrame:
    """The metrics as charts.marks.metric_rows takes them: turned so that right is better for B, each divided by the
    farther end of its interval.
    """
    records = []
    for key, title in _TITLES.items():
        if key not in result.metrics.index or np.isnan(result.metrics.loc[key, "difference"]):
            continue
        row = result.metrics.loc[key]
        sign = -1 if key in LOWER_IS_BETTER else 1
        reach = np.nanmax(np.abs(row[["difference", "low", "high"]].to_numpy(float))) or 1.0
        x, low, high = (sign * row[name] / reach for name in ("difference", "low", "high"))
        ends, why = interval(row["low"], row["high"], "+.4f"), row["why"] or row["method"].split(";")[0]
        records.append(
            {
                "metric": title,
                "shown": f"{number(row['a'], '.4f')} → {number(row['b'], '.4f')} · {number(row['difference'], '+.4f')}",
                "brief": number(row["difference"], "+.4f"),
                "ci": ends,
                "lacking": "" if ends else f"not drawn: {why.replace('no interval', 'no CI')}",
                "x": x if ends else np.nan,
                "low": low,
                "high": high,
                "significant": verdict.of(row["difference"], row["p"]) != "",
                "color": "B" if sign * row["difference"] > 0 else "A",
                "method": row["method"] or row["why"],
            }
        )
    return pd.DataFrame(records)


def costs(sides: Sides) -> list[tuple[str, str, str]]:
    """(title, of A, of B) of what each model costs, means over seeds; what neither file tells is left out."""
    strip = []
    for title, form, value in RUN_FACTS:
        means = [_mean([value(run) for run in side.runs]) for side in (sides.a, sides.b)]
        if not np.isnan(means).all():
            a, b = (number(mean, form) or "not recorded" for mean in means)
            strip.append((title, a, b))
    return strip


def history_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """Columns model, run, epoch, val_accuracy, train_loss, minutes: a row for each epoch of each run with a validation
    split that is drawn (MOST_LINES). The parts of an epoch that a retraining takes continue its parent's, where that
    is compared.
    """
    last = {run.name: _epochs(run) for side in sides for run in side.runs}
    frames = [
        pd.DataFrame(
            {
                "model": side.letter,
                "run": plain(run.name),
                "epoch": _epochs_before(run, last) + run.history["epoch"],
                "val_accuracy": run.history["val_accuracy"],
                "train_loss": run.history["train_loss"],
                "minutes": run.history["seconds"] / 60,
            }
        ).iloc[_drawn(run)]
        for side in sides
        for run in side.runs[:MOST_LINES]
        if run.history and np.isfinite(run.history["val_accuracy"]).any()
    ]
    columns = ["model", "run", "epoch", "val_accuracy", "train_loss", "minutes"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def history_note(sides: Sequence[Side]) -> str:
    """A sentence where not every epoch is in `history_frame`; else nothing."""
    long = any(
        len(run.history["epoch"]) > MOST_EPOCHS for side in sides for run in side.runs[:MOST_LINES] if run.history
    )
    return f"Of more than {MOST_EPOCHS:,} epochs as many are drawn, evenly spaced." if long else ""


def _drawn(run: Run) -> np.ndarray:
    """Which epochs of a run are drawn, the first and the last among them."""
    n = len(run.history["epoch"])
    return np.arange(n) if n <= MOST_EPOCHS else np.linspace(0, n - 1, MOST_EPOCHS).round().astype(int)


def reliability_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """metrics.reliability of every run that is drawn (MOST_LINES), with columns model and run; bins without an image
    are left out, and with them runs without scores.
    """
    frames = [
        memo(calibration.reliability, run).assign(model=side.letter, run=plain(run.name))
        for side in sides
        for run in side.runs[:MOST_LINES]
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame[frame["count"] > 0]


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


def _epochs_before(run: Run, last: dict[str, float]) -> float:
    """The epochs, by the names of runs in `last`, of the training that a retraining continues; else 0."""
    parent = run.meta.get("parent") if isinstance(run.meta.get("retraining"), dict) else None
    return float(np.nan_to_num(last.get(str(parent.get("name")), 0.0))) if isinstance(parent, dict) else 0.0


#: what a run file's meta tells of the model and its training: title, format, function of a run
RUN_FACTS = (
    ("Parameters", ",.0f", lambda run: _float(run.meta.get("parameters"))),
    ("Training minutes", ",.1f", lambda run: _float(run.meta.get("train_seconds")) / 60),
    ("Training images/s", ",.0f", _images_per_second),
    ("Epochs", ",.4g", _epochs),
)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _std_unless_equal(values: list[float]) -> float:
    """`std` over seeds; NaN also where all are equal (the number of parameters)."""
    return std(values) if len(set(values)) > 1 else np.nan


def split_frame(sides: Sides) -> pd.DataFrame:
    """disagreement.split_frame of the first seeds, with columns name and said: what each group is called, and where
    there is room.
    """
    frame = disagreement.split_frame(memo(disagreement.four_way, sides.pair))
    return frame.assign(name=frame["group"].map(OUTCOMES), said=frame["group"].map(OUTCOMES_SAID))


def split_table(frame: pd.DataFrame) -> pd.DataFrame:
    """disagreement.split_frame as text."""
    names = frame["group"].map(OUTCOMES_SAID)
    shares = [f"{share:.1%}" for share in frame["share"]]
    return pd.DataFrame({"Correctness": names, "Images": [f"{n:,}" for n in frame["images"]], "Share": shares})


def severity_text(sides: Sequence[Side]) -> str:
    """How many errors of each model's first seed stay within the superclass, as a sentence; nothing without
    superclasses.
    """
    parts = []
    for side in sides:
        table = disagreement.severity(side.first)
        if table["images"].sum() > 0:
            row = table.loc["within superclass"]
            chance = "" if np.isnan(row["ratio"]) else f", {row['ratio']:.1f} times the share expected by chance"
            parts.append(f"{row['share']:.1%} of {side.letter}'s errors are within the superclass{chance}")
    return "; ".join(parts) + "." if parts else ""


def calibration_table(sides: Sides) -> pd.DataFrame:
    """calibrated.compared as text: Measure, A, B, B − A, 95% CI of B − A, p, Method; without rows that are absent."""
    scores = memo(calibrated.compared, (*sides.a.runs, *sides.b.runs), len(sides.a.runs))
    rows = []
    for row in scores[scores["why"] == ""].to_dict("records"):
        shown = {"Measure": f"{TITLES[row['score']]}, {row['when']}"}
        shown |= {
            "A": number(row["a"], ".4f"),
            "B": number(row["b"], ".4f"),
            "B − A": number(row["difference"], "+.4f"),
        }
        shown |= {"95% CI of B − A": interval(row["low"], row["high"], "+.4f"), "p": p_value(row["p"])}
        rows.append(shown | {"Method": row["method"]})
    return pd.DataFrame(rows)


def calibration_notes(sides: Sides) -> list[str]:
    """What `calibration_table` leaves out and why, a sentence each."""
    scores = memo(calibrated.compared, (*sides.a.runs, *sides.b.runs), len(sides.a.runs))
    lacking = scores[scores["why"] != ""].groupby("why", sort=False)["when"]
    lacking = lacking.agg(lambda whens: list(dict.fromkeys(whens)))
    return [f"No comparison {' and '.join(whens)}: {why}." for why, whens in lacking.items()]


def temperature_table(sides: Sequence[Side]) -> pd.DataFrame:
    """The temperature that calibrates each run, as text: Model, Run, Temperature."""
    rows = []
    for side in sides:
        for run in side.runs:
            fitted = calibration.fit_temperature(run)
            lacking = "no validation split" if run.has_scores else "no scores"
            rows.append(
                {
                    "Model": side.letter,
                    "Run": run.name,
                    "Temperature": lacking if fitted is None else f"{fitted:.3f}",
                }
            )
    return pd.DataFrame(rows)


def run_table(runs: Sequence[Run], runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    """One row for each of `runs`, with the side that it was compared on; nothing there for those listed beside."""
    rows = []
    for run in runs:
        letters = [letter for letter, side in (("A", runs_a), ("B", runs_b)) if any(run is other for other in side)]
        versions = run.meta.get("versions") or {}
        row = {
            "Run": run.name,
            "Compared as": " and ".join(letters),
            "Accuracy": f"{metrics.accuracy(run):.4f}",
            "Data": f"{plain(dataset_name(run.meta)) or 'unnamed'}, {run.n_images:,} images",
            "Fingerprint": fingerprint(run.sample_ids, run.labels),
            "Initialised from": run.meta.get("initialised_from") or "not recorded",
            "Hardware": run.meta.get("device") or "not recorded",
            "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded",
            "File digest": run.digest,
        }
        rows.append(row)
    return pd.DataFrame(rows)
