"""How runs are named and told apart, and the least that is a run."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore import Run, load_run, save_run
from cifarcore.runs.run import group_of, seed_given, seed_of, seeds_text


def seeded(*seeds, **meta):
    return [replace(made_run(n_images=20), meta={"model": "cnn", "seed": seed, **meta}) for seed in seeds]


def test_seeds_in_words():
    assert seeds_text(seeded(0, 1, 2)) == "mean of seeds 0, 1, 2"
    assert seeds_text(seeded(3, 5)) == "mean of seeds 3, 5"
    assert seeds_text(seeded(7)) == "seed 7"
    unnamed = replace(seeded(0)[0], meta={"imported": {}, "seed": 0})
    assert seeds_text([unnamed]) == ""


@pytest.mark.parametrize(
    ("meta", "given", "ordered"),
    [
        ({"seed": 4}, 4, 4),
        ({}, None, 0),
        ({"imported": {}, "seed": 0}, None, 0),
        ({"imported": {}, "seed": 2}, 2, 2),
        ({"imported": {}, "model": "x", "seed": 0}, 0, 0),
        ({"seed": 0}, 0, 0),
    ],
)
def test_the_seed_that_was_given(meta, given, ordered):
    assert seed_given(meta) == given and seed_of(meta) == ordered


def test_a_group_is_model_and_preset_else_the_file(tmp_path):
    assert group_of({"model": "cnn", "preset": "best"}, None) == "cnn-best"
    assert group_of({"model": "cnn"}, None) == "cnn"
    assert group_of({"preset": "best"}, tmp_path / "mine.npz") == "mine"
    assert group_of({}, None) == "run"


def test_two_classes_and_one_image_are_enough(tmp_path):
    run = Run(np.array(["cat", "dog"]), np.array([1], np.uint64), np.array([1], np.int16), np.zeros((1, 2), np.float16))
    loaded = load_run(save_run(run, tmp_path / "x.npz"))
    assert loaded.n_classes == 2 and loaded.n_images == 1
    assert loaded.predictions.tolist() == [0], "the lowest index among equals"


def test_blocks_hold_every_row_once():
    run = made_run(n_images=6000)
    blocks = run.blocks()
    np.testing.assert_array_equal(np.concatenate([np.arange(6000)[rows] for rows in blocks]), np.arange(6000))
    assert all((rows.stop - rows.start) * run.n_classes <= 2**18 for rows in blocks)


def test_many_seeds_are_counted():
    assert seeds_text(seeded(*range(12))).endswith("10, 11") and seeds_text(seeded(*range(13))) == "mean of 13 seeds"
