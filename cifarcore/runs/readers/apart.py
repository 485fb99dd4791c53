"""Reading a file in a process of its own, whose memory and time are watched: what a file does to it, the app outlives.

Readers bound what they foresee; this bounds the rest, and what damage does to libraries of C++.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import psutil

from cifarcore.errors import CifarcoreError
from cifarcore.memory import SHARE, memory_bytes

#: what any file may take, and what it may take more for each of its bytes: Python's objects for a text of numbers
MEMORY, MEMORY_PER_BYTE = 2 << 30, 16
SECONDS, SECONDS_PER_BYTE = 120, 0.5 / (1 << 20)
_LOOK_SECONDS = 0.05


@contextmanager
def read_apart(module: str, path: Path, remedy: str, asked: str = "") -> Iterator[Path]:
    """What `python -m module PATH OUT` wrote into OUT, told what is `asked` by its standard input.

    Raises CifarcoreError with the last line that it says, and, with the `remedy`, where it takes more memory or time
    than a file of this size may.
    """
    here = str(Path(__file__).resolve().parents[3])
    search = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # each would take memory of its own
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, TemporaryFile() as told, TemporaryFile() as said:
        told.write(asked.encode())
        told.seek(0)
        out = Path(folder) / "read"
        process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", module, os.path.abspath(path), str(out)],
            stdin=told, stdout=subprocess.DEVNULL, stderr=said,
            env=os.environ | threads | {"PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        try:
            _wait(process, _size(path), remedy)
        finally:
            _end(process)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        if process.returncode == 1 and lines:
            raise CifarcoreError(lines[-1][:1000])
        if process.returncode or not out.is_file():
            raise CifarcoreError(f"the process that reads it ended; {remedy}")
        yield out


def _wait(process: subprocess.Popen, size: int, remedy: str) -> None:
    """Until it ends. Raises CifarcoreError where it takes more than a file of `size` bytes may."""
    memory = min(MEMORY + MEMORY_PER_BYTE * size, SHARE * memory_bytes())
    seconds = SECONDS + SECONDS_PER_BYTE * size
    watched, end = psutil.Process(process.pid), time.monotonic() + seconds
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
            return
        if _taken(watched) > memory:
            raise CifarcoreError(
                f"takes more than {memory / 2**30:.1f} GiB of memory to read, too much for its "
                f"{size / 2**20:,.1f} MiB; {remedy}"
            )
        if time.monotonic() > end:
            raise CifarcoreError(f"not read within {seconds:.0f} seconds; {remedy}")


def _taken(process: psutil.Process) -> int:
    """Bytes of memory that a process has; on Windows with those that it started, as Python is in a virtual
    environment.
    """
    try:
        family = [process, *(process.children(recursive=True) if sys.platform == "win32" else ())]
        return sum(each.memory_info().rss for each in family)
    except psutil.Error:  # it ended meanwhile
        return 0


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    with os.scandir(path) as files:
        return sum(file.stat().st_size for file in files if file.is_file())
