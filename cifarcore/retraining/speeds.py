"""How fast this machine retrains a network, measured in a process of its own, and what a retraining will take by
that.
"""

import math
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cifarcore.config import RetrainConfig
from cifarcore.files import is_link, refuse_links
from cifarcore.presets import KEPT, LEAST_SHARE, MOST_PASSES, VIEWS
from cifarcore.retraining.folders import has_block, has_features, retrained_dir
from cifarcore.retraining.jobs import explained
from cifarcore.retraining.processes import identity, is_alive, machine
from cifarcore.retraining.progress import read_json, read_text, write_json
from cifarcore.retraining.setup import spawn
from cifarcore.runs.run import RunHeader

_LOG, _PROCESS, _WATCH = "measuring.txt", "measuring.json", "measuring.watch"
_MOST = 1e12  # images per second
#: a measurement ends by itself when nobody has looked at it for so long
UNWATCHED_SECONDS = 15.0
_SPEEDS = ("learning", "scoring", "rescoring", "caching")
#: what a measurement gets at least of the processor's time that it asked for, where no other work goes on
_QUIET = 0.6


@dataclass(frozen=True)
class Expectation:
    """What a retraining will take, in seconds, by what was measured on this machine."""

    images_per_second: float
    passes: float
    learning: float
    caching: float
    scoring: float
    busy: bool = False  #: whether other work slowed the measurement down, so that all of it may go faster

    @property
    def total(self) -> float:
        return self.learning + self.caching + self.scoring


def expect(header: RunHeader, config: RetrainConfig, runs_folder: str | Path) -> Expectation | None:
    """What to expect of retraining the run of `header`; None before its speed was measured, see `start_measuring`."""
    speed = speed_of(runs_folder, header.meta, config)
    if not {"learning", "scoring"} <= set(speed):
        return None
    data = header.meta.get("training_data")
    images = data.get("images") if isinstance(data, dict) else None
    images = images if isinstance(images, int) and images > 0 else 50_000
    network = header.meta.get("config")
    held_out = network.get("validation_size") if isinstance(network, dict) else 0
    held_out = held_out if isinstance(held_out, int) else 0
    scored = header.n_images + held_out
    caching, scoring = 0.0, scored / speed["scoring"]
    if config.train_layers == "head":
        cached = has_features(header.path, runs_folder)
        caching, scoring = 0.0 if cached else (images + scored) / speed["scoring"], 0.0
    elif config.train_layers == "last_block":
        views = VIEWS * min(KEPT, images)
        rate = speed.get("caching", speed["scoring"])
        caching = 0.0 if has_block(header.path, runs_folder) else (views + scored) / rate
        scoring = scored / speed.get("rescoring", speed["scoring"])
    learning = max(LEAST_SHARE * config.seconds, config.seconds - scoring)
    most = MOST_PASSES * min(KEPT, images) / images if config.train_layers == "last_block" else math.inf
    passes = config.epochs or min(most, learning * speed["learning"] / images)
    learning = passes * images / speed["learning"]
    return Expectation(speed["learning"], passes, learning, caching, scoring, speed.get("share", 1.0) < _QUIET)


def speed_of(runs_folder: str | Path, meta: dict, config: RetrainConfig) -> dict[str, float]:
    """Images per second that were measured on this machine for such a network, of learning, of scoring, of scoring
    the last block alone (`rescoring`) and of computing what that block sees (`caching`), and the share of the
    processor's time that the measurement got of what it asked for; {} before that.
    """
    if is_link(retrained_dir(runs_folder)):
        return {}
    kept = read_json(_speeds(runs_folder)).get(_speed_key(meta, config))
    numbers = kept if isinstance(kept, dict) else {}
    return {
        name: float(numbers[name])
        for name in (*_SPEEDS, "share")
        if isinstance(numbers.get(name), (int, float)) and 0 < numbers[name] < _MOST
    }


def save_speed(runs_folder: str | Path, meta: dict, config: RetrainConfig, speed: dict[str, float]) -> None:
    refuse_links(retrained_dir(runs_folder), _speeds(runs_folder))
    known = read_json(_speeds(runs_folder))
    write_json(
        _speeds(runs_folder),
        known | {_speed_key(meta, config): {name: round(value, 2) for name, value in speed.items()}},
    )


def start_measuring(config: RetrainConfig, parent: Path, runs_folder: str | Path) -> None:
    """Measure in a process of its own what `speed_of` will then tell; some ten seconds. It goes on while it is watched,
    see `watch`.
    """
    place = retrained_dir(runs_folder)
    refuse_links(place, place / _PROCESS)
    with explained(place):
        place.mkdir(parents=True, exist_ok=True)
        (place / _LOG).unlink(missing_ok=True)
        arguments = ["--measure", "--run", str(parent.resolve()), "--folder", str(Path(runs_folder).resolve())]
        arguments += [
            "--train-layers",
            config.train_layers,
            "--threads",
            str(config.threads),
            "--policy",
            config.policy,
            "--watched",
        ]
        (place / _WATCH).unlink(missing_ok=True)
        (place / _WATCH).touch()
        process = spawn(arguments, place / _LOG)
        write_json(place / _PROCESS, identity(process.pid))


def measuring(runs_folder: str | Path) -> tuple[bool, str]:
    """Whether a measurement runs, and the last line that it said."""
    place = retrained_dir(runs_folder)
    if is_link(place):
        return False, ""
    lines = read_text(place / _LOG).strip().splitlines()
    return is_alive(read_json(place / _PROCESS)), lines[-1].removeprefix("cifarcore: ") if lines else ""


def watch(runs_folder: str | Path) -> None:
    """Have the measurement that runs go on: somebody waits for it."""
    with suppress(OSError):
        os.utime(retrained_dir(runs_folder) / _WATCH)


def stop_measuring(runs_folder: str | Path) -> None:
    """Have the measurement that runs end within a second or two."""
    with explained(retrained_dir(runs_folder)):
        (retrained_dir(runs_folder) / _WATCH).unlink(missing_ok=True)


def end_unwatched(runs_folder: str | Path) -> None:
    """End this process, which measures, as soon as nobody watches any more."""
    path = retrained_dir(runs_folder) / _WATCH

    def look() -> None:
        while True:
            try:
                watched = time.time() - path.stat().st_mtime < UNWATCHED_SECONDS
            except OSError:
                watched = False
            if not watched:
                print("stopped, since nobody waited for it", flush=True)
                os._exit(1)
            time.sleep(1)

    threading.Thread(target=look, daemon=True).start()


def _speeds(runs_folder: str | Path) -> Path:
    return retrained_dir(runs_folder) / "speeds.json"


def _speed_key(meta: dict, config: RetrainConfig) -> str:
    """What the speed depends on: machine, network, trained layers, policy, threads."""
    network = meta.get("config") if isinstance(meta.get("config"), dict) else {}
    parts = [network.get(name) for name in ("model", "image_size", "stem", "widths", "hidden")]
    return " ".join(map(str, [machine(), *parts, config.train_layers, config.policy, config.threads]))
