import numpy as np

from cifarcore.data import sample_ids
from cifarcore.data.ids import Rows, fingerprint, image_keys, rows_of


def test_ids_are_of_the_bytes_alone():
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
    turned = np.asfortranarray(images)
    np.testing.assert_array_equal(sample_ids(turned), sample_ids(images))
    assert sample_ids(images).dtype == np.uint64 and len(set(sample_ids(images).tolist())) == 3


def test_a_fingerprint_knows_no_order_but_every_label():
    ids, labels = np.array([3, 3, 1], np.uint64), np.array([1, 0, 7])
    assert fingerprint(ids, labels) == fingerprint(ids[::-1], labels[::-1])
    assert fingerprint(ids, labels) != fingerprint(ids, np.array([0, 0, 7]))


def test_each_wanted_id_gets_its_row():
    ids = np.array([30, 10, 2**64 - 1, 20], np.uint64)
    np.testing.assert_array_equal(rows_of(ids, np.array([2**64 - 1, 10, 30], np.uint64)), [2, 1, 0])
    np.testing.assert_array_equal(rows_of(ids, ids), np.arange(4))


def test_an_id_that_is_not_there_has_no_row():
    ids = np.array([2**63, 2**63 + 2], np.uint64)
    # as floats, all of these would be equal
    np.testing.assert_array_equal(rows_of(ids, np.array([2**63 + 1, 0, 2**64 - 1], np.uint64)), [-1, -1, -1])
    np.testing.assert_array_equal(rows_of(ids, np.array([5])), [-1])
    np.testing.assert_array_equal(rows_of(ids[:0], ids), [-1, -1])
    assert len(rows_of(ids, ids[:0])) == 0


def test_of_a_repeated_id_the_first_row_is_given():
    ids = np.repeat(np.arange(50, dtype=np.uint64)[::-1], 3)
    np.testing.assert_array_equal(Rows(ids).of(np.arange(50)), np.arange(50)[::-1] * 3)


def test_an_image_is_its_id_with_its_label():
    keys = image_keys(np.array([9, 9, 4, 9], np.uint64), np.array([1, 2, 1, 1], np.int16))
    assert keys[0] == keys[3] and len(set(keys.tolist())) == 3
