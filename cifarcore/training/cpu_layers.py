"""Layers that compute the same function as torch's in less time on a CPU, for training there."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Convolutions of the smallest images become matrix products: on the ResNet-18's last stages (4x4 and 2x2 pixels)
# oneDNN's convolutions, the gradients of their weights above all, take ten times what the arithmetic does. Dropout
# takes its bits four to a drawn word: torch's draw, one value after the other on one core, takes four times as long.
#: pixels of the output up to which the product is the faster one, by paired measurement at 2x2, 4x4 and 8x8
MOST_PIXELS = 16


def for_cpu(model: nn.Module) -> nn.Module:
    """`model` with dropout, and its 3x3 convolutions that give at most MOST_PIXELS pixels, computed the faster way.

    Its weights and their names stay as they are.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_plain_3x3(module):
            module.__class__ = _ProductConv2d
        elif type(module) is nn.Dropout:
            module.__class__ = _BitDropout
    return model


def _is_plain_3x3(module: nn.Conv2d) -> bool:
    return (
        (module.kernel_size, module.padding, module.dilation) == ((3, 3), (1, 1), (1, 1))
        and module.groups == 1
        and module.bias is None
        and module.padding_mode == "zeros"
    )


class _ProductConv2d(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        (down, right), (height, width) = self.stride, x.shape[2:]
        rows, columns = (height - 1) // down + 1, (width - 1) // right + 1
        if rows * columns > MOST_PIXELS:
            return super().forward(x)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        shifted = [
            padded[:, top : top + height : down, left : left + width : right] for top in range(3) for left in range(3)
        ]
        weights = self.weight.permute(0, 2, 3, 1).flatten(1)  # no copy where the weights lie channels last
        return F.linear(torch.cat(shifted, dim=-1), weights).permute(0, 3, 1, 2)


class _BitDropout(nn.Dropout):
    """Sixteen random bits a value, so that `p` is met to one in 65,536."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        words = torch.randint(-(2**63), 2**63 - 1, (-(-x.numel() // 4),), device=x.device)
        kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= round(self.p * 2**16) - 2**15
        return x * (kept / (1 - self.p)).to(x.dtype)
