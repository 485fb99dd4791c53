"""The ids that name images by their content, and finding images by them. NumPy alone."""

import hashlib

import numpy as np


def sample_ids(images: np.ndarray) -> np.ndarray:
    """The id of each image: BLAKE2b (RFC 7693), 8-byte digest, of its raw bytes; uint8 (N, H, W, 3) -> uint64 (N,).

    >>> import numpy as np
    >>> sample_ids(np.zeros((1, 32, 32, 3), np.uint8))
    array([1791945275604330318], dtype=uint64)
    """
    images = np.ascontiguousarray(images, dtype=np.uint8)
    digests = b"".join(hashlib.blake2b(image.data, digest_size=8).digest() for image in images)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def row_ids(test_set: str, n: int) -> np.ndarray:
    """Ids of images that are not at hand, uint64 (n,): by the name of their test set and their row's number in it.

    BLAKE2b, 8-byte digest, of "test_set", a NUL and the number, as UTF-8.
    """
    start = hashlib.blake2b(f"{test_set}\0".encode(), digest_size=8)
    digests = []
    for row in range(n):
        numbered = start.copy()
        numbered.update(str(row).encode())
        digests.append(numbered.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def fingerprint(ids: np.ndarray, labels: np.ndarray) -> str:
    """One name for a set of labelled images, whatever their order.

    BLAKE2b, 16-byte digest, of the ids in ascending order (ties by label) as little-endian uint64,
    then of the labels in that order as little-endian int16.
    """
    order = np.lexsort((labels, ids))
    content = np.asarray(ids)[order].astype("<u8").tobytes() + np.asarray(labels)[order].astype("<i2").tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def image_keys(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One int64 for each image (id, label), each (N,): equal where both are, so two labels of one id are two images.

    Keys of two calls cannot be compared: concatenate the arrays first.
    """
    _, index = np.unique(ids, return_inverse=True)
    return index * np.int64(2**32) + np.asarray(labels).astype(np.int64)


class Rows:
    """Rows of an array by the id that stands there; sorted once, for many searches."""

    def __init__(self, ids: np.ndarray):
        """`ids` is (N,) of one integer type; where one is repeated, its first row is given."""
        self._order = np.argsort(ids, kind="stable")
        self._sorted = ids[self._order]

    def of(self, wanted: np.ndarray) -> np.ndarray:
        """The row of each wanted id, int64 (n,); -1 where there is none."""
        if not len(self._sorted):
            return np.full(len(wanted), -1, np.int64)
        wanted = np.asarray(wanted, self._sorted.dtype)  # of two integer types NumPy compares floats, which are inexact
        place = np.searchsorted(self._sorted, wanted).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[place] == wanted, self._order[place], -1)


def rows_of(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The row in `ids` (N,) of each of the `wanted` (n,), int64 (n,): the first where repeated, -1 where there is none.

    >>> import numpy as np
    >>> rows_of(np.array([30, 10, 20]), np.array([10, 30, 40]))
    array([ 1,  0, -1])
    """
    return Rows(ids).of(wanted)
