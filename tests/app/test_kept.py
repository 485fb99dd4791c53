"""The comparison that is kept on disk between starts: it comes back as it was, and never as another one's."""

import os
import subprocess
import sys
from dataclasses import fields, replace

import pandas as pd
import pytest
from made import classes_only, made_run
from pages import run, side, text, two_models, write
from processes import ROOT

from cifarcore.app import kept
from cifarcore.app.pages import overview
from cifarcore.evidence import comparison, delong
from cifarcore.runs.memo import _remembered as cache
from cifarcore.runs.memo import memo
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "cache_folder", lambda: tmp_path / "cache")
    cache.cache_clear()
    return tmp_path / "cache" / "compared"


def saved(folder, *runs):
    """Sides of runs as they are read from files."""
    sides = {}
    for one in runs:
        path = save_run(one, folder / f"{one.group}-{one.meta['seed']}.npz")
        sides.setdefault(one.group, []).append(load_run(path))
    return [side(letter, *of) for letter, of in zip("AB", sides.values(), strict=True)]


def assert_same(one, other):
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, pd.DataFrame):
            pd.testing.assert_frame_equal(mine, theirs, check_exact=True, check_index_type=False)
        else:
            assert mine == theirs and type(mine) is type(theirs)


MODELS = {
    "a seed each": two_models,
    "several seeds": lambda: two_models(seeds=(0, 1, 2)),
    "without superclasses": lambda: two_models(superclasses=False),
    "of classes alone": lambda: [classes_only(one) for one in two_models()],
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_what_is_kept_comes_back_as_it_was(folder, place, make):
    a, b = saved(folder, *make())
    kept.compare_ahead(a, b)
    computed = memo(comparison.compare, a.runs, b.runs)
    (path,) = place.iterdir()
    assert_same(kept._read(path, a, b), computed)
    assert_same(comparison.compare(a.runs, b.runs), computed)


def start(folder, cache, code="pass"):
    """A process that reads ahead as a server does; what it says of how it came to the comparison."""
    script = f"""
from pathlib import Path
from cifarcore.app import kept
from cifarcore.app.pages import overview
from cifarcore.evidence import comparison, delong
one_vs_rest = delong.one_vs_rest
delong.one_vs_rest = lambda runs: print("computed") or one_vs_rest(runs)
{code}
overview.read_ahead(Path({str(folder.parent)!r}))
"""
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "CIFARCORE_RUNS": str(folder), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_second_start_computes_nothing_unless_runs_or_code_have_changed(folder, tmp_path):
    write(folder, *two_models())
    assert start(folder, tmp_path) == ["computed"] and start(folder, tmp_path) == []
    assert start(folder, tmp_path, "kept._code = lambda: ['another version']") == ["computed"]
    write(folder, made_run(model="resnet18", accuracy=0.6))
    assert start(folder, tmp_path) == ["computed"]


@pytest.mark.parametrize("damage", ["cut", "no archive", "of other runs", "empty", "too large"])
def test_what_is_damaged_or_tells_of_other_runs_is_made_again(folder, place, damage, monkeypatch):
    a, b = saved(folder, *two_models())
    kept.compare_ahead(a, b)
    (path,) = place.iterdir()
    content = path.read_bytes()
    if damage == "of other runs":
        result = memo(comparison.compare, a.runs, b.runs)
        table = result.metrics.copy()
        table.loc["accuracy", "b"] += 0.01
        kept._write(path, replace(result, metrics=table))
    elif damage == "too large":
        monkeypatch.setattr(kept, "MOST_BYTES", len(content) - 1)
    else:
        path.write_bytes({"cut": content[: len(content) // 2], "no archive": b"x" * 99, "empty": b""}[damage])
    assert kept._read(path, a, b) is None


def test_few_files_are_kept_and_a_full_disk_is_no_error(folder, place, monkeypatch):
    a, b = saved(folder, *two_models())
    result = comparison.compare(a.runs, b.runs)
    for number in range(kept.MOST_FILES + 3):
        path = place / f"{number}.npz"
        kept._write(path, result)
        os.utime(path, (number, number))
    assert len(list(place.iterdir())) == kept.MOST_FILES and path.exists() and not (place / "0.npz").exists()

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "atomic_write", full)
    other = saved(folder, *two_models(n_images=300))
    kept.compare_ahead(*other)
    assert memo(comparison.compare, other[0].runs, other[1].runs).better == "B"


def test_the_page_says_the_same_of_what_was_kept(folder, place, monkeypatch):
    write(folder, *two_models())
    overview.read_ahead(folder.parent)
    said = text(run(folder, "overview"))
    cache.cache_clear()
    monkeypatch.setattr(delong, "one_vs_rest", lambda *_: pytest.fail("again"))
    overview.read_ahead(folder.parent)
    assert text(run(folder, "overview")) == said and "beats" in said
