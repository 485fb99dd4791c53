"""The HTML report: one file, readable with the network off, whatever names a run file holds."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore import CifarcoreError, report, report_tables


@pytest.fixture(scope="module")
def runs():
    return [
        made_run(20, 1000, 0.45 + 0.2 * (model == "resnet18"), seed, model)
        for model in ("cnn", "resnet18")
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def path(runs, tmp_path_factory):
    return report.write_html(runs, tmp_path_factory.mktemp("report") / "report.html")


def test_it_says_what_the_comparison_says(runs, path):
    from cifarcore.comparison import compare

    page, result = path.read_text(), compare(runs[:2], runs[2:])
    assert "B is better" in page and f"{result.metrics.loc['accuracy', 'a']:.4f}" in page
    for name in result.class_table.query("claim == 'gained'")["name"]:
        assert name in page
    for run in runs:
        assert run.digest in page and run.meta["dataset"]["fingerprint"] in page
    assert "McNemar" in page and "Obuchowski" in page


def test_two_seeds_of_one_model_are_told_apart(runs):
    page = report.html_page("cnn-made", "cnn-made", runs[:1], runs[1:2], runs)
    assert "<h1>cnn-made (seed 0) against cnn-made (seed 1)</h1>" in page
    table = report_tables.run_table(runs, runs[:1], runs[1:2])
    assert table["Compared as"].tolist() == ["A", "B", "", ""]


def test_what_the_maps_are_made_of_is_told(runs):
    assert "made from features" in report.html_page("a", "b", runs[:1], runs[2:3], [])
    imported = replace(runs[2], meta=runs[2].meta | {"map_source": "log-probabilities"})
    page = report.html_page("a", "b", runs[:1], [imported], [])
    assert "made from features (A) and log-probabilities (B)" in page


def test_a_model_without_errors_is_not_measured_against_chance(runs):
    perfect = replace(runs[0], logits=np.eye(20, dtype=np.float32)[runs[0].labels], digest="perfect")
    said = report_tables.severity_text({"A": [perfect], "B": [runs[2]]})
    assert "nan" not in said and said.count("errors stay within") == 1 and "of B" in said


def test_one_small_file_with_nothing_outside_it(path):
    page = path.read_text()
    assert len(page.encode()) < 3 * 2**20
    assert not re.search(r"<script|<link|<iframe|\ssrc=\"(?!data:)|href=|url\(", page)
    assert page.count("<img ") == 6  # outcomes, maps, classes, superclasses, calibration, learning curves


def test_names_from_a_file_are_text_and_never_markup(tmp_path):
    names = np.array(
        ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & b", "plain", "javascript:alert(1)"]
    )
    hostile = "<svg onload=alert(1)>"
    runs = []
    for model in ("cnn", "resnet18"):
        run = made_run(5, 300, 0.5 + 0.3 * (model == "resnet18"), model=model)
        meta = run.meta | {
            "device": hostile,
            "model": f"{model}{hostile}",
            "initialised_from": hostile,
            "versions": {hostile: hostile},
        }
        runs.append(replace(run, class_names=names, superclass_names=np.array([hostile]), meta=meta))
    page = report.write_html(runs, tmp_path / "report.html").read_text()
    assert not re.search(r"<(script|svg|img src=x)", page)
    assert "&lt;script&gt;" in page and "&lt;svg onload" in page


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 60), (250, 500)])
def test_runs_of_nothing_but_scores(n_classes, n_images, tmp_path):
    bare = dict(val=False, maps=False, history=False, neighbors=False, superclasses=False)
    runs = [made_run(n_classes, n_images, 0.5, model=model, **bare) for model in ("cnn", "resnet18")]
    runs = [replace(run, meta={"model": run.meta["model"]}) for run in runs]
    page = report.write_html(runs, tmp_path / "report.html").read_text()
    assert "cifarcore project adds them" in page and "no superclasses" in page and ">nan<" not in page


def test_one_model_is_refused(runs, tmp_path):
    with pytest.raises(CifarcoreError, match="only one is named"):
        report.write_html(runs[:2], tmp_path / "report.html")
