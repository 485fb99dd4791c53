"""Every page over runs of predicted classes without scores: it runs, and says what is absent and why."""

import csv
import io
import re

import numpy as np
import pytest
from made import classes_only, made_run, of_cifar100
from pages import PAGES, run, write
from pages import text as escaped

NAN = re.compile(r"\bnan\b", re.IGNORECASE)
REASON = "cnn-classes gives the predicted class of each image, without scores"
#: what stands on the pages that would show scores
SAID = {
    "overview": "calibration error",
    "roc": "ROC curves and AUC",
    "explorer": "maps of the scores",
}


def text(app):
    return escaped(app).replace("\\", "")


@pytest.fixture(params=["both", "one"])
def models(request):
    a, b = classes_only(made_run()), made_run(accuracy=0.7, model="resnet18", maps=False, neighbors=False)
    return a, (classes_only(b) if request.param == "both" else b), request.param == "both"


@pytest.mark.parametrize("page", PAGES)
def test_each_page_says_what_is_absent_and_why(folder, page, models):
    a, b, both = models
    write(folder, a, b)
    shown = text(run(folder, page, {"A": "cnn-classes"}))
    assert not NAN.search(shown)
    if page in SAID and (both or page != "explorer"):
        reason = REASON.replace("gives", "and resnet18-classes give") if both else REASON
        assert SAID[page] in shown and reason in shown, page


def test_claims_of_the_report_say_why_they_are_not_measured(folder):
    a, b = (of_cifar100(made_run(100, 1000, accuracy, model=m)) for m, accuracy in (("cnn", 0.6), ("resnet18", 0.7)))
    write(folder, classes_only(a), b)
    shown = text(run(folder, "findings", {"A": "cnn-classes"}))
    assert f"ROC curves and AUC, top-5 accuracy, confidence; {REASON}" in shown


@pytest.mark.parametrize("group", ["only A correct", "confidently wrong", "suspect labels"])
def test_disagreements_without_confidence(folder, group, models):
    a, b, both = models
    write(folder, a, b)
    shown = text(run(folder, "disagreements", {"A": "cnn-classes", "group": group}))
    assert not NAN.search(shown)
    assert ("Not available: confidence" in shown) == (group == "confidently wrong")
    assert "joint confidence" not in shown
    assert ("most confident first" in shown) == (not both and group != "only A correct")


def test_a_map_of_one_model_beside_classes_of_the_other(folder):
    write(folder, classes_only(made_run()), made_run(accuracy=0.7, model="resnet18"))
    app = run(folder, "explorer", {"A": "cnn-classes", "color": "confidence"})
    assert "confidence" not in app.selectbox(key="color").options and REASON in text(app)
    app = run(folder, "explorer", {"A": "cnn-classes", "marked": "B,-9,9,-9,9"})
    assert not app.exception


def test_sections_and_galleries_of_the_overview(folder, models):
    a, b, _ = models
    write(folder, a, b)
    keys = ("detectable", "good-enough", "flips", "abstention", "together", "calibration", "learning-curves")
    app = run(folder, "overview", {"A": "cnn-classes", "split": "newly right"}, **{f"{key}-open": True for key in keys})
    shown = text(app)
    assert "Nothing can be said: " in shown and "averaged probabilities" in shown and not NAN.search(shown)


def test_auc_is_no_choice_of_metric(folder, models):
    a, b, _ = models
    write(folder, a, b)
    app = run(folder, "classes", {"A": "cnn-classes", "metric": "AUC"})
    assert app.selectbox(key="metric").options == ["F1", "Precision", "Recall"]
    assert REASON.split(" give")[0] in app.selectbox(key="metric").help


def test_the_card_names_the_predicted_class(folder):
    a, b = classes_only(made_run()), classes_only(made_run(accuracy=0.7, model="resnet18"))
    write(folder, a, b)
    address = f"{a.sample_ids[0]:016x}-{a.labels[0]}"
    shown = text(
        run(
            folder,
            "classes",
            {"image": address, "A": "cnn-classes"},
        )
    )
    assert not NAN.search(shown)


def test_the_csv_of_a_gallery_leaves_probabilities_empty():
    from types import SimpleNamespace

    from cifarcore.app.parts.gallery import images_csv
    from cifarcore.reports.sides import Side

    a, b = classes_only(made_run()), made_run(accuracy=0.7, model="resnet18")
    view = SimpleNamespace(
        class_names=a.class_names.tolist(), labels=a.labels, sample_ids=a.sample_ids,
        a=Side("A", "a", (a,)), b=Side("B", "b", (b,)),
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(images_csv(view, np.arange(20)).decode("utf-8-sig"))))
    assert {row["A_probability_of_label"] for row in rows} == {""} and all(
        row["B_probability_of_label"] for row in rows
    )
    assert [int(row["A_prediction"]) for row in rows] == a.predictions[:20].tolist()
