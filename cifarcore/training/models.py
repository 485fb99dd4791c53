"""Both networks: a three-block CNN, and torchvision's ResNet-18 with its ImageNet weights.

Input is float (B, 3, 32, 32) in 0..1, normalised and upsampled by the model; `features` gives (B, D), `forward` logits
(B, C).
"""

import hashlib
import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import data_dir
from cifarcore.errors import CifarcoreError

# Channel mean and standard deviation: of the CIFAR-100 training images as the report rounds them, of ImageNet as
# torchvision does.
NORMALIZATION = {
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


WEIGHTS_FILE = "resnet18_imagenet.pt"
# A weights file is named for what it is, so the ones known are known by content.
_KNOWN_WEIGHTS = {
    "f37072fd": "ImageNet (IMAGENET1K_V1)",
    "3db9d021": "ImageNet (IMAGENET1K_V1 to layer3, layer4 re-trained on Tiny ImageNet-200)",
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
    """Three blocks of convolution, batch norm, ReLU and max pool, then two fully connected layers with dropout.

    S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015.
    """

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

    def trunk(self, x: Tensor) -> Tensor:
        """What the last block sees of images, (B, C, H, W)."""
        x = self.prepare(x)
        for block in self.blocks:
            x = block(x)
        return x

    def last_block(self, x: Tensor) -> Tensor:
        return F.relu(self.fc1(self.dropout(x.flatten(1))))

    def features(self, x: Tensor) -> Tensor:
        return self.last_block(self.trunk(x))

    def head(self, features: Tensor) -> Tensor:
        return self.fc2(self.dropout(features))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def stages(self) -> list[nn.Module]:
        """The parts with weights, from the input to the head."""
        return [*self.blocks, self.fc1, self.fc2]


class ResNet18(nn.Module):
    """torchvision's ResNet-18, in its key layout; with the `3x3` stem it keeps 32-pixel images at full size.

    torchvision is imported here, where one is built: that takes longer than torch, and a CNN need not wait for it.
    K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """

    def __init__(self, config: TrainConfig, n_classes: int):
        super().__init__()
        from torchvision.models import resnet18

        for name, module in resnet18(num_classes=n_classes).named_children():
            self.add_module(name, module)
        self.prepare = Prepared(config)
        if config.stem == "3x3":
            self.use_small_stem()

    def use_small_stem(self) -> None:
        """A 3x3 convolution of stride 1 that keeps the centre of the 7x7 kernel, and no max pool."""
        centre = (
            self.conv1.weight.data[:, :, 2:5, 2:5].clone()
            if self.conv1.kernel_size == (7, 7)
            else self.conv1.weight.data
        )
        self.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        self.conv1.weight.data = centre
        self.maxpool = nn.Identity()

    def trunk(self, x: Tensor) -> Tensor:
        """What the last block sees of images, (B, C, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.prepare(x)))))
        return self.layer3(self.layer2(self.layer1(x)))

    def last_block(self, x: Tensor) -> Tensor:
        return self.avgpool(self.layer4(x)).flatten(1)

    def features(self, x: Tensor) -> Tensor:
        return self.last_block(self.trunk(x))

    def head(self, features: Tensor) -> Tensor:
        return self.fc(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def stages(self) -> list[nn.Module]:
        """The parts with weights, from the input to the head."""
        return [nn.ModuleList([self.conv1, self.bn1]), self.layer1, self.layer2, self.layer3, self.layer4, self.fc]


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


def empty_model(config: TrainConfig, n_classes: int) -> BaselineCNN | ResNet18:
    """The network of `config` with random weights, to load a checkpoint into."""
    if config.model == "cnn":
        return BaselineCNN(config, n_classes)
    return ResNet18(config, n_classes)


def build_model(
    config: TrainConfig, n_classes: int, data_folder: str | Path | None = None
) -> tuple[BaselineCNN | ResNet18, str]:
    """The network ready to train and, in words, what initialised it.

    Raises CifarcoreError where weights are asked for and cannot be had: never a silent random start.
    """
    at_random = config.model == "cnn" or config.init == "random"
    if at_random and config.weights:
        raise CifarcoreError(
            f"--weights {config.weights}: this network starts at random; leave it out, or train a resnet18 with "
            "--init imagenet"
        )
    model = empty_model(config, n_classes)
    if at_random:
        return model, "random"
    weights, source = imagenet_weights(config.weights, data_folder)
    if config.stem == "3x3":
        weights["conv1.weight"] = weights["conv1.weight"][:, :, 2:5, 2:5].clone()
    head = {name: value for name, value in model.state_dict().items() if name.startswith("fc.")}
    model.load_state_dict({**weights, **head}, strict=True)
    return model, source


def imagenet_weights(path: str = "", data_folder: str | Path | None = None) -> tuple[dict[str, Tensor], str]:
    """ResNet-18 weights in torchvision's layout, float32, and what they are.

    From `path`; else torchvision's download; else `resnet18_imagenet.pt` in the data folder.
    """
    from torchvision.models import ResNet18_Weights

    if path:
        return _read_weights(Path(path))
    fallback = data_dir(data_folder) / WEIGHTS_FILE
    try:
        return ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True), "ImageNet (IMAGENET1K_V1)"
    except (OSError, RuntimeError) as error:
        if fallback.exists():
            return _read_weights(fallback)
        reason = " ".join(str(error).split())[:200]
    raise CifarcoreError(
        f"ImageNet weights for the ResNet-18 could not be downloaded ({reason}); connect to the network, give "
        "--weights FILE, "
        f"put {WEIGHTS_FILE} into the data folder, or start without them on purpose with --init random"
    )


def _read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    from torchvision.models import resnet18

    try:
        content = path.read_bytes()
        weights = torch.load(path, map_location="cpu", weights_only=True)
        reference = resnet18()
        reference.load_state_dict(weights, strict=True)
    except (OSError, RuntimeError, ValueError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        # torch's own words on what it refuses to unpickle tell how to run the code in it
        unsafe = isinstance(error, pickle.UnpicklingError)
        reason = "damaged, or more than tensors and plain values" if unsafe else " ".join(str(error).split())[:200]
        raise CifarcoreError(
            f"{path}: no ResNet-18 weights in torchvision's layout ({reason}); give another --weights FILE"
        ) from None
    digest = hashlib.sha256(content).hexdigest()[:8]
    return reference.state_dict(), _KNOWN_WEIGHTS.get(digest, f"weights file {path.name} (sha256 {digest})")
