"""One training loop for every model and preset: fit(config) -> checkpoint.

Every random choice is a function of (seed, step), never of what ran before, so a run that was killed and
resumed takes the same steps as one that never stopped: bit for bit on a CPU, to rounding on a GPU.

Averaged weights: B. Polyak, A. Juditsky, 1992.

Where a step's time goes, in ms, on two cores of a Xeon with AMX (`cifarcore bench train --profile`, `quick`, batch 64):

              data  forward  backward  optimizer   step   floor (GFLOP at a plain bfloat16 product's rate)   share
    cnn        1.9     14.9      23.7        1.9   39.6   6.0 (15.8)                                          15 %
    resnet18   2.0     42.5      85.0       15.7  136.5   20.2 (55.6)                                         15 %

A bfloat16 product is so fast there that most of a step is what is not one: batch norm, ReLU, pool and casts, bound by
memory. Kept, by what each brings (images/s with it over those without, processes taking turns): bfloat16 1.9 (CNN) and
2.2 (ResNet-18), channels last 1.4 and 1.1, the second thread 1.4 and 1.4, products for the smallest convolutions 1.5
(ResNet-18), ReLU after the pool 1.1 (CNN), freed memory kept 1.1 (CNN; more where page faults are dear). The fused
optimizer brings nothing on a CPU. Not kept: torch.compile, which is 1.2 times slower on the CNN and 1.03 times faster on
the ResNet-18, less than its 34 s of warm-up cost. On an AMD EPYC the CNN's step has no page faults, and huge
pages (torch's or glibc's) bring nothing: 1150 to 1280 images/s with and without, three turns.

Of the CNN's step of 31.6 ms on two quiet cores of that EPYC, arithmetic at a plain bfloat16 product's 908 GFLOP/s is 17.4
(55 %); data are 1.3, the optimizer 1.0. The first block's batch norm and pool take 9: their arrays of 8 MB do not stay in the cache from one operation
to the next, so that the batch norm takes 2.4 ms forward instead of 0.6 and the pool 2.1 instead of 0.4. Pooling before it,
as an operation with a gradient of its own that keeps neither its full-size output nor the pool's indices, moves less memory
and yet was 4 % slower, being a dozen small operations; it would take a compiled one.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.profiler import record_function
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cifarcore import CifarcoreError
from cifarcore.augment import Augment, to_float
from cifarcore.batches import DataLoaderBatches, MemoryBatches
from cifarcore.checkpoints import Checkpoint, half, load_checkpoint, load_tensors, save_checkpoint
from cifarcore.config import TrainConfig
from cifarcore.cpu_layers import for_cpu
from cifarcore.data import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.distributed import World
from cifarcore.files import atomic_write, no_leftovers
from cifarcore.hardware import autocast, cpu_threads, hardware, keep_freed_memory, own_randomness, resolve, versions
from cifarcore.models import build_model
from cifarcore.optimization import distillation_loss, freeze, parameter_groups, scheduler
from cifarcore.run_layout import HISTORY_COLUMNS

SAVE_EVERY_SECONDS = 30.0
REPORT_EVERY_SECONDS = 0.5
EVALUATION_BATCH = 500


class Stopped(Exception):
    """Training was asked to stop; its state is saved and `--resume` goes on from there."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `val_accuracy` is the last finished epoch's, None before it or without a validation split."""

    epoch: int
    finished_epochs: int
    epochs: int
    step: int
    steps: int
    loss: float
    val_accuracy: float | None
    images_per_second: float
    seconds_left: float


def fit(
    config: TrainConfig,
    dataset: Dataset,
    folder: str | Path = "checkpoints",
    *,
    resume: bool = False,
    data_folder: str | Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    save_every: float = SAVE_EVERY_SECONDS,
    world: World = World(),
) -> Path:
    """Train and write `{folder}/{config.name}.pt`; returns its path.

    Keeps `{config.name}.resume.pt` beside it while it runs: at most `save_every` seconds of work are lost by a kill.
    In a `world` of several processes all call this alike; only the first writes and hears `on_progress`, and what any
    process's `should_stop` says holds for all.
    Raises Stopped when `should_stop` says so, CifarcoreError for a resume that does not fit, and after an epoch whose
    loss is no number.
    """
    config = resolve(config)
    if config.device == "cuda":
        world.own_gpu()
    elif config.loader == "memory":
        keep_freed_memory()
    path, state_path = Path(folder) / f"{config.name}.pt", Path(folder) / f"{config.name}.resume.pt"
    tell = on_progress if world.first else lambda progress: None
    with own_randomness(config), cpu_threads(config.threads), no_leftovers(path, state_path):
        trainer = Trainer(config, dataset, data_folder, world)
        unfinished = world.first and resume and state_path.exists()
        if state := world.from_first(load_tensors(state_path) if unfinished else None):
            trainer.load(state, state_path)
        elif world.from_first(world.first and resume and path.exists() and load_checkpoint(path).config == config):
            return path
        last_saved = last_report = time.monotonic()
        while (finished := len(trainer.history["epoch"])) < config.epochs:
            # a stop may lie between an epoch's last step and its validation
            ended = trainer.step == (finished + 1) * trainer.steps_per_epoch
            for _ in () if ended else trainer.train_steps():
                now = time.monotonic()
                report, save, stop = world.agree(
                    now - last_report >= REPORT_EVERY_SECONDS, now - last_saved >= save_every, should_stop()
                )
                if report:
                    tell(trainer.progress())
                    last_report = now
                if save or stop:
                    trainer.save(state_path)
                    last_saved = time.monotonic()
                if stop:
                    world.wait()
                    raise Stopped(f"stopped at step {trainer.step} of {trainer.total_steps}; go on with --resume")
            trainer.finish_epoch()
            tell(trainer.progress())
        if world.first:
            save_checkpoint(trainer.checkpoint(), path)
            state_path.unlink(missing_ok=True)
        world.wait()
    return path


class Trainer:
    """Model, optimizer and position of one run: what `--resume` has to bring back."""

    def __init__(self, config: TrainConfig, dataset: Dataset, data_folder: str | Path | None, world: World = World()):
        self.config, self.world = config, world
        self.data_fingerprint = fingerprint(sample_ids(dataset.x_train), dataset.y_train)
        self.dataset_name = dataset.name
        world.check_same({"training images": self.data_fingerprint, **config.to_dict()})
        self.class_names = list(dataset.class_names)
        train_rows, val_rows = split_validation(dataset.y_train, config.validation_size)
        images, labels = torch.from_numpy(dataset.x_train), torch.from_numpy(dataset.y_train)
        self.batches = DataLoaderBatches if config.loader == "dataloader" else MemoryBatches
        self.train_images, self.train_labels = (part[torch.from_numpy(train_rows)] for part in (images, labels))
        if config.loader == "memory":
            self.train_images, self.train_labels = (
                self.train_images.to(config.device),
                self.train_labels.to(config.device),
            )
        self.val_images, self.val_labels = (
            part[torch.from_numpy(val_rows)].to(config.device) for part in (images, labels)
        )
        self.steps_per_epoch = -(-len(self.train_labels) // config.batch_size)
        self.total_steps = config.epochs * self.steps_per_epoch

        torch.manual_seed(config.seed)
        with world.in_turn():
            model, self.initialised_from = build_model(config, dataset.n_classes, data_folder)
        self.layout = torch.channels_last if config.loader == "memory" else torch.contiguous_format
        if config.device == "cpu" and config.loader == "memory":
            model = for_cpu(model)
        self.model = world.over_whole_batch(model.to(config.device, memory_format=self.layout))
        self.frozen = freeze(self.model, config.train_layers)
        self.optimizer = torch.optim.SGD(
            parameter_groups(self.model, config),
            lr=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True if config.loader == "memory" else None,
        )
        self.parallel_model = world.parallel(self.model)
        self.scheduler = scheduler(self.optimizer, config, self.steps_per_epoch, self.total_steps)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
            if config.ema_decay
            else None
        )
        self.teacher = (
            load_checkpoint(config.teacher).model().to(config.device, memory_format=self.layout)
            if config.teacher
            else None
        )
        began, self.taught = time.monotonic(), None
        if self.teacher and config.teacher_once:
            self.taught, self.teacher = self._taught(self.teacher), None
        self.seconds = time.monotonic() - began  # what the teacher takes is part of the training
        self.augment = Augment(config, dataset.n_classes)

        self.step = 0
        self.history = {column: [] for column in HISTORY_COLUMNS}
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=config.device)  # this process's part of it
        self.started_at_step = 0
        self.started = time.monotonic()

    def _taught(self, teacher: nn.Module) -> Tensor:
        """The teacher's logits (2, N, C) of the training images and of their mirrors."""
        views = (self.train_images, self.train_images.flip(2))
        return torch.stack([predict(teacher, images, self.config)[0] for images in views])

    def train_steps(self) -> Iterator[Tensor]:
        """Take the steps that are left of the current epoch, yielding this process's part of each step's loss."""
        self.model.train()
        for module in self.frozen:
            module.eval()  # a frozen batch norm keeps its statistics too
        first = self.step % self.steps_per_epoch
        epoch = self.step // self.steps_per_epoch
        self.model.prepare.image_size = self.config.input_size(epoch)
        batches = iter(
            self.batches(self.config, self.train_images, self.train_labels, self.augment, epoch, first, self.taught)
        )
        while True:
            with record_function("data"):
                batch = next(batches, None)
            if batch is None:
                return
            with record_function("forward"):
                loss = self._loss(*self.world.part(*batch))
            with record_function("backward"):
                self.optimizer.zero_grad(set_to_none=True)
                (loss * self.world.size).backward()  # of which the mean over the processes is taken
            with record_function("optimizer"):
                self.optimizer.step()
                self.scheduler.step()
                if self.average:
                    self.average.update_parameters(self.model)
            self.loss_sum += loss.detach()
            self.step += 1
            yield loss.detach()

    def _loss(self, images: Tensor, labels: Tensor, target: Tensor | None) -> Tensor:
        with autocast(self.config):
            logits = self.parallel_model(images.contiguous(memory_format=self.layout))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
            if self.teacher:
                with torch.no_grad():
                    target = self.teacher(images)
            if target is not None:
                loss = torch.lerp(
                    loss, distillation_loss(logits, target, self.config.temperature), self.config.teacher_weight
                )
        # of a part without images the mean is NaN, and its gradient nothing
        return loss * self.world.batch.share if len(labels) else loss.nan_to_num(0.0)

    def finish_epoch(self) -> None:
        loss = self.world.sum(self.loss_sum).item() / self.steps_per_epoch
        if not math.isfinite(loss):
            raise CifarcoreError(
                f"the loss is no longer a number in epoch {self.step // self.steps_per_epoch}; "
                "start again with a lower --learning-rate"
            )
        row = (
            self.step // self.steps_per_epoch,
            loss,
            self._validation_accuracy(),
            self.optimizer.param_groups[-1]["lr"],
            self.elapsed(),
        )
        for column, value in zip(self.history, row, strict=True):
            self.history[column].append(float(value))
        self.loss_sum.zero_()

    def _validation_accuracy(self) -> float:
        self.model.prepare.image_size = self.config.image_size
        if not len(self.val_labels):
            return float("nan")
        own = slice(*self.world.bounds(len(self.val_labels)))
        right = torch.zeros((), dtype=torch.float64, device=self.config.device)
        if own.stop > own.start:
            logits, _ = predict(self.evaluated_model(), self.val_images[own], self.config)
            right += (logits.argmax(1) == self.val_labels[own]).sum()
        return self.world.sum(right).item() / len(self.val_labels)

    def evaluated_model(self) -> nn.Module:
        return self.average.module if self.average else self.model

    def elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.started

    def progress(self) -> Progress:
        done = max(self.step - self.started_at_step, 1)
        rate = done / (time.monotonic() - self.started)
        finished = len(self.history["epoch"])
        in_epoch = self.step - finished * self.steps_per_epoch
        loss_sum = self.world.sum(self.loss_sum).item()
        loss = loss_sum / in_epoch if in_epoch else (self.history["train_loss"] or [float("nan")])[-1]
        return Progress(
            epoch=-(-self.step // self.steps_per_epoch), finished_epochs=finished, epochs=self.config.epochs,
            step=self.step, steps=self.total_steps, loss=loss,
            val_accuracy=self.history["val_accuracy"][-1] if self.history["val_accuracy"] and len(self.val_labels) else None,
            images_per_second=rate * self.config.batch_size, seconds_left=(self.total_steps - self.step) / rate,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        state = {
            "config": self.config.to_dict(),
            "data": self.data_fingerprint,
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "seconds": self.elapsed(),
            "history": self.history,
            "loss_sum": self.world.sum(self.loss_sum),
        }
        if self.world.first:
            with atomic_write(path) as file:
                torch.save(state, file)

    def load(self, state: dict, path: Path) -> None:
        if state.get("config") != self.config.to_dict():
            theirs = state.get("config") or {}
            different = [name for name, value in self.config.to_dict().items() if theirs.get(name) != value]
            raise CifarcoreError(
                f"{path}: was started with other settings ({', '.join(different)}); give the same ones, or delete it to start anew"
            )
        if state["data"] != self.data_fingerprint:
            raise CifarcoreError(
                f"{path}: was started on other training images; give the same data, or delete it to start anew"
            )
        self.model.load_state_dict(state["model"])
        if self.average:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step = self.started_at_step = state["step"]
        self.seconds += state["seconds"]
        self.history = state["history"]
        if self.world.first:
            self.loss_sum = state["loss_sum"].to(self.config.device)

    def checkpoint(self) -> Checkpoint:
        meta = {
            "model": self.config.model,
            "preset": self.config.preset,
            "seed": self.config.seed,
            "config": self.config.to_dict(),
            "initialised_from": self.initialised_from,
            "training_data": {
                "name": self.dataset_name,
                "fingerprint": self.data_fingerprint,
                "images": len(self.train_labels),
            },
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "train_seconds": round(self.elapsed(), 1),
            "device": hardware(self.config.device, torch.get_num_threads(), self.world.size),
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return Checkpoint(self.config, half(self.evaluated_model().state_dict()), self.class_names, meta, self.history)


@torch.inference_mode()
def predict(
    model: nn.Module, images: Tensor, config: TrainConfig, batch: int = EVALUATION_BATCH
) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, D), float32, of uint8 images (N, H, W, 3) on the model's device."""
    model.eval()
    logits, features = [], []
    for part in images.split(batch):
        with autocast(config):
            found = model.features(to_float(part).contiguous(memory_format=torch.channels_last))
            logits.append(model.head(found).float())
        features.append(found.float())
    return torch.cat(logits), torch.cat(features)
