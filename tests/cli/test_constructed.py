"""`cifarcore compare` on files whose right answer is known: numbers as NumPy counts them, or a line that says why."""

import json
import warnings
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from sklearn.metrics import f1_score
from typer.testing import CliRunner

import cifarcore
from cifarcore.cli.main import app
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import load_run, save_run


def probabilities(labels, n_classes, skill, seed=0):
    scores = np.random.default_rng([seed, int(10 * skill)]).standard_normal((len(labels), n_classes))
    scores[np.arange(len(labels)), labels] += skill
    return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def written(folder, name, scores, labels, n_classes=10, first_id=1, **options):
    run = cifarcore.Run.from_predictions(
        scores, labels, class_names=[f"c{c}" for c in range(n_classes)],
        sample_ids=list(range(first_id, first_id + len(labels))), **{"model": name} | options,
    )  # fmt: skip
    return save_run(run, folder / f"{name}-{options.get('seed', 0)}.npz")


def constructed(folder):
    """Pairs of files, by what is odd about them."""
    two, ten, each = np.arange(200) % 2, np.arange(400) % 10, np.arange(30)
    constant = np.tile(np.r_[0.55, np.full(9, 0.05)], (400, 1))
    one_hot = np.eye(10)[np.where(np.arange(400) % 7, ten, (ten + 1) % 10)]
    good, fair = probabilities(ten, 10, 3), probabilities(ten, 10, 2)
    several = [written(folder, "three", probabilities(ten, 10, 2.5, seed), ten, seed=seed) for seed in range(3)]
    return {
        "two classes": [written(folder, f"two{skill}", probabilities(two, 2, skill), two, 2) for skill in (1, 2)],
        "an image a class": [written(folder, f"one{s}", probabilities(each, 30, s), each, 30) for s in (2, 4)],
        "constant": [written(folder, "constant", constant, ten), written(folder, "good", good, ten)],
        "one-hot": [written(folder, "onehot", one_hot, ten), written(folder, "good", good, ten)],
        "predicted classes": [written(folder, "hard", one_hot.argmax(axis=1), ten), written(folder, "fair", fair, ten)],
        "rounded": [written(folder, "digits3", good.round(3), ten), written(folder, "digits2", fair.round(2), ten)],
        "one seed and three": [written(folder, "good", good, ten), *several],
        "shared in part": [
            written(folder, "begin", good[:300], ten[:300]), written(folder, "end", fair[100:], ten[100:], first_id=101)
        ],
        "one shared image": [
            written(folder, "until", good[:200], ten[:200]),
            written(folder, "from", fair[199:], ten[199:], first_id=200),
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return constructed(tmp_path_factory.mktemp("runs"))


def compared(*arguments):
    """What the command prints, and its exit status; nothing may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        result = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    return result.output, result.exit_code


CASES = (
    "two classes", "an image a class", "constant", "one-hot", "predicted classes", "rounded", "one seed and three",
    "shared in part", "one shared image",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_numbers_are_those_of_numpy(files, tmp_path, case):
    printed, status = compared(*files[case], "--json", tmp_path / "result.json")
    assert status == 0
    a, *others = map(load_run, files[case])
    shared = np.intersect1d(a.sample_ids, others[0].sample_ids)
    sides = [[run.take(np.flatnonzero(np.isin(run.sample_ids, shared))) for run in side] for side in ([a], others)]
    rows = {row["metric"]: row for row in json.loads((tmp_path / "result.json").read_text())["metrics"]}
    for letter, side in zip("ab", sides, strict=True):
        accuracies = [(run.logits.astype(float).argmax(axis=1) == run.labels).mean() for run in side]
        assert rows["accuracy"][letter] == pytest.approx(np.mean(accuracies))
        present = np.unique(side[0].labels)
        f1 = [f1_score(run.labels, run.logits.argmax(axis=1), labels=present, average="macro") for run in side]
        assert rows["macro_f1"][letter] == pytest.approx(np.mean(f1))
    row = rows["accuracy"]
    assert row["low"] <= row["difference"] <= row["high"] and row["low"] < row["high"] and 0 < row["p"] <= 1
    assert f"of {len(shared)} image{'s' if len(shared) > 1 else ''} and" in printed
    if case in ("one-hot", "predicted classes"):
        assert rows["macro_auc"]["a"] is None and "Not available" in printed
    if case == "constant":
        assert rows["macro_auc"]["a"] == pytest.approx(0.5)
    if case == "one shared image":
        assert "Only the 1 image that all runs share is compared" in printed


@pytest.mark.parametrize("case", CASES)
def test_a_gate_judges_what_there_is_and_says_why_of_the_rest(files, tmp_path, case):
    requirements = ("accuracy >= -1e2", "macro_f1 >= -1e3", "macro_auc >= -1e3", "log_loss <= 99", "recall[c1] >= -1e3")
    flags = [part for text in requirements for part in ("--require", text)]
    printed, status = compared(*files[case], *flags, "--junit", tmp_path / "gate.xml", "--json", tmp_path / "gate.json")
    lines = [line for line in printed.splitlines() if line.startswith(("met: ", "NOT met: "))]
    judged = json.loads((tmp_path / "gate.json").read_text())
    cases = list(ElementTree.parse(tmp_path / "gate.xml").iter("testcase"))
    assert len(lines) == len(cases) == len(judged["requirements"]) == len(requirements)
    for line, outcome, reported in zip(lines, judged["requirements"], cases, strict=True):
        without = "no CI: " in line
        assert line.startswith("NOT met: " if without else "met: ") and outcome["met"] == (not without)
        assert (reported.find("failure") is not None) == without
        assert "unknown points" not in line and "nan" not in line
        assert not line.endswith("no CI: "), "a reason"
    assert lines[0].startswith("met: accuracy") and status == (3 if any("no CI: " in line for line in lines) else 0)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("the same file", "named twice"),
        ("the same scores as another seed", "one and the same run, not two seeds"),
        ("no image in common", "share no test image"),
        ("one file", "compares two models"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(files, tmp_path, case, said):
    good = files["constant"][1]
    labels = load_run(good).labels
    copy = written(tmp_path, "good", probabilities(labels, 10, 3), labels, seed=1)
    given = {
        "the same file": [good, good],
        "the same scores as another seed": [good, copy, files["constant"][0]],
        "no image in common": [good, written(tmp_path, "far", probabilities(labels, 10, 2), labels, first_id=9000)],
        "one file": [good],
    }[case]
    for more in (["--json", tmp_path / "result.json"], ["--require", "accuracy >= 0"]):
        with pytest.raises(CifarcoreError, match=said) as refusal:
            compared(*given, *more)
        assert "\n" not in str(refusal.value) and not (tmp_path / "result.json").exists()


def test_the_same_scores_under_two_names_differ_in_nothing(files, tmp_path):
    good = files["constant"][1]
    labels = load_run(good).labels
    printed, status = compared(good, written(tmp_path, "other", probabilities(labels, 10, 3), labels))
    assert status == 0 and "No significant difference in accuracy between good and other" in printed
    assert "good-0: the same scores are in A and in B." in printed
