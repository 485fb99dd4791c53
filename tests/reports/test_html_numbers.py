"""The numbers of the HTML report, read from the page and worked out again with scikit-learn and NumPy."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from made import made_run
from sklearn.metrics import confusion_matrix, f1_score, log_loss, recall_score, roc_auc_score

from cifarcore.reports.charts.colors import COLORS
from cifarcore.reports.result import compare

C = 20
RUNS = {
    letter: [
        replace(run, meta=run.meta | {"train_seconds": seconds + 60 * run.meta["seed"]})
        for run in (made_run(C, 1000, accuracy, seed, model) for seed in (0, 1))
    ]
    for letter, model, accuracy, seconds in (("A", "cnn", 0.45, 600), ("B", "resnet18", 0.65, 1800))
}
LABELS = RUNS["A"][0].labels
NAMES = [name.replace("_", " ") for name in RUNS["A"][0].class_names]


class Report(HTMLParser):
    """The page by its sections: `text`, `tables` (lists of rows, each a dictionary by column) and `images`."""

    def __init__(self, page: str):
        super().__init__()
        self.sections = {"": {"text": "", "tables": [], "images": []}}
        self.title, self._cell, self._row, self._tag = "", None, [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._tag = tag
        section = self.sections[self.title]
        if tag == "h2":
            self.title = ""
        elif tag == "table":
            section["tables"].append([])
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag == "img":
            section["images"].append(base64.b64decode(dict(attributes)["src"].partition(",")[2]))

    def handle_endtag(self, tag):
        if tag == "h2":
            self.sections[self.title] = {"text": "", "tables": [], "images": []}
        elif tag in ("td", "th"):
            self._row.append(self._cell)
            self._cell = None
        elif tag == "tr":
            self.sections[self.title]["tables"][-1].append(self._row)
        elif tag == "table":
            columns, *rows = self.sections[self.title]["tables"][-1]
            self.sections[self.title]["tables"][-1] = [dict(zip(columns, row, strict=True)) for row in rows]
        self._tag = ""

    def handle_data(self, text):
        if self._tag == "h2":
            self.title += text
        elif self._cell is not None:
            self._cell += text
        else:
            self.sections[self.title]["text"] += text


@pytest.fixture(scope="module")
def page():
    return compare(RUNS["A"], RUNS["B"]).html()


@pytest.fixture(scope="module")
def sections(page):
    return Report(page).sections


def number(text: str) -> float:
    """The first number in `text`, of which the spread or the unit is left out."""
    return float(re.match(r"[+−]?[\d.,]+", text)[0].replace("−", "-").replace(",", ""))


def marks(svg: bytes, role: str) -> list[tuple[dict[str, str], str]]:
    """What each mark of a chart says ("title: value; ...") and its colour."""
    elements = [e for e in ElementTree.fromstring(svg).iter() if e.get("aria-roledescription") == role]
    return [
        (
            dict(part.rsplit(": ", 1) for part in e.get("aria-label").split("; ")),
            f"{e.get('fill')} {e.get('stroke')}",
        )
        for e in elements
    ]


def mean(of, letter):
    return np.mean([of(run) for run in RUNS[letter]], axis=0)


def predicted(run):
    return run.logits.astype(np.float32).argmax(axis=1)


def softmax(run):
    powers = np.exp(run.logits.astype(np.float64) - run.logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


METRICS = {
    "Accuracy": lambda run: np.mean(predicted(run) == LABELS),
    "Macro-F1": lambda run: f1_score(LABELS, predicted(run), average="macro"),
    "Macro-AUC (one-vs-rest)": lambda run: roc_auc_score(LABELS, softmax(run), multi_class="ovr"),
    "Log loss (nats)": lambda run: -np.log(softmax(run)[np.arange(len(LABELS)), LABELS]).mean(),
    "Parameters": lambda run: run.meta["parameters"],
    "Training minutes": lambda run: run.meta["train_seconds"] / 60,
}


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_and_facts_stand_under_their_model(sections, metric):
    (row,) = (row for row in sections["Metrics"]["tables"][0] if row["Metric"] == metric)
    a, b = (mean(METRICS[metric], letter) for letter in "AB")
    rounding = 0.51 * 10.0 ** -len(row["A"].partition(" ")[0].partition(".")[2])
    assert a != pytest.approx(b, abs=2 * rounding)
    for column, value in (("A", a), ("B", b), ("B − A", b - a)):
        assert number(row[column]) == pytest.approx(value, abs=rounding)


def test_the_head_names_a_before_b(sections):
    text = sections[""]["text"]
    assert "■ A: cnn-made" in text and "■ B: resnet18-made" in text
    accuracies = [f"{mean(METRICS['Accuracy'], letter):.2%}" for letter in "BA"]
    assert "(B) correctly classifies {} of 1,000 images and cnn-made (A) {}".format(*accuracies) in text


def test_correctness_counts_the_images_of_each_model(sections):
    right = {letter: predicted(RUNS[letter][0]) == LABELS for letter in "AB"}
    counts = {"newly wrong": (right["A"] & ~right["B"]).sum(), "newly right": (right["B"] & ~right["A"]).sum()}
    section = sections["Correctness on the same images"]
    table = {row["Correctness"]: row["Images"] for row in section["tables"][0]}
    drawn = {said["group"]: (said["images"], color) for said, color in marks(section["images"][0], "bar")}
    assert counts["newly wrong"] != counts["newly right"]
    for (group, count), letter in zip(counts.items(), "AB", strict=True):
        assert table[f"{group} (only {letter} correct)"] == drawn[group][0] == f"{count:,}"
        assert COLORS[letter] in drawn[group][1]


def test_errors_within_the_superclass_are_those_of_the_model_named(sections):
    parts = []
    for letter, runs in RUNS.items():
        run = runs[0]
        wrong = predicted(run) != LABELS
        within = (run.superclass_of[predicted(run)] == run.superclass_of[LABELS])[wrong].mean()
        parts.append(f"{within:.1%} of {letter}'s errors are within the superclass")
    assert parts[0][:5] != parts[1][:5]
    assert all(part in sections["Correctness on the same images"]["text"] for part in parts)


def test_the_class_chart_draws_each_models_recall_in_its_colour(sections):
    of = {letter: mean(lambda run: recall_score(LABELS, predicted(run), average=None), letter) for letter in "AB"}
    points = marks(sections["Classes"]["images"][0], "point")
    drawn = {"A": set(), "B": set()}
    for said, color in points:
        c = NAMES.index(said["class"])
        for letter in "AB":
            assert said[f"{letter}: Recall"] == f"{of[letter][c]:.3f}"
        assert said["B − A"] == f"{of['B'][c] - of['A'][c]:+.3f}".replace("-", "−")
        (letter,) = (letter for letter in "AB" if COLORS[letter] in color)
        if "difference_at" in said:  # of the column of differences
            assert letter == ("B" if of["B"][c] >= of["A"][c] else "A")
            continue
        assert float(said[letter.lower()]) == pytest.approx(of[letter][c])
        drawn[letter].add(c)
    assert drawn["A"] == drawn["B"] == set(range(C))


def test_superclasses_have_the_recall_of_the_model_named(sections):
    run = RUNS["A"][0]
    names = [name.replace("_", " ") for name in run.superclass_names]
    bars = marks(sections["Superclasses"]["images"][0], "bar")
    assert {said["superclass"] for said, _ in bars} == set(names)
    for said, _ in bars:
        images = run.superclass_of[LABELS] == names.index(said["superclass"])
        for letter in "AB":
            recall = mean(lambda run, images=images: np.mean((predicted(run) == LABELS)[images]), letter)
            assert float(said[f"{letter}: recall"]) == pytest.approx(recall, abs=6e-4)


def test_cells_of_the_confusion_matrix_stand_under_their_model(sections):
    of = {letter: mean(lambda run: confusion_matrix(LABELS, predicted(run)), letter) for letter in "AB"}
    rows = sections["Confusions"]["tables"][0]
    assert any(row["A"] != row["B"] for row in rows)
    for row in rows:
        cell = NAMES.index(row["True"]), NAMES.index(row["Predicted"])
        a, b = of["A"][cell], of["B"][cell]
        assert (row["A"], row["B"]) == (f"{a:.1f}", f"{b:.1f}") and number(row["B − A"]) == b - a


def test_errors_by_superclass_stand_behind_the_pairs(sections):
    """Each count from the runs' predictions, by a loop over images."""
    rows, run = sections["Confusions"]["tables"][2], RUNS["A"][0]
    of, names = run.superclass_of, [name.replace("_", " ") for name in run.superclass_names.tolist()]
    assert rows
    for row in rows:
        true, predicted = names.index(row["True"]), names.index(row["Predicted"])
        for letter, runs in RUNS.items():
            counts = [
                sum(
                    of[label] == true and of[given] == predicted and label != given
                    for label, given in zip(LABELS, one.predictions, strict=True)
                )
                for one in runs
            ]
            assert row[letter] == f"{np.mean(counts):.1f}"


def test_pairs_have_the_auc_of_the_model_named(sections):
    rows = next(table for table in sections["Confusions"]["tables"] if "Pair" in table[0])
    assert len(rows) > 10
    for row in rows:
        one, other = map(NAMES.index, row["Pair"].split(" or "))
        images = np.isin(LABELS, (one, other))

        def area(run, one=one, other=other, images=images):
            logits = run.logits[images].astype(float)
            return roc_auc_score(LABELS[images] == one, logits[:, one] - logits[:, other])

        a, b = (mean(area, letter) for letter in "AB")
        assert number(row["AUC of A"]) == pytest.approx(a, abs=6e-5)
        assert number(row["AUC of B"]) == pytest.approx(b, abs=6e-5)
        assert number(row["B − A"]) == pytest.approx(b - a, abs=6e-5)


def test_calibration_is_of_the_model_named(sections):
    points = marks(sections["Calibration"]["images"][0], "point")
    for letter, runs in RUNS.items():
        for run in runs:
            sure, right = softmax(run).max(axis=1), predicted(run) == LABELS
            drawn = [(said, color) for said, color in points if said["run"] == run.name]
            assert sum(int(said["count"].replace(",", "")) for said, _ in drawn) == len(LABELS)
            for said, color in drawn:
                confidence = float(said["confidence"].rstrip("%")) / 100
                images = np.floor(sure * 15) == np.floor(confidence * 15)
                assert said["model"] == letter and COLORS[letter] in color
                assert sure[images].mean() == pytest.approx(confidence, abs=1e-6)
                assert right[images].mean() == pytest.approx(float(said["accuracy"].rstrip("%")) / 100, abs=1e-6)
    scores = {row["Measure"]: row for row in sections["Calibration"]["tables"][0]}
    for letter in "AB":
        loss = mean(lambda run: log_loss(LABELS, softmax(run), labels=range(softmax(run).shape[1])), letter)
        row = scores["Log loss (nats), before temperature scaling"]
        assert number(row[letter]) == pytest.approx(loss, abs=1e-4)
    table = sections["Calibration"]["tables"][1]
    assert [(row["Model"], row["Run"]) for row in table] == [
        (letter, run.name) for letter, runs in RUNS.items() for run in runs
    ]


def test_learning_curves_are_of_the_model_named(sections):
    points = marks(sections["Learning curves"]["images"][0], "point")
    expected = {
        (letter, run.name, int(epoch)): accuracy
        for letter, runs in RUNS.items()
        for run in runs
        for epoch, accuracy in zip(run.history["epoch"], run.history["val_accuracy"], strict=True)
    }
    drawn = {}
    for said, color in points:
        assert COLORS[said["model"]] in color
        drawn[said["model"], said["run"], int(said["epoch"])] = float(said["validation accuracy"].rstrip("%")) / 100
    assert drawn == pytest.approx(expected, abs=1e-6)


def test_runs_say_the_side_they_were_compared_on(sections):
    rows = {row["Run"]: row for row in sections["All runs"]["tables"][0]}
    for letter, runs in RUNS.items():
        for run in runs:
            assert rows[run.name]["Compared as"] == letter
            assert rows[run.name]["Accuracy"] == f"{np.mean(predicted(run) == LABELS):.4f}"
