"""Properties of images cut into bins, each called by a condition such as "brightness: to 0.3"."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from cifarcore.text import distinct

MOST_BINS = 5
MOST_CATEGORIES = 20  #: the most frequent ones are searched
_ABOUT_A_FIFTH = 0.22
_FIFTHS = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")
#: kinds of properties that depend on the models compared, so that a gap in them may follow from how they are made
OF_MODELS = ("model",)


@dataclass(frozen=True, eq=False)
class Property:
    """One value for each image, either numbers (NaN where not known) or categories."""

    name: str
    values: np.ndarray  #: float (N,), or int (N,) indices into `categories`, -1 where not known
    kind: str  #: "pixels", "known" (of the images), "model", "outcome" (never searched) or "own" (the user's)
    categories: tuple[str, ...] = ()

    @property
    def of_models(self) -> bool:
        return self.kind in (*OF_MODELS, "outcome")


@dataclass(frozen=True, eq=False)
class Bins:
    """A property cut into bins: row i of `masks`, bool (K, N), says which images are in bin i, called `labels[i]`."""

    property: Property
    labels: tuple[str, ...]
    masks: np.ndarray
    conditions: tuple[str, ...] = ()  #: what each bin is called among those of all properties, see `cut`


def cut(properties: Iterable[Property]) -> tuple[Bins, ...]:
    """The bins of those properties that have several, no two of their conditions alike: headings and values may be
    joined alike.
    """
    every = [bins for each in properties if (bins := bins_of(each)) is not None]
    names = iter(distinct((f"{each.property.name}: {label}" for each in every for label in each.labels), 200))
    return tuple(replace(each, conditions=tuple(itertools.islice(names, len(each.labels)))) for each in every)


def bins_of(each: Property) -> Bins | None:
    """Numbers by quantiles into fifths, few different ones by value; the most frequent categories. None of one bin."""
    values = each.values
    if each.categories:
        counts = np.bincount(values[values >= 0], minlength=len(each.categories))
        chosen = [int(k) for k in np.argsort(-counts, kind="stable")[:MOST_CATEGORIES] if counts[k] > 0]
        labels, masks = [each.categories[k] for k in sorted(chosen)], [values == k for k in sorted(chosen)]
    else:
        finite = values[np.isfinite(values)].astype(float)
        different = np.unique(finite)
        if len(different) <= MOST_BINS:
            labels, masks = _told_apart(different, 4), [values == value for value in different]
        else:
            edges = np.unique(np.quantile(finite, np.arange(1, MOST_BINS) / MOST_BINS))
            place = np.where(np.isfinite(values), np.searchsorted(edges, values, side="left"), -1)
            masks = [place == k for k in range(len(edges) + 1)]
            labels = _ranges(edges, [int(mask.sum()) / len(finite) for mask in masks])
    kept = [(label, mask) for label, mask in zip(labels, masks, strict=True) if mask.any()]
    if len(kept) < 2:
        return None
    return Bins(each, tuple(label for label, _ in kept), np.array([mask for _, mask in kept]))


def _told_apart(numbers: np.ndarray, digits: int) -> list[str]:
    """Different numbers as texts, no two alike: with more digits where `digits` do not tell them apart."""
    every = ([f"{number:.{more}g}" for number in numbers] for more in range(digits, 18))
    return next(texts for texts in every if len(set(texts)) == len(texts))


def _ranges(edges: np.ndarray, shares: list[float]) -> list[str]:
    """Such as "lowest fifth (to 0.3)"; the range alone where equal values make the parts unequal."""
    ends = _told_apart(edges, 3)
    texts = [f"to {ends[0]}", *(f"{low} to {high}" for low, high in itertools.pairwise(ends)), f"above {ends[-1]}"]
    if len(shares) == MOST_BINS and max(shares) < _ABOUT_A_FIFTH:
        return [f"{name} ({text})" for name, text in zip(_FIFTHS, texts, strict=True)]
    return texts
