"""Which weights learn, how fast, and by what loss.

OneCycle: L. Smith, N. Topin, 2017. Distillation: G. Hinton, O. Vinyals, J. Dean, 2015.

Trials on the way to the presets, seed 0, on the validation images.

A growing input size changes what is learned: `quick` trains the ResNet-18 at 64 pixels for three epochs and at 128 for
six, of 87 and 250 s each (EPYC). Scored at 128, the validation split stands at 0.19 after the first three, at 0.67 one
epoch later and at 0.78 in the end. Tried on the way there, with the same seed and eight epochs, four of them at 128: 0.756
with the learning rate halved for each stage further from the head; 0.746 with it times 0.7 and all before layer3 frozen,
in three quarters of the time; 0.712 with that and CutMix or MixUp on every batch. Beginning at 48 was not tried to its end.

For 16 epochs, three at 64 pixels and thirteen at 128, the ResNet-18 of seed 0 ends at 0.789 on validation images: after each
epoch at 128 it stood at 0.646, 0.691, 0.717, 0.727, 0.740, 0.761, 0.770, 0.771, 0.782, 0.787, 0.791, 0.792 and 0.789.

For 100 epochs the CNN wants more augmentation than for `quick`'s 40: the same settings with TrivialAugment end at 0.681 on
validation images and 0.685 on test images, with CutMix on every batch at 0.663 and 0.665 (`quick`: 0.668 and 0.671). Each took
81 min of one core, beside the other.

The ResNet-18 of `quick` taught the CNN (`--teacher-once`), seed 0; accuracy without augmentation:

                                        images/s   minutes   5,000 learned images   validation images
    quick, no teacher, 40 epochs                        36          0.913                 0.666
    taught, 80 epochs                       1925        34          0.780                 0.683
    taught, 40 epochs, twice as wide         690        46          0.790                 0.698
    taught, 20 epochs                                               0.695                 0.639
    taught, 20 epochs, temperature 1                                0.758                 0.642

(No speed where other work was going on.) The taught CNN learns less by heart; what limits it is its width and the epochs, and
the temperature of the teacher's part matters little to the validation images.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR, StepLR
from torch.optim.sgd import sgd

from cifarcore.config import TrainConfig


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
    """One group a trained stage, its learning rate multiplied by `layer_decay` once for each stage nearer the input."""
    stages = [[parameter for parameter in stage.parameters() if parameter.requires_grad] for stage in model.stages()]
    depth = len(stages) - 1
    return [
        {"params": parameters, "lr": config.learning_rate * config.layer_decay ** (depth - index)}
        for index, parameters in enumerate(stages) if parameters
    ]  # fmt: skip


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
                group["params"], gradients, momenta, fused=True, lr=group["lr"], weight_decay=self.weight_decay,
                momentum=self.MOMENTUM, dampening=0.0, nesterov=True, maximize=False,
            )  # fmt: skip

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
            [None if momentum is None else momentum.to(parameter) for parameter, momentum in zip(group["params"], momenta)]
            for group, momenta in zip(self.param_groups, state["momenta"])
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
