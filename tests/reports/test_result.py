"""What `cifarcore.compare` gives: the comparison's own numbers, in a notebook, a terminal and in files."""

import base64
import json
import re
from dataclasses import replace
from html import escape

import numpy as np
import pandas as pd
import pytest
from made import made_run
from processes import bundled

from cifarcore import CifarcoreError, Run, compare, save_run
from cifarcore.evidence import comparison, known
from cifarcore.evidence.slices import find, of_images
from cifarcore.reports import result as result_module
from cifarcore.reports.summary import summary_text
from cifarcore.reports.tables.slices import NOTHING_KNOWN

A = [made_run(10, 500, 0.5, seed, "cnn") for seed in (0, 1)]
B = [made_run(10, 500, 0.7, seed, "resnet18") for seed in (0, 1)]
TABLES = {
    "metrics": "metrics",
    "classes": "class_table",
    "cells": "cells",
    "superclass_cells": "superclass_cells",
    "pairs": "pairs",
}


@pytest.fixture(scope="module")
def result():
    return compare(A, B)


def test_it_holds_the_comparison_of_the_runs_given(result):
    expected = comparison.compare(A, B)
    for name in ("names", "better", "verdict", "sentence", "notes"):
        assert getattr(result, name) == getattr(expected, name)
    for name, column in TABLES.items():
        pd.testing.assert_frame_equal(getattr(result, name), getattr(expected, column))
    assert result.better == "B" and compare(B, A).better == "A"


def test_a_table_that_is_changed_changes_no_other(result):
    """The result's own were handed out, and what was written afterwards had lost their columns."""
    for name in (*TABLES, "known_images"):
        table = getattr(result, name)
        before = table.copy()
        table["new"] = 0
        pd.testing.assert_frame_equal(getattr(result, name), before)


def test_a_side_is_a_run_a_path_or_the_seeds_of_a_model(result, tmp_path):
    paths = [save_run(run, tmp_path / f"{run.name}.npz") for run in A]
    for side in (paths, [str(path) for path in paths], (paths[1], A[0]), iter(A[::-1])):
        pd.testing.assert_frame_equal(compare(side, B).metrics, result.metrics)
    one = comparison.compare(A[:1], B[:1])
    for side in (A[0], paths[0], str(paths[0]), [A[0]]):
        pd.testing.assert_frame_equal(compare(side, B[0]).metrics, one.metrics)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([], B, "A has no run"),
        (A, [], "B has no run"),
        ([A[0], A[0]], B, "seed 0 of cnn-made is named twice"),
        (A, [B[0], A[1]], "B holds runs of 2 models"),
        (A, "nothing.npz", "nothing.npz"),
        (A, made_run(20, 500), "different classes"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, message):
    with pytest.raises(CifarcoreError, match=message) as caught:
        compare(a, b)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.where(np.arange(500)[:, None] < 100, np.nan, B[0].logits)}, "resnet18-made-0: .*logits.*"),
        ({"labels": B[0].labels[:400]}, "resnet18-made-0: .*labels"),
        ({"sample_ids": np.zeros_like(B[0].sample_ids)}, "resnet18-made-0: .*sample_ids"),
    ],
)
def test_a_run_whose_fields_were_replaced_is_checked_as_a_file_is(change, message):
    """NaN counted as the class where it stood, and the verdict was another."""
    with pytest.raises(CifarcoreError, match=message):
        compare(A, [replace(B[0], **change), B[1]])


def test_names_are_those_that_were_given():
    for alike in (("old", "old"), ("old",)):  # "old beats old"
        with pytest.raises(CifarcoreError, match="give two that differ, of A and of B"):
            compare(A[0], B[0], names=alike)
    result = compare(A[0], [B[0], replace(A[1], meta=A[1].meta | {"seed": 5})], names=("old", "mixed"))
    assert result.names == ("old", "mixed") and "mixed (B) correctly" in result.sentence
    assert "old (A)" in result.to_markdown() and "A: old   B: mixed" in repr(result)
    assert "<title>old (seed 0) against mixed" in result.html()


def test_in_a_terminal_it_is_the_text_of_the_summary(result):
    assert repr(result).startswith("A: cnn-made   B: resnet18-made\n-----")
    assert result.verdict in repr(result) and repr(result) + "\n" == summary_text([*A, *B])[-len(repr(result)) - 1 :]


def test_in_a_notebook_it_has_verdict_metrics_and_chart_and_needs_nothing_else(result):
    page = result._repr_html_()
    assert f"<b>{result.verdict}.</b> {escape(result.sentence)}" in page
    single = compare(A[0], B[0])
    assert single.notes and all(escape(note) in single._repr_html_() for note in single.notes)
    assert f">{result.metrics.loc['accuracy', 'a']:.4f} ±" in page and "resnet18-made (B)</th>" in page
    assert page.count("<img ") == 1 and "data:image/svg+xml;base64," in page
    drawing = base64.b64decode(re.search('svg.xml;base64,([^"]+)', page)[1]).decode()
    assert "prefers-color-scheme" not in drawing, "the card is light in a dark notebook too"
    assert not re.search(r"<script|<link|<iframe|\ssrc=\"(?!data:)|href=|url\(|@import", page)
    assert re.search(r"\.cifarcore-result \{ background: #fff; color: #1d2127", page)  # whatever the notebook's theme


def test_names_are_text_and_never_markup():
    hostile = '<img src=x onerror="alert(1)">'
    runs = [replace(run, meta=run.meta | {"model": f"{run.meta['model']}{hostile}"}) for run in (A[0], B[0])]
    result = compare(*runs)
    for page in (result._repr_html_(), result.html()):
        assert "<img src=x" not in page and "&lt;img src=x" in page
    assert compare(A[0], B[0], names=("50% & up_to", "b")).to_latex().count(r"50\% \& up\_to (A)") == 1


def test_json_has_every_number_as_a_number(result, tmp_path):
    text = result.to_json(tmp_path / "new" / "result.json")
    assert (tmp_path / "new" / "result.json").read_text(encoding="utf-8") == text
    data = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert data["schema"] == 1 and data["better"] == "B" and data["names"] == {"a": "cnn-made", "b": "resnet18-made"}
    assert data["verdict"] == result.verdict and data["sentence"] == result.sentence and data["n_images"] == 500
    for letter, runs in (("a", A), ("b", B)):
        assert [run["name"] for run in data["runs"][letter]] == [run.name for run in runs]
        assert [run["digest"] for run in data["runs"][letter]] == [run.digest for run in runs]
        assert [run["seed"] for run in data["runs"][letter]] == [0, 1]
        assert data["runs"][letter][0]["fingerprint"] == runs[0].meta["dataset"]["fingerprint"]
    for name in TABLES:
        table = getattr(result, name)
        table = table.reset_index() if name == "metrics" else table
        assert len(data[name]) == len(table) > 0
        for row, (_, expected) in zip(data[name], table.iterrows(), strict=True):
            assert list(row) == list(table.columns)
            for column, value in expected.items():
                assert row[column] == (None if pd.isna(value) else value), (name, column)
    assert data["metrics"][5]["metric"] == "ece" and data["metrics"][5]["p"] is None
    assert data["metrics"][0]["a"] == np.mean([np.mean(run.predictions == run.labels) for run in A])


def test_json_of_bare_predictions_has_null_for_what_is_not_known():
    scores = np.random.default_rng(0).standard_normal((40, 3))
    runs = [
        Run.from_predictions(scores, np.arange(40) % 3, class_names="abc", sample_ids=range(40), kind="logits", model=m)
        for m in "xy"
    ]
    data = json.loads(compare(*runs).to_json())
    assert data["better"] is None and data["runs"]["a"][0]["digest"] is None
    assert next(row for row in data["metrics"] if row["metric"] == "superclass_accuracy")["a"] is None


def test_the_metric_table_for_a_paper(result):
    row = result.metrics.loc["accuracy"]
    markdown, latex = result.to_markdown().splitlines(), result.to_latex().splitlines()
    assert markdown[0].startswith("| Metric | cnn-made (A) | resnet18-made (B) | B − A |")
    cells = [f"{row['a']:.4f} ± {row['std_a']:.4f}", f"{row['b']:.4f} ± {row['std_b']:.4f}"]
    assert markdown[2].startswith(f"| Accuracy | {cells[0]} | {cells[1]} | {row['difference']:+.4f} |")
    (line,) = (line for line in latex if line.startswith("Accuracy &"))
    assert line.startswith(f"Accuracy & {cells[0]} & {cells[1]} &".replace("±", r"$\pm$"))
    assert latex[0].startswith(r"\begin{tabular}") and "".join(latex).isascii()


def test_only_the_runs_asked_for_are_listed_beside(result):
    other = made_run(10, 500, 0.6, 7, "other")
    assert "other-made-7" in result.html([*A, *B, other]) and "other-made-7" not in result.html()


def test_the_command_writes_the_json(result, tmp_path):
    from processes import invoke

    paths = [save_run(run, tmp_path / f"{run.name}.npz") for run in (*A, *B)]
    printed = invoke("compare", *paths, "--out", tmp_path / "summary.txt", "--json", tmp_path / "result.json")
    assert printed.endswith(f"wrote {tmp_path / 'result.json'}\n")
    written = json.loads((tmp_path / "result.json").read_text())
    expected = json.loads(result.to_json())
    for side in ("a", "b"):
        for run in written["runs"][side] + expected["runs"][side]:
            del run["digest"]  # of the file's bytes, which the made runs have not
    assert written == expected


@pytest.fixture(scope="module")
def official():
    """Of CIFAR-100's test images, whose duplicates and disputed labels are known."""
    return compare(*bundled("cnn-quick-0", "resnet18-longer-0"))


def test_what_people_found_in_the_images_is_in_every_form(official):
    runs = [official.sides.a.first, official.sides.b.first]
    found = known.repeats(runs, 1)
    assert official.known_images.equals(found) and len(found) == 7
    written = json.loads(official.to_json())["known_images"]
    assert [row["what"] for row in written["repeats"]] == found["what"].tolist()
    assert written["repeats"][3]["difference"] == pytest.approx(found["difference"][3])
    assert written["suspect_labels"]["disputed"] == known.coincidence(runs).disputed
    page = official.html()
    assert "<h2>Duplicates and disputed labels</h2>" in page
    for row in found.itertuples():
        assert f"<td>{row.images:,}</td>" in page and f"<td>{100 * row.difference:+.2f}</td>" in page
    assert "five people: " in page and "Five people each were asked about" in page
    notebook = official._repr_html_()
    for note in official.notes[-2:]:
        assert note in notebook and note in page
    assert "cosine" not in " ".join(official.notes)


def test_of_other_images_nothing_is_said_of_what_people_found(result):
    assert json.loads(result.to_json())["known_images"] is None
    page = result.html()
    assert "Duplicates and disputed labels" not in page and "people" not in page.split("<h2>Suspect labels</h2>")[1]
    assert result.known_images["what"].tolist() == ["all images"]


def test_numbers_that_are_none_are_null():
    table = pd.DataFrame({"x": [1.5, np.inf, -np.inf, np.nan], "y": [1, 2, 3, 4], "z": ["a", None, "", "b"]})
    assert result_module._records(table) == [
        {"x": 1.5, "y": 1, "z": "a"}, {"x": None, "y": 2, "z": None}, {"x": None, "y": 3, "z": ""},
        {"x": None, "y": 4, "z": "b"},
    ]  # fmt: skip
    deep = {"a": [np.float64(1.5), np.inf, {"b": np.nan}], 3: "x", "n": 2}
    assert result_module._finite(deep) == {"a": [1.5, None, {"b": None}], "3": "x", "n": 2}


def test_the_images_that_are_shared_and_those_of_each_run_are_counted():
    part = B[0].take(np.arange(300))
    data = compare(A[0], part).to_dict()
    assert data["n_images"] == 300
    assert data["runs"]["a"][0]["n_images"] == 500 and data["runs"]["b"][0]["n_images"] == 300
    assert data["decisions"]["equivalence"]["difference"] == pytest.approx(
        part.correct.mean() - A[0].correct[:300].mean()
    )
    seeds = compare(A, B[:1]).to_dict()
    assert seeds["decisions"]["equivalence"]["difference"] == pytest.approx(
        B[0].correct.mean() - np.mean([run.correct.mean() for run in A])
    )


def test_slices_stand_in_notebook_report_and_json():
    runs = [made_run(10, 2000, accuracy, model=model) for model, accuracy in (("cnn", 0.5), ("resnet18", 0.65))]
    result = compare(*runs)
    found = find([runs[0]], [runs[1]], of_images(runs[0]))
    written = json.loads(result.to_json())["slices"]
    assert [row["slice"] for row in written["found"]] == found.table["slice"].tolist() and len(found.table)
    assert [row["q"] for row in written["found"]] == found.table["q"].tolist() and written["note"] is None
    for page in (result.html(), result._repr_html_()):
        assert f"significantly from the rest in B − A, of {len(found.table)} listed" in page
        assert all(escape(name) in page for name in found.table["slice"])
    few = compare(made_run(10, 60, superclasses=False), made_run(10, 60, superclasses=False, model="b"))
    assert json.loads(few.to_json())["slices"] == {"found": [], "note": NOTHING_KNOWN} and NOTHING_KNOWN in few.html()


def test_runs_beside_count_once_and_are_none_of_those_compared(tmp_path):
    """Runs of arrays have no path and no digest to be known by; rows of another order are copied to be aligned."""
    rng, labels, rows = np.random.default_rng(0), np.arange(500) % 10, np.random.default_rng(1).permutation(500)

    def of_arrays(model, seed, rows=slice(None)):
        scores = rng.normal(size=(500, 10)) * 1.5 + 2 * np.eye(10)[labels]
        names = [f"class {c}" for c in range(10)]
        return Run.from_predictions(
            scores[rows], labels[rows], class_names=names, sample_ids=np.arange(500)[rows], model=model, seed=seed,
            kind="logits",
        )  # fmt: skip

    a, b, further = of_arrays("a", 0), of_arrays("b", 0, rows), of_arrays("b", 1)
    expected = compare(a, b, others=[further]).to_dict()["other_seeds"]
    assert (expected["seeds_a"], expected["seeds_b"]) == (1, 2)
    assert compare(a, b, others=[a, b, further]).to_dict()["other_seeds"] == expected
    assert "(1 of A and 2 of B)" in compare(a, b, others=[a, b, further]).html()
    assert compare(a, b, others=[a, b]).to_dict()["other_seeds"] is None

    paths = [save_run(run, tmp_path / f"{run.name}.npz") for run in (A[0], B[0], A[1])]
    copied = save_run(replace(A[0], meta=A[0].meta | {"seed": 9}), tmp_path / "cnn-made-9.npz")
    other = made_run(10, 500, 0.6, 0, "vit")
    found = compare(paths[0], paths[1], others=[*paths, copied, other]).to_dict()
    assert (found["other_seeds"]["seeds_a"], found["other_seeds"]["seeds_b"]) == (2, 1)
    assert [(row["model"], row["seeds"]) for row in found["models"]["ranked"]] == [
        ("resnet18-made", 1), ("vit-made", 1), ("cnn-made", 2),
    ]  # fmt: skip
    with pytest.raises(CifarcoreError, match="are one and the same run, not two seeds"):
        compare(paths[0], paths[1], others=[other, replace(other, meta=other.meta | {"seed": 3})])
