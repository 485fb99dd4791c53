"""The summary and the README's table: laid out from run files, and from nothing else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run, of_cifar100

from cifarcore.data.ids import fingerprint
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import metrics, roc_curves
from cifarcore.reports import summary
from cifarcore.reports.tables.overview import run_table


@pytest.fixture(scope="module")
def runs():
    return [of_cifar100(made_run(100, 800, 0.5, seed, "cnn")) for seed in (2, 0, 1)] + [
        of_cifar100(made_run(100, 800, 0.6 + seed / 50, seed, "resnet18")) for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def text(runs):
    return summary.summary_text(runs)


@pytest.fixture(scope="module")
def others():
    """Of other images, whose classes have the names of CIFAR-100's."""
    return [made_run(100, 800, 0.5, model=model) for model in ("vit", "swin")]


def lines_under(text, title):
    body = text.split(f"{title}\n{'-' * len(title)}\n")[1]
    return body.split("\n\n")[0].splitlines()


def test_each_model_has_mean_and_sample_deviation_over_its_seeds(runs, text):
    rows = lines_under(text, "Each model, mean over its seeds")
    for group, line in zip((runs[:3], runs[3:]), rows[1:], strict=True):
        assert line.startswith(group[0].group)
        for function in (metrics.accuracy, metrics.macro_f1, roc_curves.macro_auc):
            values = [function(run) for run in group]
            assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in line
        assert "random weights" in line and "none (made up)" in line


def test_all_runs_together_are_given_in_the_form_of_the_report_alone(runs, text):
    rows = lines_under(text, "In the report's format: mean ± std over runs, whatever their model")
    accuracies = [run.correct.mean() for run in runs]
    assert rows[0].split("  ")[1:] and "all runs (5)" in rows[0] and "the report" in rows[0]
    assert f"{np.mean(accuracies):.4f} ± {np.std(accuracies, ddof=1):.4f}" in rows[1]
    for line, own in zip(rows[1:], ("0.5803 ± 0.0317", "0.5779 ± 0.0320", "0.9776 ± 0.0069"), strict=True):
        assert line.endswith(own)
    assert "in the report's format it is over runs of several models, and no measure of uncertainty" in text


def test_the_first_two_groups_named_are_compared(runs, text):
    assert "A: cnn-made   B: resnet18-made" in text and "\nresnet18-made beats cnn-made by " in text
    assert "A: resnet18-made   B: cnn-made" in summary.summary_text(runs[::-1])
    assert "\nresnet18-made beats cnn-made by " in summary.summary_text(runs[::-1])


def test_it_says_which_model_is_a_and_why(runs, text):
    assert "\nA is the model named first, B the one named second.\n\nA: cnn-made   B: resnet18-made\n" in text
    third = summary.summary_text([*runs, made_run(10, 500, 0.5, model="vit")])
    assert "\nA is the model named first, B the one named second; the other models are not compared.\n" in third


def test_two_seeds_of_one_model_are_compared_the_one_named_first_is_a(runs):
    for a, b in (runs[1:3], runs[2:0:-1]):
        text = summary.summary_text([a, b])
        assert f"\nTwo seeds of one model: A is the run named first.\n\nA: {a.name}   B: {b.name}\n" in text
        assert f"{b.name} (B) correctly classifies {b.correct.mean():.2%} of" in text
        assert summary.summary_text([a, b]).count("Each model, mean over its seeds") == 1
    assert "\nA: " not in summary.summary_text(runs[:3])  # of three, which two?


def test_every_run_is_listed_in_the_order_of_its_seed(runs, text):
    rows = lines_under(text, "Each run")[1:]
    assert [row.split()[0] for row in rows] == [
        "cnn-made-0",
        "cnn-made-1",
        "cnn-made-2",
        "resnet18-made-0",
        "resnet18-made-1",
    ]
    assert f"{runs[1].correct.mean():.4f}" in rows[0]


def test_presets_get_a_column_each():
    runs = [
        of_cifar100(made_run(100, 200, 0.5, model=model, preset=preset))
        for model in ("cnn", "resnet18")
        for preset in ("quick", "best")
    ]
    assert "all runs (4)" in summary.summary_text(runs) and "runs of preset best (2)" in summary.summary_text(runs)


def test_one_model_alone_is_summarised():
    text = summary.summary_text([made_run(10, 200)])
    assert (
        "Runs: 1, of 1 model." in text
        and "A: " not in text
        and "±" not in lines_under(text, "Each model, mean over its seeds")[1]
    )


def test_a_run_of_nothing_but_scores_is_summarised():
    run = made_run(10, 200, val=False, maps=False, history=False, neighbors=False, superclasses=False)
    run.meta.clear()
    text = summary.summary_text([run])
    assert "not recorded" in text and "nan" not in text


def test_no_run_or_one_twice_is_refused(runs):
    with pytest.raises(CifarcoreError, match="no run file is named"):
        summary.summary_text([])
    with pytest.raises(CifarcoreError, match="seed 0 of cnn-made is named twice"):
        summary.summary_text([runs[1], runs[1]])


def test_write_summary_returns_what_it_wrote(runs, text, tmp_path):
    assert summary.write_summary(runs, tmp_path / "new" / "summary.txt") == text
    assert (tmp_path / "new" / "summary.txt").read_text() == text


def test_results_table_is_markdown(runs, others):
    for given, beside in ((runs, True), (others, False)):
        lines = summary.results_table(given).splitlines()
        assert len({line.count("|") for line in lines}) == 1 and len(lines) == 4 + beside
        assert lines[0].startswith("| Model | Seeds | Accuracy | Macro-F1 | Macro-AUC |")
        assert ("0.5803 ± 0.0317" in lines[-1]) == beside


def test_numbers_of_different_images_are_said_not_to_be_comparable(runs):
    part = np.arange(runs[0].n_images - 2)
    for shown in (summary.results_table, summary.summary_text):
        assert "Not comparable" not in shown(runs)
        said = shown([*runs[:-1], runs[-1].take(part)])
        assert f"these differ ({runs[0].n_images:,}, {len(part):,} images)" in said
        others = replace(runs[-1], sample_ids=runs[-1].sample_ids + np.uint64(1))  # as many
        assert "Not comparable" in summary.results_table([*runs[:-1], others])


def test_other_data_sets_are_shown_as_theirs(runs, others):
    """No figure of the report beside them, nor beside runs of which some are of other images."""
    birds = [replace(run, meta=run.meta | {"dataset": {"name": "birds", "fingerprint": "0a1b"}}) for run in others]
    for given in (birds, [*runs, *birds]):
        text = summary.summary_text(given)
        assert "report" not in text and not any(number in text for number in ("0.5803", "0.5779", "0.9776"))
    actual = fingerprint(birds[0].sample_ids, birds[0].labels)
    assert f"Test images: 800 of birds (fingerprint {actual})" in summary.summary_text(birds)
    for dataset, shown in (
        ({"name": "", "fingerprint": "0a1b"}, f"800 of an unnamed data set (fingerprint {actual})"),
        ({"name": "birds"}, f"800 of birds (fingerprint {actual})"),
        ({}, f"800 of an unnamed data set (fingerprint {actual})"),
        ({"name": "two\nlines"}, f"800 of two lines (fingerprint {actual})"),
    ):
        nameless = [replace(run, meta=run.meta | {"dataset": dataset}) for run in others]
        assert f"Test images: {shown}\n" in summary.summary_text(nameless)
        table = run_table(nameless, nameless[:1], nameless[1:])
        assert (
            table["Data"][0]
            == shown.replace("800 of an unnamed data set", "unnamed").split(" (")[0].removeprefix("800 of ")
            + ", 800 images"
        )


def test_a_readme_keeps_the_ends_of_its_lines(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_bytes(b"# before\r\n<!-- results: made by a command -->\r\n<!-- /results -->\r\nafter\r\n")
    summary.update_readme(runs, readme)
    content = readme.read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") > 8 and content.endswith(b"after\r\n")
    readme.write_bytes(b"\xff\xfe#\0")
    with pytest.raises(CifarcoreError, match="no UTF-8.*name the README"):
        summary.update_readme(runs, readme)


def test_readme_is_changed_between_its_markers_only(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("# before\n<!-- results: made by a command -->\nold\n<!-- /results -->\nafter\n")
    summary.update_readme(runs, readme)
    summary.update_readme(runs, readme)
    text = readme.read_text()
    assert text.startswith("# before\n<!-- results: made by a command -->\n") and text.endswith(
        "<!-- /results -->\nafter\n"
    )
    assert "old" not in text and text.count(summary.results_table(runs)) == 1
    readme.write_text("no markers")
    with pytest.raises(CifarcoreError, match="no results table"):
        summary.update_readme(runs, readme)
    with pytest.raises(CifarcoreError, match="cannot be read"):
        summary.update_readme(runs, tmp_path / "none.md")


def test_models_that_only_share_a_name_are_not_each_others_seeds(tmp_path):
    trained = [made_run(seed=seed, model="cnn", preset="quick") for seed in (0, 1)]
    another = made_run(seed=2, model="cnn-quick", preset="")
    imported = replace(made_run(seed=3), meta={"model": "cnn", "preset": "quick", "seed": 3, "imported": {}})
    retrained = replace(made_run(seed=4), meta={"model": "cnn", "preset": "quick", "seed": 4, "parent": {"name": "x"}})
    nameless = replace(made_run(seed=5), meta={"seed": 5}, path=tmp_path / "cnn-quick.npz")
    groups = summary.grouped([*trained, another, imported, retrained, nameless])
    assert [[run.meta["seed"] for run in runs] for runs in groups.values()] == [[0, 1], [2], [3], [4], [5]]
    assert list(groups)[0] == "cnn-quick" and len(set(groups)) == 5
    assert summary.run_numbers([*trained, another])["group"].tolist() == ["cnn-quick", "cnn-quick", list(groups)[1]]


def test_the_reports_numbers_stand_beside_cifar_100_alone(runs):
    others = [made_run(10, 200, 0.5, model=model) for model in ("vit", "swin")]
    text = summary.summary_text(others)
    assert "the report" not in text and "0.5803" not in text
    for mixed in (others, [*runs, *others]):
        assert "the report" not in summary.results_table(mixed)
    assert "0.5803" in summary.summary_text(runs) and "the report" in summary.results_table(runs)


def test_a_data_set_without_a_name_is_called_so():
    run = made_run(10, 200)
    unnamed = replace(run, meta=run.meta | {"dataset": {"name": "", "fingerprint": "f" * 32}})
    assert "Test images: 200 of an unnamed data set (fingerprint " in summary.summary_text([unnamed])


def test_nothing_that_a_file_says_is_markup_in_the_readme_or_steers_a_terminal(tmp_path):
    """Meta may hold anything; in tables it is one line of text."""
    says = "\x1b]0;owned\x07 <img src=x> ![p](http://evil.example/p.png)\n\n# Heading\n<!-- /results -->\n| x | "
    says += "`c` www.evil"
    runs = [
        replace(run, meta=run.meta | {"device": says, "initialised_from": says, "preset": says[:40]})
        for run in (made_run(model=model) for model in ("cnn", "resnet18"))
    ]
    readme = tmp_path / "README.md"
    readme.write_text("# Mine\n<!-- results: -->\n<!-- /results -->\nend\n")
    for _ in range(2):  # what was written can be written again
        summary.update_readme(runs, readme)
    table = readme.read_text()
    assert table.count("<!-- ") == 2 and table.count("\n# ") == 0 and "<img" not in table and "\x1b" not in table
    assert "\\!" in table or "!\\[p\\](http://\u2060evil" in table
    assert "\\`c\\`" in table and "\\| x \\|" in table and "www.evil" not in table
    for line in table.splitlines()[3:-3]:
        assert line.startswith("| ") and line.endswith(" |")
    text = summary.write_summary(runs, tmp_path / "summary.txt")
    assert "\x1b" not in text and "\x07" not in text and "\n# Heading" not in text and "\n\n# " not in text
    assert summary.markdown(pd.DataFrame({"p": ["< 0.0001"], "snake_case": ["a_b c − d"]})) == (
        "| p | snake_case |\n| --- | --- |\n| < 0.0001 | a_b c − d |"
    )
