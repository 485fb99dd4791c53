"""What tests of other processes share: the command line as a user calls it, and waiting for what another process does."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cifarcore(*arguments, **environment) -> subprocess.CompletedProcess:
    """The command line, as a user calls it."""
    command = [sys.executable, "-m", "cifarcore.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
