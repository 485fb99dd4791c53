"""Bundled runs on a part of CIFAR-100's test images, and the training images that these duplicate; for tests of
pictures.
"""

import numpy as np
from processes import ROOT

from cifarcore.runs.run import load_run


class Twins:
    """Pictures of training images that are all there."""

    def urls(self, sample_ids):
        return [f"static/{sample_id}.png" if sample_id else None for sample_id in sample_ids.tolist()]


def official_pair():
    names = "cnn-quick-0", "resnet18-longer-0"
    return [load_run(ROOT / "checkpoints" / f"{name}.npz").take(np.arange(0, 10_000, 50)) for name in names]
