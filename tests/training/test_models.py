import hashlib

import pytest
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.training import models


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """ResNet-18 weights in torchvision's layout, random: the door is tested here, not what comes through."""
    path = tmp_path_factory.mktemp("weights") / models.WEIGHTS_FILE
    torch.manual_seed(3)
    torch.save(
        {name: value.half() if value.is_floating_point() else value for name, value in resnet18().state_dict().items()},
        path,
    )
    return path


@pytest.fixture
def no_download(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", refuse)


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(model="cnn"),
        TrainConfig(model="resnet18"),
        TrainConfig(model="resnet18", image_size=64),
        TrainConfig(model="resnet18", stem="3x3"),
    ],
)
def test_features_and_logits_have_their_shapes(config):
    model = models.empty_model(config, 7).eval()
    x = torch.rand(2, 3, 32, 32)
    assert model.features(x).shape == (2, 512)
    assert model(x).shape == (2, 7)
    assert torch.equal(model.head(model.features(x)), model(x))


def test_cnn_widths_are_configurable():
    model = models.empty_model(TrainConfig(widths=(8, 16, 24), hidden=40), 5)
    assert [block[0].out_channels for block in model.blocks] == [8, 16, 24]
    assert model.features(torch.rand(1, 3, 32, 32)).shape == (1, 40)


def test_all_layers_but_the_last_are_the_pretrained_ones(weights_file, no_download):
    model, source = models.build_model(TrainConfig(model="resnet18", weights=str(weights_file)), 100)
    stored = torch.load(weights_file, weights_only=True)
    for name, value in model.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(value, stored[name].to(value.dtype)), name
    assert model.fc.weight.shape == (100, 512)
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()[:8]
    assert source == f"weights file {models.WEIGHTS_FILE} (sha256 {digest})"


def test_the_data_folder_is_the_fallback_and_random_only_on_purpose(weights_file, no_download, tmp_path):
    config = TrainConfig(model="resnet18")
    assert "weights file" in models.build_model(config, 10, weights_file.parent)[1]
    with pytest.raises(CifarcoreError, match="--weights") as caught:
        models.build_model(config, 10, tmp_path)
    assert "\n" not in str(caught.value)
    assert models.build_model(TrainConfig(model="resnet18", init="random"), 10, tmp_path)[1] == "random"


@pytest.mark.parametrize("settings", [{"model": "cnn"}, {"model": "resnet18", "init": "random"}])
def test_weights_that_would_not_be_used_are_refused(weights_file, settings):
    with pytest.raises(CifarcoreError, match="this network starts at random; leave it out"):
        models.build_model(TrainConfig(weights=str(weights_file), **settings), 10)


def test_the_small_stem_keeps_the_centre_of_the_kernel(weights_file):
    model, _ = models.build_model(TrainConfig(model="resnet18", stem="3x3", weights=str(weights_file)), 10)
    stored = torch.load(weights_file, weights_only=True)["conv1.weight"].float()
    assert torch.equal(model.conv1.weight, stored[:, :, 2:5, 2:5])


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_file_that_is_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    if content is None:
        torch.save({"conv1.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(CifarcoreError, match="no ResNet-18 weights") as caught:
        models.imagenet_weights(str(path))
    assert "\n" not in str(caught.value)


def test_each_model_normalises_for_itself():
    x = torch.rand(2, 3, 32, 32)
    for name, (mean, std) in models.NORMALIZATION.items():
        prepared = models.empty_model(TrainConfig(normalize=name), 3).prepare(x)
        assert torch.allclose(prepared, (x - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))


def test_relu_after_the_pool_is_relu_before_it():
    """Bit for bit, values and gradients, where a window is all negative and where its greatest stand more than once
    too.
    """
    found = []
    for layers in ((nn.MaxPool2d(2), nn.ReLU()), (nn.ReLU(), nn.MaxPool2d(2))):
        torch.manual_seed(0)
        x = torch.randint(-3, 3, (20, 4, 8, 8)).float().requires_grad_()
        out = nn.Sequential(*layers)(x)
        (out * torch.randn(out.shape)).sum().backward()
        found.append((out, x.grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
