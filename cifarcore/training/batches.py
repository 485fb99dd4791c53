"""Batches of one epoch, from memory or through a DataLoader, from any step of it on.

Order and augmentation are functions of (seed, epoch) and (seed, step) alone, so that a resumed run draws what an
uninterrupted one does.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from cifarcore.config import TrainConfig
from cifarcore.training.augment import Augment, pil_pipeline


def step_seed(seed: int, step: int) -> int:
    """The seed of all that is random in one step of a run."""
    return (seed * 2_000_003 + step) & 0x7FFF_FFFF_FFFF_FFFF


def batch_order(config: TrainConfig, n_images: int, epoch: int, first: int) -> list[tuple[int, Tensor]]:
    """(step, rows) of the batches of one epoch from its batch `first` on; every image stands in one of the epoch's
    batches.
    """
    generator = torch.Generator().manual_seed(step_seed(config.seed, epoch))
    rows = torch.randperm(n_images, generator=generator).split(config.batch_size)
    return [(epoch * len(rows) + number, part) for number, part in enumerate(rows)][first:]


#: augmented images, targets, and the teacher's logits of these images where they were scored before training
Batch = tuple[Tensor, Tensor, Tensor | None]


class _Batches:
    """Of images uint8 (N, H, W, 3) and labels (N,), and the teacher's logits (2, N, C) of the images and of their
    mirrors.
    """

    def __init__(
        self,
        config: TrainConfig,
        images: Tensor,
        labels: Tensor,
        augment: Augment,
        epoch: int,
        first: int,
        taught: Tensor | None = None,
    ):
        self.config, self.images, self.labels, self.augment, self.taught = config, images, labels, augment, taught
        self.order = batch_order(config, len(labels), epoch, first)


class MemoryBatches(_Batches):
    """Augmented batches from images that lie on the device whole."""

    def __iter__(self) -> Iterator[Batch]:
        for step, rows in self.order:
            torch.manual_seed(step_seed(self.config.seed, step))
            rows = rows.to(self.images.device, non_blocking=True)
            images, mirrored = self.augment.crop_and_flip(self.images.index_select(0, rows))
            images, targets = self.augment.after_flip(images, self.labels[rows])
            yield images, targets, None if self.taught is None else self.taught[mirrored.long(), rows]


class DataLoaderBatches(_Batches, TorchDataset):
    """The plain loop: PIL images one by one through a DataLoader's workers.

    An item is a whole batch, so that its randomness can be seeded by its step whatever worker makes it.
    """

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        from PIL import Image

        step, rows = self.order[number]
        torch.manual_seed(step_seed(self.config.seed, step))
        pipeline, pixels = pil_pipeline(self.config), self.images.numpy()
        images = torch.stack([pipeline(Image.fromarray(pixels[row])) for row in rows.tolist()])
        return self.augment.after_crop(images, self.labels[rows])

    def __iter__(self) -> Iterator[Batch]:
        cuda = self.config.device == "cuda"
        loader = DataLoader(
            self, batch_size=None, sampler=range(len(self)), num_workers=self.config.num_workers, pin_memory=cuda
        )
        for (step, _), (images, labels) in zip(self.order, loader, strict=True):
            torch.manual_seed(step_seed(self.config.seed, step))  # for dropout, as drawn in this process
            images, labels = (part.to(self.config.device, non_blocking=True) for part in (images, labels))
            yield images, labels, None
