"""The summary and the README's table: laid out from run files, and from nothing else."""

import numpy as np
import pytest
from made import made_run

from cifarcore import CifarcoreError, metrics, summary


@pytest.fixture(scope="module")
def runs():
    return [made_run(20, 800, 0.5, seed, "cnn") for seed in (2, 0, 1)] + [
        made_run(20, 800, 0.6 + seed / 50, seed, "resnet18") for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def text(runs):
    return summary.summary_text(runs)


def lines_under(text, title):
    body = text.split(f"{title}\n{'-' * len(title)}\n")[1]
    return body.split("\n\n")[0].splitlines()


def test_each_model_has_mean_and_sample_deviation_over_its_seeds(runs, text):
    rows = lines_under(text, "Each model, mean over its seeds")
    for group, line in zip((runs[:3], runs[3:]), rows[1:], strict=True):
        assert line.startswith(group[0].group)
        for function in (metrics.accuracy, metrics.macro_f1, metrics.macro_auc):
            values = [function(run) for run in group]
            assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in line
        assert "random weights" in line and "none (made up)" in line


def test_all_runs_together_beside_the_reports_own_numbers(runs, text):
    rows = lines_under(text, "All runs together, beside the report")
    accuracies = [run.correct.mean() for run in runs]
    assert rows[0].split("  ")[1:] and "all runs (5)" in rows[0] and "the report" in rows[0]
    assert f"{np.mean(accuracies):.4f} ± {np.std(accuracies, ddof=1):.4f}" in rows[1]
    for line, own in zip(rows[1:], ("0.5803 ± 0.0317", "0.5779 ± 0.0320", "0.9776 ± 0.0069"), strict=True):
        assert line.endswith(own)


def test_the_first_two_groups_named_are_compared(runs, text):
    assert "A: cnn-made   B: resnet18-made" in text and "\nB is better. " in text
    assert "A: resnet18-made   B: cnn-made" in summary.summary_text(runs[::-1])
    assert "\nA is better. " in summary.summary_text(runs[::-1])


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
        made_run(10, 200, 0.5, model=model, preset=preset)
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
    assert "not said" in text and "nan" not in text


def test_no_run_or_one_twice_is_refused(runs):
    with pytest.raises(CifarcoreError, match="no run file is named"):
        summary.summary_text([])
    with pytest.raises(CifarcoreError, match="seed 0 of cnn-made is named twice"):
        summary.summary_text([runs[1], runs[1]])


def test_write_summary_returns_what_it_wrote(runs, text, tmp_path):
    assert summary.write_summary(runs, tmp_path / "new" / "summary.txt") == text
    assert (tmp_path / "new" / "summary.txt").read_text() == text


def test_results_table_is_markdown(runs):
    lines = summary.results_table(runs).splitlines()
    assert len(lines) == 5 and len({line.count("|") for line in lines}) == 1
    assert lines[0].startswith("| Model | Seeds | Accuracy | Macro-F1 | Macro-AUC |")
    assert "0.5803 ± 0.0317" in lines[-1]


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
