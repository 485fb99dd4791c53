"""A background job as its folder tells it: the process, its progress line by line, its end, and the one lock of a
machine.

Knows nothing of what the job does. A kill may leave any file half done, so all that is read back is checked.
"""

import errno
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import filelock

from cifarcore.errors import CifarcoreError
from cifarcore.retraining.processes import (
    LOOKS,
    holder_path,
    identity,
    is_alive,
    lower_priority,
    machine_lock,
    own_token,
    same_start,
)
from cifarcore.retraining.progress import (
    BALLAST,
    LOG,
    LOG_LINES,
    PROCESS,
    PROGRESS,
    RESULT,
    SETUP,
    STARTED,
    STOP,
    Progress,
    read_json,
    read_progress,
    read_text,
    write_json,
)
from cifarcore.text import one_line

_BALLAST_BYTES = 1 << 16


class Busy(CifarcoreError):
    """Another job holds this machine's lock; the message says which."""


class DiskFull(CifarcoreError):
    """Something could not be written for want of space."""


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

    # read once, so that all that is shown of this job is of one moment; the next look makes another object
    @cached_property
    def progress(self) -> Progress:
        return read_progress(self.folder)

    @cached_property
    def log_tail(self) -> str:
        """The last lines that its process printed."""
        return "\n".join(read_text(self.folder / LOG).splitlines()[-LOG_LINES:])


def read_job(folder: Path) -> Job:
    """How the job of `folder` stands. Raises CifarcoreError where there is none, or where something in it leads out."""
    refuse_others_files(folder)
    if not (folder / SETUP).is_file():
        raise CifarcoreError(
            f"{folder.name}: no such job in {folder.parent}; start one with `cifarcore retrain --run RUN`"
        )
    process = read_json(folder / PROCESS)
    result = read_json(folder / RESULT)
    if process and is_alive(process) and not result:
        return Job(folder, "running")
    started = read_json(folder / STARTED)
    if started and not same_start(started, process) and is_alive(started):
        return Job(folder, "starting")
    if result.get("state") in ("finished", "stopped", "failed"):
        return Job(folder, result["state"], one_line(result.get("message", ""), 500))
    return Job(folder, "killed", "its process ended without a message" if process else "its process never began")


def refuse_others_files(folder: Path) -> None:
    """Raises CifarcoreError where the folder of a job holds anything but files of its own: a link would be written
    through, a pipe waited for.
    """
    with explained(folder), suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False):
                raise CifarcoreError(f"{folder / entry.name}: is no file of the job's own, such as a link; remove it")


def stop(folder: Path) -> None:
    """Ask the job to stop at its next step and keep what it learned."""
    refuse_others_files(folder)
    with explained(folder):
        (folder / STOP).touch()


def stop_asked(folder: Path) -> bool:
    return (folder / STOP).exists()


def refuse_if_busy() -> None:
    """Raises Busy, naming the holder, where a living process holds this machine's lock. The holder's job then is seen
    running.
    """
    for _ in range(LOOKS):
        try:
            with machine_lock():
                return
        except filelock.Timeout:
            who = read_json(holder_path())
        if is_alive(who):
            break
    else:
        raise Busy("another retraining is just starting or ending on this machine; try again")
    since = time.strftime("%H:%M", time.localtime(float(who.get("process_started", 0))))
    raise Busy(
        f"one retraining at a time runs on a machine, and {who.get('name', '')!s:.80} (process {who['pid']}, since "
        f"{since}, "
        f"in {who.get('folder', '')!s:.200}) is running; stop it or wait for its end"
    )


@contextmanager
def working(folder: Path, show: Callable[[dict], None] = lambda line: None) -> Iterator["Recorder"]:
    """Hold this machine's lock while the job of `folder` works in this process, at low priority; a failure is written
    down.

    `show` gets each line of progress too.

    Raises Busy where another process holds the lock, and leaves the folder alone then.
    """
    _refuse_ended(folder)
    lock = machine_lock()
    try:
        lock.acquire()  # the system lets go of it when this process dies, however it does
    except filelock.Timeout:
        refuse_if_busy()
        raise Busy("another retraining has just ended on this machine; try again") from None
    try:
        _refuse_ended(folder)  # it may have, while this process waited for the lock
        lower_priority()
        with explained(folder):
            me = identity(os.getpid()) | own_token()
            (folder / RESULT).unlink(missing_ok=True)
            _forget_old_stop(folder, me)
            (folder / BALLAST).write_bytes(os.urandom(_BALLAST_BYTES))
            write_json(folder / PROCESS, me)
            # last: whoever is refused in its name finds the job running
            write_json(holder_path(), me | {"name": folder.name, "folder": str(folder.parent.resolve())})
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


def _forget_old_stop(folder: Path, me: dict) -> None:
    """A stop that was asked of an earlier process is not meant for this one; of this one it may be asked at once."""
    with suppress(FileNotFoundError):
        if (folder / STOP).stat().st_mtime < me["process_started"]:
            (folder / STOP).unlink()


def _refuse_ended(folder: Path) -> None:
    if read_job(folder).state in ("finished", "stopped"):
        raise CifarcoreError(f"{folder.name}: has ended and its run is written; start a new one")


class Recorder:
    """The job's own end of its folder: appends progress, writes down the end."""

    def __init__(self, folder: Path, show: Callable[[dict], None]):
        self.folder, self.show = folder, show
        self.path = folder / PROGRESS
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
        """Hold `size` bytes of the disk until `release`, for what is written at the end. Raises OSError where they are
        not there.
        """
        block = os.urandom(1 << 20)  # zeros might take no room
        with (self.folder / BALLAST).open("wb") as file:
            for written in range(0, size, len(block)):
                file.write(block[: size - written])
            file.flush()
            os.fsync(file.fileno())

    def release(self) -> None:
        """Give back what was reserved, but for the little that writing down the end needs."""
        os.truncate(self.folder / BALLAST, _BALLAST_BYTES)

    def end(self, state: str, message: str) -> str:
        """Write down how the job ended, and return `message`."""
        (self.folder / BALLAST).unlink(missing_ok=True)
        try:
            write_json(self.folder / RESULT, {"state": state, "message": " ".join(message.split()), "at": time.time()})
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
                f"{folder.parent}: the disk is full; make room, then continue from the last checkpoint"
            ) from None
        raise CifarcoreError(
            f"{error.filename or folder}: {error.strerror or error}; check the folder and its permissions"
        ) from None
