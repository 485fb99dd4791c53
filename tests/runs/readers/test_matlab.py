"""MATLAB's files, and arrays of bytes and of bfloat16, are the same run as plain ones."""

import struct
import tracemalloc
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from import_checks import refused, same, taken
from made import made_run
from scipy.io import savemat

from cifarcore.runs.formats import read_predictions
from cifarcore.runs.layout import MAX_BYTES
from cifarcore.runs.readers import matlab


@pytest.fixture(scope="module")
def run():
    return made_run(5, 60)


@pytest.mark.parametrize("packed", [False, True])
def test_matrices_and_names(run, tmp_path, packed):
    arrays = {
        "logits": run.logits.astype(np.float32),
        "labels": run.labels.astype(np.float64)[:, None],
        "sample_id": np.array([f"{i:016x}" for i in run.sample_ids], dtype=object),
        "class_names": run.class_names.astype(object),
        "options": {"epochs": 3},
    }
    savemat(tmp_path / "x.mat", arrays, do_compression=packed)
    same(taken(tmp_path / "x.mat", tmp_path).run, run)


def test_files_of_matlab_that_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cifarcore.runs.readers.matlab.MAX_BYTES", 1 << 22)
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 1 << 22)
    savemat(tmp_path / "x.mat", {"logits": np.zeros((1 << 10, 1 << 10))}, do_compression=True)
    assert (tmp_path / "x.mat").stat().st_size < 1 << 20
    assert "GiB when read" in refused(tmp_path / "x.mat", tmp_path)
    bomb = zlib.compress(bytes(1 << 23))
    header = (tmp_path / "x.mat").read_bytes()[:128]
    (tmp_path / "x.mat").write_bytes(header + struct.pack("<II", 15, len(bomb)) + bomb)
    assert "GiB when read" in refused(tmp_path / "x.mat", tmp_path)
    later = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF"
    (tmp_path / "x.mat").write_bytes(later)
    assert "MATLAB's version 7.3; save('mine.mat', 'scores', '-v7')" in refused(tmp_path / "x.mat", tmp_path)
    (tmp_path / "x.mat").write_bytes(header[:50])
    assert "not a readable .mat file" in refused(tmp_path / "x.mat", tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_millions_of_empty_cells_is_refused(tmp_path, monkeypatch, packed):
    """Of the eight bytes of each the reader makes an object: five gigabytes from 350 kB."""
    monkeypatch.setattr("cifarcore.runs.readers.matlab.MOST_CELLS", 1000)
    for n in (900, 1100):
        cells = np.empty(n, object)
        cells[:] = [np.zeros((0, 0))] * n
        savemat(tmp_path / "x.mat", {"files": cells}, do_compression=packed)
        assert ("cells; at most 1,000 are read" in refused(tmp_path / "x.mat", tmp_path)) == (n > 1000)


@pytest.mark.apart
@pytest.mark.parametrize("kind", [b"l\0\0\0", b"\xff\xff\0\0", b"\0\0\1\0"])
def test_a_kind_of_numbers_that_there_is_none_of_is_refused(tmp_path, kind):
    """It ends the process that reads it."""
    savemat(tmp_path / "x.mat", {"labels": np.arange(12) % 3})
    content = (tmp_path / "x.mat").read_bytes()
    (tmp_path / "x.mat").write_bytes(content[:184] + kind + content[188:])
    said = refused(tmp_path / "x.mat", tmp_path)
    assert (
        "x.mat: the process that reads it ended; write it as plain CSV" in said
        or "x.mat: not a readable .mat file" in said
    )


def test_bytes_and_bfloat16(run, tmp_path):
    logits = torch.from_numpy(run.logits.astype(np.float32)).bfloat16()
    raw = logits.view(torch.int16).numpy().view(np.dtype("V2"))  # as NumPy writes bfloat16 of other libraries
    texts = {"class_names": run.class_names.astype("S"), "label": run.class_names[run.labels].astype("S")}
    np.savez(tmp_path / "x.npz", logits=raw, sample_ids=run.sample_ids, **texts)
    read = read_predictions(tmp_path / "x.npz")
    np.testing.assert_array_equal(read.scores, logits.float())
    assert read.columns == tuple(run.class_names) and read.labels.tolist() == run.class_names[run.labels].tolist()
    np.save(tmp_path / "x.npy", raw)
    np.testing.assert_array_equal(read_predictions(tmp_path / "x.npy").scores, logits.float())
    table = pd.DataFrame({"file": [b"a.png", b"b.png"], "cat": [0.1, 0.9], "dog": [0.9, 0.1]})
    table.to_parquet(tmp_path / "x.parquet")
    assert read_predictions(tmp_path / "x.parquet").files == ("a.png", "b.png")


@pytest.mark.parametrize("claimed", [0xFFFFFFF0, MAX_BYTES - 1])
def test_no_room_is_made_for_what_a_variable_claims_to_be(tmp_path, claimed):
    path = tmp_path / "claims.mat"
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, claimed) + b"x" * 50)
    tracemalloc.start()
    if claimed > MAX_BYTES:
        assert "GiB when read" in refused(path, tmp_path)
    else:
        matlab._refuse_bomb(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 20
