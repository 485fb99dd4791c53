"""Runs without pictures: row i is image i of a test set that has a name, and labels guard the order."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run

from cifarcore import CifarcoreError, Run, compare
from cifarcore.data.ids import row_ids, sample_ids
from cifarcore.runs.alignment import align
from cifarcore.runs.notes import _alike_in_a_row, _repeated_labels
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def models():
    return made_run(10, 300, 0.5), made_run(10, 300, 0.7, model="resnet18")


def imported(path, tmp_path, run, rows=None, labels=None, **options):
    rows = np.arange(run.n_images) if rows is None else rows
    np.savez(
        path,
        logits=run.logits[rows].astype(np.float32),
        labels=(run.labels if labels is None else labels)[rows],
        class_names=run.class_names,
    )
    found = taken(path, tmp_path, **{"order": "rows", "test_set": "shop"} | options)
    kept = tmp_path / f"{path.stem}-run.npz"
    found.path.rename(kept)
    return load_run(kept), found.notes


def test_ids_of_rows_differ_by_row_and_by_test_set():
    ids = row_ids("shop", 1000)
    assert ids.dtype == np.uint64 and len(set(ids.tolist()) | set(row_ids("other", 1000).tolist())) == 2000
    np.testing.assert_array_equal(row_ids("shop", 10), ids[:10])
    assert not len(row_ids("shop", 0)) and not np.isin(sample_ids(np.zeros((1, 4, 4, 3), np.uint8)), ids)


def test_two_files_are_compared_row_by_row(tmp_path, models):
    (a, notes), (b, _) = (imported(tmp_path / f"{i}.npz", tmp_path, run) for i, run in enumerate(models))
    assert any("row i is compared as image i of 'shop'" in note for note in notes)
    expected, found = compare(*models), compare(a, b)
    row = ["a", "b", "difference", "low", "high", "p"]
    for metric in ("accuracy", "macro_f1", "macro_auc"):
        np.testing.assert_allclose(
            found.metrics.loc[metric, row].astype(float), expected.metrics.loc[metric, row].astype(float), atol=1e-3
        )
    assert a.meta["dataset"]["name"] == "shop" and len(align(a, b).a.labels) == 300


def test_the_order_of_classes_may_differ_but_not_that_of_rows(tmp_path, models):
    a, _ = imported(tmp_path / "a.npz", tmp_path, models[0])
    order = np.random.default_rng(0).permutation(10)
    names, place = models[1].class_names[order], np.argsort(order)
    np.savez(
        tmp_path / "b.npz", logits=models[1].logits[:, order].astype(np.float32), labels=place[models[1].labels],
        class_names=names,
    )  # fmt: skip
    b = taken(tmp_path / "b.npz", tmp_path, order="rows", test_set="shop").run
    np.testing.assert_array_equal(align(a, b).b.predictions, models[1].predictions)
    rows = np.random.default_rng(1).permutation(300)
    shuffled, _ = imported(tmp_path / "c.npz", tmp_path, models[1], rows)
    with pytest.raises(
        CifarcoreError, match=r"number the rows of 'shop' in different orders: the labels of \d+ of 300"
    ):
        align(a, shuffled)
    other, _ = imported(tmp_path / "d.npz", tmp_path, models[1], test_set="another")
    with pytest.raises(CifarcoreError, match="share no test image"):
        align(a, other)


def test_numbers_of_rows_in_the_file_are_applied(tmp_path, models):
    a, _ = imported(tmp_path / "a.npz", tmp_path, models[0])
    rows = np.random.default_rng(1).permutation(300)
    np.savez(
        tmp_path / "b.npz", logits=models[1].logits[rows].astype(np.float32), labels=models[1].labels[rows],
        class_names=models[1].class_names, index=rows,
    )  # fmt: skip
    b = taken(tmp_path / "b.npz", tmp_path, order="rows", test_set="shop").run
    np.testing.assert_array_equal(align(a, b).b.predictions, models[1].predictions)
    np.savetxt(tmp_path / "labels.txt", models[1].labels, fmt="%d")
    options = {"order": "rows", "test_set": "shop", "labels": str(tmp_path / "labels.txt")}
    assert "another order than --labels" in refused(tmp_path / "b.npz", tmp_path, **options)


def test_what_is_missing_or_too_much_is_said(tmp_path, models):
    run = models[0]
    path = tmp_path / "a.npz"
    np.savez(path, logits=run.logits.astype(np.float32), class_names=run.class_names)
    assert "--order rows --test-set NAME" in refused(path, tmp_path)
    assert "go together" in refused(path, tmp_path, order="rows")
    assert "go together" in refused(path, tmp_path, test_set="shop")
    assert "no labels" in refused(path, tmp_path, order="rows", test_set="shop")
    assert "give one of them" in refused(path, tmp_path, order="rows", test_set="shop", images=str(tmp_path))
    np.savez(
        path, logits=run.logits.astype(np.float32), class_names=run.class_names, labels=run.labels,
        sample_ids=run.sample_ids,
    )  # fmt: skip
    assert "names its images by sample ids" in refused(path, tmp_path, order="rows", test_set="shop")


def test_from_python(tmp_path, models):
    arguments = [
        dict(class_names=run.class_names, labels=run.labels, test_set="shop", model=run.meta["model"]) for run in models
    ]
    a, b = (Run.from_predictions(run.logits, **each) for run, each in zip(models, arguments, strict=True))
    assert len(align(load_run(save_run(a, tmp_path / "a.npz")), b).a.labels) == 300
    imported_b, _ = imported(tmp_path / "b.npz", tmp_path, models[1])
    assert len(align(a, imported_b).a.labels) == 300
    with pytest.raises(CifarcoreError, match="sample_ids, images, test_set: give one of the three"):
        Run.from_predictions(models[0].logits, **arguments[0], sample_ids=models[0].sample_ids)
    swapped = Run.from_predictions(models[0].logits, **arguments[0] | {"labels": np.roll(models[0].labels, 1)})
    with pytest.raises(CifarcoreError, match="in different orders"):
        compare(swapped, b)


def test_labels_that_count_from_one_are_refused_though_they_fit(tmp_path, models):
    run = models[0].take(np.flatnonzero(models[0].labels < 9))
    path = tmp_path / "x.npz"
    arrays = {"logits": run.logits.astype(np.float32), "class_names": run.class_names}
    np.savez(path, labels=run.labels + 1, **arrays)
    said = refused(path, tmp_path, order="rows", test_set="shop")
    assert said.startswith("no label is 0, and ") and "if they count from 1, use --first-class 1" in said
    found = taken(path, tmp_path, order="rows", test_set="shop", first_class=1).run
    np.testing.assert_array_equal(found.labels, run.labels)


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("how", ["after", "beside", "begun", "after by class"])
def test_the_rows_of_several_models_in_one_file_are_doubted(tmp_path, how, scored):
    """As a script appends each epoch's to one file: their mean was the accuracy of twice as many images."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=60)
    labels = np.sort(labels) if how == "after by class" else labels
    rows = {"beside": np.repeat(np.arange(60), 2), "begun": np.r_[0:60, 0:25]}.get(how, np.r_[0:60, 0:60])
    names = np.array(["cat", "dog", "eel"])
    scores = rng.normal(size=(len(rows), 3)) + 2 * np.eye(3)[labels[rows]]

    def theirs(rows, scores):
        columns = dict(zip(names, scores.T, strict=True)) if scored else {"prediction": names[scores.argmax(axis=1)]}
        pd.DataFrame({"label": names[labels[rows]]} | columns).to_csv(tmp_path / "x.csv", index=False)
        return taken(tmp_path / "x.csv", tmp_path, order="rows", test_set="shop").notes

    said = (
        "every label stands 2 times in a row" if how == "beside" else "from row 60 on the labels are those of the first"
    )
    assert any(note.startswith(said) and "is each image there once?" in note for note in theirs(rows, scores))
    once = np.arange(60)
    assert not any("is each image there once?" in note for note in theirs(once, scores[once]))
    given = scores if scored else names[scores.argmax(axis=1)]
    with pytest.warns(UserWarning, match=said):
        Run.from_predictions(given, labels[rows], class_names=names, test_set="shop")


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("many", [2, 3, 4, 10])
def test_the_rows_of_one_image_that_stand_side_by_side_are_doubted_by_class_too(many, scored):
    """As of test-time augmentation over a folder: the labels, in the order of the classes, tell nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 80)
    scores = rng.normal(size=(240, 3)) + np.eye(3)[labels]
    views = np.repeat(scores, many, axis=0) + 0.3 * rng.normal(size=(240 * many, 3))
    names = np.array(["cat", "dog", "eel"])

    def given(scores):
        return scores if scored else names[scores.argmax(axis=1)]

    with pytest.warns(UserWarning, match=f"the scores are alike {many} rows at a time"):
        Run.from_predictions(given(views), np.repeat(labels, many), class_names=names, test_set="shop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Run.from_predictions(given(scores), labels, class_names=names, test_set="shop")


def test_rows_alike_without_a_period_are_not_doubted():
    """As rows by chance, and the frames of films, which change little by little."""
    rng = np.random.default_rng(0)
    for drift in [0] * 100 + [0.2] * 100:
        n_classes, images = rng.integers((5, 20), (20, 100))
        labels = np.repeat(np.arange(n_classes), images)
        scores = rng.normal(size=(len(labels), n_classes)) + 3 * np.eye(n_classes)[labels]
        scores += drift * np.cumsum(scores, axis=0)
        run = made_run(n_classes, len(labels), 0.5)
        assert _alike_in_a_row(replace(run, labels=labels, logits=scores)) == []


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(100) % 5, np.arange(100) // 20, np.repeat([0, 1, 0, 1], [20, 20, 30, 30]),
        np.zeros(100), np.arange(100) == 40, np.tile([0, 0, 1], 40),
        np.r_[np.arange(50) % 7, 0:3], np.array([1]), np.array([0, 1] * 30 + [1] * 40),
    ],
    ids=["in turn", "by class", "two parts", "one class", "a rare one", "unevenly", "begun", "one image", "mixed"],
)  # fmt: skip
def test_orders_of_labels_that_are_nothing_unusual(labels):
    assert _repeated_labels(labels.astype(np.int16)) == []


def test_labels_drawn_by_chance_are_seldom_doubted():
    rng, doubted = np.random.default_rng(0), 0
    for _ in range(500):
        shares = rng.dirichlet(np.full(rng.integers(1, 6), 0.5))
        doubted += bool(_repeated_labels(rng.choice(len(shares), rng.integers(1, 300), p=shares).astype(np.int16)))
    assert not doubted
