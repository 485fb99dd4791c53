"""Small files that unpack to much: their size is known before any of it is there, and said."""

import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from made import made_run
from pages import run as page
from pages import text

from cifarcore import memory
from cifarcore.app import catalog
from cifarcore.data.packs import Pack
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.comparison import compare, refuse_too_large
from cifarcore.files import MOST_LISTED, version
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.roc import SOURCES, pair_frame
from cifarcore.runs import archive, memo
from cifarcore.runs.formats import read_labels, read_predictions
from cifarcore.runs.layout import MAX_COLUMNS, MAX_IMAGES
from cifarcore.runs.metadata import read_metadata
from cifarcore.runs.readers import tables
from cifarcore.runs.run import Run, load_run, save_run
from cifarcore.training.checkpoints import MOST_VALUES, as_listed, load_checkpoint, load_tensors
from cifarcore.training.evaluation import load_features

MIB = 1 << 20


def refused(read, *arguments) -> str:
    with pytest.raises(CifarcoreError) as error:
        read(*arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


def npz(path, **arrays):
    np.savez_compressed(path, **arrays)
    return path


def test_bytes_of_scores_count_as_the_numbers_that_are_made_of_them(tmp_path, monkeypatch):
    path = npz(tmp_path / "scores.npz", logits=np.zeros((3000, 200), np.int8), labels=np.zeros(3000, np.int16))
    assert archive.read_npz(path)["logits"].shape == (3000, 200)
    monkeypatch.setattr(archive, "MAX_BYTES", 2 * MIB)  # of which they are a third, and as float32 more
    assert "GiB when decompressed" in refused(read_predictions, path)


def test_what_this_machine_cannot_hold_is_refused_with_its_size(tmp_path, monkeypatch):
    path = npz(tmp_path / "scores.npz", logits=np.zeros((3000, 200), np.float32))
    monkeypatch.setattr(memory, "memory_bytes", lambda: 8 * MIB)
    said = refused(archive.read_npz, path)
    assert "scores.npz: reading it takes about" in said and "GiB of this machine" in said


def test_more_rows_than_are_read_are_refused_whatever_they_hold(tmp_path):
    labels = np.zeros(MAX_IMAGES + 1, "U2")
    path = npz(tmp_path / "labels.npz", probabilities=np.full((10, 2), 0.5, np.float32), labels=labels)
    assert f"'labels' has {MAX_IMAGES + 1:,} rows" in refused(read_predictions, path)


def test_of_an_archive_of_labels_no_other_array_is_unpacked(tmp_path):
    path = npz(tmp_path / "labels.npz", features=np.zeros((4000, 2000)), label=np.arange(4000) % 7)
    assert path.stat().st_size < MIB
    tracemalloc.start()
    labels = read_labels(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(labels) == 4000 and most < 4 * MIB


@pytest.mark.parametrize("name", ["wide.csv", "headless.csv", "empty.csv", "wide.json", "split.json", "keys.json"])
def test_more_columns_than_are_read_are_refused_before_there_is_a_table(tmp_path, name):
    """A data frame of a million columns takes minutes; one of a column for each row, all memory."""
    many = range(MAX_COLUMNS + 1)
    content = {
        "wide.csv": "label," + ",".join(f"c{i}" for i in many) + "\nc1" + ",0.5" * len(many),
        "headless.csv": "\n".join([",".join(["0.5"] * len(many))] * 2),
        "empty.csv": "\n".join(["a" + "," * 11 * len(many)] * 2),
        "wide.json": json.dumps([{f"c{i}": 0.5 for i in many}]),
        "split.json": json.dumps({"columns": [f"c{i}" for i in many], "data": [[0.5] * len(many)]}),
        "keys.json": json.dumps([{f"c{i}": 0.5} for i in many]),
    }
    (tmp_path / name).write_text(content[name])
    assert f" columns; at most {MAX_COLUMNS:,} are read" in refused(read_predictions, tmp_path / name)


def test_more_lines_than_are_read_are_refused_before_there_is_a_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MAX_IMAGES", 50)
    (tmp_path / "long.csv").write_text("file,a,b\n" + ",,\n" * 200)
    assert "rows; at most 50 are read" in refused(read_predictions, tmp_path / "long.csv")
    (tmp_path / "labels.txt").write_text("a\n" * 200)
    assert "200 rows; at most 50 are read" in refused(read_labels, tmp_path / "labels.txt")
    (tmp_path / "known.csv").write_text("file" + ",c" * 500 + "\n" + "," * 500)
    assert "more than 100 columns" in refused(read_metadata, str(tmp_path / "known.csv"), ["a"], None)


def _listing(path, least, name="{}.npy"):
    """An archive whose list of entries takes at least so many bytes."""
    with zipfile.ZipFile(path, "w") as made:
        for number in range(1000):
            made.writestr(name.format(number), b"")
    content = path.read_bytes()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    listed = content[start:end] * (least // (end - start) + 1)
    foot = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(listed), start, 0)
    path.write_bytes(content[:start] + listed + foot)


def test_archives_of_entries_without_end_are_refused_before_they_are_listed(tmp_path):
    """Of each entry zipfile makes an object ten times as large as what stands in the file."""
    _listing(tmp_path / "many.npz", MOST_LISTED)
    for read in (read_predictions, load_run, as_listed):
        with pytest.raises((CifarcoreError, zipfile.BadZipFile), match="its list of entries has"):
            read(tmp_path / "many.npz")
    assert not archive.is_run_file(tmp_path / "many.npz")


READ_PACK = """
import resource, sys
from pathlib import Path
from cifarcore.data import packs
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
known_images()
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))
for path in map(Path, sys.argv[1:]):
    try:
        print(len(packs.Pack(path).ids), "pictures", len(packs.packed_files(path)), "files")
    except CifarcoreError as error:
        print(error, len(packs.packed_files(path)), "files")
"""


def test_packs_of_more_pictures_than_memory_holds_are_refused_with_their_size(tmp_path):
    """Of two million, zipfile makes 1.2 GB."""
    pytest.importorskip("resource", reason="Windows limits no process's memory: run on Linux or macOS")
    if sys.platform != "linux":
        pytest.skip("only Linux keeps to a limit of address space: run there")
    for name, least in (("many", 2_000_000 * 66), ("few", 1000)):
        _listing(tmp_path / f"{name}.pictures.zip", least, "{:016x}.png")
    paths = [str(tmp_path / f"{name}.pictures.zip") for name in ("many", "few")]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ_PACK, *paths], env=environment, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    many, few = done.stdout.splitlines()
    assert many.startswith("many.pictures.zip: no readable pack of pictures (its list of entries has 132,066,000 bytes")
    assert few == "1000 pictures 0 files"


def test_of_a_pack_no_more_is_kept_than_finds_its_pictures(tmp_path):
    _listing(tmp_path / "some.pictures.zip", 1000, "{:016x}.png")
    Pack(tmp_path / "some.pictures.zip")  # reads which images are known, once
    tracemalloc.start()
    pack = Pack(tmp_path / "some.pictures.zip")
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(pack.ids) == 1000 and kept < 150 * len(pack.ids)


def _parquet(path, **columns):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    n = len(next(iter(columns.values())))
    table = pyarrow.table({"label": ["a"] * n, "a": [0.5] * n, "b": [0.5] * n} | columns)
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install pyarrow").write_table(
        table, path, compression="zstd", dictionary_pagesize_limit=4 * MIB
    )
    assert path.stat().st_size < MIB
    return path


def test_parquet_is_bounded_by_what_it_decodes_to(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    from cifarcore.runs.readers.columnar import parquet_table

    monkeypatch.setattr(tables, "MAX_BYTES", 8 * MIB)
    zeros = pyarrow.array(np.zeros(2_000_000))
    repeated = ["x" * MIB] * 20
    for name, column in {
        "a list of many numbers": pyarrow.ListArray.from_arrays(pyarrow.array([0, len(zeros)], pyarrow.int32()), zeros),
        "bytes that are repeated": pyarrow.array([each.encode() for each in repeated], pyarrow.binary()),
        "text that is repeated": pyarrow.array(repeated),
        "text that is repeated in lists": pyarrow.array([[each] for each in repeated]),
    }.items():
        path = _parquet(tmp_path / "some.parquet", more=column)
        assert "GiB when read" in refused(parquet_table, path), name
    refused(read_predictions, _parquet(tmp_path / "small.parquet", more=pyarrow.array([["cat"], ["dog"]])))


@pytest.mark.parametrize("name", ["some.parquet", "some.feather"])
def test_objects_that_pandas_would_make_are_bounded(tmp_path, monkeypatch, name):
    """A file of some KiB may have millions of rows that are no numbers."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    from pyarrow import feather, parquet

    def written(column):
        table = pyarrow.table({"label": pyarrow.array(np.zeros(len(column), np.int8)), "more": column})
        (parquet.write_table if name.endswith("parquet") else feather.write_feather)(table, str(tmp_path / name))
        return tmp_path / name

    zeros = pyarrow.array(np.zeros(2_000_001, np.int8))
    assert "2,000,001 rows; at most 2,000,000 are read" in refused(read_predictions, written(zeros))
    few = zeros[:20_000]
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", MIB)
    struct = pyarrow.StructArray.from_arrays([few], ["x"])
    offsets = pyarrow.array(np.arange(20_001, dtype=np.int32))
    for column in (struct, pyarrow.ListArray.from_arrays(offsets, few), pyarrow.ListArray.from_arrays(offsets, struct)):
        assert "GiB when read" in refused(read_predictions, written(column))
    decimals = pyarrow.array([1] * 20_000, pyarrow.decimal128(5, 2))
    assert "GiB when read" in refused(read_predictions, written(decimals))
    assert "GiB when read" not in refused(read_predictions, written(few))


def test_features_are_bounded_too(tmp_path, monkeypatch):
    arrays = {"test": np.zeros((2000, 512), np.float16), "test_ids": np.zeros(2000, np.uint64)}
    arrays |= {"train": arrays["test"], "train_ids": arrays["test_ids"], "train_labels": np.zeros(2000, np.int16)}
    path = npz(tmp_path / "run.features.npz", **arrays)
    assert load_features(path).test.dtype == np.float16
    monkeypatch.setattr(archive, "MAX_BYTES", MIB)
    assert "delete it and run `cifarcore evaluate` again" in refused(load_features, path)
    monkeypatch.undo()
    assert "damaged" in refused(load_features, npz(path, **arrays | {"test": np.zeros(3)}))
    assert "damaged" in refused(load_features, npz(path, test=arrays["test"]))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": (10**9, 1000)})
    with zipfile.ZipFile(path, "w") as promise:
        promise.writestr("test.npy", header.getvalue())
    assert "not as long as its header says" in refused(load_features, path)


def _saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_a_checkpoint_with_two_lists_of_entries_is_what_the_checked_one_says(tmp_path):
    for first, second in (({"of": 1}, {"of": 2}), ({"of": torch.zeros(MIB)}, {"of": 2})):
        (tmp_path / "two.pt").write_bytes(_saved(first) + _saved(second))
        try:
            assert load_tensors(tmp_path / "two.pt")["of"] == 2
        except CifarcoreError as error:
            assert "not a readable checkpoint" in str(error)


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    with zipfile.ZipFile(io.BytesIO(_saved({"weights": torch.zeros(MIB)}))) as whole:
        with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in whole.namelist():
                packed.writestr(name, whole.read(name))
    assert "compressed" in refused(load_tensors, tmp_path / "bomb.pt")


def _endless():
    lists = []
    for _ in range(80):
        lists = [lists, lists]
    return lists


def _deep():
    lists = []
    for _ in range(300):
        lists = [lists]
    return lists


@pytest.mark.parametrize("place", ["format", "config", "meta", "class_names", "weights", "history", "key"])
@pytest.mark.parametrize("make", [_endless, _deep])
def test_lists_without_end_in_a_checkpoint_are_no_message_without_end(tmp_path, place, make):
    content = {"format": 1, "config": {}, "weights": {}, "class_names": ["a", "b"], "meta": {}, "history": {}}
    content |= {place: {"batch_size": make()} if place == "config" else make()}
    try:
        torch.save(content, tmp_path / "lists.pt")
    except RecursionError:
        pytest.skip("this Python cannot write it: run with another version")
    said = refused(load_checkpoint, tmp_path / "lists.pt")
    assert f"{MOST_VALUES:,} values" in said


@pytest.mark.parametrize("place", ["format", "weights", "meta"])
def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path, place):
    """One number may be of any shape, and comparing it with another makes all of them."""
    content = {"format": 1, "config": {}, "weights": {}, "class_names": ["a", "b"], "meta": {}, "history": {}}
    wide = torch.zeros(1).expand(10**6, 1, 10**6)
    torch.save(content | {place: wide if place == "format" else {"x": wide}}, tmp_path / "wide.pt")
    assert "more elements than are in the file" in refused(load_checkpoint, tmp_path / "wide.pt")


def test_values_of_a_checkpoint_are_cut_by_structure_in_messages(tmp_path):
    many = [[list(range(50))] * 50] * 50
    tensors = [(place, torch.zeros(2, 2)) for place in ("weights", "class_names", "meta", "history")]
    numbers = [("format", many), ("config", {"batch_size": many}), ("config", {"x" * 10**6: 1}), ("meta", 7)]
    for place, value in (*numbers, *tensors):
        content = {"format": 1, "config": {}, "weights": {}, "class_names": ["a", "b"], "meta": {}, "history": {}}
        torch.save(content | {place: value}, tmp_path / "many.pt")
        assert len(refused(load_checkpoint, tmp_path / "many.pt").removeprefix(str(tmp_path))) < 300


def _few_images_of(classes):
    rng = np.random.default_rng(0)
    logits = np.zeros((60, classes), np.float16)
    logits[np.arange(60), rng.integers(0, classes, 60)] = 5
    names, labels = np.array([f"c{i}" for i in range(classes)]), (np.arange(60) % classes).astype(np.int16)
    return Run(names, np.arange(60, dtype=np.uint64), labels, logits, {"model": "m", "seed": 0})


def test_a_comparison_takes_no_more_for_classes_that_few_images_have():
    """Matrices of 20,000 classes would be gigabytes each."""
    one = _few_images_of(20_000)
    other = replace(one, logits=np.roll(one.logits, 1, axis=0), meta={"model": "n"})
    scores = 2 * one.logits.size
    tracemalloc.start()
    table = compare([one], [other]).class_table
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(table) == 20_000 and most < 40 * scores < 20_000**2


@pytest.mark.parametrize("source", SOURCES)
def test_pairs_of_classes_are_not_all_looked_at(source):
    """Of 20,000 classes there are 200 million, which took ten gigabytes."""
    one = _few_images_of(20_000)
    other = replace(one, logits=np.roll(one.logits, 1, axis=0), meta={"model": "n"})
    sides = Sides(Side("A", "m", (one,)), Side("B", "n", (other,)), 0, 0, np.arange(20_000))
    tracemalloc.start()
    pairs = pair_frame(sides, source)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) == 12 and most < 20_000**2 / 2


def test_runs_that_do_not_fit_are_refused_with_their_size(folder, monkeypatch):
    for model in ("cnn", "resnet18"):
        save_run(replace(_few_images_of(2000), meta={"model": model}), folder / f"{model}.npz")
    run = load_run(folder / "cnn.npz")
    monkeypatch.setattr(memory, "memory_bytes", lambda: 5 * MIB // 2)  # of which the files take less
    said = refused(compare, [run], [run])
    assert said.startswith("comparing 2 runs with 240,000 scores takes about ") and "too much for" in said
    app = page(folder, "confusion")
    assert "too much for" in text(app)


def test_superclasses_whose_matrix_does_not_fit_are_refused(monkeypatch):
    run = _few_images_of(2000)
    run = replace(run, superclass_of=np.arange(2000), superclass_names=run.class_names)
    refuse_too_large([run])
    monkeypatch.setattr(memory, "memory_bytes", lambda: 256 * MIB)
    said = refused(compare, [run], [run])
    assert "the confusion matrix of 2,000 superclasses takes about 0.2 GiB, too much for" in said


def test_columns_of_metadata_whose_slices_do_not_fit_are_refused(folder, monkeypatch):
    """A hundred columns are some two thousand conditions, each with a truth value for each image."""
    letters = np.array(list("abcdefghij"))[np.random.default_rng(0).integers(10, size=(2000, 100))]
    for model in ("cnn", "resnet18"):
        run = made_run(n_images=2000, model=model, val=False, neighbors=False)
        names = np.array([f"column {i}" for i in range(100)])
        save_run(replace(run, metadata_names=names, metadata_values=letters), folder / f"{model}-made-0.npz")
    runs = [load_run(folder / f"{model}-made-0.npz") for model in ("cnn", "resnet18")]
    refuse_too_large(runs)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 20 * MIB)
    assert "the slices of 2,000 images by 100 columns of metadata takes about" in refused(refuse_too_large, runs)
    assert "too much for" in text(page(folder, "overview"))


def test_caches_are_bounded_by_bytes(tmp_path):
    run = made_run(n_images=500)
    assert run.logits.nbytes < memo.size_of(run) < 10 * run.logits.nbytes
    assert memo.size_of({"a": [np.zeros(1000)], "b": (run, run)}) > 2 * run.logits.nbytes
    for cache in (catalog.loaded_run.cache, catalog._aligned.cache, memo._remembered.cache):
        assert cache.maxsize == memo.MOST_BYTES <= memory.memory_bytes() // 8
    path = save_run(run, tmp_path / "run.npz")
    assert catalog.loaded_run(version(path)) is catalog.loaded_run(version(path))


def test_a_result_does_not_keep_the_runs_that_it_was_made_of(tmp_path):
    import gc
    import weakref

    run = load_run(save_run(made_run(n_images=50), tmp_path / "run.npz"))
    memo.memo(_accuracy, run)
    gone = weakref.ref(run)
    del run
    gc.collect()
    assert gone() is None


def _accuracy(run):
    return float(run.correct.mean())


def test_memory_is_what_the_machine_the_container_and_the_shell_allow(monkeypatch, tmp_path):
    (tmp_path / "limit").write_text(f"{3 << 30}\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", (tmp_path / "limit", tmp_path / "none", tmp_path / "missing"))
    memory.memory_bytes.cache_clear()
    try:
        assert memory.memory_bytes() <= 3 << 30
    finally:
        memory.memory_bytes.cache_clear()
