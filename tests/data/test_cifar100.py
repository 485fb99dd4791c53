import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cifarcore.data import cifar100 as data
from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError


def write_arrays(folder: Path, **changes) -> None:
    arrays = {name: np.zeros(shape, np.uint8) for name, shape in data._SHAPES.items()} | changes
    np.savez(folder / data.ARRAYS_FILE, **arrays)


def test_sample_id_is_the_little_endian_digest_of_the_bytes():
    import hashlib

    images = np.arange(2 * 32 * 32 * 3, dtype=np.uint32).astype(np.uint8).reshape(2, 32, 32, 3)
    expected = [int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little") for image in images]
    assert data.sample_ids(images).tolist() == expected
    assert data.sample_ids(images[:, :, ::-1]).tolist() != expected, "a strided view is hashed by content"


def test_fingerprint_ignores_order_but_not_labels():
    ids = np.array([5, 3, 3, 9], np.uint64)
    labels = np.array([0, 2, 1, 1])
    shuffled = np.array([2, 0, 3, 1])
    assert data.fingerprint(ids, labels) == data.fingerprint(ids[shuffled], labels[shuffled])
    assert data.fingerprint(ids, labels) != data.fingerprint(ids, np.array([0, 2, 1, 2]))


def test_data_folder_argument_beats_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CIFARCORE_DATA", "/somewhere")
    assert data.data_dir(tmp_path) == tmp_path
    assert data.data_dir() == Path("/somewhere")
    monkeypatch.delenv("CIFARCORE_DATA")
    assert data.data_dir().name == "cifarcore"


def test_validation_split_is_stratified_and_fixed():
    labels = np.repeat(np.arange(10), 50)
    train, validation = data.split_validation(labels, 100)
    assert np.bincount(labels[validation]).tolist() == [10] * 10
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(500))
    assert np.array_equal(validation, data.split_validation(labels, 100)[1])
    with pytest.raises(CifarcoreError, match="validation"):
        data.split_validation(labels, 499)


def test_damaged_and_foreign_arrays_are_refused(tmp_path):
    write_arrays(tmp_path, x_test=np.zeros((10000, 28, 28), np.uint8))
    with pytest.raises(CifarcoreError, match="x_test is uint8"):
        data.load_cifar100(tmp_path)
    (tmp_path / data.ARRAYS_FILE).write_bytes(b"PK nothing")
    with pytest.raises(CifarcoreError, match="delete the file"):
        data.load_test_images(tmp_path)


def test_without_data_the_error_names_the_three_ways(tmp_path):
    with pytest.raises(CifarcoreError) as caught:
        data.load_cifar100(tmp_path, download=False)
    message = str(caught.value)
    assert "\n" not in message and "download" in message and "CIFARCORE_DATA" in message and "synthetic" in message
    assert data.load_test_images(tmp_path) is None


def test_torchvision_files_are_read_and_cached_as_arrays(tmp_path, monkeypatch):
    """A made-up copy in torchvision's own format, with the checksums that go with it."""
    import hashlib
    import pickle

    from torchvision.datasets import CIFAR100

    rng = np.random.default_rng(0)
    folder = tmp_path / data.PYTHON_FOLDER
    folder.mkdir()
    written, sums = {}, {}
    for split, count in (("train", 50000), ("test", 10000)):
        images = rng.integers(0, 256, (count, 3, 32, 32), np.uint8)
        labels = np.arange(count) % 100
        content = pickle.dumps(
            {"data": images.reshape(count, -1), "fine_labels": labels.tolist(), "coarse_labels": labels.tolist()}
        )
        (folder / split).write_bytes(content)
        sums[split] = hashlib.md5(content).hexdigest()
        written[split] = images.transpose(0, 2, 3, 1), labels
    meta = pickle.dumps({"fine_label_names": list(CLASS_NAMES)})
    (folder / "meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(
        CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": hashlib.md5(meta).hexdigest()}
    )

    set_fingerprints(monkeypatch, **{split: written[split] for split in ("train", "test")})
    dataset = data.load_cifar100(tmp_path, download=False)
    assert np.array_equal(dataset.x_test, written["test"][0]) and np.array_equal(dataset.y_train, written["train"][1])
    assert (tmp_path / data.ARRAYS_FILE).exists() and not list(tmp_path.glob(".*tmp"))
    images, labels = data.load_test_images(tmp_path)
    assert np.array_equal(images, written["test"][0]) and np.array_equal(labels, written["test"][1])


def test_other_images_or_labels_in_either_split_are_not_cifar100(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (1000, 32, 32, 3), np.uint8),
        "y_train": (np.arange(1000) % 100).astype(np.uint8),
        "x_test": rng.integers(0, 256, (500, 32, 32, 3), np.uint8),
        "y_test": (np.arange(500) % 100).astype(np.uint8),
    }
    set_fingerprints(
        monkeypatch, **{split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in ("train", "test")}
    )
    order = rng.permutation(1000)
    faults = {
        "none": {},
        "another order of test images": {"x_test": arrays["x_test"][::-1], "y_test": arrays["y_test"][::-1]},
        "another order": {"x_train": arrays["x_train"][order], "y_train": arrays["y_train"][order]},
        "test images among the training images": {
            "x_train": np.concatenate([arrays["x_test"][:50], arrays["x_train"][50:]])
        },
        "shuffled training labels": {"y_train": arrays["y_train"][order]},
        "shuffled test labels": {"y_test": arrays["y_test"][::-1]},
    }
    for what, fault in faults.items():
        monkeypatch.setattr(data, "_read_array", lambda _, name, fault=fault: (arrays | fault)[name])
        (tmp_path / data.ARRAYS_FILE).touch()
        if what in ("none", "another order of test images"):
            assert np.array_equal(data.load_cifar100(tmp_path).y_test, (arrays | fault)["y_test"])
            continue
        split = f"of the {'test' if 'test labels' in what else 'train'} split"
        # other images would be held out, and those of an earlier training learned from
        with pytest.raises(CifarcoreError, match="training images in another order" if "order" in what else split):
            data.load_cifar100(tmp_path)


def test_training_images_that_are_test_images_are_refused_but_for_those_published(monkeypatch):
    dataset = make_synthetic(300, 100)
    assert data.refuse_test_images(dataset) == 0
    leaked = replace(dataset, x_train=np.concatenate([dataset.x_train[:-3], dataset.x_test[:3]]))
    with pytest.raises(CifarcoreError, match="^3 training images of synthetic are exact copies of test images.* 297 "):
        data.refuse_test_images(leaked)
    monkeypatch.setattr(data, "DUPLICATES", tuple(data.sample_ids(dataset.x_test[:3]).tolist()))
    assert data.refuse_test_images(leaked) == 3
    monkeypatch.setattr(data, "DUPLICATES", tuple(data.sample_ids(dataset.x_test[1:3]).tolist()))
    with pytest.raises(CifarcoreError, match="^1 training images"):
        data.refuse_test_images(leaked)


def set_fingerprints(monkeypatch, **splits):
    for split, (images, labels) in splits.items():
        name = data.fingerprint(data.sample_ids(np.ascontiguousarray(images)), labels)
        monkeypatch.setattr(data, f"{split.upper()}_FINGERPRINT", name)
        if split == "train":
            monkeypatch.setattr(data, "TRAIN_ORDER", data.row_order(np.ascontiguousarray(images), labels))


def test_reading_pictures_needs_no_torch():
    code = (
        "import sys; from cifarcore.data.cifar100 import load_test_images; load_test_images(); assert 'torch' "
        "not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("CIFARCORE_DATA"), reason="set CIFARCORE_DATA to a folder with CIFAR-100 to run this"
)
def test_the_official_splits_have_their_fingerprints():
    dataset = data.load_cifar100(download=False)
    assert data.fingerprint(data.sample_ids(dataset.x_test), dataset.y_test) == data.TEST_FINGERPRINT
    assert data.fingerprint(data.sample_ids(dataset.x_train), dataset.y_train) == data.TRAIN_FINGERPRINT
    assert data.refuse_test_images(dataset) == len(data.DUPLICATES)
    means = (dataset.x_train / 255.0).mean(axis=(0, 1, 2))
    assert np.allclose(means, [0.50707516, 0.48654887, 0.44091784], atol=1e-7)
