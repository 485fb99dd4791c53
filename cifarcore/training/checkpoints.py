"""Trained weights on disk: written atomically, read without unpickling anything but tensors and plain values."""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, open_zip
from cifarcore.runs.layout import HISTORY_COLUMNS, MAX_CLASSES, MAX_NAME_LENGTH
from cifarcore.text import brief, one_line
from cifarcore.training.models import HEADS, Head, empty_model

FORMAT = 1
MOST_VALUES, MOST_DEPTH = 1_000_000, 50


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A finished training: config, float16 weights, what `meta` of its run file will say, and the history."""

    config: TrainConfig
    weights: dict[str, Tensor]
    class_names: list[str]
    meta: dict
    history: dict[str, list[float]] = field(default_factory=dict)

    def model(self) -> nn.Module:
        """The trained network, float32, in evaluation mode. Raises CifarcoreError where the weights are another
        model's.
        """
        return self._filled(lambda: empty_model(self.config, len(self.class_names)), self.weights)

    def head(self) -> Head:
        """The last layer alone, float32, in evaluation mode. Raises CifarcoreError as `model` does."""
        weight = self.weights.get(f"{HEADS[self.config.model]}.weight", torch.empty(1, 1))
        of_head = {
            name: tensor for name, tensor in self.weights.items() if name.startswith(f"{HEADS[self.config.model]}.")
        }
        return self._filled(lambda: Head(self.config, weight.shape[-1], len(self.class_names)), of_head)

    def _filled(self, build: Callable[[], nn.Module], weights: dict[str, Tensor]) -> nn.Module:
        try:
            with torch.device("meta"):  # what a file's config asks for takes no memory before the weights fit it
                build().load_state_dict(weights, assign=True)
            model = build()
            model.load_state_dict(
                {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
            )
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CifarcoreError(
                f"the weights do not fit a {self.config.model}: {reason}; name the checkpoint of this model"
            ) from None
        return model.eval()


def half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its floating-point tensors as float16, on the CPU."""
    return {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().clone() for name, tensor in state.items()
    }


def trained_on(checkpoint: Checkpoint) -> str:
    """The fingerprint of the training images as the checkpoint has it; empty where it has none."""
    data = checkpoint.meta.get("training_data")
    return str(data.get("fingerprint") or "") if isinstance(data, dict) else ""


def weights_digest(checkpoint: Checkpoint) -> str:
    """BLAKE2b, 16-byte digest, of what a checkpoint's network computes with: its config and its weights."""
    digest = hashlib.blake2b(json.dumps(checkpoint.config.to_dict()).encode(), digest_size=16)
    for name, tensor in sorted(checkpoint.weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def undamaged(path: Path, remedy: str) -> Iterator[None]:
    """While the state of a training is brought back from `path`: what it lacks is one line, with the `remedy`."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise CifarcoreError(f"{path}: damaged ({one_line(error, 100)}); {remedy}") from None


def whole_history(history: Any) -> dict[str, list[float]]:
    """What a training left of its history, to go on with. Where it is none, that is damage."""
    columns = {name: [float(value) for value in history[name]] for name in HISTORY_COLUMNS}
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError("columns of the history differ in length")
    return columns


def save_checkpoint(checkpoint: Checkpoint, path: str | Path) -> Path:
    content = {
        "format": FORMAT,
        "config": checkpoint.config.to_dict(),
        "weights": checkpoint.weights,
        "class_names": list(checkpoint.class_names),
        "meta": checkpoint.meta,
        "history": checkpoint.history,
    }
    with atomic_write(path) as file:
        torch.save(content, file)
    return Path(path)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Raises CifarcoreError with one line where `path` is no checkpoint of this project."""
    content = load_tensors(path)
    if "optimizer" in content:
        raise CifarcoreError(f"{path}: a training that is not finished; repeat its command with --resume")
    try:
        if content["format"] != FORMAT:
            raise CifarcoreError(
                f"{path}: checkpoint format {brief(content['format'])}, this version reads {FORMAT}; train it again"
            )
        weights, names = content["weights"], list(content["class_names"])
        if not isinstance(weights, dict) or not all(map(_is_whole, weights.values())):
            raise TypeError("weights hold something else than whole tensors")
        if not isinstance(content["meta"], dict):
            raise TypeError("meta is no dictionary")
        if len(names) > MAX_CLASSES or not all(
            isinstance(name, str) and len(name) <= MAX_NAME_LENGTH for name in names
        ):
            raise TypeError("class_names hold something else than names")
        return Checkpoint(
            TrainConfig.from_dict(content["config"]),
            weights,
            names,
            dict(content["meta"]),
            {str(column): [float(value) for value in values] for column, values in content["history"].items()},
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RuntimeError) as error:
        raise CifarcoreError(
            f"{path}: not a checkpoint of cifarcore ({type(error).__name__}: {brief(*error.args[:1] or ('',))}); "
            "`cifarcore train` writes them"
        ) from None


def _is_whole(tensor: Any) -> bool:
    """Whether it is a tensor, every element of it in memory: a few bytes can also claim to be one of any size."""
    return (
        isinstance(tensor, Tensor)
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
    )


def load_tensors(path: str | Path) -> dict:
    """A dict of tensors and plain values that torch.save wrote, on the CPU; nothing else is unpickled."""
    try:
        content = torch.load(as_listed(Path(path)), map_location="cpu", weights_only=True)
        _refuse_endless(content)
    except FileNotFoundError:
        raise CifarcoreError(f"{path}: no such file; `cifarcore train` writes checkpoints") from None
    except CifarcoreError:
        raise
    except pickle.UnpicklingError:  # torch's own words tell how to run whatever code the file holds
        raise CifarcoreError(
            f"{path}: not a readable checkpoint (damaged, or more than tensors and plain values); train it again"
        ) from None
    except Exception as error:  # torch's reader raises many kinds on damaged bytes
        raise CifarcoreError(
            f"{path}: not a readable checkpoint ({' '.join(str(error).split())[:150]}); train it again"
        ) from None
    if not isinstance(content, dict):
        raise CifarcoreError(f"{path}: not a checkpoint of cifarcore; `cifarcore train` writes them")
    return content


def as_listed(path: Path) -> BinaryIO:
    """The file as its list of entries has it, and nothing else: one with two lists would be another file to torch.

    torch.save compresses nothing, so a file that unpacks to more than it is was not written by it.
    """
    if path.exists() and not path.is_file():  # a pipe would be read for ever
        raise ValueError("no file")
    content = io.BytesIO(path.read_bytes())
    if zipfile.is_zipfile(content):
        listed = io.BytesIO()
        with open_zip(content) as archive, zipfile.ZipFile(listed, "w") as copy:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("compressed, which torch.save does not do")
            if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                raise ValueError("its entries are larger than the file")
            for entry in archive.infolist():
                copy.writestr(entry.filename, archive.read(entry))
        content = listed
    content.seek(0)
    return content


def _refuse_endless(content: Any) -> None:
    """A few bytes can hold lists that hold one another: raises ValueError where walking through them has no end."""
    waiting, values = [(content, 0)], 0
    while waiting:
        each, depth = waiting.pop()
        values += 1
        if isinstance(each, dict):
            waiting += [(inner, depth + 1) for inner in (*each, *each.values())]
        elif isinstance(each, list | tuple | set):
            waiting += [(inner, depth + 1) for inner in each]
        elif isinstance(each, Tensor) and not _is_whole(each):  # to compare one with a number would make all of it
            raise ValueError("it holds a tensor of more elements than are in the file")
        if values + len(waiting) > MOST_VALUES or depth > MOST_DEPTH:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values, or in more than {MOST_DEPTH} levels")
