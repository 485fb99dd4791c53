"""What the processor decides: device, precision, threads and memory of a training, and its name for `meta`."""

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from cifarcore.config import TrainConfig
from cifarcore.errors import CifarcoreError


def resolve(config: TrainConfig) -> TrainConfig:
    """`config` with every choice left to the hardware made: device, batch size, workers, precision."""
    device = config.device if config.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise CifarcoreError("device is cuda but torch sees no GPU; use --device cpu or auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise CifarcoreError("device is mps but torch sees no Apple GPU; use --device cpu or auto")
    workers = (
        config.num_workers if config.num_workers >= 0 else (4 if device == "cuda" and sys.platform != "win32" else 0)
    )
    precision = _fastest_precision(device) if config.precision == "auto" else config.precision
    batch_size = config.batch_size or (64 if device == "cpu" else 128)
    return replace(config, device=device, num_workers=workers, precision=precision, batch_size=batch_size)


def _fastest_precision(device: str) -> str:
    if device == "cuda":  # a GPU without bfloat16, as the V100 and the T4, has float16
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if device == "cpu" and torch.backends.mkldnn.is_available() and _has_bfloat16() else "float32"


def hardware(device: str, threads: int, processes: int = 1) -> str:
    """The processor in words, for `meta`."""
    times = f"{processes} x " if processes > 1 else ""
    if device == "cuda":
        return times + torch.cuda.get_device_name()
    if device == "mps":
        return f"{times}Apple GPU ({platform.machine()})"
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next(
            (
                line.split(":", 1)[1].strip()
                for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
                if line.startswith("model name")
            ),
            name,
        )
    return f"{times}{name}, {threads} threads"


def versions() -> dict[str, str]:
    """What a result depends on, by version."""
    parts = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for package in ("cifarcore", "torchvision", "numpy"):
        try:
            parts[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            pass
    return parts


@contextmanager
def own_randomness(config: TrainConfig) -> Iterator[None]:
    """Leave torch's random state afterwards as it was before, of the CPU and of the GPU that `config` trains on."""
    apple = torch.mps.get_rng_state() if config.device == "mps" else None
    try:
        with torch.random.fork_rng([torch.cuda.current_device()] if config.device == "cuda" else []):
            yield
    finally:
        if apple is not None:
            torch.mps.set_rng_state(apple)


def autocast(config: TrainConfig) -> torch.autocast:
    """Products and convolutions in the precision of `config`, which is resolved."""
    kind = torch.float32 if config.precision == "auto" else getattr(torch, config.precision)
    reduced = kind != torch.float32
    return torch.autocast(config.device, dtype=kind if reduced else None, enabled=reduced)


def gradient_scaler(config: TrainConfig) -> torch.amp.GradScaler:
    """Scales the loss where float16 would round small gradients to zero (Micikevicius et al. 2018); elsewhere it does
    nothing.
    """
    return torch.amp.GradScaler(config.device, enabled=config.precision == "float16")


def sum_type(device: str) -> torch.dtype:
    """Of sums over many batches; Apple's GPUs have no float64."""
    return torch.float32 if device == "mps" else torch.float64


def _has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively; elsewhere it is emulated and slower than float32."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability.startswith("AVX512") and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks: else each step's activations go back to the kernel and are faulted in again.

    In a virtual machine, where a page fault is dear, those faults took more than half of the CNN's step.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of <malloc.h>
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
