"""Runs made of arrays, and the one line with which arrays that do not fit are refused."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from cifarcore import CifarcoreError, Run, load_run, save_run
from cifarcore.data import cifar100, sample_ids
from cifarcore.data.synthetic import make_synthetic

NAMES = ["cat", "dog", "horse"]
LOGITS = np.array([[2.0, 0, -1], [0, 1, 3], [1, 5, 0], [0, 0.5, 0.25]])
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
LABELS = [0, 2, 1, 0]
IDS = [11, 12, 13, 14]


def made(scores=LOGITS, labels=LABELS, **changes):
    return Run.from_predictions(scores, labels, **({"class_names": NAMES, "sample_ids": IDS} | changes))


class Tensor:
    """What a tensor on a device does: it becomes an array once it is detached and copied."""

    def __init__(self, values, where="cuda", dtype="float32"):
        self.values, self.where, self.dtype = values, where, dtype

    def detach(self):
        return Tensor(self.values, "detached", self.dtype)

    def cpu(self):
        assert self.where == "detached"
        return Tensor(self.values, "cpu", self.dtype)

    def float(self):
        return Tensor(self.values, self.where)

    def __array__(self, dtype=None, copy=None):
        if self.where != "cpu" or "bfloat16" in self.dtype:
            raise TypeError(f"{self.dtype} on {self.where}")
        return np.asarray(self.values, dtype)


@pytest.mark.parametrize(
    "kind", [np.asarray, np.ndarray.tolist, Tensor, lambda values: Tensor(values, dtype="bfloat16")]
)
def test_arrays_lists_and_tensors_are_the_same_run(kind):
    run = made(kind(LOGITS), kind(np.array(LABELS)), sample_ids=kind(np.array(IDS)))
    assert run.labels.tolist() == LABELS and run.sample_ids.tolist() == IDS
    np.testing.assert_array_equal(run.logits, (LOGITS - LOGITS.max(axis=1, keepdims=True)).astype(np.float16))
    assert run.correct.tolist() == [True, True, True, False]


def test_a_tensor_of_torch_is_taken():
    code = (
        "import torch; from cifarcore import Run\n"
        "scores = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.bfloat16, requires_grad=True)\n"
        "run = Run.from_predictions(scores, torch.tensor([0, 1]), class_names=['a', 'b'], sample_ids=[1, 2])\n"
        "assert run.correct.all() and run.logits.tolist() == [[0, -2], [-1, 0]]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_saved_is_what_was_made(tmp_path):
    run = made(model="mine", preset="long", seed=3, meta={"parameters": 5})
    loaded = load_run(save_run(run, tmp_path / "x.npz"))
    for name in ("class_names", "sample_ids", "labels", "logits"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(run, name))
        assert getattr(loaded, name).dtype == getattr(run, name).dtype
    assert loaded.meta == run.meta and (run.name, run.group) == ("mine-long-3", "mine-long")
    assert run.meta["parameters"] == 5 and run.meta["scores"] == "logits"
    assert run.meta["dataset"]["fingerprint"] == cifar100.fingerprint(run.sample_ids, run.labels)
    assert made().meta.keys() == {"seed", "scores", "dataset"}


@pytest.mark.parametrize(
    ("scores", "kind"),
    [(PROBABILITIES, "probabilities"), (np.log(PROBABILITIES), "log_probabilities"), (LOGITS, "logits")],
)
def test_scores_are_recognised_and_may_be_named(scores, kind):
    run = made(scores)
    assert run.meta["scores"] == ("logits" if kind == "logits" else "log_probabilities")
    np.testing.assert_array_equal(made(scores, kind=kind).logits, run.logits)
    kept = LOGITS - LOGITS.max(axis=1, keepdims=True) if kind == "logits" else np.log(PROBABILITIES)
    np.testing.assert_allclose(run.logits, kept, atol=2e-3)


def test_probabilities_may_be_named_logits():
    given = made(PROBABILITIES, kind="logits").meta
    assert given["scores"] == "logits" and given["through_softmax"] == len(PROBABILITIES)
    for scores, kind in ((PROBABILITIES, ""), (PROBABILITIES, "probabilities"), (LOGITS, "logits"), (LOGITS, "")):
        assert "through_softmax" not in made(scores, kind=kind).meta


def test_labels_may_be_names_or_one_hot():
    assert made(labels=["cat", "horse", "dog", "cat"]).labels.tolist() == LABELS
    assert made(labels=np.eye(3)[LABELS]).labels.tolist() == LABELS


def test_images_are_known_by_their_content_and_classes_by_name():
    drawn = make_synthetic(1, 20)
    run = Run.from_predictions(
        np.eye(100)[drawn.y_test] * 9 - 1, drawn.y_test, class_names=cifar100.CLASS_NAMES, images=drawn.x_test
    )
    np.testing.assert_array_equal(run.sample_ids, sample_ids(drawn.x_test))
    assert run.superclass_names.tolist() == list(cifar100.SUPERCLASS_NAMES)
    kin = made(superclass_of={"cat": "pets", "dog": "pets", "horse": "farm"})
    assert kin.superclass_names[kin.superclass_of].tolist() == ["pets", "pets", "farm"]
    assert made().superclass_of is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": LOGITS[0]}, "scores: .*one row per image"),
        ({"scores": LOGITS[:0]}, "scores: no row"),
        ({"scores": np.where(LOGITS == 5, np.nan, LOGITS)}, "scores: 1 scores in 1 rows .*row 2, column dog"),
        ({"scores": [[1, 2, 3], [1]]}, "scores: cannot be read as an array"),
        ({"scores": [[object()] * 3] * 4}, "scores: object of shape"),
        ({"scores": PROBABILITIES * 100}, 'scores: every row .* sums to 100, .*give kind="logits"'),
        ({"scores": PROBABILITIES * 2, "kind": "probabilities"}, "scores: "),
        ({"scores": LOGITS * 1e5}, "array 'logits' holds .*too large"),
        ({"kind": "softmax"}, "kind: 'softmax'; choose one of logits, "),
        ({"labels": [0, 2, 1]}, "labels: 3 for 4 rows"),
        ({"labels": [0, 2, 1, 3]}, "labels: label 3 is outside 0..2"),
        ({"labels": [0, 2, 1, -1]}, "labels: label -1 is outside 0..2"),
        ({"labels": ["cat", "dog", "dog", "cow"]}, "labels: 1 of 4 labels"),
        ({"labels": [0.5, 1, 1, 1]}, "labels: labels are no"),
        ({"class_names": ["cat", "dog"]}, "class_names: 2 names for 3 columns"),
        ({"class_names": ["cat", "dog", "cat"]}, "class_names"),
        ({"sample_ids": None}, "sample_ids, images, test_set: give one"),
        ({"images": np.zeros((4, 2, 2, 3), np.uint8)}, "sample_ids, images, test_set: give one"),
        ({"sample_ids": [1, 2, 3]}, "sample_ids: 3 for 4 rows"),
        ({"sample_ids": [1, 2, 3, -4]}, "sample_ids: "),
        ({"sample_ids": [11, 12, 13, 11]}, "sample_ids' repeats 1 "),
        ({"sample_ids": None, "images": np.zeros((4, 2, 2, 3))}, "images: float64 of shape"),
        ({"sample_ids": None, "images": np.zeros((4, 3, 2, 2), np.uint8)}, "images: uint8 of shape"),
        ({"sample_ids": None, "images": np.zeros((4, 6, 3), np.uint8)}, "images: uint8 of shape"),
        ({"sample_ids": None, "images": np.zeros((3, 2, 2, 3), np.uint8)}, "images: 3 for 4 rows"),
        ({"superclass_of": {"cat": "pets"}}, "superclass_of: no name of a superclass for 2 classes, such as 'dog'"),
        ({"meta": {"x": object()}}, "meta cannot be written"),
        ({"meta": {"seed": "one"}}, "'meta' has a seed of the wrong type"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_argument(changes, message):
    with pytest.raises(CifarcoreError, match=message) as caught:
        made(**changes)
    assert "\n" not in str(caught.value)


def test_sums_that_are_not_one_are_counted_and_the_first_is_named():
    scores = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0], [0.75, 0.25, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(CifarcoreError, match=r"probabilities of 2 of 4 rows do not sum to one \(row 1: 0.75\)"):
        made(scores)


@pytest.mark.parametrize(
    "ids",
    [
        [0, 1, 2, 2**64 - 1],
        np.array([0, 1, 2, 3], np.uint8),
        np.array([0, 1, 2, 3], np.int64),
        ["0", "1", "2", "18446744073709551615"],
        [f"{i:016x}" for i in (0, 1, 2, 255)],
    ],
)
def test_ids_may_be_numbers_or_text(ids):
    base = 16 if len(str(ids[0])) == 16 else 10
    assert made(sample_ids=ids).sample_ids.tolist() == [int(str(i), base) for i in ids]


def test_images_may_be_pictures_or_of_several_sizes():
    from PIL import Image

    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (4 + i % 2, 5, 3), np.uint8) for i in range(6)]
    expected = [int(sample_ids(each[None])[0]) for each in images]
    for given in (images, list(map(Image.fromarray, images))):
        run = Run.from_predictions(np.eye(2)[[0, 1] * 3] - 3, [0, 1] * 3, class_names=["a", "b"], images=given)
        assert run.sample_ids.tolist() == expected
    with pytest.raises(CifarcoreError, match="images: float64 of shape"):
        Run.from_predictions(np.eye(2) - 3, [0, 1], class_names=["a", "b"], images=[np.zeros((2, 2, 3)), np.zeros(3)])


def test_what_is_known_of_each_image_comes_along(tmp_path):
    import pandas as pd

    from cifarcore.evidence.slices import columns_of

    known = {"camera": ["x", None, "y"], "size": np.array([1.5, np.nan, 3], np.float32)}

    def run(metadata):
        return Run.from_predictions(
            np.eye(2)[[0, 1, 1]] - 3, [0, 1, 1], class_names=["a", "b"], sample_ids=[7, 8, 9], metadata=metadata
        )

    pd.DataFrame({"sample_id": [9, 8, 7], "camera": ["y", "", "x"], "size": [3.0, None, 1.5]}).to_csv(
        tmp_path / "known.csv", index=False
    )
    for metadata in (known, pd.DataFrame(known), tmp_path / "known.csv"):
        columns = columns_of(load_run(save_run(run(metadata), tmp_path / "run.npz")))
        assert columns["camera"].tolist() == ["x", "", "y"]
        np.testing.assert_array_equal(columns["size"], [1.5, np.nan, 3])
    for metadata, said in (
        ({"camera": ["x"]}, "1 values of 'camera' for 3 images"),
        ({}, "0 columns"),
        ([1, 2, 3], "list; give a mapping"),
        (tmp_path / "nothing.csv", "cannot be read"),
    ):
        with pytest.raises(CifarcoreError, match=f"metadata: .*{said}"):
            run(metadata)


N = 60
SHIFTED = np.arange(N) % 2  # the third class has no image


@pytest.mark.parametrize(
    ("scores", "labels", "said"),
    [
        (LOGITS, [1, 3, 2, 1], "labels: label 3 is outside 0..2; labels count from 0; if they count from 1, give lab"),
        (np.zeros((4, 3)), LABELS, 'scores: 4 of 4 rows .* or give kind="logits"'),
        (100 * PROBABILITIES, LABELS, 'scores: every row of the scores sums to 100.* or give kind="logits"'),
        (np.log10(PROBABILITIES), LABELS, 'scores: 10 to the power .* or give kind="logits"'),
        (PROBABILITIES / 3, [0, 2, 1, 0], 'scores: every row .* or give kind="logits"'),
        (LOGITS + 0.0, [-1, 0, 1, 2], "labels: label -1 is outside 0..2; labels count from 0$"),
    ],
)
def test_what_is_refused_is_told_in_arguments_not_in_flags(scores, labels, said):
    with pytest.raises(CifarcoreError, match=f"^{said}") as caught:
        made(scores, labels)
    assert "--" not in str(caught.value)


def test_labels_that_count_from_one_are_refused_though_they_fit():
    more = {"sample_ids": np.arange(N)}
    scores = np.eye(3)[SHIFTED] * 4 + np.linspace(0, 1, 3 * N).reshape(N, 3) % 0.1
    assert made(scores, SHIFTED, **more).correct.all()
    with pytest.raises(CifarcoreError, match="^labels: no label is 0, and 60 of 60 .* give labels - 1, else") as caught:
        made(scores, SHIFTED + 1, **more)
    assert "--" not in str(caught.value)
    assert made(scores, np.array(NAMES)[SHIFTED + 1], **more).correct.mean() == 0, "names cannot be miscounted"
    assert made(scores[:, [2, 0, 1]], SHIFTED + 1, **more).correct.all(), "the first class may have no image"


@pytest.mark.parametrize("meta", [{"model": "theirs"}, {"seed": 4}, {"scores": "classes"}])
def test_what_the_arguments_say_is_not_said_otherwise_by_meta(meta):
    with pytest.raises(CifarcoreError, match=f"meta: {next(iter(meta))} is .* by the other arguments; leave it out"):
        made(model="mine", seed=3, meta=meta)
    assert made(meta={"model": "mine", "seed": 4}).name == "mine-4"


def test_meta_may_name_the_test_set_of_which_the_images_are():
    dataset = made().meta["dataset"] | {"name": "shop"}
    assert made(meta={"dataset": dataset}).meta["dataset"] == dataset, "as of another run of the same images"
    assert made(meta={"dataset": {"name": "shop"}}).meta["dataset"] == dataset, "its fingerprint stays"


def test_superclasses_that_are_no_dictionary():
    with pytest.raises(CifarcoreError, match="superclass_of: give a dictionary"):
        made(superclass_of=["pets", "pets", "farm"])
    first, *others = made().class_names.tolist()
    for odd in (0, None, float("nan"), ["pets"], " "):
        with pytest.raises(
            CifarcoreError, match=f"superclass_of: no name of a superclass for 1 class, such as '{first}"
        ):
            made(superclass_of=dict.fromkeys(others, "pets") | {first: odd})


def test_probabilities_that_are_too_small_to_be_told_apart_are_told():
    """Naive Bayes gives such in double precision; a network in single precision has only a few zeros."""
    logarithms = -np.random.default_rng(0).uniform(100, 300, (50, 4))
    logarithms[:, :2] = np.log([0.6, 0.4])
    options = dict(class_names=list("abcd"), sample_ids=np.arange(50))
    with pytest.warns(UserWarning, match="100 probabilities below 1e-38 .* predict_log_proba"):
        Run.from_predictions(np.exp(logarithms), np.zeros(50, int), kind="probabilities", **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(probabilities below|better than chance)")
        Run.from_predictions(logarithms, np.zeros(50, int), kind="log_probabilities", **options)
        Run.from_predictions(np.eye(4)[[0] * 50] * 0.9 + 0.025, np.zeros(50, int), **options)


def test_long_metadata_that_differs_in_its_middle_alone_stays_apart(tmp_path):
    """Slices of both were one: the middle of what is longer than 60 characters is left out."""
    values = ["site " + "x" * 40 + middle + "x" * 40 for middle in "abc"]
    pd.DataFrame({"sample_id": IDS, "site": [*values, "short"]}).to_csv(tmp_path / "known.csv", index=False)
    for metadata in ({"site": [*values, "short"]}, tmp_path / "known.csv"):
        kept = made(metadata=metadata).metadata_values[:, 0].tolist()
        assert len(set(kept)) == 4 and kept[3] == "short" and max(map(len, kept)) == 60
    assert made(metadata={"site": [values[0], "", "b", "b"]}).metadata_values[0, 0].endswith("…" + "x" * 29)


def test_labels_as_text_that_count_from_one_are_refused():
    """As a CSV that was read as text gives them; no image is of the last class, so that all are classes."""
    truth = np.tile([0, 1], 100)
    scores, ids = np.eye(3)[truth] * 4 + np.random.default_rng(0).normal(size=(200, 3)), np.arange(200)
    for labels in (truth + 1, list(map(str, truth + 1))):
        with pytest.raises(CifarcoreError, match="labels: .*give labels - 1"):
            made(scores, labels, sample_ids=ids)
    assert made(scores, list(map(str, truth)), sample_ids=ids).correct.mean() > 0.9


def test_columns_of_another_order_are_known_behind_what_says_that_they_are_scores():
    turned = pd.DataFrame(PROBABILITIES[:, ::-1], columns=["prob_horse", "prob_dog", "prob_cat"])
    with pytest.raises(CifarcoreError, match="its columns are called 'prob_horse'.*in one order"):
        made(turned)
    np.testing.assert_array_equal(made(turned.iloc[:, ::-1]).logits, made(PROBABILITIES).logits)


def test_what_import_has_notes_on_is_warned_of(tmp_path):
    """Points that may part decimals were read as parting thousands, and percentages as logits, without a word."""
    n, rng = 60, np.random.default_rng(0)
    truth, scores = np.arange(n) % 3, rng.normal(size=(n, 8))
    given = dict(class_names=list("abcdefgh"), sample_ids=np.arange(n), kind="")
    columns = {"cell": ["3,1"] * n, "sharpness": [f"{value:.3f}" for value in rng.uniform(1.001, 9.999, n)]}
    pd.DataFrame({"sample_id": np.arange(n)} | columns).to_csv(tmp_path / "known.csv", index=False)
    for metadata in (columns, tmp_path / "known.csv"):
        with pytest.warns(UserWarning, match="metadata: points were read as parting thousands: 'sharpness'"):
            Run.from_predictions(scores, truth, metadata=metadata, **given)
    pd.DataFrame({"sample_id": [1, 2], "site": "north"}).to_csv(tmp_path / "known.csv", index=False)
    with pytest.warns(UserWarning, match="metadata: metadata of 2 of 60 images"):
        Run.from_predictions(scores, truth, metadata=tmp_path / "known.csv", **given)
    with pytest.warns(UserWarning, match="no score is below zero, as after a sigmoid"):
        Run.from_predictions(scores - scores.min(), truth, **given)
    best = np.where(scores >= np.sort(scores, axis=1)[:, -2:-1], scores, -20)
    with pytest.warns(UserWarning, match="most classes share the lowest score in 60 images"):
        Run.from_predictions(best, truth, **given)
    powers = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    with pytest.warns(UserWarning, match="as after softmax; they are kept as logits, as asked for"):
        Run.from_predictions(powers, truth, **given | {"kind": "logits"})
