"""What a parent's last block sees, kept: views of the images to learn from, and the images that are scored at the end.

With these a minute goes into the layers that learn; the layers before them take most of a network's time.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from cifarcore.data.cifar100 import Dataset
from cifarcore.data.ids import rows_of
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write
from cifarcore.presets import VIEWS
from cifarcore.training.augment import Augment, to_float
from cifarcore.training.checkpoints import Checkpoint
from cifarcore.training.hardware import autocast, resolve

BATCH = 200


@dataclass(frozen=True, eq=False)
class Block:
    """Inputs of the last block, float16: `views` (V, n, C, H, W) of the training images `view_ids` (n,), augmented, and
    `plain` (m, C, H, W) of the validation and test images `plain_ids` (m,), as they are; of the weights of digest
    `weights`.
    """

    weights: str
    view_ids: np.ndarray
    views: np.ndarray
    plain_ids: np.ndarray
    plain: np.ndarray

    def covers(self, view_ids: np.ndarray, plain_ids: np.ndarray) -> bool:
        """Whether there are inputs of all these images."""
        rows = (rows_of(self.view_ids, view_ids), rows_of(self.plain_ids, plain_ids))
        return all((places >= 0).all() for places in rows)


def load_block(path: Path, weights: str) -> Block | None:
    """What is kept at `path`; None where there is nothing, it is damaged, or another network's."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["weights"]) != weights:
                return None
            block = Block(weights, *(arrays[name] for name in ("view_ids", "views", "plain_ids", "plain")))
    except Exception:  # zipfile, zlib and NumPy's header reader raise many kinds on damaged bytes: it is made again
        return None
    fits = block.views.ndim == 5 and block.views.shape[1:2] == block.view_ids.shape
    fits &= block.plain.ndim == 4 and block.plain.shape[:1] == block.plain_ids.shape
    return block if fits and block.views.dtype == block.plain.dtype == np.float16 else None


def save_block(block: Block, path: Path) -> None:
    with atomic_write(path) as file:
        np.savez(file, **vars(block))


@torch.inference_mode()
def new_block(
    parent: Checkpoint,
    weights: str,
    dataset: Dataset,
    ids: np.ndarray,
    rows: np.ndarray,
    val_rows: np.ndarray,
    test_ids: np.ndarray,
    on_batch: Callable[[int], None],
) -> Block:
    """Compute what the last block of `parent` sees of the training images at `rows`, of `ids` (M,), VIEWS crops and
    mirrors of each in the fastest precision, and of the validation and test images in float32, as they are scored.
    """
    exact = resolve(replace(parent.config, device="auto", precision="float32"))
    fast = resolve(replace(parent.config, device="auto", precision="auto", mix="none", policy="none", erasing=0.0))
    augment = Augment(replace(fast, crop_padding=4, flip=True), len(parent.class_names))
    model = parent.model().to(exact.device, memory_format=torch.channels_last)
    done = 0

    def seen(images: np.ndarray, views: bool) -> np.ndarray:
        nonlocal done
        parts = []
        for start in range(0, len(images), BATCH):
            part = torch.from_numpy(images[start : start + BATCH]).to(exact.device)
            if views:
                part, _ = augment.crop_and_flip(part)
            with autocast(fast if views else exact):
                inputs = model.trunk(to_float(part).contiguous(memory_format=torch.channels_last))
            parts.append(inputs.half().contiguous().cpu().numpy())
            done += len(part)
            on_batch(done)
        return np.concatenate(parts)

    torch.manual_seed(0)
    plain = seen(np.concatenate([dataset.x_train[val_rows], dataset.x_test]), False)
    views = np.stack([seen(dataset.x_train[rows], True) for _ in range(VIEWS)])
    return Block(weights, ids[rows], views, np.concatenate([ids[val_rows], test_ids]), plain)


@torch.inference_mode()
def block_logits(
    checkpoint: Checkpoint, block: Block, ids: np.ndarray, on_batch: Callable[[int], None] = lambda done: None
) -> np.ndarray:
    """Logits (N, C), float16, that the stored weights give to the images `ids` (N,) of `block.plain`, in float32."""
    rows = rows_of(block.plain_ids, ids)
    if (rows < 0).any():
        raise CifarcoreError(f"{(rows < 0).sum():,} images to score are not among those whose inputs are kept")
    config = resolve(replace(checkpoint.config, device="auto", precision="float32"))
    model = checkpoint.model().to(config.device, memory_format=torch.channels_last)
    parts = []
    for start in range(0, len(rows), BATCH):
        inputs = torch.from_numpy(block.plain[rows[start : start + BATCH]]).to(config.device)
        inputs = inputs.float().contiguous(memory_format=torch.channels_last)
        parts.append(model.head(model.last_block(inputs)).cpu().numpy().astype(np.float16))
        on_batch(start + len(inputs))
    return np.concatenate(parts)
