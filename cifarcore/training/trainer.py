"""Model, optimizer and position of one training: the steps, the validation, and what --resume has to bring back."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.profiler import record_function
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import Dataset, fingerprint, refuse_test_images, sample_ids, split_validation
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.training.augment import Augment
from cifarcore.training.batches import DataLoaderBatches, MemoryBatches
from cifarcore.training.checkpoints import Checkpoint, half, undamaged, weights_digest, whole_history
from cifarcore.training.cpu_layers import for_cpu
from cifarcore.training.distributed import World
from cifarcore.training.hardware import autocast, gradient_scaler, hardware, sum_type, versions
from cifarcore.training.models import build_model
from cifarcore.training.optimization import build_optimizer, distillation_loss, freeze, scheduler
from cifarcore.training.predict import predict
from cifarcore.training.teaching import teacher_of


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


class Trainer:
    """Model, optimizer and position of one run: what `--resume` has to bring back."""

    def __init__(self, config: TrainConfig, dataset: Dataset, data_folder: str | Path | None, world: World = World()):
        self.config, self.world = config, world
        self.test_copies = refuse_test_images(dataset)
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
        self.optimizer = build_optimizer(self.model, config)
        self.scaler = gradient_scaler(config)
        self.parallel_model = world.parallel(self.model)
        self.scheduler = scheduler(self.optimizer, config, self.steps_per_epoch, self.total_steps)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
            if config.ema_decay
            else None
        )
        teacher = teacher_of(config, self.class_names, self.data_fingerprint)
        self.teacher_digest = teacher and weights_digest(teacher)
        world.check_same({"teacher": self.teacher_digest})
        self.teacher = teacher and teacher.model().to(config.device, memory_format=self.layout)
        began, self.taught = time.monotonic(), None
        if self.teacher and config.teacher_once:
            self.taught, self.teacher = self._taught(self.teacher), None
        self.seconds = time.monotonic() - began  # what the teacher takes is part of the training
        self.augment = Augment(config, dataset.n_classes)

        self.step = 0
        self.history = {column: [] for column in HISTORY_COLUMNS}
        # this process's part of it
        self.loss_sum = torch.zeros((), dtype=sum_type(config.device), device=config.device)
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
                # of which the mean over the processes is taken
                self.scaler.scale(loss * self.world.size).backward()
            with record_function("optimizer"):
                self.scaler.step(self.optimizer)
                self.scaler.update()
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
        part = slice(*self.world.bounds(len(self.val_labels)))
        right = torch.zeros((), dtype=sum_type(self.config.device), device=self.config.device)
        if part.stop > part.start:
            logits, _ = predict(self.evaluated_model(), self.val_images[part], self.config)
            right += (logits.argmax(1) == self.val_labels[part]).sum()
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
            epoch=-(-self.step // self.steps_per_epoch),
            finished_epochs=finished,
            epochs=self.config.epochs,
            step=self.step,
            steps=self.total_steps,
            loss=loss,
            val_accuracy=self.history["val_accuracy"][-1]
            if self.history["val_accuracy"] and len(self.val_labels)
            else None,
            images_per_second=rate * self.config.batch_size,
            seconds_left=(self.total_steps - self.step) / rate,
        )

    def save(self, path: Path) -> None:
        state = {
            "config": self.config.to_dict(),
            "data": self.data_fingerprint,
            "teacher": self.teacher_digest,
            "initialised_from": self.initialised_from,
            "model": self.model.state_dict(),
            "average": self.average.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
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
                f"{path}: was started with other settings ({', '.join(different)}); give the same ones, or delete "
                "it to start over"
            )
        # not in files of earlier versions: whose teacher is unknown, as of a finished one
        self.refuse_other(state.get("data"), state.get("teacher", self.teacher_digest), path)
        with undamaged(path, "--overwrite starts over"):
            self.initialised_from = str(state.get("initialised_from", self.initialised_from))
            self.model.load_state_dict(state["model"])
            if self.average:
                self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scheduler.load_state_dict(state["scheduler"])
            if scaler := state.get("scaler"):  # empty in other precisions, and not in files of earlier versions
                self.scaler.load_state_dict(scaler)
            self.step = self.started_at_step = int(state["step"])
            self.seconds += float(state["seconds"])
            self.history = whole_history(state["history"])
            if self.world.first:
                self.loss_sum = state["loss_sum"].to(self.config.device)

    def refuse_other(self, data: str | None, teacher: str | None, path: Path) -> None:
        """Raises CifarcoreError where a training at `path` had other images, or another teacher: not its file alone."""
        if data != self.data_fingerprint:
            raise CifarcoreError(
                f"{path}: was started on other training images; give the same data, or delete it to start over"
            )
        if teacher != self.teacher_digest:
            raise CifarcoreError(
                f"{path}: was started with another teacher than {self.config.teacher} is now; put the first one back, "
                "or delete it to start over"
            )

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
                "copies_of_test_images": self.test_copies,
            },
            **({"teacher_digest": self.teacher_digest} if self.teacher_digest else {}),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "train_seconds": round(self.elapsed(), 1),
            "device": hardware(self.config.device, torch.get_num_threads(), self.world.size),
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return Checkpoint(self.config, half(self.evaluated_model().state_dict()), self.class_names, meta, self.history)
