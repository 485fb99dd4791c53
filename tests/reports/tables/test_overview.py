"""The overview's tables against scikit-learn and plain NumPy on the same runs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import classes_only, made_run
from sklearn.metrics import f1_score
from two_seeds import LABELS, RUNS, answers

from cifarcore.evidence import calibration, disagreement
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.overview import (
    costs,
    history_frame,
    history_note,
    metric_rows,
    metric_table,
    reliability_frame,
    severity_text,
    split_table,
    temperature_table,
)


def test_metric_table_has_the_mean_and_standard_deviation_over_seeds(view, result):
    table = metric_table(view, result).set_index("Metric")
    for letter in "AB":
        values = [f1_score(LABELS, answer, average="macro") for answer in answers(letter)]
        assert table.loc["Macro-F1", letter] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        values = [np.mean(answer == LABELS) for answer in answers(letter)]
        assert table.loc["Accuracy", letter].startswith(f"{np.mean(values):.4f}")


def test_a_metric_without_an_interval_says_that_it_is_not_drawn_and_why(result):
    rows = metric_rows(result).set_index("metric")
    assert rows.loc["Expected calibration error", "lacking"] == "not drawn: no CI (biased)"
    assert np.isnan(rows.loc["Expected calibration error", "x"]) and rows.loc["Accuracy", "lacking"] == ""


def test_split_frame_counts_each_image_once():
    right_a, right_b = (answers(letter)[0] == LABELS for letter in "AB")
    groups = disagreement.four_way(replace_pair())
    frame = disagreement.split_frame(groups).set_index("group")
    assert frame.loc["only A", "images"] == (right_a & ~right_b).sum()
    assert frame.loc["only B", "images"] == (~right_a & right_b).sum()
    assert frame.loc["both correct", "images"] == (right_a & right_b).sum()
    assert frame["images"].sum() == len(LABELS)
    assert frame["share"].sum() == pytest.approx(1)


def replace_pair():
    from cifarcore.runs.alignment import AlignedPair

    return AlignedPair(RUNS["A"][0], RUNS["B"][0], 0, 0)


def test_history_and_reliability_have_a_row_for_each_epoch_and_bin(view):
    history = history_frame((view.a, view.b))
    assert len(history) == sum(len(run.history["epoch"]) for runs in RUNS.values() for run in runs)
    without = Side("A", "A", tuple(replace(run, history={}) for run in RUNS["A"]))
    assert history_frame((without,)).empty
    reliability = reliability_frame((view.a, view.b))
    assert (reliability["count"] > 0).all()
    assert reliability["count"].sum() == 4 * len(LABELS)


def test_facts_of_the_training(view, result):
    def with_facts(run, **meta):
        return replace(run, meta=run.meta | meta)

    a = tuple(
        with_facts(run, train_seconds=60.0 * (run.meta["seed"] + 1), training_data={"images": 3000}, parameters=5)
        for run in RUNS["A"]
    )
    b = tuple(with_facts(run, train_seconds=None, parameters=1234567) for run in RUNS["B"])
    table = metric_table(replace(view, a=Side("A", "A", a), b=Side("B", "B", b)), result).set_index("Metric")
    assert table.loc["Parameters", ["A", "B", "B − A"]].tolist() == ["5", "1,234,567", "+1,234,562"]
    assert table.loc["Training minutes", ["A", "B", "B − A"]].tolist() == ["1.5 ± 0.7", "", ""]
    assert table.loc["Training images/s", "A"] == "300 ± 141"  # 3,000 images, 8 epochs, in 60 and in 120 s
    assert table.loc["Epochs", ["A", "B", "B − A"]].tolist() == ["8", "8", "+0"]
    assert (table.loc[["Parameters", "Epochs"], ["95% CI of B − A", "p", "Method"]] == "").all(axis=None)
    odd = tuple(with_facts(run, train_seconds=True, parameters="many", training_data=[]) for run in RUNS["A"])
    bare = tuple(replace(run, history={}) for run in odd)
    table = metric_table(replace(view, a=Side("A", "A", bare), b=Side("B", "B", bare)), result)
    assert not set(table["Metric"]) & {"Parameters", "Training minutes", "Training images/s", "Epochs"}


def test_intervals_p_and_method_stand_beside_the_metric(view, result):
    table = metric_table(view, result).set_index("Metric")
    for title, name in (
        ("Macro-F1", "macro_f1"),
        ("Macro-AUC (one-vs-rest)", "macro_auc"),
        ("Log loss (nats)", "log_loss"),
    ):
        row, shown = result.metrics.loc[name], table.loc[title]
        low, high, gain = (f"{row[key]:+.4f}".replace("-", "−") for key in ("low", "high", "difference"))
        assert shown[["95% CI of B − A", "B − A", "Method"]].tolist() == [f"{low} to {high}", gain, row["method"]]
        assert shown["p"] == ("< 0.0001" if row["p"] < 1e-4 else f"{row['p']:.4f}")


def test_learning_curves_in_minutes(view):
    frame = history_frame((view.a, view.b))
    own = frame[(frame["model"] == "B") & (frame["run"] == RUNS["B"][1].name)]
    history = RUNS["B"][1].history
    for column, expected in (
        ("epoch", history["epoch"]), ("val_accuracy", history["val_accuracy"]), ("train_loss", history["train_loss"]),
        ("minutes", history["seconds"] / 60),
    ):  # fmt: skip
        np.testing.assert_array_equal(own[column], expected)
    assert history_note((view.a, view.b)) == ""
    long = {name: np.linspace(0, 1, 100_000, dtype=np.float32) for name in history} | {"epoch": np.arange(100_000)}
    sides = (Side("A", "A", (replace(RUNS["A"][0], history=long),)), view.b)
    drawn = history_frame(sides).query("model == 'A'")
    assert len(drawn) == 1000 and drawn["epoch"].iloc[[0, -1]].tolist() == [0, 99_999]
    np.testing.assert_array_equal(drawn["val_accuracy"], long["val_accuracy"][drawn["epoch"].astype(int)])
    assert history_note(sides) == "Of more than 1,000 epochs as many are drawn, evenly spaced."
    unknown = {**history, "val_accuracy": np.full(8, np.nan, np.float32)}
    assert history_frame((Side("A", "A", (replace(RUNS["A"][0], history=unknown),)),)).empty


def test_outcomes_errors_and_temperatures_in_words(view):
    frame = pd.DataFrame({"group": ["only A", "neither"], "images": [1234, 0], "share": [0.1234, 0.0]})
    assert split_table(frame).to_numpy().tolist() == [
        ["newly wrong (only A correct)", "1,234", "12.3%"], ["neither correct", "0", "0.0%"],
    ]  # fmt: skip
    parts = []
    for letter in "AB":
        row = disagreement.severity(RUNS[letter][0]).loc["within superclass"]
        parts.append(
            f"{row['share']:.1%} of {letter}'s errors are within the superclass, {row['ratio']:.1f} times the share "
            "expected by chance"
        )
    assert severity_text((view.a, view.b)) == f"{parts[0]}; {parts[1]}."
    bare = replace(RUNS["A"][0], superclass_of=None, superclass_names=None)
    assert severity_text((Side("A", "A", (bare,)),)) == ""
    runs = (RUNS["A"][0], replace(RUNS["A"][1], val_logits=None), classes_only(RUNS["A"][0]))
    table = temperature_table((Side("A", "A", runs),))
    assert table["Temperature"].tolist() == [
        f"{calibration.fit_temperature(runs[0]):.3f}", "no validation split", "no scores",
    ]  # fmt: skip
    assert table["Run"].tolist() == [run.name for run in runs] and set(table["Model"]) == {"A"}


def test_the_parts_of_an_epoch_of_a_retraining_continue_its_parents():
    parent, other = made_run(model="cnn"), made_run(model="cnn", seed=1, accuracy=0.7)
    history = other.history | {"epoch": np.linspace(0, 0.03, len(other.history["epoch"]), dtype=np.float32)}
    meta = other.meta | {"retraining": {}, "parent": {"name": parent.name}}
    retrained = replace(other, history=history, meta=meta)
    a, b = Side("A", "cnn", (parent,)), Side("B", "retrained", (retrained,))
    frame = history_frame((a, b)).set_index("model")["epoch"]
    assert frame["B"].min() == frame["A"].max() == parent.history["epoch"][-1]
    assert frame["B"].max() == pytest.approx(frame["A"].max() + 0.03)
    assert history_frame((b,))["epoch"].max() == pytest.approx(0.03)  # the parent is not compared
    (epochs,) = [row for row in costs(Sides(a, b, 0, 0, np.arange(10))) if row[0] == "Epochs"]
    assert epochs[1:] == (f"{parent.history['epoch'][-1]:.0f}", "0.03")
