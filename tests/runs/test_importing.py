"""Predictions of other frameworks become run files, or one line says what does not fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from import_checks import refused, same, taken, write
from made import made_run
from scipy.special import softmax

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import import_file, imported_path, run_name
from cifarcore.runs.run import save_run
from cifarcore.runs.scores import FLOOR


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("ids", ["number", "hexadecimal"])
def test_files_that_name_their_images(tmp_path, suffix, probabilities, ids):
    run = made_run(100, 400)
    scores = run.logits.astype(np.float32)
    path = write(
        tmp_path / f"theirs{suffix}",
        run,
        softmax(scores, axis=1) if probabilities else scores,
        label=run.class_names[run.labels],
        sample_id=run.sample_ids if ids == "number" else [f"{i:016x}" for i in run.sample_ids],
    )
    found = taken(path, tmp_path).run
    same(found, run)
    assert found.meta["scores"] == ("log_probabilities" if probabilities else "logits")
    assert found.superclass_names.tolist() == list(cifar100.SUPERCLASS_NAMES)


def test_the_misspelt_class_of_hugging_faces_cifar100(tmp_path):
    run = replace(made_run(100, 200), class_names=np.array(cifar100.CLASS_NAMES))
    names = [name.replace("crab", "cra") for name in cifar100.CLASS_NAMES]
    path = write(tmp_path / "theirs.csv", run, names=names, label=np.array(names)[run.labels], sample_id=run.sample_ids)
    found = taken(path, tmp_path).run
    assert found.class_names.tolist() == list(cifar100.CLASS_NAMES)
    same(found, run)


def test_classes_map_by_name_whatever_their_order_and_spelling(tmp_path):
    run = made_run(100, 400)
    order = np.random.default_rng(0).permutation(100)
    names = [run.class_names[c].replace("_", " ").title() for c in order]
    path = tmp_path / "theirs.csv"
    write(
        path,
        run,
        run.logits[:, order].astype(np.float32),
        names,
        label=run.class_names[run.labels],
        sample_id=run.sample_ids,
    )
    found = taken(path, tmp_path).run
    assert found.class_names.tolist() == list(cifar100.CLASS_NAMES)
    same(found, run)
    # numbers count the classes as the file orders them
    place = np.argsort(order)
    write(path, run, run.logits[:, order].astype(np.float32), names, label=place[run.labels], sample_id=run.sample_ids)
    same(taken(path, tmp_path).run, run)


@pytest.mark.parametrize("prefix", ["", "prob_", "class_"])
def test_numbered_columns_are_classes_by_number(tmp_path, prefix):
    run = made_run(10, 200)
    order = np.random.default_rng(0).permutation(10)
    path = write(
        tmp_path / "theirs.csv", run, run.logits[:, order].astype(np.float32), [f"{prefix}{c}" for c in order],
        label=run.labels, sample_id=run.sample_ids,
    )  # fmt: skip
    (tmp_path / "names.txt").write_text("\n".join(run.class_names))
    same(taken(path, tmp_path, class_names=str(tmp_path / "names.txt")).run, run)
    assert "the classes of the columns are unknown" in refused(path, tmp_path)


def test_a_class_of_several_names_is_called_by_the_first(tmp_path):
    run = made_run(5, 40)
    scores = run.logits.astype(np.float32)
    np.savez(tmp_path / "theirs.npz", scores=scores, labels=run.labels, sample_ids=run.sample_ids)
    lines = [f"{name}\tn{number:08}" for number, name in enumerate(run.class_names.tolist())]
    (tmp_path / "names.txt").write_text("\n".join(lines))
    found = taken(tmp_path / "theirs.npz", tmp_path, class_names=str(tmp_path / "names.txt")).run
    assert found.class_names.tolist() == run.class_names.tolist()


def test_classes_may_be_called_as_what_is_missing_elsewhere(tmp_path):
    run = replace(made_run(3, 60, superclasses=False), class_names=np.array(["NA", "None", "cat"]))
    path = write(tmp_path / "theirs.csv", run, label=run.class_names[run.labels], sample_id=run.sample_ids)
    same(taken(path, tmp_path).run, run)
    header, first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([header, "," + first.partition(",")[2], *rest]))
    assert "column 'label' is empty in row 0" in refused(path, tmp_path)


@pytest.mark.parametrize("label", ["none", "number", "text"])
def test_numbered_columns_count_the_file_of_names_whatever_the_test_sets_order(tmp_path, label):
    run = made_run(10, 200)
    save_run(run, tmp_path / "ours.npz")
    order = np.random.default_rng(0).permutation(10)  # the names' order, and by it that of columns and labels
    (tmp_path / "names.txt").write_text("\n".join(run.class_names[order]))
    given = {
        "none": {},
        "number": {"label": np.argsort(order)[run.labels]},
        "text": {"label": run.class_names[run.labels]},
    }
    path = write(
        tmp_path / "theirs.csv", run, run.logits[:, order].astype(np.float32), list(map(str, range(10))), **given[label]
    )
    same(taken(path, tmp_path, like=str(tmp_path / "ours.npz"), class_names=str(tmp_path / "names.txt")).run, run)
    (tmp_path / "names.txt").write_text("\n".join(run.class_names[:9]))
    said = refused(path, tmp_path, like=str(tmp_path / "ours.npz"), class_names=str(tmp_path / "names.txt"))
    assert "9 class names for 10 columns" in said
    write(path, run, **given[label])
    (tmp_path / "names.txt").write_text("\n".join([*run.class_names[:9], "yeti"]))
    said = refused(path, tmp_path, like=str(tmp_path / "ours.npz"), class_names=str(tmp_path / "names.txt"))
    assert "the class names of names.txt do not fit ours's 10 classes: 1 unknown name (such as 'yeti')" in said


def test_labels_and_names_in_files_of_their_own(tmp_path):
    run = made_run(5, 60)
    save_run(run, tmp_path / "ours.npz")
    path = write(tmp_path / "theirs.npy", run)
    np.save(tmp_path / "labels.npy", run.labels[:, None])
    (tmp_path / "labels.txt").write_text("label\n" + "\n".join(run.class_names[run.labels]))
    for name in ("labels.npy", "labels.txt"):
        same(taken(path, tmp_path, like=str(tmp_path / "ours.npz"), labels=str(tmp_path / name)).run, run)
    np.save(tmp_path / "onehot.npy", np.eye(5, dtype=np.float32)[run.labels])
    same(taken(path, tmp_path, like=str(tmp_path / "ours.npz"), labels=str(tmp_path / "onehot.npy")).run, run)


def test_superclasses_of_a_file(tmp_path):
    run = made_run(4, 60)
    run = replace(run, class_names=np.array(["oak", "elm", "cat", "dog"]))
    path = write(tmp_path / "theirs.csv", run, label=run.labels, sample_id=run.sample_ids)
    (tmp_path / "kin.csv").write_text("class,superclass\nOak,tree\nelm,tree\ndog,animal\ncat,animal\n")
    found = taken(path, tmp_path, superclasses=str(tmp_path / "kin.csv")).run
    assert found.superclass_names[found.superclass_of].tolist() == ["tree", "tree", "animal", "animal"]
    (tmp_path / "kin.csv").write_text("oak,tree\nelm,tree\ndog,animal\n")
    assert "1 of 4 classes have no superclass (such as 'cat')" in refused(
        path, tmp_path, superclasses=str(tmp_path / "kin.csv")
    )


def test_zeros_among_probabilities_are_kept_at_the_floor_and_said(tmp_path):
    run = made_run(4, 50)
    probabilities = np.full((50, 4), 0.0, np.float32)
    probabilities[np.arange(50), run.labels] = 1
    probabilities[0] = np.where(np.arange(4) == run.labels[0], 0.7, 0.1)  # else they would be classes without scores
    path = write(tmp_path / "theirs.npz", run, probabilities, labels=run.labels, sample_ids=run.sample_ids)
    found = taken(path, tmp_path)
    assert any("147 probabilities, zero or below 1e-38, are kept as 1e-38" in note for note in found.notes)
    assert "zero_probabilities" not in found.run.meta  # each image's own class has one above zero
    other = replace(run, labels=np.where(np.arange(50) < 3, (run.labels + 1) % 4, run.labels).astype(np.int16))
    path = write(tmp_path / "wrong.npz", other, probabilities, labels=other.labels, sample_ids=other.sample_ids)
    wrong = taken(path, tmp_path)
    assert wrong.run.meta["zero_probabilities"] == 2  # the first image gives every class a probability
    assert any("the true class of 2 images has a probability of zero" in note for note in wrong.notes)
    assert found.run.logits.min() == np.float16(np.log(FLOOR)) and found.run.correct.all()


@pytest.mark.parametrize("factor", [0.5, 2, 100])
def test_probabilities_that_share_another_sum_are_not_taken_for_logits(tmp_path, factor):
    run = made_run(4, 50)
    given = dict(label=run.class_names[run.labels], sample_id=run.sample_ids)
    scores = factor * softmax(run.logits.astype(np.float32), axis=1)
    path = write(tmp_path / "theirs.csv", run, scores.round(3) if factor == 100 else scores, **given)
    for kind in ("auto", "probabilities"):
        assert f"sums to {factor}, not to one; divide them by {factor}" in refused(path, tmp_path, scores=kind)
    assert taken(path, tmp_path, scores="logits").run.meta["scores"] == "logits"
    np.random.default_rng(0).shuffle(factors := np.linspace(2, 3, 50, dtype=np.float32)[:, None])
    path = write(tmp_path / "theirs.csv", run, factors * scores, **given)
    if factor > 1:  # sums of their own each: scores of some other kind
        assert taken(path, tmp_path).run.meta["scores"] == "logits"


def test_a_missing_class_is_said_before_any_sum(tmp_path):
    run = made_run(100, 400)
    save_run(run, tmp_path / "ours.npz")
    scores = softmax(run.logits.astype(np.float32), axis=1)[:, :99]
    of_one = scores / scores.sum(axis=1, keepdims=True)
    for columns in (scores, of_one):
        numbered = write(tmp_path / "theirs.csv", run, columns, list(map(str, range(99))))
        np.save(tmp_path / "theirs.npy", columns)
        for path in (numbered, tmp_path / "theirs.npy"):
            assert refused(path, tmp_path, like=str(tmp_path / "ours.npz")).startswith(
                "99 columns of scores, but ours has 100 classes; give one for each, or the names of all columns by "
                "--class-names FILE and --classes shared (read: 400 rows, 99 columns of scores"
            )
        path = write(tmp_path / "theirs.csv", run, columns, run.class_names[:99].tolist())
        assert "1 missing (such as 'worm')" in refused(path, tmp_path, like=str(tmp_path / "ours.npz"))


def test_an_accuracy_no_better_than_chance_is_doubted(tmp_path):
    run = made_run(5, 300, accuracy=0.5)
    save_run(run, tmp_path / "ours.npz")
    path = tmp_path / "theirs.npy"
    unchecked, doubted = "the order of the rows cannot be checked", "no better than chance"

    def notes(scores, **options):
        np.save(path, scores.astype(np.float32))
        return " ".join(taken(path, tmp_path, like=str(tmp_path / "ours.npz"), **options).notes)

    shuffled = np.random.default_rng(0).permutation(300)
    assert unchecked in notes(run.logits) and doubted not in notes(run.logits)
    assert f"{doubted}, 0.2" in notes(run.logits[shuffled]) and "in this order?" in notes(run.logits[shuffled])
    assert doubted in notes(np.tile([0, -9.0, -9, -9, -9], (300, 1)))  # one class, whatever the image
    np.save(tmp_path / "labels.npy", run.labels)
    assert notes(run.logits, labels=str(tmp_path / "labels.npy")) == ""
    # images named by the file: rows are right, columns may be wrong
    shifted = write(tmp_path / "theirs.csv", run, np.roll(run.logits, 1, axis=1).astype(np.float32),
                    label=run.class_names[run.labels], sample_id=run.sample_ids)  # fmt: skip
    assert "are the columns in the order of these classes?" in " ".join(taken(shifted, tmp_path).notes)
    save_run(few := run.take(np.arange(10)), tmp_path / "ours.npz")
    assert doubted not in notes(np.roll(few.logits, 1, axis=1)), "ten images show nothing"


def test_labels_that_count_from_one(tmp_path):
    run = made_run(10, 100)
    path = write(tmp_path / "theirs.csv", run, label=run.labels + 1, sample_id=run.sample_ids)
    assert refused(path, tmp_path).startswith(
        "label 10 is outside 0..9; labels count from 0; if they count from 1, use --first-class 1 (read: 100 rows"
    )


def test_a_run_file_goes_through_the_same_door(tmp_path):
    run = made_run()
    save_run(run, tmp_path / "theirs.npz")
    found = taken(tmp_path / "theirs.npz", tmp_path, model="other", seed=3).run
    same(found, run)
    assert found.tsne is not None and (found.meta["model"], found.meta["seed"]) == ("other", 3)
    np.savez(tmp_path / "broken.npz", schema=np.array(1))
    assert "missing" in refused(tmp_path / "broken.npz", tmp_path)


def test_existing_names_are_not_overwritten_unasked(tmp_path):
    run = made_run()
    save_run(run, tmp_path / "ours.npz")
    out = tmp_path / "out.npz"
    out.write_bytes(b"mine")
    with pytest.raises(CifarcoreError, match="the run exists already"):
        import_file(tmp_path / "ours.npz", out, ImportConfig())
    assert out.read_bytes() == b"mine"
    # what else is wrong is said first: another name would not help
    np.save(tmp_path / "theirs.npy", made_run().logits)
    for options, said in (
        ({"order": "keras"}, "choose one of torchvision, data"),
        ({"images": "gone"}, "no such folder"),
    ):
        with pytest.raises(CifarcoreError, match=said):
            import_file(tmp_path / "theirs.npy", out, ImportConfig(**options))


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "", "x" * 81, "a b", "x\n"])
def test_names_lead_nowhere_else(tmp_path, name):
    with pytest.raises(CifarcoreError, match="name is"):
        imported_path(tmp_path, name)
    made = run_name(Path(name), ImportConfig(model=name)) if name else run_name("x.npz", ImportConfig())
    assert imported_path(tmp_path, made).parent == tmp_path / "imported"


def test_names_follow_the_model_or_the_file():
    assert run_name("some/My file.v2.csv", ImportConfig()) == "My-file-v2"
    assert run_name("x.csv", ImportConfig(model="vit b/16", preset="timm", seed=2)) == "vit-b-16-timm-2"


def test_rows_that_repeat_an_image_are_counted_and_the_first_two_are_named(tmp_path):
    run = made_run(3, 20).take(np.array([0, 1, 2, 3, 1, 1, 0]))
    path = write(tmp_path / "x.csv", run, label=run.labels, sample_id=run.sample_ids)
    expected = f"3 rows repeat an image (first: rows 0 and 6, sample id {run.sample_ids[0]:016x})"
    assert expected in refused(path, tmp_path)


def test_a_softmax_that_a_file_calls_logits_is_read_as_probabilities_and_said(tmp_path):
    run = made_run(4, 50)
    given = softmax(run.logits.astype(np.float32), axis=1)
    np.savez(
        tmp_path / "theirs.npz", logits=given, labels=run.labels, sample_ids=run.sample_ids, class_names=run.class_names
    )
    said = "the logits lie within 0..1 and sum to one in each row, as after softmax; they are "
    found = taken(tmp_path / "theirs.npz", tmp_path)
    assert found.run.meta["scores"] == "log_probabilities" and f"{said}read as probabilities" in found.notes
    np.testing.assert_allclose(softmax(found.run.logits.astype(float), axis=1), given, atol=2e-3)
    kept = taken(tmp_path / "theirs.npz", tmp_path, scores="logits")
    assert kept.run.meta["scores"] == "logits" and kept.run.meta["through_softmax"] == 50
    assert f"{said}kept as logits, as asked for" in kept.notes
