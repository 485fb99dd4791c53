"""The benchmark of training runs and counts right; how fast is for a quiet machine, never for a test."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run

from cifarcore.config import TrainConfig
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.experiments import bench_train
from cifarcore.experiments.profiling import PHASES, profile_table
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.evaluation import Features
from cifarcore.training.loop import fit

SMALL = TrainConfig(
    preset="small", dataset="synthetic", widths=(8, 16, 32), hidden=64, dropout=0.0, epochs=1, batch_size=50,
    validation_size=200, precision="float32", device="cpu", threads=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(1000, 100)


def test_sides_take_turns(dataset):
    sides = {"default": SMALL, "loop": replace(SMALL, loader="dataloader")}
    speeds = bench_train.interleaved(sides, dataset, rounds=2, seconds=0.2)
    assert len(speeds) == 2 and all(set(turn) == set(sides) and min(turn.values()) > 0 for turn in speeds)


def test_a_side_that_cannot_run_is_one_clear_line(dataset):
    with pytest.raises(CifarcoreError, match="'broken' of the benchmark ended"):
        bench_train.interleaved({"broken": replace(SMALL, teacher="none.pt")}, dataset, rounds=1, seconds=0.1)


def test_ratio_is_to_the_faster_loop(dataset, monkeypatch):
    turns = [
        {"default": 300.0, "loop": 100.0, "loop, 2 workers": 150.0},
        {"default": 500.0, "loop": 100.0, "loop, 2 workers": 100.0},
    ]
    monkeypatch.setattr(bench_train, "interleaved", lambda sides, *_: [*turns, turns[0]])
    table = bench_train.speed_table(dataset, 3)
    assert list(table["model"]) == ["cnn", "resnet18"] and list(table["image_size"]) == [32, 128]
    assert list(table["ratio"]) == [2, 2] and list(table["most"]) == [5, 5] and list(table["default"]) == [300, 300]
    assert list(table["best"]) == pytest.approx([500 / 150] * 2)


def test_minutes_to_accuracy_are_epochs_times_images_over_speed():
    report, quick = (made_run(model="cnn", preset=preset) for preset in ("report", "quick"))
    for run, accuracy in ((report, [0.1, 0.2, 0.57, 0.6]), (quick, [0.3, 0.58, 0.5, 0.6])):
        run.history["epoch"], run.history["val_accuracy"] = np.arange(1, 5), np.array(accuracy)
        run.meta["training_data"] = {"images": 45_000}
    speeds = pd.DataFrame({"model": ["cnn"], "default": [1000.0], "loop": [200.0], "loop, 2 workers": [250.0]})
    table = bench_train.time_to_accuracy(report, quick, speeds)
    assert list(table["epochs"]) == [4, 2] and list(table["minutes"]) == pytest.approx([12, 1.5])
    assert table["share"].iloc[1] == pytest.approx(1 / 8)
    assert list(table["reached"]) == ["yes", "yes"]
    report.history["val_accuracy"][:] = 0.5
    table = bench_train.time_to_accuracy(report, quick, speeds)
    assert list(table["reached"]) == ["no", "yes"] and table["epochs"].iloc[0] == 4, "the least that it takes"
    quick.history["val_accuracy"][:] = 0.5
    with pytest.raises(CifarcoreError, match="does not reach"):
        bench_train.time_to_accuracy(report, quick, speeds)
    quick.history["val_accuracy"][:] = np.nan
    for without in (quick, replace(quick, history={})):
        with pytest.raises(CifarcoreError, match="--validation-size"):
            bench_train.time_to_accuracy(report, without, speeds)


def test_scoring_and_maps_are_timed(dataset, monkeypatch):
    small = make_synthetic(10, 20)
    assert list(bench_train.scoring_table(small)["images"]) == [20, 20]
    rng = np.random.default_rng(0)
    points = rng.standard_normal((100, 8)).astype(np.float16)
    table = bench_train.maps_table(Features(points, np.arange(100), points, np.arange(100), np.zeros(100)))
    assert list(table["what"]) == ["t-SNE", "UMAP", "5 nearest of 100"] and (table["seconds"] > 0).all()
    assert (table["trustworthiness"][:2] > 0.5).all()


def test_profile_counts_the_arithmetic_of_a_step(dataset):
    table = profile_table(SMALL, dataset, steps=3).set_index("what")["value"]
    table.index = table.index.str.strip()
    assert table["step"] > 0 and all(table[phase] > 0 for phase in PHASES)
    convolutions = [2 * 9 * 3 * 8 * 32**2, 2 * 9 * 8 * 16 * 16**2, 2 * 9 * 16 * 32 * 8**2]
    layers = [*convolutions, 2 * 32 * 4 * 4 * 64, 2 * 64 * 100]
    # forward, and backward to the weights and, but for the first layer, to the input
    assert table["operations"] == pytest.approx(SMALL.batch_size * (3 * sum(layers) - layers[0]) / 1e9)
    assert table["floor"] == pytest.approx(table["operations"] / table["plain float32 matrix product"] * 1e3)


@pytest.mark.parametrize("loader", ["memory", "dataloader"])
def test_both_loaders_learn(dataset, tmp_path, loader):
    """On the real data: `cifarcore train` with and without `--loader dataloader --precision float32`, three seeds
    each.
    """
    config = replace(
        SMALL, loader=loader, widths=(16, 32, 64), hidden=128, epochs=8, schedule="onecycle", learning_rate=0.05
    )
    history = load_checkpoint(fit(config, dataset, tmp_path)).history
    assert history["val_accuracy"][-1] > 0.05, "five times chance"
    assert history["train_loss"][-1] < history["train_loss"][0]


def test_a_side_whose_process_dies_at_its_start_is_one_clear_line(dataset, monkeypatch, tmp_path):
    script = tmp_path / "dies.py"
    script.write_text("raise SystemExit(3)")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(script), raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    with pytest.raises(CifarcoreError, match="'default' of the benchmark ended"):
        bench_train.interleaved({"default": SMALL}, dataset, rounds=1, seconds=0.1)
