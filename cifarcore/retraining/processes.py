"""Which process does a job, whether it lives, and the one lock that lets one job run on a machine at a time."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

import filelock
import psutil

from cifarcore.errors import CifarcoreError
from cifarcore.places import cache_folder

NICE = 10
TOKEN = "CIFARCORE_JOB_TOKEN"


_LOCK_WAIT_SECONDS = 1.0
_END_SECONDS = 10.0
_BOOT_SECONDS = 60.0


#: so often a holder that has not yet written down who it is, is looked for
LOOKS = 5


def detached(arguments: list[str], log: BinaryIO, **more: str) -> subprocess.Popen:
    """`python -m` with `arguments` in a session of its own, what it prints in `log`; its environment has `more`."""
    here = str(Path(__file__).resolve().parent.parent.parent)
    given = {
        "PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH")))),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        # threads that spin while they wait take the processor from those that work: beside other load a job halves
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # what a session is on Windows
        env=os.environ | given | more,
    )  # fmt: skip


def lower_priority() -> None:
    """Let every other process go first: whoever waits for a page should not notice the job."""
    if hasattr(os, "nice"):
        os.nice(max(0, NICE - os.nice(0)))
    else:  # Windows
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)


def identity(pid: int) -> dict:
    """What tells a process from a later one of the same id: when it started, as the clock says and since the system
    did.
    """
    started = psutil.Process(pid).create_time()
    return {"pid": pid, "process_started": started, "since_boot": started - psutil.boot_time()}


def own_token() -> dict:
    """The token by which whoever started this process knows it; {} where nobody gave one."""
    return {"token": os.environ[TOKEN]} if os.environ.get(TOKEN) else {}


def same_start(one: dict, other: dict) -> bool:
    """Whether two records are of one start: by the token, since a launcher's id is not that of the process that works
    (Python of a virtual environment on Windows); by the id where one of them has none.
    """
    key = "token" if "token" in one and "token" in other else "pid"
    return one.get(key) is not None and one.get(key) == other.get(key)


def is_alive(process: dict) -> bool:
    """Whether the process written down still runs: the same id and the same start, for ids are used again.

    A clock that was set meanwhile changes what Linux says of both starts, a process's and its own, by the same. What
    starts with the system, such as process 1, does so at the same moment on every machine, so that a folder from
    elsewhere could name it: that is known by the clock alone.
    """
    try:
        actual = identity(process["pid"])
        return psutil.Process(process["pid"]).status() != psutil.STATUS_ZOMBIE and any(
            abs(actual[key] - process[key]) < tolerance
            for key, tolerance in (("process_started", 1.0), ("since_boot", 0.1))
            if key in process and (key != "since_boot" or actual[key] > _BOOT_SECONDS)
        )
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False


def end(process: dict) -> None:
    """Kill the process written down, if it still runs. Raises CifarcoreError where that is refused, or takes too
    long.
    """
    if not is_alive(process):
        return
    try:
        psutil.Process(process["pid"]).kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied:
        raise CifarcoreError(f"process {process['pid']} is another user's; ask them to stop it") from None
    deadline = time.monotonic() + _END_SECONDS
    while is_alive(process):
        if time.monotonic() > deadline:
            raise CifarcoreError(f"process {process['pid']} did not end within {_END_SECONDS:.0f} s; try again")
        time.sleep(0.05)


def machine_lock() -> filelock.FileLock:
    """One for each user and machine: a cache folder may be shared by several machines. Whoever only looks holds it for
    an instant.
    """
    return filelock.FileLock(_cache_dir() / f"retraining-{machine()}.lock", timeout=_LOCK_WAIT_SECONDS)


def holder_path() -> Path:
    return _cache_dir() / f"retraining-{machine()}.json"


def _cache_dir() -> Path:
    return cache_folder()


def machine() -> str:
    """This machine's name, fit for a file's."""
    return "".join(character for character in platform.node() if character.isalnum() or character in "-_")[:64]
