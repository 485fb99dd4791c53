"""One training loop for every model and preset: fit(config) -> checkpoint.

Every random choice is a function of (seed, step), never of what ran before, so a run that was killed and
resumed takes the same steps as one that never stopped.

OneCycle: L. Smith, N. Topin, 2017. Averaged weights: B. Polyak, A. Juditsky, 1992.
Distillation: G. Hinton, O. Vinyals, J. Dean, 2015.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cifarcore import CifarcoreError
from cifarcore.augment import Augment, to_float
from cifarcore.batches import DataLoaderBatches, MemoryBatches
from cifarcore.checkpoints import Checkpoint, half, load_checkpoint, load_tensors, save_checkpoint
from cifarcore.config import TrainConfig
from cifarcore.data import Dataset, fingerprint, sample_ids, split_validation
from cifarcore.files import atomic_write
from cifarcore.hardware import autocast, cpu_threads, hardware, keep_freed_memory, resolve, versions
from cifarcore.models import build_model

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
) -> Path:
    """Train and write `{folder}/{config.name}.pt`; returns its path.

    Keeps `{config.name}.resume.pt` beside it while it runs: at most `save_every` seconds of work are lost by a kill.
    Raises Stopped when `should_stop` says so, CifarcoreError for a resume that does not fit.
    """
    config = resolve(config)
    if config.device == "cpu":
        keep_freed_memory()
    path, state_path = Path(folder) / f"{config.name}.pt", Path(folder) / f"{config.name}.resume.pt"
    with torch.random.fork_rng(), cpu_threads(config.threads):
        trainer = _Trainer(config, dataset, data_folder)
        if resume and state_path.exists():
            trainer.load(load_tensors(state_path), state_path)
        elif resume and path.exists() and load_checkpoint(path).config == config:
            return path
        last_saved = last_report = time.monotonic()
        while trainer.step < trainer.total_steps:
            for _ in trainer.train_steps():
                now = time.monotonic()
                if now - last_report >= REPORT_EVERY_SECONDS:
                    on_progress(trainer.progress())
                    last_report = now
                stop = should_stop()
                if stop or now - last_saved >= save_every:
                    trainer.save(state_path)
                    last_saved = time.monotonic()
                if stop:
                    raise Stopped(f"stopped at step {trainer.step} of {trainer.total_steps}; go on with --resume")
            trainer.finish_epoch()
            on_progress(trainer.progress())
        save_checkpoint(trainer.checkpoint(), path)
    state_path.unlink(missing_ok=True)
    return path


class _Trainer:
    """Model, optimizer and position of one run: what `--resume` has to bring back."""

    def __init__(self, config: TrainConfig, dataset: Dataset, data_folder: str | Path | None):
        self.config = config
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
        model, self.initialised_from = build_model(config, dataset.n_classes, data_folder)
        self.model = model.to(config.device, memory_format=torch.channels_last)
        self.frozen = freeze(self.model, config.train_layers)
        self.optimizer = torch.optim.SGD(
            parameter_groups(self.model, config),
            lr=config.learning_rate,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.scheduler = _scheduler(self.optimizer, config, self.steps_per_epoch, self.total_steps)
        self.average = (
            AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
            if config.ema_decay
            else None
        )
        self.teacher = (
            load_checkpoint(config.teacher).model().to(config.device, memory_format=torch.channels_last)
            if config.teacher
            else None
        )
        self.augment = Augment(config, dataset.n_classes)

        self.step = 0
        self.seconds = 0.0
        self.history = {column: [] for column in ("epoch", "train_loss", "val_accuracy", "lr", "seconds")}
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=config.device)
        self.started_at_step = 0
        self.started = time.monotonic()
        self.data_fingerprint = fingerprint(sample_ids(dataset.x_train), dataset.y_train)
        self.dataset_name = dataset.name

    def train_steps(self) -> Iterator[None]:
        """Take the steps that are left of the current epoch, yielding after each."""
        self.model.train()
        for module in self.frozen:
            module.eval()  # a frozen batch norm keeps its statistics too
        first = self.step % self.steps_per_epoch
        epoch = self.step // self.steps_per_epoch
        for images, labels in self.batches(
            self.config, self.train_images, self.train_labels, self.augment, epoch, first
        ):
            loss = self._loss(images, labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.scheduler.step()
            if self.average:
                self.average.update_parameters(self.model)
            self.loss_sum += loss.detach()
            self.step += 1
            yield

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        with autocast(self.config):
            logits = self.model(images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
            if self.teacher:
                with torch.no_grad():
                    target = self.teacher(images)
                loss = torch.lerp(
                    loss, distillation_loss(logits, target, self.config.temperature), self.config.teacher_weight
                )
        return loss

    def finish_epoch(self) -> None:
        accuracy = float("nan")
        if len(self.val_labels):
            logits, _ = predict(self.evaluated_model(), self.val_images, self.config)
            accuracy = (logits.argmax(1) == self.val_labels).double().mean().item()
        row = (
            self.step // self.steps_per_epoch,
            self.loss_sum.item() / self.steps_per_epoch,
            accuracy,
            self.optimizer.param_groups[-1]["lr"],
            self.elapsed(),
        )
        for column, value in zip(self.history, row, strict=True):
            self.history[column].append(float(value))
        self.loss_sum.zero_()

    def evaluated_model(self) -> nn.Module:
        return self.average.module if self.average else self.model

    def elapsed(self) -> float:
        return self.seconds + time.monotonic() - self.started

    def progress(self) -> Progress:
        done = max(self.step - self.started_at_step, 1)
        rate = done / (time.monotonic() - self.started)
        finished = len(self.history["epoch"])
        in_epoch = self.step - finished * self.steps_per_epoch
        loss = self.loss_sum.item() / in_epoch if in_epoch else (self.history["train_loss"] or [float("nan")])[-1]
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
            "loss_sum": self.loss_sum,
        }
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
        self.seconds = state["seconds"]
        self.history = state["history"]
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
            "device": hardware(self.config.device, torch.get_num_threads()),
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


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened softmaxes (B, C), times temperature squared (Hinton et al. 2015)."""
    log_student = F.log_softmax(logits.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher_logits.float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def freeze(model: nn.Module, train_layers: str) -> list[nn.Module]:
    """Switch off the gradients of all stages but the trained ones; returns the frozen stages."""
    stages = model.stages()
    trained = {"all": len(stages), "last_block": 2, "head": 1}[train_layers]
    frozen = stages[: len(stages) - trained]
    for stage in frozen:
        stage.requires_grad_(False)
    return frozen


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict]:
    """One group a trained stage, its learning rate multiplied by `layer_decay` once for each stage nearer the input."""
    stages = [[parameter for parameter in stage.parameters() if parameter.requires_grad] for stage in model.stages()]
    depth = len(stages) - 1
    return [
        {"params": parameters, "lr": config.learning_rate * config.layer_decay ** (depth - index)}
        for index, parameters in enumerate(stages) if parameters
    ]  # fmt: skip


def _scheduler(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps_per_epoch: int, total_steps: int
) -> LRScheduler:
    if config.schedule == "step":
        return StepLR(optimizer, step_size=config.step_size * steps_per_epoch, gamma=config.gamma)
    if config.schedule == "onecycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(
            optimizer, max_lr=peaks, total_steps=total_steps + 1, pct_start=config.warmup, cycle_momentum=False
        )
    rise = max(1, round(config.warmup * total_steps))
    return SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=1e-3, total_iters=rise),
            CosineAnnealingLR(optimizer, T_max=max(1, total_steps - rise)),
        ],
        milestones=[rise],
    )
