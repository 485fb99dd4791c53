"""A retraining job from its set-up to its run file, in this process, on the synthetic set."""

import errno
from dataclasses import replace

import made
import numpy as np
import pytest
import torch

from cifarcore.config import RetrainConfig
from cifarcore.data.cifar100 import sample_ids, split_validation
from cifarcore.data.ids import rows_of
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import jobs, processes
from cifarcore.retraining.folders import FOLDER, STATE, retrained_path
from cifarcore.retraining.jobs import DiskFull, read_job, working
from cifarcore.retraining.learning import worker
from cifarcore.retraining.progress import SETUP, read_json, write_json
from cifarcore.retraining.setup import create, learns_from_kept_features
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.runs.run import load_run
from cifarcore.training.checkpoints import load_checkpoint, save_checkpoint
from cifarcore.training.evaluation import evaluate, features_path, load_features, save_features, score
from cifarcore.training.loop import fit

TINY = replace(made.TINY, validation_size=200)
CONFIG = RetrainConfig(focus="hardest:3", epochs=1.0, batch_size=50, threads=1)


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 200)


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    return made.trained_run(tmp_path_factory.mktemp("trained"), TINY, dataset).parent


@pytest.fixture
def runs(trained, tmp_path, monkeypatch, own_place):
    """A folder of its own with the parent, its weights and its features."""
    monkeypatch.setattr(processes, "NICE", 0)
    monkeypatch.setattr(worker, "keep_freed_memory", lambda: None)
    folder = tmp_path / "runs"
    folder.mkdir()
    for path in trained.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def parent(runs):
    return runs / "cnn-tiny-0.npz"


def work(folder, dataset, while_working=lambda line: None):
    with working(folder, while_working) as record:
        return worker.retrain(folder, record, lambda name: dataset)


@pytest.fixture
def all_kept(monkeypatch):
    """Whatever was learned is kept as it is; on drawn images it seldom holds."""
    monkeypatch.setattr(worker, "choose_weight", lambda before, logits_at, *others: (1.0, logits_at(1.0)))


def phases(folder) -> list[str]:
    return list(dict.fromkeys(line["phase"] for line in read_job(folder).progress.lines))


@pytest.mark.parametrize("layers", ["all", "last_two_blocks", "last_block", "head"])
def test_the_run_that_comes_out_is_that_of_its_weights(runs, dataset, layers, all_kept):
    folder = create(replace(CONFIG, train_layers=layers), parent(runs), runs)
    work(folder, dataset)
    job = read_job(folder)
    assert job.state == "finished" and job.progress.corrupt == 0 and not (folder / STATE).exists()
    before, run = load_run(parent(runs)), load_run(retrained_path(folder))
    again, _ = evaluate(load_checkpoint(retrained_path(folder).with_suffix(".pt")), dataset)
    assert np.allclose(run.logits.astype(np.float32), again.logits.astype(np.float32), atol=0.02)
    assert np.allclose(run.val_logits.astype(np.float32), again.val_logits.astype(np.float32), atol=0.02)
    assert np.array_equal(run.sample_ids, before.sample_ids) and np.array_equal(
        run.val_sample_ids, before.val_sample_ids
    )
    assert run.meta["parent"] == {
        "name": "cnn-tiny-0",
        "digest": before.digest,
        "weights_digest": run.meta["parent"]["weights_digest"],
    }
    assert not np.array_equal(run.logits, before.logits)
    assert run.history["epoch"][0] == 0 and run.history["epoch"][-1] == pytest.approx(
        1, abs=0.3
    )  # the head's batch is large
    assert run.meta["dataset"] == before.meta["dataset"] and run.meta["preset"] == "tiny-retrained"
    looks = job.progress.series("val_accuracy")
    assert (
        len(looks) >= 2
        and looks[-1]["fraction"] == 1
        and all(line["val_focus_accuracy"] >= 0 and 0 < line["val_focus_images"] < line["val_images"] for line in looks)
    )
    # a retrained run is a parent like any other
    second = create(replace(CONFIG, train_layers=layers), retrained_path(folder), runs)
    work(second, dataset)
    assert (
        load_run(retrained_path(second)).meta["parent"]["name"] == folder.name and read_job(second).state == "finished"
    )


def test_looks_are_at_the_validation_split_alone(runs, dataset, all_kept):
    """With other test images and labels the same is learned."""
    other = replace(dataset, x_test=255 - dataset.x_test, y_test=np.roll(dataset.y_test, 1))
    folder = create(CONFIG, parent(runs), runs)
    one = create(CONFIG, parent(runs), runs)
    work(folder, dataset)
    work(one, other)
    first, second = (load_checkpoint(retrained_path(path).with_suffix(".pt")).weights for path in (folder, one))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_where_nothing_holds_the_parents_weights_are_kept_and_said_to_be(runs, dataset, monkeypatch):
    monkeypatch.setattr(worker, "choose_weight", lambda *arguments: (0.0, None))
    folder = create(CONFIG, parent(runs), runs)
    assert "parent's weights were kept" in work(folder, dataset)
    before, after = (
        load_checkpoint(path) for path in (parent(runs).with_suffix(".pt"), retrained_path(folder).with_suffix(".pt"))
    )
    assert all(torch.equal(after.weights[name], value) for name, value in before.weights.items())
    run, old = load_run(retrained_path(folder)), load_run(parent(runs))
    np.testing.assert_allclose(run.logits.astype(np.float32), old.logits.astype(np.float32), atol=0.02)
    told = run.meta["retraining"]
    assert told["weight"] == 0.0 and set(told["validation"]) == {"accuracy", "focus_f1"}


def test_what_the_last_block_sees_is_computed_once(runs, dataset):
    first, second = (create(CONFIG, parent(runs), runs) for _ in range(2))
    work(first, dataset)
    work(second, dataset)
    assert "caching" in phases(first) and "caching" not in phases(second)
    one, other = (load_run(retrained_path(folder)) for folder in (first, second))
    assert np.array_equal(one.logits, other.logits)
    (kept,) = (runs / FOLDER / "features").glob("block-*.npz")
    kept.write_bytes(b"rubbish")
    third = create(CONFIG, parent(runs), runs)
    work(third, dataset)
    assert "caching" in phases(third)


def test_features_are_computed_once_and_those_of_evaluate_are_used_where_they_fit(runs, dataset):
    config = replace(CONFIG, train_layers="head")
    first = create(config, parent(runs), runs)
    work(first, dataset)
    assert "caching" not in phases(first)
    features_path(parent(runs)).unlink()
    for cached in (runs / FOLDER / "features").iterdir():
        cached.unlink()
    for expected in (True, False):
        folder = create(config, parent(runs), runs)
        work(folder, dataset)
        assert ("caching" in phases(folder)) == expected
    np.testing.assert_allclose(
        load_run(retrained_path(folder)).logits.astype(np.float32),
        load_run(retrained_path(first)).logits.astype(np.float32),
        atol=0.02,
    )


def test_with_kept_features_no_image_is_read(runs, dataset):
    config = replace(CONFIG, train_layers="head")
    first, second = (create(config, parent(runs), runs) for _ in range(2))
    assert not learns_from_kept_features(first)
    work(first, dataset)
    assert learns_from_kept_features(second) and not learns_from_kept_features(create(CONFIG, parent(runs), runs))
    with working(second) as record:
        worker.retrain(second, record, lambda name: pytest.fail("the data set was asked for"))
    one, other = (load_run(retrained_path(folder)) for folder in (first, second))
    assert np.array_equal(one.logits, other.logits) and np.array_equal(one.val_logits, other.val_logits)
    assert one.meta["training_data"] == other.meta["training_data"]


def test_kept_features_of_other_images_are_not_used(runs, dataset):
    config = replace(CONFIG, train_layers="head")
    work(create(config, parent(runs), runs), dataset)
    (kept,) = (runs / FOLDER / "features").iterdir()
    features = load_features(kept)
    save_features(replace(features, train_ids=features.train_ids[::-1].copy()), kept)
    folder = create(config, parent(runs), runs)
    asked = []
    with working(folder) as record:
        worker.retrain(folder, record, lambda name: asked.append(name) or dataset)
    assert asked == ["synthetic"] and read_job(folder).state == "finished"


def test_features_of_other_weights_are_not_used(runs, dataset):
    other = made.trained_run(runs, replace(TINY, seed=1), dataset)
    features_path(other).replace(features_path(parent(runs)))
    folder = create(replace(CONFIG, train_layers="head"), parent(runs), runs)
    work(folder, dataset)
    assert "caching" in phases(folder)


def test_a_stop_keeps_what_was_learned(runs, dataset):
    folder = create(replace(CONFIG, epochs=1000.0), parent(runs), runs)
    work(folder, dataset, lambda line: jobs.stop(folder) if line.get("step", 0) >= 1 else None)
    job, run = read_job(folder), load_run(retrained_path(folder))
    assert job.state == "stopped" and run.meta["retraining"]["stopped"] is True and run.meta["retraining"]["steps"] >= 1
    assert run.n_images == 200


@pytest.mark.parametrize("layers", ["all", "head"])
def test_a_stop_before_anything_was_learned_writes_no_run(runs, dataset, layers):
    features_path(parent(runs)).unlink()
    folder = create(replace(CONFIG, train_layers=layers), parent(runs), runs)
    work(folder, dataset, lambda line: jobs.stop(folder))
    assert read_job(folder).state == "stopped" and "before the first step" in read_job(folder).message
    assert not retrained_path(folder).exists() and not retrained_path(folder).with_suffix(".pt").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("phase", ["learning", "evaluating", "writing"])
def test_what_was_interrupted_goes_on_where_it_was(runs, dataset, phase, monkeypatch):
    monkeypatch.setattr(worker, "SAVE_EVERY_SECONDS", 0.0)
    folder = create(replace(CONFIG, epochs=3.0), parent(runs), runs)

    def kill(line):
        if line["phase"] == phase and line.get("step", 9) >= 9:
            raise Killed

    with pytest.raises(Killed):
        work(folder, dataset, kill)
    assert not retrained_path(folder).exists() and read_job(folder).can_go_on
    saved = torch.load(folder / STATE, weights_only=True)["step"]
    assert saved >= (9 if phase == "learning" else 48)
    lines = len(read_job(folder).progress.lines)
    work(folder, dataset)
    later = [line["step"] for line in read_job(folder).progress.lines[lines:] if "step" in line]
    assert later[0] == saved and read_job(folder).state == "finished"
    assert load_run(retrained_path(folder)).meta["retraining"]["steps"] == 48


@pytest.mark.parametrize(
    "damage",
    [
        {"history": {}},
        {"history": {"epoch": "x"}},
        {"history": dict.fromkeys(HISTORY_COLUMNS, ["x"])},
        {"history": dict.fromkeys(HISTORY_COLUMNS, []) | {"lr": [0.1]}},
        {"history": 3},
        {"learned": -1.0},
        {"learned": 10**400},
        {"step": float("inf")},
        {"step": []},
        {"optimizer": {}},
        {"optimizer": {"momenta": [torch.zeros(3)]}},
        {"model": {}},
        {"model": 7},
    ],
)
def test_a_damaged_state_is_refused_in_one_line(runs, dataset, damage, monkeypatch):
    monkeypatch.setattr(worker, "SAVE_EVERY_SECONDS", 0.0)
    folder = create(CONFIG, parent(runs), runs)

    def kill(line):
        if line["phase"] == "learning" and line.get("step"):
            raise Killed

    with pytest.raises(Killed):
        work(folder, dataset, kill)
    state = folder / STATE
    torch.save(torch.load(state, weights_only=True) | damage, state)
    with pytest.raises(CifarcoreError, match=r"resume\.pt: damaged \(.*\); delete this retraining"):
        work(folder, dataset)
    assert read_job(folder).state == "failed" and not retrained_path(folder).exists()


def test_a_focus_on_classes_that_there_are_not_is_refused_in_one_line(runs, dataset):
    folder = create(CONFIG, parent(runs), runs)
    content = read_json(folder / SETUP)
    write_json(folder / SETUP, content | {"focus": [10**9], "focus_names": ["x"]})
    with pytest.raises(
        CifarcoreError, match=r"classes, and this retraining's focus is on number 1000000000; delete it"
    ):
        work(folder, dataset)


def test_changed_or_foreign_weights_are_refused_in_one_line(runs, dataset):
    folder = create(CONFIG, parent(runs), runs)
    other = fit(replace(TINY, seed=1), dataset, runs)
    weights = parent(runs).with_suffix(".pt")
    weights.write_bytes(other.read_bytes())
    with pytest.raises(CifarcoreError, match="changed since this retraining was set up"):
        work(folder, dataset)
    assert read_job(folder).state == "failed" and not retrained_path(folder).exists()
    with pytest.raises(CifarcoreError, match="the weights beside it are not those that gave its scores"):
        work(create(CONFIG, parent(runs), runs), dataset)
    weights.unlink()
    with pytest.raises(CifarcoreError, match="no such file"):
        work(folder, dataset)


def test_other_validation_images_are_refused(runs, dataset):
    """A split that is not the parent's would train on what the parent was validated on."""
    checkpoint = load_checkpoint(parent(runs).with_suffix(".pt"))
    save_checkpoint(
        replace(checkpoint, config=replace(checkpoint.config, validation_size=300)), parent(runs).with_suffix(".pt")
    )
    folder = create(CONFIG, parent(runs), runs)
    with pytest.raises(CifarcoreError, match="validation images are not those of synthetic here"):
        work(folder, dataset)


@pytest.mark.parametrize("layers", ["head", "last_block", "all"])
def test_in_another_order_of_training_images_the_same_are_held_out(runs, dataset, layers):
    order = np.random.default_rng(0).permutation(len(dataset.y_train))
    turned = replace(dataset, x_train=dataset.x_train[order], y_train=dataset.y_train[order])
    job = create(replace(CONFIG, train_layers=layers), parent(runs), runs)
    work(job, turned)
    run, before = load_run(retrained_path(job)), load_run(parent(runs))
    assert sorted(run.val_sample_ids.tolist()) == sorted(before.val_sample_ids.tolist())
    rows = rows_of(sample_ids(dataset.x_train), run.val_sample_ids)
    logits, _ = score(load_checkpoint(retrained_path(job).with_suffix(".pt")), dataset.x_train[rows])
    assert np.abs(run.val_logits.astype(np.float32) - logits).max() < 0.05
    assert np.array_equal(run.val_labels, dataset.y_train[rows])


def test_a_parent_without_validation_split_learns_named_classes(runs, dataset):
    path = made.trained_run(runs, replace(TINY, validation_size=0, preset="whole"), dataset)
    folder = create(replace(CONFIG, focus=f"classes:{dataset.class_names[5]}"), path, runs)
    work(folder, dataset)
    run = load_run(retrained_path(folder))
    assert (
        run.val_logits is None
        and run.meta["training_data"]["images"] == 1000
        and np.isnan(run.history["val_accuracy"]).all() is np.bool_(True)
    )
    assert len(split_validation(dataset.y_train, 0)[1]) == 0


def test_a_disk_that_fills_up_while_it_learns_loses_nothing(runs, dataset, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = create(CONFIG, parent(runs), runs)
    monkeypatch.setattr(worker.Learner, "save", lambda self, path: full(path))
    work(folder, dataset)
    assert read_job(folder).state == "finished" and load_run(retrained_path(folder)).n_images == 200


def test_no_room_for_the_result_is_said_at_once_and_the_parent_stays(runs, dataset, monkeypatch):
    before = parent(runs).read_bytes()
    folder = create(CONFIG, parent(runs), runs)

    def full(self, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs.Recorder, "reserve", full)
    with pytest.raises(DiskFull, match="the disk is full; make room, then continue"):
        work(folder, dataset)
    assert (
        read_job(folder).state == "failed"
        and parent(runs).read_bytes() == before
        and not retrained_path(folder).exists()
    )


def test_a_loss_that_is_no_number_is_said(runs, dataset, monkeypatch):
    folder = create(CONFIG, parent(runs), runs)
    take_step = worker.Learner.take_step
    monkeypatch.setattr(worker.Learner, "take_step", lambda self: take_step(self) * float("nan"))
    with pytest.raises(CifarcoreError, match="start again with a lower learning rate"):
        work(folder, dataset)
    assert not retrained_path(folder).exists() and "no longer a number" in read_job(folder).message


def test_measuring_keeps_what_it_finds(runs, dataset, monkeypatch):
    from cifarcore.retraining import speeds
    from cifarcore.runs.run import read_header

    for layers in ("all", "last_block", "head"):
        config = replace(CONFIG, train_layers=layers)
        found = worker.measure(parent(runs), config, runs, lambda name: dataset, seconds=0.1)
        assert found["learning"] > 0 and found["scoring"] > 0 and 0 < found["share"] < 2
        assert ("caching" in found) == (layers == "last_block")
        expected = speeds.expect(read_header(parent(runs)), config, runs)
        assert expected.images_per_second == pytest.approx(found["learning"], rel=0.01)


@pytest.mark.parametrize("budget", [{"epochs": 0.2}, {"epochs": 0.0, "seconds": 1.0}])
def test_each_line_of_progress_can_be_shown(runs, dataset, budget, capsys):
    """Before the first step a budget in epochs leaves unknown how long it will take."""
    from cifarcore.cli.retraining import _show_retraining

    folder = create(replace(CONFIG, **budget), parent(runs), runs)
    work(folder, dataset, _show_retraining)
    assert read_job(folder).state == "finished"
    learning = [line for line in capsys.readouterr().out.splitlines() if line.startswith("learning")]
    assert ("s left" in learning[0]) == ("seconds" in budget) and "s left" in learning[-1]
