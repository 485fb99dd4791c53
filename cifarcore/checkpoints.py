"""Trained weights on disk: written atomically, read without unpickling anything but tensors and plain values."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cifarcore import CifarcoreError
from cifarcore.config import TrainConfig
from cifarcore.files import atomic_write
from cifarcore.models import empty_model

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A finished training: config, float16 weights, what `meta` of its run file will say, and the history."""

    config: TrainConfig
    weights: dict[str, Tensor]
    class_names: list[str]
    meta: dict
    history: dict[str, list[float]] = field(default_factory=dict)

    def model(self) -> nn.Module:
        """The trained network, float32, in evaluation mode. Raises CifarcoreError where the weights are another model's."""
        model = empty_model(self.config, len(self.class_names))
        try:
            model.load_state_dict(
                {
                    name: tensor.float() if tensor.is_floating_point() else tensor
                    for name, tensor in self.weights.items()
                }
            )
        except RuntimeError as error:
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
    try:
        if content["format"] != FORMAT:
            raise CifarcoreError(
                f"{path}: checkpoint format {content['format']}, this version reads {FORMAT}; train it again"
            )
        weights = content["weights"]
        if not all(isinstance(tensor, Tensor) for tensor in weights.values()):
            raise TypeError("weights hold something else than tensors")
        return Checkpoint(
            TrainConfig.from_dict(content["config"]),
            weights,
            list(content["class_names"]),
            dict(content["meta"]),
            dict(content["history"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CifarcoreError(
            f"{path}: not a checkpoint of cifarcore ({error!r:.100}); `cifarcore train` writes them"
        ) from None


def load_tensors(path: str | Path) -> dict:
    """A dict of tensors and plain values that torch.save wrote, on the CPU; nothing else is unpickled."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CifarcoreError(f"{path}: no such file; `cifarcore train` writes checkpoints") from None
    except Exception as error:  # torch's reader raises many kinds on damaged bytes
        raise CifarcoreError(
            f"{path}: not a readable checkpoint ({' '.join(str(error).split())[:150]}); train it again"
        ) from None
    if not isinstance(content, dict):
        raise CifarcoreError(f"{path}: not a checkpoint of cifarcore; `cifarcore train` writes them")
    return content
