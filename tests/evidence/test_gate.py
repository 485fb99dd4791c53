"""The gate: what requirements say, whether they are met as their intervals tell, and how the command reports it."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from made import made_run
from scipy import stats

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison, gate, shares
from cifarcore.reports import gate as report
from cifarcore.runs.run import save_run

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.7)
SEEDS_A = [made_run(accuracy=0.6, seed=s) for s in range(2)]
SEEDS_B = [made_run(model="resnet18", accuracy=0.7, seed=s) for s in range(2)]


def judged(text, a=(A,), b=(B,)):
    (outcome,) = gate.check([gate.requirement(text)], a, b)
    return outcome


@pytest.mark.parametrize(
    ("text", "metric", "name", "sign", "bound"),
    [
        ("accuracy >= -0.5", "accuracy", "", ">=", -0.5),
        ("recall[aquarium_fish]>=0", "recall", "aquarium_fish", ">=", 0),
        (" Log_Loss <= 1e-2 ", "log_loss", "", "<=", 0.01),
        ("superclass_accuracy[large [x]] >= .5", "superclass_accuracy", "large [x]", ">=", 0.5),
    ],
)
def test_requirements_are_read(text, metric, name, sign, bound):
    found = gate.requirement(text)
    assert (found.metric, found.name, found.sign, found.bound) == (metric, name, sign, bound)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accuracy",
        "accuracy > 0",
        "speed >= 1",
        "recall >= 0",
        "accuracy[otter] >= 0",
        "accuracy >= x",
        "accuracy >= -1e400",
        "accuracy <= 1e400",
    ],
)
def test_what_is_no_requirement_is_refused(text):
    with pytest.raises(gate.RequirementError):
        gate.requirement(text)


def outcome(metric, difference, low, high, why="", met=True, name="", sign=">="):
    text = f"{metric}{f'[{name}]' if name else ''} {sign} -1"
    return gate.Outcome(gate.Requirement(text, metric, name, sign, -1.0), met, difference, low, high, why)


def test_an_outcome_in_a_line():
    points = outcome("accuracy", 0.2, -0.311, 0.7)
    assert points.line == "met: accuracy >= -1: B − A +0.20 points, 95% CI −0.31 to +0.70" and points.unit == " points"
    for metric in ("brier", "log_loss"):
        own = outcome(metric, -0.01234, -0.02, 0.03, met=False, sign="<=")
        assert own.line == f"NOT met: {metric} <= -1: B − A −0.0123, 95% CI −0.0200 to +0.0300" and own.unit == ""
    for low, high in ((np.nan, np.nan), (-0.1, np.nan), (np.nan, 0.1), (-np.inf, 0.1)):
        unknown = outcome("f1", np.nan, low, high, "too few", met=False, name="cat")
        assert unknown.line == "NOT met: f1[cat] >= -1: B − A unknown, no CI: too few"


@pytest.mark.parametrize("n_a", [1, 3])
def test_sides_of_unequal_numbers_of_seeds_are_kept_apart(n_a):
    seeds = [*SEEDS_A, *SEEDS_B]
    a, b = seeds[:n_a], seeds[n_a:]
    table = comparison.compare(a, b)
    assert judged("macro_f1 >= 0", a, b).difference == pytest.approx(100 * table.metrics.loc["macro_f1", "difference"])
    share = shares.accuracy_difference(seeds, n_a)
    found = judged("accuracy <= 100", a, b)
    assert (found.difference, found.low, found.high) == pytest.approx(
        (100 * share.difference, 100 * share.low, 100 * share.high)
    )
    row = table.class_table.iloc[3]
    for metric in ("f1", "auc"):
        found = judged(f"{metric}[{row['name']}] >= 0", a, b)
        assert (found.difference, found.low, found.high) == pytest.approx(
            tuple(100 * row[f"{metric}_{part}"] for part in ("difference", "low", "high"))
        )
        assert found.met == (found.low >= 0) and found.why == ""


def test_requirements_that_are_none_name_what_there_is():
    for text, said in (
        ("speed >= 1", "'speed >= 1': there is no metric 'speed' here; choose one of accuracy, top5, "
                       "superclass_accuracy, macro_f1, macro_auc, brier, log_loss, recall[CLASS], f1[CLASS], "
                       "auc[CLASS]"),
        ("accuracy[otter] >= 0", "'accuracy[otter] >= 0': there is no metric 'accuracy' here; choose one of "
                                 "recall[NAME], f1[NAME], auc[NAME], superclass_accuracy[NAME]"),
        ("accuracy", "'accuracy' is not a requirement; write METRIC >= POINTS, such as “accuracy >= -0.5”"),
    ):  # fmt: skip
        with pytest.raises(gate.RequirementError) as caught:
            gate.requirement(text)
        assert str(caught.value) == said
    assert gate.requirement("  accuracy <= +.5e1 ") == gate.Requirement("accuracy <= +.5e1", "accuracy", "", "<=", 5.0)


def test_of_classes_that_differ_in_capitals_the_one_named_is_judged():
    names = np.array(["cat", "Cat", *A.class_names[2:]])
    a, b = (replace(run, class_names=names) for run in (A, B))
    for index, name in enumerate(("cat", "Cat")):
        rows = A.labels == index
        found = judged(f"recall[{name}] >= 0", (a,), (b,))
        assert found.difference == pytest.approx(100 * (B.correct[rows].mean() - A.correct[rows].mean()))
    with pytest.raises(gate.RequirementError, match="'cat' and 'Cat' are both called so; write the name as it is"):
        judged("recall[CAT] >= 0", (a,), (b,))


def test_classes_are_found_by_name_and_superclasses_count_their_own_images():
    for index in (0, 9):
        name = str(A.class_names[index])
        rows = A.labels == index
        found = judged(f"recall[{name.replace('_', ' ').upper()}] >= 0")
        assert found.difference == pytest.approx(100 * (B.correct[rows].mean() - A.correct[rows].mean()))
    with pytest.raises(gate.RequirementError) as caught:
        judged("recall[unicorn] >= 0")
    first = str(A.class_names[0]).replace("_", " ")
    assert str(caught.value) == f"'recall[unicorn] >= 0': there is no class 'unicorn' here, but such as {first!r}"
    few = [made_run(5, 200, model=model, superclasses=False) for model in ("cnn", "vit")]
    for text, lacking in (("top5 >= 0", "more than five classes"), ("superclass_accuracy >= 0", "superclasses")):
        with pytest.raises(gate.RequirementError) as caught:
            judged(text, few[:1], few[1:])
        assert str(caught.value) == f"{text!r}: the runs have no {lacking}; leave it out"


@pytest.mark.parametrize(("a", "b"), [((A,), (B,)), (SEEDS_A, SEEDS_B)])
def test_a_bound_just_inside_the_interval_is_not_met_and_one_just_outside_is(a, b):
    share = shares.accuracy_difference([*a, *b], len(a))
    assert judged(f"accuracy >= {100 * share.low - 0.01}", a, b).met
    assert not judged(f"accuracy >= {100 * share.low + 0.01}", a, b).met
    assert judged(f"accuracy <= {100 * share.high + 0.01}", a, b).met
    assert not judged(f"accuracy <= {100 * share.high - 0.01}", a, b).met


def test_the_numbers_are_those_of_the_comparison():
    table = comparison.compare([A], [B])
    for name, scale in (("macro_f1", 100), ("macro_auc", 100), ("log_loss", 1), ("brier", 1)):
        found, row = judged(f"{name} >= 0"), table.metrics.loc[name]
        assert (found.difference, found.low, found.high) == pytest.approx(
            (scale * row["difference"], scale * row["low"], scale * row["high"])
        )
    row = table.class_table.iloc[0]
    name = row["name"]
    assert judged(f"recall[{name.replace('_', ' ').upper()}] >= 0").difference == pytest.approx(
        100 * row["recall_difference"]
    )
    assert judged(f"f1[{name}] >= 0").low == pytest.approx(100 * row["f1_low"])
    superclass = str(A.superclass_names[0])
    of = A.superclass_of[A.labels] == 0
    right = [shares.SHARES["superclass_accuracy"](run)[of].mean() for run in (A, B)]
    assert judged(f"superclass_accuracy[{superclass}] >= 0").difference == pytest.approx(100 * (right[1] - right[0]))


def test_swapping_the_models_mirrors_and_a_copy_is_not_better():
    there, back = judged("accuracy >= 0"), judged("accuracy >= 0", (B,), (A,))
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low)) and there.met and not back.met
    same = judged("accuracy >= 0", (A,), (A,))
    assert same.difference == 0 and not same.met and judged("accuracy >= -1", (A,), (A,)).met


def discordant(only_a, only_b, n=200):
    """Two runs of ten classes, of which so many images are right under one of them alone."""
    base, right = made_run(10, n, 0.6, superclasses=False), np.zeros((2, n), bool)
    right[:, n // 2 :] = True
    right[0, :only_a] = right[1, only_a : only_a + only_b] = True
    given = [np.where(of, base.labels, (base.labels + 1) % 10) for of in right]
    return [replace(base, logits=5 * np.eye(10, dtype=np.float16)[of], digest=f"{of}") for of in given]


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 5), (5, 0), (0, 6), (6, 0), (10, 24), (24, 10), (9, 12)])
def test_of_zero_the_gate_says_what_the_verdict_says(only_a, only_b):
    a, b = discordant(only_a, only_b)
    better = comparison.compare([a], [b]).better
    for text, letter in (("accuracy >= 0", "B"), ("accuracy <= 0", "A")):
        found = judged(text, (a,), (b,))
        assert found.met == (better == letter)
        p = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
        assert found.p == pytest.approx(p) and report.records([found])[0]["p"] == pytest.approx(p)
    assert np.isnan(judged("accuracy >= -0.5", (a,), (b,)).p)


def test_where_test_and_interval_disagree_of_zero_the_line_says_which_decides():
    found = judged("accuracy >= 0", *([run] for run in discordant(0, 5)))
    assert found.low > 0 and not found.met and found.test_disagrees
    assert found.line.startswith("NOT met: accuracy >= 0: B − A +2.50 points, 95% CI +0.")
    assert found.line.endswith("; of zero the test decides, as in the verdict: p = 0.0625")
    for text in ("accuracy >= -1", "accuracy >= 0"):
        assert "test decides" not in judged(text).line


@pytest.mark.parametrize(("a", "b"), [((A,), (B,)), (SEEDS_A, SEEDS_B)])
def test_of_zero_a_class_is_tested_as_on_its_page(a, b):
    table = comparison.compare(a, b).class_table
    for row in table.iloc[[0, 3, 7]].itertuples():
        found = judged(f"recall[{row.name}] >= 0", a, b)
        assert found.p == pytest.approx(row.p) and found.met == (row.p < 0.05 and row.recall_difference > 0)
        assert np.isnan(judged(f"f1[{row.name}] >= 0", a, b).p)


def test_what_has_no_images_is_not_met_and_says_why():
    rows = A.labels != 0
    found = judged(f"recall[{A.class_names[0]}] >= -100", (A.take(rows),), (B.take(rows),))
    assert not found.met and "no image" in found.line
    with pytest.raises(gate.RequirementError, match="no class"):
        judged("recall[unicorn] >= 0")
    plain = made_run(superclasses=False)
    with pytest.raises(gate.RequirementError, match="superclasses"):
        judged("superclass_accuracy >= 0", (plain,), (plain,))


def test_junit_holds_a_case_for_each_and_a_failure_for_what_is_not_met():
    outcomes = gate.check([gate.requirement(t) for t in ("accuracy >= -0.5", "accuracy >= 99")], (A,), (B,))
    root = ElementTree.fromstring(report.junit(outcomes, ("a<b", "b & c\x00")))
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    failures = [case.find("failure") for case in suite.findall("testcase")]
    assert failures[0] is None and "accuracy >= 99" in failures[1].get("message")
    assert [one["met"] for one in report.records(outcomes)] == [True, False]


@pytest.mark.parametrize(("bound", "status"), [("-0.5", 0), ("99", 3)])
def test_the_command_ends_with_status_3_where_one_is_not_met(tmp_path, capsys, monkeypatch, bound, status):
    from cifarcore.cli import main as cli

    paths = [str(save_run(run, tmp_path / f"{run.meta['model']}.npz")) for run in (A, B)]
    monkeypatch.setattr("sys.argv", ["cifarcore", "compare", *paths, "--require", f"accuracy >= {bound}", "--require",
        f"recall[{A.class_names[0]}] >= -100", "--json", str(tmp_path / "g.json"),
        "--junit", str(tmp_path / "g.xml")])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code or 0) == status
    written = json.loads((tmp_path / "g.json").read_text())
    assert written["met"] == (status == 0) and len(written["requirements"]) == 2
    assert ElementTree.parse(tmp_path / "g.xml").getroot().find("testsuite").get("failures") == str(int(status == 3))
    assert not (tmp_path / "compare_summary.txt").exists()
    lines = capsys.readouterr().out
    assert f"accuracy >= {bound}: B − A" in lines and np.isfinite(written["requirements"][0]["low"])


def test_what_a_gate_did_not_judge_is_said_in_all_that_it_writes(tmp_path, capsys, monkeypatch):
    """A candidate that lacks the hard images passes on the others."""
    from cifarcore.cli import main as cli

    easy = B.take(np.flatnonzero(B.correct))
    paths = [str(save_run(run, tmp_path / f"{run.meta['model']}.npz")) for run in (A, easy)]
    monkeypatch.setattr("sys.argv", ["cifarcore", "compare", *paths, "--require", "accuracy >= 0",
        "--json", str(tmp_path / "g.json"), "--junit", str(tmp_path / "g.xml")])  # fmt: skip
    with pytest.raises(SystemExit) as ended:
        cli.main()
    note = f"Only the {easy.n_images} images that all runs share are compared; up to {500 - easy.n_images} of a run are"
    assert not ended.value.code and f"note: {note}" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "g.json").read_text())["notes"][0].startswith(note)
    assert ElementTree.parse(tmp_path / "g.xml").getroot().find("testsuite/system-out").text.startswith(note)
    turned = replace(B, logits=np.roll(B.logits, 1, axis=0), digest="rolled")
    _, notes = gate.check_with_notes([gate.requirement("accuracy >= -1")], [B], [turned])
    assert "hold the same scores for different images" in notes[0]
    own = replace(B, superclass_of=np.arange(10, dtype=np.int16) % 2, superclass_names=np.array(["one", "two"]))
    for text, said in (("accuracy >= 0", 0), ("superclass_accuracy >= 0", 1)):
        assert len(gate.check_with_notes([gate.requirement(text)], [A], [own])[1]) == said


def test_two_files_of_one_model_are_compared_in_the_order_named(tmp_path, capsys, monkeypatch):
    from cifarcore.cli import main as cli

    paths = [str(save_run(run, tmp_path / f"c{i}.npz")) for i, run in enumerate(SEEDS_A)]
    monkeypatch.setattr("sys.argv", ["cifarcore", "compare", *paths[::-1], "--require", "accuracy >= -50"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code and "A: c1   B: c0" in capsys.readouterr().out


def test_a_model_that_was_trained_anew_is_judged_against_itself(tmp_path, capsys, monkeypatch):
    """Production and candidate agree in model, preset and seed: they were refused as one run named twice."""
    from cifarcore.cli import main as cli

    runs = [made_run(accuracy=accuracy) for accuracy in (0.5, 0.7)]
    paths = [str(save_run(run, tmp_path / f"{name}.npz")) for run, name in zip(runs, ("old", "new"), strict=True)]
    for flags in (["--require", "accuracy >= 0"], []):
        monkeypatch.setattr("sys.argv", ["cifarcore", "compare", *paths, *flags])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().out
        assert not ended.value.code and "A: old   B: new" in said
    assert "new beats old by" in said
    third = str(save_run(made_run(accuracy=0.6, seed=1), tmp_path / "third.npz"))
    monkeypatch.setattr("sys.argv", ["cifarcore", "compare", *paths, third])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2 and "seed 0 of cnn-made is named twice (new)" in capsys.readouterr().err


def test_a_run_in_another_order_is_no_second_seed():
    turned = replace(A.take(np.arange(A.n_images)[::-1]), meta=A.meta | {"seed": 7}, digest="turned")
    for a, b in (((A, turned), (B,)), ((B,), (A, turned))):
        with pytest.raises(CifarcoreError, match="one and the same run, not two seeds"):
            judged("accuracy >= -50", a, b)
