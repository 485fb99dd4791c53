"""Two runs on the images that they share."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.runs.alignment import align, matching_rows, relabelled
from cifarcore.runs.layout import BY_ROW, RunFileError
from cifarcore.runs.run import Run


@pytest.fixture(scope="module")
def other():
    return made_run(n_images=60, model="resnet18", accuracy=0.7)


def same_images(pair):
    return np.array_equal(pair.a.sample_ids, pair.b.sample_ids) and np.array_equal(pair.a.labels, pair.b.labels)


def test_align_keeps_what_fits_already(run, other):
    pair = align(run, other)
    assert pair.a is run and pair.b is other
    assert (pair.only_a, pair.only_b, pair.partial) == (0, 0, False)


def test_align_a_shuffled_run(run, other):
    order = np.random.default_rng(0).permutation(60)
    pair = align(run, other.take(order))
    assert same_images(pair) and not pair.partial
    for name in ("logits", "tsne", "umap", "train_neighbor_ids", "train_neighbor_labels", "train_neighbor_cosine"):
        assert np.array_equal(getattr(pair.b, name), getattr(other, name)), name
    there = align(run.take(order), other)
    assert same_images(there) and np.array_equal(there.a.labels, run.labels[order])


def with_classes_reordered(run, order):
    """The same run, written by someone who counts the classes in another order."""
    place = np.argsort(order)
    return replace(
        run,
        class_names=run.class_names[order],
        superclass_of=run.superclass_of[order],
        labels=place[run.labels].astype(np.int16),
        logits=run.logits[:, order],
        val_labels=place[run.val_labels].astype(np.int16),
        val_logits=run.val_logits[:, order],
        train_neighbor_labels=place[run.train_neighbor_labels].astype(np.int16),
    )


def test_align_matches_classes_by_name(run, other):
    reordered = with_classes_reordered(other, np.random.default_rng(1).permutation(10))
    pair = align(run, reordered.take(np.random.default_rng(2).permutation(60)))
    assert same_images(pair) and not pair.partial
    for name in Run.__dataclass_fields__:
        if isinstance(getattr(other, name), np.ndarray):
            assert np.array_equal(getattr(pair.b, name), getattr(other, name)), name
    assert np.array_equal(pair.b.correct, other.correct)


def test_align_a_partial_overlap(run, other):
    pair = align(run.take(np.arange(40)), other.take(np.arange(59, 19, -1)))
    assert same_images(pair) and pair.partial
    assert (pair.a.n_images, pair.only_a, pair.only_b) == (20, 20, 20)
    assert np.array_equal(pair.a.sample_ids, run.sample_ids[20:40])
    assert np.array_equal(pair.b.logits, other.logits[20:40])
    rows_a, rows_b = matching_rows(run, other.take(np.arange(59, 19, -1)))
    assert rows_a.tolist() == list(range(20, 60)) and rows_b.tolist() == list(range(39, -1, -1))


def with_other_labels(run, images):
    """The same run, whose labels of the first `images` are the next class."""
    return replace(run, labels=(run.labels + (np.arange(run.n_images) < images)).astype(np.int16) % 10)


def test_images_whose_labels_differ_are_in_both_but_not_compared(run, other):
    pair = align(run.take(np.arange(50)), with_other_labels(other, 3).take(np.arange(1, 60)))
    assert pair.a.n_images == 47 and (pair.only_a, pair.only_b, pair.relabelled) == (1, 10, 2) and pair.partial
    pair = align(run, with_other_labels(other, 1))
    assert (pair.only_a, pair.only_b, pair.relabelled) == (0, 0, 1) and pair.partial
    with pytest.raises(RunFileError, match="give different labels to all 60 images that both have; write both with"):
        align(run, with_other_labels(other, 60))


def test_relabelled_images_of_several_runs(run, other):
    """By a loop: images that all have, and of which each has a label that not all have."""
    changed = [run, with_other_labels(other, 4), with_other_labels(other.take(np.arange(2, 60)), 1)]
    keys = [set(zip(one.sample_ids.tolist(), one.labels.tolist(), strict=True)) for one in changed]
    shared = set.intersection(*keys)
    expected = set.intersection(*({sample for sample, _ in of - shared} for of in keys))
    assert len(expected) == 2
    assert relabelled(changed, np.array([sample for sample, _ in shared], np.uint64)) == 2


def test_an_image_that_stands_under_two_labels_in_both_files_is_not_relabelled(run, other):
    twice = [
        replace(one.take(np.r_[:60, 0]), labels=np.r_[one.labels, (one.labels[0] + 1) % 10].astype(np.int16))
        for one in (run, other)
    ]
    assert align(*twice).relabelled == 0 and not align(*twice).partial
    pair = align(twice[0], other)
    assert (pair.only_a, pair.only_b, pair.relabelled) == (1, 0, 0)


def test_align_refuses_what_cannot_be_compared(run, other):
    with pytest.raises(RunFileError, match="share no test image"):
        align(run, replace(other, sample_ids=~other.sample_ids))
    with pytest.raises(RunFileError, match="different classes .2 names in one only, such as 'unicorn'"):
        names = other.class_names.astype("U20")
        names[-1] = "unicorn"
        align(run, replace(other, class_names=names))
    with pytest.raises(RunFileError, match="different classes"):
        align(run, made_run(n_classes=5, n_images=60))


def test_a_refusal_names_both_runs_in_their_order(run, other):
    def said(a, b):
        with pytest.raises(RunFileError) as caught:
            align(a, b)
        return str(caught.value)

    by_row = {"dataset": {"name": "the set", "matched_by": BY_ROW}}
    rows = [replace(one, sample_ids=np.arange(60, dtype=np.uint64), meta=one.meta | by_row) for one in (run, other)]
    unicorns = np.append(other.class_names[:-1].astype("U20"), "unicorn")
    for a, b, ending in (
        (run, with_other_labels(other, 60), "give different labels to all 60 images that both have; write both with"),
        (run, replace(other, sample_ids=~other.sample_ids), "share no test image; compare runs that were evaluated on"),
        (
            rows[0],
            with_other_labels(rows[1], 7),
            "number the rows of 'the set' in different orders: the labels of 7 of",
        ),
        (rows[0], with_other_labels(rows[1], 3), "give different labels to 3 of the 60 rows of 'the set', so few that"),
        (run, replace(other, class_names=unicorns), "have different classes (2 names in one only, such as "),
    ):
        assert a.name != b.name
        assert said(a, b).startswith(f"{a.name} and {b.name} {ending}") and said(b, a).startswith(
            f"{b.name} and {a.name} {ending}"
        )
    assert align(*rows).only_a == 0


def test_a_choice_of_images_has_its_own_digest(run):
    rows, run = np.arange(30), replace(run, digest="of these images")
    assert run.take(rows).digest == run.take(rows).digest
    assert len({run.digest, run.take(rows).digest, run.take(rows[::-1]).digest}) == 3
    assert run.take(run.labels == 0).n_images == 6


@pytest.mark.parametrize("which", "ab")
def test_superclasses_are_of_the_classes_not_of_a_model(run, other, which):
    bare = {which: replace({"a": run, "b": other}[which], superclass_of=None, superclass_names=None)}
    pair = align(**({"a": run, "b": other} | bare))
    for found, given in ((pair.a, run), (pair.b, other)):
        assert np.array_equal(found.superclass_of, run.superclass_of) and found.superclass_names is not None
        assert np.array_equal(found.logits, given.logits)
    assert align(run, other).b is other


def test_of_two_kinds_of_superclasses_those_of_a_are_taken(run, other):
    for changes in (
        {"superclass_of": run.superclass_of[::-1].copy()},
        {"superclass_names": run.superclass_names[::-1].copy()},
    ):
        pair = align(run, replace(other, **changes))
        assert np.array_equal(pair.b.superclass_of, run.superclass_of)
        assert np.array_equal(pair.b.superclass_names, run.superclass_names)
        assert pair.a is run and pair.b.digest != other.digest


def test_a_run_of_no_more_than_the_shared_images_stays_as_it_is(run, other):
    few = run.take(np.arange(40))
    assert align(few, other).a is few and align(run, replace(other).take(np.arange(40))).b.n_images == 40
    part = other.take(np.arange(40))
    assert align(run, part).b is part and align(run, part).a.n_images == 40
