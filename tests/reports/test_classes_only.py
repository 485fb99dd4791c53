"""The HTML report, the summary, JSON, notebook and commands of runs of predicted classes without scores."""

import json
import re

import numpy as np
import pytest
from made import classes_only, made_run
from typer.testing import CliRunner

import cifarcore
from cifarcore.cli.main import app
from cifarcore.errors import CifarcoreError
from cifarcore.reports.summary import summary_text
from cifarcore.runs.run import save_run

REASON = "cnn-classes gives the predicted class of each image, without scores"
NAN = re.compile(r"\bnan\b", re.IGNORECASE)


@pytest.fixture(params=["both", "one"])
def models(request):
    a, b = classes_only(made_run()), made_run(accuracy=0.7, model="resnet18", maps=False)
    return a, (classes_only(b) if request.param == "both" else b), request.param == "both"


def reason(both):
    return REASON.replace("gives", "and resnet18-classes give") if both else REASON


def test_the_html_report_says_it_in_every_section_that_lacks_something(models):
    a, b, both = models
    page = cifarcore.compare(a, b).html()
    shown = re.sub(r"<[^>]*>", " ", re.sub(r'src="[^"]*"', "", page))
    assert not NAN.search(shown)
    for title in ("Selective prediction (abstention)", "Ensemble and error overlap", "Confusions", "Calibration"):
        section = page.split(f"<h2>{title}</h2>")[1].split("<h2>")[0]
        assert reason(both) in section, title
    assert "not tested" in page and ("no scores" in page)
    calibration = page.split("<h2>Calibration</h2>")[1].split("<h2>")[0]
    assert ("<img" in calibration) == (not both)  # the curve of the model that has scores


def test_json_holds_null_and_the_reason(models):
    a, b, both = models
    found = json.loads(cifarcore.compare(a, b).to_json())
    rows = {row["metric"]: row for row in found["metrics"]}
    assert rows["accuracy"]["why"] == "" and rows["accuracy"]["p"] is not None
    for name in ("top5", "macro_auc", "ece", "brier", "log_loss"):
        assert rows[name]["difference"] is None and rows[name]["a"] is None and rows[name]["why"] == reason(both)
        assert (rows[name]["b"] is None) == both
    assert found["decisions"]["abstention"]["augrc"]["why"] == reason(both)
    assert any(note.startswith("Not available: ") and note.endswith(f"{reason(both)}.") for note in found["notes"])


def test_the_notebook_and_the_table_of_metrics(models):
    a, b, both = models
    result = cifarcore.compare(a, b)
    shown = result._repr_html_()
    assert reason(both) in shown and not NAN.search(re.sub(r'src="[^"]*"', "", shown))
    for text in (repr(result), result.to_markdown(), result.to_latex()):
        assert not NAN.search(text)
    rows = result.to_markdown().splitlines()
    assert any("Macro-AUC" in row for row in rows) != both
    if not both:  # the number of the model that has it, and why there is no other
        assert reason(both) in next(row for row in rows if "Macro-AUC" in row)


def test_the_summary(models):
    a, b, both = models
    text = summary_text([a, b])
    listed = "top-5 accuracy, ROC curves and AUC, calibration error, Brier score, log loss"
    assert f"Not available: {listed}; {reason(both)}." in text and not NAN.search(text)
    assert f"{np.mean(a.correct):.4f}" in text


def test_maps_are_refused(tmp_path):
    path = save_run(classes_only(made_run()), tmp_path / "hard.npz")
    done = CliRunner().invoke(app, ["project", str(path)])
    assert isinstance(done.exception, CifarcoreError)
    assert f"Not available: maps of the scores; {REASON}" in str(done.exception)
