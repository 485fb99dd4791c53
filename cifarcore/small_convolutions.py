"""Convolutions of the smallest images as matrix products, for training on a CPU: the same function, to rounding.

On the ResNet-18's last stages (4x4 and 2x2 pixels) oneDNN's convolutions, the gradients of their weights above all, take
ten times what the arithmetic does; a plain product of the gathered 3x3 neighbourhoods does not.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: pixels of the output up to which the product is the faster one, by paired measurement at 2x2, 4x4 and 8x8
MOST_PIXELS = 16


def use_products(model: nn.Module) -> nn.Module:
    """`model` with its 3x3 convolutions computed as products wherever they give at most MOST_PIXELS pixels.

    Its weights and their names stay as they are.
    """
    for module in model.modules():
        if type(module) is nn.Conv2d and _is_plain_3x3(module):
            module.__class__ = _ProductConv2d
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
