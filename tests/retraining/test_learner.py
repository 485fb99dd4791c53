"""What a retraining learns from, on the synthetic set: its batches, its loss, its layers, its state."""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from made import made_run

from cifarcore.config import RetrainConfig, TrainConfig
from cifarcore.data.cifar100 import sample_ids, split_validation
from cifarcore.data.known_images import DUPLICATE_KINDS, known_images
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.presets import RECIPES, Recipe
from cifarcore.retraining.learning.block import new_block
from cifarcore.retraining.learning.dealing import rows_to_keep
from cifarcore.retraining.learning.learner import Learner
from cifarcore.retraining.setup import Setup
from cifarcore.training.checkpoints import Checkpoint, half
from cifarcore.training.evaluation import Features, score
from cifarcore.training.models import empty_model

PLAIN = TrainConfig(
    preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, dropout=0.0, validation_size=200, batch_size=50
)
CONFIG = RetrainConfig(focus="classes:any", train_layers="all", epochs=1.0, batch_size=40, focus_share=0.25, threads=1)
FOCUS = (3, 17, 60)


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 200)


@pytest.fixture(scope="module")
def parent(dataset):
    torch.manual_seed(0)
    return Checkpoint(PLAIN, half(empty_model(PLAIN, dataset.n_classes).state_dict()), list(dataset.class_names), {})


@pytest.fixture(scope="module")
def features(parent, dataset):
    _, train = score(parent, dataset.x_train)
    _, test = score(parent, dataset.x_test)
    return Features(
        test, np.arange(len(test), dtype=np.uint64), train, np.arange(len(train), dtype=np.uint64), dataset.y_train
    )


def learner(parent, dataset, features=None, focus=FOCUS, recipe=None, **changes) -> Learner:
    setup = Setup(replace(CONFIG, **changes), None, "", "digest", focus, ())
    _, val_rows = split_validation(dataset.y_train, 200)
    if features is not None:
        dataset = replace(dataset, x_train=features.train)
    return Learner(setup, parent, dataset, val_rows, features is not None, recipe)


def dealt(one: Learner, steps: int) -> list[np.ndarray]:
    return [
        torch.cat([deck.deal(step * share, share) for deck, share in zip(one.decks, one.shares, strict=True)]).numpy()
        for step in range(steps)
    ]


@pytest.mark.parametrize(("share", "expected"), [(0.25, 10), (0.5, 20), (0.99, 39), (0.001, 1)])
def test_every_batch_has_the_stated_share_of_the_focus(parent, dataset, share, expected):
    for rows in dealt(learner(parent, dataset, focus_share=share), 30):
        assert len(rows) == 40 and np.isin(dataset.y_train[rows], FOCUS).sum() == expected


def test_without_a_focus_batches_are_drawn_from_all_classes_alike(parent, dataset):
    rows = np.concatenate(dealt(learner(parent, dataset, focus=(), batch_size=50), 16))
    assert sorted(rows) == split_validation(dataset.y_train, 200)[0].tolist()


def test_validation_images_are_never_trained_on(parent, dataset):
    held_out = set(split_validation(dataset.y_train, 200)[1].tolist())
    for focus in (FOCUS, ()):
        seen = set(np.concatenate(dealt(learner(parent, dataset, focus=focus), 60)).tolist())
        assert not seen & held_out and len(seen) == 800


@pytest.mark.parametrize("asked", [True, False])
def test_duplicates_of_test_images_are_left_out_where_that_is_asked_and_counted(parent, dataset, asked):
    train_rows, val_rows = split_validation(dataset.y_train, 200)
    known, ids = known_images(), np.arange(len(dataset.y_train), dtype=np.uint64) + 1
    twins = {
        kind: known.twin_id[known.duplicate == DUPLICATE_KINDS.index(kind)] for kind in ("exact", "near", "similar")
    }
    ids[train_rows[:3]] = twins["exact"][:3]
    ids[train_rows[3:5]] = np.setdiff1d(twins["near"], twins["exact"])[:2]
    ids[train_rows[5]] = np.setdiff1d(twins["similar"], [*twins["exact"], *twins["near"]])[0]  # another photo
    ids[val_rows[0]] = twins["exact"][3]  # is not learned from anyway
    setup = Setup(replace(CONFIG, leave_out_duplicates=asked), None, "", "digest", FOCUS, ())
    one = Learner(setup, parent, dataset, val_rows, ids=ids)
    seen = set(torch.cat([deck.rows for deck in one.decks]).tolist())
    assert seen == set(train_rows[5 if asked else 0 :].tolist()) and one.train_images == len(seen)
    made = one.checkpoint(parent, made_run(), "fingerprint", False).meta["retraining"]
    assert made["left_out"] == (5 if asked else 0) and made["settings"]["leave_out_duplicates"] is asked


def test_each_image_is_dealt_once_before_any_is_dealt_again_and_the_same_after_a_kill(parent, dataset):
    deck = learner(parent, dataset).decks[2]
    n = len(deck.rows)
    order = deck.deal(0, 2 * n + 7).tolist()
    assert sorted(order[:n]) == sorted(order[n : 2 * n]) == sorted(deck.rows.tolist()) and order[:n] != order[n : 2 * n]
    again = learner(parent, dataset).decks[2]
    assert again.deal(n - 3, 10).tolist() == order[n - 3 : n + 7]
    assert learner(parent, dataset, seed=5).decks[2].deal(0, n).tolist() != order[:n]


def test_the_loss_is_cross_entropy_adjusted_by_how_much_oftener_a_class_is_dealt(parent, dataset):
    one = learner(parent, dataset, recipe=Recipe(0.01, 0.5), flip=False, crop_padding=0)
    one.train_config = replace(one.train_config, precision="float32")
    rows = torch.arange(40)
    one.model.eval()
    found = one._loss(one.inputs[rows], one.labels[rows])
    logits = one.model(torch.from_numpy(dataset.x_train[:40]).permute(0, 3, 1, 2).float() / 255)
    labels = dataset.y_train[split_validation(dataset.y_train, 200)[0]]
    oftener = np.where(
        np.isin(np.arange(100), FOCUS), 0.25 / np.isin(labels, FOCUS).mean(), 0.75 / (~np.isin(labels, FOCUS)).mean()
    )
    expected = F.cross_entropy(logits + 0.5 * torch.from_numpy(np.log(oftener)).float(), one.labels[rows])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("layers", "trained"),
    [
        ("all", ("blocks.", "fc1", "fc2")),
        ("last_two_blocks", ("blocks.2.", "fc1", "fc2")),
        ("last_block", ("fc1", "fc2")),
        ("head", ("fc2",)),
    ],
)
def test_only_the_chosen_layers_change(parent, dataset, features, layers, trained):
    one = learner(parent, dataset, features if layers == "head" else None, train_layers=layers)
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    for _ in range(3):
        one.take_step()
    changed = {name for name, value in one.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(trained) for name in changed)
    assert all(any(name.startswith(part) for name in changed) for part in trained)


def test_learning_lowers_the_loss(parent, dataset):
    one = learner(parent, dataset, recipe=Recipe(0.05, 0.5), epochs=6.0)
    losses = []
    while one.fraction < 1:
        losses.append(one.take_step().item())
    assert one.passes == pytest.approx(6) and len(losses) == 120
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.5


def test_the_learning_rate_rises_and_falls_to_zero_within_the_budget(parent, dataset):
    one = learner(parent, dataset, epochs=5.0)
    rates = []
    while one.fraction < 1:
        one.take_step()
        rates.append(one.optimizer.param_groups[0]["lr"])
    peak = RECIPES["all"].learning_rate
    assert max(rates) == pytest.approx(peak, rel=0.01) and rates[0] < 0.1 * peak and rates[-1] < 0.01 * peak
    assert learner(parent, dataset, learning_rate=0.5).recipe.learning_rate == 0.5


def test_the_budget_is_for_the_scoring_too_and_leaves_the_learning_a_quarter(parent, dataset):
    one = learner(parent, dataset, epochs=0.0, seconds=20.0)
    for scoring, seconds in ((0.0, 20.0), (8.0, 12.0), (19.0, 5.0), (40.0, 5.0)):
        one.scoring, one.learned = scoring, seconds / 2
        assert one.fraction == pytest.approx(0.5) and one.seconds_left() == pytest.approx(seconds / 2)


def test_averaged_states_lie_between_the_parent_and_what_was_learned(parent, dataset):
    one = learner(parent, dataset, recipe=Recipe(0.05, 0.5))
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    for _ in range(4):
        one.take_step()
    after = one.model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in one.averaged(0.0).items())
    assert all(
        torch.allclose(value, after[name]) for name, value in one.averaged(1.0).items() if value.is_floating_point()
    )
    quarter = one.averaged(0.25)["fc2.weight"]
    assert torch.allclose(quarter, 0.75 * before["fc2.weight"] + 0.25 * after["fc2.weight"], atol=1e-6)
    assert not torch.allclose(quarter, before["fc2.weight"], atol=1e-6)
    run = made_run(n_classes=10)
    kept = one.checkpoint(parent, run, "fingerprint", False, 0.0)
    assert kept.weights == parent.weights and kept.meta["retraining"]["weight"] == 0.0


def test_the_last_block_learns_from_what_is_kept_and_its_batch_norm_stays(dataset):
    config = TrainConfig(model="resnet18", preset="tiny", dataset="synthetic", validation_size=200, init="random")
    torch.manual_seed(0)
    parent = Checkpoint(
        config, half(empty_model(config, dataset.n_classes).state_dict()), list(dataset.class_names), {}
    )
    ids, (train_rows, val_rows) = sample_ids(dataset.x_train), split_validation(dataset.y_train, 200)
    rows = rows_to_keep(dataset.y_train, train_rows[::4], FOCUS, (5, 6))
    block = new_block(parent, "digest", dataset, ids, rows, val_rows, ids[:0], lambda done: None)
    block = replace(block, plain=block.plain[: len(val_rows)])
    setup = Setup(replace(CONFIG, train_layers="last_block"), None, "", "digest", FOCUS, ())
    one = Learner(setup, parent, dataset, val_rows, rivals=(5, 6), block=block, ids=ids)
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    seen = np.concatenate(dealt(one, 20))
    assert set(seen) <= set(rows) and np.isin(dataset.y_train[seen], FOCUS).mean() == pytest.approx(0.25)
    for _ in range(2):
        assert np.isfinite(one.take_step().item())
    changed = {name for name, value in one.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(("layer4", "fc")) and "running" not in name for name in changed)
    one.config, one.step = replace(one.config, epochs=0.0, seconds=1000.0), 2 * len(rows) // 40
    one.learned = 3.0
    assert one.fraction == pytest.approx(0.2, abs=0.02), "seen ten times it ends, whatever the budget leaves"
    assert one.seconds_left() == pytest.approx(12, abs=2)
    one.train_config = replace(one.train_config, precision="float32")
    plain = Learner(replace(setup, config=CONFIG), parent, dataset, val_rows)
    plain.train_config = one.train_config
    plain.model.load_state_dict(one.model.state_dict())
    assert one.validate(torch.arange(60)) == pytest.approx(plain.validate(torch.arange(60)))


def test_the_time_left_is_what_the_budget_leaves(parent, dataset):
    in_seconds = learner(parent, dataset, epochs=0.0, seconds=10.0)
    for learned, left in ((0.0, 10.0), (4.0, 6.0), (11.0, 0.0)):
        in_seconds.learned = learned
        assert in_seconds.seconds_left() == pytest.approx(left)
    in_epochs = learner(parent, dataset, epochs=2.0)  # 800 images, 40 a step
    assert np.isnan(in_epochs.seconds_left()), "not known before the first step"
    in_epochs.step, in_epochs.learned = 10, 3.0
    assert in_epochs.fraction == pytest.approx(0.25) and in_epochs.seconds_left() == pytest.approx(9.0)


def test_the_history_keeps_the_learning_rate_of_the_head(parent, dataset):
    slowed = replace(parent, config=replace(parent.config, layer_decay=0.5))
    one = learner(slowed, dataset)
    one.take_step()
    rates = [group["lr"] for group in one.optimizer.param_groups]
    one.look(1.0, torch.arange(50))
    assert one.history["lr"] == [max(rates)] and max(rates) > 1.5 * sorted(rates)[-2]


def test_a_saved_state_goes_on_to_the_same_weights(parent, dataset, tmp_path):
    whole = learner(parent, dataset, mix="both", policy="randaugment")
    for _ in range(6):
        whole.take_step()
    first = learner(parent, dataset, mix="both", policy="randaugment")
    for _ in range(3):
        first.take_step()
    first.learned = 1.5
    first.look(1.0, torch.arange(50))
    first.save(tmp_path / "state.pt")
    second = learner(parent, dataset, mix="both", policy="randaugment")
    second.load(tmp_path / "state.pt")
    assert (second.step, second.learned, second.history) == (3, 1.5, first.history)
    for _ in range(3):
        second.take_step()
    assert all(torch.equal(value, second.model.state_dict()[name]) for name, value in whole.model.state_dict().items())


def test_a_state_of_other_weights_or_a_damaged_one_is_refused(parent, dataset, tmp_path):
    one = learner(parent, dataset)
    one.save(tmp_path / "state.pt")
    other = learner(parent, dataset)
    other.setup = replace(other.setup, weights_digest="other")
    with pytest.raises(CifarcoreError, match="learned from other weights"):
        other.load(tmp_path / "state.pt")
    for damaged in (b"", b"rubbish", (tmp_path / "state.pt").read_bytes()[:2000]):
        (tmp_path / "damaged.pt").write_bytes(damaged)
        with pytest.raises(CifarcoreError):
            one.load(tmp_path / "damaged.pt")


def test_validation_is_of_the_focus_and_of_all(parent, dataset):
    one = learner(parent, dataset)
    val_rows = split_validation(dataset.y_train, 200)[1]
    right = score(parent, dataset.x_train[val_rows])[0].argmax(axis=1) == dataset.y_train[val_rows]
    in_focus = np.isin(dataset.y_train[val_rows], FOCUS)
    one.train_config = replace(one.train_config, precision="float32")
    accuracy, of_focus = one.validate(torch.arange(200))
    assert accuracy == pytest.approx(right.mean()) and of_focus == pytest.approx(right[in_focus].mean())
    assert len(one.validation_rows(0.0)) == 200
    assert all(
        np.isnan(value)
        for value in learner(
            Checkpoint(replace(PLAIN, validation_size=0), parent.weights, parent.class_names, {}), dataset
        ).validate(torch.arange(0))
    )


def test_a_coarse_clock_stops_no_validation(parent, dataset, monkeypatch):
    one = learner(parent, dataset)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)  # it did not tick between the two looks
    assert len(one.validation_rows(1.0)) == 200


def test_the_steps_are_those_of_torchs_sgd(parent, dataset):
    ours, theirs = (learner(parent, dataset) for _ in range(2))
    theirs.optimizer = torch.optim.SGD(
        theirs.optimizer.param_groups, momentum=0.9, nesterov=True, weight_decay=theirs.train_config.weight_decay
    )
    for _ in range(5):
        ours.take_step()
        theirs.take_step()
    found, expected = ours.model.state_dict(), theirs.model.state_dict()
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)


def test_a_network_that_muon_trained_is_retrained_by_sgd(parent, dataset):
    by_muon = replace(parent, config=replace(parent.config, muon=0.03))
    theirs, ours = (learner(each, dataset).optimizer.param_groups for each in (parent, by_muon))
    assert [group["lr"] for group in ours] == [group["lr"] for group in theirs]
    assert [len(group["params"]) for group in ours] == [len(group["params"]) for group in theirs]


def test_a_head_learns_without_torchs_compiler():
    """Importing it would take a third of the time from the start of a head's retraining to its first step."""
    code = (
        "import sys, torch; from cifarcore.training import optimization; "
        "from cifarcore.retraining.learning import learner; "
        "layer = torch.nn.Linear(3, 2); "
        "sgd = optimization.Sgd([{'params': list(layer.parameters()), 'lr': 0.1}], 5e-4); "
        "layer(torch.ones(1, 3)).sum().backward(); sgd.step(); sgd.zero_grad(); assert 'torch._dynamo' not in "
        "sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
