"""What two places say of one thing, and what stood beside what was read: used, or refused, and never dropped."""

import json

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import classes_only, made_run
from pictures import draw, plain

from cifarcore import CifarcoreError, Run, save_run
from cifarcore.config import ImportConfig
from cifarcore.runs.class_names import read_class_names
from cifarcore.runs.file_labels import read_file_labels
from cifarcore.runs.importing import check

TURNED = [2, 0, 1]


@pytest.fixture
def made(tmp_path):
    return plain(tmp_path / "pictures", each=20)


def called(made, scores=None, **changes):
    arguments = {"class_names": made.names, "sample_ids": made.ids} | changes
    return Run.from_predictions(made.probabilities if scores is None else scores, made.labels, **arguments)


class Labelled:
    """What xarray has: coordinates along its dimensions."""

    dims = ("image", "class")

    def __init__(self, values):
        self.values, self.coords = values, {"image": np.arange(len(values))[::-1]}

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_a_data_frame_whose_columns_are_called_otherwise_is_refused(made):
    frame = pd.DataFrame(made.probabilities, columns=made.names)
    assert called(made, frame).correct.mean() == made.accuracy
    frame.columns = range(3)
    assert called(made, frame).correct.mean() == made.accuracy
    frame.columns = [made.names[i] for i in TURNED]
    with pytest.raises(CifarcoreError, match="its columns are called 'class 2', .* give both in one order"):
        called(made, frame)


@pytest.mark.parametrize(
    "heading", ["{}", "{}.0", "LABEL_{}", "score {} (softmax)"], ids=["number", "float", "label", "words"]
)
def test_a_data_frame_of_counted_columns_is_read_in_their_order_alone(made, heading):
    """As one made of each image's ranking has them: in the order of the first image's."""
    later = pd.DataFrame(made.probabilities, columns=[heading.format(2 + i) for i in range(3)])
    with pytest.raises(CifarcoreError, match="scores: its columns are called"):
        called(made, later)
    for first in (0, 1):
        frame = pd.DataFrame(made.probabilities, columns=[heading.format(first + i) for i in range(3)])
        assert called(made, frame).correct.mean() == made.accuracy
        for other in (frame.iloc[:, TURNED], frame.rename(columns={frame.columns[2]: heading.format(7)})):
            with pytest.raises(
                CifarcoreError, match=r"scores: its columns are called .* or scores.to_numpy\(\) if they"
            ):
                called(made, other)
    frame.columns = made.names
    with pytest.raises(CifarcoreError, match=r"scores: a list of Series, .*pd.DataFrame\(scores\)"):
        called(made, [row.iloc[TURNED] for _, row in frame.iterrows()])
    frame.columns = ["1", "2", "3"]
    with pytest.raises(CifarcoreError, match="give both in one order"):
        called(made, frame, class_names=["2", "1", "3"])
    frame.columns = ["first", "second", "third"]
    with pytest.raises(CifarcoreError, match="scores: its columns are called 'first'"):
        called(made, frame)


def test_arrays_with_coordinates_of_their_own_are_refused(made):
    """Nothing holds them against the order of the other arguments."""
    given = {"class_names": made.names, "sample_ids": made.ids}
    for name, values in {"scores": made.probabilities, "labels": made.labels, **given}.items():
        changed = {"scores": made.probabilities, "labels": made.labels} | given | {name: Labelled(values)}
        with pytest.raises(CifarcoreError, match=rf"^{name}: a Labelled with .* give {name}.to_numpy\(\)"):
            Run.from_predictions(**changed)
    with pytest.raises(CifarcoreError, match="^scores: a list of Labelled, whose order may be another in each"):
        called(made, [Labelled(row) for row in made.probabilities])
    with pytest.raises(CifarcoreError, match="^metadata: 'camera' is a Labelled; give a list"):
        called(made, metadata={"camera": Labelled(made.labels)})


def test_labels_of_a_column_for_each_class_are_not_taken_in_another_order(made):
    columns = pd.get_dummies(pd.Series(np.array(made.names)[made.labels]))[list(made.names)]
    arguments = {"class_names": made.names, "sample_ids": made.ids}
    assert Run.from_predictions(made.probabilities, columns, **arguments).correct.mean() == made.accuracy
    with pytest.raises(CifarcoreError, match="labels: its columns are called 'class 2', .* give both in one order"):
        Run.from_predictions(made.probabilities, columns[[made.names[i] for i in TURNED]], **arguments)


def test_a_table_of_files_has_its_labels_under_the_heading_of_labels(tmp_path):
    def read(*lines):
        (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
        return read_file_labels(str(tmp_path / "labels.csv"))

    wanted = {"a.png": "cat", "b.png": "dog"}
    assert read("file,annotator_1,label", "a.png,dog,cat", "b.png,dog,dog") == wanted
    assert read("file,label,split", "a.png,cat,test", "b.png,dog,test") == wanted
    assert read("file,who", "a.png,cat", "b.png,dog") == wanted  # there is no other
    assert read("a.png,cat,test", "b.png,dog,test") == wanted
    for header, said in (("file,first,second", "none of its columns"), ("file,label,true", "2 of its columns")):
        with pytest.raises(CifarcoreError, match=said):
            read(header, "a.png,dog,cat", "b.png,dog,dog")
    with pytest.raises(CifarcoreError, match="'b.png' has no label"):
        read("file,annotator_1,label", "a.png,dog,cat", "b.png,dog")


def test_indices_in_different_orders_are_refused(made):
    frame = pd.DataFrame(made.probabilities).sample(frac=1, random_state=0)
    labels = pd.Series(made.labels)
    with pytest.raises(CifarcoreError, match="labels: its index has the rows of scores in another order"):
        Run.from_predictions(frame, labels, class_names=made.names, sample_ids=made.ids)
    one = Run.from_predictions(
        frame, labels[frame.index], class_names=made.names, sample_ids=made.ids[frame.index.to_numpy()]
    )
    assert one.correct.mean() == made.accuracy
    other = labels.set_axis(range(100, 100 + len(labels)))  # says nothing of the order
    Run.from_predictions(frame.reset_index(drop=True), other, class_names=made.names, sample_ids=made.ids)


def test_metadata_in_another_order_than_the_images_is_refused(made):
    """Taken by place it would be of other images; a column of a dictionary as a whole table."""
    ids, site = made.ids, [str(label) for label in made.labels]
    turned = pd.Series(site, index=ids).sample(frac=1, random_state=0)
    for metadata, what in (({"site": turned}, r"metadata\['site'\]"), (pd.DataFrame({"site": turned}), "metadata")):
        with pytest.raises(CifarcoreError, match=f"^{what}: its index has the sample_ids in another order"):
            called(made, metadata=metadata)
    labels = pd.Series(made.labels, index=ids)
    with pytest.raises(CifarcoreError, match=r"metadata\['site'\]: its index has the rows of labels in another order"):
        Run.from_predictions(
            made.probabilities, labels, class_names=made.names, test_set="mine", metadata={"site": turned}
        )
    counted = pd.Series(site, index=range(100, 100 + len(site)))  # says nothing of the order
    for metadata in ({"site": turned[ids]}, {"site": pd.Series(site)}, {"site": counted, "camera": site}):
        assert called(made, metadata=metadata).metadata_values[:, 0].tolist() == site


def test_an_index_of_scores_in_another_order_than_the_ids_is_refused(made):
    frame = pd.DataFrame(made.probabilities, index=made.ids)
    assert called(made, frame).correct.mean() == made.accuracy
    with pytest.raises(CifarcoreError, match="scores: its index has the sample_ids in another order"):
        called(made, frame[::-1])
    ids = np.arange(len(frame))[::-1]
    called(made, frame.reset_index(drop=True), sample_ids=ids)  # rows counted are nobody's ids


def test_an_index_of_ids_in_another_form_than_the_sample_ids_is_held_against_them(made):
    """As text, as files have them, or beside something else, they said nothing: metadata was that of other images."""
    hexadecimal, site = [f"{one:016x}" for one in made.ids.tolist()], [str(label) for label in made.labels]
    beside = pd.MultiIndex.from_arrays([site, made.ids], names=["site", "sample_id"])
    for index in (made.ids, hexadecimal, list(map(str, made.ids.tolist())), beside):
        frame = pd.DataFrame({"site": site}, index=index)
        for ids in (made.ids, made.ids.tolist(), hexadecimal):
            assert called(made, sample_ids=ids, metadata=frame).metadata_values[:, 0].tolist() == site
            with pytest.raises(CifarcoreError, match="metadata: its index has the sample_ids in another order"):
                called(made, sample_ids=ids, metadata=frame[::-1])
    labels = pd.Series(made.labels, index=hexadecimal)
    with pytest.raises(CifarcoreError, match="metadata: its index has the rows of labels in another order"):
        turned = pd.DataFrame({"site": site}, index=made.ids)[::-1]
        Run.from_predictions(made.probabilities, labels, class_names=made.names, test_set="mine", metadata=turned)


def test_labels_that_are_true_or_false_are_of_two_classes():
    scores, given = np.eye(2)[[0, 1, 1]], [False, True, True]
    for classes, labels in ((["cat", "dog"], [0, 1, 1]), (["True", "False"], [1, 0, 0])):
        run = Run.from_predictions(scores, given, class_names=classes, sample_ids=[1, 2, 3])
        assert run.labels.tolist() == labels
        alone = Run.from_predictions(np.array(given), labels, class_names=classes, sample_ids=[1, 2, 3])
        assert alone.predictions.tolist() == labels
    with pytest.raises(CifarcoreError, match="^labels: false and true of 3 classes; give class indices or names"):
        Run.from_predictions(np.eye(3), given, class_names=["a", "b", "c"], sample_ids=[1, 2, 3])


def test_labels_as_pandas_keeps_text_are_names(made):
    names = [made.names[label] for label in made.labels]
    for labels in (pd.DataFrame({"label": names})["label"], np.array(names, object), pd.Categorical(names)):
        run = Run.from_predictions(made.probabilities, labels, class_names=pd.Index(made.names), sample_ids=made.ids)
        assert run.labels.tolist() == made.labels.tolist()


def test_blanks_about_the_name_of_a_test_set_make_no_other(made):
    """The command leaves them out, so that runs of both shared no image."""
    one, other = (called(made, sample_ids=None, test_set=name) for name in ("shop", " shop\n"))
    assert one.sample_ids.tolist() == other.sample_ids.tolist() and one.meta["dataset"] == other.meta["dataset"]


@pytest.mark.parametrize("seed", [1.7, float("nan"), "three", True, None])
def test_a_seed_that_is_no_whole_number_is_refused(made, seed):
    with pytest.raises(CifarcoreError, match="^seed: .*; give a whole number$"):
        called(made, seed=seed)


def test_what_is_masked_is_refused(made):
    hidden = np.zeros(made.probabilities.shape, bool)
    assert called(made, np.ma.masked_array(made.probabilities, hidden)).n_images == len(made.files)
    hidden[3] = True
    with pytest.raises(CifarcoreError, match="scores: some of it is masked"):
        called(made, np.ma.masked_array(made.probabilities, hidden))
    with pytest.raises(CifarcoreError, match="scores: some of it is masked"):
        called(made, list(np.ma.masked_array(made.probabilities, hidden)))


def test_metadata_with_ids_under_another_heading_is_refused_in_another_order(made):
    """Files have their ids as `id`, too: by place, all values were those of other images."""
    camera = [f"camera {i % 7}" for i in range(len(made.ids))]
    hexadecimal = [f"{one:016x}" for one in made.ids.tolist()]
    for name, values in (("id", made.ids), ("image_id", hexadecimal), ("hash", hexadecimal)):
        table = pd.DataFrame({name: values, "camera": camera})
        assert called(made, metadata=table).metadata_values[:, 1].tolist() == camera
        with pytest.raises(CifarcoreError, match=f"metadata: '{name}' has the ids of these images in another order"):
            called(made, metadata=table[::-1].reset_index(drop=True))
    rank = np.arange(len(camera))[::-1]
    assert called(made, sample_ids=rank[::-1], metadata={"rank": rank}).metadata_names.tolist() == ["rank"]


@pytest.mark.parametrize("first", [0, 1])
def test_metadata_that_numbers_the_rows_in_another_order_is_refused(first):
    """As a frame that was sorted by another column: its rows were taken by place."""
    order = np.random.default_rng(1).permutation(40)
    scores, labels = np.eye(4)[np.arange(40) % 4], np.arange(40) % 4
    arguments = {"class_names": list("abcd"), "test_set": "shop"}
    frame = pd.DataFrame({"index": order + first, "site": order})
    with pytest.raises(CifarcoreError, match="'index' numbers the rows in another order; bring them into"):
        Run.from_predictions(scores, labels, metadata=frame, **arguments)
    Run.from_predictions(scores, labels, metadata=frame.sort_values("index"), **arguments)
    Run.from_predictions(scores, labels, metadata=frame.rename(columns={"index": "rank"}), **arguments)


def test_metadata_with_ids_is_brought_into_the_order_of_the_images(made):
    camera = [f"camera {i % 7}" for i in range(len(made.ids))]
    table = pd.DataFrame({"sample_id": made.ids, "camera": camera}).sample(frac=1, random_state=0)
    run = called(made, metadata=table)
    assert run.metadata_names.tolist() == ["camera"] and run.metadata_values[:, 0].tolist() == camera
    named = {"sample_id": [f"{i:016x}" for i in table["sample_id"]], "camera": table["camera"].tolist()}
    assert called(made, metadata=named).metadata_values[:, 0].tolist() == camera
    for odd, message in (
        (table.assign(sample_id=0), "not the ids of these images"),
        ({"camera": set(camera)}, "'camera' is a set"),
        ({"camera": dict(zip(made.ids.tolist(), camera, strict=True))}, "'camera' is a dict"),
    ):
        with pytest.raises(CifarcoreError, match=message):
            called(made, metadata=odd)


def test_predicted_classes_of_two_models_in_one_archive_are_refused(tmp_path, made):
    """As in a table: those under a name of scores were taken."""
    answers = made.probabilities.argmax(axis=1)

    def theirs(**arrays):
        np.savez(tmp_path / "theirs.npz", files=made.files, **arrays)
        return tmp_path / "theirs.npz"

    alike = taken(theirs(predictions=answers, preds=answers), tmp_path, images=str(made.root)).run
    np.testing.assert_array_equal(np.sort(alike.predictions), np.sort(answers))
    said = refused(theirs(predictions=answers, preds=np.roll(answers, 1)), tmp_path, images=str(made.root))
    assert "'predictions' and 'preds' mean the same and differ; keep one" in said


def test_class_names_beside_the_records_of_a_json_are_theirs(tmp_path, made):
    def theirs(**beside):
        rows = made.probabilities[:, TURNED].tolist()
        results = [{"file": file, "scores": row} for file, row in zip(made.files, rows, strict=True)]
        (tmp_path / "theirs.json").write_text(json.dumps(beside | {"results": results}))
        return tmp_path / "theirs.json"

    turned = [made.names[i] for i in TURNED]
    made.check(taken(theirs(class_names=turned), tmp_path, images=str(made.root)).run)
    for beside in ({"labels": turned}, {"y_true": made.labels.tolist()}, {"scores": [[0.5]]}):
        said = refused(theirs(**beside), tmp_path, images=str(made.root))
        assert f"'{next(iter(beside))}' stands beside 'results'" in said
    found = taken(theirs(class_names=turned, history=[1, 2]), tmp_path, images=str(made.root))
    assert "not used: 'history'" in found.notes


def test_what_two_objects_of_a_record_both_have_is_read_of_neither(tmp_path, made):
    records = [
        {"at": {"file": file}, "a": {"scores": row}, "b": {"scores": row[::-1]}}
        for file, row in zip(made.files, made.probabilities.tolist(), strict=True)
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(records))
    said = refused(tmp_path / "theirs.json", tmp_path, images=str(made.root))
    assert "'a.scores', 'b.scores' may all be the scores; keep one" in said


def test_numbers_that_name_the_pictures_are_not_taken_for_those_of_rows(tmp_path):
    numbers = np.random.default_rng(1).permutation(30) + 1
    made = draw(tmp_path / "pictures", {f"c{c}": [f"{i:03}.png" for i in numbers[c::3]] for c in range(3)})
    frame = made.frame(id=[file[-7:-4] for file in made.files]).sort_values("id")
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    said = refused(tmp_path / "theirs.csv", tmp_path, images=str(made.root))
    assert "'id' may name the pictures" in said and "call it file" in said
    frame.rename(columns={"id": "file"}).to_csv(tmp_path / "theirs.csv", index=False)
    made.check(taken(tmp_path / "theirs.csv", tmp_path, images=str(made.root)).run)
    made.frame(id=range(1, 31)).to_csv(tmp_path / "theirs.csv", index=False)
    made.check(taken(tmp_path / "theirs.csv", tmp_path, images=str(made.root), order="imagefolder").run)


@pytest.mark.parametrize(
    "name,content",
    [
        ("names.tsv", "class 0\t1\nclass 1\t2\nclass 2\t0\n"),
        ("names.json", '{"class 0": "1", "class 1": "2", "class 2": "0"}'),
        ("names.json", '[["1", "class 0"], ["2", "class 1"], ["0", "class 2"]]'),
    ],
)
def test_class_names_stand_in_the_order_of_their_numbers(tmp_path, made, name, content):
    (tmp_path / name).write_text(content)
    np.savez(tmp_path / "theirs.npz", scores=made.probabilities[:, TURNED], files=made.files)
    found = taken(tmp_path / "theirs.npz", tmp_path, images=str(made.root), class_names=str(tmp_path / name))
    made.check(found.run)


def test_numbers_out_of_the_order_of_a_texts_lines_are_refused(tmp_path):
    (tmp_path / "names.txt").write_text("1\tclass 0\n2\tclass 1\n0\tclass 2\n", encoding="utf-8")
    with pytest.raises(CifarcoreError, match="may be names of classes or their places; order the lines"):
        read_class_names(str(tmp_path / "names.txt"))


def test_labels_of_numbers_that_are_classes_of_numbers_are_not_their_places(tmp_path):
    names, labels = np.array([1, 2, 4, 8]), np.array([1, 2, 4, 8] * 5)
    scores = np.eye(4)[np.searchsorted(names, labels)] * 0.8 + 0.05
    ids = np.arange(20, dtype=np.uint64)

    def theirs(rows):
        np.savez(tmp_path / "theirs.npz", probs=scores[rows], labels=labels[rows], classes_=names, sample_ids=ids[rows])
        return tmp_path / "theirs.npz"

    assert taken(theirs(slice(None)), tmp_path).run.correct.all()
    assert "give the labels as names" in refused(theirs(labels < 3), tmp_path)
    assert Run.from_predictions(scores, labels, class_names=names, sample_ids=ids).correct.all()
    few = labels < 3
    with pytest.raises(CifarcoreError, match="labels: the labels are numbers, and so are the class names"):
        Run.from_predictions(scores[few], labels[few], class_names=names, sample_ids=ids[few])


@pytest.mark.parametrize("prefix", ["class_", "p_", "label_"])
def test_classes_that_are_called_as_columns_of_scores_are_found_by_name(tmp_path, prefix):
    """A folder class_10 sorts before class_2: without its beginning, the heading would be a place in that order."""
    made = draw(tmp_path / "pictures", {f"{prefix}{c}": [f"{i}.png" for i in range(4)] for c in range(12)})
    by_number = sorted(made.names, key=lambda name: int(name.removeprefix(prefix)))
    frame = made.frame(label=[made.names[label] for label in made.labels])[["label", *by_number]]
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    for order in ("imagefolder", "paths"):
        made.check(taken(tmp_path / "theirs.csv", tmp_path, images=str(made.root), order=order).run)
    frame.assign(file=made.files).to_csv(tmp_path / "named.csv", index=False)
    save_run(taken(tmp_path / "named.csv", tmp_path, images=str(made.root)).run, tmp_path / "like.npz")
    for columns in (by_number, ["label", *by_number]):  # without labels nothing else would tell
        frame[columns].to_csv(tmp_path / "theirs.csv", index=False)
        made.check(taken(tmp_path / "theirs.csv", tmp_path, like=str(tmp_path / "like.npz")).run)
    frame.assign(sample_id=[f"{each:016x}" for each in made.ids]).to_csv(tmp_path / "theirs.csv", index=False)
    made.check(taken(tmp_path / "theirs.csv", tmp_path).run)


def test_labels_in_two_places_agree_or_are_refused(tmp_path, made):
    text = np.array(made.names)[made.labels]
    made.frame(label=text, sample_id=made.ids).to_csv(tmp_path / "theirs.csv", index=False)
    (tmp_path / "labels.txt").write_text("\n".join(np.roll(text, 1)))
    said = refused(tmp_path / "theirs.csv", tmp_path, labels=str(tmp_path / "labels.txt"))
    assert "the labels of --labels are not those in 'label'" in said
    (tmp_path / "labels.txt").write_text("\n".join(text))
    assert taken(tmp_path / "theirs.csv", tmp_path, labels=str(tmp_path / "labels.txt")).run.correct.mean()
    # the file's own still tell the order where a table of files says nothing of the rows
    np.savez(tmp_path / "theirs.npz", scores=made.probabilities, labels=np.roll(made.labels, 1))
    lines = [f"{file},{label}" for file, label in zip(made.files, text, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *lines]))
    options = {"images": str(made.root), "order": "imagefolder", "labels": str(tmp_path / "labels.csv")}
    assert "labels of 3 of 60 rows are not those" in refused(tmp_path / "theirs.npz", tmp_path, **options)


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".npz"])
def test_numbers_beside_the_names_of_labels_say_what_columns_without_names_are(tmp_path, made, suffix):
    """The numbers were left out, and the columns taken in the order of the folder."""
    names = np.array(made.names)[made.labels]

    def theirs(order):
        numbers = np.array([order.index(label) for label in made.labels])
        scores, path = made.probabilities[:, order], tmp_path / f"theirs{suffix}"
        if suffix == ".npz":
            np.savez(path, scores=scores, label=numbers, label_name=names, files=made.files)
        elif suffix == ".json":
            columns = {"file": made.files, "label": numbers, "label_name": names, "scores": scores.tolist()}
            path.write_text(pd.DataFrame(columns).to_json(orient="records"))
        else:
            columns = dict(zip("012", scores.T, strict=True))
            pd.DataFrame({"file": made.files, "label": numbers, "label_name": names} | columns).to_parquet(path)
        return path

    said = refused(theirs(TURNED), tmp_path, images=str(made.root))
    assert "labels count the classes in another order than the test set's (number 0 is 'class 2')" in said
    (tmp_path / "names.txt").write_text("\n".join(made.names[c] for c in TURNED))
    options = {"images": str(made.root), "class_names": str(tmp_path / "names.txt")}
    made.check(taken(theirs(TURNED), tmp_path, **options).run)
    made.check(taken(theirs([0, 1, 2]), tmp_path, images=str(made.root)).run)


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_answers_that_are_not_the_highest_scores_are_told_or_refused(tmp_path, made, suffix):
    answers = np.array(made.names)[made.probabilities.argmax(axis=1)]

    def theirs(order, answers):
        scores, path = made.probabilities[:, order], tmp_path / f"theirs{suffix}"
        if suffix == ".npz":
            np.savez(path, scores=scores, predictions=answers, files=made.files)
        else:
            columns = dict(zip("012", scores.T, strict=True))
            pd.DataFrame({"file": made.files, "prediction": answers} | columns).to_csv(path, index=False)
        return path

    said = refused(theirs(TURNED, answers), tmp_path, images=str(made.root))
    assert "names another predicted class than its highest score does in 60 of 60 rows" in said
    notes = taken(theirs([0, 1, 2], answers), tmp_path, images=str(made.root)).notes
    assert not any("highest score" in note for note in notes)
    some = np.where(np.arange(60) < 6, made.names[0], answers)
    wrong = int((some != answers).sum())
    notes = taken(theirs([0, 1, 2], some), tmp_path, images=str(made.root)).notes
    assert any(f"does in {wrong} of 60 rows: are the columns in the order" in note for note in notes) == (wrong > 3)


@pytest.mark.parametrize("numbered", ["as the columns", "otherwise", "by truth"])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".json", "one output.npz"])
def test_answers_by_number_that_are_not_the_highest_scores_are_told(tmp_path, made, suffix, numbered):
    """As by a threshold of one's own: the accuracy was another than that of the predicted classes, without a word."""
    rng = np.random.default_rng(0)
    share = rng.random(40)
    scores = np.stack([1 - share, share], axis=1)
    path = tmp_path / f"theirs{suffix}"
    (tmp_path / "names.txt").write_text("cat\ndog")

    def notes(answers):
        answers = {"as the columns": answers, "otherwise": 7 - 3 * answers, "by truth": answers == 1}[numbered]
        beside = {"label": np.arange(40) % 2, "y_pred": answers}
        if path.suffix == ".npz":
            np.savez(path, probabilities=scores[:, 1:] if suffix != ".npz" else scores, **beside)
        elif suffix == ".json":
            pd.DataFrame(beside | {"probabilities": scores.tolist()}).to_json(path, orient="records")
        else:
            pd.DataFrame({"cat": scores[:, 0], "dog": scores[:, 1]} | beside).to_csv(path, index=False)
        options = {"order": "rows", "test_set": "shop", "class_names": str(tmp_path / "names.txt")}
        return taken(path, tmp_path, **options).notes

    assert not any("predicted class" in note for note in notes((share > 0.5).astype(int)))
    wrong = int(((share > 0.3) != (share > 0.5)).sum())
    assert wrong > 2
    said = f"the file's predicted class is not that of its highest score in at least {wrong} of 40 rows"
    assert any(note.startswith(said) for note in notes((share > 0.3).astype(int)))


def test_answers_of_several_files_are_told_of_all(tmp_path, made):
    answers = made.probabilities.argmax(axis=1)
    answers = np.where(np.arange(60) < 30, answers, made.labels[::-1])
    paths = [tmp_path / f"{i}.npz" for i in range(2)]
    for path, rows in zip(paths, np.split(np.arange(60), 2), strict=True):
        files = np.array(made.files)[rows]
        np.savez(path, scores=made.probabilities[rows], predictions=answers[rows], files=files)
    (found,) = check(paths, ImportConfig(images=str(made.root)))
    assert any("predicted class is not that of its highest score" in note for note in found.notes)


@pytest.mark.parametrize("heading", ["split", "Model", "epoch"])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".json"])
def test_rows_of_several_splits_or_models_are_told(tmp_path, suffix, heading):
    """That the column was not used did not say that the rows of the training set were counted, too."""
    rng = np.random.default_rng(0)
    names = np.array(["cat", "dog", "eel"])
    path = tmp_path / f"theirs{suffix}"

    def notes(parts):
        columns = {"label": names[rng.integers(3, size=40)], "prediction": names[rng.integers(3, size=40)]}
        columns[heading] = np.array(parts)
        if suffix == ".npz":
            np.savez(path, **columns)
        elif suffix == ".json":
            pd.DataFrame(columns).to_json(path, orient="records")
        else:
            pd.DataFrame(columns).to_csv(path, index=False)
        return taken(path, tmp_path, order="rows", test_set="shop").notes

    parts = [1, 2] if heading == "epoch" else ["test", "train"]
    shown = " is '{}', '{}', and the rows of all count: leave out those that are not meant".format(*parts)
    assert f"{heading!r}{shown}" in notes(parts * 20)
    assert not any("the rows of all count" in note for note in notes(parts[:1] * 40))


@pytest.mark.parametrize("heading", ["y_prob", "y_score", "test_logits", "pred_probs"])
def test_scores_beside_predicted_classes_are_read(tmp_path, made, heading):
    """They were left out, and the file was said to hold no scores."""
    scores = np.log(made.probabilities) if "logits" in heading else made.probabilities
    beside = {"y_true": made.labels, "y_pred": made.probabilities.argmax(axis=1), "files": made.files}
    np.savez(tmp_path / "theirs.npz", **beside, **{heading: scores})
    found = taken(tmp_path / "theirs.npz", tmp_path, images=str(made.root))
    made.check(found.run)
    assert found.notes == ("not used: 'y_pred'",)
    np.savez(tmp_path / "theirs.npz", **beside, **{heading: scores, "other_probs": scores})
    said = refused(tmp_path / "theirs.npz", tmp_path, images=str(made.root))
    assert f"arrays '{heading}', 'other_probs' may all be the scores; keep one" in said


@pytest.mark.parametrize("dtype", [bool, bytes])
def test_labels_of_an_npz_that_are_truths_or_bytes(tmp_path, dtype):
    run = made_run(2, 40)
    labels = run.labels.astype(bool) if dtype is bool else np.char.encode(run.class_names[run.labels])
    np.savez(
        tmp_path / "theirs.npz", logits=run.logits.astype(np.float32), labels=labels, sample_ids=run.sample_ids,
        class_names=run.class_names,
    )  # fmt: skip
    assert taken(tmp_path / "theirs.npz", tmp_path).run.labels.tolist() == run.labels.tolist()


def test_a_run_file_is_no_part_of_a_run_and_says_itself_what_it_holds(tmp_path):
    run = classes_only(made_run(3, 40))
    paths = [save_run(run.take(rows), tmp_path / f"{i}.npz") for i, rows in enumerate(np.split(np.arange(40), 2))]
    with pytest.raises(CifarcoreError, match=r"0.npz: is a run file, and no part of a run"):
        check(paths, ImportConfig())
    for options, flag in (({"superclasses": "x.csv"}, "superclasses"), ({"class_names": "x"}, "class-names")):
        with pytest.raises(CifarcoreError, match=f"leave out --{flag}$"):
            check(paths[:1], ImportConfig(**options))
    with pytest.raises(CifarcoreError, match="leave out --seed, or give --model NAME with it"):
        check(paths[:1], ImportConfig(seed=3))
    assert check(paths[:1], ImportConfig(model="mine", seed=3))[0].run.meta["seed"] == 3


def test_a_row_of_a_picture_is_no_header(tmp_path):
    made = draw(tmp_path / "pictures", {name: [f"{i}.png" for i in range(8)] for name in ("cat", "dog")})
    lines = [f"{file},{made.names[label]}" for file, label in zip(made.files, made.labels, strict=True)]
    (tmp_path / "theirs.csv").write_text("\n".join(lines))
    assert "the file has no header" in refused(tmp_path / "theirs.csv", tmp_path, images=str(made.root))


def test_ranked_classes_may_have_been_floats(tmp_path, made):
    order = np.argsort(-made.probabilities, axis=1)
    columns = {"file": made.files}
    for rank in range(3):
        columns |= {f"index_{rank}": order[:, rank].astype(float)}
        columns |= {f"prob_{rank}": np.take_along_axis(made.probabilities, order, axis=1)[:, rank]}
    pd.DataFrame(columns).to_csv(tmp_path / "theirs.csv", index=False)
    made.check(taken(tmp_path / "theirs.csv", tmp_path, images=str(made.root)).run)


def test_a_class_of_two_superclasses_is_refused(tmp_path, made):
    made.frame(file=made.files).to_csv(tmp_path / "theirs.csv", index=False)
    (tmp_path / "kin.csv").write_text("class 0,x\nclass 1,y\nclass 2,y\nclass 1,x\n")
    said = refused(tmp_path / "theirs.csv", tmp_path, images=str(made.root), superclasses=str(tmp_path / "kin.csv"))
    assert "'class 1' is there twice, with two superclasses" in said


def test_a_score_of_no_file_is_refused(tmp_path, made):
    table = made.frame(file=made.files).melt("file", var_name="class", value_name="score")
    table.loc[table["file"] == made.files[4], "file"] = None
    table.to_parquet(tmp_path / "theirs.parquet", index=False)
    assert "column 'file' is empty in row 4" in refused(tmp_path / "theirs.parquet", tmp_path, images=str(made.root))


def test_names_of_classes_whose_index_counts_them_otherwise_are_refused(made):
    """As of the first appearance of each label: every class had the recall of another, and the accuracy was right."""
    names = pd.Series(made.names)
    assert called(made, class_names=names).correct.mean() == made.accuracy
    assert called(made, class_names=names.set_axis([1, 2, 3])).class_names.tolist() == list(made.names)
    assert called(made, class_names=names.set_axis(["n07", "n01", "n04"])).correct.mean() == made.accuracy
    for index in (TURNED, [str(i) for i in TURNED]):
        with pytest.raises(CifarcoreError, match="class_names: its index counts the classes in another order"):
            called(made, class_names=names.iloc[TURNED].set_axis(index))
