"""What is looked at: which run files there are, the two sides chosen, and what is computed once for all sessions.

Holds no widget (see sidebar.py) and no picture (see images.py). Runs are shared between sessions, so they and all
that `memo` returns are read-only.
"""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import comparison, metrics
from cifarcore.app.images import Album
from cifarcore.importing import FOLDER, plain_name
from cifarcore.runs import (
    AlignedPair,
    Run,
    RunFileError,
    RunHeader,
    align,
    load_run,
    read_header,
    seed_given,
    seeds_said,
)

SUBFOLDERS = ("retrained", "imported")
#: the presets in the order in which the app prefers them
PRESETS = ("best", "report", "quick")
HARDNESS = ("A and B", "A", "B")
CLASS_METRICS = {"F1": "f1", "Precision": "precision", "Recall": "recall", "AUC": "auc"}
ALL_SEEDS = "all seeds"
MOST_OTHERS = 12
NO_SUPERCLASSES = "These runs name no superclasses; `cifarcore import --superclasses FILE` gives them to predictions."
MOST_CSV_ROWS = 100_000
_FORMULA = (
    "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
_NUMBERS = re.compile(r"[+-]|[+-]?[\d.,]+%?( (to|±) [+-]?[\d.,]+%?)?")


def runs_dir(root: Path) -> Path:
    """The folder of run files: `$CIFARCORE_RUNS`, else `checkpoints/` beside streamlit_app.py (`root`)."""
    return Path(os.environ.get("CIFARCORE_RUNS") or root / "checkpoints").expanduser()


@dataclass(frozen=True)
class Catalog:
    """The run files of a folder: readable ones by group (a model's seeds), and the others with the reason."""

    folder: Path
    groups: dict[str, tuple[RunHeader, ...]]  #: name -> headers in the order of their seeds
    refused: dict[str, str]  #: file name -> one line

    def seeds(self, group: str) -> tuple[str, ...]:
        """What can be chosen of a group: all its seeds together (where there are several), or one of them."""
        single = tuple(seed_label(header) for header in self.groups[group])
        return (ALL_SEEDS, *single) if len(single) > 1 else single

    def chosen(self, group: str, seed: str) -> tuple[RunHeader, ...]:
        headers = self.groups[group]
        return headers if seed == ALL_SEEDS else tuple(header for header in headers if seed_label(header) == seed)

    def defaults(self) -> tuple[str, str]:
        """Model A and model B before anybody chose: the CNN and the ResNet-18 of the best preset that both have."""
        names = list(self.groups)
        first = {name: self.groups[name][0].meta for name in names}

        def best(model: str, other_than: str | None) -> str | None:
            fitting = [name for name in names if name != other_than and "/" not in name]
            fitting = [name for name in fitting if str(first[name].get("model", "")).startswith(model)]
            return min(fitting, key=lambda name: (_preset_rank(first[name]), names.index(name)), default=None)

        a = best("cnn", None) or best("", None) or names[0]
        b = best("resnet", a) or best("", a) or next((name for name in names if name != a), a)
        return a, b


def seed_label(run: RunHeader | Run) -> str:
    return "the only run" if seed_given(run.meta) is None else f"seed {run.meta['seed']}"


def find_runs(folder: Path) -> Catalog:
    """Read the headers of all run files in `folder`; files under `retrained/` and `imported/` are groups of their own."""
    found: dict[str, list[RunHeader]] = {}
    refused = {}
    for place in ("", *SUBFOLDERS):
        for path in sorted((folder / place).glob("*.npz")):
            if path.name.endswith(".features.npz"):
                continue
            try:
                stat = path.stat()
                header = _header(path, stat.st_mtime_ns, stat.st_size)
            except (OSError, RunFileError) as error:
                refused[f"{place}/{path.name}".lstrip("/")] = str(error).removeprefix(f"{path}: ")
                continue
            # several seeds of an imported model are one group, by the name that `import` gave their files
            seed_of_group = place == FOLDER and path.stem == plain_name(f"{header.group}-{header.seed}")
            group = header.group if seed_of_group or not place else path.stem
            group = f"{place}/{group}" if place else group
            if any(other.seed == header.seed for other in found.get(group, [])):
                group = f"{place}/{path.stem}".lstrip("/")  # a second file of the same model and seed stands for itself
            found.setdefault(group, []).append(header)
    groups = {name: tuple(sorted(headers, key=lambda header: header.seed)) for name, headers in found.items()}
    return Catalog(folder, groups, refused)


@dataclass(frozen=True)
class Side:
    """Model A (left, blue) or model B (right, orange): its runs, one per seed chosen, on the images that all share."""

    letter: str
    group: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run that stands where only one can be shown: maps, predictions, confidences."""
        return self.runs[0]

    @property
    def seeds(self) -> str:
        return seeds_said(self.runs)

    @property
    def title(self) -> str:
        return f"{self.group} ({self.seeds})" if self.seeds else self.group

    @property
    def first_title(self) -> str:
        """The group, and the seed of its first run where that is known."""
        return self.group if seed_given(self.first.meta) is None else f"{self.group}, {seed_label(self.first)}"

    @cached_property
    def wrong_in(self) -> np.ndarray:
        """In how many of the runs each image is classified wrongly, int (N,)."""
        return np.sum([~run.correct for run in self.runs], axis=0)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(run.digest for run in self.runs)


@dataclass(frozen=True)
class View:
    """Everything a page shows is of these two sides; row i of every run is the same image."""

    a: Side
    b: Side
    only_a: int  #: images that only A's files have
    only_b: int
    pictures: Album
    classes: np.ndarray  #: indices of the classes that the filter leaves, hardest first
    hardness: str  #: one of HARDNESS
    class_metric: str  #: column of metrics.class_table that defines hardness
    root: Path  #: the folder of streamlit_app.py

    @cached_property
    def pair(self) -> AlignedPair:
        """The first run of each side."""
        return AlignedPair(self.a.first, self.b.first, self.only_a, self.only_b)

    @property
    def labels(self) -> np.ndarray:
        return self.a.first.labels

    @property
    def sample_ids(self) -> np.ndarray:
        return self.a.first.sample_ids

    @cached_property
    def class_names(self) -> list[str]:
        """Fit to show, no two alike: charts, lists and the address know a class by it."""
        return distinct(self.a.first.class_names)

    @cached_property
    def superclass_names(self) -> list[str]:
        """As `class_names`; none where the run names no superclasses."""
        return [] if self.a.first.superclass_names is None else distinct(self.a.first.superclass_names)

    @property
    def n_classes(self) -> int:
        return self.a.first.n_classes

    @property
    def filtered(self) -> bool:
        return len(self.classes) < self.n_classes

    @cached_property
    def in_filter(self) -> np.ndarray:
        """Whether each image's true class is among the filter's, bool (N,)."""
        chosen = np.zeros(self.n_classes, dtype=bool)
        chosen[self.classes] = True
        return chosen[self.labels]

    @property
    def several_seeds(self) -> bool:
        return len(self.a.runs) > 1 or len(self.b.runs) > 1

    @property
    def first_seeds(self) -> str:
        """For example «seed 0 of A, the only run of B»."""
        return f"{seed_label(self.a.first)} of A, {seed_label(self.b.first)} of B"

    def address(self, row: int) -> str:
        """An image as the page's address names it, by content and label: the same picture may stand under two labels."""
        return f"{self.sample_ids[row]:016x}-{self.labels[row]}"

    def row_at(self, address: str) -> int | None:
        """The row that `address` names; None where there is none here."""
        sample_id, _, label = address.partition("-")
        try:
            found = np.flatnonzero((self.sample_ids == np.uint64(int(sample_id, 16))) & (self.labels == int(label)))
        except (ValueError, OverflowError):
            return None
        return int(found[0]) if len(found) else None

    def superclass(self, class_index: int) -> str:
        of_class = self.a.first.superclass_of
        return "" if of_class is None else self.superclass_names[of_class[class_index]]


def load_sides(
    a: Sequence[RunHeader], b: Sequence[RunHeader], names: tuple[str, str]
) -> tuple[Side, Side, tuple[int, int]]:
    """Load the chosen files and bring all runs to the images that they share, in the order of A's first run.

    Returns both sides and how many images only A's first, only B's first run had. Raises RunFileError.
    """
    files = [(header.path, header.path.stat().st_mtime_ns) for header in (*a, *b)]
    runs, only = _aligned(tuple(files), len(a))
    return Side("A", names[0], runs[: len(a)]), Side("B", names[1], runs[len(a) :]), only


def same_models(view: View) -> tuple[Run, ...]:
    """Further runs of the two models chosen, trained with other settings: at most MOST_OTHERS, the first by name."""
    catalog = find_runs(runs_dir(view.root))
    models = {run.meta.get("model") for run in (*view.a.runs, *view.b.runs)} - {None, ""}
    chosen = {run.path for run in (*view.a.runs, *view.b.runs)}
    others = [
        h
        for headers in catalog.groups.values()
        for h in headers
        if h.meta.get("model") in models and h.path not in chosen
    ]
    loaded = []
    for header in [h for h in others if h.n_classes == view.n_classes][:MOST_OTHERS]:
        try:
            loaded.append(_run(header.path, header.path.stat().st_mtime_ns))
        except (RunFileError, OSError):  # damaged behind its header, or deleted meanwhile: this page can do without
            continue
    return tuple(loaded)


def mean_class_table(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """metrics.class_table with every number the mean over `runs` (the seeds of one model).

    Its column `auc`, which takes seconds for 1,000 classes, is there only where that is the `metric` asked for.
    """
    return memo(_mean_class_table, tuple(runs), metric == "auc")


def hardest_first(a: Side, b: Side, hardness: str, metric: str) -> np.ndarray:
    """All classes, lowest `metric` first (by A, by B or by the mean of both); those without a value last."""
    return memo(_hardest_first, a.runs, b.runs, hardness, metric)


def compared(view: View) -> comparison.Comparison:
    """comparison.compare of the two sides, computed once (seconds for 10,000 x 100 the first time)."""
    with st.spinner("Comparing the two models…"):
        return memo(comparison.compare, view.a.runs, view.b.runs)


def memo(function: Callable, *arguments: Any) -> Any:
    """`function(*arguments)`, computed once for all sessions and shared: never change what it returns.

    Runs (alone, in a tuple or list, or in an AlignedPair) are known by their digest and never hashed; other arguments
    must be hashable. `function` is a module's own (no lambda), so that its name tells it apart.
    """
    key = (function.__module__, function.__qualname__, tuple(_key(argument) for argument in arguments))
    return _memo(key, function, arguments)


def plain(text: object, limit: int = 80) -> str:
    """`text` from a file as one line of at most `limit` printable characters, for charts, tables and options.

    Charts and tables can be downloaded as CSV by Streamlit's own buttons, so it is no formula either.
    """
    return no_formula(_one_line(text, limit))


def distinct(names: Iterable[str]) -> list[str]:
    """`plain` of each name, with a number where shortening made it like one before."""
    shown: dict[str, None] = {}
    for name in map(plain, names):
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        shown[name if name not in shown else next(text for text in numbered if text not in shown)] = None
    return list(shown)


def escape(text: object, limit: int = 80) -> str:
    """`text` from a file as one line of literal Markdown: nothing in it is formatted, linked, coloured or rendered as HTML."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$:&^=-])", r"\\\1", _one_line(text, limit))


def no_formula(text: str) -> str:
    """`text` as a spreadsheet takes for text: a leading = + - @ gets a quote, but for numbers (OWASP, «CSV injection»)."""
    return f"'{text}" if text[:1] in _FORMULA and text and not _NUMBERS.fullmatch(text) else text


def csv(frame: pd.DataFrame) -> bytes:
    """UTF-8 CSV of at most MOST_CSV_ROWS rows, in which no cell is a formula: the one way of downloading a table."""
    frame = frame.head(MOST_CSV_ROWS)
    texts = [
        name for name in frame.columns if frame[name].dtype.kind == "O" or isinstance(frame[name].dtype, pd.StringDtype)
    ]
    safe = {
        name: [no_formula(_one_line(cell, 1000)) if isinstance(cell, str) else cell for cell in frame[name]]
        for name in texts
    }
    return frame.assign(**safe).to_csv(index=False, float_format="%.6g").encode()


def _one_line(text: object, limit: int) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _preset_rank(meta: dict) -> int:
    preset = meta.get("preset")
    return PRESETS.index(preset) if preset in PRESETS else len(PRESETS)


@st.cache_resource(show_spinner=False, max_entries=4096)
def _header(path: Path, mtime_ns: int, size: int) -> RunHeader:
    return read_header(path)


@st.cache_resource(show_spinner=False, max_entries=32)
def _run(path: Path, mtime_ns: int) -> Run:
    return load_run(path)


@st.cache_resource(show_spinner="Reading the run files…", max_entries=16)
def _aligned(files: tuple[tuple[Path, int], ...], n_a: int) -> tuple[tuple[Run, ...], tuple[int, int]]:
    with ThreadPoolExecutor() as pool:  # decompression and checks let go of the interpreter's lock
        runs = list(pool.map(lambda file: _run(*file), files))
    first = align(runs[0], runs[n_a])
    together = hashlib.blake2b(" ".join(run.digest for run in runs).encode(), digest_size=8).hexdigest()
    brought = [
        # another choice of rows or order of classes is other content
        other if other is run else replace(other, digest=f"{run.digest}@{together}")
        for run, other in zip(runs, comparison.on_shared_images(runs), strict=True)
    ]
    return tuple(brought), (first.only_a, first.only_b)


@st.cache_resource(show_spinner=False, max_entries=512)
def _memo(key: tuple, _function: Callable, _arguments: tuple) -> Any:
    return _function(*_arguments)


def _key(argument: Any) -> Any:
    if isinstance(argument, Run):
        return argument.digest
    if isinstance(argument, AlignedPair):
        return (argument.a.digest, argument.b.digest)
    if isinstance(argument, (list, tuple)):
        return tuple(_key(item) for item in argument)
    return argument


def _mean_class_table(runs: tuple[Run, ...], auc: bool) -> pd.DataFrame:
    tables = [metrics.class_table(run, auc) for run in runs]
    mean = tables[0].copy()
    numbers = mean.select_dtypes("number").columns
    mean[numbers] = np.mean([table[numbers].to_numpy(float) for table in tables], axis=0)
    return mean


def _hardest_first(a: tuple[Run, ...], b: tuple[Run, ...], hardness: str, metric: str) -> np.ndarray:
    of_a, of_b = (mean_class_table(runs, metric)[metric].to_numpy() for runs in (a, b))
    value = {"A": of_a, "B": of_b}.get(hardness, (of_a + of_b) / 2)
    order = np.argsort(value, kind="stable")  # NumPy sorts NaN last
    order.flags.writeable = False
    return order
