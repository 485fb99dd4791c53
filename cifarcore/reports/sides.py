"""The two models that are compared: each with its runs, one per seed, on the images that all share."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cifarcore.evidence.comparison import names_of
from cifarcore.runs.alignment import AlignedPair
from cifarcore.runs.run import Run, RunHeader, seed_given, seeds_text
from cifarcore.text import distinct, spaced

MOST_LINES = 12  #: of a model's runs that a chart draws a line each of: more are a band that takes minutes to draw


def lines_text(n_a: int, n_b: int) -> str:
    """Which of the models' runs such a chart leaves out, as a sentence; "" where it draws all."""
    of = [f"{n} of {letter}" for letter, n in (("A", n_a), ("B", n_b)) if n > MOST_LINES]
    return f"Drawn are the first {MOST_LINES} of the {' and of the '.join(of)}; the numbers are of all." if of else ""


@dataclass(frozen=True)
class Side:
    """Model A (left, blue) or model B (right, orange): its runs, one per seed chosen, on the images that all share."""

    letter: str
    group: str
    runs: tuple[Run, ...]
    files: tuple[Run, ...] = ()  #: the same as their files have them, where `runs` are a part, or in another order

    @property
    def given(self) -> tuple[Run, ...]:
        """The runs as their files have them, of all their images."""
        return self.files or self.runs

    @property
    def first(self) -> Run:
        """The run that stands where only one can be shown: maps, predictions, confidences."""
        return self.runs[0]

    @property
    def seeds(self) -> str:
        return seeds_text(self.runs)

    @property
    def title(self) -> str:
        return f"{self.group} ({self.seeds})" if self.seeds else self.group

    @property
    def first_title(self) -> str:
        """The group, and the seed of its first run where that is known."""
        return self.group if seed_given(self.first.meta) is None else f"{self.group}, {seed_label(self.first)}"

    @cached_property  # kept with this object, which lives for one drawing of a page and is asked again and again
    def wrong_in(self) -> np.ndarray:
        """In how many of the runs each image is classified wrongly, int (N,)."""
        return np.sum([~run.correct for run in self.runs], axis=0)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(run.digest for run in self.runs)


@dataclass(frozen=True)
class Sides:
    """Both models, and the classes of them that are shown; row i of every run is the same image."""

    a: Side
    b: Side
    only_a: int  #: images that only A's files have
    only_b: int
    classes: np.ndarray  #: indices of the classes that are shown, in this order

    @property
    def names(self) -> tuple[str, str]:
        """Of both models, fit to show; of two seeds of one model the runs' names, which differ."""
        if self.a.group == self.b.group:
            return names_of(self.a.runs, self.b.runs)
        a, b = distinct((self.a.group, self.b.group))
        return a, b

    # cached properties: as in Side
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
        return distinct(map(spaced, self.a.first.class_names))

    @cached_property
    def superclass_names(self) -> list[str]:
        """As `class_names`; none where the run names no superclasses."""
        return [] if self.a.first.superclass_names is None else distinct(map(spaced, self.a.first.superclass_names))

    @property
    def n_classes(self) -> int:
        return self.a.first.n_classes

    @property
    def filtered(self) -> bool:
        return len(self.classes) < self.n_classes

    @cached_property
    def in_filter(self) -> np.ndarray:
        """Whether each image's true class is among the classes shown, bool (N,)."""
        chosen = np.zeros(self.n_classes, dtype=bool)
        chosen[self.classes] = True
        return chosen[self.labels]

    @property
    def several_seeds(self) -> bool:
        return len(self.a.runs) > 1 or len(self.b.runs) > 1

    @property
    def first_seeds(self) -> str:
        """For example "seed 0 of A, the only run of B", or "seed 0 of each"."""
        a, b = (seed_label(side.first) for side in (self.a, self.b))
        return f"{a} of each" if a == b else f"{a} of A, {b} of B"

    def address(self, row: int) -> str:
        """An image as the page's address names it, by content and class: the same picture may stand under two, and
        runs may count the classes in another order.
        """
        return f"{self.sample_ids[row]:016x}-{self.class_names[self.labels[row]]}"

    def row_at(self, address: str) -> int | None:
        """The row that `address` names, which once counted the classes; None where there is none here."""
        sample_id, _, name = address.partition("-")
        try:
            label = self.class_names.index(name) if name in self.class_names else int(name)
            rows = np.flatnonzero((self.sample_ids == np.uint64(int(sample_id, 16))) & (self.labels == label))
        except (ValueError, OverflowError):
            return None
        return int(rows[0]) if len(rows) else None

    def superclass(self, class_index: int) -> str:
        of_class = self.a.first.superclass_of
        return "" if of_class is None else self.superclass_names[of_class[class_index]]


def all_classes(sides: Sides) -> Sides:
    """The same models without a filter of classes, in the classes' own order."""
    return replace(sides, classes=np.arange(sides.n_classes))


def seed_label(run: RunHeader | Run) -> str:
    return "the only run" if seed_given(run.meta) is None else f"seed {run.meta['seed']}"
