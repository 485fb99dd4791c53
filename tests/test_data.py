import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cifarcore import CifarcoreError, data
from cifarcore.labels import CLASS_NAMES


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

    found = data.fingerprint(data.sample_ids(np.ascontiguousarray(written["test"][0])), written["test"][1])
    monkeypatch.setattr(data, "TEST_FINGERPRINT", found)
    dataset = data.load_cifar100(tmp_path, download=False)
    assert np.array_equal(dataset.x_test, written["test"][0]) and np.array_equal(dataset.y_train, written["train"][1])
    assert (tmp_path / data.ARRAYS_FILE).exists() and not list(tmp_path.glob(".*tmp"))
    images, labels = data.load_test_images(tmp_path)
    assert np.array_equal(images, written["test"][0]) and np.array_equal(labels, written["test"][1])


def test_reading_pictures_needs_no_torch():
    code = (
        "import sys; from cifarcore.data import load_test_images; load_test_images(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.real_data
@pytest.mark.skipif(
    not os.environ.get("CIFARCORE_DATA"), reason="set CIFARCORE_DATA to a folder with CIFAR-100 to run this"
)
def test_the_official_test_split_has_its_fingerprint():
    dataset = data.load_cifar100(download=False)
    assert data.fingerprint(data.sample_ids(dataset.x_test), dataset.y_test) == data.TEST_FINGERPRINT
    means = (dataset.x_train / 255.0).mean(axis=(0, 1, 2))
    assert np.allclose(means, [0.50707516, 0.48654887, 0.44091784], atol=1e-7)
