"""Classes map by name, not by position: which column is which class, what a label says, and the superclasses.

Blanks, underscores, hyphens and capitals make no difference. Knows no file but a CSV of superclasses.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cifarcore import CifarcoreError, labels
from cifarcore.predictions import read_lines


def normal_name(name: str) -> str:
    """A class name as names are compared."""
    return " ".join(str(name).casefold().replace("_", " ").replace("-", " ").split())


_CIFAR100 = {normal_name(name) for name in labels.CLASS_NAMES}


def canonical(names: tuple[str, ...]) -> tuple[str, ...]:
    """CIFAR-100's own names in its own order where these are the same classes, else `names`."""
    _refuse_alike(names)
    return labels.CLASS_NAMES if {normal_name(name) for name in names} == _CIFAR100 else names


def by_name(columns: tuple[str, ...], positional: tuple[str, ...], whose: str = "the test set's") -> tuple[str, ...]:
    """What the columns stand for, in `positional`'s spelling: by name, or by number where as many are numbered.

    Raises CifarcoreError where neither fits `whose` classes these are.
    """
    _refuse_alike(columns)
    known = {normal_name(name): name for name in positional}
    own = [normal_name(name) for name in columns]
    if set(own) == set(known):
        return tuple(known[name] for name in own)
    if are_numbers(columns):
        return tuple(positional[int(name)] for name in columns)
    extra = [name for name, normal in zip(columns, own, strict=True) if normal not in known]
    missing = [name for normal, name in known.items() if normal not in own]
    said = [f"{len(extra)} unknown names (such as {extra[0][:60]!r})"] if extra else []
    said += [f"{len(missing)} missing (such as {missing[0][:60]!r})"] if missing else []
    raise CifarcoreError(f"the class names do not fit {whose} {len(known)} classes: {', '.join(said)}")


def are_numbers(columns: tuple[str, ...]) -> bool:
    return sorted(columns) == sorted(map(str, range(len(columns))))


def places(own: Sequence[str], names: Sequence[str]) -> list[int]:
    """Place in `own` of each of `names`."""
    at = {normal_name(name): place for place, name in enumerate(own)}
    return [at[normal_name(name)] for name in names]


def indices(given: np.ndarray, own: tuple[str, ...], names: tuple[str, ...]) -> np.ndarray:
    """Labels as indices into `names`: text by name, numbers by the place of the class in the file's own order."""
    at = {normal_name(name): place for place, name in enumerate(names)}
    if given.dtype.kind == "U":
        normal = [normal_name(label) for label in given.tolist()]
        unknown = [label for label in normal if label not in at]
        if not unknown:
            return np.array([at[label] for label in normal])
        if not all(label.isascii() and label.isdecimal() for label in normal):
            raise CifarcoreError(
                f"{len(unknown):,} of {len(given):,} labels are no class's name (such as {unknown[0][:60]!r})"
            )
        given = np.array([min(int(label), 2**31) for label in normal])
    if given.min() < 0 or given.max() >= len(own):
        bad = int(given.min() if given.min() < 0 else given.max())
        raise CifarcoreError(f"label {bad} is outside 0..{len(own) - 1}; labels count from 0")
    return np.array([at[normal_name(name)] for name in own])[given]


def superclasses(names: tuple[str, ...], path: str = "", known: dict[str, str] | None = None) -> dict[str, np.ndarray]:
    """A run's arrays of superclasses: as the CSV `path` says, CIFAR-100's own, as `known` by class, or none.

    Raises CifarcoreError where the file leaves a class out.
    """
    if path:
        kin = _read_superclasses(path, names)
    elif names == labels.CLASS_NAMES:
        return {
            "superclass_names": np.array(labels.SUPERCLASS_NAMES),
            "superclass_of": np.array(labels.SUPERCLASS_OF, np.int16),
        }
    elif known:
        kin = known
    else:
        return {}
    groups = sorted(set(kin.values()))
    return {
        "superclass_names": np.array(groups),
        "superclass_of": np.array([groups.index(kin[name]) for name in names], np.int16),
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
    found = {normal_name(name): group.strip() for name, group in rows}
    missing = [name for name in names if not found.get(normal_name(name))]
    if missing:
        raise CifarcoreError(
            f"{Path(path).name}: {len(missing)} of {len(names)} classes have no superclass (such as {missing[0]!r})"
        )
    return {name: found[normal_name(name)] for name in names}


def _refuse_alike(names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if (normal := normal_name(name)) in seen:
            raise CifarcoreError(
                f"classes {seen[normal][:60]!r} and {name[:60]!r} are the same name; names must differ"
            )
        seen[normal] = name
