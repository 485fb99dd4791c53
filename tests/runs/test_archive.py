"""Archives that lie, or hold what is never loaded, are refused before anything is allocated."""

import os
import pickle
import time
import zipfile
import zlib

import numpy as np
import pytest
from run_files import npy, npy_header, refusal_of, zipped, zipped_arrays

from cifarcore.runs import archive
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run


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
    [
        ("<f2", (60, 11)),
        ("<f2", (60, 9)),
        ("<f2", (-60, -10)),
        ("<f2", (-1, -600)),
        ("<f2", (2**40, 10)),
        ("<f2", (2**62, 2**62)),
    ],
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


def test_as_many_bytes_as_are_read_are_not_too_many(arrays, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    np.savez_compressed(path, **arrays)
    with zipfile.ZipFile(path) as archived:
        total = sum(entry.file_size for entry in archived.infolist())
    monkeypatch.setattr(archive, "MAX_BYTES", total)
    assert load_run(path).n_images == len(arrays["labels"])
    monkeypatch.setattr(archive, "MAX_BYTES", total - 1)
    assert "when decompressed" in refusal_of(path)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (3, 5), (4, 0)])
def test_more_rows_than_are_read_are_refused_before_they_are_read(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(archive, "MAX_IMAGES", 3)
    np.savez(tmp_path / "theirs.npz", scores=np.ones(shape))
    if shape == (3, 5) or not np.prod(shape):
        assert archive.read_npz(tmp_path / "theirs.npz")["scores"].shape == shape
    else:
        with pytest.raises(RunFileError, match="array 'scores' has 4 rows; at most 3 are read$"):
            archive.read_npz(tmp_path / "theirs.npz")


def test_numbers_are_of_this_machine_and_floats_of_at_most_32_bits():
    for given, kept in ((">f2", "f2"), (">f4", "f4"), (">f8", "f4"), (">i8", "i8"), (">u2", "u2"), ("bool", "bool")):
        native = archive.native(np.ones((2, 3), given).T)
        assert native.dtype == np.dtype(kept) and native.dtype.isnative and native.flags.c_contiguous
        assert native.shape == (3, 2) and (native == 1).all()


def test_reading_takes_four_times_the_arrays_as_they_are_worked_with(arrays, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(archive, "refuse_beyond_memory", lambda *needed: asked.append(needed))
    path = tmp_path / "theirs.npz"
    np.savez(path, scores=np.ones((3, 5), "f2"), wide=np.ones((2, 2)), names=np.array(["a", "bcd"]), flags=[True] * 7)
    assert set(archive.read_npz(path)) == {"scores", "wide", "names", "flags"}
    np.savez(path, **arrays)
    load_run(path)
    with zipfile.ZipFile(path) as archived:
        total = sum(entry.file_size for entry in archived.infolist())
    of_foreign = 15 * 4 + 4 * 8 + 2 * 12 + 7  # scores of few bits become floats of 32
    assert asked == [(4 * size, "theirs.npz: reading it") for size in (of_foreign, total)]


def test_what_is_a_run_file_is_known_by_its_schema(arrays, tmp_path):
    path, other = tmp_path / "ours.NPZ", tmp_path / "theirs.npz"
    path.write_bytes(zipped_arrays(arrays))
    np.savez(other, scores=np.ones((3, 5)))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "ours.zip").write_bytes(path.read_bytes())
    names = ("ours.NPZ", "theirs.npz", "text.npz", "folder.npz", "ours.zip", "none.npz")
    assert [archive.is_run_file(tmp_path / name) for name in names] == [True] + [False] * 5
