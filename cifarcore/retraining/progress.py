"""The files through which a job says how far it is: small JSON, one line a report, read whatever state they are in."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cifarcore.files import atomic_write, is_link

PHASES = ("starting", "caching", "learning", "evaluating", "writing")


LOG_LINES = 12


#: files of a job's folder
SETUP, STARTED, PROCESS, LOG = "config.json", "started.json", "process.json", "log.txt"
PROGRESS, STOP, RESULT, BALLAST = "progress.jsonl", "stop", "result.json", "ballast"


_MAX_BYTES_READ = 4 << 20
_MOST = 1e15  # of a number that counts something or tells a time


@dataclass(frozen=True)
class Progress:
    """The lines that a job appended, each a dict of `phase` and numbers, `at` (Unix time) among them."""

    lines: tuple[dict, ...] = ()
    corrupt: int = 0  #: lines that could not be read

    @property
    def last(self) -> dict:
        return self.lines[-1] if self.lines else {"phase": "starting"}

    @property
    def learning(self) -> dict | None:
        """The last line of the learning; None before it."""
        return next((line for line in reversed(self.lines) if line["phase"] == "learning"), None)

    @property
    def share(self) -> float:
        """How much of the present phase is done, 0..1."""
        last = self.last
        if last["phase"] == "writing":  # the last one, of which nothing is counted
            return 1.0
        done = (
            last.get("fraction", 0.0)
            if last["phase"] == "learning"
            else last.get("done", 0.0) / max(last.get("total", 0.0), 1.0)
        )
        return min(1.0, max(0.0, done))

    def seconds_left(self, now: float) -> float | None:
        """Of the present phase at the Unix time `now`, by what the job last reported; None where it has not."""
        last = self.last
        return max(0.0, last["left"] - (now - last.get("at", 0.0))) if "left" in last else None

    def series(self, name: str) -> list[dict]:
        """The lines of the learning that hold the number `name`, by rising `learned` (seconds).

        What a kill lost and a later process did again stands in it once.
        """
        series: list[dict] = []
        for line in self.lines:
            if line["phase"] == "learning" and name in line and "learned" in line:
                while series and series[-1]["learned"] >= line["learned"]:
                    series.pop()
                series.append(line)
        return series


def read_progress(folder: Path) -> Progress:
    """What the job has appended so far; a line that is still being written is left for the next time."""
    complete, _, _ = read_text(folder / PROGRESS).rpartition("\n")
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
        lines.append({"phase": line["phase"]} | {key: value for key, value in numbers.items() if abs(value) < _MOST})
    return Progress(tuple(lines), corrupt)


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


def read_text(path: Path) -> str:
    """A text file, or its end where it is long; nothing where it cannot be read, or is a link or no file at all."""
    try:
        if is_link(path) or not path.is_file():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MAX_BYTES_READ))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
