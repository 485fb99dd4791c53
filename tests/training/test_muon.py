"""Muon: that its steps are orthogonal, what it trains and what it leaves to SGD, and what each step does."""

from dataclasses import replace

import pytest
import torch
from made import TINY

from cifarcore.config import TrainConfig
from cifarcore.training.models import empty_model
from cifarcore.training.muon import Muon, orthogonal
from cifarcore.training.optimization import build_optimizer

BASE = replace(TINY, learning_rate=0.1, weight_decay=0.01, nesterov=True)


def model_and_gradients(config=BASE, seed=0):
    torch.manual_seed(seed)
    model = empty_model(config, 5).to(memory_format=torch.channels_last)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("shape", [(20, 60), (60, 20), (30, 30)], ids=str)
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_orthogonal_keeps_the_directions_and_makes_their_sizes_alike(shape, kind):
    torch.manual_seed(0)
    matrix = torch.randn(shape) * 1e-3
    u, sizes, v = torch.linalg.svd(matrix, full_matrices=False)
    between = u.T @ orthogonal(matrix, kind) @ v.T / max(1, shape[0] / shape[1]) ** 0.5
    largest = sizes > sizes.max() / 20  # an almost absent one may stay smaller
    assert largest.sum() >= 18
    assert ((between.diag() > 0.65) & (between.diag() < 1.25))[largest].all()
    assert (between - between.diag().diag()).abs().max() < (1e-3 if kind == torch.float32 else 0.1)


def test_no_gradient_gives_no_step():
    assert torch.equal(orthogonal(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_a_step_is_by_its_definition_and_the_rest_is_stepped_as_sgd_does():
    config = replace(BASE, muon=0.03, muon_decay=0.2, momentum=0.8)
    ours, by_sgd = model_and_gradients(config), model_and_gradients(config)
    optimizer, plain = (build_optimizer(model, c) for model, c in ((ours, config), (by_sgd, replace(config, muon=0.0))))
    assert type(plain) is torch.optim.SGD and len(plain.param_groups) == 5
    expected = {name: value.detach().clone() for name, value in ours.named_parameters()}
    momenta = {name: torch.zeros_like(value) for name, value in expected.items()}
    muons = {"blocks.0.0.weight", "blocks.1.0.weight", "blocks.2.0.weight", "fc1.weight"}
    for step in range(3):
        for one, other in zip(ours.parameters(), by_sgd.parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for name, parameter in ours.named_parameters():
            if name in muons:
                momenta[name] = 0.8 * momenta[name] + parameter.grad
                ahead = orthogonal((parameter.grad + 0.8 * momenta[name]).flatten(1)).view(parameter.shape)
                expected[name] = expected[name] * (1 - 0.03 * 0.2) - 0.03 * ahead
        optimizer.step(), plain.step()
        others = dict(by_sgd.named_parameters())
        for name, parameter in ours.named_parameters():
            if name in muons:
                assert torch.allclose(parameter, expected[name], atol=1e-6), (step, name)
            else:
                assert torch.equal(parameter, others[name]), (step, name)


def test_each_stage_but_the_head_has_muons_rate_for_its_kernels():
    config = replace(BASE, muon=0.03, layer_decay=0.5)
    groups = build_optimizer(model_and_gradients(config), config).param_groups
    rates = [0.03 / 16, 0.1 / 16, 0.03 / 8, 0.1 / 8, 0.03 / 4, 0.1 / 4, 0.03 / 2, 0.1 / 2, 0.1]
    assert [group["lr"] for group in groups] == pytest.approx(rates)
    assert ["muon" in group for group in groups] == [True, False] * 4 + [False]
    resnet = TrainConfig(model="resnet18", init="random", muon=0.03)
    with torch.device("meta"):
        network = empty_model(resnet, 5)
    by_muon = [
        each for group in build_optimizer(network, resnet).param_groups if "muon" in group for each in group["params"]
    ]
    assert len(by_muon) == 20 and {each.dim() for each in by_muon} == {4}, "every convolution, and no other weight"


def test_a_scaled_loss_changes_no_step_of_muon():
    """As float16 needs: the scaler takes its factor out of the gradients before Muon sees them."""
    config = replace(BASE, muon=0.03)
    weights = []
    for scale in (1.0, 1024.0):
        model = model_and_gradients(config)
        optimizer = build_optimizer(model, config)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1)
        for step in range(3):
            torch.manual_seed(step)
            loss = sum((parameter * torch.randn_like(parameter)).sum() for parameter in model.parameters())
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert isinstance(optimizer, Muon) and torch.allclose(*weights, atol=1e-6)
