"""Random changes to training images, on whole batches where they lie (CPU or GPU).

uint8 (B, H, W, 3) in, float32 (B, 3, H, W) in 0..1 out, channels last in memory; randomness is torch's global one,
which training seeds anew at every step. torchvision is imported only where it is asked for.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarcore.config import TrainConfig

# torchvision's policies draw one operation for all images that they are given; a group shares its draw.
POLICY_GROUP = 16


def random_crop(images: Tensor, padding: int) -> Tensor:
    """Each image (H, W) cut at random from its copy with `padding` black pixels on every side; uint8 (B, H, W, 3)."""
    count, height, width, channels = images.shape
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    top, left = torch.randint(0, 2 * padding + 1, (2, count, 1), device=images.device)
    rows = top + torch.arange(height, device=images.device)
    which = torch.arange(count, device=images.device)[:, None]
    # a view of each row from each left edge on: one index a row, not one a pixel, in a quarter of the time
    edges = padded.flatten(2).unfold(2, width * channels, channels)
    return edges[which, rows, left].view(images.shape)


def random_flip(images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image mirrored left to right with probability one half, uint8 (B, H, W, 3), and which ones were, bool
    (B,).
    """
    mirrored = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(2), images), mirrored


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) to float32 (B, 3, H, W) in 0..1; the permuted view is channels last already."""
    return images.permute(0, 3, 1, 2).float().div_(255)


class Augment:
    """The whole chain of one config: crop, flip, policy, erasing, mixing.

    Returns images float32 (B, 3, H, W) and targets: int64 (B,), or float32 (B, C) once images are mixed.
    Sources: CutMix (Yun et al. 2019), MixUp (Zhang et al. 2018), RandAugment (Cubuk et al. 2020), TrivialAugment
    (Mueller and Hutter 2021), random erasing (Zhong et al. 2020); all but crop and flip are torchvision's.
    """

    def __init__(self, config: TrainConfig, n_classes: int):
        self.config = config
        self.policy = self.erasing = self.mix = None
        if config.policy == config.mix == "none" and not config.erasing:
            return
        from torchvision.transforms import v2

        self.policy = {"none": None, "randaugment": v2.RandAugment(), "trivialaugment": v2.TrivialAugmentWide()}[
            config.policy
        ]
        self.erasing = v2.RandomErasing(config.erasing) if config.erasing else None
        mixers = {"cutmix": v2.CutMix(num_classes=n_classes), "mixup": v2.MixUp(alpha=0.2, num_classes=n_classes)}
        chosen = {"none": [], "both": list(mixers.values())}.get(config.mix) or [
            mixers[name] for name in mixers if name == config.mix
        ]
        self.mix = v2.RandomChoice(chosen) if chosen else None

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images, _ = self.crop_and_flip(images)
        return self.after_flip(images, labels)

    def crop_and_flip(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The first part of the chain, uint8 (B, H, W, 3), and which images were mirrored, bool (B,)."""
        if self.config.crop_padding:
            images = random_crop(images, self.config.crop_padding)
        if self.config.flip:
            return random_flip(images)
        return images, torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def after_flip(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The rest of the chain."""
        if self.policy:
            groups = images.permute(0, 3, 1, 2).split(POLICY_GROUP)
            images = torch.cat([self.policy(group) for group in groups]).permute(0, 2, 3, 1)
        return self.after_crop(to_float(images), labels)

    def after_crop(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The part that the image-by-image pipeline leaves to the batch; float32 (B, 3, H, W) in 0..1."""
        if self.erasing:
            images = torch.stack([self.erasing(image) for image in images])
        if self.mix:
            images, labels = self.mix(images, labels)
        return images, labels


def pil_pipeline(config: TrainConfig) -> Callable:
    """Crop, flip and policy for one PIL image at a time, as tutorials write it: the reference for `Augment`."""
    from torchvision.transforms import v2

    steps = [v2.RandomCrop(32, padding=config.crop_padding)] if config.crop_padding else []
    steps += [v2.RandomHorizontalFlip(0.5)] if config.flip else []
    policy = {"none": [], "randaugment": [v2.RandAugment()], "trivialaugment": [v2.TrivialAugmentWide()]}[config.policy]
    return v2.Compose([*steps, *policy, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
