"""torchvision's ResNet-18 and its ImageNet weights; input and output are as `models` says.

Apart from `models`, so that what needs no ResNet does not wait for torchvision.

K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

import hashlib
import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import ResNet, ResNet18_Weights
from torchvision.models.resnet import BasicBlock

from cifarcore import CifarcoreError
from cifarcore.config import TrainConfig
from cifarcore.data import data_dir
from cifarcore.models import Prepared

WEIGHTS_FILE = "resnet18_imagenet.pt"
# A weights file is named for what it is, so the ones known are known by content.
_KNOWN_WEIGHTS = {
    "f37072fd": "ImageNet (IMAGENET1K_V1)",
    "3db9d021": "ImageNet (IMAGENET1K_V1 to layer3, layer4 re-trained on Tiny ImageNet-200)",
}


class ResNet18(ResNet):
    """torchvision's ResNet-18, in its key layout; with the `3x3` stem it keeps 32-pixel images at full size."""

    def __init__(self, config: TrainConfig, n_classes: int):
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=n_classes)
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

    def features(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.prepare(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.avgpool(x).flatten(1)

    def head(self, features: Tensor) -> Tensor:
        return self.fc(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def stages(self) -> list[nn.Module]:
        """The parts with weights, from the input to the head."""
        return [nn.ModuleList([self.conv1, self.bn1]), self.layer1, self.layer2, self.layer3, self.layer4, self.fc]


def imagenet_weights(path: str = "", data_folder: str | Path | None = None) -> tuple[dict[str, Tensor], str]:
    """ResNet-18 weights in torchvision's layout, float32, and what they are.

    From `path`; else torchvision's download; else `resnet18_imagenet.pt` in the data folder.
    """
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
        f"ImageNet weights for the ResNet-18 could not be downloaded ({reason}); connect to the network, give --weights FILE, "
        f"put {WEIGHTS_FILE} into the data folder, or start without them on purpose with --init random"
    )


def _read_weights(path: Path) -> tuple[dict[str, Tensor], str]:
    try:
        content = path.read_bytes()
        weights = torch.load(path, map_location="cpu", weights_only=True)
        reference = ResNet(BasicBlock, [2, 2, 2, 2])
        reference.load_state_dict(weights, strict=True)
    except (OSError, RuntimeError, ValueError, EOFError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CifarcoreError(
            f"{path}: no ResNet-18 weights in torchvision's layout ({reason}); give another --weights FILE"
        ) from None
    digest = hashlib.sha256(content).hexdigest()[:8]
    return reference.state_dict(), _KNOWN_WEIGHTS.get(digest, f"weights file {path.name} (sha256 {digest})")
