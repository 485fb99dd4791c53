"""What the card of an image shows of each model, against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
from two_seeds import LABELS, RUNS, softmax

from cifarcore.reports.tables import card


@pytest.mark.parametrize("row", [0, 123, 499])
def test_the_likeliest_classes_are_those_of_the_model_named(view, row):
    names = [f"class {c}" for c in range(10)]
    vars(view)["class_names"] = names  # as they are shown, not as the file has them
    for side in (view.a, view.b):
        probability = softmax(RUNS[side.letter][0])[row]
        top = np.argsort(-probability)[:5]
        top = top if LABELS[row] in top else np.append(top, LABELS[row])
        frame = card.top_classes(view, side, row)
        assert frame["name"].tolist() == [names[c] for c in top]
        np.testing.assert_allclose(frame["probability"], probability[top], atol=1e-6)
        assert frame["is_label"].tolist() == (top == LABELS[row]).tolist()
    two = card.top_classes(view, view.a, row, 2)
    true = 1 + int((softmax(RUNS["A"][0])[row] > softmax(RUNS["A"][0])[row, LABELS[row]]).sum())
    assert two["rank"].tolist() == ([1, 2] if true < 3 else [1, 2, true]) and two["is_label"].sum() == 1


@pytest.mark.parametrize("row", [0, 301])
def test_the_map_around_an_image_is_of_the_model_named(view, row, monkeypatch):
    monkeypatch.setattr(card, "BACKDROP", 50)  # of 500 images: every tenth
    for side in (view.a, view.b):
        positions = RUNS[side.letter][0].tsne
        rows = [i for i in range(500) if i == row or LABELS[i] == LABELS[row] or i % 10 == 0]
        what = ["this image" if i == row else "same true class" if LABELS[i] == LABELS[row] else "other test images"
                for i in rows]  # fmt: skip
        frame = card.map_around(view, side, row)
        np.testing.assert_array_equal(frame[["x", "y"]], positions[rows])
        assert frame["what"].tolist() == what


def test_a_map_of_few_images_is_its_own_backdrop(view):
    few = replace(view.a, runs=tuple(run.take(np.arange(7)) for run in RUNS["A"]))
    assert len(card.map_around(replace(view, a=few, b=few), few, 3)) == 7


def test_the_nearest_on_a_map_leave_out_the_image_itself():
    positions = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    for row in (0, 31, 59):
        distance = np.linalg.norm(positions.astype(np.float64) - positions[row], axis=1)
        assert card.near_on_map(positions, row, 6).tolist() == np.argsort(distance)[1:7].tolist()
    assert card.near_on_map(positions, 0).tolist() == card.near_on_map(positions, 0, 6).tolist()
