"""Whatever the order of rows, columns, classes and files, an accepted file gives the same run: each picture its own
scores and label. Else it is refused. Never another picture, never another class.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from pictures import Pictures, draw
from scipy.special import softmax

from cifarcore.config import ImportConfig
from cifarcore.data.image_folder import in_natural_order, list_folder
from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import names_of
from cifarcore.runs.importing import import_file

FOLDERS = {
    "plain": (("cat", "dog", "eel pout"), ("000.png", "001.png", "002.png", "003.png")),
    "numbered": (tuple(map(str, range(12))), ("a.png", "b.png")),
    "counted": (("class1", "class2", "class10"), ("val_7.png", "val_23.png", "val_1054.png", "val_130.png")),
    "capitals": (("Zebra", "ant", "Bee"), ("x.png", "Y.png", "z.png", "w.png")),
    "case": (("a", "A", "b", "B"), ("1.png", "2.png", "10.png")),
    "roles": (("file", "index", "label", "Y", "split"), ("0.png", "1.png", "2.png")),
    "spelled": (tuple(unicodedata.normalize("NFD", name) for name in ("café", "über", "naïve")), ("é.png", "2.png")),
}
FILES = ("file", "filename", "image_path", "path", "id", "image", "Unnamed: 0", "whatever", "index")
NUMBERS = ("index", "idx", "row", "Unnamed: 0", "id", "image_id")
LABELS = ("label", "y_true", "target", "ground_truth", "label_ids", "fine_label")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("folders")
    made = {}
    for seed, (name, (classes, files)) in enumerate(FOLDERS.items()):
        made[name] = draw(place / name, {c: [f"{i}-{f}" if name == "plain" else f for f in files]
                                         for i, c in enumerate(classes)}, seed)  # fmt: skip
        np.save(place / f"{name}.npy", made[name].probabilities)
        import_file(place / f"{name}.npy", place / f"{name}.npz", _options(made[name], order="imagefolder"))
    return made


def _options(made: Pictures, **more) -> ImportConfig:
    return ImportConfig(images=str(made.root), **more)


@dataclass
class Case:
    """A file as someone may write it: columns or arrays, the options, and the rows that it has."""

    made: Pictures
    rows: np.ndarray  #: of the folder, in the order of the file
    columns: dict[str, object] = field(default_factory=dict)  #: beside the scores
    classes: np.ndarray | None = None  #: the class of each column of scores
    headings: list[str] | None = None
    options: dict[str, object] = field(default_factory=dict)
    what: tuple[str, ...] = ()


def drawn(rng: np.random.Generator, folders: dict[str, Pictures], place) -> Case:
    def pick(*choices):
        return choices[rng.integers(len(choices))]

    made = folders[pick(*folders)]
    n, n_classes = len(made.files), len(made.names)
    names, natural = in_natural_order(list_folder(made.root))
    by_order = {
        "imagefolder": (np.arange(n), np.arange(n_classes)),
        "natural": (natural, np.array([made.names.index(name) for name in names])),
    }
    order = pick(*by_order)
    tied = pick("files", "rows", "ids", "order")
    where = "ids" if tied == "ids" else pick("images", "images", "like")
    if where == "like":
        order = "imagefolder"  # as the run is
    images, counted = by_order[order]  # the order of the pictures, and the classes as numbers count them
    case = Case(made, images)
    suffix = pick(".csv", ".npz", ".parquet", ".tsv", *([".npy"] if tied == "order" else []))

    # which picture a row is
    shuffled = rng.permutation(n)
    if tied == "files":
        case.rows = rng.permutation(n)[: pick(n, n, n - 1)]
        style = pick("{}", "{}", "/home/me/val/{}", "C:\\val\\{}", "bare")
        case.columns[pick(*FILES)] = [
            made.files[row].split("/")[1] if style == "bare"
            else style.format(unicodedata.normalize(pick("NFC", "NFD"), made.files[row])) for row in case.rows
        ]  # fmt: skip
    elif tied == "rows":
        case.rows = images[shuffled]
        case.columns[pick(*NUMBERS)] = shuffled + pick(0, 0, 1)
    elif tied == "ids":
        case.rows = rng.permutation(n)
        ids = made.ids[case.rows]
        case.columns[pick("sample_id", "sample_ids", "id")] = ids if pick(0, 1) else [f"{i:016x}" for i in ids]
    if where == "images":
        case.options["images"] = str(made.root)
        if pick(True, tied in ("rows", "order")):
            case.options["order"] = order
    elif where == "like":
        case.options["like"] = str(made.root.with_suffix(".npz"))

    # which class a column and a label are
    first = pick(0, 0, 0, 1)
    if first and pick(True, False):
        case.options["first_class"] = 1
    by = pick("names", "names", "numbers", "place") if suffix != ".npy" else "place"
    if pick(False, False, True):  # a file of names, in an order of its own
        counted = rng.permutation(n_classes)
        listed = [made.names[c] for c in counted]
        if pick(True, False):
            listed = [f"{name}\treadable {c}" for name, c in zip(listed, counted, strict=True)]
        (place / "names.txt").write_text("\n".join(listed), encoding="utf-8")
        case.options["class_names"] = str(place / "names.txt")
    number_of = np.argsort(counted) + first
    case.classes = counted if by == "place" else rng.permutation(n_classes)
    if by == "names":
        prefix = "" if suffix == ".npz" else pick("", "", "prob_")
        written_as = pick(
            str, str if made.names[0] == "A" else str.title, lambda name: unicodedata.normalize("NFC", name)
        )
        case.headings = [prefix + written_as(made.names[c]) for c in case.classes]
    elif by == "numbers":
        case.headings = [f"{pick('', '')}{number_of[c]}" for c in case.classes]
    elif suffix not in (".npz", ".npy"):  # as pandas numbers them
        case.headings = [str(i + first) for i in range(n_classes)]
    labelled = pick("none", "names", "numbers", "numbers") if tied != "ids" else pick("names", "numbers")
    of_rows = made.labels[case.rows]
    if labelled == "numbers" and tied == "ids" and by == "names" and "class_names" not in case.options:
        number_of = np.argsort(case.classes) + first  # without a test set, as the file orders its columns
    labels = [made.names[c] for c in of_rows] if labelled == "names" else number_of[of_rows]
    if labelled != "none" and (suffix == ".npy" or pick(False, False, False, True)):
        if tied == "rows" and pick(True, False):  # as the pictures are
            labels = np.array(labels)[np.argsort(shuffled)]
        (place / "labels.txt").write_text("\n".join(map(str, labels)), encoding="utf-8")
        case.options["labels"] = str(place / "labels.txt")
    elif labelled != "none":
        case.columns[pick(*LABELS)] = labels

    if pick(False, True) and suffix != ".npy":
        case.columns |= {"comment": ["so so"] * len(case.rows), "confidence": rng.random(len(case.rows))}
    if set(case.columns) & set(case.headings or ()):  # a file has one column of a name
        return drawn(rng, folders, place)
    case.what = (suffix, tied, where, by, labelled)
    return case


def written(case: Case, rng: np.random.Generator, place):
    suffix = case.what[0]
    path = place / f"theirs{suffix}"
    scores = case.made.probabilities[case.rows][:, case.classes].astype(np.float32)
    if rng.random() < 0.3:
        scores = np.log(scores) * 1.5
    if suffix == ".npy":
        np.save(path, scores)
    elif suffix == ".npz":
        arrays = {"scores": scores} | {name: np.array(values) for name, values in case.columns.items()}
        if case.headings:
            arrays["class_names"] = np.array(case.headings)
        with ZipFile(path, "w") as archive:
            for key in rng.permutation(list(arrays)):
                with archive.open(f"{key}.npy", "w") as file:
                    np.save(file, arrays[key])
    else:
        parts = dict(case.columns) | dict(zip(case.headings, scores.T, strict=True))
        classes = iter(case.headings)  # which keep their order among them, as it may be what labels count
        order = [name if name in case.columns else next(classes) for name in rng.permutation(list(parts))]
        frame = pd.DataFrame({name: parts[name] for name in order})
        index = [name for name in case.columns if name in ("index", "Unnamed: 0", "file", "id")]
        if index and rng.random() < 0.5:
            frame = frame.set_index(index[0]).rename_axis(None if index[0] == "Unnamed: 0" else index[0])
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            named = not isinstance(frame.index, pd.RangeIndex)
            frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=named)
    return path, scores


def checked(case: Case, run, scores: np.ndarray) -> None:
    """Each picture of the file, and no other, with its scores and its label."""
    made = case.made
    assert sorted(run.sample_ids.tolist()) == sorted(made.ids[case.rows].tolist())
    place = names_of(run.class_names.tolist()).places(made.names)
    assert sorted(place) == list(range(len(made.names)))
    at = place[case.classes]
    row_of = {sample_id: row for row, sample_id in enumerate(run.sample_ids.tolist())}
    rows = [row_of[sample_id] for sample_id in made.ids[case.rows].tolist()]
    logarithms = scores if (scores < 0).any() else np.log(scores)
    expected, given = softmax(logarithms, axis=1), softmax(run.logits.astype(np.float64), axis=1)[rows][:, at]
    np.testing.assert_allclose(given, expected, atol=4e-3)
    assert run.labels[rows].tolist() == place[made.labels[case.rows]].tolist()


def tried(folders, seeds, place) -> Counter:
    """The outcome of each case, by what kind it was."""
    outcomes: Counter = Counter()
    for seed in seeds:
        rng = np.random.default_rng([2026, seed])
        case = drawn(rng, folders, place)
        path, scores = written(case, rng, place)
        try:
            run = import_file(path, place / "out.npz", ImportConfig(**case.options), place, overwrite=True).run
        except CifarcoreError:
            outcomes[case.what, False] += 1
            continue
        outcomes[case.what, True] += 1
        try:
            checked(case, run, scores)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"case {seed}, {case.what}, {case.options}, {list(case.columns)}: {error}") from error
    return outcomes


def accepted(outcomes: Counter, part: int) -> dict[str, float]:
    """The share of the accepted cases by one of the parts of what they are."""
    both = Counter()
    for (what, kept), count in outcomes.items():
        both[what[part], kept] += count
    return {kind: both[kind, True] / (both[kind, True] + both[kind, False]) for kind in {kind for kind, _ in both}}


def test_in_any_order_the_same_run_or_a_refusal(folders, tmp_path):
    outcomes = tried(folders, range(400), tmp_path)
    for part in range(5):
        assert min(accepted(outcomes, part).values()) > 0.2, "nothing is shown by refusals alone"


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_ten_thousand_cases(folders, tmp_path, block):
    tried(folders, range(400 + 480 * block, 400 + 480 * (block + 1)), tmp_path)
