"""Images per second of the default training beside a plain float32 DataLoader loop, and what follows from them.

Each side is a process of its own, as memory settings hold for a whole process; they take turns, and the ratio is the
median of the turns' ratios."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np
import pandas as pd
import torch

from cifarcore.config import ProjectConfig, TrainConfig
from cifarcore.data.cifar100 import Dataset
from cifarcore.errors import CifarcoreError
from cifarcore.presets import preset_config
from cifarcore.runs.run import Run
from cifarcore.training.checkpoints import Checkpoint, half
from cifarcore.training.evaluation import Features, score
from cifarcore.training.hardware import keep_freed_memory, resolve
from cifarcore.training.models import empty_model
from cifarcore.training.predict import EVALUATION_BATCH
from cifarcore.training.projection import map_quality, nearest_rows, tsne_map, umap_map, unit_rows
from cifarcore.training.trainer import Trainer

#: the report's accuracy, the goal of `time_to_accuracy`
GOAL = 0.58
ROUNDS = 7
TURN_SECONDS = {"cnn": 1.5, "resnet18": 4.0}
WARM_STEPS = 5
WAIT_SECONDS = 240


def speed_table(
    dataset: Dataset, rounds: int = ROUNDS, turn_seconds: dict[str, float] = TURN_SECONDS, **changes
) -> pd.DataFrame:
    """One row for each model of the `quick` preset: images/s of the sides (median of the rounds), and the rounds'
    ratios.

    `loop` is `--loader dataloader --precision float32`: PIL images one by one, float32, contiguous layout, an optimizer
    with torch's defaults; `loop, 2 workers` is the same with two processes that load. The ratio is to the faster one.
    `best` is the ratio of the fastest rounds, which other work on the machine touches least.
    """
    rows = []
    for model, seconds in turn_seconds.items():
        config = preset_config(model, "quick", **({"init": "random"} | changes))  # no weights change the speed
        loop = replace(config, loader="dataloader", precision="float32", num_workers=0)
        sides = {"default": config, "loop": loop, "loop, 2 workers": replace(loop, num_workers=2)}
        speeds = pd.DataFrame(interleaved(sides, dataset, rounds, seconds))
        loops = speeds[["loop", "loop, 2 workers"]]
        ratios = speeds["default"] / loops[loops.median().idxmax()]
        spread = {"ratio": ratios.median(), "least": ratios.min(), "most": ratios.max()}
        best = speeds["default"].max() / loops.to_numpy().max()
        size = {"image_size": config.image_size, "batch": resolve(config).batch_size}
        rows.append({"model": model} | size | speeds.median().to_dict() | spread | {"best": best})
    return pd.DataFrame(rows)


def scoring_table(dataset: Dataset) -> pd.DataFrame:
    """Seconds to score the test images of `dataset` with each model of the `quick` preset: logits and features in one
    pass.
    """
    rows = []
    for model in TURN_SECONDS:
        config = preset_config(model, "quick", init="random")
        network = empty_model(config, dataset.n_classes)
        checkpoint = Checkpoint(config, half(network.state_dict()), list(dataset.class_names), {})
        score(checkpoint, dataset.x_test[:EVALUATION_BATCH])
        began = time.perf_counter()
        score(checkpoint, dataset.x_test)
        seconds = time.perf_counter() - began
        rows.append({"model": model, "images": len(dataset.x_test), "logits and features": seconds})
    return pd.DataFrame(rows)


def maps_table(features: Features, config: ProjectConfig = ProjectConfig()) -> pd.DataFrame:
    """Seconds of both maps of all test images, with their quality, and of the nearest training images."""
    points = unit_rows(features.test)
    rows = []
    for name, make in (("t-SNE", tsne_map), ("UMAP", umap_map)):
        began = time.perf_counter()
        positions, _ = make(points, None, config)
        rows.append({"what": name, "seconds": time.perf_counter() - began} | map_quality(points, positions))
    began = time.perf_counter()
    nearest_rows(points, unit_rows(features.train), config.neighbors)
    rows.append(
        {"what": f"{config.neighbors} nearest of {len(features.train)}", "seconds": time.perf_counter() - began}
    )
    return pd.DataFrame(rows)


def time_to_accuracy(report: Run, quick: Run, speeds: pd.DataFrame, goal: float = GOAL) -> pd.DataFrame:
    """Minutes until the validation accuracy reaches `goal`, by the runs' histories at the speeds measured here.

    The report's protocol is trained by the loop, `quick` by the default path; `share` is quick's minutes of the
    report's. Of a run that ended before it got there, its epochs and minutes are the least that it takes, and `reached`
    says no. Raises CifarcoreError for a run without validation accuracies, and where `quick` does not get there.
    """
    rows = []
    for run, side in ((report, ["loop", "loop, 2 workers"]), (quick, ["default"])):
        if not run.history or np.isnan(run.history["val_accuracy"]).all():
            raise CifarcoreError(f"{run.name} has no validation accuracies; train it with --validation-size 5000")
        reached = run.history["val_accuracy"] >= goal
        if run is quick and not reached.any():
            raise CifarcoreError(
                f"{run.name} does not reach a validation accuracy of {goal}; name another with --quick"
            )
        epochs = float(run.history["epoch"][reached][0] if reached.any() else run.history["epoch"][-1])
        speed = speeds.set_index("model").loc[run.meta["model"], side].max()
        images = epochs * run.meta["training_data"]["images"]
        row = {"run": run.name, "reached": "yes" if reached.any() else "no", "epochs": epochs}
        rows.append(row | {"images_per_second": speed, "minutes": images / speed / 60})
    table = pd.DataFrame(rows)
    table["share"] = table["minutes"] / table["minutes"].iloc[0]
    return table


def interleaved(sides: dict[str, TrainConfig], dataset: Dataset, rounds: int, seconds: float) -> list[dict[str, float]]:
    """Images per second of each side in each round, the sides one after the other within a round.

    Raises CifarcoreError where a side ends before it answers.
    """
    context = multiprocessing.get_context("spawn")
    workers, ends = {}, {}
    try:
        for name, config in sides.items():  # one at a time, so that no side's start is in another's way
            ends[name], theirs = context.Pipe()
            # What it works on goes through the pipe: `start` would wait without end for a process that died early.
            workers[name] = context.Process(target=_side, args=(theirs,))
            workers[name].start()
            theirs.close()  # so that the pipe ends when the process does
            _asked(ends[name], name, (config, dataset))
        return [{name: _asked(ends[name], name, seconds) for name in sides} for _ in range(rounds)]
    finally:
        for name, worker in workers.items():
            ends[name].close()  # which ends its process once its turn is over
            worker.join(10 + seconds)
            worker.kill()


def _asked(end: Connection, name: str, what) -> float:
    try:
        end.send(what)
        if end.poll(WAIT_SECONDS):
            return end.recv()
    except (EOFError, OSError):
        raise CifarcoreError(f"the side {name!r} of the benchmark ended; what it said stands above") from None
    raise CifarcoreError(f"the side {name!r} of the benchmark did not answer within {WAIT_SECONDS} s")


def _side(end: Connection) -> None:
    """Train for as many seconds as is asked for, each time, and answer with the images per second, until the pipe ends.

    What comes first through the pipe is the TrainConfig and the Dataset.
    """
    config, dataset = end.recv()
    trainer = make_trainer(config, dataset)
    steps = endless_steps(trainer)
    for _ in range(WARM_STEPS):
        next(steps)
    end.send(0.0)
    with suppress(EOFError):
        while True:
            seconds = end.recv()
            _wait_for_device(config)
            began, images = time.perf_counter(), 0
            while time.perf_counter() - began < seconds:
                images += next(steps)
            _wait_for_device(config)
            end.send(images / (time.perf_counter() - began))
    steps.close()  # and with it the loader's processes


def make_trainer(config: TrainConfig, dataset: Dataset) -> Trainer:
    """The trainer that `fit` would make, in a process set up as `fit` does, at the final input size all along."""
    config = resolve(replace(config, first_epochs=0))
    if config.loader == "memory" and config.device == "cpu":
        keep_freed_memory()
    if config.threads:
        torch.set_num_threads(config.threads)
    return Trainer(config, dataset, None)


def endless_steps(trainer: Trainer) -> Iterator[int]:
    """Train on and on, without the validation between epochs; yields the images of each step."""
    while True:
        for _ in trainer.train_steps():
            yield trainer.config.batch_size


def _wait_for_device(config: TrainConfig) -> None:
    if (device := resolve(config).device) != "cpu":
        getattr(torch, device).synchronize()
