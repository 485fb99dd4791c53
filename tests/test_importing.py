"""Predictions of other frameworks become run files, or one line says what does not fit."""

import os
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import made_run
from PIL import Image
from scipy.special import softmax
from test_cli import invoke

from cifarcore import CifarcoreError, data, labels
from cifarcore.config import ImportConfig
from cifarcore.image_folder import Pack, list_folder, packed_files
from cifarcore.importing import delete, import_file, pack_path, run_name, run_path
from cifarcore.predictions import FLOOR, SUFFIXES
from cifarcore.runs import align, load_run, save_run
from cifarcore.synthetic import make_synthetic


def write(path, run, scores=None, names=None, **columns):
    """`run`'s outputs as a foreign file; columns of the table, or arrays, beside the scores."""
    scores = run.logits.astype(np.float32) if scores is None else scores
    names = run.class_names.tolist() if names is None else names
    if path.suffix == ".npz":
        np.savez(path, scores=scores, class_names=names, **columns)
    elif path.suffix == ".npy":
        np.save(path, scores)
    else:
        table = pd.DataFrame(columns | dict(zip(names, scores.T, strict=True)))
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return path


def taken(path, tmp_path, **options):
    return import_file(path, tmp_path / "out.npz", ImportConfig(**options), tmp_path / "data", overwrite=True)


def kept_as(logits):
    """Each row's highest score becomes 0."""
    return (logits - logits.max(axis=1, keepdims=True)).astype(np.float16)


def refused(path, tmp_path, **options) -> str:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CifarcoreError) as caught:
        taken(path, tmp_path, **options)
    assert sorted(tmp_path.rglob("*")) == before, "a refusal leaves nothing behind"
    message = str(caught.value)
    assert "\n" not in message
    return message


def same(run, expected):
    """Equal but for the order of images and classes, and the last digits of the scores."""
    pair = align(expected, run)
    assert pair.only_a == pair.only_b == 0
    np.testing.assert_allclose(softmax(pair.b.logits, axis=1), softmax(pair.a.logits, axis=1), atol=2e-3)
    np.testing.assert_array_equal(pair.a.labels, pair.b.labels)


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
    assert found.superclass_names.tolist() == list(labels.SUPERCLASS_NAMES)


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
    assert found.class_names.tolist() == list(labels.CLASS_NAMES)
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
    assert "what the columns stand for" in refused(path, tmp_path)


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
    assert "do not fit names.txt's 10 classes" in said


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
    path = write(tmp_path / "theirs.npz", run, probabilities, labels=run.labels, sample_ids=run.sample_ids)
    found = taken(path, tmp_path)
    assert any("150 probabilities, zero or below 1e-38, are kept as 1e-38" in note for note in found.notes)
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
            assert refused(path, tmp_path, like=str(tmp_path / "ours.npz")) == (
                "99 columns of scores, but ours has 100 classes; give one for each"
            )
        path = write(tmp_path / "theirs.csv", run, columns, run.class_names[:99].tolist())
        assert "1 missing (such as 'worm')" in refused(path, tmp_path, like=str(tmp_path / "ours.npz"))


def test_an_accuracy_no_better_than_chance_is_doubted(tmp_path):
    run = made_run(5, 300, accuracy=0.5)
    save_run(run, tmp_path / "ours.npz")
    path = tmp_path / "theirs.npy"
    unchecked, doubted = "the order of the rows is not checked", "no better than chance"

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
    assert "do the columns stand for these classes?" in " ".join(taken(shifted, tmp_path).notes)
    save_run(few := run.take(np.arange(10)), tmp_path / "ours.npz")
    assert doubted not in notes(np.roll(few.logits, 1, axis=1)), "ten images show nothing"


def test_labels_that_count_from_one(tmp_path):
    run = made_run(10, 100)
    path = write(tmp_path / "theirs.csv", run, label=run.labels + 1, sample_id=run.sample_ids)
    assert refused(path, tmp_path) == "label 10 is outside 0..9; labels count from 0"


def test_pickled_scores_are_not_read_and_the_remedy_is_named(tmp_path):
    np.save(tmp_path / "theirs.npy", made_run(5, 60).logits.astype(object), allow_pickle=True)
    assert 'np.save(file, scores.astype("float32"))' in refused(tmp_path / "theirs.npy", tmp_path)


def test_a_run_file_goes_through_the_same_door(tmp_path):
    run = made_run()
    save_run(run, tmp_path / "theirs.npz")
    found = taken(tmp_path / "theirs.npz", tmp_path, model="other", seed=3).run
    same(found, run)
    assert found.tsne is not None and (found.meta["model"], found.meta["seed"]) == ("other", 3)
    np.savez(tmp_path / "broken.npz", schema=np.array(1))
    assert "missing" in refused(tmp_path / "broken.npz", tmp_path)


def broken():
    """What is wrong with a file -> what the message must say."""
    run = made_run(10, 100)
    good = {"label": run.class_names[run.labels], "sample_id": run.sample_ids}
    scores = run.logits.astype(np.float32)
    half = softmax(scores, axis=1)
    half[7] /= 2
    hole = scores.copy()
    hole[4, 2] = np.nan
    text = good | {"comment": np.array(["so so"] * 100)}
    names = run.class_names.tolist()
    yield "row not one", dict(scores=half, **good), "the probabilities of 1 of 100 rows do not sum to one (row 7: 0.5)"
    yield "nan", dict(scores=hole, **good), f"first: row 4, column {names[2]}"
    yield "no ids", dict(label=good["label"]), "which images these are is not said"
    yield "no labels", dict(sample_id=good["sample_id"]), "no labels"
    yield "text column", text, "column 'comment' holds 'so so'"
    yield (
        "unknown label",
        dict(good, label=np.array(["no such"] * 100)),
        "labels are no class's name (such as 'no such')",
    )
    yield "label too high", dict(good, label=run.labels + 5), "outside 0..9"
    yield "repeated", dict(good, sample_id=np.r_[run.sample_ids[:1], run.sample_ids[:1], run.sample_ids[2:]],
                           label=np.r_[run.labels[:1], run.labels[:1], run.labels[2:]]), "rows 0 and 1"  # fmt: skip
    yield "same name", dict(good, names=[*names[:-1], names[0].upper()]), "are the same name"
    yield "no ids but text", dict(good, sample_id=["x"] * 100), "sample ids are no unsigned 64-bit numbers"
    yield "two of a kind", dict(good, target=run.labels), "both say the same"


@pytest.mark.parametrize(("columns", "said"), [case[1:] for case in broken()], ids=[case[0] for case in broken()])
def test_what_does_not_fit_is_said_in_one_line(tmp_path, columns, said):
    message = refused(write(tmp_path / "theirs.csv", made_run(10, 100), **columns), tmp_path)
    assert said in message


def test_arrays_that_do_not_fit(tmp_path):
    run = made_run(10, 100)
    path = tmp_path / "theirs.npz"
    given = {"labels": run.labels, "sample_ids": run.sample_ids, "class_names": run.class_names}
    for arrays, said in (
        (given | {"logits": run.logits[:, :9]}, "10 class names for 9 columns"),
        (given | {"logits": run.logits[:90]}, "100 labels for 90 rows"),
        (given | {"logits": run.logits, "labels": run.labels[:90]}, "90 labels for 100 rows"),
        (given | {"logits": run.logits, "sample_ids": run.sample_ids[:90]}, "90 sample ids for 100 rows"),
        (given | {"probabilities": run.logits}, "outside 0..1"),
        (given | {"logits": run.logits, "probabilities": run.logits}, "keep one"),
        (given | {"logits": run.logits.astype(object)}, "pickle"),
        (given | {"logits": run.logits[:0]}, "no row"),
        (given | {"logits": run.logits[0]}, "one row an image"),
        (given, "no array of scores among labels"),
        (given | {"logits": 1e6 * run.logits.astype(np.float32)}, "65504"),
    ):
        np.savez(path, **arrays)
        assert said in refused(path, tmp_path), said
    (tmp_path / "theirs.txt").write_text("1 2")
    assert "predictions are read from .npz" in refused(tmp_path / "theirs.txt", tmp_path)
    assert "no such file" in refused(tmp_path / "none.csv", tmp_path)
    np.savez(path, logits=run.logits, **given)
    for options in ({"order": "torchvision", "like": "x"}, {"order": "torchvision", "images": "x"}):
        assert "give one of them" in refused(path, tmp_path, **options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cat,dog\n-1,2,0.3\n", "more cells than the 2 columns"),
        ("label,sample_id,cat,dog\n0,1,2,3,4\n", "more cells than the 4 columns"),
        ('file,label,cat,"dog\n' + "a,0,1,2\n" * 20_000, "not a readable csv file"),
        (",".join(["cat", *map(str, range(400_000)), "cat"]) + "\n", "column 'cat' stands twice"),
    ],
    ids=["row names", "row names beside labels", "open quote", "many columns"],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path, content, said):
    (tmp_path / "theirs.csv").write_text(content)
    assert said in refused(tmp_path / "theirs.csv", tmp_path)


def test_small_files_that_unfold_to_much_are_refused(tmp_path):
    path = tmp_path / "theirs.parquet"
    pd.DataFrame(
        {"label": pd.Categorical.from_codes(np.zeros(200_000, int), ["x" * 10_000]), "a": 0, "b": 1.0}
    ).to_parquet(path)
    tracemalloc.start()
    assert "1.9 GiB when read" in refused(path, tmp_path)
    pd.DataFrame({"label": ["x" * 10_000] * 1_000, "a": 0.1, "b": 0.2}).to_parquet(path)
    assert "a label has 10,000 characters" in refused(path, tmp_path)
    empty = {"descr": "<U0", "fortran_order": False, "shape": (20_000_000,)}
    with zipfile.ZipFile(tmp_path / "theirs.npz", "w") as archive:
        for name in ("logits", "labels"):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, empty)
    assert "not as long as its header says" in refused(tmp_path / "theirs.npz", tmp_path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50 << 20


def test_a_zip_of_an_unknown_version_is_refused(tmp_path):
    path = tmp_path / "theirs.npz"
    np.savez(path, logits=made_run().logits)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 200  # the version needed to extract
    path.write_bytes(content)
    assert "theirs.npz" in refused(path, tmp_path) and packed_files(path) == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY", b"\x80\x04K\x01.", b"a,b\n1", b"PAR1xxxxPAR1", b"\xff\xfe\x00"]
)
def test_damaged_files_are_refused(tmp_path, suffix, content):
    (tmp_path / f"theirs{suffix}").write_bytes(content)
    assert f"theirs{suffix}" in refused(tmp_path / f"theirs{suffix}", tmp_path)


def test_a_header_that_promises_too_much_is_refused_before_it_is_allocated(tmp_path):
    with (tmp_path / "theirs.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**4)})
    assert "theirs.npy" in refused(tmp_path / "theirs.npy", tmp_path)


def test_existing_names_are_not_overwritten_unasked(tmp_path):
    run = made_run()
    save_run(run, tmp_path / "ours.npz")
    out = tmp_path / "out.npz"
    out.write_bytes(b"mine")
    with pytest.raises(CifarcoreError, match="there is such a run already"):
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
        run_path(tmp_path, name)
    made = run_name(Path(name), ImportConfig(model=name)) if name else run_name("x.npz", ImportConfig())
    assert run_path(tmp_path, made).parent == tmp_path / "imported"


def test_names_follow_the_model_or_the_file():
    assert run_name("some/My file.v2.csv", ImportConfig()) == "My-file-v2"
    assert run_name("x.csv", ImportConfig(model="vit b/16", preset="timm", seed=2)) == "vit-b-16-timm-2"


@pytest.fixture(scope="module")
def test_split(tmp_path_factory):
    """A made-up copy of the test split as torchvision orders it: images (10000, 32, 32, 3), labels; and its folder."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10000, 32, 32, 3), np.uint8)
    classes = rng.permutation(np.arange(10000) % 100).astype(np.uint8)
    folder = tmp_path_factory.mktemp("data")
    np.savez(folder / data.ARRAYS_FILE, x_test=images, y_test=classes, order=np.array("torchvision"))
    return images, classes, folder


def ordered(path, order, folder, tmp_path, **options):
    return import_file(path, tmp_path / "out.npz", ImportConfig(order=order, **options), folder, overwrite=True).run


def test_the_order_of_torchvisions_test_set(tmp_path, test_split):
    images, classes, folder = test_split
    scores = np.random.default_rng(1).standard_normal((10000, 100)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    run = ordered(tmp_path / "theirs.npy", "torchvision", folder, tmp_path)
    np.testing.assert_array_equal(run.sample_ids, data.sample_ids(images))
    np.testing.assert_array_equal(run.labels, classes)
    assert run.meta["dataset"]["name"] == "CIFAR-100" and run.class_names.tolist() == list(labels.CLASS_NAMES)
    np.savez(tmp_path / "theirs.npz", logits=scores, y_true=classes)
    np.testing.assert_array_equal(ordered(tmp_path / "theirs.npz", "torchvision", folder, tmp_path).labels, classes)
    np.savez(tmp_path / "theirs.npz", logits=scores, y_true=np.r_[classes[1:], classes[:1]])
    with pytest.raises(
        CifarcoreError, match=f"the labels of {(classes != np.r_[classes[1:], classes[:1]]).sum():,} of 10,000 rows"
    ):
        ordered(tmp_path / "theirs.npz", "torchvision", folder, tmp_path)
    np.save(tmp_path / "theirs.npy", scores[:9000])
    with pytest.raises(CifarcoreError, match="9,000 rows of scores, but torchvision's test set has 10,000 images"):
        ordered(tmp_path / "theirs.npy", "torchvision", folder, tmp_path)


def test_an_order_that_cannot_be_known_is_refused(tmp_path, test_split):
    images, classes, _ = test_split
    scores = np.random.default_rng(1).standard_normal((10000, 100)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    np.savez(tmp_path / "labelled.npz", logits=scores, labels=classes)
    folder = tmp_path / "unmarked"
    folder.mkdir()
    with pytest.raises(CifarcoreError, match="no cifar100.npz"):
        ordered(tmp_path / "theirs.npy", "torchvision", folder, tmp_path)
    np.savez(folder / data.ARRAYS_FILE, x_test=images, y_test=classes)
    with pytest.raises(CifarcoreError, match="does not say that it is in torchvision's order"):
        ordered(tmp_path / "theirs.npy", "torchvision", folder, tmp_path)
    assert ordered(tmp_path / "labelled.npz", "torchvision", folder, tmp_path).n_images == 10000, (
        "labels that agree show it"
    )
    by_class = np.argsort(classes, kind="stable")
    np.savez(folder / data.ARRAYS_FILE, x_test=images[by_class], y_test=classes[by_class])
    # sorted, the labels of every order agree: they must not choose one
    np.savez(tmp_path / "sorted.npz", logits=scores, labels=classes[by_class])
    for name in ("labelled.npz", "sorted.npz"):
        with pytest.raises(CifarcoreError, match="sorted by class.* say --order data"):
            ordered(tmp_path / name, "torchvision", folder, tmp_path)
        with pytest.raises(CifarcoreError, match="is not said.* --order torchvision, or --order data"):
            ordered(tmp_path / name, "", folder, tmp_path)
    np.testing.assert_array_equal(ordered(tmp_path / "sorted.npz", "data", folder, tmp_path).labels, classes[by_class])
    with pytest.raises(CifarcoreError, match="the labels of .* bring the rows into its order, or give sample_ids"):
        ordered(tmp_path / "labelled.npz", "data", folder, tmp_path)
    run = ordered(tmp_path / "theirs.npy", "data", folder, tmp_path)
    np.testing.assert_array_equal(run.labels, classes[by_class])


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of any size and kind, one of them twice, and what ImageFolder lists of it."""
    rng = np.random.default_rng(0)
    root = tmp_path / "birds"
    for name, sizes in (
        ("Barn owl", [(40, 30), (200, 150), (7, 9)]),
        ("wren", [(32, 32), (300, 20)]),
        ("Auk", [(5, 5)]),
    ):
        for i, (width, height) in enumerate(sizes):
            (root / name / "more").mkdir(parents=True, exist_ok=True)
            content = rng.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(content).save(root / name / ("more" if i == 1 else "") / f"{name[0]}{9 - i}.png")
    (root / "wren" / "notes.txt").write_text("no picture")
    Image.open(root / "Auk" / "A9.png").save(root / "Auk" / "again.png")
    Image.new("L", (20, 10), 7).save(root / "wren" / "grey.gif.png")
    return root


def test_a_folder_of_pictures_in_torchvisions_order(tmp_path, pictures):
    from torchvision.datasets import ImageFolder

    theirs = ImageFolder(pictures)
    scores = np.random.default_rng(1).standard_normal((len(theirs), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    found = taken(tmp_path / "theirs.npy", tmp_path, images=str(pictures))
    run = found.run
    contents = [np.asarray(theirs[i][0]) for i in range(len(theirs))]
    ids = [data.sample_ids(content[None])[0] for content in contents]
    kept = [i for i in range(len(ids)) if ids[i] not in ids[:i]]
    assert len(kept) == len(theirs) - 1 and any("1 pictures" in note for note in found.notes)
    assert run.sample_ids.tolist() == [ids[i] for i in kept]
    assert run.labels.tolist() == [theirs.targets[i] for i in kept] and run.class_names.tolist() == theirs.classes
    np.testing.assert_array_equal(run.logits, kept_as(scores)[kept])
    assert run.meta["dataset"]["name"] == "birds"
    pack = Pack(pack_path(tmp_path / "out.npz"))
    assert set(pack.ids.tolist()) == set(ids)
    for content, sample_id in zip(contents, ids, strict=True):
        shown = pack.pixels(int(sample_id))
        if max(content.shape) <= 128:
            np.testing.assert_array_equal(shown, content)
        else:
            assert max(shown.shape) == 128
    assert pack.pixels(1) is None


def test_a_folder_of_pictures_by_file_name(tmp_path, pictures):
    from torchvision.datasets import ImageFolder

    files = [Path(path).relative_to(pictures).as_posix() for path, _ in ImageFolder(pictures).samples]
    order = np.random.default_rng(2).permutation(len(files))[:-1]
    scores = np.random.default_rng(1).standard_normal((len(files), 3)).astype(np.float32)
    names = ["auk", "barn_owl", "wren"]

    def table(given, **more):
        frame = pd.DataFrame({"file": given} | more | dict(zip(reversed(names), scores[order, ::-1].T, strict=True)))
        frame.to_csv(tmp_path / "theirs.csv", index=False)
        return tmp_path / "theirs.csv"

    whole = [f"{pictures.as_posix()}/{files[i]}" for i in order]
    elsewhere = [f"/home/me/val/{files[i]}" for i in order]
    windows = [f"C:\\me\\{files[i]}".replace("/", "\\") for i in order]
    for given in ([files[i] for i in order], whole, elsewhere, windows, [Path(files[i]).name for i in order]):
        found = taken(table(given, label=[Path(files[i]).parts[0] for i in order]), tmp_path, images=str(pictures))
        assert found.run.class_names.tolist() == ["Auk", "Barn owl", "wren"]
        assert any("have no prediction" in note for note in found.notes)
        expected = {files[i]: kept_as(scores)[i].tolist() for i in order}
        at = {int(data.sample_ids(np.asarray(Image.open(pictures / f).convert("RGB"))[None])[0]): f for f in expected}
        for sample_id, row in zip(found.run.sample_ids.tolist(), found.run.logits.tolist(), strict=True):
            if "Auk" not in at[sample_id]:
                assert row == expected[at[sample_id]]
    assert "labels of" in refused(table(whole, label=["wren"] * len(order)), tmp_path, images=str(pictures))
    assert "1 of 7 files are not in the folder" in refused(
        table([*whole[:-1], "gone.png"]), tmp_path, images=str(pictures)
    )
    assert (
        "1 of 7 files are not in the folder"
        in refused(  # another class's file of that name is not this one
            table([*whole[:-1], "Auk/B9.png"]), tmp_path, images=str(pictures)
        )
    )
    Image.new("RGB", (3, 3)).save(pictures / "wren" / "B9.png")
    twins = [f"/flat/{Path(files[i]).name}" for i in order]
    assert "stand in several classes; name them class/file (first: '/flat/B9.png'" in refused(
        table(twins), tmp_path, images=str(pictures)
    )
    (pictures / "wren" / "B9.png").unlink()
    assert "stand in several rows" in refused(table([*whole[:-1], whole[0]]), tmp_path, images=str(pictures))
    Path(whole[0]).write_bytes(b"no picture")
    with pytest.raises(CifarcoreError, match="cannot be read as a picture"):
        taken(table(whole), tmp_path, images=str(pictures))


def test_rows_of_a_folders_run_are_found_by_file(tmp_path, pictures):
    """As «model A's images» in the app has it: what was a picture's file is kept beside the run."""
    from torchvision.datasets import ImageFolder

    files = [Path(path).relative_to(pictures).as_posix() for path, _ in ImageFolder(pictures).samples]
    scores = 5 * np.random.default_rng(1).standard_normal((len(files), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    ours = tmp_path / "ours.npz"
    first = import_file(tmp_path / "theirs.npy", ours, ImportConfig(images=str(pictures))).run
    order = np.random.default_rng(2).permutation(len(files))
    frame = pd.DataFrame(scores[order], columns=first.class_names)
    frame.insert(0, "file", [f"/home/me/{files[i]}" for i in order])
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    found = taken(tmp_path / "theirs.csv", tmp_path, like=str(ours))
    assert found.run.n_images == first.n_images == len(files) - 1, "a picture of two files counts once"
    assert not any("order" in note for note in found.notes)
    kept = dict(zip(found.run.sample_ids.tolist(), found.run.logits.tolist(), strict=True))
    for row, (sample_id, logits) in enumerate(zip(first.sample_ids.tolist(), first.logits.tolist(), strict=True)):
        if "Auk" not in first.class_names[first.labels[row]]:  # whose two files have scores of their own
            assert kept[sample_id] == logits
    # without names beside it: the order is taken, and said to be unchecked; or the labels speak against it
    pack_path(ours).unlink()
    frame = frame.iloc[:-1].assign(file="x")
    frame.to_csv(tmp_path / "theirs.csv", index=False)
    notes = " ".join(taken(tmp_path / "theirs.csv", tmp_path, like=str(ours)).notes)
    assert "the names of files were not used" in notes and "--images FOLDER" in notes and "not checked" in notes
    frame.assign(label="wren").to_csv(tmp_path / "theirs.csv", index=False)
    assert "or give --images FOLDER, which finds them by file" in refused(
        tmp_path / "theirs.csv", tmp_path, like=str(ours)
    )


def test_a_refused_import_leaves_run_and_pictures_as_they_were(tmp_path, pictures):
    scores = np.random.default_rng(0).normal(size=(len(list_folder(pictures).files), 3)).astype(np.float32)
    np.save(tmp_path / "theirs.npy", scores)
    np.save(tmp_path / "too-large.npy", 1e6 * scores)
    out = tmp_path / "runs" / "birds.npz"
    config = ImportConfig(images=str(pictures), order="")
    with pytest.raises(CifarcoreError, match="too large"):
        import_file(tmp_path / "too-large.npy", out, config)
    assert not list(out.parent.iterdir())
    import_file(tmp_path / "theirs.npy", out, config)
    before = {path: path.read_bytes() for path in out.parent.iterdir()}
    Image.new("RGB", (9, 9)).save(pictures / "Auk" / "A9.png")
    with pytest.raises(CifarcoreError, match="too large"):
        import_file(tmp_path / "too-large.npy", out, config, overwrite=True)
    assert {path: path.read_bytes() for path in out.parent.iterdir()} == before and len(before) == 2


def test_folders_that_hold_no_classes(tmp_path):
    np.save(tmp_path / "theirs.npy", 5 * np.eye(4, 2, dtype=np.float32))
    assert "no such folder" in refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "none"))
    (tmp_path / "root" / "cat").mkdir(parents=True)
    assert "no picture" in refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root"))
    Image.new("RGB", (4, 4)).save(tmp_path / "root" / "cat" / "1.png")
    alone = refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root"))
    assert "one folder of a class alone, 'cat'; give one for each of two classes" in alone
    above = refused(tmp_path / "theirs.npy", tmp_path, images=str(tmp_path))  # the parent of the classes' folders
    assert f"holds one folder alone, 'root'; if that holds the classes' folders, give {tmp_path / 'root'}" in above
    assert "no folder of a class in it" in refused(
        tmp_path / "theirs.npy", tmp_path, images=str(tmp_path / "root" / "cat")
    )


def test_deleting_takes_run_and_pictures(tmp_path, pictures):
    np.save(tmp_path / "theirs.npy", 5 * np.eye(8, 3, dtype=np.float32))
    out = run_path(tmp_path, "theirs")
    import_file(tmp_path / "theirs.npy", out, ImportConfig(images=str(pictures)))
    assert pack_path(out).exists()
    delete(tmp_path, "theirs")
    assert not out.exists() and not pack_path(out).exists()
    for name in ("theirs", "../theirs"):
        with pytest.raises(CifarcoreError):
            delete(tmp_path, name)


def sklearn_model(images, classes):
    """A scikit-learn classifier on pooled pixels, as someone without a GPU would make one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-2)).fit(pooled(images), classes)


def pooled(images):
    return images.reshape(len(images), 8, 4, 8, 4, 3).mean(axis=(2, 4)).reshape(len(images), -1) / 255


def test_scikit_learn_and_keras_style_and_torchvision_on_the_drawn_set(tmp_path):
    """Three frameworks' habits end in runs that compare: names from the model, softmax arrays, a network's logits."""
    import torch
    from torchvision.models import squeezenet1_1

    drawn = make_synthetic(1000, 200)
    names = np.array(drawn.class_names)
    ids = data.sample_ids(drawn.x_test)
    model = sklearn_model(drawn.x_train, names[drawn.y_train])
    table = pd.DataFrame(model.predict_proba(pooled(drawn.x_test)), columns=model.classes_)
    table.insert(0, "label", names[drawn.y_test])
    table.insert(0, "sample_id", ids)
    table.to_csv(tmp_path / "sklearn.csv", index=False)
    first = taken(tmp_path / "sklearn.csv", tmp_path).run
    predicted = model.predict(pooled(drawn.x_test))
    assert first.correct.mean() == (predicted == names[drawn.y_test]).mean() > 0.05
    save_run(first, tmp_path / "sklearn.npz")

    torch.manual_seed(0)
    network = squeezenet1_1(num_classes=100).eval()
    with torch.inference_mode():
        logits = network(torch.from_numpy(drawn.x_test[:, ::1]).permute(0, 3, 1, 2) / 255).numpy()
    order = np.array([model.classes_.tolist().index(name) for name in names])
    for name, arrays in {
        "network": {"logits": logits, "labels": drawn.y_test, "class_names": names, "sample_ids": ids},
        "keras": {
            "y_pred": softmax(logits, axis=1),
            "y_true": np.eye(100)[drawn.y_test],
            "class_names": names,
            "sample_ids": ids,
        },
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        run = taken(tmp_path / f"{name}.npz", tmp_path).run
        pair = align(first, run)
        assert pair.b.n_images == 200
        np.testing.assert_array_equal(pair.b.predictions, order[logits.argmax(axis=1)])


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("CIFARCORE_DATA"), reason="set CIFARCORE_DATA to a folder with CIFAR-100 to run this"
)
def test_scikit_learn_on_real_pixels(tmp_path):
    dataset = data.load_cifar100(download=False)
    rows = np.random.default_rng(0).permutation(50000)[:2000]
    model = sklearn_model(dataset.x_train[rows], dataset.y_train[rows])
    np.savez(tmp_path / "sklearn.npz", proba=model.predict_proba(pooled(dataset.x_test)), y_test=dataset.y_test)
    run = import_file(tmp_path / "sklearn.npz", tmp_path / "out.npz", ImportConfig(order="data")).run
    assert run.correct.mean() == (model.predict(pooled(dataset.x_test)) == dataset.y_test).mean()
    assert 0.05 < run.correct.mean() < 0.3
    assert run.meta["dataset"] == {"name": "CIFAR-100", "fingerprint": data.TEST_FINGERPRINT}


def test_the_command(tmp_path, monkeypatch):
    run = made_run(5, 60)
    path = write(tmp_path / "My model.csv", run, label=run.labels, sample_id=run.sample_ids)
    monkeypatch.chdir(tmp_path)
    printed = invoke("import", path)
    assert f"{run.correct.mean():.4f}" in printed and "60 images, 5 classes, logits" in printed
    same(load_run(tmp_path / "checkpoints" / "imported" / "My-model.npz"), run)
    invoke("import", path, "--model", "theirs", "--preset", "long", "--seed", 1)
    named = load_run(tmp_path / "checkpoints" / "imported" / "theirs-long-1.npz")
    assert named.group == "theirs-long" and named.meta["seed"] == 1
    invoke("import", path, "--overwrite", "--out", tmp_path / "elsewhere.npz")
    same(load_run(tmp_path / "elsewhere.npz"), run)
    np.save(tmp_path / "shuffled.npy", run.logits[::-1])
    printed = " ".join(invoke("import", tmp_path / "shuffled.npy", "--like", tmp_path / "elsewhere.npz").split())
    assert "note: the order of the rows is not checked" in printed
    assert "torchvision or data" in " ".join(invoke("import", "--help").replace("│", " ").split())


def test_the_recipe_of_the_readme_writes_a_run_file(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    recipe = next(block for block in text.split("```python\n")[1:] if "schema=" in block).split("```")[0]
    drawn = make_synthetic(1, 50)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    exec(
        recipe,
        {
            "class_names": drawn.class_names,
            "test_images": drawn.x_test,
            "labels": drawn.y_test,
            "logits": np.eye(100)[drawn.y_test],
        },
    )
    run = load_run(tmp_path / "checkpoints" / "mine.npz")
    assert run.correct.all() and run.sample_ids.tolist() == data.sample_ids(drawn.x_test).tolist()


def test_the_example_of_the_readme_is_taken(tmp_path):
    text = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    header, first = lines[lines.index("file,label,cat,dog,horse") :][:2]
    for i, name in enumerate(("cat", "dog", "horse")):
        (tmp_path / "my_test_set" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / "my_test_set" / name / "0001.png")
    rows = [header, first, "dog/0001.png,dog,0.1,0.9,0", "horse/0001.png,horse,0.2,0.7,0.1"]
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    run = taken(tmp_path / "mine.csv", tmp_path, images=str(tmp_path / "my_test_set")).run
    assert run.class_names.tolist() == ["cat", "dog", "horse"] and run.correct.tolist() == [True, True, False]
