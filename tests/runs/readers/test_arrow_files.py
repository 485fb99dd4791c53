"""Feather and Arrow's streams are read as Parquet is, and what they unpack to is known before."""

import struct
import sys
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, same, taken
from made import made_run

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers import tables
from cifarcore.runs.readers.arrow_files import arrow_table
from cifarcore.runs.readers.columnar import read_table
from cifarcore.runs.readers.tables import from_table

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
pytest.importorskip("pyarrow.compute", reason="pyarrow is not installed: pip install pyarrow")


def table_in(path):
    return read_table(path, "Arrow", arrow_table)


def frame(run):
    scores = dict(zip(run.class_names, run.logits.T.astype(np.float32), strict=True))
    return pd.DataFrame({"label": run.class_names[run.labels], "sample_id": run.sample_ids} | scores)


@pytest.mark.parametrize("compression", ["lz4", "zstd", "uncompressed"])
def test_feather(tmp_path, compression):
    run = made_run(5, 60)
    frame(run).to_feather(tmp_path / "x.feather", compression=compression)
    same(taken(tmp_path / "x.feather", tmp_path).run, run)


@pytest.mark.parametrize("compression", ["lz4", None])
def test_streams(tmp_path, compression):
    """As `datasets` saves them, in several batches; texts may be kept once for all rows."""
    run = made_run(5, 60)
    table = pyarrow.Table.from_pandas(frame(run).astype({"label": "category"}))
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_stream(tmp_path / "x.arrow", table.schema, options=options) as stream:
        for batch in table.to_batches(max_chunksize=7):
            stream.write_batch(batch)
    same(taken(tmp_path / "x.arrow", tmp_path).run, run)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("content", ["numbers", "texts", "categories"])
def test_small_files_that_unpack_to_much_are_refused(tmp_path, monkeypatch, compression, content):
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 1 << 22)
    cells = {
        "numbers": {"a": np.zeros(1 << 20)},
        "texts": {"file": ["x" * 10_000] * 1_000},
        "categories": {"file": pd.Categorical.from_codes(np.zeros(1_000, int), ["x" * 10_000])},
    }[content]
    pd.DataFrame(cells | {"b": 0.5, "c": 0.5}).to_feather(tmp_path / "x.feather", compression=compression)
    assert (tmp_path / "x.feather").stat().st_size < 1 << 20
    read = []
    reads = pyarrow.ipc.open_stream
    monkeypatch.setattr(pyarrow.ipc, "open_stream", lambda *args: read.append(args) or reads(*args))
    with pytest.raises(CifarcoreError, match="GiB when read"):
        table_in(tmp_path / "x.feather")
    assert len(read) == (content == "categories"), "before anything is unpacked, but for what is kept once"


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"ARROW1\x00\x00" + b"\xff" * 50, b"FEA1" * 20, b"\xff" * 100])
def test_damaged_files(tmp_path, content):
    (tmp_path / "x.feather").write_bytes(content)
    assert "x.feather: " in refused(tmp_path / "x.feather", tmp_path)


@pytest.mark.parametrize("cells", [["a", "bcdefg", "h"], [[0.5], [0.5] * 6, [0.5]]], ids=["texts", "lists"])
def test_places_beyond_a_buffer_end_no_process(tmp_path, cells):
    """A file may say that a text begins anywhere in memory."""
    table = pyarrow.table({"file": cells, "a": [0.5] * 3, "b": [0.5] * 3})
    with pyarrow.ipc.new_file(tmp_path / "x.arrow", table.schema) as file:
        file.write_table(table)
    content = (tmp_path / "x.arrow").read_bytes()
    assert content.count(places := struct.pack("<4i", 0, 1, 7, 8)) == 1
    (tmp_path / "x.arrow").write_bytes(content.replace(places, struct.pack("<4i", 0, 1, 1 << 30, 1 << 30)))
    assert "x.arrow: not a readable Arrow file" in refused(tmp_path / "x.arrow", tmp_path)


@pytest.mark.parametrize("written", [
    b"[", b"[]", b'{"index_columns": 3}', b'{"index_columns": [{"kind": "range"}]}',
    b'{"index_columns": [{"kind": "range", "start": 0, "stop": 1000000000000, "step": 1}]}',
    b'{"index_columns": [{"kind": "range", "start": 0, "stop": 3, "step": 0}]}',
    b'{"index_columns": [{"kind": "range", "start": "a", "stop": 3, "step": 1, "name": {}}]}',
    b'{"index_columns": [{"kind": "range", "start": 3, "stop": 0, "step": -1, "name": [1]}]}',
])  # fmt: skip
def test_what_pandas_says_of_an_index_is_not_believed(tmp_path, written):
    run = made_run(5, 60)
    table = pyarrow.Table.from_pandas(frame(run)).replace_schema_metadata({b"pandas": written})
    with pyarrow.ipc.new_file(tmp_path / "x.arrow", table.schema) as file:
        file.write_table(table)
    same(taken(tmp_path / "x.arrow", tmp_path).run, run)


@pytest.mark.apart
@pytest.mark.skipif(sys.platform == "win32", reason="Windows starts no script of a shell: run on Linux or macOS")
def test_a_file_that_ends_its_reader_does_not_end_the_app(tmp_path, monkeypatch):
    """Libraries of C++ end the process that they are in; this damage does so in pyarrow 26."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow")
    parquet.write_table(pyarrow.Table.from_pandas(frame(made_run(5, 60))), tmp_path / "x.parquet")
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    for place in range(len(content) - 900, len(content) - 8, 300):
        damaged = content.copy()
        damaged[place] ^= 3
        (tmp_path / "x.parquet").write_bytes(damaged)
        try:
            taken(tmp_path / "x.parquet", tmp_path)
        except CifarcoreError as error:
            assert str(error).startswith("x.parquet: ") and "\n" not in str(error)
    (tmp_path / "x.parquet").write_bytes(content)
    launcher = tmp_path / "python"
    launcher.write_text("#!/bin/sh\nkill -ABRT $$\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(launcher))
    assert "x.parquet: the process that reads it ended; write it as plain CSV" in refused(
        tmp_path / "x.parquet", tmp_path
    )


@pytest.mark.parametrize("kind", [pyarrow.null(), pyarrow.int8(), pyarrow.struct([("a", pyarrow.null())])])
@pytest.mark.parametrize("fixed", [True, False])
def test_values_in_lists_count_as_the_numbers_that_they_become(tmp_path, monkeypatch, kind, fixed):
    """A list of nothing takes no byte of the file, and was gigabytes in memory."""
    monkeypatch.setattr(tables, "MAX_BYTES", 8 << 20)
    values = pyarrow.nulls(2 << 20, kind)
    of = pyarrow.FixedSizeListArray.from_arrays(values, len(values)) if fixed else pyarrow.ListArray.from_arrays(
        pyarrow.array([0, len(values)], pyarrow.int32()), values)  # fmt: skip
    table = pyarrow.table({"label": ["a"], "scores": of})
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_stream(tmp_path / "x.arrow", table.schema, options=options) as stream:
        stream.write_table(table)
    with pytest.raises(CifarcoreError, match="GiB when read"):
        table_in(tmp_path / "x.arrow")


def test_numbers_in_lists_are_no_objects(tmp_path):
    """One of each took five times their size."""
    scores = np.random.default_rng(0).random((300, 2000)).astype(np.float32)
    frame = pd.DataFrame({"label": ["a"] * 300, "scores": list(scores)})
    tracemalloc.start()
    read = from_table(frame)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(read.scores, scores)
    assert most < 5 * scores.nbytes  # as they are read they are float64, and checked


SHARED = {
    "string_view": lambda texts, rows: texts.cast(pyarrow.string_view()),
    "binary_view": lambda texts, rows: texts.cast(pyarrow.binary_view()),
    "list_view": lambda texts, rows: pyarrow.array(rows, pyarrow.list_view(pyarrow.float64())),
    "run_end": lambda texts, rows: pyarrow.compute.run_end_encode(texts),
    "dictionary of lists": lambda texts, rows: pyarrow.DictionaryArray.from_arrays([0, 0, 0], pyarrow.array(rows[:1])),
    "dictionary of bytes": lambda texts, rows: pyarrow.array([b"ab"] * 3, pyarrow.binary(2)).dictionary_encode(),
    "nested": lambda texts, rows: pyarrow.ListArray.from_arrays([0, 1, 2, 3], texts.dictionary_encode()),
}


@pytest.mark.parametrize("kind", SHARED)
def test_types_whose_values_share_their_bytes_are_refused(tmp_path, kind):
    """Of two thousand views of one text of a megabyte, seven kilobytes, each became an object: six gigabytes."""
    texts, rows = pyarrow.array(["cat", "dog", "cat"]), [[0.5, 0.5]] * 3
    table = pyarrow.table({"label": texts, "mine": SHARED[kind](texts, rows)})
    with pyarrow.ipc.new_file(str(tmp_path / "x.arrow"), table.schema) as file:
        file.write_table(table)
    with pytest.raises(CifarcoreError, match="column 'mine' is of type .*; write plain numbers, texts or lists"):
        table_in(tmp_path / "x.arrow")


def test_a_field_may_be_called_a_view(tmp_path):
    table = pyarrow.table({"label": ["cat", "dog"], "camera": [{"side_view": 0.5}, {"side_view": 0.25}]})
    with pyarrow.ipc.new_file(str(tmp_path / "x.arrow"), table.schema) as file:
        file.write_table(table)
    assert len(table_in(tmp_path / "x.arrow")) == 2
