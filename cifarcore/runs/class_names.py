"""Classes map by name, not by position: names as they are compared, lists of names, and the superclasses.

Blanks, underscores, hyphens, dots and capitals make no difference where they tell no two classes apart.
"""

import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cifarcore.data import cifar100
from cifarcore.errors import CifarcoreError
from cifarcore.runs.counting import outside
from cifarcore.runs.formats import read_lines
from cifarcore.runs.layout import MAX_CLASSES
from cifarcore.runs.predictions import text_array

AMBIGUOUS = (
    "the numbers beside the class names are not in the order of the lines, and may be names of classes or their "
    "places; order the lines by place, or write a CSV of number and name"
)
NUMBERED = "the labels are numbers, and so are the class names, in another order; give the labels as names"
_SYNSET = re.compile(r"(n\d{8})[\s,]+(\S.*)")
_MARKS = ",;\t"
_SCORE = re.compile(r"-?\d+[.,]\d+(e[-+]?\d+)?|-?\d+e[-+]?\d+", re.IGNORECASE)
#: of the columns of a table of class names
_HEADINGS = {
    "",
    "class",
    "classes",
    "class name",
    "class names",
    "name",
    "names",
    "label",
    "labels",
    "wnid",
    "synset",
    "wordnet id",
    "id",
    "index",
    "words",
}
_HEADINGS |= {"class id", "class index", "readable", "readable name", "description", "category"}
MOST_CHARACTERS = 1000 * MAX_CLASSES  #: of a list, several names for each class
_BLANKS = str.maketrans("_-.", "   ")  # R puts dots for the blanks in headings
_MISSPELT = {"cra": "crab"}  # Hugging Face's cifar100


def exact_name(name: str) -> str:
    """A class name in the one of Unicode's spellings that is compared: macOS takes file names apart."""
    return unicodedata.normalize("NFC", str(name)).strip()


def normal_name(name: str) -> str:
    """A class name as names are compared where no two differ in this alone."""
    normal = " ".join(exact_name(name).casefold().translate(_BLANKS).split())
    return _MISSPELT.get(normal, normal)


class Names:
    """Classes by name: as it is written, else without regard to capitals, blanks, underscores and hyphens where these
    tell no two classes apart.
    """

    def __init__(self, lines: Sequence[Sequence[str]]):
        """Each of `lines` has the names of one class, one or more; a name of two classes is of neither."""
        self._exact = _by_unique_name(lines, exact_name)
        self._normal = _by_unique_name(lines, normal_name)

    def place(self, name: str) -> int:
        """The class of that name, -1 where there is none."""
        return self._exact.get(exact_name(name), self._normal.get(normal_name(name), -1))

    def places(self, names: Sequence[str]) -> np.ndarray:
        return np.array([self.place(name) for name in names], np.int64)


def _by_unique_name(lines: Sequence[Sequence[str]], spelled: Callable[[str], str]) -> dict[str, int]:
    named = [(name, place) for place, names in enumerate(lines) for name in set(map(spelled, names))]
    counts = Counter(name for name, _ in named)
    return {name: place for name, place in named if counts[name] == 1}


def names_of(names: Sequence[str]) -> Names:
    return Names([(name,) for name in names])


_CIFAR100 = {normal_name(name) for name in cifar100.CLASS_NAMES}


def canonical(names: tuple[str, ...]) -> tuple[str, ...]:
    """CIFAR-100's own names in its own order where these are the same classes, else `names`."""
    same = len(names) == len(_CIFAR100) and {normal_name(name) for name in names} == _CIFAR100
    return cifar100.CLASS_NAMES if same else names


def read_class_names(path: str) -> list[tuple[str, ...]]:
    """The names of each class, in the order of a file: one per line, or several with a tab between; or CSV, with or
    without a heading and numbers; or JSON, a list, or an object of names by number, of numbers by name, or of names by
    another name.

    Raises CifarcoreError.
    """
    lines = read_lines(path)
    if (length := sum(map(len, lines))) > MOST_CHARACTERS:
        raise CifarcoreError(f"{Path(path).name}: {length:,} characters; no list of class names has as many")
    if Path(path).suffix.lower() == ".json":
        return _from_json("\n".join(lines), Path(path).name)
    if Path(path).suffix.lower() in (".csv", ".tsv"):
        if table := _from_csv(lines, Path(path).name):
            return _without_repeated(table, Path(path).name)
        lines = [re.sub(r'^"([^"]*)"$', r"\1", line) for line in lines]
        lines = lines[1:] if len(lines) > 2 and _is_heading(lines[0]) else lines
    rows = [tuple(filter(None, map(str.strip, line.split("\t")))) for line in lines]
    synsets = [_SYNSET.fullmatch(line) for line in lines]
    if all(synsets):  # as ImageNet's synset_words.txt
        rows = [match.groups() for match in synsets if match]
    elif len(set(map(len, rows))) == 1 and len(rows[0]) > 1:
        rows = _counted(rows)
    return _without_repeated(rows, Path(path).name)


def _from_csv(lines: list[str], file: str) -> list[tuple[str, ...]]:
    """The names in each line, in the order of the numbers where a column counts the classes; none where the lines have
    one cell each, or different numbers of them, as names with commas have. Raises CifarcoreError for scores.
    """
    for mark in _MARKS:
        try:
            rows = [tuple(cell.strip() for cell in row) for row in csv.reader(lines, delimiter=mark)]
        except csv.Error:
            return []
        if len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
            break
    else:
        return []
    if any(_SCORE.fullmatch(cell) for row in rows for cell in row):
        raise CifarcoreError(
            f"{file}: a table of scores, not of class names; give a line for each class, with all its names on it, "
            "such as n01443537,goldfish"
        )
    if all(map(_is_heading, rows[0])) or (not any(map(str.isdecimal, rows[0])) and any(map(str.isdecimal, rows[-1]))):
        del rows[0]
    return [names for row in _in_number_order(rows) if (names := tuple(filter(None, row)))]


def _is_heading(cell: str) -> bool:
    return cell.casefold().replace("_", " ") in _HEADINGS


def _counted(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """`_in_number_order` of rows that stand so already. Raises CifarcoreError where the numbers may be names."""
    if (ordered := _in_number_order(rows)) is not rows and ordered != [
        tuple(cell for cell in row if cell in kept) for row, kept in zip(rows, ordered, strict=True)
    ]:
        raise CifarcoreError(AMBIGUOUS)
    return ordered


def _in_number_order(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Rows of as many cells each, in the order of the numbers where a column counts the classes, and without it."""
    for column in range(len(rows[0]) if rows else 0):
        cells = [row[column] for row in rows]
        if are_numbers(cells) or are_numbers(cells, 1):
            return [row[:column] + row[column + 1 :] for row in sorted(rows, key=lambda row: int(row[column]))]
    return rows


def _from_json(text: str, file: str) -> list[tuple[str, ...]]:
    try:
        read = json.loads(text)
        if isinstance(read, dict) and all(key.isdecimal() for key in read):
            read = [read[key] for key in sorted(read, key=int)]
        elif isinstance(read, dict) and all(isinstance(value, int) for value in read.values()):
            read = sorted(read, key=lambda key: read[key])
        elif isinstance(read, dict):
            read = [[key, value] for key, value in read.items()]
        rows = [tuple(each) if isinstance(each, list) else (each,) for each in read]
        if not rows or not all(isinstance(name, str) for names in rows for name in names) or not all(rows):
            raise ValueError("no names")
        if len(set(map(len, rows))) == 1 and len(rows[0]) > 1:
            rows = _in_number_order(rows)
    except (ValueError, TypeError, RecursionError):
        raise CifarcoreError(f"{file}: no list of class names in it; give one name per line, as text") from None
    return _without_repeated(rows, file)


def _without_repeated(rows: list[tuple[str, ...]], file: str) -> list[tuple[str, ...]]:
    if len(rows) > MAX_CLASSES:
        raise CifarcoreError(f"{file}: {len(rows):,} class names; at most {MAX_CLASSES:,} are read")
    counts = Counter(exact_name(names[0]) for names in rows)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise CifarcoreError(f"{file}: class {repeated[0][:60]!r} is there twice; names must differ")
    return rows


def indices(given: np.ndarray, names_given: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """Labels as indices into `names`: text by name, numbers by the place of the class in the file's own order."""
    at = names_of(names)
    if given.dtype.kind == "U":
        values, inverse = np.unique(given, return_inverse=True)
        places = at.places(values.tolist())
        if (places >= 0).all():
            return places[inverse]
        refuse_unknown(given, places[inverse] < 0)
        given = np.array([min(int(label), 2**31) for label in given.tolist()])
    values, inverse = np.unique(given, return_inverse=True)
    by_name = at.places(list(map(str, values.tolist())))[inverse]
    fits = given.min() >= 0 and given.max() < len(names_given)
    if are_decimal(names) and (by_name >= 0).all():  # numbers may be such names
        if fits and not np.array_equal(by_name, at.places(names_given)[given]):
            raise CifarcoreError(NUMBERED)
        return by_name
    if not fits:
        raise CifarcoreError(outside(given, len(names_given)))
    return at.places(names_given)[given]


def refuse_unknown(given: np.ndarray, unknown: np.ndarray) -> None:
    """Raises CifarcoreError for labels that are text and neither names nor all numbers."""
    if not all(label.isascii() and label.isdecimal() for label in np.unique(given).tolist()):
        first = normal_name(given[unknown.argmax()])
        raise CifarcoreError(f"{unknown.sum():,} of {len(given):,} labels are not class names (such as {first[:60]!r})")


def are_decimal(names: Sequence[str]) -> bool:
    """Whether all names are whole numbers, as the classes_ of scikit-learn may be."""
    return all(name.isascii() and name.isdecimal() for name in names)


def are_numbers(columns: Sequence[str], first: int = 0) -> bool:
    if not all(name.isascii() and name.isdecimal() and len(name) < 10 for name in columns):
        return False
    return sorted(map(int, columns)) == list(range(first, first + len(columns)))


def superclasses(names: tuple[str, ...], path: str = "", known: dict[str, str] | None = None) -> dict[str, np.ndarray]:
    """A run's arrays of superclasses: as the CSV `path` says, CIFAR-100's own, as `known` by class, or none.

    Raises CifarcoreError where the file leaves a class out.
    """
    if path:
        kin = _read_superclasses(path, names)
    elif names == cifar100.CLASS_NAMES:
        return {
            "superclass_names": np.array(cifar100.SUPERCLASS_NAMES),
            "superclass_of": np.array(cifar100.SUPERCLASS_OF, np.int16),
        }
    elif known:
        kin = known
    else:
        return {}
    groups = sorted({kin[name] for name in names})
    place = {group: index for index, group in enumerate(groups)}
    return {
        "superclass_names": text_array(groups),
        "superclass_of": np.array([place[kin[name]] for name in names], np.int16),
    }


def _read_superclasses(path: str, names: tuple[str, ...]) -> dict[str, str]:
    try:
        rows = [row for row in csv.reader(read_lines(path)) if row]
    except csv.Error as error:
        raise CifarcoreError(f"{Path(path).name}: cannot be read as CSV ({error})") from None
    if any(len(row) != 2 for row in rows):
        raise CifarcoreError(f"{Path(path).name}: a line is not CLASS,SUPERCLASS; give both, with a comma between")
    if [cell.strip().lower() for cell in rows[0]] == ["class", "superclass"]:
        rows = rows[1:]
    at = names_of(names)
    groups: dict[int, str] = {}
    for name, group in rows:
        if groups.setdefault(at.place(name), group.strip()) != group.strip() and at.place(name) >= 0:
            raise CifarcoreError(f"{Path(path).name}: {name[:60]!r} is there twice, with two superclasses; keep one")
    missing = [name for place, name in enumerate(names) if not groups.get(place)]
    if missing:
        raise CifarcoreError(
            f"{Path(path).name}: {len(missing)} of {len(names)} classes have no superclass (such as {missing[0]!r})"
        )
    return {name: groups[place] for place, name in enumerate(names)}


def refuse_alike(names: Sequence[str], apart: Sequence[str] = ()) -> None:
    """Raises CifarcoreError for two names that are compared as one, unless both are among `apart` as they are."""
    known_apart = set(map(exact_name, apart))
    seen: dict[str, str] = {}
    for name in names:
        if (normal := normal_name(name)) in seen:
            both = {exact_name(name), exact_name(seen[normal])}
            if len(both) == 1 or not both <= known_apart:
                raise CifarcoreError(
                    f"classes {seen[normal][:60]!r} and {name[:60]!r} are the same name; names must differ"
                )
        seen[normal] = name
