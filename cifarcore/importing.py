"""Anyone's model: predictions brought onto a test set, checked, and kept as a run file under `imported/`.

Knows no torch and no page: the command and the app's upload call the same functions. What a file holds is read by
`predictions`; here it is matched to images, labels and class names.
"""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from cifarcore import CifarcoreError, __version__, class_names, data, labels
from cifarcore.config import ImportConfig
from cifarcore.files import atomic_write, check_plain
from cifarcore.image_folder import PACK, ImageFolder, list_folder, packed_files, read_pictures, rows_of_files
from cifarcore.predictions import FLOOR, KINDS, as_logits, read_labels, read_lines, read_predictions
from cifarcore.run_layout import image_keys
from cifarcore.runs import Run, load_run, save_run

FOLDER = "imported"
ORDERS = ("torchvision", "data")
LEAST = 50  #: images from which an accuracy is held against chance
_WRITING = threading.Lock()  # of two sessions that upload one name, the second is told


@dataclass(frozen=True, eq=False)
class Imported:
    """A run that was written, and what its reader should know of how it came about, a sentence each."""

    run: Run
    path: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TestSet:
    """The images that the rows of a file are of, as far as they are known without the file."""

    __test__ = False  # no test class for pytest

    said: str  #: as messages name it
    name: str  #: as meta.dataset has it
    class_names: tuple[str, ...]  #: in the order in which columns without names are taken to stand
    labels: np.ndarray  #: int64 (N,), counting `class_names`
    sample_ids: np.ndarray | None = None  #: uint64 (N,); None for a folder, whose pictures are read last
    superclasses: dict[str, str] | None = None
    folder: ImageFolder | None = None
    rows: np.ndarray | None = None  #: of `folder`, (N,)
    by_file: bool = False  #: the rows were found by the names of their files


def run_name(source: str | Path, config: ImportConfig) -> str:
    """The name under which a run is kept: the model's, with preset and seed, else the file's; always a plain one."""
    parts = (config.model, config.preset, str(config.seed)) if config.model else (Path(source).stem,)
    return plain_name("-".join(filter(None, parts)))


def plain_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-_")[:80].rstrip("-_") or "run"


def run_path(folder: str | Path, name: str) -> Path:
    """Where the imported run `name` lies below the folder of runs. Raises CifarcoreError for a name that is not plain."""
    check_plain(name)
    return Path(folder) / FOLDER / f"{name}.npz"


def import_file(
    source: str | Path,
    out: str | Path,
    config: ImportConfig,
    data_folder: str | Path | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Imported:
    """Check predictions, or a run file, and keep them as the run file `out`; pictures of a folder go beside it.

    Raises CifarcoreError with one line that says what does not fit; then nothing is written.
    """
    source, out = Path(source), Path(out)
    if is_run_file(source):
        run, test, notes = load_run(source), None, []
        told = {"model": config.model, "preset": config.preset, "seed": config.seed} if config.model else {}
        run = replace(run, meta=run.meta | told)
    else:
        run, test, notes = _to_run(source, config, data_folder)
    run = replace(run, meta=run.meta | {"imported": {"file": source.name[:200], "at": _now()}})
    with _WRITING:
        if out.exists() and not overwrite:
            raise CifarcoreError(f"{out}: there is such a run already; choose another name, or say --overwrite")
        if test is None or test.folder is None:
            save_run(run, out)
        else:
            with atomic_write(pack_path(out)) as pack:  # takes its place when the run file has taken its own
                ids = read_pictures(test.folder, test.rows, pack, on_progress)
                run, said = _without_repeated(replace(run, sample_ids=ids))
                run = replace(run, meta=run.meta | {"dataset": _dataset(test.name, run)})
                notes += said
                save_run(run, out)
    return Imported(load_run(out), out, tuple(notes))


def delete(folder: str | Path, name: str) -> None:
    """Remove the imported run `name` with its pictures. Raises CifarcoreError where there is none."""
    path = run_path(folder, name)
    try:
        path.unlink()
        pack_path(path).unlink(missing_ok=True)
    except FileNotFoundError:
        raise CifarcoreError(f"{name}: no such imported run") from None
    except OSError as error:
        raise CifarcoreError(f"{name}: cannot be deleted ({error.strerror})") from None


def pack_path(run: Path) -> Path:
    """Where the pictures of an imported run lie."""
    return run.with_name(run.stem + PACK)


def is_run_file(path: Path) -> bool:
    """Whether an `.npz` says that it is a run file; whether it is a sound one, `load_run` tells."""
    if path.suffix.lower() != ".npz":
        return False
    try:
        with ZipFile(path) as archive:
            return "schema.npy" in archive.namelist()
    except (OSError, BadZipFile, NotImplementedError, ValueError):
        return False


def _to_run(
    source: Path, config: ImportConfig, data_folder: str | Path | None
) -> tuple[Run, TestSet | None, list[str]]:
    """The run, its sample ids still to be filled where its test set is a folder; the test set; and the notes."""
    found = read_predictions(source)
    n, n_columns = found.scores.shape
    given = read_labels(config.labels) if config.labels else found.labels
    if given is not None and len(given) != n:
        raise CifarcoreError(f"{len(given):,} labels for {n:,} rows of scores; give one for each")
    test = _test_set(config, data_folder, n, found.files, given)
    if test is None and found.sample_ids is None:
        raise CifarcoreError(
            "which images these are is not said: give sample_ids (see cifarcore.data.sample_ids) in the file, "
            "or --images FOLDER, or --order torchvision, or --order data (cifar100.npz's x_test), or --like RUN"
        )
    if test is not None and found.sample_ids is not None:
        raise CifarcoreError("the file names its images by sample ids; leave out --order, --images and --like")
    if found.sample_ids is not None and len(found.sample_ids) != n:
        raise CifarcoreError(f"{len(found.sample_ids):,} sample ids for {n:,} rows of scores; give one for each")

    named = tuple(read_lines(config.class_names)) if config.class_names else None
    for columns in filter(None, (named, found.columns)):
        if len(columns) != n_columns:
            raise CifarcoreError(f"{len(columns)} class names for {n_columns} columns of scores; give one for each")
    columns = found.columns or named
    if named and found.columns:
        columns = class_names.by_name(columns, named, f"{Path(config.class_names).name}'s")
    positional = test.class_names if test else named or _names_by_content(found.sample_ids, given, n_columns)
    if positional is None and (columns is None or class_names.are_numbers(columns)):
        raise CifarcoreError("what the columns stand for is not said; name them, or give --class-names FILE")
    numbered = columns is None or class_names.are_numbers(columns)
    if numbered and len(positional) != n_columns:
        where = f"{test.said} has" if test else "there are"
        raise CifarcoreError(f"{n_columns} columns of scores, but {where} {len(positional)} classes; give one for each")
    names = class_names.canonical(positional or columns)
    own = class_names.by_name(columns, positional) if columns and positional else positional or columns

    counted = own  # what labels that are numbers count
    if named:
        counted = class_names.by_name(named, positional or named)
    elif columns and positional and class_names.are_numbers(columns):
        counted = positional
    truth = None if given is None else class_names.indices(given, counted, names)
    if test is not None:
        expected = np.array(class_names.places(names, test.class_names))[test.labels]
        if truth is not None and not np.array_equal(truth, expected):  # numbers may count the test set's own order
            truth = class_names.indices(given, test.class_names, names)
        if truth is not None and (wrong := truth != expected).any():
            row = int(wrong.argmax())
            how, remedy = "in this order", "bring the rows into its order"
            if test.by_file:
                how, remedy = "by file", "give each file its own label"
            elif config.order:
                remedy += ", or give sample_ids in the file"
            elif found.files:
                remedy += ", or give --images FOLDER, which finds them by file"
            raise CifarcoreError(
                f"the labels of {wrong.sum():,} of {n:,} rows are not those of {test.said} {how} (first: row "
                f"{row}, {names[truth[row]]!r} instead of {names[expected[row]]!r}); {remedy}"
            )
        truth = expected
    if truth is None:
        raise CifarcoreError("no labels; give a column or an array named label, or --labels FILE")

    # last: sums tell nothing where a column is missing
    scores, kind, floored = as_logits(found.scores, config.scores if config.scores in KINDS else found.kind)
    scores = scores[:, class_names.places(own, names)]
    run = Run(
        class_names=np.array(names),
        sample_ids=np.zeros(n, np.uint64) if found.sample_ids is None else found.sample_ids,
        labels=truth.astype(np.int16),
        logits=scores,
        meta={"seed": config.seed, "scores": kind, "versions": {"cifarcore": __version__}, "created": _now()},
        **class_names.superclasses(names, config.superclasses, test.superclasses if test else None),
    )
    told = {"model": config.model, "preset": config.preset}
    run = replace(run, meta=run.meta | {key: value for key, value in told.items() if value})
    notes = _doubts(run, test, given is not None, bool(found.files))
    if floored:
        notes.append(
            f"{floored:,} probabilities, zero or below {FLOOR:g}, are kept as {FLOOR:g}: the log loss depends on that"
        )
    with np.errstate(over="ignore"):  # saving refuses what float16 cannot hold
        rounded = scores.astype(np.float16)
    if changed := int((rounded.argmax(axis=1) != scores.argmax(axis=1)).sum()):
        notes.append(f"rounding the scores to float16 changes the prediction on {changed:,} images")
    if test is not None and test.folder is not None:
        if missing := len(test.folder.files) - n:
            notes.append(f"{missing:,} of the folder's {len(test.folder.files):,} pictures have no prediction")
        return run, test, notes
    if test is not None:
        run = replace(run, sample_ids=test.sample_ids)
        if test.by_file:  # one picture may have had two files
            run, said = _without_repeated(run)
            notes += said
    _refuse_repeated(run)
    return replace(run, meta=run.meta | {"dataset": _dataset(test.name if test else "", run)}), test, notes


def _test_set(
    config: ImportConfig,
    data_folder: str | Path | None,
    n: int,
    files: Sequence[str] | None,
    given: np.ndarray | None,
) -> TestSet | None:
    """The test set that the options name, with `n` rows; None where the file is to name its images itself."""
    if sum(map(bool, (config.order, config.images, config.like))) > 1:
        raise CifarcoreError("--order, --images and --like each say which images these are; give one of them")
    if config.order:
        test = _cifar100(config.order, data_folder, given is not None)
    elif config.images:
        folder = list_folder(config.images)
        by_file = files is not None
        rows = rows_of_files(folder.files, files, str(folder.root)) if by_file else np.arange(len(folder.files))
        name = folder.root.resolve().name
        test = TestSet(
            f"the folder {name}", name, folder.class_names, folder.labels[rows],
            folder=folder, rows=rows, by_file=by_file,
        )  # fmt: skip
    elif config.like:
        run = load_run(config.like)
        of = run.superclass_of
        kin = (
            None if of is None else dict(zip(run.class_names.tolist(), run.superclass_names[of].tolist(), strict=True))
        )
        dataset = run.meta.get("dataset") or {}
        rows = None if files is None else _rows_by_file(run, Path(config.like), files)
        if rows is not None:
            run = run.take(rows)
        test = TestSet(
            run.name, str(dataset.get("name") or ""), tuple(run.class_names.tolist()), run.labels, run.sample_ids, kin,
            by_file=rows is not None,
        )  # fmt: skip
    else:
        return None
    if len(test.labels) != n:
        raise CifarcoreError(
            f"{n:,} rows of scores, but {test.said} has {len(test.labels):,} images; give one for each, in its order"
        )
    return test


def _rows_by_file(run: Run, path: Path, files: Sequence[str]) -> np.ndarray | None:
    """Row in `run` of each of `files`; None where no names are kept beside it."""
    of_class = [class_names.normal_name(name) for name in run.class_names.tolist()]
    named = zip(run.sample_ids.tolist(), (of_class[label] for label in run.labels.tolist()), strict=True)
    at = {key: row for row, key in enumerate(named)}  # one picture may stand in two classes
    kept = {}
    for name, sample_id in packed_files(pack_path(path)).items():
        row = at.get((sample_id, class_names.normal_name(name.split("/")[0])))
        if row is not None:
            kept[name] = row
    return np.array(list(kept.values()))[rows_of_files(tuple(kept), files, run.name)] if kept else None


def _doubts(run: Run, test: TestSet | None, labels_given: bool, files_given: bool) -> list[str]:
    """What may be wrong with the order of rows or columns although everything fits."""
    notes = []
    in_order = test is not None and not test.by_file
    if in_order and files_given:
        notes.append("the names of files were not used; to find the images by them, give --images FOLDER")
    if in_order and not labels_given:
        notes.append(f"the order of the rows is not checked, for want of labels: it is taken to be that of {test.said}")
    # what the same answers would score if they were dealt out anew among the images
    shares = [np.bincount(rows, minlength=run.n_classes) / run.n_images for rows in (run.labels, run.predictions)]
    chance = float(shares[0] @ shares[1])
    accuracy = float(run.correct.mean())
    if run.n_images >= LEAST and accuracy <= chance + 2 * (chance * (1 - chance) / run.n_images) ** 0.5:
        ask = "are the rows in this order?" if in_order else "do the columns stand for these classes?"
        notes.append(f"the accuracy, {accuracy:.4f}, is no better than chance, {chance:.4f}: {ask}")
    return notes


def _cifar100(order: str, data_folder: str | Path | None, labels_given: bool) -> TestSet:
    """The test images of the data folder. torchvision's order is known of its own download, else by labels that agree."""
    if order not in ORDERS:
        raise CifarcoreError(f"order is {order!r}; choose one of {', '.join(ORDERS)}")
    loaded = data.load_test_images(data_folder)
    if loaded is None:
        raise CifarcoreError(
            f"no {data.ARRAYS_FILE} in {data.data_dir(data_folder)} to know the images by; run `cifarcore data`, "
            "or point --data or CIFARCORE_DATA at it, or give sample_ids in the file"
        )
    images, classes = loaded
    if order == "torchvision" and not data.in_torchvision_order(data_folder):
        remedy = "say --order data if the predictions were made from its x_test, or give sample_ids in the file"
        if (np.diff(classes) >= 0).all():  # which labels of any order would fit, once sorted
            raise CifarcoreError(
                f"{data.ARRAYS_FILE} in the data folder is sorted by class, not in torchvision's order, and labels do not "
                f"tell the images of a class apart; {remedy}"
            )
        if not labels_given:
            raise CifarcoreError(
                f"{data.ARRAYS_FILE} in the data folder does not say that it is in torchvision's order; give the labels, "
                f"which are checked against it, or {remedy}"
            )
    said = "torchvision's test set" if order == "torchvision" else f"{data.ARRAYS_FILE}'s test set"
    return TestSet(said, "CIFAR-100", labels.CLASS_NAMES, classes, data.sample_ids(images))


def _names_by_content(ids: np.ndarray, given: np.ndarray | None, n_columns: int) -> tuple[str, ...] | None:
    """CIFAR-100's names where ids and labels are exactly its test split's."""
    if given is None or given.dtype.kind != "i" or n_columns != len(labels.CLASS_NAMES) or abs(given).max() > n_columns:
        return None
    return labels.CLASS_NAMES if data.fingerprint(ids, given) == data.TEST_FINGERPRINT else None


def _refuse_repeated(run: Run) -> None:
    keys = image_keys(run.sample_ids, run.labels)
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(first) < len(keys):
        rows = np.flatnonzero(keys == keys[first[counts > 1].min()])
        raise CifarcoreError(
            f"{len(keys) - len(first):,} rows repeat an image (first: rows {rows[0]} and {rows[1]}, sample id "
            f"{run.sample_ids[rows[0]]:016x}); give each image once"
        )


def _without_repeated(run: Run) -> tuple[Run, list[str]]:
    """The first row of each picture: a folder may hold the same one twice."""
    _, first = np.unique(image_keys(run.sample_ids, run.labels), return_index=True)
    repeated = run.n_images - len(first)
    if not repeated:
        return run, []
    return run.take(np.sort(first)), [f"{repeated:,} pictures stand in the folder twice and count once"]


def _dataset(name: str, run: Run) -> dict[str, str]:
    found = data.fingerprint(run.sample_ids, run.labels)
    return {"name": "CIFAR-100" if found == data.TEST_FINGERPRINT else name, "fingerprint": found}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
