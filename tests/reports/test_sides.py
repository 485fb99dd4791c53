"""The two models on their shared images: names, seeds, addresses of images and the filter of classes."""

from dataclasses import replace

import numpy as np
from made import made_run

from cifarcore.reports.sides import Side, Sides, all_classes, seed_label

A = [made_run(seed=seed) for seed in (0, 2)]
B = [made_run(model="resnet18", seed=1)]
UNKNOWN = replace(B[0], meta={"imported": {}, "seed": 0})


def sides_of(a=A, b=B, classes=range(10)):
    return Sides(Side("A", a[0].group, tuple(a)), Side("B", b[0].group, tuple(b)), 3, 5, np.array(classes, int))


def test_a_side_has_the_titles_of_its_seeds():
    side = Side("A", "cnn-made", tuple(A))
    assert (side.seeds, side.title) == ("mean of seeds 0, 2", "cnn-made (mean of seeds 0, 2)")
    assert side.first is A[0] and side.first_title == "cnn-made, seed 0" and side.key == (A[0].digest, A[1].digest)
    assert side.wrong_in.tolist() == [int(not x) + int(not y) for x, y in zip(A[0].correct, A[1].correct, strict=True)]
    unknown = Side("B", "mine", (UNKNOWN,))
    assert (unknown.seeds, unknown.title, unknown.first_title) == ("", "mine", "mine")
    assert seed_label(UNKNOWN) == "the only run" and seed_label(B[0]) == "seed 1"


def test_names_and_seeds_of_both():
    assert sides_of().names == ("cnn-made", "resnet18-made")
    assert sides_of(A[:1], A[1:]).names == ("cnn-made-0", "cnn-made-2")
    assert sides_of().first_seeds == "seed 0 of A, seed 1 of B"
    assert sides_of(A, A).first_seeds == "seed 0 of each"
    assert sides_of(A[:1], [UNKNOWN]).first_seeds == "seed 0 of A, the only run of B"
    assert sides_of().several_seeds and sides_of(A[:1], B * 2).several_seeds and not sides_of(A[:1], B).several_seeds
    pair = sides_of().pair
    assert pair.a is A[0] and pair.b is B[0] and (pair.only_a, pair.only_b) == (3, 5)


def test_the_filter_of_classes():
    sides = sides_of(classes=[7, 2])
    assert sides.filtered and not sides_of().filtered and sides.n_classes == 10
    assert sides.in_filter.tolist() == [label in (2, 7) for label in A[0].labels]
    assert all_classes(sides).classes.tolist() == list(range(10)) and all_classes(sides).a is sides.a
    assert sides.class_names == [str(name).replace("_", " ") for name in A[0].class_names]
    assert sides.superclass(3) == sides.superclass_names[A[0].superclass_of[3]]
    bare = [replace(run, superclass_of=None, superclass_names=None) for run in A]
    assert sides_of(bare).superclass(3) == "" and sides_of(bare).superclass_names == []


def test_an_image_is_found_by_its_address():
    sides = sides_of()
    for row in (0, 41):
        assert sides.address(row) == f"{A[0].sample_ids[row]:016x}-{sides.class_names[A[0].labels[row]]}"
        assert sides.row_at(sides.address(row)) == row
        assert sides.row_at(f"{A[0].sample_ids[row]:016x}-{A[0].labels[row]}") == row, "addresses once counted classes"
    sample_id, label = sides.address(5)[:16], A[0].labels[5]
    wrong = f"{sample_id}-{(label + 1) % 10}", f"{sample_id}-{sides.class_names[(label + 1) % 10]}"
    for text in ("", "x-1", *wrong, f"{sample_id}-", f"{sample_id}-x", f"{'f' * 17}-1", "-1-1", "0-0"):
        assert sides.row_at(text) is None


def test_an_address_names_the_same_image_whatever_the_order_of_the_classes():
    """It counted them: a link led nowhere once the other model was A, or to the same picture's other label."""
    run, order = A[0], np.roll(np.arange(10), 3)
    labels = run.labels.copy()
    twin = int(np.flatnonzero(labels != labels[0])[0])
    ids = run.sample_ids.copy()
    ids[twin] = ids[0]  # one picture, two labels
    run = replace(run, sample_ids=ids)
    others = {"class_names": run.class_names[order], "labels": np.argsort(order)[labels].astype(np.int16)}
    turned = sides_of([replace(run, superclass_names=None, superclass_of=None, **others)])
    for row in (0, twin, 41):
        assert turned.row_at(sides_of([run]).address(row)) == row


def test_an_address_of_classes_that_are_numbers_is_read_by_their_names():
    names = np.array([str(9 - place) for place in range(10)])
    sides = sides_of([replace(A[0], class_names=names)])
    assert [sides.row_at(sides.address(row)) for row in range(20)] == list(range(20))
