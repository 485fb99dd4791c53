"""The HTML report: one file, readable with the network off, whatever names a run file holds."""

import base64
import io
import re
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
from made import classes_only, made_run
from PIL import Image

from cifarcore.errors import CifarcoreError
from cifarcore.evidence.seed_notes import mean_notes
from cifarcore.reports import html
from cifarcore.reports.result import compare, first_two
from cifarcore.reports.sides import Side
from cifarcore.reports.tables import overview
from cifarcore.text import counted


@pytest.fixture(scope="module")
def runs():
    return [
        made_run(20, 1000, 0.45 + 0.2 * (model == "resnet18"), seed, model)
        for model in ("cnn", "resnet18")
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def path(runs, tmp_path_factory):
    return first_two(runs).to_html(tmp_path_factory.mktemp("report") / "report.html", runs)


def test_it_says_what_the_comparison_says(runs, path):
    page, result = path.read_text(), compare(runs[:2], runs[2:])
    assert "resnet18-made beats cnn-made by" in page and f"{result.metrics.loc['accuracy', 'a']:.4f}" in page
    for name in result.classes.query("claim == 'improved'")["name"]:
        assert name in page
    for run in runs:
        assert run.digest in page and run.meta["dataset"]["fingerprint"] in page
    assert "McNemar" in page and "Obuchowski" in page


def test_two_seeds_of_one_model_are_told_apart(runs):
    page = compare(runs[0], runs[1]).html(runs)
    assert "<title>cnn-made (seed 0) against cnn-made (seed 1)</title>" in page
    table = overview.run_table(runs, runs[:1], runs[1:2])
    assert table["Compared as"].tolist() == ["A", "B", "", ""]


def test_what_the_maps_are_made_of_is_told(runs):
    assert "made from features" in compare(runs[0], runs[2]).html()
    imported = replace(runs[2], meta=runs[2].meta | {"map_source": "log-probabilities"})
    page = compare(runs[0], imported).html()
    assert "made from features (A) and log-probabilities (B)" in page


def test_a_model_without_errors_is_not_measured_against_chance(runs):
    perfect = replace(runs[0], logits=np.eye(20, dtype=np.float32)[runs[0].labels], digest="perfect")
    said = overview.severity_text([Side("A", "a", (perfect,)), Side("B", "b", (runs[2],))])
    assert "nan" not in said and said.count("errors are within") == 1 and "of B" in said


def test_one_small_file_with_nothing_outside_it(path):
    page = path.read_text()
    assert len(page.encode()) < 3 * 2**20
    assert not re.search(r"<script|<link|<iframe|\ssrc=\"(?!data:)|href=\"(?!#section-)|url\(", page)
    assert page.count("<img ") == 8  # outcomes, slices, maps, classes, superclasses, calibration, learning curves


def test_nothing_in_it_steers_a_terminal(runs):
    """What a run says of itself, its file's name too, may hold any character."""
    hostile = "\x1b]0;title\x07\x1b[2J\x00\u202e\u2028\ufffe"
    told = {"device": hostile, "initialised_from": hostile, "map_source": hostile}
    nameless = replace(runs[2], meta=told | {"seed": 0}, path=Path(f"a{hostile[:-1]}.npz"))
    page = compare(replace(runs[0], meta=runs[0].meta | told), nameless).html()
    assert {c for c in page if not c.isprintable()} <= {"\n", "\N{NO-BREAK SPACE}"}


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
    page = first_two(runs).to_html(tmp_path / "report.html", runs).read_text()
    assert not re.search(r"<(script|svg|img src=x)", page)
    assert "&lt;script&gt;" in page and "&lt;svg onload" in page


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 60), (250, 500)])
def test_runs_of_nothing_but_scores(n_classes, n_images, tmp_path):
    bare = dict(val=False, maps=False, history=False, neighbors=False, superclasses=False)
    runs = [made_run(n_classes, n_images, 0.5, model=model, **bare) for model in ("cnn", "resnet18")]
    runs = [replace(run, meta={"model": run.meta["model"]}) for run in runs]
    page = first_two(runs).to_html(tmp_path / "report.html", runs).read_text()
    assert "cifarcore project adds them" in page and "no superclasses" in page and ">nan<" not in page


def test_one_model_is_refused(runs):
    with pytest.raises(CifarcoreError, match="only one is named"):
        first_two([made_run(10, 500, 0.5, seed) for seed in range(3)])
    two = first_two([made_run(10, 500, 0.5, seed) for seed in (1, 0)])
    assert two.names == ("cnn-made-1", "cnn-made-0") and two.sides.names == two.names
    assert "cnn-made-0 (B)" in two.html() and "cnn-made (B)" not in two.html()


def test_long_names_that_differ_at_their_ends_are_told_apart():
    from cifarcore.reports.sides import Side, Sides

    runs = [made_run(n_images=20), made_run(n_images=20, model="b")]
    names = ["m" * 90 + end for end in ("-left", "-right")]
    sides = Sides(*(Side(letter, name, (run,)) for letter, name, run in zip("AB", names, runs, strict=True)), 0, 0, [])
    assert len(set(sides.names)) == 2 and all(len(name) <= 80 for name in sides.names)
    assert sides.names[0].endswith("-left") and sides.names[1].endswith("-right")


def test_the_report_is_made_to_be_printed_whole():
    from cifarcore.reports import html

    assert "@media print" in html._STYLE and "overflow: visible" in html._STYLE


def sides_and_result(runs):
    found = compare(runs[:2], runs[2:])
    return found.sides, found.comparison


def test_classes_whose_recall_changes_are_listed_with_their_change(runs):
    sides, result = sides_and_result(runs)
    for claim in ("improved", "declined"):
        table = result.class_table[result.class_table["claim"] == claim]
        table = table.reindex(table["recall_difference"].abs().sort_values(ascending=False, kind="stable").index)
        names = [
            f"{name.replace('_', ' ')} {gain:+.2f}".replace("-", "−")
            for name, gain in zip(table["name"], table["recall_difference"], strict=True)
        ]
        expected = f"<p><b>Recall {claim} ({counted(len(table), 'class', 'classes')}):</b> {', '.join(names)}</p>"
        if not names:
            expected = f"<p>Recall {claim} significantly in no class.</p>"
        assert html._changed(sides, result, claim) == expected
    assert "improved (0 classes)" not in html._changed(sides, result, "improved")
    unchanged = replace(result, class_table=result.class_table.assign(claim="not significant"))
    assert html._changed(sides, unchanged, "declined") == "<p>Recall declined significantly in no class.</p>"


def test_long_tables_and_many_classes_are_cut(runs, monkeypatch):
    sides, result = sides_and_result(runs)
    page = compare(runs[:2], runs[2:]).html()
    assert (html.MAX_ROWS, html.MAX_CLASSES, html.MAX_POINTS) == (25, 200, 10_000)
    assert f"The first 25 of {len(result.pairs)}." in page and len(result.pairs) > 25
    change = result.class_table["recall_difference"]
    whole = html.changed_class_frame(sides, result)
    assert whole["difference"].tolist() == sorted(change, reverse=True)
    monkeypatch.setattr(html, "MAX_CLASSES", 3)
    few = html.changed_class_frame(sides, result)["difference"]
    assert sorted(few.abs()) == pytest.approx(sorted(change.abs())[-3:]) and (few.diff().dropna() <= 0).all()


def test_each_map_is_of_its_model(runs, monkeypatch):
    sides, _ = sides_and_result(runs)
    drawn = []

    def drawing(frame):
        drawn.append(frame)
        return outcome_map(frame)

    outcome_map = html._outcome_map
    monkeypatch.setattr(html, "_outcome_map", drawing)
    monkeypatch.setattr(html, "MAX_POINTS", 300)
    shown = html._maps(sides)
    assert len(drawn) == 2 and "cnn-made-0 (A) left and resnet18-made-0 (B) right" in shown
    assert "made from features" in shown
    right = [run.correct for run in (runs[0], runs[2])]
    names = ["both correct", "newly wrong", "newly right", "neither"]
    words = dict(zip(((True, True), (True, False), (False, True), (False, False)), names, strict=True))
    for run, frame in zip((runs[0], runs[2]), drawn, strict=True):
        assert len(frame) == 300
        place = {tuple(point): row for row, point in enumerate(run.tsne.tolist())}
        rows = [place[point] for point in frame[["x", "y"]].itertuples(index=False, name=None)]
        assert frame["outcome"].tolist() == [words[bool(right[0][row]), bool(right[1][row])] for row in rows]
        assert frame["outcome"].drop_duplicates().tolist() == names, "errors are drawn last"
    picture = Image.open(io.BytesIO(base64.b64decode(shown.split("base64,")[1].split('"')[0])))
    pixels = np.asarray(picture.convert("RGBA")).reshape(-1, 4)
    assert 0.5 < (pixels[:, 3] == 0).mean() < 1, "light or dark, the page's own ground is seen"
    colors = re.findall(r'background:#(\w{6})"></i>([a-z ]+)<?', shown)
    assert [name for _, name in colors] == names
    for color, _ in colors:
        channels = [int(color[at : at + 2], 16) for at in (0, 2, 4)]
        assert (np.abs(pixels[pixels[:, 3] > 100, :3].astype(int) - channels).max(axis=1) < 12).any(), color
    spec = outcome_map(frame).to_dict()
    assert (spec["width"], spec["height"]) == (420, 420)
    assert spec["encoding"]["color"]["scale"]["domain"] == names
    assert spec["encoding"]["x"]["field"] == "x" and spec["encoding"]["y"]["field"] == "y"
    no_map = replace(runs[2], tsne=None)
    for a, b in ((runs[0], no_map), (no_map, runs[0])):
        both = replace(sides, a=Side("A", "a", (a,)), b=Side("B", "b", (b,)))
        assert "cifarcore project adds them" in html._maps(both)


def test_means_of_two_seeds_have_their_note(runs, monkeypatch):
    monkeypatch.setattr(html.findings, "is_about", lambda run: True)
    (section,) = html._findings(runs[:2], runs[2:], runs)
    (said,) = mean_notes(runs[:2], runs[2:])
    assert section.index(f'<p class="note">{escape(said)}</p>') < section.index("<table")
    (section,) = html._findings(runs[:1], runs[2:3], runs)
    assert "With two seeds" not in section


def test_sections_that_have_nothing_to_show_say_so(runs):
    sides, result = sides_and_result(runs)
    bare = [replace(run, superclass_of=None, superclass_names=None, history={}, digest="") for run in runs]
    assert html._gains(bare[:2], bare[2:]) == '<p class="note">The runs have no superclasses.</p>'
    of_bare = [Side("A", "a", tuple(bare[:2])), Side("B", "b", tuple(bare[2:]))]
    assert html._curves(of_bare, ("a", "b")) == '<p class="note">The runs have no validation accuracy.</p>'
    assert html._findings(runs[:2], runs[2:], runs) == [], "the report is about CIFAR-100's images"
    assert html._superclass_cells(replace(result, superclass_cells=result.superclass_cells[:0])) == []
    assert len(html._superclass_cells(result)) == 2
    hard = replace(sides, a=Side("A", "a", (classes_only(runs[0]),)), b=Side("B", "b", (classes_only(runs[2]),)))
    note, chart, *tables = html._calibration(hard)
    assert note.startswith('<p class="note">Not available: calibration error') and chart == ""
    assert "".join(tables).count("no scores") == 2


def test_the_page_is_titled_and_says_when_it_was_written(runs):
    page = compare(runs[:2], runs[2:]).html()
    titles = "cnn-made (mean of seeds 0, 1) against resnet18-made (mean of seeds 0, 1)"
    assert f"<title>{titles}</title>" in page and re.search(
        "<h1>resnet18-made beats cnn-made by [0-9.]+ points in accuracy</h1>", page
    )
    assert re.search(r"Written by cifarcore [0-9.]+\S* on \d{4}-\d\d-\d\d \d\d:\d\d UTC\.", page)
    sections = re.findall(r"<h2>(.*?)</h2>", page)
    assert sections == [
        "Metrics", "Correctness on the same images", "Statistical power", "Can B replace A?",
        "Prediction flips (churn)", "Selective prediction (abstention)", "Ensemble and error overlap", "Slices", "Maps",
        "Classes", "Superclasses", "Confusions", "Calibration", "Learning curves", "Suspect labels", "All runs",
        "Methods", "Appendix: fingerprints",
    ]  # fmt: skip


def test_runs_and_what_they_were_made_of(runs):
    bare = replace(runs[0], meta={"model": "x", "dataset": {"name": "mine"}}, digest="")
    table = overview.run_table([runs[0], bare], runs[:1], [runs[0], bare])
    first, second = table.to_dict("records")
    assert first["Compared as"] == "A and B" and second["Compared as"] == "B"
    assert first["Accuracy"] == f"{runs[0].correct.mean():.4f}"
    assert first["Data"] == "made-up images, 1,000 images" and second["Data"] == "mine, 1,000 images"
    assert first["Hardware"] == "none (made up)" and first["Initialised from"] == "random weights"
    assert first["Versions"].startswith("cifarcore ") and ", numpy " in first["Versions"]
    assert second["Fingerprint"] == first["Fingerprint"]
    for column in ("Initialised from", "Hardware", "Versions"):
        assert second[column] == "not recorded"
