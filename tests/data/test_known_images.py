"""What the package says of CIFAR-100's test images: the counts that were published, and the data set where it is
there.
"""

import numpy as np
import pytest

from cifarcore.data.cifar100 import (
    TEST_FINGERPRINT,
    data_dir,
    fingerprint,
    load_cifar100,
    load_test_images,
    sample_ids,
)
from cifarcore.data.known_images import DUPLICATE_KINDS, known_images


def test_the_counts_are_the_published_ones():
    known = known_images()
    counts = np.bincount(known.duplicate, minlength=4)
    assert dict(zip(DUPLICATE_KINDS, counts.tolist(), strict=True)) == {
        "": 9109,
        "exact": 39,
        "near": 582,
        "similar": 270,
    }
    assert known.asked.sum() == 2235 and known.disputed.sum() == 585
    assert (known.votes.sum(axis=1) == np.where(known.asked, 5, 0)).all()
    assert (known.other_label[known.asked] != known.labels[known.asked]).all()
    assert ((known.twin_id != 0) == (known.duplicate > 0)).all() and (
        (known.twin_label >= 0) == (known.duplicate > 0)
    ).all()


def test_the_images_are_the_official_test_split():
    known = known_images()
    assert fingerprint(known.sample_ids, known.labels) == TEST_FINGERPRINT
    assert known.labels[:4].tolist() == [49, 33, 72, 51]  # mountain, forest, seal, mushroom: the official order
    with pytest.raises(ValueError, match="read-only"):
        known.labels[0] = 1


def test_an_image_is_found_by_id_and_label():
    known = known_images()
    rows = np.random.default_rng(0).permutation(10_000)
    np.testing.assert_array_equal(known.rows_of(known.sample_ids[rows], known.labels[rows]), rows)
    assert known.rows_of(known.sample_ids[:1], [(known.labels[0] + 1) % 100]).tolist() == [-1]
    assert known.rows_of(np.array([0, 2**64 - 1], np.uint64), [0, 99]).tolist() == [-1, -1]
    assert len(known.rows_of(np.empty(0, np.uint64), [])) == 0


@pytest.mark.real_data
def test_twins_are_training_images_of_the_data_set():
    if load_test_images() is None:
        pytest.skip(f"no CIFAR-100 in {data_dir()}: set CIFARCORE_DATA or run `cifarcore data`")
    known, dataset = known_images(), load_cifar100(download=False)
    ids = sample_ids(dataset.x_train)
    twins = known.duplicate > 0
    assert np.isin(known.twin_id[twins], ids).all()
    np.testing.assert_array_equal(np.sort(sample_ids(dataset.x_test)), np.sort(known.sample_ids))
    same = known.twin_id == known.sample_ids
    assert same.sum() == 10 and (known.duplicate[same] == 1).all()
