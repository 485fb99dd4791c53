"""What tests of other processes share: the command line as a user calls it, and waiting for what another process
does.
"""

import asyncio
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def bundled(*names: str) -> list[Path]:
    """The run files of these names that the repository holds; the test is skipped where only its code is."""
    paths = [ROOT / "checkpoints" / f"{name}.npz" for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip("needs the bundled run files: run in a clone of the repository")
    return paths


def cifarcore(*arguments, **environment) -> subprocess.CompletedProcess:
    """The command line, as a user calls it."""
    command = [sys.executable, "-m", "cifarcore", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)


def invoke(*arguments) -> str:
    """The command line in this process; returns what it prints."""
    from typer.testing import CliRunner

    from cifarcore.cli.main import app

    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def in_own_loop(coroutine):
    """Run a coroutine to its end, also where a browser's loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
