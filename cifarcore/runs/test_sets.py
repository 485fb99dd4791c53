"""The images that rows of predictions are of: CIFAR-100's test set, a folder of pictures, or those of another run."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.data import cifar100
from cifarcore.data.image_folder import (
    ImageFolder,
    bare,
    flat_folder,
    in_natural_order,
    in_path_order,
    in_this_order,
    is_flat,
    list_folder,
    rows_of_files,
)
from cifarcore.data.known_images import known_images
from cifarcore.data.packs import PACK, packed_files
from cifarcore.errors import CifarcoreError
from cifarcore.runs import class_names
from cifarcore.runs.run import Run, load_run

_BY_FILE = "the files are matched to those of {} by name; their pixels are not compared"
_SAME_NAMES = (
    "several classes have files of the same name: the rows are matched by the --order given, which all names fit"
)
_OR_AN_ORDER = "; or give --order imagefolder, natural or paths, if the rows are in that order"
_ANOTHER_FITS = "; all names fit --order {}, not the one given"
#: of the files of a folder, and whose order each is
OF_FILES = {"imagefolder": ("torchvision", "Keras"), "natural": ("timm",), "paths": ("Hugging Face's datasets",)}
ROWS = "rows"  #: the order by which a row is known by its number


@dataclass(frozen=True, eq=False)
class OtherOrder:
    """A usual order of a folder's files that a test set does not have; for rows in the order of the test set."""

    name: str  #: as --order has it
    labels: np.ndarray  #: int64 (N,), of the images that it has in these rows, counting the test set's `class_names`
    counted: np.ndarray  #: int64 (N,), the same as this order counts the classes
    moved: bool  #: whether it has other images in some rows


@dataclass(frozen=True, eq=False)
class TestSet:
    """The images that the rows of a file are of, as far as they are known without the file."""

    __test__ = False  # no test class for pytest

    title: str  #: as messages name it
    name: str  #: as meta.dataset has it
    class_names: tuple[str, ...]  #: in the order in which columns without names are taken to stand
    labels: np.ndarray  #: int64 (N,), counting `class_names`
    sample_ids: np.ndarray | None = None  #: uint64 (N,); None for a folder, whose pictures are read last
    superclasses: dict[str, str] | None = None
    folder: ImageFolder | None = None
    rows: np.ndarray | None = None  #: of `folder`, (N,)
    by_file: bool = False  #: the rows were found by the names of their files
    other: "TestSet | None" = None  #: the same images in another usual order, and
    ask: str = ""  #: what is said where nothing tells which of the two is meant
    others: tuple[OtherOrder, ...] = ()  #: the usual orders of its files besides its own
    natural: np.ndarray | None = None  #: (C,), the classes in natural order, where numbers may count these, too
    notes: tuple[str, ...] = ()  #: what is to be known of how the rows were found

    def take(self, rows: np.ndarray) -> "TestSet":
        """The same test set of the chosen rows (n,) alone."""
        per_row = ("labels", "sample_ids", "rows")
        taken = {name: values[rows] for name in per_row if (values := getattr(self, name)) is not None}
        others = (replace(each, labels=each.labels[rows], counted=each.counted[rows]) for each in self.others)
        return replace(self, others=tuple(others), **taken)


def pack_path(run: Path) -> Path:
    """Where the pictures of an imported run lie."""
    return run.with_name(run.stem + PACK)


def known_names(config: ImportConfig) -> tuple[str, ...]:
    """The class names that the options give before the predictions are read; none where an option is wrong, which
    `find_test_set` says.
    """
    _refuse_two(config)
    if config.class_names:
        return tuple(name for names in class_names.read_class_names(config.class_names) for name in names)
    if config.like:
        return tuple(load_run(config.like).class_names.tolist())
    if config.images and Path(config.images).is_dir():
        return tuple(entry.name for entry in os.scandir(config.images) if entry.is_dir())
    return cifar100.CLASS_NAMES if config.order and config.order != ROWS else ()


def find_test_set(
    config: ImportConfig,
    data_folder: str | Path | None,
    n: int,
    files: Sequence[str] | None,
    label_of: Mapping[str, str] | None = None,
) -> TestSet | None:
    """The test set that the options name, with `n` rows; None where the file is to name its images itself.

    `label_of` are labels by the names of files, for a folder without folders for the classes.
    """
    _refuse_two(config)
    if config.order == ROWS:
        return None
    if config.order and not config.images:
        test = _cifar100(config.order, data_folder)
    elif config.images:
        test = _folder(config, files, label_of)
    elif config.like:
        run = load_run(config.like)
        of = run.superclass_of
        kin = (
            None if of is None else dict(zip(run.class_names.tolist(), run.superclass_names[of].tolist(), strict=True))
        )
        dataset = run.meta.get("dataset") or {}
        kept = {} if files is None else _named_files(run, Path(config.like))
        rows = np.array(list(kept.values()))[rows_of_files(tuple(kept), files, run.name)] if kept else None
        if rows is not None:
            run = run.take(rows)
        test = TestSet(
            run.name, str(dataset.get("name") or ""), tuple(run.class_names.tolist()), run.labels, run.sample_ids, kin,
            by_file=rows is not None, notes=(_BY_FILE.format(run.name),) if rows is not None else (),
        )  # fmt: skip
    else:
        return None
    if len(test.labels) != n:
        raise CifarcoreError(
            f"{n:,} rows of scores, but {test.title} has {len(test.labels):,} images; give one for each, in its order"
        )
    return test


def _folder(config: ImportConfig, files: Sequence[str] | None, label_of: Mapping[str, str] | None) -> TestSet:
    """The pictures of a folder: by file, else in the order that is named, or the only one that is usual."""
    by_label = label_of is not None and is_flat(config.images)
    folder = flat_folder(config.images, label_of) if by_label else list_folder(config.images)
    name = folder.root.resolve().name
    title = f"the folder {name}"
    classes, rows = in_natural_order(folder)
    counted = np.array([folder.class_names.index(each) for each in classes])
    in_order = np.arange(len(folder.files))
    rows_of = {"imagefolder": in_order, "natural": rows, "paths": in_path_order(folder)}
    ask = _ask(folder, title, rows_of) if not config.order and files is None else ""
    labels, by_number = folder.labels, np.argsort(counted)[folder.labels]
    natural = TestSet(title, name, classes, by_number[rows], folder=folder, rows=rows)
    by_text = TestSet(
        title, name, folder.class_names, folder.labels, folder=folder, rows=in_order,
        natural=None if config.order or (counted == np.arange(len(counted))).all() else counted,
        other=natural if ask else None, ask=ask,
    )  # fmt: skip
    order = config.order or "imagefolder"
    whole = rows_of["paths"]
    test = {"natural": natural, "paths": replace(by_text, labels=labels[whole], rows=whole)}.get(order, by_text)
    counting = by_number if test is natural else labels
    others = []
    for each in rows_of.keys() - {order}:
        at = test.rows if files is not None else rows_of[each]  # files tie the rows to their pictures in any order
        of_its_own = by_number if each == "natural" else labels
        others.append(OtherOrder(each, counting[at], of_its_own[at], bool((at != test.rows).any())))
    test = replace(test, others=tuple(sorted(others, key=lambda other: other.name)))
    if files is None:
        return test
    repeated = len(set(files)) < len(files)
    if repeated and config.order and in_this_order([folder.files[row] for row in test.rows], files):
        return replace(test, others=(), notes=(_SAME_NAMES,))
    try:
        places = rows_of_files(folder.files, files, str(folder.root))
    except CifarcoreError as error:
        raise CifarcoreError(f"{error}{_way_out(config, folder, rows_of, files) if repeated else ''}") from None
    test = test.take(np.argsort(test.rows)[places])
    return replace(test, by_file=True, notes=_other_suffixes([folder.files[row] for row in test.rows], files))


def _way_out(config: ImportConfig, folder: ImageFolder, rows_of: dict[str, np.ndarray], files: Sequence[str]) -> str:
    """How rows may be known by an order where several classes have files of the same name."""
    if not config.order:
        return _OR_AN_ORDER
    fits = (name for name, rows in rows_of.items() if in_this_order([folder.files[row] for row in rows], files))
    name = next(fits, "")
    return _ANOTHER_FITS.format(name) if name else ""


def _ask(folder: ImageFolder, title: str, rows_of: dict[str, np.ndarray]) -> str:
    """What is asked where only their order matches rows to pictures, and usual orders differ; "" where none do."""
    orders: dict[str, list[str]] = {}  # those that differ, and what else has the same
    for name, rows in rows_of.items():
        same = next((other for other in orders if (rows_of[other] == rows).all()), name)
        orders.setdefault(same, []).extend(OF_FILES[name])
    if len(orders) == 1:
        return ""
    names = list(orders)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[:place]]
    telling = sorted({int((rows_of[one] != rows_of[other]).argmax()) for one, other in pairs})
    shown = [
        f"--order {name}, as in {' and '.join(filter(None, (', '.join(whose[:-1]), whose[-1])))}"
        f" ({', '.join(f'row {row}: {folder.files[rows_of[name][row]][:100]!r}' for row in telling)})"
        for name, whose in orders.items()
    ]
    return (
        f"only their order matches the rows to the pictures, and {title} has {len(orders)} usual orders: give "
        f"{', or '.join(shown)}; or name the files in the predictions"
    )


def _other_suffixes(listed: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    other = sum(
        bare(name) != name and not name.lower().endswith(Path(file).suffix.lower())
        for name, file in zip(listed, files, strict=True)
    )
    return (f"{other:,} files were matched without their suffix: they may hold other pixels",) if other else ()


def _refuse_two(config: ImportConfig) -> None:
    if (config.order == ROWS) != bool(config.test_set.strip()):
        raise CifarcoreError(
            "--order rows and --test-set NAME go together: runs of one NAME are compared by the numbers of their rows"
        )
    order = config.order not in OF_FILES
    if sum(map(bool, (config.order and order, config.images, config.like))) > 1:
        raise CifarcoreError("--order, --images and --like each say which images these are; give one of them")
    if config.order and not order and not config.images:
        raise CifarcoreError(f"--order {config.order} is of a folder of pictures; give --images FOLDER with it")


def _named_files(run: Run, path: Path) -> dict[str, int]:
    """The row in `run` of each file whose name is kept beside it, class/file; none of a run without pictures."""
    classes = class_names.names_of(run.class_names.tolist())
    named = zip(run.sample_ids.tolist(), run.labels.tolist(), strict=True)
    at = {key: row for row, key in enumerate(named)}  # one picture may stand in two classes
    kept = {}
    for name, sample_id in packed_files(pack_path(path)).items():
        row = at.get((sample_id, classes.place(name.split("/")[0])))
        if row is not None:
            kept[name] = row
    return kept


def files_in_common(a: Run, b: Run) -> int:
    """How many files of the same name, suffix aside, two runs were imported with."""
    names = []
    for run in (a, b):
        kept = _named_files(run, run.path) if run.path else {}
        counts = Counter(map(bare, kept))
        names.append({name for name, count in counts.items() if count == 1})
    return len(names[0] & names[1])


def _cifar100(order: str, data_folder: str | Path | None) -> TestSet:
    """CIFAR-100's test images: in torchvision's order, which the package knows by content, or as the data folder has
    them.
    """
    if order == "torchvision":
        known = known_images()
        title, classes, ids = "torchvision's test set", known.labels.astype(np.int64), known.sample_ids
    else:
        loaded = cifar100.load_test_images(data_folder)
        if loaded is None:
            raise CifarcoreError(
                f"no {cifar100.ARRAYS_FILE} in {cifar100.data_dir(data_folder)}, whose order --order data means; point "
                "--data or CIFARCORE_DATA at it, or give sample_ids in the file"
            )
        title, classes, ids = f"{cifar100.ARRAYS_FILE}'s test set", loaded[1], cifar100.sample_ids(loaded[0])
    return TestSet(title, "CIFAR-100", cifar100.CLASS_NAMES, classes, ids)


def names_by_content(ids: np.ndarray, given: np.ndarray | None, n_columns: int) -> tuple[str, ...] | None:
    """CIFAR-100's names where ids and labels are exactly its test split's."""
    if (
        given is None
        or given.dtype.kind != "i"
        or n_columns != len(cifar100.CLASS_NAMES)
        or abs(given).max() > n_columns
    ):
        return None
    return cifar100.CLASS_NAMES if cifar100.fingerprint(ids, given) == cifar100.TEST_FINGERPRINT else None
