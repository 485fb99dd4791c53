"""Columns of numbers beside the classes' scores, in a table that alone says which classes there are."""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run
from scipy.special import softmax

RUN = made_run(4, 60)
NAMES = ["cat", "dog", "horse", "frog"]
ROWS = {"order": "rows", "test_set": "shop"}
LOGITS = dict(zip(NAMES, RUN.logits.T.astype(float), strict=True))
PROBABILITIES = dict(zip(NAMES, softmax(RUN.logits.astype(float), axis=1).T, strict=True))
BY_NAME, BY_NUMBER = np.array(NAMES)[RUN.labels], RUN.labels
TIMES = np.random.default_rng(0).uniform(20, 30, RUN.n_images)


def written(tmp_path, **columns):
    path = tmp_path / "theirs.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize("scores", [LOGITS, PROBABILITIES], ids=["logits", "probabilities"])
@pytest.mark.parametrize("labels", [BY_NAME, BY_NUMBER], ids=["names", "numbers"])
def test_numbers_beside_the_scores_are_no_class(tmp_path, labels, scores, place):
    columns = list(scores.items())
    columns.insert(place, ("time_ms", TIMES))
    said = refused(written(tmp_path, label=labels, **dict(columns)), tmp_path, **ROWS)
    assert "5 columns are read as a class each" in said and "leave out the columns that are no class's scores" in said
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    assert "'time_ms'" in refused(tmp_path / "theirs.csv", tmp_path, class_names=str(names), **ROWS)
    ids = written(tmp_path, label=labels, sample_id=RUN.sample_ids, **dict(columns))
    assert "leave out the columns" in refused(ids, tmp_path)


@pytest.mark.parametrize("headings", [("score", "time_ms"), ("cat", "threshold"), ("output", "dog")])
def test_one_output_and_a_number_are_no_two_classes(tmp_path, headings):
    run = made_run(2, 60)
    other = TIMES.round() if headings[1] == "threshold" else TIMES
    table = dict(zip(headings, (run.logits[:, 1].astype(float), other), strict=True))
    assert "look unlike the others" in refused(written(tmp_path, label=run.labels, **table), tmp_path, **ROWS)


@pytest.mark.parametrize("labels", [BY_NAME, BY_NUMBER], ids=["names", "numbers"])
@pytest.mark.parametrize("names", [NAMES, ["c1", "c2", "c3", "c4"], ["net_a", "net_b", "net_c", "net_d"]])
def test_a_class_without_an_image_is_taken_where_headings_or_sums_tell(tmp_path, labels, names):
    kept = RUN.labels < 3
    labels = np.array(names)[RUN.labels] if labels is BY_NAME else labels
    scores = PROBABILITIES if names is NAMES else LOGITS
    table = {name: each[kept] for name, each in zip(names, scores.values(), strict=True)}
    run = taken(written(tmp_path, label=labels[kept], **table), tmp_path, **ROWS).run
    assert run.class_names.tolist() == names and run.correct.mean() == RUN.correct[kept].mean()


def test_classes_are_taken_where_every_one_has_an_image(tmp_path):
    for labels in (BY_NAME, BY_NUMBER):
        run = taken(written(tmp_path, label=labels, **LOGITS), tmp_path, **ROWS).run
        assert run.class_names.tolist() == NAMES and run.correct.mean() == RUN.correct.mean()


def test_a_column_that_is_always_the_same_is_no_class_though_all_sum_to_one(tmp_path):
    table = written(tmp_path, label=BY_NAME, **PROBABILITIES, fold_out=np.zeros(RUN.n_images))
    assert "no image has the label 'fold_out'" in refused(table, tmp_path, **ROWS)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_of_names_and_numbers_the_names_are_the_labels_whatever_stands_first(tmp_path, suffix):
    """Numbers that count the classes in another order than the columns do were taken in their place."""
    table = pd.DataFrame({"label_id": np.array([1, 0, 2, 3])[BY_NUMBER], "label": BY_NAME} | LOGITS)
    path = tmp_path / f"theirs{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    run = taken(path, tmp_path, **ROWS).run
    assert run.class_names[run.labels].tolist() == BY_NAME.tolist() and run.correct.mean() == RUN.correct.mean()


@pytest.mark.parametrize("column", ["model", "epoch_name"])
def test_rows_of_several_models_are_not_as_many_images(tmp_path, column):
    files = [f"{name}-{i}.png" for i, name in enumerate(BY_NAME)]
    one = pd.DataFrame({"file": files, "label": BY_NAME} | LOGITS)
    both = pd.concat([one.assign(**{column: "a"}), one.assign(**{column: "b"})])
    both.to_csv(tmp_path / "theirs.csv", index=False)
    assert refused(tmp_path / "theirs.csv", tmp_path, **ROWS).startswith("60 of 120 rows repeat a file and its label")
    one.assign(file="one.png").to_csv(tmp_path / "theirs.csv", index=False)
    assert "rows repeat a file" in refused(tmp_path / "theirs.csv", tmp_path, **ROWS)
    one.assign(file=[f"{row}.png" for row in one.groupby("label").cumcount()]).to_csv(tmp_path / "c.csv", index=False)
    assert taken(tmp_path / "c.csv", tmp_path, **ROWS).run.n_images == 60, "each class has files of the same names"


def test_negative_log_probabilities_are_told_from_logits(tmp_path):
    table = {name: -np.log(each) for name, each in PROBABILITIES.items()}
    said = refused(written(tmp_path, label=BY_NAME, **table), tmp_path, **ROWS)
    assert said.startswith("e to the power of the negated scores sums to one in each row: negative log-probabilities")
    kept = taken(tmp_path / "theirs.csv", tmp_path, scores="logits", **ROWS).run
    assert kept.meta["scores"] == "logits"


TURNED = ["frog", "cat", "dog", "horse"]  # sorted, as folders are: cat, dog, frog, horse


def numbered(tmp_path, suffix, labels, run=RUN):
    path = tmp_path / f"theirs{suffix}"
    table = pd.DataFrame({"label": labels} | dict(zip(TURNED, run.logits.T.astype(float), strict=True)))
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_that_count_the_names_and_not_the_columns_are_refused(tmp_path, suffix):
    """Of columns in another order each label was taken for another class's, without a word."""
    said = refused(numbered(tmp_path, suffix, np.array([2, 0, 1, 3])[RUN.labels]), tmp_path, **ROWS)
    assert "if they count the sorted names; give the labels as names" in said
    for labels in (RUN.labels, np.array(TURNED)[RUN.labels]):
        run = taken(numbered(tmp_path, suffix, labels), tmp_path, **ROWS).run
        assert run.correct.mean() == RUN.correct.mean()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_from_one_are_refused_where_the_last_class_has_no_image(tmp_path, suffix):
    (tmp_path / "names.txt").write_text("\n".join(TURNED))
    run = made_run(4, 300, 0.8)
    run = run.take(run.labels < 3)
    path = numbered(tmp_path, suffix, run.labels + 1, run)
    assert refused(path, tmp_path, class_names=str(tmp_path / "names.txt"), **ROWS).startswith("no label is 0, and ")


def test_few_rows_with_whole_scores_of_one_class_are_taken(tmp_path):
    rows = np.concatenate([np.flatnonzero(RUN.labels == each)[:2] for each in range(4)])
    table = {name: each[rows] + 0.25 for name, each in LOGITS.items()} | {"cat": np.arange(8.0)}
    labels = BY_NUMBER[rows]
    run = taken(written(tmp_path, label=labels, **table), tmp_path, **ROWS).run
    assert run.correct.mean() == (np.stack([*table.values()]).argmax(axis=0) == labels).mean()


def test_the_classes_of_cifar100_are_known_though_some_have_no_image(tmp_path):
    run = made_run(100, 80)
    table = dict(zip(run.class_names.tolist(), run.logits.T.astype(float), strict=True))
    assert len(set(run.labels.tolist())) < 100
    found = taken(written(tmp_path, label=run.class_names[run.labels], **table), tmp_path, **ROWS).run
    assert found.n_classes == 100 and found.correct.mean() == run.correct.mean()


def test_a_poor_model_that_is_one_class_low_is_taken_where_a_label_is_0(tmp_path):
    columns = np.eye(4)[np.maximum(RUN.labels - 1, 0)] + np.linspace(0, 0.4, 4 * RUN.n_images).reshape(-1, 4)
    table = dict(zip(sorted(NAMES), columns.T, strict=True))
    run = taken(written(tmp_path, label=BY_NUMBER, **table), tmp_path, **ROWS).run
    assert run.correct.mean() == (RUN.labels == 0).mean()
