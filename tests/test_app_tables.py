"""The pages' tables against scikit-learn and plain NumPy on the same runs."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

from cifarcore import comparison, disagreement
from cifarcore.app import confusion_tables, tables
from cifarcore.app.images import Pictures
from cifarcore.app.state import Side, View

C = 10
RUNS = {
    letter: tuple(made_run(C, 500, accuracy, seed, model) for seed in (0, 1))
    for letter, model, accuracy in (("A", "cnn", 0.5), ("B", "resnet18", 0.7))
}
LABELS = RUNS["A"][0].labels


@pytest.fixture
def view(tmp_path):
    a, b = (Side(letter, letter, runs) for letter, runs in RUNS.items())
    return View(a, b, 0, 0, Pictures(tmp_path, None, "none"), np.arange(C), "A and B", "f1", tmp_path)


@pytest.fixture(scope="module")
def result():
    return comparison.compare(*RUNS.values())


def answers(letter):
    return [run.logits.argmax(axis=1) for run in RUNS[letter]]


def mean_matrix(letter):
    return np.mean([confusion_matrix(LABELS, answer, labels=range(C)) for answer in answers(letter)], axis=0)


def softmax(run):
    powers = np.exp(run.logits.astype(np.float64) - run.logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


SKLEARN = {
    "f1": lambda run: f1_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "precision": lambda run: precision_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "recall": lambda run: recall_score(LABELS, run.logits.argmax(1), average=None, labels=range(C)),
    "auc": lambda run: np.array([roc_auc_score(LABELS == c, softmax(run)[:, c]) for c in range(C)]),
}


@pytest.mark.parametrize("metric", SKLEARN)
def test_class_frame_is_the_mean_of_per_seed_numbers(view, result, metric):
    order = np.array([3, 1, 7])
    frame = tables.class_frame(replace(view, classes=order), result, metric)
    a, b = (np.mean([SKLEARN[metric](run) for run in RUNS[letter]], axis=0)[order] for letter in "AB")
    assert frame["class"].tolist() == RUNS["A"][0].class_names[order].tolist()
    np.testing.assert_allclose(frame["a"], a, atol=1e-6)
    np.testing.assert_allclose(frame["b"], b, atol=1e-6)
    np.testing.assert_allclose(frame["difference"], b - a, atol=1e-6)


def test_metric_table_has_the_mean_and_standard_deviation_over_seeds(view, result):
    table = tables.metric_table(view, result).set_index("Metric")
    for letter in "AB":
        values = [f1_score(LABELS, answer, average="macro") for answer in answers(letter)]
        assert table.loc["Macro-F1", letter] == f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        values = [np.mean(answer == LABELS) for answer in answers(letter)]
        assert table.loc["Accuracy", letter].startswith(f"{np.mean(values):.4f}")


def test_split_frame_counts_each_image_once():
    right_a, right_b = (answers(letter)[0] == LABELS for letter in "AB")
    groups = disagreement.four_way(replace_pair())
    frame = disagreement.split_frame(groups).set_index("group")
    assert frame.loc["only A", "images"] == (right_a & ~right_b).sum()
    assert frame.loc["only B", "images"] == (~right_a & right_b).sum()
    assert frame.loc["both right", "images"] == (right_a & right_b).sum()
    assert frame["images"].sum() == len(LABELS)
    assert frame["share"].sum() == pytest.approx(1)


def replace_pair():
    from cifarcore.runs import AlignedPair

    return AlignedPair(RUNS["A"][0], RUNS["B"][0], 0, 0)


@pytest.mark.parametrize("show", ["A", "B", "B − A"])
@pytest.mark.parametrize("errors_only", [True, False])
def test_confusion_frame(view, result, show, errors_only):
    rows, columns = np.array([2, 5, 1]), np.array([1, 2, 8, 9])
    frame = confusion_tables.confusion_frame(view, result, show, rows, columns, errors_only)
    a, b = (mean_matrix(letter) for letter in "AB")
    value = {"A": a, "B": b, "B − A": b - a}[show]
    names = RUNS["A"][0].class_names
    expected = {
        (names[t], names[p]): value[t, p]
        for t in rows
        for p in columns
        if (a[t, p] or b[t, p]) and not (errors_only and t == p)
    }
    assert {(row.true, row.predicted): row.value for row in frame.itertuples()} == pytest.approx(expected)


@pytest.mark.parametrize("errors_only", [True, False])
def test_superclass_frame_folds_the_class_matrix(view, result, errors_only):
    frame = confusion_tables.superclass_frame(view, result, "A", errors_only)
    run = RUNS["A"][0]
    expected = np.zeros((len(run.superclass_names),) * 2)
    for answer in answers("A"):
        for label, given in zip(LABELS, answer, strict=True):
            if not (errors_only and label == given):
                expected[run.superclass_of[label], run.superclass_of[given]] += 0.5
    names = run.superclass_names.tolist()
    for row in frame.itertuples():
        assert row.value == pytest.approx(expected[names.index(row.true), names.index(row.predicted)])
    assert frame["value"].sum() == pytest.approx(expected.sum())


def test_unclaimed_differences_are_muted_and_claims_are_comparisons(view, result):
    everything = np.arange(C)
    frame = confusion_tables.confusion_frame(view, result, "B − A", everything, everything, True)
    names = RUNS["A"][0].class_names
    claimed = {(names[c.true], names[c.predicted]): c.claim for c in result.cells.itertuples() if c.claim}
    shown = {(row.true, row.predicted): row.claim for row in frame.itertuples() if not row.muted}
    assert shown == claimed
    # with right answers, those of a class are claimed as its recall is
    frame = confusion_tables.confusion_frame(view, result, "B − A", everything, everything, False)
    diagonal = {row.true: row.claim for row in frame.itertuples() if row.true == row.predicted}
    recall = result.class_table.set_index("name")["claim"]
    words = {"gained": "more in B", "lost": "fewer in B", "": "not claimed"}
    assert diagonal == {name: words[recall[name]] for name in diagonal} and set(diagonal.values()) > {"not claimed"}


@pytest.mark.parametrize("letters", ["A", "B", "AB"])
def test_cell_images_are_those_that_some_run_puts_there(view, letters):
    rows, notes = confusion_tables.cell_images(view, np.array([1, 2]), np.array([2, 4]), letters, errors_only=True)
    given = [answer for letter in letters for answer in answers(letter)]
    here = [np.isin(LABELS, [1, 2]) & np.isin(answer, [2, 4]) & (answer != LABELS) for answer in given]
    assert set(rows.tolist()) == set(np.flatnonzero(np.any(here, axis=0)).tolist())
    counts = np.sum(here, axis=0)[rows]
    assert (np.diff(counts) <= 0).all()
    assert all(letter in note for note in notes for letter in letters)


def test_outcomes_sum_to_the_class_and_mark_what_left_the_filter(view):
    filtered = replace(view, classes=np.array([0, 1, 2]))
    frame = confusion_tables.outcome_frame(filtered, 1)
    for letter in "AB":
        of_model = frame[frame["model"] == letter]
        assert of_model["images"].sum() == pytest.approx(np.sum(LABELS == 1))
        assert of_model["share"].sum() == pytest.approx(1)
    row = mean_matrix("A")[1]
    assert confusion_tables.share_outside(filtered, np.array([1]))["A"] == pytest.approx(row[3:].sum() / row.sum())


def test_rivals_are_the_classes_most_confused_with_it(view):
    a, b = (mean_matrix(letter) for letter in "AB")
    both = a[4] + a[:, 4] + b[4] + b[:, 4]
    both[4] = 0
    rival = confusion_tables.rivals_frame(view, 4).iloc[0]
    assert rival["Rival"] == RUNS["A"][0].class_names[both.argmax()]
    there, back = ([of[4, both.argmax()] for of in (a, b)], [of[both.argmax(), 4] for of in (a, b)])
    for arrow, (of_a, of_b) in (("→", there), ("←", back)):
        assert rival[[f"{arrow} A", f"{arrow} B", f"{arrow} B − A"]].tolist() == pytest.approx(
            [of_a, of_b, of_b - of_a]
        )


def test_wrong_first_leaves_out_what_every_run_gets_right(view):
    wrong = sum((answer != LABELS).astype(int) for letter in "AB" for answer in answers(letter))
    rows = tables.wrong_first(view, np.arange(len(LABELS)))
    assert set(rows.tolist()) == set(np.flatnonzero(wrong).tolist())
    assert (np.diff(wrong[rows]) <= 0).all()


def test_history_and_reliability_have_a_row_for_each_epoch_and_bin(view):
    history = tables.history_frame((view.a, view.b))
    assert len(history) == sum(len(run.history["epoch"]) for runs in RUNS.values() for run in runs)
    without = Side("A", "A", tuple(replace(run, history={}) for run in RUNS["A"]))
    assert tables.history_frame((without,)).empty
    reliability = tables.reliability_frame((view.a, view.b))
    assert (reliability["count"] > 0).all()
    assert reliability["count"].sum() == 4 * len(LABELS)
