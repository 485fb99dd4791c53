"""One column of scores is that of the second of two classes, or of the one that heads it; never of a third."""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, same, taken
from made import made_run
from scipy.special import expit, softmax

from cifarcore.errors import CifarcoreError
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.binary import of_two_classes
from cifarcore.runs.run import save_run


@pytest.fixture
def run(tmp_path):
    run = made_run(2, 80, superclasses=False)
    save_run(run, tmp_path / "ours.npz")
    return run


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("kind", ["sigmoid", "before it", "logarithm"])
def test_arrays(run, tmp_path, flat, kind):
    z = (run.logits[:, 1] - run.logits[:, 0]).astype(np.float64)
    column = {"sigmoid": expit(z), "before it": z, "logarithm": np.log(expit(z))}[kind]
    np.save(tmp_path / "x.npy", column if flat else column[:, None])
    options = {"scores": "log_probabilities"} if kind == "logarithm" else {}
    found = taken(tmp_path / "x.npy", tmp_path, like=str(tmp_path / "ours.npz"), **options)
    same(found.run, run)
    assert found.run.meta["scores"] == ("logits" if kind == "before it" else "log_probabilities")
    assert "one column of scores: read as those of the second of the two classes" in found.notes


@pytest.mark.parametrize("beyond", [1.0000001, -1e-9])
def test_a_probability_may_lie_outside_by_what_single_precision_leaves(beyond):
    column = np.array([0.2, beyond, 0.9], np.float32)
    assert of_two_classes(Predictions(column), ("a", "b")).kind == "probabilities"
    assert of_two_classes(Predictions(column + np.float32(0.2)), ("a", "b")).kind == "logits"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("place", [0, 1, None])
def test_a_column_of_a_table(run, tmp_path, suffix, place):
    names = run.class_names.tolist()
    scores = softmax(run.logits.astype(np.float64), axis=1)
    heading = "sigmoid" if place is None else names[place].upper()
    table = pd.DataFrame({"label": run.class_names[run.labels], heading: scores[:, 1 if place is None else place]})
    path = tmp_path / f"x{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    found = taken(path, tmp_path, like=str(tmp_path / "ours.npz"))
    same(found.run, run)
    assert any("one column of scores" in note for note in found.notes)
    table.columns = ["label", "zebra"]
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    assert f"headed 'zebra', which is none of the two classes {names[0]} and {names[1]}" in refused(
        path, tmp_path, like=str(tmp_path / "ours.npz")
    )


@pytest.mark.parametrize("heading", ["prob_0", "Class_0", "p_0"])
def test_a_column_of_class_0_is_that_of_the_first_class(run, tmp_path, heading):
    first = softmax(run.logits.astype(np.float64), axis=1)[:, 0]
    pd.DataFrame({"label": run.class_names[run.labels], heading: first}).to_csv(tmp_path / "x.csv", index=False)
    found = taken(tmp_path / "x.csv", tmp_path, like=str(tmp_path / "ours.npz"))
    same(found.run, run)
    assert "one column of scores: read as those of the first of the two classes" in found.notes


def test_what_one_column_cannot_be(run, tmp_path):
    column = np.linspace(0.1, 0.9, 80)
    with pytest.raises(CifarcoreError, match="one column of scores, but 3 classes; give one for each .timm: --topk 0"):
        of_two_classes(Predictions(column), ("a", "b", "c"))
    with pytest.raises(CifarcoreError, match="none below 0.5, as of whichever class was predicted"):
        of_two_classes(Predictions(np.maximum(column, 1 - column)), ("a", "b"))
    whole = of_two_classes(Predictions((column > 0.5).astype(np.float32)[:, None]), ("a", "b"))
    assert whole.scores.tolist() == (column > 0.5).tolist() and whole.scores.dtype == np.int64
    np.save(tmp_path / "x.npy", column)
    assert "the test images are unknown" in refused(tmp_path / "x.npy", tmp_path)


ANSWERS = {
    "names": lambda run, higher: run.class_names[higher.astype(int)],
    "numbers": lambda run, higher: higher.astype(int),
    "of the first": lambda run, higher: 1 - higher.astype(int),
}


@pytest.mark.parametrize("kind", ["sigmoid", "before it"])
@pytest.mark.parametrize("answers", ANSWERS)
@pytest.mark.parametrize("order", ["like", "rows"])
def test_one_output_beside_the_predicted_class_is_that_of_the_class_predicted_where_it_is_high(
    run, tmp_path, order, answers, kind
):
    z = (run.logits[:, 1] - run.logits[:, 0]).astype(np.float64)
    column = expit(z) if kind == "sigmoid" else z
    labels = run.class_names[run.labels]
    path, options = tmp_path / "x.csv", {"like": str(tmp_path / "ours.npz")}
    if order == "rows":
        (tmp_path / "names.txt").write_text("\n".join(run.class_names))
        options = {"order": "rows", "test_set": "shop", "class_names": str(tmp_path / "names.txt")}
    table = pd.DataFrame({"label": labels, "y_prob": column, "y_pred": ANSWERS[answers](run, z > 0)})
    table.to_csv(path, index=False)
    found = taken(path, tmp_path, **options)
    p = softmax(found.run.logits.astype(np.float64), axis=1)
    ours = expit(z) if answers != "of the first" else 1 - expit(z)
    np.testing.assert_allclose(p[:, found.run.class_names.tolist().index(run.class_names[1])], ours, atol=2e-3)
    assert any("'y_prob' is read as the scores of " in note for note in found.notes)


def test_predicted_classes_of_another_threshold_are_told(run, tmp_path):
    z = (run.logits[:, 1] - run.logits[:, 0]).astype(np.float64)
    table = {"label": run.class_names[run.labels], "score": expit(z), "pred": run.class_names[(z > 0.8).astype(int)]}
    pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
    found = taken(tmp_path / "x.csv", tmp_path, like=str(tmp_path / "ours.npz"))
    n = int(((z > 0) & (z <= 0.8)).sum())
    assert n and f"'pred' is another class than that of the higher score in {n} rows" in found.notes


def test_the_score_of_whichever_class_was_predicted_is_not_used_and_named(run, tmp_path):
    p = softmax(run.logits.astype(np.float64), axis=1)
    table = {"label": run.class_names[run.labels], "score": p.max(axis=1), "pred": run.class_names[p.argmax(axis=1)]}
    pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
    found = taken(tmp_path / "x.csv", tmp_path, like=str(tmp_path / "ours.npz"))
    assert not found.run.has_scores and "not used: 'score'" in found.notes


@pytest.mark.parametrize("form", ["of the answer", "percentages", "of two of three"])
def test_scores_that_only_seem_to_be_of_one_output_leave_the_predicted_classes(run, tmp_path, form):
    """Each splits by the predicted class, as one output does."""
    (tmp_path / "names.txt").write_text("\n".join([*run.class_names, "zebra"][: 3 if form == "of two of three" else 2]))
    score = np.linspace(0, 1, run.n_images)
    high = score > 0.4
    score = {"of the answer": score / 2 + 0.5, "percentages": 100 * score}.get(form, score)
    table = {"label": run.class_names[run.labels], "score": score, "pred": run.class_names[high.astype(int)]}
    pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
    options = {"order": "rows", "test_set": "shop", "class_names": str(tmp_path / "names.txt")}
    found = taken(tmp_path / "x.csv", tmp_path, **options)
    assert not found.run.has_scores and "not used: 'score'" in found.notes
    assert found.run.correct.mean() == (high == run.labels).mean()


def test_one_output_before_a_sigmoid_is_split_at_zero_without_a_word(run, tmp_path):
    z = np.linspace(-1, 2, run.n_images)
    table = {"label": run.class_names[run.labels], "score": z, "pred": run.class_names[(z > 0).astype(int)]}
    pd.DataFrame(table).to_csv(tmp_path / "x.csv", index=False)
    found = taken(tmp_path / "x.csv", tmp_path, like=str(tmp_path / "ours.npz"))
    assert found.run.has_scores and not any("is another class than" in note for note in found.notes)
