"""Both networks: a three-block CNN from scratch, whole, and the way to torchvision's ResNet-18 in `resnet`.

Input is float (B, 3, 32, 32) in 0..1; each model normalises and, where its `image_size` asks, upsamples on the device.
`features(x)` gives (B, 512) (the CNN: `hidden`), `forward(x)` logits (B, C).

S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarcore.config import TrainConfig

if TYPE_CHECKING:
    from cifarcore.resnet import ResNet18

# Channel mean and standard deviation: of the CIFAR-100 training images as the report rounds them, of ImageNet as torchvision does.
NORMALIZATION = {
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


class Prepared(nn.Module):
    """Normalisation and upsampling, which are the model's own; not part of its weights."""

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.image_size = config.image_size
        mean, std = NORMALIZATION[config.normalize]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        if x.shape[-1] != self.image_size:
            x = F.interpolate(x, size=(self.image_size, self.image_size), mode="bilinear", align_corners=False)
        return x


class BaselineCNN(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and max pool, then two fully connected layers with dropout."""

    def __init__(self, config: TrainConfig, n_classes: int):
        super().__init__()
        self.prepare = Prepared(config)
        channels = (3, *config.widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.MaxPool2d(2),
                nn.ReLU(),  # after the pool: the same values and gradients, on a quarter of the numbers
            )
            for before, after in zip(channels, channels[1:], strict=False)
        )
        side = config.image_size // 8
        self.fc1 = nn.Linear(channels[-1] * side * side, config.hidden)
        self.fc2 = nn.Linear(config.hidden, n_classes)
        self.dropout = nn.Dropout(config.dropout)

    def features(self, x: Tensor) -> Tensor:
        x = self.prepare(x)
        for block in self.blocks:
            x = block(x)
        return F.relu(self.fc1(self.dropout(x.flatten(1))))

    def head(self, features: Tensor) -> Tensor:
        return self.fc2(self.dropout(features))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def stages(self) -> list[nn.Module]:
        """The parts with weights, from the input to the head."""
        return [*self.blocks, self.fc1, self.fc2]


#: model -> name of its last layer
HEADS = {"cnn": "fc2", "resnet18": "fc"}


class Head(nn.Module):
    """The last layer alone, under its name in the whole network: it learns on features computed before."""

    def __init__(self, config: TrainConfig, width: int, n_classes: int):
        super().__init__()
        self.name = HEADS[config.model]
        self.add_module(self.name, nn.Linear(width, n_classes))
        self.dropout = nn.Dropout(config.dropout if config.model == "cnn" else 0.0)

    def head(self, features: Tensor) -> Tensor:
        return self.get_submodule(self.name)(self.dropout(features))

    def stages(self) -> list[nn.Module]:
        """The parts with weights, from the input to the head."""
        return [self.get_submodule(self.name)]


def empty_model(config: TrainConfig, n_classes: int) -> "BaselineCNN | ResNet18":
    """The network of `config` with random weights, to load a checkpoint into."""
    if config.model == "cnn":
        return BaselineCNN(config, n_classes)
    from cifarcore.resnet import ResNet18  # torchvision takes as long to import as torch

    return ResNet18(config, n_classes)


def build_model(
    config: TrainConfig, n_classes: int, data_folder: str | Path | None = None
) -> "tuple[BaselineCNN | ResNet18, str]":
    """The network ready to train and, in words, what initialised it.

    Raises CifarcoreError where ImageNet weights are asked for and cannot be had: never a silent random start.
    """
    model = empty_model(config, n_classes)
    if config.model == "cnn" or config.init == "random":
        return model, "random"
    from cifarcore.resnet import imagenet_weights

    weights, source = imagenet_weights(config.weights, data_folder)
    if config.stem == "3x3":
        weights["conv1.weight"] = weights["conv1.weight"][:, :, 2:5, 2:5].clone()
    head = {name: value for name, value in model.state_dict().items() if name.startswith("fc.")}
    model.load_state_dict({**weights, **head}, strict=True)
    return model, source
