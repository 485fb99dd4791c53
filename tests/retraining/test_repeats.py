"""A retraining is repeated with other seeds: which, with what settings, and what ends the series."""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread

import pytest
from processes import wait_until
from retrainings import retrained, with_weights

from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, processes, progress, repeats, setup
from cifarcore.retraining.jobs import read_job
from cifarcore.retraining.repeats import same_but_seed


@pytest.fixture
def runs(folder, monkeypatch):
    """A folder with a retraining, and jobs that end at once as `ends` says (by default finished)."""
    with_weights(folder, monkeypatch)
    retrained(folder)
    monkeypatch.setattr(repeats, "_LOOK_SECONDS", 0.01)
    return folder


def ending(monkeypatch, *states):
    """Have the jobs that are started end in these states, one after the other; what they were started with."""
    asked, left = [], list(states)

    def start(config, parent, runs_folder, name):
        asked.append((config, parent, name))
        job = setup.create(config, parent, runs_folder, name)
        progress.write_json(job / progress.RESULT, {"state": left.pop(0), "message": ""})
        return read_job(job)

    monkeypatch.setattr(setup, "start", start)
    return asked


def test_each_seed_is_the_same_retraining_otherwise(runs, monkeypatch):
    asked = ending(monkeypatch, "finished", "finished")
    repeats.work(runs, "minute", (1, 2))
    config = setup.read_setup(folders.job_folder(runs, "minute")).config
    assert [config for config, _, _ in asked] == [replace(config, seed=1), replace(config, seed=2)]
    assert {Path(parent).name for _, parent, _ in asked} == {"cnn-quick-0.npz"}
    state = repeats.read(runs)
    assert state.names == ("minute-seed1", "minute-seed2") and (state.begun, state.total) == (2, 2)
    assert state.of == "minute" and state.under_way  # by this process, which still runs


def test_a_name_that_is_taken_is_left_alone(runs, monkeypatch):
    (folders.retrained_dir(runs) / "minute-seed1.npz").write_bytes(b"")
    ending(monkeypatch, "finished")
    repeats.work(runs, "minute", (1,))
    assert repeats.read(runs).names == ("minute-seed1-2",)


@pytest.mark.parametrize("state", ["stopped", "failed"])
def test_what_was_stopped_or_failed_ends_the_series(runs, monkeypatch, state):
    asked = ending(monkeypatch, state, "finished")
    with pytest.raises(CifarcoreError, match="minute-seed1 (was stopped|failed .*), so no further seed was begun"):
        repeats.work(runs, "minute", (1, 2))
    assert len(asked) == 1


def test_a_changed_parent_is_not_retrained_as_if_it_were_the_same(runs):
    (runs / "cnn-quick-0.pt").write_bytes(b"others")
    with pytest.raises(CifarcoreError, match="changed since minute was learned from it"):
        repeats.start(runs, "minute", (1, 2))


def test_one_series_at_a_time(runs):
    progress.write_json(folders.retrained_dir(runs) / "repeats.json", processes.identity(os.getpid()))
    with pytest.raises(CifarcoreError, match="is being repeated already"):
        repeats.start(runs, "minute", (1, 2))


def test_two_tabs_at_the_same_moment_begin_one_series(runs, monkeypatch):
    """Both find that none is under way; the second must not take the first one's record away."""
    meanwhile, found = Barrier(2), repeats.read

    def read(folder):
        state = found(folder)
        with suppress(BrokenBarrierError):
            meanwhile.wait(timeout=1)  # both have looked before either begins, where nothing keeps them apart
        return state

    begun, said = [], []
    detached = repeats.detached
    monkeypatch.setattr(repeats, "read", read)
    monkeypatch.setattr(repeats, "detached", lambda *given: begun.append(detached(*given)) or begun[-1])

    def press():
        try:
            repeats.start(runs, "minute", (1, 2))
        except CifarcoreError as error:
            said.append(str(error))

    tabs = [Thread(target=press) for _ in range(2)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    for process in begun:
        process.wait(timeout=60)
    assert len(begun) == 1 and len(said) == 1 and "is being repeated already" in said[0]


def test_a_series_of_which_a_job_fails_says_why(runs):
    """The parent's weights are no weights, which only the job finds."""
    repeats.start(runs, "minute", (1, 2))
    wait_until(lambda: not repeats.read(runs).under_way)
    state = repeats.read(runs)
    assert state.names == ("minute-seed1",)
    assert state.problem.startswith("minute-seed1 failed (") and "cnn-quick-0.pt" in state.problem


def test_a_damaged_record_is_none(runs):
    for content in ("", "[]", '{"names": 3, "begun": "x", "total": null, "pid": "x"}'):
        (folders.retrained_dir(runs) / "repeats.json").write_text(content)
        state = repeats.read(runs)
        assert (state.names, state.begun, state.total, state.under_way) == ((), 0, 0, False)


def test_repeats_are_known_by_all_but_their_seed():
    def meta(seed=0, stopped=False, digest="x", **settings):
        record = {"settings": {"focus": "all", "seed": seed} | settings, "focus": [], "stopped": stopped}
        return {"retraining": record, "parent": {"digest": digest, "weights_digest": "w"}}

    assert same_but_seed(meta(), meta(seed=1)) and same_but_seed(meta(), meta(leave_out_duplicates=False))
    for other in (
        meta(seconds=20),
        meta(leave_out_duplicates=True),
        meta(digest="y"),
        meta(stopped=True),
        {},
        {"retraining": 1, "parent": []},
    ):
        assert not same_but_seed(meta(), other) and not same_but_seed(other, meta())
    assert not same_but_seed({}, {})
    assert repeats.next_seeds([0]) == (1, 2) and repeats.next_seeds([7, 3]) == (8, 9)
