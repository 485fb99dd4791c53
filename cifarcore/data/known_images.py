"""What people have found out about CIFAR-100's official test images: their order, their twins among the training
images, and five people's votes on doubtful labels. Ids and numbers only; read from the package, without the data set.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from cifarcore.data.ids import image_keys, rows_of

FILE = "cifar100_known_images.npz"
#: kinds of duplicates: the same photo, the same photo altered, and another photo of the same scene
DUPLICATE_KINDS = ("", "exact", "near", "similar")
#: the kinds that give a test image away to a model trained on its twin
SAME_PHOTO = ("exact", "near")
#: what each of five people said: the given label is right, the other one is, neither, both
VOTES = ("given", "other", "neither", "both")


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Row i is image i of the official test split, in the order of the original files and of torchvision.

    Duplicates: B. Barz and J. Denzler, "Do we train on test data? Purging CIFAR of near-duplicates", Journal of Imaging
    6(6):41, 2020. Votes: C. Northcutt, A. Athalye and J. Mueller, "Pervasive label errors in test sets destabilize
    machine learning benchmarks", NeurIPS Datasets and Benchmarks, 2021.
    """

    sample_ids: np.ndarray  #: uint64 (10000,)
    labels: np.ndarray  #: int16 (10000,)
    duplicate: np.ndarray  #: int8 (10000,), index into DUPLICATE_KINDS
    twin_id: np.ndarray  #: uint64 (10000,), sample id of the training image that it duplicates; 0 without one
    twin_label: np.ndarray  #: int16 (10000,), the label of that training image; -1 without one
    votes: np.ndarray  #: int8 (10000, 4), how many of five people gave each of VOTES; all 0 where nobody was asked
    other_label: (
        np.ndarray
    )  #: int16 (10000,), the label that was offered beside the given one; -1 where nobody was asked

    @property
    def asked(self) -> np.ndarray:
        """Whether five people were asked about the image's label, bool (10000,)."""
        return self.other_label >= 0

    @property
    def disputed(self) -> np.ndarray:
        """Whether fewer than three of five people found the given label right, bool (10000,)."""
        return self.asked & (self.votes[:, 0] < 3)

    @property
    def twins(self) -> np.ndarray:
        """Ids of the training images that are the photo of a test image, uint64 (n,), each once."""
        same = np.isin(self.duplicate, [DUPLICATE_KINDS.index(kind) for kind in SAME_PHOTO])
        return np.unique(self.twin_id[same])

    def rows_of(self, sample_ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Row here of each image (n,), int64; -1 for one that is not of CIFAR-100's test split.

        Two pictures stand there under two labels each, so an image is known by its id and its label.
        """
        keys = image_keys(
            np.concatenate([self.sample_ids, np.asarray(sample_ids, np.uint64)]),
            np.concatenate([self.labels, np.asarray(labels)]),
        )
        return rows_of(keys[: len(self.labels)], keys[len(self.labels) :])


@cache  # the package's own data: they never change, and every session wants the same
def known_images() -> KnownImages:
    """What the package ships about the 10,000 test images; read once."""
    with files("cifarcore.data").joinpath(FILE).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return KnownImages(**arrays)
