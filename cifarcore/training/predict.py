"""Scores and features of a network on images, without gradients: what the loop, the evaluation and a teacher share."""

import torch
from torch import Tensor, nn

from cifarcore.config import TrainConfig
from cifarcore.training.augment import to_float
from cifarcore.training.hardware import autocast

EVALUATION_BATCH = 500
_SIDE = (
    128  #: pixels to which as many images are upsampled at once; a layer's outputs then take a quarter of a GiB or so
)


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, D), float32, of uint8 images (N, H, W, 3) on the model's device."""
    model.eval()
    logits, features = [], []
    for part in images.split(_batch(config.image_size)):
        with autocast(config):
            representation = model.features(to_float(part).contiguous(memory_format=torch.channels_last))
            logits.append(model.head(representation).float())
        features.append(representation.float())
    return torch.cat(logits), torch.cat(features)


def _batch(side: int) -> int:
    """How many images are scored at once, upsampled to `side` pixels: as many pixels as fit any machine."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * _SIDE**2 // side**2))
