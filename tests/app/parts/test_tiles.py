"""The pictures that a tile shows."""

from types import SimpleNamespace

import numpy as np
from twins import Twins, official_pair

from cifarcore.app.parts import tiles
from cifarcore.data.known_images import known_images
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.disagreements import twins_of


def test_a_tile_shows_the_training_image_beside_its_own(monkeypatch):
    a, b = official_pair()
    sides = Sides(Side("A", "cnn", (a,)), Side("B", "resnet18", (b,)), 0, 0, np.arange(100))
    view = SimpleNamespace(
        **{name: getattr(sides, name) for name in ("a", "b", "class_names", "sample_ids", "labels", "several_seeds")},
        pictures=SimpleNamespace(urls=lambda ids: [None] * len(ids)),
    )
    monkeypatch.setattr(tiles.pictures, "train_pictures", lambda: Twins())
    rows = np.arange(40)
    twins = twins_of(sides, "train-test duplicates", rows)
    published = known_images()
    expected = published.twin_id[published.rows_of(a.sample_ids, a.labels)][rows]
    assert 0 < (expected > 0).sum() < 40
    assert [tile["twin"] for tile in tiles.items(view, rows, twins=twins)] == Twins().urls(expected)
    assert all(tile["twin"] is None for tile in tiles.items(view, rows))
    assert twins_of(sides, "both wrong", rows) is None
