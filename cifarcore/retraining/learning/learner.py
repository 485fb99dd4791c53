"""The learning of a short retraining: from a parent's weights, on batches of its focus, of rivals and of the rest.

Logit adjustment: Menon et al., ICLR 2021. CutMix, here of a layer's inputs: Yun et al., ICCV 2019. Averaging with the
parent: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
"""

import math
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarcore.data.cifar100 import Dataset
from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write
from cifarcore.presets import LEAST_SHARE, MOST_PASSES, Recipe
from cifarcore.retraining.learning.block import Block
from cifarcore.retraining.learning.dealing import Deck, batch_shares, rows_to_learn
from cifarcore.retraining.learning.recipes import cut_and_mix, recipe_of, schedule, train_config
from cifarcore.retraining.setup import Setup
from cifarcore.runs.layout import HISTORY_COLUMNS
from cifarcore.runs.run import Run
from cifarcore.training.augment import Augment
from cifarcore.training.batches import step_seed
from cifarcore.training.checkpoints import Checkpoint, half, load_tensors, undamaged, whole_history
from cifarcore.training.cpu_layers import for_cpu
from cifarcore.training.hardware import autocast, hardware, resolve, versions
from cifarcore.training.optimization import Sgd, freeze, parameter_groups
from cifarcore.training.predict import predict

#: validation images looked at whatever it takes, those that time it, those before, untimed; and in a batch of a block
LEAST_CHECKED, TIMED, WARM, BATCH = 500, 200, 8, 250


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
        rivals: tuple[int, ...] = (),
        block: Block | None = None,
        ids: np.ndarray | None = None,
    ):
        """`dataset.x_train` are images, or features (M, D) where only the head learns `on_features`; with a `block`,
        the last block learns from it, of the training images that it has, by their `ids` (M,).
        """
        self.setup, self.config = setup, setup.config
        self.recipe = recipe or recipe_of(setup.config)
        self.train_config = resolve(train_config(parent.config, setup.config, self.recipe))
        if self.train_config.precision == "float16":  # whose gradients would need scaling, for a minute's work
            self.train_config = replace(self.train_config, precision="float32")
        device = self.train_config.device
        train_rows = rows_to_learn(ids, len(dataset.y_train), val_rows, self.config)
        self.left_out = len(dataset.y_train) - len(val_rows) - len(train_rows)
        self.train_images, self.n_classes = len(train_rows), dataset.n_classes
        in_focus, are_rivals = (np.isin(dataset.y_train, classes) for classes in (setup.focus, rivals))
        kept = np.ones(len(train_rows), bool)
        if block is not None:
            self.place = torch.from_numpy(rows_of(block.view_ids, ids))
            self.val_place = torch.from_numpy(rows_of(block.plain_ids, ids))
            kept = self.place.numpy()[train_rows] >= 0
        groups = [group[train_rows] for group in (in_focus, are_rivals, ~in_focus & ~are_rivals)]
        self.decks = [
            Deck(train_rows[group & kept], 3 * self.train_config.seed + number) for number, group in enumerate(groups)
        ]
        share = self.config.focus_share if setup.focus else 0.0
        self.shares = batch_shares(share, self.train_config.batch_size, bool(rivals))
        self.val_rows, self.val_in_focus = torch.from_numpy(val_rows), torch.from_numpy(in_focus[val_rows])

        self.on_features, self.block = on_features, block  # with these part of it is computed, and no image augmented
        self.inputs = torch.from_numpy(dataset.x_train).to(device if block is None else "cpu")
        self.labels = torch.from_numpy(dataset.y_train).to(device)
        self.most_passes = math.inf if block is None else MOST_PASSES * len(block.view_ids) / self.train_images
        self.augment = Augment(self.train_config, dataset.n_classes)
        if self.on_features:
            self.model = parent.head().to(device)
        else:
            self.model = parent.model().to(device, memory_format=torch.channels_last)
            self.model = for_cpu(self.model) if device == "cpu" else self.model
        self.frozen = freeze(self.model, self.config.train_layers)
        if block is not None:  # of which the batches, with a focus as they are, would give other statistics
            self.frozen += [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        self.optimizer = Sgd(parameter_groups(self.model, self.train_config), self.train_config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.start = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.adjustment = self._adjustment([dataset.y_train[train_rows[group]] for group in groups]).to(device)

        self.step = 0
        self.learned = 0.0  #: seconds
        self.scoring = 0.0  #: seconds of the budget that are for what comes after
        self.history: dict[str, list[float]] = {column: [] for column in HISTORY_COLUMNS}

    @property
    def passes(self) -> float:
        """How often as many images as there are to train on were seen."""
        return self.step * sum(self.shares) / self.train_images

    @property
    def fraction(self) -> float:
        """How much of the budget is used, 0..1."""
        in_seconds = max(self.learned / self.seconds, self.passes / self.most_passes)
        return min(1.0, self.passes / self.config.epochs if self.config.epochs else in_seconds)

    @property
    def seconds(self) -> float:
        """Of a budget in seconds, those for the learning: what the scoring leaves, and never less than LEAST_SHARE."""
        return max(LEAST_SHARE * self.config.seconds, self.config.seconds - self.scoring)

    def seconds_left(self) -> float:
        by_images = self.learned * (1 / self.fraction - 1) if self.fraction else math.nan
        return by_images if self.config.epochs or self.fraction else self.seconds

    def take_step(self) -> Tensor:
        """One step of SGD; returns its loss, not yet waited for."""
        self.model.train()
        for module in self.frozen:
            module.eval()  # a frozen batch norm keeps its statistics too
        scale = schedule(self.fraction)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * scale
        torch.manual_seed(step_seed(self.train_config.seed, self.step))
        rows = torch.cat(
            [deck.deal(self.step * share, share) for deck, share in zip(self.decks, self.shares, strict=True)]
        )
        loss = self._loss(self._inputs(rows), self.labels[rows.to(self.train_config.device)])
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _inputs(self, rows: Tensor) -> Tensor:
        """What the trained layers are given of the training images at `rows`."""
        if self.block is None:
            return self.inputs[rows.to(self.train_config.device)]
        view = torch.randint(len(self.block.views), (len(rows),))
        inputs = torch.from_numpy(self.block.views[view.numpy(), self.place[rows].numpy()])
        return inputs.to(self.train_config.device).float()

    def _loss(self, inputs: Tensor, labels: Tensor) -> Tensor:
        others, share = labels, 0.0
        if self.block is not None:
            inputs, partners, share = cut_and_mix(inputs)
            others = labels[partners]
        elif self.on_features:
            inputs = inputs.float()
        else:
            inputs, labels = self.augment(inputs, labels)
            others = labels
        with autocast(self.train_config):
            logits = self._logits(inputs).float() + self.adjustment
        smoothing = self.train_config.label_smoothing
        loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        if share:
            loss = (1 - share) * loss + share * F.cross_entropy(logits, others, label_smoothing=smoothing)
        return loss

    def _logits(self, inputs: Tensor) -> Tensor:
        if self.on_features:
            return self.model.head(inputs)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.model(inputs) if self.block is None else self.model.head(self.model.last_block(inputs))

    def _adjustment(self, groups: list[np.ndarray]) -> Tensor:
        """What is added to the logits in the loss alone, (C,): the log of how much oftener a class is in a batch than
        in the data, of whose `groups` these are the labels.
        """
        often = np.zeros(self.n_classes)
        images = sum(map(len, groups))
        for labels, share in zip(groups, self.shares, strict=True):
            if share and len(labels):
                often[np.unique(labels)] = np.log(share / sum(self.shares) * images / len(labels))
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
        elif self.block is not None:
            plain = torch.from_numpy(self.block.plain[self.val_place[self.val_rows[rows]].numpy()])
            self.model.eval()
            with autocast(self.train_config):
                parts = [self._logits(part.to(chosen.device).float()) for part in plain.split(BATCH)]
            logits = torch.cat(parts).float()
        else:
            logits, _ = predict(self.model, self.inputs[chosen], self.train_config)
        right = (logits.argmax(1) == self.labels[chosen]).double().cpu()
        in_focus = self.val_in_focus[rows]
        return right.mean().item(), right[in_focus].mean().item() if in_focus.any() else math.nan

    def averaged(self, weight: float) -> dict[str, Tensor]:
        """The model's state at `weight` of the way from the parent's to what was learned; at 0 the parent's itself."""
        return {
            name: torch.lerp(self.start[name], value, weight)
            if weight and value.is_floating_point()
            else self.start[name]
            for name, value in self.model.state_dict().items()
        }

    def look(self, loss: float, rows: Tensor) -> dict[str, float]:
        """Validate, and keep a line of the history."""
        accuracy, in_focus = self.validate(rows)
        line = (self.passes, loss, accuracy, self.optimizer.param_groups[-1]["lr"], self.learned)
        for column, value in zip(self.history, line, strict=True):
            self.history[column].append(float(value))
        looked_at = {"val_images": len(rows), "val_focus_images": int(self.val_in_focus[rows].sum())}
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
        with undamaged(path, "delete this retraining and start another"):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.learned = int(state["step"]), float(state["learned"])
            self.history = whole_history(state["history"])
            if self.step < 0 or not 0 <= self.learned < math.inf:
                raise ValueError(f"{self.step} steps in {self.learned} s")

    def checkpoint(
        self, parent: Checkpoint, run: Run, dataset_fingerprint: str, stopped: bool, weight: float = 1.0
    ) -> Checkpoint:
        """What was learned, averaged with `parent` at `weight` (`averaged`)."""
        record = {
            "weight": weight,
            "settings": self.config.to_dict(),
            "recipe": asdict(self.recipe),
            "focus": list(self.setup.focus_names),
            "passes": round(self.passes, 4),
            "images": self.step * sum(self.shares),
            "steps": self.step,
            "stopped": stopped,
            "left_out": self.left_out,
        }
        meta = {
            "model": self.train_config.model,
            "preset": self.train_config.preset,
            "seed": self.train_config.seed,
            "config": self.train_config.to_dict(),
            "initialised_from": f"{run.name} ({run.digest})",
            "parent": {"name": run.name, "digest": str(run.digest), "weights_digest": self.setup.weights_digest},
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
        weights = parent.weights | (half(self.averaged(weight)) if weight else {})
        return Checkpoint(self.train_config, weights, parent.class_names, meta, self.history)
