"""CIFAR-100 as uint8 arrays, from `cifar100.npz` or a download, and the ids that name its images.

Imports torchvision only to download, so the app can read pictures here without torch.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from cifarcore.data import hugging_face
from cifarcore.data.downloading import Fetching, RemoteFile, SourceError, first_that_works
from cifarcore.data.ids import fingerprint as fingerprint
from cifarcore.data.ids import sample_ids as sample_ids
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, no_leftovers
from cifarcore.places import cache_folder, expanded

ARRAYS_FILE = "cifar100.npz"
PYTHON_FOLDER = "cifar-100-python"
#: of the official splits, see `fingerprint`
TRAIN_FINGERPRINT = "d732fed4cfb9372211df33f1ad762bcc"
TEST_FINGERPRINT = "e3d27e8917a57d46cee355d836ce9731"
#: of the training images' ids and labels (uint8) in the official order: BLAKE2b, 16-byte digest
TRAIN_ORDER = "719413730d7e1646ef603cf99bdec5e3"
#: sample ids of CIFAR-100's test images that are exact copies of training images
DUPLICATES = (
    0x084A07922067634D, 0x3450FDD6DE7CB047, 0x36C95BDA288F3A30, 0x5748531A944835F0, 0x7D5819F6327134D3,
    0x83606FD95CAB5B0A, 0x8B8EBD67F3DC23FB, 0xC75783A4A226F554, 0xCCCA1C4EEE5EF338, 0xEA0D4DC9E95C9F65,
)  # fmt: skip
HOME_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
ARCHIVE_BYTES = 169_001_437  #: of what torchvision downloads

_SHAPES = {"x_train": (50000, 32, 32, 3), "y_train": (50000,), "x_test": (10000, 32, 32, 3), "y_test": (10000,)}

# the 100 classes and 20 superclasses of A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009;
# names and order are torchvision's (alphabetical), so that index i here is label i there
SUPERCLASSES: dict[str, tuple[str, ...]] = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}

SUPERCLASS_NAMES: tuple[str, ...] = tuple(SUPERCLASSES)
CLASS_NAMES: tuple[str, ...] = tuple(sorted(name for names in SUPERCLASSES.values() for name in names))
_SUPERCLASS_INDEX = {name: index for index, names in enumerate(SUPERCLASSES.values()) for name in names}
#: superclass index (0..19) of each fine class (0..99)
SUPERCLASS_OF: tuple[int, ...] = tuple(_SUPERCLASS_INDEX[name] for name in CLASS_NAMES)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels of one data set in memory.

    x_* are uint8 (N, 32, 32, 3), RGB; y_* are int64 (N,), 0..C-1; superclass_of is (C,).
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...] = CLASS_NAMES
    superclass_names: tuple[str, ...] = SUPERCLASS_NAMES
    superclass_of: tuple[int, ...] = SUPERCLASS_OF

    @property
    def n_classes(self) -> int:
        return len(self.class_names)


def data_dir(folder: str | Path | None = None) -> Path:
    """The data folder: `folder`, else `$CIFARCORE_DATA`, else a folder in the user's cache."""
    if folder or os.environ.get("CIFARCORE_DATA"):
        return expanded(folder or os.environ["CIFARCORE_DATA"])
    return cache_folder()


def load_cifar100(folder: str | Path | None = None, download: bool = True) -> Dataset:
    """CIFAR-100 from `cifar100.npz` in the data folder, else from torchvision's files there, else downloaded.

    The arrays are cached as `cifar100.npz` after a download. Raises CifarcoreError where none of these works, and for
    arrays that are not CIFAR-100's, or whose training images are in another order than they were published in: the
    validation split is of numbers of rows, so others would be held out than in the training of the same name elsewhere.
    """
    folder = data_dir(folder)
    if not (folder / ARRAYS_FILE).exists():
        try:
            arrays = _without_cache(folder, download)
            with atomic_write(folder / ARRAYS_FILE) as file:
                np.savez_compressed(file, **arrays)
        except OSError as error:  # of the folder or the disk
            raise _no_data(folder, error.strerror or str(error)) from None
    arrays = {name: _read_array(folder, name) for name in _SHAPES}
    if other := _other_than_published(arrays):
        raise CifarcoreError(
            f"{folder / ARRAYS_FILE}: holds other images or labels than CIFAR-100 ({other}); delete the file and run "
            "`cifarcore data` again"
        )
    if row_order(arrays["x_train"], arrays["y_train"]) != TRAIN_ORDER:
        raise CifarcoreError(
            f"{folder / ARRAYS_FILE}: holds the training images in another order than they were published in, on which "
            "it depends which of them are held out; delete the file and run `cifarcore data`, or write it in the order "
            "of torchvision's files"
        )
    return Dataset("CIFAR-100", **arrays)


def refuse_test_images(dataset: Dataset) -> int:
    """How many training images are exact copies of test images, where that is known of the data set.

    CIFAR-100 as it was published has ten such copies (DUPLICATES). Raises CifarcoreError where other images stand in
    both splits: what was learned of a test image says nothing about new ones.
    """
    train, test = sample_ids(dataset.x_train), sample_ids(dataset.x_test)
    rows = np.flatnonzero(np.isin(train, test))
    known = np.isin(train[rows], np.array(DUPLICATES, np.uint64))
    if not known.all():
        row = int(rows[~known][0])
        raise CifarcoreError(
            f"{np.count_nonzero(~known):,} training images of {dataset.name} are exact copies of test images, for "
            f"example training image {row} (class {dataset.class_names[dataset.y_train[row]]}, id {train[row]:016x}); "
            "take them out of one of the splits"
        )
    return len(rows)


def load_test_images(folder: str | Path | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Test images uint8 (10000, 32, 32, 3) and labels (10000,) where `cifar100.npz` is there, else None. No torch."""
    folder = data_dir(folder)
    if not (folder / ARRAYS_FILE).exists():
        return None
    return _read_array(folder, "x_test"), _read_array(folder, "y_test")


def load_train_images(folder: str | Path | None = None) -> np.ndarray | None:
    """Training images uint8 (50000, 32, 32, 3) where `cifar100.npz` is there, else None. No torch."""
    folder = data_dir(folder)
    return _read_array(folder, "x_train") if (folder / ARRAYS_FILE).exists() else None


def split_validation(labels: np.ndarray, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row indices (training, validation), each sorted; validation is stratified and the same for every model and run
    seed.

    Raises CifarcoreError where `size` leaves a class without a training image.
    """
    if size == 0:
        return np.arange(len(labels)), np.empty(0, dtype=np.int64)
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(np.arange(len(labels)), test_size=size, stratify=labels, random_state=seed)
    except ValueError as error:
        raise CifarcoreError(
            f"cannot hold out {size} of {len(labels)} images for validation: {error}; choose another --validation-size"
        ) from None
    return np.sort(train), np.sort(validation)


def _read_array(folder: Path, name: str) -> np.ndarray:
    path = folder / ARRAYS_FILE
    try:
        with np.load(path, allow_pickle=False) as archive:
            array = archive[name]
    except Exception as error:  # zipfile, zlib and NumPy's header reader raise many kinds on damaged bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CifarcoreError(
            f"{path}: cannot read {name} ({reason}); delete the file and run `cifarcore data` again"
        ) from None
    if array.shape != _SHAPES[name] or array.dtype != np.uint8:
        raise CifarcoreError(
            f"{path}: {name} is {array.dtype} {array.shape}, expected uint8 {_SHAPES[name]}; delete the file and "
            "run `cifarcore data` again"
        )
    return array.astype(np.int64) if name.startswith("y_") else array


def _other_than_published(arrays: dict[str, np.ndarray]) -> str:
    """Which split has another fingerprint than CIFAR-100's, and which; empty where none has."""
    for split, expected in (("train", TRAIN_FINGERPRINT), ("test", TEST_FINGERPRINT)):
        actual = fingerprint(sample_ids(arrays[f"x_{split}"]), arrays[f"y_{split}"])
        if actual != expected:
            return f"fingerprint of the {split} split {actual}, expected {expected}"
    return ""


def row_order(images: np.ndarray, labels: np.ndarray) -> str:
    """As `fingerprint`, of images uint8 (N, H, W, 3) and labels (N,) in their order, on which a split
    depends.
    """
    content = sample_ids(images).astype("<u8").tobytes() + labels.astype(np.uint8).tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _without_cache(folder: Path, download: bool) -> dict[str, np.ndarray]:
    """The arrays of `cifar100.npz`, from torchvision's files or a download."""
    try:
        if (folder / PYTHON_FOLDER).exists():
            return _torchvision_arrays(folder)
        reason = "no data there"
    except Exception as error:  # of a wrong checksum, of damaged files: many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
    if not download:
        raise _no_data(folder, reason)
    from torchvision.datasets import CIFAR100

    folder.mkdir(parents=True, exist_ok=True)
    second = hugging_face.files()
    sources = (
        (urlsplit(CIFAR100.url).netloc, partial(_from_toronto, folder)),
        (urlsplit(second["test"].url).netloc, partial(_from_hugging_face, folder, second)),
    )
    try:
        return first_that_works(sources)
    except SourceError as error:
        raise _no_data(folder, str(error)) from None


def _from_toronto(folder: Path, fetching: Fetching) -> dict[str, np.ndarray]:
    from torchvision.datasets import CIFAR100
    from torchvision.datasets.utils import check_integrity, extract_archive

    archive = folder / CIFAR100.filename
    if not check_integrity(archive, CIFAR100.tgz_md5):  # it may have been put there by hand
        fetching.total = ARCHIVE_BYTES
        with no_leftovers(archive), atomic_write(archive) as file:
            fetching.fetch(RemoteFile(CIFAR100.url, ARCHIVE_BYTES, "md5", CIFAR100.tgz_md5), file)
    try:
        extract_archive(os.fspath(archive), os.fspath(folder))
        return _torchvision_arrays(folder)
    except OSError:
        raise
    except Exception as error:  # of tarfile, of pickle, of a wrong checksum: many kinds
        raise SourceError(f"sends what cannot be unpacked, {error}") from None


def _torchvision_arrays(folder: Path) -> dict[str, np.ndarray]:
    from torchvision.datasets import CIFAR100

    arrays = {}
    for split in ("train", "test"):
        part = CIFAR100(folder, train=split == "train")  # checks the MD5 sum of every file
        arrays |= {f"x_{split}": part.data, f"y_{split}": np.asarray(part.targets, dtype=np.uint8)}
    return arrays


def _from_hugging_face(folder: Path, files: dict[str, RemoteFile], fetching: Fetching) -> dict[str, np.ndarray]:
    fetching.total = sum(file.size for file in files.values())
    arrays = {}
    for split, file in files.items():
        with tempfile.TemporaryFile(dir=folder) as out:
            fetching.fetch(file, out)
            arrays[f"x_{split}"], arrays[f"y_{split}"] = hugging_face.read_split(out, _SHAPES[f"y_{split}"][0])
    if other := _other_than_published(arrays):
        raise SourceError(f"has other images or labels than CIFAR-100, {other}")
    return _in_official_order(arrays)


def _in_official_order(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The rows as torchvision has them: by content, as far as their order is known here.

    Raises SourceError where the training images are in another one, which the validation split depends on.
    """
    if row_order(arrays["x_train"], arrays["y_train"]) != TRAIN_ORDER:
        raise SourceError("has the training images in another order than they were published in")
    order = np.argsort(known_images().rows_of(sample_ids(arrays["x_test"]), arrays["y_test"]))
    return arrays | {name: arrays[name][order] for name in ("x_test", "y_test")}


def _no_data(folder: Path, reason: str) -> CifarcoreError:
    return CifarcoreError(
        f"CIFAR-100 could not be found in {folder} ({reason[:300]}): let it download where there is a network, "
        f"or put cifar-100-python.tar.gz of {HOME_PAGE} there and run `cifarcore data`, or point --data or "
        f"CIFARCORE_DATA at a folder with {ARRAYS_FILE} or {PYTHON_FOLDER}/, or use --dataset synthetic"
    )
