"""Which weights learn, how fast, and by what loss."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR
from torch.optim.sgd import sgd

from cifarcore.config import TrainConfig
from cifarcore.training.muon import Muon


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened softmaxes (B, C), times temperature squared (Hinton et al. 2015)."""
    log_student = F.log_softmax(logits.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher_logits.float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2


def freeze(model: nn.Module, train_layers: str) -> list[nn.Module]:
    """Switch off the gradients of all stages but the trained ones; returns the frozen stages.

    The CNN's first fully connected layer counts as its last block.
    """
    stages = model.stages()
    trained = {"all": len(stages), "last_two_blocks": 3, "last_block": 2, "head": 1}[train_layers]
    frozen = stages[: len(stages) - trained]
    for stage in frozen:
        stage.requires_grad_(False)
    return frozen


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict]:
    """One group a trained stage, its learning rate multiplied by `layer_decay` once for each stage nearer the input.

    With `muon` the matrices and kernels of a stage but the head make a group of their own, before that of the rest.
    """
    stages = [[parameter for parameter in stage.parameters() if parameter.requires_grad] for stage in model.stages()]
    depth = len(stages) - 1
    groups = []
    for index, parameters in enumerate(stages):
        by_muon = [each for each in parameters if config.muon and index < depth and each.dim() > 1]
        rest = [each for each in parameters if not (config.muon and index < depth and each.dim() > 1)]
        decay = config.layer_decay ** (depth - index)
        of_muon = {"weight_decay": config.muon_decay, "muon": config.momentum, "momentum": 0.0, "nesterov": False}
        groups += [{"params": by_muon, "lr": config.muon * decay} | of_muon] if by_muon else []
        groups += [{"params": rest, "lr": config.learning_rate * decay}] if rest else []
    return groups


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD on all that learns in `model`, or Muon and SGD; `config` is resolved."""
    settings = dict(
        lr=config.learning_rate,
        momentum=config.momentum,
        nesterov=config.nesterov,
        weight_decay=config.weight_decay,
        fused=True if config.loader == "memory" else None,
    )
    groups = parameter_groups(model, config)
    if not config.muon:
        return torch.optim.SGD(groups, **settings)
    return Muon(groups, torch.bfloat16 if config.precision == "bfloat16" else None, **settings)


class Sgd:
    """torch.optim.SGD with Nesterov's momentum, by torch's own function for its step.

    Making the class imports torch's compiler, which takes a second: a third of what a retrained head has to start.
    """

    MOMENTUM = 0.9

    def __init__(self, param_groups: list[dict], weight_decay: float):
        self.param_groups, self.weight_decay = param_groups, weight_decay
        self.momenta: list[list[Tensor | None]] = [[None] * len(group["params"]) for group in param_groups]

    @torch.no_grad()
    def step(self) -> None:
        """Take a step; every parameter has a gradient."""
        for group, momenta in zip(self.param_groups, self.momenta, strict=True):
            gradients = [parameter.grad for parameter in group["params"]]
            sgd(
                group["params"],
                gradients,
                momenta,
                fused=True,
                lr=group["lr"],
                weight_decay=self.weight_decay,
                momentum=self.MOMENTUM,
                dampening=0.0,
                nesterov=True,
                maximize=False,
            )

    def zero_grad(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict:
        return {"momenta": self.momenta}

    def load_state_dict(self, state: dict) -> None:
        """Raises ValueError where the momenta are those of other parameters."""
        for group, momenta in zip(self.param_groups, state["momenta"], strict=True):
            for parameter, momentum in zip(group["params"], momenta, strict=True):
                if momentum is not None and momentum.shape != parameter.shape:
                    raise ValueError("the momenta are of other parameters")
        self.momenta = [
            [
                None if momentum is None else momentum.to(parameter)
                for parameter, momentum in zip(group["params"], momenta, strict=True)
            ]
            for group, momenta in zip(self.param_groups, state["momenta"], strict=True)
        ]


def scheduler(
    optimizer: torch.optim.Optimizer, config: TrainConfig, steps_per_epoch: int, total_steps: int
) -> LRScheduler:
    if config.schedule == "step":
        return StepLR(optimizer, step_size=config.step_size * steps_per_epoch, gamma=config.gamma)
    if config.schedule == "onecycle":
        peaks, rise = [group["lr"] for group in optimizer.param_groups], config.warmup
        while rise * (total_steps + 1) == 1:  # by whose length less one torch divides
            rise = math.nextafter(rise, 1)
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=total_steps + 1, pct_start=rise, cycle_momentum=False)
    rise = max(1, round(config.warmup * total_steps))
    return SequentialLR(
        optimizer,
        [
            LinearLR(optimizer, start_factor=1e-3, total_iters=rise),
            CosineAnnealingLR(optimizer, T_max=max(1, total_steps - rise)),
        ],
        milestones=[rise],
    )
