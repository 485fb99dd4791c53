"""Which run files there are, and reading the chosen ones once for all sessions."""

import hashlib
import itertools
import threading
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st
from cachetools import LRUCache, cached

from cifarcore.errors import CifarcoreError, readable
from cifarcore.evidence import comparison, ranking
from cifarcore.files import Version, is_link, plain_name, version
from cifarcore.reports.sides import Side, seed_label
from cifarcore.retraining.folders import file_digest
from cifarcore.runs.alignment import align, matching_rows
from cifarcore.runs.importing import FOLDER
from cifarcore.runs.layout import RunFileError, dataset_fingerprint
from cifarcore.runs.memo import MOST_BYTES, size_of
from cifarcore.runs.run import Run, RunHeader, load_run, model_key, read_header
from cifarcore.threads import each

SUBFOLDERS = ("retrained", "imported")


_LINK = "a symbolic link, which is followed at the top of the folder of runs only; put the file itself here"
#: the presets in the order in which the app prefers them
PRESETS = ("best", "report", "quick")


ALL_SEEDS = "all seeds"
MOST_TRIED = 4  #: models that are read to find two that share images


@dataclass(frozen=True)
class Catalog:
    """The run files of a folder: readable ones by group (a model's seeds), and the others with the reason."""

    folder: Path
    groups: dict[str, tuple[RunHeader, ...]]  #: name -> headers in the order of their seeds
    refused: dict[str, str]  #: file name -> one line
    alone: dict[str, str]  #: file name of a run that is no seed of its model's group -> one line
    linked: tuple[str, ...]  #: names of the run files that are links to other folders

    def seeds(self, group: str) -> tuple[str, ...]:
        """What can be chosen of a group: all its seeds together (where there are several), or one of them."""
        single = tuple(seed_label(header) for header in self.groups[group])
        return (ALL_SEEDS, *single) if len(single) > 1 else single

    def chosen(self, group: str, seed: str) -> tuple[RunHeader, ...]:
        headers = self.groups[group]
        return headers if seed == ALL_SEEDS else tuple(header for header in headers if seed_label(header) == seed)

    def of(self, path: Path) -> tuple[str, RunHeader] | None:
        """The group of the run file `path` and its header; None where it is not among them."""
        every = ((group, header) for group, headers in self.groups.items() for header in headers)
        return next((each for each in every if each[1].path == path), None)

    def defaults(self) -> tuple[str, str]:
        """Model A and model B before anybody chose, which share images: the CNN and the ResNet-18 of the best preset
        that both have. One model stands on both sides where no two of the first MOST_TRIED share any.
        """
        ranked, partners = self._ranked("cnn"), self._ranked("resnet")
        pairs = ((a, b) for a in ranked for b in partners if a != b)
        read = ((a, b) for a in ranked[:MOST_TRIED] for b in partners[:MOST_TRIED] if a != b)
        named = (pair for pair in pairs if of_one_test_set(*(self.groups[name][0] for name in pair)))
        shared = (pair for pair in read if share_an_image(*(self.groups[name][0] for name in pair)))
        return next(named, None) or next(shared, (ranked[0], ranked[0]))

    def _ranked(self, model: str) -> list[str]:
        """The groups, those of `model` first and of the best preset; behind them those in subfolders, as they are."""

        def place(name: str) -> tuple[bool, bool, int]:
            header = self.groups[name][0]
            if header.path.parent != self.folder:
                return True, False, 0
            return False, not str(header.meta.get("model", "")).startswith(model), _preset_rank(header.meta)

        return sorted(self.groups, key=place)


def of_one_test_set(a: RunHeader, b: RunHeader) -> bool:
    """Whether two files name one test set, with as many images and classes."""
    return may_share(a, b) and "" not in {dataset_fingerprint(a.meta), dataset_fingerprint(b.meta)}


def may_share(a: RunHeader, b: RunHeader) -> bool:
    """Whether nothing says that two files are of other test images or other classes. A fingerprint is of classes in
    their order: where the orders differ, `ranking.on_images_of` decides.
    """
    if (a.n_images, a.n_classes) != (b.n_images, b.n_classes):
        return False
    if len({dataset_fingerprint(a.meta), dataset_fingerprint(b.meta)} - {""}) < 2:
        return True
    return a.classes != b.classes and _asked(a, b, entirely=True)


def share_an_image(a: RunHeader, b: RunHeader) -> bool:
    """Whether two files share any image, once read: part of a test set, or files that name none."""
    return a.n_classes == b.n_classes and _asked(a, b, entirely=False)


def _asked(a: RunHeader, b: RunHeader, entirely: bool) -> bool:
    try:
        return _share(version(a.path), version(b.path), entirely)
    except OSError:
        return False


# of files by their time, not of runs (`memo`): neither run need be in memory to be asked again
@st.cache_resource(show_spinner="Reading the run files…", max_entries=1024)
def _share(a: Version, b: Version, entirely: bool) -> bool:
    try:
        runs = each(loaded_run, (a, b))
        return ranking.on_images_of(runs[0], runs[1:]) if entirely else bool(len(matching_rows(*runs)[0]))
    except (RunFileError, OSError):
        return False


def find_runs(folder: Path) -> Catalog:
    """Read the headers of all run files in `folder`; files under `retrained/` and `imported/` are groups of their
    own.

    Seeds of one model are together by what their files say, see `model_key`; no name of a file makes it one of them.
    """
    by_model: dict[Hashable, list[RunHeader]] = {}
    of_seed: dict[tuple[Hashable, int], RunHeader] = {}
    of_scores: dict[tuple[Hashable, tuple[int, ...]], RunHeader] = {}
    refused, alone = {}, {}
    for place in ("", *SUBFOLDERS):
        if place and is_link(folder / place):
            refused[f"{place}/"] = _LINK
            continue
        for path in sorted((folder / place).glob("*.npz")):
            if path.name.endswith(".features.npz"):
                continue
            name = readable(f"{place}/{path.name}".lstrip("/"))
            if place and is_link(path):
                refused[name] = _LINK
                continue
            try:
                header = _header(version(path))
            except (OSError, RunFileError) as error:
                why = isinstance(error, OSError) and error.strerror or str(error)
                refused[name] = readable(why).removeprefix(f"{readable(str(path))}: ")
                continue
            model = model_key(header.meta)
            # an imported model's seeds have the names that `import` gave them; another name was chosen to stand apart
            by_name = path.stem == plain_name(f"{header.group}-{header.seed}")
            key: Hashable = (place, model) if model and (not place or place == FOLDER and by_name) else path
            first = of_seed.get((key, header.seed))
            copied = of_scores.get((key, header.checksum)) if header.checksum else None
            if first or copied:
                what = f"seed {header.seed} of {header.group} is" if first else "the same scores are"
                alone[name] = (
                    f"{what} in {readable((first or copied).path.name)} already; it is listed as a model of its own"
                )
                key = path
            by_model.setdefault(key, []).append(header)
            of_seed.setdefault((key, header.seed), header)
            of_scores.setdefault((key, header.checksum), header)
    names: dict[Hashable, str] = {}
    taken: set[str] = set()
    for key in sorted(by_model, key=_order):
        names[key] = next(name for name in _names(folder, key, by_model[key][0]) if name not in taken)
        taken.add(names[key])
    groups = {names[key]: tuple(sorted(headers, key=lambda each: each.seed)) for key, headers in by_model.items()}
    linked = tuple(readable(h.path.name) for headers in groups.values() for h in headers if is_link(h.path))
    return Catalog(folder, groups, refused, alone, linked)


def _order(key: Hashable) -> tuple[bool, ...]:
    """A model trained here keeps its name before one that is only called so; a file's name comes last."""
    if isinstance(key, Path):
        return (True,)
    _, (_, preset, *elsewhere) = key
    return (False, *elsewhere, not preset)


def _names(folder: Path, key: Hashable, header: RunHeader) -> Iterator[str]:
    """How a group may be called, the best name first."""
    path = Path(readable(str(header.path.relative_to(folder))))
    place = "" if path.parent == Path() else f"{path.parent.as_posix()}/"
    yield place + (path.stem if isinstance(key, Path) else header.group)
    yield place + (path.name if isinstance(key, Path) else f"{header.group} ({path.stem})")
    yield from (f"{path.as_posix()} ({number})" for number in itertools.count(2))


def load_sides(
    a: Sequence[RunHeader], b: Sequence[RunHeader], names: tuple[str, str]
) -> tuple[Side, Side, tuple[int, int, int]]:
    """Load the chosen files and bring all runs to the images that they share, in the order of A's first run.

    Returns both sides and how many images only A's first, only B's first run had, and both under different labels.
    Raises RunFileError, and CifarcoreError where one run is two seeds of a model.
    """
    runs, files, only = _aligned(tuple(version(header.path) for header in (*a, *b)), len(a))
    of_a, of_b = slice(None, len(a)), slice(len(a), None)
    return Side("A", names[0], runs[of_a], files[of_a]), Side("B", names[1], runs[of_b], files[of_b]), only


def other_superclasses(headers: Sequence[RunHeader]) -> tuple[str, ...]:
    """As comparison.other_superclasses, of the files: those loaded have one run's already. Raises as load_sides."""
    return _regrouped(tuple(version(header.path) for header in headers))


def _preset_rank(meta: dict) -> int:
    preset = meta.get("preset")
    return PRESETS.index(preset) if preset in PRESETS else len(PRESETS)


@st.cache_resource(show_spinner=False, max_entries=4096)  # of a file by its time: small, so only their number counts
def _header(file: Version) -> RunHeader:
    return read_header(file.path)


# runs are large: kept by their bytes, which Streamlit's caches cannot count
@cached(LRUCache(MOST_BYTES, getsizeof=size_of), condition=threading.Condition())
def loaded_run(file: Version) -> Run:
    """A run file, read once for all sessions as long as it is not replaced."""
    return load_run(file.path)


def digest_of(header: RunHeader) -> str:
    """As Run.digest; "" where the file cannot be read any more."""
    try:
        return _digest(version(header.path))
    except (OSError, CifarcoreError):
        return ""


@st.cache_resource(show_spinner=False, max_entries=4096)  # as _header: of many files, to find one among them
def _digest(file: Version) -> str:
    return file_digest(file.path)


@cached(LRUCache(1024), condition=threading.Condition())  # a line of text each
def _regrouped(files: tuple[Version, ...]) -> tuple[str, ...]:
    return tuple(comparison.other_superclasses(each(loaded_run, files)))


@cached(LRUCache(MOST_BYTES, getsizeof=size_of), condition=threading.Condition())  # as loaded_run
def _aligned(files: tuple[Version, ...], n_a: int) -> tuple[tuple[Run, ...], tuple[Run, ...], tuple[int, int, int]]:
    """The runs brought together; as they were, where that is anything else; and how many images only some have."""
    runs = tuple(each(loaded_run, files))
    comparison.refuse_too_large(runs)
    first = align(runs[0], runs[n_a])
    together = hashlib.blake2b(" ".join(run.digest for run in runs).encode(), digest_size=8).hexdigest()
    brought = [
        # another choice of rows or order of classes is other content
        other if other is run else replace(other, digest=f"{run.digest}@{together}")
        for run, other in zip(runs, comparison.on_shared_images(runs), strict=True)
    ]
    for side in (brought[:n_a], brought[n_a:]):
        comparison.refuse_copies(side)
    as_they_were = () if all(one is other for one, other in zip(runs, brought, strict=True)) else runs
    return tuple(brought), as_they_were, (first.only_a, first.only_b, first.relabelled)
