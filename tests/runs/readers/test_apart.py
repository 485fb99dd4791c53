"""Reading in a process of its own: what comes is the same, and a file that takes too much is refused in a line."""

import json
import os
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import savemat

from cifarcore.errors import CifarcoreError, readable
from cifarcore.runs import formats
from cifarcore.runs.formats import read_here, read_predictions
from cifarcore.runs.readers import apart
from cifarcore.runs.readers.handed import hand_over, handed

pytestmark = pytest.mark.apart

TABLE = {"file": ["a.png", "b.png", "c é.png"], "label": ["dog", "cat", "cat"], "site": ["x", "y", "z"],
         "cat": [0.25, 0.5, 1e-9], "dog": [0.75, 0.5, 1.0]}  # fmt: skip
IDS = np.array([1, 2**63, 2**64 - 1], np.uint64)
ROOT = Path(__file__).parents[3]
TRACED = """
import sys
sys.stdin.read()
kept = [bytearray(b"x") * (10 << 20) for _ in range(1_000_000)]
"""


def written(name, folder):
    path, frame = folder / name, pd.DataFrame(TABLE)
    if name == "texts":
        path.mkdir()
        for file, cat, dog in zip(frame.file, frame.cat, frame.dog, strict=True):
            (path / file.replace("png", "txt")).write_text(f"{cat:.3f} cat\n{dog:.3f} dog\n")
    elif name.endswith("csv"):
        frame.to_csv(path, index=False)
    elif name.endswith("json"):
        frame.assign(sample_id=IDS).drop(columns="file").to_json(path, orient="records")
    elif name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
        frame.to_parquet(path)
    elif name.endswith("npz"):
        np.savez(
            path, probabilities=frame[["cat", "dog"]], sample_ids=IDS, label=frame.label.to_numpy(str), site=[1, 2]
        )
    elif name.endswith("mat"):
        savemat(path, {"scores": frame[["cat", "dog"]].to_numpy(), "labels": [1, 0, 0], "row": [2, 0, 1]})
    else:
        path.write_text("file,prediction\n" + "".join(f"{file},cat\n" for file in TABLE["file"]))
    return path


def assert_same(one, other):
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype and np.array_equal(mine, theirs), field.name
        else:
            assert mine == theirs and type(mine) is type(theirs), field.name


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.parquet", "x.mat", "x.npz", "texts", "x.txt"])
def test_what_is_read_apart_is_what_would_be_read_here(tmp_path, name):
    path = written(name, tmp_path)
    assert_same(read_predictions(path, ("cat", "dog")), read_here(path, ("cat", "dog")))


def test_nothing_is_lost_on_the_way(tmp_path):
    """Of every kind that a field may have: a number of NumPy's, a name that is not Unicode, nested tuples."""
    read = formats.Predictions(
        np.array(["a", "b"]), "classes", ("a", "\udcff"), True, True, np.array([0, 1]), IDS[:2], ("é", "\ud800"),
        np.array([1, 0]), (("labels", "y"),), ("z",), ((np.int64(0), "a"),), ((np.int64(1), "b", 2),), ("note\n",),
    )  # fmt: skip
    hand_over(read, tmp_path / "out")
    assert_same(handed(tmp_path / "out"), read)


@pytest.mark.parametrize("name", ["wrong.csv", "two\nlines.csv", "\udcff.csv"])
def test_it_refuses_in_the_same_words(tmp_path, name):
    path = tmp_path / name
    try:
        path.write_text("file,cat,dog\na.png,0.5,nan\n")
    except (OSError, UnicodeError):
        pytest.skip("a file cannot be called so here: run on Linux")
    with pytest.raises(CifarcoreError) as said:
        read_predictions(path)
    with pytest.raises(CifarcoreError) as here:
        read_here(path)
    assert str(said.value) == f"{readable(name)}: {here.value}" and "are NaN" in str(here.value)


def test_what_is_known_is_told(tmp_path):
    """The classes say which one the column is of; what looks like probabilities is what it is said to be."""
    (tmp_path / "x.csv").write_text("file,label,yes\na.png,no,0.2\nb.png,yes,0.9\n")
    read = read_predictions(tmp_path / "x.csv", ("yes", "no"), "logits")
    np.testing.assert_allclose(read.scores, [[0, 0.2], [0, 0.9]])
    assert read.kind == "logits" and read.columns == ("no", "yes")
    with pytest.raises(CifarcoreError, match="none of the two classes no and oui"):
        read_predictions(tmp_path / "x.csv", ("no", "oui"), "logits")


def reader_of(tmp_path, monkeypatch, code):
    """Has this code read instead, and returns a file to be read."""
    (tmp_path / "stand_in_reader.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "x.csv").write_text("a")
    return tmp_path / "x.csv"


def read_by(path):
    with apart.read_apart("stand_in_reader", path, "write CSV") as out:
        return out.read_bytes()


def test_a_process_that_takes_all_memory_is_ended(tmp_path, monkeypatch):
    path = reader_of(tmp_path, monkeypatch, TRACED)
    monkeypatch.setattr(apart, "MEMORY", 200 << 20)
    with pytest.raises(CifarcoreError, match="^takes more than 0.2 GiB of memory to read, too much for its 0.0 MiB; "):
        read_by(path)


def test_a_larger_file_may_take_more(tmp_path, monkeypatch):
    path = reader_of(tmp_path, monkeypatch, TRACED.replace("1_000_000", "30") + "open(sys.argv[2], 'w').write('b')")
    monkeypatch.setattr(apart, "MEMORY", 100 << 20)
    monkeypatch.setattr(apart, "MEMORY_PER_BYTE", 1)
    path.write_bytes(bytes(400 << 20))
    assert read_by(path) == b"b"


def test_a_process_that_does_not_end_is_ended(tmp_path, monkeypatch):
    path = reader_of(tmp_path, monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(apart, "SECONDS", 0.2)
    started = []
    popen = apart.subprocess.Popen
    monkeypatch.setattr(apart.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[0])
    with pytest.raises(CifarcoreError, match="^not read within 0 seconds; write CSV$"):
        read_by(path)
    assert started[0].returncode is not None


def test_what_it_says_at_length_is_no_hindrance(tmp_path, monkeypatch):
    """A pipe that nobody empties would stop it."""
    code = "import sys; print('x' * 1_000_000, file=sys.stderr); sys.exit('the last line')"
    with pytest.raises(CifarcoreError, match="^the last line$"):
        read_by(reader_of(tmp_path, monkeypatch, code))


def test_modules_beside_the_user_are_not_taken_for_those_of_python(tmp_path, monkeypatch):
    path = written("x.csv", tmp_path)
    (tmp_path / "csv.py").write_text("raise SystemExit('csv of mine')")
    monkeypatch.chdir(tmp_path)
    assert len(read_predictions(path).scores) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no /dev/full: run on Linux")
def test_no_room_for_what_is_read_is_said(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here: run on Linux")
    read = read_here(written("x.csv", tmp_path))
    with pytest.raises(CifarcoreError, match="^there is no room to read it in .* [(]No space left on device[)]$"):
        hand_over(read, Path("/dev/full"))


def test_the_question_is_asked_in_plain_text(tmp_path):
    """Names of classes that no encoding has reach the process all the same."""
    assert json.loads(json.dumps([["\udcff"], ""])) == [["\udcff"], ""]
    path = written("x.csv", tmp_path)
    assert read_predictions(path, ("cat", "dog", "\udcff")).columns == ("cat", "dog")


def test_the_page_on_security_says_what_a_file_may_take():
    said = " ".join((ROOT / ".github" / "docs" / "security.md").read_text(encoding="utf-8").split())
    assert f"more than {apart.MEMORY >> 30} GiB and {apart.MEMORY_PER_BYTE} bytes for each byte of the file" in said
    assert f"more than {apart.SECONDS} seconds and half a second for each MiB" in said
    assert apart.SECONDS_PER_BYTE * 2**20 == 0.5
