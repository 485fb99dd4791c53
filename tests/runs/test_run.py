"""The run file: what is kept, and what is refused."""

import hashlib
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.runs import layout
from cifarcore.runs import run as runs_module
from cifarcore.runs.alignment import align
from cifarcore.runs.layout import HISTORY_COLUMNS, LAYOUT, MAX_NAME_LENGTH, RunFileError
from cifarcore.runs.run import Run, load_run, read_header, save_run


@pytest.fixture
def arrays_given():
    rng = np.random.default_rng(0)
    labels, ids = rng.integers(0, 3, 40), np.arange(40, dtype=np.uint64)
    return labels, ids, rng.normal(size=(40, 3)).astype(np.float16), np.array(["cat", "dog", "horse"])


REQUIRED = ("schema", "class_names", "labels", "logits", "sample_ids")


def test_round_trip_keeps_everything(run, tmp_path):
    path = save_run(run, tmp_path / "deep" / "cnn-made-0.npz")
    read = load_run(path)
    for name in Run.__dataclass_fields__:
        before, after = getattr(run, name), getattr(read, name)
        if isinstance(before, np.ndarray):
            assert np.array_equal(before, after) and before.dtype == after.dtype, name
            assert not after.flags.writeable
    assert read.meta == run.meta
    assert list(read.history) == list(HISTORY_COLUMNS)
    assert all(np.array_equal(read.history[column], run.history[column]) for column in HISTORY_COLUMNS)
    assert read.path == path and read.digest != run.digest
    assert (read.name, read.group, read.n_images, read.n_classes) == ("cnn-made-0", "cnn-made", 60, 10)
    again = load_run(save_run(read, tmp_path / "again.npz"))
    assert np.array_equal(again.logits, read.logits) and again.meta == read.meta


def test_no_array_of_a_run_can_be_changed(arrays_given, tmp_path):
    """A metric is kept with its run: changed labels gave the accuracy of the former ones."""
    labels, ids, logits, names = arrays_given
    made = Run.from_predictions(logits, labels, class_names=names.tolist(), sample_ids=ids, model="mine")
    direct = Run(names, ids, labels, logits[:], history={"epoch": np.arange(3.0)})
    for run in (made, direct, direct.take(np.arange(5)), replace(made, tsne=np.zeros((len(ids), 2), np.float32))):
        before = run.correct.copy(), run.logits.copy(), run.sample_ids.copy()
        for array in (labels, logits, ids):
            array[:] = array[::-1].copy()
        assert np.array_equal(run.logits, before[1]) and np.array_equal(run.sample_ids, before[2])
        values = [getattr(run, each) for each in Run.__dataclass_fields__] + [run.correct, run.predictions]
        for array in [*values, *run.history.values()]:
            if isinstance(array, np.ndarray):
                with pytest.raises(ValueError, match="read-only"):
                    array[:] = array[::-1].copy()
        assert np.array_equal(run.predictions == run.labels, before[0])
    assert all(array.flags.writeable for array in arrays_given), "the caller's own can still be"


def test_an_array_that_nobody_can_change_is_not_copied(arrays_given, tmp_path):
    labels, ids, logits, names = arrays_given
    read = load_run(save_run(Run(names, ids, labels, logits), tmp_path / "mine.npz"))
    again = replace(read, meta={"model": "other"}, history={})
    assert again.logits is read.logits and again.labels is read.labels


def test_the_five_required_arrays_are_enough(tmp_path):
    """The recipe for someone else's model: NumPy alone, types as they come."""
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        schema=1,
        class_names=["cat", "dog", "ἵππος"],
        labels=[0, 1, 2, 1],
        logits=np.array([[9, 1, 2], [1.5, 3, 2], [0, 1, 2], [3, 2, 1]], float),
        sample_ids=np.arange(4, dtype=np.uint64),
    )
    run = load_run(path)
    assert (run.name, run.group, run.meta, run.history) == ("mine", "mine", {}, {})
    assert run.labels.dtype == np.int16 and run.logits.dtype == np.float32
    assert run.predictions.tolist() == [0, 1, 2, 0] and run.correct.tolist() == [True, True, True, False]
    assert run.tsne is run.val_logits is run.superclass_of is run.train_neighbor_ids is None
    header = read_header(path)
    assert (header.name, header.group, header.seed, header.n_images, header.n_classes) == ("mine", "mine", 0, 4, 3)


def test_byte_order_memory_order_and_wide_floats_do_not_matter(arrays, tmp_path):
    swapped = {name: array.astype(array.dtype.newbyteorder(">")) for name, array in arrays.items()}
    wide = {
        name: np.array(array, float if array.dtype.kind == "f" else None, order="F") for name, array in arrays.items()
    }
    for kind, changed in (("swapped", swapped), ("wide", wide)):
        np.savez_compressed(tmp_path / f"{kind}.npz", **changed)
        read, expected = load_run(tmp_path / f"{kind}.npz"), load_run(tmp_path / "whole.npz")
        for name in LAYOUT:
            before, after = getattr(expected, name, None), getattr(read, name, None)
            if before is not None and name != "meta":
                assert np.array_equal(before, after), name
                assert (
                    after.dtype.isnative
                    and after.flags.c_contiguous
                    and after.dtype.itemsize <= max(4, before.dtype.itemsize)
                )


def test_unknown_arrays_are_left_alone(arrays, tmp_path):
    """A later version may add some; even a pickled one is not read."""
    np.savez(tmp_path / "more.npz", **arrays, future=np.ones(3), odd=np.array([{}], dtype=object))
    assert load_run(tmp_path / "more.npz").n_images == 60
    assert read_header(tmp_path / "more.npz").n_images == 60


def test_an_id_with_two_labels_is_two_images(arrays, tmp_path):
    arrays["sample_ids"][1] = arrays["sample_ids"][0]
    arrays["labels"][:2] = [3, 4]
    np.savez(tmp_path / "twice.npz", **arrays)
    run = load_run(tmp_path / "twice.npz")
    shuffled = run.take(np.random.default_rng(0).permutation(60))
    pair = align(run, shuffled)
    assert np.array_equal(pair.a.logits, pair.b.logits) and not pair.partial


def test_header_agrees_with_the_run(run, tmp_path):
    path = save_run(run, tmp_path / "run.npz")
    header, read = read_header(path), load_run(path)
    for name in ("path", "meta", "name", "group", "n_images", "n_classes"):
        assert getattr(header, name) == getattr(read, name)
    assert header.seed == 0


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_array_is_missing(arrays, refused, name):
    del arrays[name]
    assert f"array '{name}' is missing" in refused(arrays)


@pytest.mark.parametrize(
    "name", ["superclass_of", "val_labels", "val_logits", "val_sample_ids", "train_neighbor_cosine", "history_lr"]
)
def test_a_group_is_broken(arrays, refused, name):
    del arrays[name]
    assert f"array '{name}' is missing beside" in refused(arrays)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("logits", np.zeros((60, 11)), "'logits' has length 11 where 'class_names' has 10"),
        ("logits", np.zeros((59, 10)), "has length 59"),
        ("logits", np.zeros(600), "'logits' has 1 dimensions, expected 2"),
        ("logits", np.zeros((60, 10), int), "'logits' has dtype int64, expected float"),
        ("logits", np.zeros((60, 10), complex), "'logits' has dtype complex128"),
        ("logits", np.zeros((60, 10), "S4"), "'logits' has dtype |S4"),
        ("logits", np.zeros((60, 10), [("a", "<f4"), ("b", "O")][:1]), "expected float"),
        ("labels", np.zeros(60), "'labels' has dtype float64, expected integer"),
        ("labels", np.zeros(60, bool), "'labels' has dtype bool"),
        ("sample_ids", np.arange(60), "'sample_ids' has dtype int64, expected uint64"),
        ("class_names", np.arange(10), "'class_names' has dtype int64, expected unicode text"),
        ("class_names", np.array([b"abcdefghij"[i : i + 1] for i in range(10)]), "expected unicode text"),
        ("class_names", np.array("abc"), "'class_names' has 0 dimensions"),
        ("class_names", np.array(["x" * (MAX_NAME_LENGTH + 1)] * 10), "text of 1001 characters"),
        ("tsne", np.zeros((60, 3), "f4"), "'tsne' has shape (60, 3), expected 2 columns"),
        ("schema", np.ones(2, int), "'schema' has 1 dimensions"),
        ("schema", np.array(2), "schema 2, but this version reads schema 1"),
        ("schema", np.array(-(2**60)), "but this version reads schema 1"),
        ("meta", np.array("{} x" * 300_000), "'meta' has text of 1200000 characters"),
        ("meta", np.array(["{}"]), "'meta' has 1 dimensions"),
        ("meta", np.array("{'a': 1}"), "'meta' is not JSON"),
        ("meta", np.array(""), "'meta' is not JSON"),
        ("meta", np.array("[" * 100_000), "'meta' is not JSON"),
        ("meta", np.array('{"x": NaN}'), "'meta' is not JSON (NaN is no JSON number)"),
        ("meta", np.array('{"x": "\\ud800"}'), "'meta' is not JSON"),
        ("meta", np.array("[1]"), "'meta' is not a JSON object"),
        ("meta", np.array('{"seed": "0"}'), "a seed of the wrong type (str)"),
        ("meta", np.array('{"seed": true}'), "a seed of the wrong type (bool)"),
        ("meta", np.array('{"seed": 1' + 30 * "0" + "}"), "a seed beyond 64 bits"),
        ("meta", np.array('{"dataset": "CIFAR-100"}'), "a dataset of the wrong type (str)"),
        ("meta", np.array('{"model": ["cnn"]}'), "a model of the wrong type (list)"),
        ("meta", np.array('{"model": "a\\u0007b"}'), "a model with control characters"),
    ],
)
def test_wrong_shape_type_or_meta(arrays, refused, name, value, reason):
    assert reason in refused(arrays | {name: value})


@pytest.mark.parametrize("number", [-1, 1000])
def test_clusters_are_numbered_from_0(arrays, refused, number):
    clusters = np.zeros(len(arrays["labels"]), np.int16)
    clusters[3] = number
    assert "'clusters' holds numbers outside 0..999" in refused(arrays | {"clusters": clusters}, header_too=False)


@pytest.mark.parametrize(
    ("name", "index", "value", "reason"),
    [
        ("logits", (5, 5), np.nan, "'logits' holds NaN, infinite"),
        ("logits", (5, 5), -np.inf, "'logits' holds NaN, infinite"),
        ("val_logits", (0, 0), np.nan, "'val_logits' holds NaN, infinite"),
        ("tsne", (1, 1), np.inf, "'tsne' holds NaN, infinite"),
        ("train_neighbor_cosine", (1, 1), np.nan, "'train_neighbor_cosine' holds NaN"),
        ("labels", 7, 10, "'labels' holds 10, outside 0..9"),
        ("labels", 7, -1, "'labels' holds -1, outside 0..9"),
        ("val_labels", 0, 99, "'val_labels' holds 99, outside 0..9"),
        ("train_neighbor_labels", (0, 0), -5, "'train_neighbor_labels' holds -5"),
        ("superclass_of", 0, 2, "'superclass_of' holds 2, outside 0..1"),
        ("class_names", 3, "", "'class_names' holds an empty name"),
        ("class_names", 3, " \t", "'class_names' holds an empty name"),
        ("class_names", 3, "a\nb", "'class_names' holds a name with control characters"),
        ("class_names", 3, "a\ud800", "'class_names' holds a name with control characters"),
        ("class_names", 3, "otter", "'class_names' names a class twice"),
        ("superclass_names", 0, "fish", "'superclass_names' names a class twice"),
    ],
)
def test_a_wrong_value(arrays, refused, name, index, value, reason):
    arrays[name][index] = value
    assert reason in refused(arrays, header_too=False)


def test_superclasses_that_no_class_is_in_take_the_square_of_their_number(arrays, refused, run, tmp_path):
    few = run.superclass_names.tolist() + [f"empty {number}" for number in range(layout.MAX_EMPTY_SUPERCLASSES)]
    assert len(load_run(save_run(replace(run, superclass_names=np.array(few)), tmp_path / "few.npz")).superclass_names)
    many = np.array([*few, "one more"])
    assert "'superclass_names' has 101 names that no class is in" in refused(
        arrays | {"superclass_names": many}, header_too=False
    )


def test_numbers_too_large_for_the_type_that_is_kept(arrays, refused, run, tmp_path):
    logits = arrays["logits"].astype(float)
    logits[0, 0] = 1e300
    assert "'logits' holds NaN, infinite or too large" in refused(arrays | {"logits": logits}, header_too=False)
    labels = arrays["labels"].astype(np.uint64)
    labels[0] = 2**64 - 10
    assert "'labels' holds 18446744073709551606" in refused(arrays | {"labels": labels}, header_too=False)
    with pytest.raises(RunFileError, match="too large"):
        save_run(replace(run, logits=np.full((60, 10), 1e5, np.float32)), tmp_path / "large.npz")


def test_a_code_point_beyond_unicode(arrays, refused):
    names = arrays["class_names"].copy()
    names.view(np.uint32)[0] = 0x7FFFFFFF
    assert "'class_names' holds code points beyond Unicode" in refused(
        arrays | {"class_names": names}, header_too=False
    )
    meta = np.array("{}").reshape(1)
    meta.view(np.uint32)[0] = 0x110000
    for order in "<>":
        swapped = meta.reshape(()).astype(meta.dtype.newbyteorder(order))
        assert "'meta' holds code points beyond Unicode" in refused(arrays | {"meta": swapped})


def test_repeated_images(arrays, refused):
    for prefix in ("", "val_"):
        broken = {name: array.copy() for name, array in arrays.items()}
        for name in (f"{prefix}sample_ids", f"{prefix}labels"):
            broken[name][1] = broken[name][0]
        assert f"'{prefix}sample_ids' repeats 1 (id, label) pairs" in refused(broken, header_too=False)


@pytest.mark.parametrize("lacking", ["images", "classes", "validation images"])
def test_nothing_in_it(arrays, refused, lacking):
    if lacking == "images":
        letters, shortened = "N", 0
    elif lacking == "classes":
        letters, shortened = "C", 1
    else:
        letters, shortened = "V", 0
    for name, (_, shape) in LAYOUT.items():
        cut = tuple(slice(shortened) if symbol == letters else slice(None) for symbol in shape)
        arrays[name] = arrays[name][cut]
    message = refused(arrays)
    assert ("at least two classes" if lacking == "classes" else "is empty") in message


def test_a_failing_write_leaves_the_old_file_and_nothing_else(run, tmp_path, monkeypatch):
    path = save_run(run, tmp_path / "run.npz")
    before = path.read_bytes()

    def write_half(file, **arrays):
        file.write(before[: len(before) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs_module.np, "savez_compressed", write_half)
    with pytest.raises(OSError, match="No space left"):
        save_run(replace(run, meta={}), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.npz"]


@pytest.mark.parametrize(
    "changes",
    [
        {"logits": np.full((60, 10), np.nan)},
        {"logits": np.zeros((59, 10))},
        {"labels": np.full(60, 10)},
        {"class_names": np.array(["a"] * 10)},
        {"class_names": np.array([None] * 10)},
        {"val_logits": None},
        {"history": {"lr": np.ones(3)}},
        {"meta": {"seed": np.int64(0)}},
        {"meta": {"loss": float("nan")}},
        {"meta": {"model": 3}},
    ],
)
def test_an_invalid_run_is_not_written(run, tmp_path, changes):
    with pytest.raises(RunFileError):
        save_run(replace(run, **changes), tmp_path / "run.npz")
    assert not os.listdir(tmp_path)


def test_types_are_those_of_the_format(run, tmp_path):
    loose = replace(
        run,
        class_names=tuple(run.class_names),
        labels=run.labels.astype(np.int64),
        logits=run.logits.astype(np.float64),
        tsne=run.tsne.astype(np.float64),
        history={column: values.astype(float) for column, values in run.history.items()},
    )
    with np.load(save_run(loose, tmp_path / "run.npz")) as archive:
        types = {name: str(archive[name].dtype) for name in archive.files}
    assert types["labels"] == types["superclass_of"] == types["train_neighbor_labels"] == "int16"
    assert types["logits"] == types["val_logits"] == types["train_neighbor_cosine"] == "float16"
    assert types["tsne"] == types["umap"] == types["history_lr"] == "float32"
    assert types["sample_ids"] == types["train_neighbor_ids"] == "uint64"


def best_time(action, repeats=3):
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def test_a_full_test_set_loads_and_aligns_at_once(tmp_path):
    run = made_run(n_classes=100, n_images=10_000)
    path = save_run(run, tmp_path / "run.npz")
    assert best_time(lambda: load_run(path)) < 0.5
    shuffled = run.take(np.random.default_rng(0).permutation(10_000))
    assert best_time(lambda: align(run, shuffled)) < 0.2


def test_headers_of_two_hundred_files(tmp_path):
    path = save_run(made_run(n_classes=100, n_images=2000), tmp_path / "run.npz")
    assert best_time(lambda: [read_header(path) for _ in range(200)], repeats=2) < 4


def test_the_digest_is_of_the_files_bytes_and_of_what_was_chosen(run, tmp_path):
    path = save_run(run, tmp_path / "run.npz")
    loaded = load_run(path)
    assert loaded.digest == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    rows = np.array([3, 1])
    chosen = hashlib.blake2b(loaded.digest.encode() + rows.tobytes(), digest_size=16).hexdigest()
    assert loaded.take(rows).digest == chosen and replace(run, digest="").take(rows).digest == ""
