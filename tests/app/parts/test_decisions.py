"""The overview's sections before a model is used: closed they cost nothing, opened they say what the evidence says."""

import numpy as np
import pytest
from made import made_run
from pages import run, text, two_models, write
from processes import ROOT

from cifarcore.app.pages import overview
from cifarcore.app.parts import decisions as part
from cifarcore.evidence import calibrated, equivalence, flips, known, power, together
from cifarcore.runs.run import load_run

OPEN = {f"{key}-open": True for key in ("detectable", "good-enough", "flips", "abstention", "together", "calibration")}


def tables(app):
    return {tuple(one.value.columns)[0]: one.value for one in app.dataframe}


def test_closed_sections_compute_nothing(folder, monkeypatch):
    write(folder, *two_models())

    def never(*_):
        raise AssertionError("computed")

    for name in ("_detectable", "_good_enough", "_flips", "_abstention", "_together"):
        monkeypatch.setattr(part, name, never)
    for name in ("calibration", "curves"):
        monkeypatch.setattr(part.training, name, never)
    monkeypatch.setattr(overview, "_table", never)
    app = run(folder, "overview")
    labels = [box.label for box in app.expander]
    first = labels.index("Statistical power")
    assert labels[first + 1 : first + 7] == [
        "Can B replace A?",
        "Prediction flips (churn)",
        "Selective prediction (abstention)",
        "Ensemble and error overlap",
        "Calibration",
        "Learning curves",
    ]


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_opened_sections_show_the_evidence(folder, seeds):
    models = two_models(seeds=seeds)
    write(folder, *models)
    app, n = run(folder, "overview", **OPEN), len(seeds)
    shown, seen = text(app), tables(app)
    smallest = power.detectable(models, n).difference
    assert f"a true difference of {100 * smallest:.2f} points" in shown
    assert equivalence.equivalence(models, n).outcome == "B is non-inferior" and "by more than 1 point" in shown
    churn = flips.flips(models, n).loc["churn", "share"]
    assert f"{churn:.2%}" in seen["Change"]["Share"].tolist()
    assert seen["Combination"]["Accuracy"].iloc[0] == f"{together.combinations(models, n)['accuracy'].iloc[0]:.4f}"
    assert "At 5% errors" in shown and "Error consistency" in shown
    brier = calibrated.compared(models, n).iloc[0]
    assert seen["Measure"].iloc[0][["A", "B"]].tolist() == [f"{brier['a']:.4f}", f"{brier['b']:.4f}"]
    assert ("odds ratio" in shown) == (n == 1) and ("A seed of B is more accurate" in shown) == (n > 1)


def test_two_seeds_of_one_model_have_names_of_their_own(folder):
    write(folder, *(made_run(accuracy=0.6, seed=seed) for seed in (0, 1)))
    app = run(folder, "overview", {"A": "cnn-made", "seedA": "seed 0", "B": "cnn-made", "seedB": "seed 1"}, **OPEN)
    shown = text(app).replace("\\", "")
    assert "At 5% errors cnn-made-1 (B) answers" in shown and "cnn-made-0 (A)" in shown
    assert "cnn-made (B)" not in shown and "cnn-made (A)" not in shown


def test_the_margin_and_the_wished_difference_come_from_the_address(folder):
    write(folder, *two_models())
    app = run(folder, "overview", {"margin": "2.5", "wished": "0.2", "allowed": "20", "coverage": "60"}, **OPEN)
    assert "by more than 2.5 points" in text(app) and "To detect 0.2 points" in text(app)
    assert "At 20% errors" in text(app) and "Errors among the 60%" in text(app)


def test_where_nothing_is_significant_the_detectable_difference_stands_beside(folder):
    write(folder, made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.6))
    assert "No significant difference" in text(run(folder, "overview"))
    assert "with 80% power" in text(run(folder, "overview"))


def test_duplicates_and_disputed_labels_unfold_where_people_judged_the_images(folder):
    names = "cnn-quick-0", "resnet18-longer-0"
    models = [load_run(ROOT / "checkpoints" / f"{name}.npz").take(np.arange(0, 10_000, 5)) for name in names]
    write(folder, *models)
    closed = run(folder, "overview")
    labels = [box.label for box in closed.expander]
    assert labels[labels.index("Ensemble and error overlap") + 1] == "Duplicates and disputed labels"
    app = run(folder, "overview", **{"known-open": True})
    found = known.repeats(models, 1)
    shown = tables(app)["Test images"]
    assert shown["B − A (points)"].tolist() == [f"{100 * value:+.2f}" for value in found["difference"]]
    assert shown["Images"].tolist() == [f"{n:,}" for n in found["images"]] and len(found) > 4
    assert "Barz and Denzler" in text(app) and "all 2,000 test images" in text(app)


def test_of_other_images_there_is_no_such_section(folder):
    write(folder, *two_models())
    assert "Duplicates and disputed labels" not in [box.label for box in run(folder, "overview").expander]
