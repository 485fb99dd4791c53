"""The learning of a short retraining: from a parent's weights, on batches that mix its focus with all other classes.

The validation split is never trained on, the test split only scored at the end, and neither chooses anything.
Logit adjustment: A. Menon et al., "Long-tail learning via logit adjustment", ICLR 2021.
"""

import math
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cifarcore.config import RetrainConfig, TrainConfig
from cifarcore.data.cifar100 import Dataset
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write
from cifarcore.presets import RECIPES, Recipe
from cifarcore.retraining.dealing import Deck, batch_shares
from cifarcore.retraining.setup import Setup
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.runs.run import Run
from cifarcore.training.augment import Augment
from cifarcore.training.batches import step_seed
from cifarcore.training.checkpoints import Checkpoint, half, load_tensors
from cifarcore.training.cpu_layers import for_cpu
from cifarcore.training.hardware import autocast, hardware, resolve, versions
from cifarcore.training.optimization import Sgd, freeze, parameter_groups
from cifarcore.training.predict import predict

WARMUP = 0.1


HEAD_BATCH = 512


#: validation images looked at whatever it takes, those that time it, and those before, untimed
LEAST_CHECKED, TIMED, WARM = 500, 200, 8


class Learner:
    """Model, optimizer and position of one retraining: what going on after a kill has to bring back."""

    def __init__(
        self,
        setup: Setup,
        parent: Checkpoint,
        dataset: Dataset,
        val_rows: np.ndarray,
        on_features: bool = False,
        recipe: Recipe | None = None,
    ):
        """`dataset.x_train` are images, or features (M, D) where only the head learns `on_features`."""
        self.setup, self.config = setup, setup.config
        self.recipe = recipe or recipe_of(setup.config)
        self.train_config = resolve(_train_config(parent.config, setup.config, self.recipe))
        if self.train_config.precision == "float16":  # whose gradients would need scaling, for a minute's work
            self.train_config = replace(self.train_config, precision="float32")
        device = self.train_config.device
        train_rows = np.setdiff1d(np.arange(len(dataset.y_train)), val_rows)
        in_focus = np.isin(dataset.y_train, setup.focus)
        sides = (in_focus[train_rows], ~in_focus[train_rows])
        self.decks = [Deck(train_rows[side], 2 * self.train_config.seed + number) for number, side in enumerate(sides)]
        self.shares = batch_shares(self.config.focus_share if setup.focus else 0.0, self.train_config.batch_size)
        self.train_images = len(train_rows)
        self.val_rows, self.val_in_focus = torch.from_numpy(val_rows), torch.from_numpy(in_focus[val_rows])

        self.on_features = on_features  # then only the head is computed, and nothing is augmented
        self.inputs = torch.from_numpy(dataset.x_train).to(device)
        self.labels = torch.from_numpy(dataset.y_train).to(device)
        self.augment = Augment(self.train_config, dataset.n_classes)
        if self.on_features:
            self.model = parent.head().to(device)
        else:
            self.model = parent.model().to(device, memory_format=torch.channels_last)
            if device == "cpu":
                for_cpu(self.model)
        self.frozen = freeze(self.model, self.config.train_layers)
        self.optimizer = Sgd(parameter_groups(self.model, self.train_config), self.train_config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.adjustment = self._adjustment(dataset.y_train[train_rows], dataset.n_classes).to(device)

        self.step = 0
        self.learned = 0.0  #: seconds
        self.history: dict[str, list[float]] = {column: [] for column in HISTORY_COLUMNS}

    @property
    def passes(self) -> float:
        """How often as many images as there are to train on were seen."""
        return self.step * sum(self.shares) / self.train_images

    @property
    def fraction(self) -> float:
        """How much of the budget is used, 0..1."""
        used = self.passes / self.config.epochs if self.config.epochs else self.learned / self.config.seconds
        return min(1.0, used)

    def seconds_left(self) -> float:
        if not self.config.epochs:
            return max(0.0, self.config.seconds - self.learned)
        return self.learned * (1 / self.fraction - 1) if self.fraction else math.nan

    def take_step(self) -> Tensor:
        """One step of SGD; returns its loss, not yet waited for."""
        self.model.train()
        for module in self.frozen:
            module.eval()  # a frozen batch norm keeps its statistics too
        scale = _schedule(self.fraction)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * scale
        torch.manual_seed(step_seed(self.train_config.seed, self.step))
        rows = torch.cat(
            [deck.deal(self.step * share, share) for deck, share in zip(self.decks, self.shares, strict=True)]
        )
        rows = rows.to(self.train_config.device)
        loss = self._loss(self.inputs[rows], self.labels[rows])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        if self.on_features:
            inputs = inputs.float()
        else:
            inputs, labels = self.augment(inputs, labels)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with autocast(self.train_config):
            logits = self.model.head(inputs) if self.on_features else self.model(inputs)
        return F.cross_entropy(
            logits.float() + self.adjustment, labels, label_smoothing=self.train_config.label_smoothing
        )

    def _adjustment(self, labels: np.ndarray, n_classes: int) -> Tensor:
        """What is added to the logits in the loss alone, (C,): the log of how much oftener a class is in a batch than
        in the data.
        """
        often = np.zeros(n_classes)
        for deck, share in zip(self.decks, self.shares, strict=True):
            if share:
                in_deck = np.isin(
                    np.arange(n_classes), labels[np.isin(labels, self.setup.focus) == (deck is self.decks[0])]
                )
                often[in_deck] = np.log(share / sum(self.shares) * len(labels) / len(deck.rows))
        return torch.from_numpy(self.recipe.adjustment * often).float()

    def validation_rows(self, seconds: float) -> Tensor:
        """Places in the validation split, drawn once, that can be looked at within `seconds`; at least LEAST_CHECKED of
        them.
        """
        rows = torch.randperm(len(self.val_rows), generator=torch.Generator().manual_seed(0))
        self.validate(rows[:WARM])  # a GPU's first images take seconds
        began = time.monotonic()
        self.validate(rows[:TIMED])
        rate = TIMED / max(time.monotonic() - began, time.get_clock_info("monotonic").resolution)
        return rows[: max(LEAST_CHECKED, int(seconds * rate))]

    @torch.inference_mode()
    def validate(self, rows: Tensor) -> tuple[float, float]:
        """Accuracy on the validation images at `rows` (places in the split), of all and of the focus classes; NaN for
        none.
        """
        if not len(rows):
            return math.nan, math.nan
        chosen = self.val_rows[rows].to(self.train_config.device)
        if self.on_features:
            logits = self.model.eval().head(self.inputs[chosen].float())
        else:
            logits, _ = predict(self.model, self.inputs[chosen], self.train_config)
        right = (logits.argmax(1) == self.labels[chosen]).double().cpu()
        in_focus = self.val_in_focus[rows]
        return right.mean().item(), right[in_focus].mean().item() if in_focus.any() else math.nan

    def look(self, loss: float, rows: Tensor) -> dict[str, float]:
        """Validate, and keep a line of the history."""
        accuracy, in_focus = self.validate(rows)
        line = (self.passes, loss, accuracy, self.optimizer.param_groups[-1]["lr"], self.learned)
        for column, value in zip(self.history, line, strict=True):
            self.history[column].append(float(value))
        focus_images = int(self.val_in_focus[rows].sum())
        looked_at = {"val_images": len(rows), "val_focus_images": focus_images}
        return {"val_accuracy": accuracy, "val_focus_accuracy": in_focus} | looked_at

    def save(self, path: Path) -> None:
        state = {
            "weights_digest": self.setup.weights_digest,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "learned": self.learned,
            "history": self.history,
        }
        with atomic_write(path) as file:
            torch.save(state, file)

    def load(self, path: Path) -> None:
        """Raises CifarcoreError where the state is damaged or was learned from other weights."""
        state = load_tensors(path)
        if state.get("weights_digest") != self.setup.weights_digest:
            raise CifarcoreError(f"{path}: was learned from other weights; delete this retraining and start another")
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.learned, self.history = int(state["step"]), float(state["learned"]), dict(state["history"])
            if self.step < 0 or not 0 <= self.learned < math.inf:
                raise ValueError(f"{self.step} steps in {self.learned} s")
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise CifarcoreError(
                f"{path}: damaged ({error!s:.100}); delete this retraining and start another"
            ) from None

    def checkpoint(self, parent: Checkpoint, run: Run, dataset_fingerprint: str, stopped: bool) -> Checkpoint:
        record = {
            "settings": self.config.to_dict(),
            "recipe": asdict(self.recipe),
            "focus": list(self.setup.focus_names),
            "passes": round(self.passes, 4),
            "images": self.step * sum(self.shares),
            "steps": self.step,
            "stopped": stopped,
        }
        meta = {
            "model": self.train_config.model,
            "preset": self.train_config.preset,
            "seed": self.train_config.seed,
            "config": self.train_config.to_dict(),
            "initialised_from": f"{run.name} ({run.digest})",
            "parent": {"name": run.name, "digest": run.digest, "weights_digest": self.setup.weights_digest},
            "retraining": record,
            "training_data": {
                "name": parent.meta.get("training_data", {}).get("name", ""),
                "fingerprint": dataset_fingerprint,
                "images": self.train_images,
            },
            "parameters": parent.meta.get("parameters", 0),
            "train_seconds": round(self.learned, 1),
            "device": hardware(self.train_config.device, torch.get_num_threads()),
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        weights = parent.weights | half(self.model.state_dict())
        return Checkpoint(self.train_config, weights, parent.class_names, meta, self.history)


def recipe_of(config: RetrainConfig) -> Recipe:
    """The recipe of the trained layers, with the learning rate of `config` where it names one."""
    recipe = RECIPES[config.train_layers]
    return replace(recipe, learning_rate=config.learning_rate) if config.learning_rate else recipe


def _schedule(fraction: float) -> float:
    """Factor on the learning rate: a straight rise, then half a cosine to zero."""
    if fraction < WARMUP:
        return 0.05 + 0.95 * fraction / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (fraction - WARMUP) / (1 - WARMUP)))


def _train_config(parent: TrainConfig, config: RetrainConfig, recipe: Recipe) -> TrainConfig:
    """What the retrained checkpoint says of its training: the parent's network and data, this retraining's learning."""
    preset = parent.preset if parent.preset.endswith("-retrained") else f"{parent.preset}-retrained"
    return replace(
        parent,
        preset=preset,
        seed=parent.seed if config.seed < 0 else config.seed,
        epochs=max(1, math.ceil(config.epochs)),
        first_size=0,
        first_epochs=0,
        batch_size=HEAD_BATCH if config.train_layers == "head" else config.batch_size,
        learning_rate=recipe.learning_rate,
        schedule="cosine",
        warmup=WARMUP,
        momentum=Sgd.MOMENTUM,
        nesterov=True,
        ema_decay=0.0,
        crop_padding=config.crop_padding,
        flip=config.flip,
        mix=config.mix,
        policy=config.policy,
        erasing=0.0,
        train_layers=config.train_layers,
        teacher="",
        teacher_once=False,
        loader="memory",
        precision="auto",
        device="auto",
        threads=config.threads,
    )
