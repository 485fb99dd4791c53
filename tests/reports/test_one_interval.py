"""One difference in accuracy has one interval, wherever it stands: each page, file and table asks `shares`."""

import re
from dataclasses import replace

import pytest
from made import made_run

from cifarcore.evidence import findings, gate, groups, ranking, shares
from cifarcore.reports.result import compare
from cifarcore.reports.tables import decisions, overview
from cifarcore.reports.tables.retrained import change_table
from cifarcore.text import interval

ONE = [made_run(10, 700, 0.55)], [made_run(10, 700, 0.62, model="resnet18")]
SEVERAL = [[made_run(10, 700, a, seed, m) for seed in range(2)] for m, a in (("cnn", 0.55), ("resnet18", 0.62))]


@pytest.mark.parametrize(("a", "b"), [ONE, SEVERAL], ids=["one run each", "several"])
def test_one_interval_everywhere(a, b):
    result, runs, n_a = compare(a, b), [*a, *b], len(a)
    share = shares.accuracy_difference(runs, n_a)
    expected = share.low, share.high
    points = interval(100 * share.low, 100 * share.high, "+.2f")
    row = result.metrics.loc["accuracy"]
    assert (row["low"], row["high"]) == expected
    assert f"95% CI {points}" in result.sentence
    shown = overview.metric_table(result.sides, result.comparison).set_index("Metric").loc["Accuracy"]
    assert shown["95% CI of B − A"] == interval(*expected, "+.4f")
    written = result.to_dict()
    metric = next(each for each in written["metrics"] if each["metric"] == "accuracy")
    for each in (metric, written["decisions"]["equivalence"], ranking.against(a, b)):
        assert (each["low"], each["high"]) == expected
    page = re.sub(r"<style>.*?</style>|<[^>]+>", " ", result.html())
    assert page.count(points) >= 2  # headline and "good enough"
    assert interval(*expected, "+.4f") in page
    assert points in decisions.equivalence_text(decisions.equivalence.judged(share), result.names)
    pairs = groups.all_pairs({"a": a, "b": b}).iloc[0]
    assert (pairs["low"], pairs["high"]) == expected
    (outcome,) = gate.check([gate.requirement("accuracy >= 0")], a, b)
    assert (outcome.low, outcome.high) == pytest.approx((100 * share.low, 100 * share.high))
    started = [
        [replace(run, meta=run.meta | {"initialised_from": how}) for run in side]
        for side, how in ((a, "random"), (b, "imagenet"))
    ]
    rows = findings.findings(*started)
    row = rows[rows["measure"] == "B − A in accuracy, all images"].iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(expected)
    if n_a == 1:
        row = change_table(a[0], b[0], ()).set_index("measure").loc["Accuracy"]
        assert (row["low"], row["high"], row["p"]) == (*expected, share.p)


@pytest.mark.parametrize(("a", "b"), [ONE, SEVERAL], ids=["one run each", "several"])
def test_a_class_has_one_interval_of_recall(a, b):
    table = compare(a, b).classes
    for c in (0, 4):
        name = table.loc[c, "name"]
        (outcome,) = gate.check([gate.requirement(f"recall[{name}] >= 0")], a, b)
        found = 100 * table.loc[c, ["recall_low", "recall_high"]].astype(float)
        assert (outcome.low, outcome.high) == pytest.approx(tuple(found))


def test_macro_f1_has_one_interval_after_a_retraining_and_in_the_comparison():
    (a,), (b,) = ONE
    row = change_table(a, b, ()).set_index("measure").loc["Macro-F1"]
    found = compare(a, b).metrics.loc["macro_f1"]
    assert row[["low", "high", "p"]].tolist() == pytest.approx(found[["low", "high", "p"]].tolist())
