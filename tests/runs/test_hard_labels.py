"""Files of predicted classes without scores, as contests and scripts write them: taken as such, and never on the wrong
class or picture.
"""

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run
from PIL import Image

from cifarcore.config import ImportConfig
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
from cifarcore.runs import hard_labels
from cifarcore.runs.hard_labels import NOTE, as_rows
from cifarcore.runs.predictions import Predictions

CLASSES = ("cat", "dog", "eel", "fox")


@pytest.fixture
def folder(tmp_path):
    """Five pictures of each class, each a colour of its own."""
    for c, name in enumerate(CLASSES):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for i in range(5):
            Image.new("RGB", (4, 4), (60 * c, 40 * i, 7)).save(tmp_path / "pics" / name / f"{name}_{i}.png")
    return tmp_path


@pytest.fixture
def table():
    """File, label and prediction of each picture in a random order; 14 of 20 are right."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 5)
    predicted = np.where(np.arange(20) % 10 < 7, truth, (truth + 1) % 4)
    rows = pd.DataFrame(
        {
            "file": [f"{CLASSES[c]}/{CLASSES[c]}_{i % 5}.png" for i, c in enumerate(truth)],
            "label": [CLASSES[c] for c in truth],
            "prediction": [CLASSES[c] for c in predicted],
            "number": predicted,
        }
    )
    return rows.iloc[rng.permutation(20)].reset_index(drop=True)


def check(found, table):
    """The run has the predicted class of each file of the table."""
    run = found.run
    assert not run.has_scores and run.meta["scores"] == "classes" and NOTE in found.notes
    assert run.class_names.tolist() == list(CLASSES)
    assert run.correct.mean() == 14 / 20 == (table["prediction"] == table["label"]).mean()
    said = dict(zip(run.sample_ids.tolist(), run.class_names[run.predictions].tolist(), strict=True))
    assert sorted(said.values()) == sorted(table["prediction"])
    return said


FORMS = {
    "file, label, prediction": lambda t: t[["file", "label", "prediction"]],
    "file, prediction": lambda t: t[["file", "prediction"]],
    "a submission": lambda t: t[["file", "prediction"]].set_axis(["Id", "Category"], axis=1),
    "a submission called label": lambda t: t[["file", "prediction"]].set_axis(["id", "label"], axis=1),
    "file names alone": lambda t: t.assign(file=t["file"].str.split("/").str[1])[["file", "prediction"]],
    "numbers": lambda t: t[["file", "number"]].set_axis(["file", "pred"], axis=1),
    "numbers under another name": lambda t: t[["file", "number"]].set_axis(["file", "Answer"], axis=1),
    "numbers and names": lambda t: t.set_axis(["file", "label", "pred_class", "pred_label"], axis=1),
    "with confidence": lambda t: t[["file", "prediction"]].assign(confidence=0.5),
    "labels as numbers": lambda t: t.assign(label=t["label"].map(CLASSES.index))[["file", "label", "number"]].rename(
        columns={"number": "prediction"}
    ),
    "one-hot": lambda t: pd.concat([t[["file"]], pd.get_dummies(t["prediction"]).astype(float)], axis=1),
}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_run(folder, table, form, suffix):
    written = FORMS[form](table)
    path = folder / f"theirs{suffix}"
    if suffix == ".parquet":
        written.to_parquet(path)
    else:
        written.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    found = taken(path, folder, images=str(folder / "pics"))
    scores = folder / "scores.csv"  # the same answers with scores, which are matched by file as ever
    table[["file"]].assign(**{c: 0.1 + 0.6 * (table["prediction"] == c) for c in CLASSES}).to_csv(scores, index=False)
    other = taken(scores, folder, images=str(folder / "pics")).run
    same = dict(zip(other.sample_ids.tolist(), other.class_names[other.predictions].tolist(), strict=True))
    assert check(found, table) == same
    assert any("read as the predicted classes" in note for note in found.notes) == (form == "a submission called label")


@pytest.mark.parametrize("suffix", [".npy", ".npz", "names .npz", "with scores .npz"])
def test_arrays_in_the_order_of_the_folder(folder, table, suffix):
    ordered = table.sort_values("file")
    path = folder / f"theirs{suffix.split()[-1]}"
    if suffix == ".npy":
        np.save(path, ordered["number"].to_numpy())
    elif suffix == ".npz":
        np.savez(path, y_true=ordered["label"].map(CLASSES.index).to_numpy(), y_pred=ordered["number"].to_numpy())
    elif suffix == "names .npz":
        np.savez(path, pred_class=ordered["prediction"].to_numpy(str), label=ordered["label"].to_numpy(str))
    else:  # where there are scores too, they are read
        scores = 0.1 + 0.6 * np.equal.outer(ordered["number"].to_numpy(), np.arange(4))
        np.savez(path, y_pred=ordered["number"].to_numpy(), probs=scores)
        assert taken(path, folder, images=str(folder / "pics")).run.has_scores
        return
    check(taken(path, folder, images=str(folder / "pics")), table)


def test_without_pictures_the_classes_are_those_that_occur(tmp_path):
    run = made_run(8, 60)
    path = tmp_path / "theirs.csv"
    frame = pd.DataFrame({"sample_id": run.sample_ids, "prediction": run.class_names[run.predictions]})
    frame.assign(label=run.class_names[run.labels]).to_csv(path, index=False)
    found = taken(path, tmp_path).run
    assert found.class_names.tolist() == run.class_names.tolist() and found.correct.mean() == run.correct.mean()
    frame.assign(label=run.labels, prediction=run.predictions).to_csv(path, index=False)
    assert "the classes are unknown; give --class-names FILE" in refused(path, tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(run.class_names))
    found = taken(path, tmp_path, class_names=str(tmp_path / "names.txt")).run
    np.testing.assert_array_equal(found.predictions, run.predictions)
    (tmp_path / "names.txt").write_text("\n".join(f"{name}\tthe {name}" for name in run.class_names))
    frame.assign(label="the " + run.class_names[run.labels].astype(object)).to_csv(path, index=False)
    found = taken(path, tmp_path, class_names=str(tmp_path / "names.txt")).run
    assert found.class_names.tolist() == run.class_names.tolist() and found.correct.mean() == run.correct.mean()


def test_numbers_of_cifar100s_test_images_count_its_classes():
    known = known_images()
    found = Predictions(known.labels.astype(np.int64), sample_ids=known.sample_ids)
    made = as_rows(found, known.labels.astype(np.int64), None, ImportConfig())
    assert made.columns is None and (made.scores.argmax(axis=1) == known.labels).all()
    with pytest.raises(CifarcoreError, match="the classes are unknown"):
        as_rows(found, np.zeros(len(known.labels), np.int64), None, ImportConfig())


@pytest.mark.parametrize(("numbers", "first", "outside"), [([0, 2], 1, 0), ([1, 4], 1, 4), ([-1, 2], 0, -1)])
def test_numbers_that_count_no_class_are_refused(tmp_path, numbers, first, outside):
    (tmp_path / "names.txt").write_text("cat\ndog\neel")
    config = ImportConfig(class_names=str(tmp_path / "names.txt"), first_class=first)
    with pytest.raises(CifarcoreError, match=f"^predicted label {outside} is outside {first}..{first + 2}"):
        as_rows(Predictions(np.array(numbers)), None, None, config)
    made = as_rows(Predictions(np.array([first, first + 2])), None, None, config)
    assert made.scores.tolist() == [[1, 0, 0], [0, 0, 1]] and made.columns is None
    made = as_rows(Predictions(np.array([str(first)])), None, None, config)
    assert made.scores.tolist() == [[1, 0, 0]] and made.columns == tuple(map(str, range(first, first + 3)))


def test_as_many_predictions_as_their_rows_have_room_are_not_too_many(monkeypatch):
    found = Predictions(np.array(["cat", "dog", "dog"]))
    monkeypatch.setattr(hard_labels, "MAX_BYTES", 3 * 2 * 4)
    assert as_rows(found, None, None, ImportConfig()).scores.shape == (3, 2)
    monkeypatch.setattr(hard_labels, "MAX_BYTES", 3 * 2 * 4 - 1)
    with pytest.raises(CifarcoreError, match="^3 images of 2 classes make more than 0 GiB of rows"):
        as_rows(found, None, None, ImportConfig())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(prediction="gnu"), "20 of 20 predictions are no class.s name .such as .gnu."),
        (lambda t: t.assign(prediction=t["number"] + 1), "predicted label 4 is outside 0..3"),
        (lambda t: t.assign(prediction=np.where(t.index == 3, "", t["prediction"])), "'prediction' is empty in row 3"),
        (lambda t: t.assign(prediction=t["number"] + 0.5), "columns of classes"),
        (lambda t: t.assign(pred_class="cat"), "mean the same and differ"),
        (lambda t: t[["file"]].assign(remark="x", note="y"), "columns of classes"),
        (lambda t: t[["label"]], "columns of classes"),
    ],
)
def test_what_is_no_list_of_classes_is_refused(folder, table, change, message):
    import re

    path = folder / "theirs.csv"
    change(table[["file", "label", "prediction", "number"]]).drop(columns="number", errors="ignore").to_csv(
        path, index=False
    )
    assert re.search(message, refused(path, folder, images=str(folder / "pics")))


def test_predictions_of_no_class_are_counted_and_the_first_name_is_quoted_in_part(folder, table):
    unknown = {17: "gnu", 3: "emu" + "x" * 70, 4: "gnu"}
    given = table.assign(prediction=[unknown.get(row, name) for row, name in enumerate(table["prediction"])])
    given[["file", "prediction"]].to_csv(folder / "theirs.csv", index=False)
    said = refused(folder / "theirs.csv", folder, images=str(folder / "pics"))
    assert f"3 of 20 predictions are no class's name (such as {unknown[3][:60]!r}); name the classes as" in said


def test_a_softmax_that_is_sure_of_one_image_only_is_a_softmax(folder, table):
    scores = np.where(np.equal.outer(table["number"].to_numpy(), np.arange(4)), 1.0, 0.0)
    scores[3] = [0.4, 0.3, 0.2, 0.1]
    path = folder / "theirs.csv"
    table[["file"]].join(pd.DataFrame(scores, columns=CLASSES)).to_csv(path, index=False)
    assert taken(path, folder, images=str(folder / "pics")).run.has_scores


def test_classes_that_count_from_1_or_have_several_names(folder, table):
    path = folder / "theirs.csv"
    table.assign(prediction=table["number"] + 1)[["file", "prediction"]].to_csv(path, index=False)
    assert "--first-class 1" in refused(path, folder, images=str(folder / "pics"))
    check(taken(path, folder, images=str(folder / "pics"), first_class=1), table)
    (folder / "names.txt").write_text("\n".join(f"{name}\tthe {name}" for name in reversed(CLASSES)))
    table.assign(prediction="the " + table["prediction"])[["file", "prediction"]].to_csv(path, index=False)
    options = {"images": str(folder / "pics"), "class_names": str(folder / "names.txt")}
    check(taken(path, folder, **options), table)
    table.assign(prediction=3 - table["number"])[["file", "prediction"]].to_csv(path, index=False)
    check(taken(path, folder, **options), table)  # numbers count the lines of the file


def test_a_class_that_is_left_out_leaves_its_images_without_a_prediction(folder, table):
    path = folder / "theirs.csv"
    rows = pd.get_dummies(table["prediction"]).astype(float).assign(reject=0.0)
    rows.loc[3] = [0, 0, 0, 0, 1]
    table[["file"]].join(rows).to_csv(path, index=False)
    assert "predicted as classes that are left out" in refused(
        path, folder, images=str(folder / "pics"), classes="shared"
    )


def test_folders_named_by_numbers_are_ambiguous_for_numbers(tmp_path):
    names = [str(i) for i in range(12)]
    for name in names:
        (tmp_path / "pics" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4), (20 * int(name), 7, 9)).save(tmp_path / "pics" / name / f"p{name}.png")
    frame = pd.DataFrame({"file": [f"p{name}.png" for name in names], "label": names, "prediction": names})
    path = tmp_path / "theirs.csv"
    options = {"images": str(tmp_path / "pics")}
    frame.drop(columns="label").to_csv(path, index=False)
    assert "--class-names" in refused(path, tmp_path, **options)
    assert taken(path, tmp_path, **options, order="natural").run.correct.all()


def test_a_name_of_two_classes_is_neither_ones_prediction(folder, table):
    """ImageNet has two cranes; a prediction of that name was taken for one of the second."""
    (folder / "names.txt").write_text("cat\tcrane\ndog\tcrane\neel\nfox\n")
    options = {"images": str(folder / "pics"), "class_names": str(folder / "names.txt")}
    path = folder / "mine.csv"
    table.assign(prediction=table["prediction"].replace("cat", "crane")).drop(columns="number").to_csv(
        path, index=False
    )
    assert "predictions are no class's name (such as 'crane')" in refused(path, folder, **options)
    table.drop(columns="number").to_csv(path, index=False)
    check(taken(path, folder, **options), table)


def test_predictions_that_are_nobodys_label_are_refused(tmp_path):
    """Of lists of classes by rank each was a class of its own, and the accuracy 0."""
    ranked = [str(list(CLASSES[i:] + CLASSES[:i])) for i in range(4)] * 5
    pd.DataFrame({"label": list(CLASSES) * 5, "prediction": ranked}).to_csv(tmp_path / "a.csv", index=False)
    said = refused(tmp_path / "a.csv", tmp_path, order="rows", test_set="shop")
    assert said.startswith("no prediction is the label of any image (such as \"['cat', 'dog'")


def test_a_heading_of_the_class_names_is_no_class(tmp_path):
    """Predicted classes that are numbers were all called like the class before theirs."""
    (tmp_path / "names.csv").write_text("name\n" + "\n".join(CLASSES))
    table = pd.DataFrame({"label": [0, 1, 2, 3] * 5, "prediction": [0, 1, 2, 0] * 5})
    table.to_csv(tmp_path / "a.csv", index=False)
    options = {"order": "rows", "test_set": "shop", "class_names": str(tmp_path / "names.csv")}
    run = taken(tmp_path / "a.csv", tmp_path, **options).run
    assert run.class_names.tolist() == list(CLASSES) and run.correct.mean() == 0.75


def test_a_class_that_is_only_predicted_is_a_class_nevertheless(tmp_path):
    table = pd.DataFrame({"label": ["cat", "dog"] * 6, "prediction": ["cat", "owl", "cat", "dog"] * 3})
    table.to_csv(tmp_path / "x.csv", index=False)
    run = taken(tmp_path / "x.csv", tmp_path, order="rows", test_set="shop").run
    assert run.class_names.tolist() == ["cat", "dog", "owl"] and run.correct.mean() == 0.75
