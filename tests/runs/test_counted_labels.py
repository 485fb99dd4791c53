"""Labels that are numbers count the classes in one order, and those in a file of their own are of the images that it
names: where nothing tells which, a file is refused.
"""

import json

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import check

NAMES = ("shirt", "trouser", "bag", "coat")  # not as text is sorted
ROWS = {"order": "rows", "test_set": "clothes"}
BY_NAME = "has its classes by name, in no order that numbers could count"


@pytest.fixture
def outputs():
    """Probabilities (N, C) of 40 images, and their labels (N,)."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 40)
    scores = generator.normal(size=(40, 4)) + 3 * np.eye(4)[labels]
    scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert 0.6 < (scores.argmax(axis=1) == labels).mean() < 1
    return scores, labels


def accuracy(outputs):
    return (outputs[0].argmax(axis=1) == outputs[1]).mean()


def objects(scores):
    """Scores by name, as they are written after the labels of each image."""
    by_name = [dict(zip(NAMES, row, strict=True)) for row in scores.tolist()]
    ranked = [sorted(row.items(), key=lambda pair: -pair[1]) for row in by_name]
    return {
        "objects": [{"scores": row} for row in by_name],
        "ranked": [{"predictions": [{"label": name, "score": score} for name, score in row]} for row in ranked],
        "keys": [dict(row) for row in ranked],
    }


@pytest.mark.parametrize("form", ["objects", "ranked", "keys"])
def test_numbers_count_no_classes_that_a_file_has_by_name(tmp_path, outputs, form):
    path, names = tmp_path / "mine.json", tmp_path / "names.txt"
    names.write_text("\n".join(NAMES), encoding="utf-8")
    rows = objects(outputs[0])[form]
    path.write_text(json.dumps([{"y_true": int(y)} | row for y, row in zip(outputs[1], rows, strict=True)]))
    assert BY_NAME in refused(path, tmp_path, **ROWS)
    assert taken(path, tmp_path, **ROWS, class_names=str(names)).run.correct.mean() == accuracy(outputs)
    path.write_text(json.dumps([{"y_true": NAMES[y]} | row for y, row in zip(outputs[1], rows, strict=True)]))
    assert taken(path, tmp_path, **ROWS).run.correct.mean() == accuracy(outputs)


def test_keys_that_stand_alike_in_all_objects_are_counted_in_their_order(tmp_path, outputs):
    path = tmp_path / "mine.json"
    rows = [dict(zip(NAMES, row, strict=True)) for row in outputs[0].tolist()]
    path.write_text(json.dumps([{"y_true": int(y)} | row for y, row in zip(outputs[1], rows, strict=True)]))
    assert taken(path, tmp_path, **ROWS).run.correct.mean() == accuracy(outputs)


def test_numbers_count_no_classes_of_a_table_of_one_row_for_each_score(tmp_path, outputs):
    rows = [
        (i, y, *pair) for i, (row, y) in enumerate(zip(*outputs, strict=True)) for pair in zip(NAMES, row, strict=True)
    ]
    pd.DataFrame(rows, columns=["id", "y_true", "class", "score"]).to_csv(tmp_path / "mine.csv", index=False)
    assert BY_NAME in refused(tmp_path / "mine.csv", tmp_path, **ROWS)
    rows = [(i, y, *pair) for i, y, *pair in sorted(rows, key=lambda row: (row[0], row[2]))]  # as text is sorted
    pd.DataFrame(rows, columns=["id", "y_true", "class", "score"]).to_csv(tmp_path / "mine.csv", index=False)
    assert taken(tmp_path / "mine.csv", tmp_path, **ROWS)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_numbers_count_the_columns_or_the_file_of_names(tmp_path, outputs, suffix):
    scores, labels = outputs
    path, names = tmp_path / f"mine{suffix}", tmp_path / "names.txt"
    if suffix == ".npz":
        np.savez(path, probabilities=scores, labels=labels, class_names=NAMES)
    else:
        pd.DataFrame(scores, columns=NAMES).assign(label=labels).to_csv(path, index=False)
    names.write_text("\n".join(NAMES), encoding="utf-8")
    assert taken(path, tmp_path, **ROWS, class_names=str(names)).run.correct.mean() == accuracy(outputs)
    names.write_text("\n".join(sorted(NAMES)), encoding="utf-8")
    said = refused(path, tmp_path, **ROWS, class_names=str(names))
    assert "the columns have the classes in another order than names.txt, so they may count either" in said


def test_predicted_names_beside_labels_that_are_numbers_are_refused(tmp_path, outputs):
    predicted = np.array(NAMES)[outputs[0].argmax(axis=1)]
    pd.DataFrame({"label": outputs[1], "prediction": predicted}).to_csv(tmp_path / "mine.csv", index=False)
    assert "give --class-names FILE, or the labels as names" in refused(tmp_path / "mine.csv", tmp_path, **ROWS)


def test_labels_of_an_npz_are_of_the_files_that_it_names(tmp_path, outputs):
    from PIL import Image

    scores, labels = outputs
    (tmp_path / "flat").mkdir()
    files = np.array([f"{i:03}.png" for i in range(len(labels))])
    for i, file in enumerate(files):
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(tmp_path / "flat" / file)
    order = np.random.default_rng(1).permutation(len(labels))
    np.savez(tmp_path / "mine.npz", probabilities=scores[order], files=files[order], class_names=NAMES)
    given = {"images": str(tmp_path / "flat"), "labels": str(tmp_path / "labels.npz")}
    rows = [
        {"file": file, "label": int(label)} | row
        for file, label, row in zip(files, labels, objects(scores)["ranked"], strict=True)
    ]
    (tmp_path / "mine.json").write_text(json.dumps(rows))  # the folder's own classes are those of the labels
    assert BY_NAME in refused(tmp_path / "mine.json", tmp_path, images=given["images"])
    np.savez(tmp_path / "labels.npz", labels=np.array(NAMES)[labels], files=files)
    assert taken(tmp_path / "mine.npz", tmp_path, **given).run.correct.mean() == accuracy(outputs)
    np.savez(tmp_path / "labels.npz", labels=["bag", "coat"], files=["a.png", "a.png"])
    assert "'a.png' is there twice, with two labels" in refused(tmp_path / "mine.npz", tmp_path, **given)


def test_labels_of_an_npz_that_are_of_other_rows_are_refused(tmp_path, outputs):
    scores, labels = outputs
    order = np.random.default_rng(1).permutation(len(labels))
    np.savez(tmp_path / "mine.npz", probabilities=scores, class_names=NAMES)
    given = ROWS | {"labels": str(tmp_path / "labels.npz")}
    for name, beside in (("index", order), ("sample_ids", order.astype(np.uint64))):
        np.savez(tmp_path / "labels.npz", labels=labels[order], **{name: beside})
        assert f"'{name}' says which image each label is of" in refused(tmp_path / "mine.npz", tmp_path, **given)
    np.savez(tmp_path / "labels.npz", labels=labels, index=np.arange(len(labels)))
    assert taken(tmp_path / "mine.npz", tmp_path, **given).run.correct.mean() == accuracy(outputs)


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_labels_of_files_are_not_asked_for_again_where_the_predictions_name_none(tmp_path, outputs, form):
    scores, labels = outputs
    pd.DataFrame(scores, columns=NAMES).to_csv(tmp_path / "mine.csv", index=False)
    known = {"files": [f"{row}.png" for row in range(len(labels))], "labels": np.array(NAMES)[labels]}
    path = tmp_path / f"known.{form}"
    np.savez(path, **known) if form == "npz" else pd.DataFrame(known).to_csv(path, index=False)
    said = refused(tmp_path / "mine.csv", tmp_path, labels=str(path), **ROWS)
    assert said.startswith(f"known.{form} has the labels of files, and the predictions name none; put the files beside")
    np.save(tmp_path / "alone.npy", known["labels"])
    alone = taken(tmp_path / "mine.csv", tmp_path, labels=str(tmp_path / "alone.npy"), **ROWS).run
    assert alone.correct.mean() == accuracy(outputs)


def test_numbers_count_the_classes_of_cifar100_whatever_order_a_file_has_them_in(tmp_path):
    run = made_run(100, 300)
    names = run.class_names.tolist()
    rows = [
        {"y_true": int(y)} | {"scores": dict(sorted(zip(names, row, strict=True), key=lambda pair: -pair[1]))}
        for row, y in zip(run.logits.astype(float).tolist(), run.labels, strict=True)
    ]
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    assert taken(tmp_path / "mine.json", tmp_path, **ROWS).run.correct.mean() == run.correct.mean()


def test_two_neighbours_that_change_places_in_one_object_leave_no_order(tmp_path, outputs):
    scores, labels = outputs
    rows = [
        {"y_true": int(y)} | dict(zip(NAMES, row, strict=True)) for row, y in zip(scores.tolist(), labels, strict=True)
    ]
    rows[-1] = {name: rows[-1][name] for name in ("y_true", NAMES[1], NAMES[0], *NAMES[2:])}
    (tmp_path / "mine.json").write_text(json.dumps(rows))
    assert BY_NAME in refused(tmp_path / "mine.json", tmp_path, **ROWS)


@pytest.mark.parametrize("turned", [0, 1])
def test_one_part_in_no_order_is_enough(tmp_path, outputs, turned):
    by_name = [dict(sorted(zip(NAMES, row, strict=True))) for row in outputs[0].tolist()]
    by_score = objects(outputs[0])["objects"]
    by_score = [{"scores": dict(sorted(row["scores"].items(), key=lambda pair: -pair[1]))} for row in by_score]
    paths = []
    for part in (0, 1):
        rows = [
            {"index": i, "y_true": int(outputs[1][i])} | (by_score[i] if part == turned else {"scores": by_name[i]})
            for i in range(20 * part, 20 * part + 20)
        ]
        paths.append(tmp_path / f"part-{part}.json")
        paths[-1].write_text(json.dumps(rows))
    with pytest.raises(CifarcoreError, match=BY_NAME):
        check(paths, ImportConfig(**ROWS))
