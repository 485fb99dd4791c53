"""Which weights learn, how fast, and by what loss.

OneCycle: L. Smith, N. Topin, 2017. Distillation: G. Hinton, O. Vinyals, J. Dean, 2015.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR

from cifarcore.config import TrainConfig


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


def scheduler(
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
