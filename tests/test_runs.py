import io
import os
import pickle
import time
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore import runs as runs_module
from cifarcore.run_layout import LAYOUT, MAX_NAME_LENGTH
from cifarcore.runs import HISTORY_COLUMNS, Run, RunFileError, align, load_run, matching_rows, read_header, save_run

REQUIRED = ("schema", "class_names", "labels", "logits", "sample_ids")


@pytest.fixture(scope="module")
def run():
    return made_run(n_images=60)


@pytest.fixture
def arrays(run, tmp_path):
    """The arrays of a valid file, to be broken one at a time."""
    with np.load(save_run(run, tmp_path / "whole.npz"), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture
def refused(tmp_path):
    """Writes arrays or bytes as a file and returns the one line with which it is refused."""

    def check(content, header_too=True):
        path = tmp_path / "broken.npz"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            np.savez(path, **content)
        return refusal_of(path, header_too)

    return check


def refusal_of(path, header_too=True):
    with pytest.raises(RunFileError) as caught:
        load_run(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) <= 1000
    assert message.startswith(" ".join(str(path).split()))
    if header_too:
        with pytest.raises(RunFileError):
            read_header(path)
    return message


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def npy_header(descr, shape):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name, bytes) pairs, as bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def zipped_arrays(arrays, compression=zipfile.ZIP_DEFLATED, **members):
    """A run file's bytes with some members replaced by the given bytes."""
    content = {name: npy(array) for name, array in arrays.items()} | members
    return zipped([(f"{name}.npy", data) for name, data in content.items()], compression)


# What a whole file gives back


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


# What is refused


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


def test_a_pickle_is_never_loaded(arrays, refused, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    for name in ("logits", "meta", "class_names"):
        shape = arrays[name].shape
        trap = np.full(shape, None, dtype=object)
        trap[(0,) * len(shape)] = Trap()
        assert f"array '{name}' holds Python objects" in refused(arrays | {name: trap})
        assert "is not a readable" not in refused(
            zipped_arrays(arrays, **{name: npy_header("|O", shape) + pickle.dumps(Trap())})
        )
    refused(pickle.dumps(Trap()))
    refused(zipped_arrays(arrays, logits=pickle.dumps(Trap())))
    assert not (tmp_path / "sprung").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked(arrays, refused):
    """More than 2 GiB of zeros in 2 MB: one deflated block of 16 MiB, repeated."""
    stream, blocks = zlib.compressobj(9, zlib.DEFLATED, -15), 129
    header = npy_header("<f2", (blocks * 2**20, 8))
    packed = stream.compress(header) + stream.flush(zlib.Z_FULL_FLUSH)
    packed += blocks * (stream.compress(bytes(2**24)) + stream.flush(zlib.Z_FULL_FLUSH)) + stream.flush()
    content = bytearray(
        zipped([("class_names.npy", npy(arrays["class_names"])), ("logits.npy", packed)], zipfile.ZIP_STORED)
    )
    entry = content.rindex(b"PK\x01\x02")
    for method in (content.rindex(b"PK\x03\x04") + 8, entry + 10):
        content[method] = zipfile.ZIP_DEFLATED
    content[entry + 24 : entry + 28] = (len(header) + blocks * 2**24).to_bytes(4, "little")
    start = time.process_time()
    assert "2.0 GiB when decompressed; at most 1 GiB are read" in refused(bytes(content))
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("descr", "shape"),
    [("<f2", (60, 11)), ("<f2", (60, 9)), ("<f2", (-60, -10)), ("<f2", (2**40, 10)), ("<f2", (2**62, 2**62))],
)
def test_a_header_that_lies_about_the_length(arrays, refused, descr, shape):
    assert "not as long as its header says" in refused(
        zipped_arrays(arrays, logits=npy_header(descr, shape) + bytes(1200))
    )


def test_sizes_in_the_zip_directory_that_lie(arrays, refused):
    content = zipped_arrays(arrays)
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"logits.npy"))
    for size in (0, 129, 1000, 2**31, 2**32 - 2):
        refused(content[: start + 24] + size.to_bytes(4, "little") + content[start + 28 :])


def test_truncated_at_any_length(arrays, refused):
    content = zipped_arrays(arrays)
    for length in {0, 1, 4, *range(0, len(content), 97), len(content) - 1}:
        assert "not a readable .npz run file" in refused(content[:length])


def test_a_flipped_byte_of_a_score_is_noticed(arrays, refused):
    """Scores that are still finite numbers, caught by the archive's checksum."""
    content = bytearray(zipped_arrays(arrays, zipfile.ZIP_STORED))
    at = content.index(arrays["logits"].tobytes()) + 400
    content[at] ^= 1
    assert "not a readable .npz run file (Bad CRC-32" in refused(bytes(content), header_too=False)


def test_other_archives(arrays, refused):
    members = [(f"{name}.npy", npy(array)) for name, array in arrays.items()]
    assert "is in the file twice" in refused(zipped([*members, ("logits", dict(members)["logits.npy"])]))
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert "compressed in a way NumPy does not write" in refused(zipped(members, compression))
    encrypted = bytearray(zipped(members))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := encrypted.find(signature, at + 1)) >= 0:
            encrypted[at + flags] |= 1
    assert "encrypted" in refused(bytes(encrypted))
    assert "array 'schema' is missing" in refused(zipped([]))
    assert "array 'schema' is missing" in refused(zipped([("../../logits.npy", b""), ("/etc/labels.npy", b"")]))
    assert "not a readable" in refused(zipped([("logits.npy", b"no header")]))
    assert "not a readable" in refused(npy(arrays["logits"]))
    assert "not a readable" in refused(b"image_id,label\n1,2\n")


def test_other_things_than_files(tmp_path):
    assert "no such file" in refusal_of(tmp_path / "nothing.npz")
    assert "no such file" in refusal_of(tmp_path / "two\nlines.npz")
    assert "not a file" in refusal_of(tmp_path)
    os.mkfifo(tmp_path / "pipe.npz")  # opening it would wait for ever
    assert "not a file" in refusal_of(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to(tmp_path / "link.npz")
    refusal_of(tmp_path / "link.npz")


# Writing


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


# Two runs


@pytest.fixture(scope="module")
def other():
    return made_run(n_images=60, model="resnet18", accuracy=0.7)


def same_images(pair):
    return np.array_equal(pair.a.sample_ids, pair.b.sample_ids) and np.array_equal(pair.a.labels, pair.b.labels)


def test_align_keeps_what_fits_already(run, other):
    pair = align(run, other)
    assert pair.a is run and pair.b is other
    assert (pair.only_a, pair.only_b, pair.partial) == (0, 0, False)


def test_align_a_shuffled_run(run, other):
    order = np.random.default_rng(0).permutation(60)
    pair = align(run, other.take(order))
    assert same_images(pair) and not pair.partial
    for name in ("logits", "tsne", "umap", "train_neighbor_ids", "train_neighbor_labels", "train_neighbor_cosine"):
        assert np.array_equal(getattr(pair.b, name), getattr(other, name)), name
    there = align(run.take(order), other)
    assert same_images(there) and np.array_equal(there.a.labels, run.labels[order])


def with_classes_reordered(run, order):
    """The same run, written by someone who counts the classes in another order."""
    place = np.argsort(order)
    return replace(
        run,
        class_names=run.class_names[order],
        superclass_of=run.superclass_of[order],
        labels=place[run.labels].astype(np.int16),
        logits=run.logits[:, order],
        val_labels=place[run.val_labels].astype(np.int16),
        val_logits=run.val_logits[:, order],
        train_neighbor_labels=place[run.train_neighbor_labels].astype(np.int16),
    )


def test_align_matches_classes_by_name(run, other):
    reordered = with_classes_reordered(other, np.random.default_rng(1).permutation(10))
    pair = align(run, reordered.take(np.random.default_rng(2).permutation(60)))
    assert same_images(pair) and not pair.partial
    for name in Run.__dataclass_fields__:
        if isinstance(getattr(other, name), np.ndarray):
            assert np.array_equal(getattr(pair.b, name), getattr(other, name)), name
    assert np.array_equal(pair.b.correct, other.correct)


def test_align_a_partial_overlap(run, other):
    pair = align(run.take(np.arange(40)), other.take(np.arange(59, 19, -1)))
    assert same_images(pair) and pair.partial
    assert (pair.a.n_images, pair.only_a, pair.only_b) == (20, 20, 20)
    assert np.array_equal(pair.a.sample_ids, run.sample_ids[20:40])
    assert np.array_equal(pair.b.logits, other.logits[20:40])
    rows_a, rows_b = matching_rows(run, other.take(np.arange(59, 19, -1)))
    assert rows_a.tolist() == list(range(20, 60)) and rows_b.tolist() == list(range(39, -1, -1))


def test_one_image_under_two_labels_is_not_shared(run, other):
    relabelled = replace(other, labels=(other.labels + (np.arange(60) == 0)).astype(np.int16) % 10)
    pair = align(run, relabelled)
    assert pair.a.n_images == 59 and (pair.only_a, pair.only_b) == (1, 1)


def test_align_refuses_what_cannot_be_compared(run, other):
    with pytest.raises(RunFileError, match="share no test image"):
        align(run, replace(other, sample_ids=~other.sample_ids))
    with pytest.raises(RunFileError, match="different classes .2 names in one only, such as 'unicorn'"):
        names = other.class_names.astype("U20")
        names[-1] = "unicorn"
        align(run, replace(other, class_names=names))
    with pytest.raises(RunFileError, match="different classes"):
        align(run, made_run(n_classes=5, n_images=60))


def test_a_choice_of_images_has_its_own_digest(run):
    rows = np.arange(30)
    assert run.take(rows).digest == run.take(rows).digest
    assert len({run.digest, run.take(rows).digest, run.take(rows[::-1]).digest}) == 3
    assert run.take(run.labels == 0).n_images == 6


# Speed, in seconds of processor time: bounds an order of magnitude above what is needed, so that they fail for a reason


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
