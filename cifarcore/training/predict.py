"""Scores and features of a network on images, without gradients: what the loop, the evaluation and a teacher share."""

import torch
from torch import Tensor, nn

from cifarcore.config import TrainConfig
from cifarcore.training.augment import to_float
from cifarcore.training.hardware import autocast

EVALUATION_BATCH = 500


@torch.inference_mode()
def predict(
    model: nn.Module, images: Tensor, config: TrainConfig, batch: int = EVALUATION_BATCH
) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and features (N, D), float32, of uint8 images (N, H, W, 3) on the model's device."""
    model.eval()
    logits, features = [], []
    for part in images.split(batch):
        with autocast(config):
            representation = model.features(to_float(part).contiguous(memory_format=torch.channels_last))
            logits.append(model.head(representation).float())
        features.append(representation.float())
    return torch.cat(logits), torch.cat(features)
