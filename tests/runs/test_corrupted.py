"""The file of predictions on corrupted images: kept beside its run, and refused where it is not that run's."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.corrupted import Corrupted, corrupted_of, corrupted_path, load_corrupted, save_corrupted, subset
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def run(tmp_path):
    return load_run(save_run(made_run(n_images=400), tmp_path / "cnn-0.npz"))


def of(run, conditions=(("fog", 1), ("fog", 5)), images=100, seed=0):
    rows = subset(run.sample_ids, images)
    found = np.random.default_rng(seed).integers(10, size=(len(conditions), len(rows))).astype(np.int16)
    return Corrupted(run.sample_ids[rows], run.predictions[rows].astype(np.int16), tuple(conditions), found)


def same(a, b):
    assert a.conditions == b.conditions
    for name in ("sample_ids", "clean", "predictions"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_what_was_saved_is_read_back_beside_the_run(run):
    found = of(run)
    save_corrupted(found, corrupted_path(run.path))
    assert corrupted_path(run.path).name == "cnn-0.corruptions"
    same(corrupted_of(run), found)
    few = run.take(np.flatnonzero(np.isin(run.sample_ids, found.sample_ids[:7])))
    same(corrupted_of(few), replace(found, sample_ids=found.sample_ids[:7], clean=found.clean[:7],
                                    predictions=found.predictions[:, :7]))  # fmt: skip
    assert corrupted_of(replace(run, path=None)) is None


def test_further_corruptions_are_added_and_the_same_ones_replaced(run):
    path = corrupted_path(run.path)
    first, second = of(run), of(run, [("shot_noise", 3), ("fog", 5)], seed=1)
    save_corrupted(first, path)
    save_corrupted(second, path)
    kept = load_corrupted(path)
    assert kept.conditions == (("shot_noise", 3), ("fog", 1), ("fog", 5))
    np.testing.assert_array_equal(
        kept.predictions, [second.predictions[0], first.predictions[0], second.predictions[1]]
    )


def test_a_subset_depends_on_the_ids_alone(run):
    rows = subset(run.sample_ids, 100)
    order = np.random.default_rng(0).permutation(run.n_images)
    assert len(rows) == 100 and (np.diff(rows) > 0).all()
    assert set(run.sample_ids[order][subset(run.sample_ids[order], 100)]) == set(run.sample_ids[rows])
    assert len(subset(run.sample_ids, 10**6)) == run.n_images


def test_other_images_and_another_network_are_refused_and_nothing_is_lost(run):
    path = corrupted_path(run.path)
    first = of(run)
    save_corrupted(first, path)
    with pytest.raises(CifarcoreError, match="of 100 images and this of 50"):
        save_corrupted(of(run, images=50), path)
    other = replace(first, clean=(first.clean + 1) % 10)
    with pytest.raises(CifarcoreError, match="another network than this checkpoint"):
        save_corrupted(other, path)
    same(load_corrupted(path), first)
    path.unlink()
    save_corrupted(other, path)
    with pytest.raises(CifarcoreError, match=r"another network than cnn-0\.npz; delete it"):
        corrupted_of(run)


def test_a_few_predictions_that_another_processor_rounds_otherwise_are_no_other_network(run):
    found = of(run, images=400)
    nearly = found.clean.copy()
    nearly[:2] = (nearly[:2] + 1) % 10
    save_corrupted(replace(found, clean=nearly), corrupted_path(run.path))
    assert corrupted_of(run) is not None


@pytest.mark.parametrize(
    ("name", "value"),
    [("sample_ids", np.arange(100)), ("clean", np.zeros(99, int)), ("clean", np.zeros(100)),
     ("predictions", np.zeros((3, 100), int)), ("clean", np.full(100, -1)), ("corruption", np.array(["fog", "smog"])),
     ("severity", np.array([1, 9])), ("severity", np.array([5, 5])), ("severity", np.array([1, np.inf])),
     ("corruption", np.array([2**31, 2**31], np.uint32).view("<U1")), ("predictions", None)],
)  # fmt: skip
def test_a_damaged_file_is_refused_in_one_line_that_names_it(run, name, value):
    found = of(run)
    path = corrupted_path(run.path)
    save_corrupted(found, path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays[name] = value
    with path.open("wb") as file:
        np.savez(file, **{key: array for key, array in arrays.items() if array is not None})
    with pytest.raises(CifarcoreError, match=r"corruptions: damaged \(.*delete it and run") as raised:
        load_corrupted(path)
    assert "\n" not in str(raised.value)


def test_a_file_of_other_bytes_is_refused(run):
    corrupted_path(run.path).write_bytes(b"PK" + bytes(100))
    with pytest.raises(CifarcoreError, match="damaged"):
        corrupted_of(run)


@pytest.mark.parametrize("swapped", [(3, 8), tuple(range(10))])
def test_classes_count_as_the_run_has_them_whatever_their_order_in_its_file(tmp_path, run, swapped):
    """A run brought into another's order of classes was taken for another network, or was scored in its file's order
    where few images are of the classes that moved.
    """
    order = np.arange(10)
    order[list(swapped)] = np.roll(swapped, 1)
    back = np.argsort(order)
    other = made_run(n_images=400, model="other", val=False, neighbors=False)
    other = replace(other, class_names=other.class_names[order], superclass_of=other.superclass_of[order],
                    labels=back[other.labels].astype(np.int16), logits=other.logits[:, order])  # fmt: skip
    other = load_run(save_run(other, tmp_path / "other-0.npz"))
    found = of(other)
    save_corrupted(found, corrupted_path(other.path))
    same(corrupted_of(other), found)
    kept = corrupted_of(align(run, other).b)
    np.testing.assert_array_equal(kept.clean, order[found.clean])
    np.testing.assert_array_equal(kept.predictions, order[found.predictions])


def test_predictions_of_more_classes_than_the_run_has_are_another_networks(run):
    found = of(run)
    found.predictions[0, 0] = 10
    save_corrupted(found, corrupted_path(run.path))
    with pytest.raises(CifarcoreError, match="another network"):
        corrupted_of(run)


def test_a_small_file_that_unpacks_to_much_is_refused_unread(run):
    """A megabyte took one GiB: the arrays were read before anything was said of their sizes."""
    save_corrupted(of(run), corrupted_path(run.path))
    with np.load(corrupted_path(run.path)) as archive:
        arrays = dict(archive)
    with corrupted_path(run.path).open("wb") as file:
        np.savez_compressed(file, **arrays, more=np.zeros(300_000, "S1000"))
    assert corrupted_path(run.path).stat().st_size < 1 << 20
    with pytest.raises(CifarcoreError, match="0.3 GiB when decompressed; at most 0.25 GiB are read"):
        load_corrupted(corrupted_path(run.path))


def test_more_images_than_are_resampled_are_refused(run, monkeypatch):
    save_corrupted(of(run), corrupted_path(run.path))
    monkeypatch.setattr("cifarcore.runs.corrupted.MOST_IMAGES", 100)
    assert corrupted_of(run) is not None
    monkeypatch.setattr("cifarcore.runs.corrupted.MOST_IMAGES", 99)
    with pytest.raises(CifarcoreError, match="100 images; at most 99 are read"):
        corrupted_of(run)
