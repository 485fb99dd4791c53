"""Scores and features of a network on images, without gradients: what the loop, the evaluation and a teacher share."""

import torch
from torch import Tensor, nn

from cifarcore.config import TrainConfig
from cifarcore.memory import refuse_beyond_memory
from cifarcore.training.augment import to_float
from cifarcore.training.hardware import autocast

EVALUATION_BATCH = 500
#: of a layer, of all images scored at once: half a GiB as float32; EVALUATION_BATCH images of 64 channels of 64 pixels
_OUTPUTS = EVALUATION_BATCH * 64 * 64**2
_ALIVE = 3  #: as large arrays at once


@torch.inference_mode()
def predict(model: nn.Module, images: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, D), float32, of uint8 images (N, H, W, 3) on the model's device."""
    model.eval()
    logits, features = [], []
    for part in images.split(_batch(config)):
        with autocast(config):
            representation = model.features(to_float(part).contiguous(memory_format=torch.channels_last))
            logits.append(model.head(representation).float())
        features.append(representation.float())
    return torch.cat(logits), torch.cat(features)


def _batch(config: TrainConfig) -> int:
    """How many images are scored at once; fewer where the network is wide, or images are upsampled far.

    Raises CifarcoreError where this machine cannot hold what it makes of a single one.
    """
    side = config.image_size
    if config.model == "cnn":
        outputs = max(width * (side >> halved) ** 2 for halved, width in enumerate(config.widths))
    else:
        outputs = 64 * (side if config.stem == "3x3" else side // 2) ** 2
    refuse_beyond_memory(_ALIVE * 4 * outputs, f"scoring an image of {side} pixels with this network")
    return max(1, min(EVALUATION_BATCH, _OUTPUTS // max(outputs, 1)))
