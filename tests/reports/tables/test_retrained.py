"""What a retraining changed, against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from leaving_out import macro_f1_influence
from made import made_run
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

from cifarcore.evidence import paired
from cifarcore.evidence.shares import tango_interval
from cifarcore.reports import headings
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.retrained import (
    change_table,
    change_text,
    changed_images,
    focus_classes,
    focus_frame,
)


def test_the_change_is_that_of_scikit_learn():
    before, after = made_run(n_images=2000, accuracy=0.5), made_run(n_images=2000, accuracy=0.6)
    focus = (2, 5)
    table = change_table(before, after, focus).set_index("measure")
    of_focus = np.isin(before.labels, focus)
    for row, chosen in (
        ("Accuracy", slice(None)),
        ("Accuracy on images of the focus classes", of_focus),
        ("Accuracy on images of the other classes", ~of_focus),
    ):
        for column, one in (("before", before), ("after", after)):
            assert table.loc[row, column] == pytest.approx(accuracy_score(one.labels[chosen], one.predictions[chosen]))
    for row, classes in (
        ("Macro-F1", range(10)),
        ("Mean F1 of the focus classes", focus),
        ("Mean F1 of the other classes", set(range(10)) - set(focus)),
    ):
        for column, one in (("before", before), ("after", after)):
            f1 = f1_score(one.labels, one.predictions, average=None)
            assert table.loc[row, column] == pytest.approx(f1[list(classes)].mean())
        assert table.loc[row, "low"] < table.loc[row, "difference"] < table.loc[row, "high"]
    assert table.loc["Accuracy", "better"] == "B" and table.loc["Accuracy", "p"] < 0.05
    same = change_table(before, before, focus)
    assert (same["better"] == "").all() and (same["difference"] == 0).all()
    assert len(change_table(before, after, ())) == 2


def test_one_measure_on_few_images():
    """Tango's interval and the exact test on the images of the measure alone; the jackknife for F1."""
    before, after = made_run(n_images=300, accuracy=0.5), made_run(n_images=300, accuracy=0.6, seed=1)
    table = change_table(before, after, (2, 5)).set_index("measure")
    for measure, images in (
        ("Accuracy", before.labels >= 0),
        ("Accuracy on images of the focus classes", np.isin(before.labels, (2, 5))),
        ("Accuracy on images of the other classes", ~np.isin(before.labels, (2, 5))),
    ):
        row = table.loc[measure]
        lost, won = (before.correct & ~after.correct & images).sum(), (~before.correct & after.correct & images).sum()
        assert row["images"] == images.sum() and row["p"] == pytest.approx(float(paired.mcnemar_p(lost, won)))
        assert (row["low"], row["high"]) == pytest.approx(tuple(map(float, tango_interval(lost, won, images.sum()))))
        assert row["difference"] == pytest.approx((won - lost) / images.sum())
        assert row["better"] == ("" if row["p"] >= 0.05 else "B" if won > lost else "A")
    labels = before.labels
    for measure, classes in (
        ("Macro-F1", range(10)),
        ("Mean F1 of the focus classes", (2, 5)),
        ("Mean F1 of the other classes", (0, 1, 3, 4, 6, 7, 8, 9)),
    ):
        added = macro_f1_influence(after, classes) - macro_f1_influence(before, classes)
        error = np.sqrt(sum((labels == c).sum() * added[labels == c].var(ddof=1) for c in range(10)))
        row = table.loc[measure]
        half = stats.norm.ppf(0.975) * error
        assert (row["low"], row["high"]) == pytest.approx((row["difference"] - half, row["difference"] + half))
        assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(row["difference"]) / error))
    assert table["images"].tolist() == [300, 300, 60, 60, 240, 240]
    back = change_table(after, before, (2, 5)).set_index("measure")
    assert back["difference"].tolist() == pytest.approx((-table["difference"]).tolist())


def test_classes_without_images_have_no_numbers():
    runs = [made_run(accuracy=accuracy).take(made_run().labels != 3) for accuracy in (0.5, 0.6)]
    shared = np.flatnonzero((runs[0].predictions != 3) & (runs[1].predictions != 3))
    table = change_table(*(run.take(shared) for run in runs), (3,)).set_index("measure")
    for measure in ("Mean F1 of the focus classes", "Accuracy on images of the focus classes"):
        assert table.loc[measure, ["before", "after", "difference"]].isna().all() and table.loc[measure, "images"] == 0
        assert table.loc[measure, "better"] == ""
    assert np.isfinite(table.loc["Macro-F1", "difference"])


def test_the_change_as_text():
    table = pd.DataFrame(
        {
            "measure": ["Accuracy", "Macro-F1"], "before": [0.5, np.nan], "after": [0.45, np.nan],
            "difference": [-0.05, np.nan], "low": [-0.08, np.nan], "high": [-0.02, np.nan], "p": [0.00001, np.nan],
            "images": [1200, 0], "better": ["A", ""],
        }
    )  # fmt: skip
    assert change_text(table).to_dict("records") == [
        {"Measure": "Accuracy", "Before (A)": "0.5000", "After (B)": "0.4500", "B − A": "−0.0500",
         "95% CI": "−0.0800 to −0.0200", "p": "< 0.0001", "Images": 1200, "Significant": "yes"},
        {"Measure": "Macro-F1", "Before (A)": "", "After (B)": "", "B − A": "", "95% CI": "", "p": "", "Images": 0,
         "Significant": "no"},
    ]  # fmt: skip


def test_newly_right_and_newly_wrong_images_those_of_the_focus_first():
    before, after = made_run(accuracy=0.5), made_run(accuracy=0.6, seed=1)
    sides = Sides(Side("A", "before", (before,)), Side("B", "after", (after,)), 0, 0, np.array([0, 2, 3, 5, 7]))
    sure = np.maximum(*(softmax(run.logits.astype(float), axis=1).max(axis=1) for run in (before, after)))
    right_before, right_after = (run.logits.argmax(axis=1) == run.labels for run in (before, after))
    kept = np.isin(before.labels, sides.classes)
    for focus in ((), (2, 5)):
        changed = changed_images(sides, focus)
        for name, images in (
            ("newly right", right_after & ~right_before),
            ("newly wrong", right_before & ~right_after),
        ):
            rows = np.flatnonzero(images & kept).tolist()
            assert changed[name].tolist() == sorted(
                rows, key=lambda row: (bool(focus) and before.labels[row] not in focus, -sure[row])
            )
            assert len(rows) > 5


def test_the_focus_is_known_by_its_classes_names():
    run = made_run()
    names = run.class_names.tolist()
    assert focus_classes(run, [names[7], "no such class", 3, names[2], names[7]]) == (7, 2)  # none counts twice
    assert focus_classes(run, None) == focus_classes(run, names[0]) == ()


def test_each_focus_class_before_and_after_is_scikit_learns():
    before, after = made_run(n_images=2000, accuracy=0.5), made_run(n_images=2000, accuracy=0.6)
    sides = Sides(Side("A", "before", (before, made_run(seed=1))), Side("B", "after", (after,)), 0, 0, np.array([0]))
    frame = focus_frame(sides, (5, 2)).set_index("class")
    assert frame["difference"].is_monotonic_decreasing and len(frame) == 2
    for column, one in (("a", before), ("b", after)):
        f1 = f1_score(one.labels, one.predictions, average=None)
        for c in (5, 2):
            assert frame.loc[sides.class_names[c], column] == pytest.approx(f1[c])


def test_the_verdict_is_of_the_focus_and_of_all():
    rows = [(FOCUS, 0.031, "B"), (OVERALL, -0.0041, "A")]
    table = pd.DataFrame(rows, columns=["measure", "difference", "better"])
    names = ("cnn", "minute")
    assert (
        headings.of_retraining(table, names)
        == "minute raises mean F1 of the focus classes by 3.1 points and lowers accuracy by 0.41 points"
    )
    table.loc[1, "better"] = ""
    assert headings.of_retraining(table, names).endswith("by 3.1 points; no significant change in accuracy")
    table["better"] = ""
    assert headings.of_retraining(table, names) == (
        "No significant difference in mean F1 of the focus classes or accuracy between cnn and minute"
    )
