"""Convolutions as products are torch's own, forward and backward, and leave a model's weights where they are; so is
dropout.
"""

import pytest
import torch
from torch import nn

from cifarcore.config import TrainConfig
from cifarcore.training.cpu_layers import MOST_PIXELS, for_cpu
from cifarcore.training.models import empty_model


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 5, 8, 9])
def test_values_and_gradients_are_those_of_the_convolution(side, stride):
    plain, product = (nn.Conv2d(6, 10, 3, stride=stride, padding=1, bias=False, dtype=torch.float64) for _ in range(2))
    product.load_state_dict(plain.state_dict())
    for_cpu(product)
    found = []
    for layer in (plain, product):
        torch.manual_seed(0)
        x = torch.randn(4, 6, side, side, dtype=torch.float64, requires_grad=True)
        out = layer(x)
        (out * torch.randn(out.shape, dtype=torch.float64)).sum().backward()
        found.append((out, x.grad, layer.weight.grad))
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(*found, strict=True))


def test_only_small_images_and_plain_3x3_convolutions_change():
    model = empty_model(TrainConfig(model="resnet18", init="random"), 10)
    names = list(model.state_dict())
    kinds = {kernel: set() for kernel in ((7, 7), (3, 3), (1, 1))}
    for module in for_cpu(model).modules():
        if isinstance(module, nn.Conv2d):
            kinds[module.kernel_size].add(type(module) is nn.Conv2d)
    assert kinds == {(7, 7): {True}, (3, 3): {False}, (1, 1): {True}} and list(model.state_dict()) == names
    large = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    for_cpu(large)
    x = torch.randn(1, 2, MOST_PIXELS, MOST_PIXELS)
    assert torch.equal(large(x), nn.functional.conv2d(x, large.weight, padding=1)), "larger images go torch's way"


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_keeps_its_share_scales_it_and_repeats(p):
    dropout = for_cpu(nn.Dropout(p))
    x = torch.full((1001, 999), 2.0, requires_grad=True)
    torch.manual_seed(0)
    out = dropout(x)
    kept = out != 0
    assert torch.all(out[kept] == torch.tensor(2.0) * torch.tensor(1 / (1 - p)))
    assert abs(kept.double().mean() - (1 - p)) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    for axis in (0, 1):  # no row and no column is dealt with otherwise than chance does
        shares = kept.double().mean(axis)
        assert shares.std() == pytest.approx((p * (1 - p) / x.shape[axis]) ** 0.5, rel=0.15)
    out.sum().backward()
    assert torch.equal(x.grad != 0, kept)
    torch.manual_seed(0)
    assert torch.equal(dropout(x), out) and not torch.equal(dropout(x), out)
    assert dropout.eval()(x) is x and for_cpu(nn.Dropout(0.0))(x) is x
