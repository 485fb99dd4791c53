"""The measurement of this machine's speed ends when it is stopped, and when nobody waits for it any more."""

import os
import subprocess
import sys
import time

import pytest
from processes import ROOT, wait_until

from cifarcore.config import RetrainConfig
from cifarcore.retraining import processes, progress, speeds

CODE = """
import sys, time
from cifarcore.retraining import speeds
speeds.UNWATCHED_SECONDS = 2.0
speeds.watch(sys.argv[1])  # importing may have taken longer on a busy machine
speeds.end_unwatched(sys.argv[1])
print("measuring", flush=True)
time.sleep(60)
"""


@pytest.fixture
def measuring(folder):
    """A process that measures, as the panel began it."""
    place = folder / "retrained"
    place.mkdir()
    (place / "measuring.watch").touch()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout.readline() == "measuring\n"
    progress.write_json(place / "measuring.json", processes.identity(process.pid))
    yield process
    process.kill()
    process.communicate()


def test_it_goes_on_while_it_is_watched_and_ends_after_that(folder, measuring):
    until = time.monotonic() + 4
    while time.monotonic() < until:
        speeds.watch(folder)
        time.sleep(0.2)
    assert measuring.poll() is None and speeds.measuring(folder)[0]
    assert measuring.wait(10) == 1 and "nobody waited" in measuring.stdout.read()
    assert not speeds.measuring(folder)[0]


def test_it_can_be_stopped(folder, measuring):
    speeds.stop_measuring(folder)
    assert measuring.wait(5) == 1


def test_nothing_is_watched_that_does_not_run(folder):
    speeds.watch(folder)
    assert not (folder / "retrained").exists()


def test_the_app_has_it_watched(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(speeds, "spawn", lambda arguments, log: asked.append(arguments) or subprocess.Popen("true"))
    speeds.start_measuring(RetrainConfig(), folder / "cnn.npz", folder)
    wait_until(lambda: (folder / "retrained" / "measuring.json").exists())
    assert "--watched" in asked[0] and (folder / "retrained" / "measuring.watch").exists()
