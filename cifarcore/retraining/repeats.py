"""The same retraining with other seeds, one after the other, started by a process of their own that outlives the app.

No torch: each of them is a job like any other. `python -m cifarcore.retraining.repeats FOLDER NAME SEED...` is it.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import is_link, refuse_links, sole_writer
from cifarcore.retraining import setup
from cifarcore.retraining.folders import file_digest, job_folder, jobs, retrained_dir, taken, weights_path
from cifarcore.retraining.jobs import explained, read_job, refuse_if_busy
from cifarcore.retraining.processes import detached, identity, is_alive
from cifarcore.retraining.progress import read_json, read_text, write_json
from cifarcore.runs.run import load_run

_STATE, _LOG = "repeats.json", "repeats.txt"
#: how many more seeds are asked for at once: with the first they are three, which have a spread
MORE = 2


_ALREADY = "a retraining is being repeated already; wait for its end"
_LOOK_SECONDS = 0.5
_START_SECONDS = 2 * setup.START_TIMEOUT_SECONDS


@dataclass(frozen=True)
class Repeats:
    """The repeats that were asked for last. `names` are those of the jobs so far, of which `begun` have begun."""

    of: str = ""  #: name of the retraining that is repeated
    names: tuple[str, ...] = ()
    begun: int = 0
    total: int = 0
    under_way: bool = False
    problem: str = ""  #: one line: why they ended early


def read(runs_folder: str | Path) -> Repeats:
    """How the repeats of the folder of runs stand."""
    place = retrained_dir(runs_folder)
    state = {} if is_link(place) else read_json(place / _STATE)
    names = state.get("names") if isinstance(state.get("names"), list) else []
    begun, total = (count if isinstance(count := state.get(key), int) else 0 for key in ("begun", "total"))
    alive = is_alive(state)
    lines = [] if alive else read_text(place / _LOG).strip().splitlines()
    return Repeats(
        str(state.get("of", "")),
        tuple(map(str, names)),
        begun,
        total,
        alive,
        lines[-1][:500] if lines else "",
    )


def same_but_seed(one: dict, other: dict) -> bool:
    """Whether the `meta` of two runs are of retrainings that differ in nothing but their seeds."""
    keys = (_settings(one), _settings(other))
    return None not in keys and keys[0] == keys[1]


def next_seeds(used: Sequence[int]) -> tuple[int, ...]:
    """MORE seeds that are not among those `used`."""
    return tuple(range(max(used) + 1, max(used) + 1 + MORE))


def start(runs_folder: str | Path, name: str, seeds: Sequence[int]) -> None:
    """Repeat the retraining `name` with `seeds`; returns once it is on its way. Raises Busy where a job runs already,
    CifarcoreError where its parent is not what it was.
    """
    refuse_if_busy()
    _asked(runs_folder, name)
    place = retrained_dir(runs_folder)
    refuse_links(place, place / _STATE, place / _LOG)
    deadline = time.monotonic() + _START_SECONDS
    # until the process has said in it that it lives: two tabs would begin two series
    with sole_writer(place / _STATE, _ALREADY):
        if read(runs_folder).under_way:
            raise CifarcoreError(_ALREADY)
        with explained(place):
            (place / _STATE).unlink(missing_ok=True)
            with (place / _LOG).open("wb") as log:
                process = detached([__name__, str(Path(runs_folder).resolve()), name, *map(str, seeds)], log)
        _wait(process, lambda state: state.under_way or state.begun > 0, runs_folder, deadline)
    _wait(process, lambda state: state.begun > 0, runs_folder, deadline)


def _wait(process: Popen, reached: Callable[[Repeats], bool], runs_folder: str | Path, deadline: float) -> None:
    """Until the series of `process` has `reached` something. Raises CifarcoreError where it ends before, or at the
    `deadline` (time.monotonic).
    """
    while not reached(read(runs_folder)):
        if process.poll() is not None:
            raise CifarcoreError(read(runs_folder).problem or f"ended with status {process.returncode}")
        if time.monotonic() > deadline:
            process.kill()
            raise CifarcoreError("the repeats did not begin; try again when the machine is less busy")
        time.sleep(0.05)


def work(runs_folder: Path, name: str, seeds: Sequence[int]) -> None:
    """Do the retrainings, as far as each of them ends by itself; what was stopped, discarded or failed ends all."""
    config, parent = _asked(runs_folder, name)
    state = identity(os.getpid()) | {"of": name, "total": len(seeds), "names": []}
    for begun, seed in enumerate(seeds):
        stem = f"{name[:64]}-seed{seed}"
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
        job_name = next(each for each in names if not taken(job_folder(runs_folder, each)))
        state = state | {"names": [*state["names"], job_name], "begun": begun}  # before: nobody follows it by itself
        write_json(retrained_dir(runs_folder) / _STATE, state)
        job = setup.start(replace(config, seed=seed), parent, runs_folder, job_name).folder
        write_json(retrained_dir(runs_folder) / _STATE, state | {"begun": begun + 1})
        with suppress(CifarcoreError):  # it was discarded
            while read_job(job).is_under_way:
                time.sleep(_LOOK_SECONDS)
        ended = next((each for each in jobs(runs_folder) if each.name == job_name), None)
        if ended is None or ended.state != "finished":
            how = f"failed ({ended.message})" if ended and ended.state == "failed" else ""
            how = how or f"was {ended.state if ended else 'discarded'}"
            raise CifarcoreError(f"{job_name} {how}, so no further seed was begun")


def _asked(runs_folder: str | Path, name: str) -> tuple[RetrainConfig, Path]:
    """The settings and the parent of the retraining `name`. Raises CifarcoreError where they are not what they were."""
    what = setup.read_setup(job_folder(runs_folder, name))
    try:
        unchanged = file_digest(weights_path(what.parent)) == what.weights_digest
    except OSError:
        raise CifarcoreError(f"{weights_path(what.parent)}: no such file, so {name} cannot be repeated") from None
    if not unchanged or load_run(what.parent).digest != what.parent_digest:
        raise CifarcoreError(f"{what.parent.name}: changed since {name} was learned from it, which cannot be repeated")
    return what.config, what.parent


def _settings(meta: dict) -> tuple | None:
    """What two repeats have in common; None where `meta` is not that of a retraining that ended by itself."""
    record, parent = meta.get("retraining"), meta.get("parent")
    settings = record.get("settings") if isinstance(record, dict) else None
    if not isinstance(settings, dict) or not isinstance(parent, dict) or record.get("stopped") is not False:
        return None
    # a setting that an older record lacks was what it now is by default
    others = {key: value for key, value in (RetrainConfig().to_dict() | settings).items() if key != "seed"}
    return others, record.get("focus"), record.get("recipe"), parent.get("digest"), parent.get("weights_digest")


if __name__ == "__main__":
    try:
        work(Path(sys.argv[1]), sys.argv[2], [int(seed) for seed in sys.argv[3:]])
    except CifarcoreError as error:
        sys.exit(f"{error}")
