"""How a short retraining learns, besides its settings: learning rate, mixing, and what its checkpoint says of that."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from cifarcore.config import RetrainConfig, TrainConfig
from cifarcore.presets import RECIPES, Recipe
from cifarcore.training.optimization import Sgd

WARMUP, HEAD_BATCH = 0.1, 512


def cut_and_mix(inputs: Tensor) -> tuple[Tensor, Tensor, float]:
    """CutMix of inputs (B, C, H, W): a square of each is another's. Returns them, the others' places (B,), and the
    square's share of the area.
    """
    height, width = inputs.shape[2:]
    cut = math.sqrt(torch.rand(()).item())  # of the side: its area is uniform, as in CutMix
    rows, columns = round(cut * height), round(cut * width)
    top, left = (int(torch.randint(full - part + 1, ())) for full, part in ((height, rows), (width, columns)))
    partners = torch.randperm(len(inputs), device=inputs.device)
    mixed = inputs.clone()
    square = (slice(None), slice(None), slice(top, top + rows), slice(left, left + columns))
    mixed[square] = inputs[partners][square]
    return mixed, partners, rows * columns / (height * width)


def recipe_of(config: RetrainConfig) -> Recipe:
    """The recipe of the trained layers, with the learning rate of `config` where it names one."""
    recipe = RECIPES[config.train_layers]
    return replace(recipe, learning_rate=config.learning_rate) if config.learning_rate else recipe


def schedule(fraction: float) -> float:
    """Factor on the learning rate: a straight rise, then half a cosine to zero."""
    if fraction < WARMUP:
        return 0.05 + 0.95 * fraction / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (fraction - WARMUP) / (1 - WARMUP)))


def train_config(parent: TrainConfig, config: RetrainConfig, recipe: Recipe) -> TrainConfig:
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
        muon=0.0,
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
