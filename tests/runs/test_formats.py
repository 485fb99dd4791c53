"""Files of predictions that cannot be read, or would be misread, are refused in one line."""

import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from import_checks import refused, write
from made import made_run
from scipy.io import savemat
from scipy.special import softmax

from cifarcore.data.packs import packed_files
from cifarcore.errors import CifarcoreError
from cifarcore.runs import importing
from cifarcore.runs.formats import SUFFIXES, read_labels, read_predictions, stem_of, suffix_of
from cifarcore.runs.importing import is_run_file


def test_pickled_scores_are_not_read_and_the_remedy_is_named(tmp_path):
    np.save(tmp_path / "theirs.npy", made_run(5, 60).logits.astype(object), allow_pickle=True)
    assert 'np.save(file, scores.astype("float32"))' in refused(tmp_path / "theirs.npy", tmp_path)


def broken():
    """What is wrong with a file -> what the message must say."""
    run = made_run(10, 100)
    good = {"label": run.class_names[run.labels], "sample_id": run.sample_ids}
    scores = run.logits.astype(np.float32)
    half = softmax(scores, axis=1)
    half[7] /= 2
    hole = scores.copy()
    hole[4, 2] = np.nan
    text = good | {"comment": np.array(["so so", *["1.5"] * 99])}
    names = run.class_names.tolist()
    yield "row not one", dict(scores=half, **good), "the probabilities of 1 of 100 rows do not sum to one (row 7: 0.5)"
    yield "nan", dict(scores=hole, **good), f"first: row 4, column {names[2]}"
    yield "no ids", dict(label=good["label"]), "the test images are unknown"
    yield "no labels", dict(sample_id=good["sample_id"]), "no labels"
    yield "text column", text, "column 'comment' holds 'so so'"
    yield (
        "unknown label",
        dict(good, label=np.array(["no such"] * 100)),
        "labels are not class names (such as 'no such')",
    )
    yield "label too high", dict(good, label=run.labels + 5), "outside 0..9"
    yield "repeated", dict(good, sample_id=np.r_[run.sample_ids[:1], run.sample_ids[:1], run.sample_ids[2:]],
                           label=np.r_[run.labels[:1], run.labels[:1], run.labels[2:]]), "rows 0 and 1"  # fmt: skip
    yield "same name", dict(good, names=[*names[:-1], names[0].upper()]), "are the same name"
    yield "no ids but text", dict(good, sample_id=["x"] * 100), "sample ids are not unsigned 64-bit numbers"
    yield "two of a kind", dict(good, target=run.labels[::-1]), "mean the same"


@pytest.mark.parametrize(("columns", "said"), [case[1:] for case in broken()], ids=[case[0] for case in broken()])
def test_what_does_not_fit_is_said_in_one_line(tmp_path, columns, said):
    message = refused(write(tmp_path / "theirs.csv", made_run(10, 100), **columns), tmp_path)
    assert said in message


def test_arrays_that_do_not_fit(tmp_path):
    run = made_run(10, 100)
    path = tmp_path / "theirs.npz"
    given = {"labels": run.labels, "sample_ids": run.sample_ids, "class_names": run.class_names}
    for arrays, said in (
        (given | {"logits": run.logits[:, :9]}, "10 class names for 9 columns"),
        (given | {"logits": run.logits[:90]}, "100 labels for 90 rows"),
        (given | {"logits": run.logits.T}, "a row for each class, so save them transposed, scores.T"),
        (given | {"logits": run.logits, "labels": run.labels[:90]}, "90 labels for 100 rows"),
        (given | {"logits": run.logits, "sample_ids": run.sample_ids[:90]}, "90 sample ids for 100 rows"),
        *(
            (given | {"logits": run.logits, name: other}, f"{name!r} of shape {other.shape} says nothing of 100 rows")
            for name in ("index", "indices", "rows", "files", "filename")
            for other in (np.arange(10), np.arange(200), np.array(5))
        ),
        (given | {"predictions": np.array(5)}, "theirs.npz: "),
        ({**given, "logits": run.logits, "class_names": np.zeros((10, 4), "V2")}, "theirs.npz: "),
        (given | {"probabilities": run.logits}, "outside 0..1"),
        (given | {"logits": run.logits, "probabilities": run.logits}, "keep one"),
        (given | {"logits": run.logits.astype(object)}, "pickle"),
        (given | {"logits": run.logits[:0]}, "no row"),
        (given | {"logits": run.logits[0]}, "one row per image"),
        (given, "no array of scores among labels"),
        (given | {"logits": 1e6 * run.logits.astype(np.float32)}, "65504"),
    ):
        np.savez(path, **arrays)
        assert said in refused(path, tmp_path), said
    (tmp_path / "theirs.xyz").write_text("1 2")
    assert "predictions are read from .npz" in refused(tmp_path / "theirs.xyz", tmp_path)
    assert "no such file" in refused(tmp_path / "none.csv", tmp_path)
    np.savez(path, logits=run.logits, **given)
    for options in ({"order": "torchvision", "like": "x"}, {"order": "torchvision", "images": "x"}):
        assert "give one of them" in refused(path, tmp_path, **options)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cat,dog\n-1,2,0.3\n", "more cells than the 2 columns"),
        ("label,sample_id,cat,dog\n0,1,2,3,4\n", "more cells than the 4 columns"),
        ('file,label,cat,"dog\n' + "a,0,1,2\n" * 20_000, "not a readable csv file"),
        (",".join(["cat", *map(str, range(400_000)), "cat"]) + "\n", "columns; at most 21,000 are read"),
    ],
    ids=["row names", "row names beside labels", "open quote", "many columns"],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path, content, said):
    (tmp_path / "theirs.csv").write_text(content)
    assert said in refused(tmp_path / "theirs.csv", tmp_path)


def test_small_files_that_unfold_to_much_are_refused(tmp_path):
    path = tmp_path / "theirs.parquet"
    pd.DataFrame(
        {"label": pd.Categorical.from_codes(np.zeros(200_000, int), ["x" * 10_000]), "a": 0, "b": 1.0}
    ).to_parquet(path)
    tracemalloc.start()
    assert "1.9 GiB when read" in refused(path, tmp_path)
    pd.DataFrame({"label": ["x" * 10_000] * 1_000, "a": 0.1, "b": 0.2}).to_parquet(path)
    assert "a label has 10,000 characters" in refused(path, tmp_path)
    empty = {"descr": "<U0", "fortran_order": False, "shape": (20_000_000,)}
    with zipfile.ZipFile(tmp_path / "theirs.npz", "w") as archive:
        for name in ("logits", "labels"):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array_header_1_0(file, empty)
    assert "not as long as its header says" in refused(tmp_path / "theirs.npz", tmp_path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50 << 20


def test_a_zip_of_an_unknown_version_is_refused(tmp_path):
    path = tmp_path / "theirs.npz"
    np.savez(path, logits=made_run().logits)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 200  # the version needed to extract
    path.write_bytes(content)
    assert "theirs.npz" in refused(path, tmp_path) and packed_files(path) == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x93NUMPY", b"\x80\x04K\x01.", b"a,b\n1", b"PAR1xxxxPAR1", b"\xff\xfe\x00"]
)
def test_damaged_files_are_refused(tmp_path, suffix, content):
    (tmp_path / f"theirs{suffix}").write_bytes(content)
    assert f"theirs{suffix}" in refused(tmp_path / f"theirs{suffix}", tmp_path)


def test_a_header_that_promises_too_much_is_refused_before_it_is_allocated(tmp_path):
    with (tmp_path / "theirs.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**4)})
    assert "theirs.npy" in refused(tmp_path / "theirs.npy", tmp_path)


def test_the_only_table_of_numbers_is_the_scores_whatever_its_name(tmp_path):
    """Arrays of integers, and those of one row, are none."""
    scores = np.array([[2.0, 0, 1], [0, 1, 0.5]])
    np.savez(tmp_path / "x.npz", mine=scores, counts=np.ones((2, 3), int), ages=np.ones(2), names=["a", "b"])
    np.testing.assert_array_equal(read_predictions(tmp_path / "x.npz").scores, scores)
    np.savez(tmp_path / "y.npz", mine=scores, other=scores)
    with pytest.raises(CifarcoreError, match="no array of scores among mine, other; name one"):
        read_predictions(tmp_path / "y.npz")


def test_a_table_without_classes_says_what_it_has(tmp_path):
    for header, said in (
        ("label,a", "1 columns of classes beside label; "),
        ("a,index", "one column of scores, headed 'a', which is none of the two classes"),
        ("a,split", "one column of scores, headed 'a', which is none of the two classes"),
    ):
        (tmp_path / "x.csv").write_text(f"{header}\n{'1,2' if header == 'label,a' else '0.5,2'}\n")
        with pytest.raises(CifarcoreError, match=said):
            read_predictions(tmp_path / "x.csv")


@pytest.mark.parametrize("suffix", [".npz", ".NPZ", ".csv"])
def test_what_says_that_it_is_a_run_file(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"schema.npy")
    assert not is_run_file(path), "bytes that are no archive"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("logits.npy", b"")
    assert not is_run_file(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("schema.npy", b"")
    assert is_run_file(path) == (suffix != ".csv")


def test_all_suffixes_are_named_in_a_sentence(tmp_path):
    with pytest.raises(CifarcoreError, match=r"x.xyz: .xyz; predictions are read from .npz, .* or .mat$"):
        read_predictions(tmp_path / "x.xyz")


def test_labels_of_a_file_of_their_own(tmp_path):
    for name, arrays in (("y", {"anything": [2, 0, 1]}), ("z", {"x": np.ones(2), "y_true": [2, 0, 1]})):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert read_labels(tmp_path / f"{name}.npz").tolist() == [2, 0, 1]
    np.savez(tmp_path / "none.npz", x=[1], z=[2])
    with pytest.raises(CifarcoreError, match=r"labels none.npz: no array of labels \(one of label, labels, "):
        read_labels(tmp_path / "none.npz")
    np.savez(tmp_path / "twice.npz", label=[1], y_true=[2])
    with pytest.raises(CifarcoreError, match="labels twice.npz: "):
        read_labels(tmp_path / "twice.npz")
    for text, expected in (
        ("\ufefflabel\ncat\n\n dog \n", ["cat", "dog"]),
        ("cat\nlabel\n", ["cat", "label"]),
        ("1\n0\n", ["1", "0"]),
    ):
        (tmp_path / "y.txt").write_text(text, encoding="utf-8")
        assert read_labels(tmp_path / "y.txt").tolist() == expected
    (tmp_path / "y.txt").write_text(" \n\n")
    with pytest.raises(CifarcoreError, match="labels y.txt: empty; give one name per line"):
        read_labels(tmp_path / "y.txt")
    (tmp_path / "y.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CifarcoreError, match="labels y.txt: cannot be read as text"):
        read_labels(tmp_path / "y.txt")


def test_suffixes_and_stems():
    for name, suffix, stem in (
        ("some/My.scores.CSV", ".csv", "My.scores"),
        ("x.csv.GZ", ".csv.gz", "x"),
        ("x.gz", ".gz", "x"),
        ("x.npz", ".npz", "x"),
        ("x", "", "x"),
    ):
        assert (suffix_of(name), stem_of(name)) == (suffix, stem)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("mine.pkl", "pandas.DataFrame(pandas.read_pickle('mine.pkl')).to_csv('mine.csv')"),
        ("mine.h5", "for k, v in h5py.File('mine.h5').items()"),
        ("$(reboot)'.h5", "h5py.File('mine.h5')"),
        ("mine.xlsx", "save the sheet as CSV"),
        ("mine.ckpt", "this may be a model, not its outputs"),
        ("mine.safetensors", "load_file('mine.safetensors')"),
        ("mine.csv.zip", "unpack it first"),
    ],
)
def test_an_unknown_suffix_is_refused_with_what_converts_it(tmp_path, name, remedy):
    with pytest.raises(CifarcoreError) as caught:
        read_predictions(tmp_path / name)
    assert f"{name}: .{name.rsplit('.')[-1]}; predictions are read from .npz," in str(caught.value)
    assert remedy in str(caught.value)


def test_the_line_that_converts_a_pickle_does_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scores = np.array([[0.25, 0.75], [1.0, 0.0]])
    pd.to_pickle(scores, "mine.pkl")
    with pytest.raises(CifarcoreError) as caught:
        read_predictions("mine.pkl")
    exec(str(caught.value).partition('python -c "')[2].removesuffix('"'))
    np.testing.assert_array_equal(read_predictions("mine.csv").scores, scores)


def test_the_line_that_converts_hdf5_does_so_with_its_texts(tmp_path, monkeypatch):
    """HDF5 holds text as objects, which NumPy would pickle."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install h5py")
    monkeypatch.chdir(tmp_path)
    logits = np.arange(6.0).reshape(2, 3)
    with h5py.File("mine.h5", "w") as file:
        file["logits"], file["files"] = logits, ["cat/0.png", "dog/1.png"]
        file["class_names"] = np.array([b"cat", b"cow", b"dog"])
    with pytest.raises(CifarcoreError) as caught:
        read_predictions("mine.h5")
    exec(str(caught.value).partition('python -c "')[2].removesuffix('"'), {})
    read = read_predictions("mine.npz")
    np.testing.assert_array_equal(read.scores, logits)
    assert (read.files, read.columns) == (("cat/0.png", "dog/1.png"), ("cat", "cow", "dog"))


def test_errors_of_the_libraries_that_read_are_one_line(tmp_path):
    """A damaged header is parsed as Python's text, and Thrift ends its messages with a line's end."""
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(3, 2)", b"(3, 2 "))
    assert "x.npy: not a readable npy file" in refused(tmp_path / "x.npy", tmp_path)
    pd.DataFrame({"cat": [0.5, 1], "dog": [0.5, 0]}).to_parquet(tmp_path / "x.parquet")
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    content[-8 - length : -8] = b"\xff" * length
    (tmp_path / "x.parquet").write_bytes(content)
    assert "x.parquet: " in refused(tmp_path / "x.parquet", tmp_path)


def test_text_of_code_points_that_are_no_characters_is_refused(tmp_path):
    """NumPy takes any 32-bit number for a character, of which Python makes no text."""
    labels = np.array(list("abc") * 4)
    labels.view(np.uint32)[3] = 2**31
    np.savez(tmp_path / "x.npz", logits=np.ones((12, 3)), labels=labels)
    np.save(tmp_path / "native.npy", labels)
    np.save(tmp_path / "swapped.npy", labels.astype(labels.dtype.newbyteorder(">")))
    for name in ("x.npz", "native.npy", "swapped.npy"):
        for read in (read_predictions, read_labels):
            with pytest.raises(CifarcoreError, match="holds code points beyond Unicode"):
                read(tmp_path / name)
    np.save(tmp_path / "sound.npy", np.array(["é", "😀"]).astype(">U1"))
    assert read_labels(tmp_path / "sound.npy").tolist() == ["é", "😀"]


def test_what_no_reader_foresaw_is_one_line_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "x.csv").write_text("label,cat,dog\ncat,1,0\n")

    def unforeseen(*_):
        raise TypeError("unhashable\ntype")

    monkeypatch.setattr(importing, "matched", unforeseen)
    said = refused(tmp_path / "x.csv", tmp_path)
    assert said == "x.csv: cannot be imported (TypeError: unhashable type); write it as plain CSV"


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.mat", "x.pt", "x.csv"])
def test_what_double_precision_leaves_of_one_is_kept(tmp_path, name):
    """By it the images of a model that is sure of all are ranked, as those of naive Bayes: AUC was off by 0.15."""
    left = 10.0 ** -np.random.default_rng(0).uniform(8, 15, 60)
    scores, path = np.column_stack([1 - left, left]), tmp_path / name
    write = {
        "x.npz": lambda: np.savez(path, probabilities=scores),
        "x.npy": lambda: np.save(path, scores),
        "x.mat": lambda: savemat(path, {"probabilities": scores}),
        "x.pt": lambda: torch.save({"probabilities": torch.from_numpy(scores)}, path),
        "x.csv": lambda: pd.DataFrame(scores, columns=["no", "yes"]).to_csv(path, index=False),
    }
    write[name]()
    np.testing.assert_array_equal(read_predictions(path).scores, scores)
