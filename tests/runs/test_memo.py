"""What is computed of runs once: known by content, not by object."""

import gc
import threading
import weakref
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import made_run
from scipy.sparse import csr_array

from cifarcore.runs import memo as memory
from cifarcore.runs.alignment import AlignedPair, align
from cifarcore.runs.memo import MOST_RESULTS, is_kept, memo, size_of

CALLS: list[object] = []


def counted(*arguments):
    CALLS.append(arguments)
    return len(CALLS)


def also_counted(*arguments):
    CALLS.append(arguments)
    return len(CALLS)


def test_runs_are_known_by_their_content_alone_and_within_lists_and_pairs():
    run, other = made_run(n_images=60), made_run(n_images=60, model="vit")
    copy = replace(run)
    for one, same, differs in (
        (run, copy, other),
        ([run, other], (copy, other), [other, run]),
        (align(run, other), align(copy, other), align(other, run)),
        (((run, 1),), ((copy, 1),), ((run, 2),)),
    ):
        found = memo(counted, one, 3)
        assert memo(counted, same, 3) == found
        assert len({found, memo(counted, differs, 3), memo(counted, one, 4), memo(also_counted, one, 3)}) == 4


def test_a_file_that_was_renamed_is_another_run():
    one = replace(made_run(n_images=60), path=Path("old.npz"))
    other = replace(one, path=Path("new.npz"))
    assert memo(counted, one) != memo(counted, other)
    assert memo(counted, [one]) != memo(counted, [other])
    assert memo(counted, align(one, one)) != memo(counted, align(one, other))
    assert memo(counted, one) == memo(counted, replace(one, path=Path("elsewhere") / "old.npz"))


def test_pairs_are_known_by_both_of_their_runs():
    one, other, third = (made_run(n_images=60, model=model) for model in ("cnn", "vit", "mlp"))
    pairs = [(one, other), (one, third), (third, other)]
    assert len({memo(counted, align(*pair)) for pair in pairs}) == 3


@pytest.mark.parametrize("changes", [{"logits": np.eye(10)[[3] * 60]}, {"meta": {"model": "b"}}])
def test_a_run_with_other_content_is_not_known_as_the_one_that_it_was_made_of(changes):
    """Results of the first would be shown of the second: dataclasses.replace takes the digest over."""
    run = made_run(n_images=60)
    other = replace(run, **changes)
    assert run.digest and not other.digest and memo(counted, run) != memo(counted, other)
    assert replace(run).digest == replace(run, path=Path("new.npz")).digest == run.digest
    assert replace(run, **changes, digest="own").digest == "own" and not replace(other, history={}).digest


def test_a_run_that_was_never_saved_is_known_by_itself():
    run = replace(made_run(n_images=60), digest="")
    found = memo(counted, run)
    assert memo(counted, run) == found != memo(counted, replace(run))


def nothing(*_):
    return None


@pytest.mark.parametrize("form", [lambda a, b: align(a, b), lambda a, b: [a, (b, 1)]], ids=["pair", "list"])
def test_runs_that_were_never_saved_live_as_long_as_what_was_computed_of_them(form):
    argument = form(*(replace(made_run(n_images=60, model=model), digest="") for model in ("cnn", "vit")))
    runs = (argument.a, argument.b) if isinstance(argument, AlignedPair) else (argument[0], argument[1][0])
    alive = [weakref.ref(run) for run in runs]
    memo(nothing, argument)
    del argument, runs
    gc.collect()
    assert [run() is not None for run in alive] == [True, True], "another run would get the id of a forgotten one"


def test_the_oldest_results_are_forgotten():
    assert MOST_RESULTS == 512
    first = memo(counted, "first")
    for number in range(511):
        memo(counted, "number", number)
    assert memo(counted, "first") == first  # which makes it the newest
    memo(counted, "number", 511)
    assert memo(counted, "first") == first
    for number in range(512):
        memo(counted, "number", number)
    assert memo(counted, "first") != first


def slow(waiting, name):
    CALLS.append(name)
    waiting.wait(10)
    return len(CALLS)


def test_two_threads_that_ask_at_once_compute_once():
    waiting, found = threading.Event(), []
    threads = [threading.Thread(target=lambda: found.append(memo(slow, waiting, "slow"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    threading.Timer(0.2, waiting.set).start()
    for thread in threads:
        thread.join(10)
    assert len(set(found)) == 1 and len(found) == 2 and CALLS.count("slow") == 1


def test_sizes_are_those_of_arrays_and_tables_wherever_they_are():
    array, table = np.zeros((10, 5)), pd.DataFrame({"x": np.zeros(7)})
    assert size_of(array) == 400 and size_of(table) == table.memory_usage().sum() and size_of("text") == 100
    sparse = csr_array((np.ones(30), (np.arange(30), np.arange(30))), shape=(1000, 1000))
    assert 30 * (8 + 4) + 1000 * 4 <= size_of(sparse) < 30_000
    assert size_of([array, array]) == size_of((array, array)) == 900 and size_of({"a": array, "b": 1}) == 600
    run = made_run(n_images=60)
    parts = [getattr(run, field.name) for field in fields(run)]
    assert size_of(run) == 100 + sum(map(size_of, parts)) and size_of(run) > run.logits.nbytes


def test_what_is_larger_than_all_may_be_is_computed_each_time(monkeypatch):
    monkeypatch.setattr(memory, "MOST_BYTES", 1000)
    results = memory._Results()
    results["small"] = (1, np.zeros(10))
    with pytest.raises(ValueError, match="too large"):
        results["large"] = (1, np.zeros(1000))
    assert list(results) == ["small"]
    for number in range(5):
        results[number] = (1, np.zeros(20))
    assert len(results) < 5 and 4 in results and "small" not in results, "the oldest make room"


def test_what_is_kept_is_known_before_it_is_asked_for():
    assert not is_kept(counted, "not yet")
    memo(counted, "not yet")
    assert is_kept(counted, "not yet") and not is_kept(counted, "never")
