"""JSON of every shape in which data frames and frameworks write it is the same run, or refused."""

import gzip
import io
import json
import tracemalloc
import zlib
from base64 import b64encode

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, same, taken
from made import made_run
from PIL import Image

from cifarcore.errors import CifarcoreError
from cifarcore.runs.formats import read_predictions


@pytest.fixture(scope="module")
def run():
    return made_run(5, 60)


@pytest.fixture
def table(run, scores):
    ids = [f"{i:016x}" for i in run.sample_ids]  # as numbers, JSON's readers elsewhere would round them
    columns = dict(zip(run.class_names.tolist(), scores.T, strict=True))
    return pd.DataFrame({"label": run.class_names[run.labels], "sample_id": ids} | columns)


@pytest.mark.parametrize("orient", ["records", "split", "columns", "index", "table"])
def test_orientations_of_pandas(run, table, tmp_path, orient):
    table.sample(frac=1, random_state=0).to_json(tmp_path / "x.json", orient=orient, double_precision=15)
    same(taken(tmp_path / "x.json", tmp_path).run, run)


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.jsonl.gz", "x.json.gz"])
def test_one_object_in_each_line(run, table, tmp_path, name):
    table.to_json(tmp_path / name, orient="records", lines=True)
    same(taken(tmp_path / name, tmp_path).run, run)


def records(run, scores, cell):
    for i, label, row in zip(run.sample_ids, run.labels, scores, strict=True):
        yield {"sample_id": int(i), "label": str(run.class_names[label])} | cell(row.tolist())


def test_shapes_of_frameworks(run, scores, table, tmp_path):
    names, truth, ids = run.class_names.tolist(), run.labels.tolist(), run.sample_ids.tolist()
    ranked = np.argsort(-scores, axis=1)
    pairs = [[{"label": names[c], "score": row[c]} for c in order] for row, order in zip(scores, ranked, strict=True)]
    by_class = list(records(run, scores, lambda row: dict(zip(names, row, strict=True))))
    shapes = {
        "pipelines, with ids": [
            {"sample_id": i, "label": names[y], "predictions": row} for i, y, row in zip(ids, truth, pairs, strict=True)
        ],
        "scores by class": list(records(run, scores, lambda row: {"scores": dict(zip(names, row, strict=True))})),
        "names beside scores": list(
            records(run, scores, lambda row: {"prediction": {"displayNames": names, "confidences": row}})
        ),
        "columns": {"sample_id": ids, "label": truth, "probs": scores.tolist(), "class_names": names, "epoch": 3},
        "class columns": {"sample_id": ids, "label": truth} | {n: scores[:, c].tolist() for c, n in enumerate(names)},
        "a table of a tracker": {
            "columns": ["sample_id", "truth", *names, "caption"],
            "data": [[i, names[y], *row, "x"] for i, y, row in zip(ids, truth, scores.tolist(), strict=True)],
            "ncols": 8,
        },
        "wrapped": {"model": "resnet", "results": by_class},
    }  # fmt: skip
    for shape, value in shapes.items():
        (tmp_path / "x.json").write_text(json.dumps(value))
        found = taken(tmp_path / "x.json", tmp_path)
        same(found.run, run)
        assert (shape == "columns") == ("not used: 'epoch'" in found.notes), (shape, found.notes)


@pytest.fixture
def folder(tmp_path):
    """Six pictures of three classes, and the right answer for each in order of their names."""
    for c, name in enumerate(("ant", "bee", "cow")):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for i in range(2):
            Image.new("RGB", (8, 8), (80 * c, 100 * i, 0)).save(tmp_path / "pics" / name / f"{name}{i}.png")
    return [f"{name}{i}.png" for name in ("ant", "bee", "cow") for i in range(2)]


def test_shapes_that_name_pictures(folder, tmp_path):
    scores = [[0.1] * 3 for _ in folder]
    for i, row in enumerate(scores):
        row[i // 2] = 0.8
    names = ["ant", "bee", "cow"]
    order = [3, 0, 5, 1, 4, 2]
    rows = [(folder[i], scores[i], names[i // 2]) for i in order]
    shapes = {
        "a list for each picture": {file: row for file, row, _ in rows},
        "classes for each picture": {file: dict(zip(names, row, strict=True)) for file, row, _ in rows},
        "pictures for each class": {name: {file: row[c] for file, row, _ in rows} for c, name in enumerate(names)},
        "as timm indexes": {file: {"index": [2, 0, 1], "prob": [row[c] for c in (2, 0, 1)]} for file, row, _ in rows},
        "as FiftyOne exports": {"samples": [
            {"filepath": f"data/{file}", "ground_truth": {"_cls": "Classification", "label": name},
             "predictions": {"_cls": "Classification", "label": name, "confidence": 0.8, "logits": packed(row)}}
            for file, row, name in rows
        ]},
    }  # fmt: skip
    for value in shapes.values():
        (tmp_path / "x.json").write_text(json.dumps(value))
        run = taken(tmp_path / "x.json", tmp_path, images=str(tmp_path / "pics")).run
        assert run.correct.all() and run.n_images == 6


def packed(numbers):
    buffer = io.BytesIO()
    np.save(buffer, numbers if isinstance(numbers, np.ndarray) else np.array(numbers, np.float32))
    return {"$binary": {"base64": b64encode(zlib.compress(buffer.getvalue())).decode(), "subType": "00"}}


def test_pipelines_and_bare_lists_are_in_the_order_of_the_images(folder, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cow\nbee\nant")
    scores = np.full((6, 3), 0.1)
    scores[np.arange(6), np.repeat([2, 1, 0], 2)] = 0.8
    pairs = [[{"label": f"LABEL_{c}", "score": row[c]} for c in (1, 2, 0)] for row in scores]
    for value in (scores.tolist(), pairs):
        (tmp_path / "x.json").write_text(json.dumps(value))
        found = taken(tmp_path / "x.json", tmp_path, images=str(tmp_path / "pics"), class_names=str(names))
        assert found.run.correct.all() and any("without labels" in note for note in found.notes)


PAIR = {"label": "a", "score": 1}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "holds no predictions; write a list with one object for each image"),
        ([], "holds no predictions"),
        ("text", "holds no predictions"),
        ({"accuracy": 0.7, "loss": 1}, "holds accuracy, loss, but no list of predictions"),
        ([[0.1, 0.9], [0.2]], "not of one length"),
        ([[0.1, "x"]], "something other than numbers"),
        ({"columns": ["a", "b"], "data": [[1]]}, "a row of data does not have the 2 cells"),
        ({"a.png": {"cat": 1, "dog": 0}, "b.png": {"cat": 1}}, "its objects have different keys"),
        ({"x": {"cat": 1, "dog": 0}, "y": {"cat": 1, "dog": 0}}, "is unclear which of its keys are the images"),
        ({"label": [1, 2], "logits": [[1, 2]] * 3}, "'label' has 2 items, and others 3"),
        ([[PAIR, {"label": "b", "score": 0}], [PAIR]], "holds 1 of at least 2"),
        ([{"logits": {"$binary": {"base64": "AAAA"}}}], "$binary that is no array of numbers"),
        ([{"logits": packed(np.array([2**31], np.uint32).view("<U1"))}], "$binary that is no array of numbers (<U1)"),
        ([{"logits": packed(np.zeros(20_001))}], "$binary that is no array of numbers (shape (20001,))"),
        ([{"logits": packed(np.zeros((2, 2)))}], "$binary that is no array of numbers (shape (2, 2))"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path, value, said):
    (tmp_path / "x.json").write_text(json.dumps(value))
    with pytest.raises(CifarcoreError) as caught:
        read_predictions(tmp_path / "x.json")
    assert said in str(caught.value)


def test_packed_arrays_are_counted_by_what_they_unpack_to(tmp_path, monkeypatch):
    """A thousand of zeros in 400 kB took four gigabytes."""
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 1 << 20)
    for lines, suffix in ((False, ".json"), (True, ".jsonl")):
        rows = [{"file": f"{i}.png", "logits": packed(np.zeros(5000, np.float16))} for i in range(30)]
        content = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
        (tmp_path / f"x{suffix}").write_text(content)
        assert len(content) < 1 << 14
        with pytest.raises(CifarcoreError, match="GiB when read"):
            read_predictions(tmp_path / f"x{suffix}")


def test_a_key_that_is_there_twice(tmp_path):
    (tmp_path / "x.json").write_text('{"a.png": [0.1, 0.9], "a.png": [0.9, 0.1]}')
    with pytest.raises(CifarcoreError, match="a key is twice in one object"):
        read_predictions(tmp_path / "x.json")


def test_small_files_that_would_take_much_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("cifarcore.runs.readers.tables.MAX_BYTES", 1 << 24)
    (tmp_path / "x.json").write_text("[" + "[],{}," * 200_000 + "1]")
    with gzip.open(tmp_path / "x.json.gz", "w") as file:
        file.write(b"[" + b"1," * 1_000_000 + b"1]")
    for name in ("x.json", "x.json.gz"):
        tracemalloc.start()
        assert "GiB when read" in refused(tmp_path / name, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.stop()
    (tmp_path / "x.json").write_text("[" * 100_000)
    assert "lists in lists without end" in refused(tmp_path / "x.json", tmp_path)
