"""Several processes, one training: each takes its part of every batch, and what comes out is what one process makes.

torchrun starts them; DistributedDataParallel sums the gradients. Each draws the whole batch and keeps its part, so that
CutMix, MixUp, dropout and batch norm (over the whole batch) are those of one process. Only the first writes.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from cifarcore.errors import CifarcoreError


class ProcessLost(CifarcoreError):
    """Another process of this training ended."""

    status = 1


@dataclass
class _Batch:
    """Where this process's part of the step's batch lies: [start, stop) of `total` images."""

    start: int = 0
    stop: int = 1
    total: int = 1

    @property
    def share(self) -> float:
        return (self.stop - self.start) / self.total


@dataclass
class World:
    """This process's place among those of one training; alone by default, and then nothing here costs anything."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    batch: _Batch = field(default_factory=_Batch)

    @property
    def first(self) -> bool:
        return self.rank == 0

    def bounds(self, count: int) -> tuple[int, int]:
        """This process's part [start, stop) of `count` rows; parts differ by at most one row and may be empty."""
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def part(self, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        """This process's part of a whole batch's tensors; the layers of `over_whole_batch` learn which it is."""
        if self.size == 1:
            return tensors
        (self.batch.start, self.batch.stop), self.batch.total = self.bounds(len(tensors[0])), len(tensors[0])
        return tuple(None if tensor is None else tensor[self.batch.start : self.batch.stop] for tensor in tensors)

    def parallel(self, model: nn.Module) -> nn.Module:
        """What computes `model` with gradients averaged over the processes; its layers see the whole batch from now
        on.
        """
        if self.size == 1:
            return model
        device = next(model.parameters()).device
        return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)

    def over_whole_batch(self, model: nn.Module) -> nn.Module:
        """`model` with batch norm and dropout of the whole batch instead of this process's part."""
        if self.size == 1:
            return model
        if next(model.parameters()).is_cuda:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        for module in list(model.modules()):
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:
                    setattr(module, name, _WholeBatchNorm(child, self.batch))
                elif isinstance(child, nn.Dropout):
                    setattr(module, name, _WholeDropout(child, self.batch))
        return model

    def sum(self, value: Tensor) -> Tensor:
        """The sum of `value` over the processes, in a new tensor."""
        total = value.clone()
        if self.size > 1:
            dist.all_reduce(total)
        return total

    def agree(self, *wishes: bool) -> list[bool]:
        """What any process wishes, the same answer for all of them."""
        if self.size == 1:
            return list(wishes)
        votes = torch.tensor(wishes, dtype=torch.uint8)  # on the CPU, so that no GPU is waited for
        dist.all_reduce(votes, op=dist.ReduceOp.MAX)
        return votes.bool().tolist()

    def from_first(self, value):
        """The first process's `value`, made of tensors and plain values, for all of them."""
        if self.size == 1:
            return value
        content = io.BytesIO()  # broadcast_object_list unpickles whatever comes; this only tensors and plain values
        if self.first:
            torch.save(value, content)
        length = torch.tensor(len(content.getbuffer()))
        dist.broadcast(length, src=0)
        sent = (
            torch.frombuffer(content.getbuffer(), dtype=torch.uint8)
            if self.first
            else torch.empty(length, dtype=torch.uint8)
        )
        dist.broadcast(sent, src=0)
        return (
            value
            if self.first
            else torch.load(io.BytesIO(sent.numpy().tobytes()), map_location="cpu", weights_only=True)
        )

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process, then the first of each other machine, then the rest: what is downloaded is downloaded
        once.
        """
        turn = 0 if self.first else 1 if self.local_rank == 0 else 2
        for number in range(3):
            if number == turn:
                yield
            self.wait()

    def wait(self) -> None:
        """Until all processes are here."""
        self.agree(False)

    def check_same(self, what: dict) -> None:
        """Raises CifarcoreError where this process has other values than the first: flags, data, or what the hardware
        chose.
        """
        theirs = self.from_first(what)
        different = [name for name in what if theirs[name] != what[name]]
        if different:
            raise CifarcoreError(
                f"process {self.rank} of {self.size} has other {', '.join(different)} than the first; give all "
                "machines the same flags and data"
            )

    def own_gpu(self, device: str = "cuda") -> None:
        """Make `cuda` mean this process's own GPU. Raises CifarcoreError where there are fewer than processes."""
        if self.size == 1 or device == "cpu":
            return
        if device == "mps":
            raise CifarcoreError("an Apple GPU trains in one process; leave out torchrun, or give --device cpu")
        if self.local_rank >= torch.cuda.device_count():
            raise CifarcoreError(
                f"process {self.local_rank} of this machine has no GPU of its own, there are "
                f"{torch.cuda.device_count()}; "
                "start torchrun with --nproc_per_node=gpu, or give --device cpu"
            )
        torch.cuda.set_device(self.local_rank)


@contextmanager
def joined() -> Iterator[World]:
    """This process's place among those that torchrun started; alone without torchrun.

    An error is raised in the process that meets it first and ends the others silently, status 1, so that it is told
    once. A process that ends (killed, a machine gone) is a ProcessLost in another one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield World()
        return
    store, rank, size = next(dist.rendezvous("env://"))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
        store=dist.PrefixStore("training", store),
        rank=rank,
        world_size=size,
    )
    try:
        yield World(rank, size, int(os.environ.get("LOCAL_RANK", rank)))
    except Exception as error:
        if not _tells(store):
            raise SystemExit(1) from None
        if _is_lost_connection(error):
            raise ProcessLost(
                "another process of this training ended, so all stop; the last save is complete: repeat the command "
                "with --resume"
            ) from error
        raise
    dist.destroy_process_group()


def leave(status: int = 0) -> None:
    """End a process of several at once, without the interpreter's shutdown.

    Where DDP was used, gloo's threads outlive `destroy_process_group` (torch 2.14), and the shutdown under them aborts
    the process now and then, after all of its work is done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _tells(store: dist.Store) -> bool:
    """Whether this process is the first to have something to tell."""
    try:
        return store.add("told", 1) == 1
    except RuntimeError:  # the store went with the process that kept it
        return True


def _is_lost_connection(error: Exception) -> bool:
    """gloo says so with a bare RuntimeError, NCCL with a type of its own."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error).lower())


class _WholeBatchNorm(nn.BatchNorm2d):
    """Batch norm over the parts of all processes, for the CPU; mean first and then the spread around it, as torch has
    it.
    """

    def __init__(self, plain: nn.BatchNorm2d, batch: _Batch):
        super().__init__(plain.num_features, plain.eps, plain.momentum)
        self.load_state_dict(plain.state_dict())
        self.batch = batch

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        count = self.batch.total * x.shape[2] * x.shape[3]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = all_reduce(wide.sum((0, 2, 3))) / count
        centered = wide - mean[:, None, None]
        variance = all_reduce(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centered * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _WholeDropout(nn.Dropout):
    """Dropout whose draw is that of the whole batch, of which this process's part is used."""

    def __init__(self, plain: nn.Dropout, batch: _Batch):
        super().__init__(plain.p)
        self.draw, self.batch = plain, batch

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = self.draw(x.new_ones(self.batch.total, *x.shape[1:]))
        return x * kept[self.batch.start : self.batch.stop]
