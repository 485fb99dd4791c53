"""Hostile run files by the thousand: each is refused in one line, or is a run in which everything holds.

The million: `fuzz.py`. Single kinds of damage, each with its message, are in tests/runs/.
"""

import os
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import made_run, whole_run
from mutants import TEXTS, Chance, Whole, hostile_file, npy, outcome, zipped

from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run, read_header, save_run


class Drawn:
    """Choices by hypothesis, which makes a failing case small."""

    def __init__(self, data):
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def octets(self, most: int) -> bytes:
        return self.data.draw(st.binary(max_size=most))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole.npz"
    return Whole(save_run(whole_run(), path))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "hostile.npz"


def try_chance(whole, path, seeds) -> set[str]:
    said = set()
    for seed in seeds:
        path.write_bytes(hostile_file(Chance(seed), whole))
        said.add(outcome(path))
    return said


def test_hostile_files_by_chance(whole, path):
    said = try_chance(whole, path, range(3000))
    assert "accepted" in said and len(said) > 40, "the damage reaches every check"


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
def test_hostile_files_by_chance_many_times(whole, path, chunk):
    try_chance(whole, path, range(10**6 + chunk * 10_000, 10**6 + (chunk + 1) * 10_000))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_files_by_hypothesis(whole, path, data):
    path.write_bytes(hostile_file(Drawn(data), whole))
    outcome(path)


@pytest.mark.slow
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_hostile_files_by_hypothesis_many_times(whole, path, data):
    path.write_bytes(hostile_file(Drawn(data), whole))
    outcome(path)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:12]))
def test_any_name_is_refused_or_kept_as_it_is(whole, path, text):
    names = ["ant", "bee", "cat", text]
    arrays = {name: array for name, array in whole.arrays.items() if name != "class_names"}
    np.savez(path, **arrays, class_names=np.array(names))
    if outcome(path) == "accepted":
        assert load_run(path).class_names.tolist() == np.array(names).tolist()


def test_ten_thousand_characters_and_ten_thousand_zip_entries(whole, path):
    arrays = {name: array for name, array in whole.arrays.items() if name != "class_names"}
    np.savez(path, **arrays, class_names=np.array(["ant", "bee", "cat", "d" * 10_000]))
    with pytest.raises(RunFileError, match="text of 10000 characters"):
        load_run(path)
    path.write_bytes(zipped([*whole.members.items(), *((f"more{n}", b"") for n in range(10_000))]))
    began = time.process_time()
    assert outcome(path) == "accepted"
    assert time.process_time() - began < 5


def test_an_array_header_of_any_length_takes_no_memory(whole, path):
    for length in (65_000, 2**24, 2**32 - 1):
        header = b"\x93NUMPY\x02\x00" + length.to_bytes(4, "little") + b" " * 70_000
        path.write_bytes(zipped(list((whole.members | {"logits": header}).items())))
        with pytest.raises(RunFileError):
            load_run(path)


def test_a_name_in_the_archive_that_leads_elsewhere_writes_nothing(whole, tmp_path):
    path = tmp_path / "in" / "run.npz"
    path.parent.mkdir()
    path.write_bytes(zipped([*whole.members.items(), ("../outside", npy(np.ones(1))), ("/tmp/outside", b"x")]))
    assert load_run(path).n_images == 12
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["in", "run.npz"]


def test_a_link_is_read_as_what_it_leads_to_and_nothing_else(whole, tmp_path):
    real = tmp_path / "real.npz"
    real.write_bytes(whole.files[0])
    (tmp_path / "link.npz").symlink_to(real)
    assert load_run(tmp_path / "link.npz").n_images == 12
    for target in ("/dev/zero", "/etc/passwd", str(tmp_path), "/proc/self/mem"):
        link = tmp_path / f"to{target.replace('/', '-')}.npz"
        link.symlink_to(target)
        with pytest.raises(RunFileError) as refused:
            read_header(link)
        assert "root:" not in str(refused.value), "what the link leads to is not shown"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads its own memory from /proc: run on Linux")
def test_what_is_refused_takes_no_memory(path):
    """Just below the limit of what is read: 2 GiB of the same id, in two megabytes of file."""
    code = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        load_run(path)
    except RunFileError as error:
        print(error)
    else:
        sys.exit("accepted")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    bombs = []
    for name, length in (("meta", 2 << 30), ("class_names", 3 << 30), ("future", 4 << 30)):
        bomb = path.with_name(f"{name}.npz")
        header = f"{{'descr': '<U1', 'fortran_order': False, 'shape': ({length // 4},), }}\n".encode()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
                for _ in range(8):
                    file.write(bytes(2**20))
        bombs.append(str(bomb))
    done = subprocess.run([sys.executable, "-c", code, *bombs], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[-1]) < 200, "MiB"


def test_hostile_files_among_whole_ones_leave_the_whole_ones(whole, tmp_path):
    from cifarcore.app.catalog import find_runs

    save_run(replace(made_run(n_classes=4, n_images=12), meta={"model": "whole"}), tmp_path / "whole.npz")
    for seed in range(150):
        (tmp_path / f"hostile{seed}.npz").write_bytes(hostile_file(Chance(seed), whole))
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    catalog = find_runs(tmp_path)
    assert "whole" in catalog.groups and {"pipe.npz", "folder.npz", "loop.npz"} <= set(catalog.refused)
    assert all("\n" not in reason for reason in catalog.refused.values())
