"""Doubts about imported predictions, and rows that repeat an image."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from import_checks import taken
from made import made_run
from scipy.special import softmax

from cifarcore.errors import CifarcoreError
from cifarcore.runs import notes
from cifarcore.runs.test_sets import TestSet


def of_set(run, by_file=False):
    return TestSet("the set", "set", tuple(run.class_names.tolist()), run.labels, by_file=by_file)


def guessing(n, right, n_classes=2):
    """A run whose labels and predictions are evenly spread, `right` of n images right."""
    labels = np.arange(n, dtype=np.int16) % n_classes
    given = np.where(np.arange(n) < right, labels, (labels + 1) % n_classes)
    made = made_run(n_classes, n, superclasses=False)
    return replace(made, labels=labels, logits=np.eye(n_classes, dtype=np.float16)[given], digest="")


@pytest.mark.parametrize(("right", "doubted"), [(50, True), (60, True), (61, False), (62, False), (30, True)])
def test_an_accuracy_within_two_standard_errors_of_chance_is_doubted(right, doubted):
    run = guessing(100, right)
    found = notes.doubts(run, None, True, False)
    share = [np.bincount(rows, minlength=2) / 100 for rows in (run.labels, run.predictions)]
    chance = float(share[0] @ share[1])
    assert doubted == (right / 100 <= chance + 2 * np.sqrt(chance * (1 - chance) / 100))
    text = (
        f"the accuracy, {right / 100:.4f}, is no better than chance, {chance:.4f}: "
        "are the columns in the order of these classes?"
    )
    assert found == ([text] if doubted else [])


def test_fewer_than_fifty_images_show_nothing():
    assert notes.doubts(guessing(50, 25), None, True, False) != []
    assert notes.doubts(guessing(49, 24), None, True, False) == []


def test_what_is_said_of_rows_in_order():
    good, bad = guessing(100, 90), guessing(100, 50)
    unchecked = "without labels the order of the rows cannot be checked; it is assumed to be that of the set"
    files = "the names of files were not used; to find the images by them, give --images FOLDER"
    ask = "are the rows in this order?"
    assert notes.doubts(good, of_set(good), True, False) == []
    assert notes.doubts(good, of_set(good), False, False) == [unchecked]
    assert notes.doubts(good, of_set(good), True, True) == [files]
    assert notes.doubts(good, of_set(good, by_file=True), False, True) == []
    assert notes.doubts(good, None, False, True) == []
    assert notes.doubts(bad, of_set(bad), True, False)[0].endswith(ask)
    for test in (None, of_set(bad, by_file=True)):
        assert notes.doubts(bad, test, True, False)[0].endswith("are the columns in the order of these classes?")


def test_the_first_image_that_is_repeated_is_named():
    run = made_run(3, 20)
    notes.refuse_repeated(run)
    with pytest.raises(CifarcoreError) as caught:
        notes.refuse_repeated(run.take(np.array([5, 7, 2, 7, 2, 2])))
    assert str(caught.value) == (
        f"3 rows repeat an image (first: rows 1 and 3, sample id {run.sample_ids[7]:016x}); give each image once"
    )
    twice = replace(run, labels=np.r_[(run.labels[:1] + 1) % 3, run.labels[1:]].astype(np.int16))
    both = replace(run.take(np.r_[0, 0]), labels=np.r_[run.labels[0], twice.labels[0]])
    notes.refuse_repeated(both)  # one picture under two labels is two images


def test_the_first_row_of_each_picture_is_kept():
    run = made_run(3, 20)
    same, none = notes.without_repeated(run)
    assert same is run and none == []
    kept, said = notes.without_repeated(run.take(np.array([5, 7, 2, 7, 2, 5])))
    np.testing.assert_array_equal(kept.logits, run.logits[[5, 7, 2]])
    assert said == ["3 pictures are in the folder twice and count once"]


def test_columns_that_are_no_images_class_are_said(tmp_path):
    """Such as an epoch: among the scores it spoils the predictions without a word."""
    rng = np.random.default_rng(0)
    labels = np.array(["cat", "dog"])[rng.integers(2, size=60)]
    ids = np.arange(60, dtype=np.uint64)
    names = ["cat", "dog", "epoch"]
    np.savez(tmp_path / "x.npz", logits=rng.normal(size=(60, 3)), labels=labels, sample_ids=ids, class_names=names)
    said = "no image has the label 'epoch': leave these columns out if they are not classes"
    assert said in taken(tmp_path / "x.npz", tmp_path).notes


def test_labels_that_are_true_or_false_count_two_classes(tmp_path):
    rng = np.random.default_rng(0)
    labels, ids = rng.integers(2, size=60) == 1, np.arange(60, dtype=np.uint64)
    np.savez(tmp_path / "x.npz", logits=rng.normal(size=(60, 2)), labels=labels, sample_ids=ids, class_names=["a", "b"])
    assert taken(tmp_path / "x.npz", tmp_path).run.labels.tolist() == labels.astype(int).tolist()


@pytest.mark.parametrize(("sure", "right", "doubted"), [(8.0, 600, False), (8.0, 500, True), (2.0, 400, False)])
def test_a_confidence_far_above_the_accuracy_is_doubted(sure, right, doubted):
    run = guessing(1000, right, 10)
    run = replace(run, logits=run.logits * np.float16(sure), digest="")
    confidence = 1 / (1 + 9 * np.exp(-sure))
    assert doubted == (confidence - right / 1000 > 0.4)
    found = [note for note in notes.doubts(run, None, True, False) if note.startswith("the mean confidence is ")]
    text = f"the mean confidence is {confidence:.4f}, the accuracy {right / 1000:.4f}: "
    assert found == ([text + "are the labels in the order of the rows?"] if doubted else [])
    hard = replace(run, meta=run.meta | {"scores": "classes"}, digest="")
    assert not any("confidence" in note for note in notes.doubts(hard, None, True, False))


def test_the_mean_confidence_takes_little_memory_beside_the_scores():
    rng = np.random.default_rng(0)
    run = replace(made_run(100, 40_000), logits=rng.normal(size=(40_000, 100)).astype(np.float16), digest="")
    scores = run.logits.astype(np.float64)
    tracemalloc.start()
    confidence = notes._mean_confidence(run)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < run.logits.nbytes
    assert confidence == pytest.approx(softmax(scores, axis=1).max(axis=1).mean(), rel=1e-5)
