"""What torch.save wrote, `.pt` and `.pth`: a process that has torch writes its tensors as arrays, read here."""

import zipfile
from collections.abc import Collection
from pathlib import Path

from cifarcore.errors import CifarcoreError
from cifarcore.runs.archive import DOUBLE, read_npz
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.readers.apart import read_apart
from cifarcore.runs.readers.arrays import from_arrays

SCORES, INDICES = "predictions", "batch_indices"  #: as Lightning has its files called


def from_tensors(path: Path, known: Collection[str] = ()) -> Predictions:
    """Tensors, dictionaries and pairs of them, and lists of batches. Raises CifarcoreError."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(path) and file.read(1) != b"\x80":  # the first byte of what older versions wrote
            raise CifarcoreError("not a file that torch.save wrote")
    with read_apart("cifarcore.training.tensor_files", path, "save its scores as .npy") as out:
        return from_arrays(read_npz(out, widest=DOUBLE))
