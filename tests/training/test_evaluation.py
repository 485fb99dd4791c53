import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made import made_run

from cifarcore.config import TrainConfig
from cifarcore.data.cifar100 import Dataset, load_cifar100, sample_ids
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import align
from cifarcore.runs.run import load_run, save_run
from cifarcore.training import evaluation
from cifarcore.training.checkpoints import Checkpoint, half, load_checkpoint, save_checkpoint
from cifarcore.training.hardware import resolve
from cifarcore.training.models import empty_model
from cifarcore.training.predict import predict

ROOT = Path(__file__).parents[2]
CONFIG = resolve(
    TrainConfig(preset="tiny", dataset="synthetic", widths=(8, 8, 8), hidden=16, validation_size=100, device="cpu")
)


@pytest.fixture(scope="module")
def dataset():
    return make_synthetic(500, 300)


@pytest.fixture(scope="module")
def checkpoint(dataset):
    torch.manual_seed(0)
    model = empty_model(CONFIG, dataset.n_classes)
    meta = {"model": "cnn", "preset": "tiny", "seed": 0, "config": CONFIG.to_dict(), "initialised_from": "random"}
    return Checkpoint(CONFIG, half(model.state_dict()), list(dataset.class_names), meta, {})


@pytest.fixture(scope="module")
def evaluated(checkpoint, dataset):
    return evaluation.evaluate(checkpoint, dataset, "cpu")


def test_run_holds_every_test_and_validation_image(evaluated, dataset):
    run, features = evaluated
    assert run.logits.shape == (300, 100) and run.val_logits.shape == (100, 100)
    assert np.array_equal(run.sample_ids, sample_ids(dataset.x_test))
    assert set(run.val_sample_ids.tolist()) <= set(features.train_ids.tolist())
    assert features.test.shape == (300, 16) and features.train.shape == (500, 16)
    assert run.meta["dataset"]["name"] == "synthetic" and run.meta["scores"] == "logits"


def test_shuffled_test_set_changes_no_number_and_no_picture(checkpoint, evaluated, dataset):
    run, features = evaluated
    order = np.random.default_rng(1).permutation(300)
    shuffled = Dataset(**{**vars(dataset), "x_test": dataset.x_test[order], "y_test": dataset.y_test[order]})
    other, other_features = evaluation.evaluate(checkpoint, shuffled, "cpu")
    assert not np.array_equal(other.sample_ids, run.sample_ids)
    pair = align(run, other)
    assert np.array_equal(pair.a.sample_ids, pair.b.sample_ids) and np.array_equal(pair.a.labels, pair.b.labels)
    # a convolution's sums may differ in their last bit with an image's place in the batch
    assert np.allclose(pair.a.logits.astype(float), pair.b.logits.astype(float), atol=2e-3)
    assert run.meta["dataset"]["fingerprint"] == other.meta["dataset"]["fingerprint"]
    by_id = dict(zip(other_features.test_ids.tolist(), other_features.test, strict=True))
    assert all(
        np.allclose(by_id[int(key)], row, atol=2e-3) for key, row in zip(features.test_ids, features.test, strict=True)
    )


def test_written_files_are_read_back_and_features_follow_the_run(checkpoint, dataset, tmp_path):
    path = save_checkpoint(checkpoint, tmp_path / "cnn-tiny-0.pt")
    written = evaluation.evaluate_file(path, dataset, "cpu")
    run = load_run(written)
    assert np.array_equal(run.sample_ids, sample_ids(dataset.x_test))
    shuffled = run.take(np.arange(300)[::-1])
    features = evaluation.features_of(written, shuffled, lambda name: dataset)
    assert np.array_equal(features.test, evaluation.features_of(written, run, lambda name: dataset).test[::-1])
    evaluation.features_path(written).unlink()
    assert np.array_equal(evaluation.features_of(written, shuffled, lambda name: dataset).test, features.test), (
        "computed again"
    )
    evaluation.features_path(written).unlink()
    path.unlink()
    assert evaluation.features_of(written, run, lambda name: dataset) is None


def test_a_file_that_is_not_of_the_checkpoint_is_replaced_only_when_asked(checkpoint, dataset, tmp_path):
    """The command names the checkpoint alone: predictions or another run beside it were lost."""
    path = save_checkpoint(checkpoint, tmp_path / "cnn-tiny-0.pt")
    there = path.with_suffix(".npz")
    np.savez(there, predictions=np.eye(3))
    for said in ("is no run file", "is the run of another training"):
        before = there.read_bytes()
        with pytest.raises(CifarcoreError, match=f"cnn-tiny-0.npz: {said}; move it away, or replace it with --over"):
            evaluation.evaluate_file(path, dataset, "cpu")
        assert there.read_bytes() == before and sorted(tmp_path.iterdir()) == [there, path]
        save_run(made_run(5, 60), there)
    features = evaluation.features_path(path)
    np.savez(features, mine=np.eye(3))
    with pytest.raises(CifarcoreError, match=r"cnn-tiny-0.features.npz: holds no features .*move it away"):
        evaluation.evaluate_file(path, dataset, "cpu", overwrite=True)
    features.unlink()
    evaluation.evaluate_file(path, dataset, "cpu", overwrite=True)
    assert load_run(there).n_images == 300
    evaluation.evaluate_file(path, dataset, "cpu")  # its own run loses nothing


def test_what_was_added_to_a_run_is_kept_where_it_fits(checkpoint, dataset, tmp_path):
    """Scored again, a run was written without its maps and metadata, and nothing said so."""
    path = save_checkpoint(checkpoint, tmp_path / "cnn-tiny-0.pt")
    run = load_run(evaluation.evaluate_file(path, dataset, "cpu"))
    added = {
        "tsne": np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32),
        "metadata_names": np.array(["camera"]),
        "metadata_values": np.array([[f"camera {row}"] for row in range(300)]),
        "meta": run.meta | {"map_source": "features", "maps": {"tsne": 0.5}},
    }
    save_run(replace(run, **added).take(np.arange(300)[::-1]), run.path)
    notes = []
    again = load_run(evaluation.evaluate_file(path, dataset, "cpu", tell=notes.append))
    assert not notes and again.meta == added["meta"] and np.array_equal(again.logits, run.logits)
    for name in ("tsne", "metadata_names", "metadata_values"):
        assert np.array_equal(getattr(again, name), added[name])

    save_run(replace(again, logits=again.logits[:, ::-1]), run.path)
    again = load_run(evaluation.evaluate_file(path, dataset, "cpu", tell=notes.append))
    assert again.tsne is None and "maps" not in again.meta and again.metadata_values is not None
    assert len(notes) == 1 and "maps of the former run file are left out, as they are of other scores" in notes[0]
    save_run(replace(again, sample_ids=again.sample_ids + np.uint64(1)), run.path)
    again = load_run(evaluation.evaluate_file(path, dataset, "cpu", tell=notes.append))
    assert again.metadata_values is None and "metadata of the former run file" in notes[1]


def test_what_is_added_to_a_run_while_it_is_scored_is_kept_or_refused(checkpoint, dataset, tmp_path, monkeypatch):
    path = save_checkpoint(checkpoint, tmp_path / "cnn-tiny-0.pt")
    run = load_run(evaluation.evaluate_file(path, dataset, "cpu"))
    mapped = replace(run, tsne=np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32))
    evaluate = evaluation.evaluate

    def meanwhile(other):
        def scored(*arguments):
            save_run(other, run.path)
            return evaluate(*arguments)

        monkeypatch.setattr(evaluation, "evaluate", scored)

    meanwhile(mapped)
    assert np.array_equal(load_run(evaluation.evaluate_file(path, dataset, "cpu")).tsne, mapped.tsne)
    meanwhile(made_run(5, 60))
    with pytest.raises(CifarcoreError, match="is the run of another training"):
        evaluation.evaluate_file(path, dataset, "cpu")
    assert load_run(run.path).n_images == 60


def test_features_of_other_images_are_refused(checkpoint, dataset, tmp_path):
    path = save_checkpoint(checkpoint, tmp_path / "cnn-tiny-0.pt")
    run = load_run(evaluation.evaluate_file(path, dataset, "cpu"))
    other = replace(run, sample_ids=run.sample_ids + np.uint64(1))
    with pytest.raises(CifarcoreError, match="other test images"):
        evaluation.features_of(path.with_suffix(".npz"), other, lambda name: dataset)


def test_features_of_another_network_are_refused_and_of_another_order_taken(checkpoint, dataset, tmp_path):
    path = save_checkpoint(checkpoint, tmp_path / "cnn.pt")
    written = evaluation.evaluate_file(path, dataset, "cpu")
    run, features = load_run(written), evaluation.load_features(evaluation.features_path(written))
    assert np.array_equal(
        evaluation.features_of(written, run.take(np.arange(300)[::-1]), None).test, features.test[::-1]
    )

    other = replace(run, logits=np.where(np.arange(run.n_images)[:, None] == 7, run.logits * 2, run.logits))
    with pytest.raises(CifarcoreError, match="not of the network"):
        evaluation.features_of(written, other, None)
    evaluation.save_features(replace(features, scores=""), evaluation.features_path(written))  # of before they said it
    with pytest.raises(CifarcoreError, match="not of the network"):
        evaluation.features_of(written, run, None)


@pytest.mark.parametrize("damage", ["cut", "bytes", "version", "missing"])
def test_damaged_features_are_said_with_the_remedy(tmp_path, damage):
    path = tmp_path / "cnn.features.npz"
    names = ("test", "test_ids", "train", "train_ids") + (() if damage == "missing" else ("train_labels",))
    np.savez_compressed(path, **{name: np.arange(500) for name in names})
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "bytes":
        content[60:200] = bytes(140)
    elif damage == "version":
        content[content.index(b"PK\x01\x02") + 6] = 200
    path.write_bytes(content)
    with pytest.raises(CifarcoreError, match="delete it and run `cifarcore evaluate` again"):
        evaluation.load_features(path)


def test_other_classes_are_refused(checkpoint, dataset):
    renamed = Dataset(**{**vars(dataset), "class_names": tuple(f"class {index}" for index in range(100))})
    with pytest.raises(CifarcoreError, match="classes") as caught:
        evaluation.evaluate(checkpoint, renamed, "cpu")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused(checkpoint):
    with pytest.raises(CifarcoreError, match="do not fit") as caught:
        replace(checkpoint, config=replace(CONFIG, model="resnet18")).model()
    assert "\n" not in str(caught.value)


class _Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        {"format": 1},
        {"format": 2},
        [1, 2],
        {"format": 1, "config": {"model": "vgg"}, "weights": {}, "class_names": [], "meta": {}, "history": {}},
        _Evil(),
    ],
    ids=["empty", "noise", "incomplete", "later", "list", "foreign", "pickle"],
)
def test_a_file_that_is_no_checkpoint_gets_one_line(content, tmp_path):
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(CifarcoreError) as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("CIFARCORE_DATA"), reason="set CIFARCORE_DATA to a folder with CIFAR-100 to run this"
)
@pytest.mark.parametrize(
    "path",
    [path for path in sorted((ROOT / "checkpoints").glob("*.pt")) if path.with_suffix(".npz").exists()],
    ids=lambda path: path.stem,
)
def test_bundled_weights_give_the_logits_of_their_run_files(path):
    """On 200 test images of the 10,000: the weights are the ones that were evaluated."""
    real = load_cifar100(download=False)
    rows = np.arange(0, 10000, 50)
    part = Dataset(
        **{
            **vars(real),
            "x_test": real.x_test[rows],
            "y_test": real.y_test[rows],
            "x_train": real.x_train[:1],
            "y_train": real.y_train[:1],
        }
    )
    checkpoint = load_checkpoint(path)
    checkpoint = replace(checkpoint, config=replace(checkpoint.config, validation_size=0))
    again, _ = evaluation.evaluate(checkpoint, part, "cpu")
    pair = align(again, load_run(path.with_suffix(".npz")))
    assert pair.a.n_images == 200
    stored, fresh = pair.b.logits.astype(float), pair.a.logits.astype(float)
    assert np.abs(stored - fresh).max() <= 2 * np.spacing(np.float16(np.abs(stored).max())).astype(float)
    for needed in ("config", "dataset", "initialised_from", "train_seconds", "device"):
        assert pair.b.meta[needed]


@pytest.mark.parametrize("before", [True, False])
def test_scoring_leaves_the_precision_of_the_callers_convolutions_alone(checkpoint, dataset, monkeypatch, before):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    during = []
    evaluation.score(checkpoint, dataset.x_test[:5], "cpu", lambda done: during.append(torch.backends.cudnn.allow_tf32))
    assert during == [False] and torch.backends.cudnn.allow_tf32 is before


WIDE = replace(CONFIG, widths=(256, 512, 1024))
RESNET = replace(CONFIG, model="resnet18")


@pytest.mark.parametrize(
    ("config", "side", "expected"),
    [
        (CONFIG, 32, [500, 100]),
        (CONFIG, 1024, [15] * 40),
        (WIDE, 32, [500, 100]),
        (WIDE, 128, [31] * 19 + [11]),
        (replace(CONFIG, widths=(8, 32768, 8)), 32, [15] * 40),
        (RESNET, 128, [500, 100]),
        (RESNET, 256, [125] * 4 + [100]),
        (replace(RESNET, stem="3x3"), 128, [125] * 4 + [100]),
    ],
)
def test_what_takes_much_memory_is_scored_in_smaller_batches(config, side, expected, monkeypatch):
    """500 pictures of 400 pixels, or in 2,048 channels, took 8 GiB, whatever the batches of the training."""
    sizes = []

    class Network(torch.nn.Module):
        def features(self, images):
            sizes.append(len(images))
            return images.mean((1, 2, 3))[:, None]

        head = staticmethod(lambda features: features)

    config = replace(config, image_size=side, precision="float32")
    images = torch.zeros(600, 2, 2, 3, dtype=torch.uint8)
    assert len(predict(Network(), images, config)[0]) == 600 and sizes == expected
    monkeypatch.setattr("cifarcore.memory.memory_bytes", lambda: 1 << 16)
    with pytest.raises(CifarcoreError, match=f"scoring an image of {side} pixels with this network takes about"):
        predict(Network(), images, config)


def test_a_checkpoint_of_a_network_that_sees_more_pixels_than_any_is_refused(checkpoint, tmp_path):
    path = save_checkpoint(checkpoint, tmp_path / "x.pt")
    content = torch.load(path, weights_only=True)
    content["config"]["image_size"] = 8192
    torch.save(content, path)
    with pytest.raises(CifarcoreError, match="image_size"):
        load_checkpoint(path)
