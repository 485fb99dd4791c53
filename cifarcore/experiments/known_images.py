"""Makes the package's file of known test images from a table of what has been published, and CIFAR-100 itself.

`python -m cifarcore.experiments.known_images TABLE.csv`; the columns are those that `_read` names.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import typer

from cifarcore.data import known_images
from cifarcore.data.cifar100 import load_cifar100, sample_ids
from cifarcore.files import atomic_write


def make(table: Path, data_folder: Path | None = None) -> dict[str, np.ndarray]:
    """The arrays of `KnownImages` from a CSV with a row for each official test image, in the official order."""
    rows = pd.read_csv(table, dtype={"sample_id": str}, keep_default_na=True).sort_values("official_index")
    dataset = load_cifar100(data_folder, download=False)
    twin = rows["duplicate_train_index"].to_numpy(float)
    known = np.isfinite(twin)
    train_rows = twin[known].astype(int)
    twin_id, twin_label = np.zeros(len(rows), np.uint64), np.full(len(rows), -1, np.int16)
    twin_id[known], twin_label[known] = sample_ids(dataset.x_train[train_rows]), dataset.y_train[train_rows]
    kinds = rows["duplicate"].fillna("").to_numpy(str)
    votes = rows[[f"votes_{name}" for name in known_images.VOTES]].fillna(0)
    return {
        "sample_ids": np.array([int(text, 16) for text in rows["sample_id"]], np.uint64),
        "labels": rows["label"].to_numpy(np.int16),
        "duplicate": np.array([known_images.DUPLICATE_KINDS.index(kind) for kind in kinds], np.int8),
        "twin_id": twin_id,
        "twin_label": twin_label,
        "votes": votes.to_numpy(np.int8),
        "other_label": rows["other_label"].fillna(-1).to_numpy(np.int16),
    }


def main(table: Path = typer.Argument(help="CSV of published facts, a row for each official test image.")) -> None:
    out = Path(known_images.__file__).with_name(known_images.FILE)
    with atomic_write(out) as file:
        np.savez_compressed(file, **make(table))
    typer.echo(f"{out.name}: {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    typer.run(main)
