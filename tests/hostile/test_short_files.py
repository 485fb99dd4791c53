"""Short files that ask for much: texts of which one is long, lists of nothing, cells and paths without end."""

import base64
import gzip
import importlib
import io
import json
import pkgutil
import re
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

import cifarcore
from cifarcore.data.image_folder import flat_folder, rows_of_files
from cifarcore.errors import CifarcoreError
from cifarcore.runs.file_labels import labels_of
from cifarcore.runs.formats import read_labels, read_predictions
from cifarcore.runs.metadata import read_metadata
from cifarcore.runs.predictions import text_array

MIB = 1 << 20
LONG, MANY = "x" * 100_000, 1000  #: as an array 400 MB


def patterns():
    for module in pkgutil.walk_packages(cifarcore.__path__, "cifarcore."):
        if module.name.split(".")[1] in ("experiments", "training", "__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{module.name}.{name}", value


def test_no_pattern_takes_the_square_of_a_texts_length():
    """A cell of 160,000 digits held all threads of the app for ten minutes."""
    slow = []
    for name, pattern in patterns():
        for repeated in (" ", "1", "a", "-", ",", "'", '"', "[", "\\", ".", "np.", "(", "1,", "1.", "e1", "' "):
            text = repeated * 10_000 + "\x00"
            began = time.process_time()
            pattern.fullmatch(text), pattern.match(text)
            if time.process_time() - began > 0.25:
                slow.append((name, repeated))
    assert not slow


@pytest.fixture
def bounded():
    """What is read within takes little memory, refused or not."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * MIB, f"{peak / MIB:.0f} MiB"


def refused(read, *arguments) -> str:
    with pytest.raises(CifarcoreError) as error:
        read(*arguments)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


def written(path, text):
    path.write_text(text)
    return path


ONE_LONG = f"one of {MANY + 1:,} texts has {len(LONG):,} characters"


def test_of_texts_of_which_one_is_long_no_array_is_made(tmp_path, bounded):
    rows = "a,b,0.2,0.8\n" * MANY
    assert "a label has" in refused(
        read_predictions, written(tmp_path / "1.csv", f"label,target,a,b\n{LONG},y,1,0\n{rows}")
    )
    predicted = written(tmp_path / "2.csv", f"label,prediction\n{LONG},a\n" + "a,b\n" * MANY)
    assert "a label has" in refused(read_predictions, predicted)
    zeros = written(tmp_path / "3.csv", f"label,a,b\n1{'0' * len(LONG)}.0,1,0\n" + "1.0,1,0\n" * MANY)
    assert "a label has" in refused(read_predictions, zeros)
    assert "a label has" in refused(read_labels, written(tmp_path / "4.txt", f"{LONG}\n" + "a\n" * MANY))
    known = written(tmp_path / "5.csv", f"sample_id,site\n{LONG},y\n" + "1,x\n" * MANY)
    assert "sample ids are not" in refused(read_metadata, str(known), None, np.arange(MANY, dtype=np.uint64))
    names = {"class_names": [LONG, *map(str, range(MANY))], "logits": [[0.0] * (MANY + 1)] * 2}
    assert len(read_predictions(written(tmp_path / "6.json", json.dumps(names))).columns) == MANY + 1


@pytest.mark.parametrize("longest", [1, 1000])
def test_an_array_of_texts_is_bounded_by_all_of_its_room(longest, monkeypatch):
    monkeypatch.setattr("cifarcore.runs.predictions.MAX_BYTES", 4 * longest * 10)
    assert text_array(["x" * longest] * 10).shape == (10,)
    assert f"one of 11 texts has {longest:,} characters" in refused(text_array, ["x" * longest, *[""] * 10])


def test_labels_by_file_and_metadata_are_bounded_by_the_images_too(tmp_path, monkeypatch):
    monkeypatch.setattr("cifarcore.runs.predictions.MAX_BYTES", 1000)
    files = [f"{i}.png" for i in range(100)]
    assert "one of 100 texts has 30 characters" in refused(labels_of, files, dict.fromkeys(files, "x" * 30))
    known = written(tmp_path / "known.csv", "file,site,day\n1.png,xxxxxxxxxx,y")
    assert "one of 200 texts has 10 characters" in refused(read_metadata, str(known), files, None)


def test_a_cell_array_of_matlab_is_bounded_in_its_process(tmp_path):
    texts = np.full(12_000, "a", object)
    texts[0] = LONG
    savemat(tmp_path / "m.mat", {"labels": texts, "scores": np.zeros((12_000, 2))}, do_compression=True)
    assert "one of 12,000 texts has 100,000 characters" in refused(read_predictions, tmp_path / "m.mat")


def packed(shape, dtype="<f8", content=b""):
    made = io.BytesIO()
    np.lib.format.write_array_header_1_0(made, {"descr": dtype, "fortran_order": False, "shape": shape})
    return {"$binary": {"base64": base64.b64encode(zlib.compress(made.getvalue() + content)).decode()}}


def test_packed_vectors_of_nothing_are_no_lists_without_end(tmp_path, bounded):
    """180 bytes of JSON stood for as many lists as a header says."""
    for shape, dtype in (((5_000_000, 0), "<f8"), ((0, 3), "<f8"), ((5_000_000,), "<U0"), ((2,), "<U1")):
        record = {"file": "a.png", "label": "x", "logits": packed(shape, dtype, bytes(8))}
        path = written(tmp_path / "packed.json", json.dumps([record]))
        assert "$binary that is no array of numbers" in refused(read_predictions, path)
    record = {"file": "a.png", "label": "x", "logits": packed((2,), "<f8", np.arange(2.0).tobytes())}
    read = read_predictions(written(tmp_path / "packed.json", json.dumps([record])))
    np.testing.assert_array_equal(read.scores, [[0, 1]])


def test_of_a_cell_no_tree_is_made_that_is_larger_than_a_file_may_be(tmp_path, bounded):
    with gzip.open(tmp_path / "cell.csv.gz", "wt") as file:
        file.write("label,scores\n" + "a,\"{'x': 1, 'y': 2}\"\n" * 30 + 'a,"{' + "'x': 1," * 320_000 + '}"\n')
    assert "2,240,002 characters in row 30" in refused(read_predictions, tmp_path / "cell.csv.gz")


def test_the_numbers_of_all_cells_are_bounded_together(tmp_path, monkeypatch):
    path = written(tmp_path / "cells.csv", "label,scores\n" + "a,[1 2]\nb,[2 1]\n" * 50)
    assert read_predictions(path).scores.shape == (100, 2)
    monkeypatch.setattr("cifarcore.runs.readers.cells.MAX_BYTES", 8 * 199)
    assert "'scores' holds more than" in refused(read_predictions, path)


def test_a_path_of_folders_without_end_is_looked_up_at_once():
    began = time.process_time()
    assert "are not in the folder" in refused(rows_of_files, ["a/b.png"], ["a/" * 100_000 + "c.png"], "here")
    deep = "/".join("abc" * 30)
    assert rows_of_files([f"{deep}/b.png", "x/b.png"], [f"/data/{deep}/b.png", "/x/b.png"], "here").tolist() == [0, 1]
    assert time.process_time() - began < 2


def test_names_without_a_class_are_in_no_place():
    assert "are not in the folder" in refused(rows_of_files, [".", "a/b.png"], ["c.png"], "here")


def test_a_label_of_more_digits_than_python_reads_is_refused(tmp_path):
    for name in "ab":
        Image.new("RGB", (4, 4)).save(tmp_path / f"{name}.png")
    assert "a label has 5,000 characters" in refused(flat_folder, tmp_path, {"a.png": "1" * 5000, "b.png": "x"})
