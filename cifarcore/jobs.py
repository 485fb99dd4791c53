"""A background job as its folder tells it: the process, its progress line by line, its end, and the one lock of a machine.

Knows nothing of what the job does. A kill may leave any file half done, so all that is read back is checked.
"""

import errno
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock
import platformdirs
import psutil

from cifarcore import CifarcoreError
from cifarcore.files import atomic_write

PHASES = ("starting", "caching", "learning", "evaluating", "writing")
NICE = 10
LOG_LINES = 12
SETUP, STARTED, PROCESS, LOG = "config.json", "started.json", "process.json", "log.txt"
_PROGRESS, _STOP, _RESULT, _BALLAST = "progress.jsonl", "stop", "result.json", "ballast"
_BALLAST_BYTES = 1 << 16
_MAX_BYTES_READ = 4 << 20
_LOCK_WAIT_SECONDS = 1.0
#: so often a holder that has not yet written down who it is, is looked for
_LOOKS = 5


class Busy(CifarcoreError):
    """Another job holds this machine's lock; the message says which."""


class DiskFull(CifarcoreError):
    """Something could not be written for want of space."""


@dataclass(frozen=True)
class Progress:
    """The lines that a job appended, each a dict of `phase` and numbers, `at` (Unix time) among them."""

    lines: tuple[dict, ...] = ()
    corrupt: int = 0  #: lines that could not be read

    @property
    def last(self) -> dict:
        return self.lines[-1] if self.lines else {"phase": "starting"}

    def series(self, name: str) -> list[dict]:
        """The lines of the learning that hold the number `name`, by rising `learned` (seconds).

        What a kill lost and a later process did again stands in it once.
        """
        found: list[dict] = []
        for line in self.lines:
            if line["phase"] == "learning" and name in line and "learned" in line:
                while found and found[-1]["learned"] >= line["learned"]:
                    found.pop()
                found.append(line)
        return found


@dataclass(frozen=True)
class Job:
    """How a job stands. `state` is starting, running, finished, stopped (by request, result kept), failed or killed."""

    folder: Path
    state: str
    message: str = ""  #: one line: why it failed, or what came out

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def can_go_on(self) -> bool:
        return self.state in ("killed", "failed")

    @property
    def is_under_way(self) -> bool:
        return self.state in ("starting", "running")

    @property
    def stopping(self) -> bool:
        return self.state == "running" and stop_asked(self.folder)

    @cached_property
    def progress(self) -> Progress:
        return read_progress(self.folder)

    @cached_property
    def log_tail(self) -> str:
        """The last lines that its process printed."""
        return "\n".join(read_text(self.folder / LOG).splitlines()[-LOG_LINES:])


def read_job(folder: Path) -> Job:
    """How the job of `folder` stands. Raises CifarcoreError where there is none."""
    if not (folder / SETUP).is_file():
        raise CifarcoreError(
            f"{folder.name}: no such job in {folder.parent}; start one with `cifarcore retrain --run RUN`"
        )
    process = read_json(folder / PROCESS)
    result = read_json(folder / _RESULT)
    if process and is_alive(process) and not result:
        return Job(folder, "running")
    started = read_json(folder / STARTED)
    if started and started.get("pid") != process.get("pid") and is_alive(started):
        return Job(folder, "starting")
    if result.get("state") in ("finished", "stopped", "failed"):
        return Job(folder, result["state"], " ".join(str(result.get("message", "")).split())[:500])
    return Job(folder, "killed", "its process ended without a word" if process else "its process never began")


def read_progress(folder: Path) -> Progress:
    """What the job has appended so far; a line that is still being written is left for the next time."""
    complete, _, _ = read_text(folder / _PROGRESS).rpartition("\n")
    lines, corrupt = [], 0
    for text in filter(None, complete.split("\n")):
        try:
            line = json.loads(text)
            if line["phase"] not in PHASES:
                raise ValueError("unknown phase")
            numbers = {key: float(value) for key, value in line.items() if key != "phase"}
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            corrupt += 1
            continue
        lines.append({"phase": line["phase"]} | {key: value for key, value in numbers.items() if math.isfinite(value)})
    return Progress(tuple(lines), corrupt)


def stop(folder: Path) -> None:
    """Ask the job to stop at its next step and keep what it learned."""
    with explained(folder):
        (folder / _STOP).touch()


def stop_asked(folder: Path) -> bool:
    return (folder / _STOP).exists()


def refuse_if_busy() -> None:
    """Raises Busy, naming the holder, where a living process holds this machine's lock. The holder's job then is seen running."""
    for _ in range(_LOOKS):
        try:
            with _machine_lock():
                return
        except filelock.Timeout:
            who = read_json(_holder_path())
        if is_alive(who):
            break
    else:
        raise Busy("another retraining is just starting or ending on this machine; try again")
    since = time.strftime("%H:%M", time.localtime(float(who.get("process_started", 0))))
    raise Busy(
        f"one retraining at a time runs on a machine, and {who.get('name', '')!s:.80} (process {who['pid']}, since {since}, "
        f"in {who.get('folder', '')!s:.200}) is running; stop it or wait for its end"
    )


@contextmanager
def working(folder: Path, show: Callable[[dict], None] = lambda line: None) -> Iterator["Recorder"]:
    """Hold this machine's lock while the job of `folder` works in this process, at low priority; a failure is written down.

    `show` gets each line of progress too.

    Raises Busy where another process holds the lock, and leaves the folder alone then.
    """
    _refuse_ended(folder)
    lock = _machine_lock()
    try:
        lock.acquire()  # the system lets go of it when this process dies, however it does
    except filelock.Timeout:
        refuse_if_busy()
        raise Busy("another retraining has just ended on this machine; try again") from None
    try:
        _refuse_ended(folder)  # it may have, while this process waited for the lock
        with explained(folder):
            me = identity(os.getpid())
            for name in (_RESULT, _STOP):
                (folder / name).unlink(missing_ok=True)
            (folder / _BALLAST).write_bytes(os.urandom(_BALLAST_BYTES))
            write_json(folder / PROCESS, me)
            # last: whoever is refused in its name finds the job running
            write_json(_holder_path(), me | {"name": folder.name, "folder": str(folder.parent.resolve())})
        lower_priority()
        recorder = Recorder(folder, show)
        try:
            with explained(folder):
                yield recorder
        except BaseException as error:
            recorder.end(
                "failed", str(error) if isinstance(error, CifarcoreError) else f"{type(error).__name__}: {error}"
            )
            raise
    finally:
        lock.release()


def _refuse_ended(folder: Path) -> None:
    if read_job(folder).state in ("finished", "stopped"):
        raise CifarcoreError(f"{folder.name}: has ended and its run is written; start a new one")


def lower_priority() -> None:
    """Let every other process go first: whoever waits for a page should not notice the job."""
    if hasattr(os, "nice"):
        os.nice(max(0, NICE - os.nice(0)))


class Recorder:
    """The job's own end of its folder: appends progress, writes down the end."""

    def __init__(self, folder: Path, show: Callable[[dict], None]):
        self.folder, self.show = folder, show
        self.path = folder / _PROGRESS
        text = read_text(self.path)
        if text and not text.endswith("\n"):  # a line that a kill cut short
            self._append("\n")
        self("starting")

    def __call__(self, phase: str, **numbers: float) -> None:
        """Append one line. A full disk costs the line, not the job."""
        finite = {key: round(float(value), 6) for key, value in numbers.items() if math.isfinite(value)}
        line = {"phase": phase, "at": round(time.time(), 3)} | finite
        self._append(json.dumps(line) + "\n")
        try:
            self.show(line)
        except OSError:  # the log lies on the same full disk
            pass

    def say(self, text: str) -> None:
        """A line for the log alone."""
        try:
            print(text, flush=True)
        except OSError:
            pass

    def _append(self, text: str) -> None:
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            self.say(f"progress not written: {error.strerror}")

    def reserve(self, size: int) -> None:
        """Hold `size` bytes of the disk until `release`, for what is written at the end. Raises OSError where they are not there."""
        block = os.urandom(1 << 20)  # zeros might take no room
        with (self.folder / _BALLAST).open("wb") as file:
            for written in range(0, size, len(block)):
                file.write(block[: size - written])
            file.flush()
            os.fsync(file.fileno())

    def release(self) -> None:
        """Give back what was reserved, but for the little that writing down the end needs."""
        os.truncate(self.folder / _BALLAST, _BALLAST_BYTES)

    def end(self, state: str, message: str) -> str:
        """Write down how the job ended, and return `message`."""
        (self.folder / _BALLAST).unlink(missing_ok=True)
        try:
            write_json(self.folder / _RESULT, {"state": state, "message": " ".join(message.split()), "at": time.time()})
        except OSError as error:
            self.say(f"how it ended ({state}: {message}) not written: {error.strerror}")
        return message


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an OSError within into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"{folder.parent}: the disk is full; make room, then go on from the last checkpoint"
            ) from None
        raise CifarcoreError(
            f"{error.filename or folder}: {error.strerror or error}; check the folder and its permissions"
        ) from None


def write_json(path: Path, content: dict) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode())


def read_json(path: Path) -> dict:
    """A JSON object, or nothing where it is missing or damaged."""
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def identity(pid: int) -> dict:
    """What tells a process from a later one of the same id: when it started, as the clock says and since the system did."""
    started = psutil.Process(pid).create_time()
    return {"pid": pid, "process_started": started, "since_boot": started - psutil.boot_time()}


def is_alive(process: dict) -> bool:
    """Whether the process written down still runs: the same id and the same start, for ids are used again.

    A clock that was set meanwhile changes what Linux says of both starts, a process's and its own, by the same.
    """
    try:
        found = identity(process["pid"])
        return psutil.Process(process["pid"]).status() != psutil.STATUS_ZOMBIE and any(
            abs(found[key] - process[key]) < tolerance
            for key, tolerance in (("process_started", 1.0), ("since_boot", 0.1))
            if key in process
        )
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False


def _machine_lock() -> filelock.FileLock:
    """One for each user and machine: a cache folder may be shared by several machines. Whoever only looks holds it for an instant."""
    return filelock.FileLock(_cache_dir() / f"retraining-{machine()}.lock", timeout=_LOCK_WAIT_SECONDS)


def _holder_path() -> Path:
    return _cache_dir() / f"retraining-{machine()}.json"


def _cache_dir() -> Path:
    return platformdirs.user_cache_path("cifarcore", ensure_exists=True)


def machine() -> str:
    """This machine's name, fit for a file's."""
    return "".join(character for character in platform.node() if character.isalnum() or character in "-_")[:64]


def read_text(path: Path) -> str:
    """A text file, or its end where it is long; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MAX_BYTES_READ))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
