"""CIFAR-100 as the University of Toronto keeps it on Hugging Face: a Parquet file a split, its images as PNG."""

import io
import os
from typing import BinaryIO

import numpy as np

from cifarcore.data.downloading import RemoteFile, SourceError

SHAPE = (32, 32, 3)
_BATCH = 1000


def files() -> dict[str, RemoteFile]:
    """The file of each split, at one commit, from the mirror that HF_ENDPOINT names as for Hugging Face's tools."""
    host = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    at = f"{host}/datasets/uoft-cs/cifar100/resolve/aadb3af77e9048adbea6b47c21a81e47dd092ae5/cifar100"
    return {
        split: RemoteFile(f"{at}/{split}-00000-of-00001.parquet", size, "sha256", digest)
        for split, size, digest in (
            ("test", 23_772_751, "98776c529bb146a9c791229df74a5cf076be9b43d82dbbd334b6a7788d73dc68"),
            ("train", 118_518_617, "694865d6b990e234804f01268586c41e88bcbbb75e20858432c05ad4081aca23"),
        )
    }


def read_split(file: BinaryIO, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, 32, 32, 3) and labels uint8 (n,) in the file's order. Raises SourceError for anything else."""
    try:
        from pyarrow.parquet import ParquetFile

        parquet = ParquetFile(file)
        if parquet.metadata.num_rows != n:
            raise ValueError(f"{parquet.metadata.num_rows:,} images instead of {n:,}")
        images, labels = np.empty((n, *SHAPE), np.uint8), np.empty(n, np.uint8)
        row = 0
        for batch in parquet.iter_batches(_BATCH, columns=["img", "fine_label"]):
            for picture in batch["img"].field("bytes"):
                images[row] = _pixels(picture.as_py())
                row += 1
            labels[row - len(batch) : row] = batch["fine_label"].to_numpy(zero_copy_only=False)
    except Exception as error:  # pyarrow and Pillow raise many kinds on what is damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"sends what cannot be read: {reason}") from None
    return images, labels


def _pixels(content: bytes) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        if picture.mode != "RGB" or (picture.height, picture.width) != SHAPE[:2]:
            raise ValueError(f"a picture of {picture.width} x {picture.height} pixels, {picture.mode}")
        return np.asarray(picture)
