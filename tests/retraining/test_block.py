"""The last block learns from what the layers before it give, kept; which images these are, and how they are mixed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import sample_ids, split_validation
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.presets import RIVALS, VIEWS
from cifarcore.retraining.learning import dealing
from cifarcore.retraining.learning.block import block_logits, load_block, new_block, save_block
from cifarcore.retraining.learning.dealing import batch_shares, choose_rivals, rows_to_keep
from cifarcore.retraining.learning.recipes import cut_and_mix
from cifarcore.training.checkpoints import Checkpoint, half
from cifarcore.training.evaluation import score
from cifarcore.training.models import empty_model

NETWORKS = {
    "cnn": TrainConfig(preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, validation_size=200),
    "resnet18": TrainConfig(model="resnet18", preset="tiny", dataset="synthetic", validation_size=200, init="random"),
}


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 60)


def parent_of(model: str, dataset) -> Checkpoint:
    torch.manual_seed(0)
    config = NETWORKS[model]
    return Checkpoint(config, half(empty_model(config, dataset.n_classes).state_dict()), list(dataset.class_names), {})


def block_of(parent, dataset, weights="mine"):
    train_rows, val_rows = split_validation(dataset.y_train, 200)
    ids, test_ids = sample_ids(dataset.x_train), sample_ids(dataset.x_test)
    rows = train_rows[:40]
    return new_block(parent, weights, dataset, ids, rows, val_rows[:30], test_ids, lambda done: None), ids, rows


@pytest.mark.parametrize("model", list(NETWORKS))
def test_what_is_kept_gives_the_scores_of_the_images(model, dataset):
    parent = parent_of(model, dataset)
    block, _, rows = block_of(parent, dataset)
    expected, _ = score(parent, dataset.x_test)
    found = block_logits(parent, block, sample_ids(dataset.x_test))
    np.testing.assert_allclose(found.astype(np.float32), expected.astype(np.float32), atol=0.02)
    assert block.views.shape[:2] == (VIEWS, len(rows)) and not np.array_equal(block.views[0], block.views[1])
    with pytest.raises(CifarcoreError, match="not among those"):
        block_logits(parent, block, np.array([1], np.uint64))


def test_what_is_kept_of_other_weights_or_images_is_not_used(dataset, tmp_path):
    block, ids, rows = block_of(parent_of("cnn", dataset), dataset)
    path = tmp_path / "block.npz"
    assert load_block(path, "mine") is None
    save_block(block, path)
    kept = load_block(path, "mine")
    assert np.array_equal(kept.views, block.views) and np.array_equal(kept.plain, block.plain)
    assert kept.covers(ids[rows], block.plain_ids) and load_block(path, "another's") is None
    other = split_validation(dataset.y_train, 200)[0][40:41]
    assert not kept.covers(ids[other], block.plain_ids) and not kept.covers(ids[rows], ids[other])
    save_block(replace(block, views=block.views[:, :-1]), path)
    assert load_block(path, "mine") is None  # views of fewer images than it names
    path.write_bytes(path.read_bytes()[:-100])
    assert load_block(path, "mine") is None


def test_a_square_of_each_input_is_anothers_and_counts_by_its_area():
    torch.manual_seed(3)
    inputs, seen = torch.arange(6.0)[:, None, None, None].expand(6, 2, 8, 8).contiguous(), set()
    for _ in range(200):
        mixed, partners, share = cut_and_mix(inputs)
        theirs = (mixed == partners[:, None, None, None]) & (partners != torch.arange(6))[:, None, None, None]
        for number in range(6):
            assert set(mixed[number].unique().tolist()) <= {float(number), float(partners[number])}
            if partners[number] != number:
                assert theirs[number, 0].double().mean().item() == pytest.approx(share)
        seen.add(round(share * 64))
    assert {0, 64} <= seen and len(seen) > 5 and torch.equal(inputs[:, 0, 0, 0], torch.arange(6.0))


def test_rivals_are_the_classes_most_often_confused_with_the_focus_either_way():
    labels = np.array([0, 0, 0, 1, 2, 2, 3, 4])
    predicted = np.array([1, 1, 2, 0, 2, 0, 4, 3])
    assert choose_rivals(labels, predicted, 6, (0,)) == (1, 2)  # three and two; 3 and 4 only with one another
    many = np.repeat(np.arange(1, 40), 3)
    assert len(choose_rivals(many, np.zeros(len(many), int), 40, (0,))) == RIVALS


def test_a_batch_has_focus_rivals_and_rest():
    assert batch_shares(0.3, 64, True) == (19, 19, 26) and batch_shares(0.3, 64) == (19, 0, 45)
    assert batch_shares(0.0, 64) == (0, 0, 64)


def test_the_focus_and_its_rivals_are_kept_first_and_never_a_validation_image(monkeypatch):
    monkeypatch.setattr(dealing, "KEPT", 60)
    monkeypatch.setattr(dealing, "MOST_KEPT", 25)
    labels = np.arange(200) % 10
    train_rows = np.arange(0, 200, 2)[:90]  # even classes alone
    rows = rows_to_keep(labels, train_rows, (2,), (4, 6))
    assert len(rows) == 60 and set(rows) <= set(train_rows) and len(set(rows)) == 60
    counts = np.bincount(labels[rows], minlength=10)
    assert counts[2] == 18 and counts[[4, 6]].sum() == 25 and counts[[0, 8]].sum() == 17
