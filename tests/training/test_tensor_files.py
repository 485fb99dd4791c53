"""What torch.save writes of predictions, as arrays: every form in which frameworks save them, and nothing unpickled."""

import time
import zipfile

import numpy as np
import pytest
import torch

from cifarcore.errors import CifarcoreError
from cifarcore.training import tensor_files
from cifarcore.training.tensor_files import arrays_in, convert, load

N, C = 23, 4
SCORES = torch.from_numpy(np.random.default_rng(0).normal(size=(N, C)).astype(np.float32))
LABELS = torch.arange(N) % C
WEIGHTS = torch.nn.Sequential(torch.nn.Linear(2, 2)).state_dict()
OTHER = torch.rand(N)


def batches(values, size=5):
    return list(values.split(size))


FORMS = {
    "a tensor": SCORES,
    "batches": batches(SCORES),
    "one batch": [SCORES],
    "batches of one": batches(SCORES, 1),
    "rows": list(SCORES),
    "numbers": SCORES.tolist(),
    "batches of numbers": [each.tolist() for each in batches(SCORES)],
    "one data loader": [batches(SCORES)],
    "a parameter": torch.nn.Parameter(SCORES),
    "a view of more": torch.cat([SCORES, SCORES])[:N],
    "scores and labels": (SCORES, LABELS),
    "labels and scores": [LABELS, SCORES],
    "scores, labels and losses": (SCORES, LABELS, OTHER),
    "scores, labels and classes": (SCORES, LABELS, SCORES.argmax(dim=1)),
    "pairs of batches": list(zip(batches(SCORES), batches(LABELS), strict=True)),
    "triples of batches": list(zip(batches(SCORES), batches(LABELS), batches(OTHER), strict=True)),
    "named": {"scores": SCORES, "labels": LABELS},
    "named batches": {"scores": batches(SCORES), "labels": batches(LABELS)},
    "batches with names": [{"scores": s, "labels": y} for s, y in zip(batches(SCORES), batches(LABELS), strict=True)],
    "images with names": [
        {"scores": s, "labels": y.reshape(1), "file": f"{i}.png"}
        for i, (s, y) in enumerate(zip(SCORES, LABELS, strict=True))
    ],
    "numbers with names": [{"scores": s.tolist(), "labels": int(y)} for s, y in zip(SCORES, LABELS, strict=True)],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path, form):
    torch.save(FORMS[form], tmp_path / "x.pt")
    arrays = arrays_in(load(tmp_path / "x.pt"))
    np.testing.assert_array_equal(arrays["scores"].reshape(N, C), SCORES)
    if "labels" in arrays:
        np.testing.assert_array_equal(arrays["labels"], LABELS)
    assert ("labels" in arrays) == ("label" in form or "names" in form or "named" in form or "pairs" in form
                                    or "triples" in form)  # fmt: skip
    if form == "images with names":
        assert arrays["file"].tolist() == [f"{i}.png" for i in range(N)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("old", [False, True])
def test_numbers_of_any_width_and_age(tmp_path, dtype, old):
    torch.save(SCORES.to(dtype), tmp_path / "x.pt", _use_new_zipfile_serialization=not old)
    np.testing.assert_array_equal(arrays_in(load(tmp_path / "x.pt"))["scores"], SCORES.to(dtype).float())


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (WEIGHTS, "holds a model's weights, not its outputs"),
        ({"epoch": 3, "state_dict": WEIGHTS}, "holds a model's weights, not its outputs"),
        ([batches(SCORES), batches(SCORES)], "holds 2 lists of tensors, as of several data loaders"),
        ([SCORES, torch.rand(3, C + 1)], "tensors that do not fit together"),
        ([{"a": SCORES}, {"b": SCORES}], "dictionaries of different keys"),
        (torch.eye(3).to_sparse(), "save plain numbers"),
    ],
)
def test_what_is_no_predictions(value, said):
    with pytest.raises(CifarcoreError, match=said):
        arrays_in(value)


@pytest.mark.parametrize("value", [np.ones(3), [np.ones((2, 3))], {"scores": np.ones((3, 2))}, slice])
def test_what_needs_unpickling_is_refused_with_the_line_that_converts_it(tmp_path, value, monkeypatch):
    torch.save(value, tmp_path / "theirs.pt")
    with pytest.raises(CifarcoreError, match="only unpickling would read") as caught:
        load(tmp_path / "theirs.pt")
    if value is not slice:
        monkeypatch.chdir(tmp_path)
        exec(str(caught.value).partition('python -c "')[2].removesuffix('"'))
        assert np.load("theirs.npz")["scores"].shape[-1] in (1, 2, 3)


def test_the_scores_of_two_models_are_refused():
    """The first were taken, the others named as unused."""
    labels, one_hot = torch.arange(N) % SCORES.shape[1], torch.eye(SCORES.shape[1])[torch.arange(N) % SCORES.shape[1]]
    for others in ([], [SCORES.softmax(dim=1)], [one_hot], [SCORES[:, :-1]]):
        np.testing.assert_array_equal(arrays_in((SCORES, *others, labels))["scores"], SCORES)
    for other in (SCORES.flip(0), SCORES.roll(1, 1)):
        with pytest.raises(CifarcoreError, match="tables of one shape, .*, of which any may be the scores"):
            arrays_in((SCORES, other, labels))


def test_few_bytes_that_claim_much_are_refused(tmp_path, monkeypatch):
    torch.save(torch.zeros(1).expand(1 << 20, 1 << 20), tmp_path / "x.pt")
    with pytest.raises(CifarcoreError, match="holds more than 1 GiB"):
        arrays_in(load(tmp_path / "x.pt"))
    many: list = [SCORES]
    for _ in range(40):
        many = [many, many]
    torch.save(many, tmp_path / "x.pt")
    with pytest.raises(CifarcoreError, match="holds more than 1 GiB"):
        arrays_in(load(tmp_path / "x.pt"))
    torch.save(SCORES, tmp_path / "x.pt")
    with (
        zipfile.ZipFile(tmp_path / "x.pt") as whole,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in whole.infolist():
            packed.writestr(entry.filename, whole.read(entry))
    with pytest.raises(CifarcoreError, match="compressed, which torch.save does not do"):
        load(tmp_path / "y.pt")
    (tmp_path / "z.pt").write_bytes(b"PK")
    with pytest.raises(CifarcoreError, match="not a file that torch.save wrote"):
        load(tmp_path / "z.pt")


def test_the_row_numbers_that_lightning_writes_beside_the_predictions(tmp_path):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    torch.save(batches(SCORES[order]), tmp_path / "predictions_0.pt")
    torch.save([[each.tolist() for each in batches(order)]], tmp_path / "batch_indices_0.pt")
    convert(tmp_path / "predictions_0.pt", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        np.testing.assert_array_equal(arrays["row"], order)
        np.testing.assert_array_equal(arrays["scores"], SCORES[order])
    with pytest.raises(CifarcoreError, match="as Lightning writes them; import predictions_0.pt"):
        convert(tmp_path / "batch_indices_0.pt", tmp_path / "x.npz")
    torch.save([[[0, 1]]], tmp_path / "batch_indices_0.pt")
    said = "has 23 rows of scores, but batch_indices_0.pt beside it numbers 2: .* move that file away .* --order rows"
    with pytest.raises(CifarcoreError, match=said):
        convert(tmp_path / "predictions_0.pt", tmp_path / "x.npz")
    (tmp_path / "batch_indices_0.pt").unlink()
    convert(tmp_path / "predictions_0.pt", tmp_path / "x.npz")


def test_a_list_of_too_many_values(monkeypatch):
    monkeypatch.setattr(tensor_files, "MAX_ITEMS", 10)
    with pytest.raises(CifarcoreError, match="or 10 values"):
        arrays_in([SCORES] * 11)


def test_lists_in_lists_are_counted_without_walking_through_each(tmp_path):
    lists, batch = [], [torch.zeros(2, 3)]
    for _ in range(80):
        lists = [lists, lists]
    inner = []
    inner.append(inner)
    began = time.process_time()
    for value, said in ((lists, "holds more than"), ([batch, inner], "in itself"), ({"a": inner}, "in itself")):
        with pytest.raises(CifarcoreError, match=said):
            arrays_in(value)
    assert time.process_time() - began < 2
    assert arrays_in([{"logits": batch[0], "names": batch}] * 3)["logits"].shape == (6, 3)


def test_texts_are_refused_by_the_room_that_they_would_take(monkeypatch):
    """Each takes that of the longest: five gigabytes of a file of 2 MB."""
    monkeypatch.setattr("cifarcore.runs.predictions.MAX_BYTES", 4000)
    assert arrays_in({"files": ["x" * 10] * 100})["files"].tolist() == ["x" * 10] * 100
    with pytest.raises(CifarcoreError, match="one of 101 texts has 10 characters"):
        arrays_in({"files": ["x" * 10] * 101})
    assert arrays_in({"files": ["x" * 10] * 100 + [1]}) == {}
