"""The rows and words of the summary, one by one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run
from statsmodels.stats.proportion import proportion_confint

from cifarcore.data import ids as data
from cifarcore.evidence import comparison
from cifarcore.reports import summary
from cifarcore.reports.markers import put_between_markers
from cifarcore.text import counted


@pytest.fixture(scope="module")
def runs():
    return [made_run(20, 800, 0.5, seed, "cnn") for seed in (0, 1, 2)] + [
        made_run(20, 800, 0.6 + seed / 50, seed, "resnet18") for seed in (0, 1)
    ]


def lines_under(text, title):
    body = text.split(f"{title}\n{'-' * len(title)}\n")[1]
    return body.split("\n\n")[0].splitlines()


def test_each_run_has_wilsons_interval_and_what_is_known_of_duplicates():
    ids = np.random.default_rng(0).integers(2**63, size=(400, 5)).astype(np.uint64)
    run = made_run(10, 400)
    ids[:40, 2] = run.sample_ids[:40]
    known = replace(run, train_neighbor_ids=ids, digest="known")
    bare = made_run(10, 400, seed=1, neighbors=False)
    rows = lines_under(summary.summary_text([known, bare]), "Each run")
    low, high = proportion_confint(known.correct.sum(), 400, method="wilson")
    assert f"{known.correct.mean():.4f}    {low:.4f} to {high:.4f}" in rows[1]
    assert f"  {known.correct[40:].mean():.4f}  " in rows[1] and "  -  " in rows[2]
    assert "Accuracy without duplicates" in rows[0]
    assert "without duplicates" not in summary.summary_text([bare])


def test_facts_of_a_group_are_listed_once():
    runs = [made_run(10, 200, seed=seed) for seed in (0, 1, 2)]
    odd = replace(runs[2], meta=runs[2].meta | {"device": "a GPU", "train_seconds": 400.0}, history={})
    (line,) = lines_under(summary.summary_text([*runs[:2], odd]), "Each model, mean over its seeds")[1:]
    assert line.endswith("random weights    8, not recorded  4.0      none (made up), a GPU")
    unknown = replace(runs[2], meta=runs[2].meta | {"train_seconds": None})
    (line,) = lines_under(summary.summary_text([*runs[:2], unknown]), "Each model, mean over its seeds")[1:]
    assert "8       not recorded  none (made up)" in line


def test_the_test_sets_are_named_once():
    """By the images that the runs hold: what is said of all of them is also said where a part was taken."""
    one, other = made_run(10, 1200), replace(made_run(10, 1200, seed=1), meta={"seed": 1, "model": "x"})
    text = summary.summary_text([one, one_more := made_run(10, 1200, seed=2), other])
    fingerprint = one.meta["dataset"]["fingerprint"]
    assert fingerprint == one_more.meta["dataset"]["fingerprint"]
    assert text.startswith("Runs: 3, of 2 models. ")
    assert f"Test images: 1,200 of made-up images (fingerprint {fingerprint}); 1,200 of an unnamed data set " in text
    part = one.take(np.arange(600))
    text = summary.summary_text([part])
    assert f"Test images: 600 of made-up images (fingerprint {data.fingerprint(part.sample_ids, part.labels)})" in text
    assert fingerprint not in text


def test_classes_in_the_order_of_their_change(runs):
    result = comparison.compare(runs[:3], runs[3:])
    lines = summary.comparison_text("a", "b", result).splitlines()
    assert lines[:2] == ["A: a   B: b", "-----------"]
    for claim in ("improved", "declined"):
        table = result.class_table[result.class_table["claim"] == claim]
        table = table.reindex(table["recall_difference"].abs().sort_values(ascending=False, kind="stable").index)
        names = ", ".join(
            f"{name.replace('_', ' ')} {gain:+.2f}"
            for name, gain in zip(table["name"], table["recall_difference"], strict=True)
        )
        assert f"Recall {claim} ({counted(len(table), 'class', 'classes')}): {names or 'none'}" in lines
    row = result.metrics.loc["macro_f1"]
    (line,) = (line for line in lines if line.startswith("Macro-F1 "))
    assert line.split()[1:7] == [
        f"{row['a']:.4f}", f"{row['b']:.4f}", f"{row['difference']:+.4f}", f"{row['low']:+.4f}", "to",
        f"{row['high']:+.4f}",
    ]  # fmt: skip


def test_two_pairs_of_markers_are_no_place(tmp_path):
    readme = tmp_path / "x.md"
    pair = "<!-- t: x -->\nold\n<!-- /t -->\n"
    readme.write_text(pair * 2)
    assert not put_between_markers(readme, "t", "new") and readme.read_text() == pair * 2
    readme.write_text(pair)
    assert put_between_markers(readme, "t", "new \\1")
    assert readme.read_text() == "<!-- t: x -->\n\nnew \\1\n\n<!-- /t -->\n"


def test_tables_are_laid_out_two_blanks_apart():
    table = pd.DataFrame({"a": ["x", "long"], "bb": [1, 22], "c": ["", "|"]})
    assert summary._text(table) == "a     bb  c\nx     1\nlong  22  |"
    assert summary.markdown(table).splitlines()[3] == "| long | 22 | \\| |"
    assert summary.all_of(["x", "y", "x"]) == "x, y"
