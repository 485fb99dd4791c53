"""Training in two processes: what one process makes, said once when it fails, nothing half-written, and the guide's
lines.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
import two_processes
from two_processes import CONFIGS

from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import load_run, save_run
from cifarcore.training.checkpoints import load_checkpoint, load_tensors
from cifarcore.training.distributed import World
from cifarcore.training.evaluation import evaluate
from cifarcore.training.loop import fit

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / ".github" / "docs" / "training.md"
# torchrun and its processes find the package and the interpreter wherever the tests are started.
ENVIRONMENT = os.environ | {
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
    "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    "OMP_NUM_THREADS": "1",
}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "cifarcore"]
SMALL = (
    "--dataset synthetic --widths 8,8,8 --hidden 16 --init random --image-size 32 --policy none --precision "
    "float32 --device cpu --validation-size 500"
)


def rank_environment(rank: int, port: int) -> dict[str, str]:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    return ENVIRONMENT | {name: str(value) for name, value in place.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes have run the trainings of `two_processes`, beside the teacher that they learn from."""
    folder = tmp_path_factory.mktemp("two")
    fit(replace(two_processes.SMALL, epochs=1), make_synthetic(300, 100), folder).rename(folder / "teacher.pt")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, two_processes.__file__]
    processes = [subprocess.Popen(command, cwd=folder, env=rank_environment(rank, port)) for rank in (0, 1)]
    try:
        assert [process.wait(240) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return folder


@pytest.fixture(scope="module")
def in_two(folder):
    """What each of the two has after the trainings."""
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_take_the_steps_of_one(folder, in_two, name, monkeypatch):
    monkeypatch.chdir(folder)
    first, second = (found[name] for found in in_two)
    one = two_processes.train(name, World())
    inexact = {"float32": (5, 1e-5), "bfloat16": (5, 2e-2)}
    steps, tolerance = inexact.get(name.split(",")[0], (None, 1e-8))
    assert torch.allclose(first["losses"][:steps], one["losses"][:steps], rtol=0, atol=tolerance)
    assert len(first["losses"]) == len(one["losses"]) and one["losses"].std() > 0
    assert first["history"]["train_loss"] == second["history"]["train_loss"]
    for key, value in one["weights"].items():
        assert torch.equal(first["weights"][key], second["weights"][key]), f"{key} differs between the two"
        if steps is None:
            assert torch.allclose(first["weights"][key], value, rtol=1e-6, atol=1e-6), key
    if steps is None:
        assert first["history"]["val_accuracy"] == pytest.approx(one["history"]["val_accuracy"], nan_ok=True)


def test_stopped_and_resumed_in_two_is_bit_for_bit_the_same(folder):
    whole, resumed = (load_checkpoint(folder / "checkpoints" / f"cnn-{name}-0.pt") for name in ("whole", "resumed"))
    assert all(torch.equal(resumed.weights[key], value) for key, value in whole.weights.items())
    for column in ("epoch", "train_loss", "val_accuracy", "lr"):
        assert whole.history[column] == resumed.history[column], column
    assert not list((folder / "checkpoints").glob("*.resume.pt"))


def test_what_one_process_wishes_holds_for_both(folder):
    for rank in (0, 1):
        agreed = torch.load(folder / f"{rank}.agreed.pt", weights_only=True).tolist()
        assert agreed == [True, True, False, True], "of the first alone, the second alone, neither, both"


@pytest.mark.parametrize("what", ["first killed", "second killed", "interrupted"])
def test_a_lost_process_ends_the_job_with_one_line_and_whole_files(tmp_path, what):
    command = [*TORCHRUN, "train", "--model", "cnn", "--folder", str(tmp_path), "--epochs", "500", "--save-every", "0"]
    job = subprocess.Popen(
        [*command, *SMALL.split()], env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    state = tmp_path / "cnn-quick-0.resume.pt"
    try:
        deadline = time.monotonic() + 600
        while not state.exists() and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        ranks = {process.environ()["RANK"]: process for process in psutil.Process(job.pid).children()}
        if what == "interrupted":
            job.send_signal(signal.SIGINT)
        else:
            ranks["0" if what == "first killed" else "1"].send_signal(signal.SIGKILL)
        output, errors = job.communicate(timeout=600)
    finally:
        job.kill()
    assert job.returncode != 0
    said = [line for line in errors.splitlines() if line.startswith("cifarcore:")]
    if what == "interrupted":
        assert not said and output.count("stopped at step") == 1
    else:
        assert len(said) == 1 and "another process" in said[0] and "--resume" in said[0]
    assert [path.name for path in tmp_path.iterdir()] == [state.name], "no checkpoint, no temporary file"
    assert load_tensors(state)["step"] > 0


def test_an_error_of_all_processes_is_said_once(tmp_path):
    command = [
        *TORCHRUN,
        "train",
        "--model",
        "cnn",
        "--folder",
        str(tmp_path),
        *SMALL.split(),
        "--validation-size",
        "4999",
    ]
    job = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    said = [line for line in job.stderr.splitlines() if line.startswith("cifarcore:")]
    assert job.returncode != 0 and len(said) == 1 and "--validation-size" in said[0] and not list(tmp_path.iterdir())


def test_the_lines_for_several_gpus_train_both_models(tmp_path):
    """Exactly those lines, on two CPU processes and the synthetic set."""
    lines = re.search(r"```\n(for seed in .*?torchrun.*?)```", GUIDE.read_text(), re.DOTALL)[1]
    assert len(lines.splitlines()) <= 5
    settings = {"GPUS": "2", "SEEDS": "0", "EXTRA": f"{SMALL} --epochs 1 --validation-size 4500 --batch-size 200"}
    ran = subprocess.run(
        ["bash", "-ec", lines], cwd=tmp_path, env=ENVIRONMENT | settings, capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    found = sorted((tmp_path / "checkpoints").iterdir())
    assert [path.name for path in found] == ["cnn-best-0.pt", "resnet18-best-0.pt"]
    alone = fit(two_processes.SMALL, make_synthetic(300, 100), tmp_path)
    together, one = (load_checkpoint(path) for path in (found[0], alone))
    assert together.weights.keys() == one.weights.keys() and together.meta.keys() == one.meta.keys()
    assert together.history.keys() == one.history.keys() and together.meta["device"].startswith("2 x ")
    run, _ = evaluate(together, make_synthetic(4700, 100))
    assert load_run(save_run(run, tmp_path / "run.npz")).n_images == 100


def test_a_process_with_other_settings_or_without_a_gpu_says_so(monkeypatch):
    second = World(1, 2, 1)
    monkeypatch.setattr(World, "from_first", lambda self, value: {"epochs": 2, "seed": 0})
    second.check_same({"epochs": 2, "seed": 0})
    with pytest.raises(CifarcoreError, match="process 1 of 2 has other seed than the first"):
        second.check_same({"epochs": 2, "seed": 1})
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(CifarcoreError, match="process 1 of this machine has no GPU of its own, there are 1"):
        second.own_gpu()
