"""Where a training step's time goes, and how near it is to the arithmetic that it cannot avoid.

The floor is the step's floating-point operations (torch.utils.flop_counter: convolutions and matrix products) over the
rate of a plain matrix product in the same precision on this processor.
"""

import os
import time

import pandas as pd
import psutil
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import Dataset
from cifarcore.experiments.bench_train import endless_steps, make_trainer
from cifarcore.training.hardware import cpu_threads, own_randomness, resolve

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler says on stderr that it sees no GPU
PHASES = ("data", "forward", "backward", "optimizer")
WARM_STEPS = 5
PRODUCT_SIDE = 2048
PRODUCT_SECONDS = 1.0


def profile_table(config: TrainConfig, dataset: Dataset, steps: int = 20) -> pd.DataFrame:
    """Rows of what, value, unit for one step of `config`: the phases, what they wait, the floor and the share reached.

    `waiting` is the part of the step in which its thread did not run: held up by a GPU, by workers that load, by page
    faults in the kernel's hands, or by whatever else the machine does.
    """
    with cpu_threads(config.threads), own_randomness(resolve(config)):
        trainer = make_trainer(config, dataset)
        config = trainer.config
        on_gpu = config.device == "cuda"
        taken = endless_steps(trainer)
        for _ in range(WARM_STEPS):
            next(taken)
        activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
        began, ran, faults = time.perf_counter(), time.thread_time(), _page_faults()
        for _ in range(steps):
            next(taken)
        if on_gpu:
            torch.cuda.synchronize()
        whole, ran, faults = time.perf_counter() - began, time.thread_time() - ran, _page_faults() - faults
        with profile(activities=activities) as seen:
            for _ in range(steps):
                next(taken)
        events = {event.key: event for event in seen.key_averages()}
        spent = {
            phase: (events[phase].device_time_total if on_gpu else events[phase].cpu_time_total) / steps / 1e3
            for phase in PHASES
        }
        with FlopCounterMode(display=False) as counter:
            next(taken)
        operations = counter.get_total_flops()
        rate = product_rate(config)
    step = whole / steps * 1e3
    floor = operations / rate * 1e3
    rows = [
        ("step", step, "ms"),
        *((f"  {phase}", spent[phase], "ms") for phase in PHASES),
        ("  of it waiting", max(0.0, whole - ran) / steps * 1e3, "ms"),
        ("images", config.batch_size / step * 1e3, "1/s"),
        ("page faults", faults / steps, "a step"),
        ("operations", operations / 1e9, "GFLOP"),
        (f"plain {config.precision} matrix product", rate / 1e9, "GFLOP/s"),
        ("floor", floor, "ms"),
        ("share of the floor's rate reached", floor / step, ""),
        ("the same of forward and backward alone", floor / (spent["forward"] + spent["backward"]), ""),
    ]
    return pd.DataFrame(rows, columns=["what", "value", "unit"])


def product_rate(config: TrainConfig) -> float:
    """Floating-point operations per second of a square matrix product in the precision of `config`, the best of
    several.
    """
    kind = getattr(torch, config.precision)
    one, other = (torch.randn(PRODUCT_SIDE, PRODUCT_SIDE, device=config.device, dtype=kind) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + PRODUCT_SECONDS
    while time.perf_counter() < until:
        began = time.perf_counter()
        one @ other
        if config.device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * PRODUCT_SIDE**3 / best


def _page_faults() -> int:
    memory = psutil.Process().memory_info()
    if hasattr(memory, "num_page_faults"):  # Windows, which has no `resource`
        return memory.num_page_faults
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
