"""Slices of a test set: properties of its images, how each moves both models' accuracy, and where B - A differs most.

Properties come from pixels (measured before), from what people know of the images, from the runs, and from the user.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cifarcore.data.image_properties import HUES
from cifarcore.data.known_images import DUPLICATE_KINDS, known_images
from cifarcore.evidence import absent, known, softmax
from cifarcore.evidence.flips import share_interval
from cifarcore.evidence.paired import ALPHA, Z, q_values
from cifarcore.evidence.pairwise import PairMean
from cifarcore.evidence.slice_bins import MOST_CATEGORIES, Bins, Property, cut
from cifarcore.evidence.slice_search import Conditions, against_rest, halves, search
from cifarcore.runs.layout import UNKNOWN
from cifarcore.runs.run import Run
from cifarcore.text import distinct, plain, spaced

NAMED_CLASSES = 3  #: of a cluster
#: images by the square of the conditions: a minute's search on two cores
MOST_SEARCHED = 2e11
_DUPLICATES = {"": "no duplicate", "exact": "exact duplicate", "near": "near duplicate", "similar": "similar"}


@dataclass(frozen=True, eq=False)
class Slices:
    """What was found of two models on N images; a difference is always B minus A, over all seeds of each."""

    table: pd.DataFrame  #: as slice_search.search, with slice (text), accuracy_a, accuracy_b (of all its images), share
    bins: tuple[Bins, ...]  #: of every property, in the order of the search
    conditions: tuple[str, ...]  #: the text of each condition
    masks: np.ndarray = field(repr=False)  #: bool (M, N), of each condition
    difference: float  #: B - A on all images
    n_images: int
    left_out: int = 0  #: the last properties, where all would take too long to search

    def mask(self, name: str) -> np.ndarray | None:
        """Which images are in the slice `name`, bool (N,), conditions joined by " & "; None where one is not known."""
        return None if (joined := self.joined(name)) is None else np.all([self.masks[row] for row in joined], axis=0)

    def joined(self, name: str) -> tuple[int, ...] | None:
        """The conditions, one or two, that `name` joins; any may hold an & of its own. None where one is not known."""
        place = {text: row for row, text in enumerate(self.conditions)}
        if name in place:
            return (place[name],)
        ends = ((name[: at.start()], name[at.start() + 3 :]) for at in re.finditer("(?= & )", name))
        return next(((place[one], place[other]) for one, other in ends if one in place and other in place), None)

    @property
    def significant(self) -> pd.DataFrame:
        return self.table[self.table["significant"].astype(bool)]


def find(
    runs_a: Sequence[Run], runs_b: Sequence[Run], properties: Sequence[Property], with_models: bool = False
) -> Slices:
    """Search the properties of images for slices; row i of every run must be the same image, as of every property.

    Those that depend on the models are left out unless asked for `with_models`. `share` is the part of the whole B - A
    that would be gone if the slice were like the rest, support / N * gap / (B - A); NaN where the 95% CI of B - A
    holds 0.
    """
    a, b = _correct(runs_a, runs_b)
    bins = cut(properties)
    searched = [
        each for each in bins if each.property.kind != "outcome" and (with_models or not each.property.of_models)
    ]
    conditions = np.cumsum([len(each.labels) for each in searched])
    left_out = int((len(a) * conditions**2.0 > MOST_SEARCHED).sum())
    searched = searched[: len(searched) - left_out]
    masks = np.concatenate([np.zeros((0, len(a)), dtype=bool), *(each.masks for each in searched)])
    groups = np.repeat(np.arange(len(searched)), [len(each.labels) for each in searched])
    table = search(b - a, Conditions(masks, groups), halves(runs_a[0].sample_ids))
    names = tuple(text for each in searched for text in each.conditions)
    pairs = [(int(i), int(j)) for i, j in table[["first", "second"]].to_numpy()]
    table["slice"] = [names[i] + (f" & {names[j]}" if j >= 0 else "") for i, j in pairs]
    inside = [masks[i] & masks[j] if j >= 0 else masks[i] for i, j in pairs]
    return Slices(_described(table, inside, a, b), bins, names, masks, float((b - a).mean()), len(a), left_out)


def of_user(runs_a: Sequence[Run], runs_b: Sequence[Run], names: Sequence[str], masks: np.ndarray) -> Slices:
    """Slices that the user chose, bool (K, N), instead of a search: each against the rest by Welch's t, in their order.

    FDR is controlled at 5% over these alone; effect and interval are of all images, as no half of them chose. That
    holds for slices chosen without a look at which images the models classify correctly. Columns as of `find`, but for
    the search's own (first, second, chosen_by).
    """
    a, b = _correct(runs_a, runs_b)
    rows = [against_rest(b - a, mask) for mask in masks]
    table = pd.DataFrame(rows, columns=["difference", "low", "high", "rest", "p"])
    table["slice"], table["support"] = list(names), masks.sum(axis=1).astype(int)
    table["gap"] = table["difference"] - table["rest"]
    table["q"] = q_values(table["p"].to_numpy(float), table["gap"].notna().to_numpy())
    table["significant"] = table["q"] <= ALPHA
    return Slices(_described(table, masks, a, b), (), tuple(names), masks, float((b - a).mean()), len(a))


def _correct(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Each image's correctness under both models, mean over seeds, float (N,)."""
    a, b = (np.mean([run.correct for run in runs], axis=0) for runs in (runs_a, runs_b))
    return a, b


def _described(table: pd.DataFrame, inside: Iterable[np.ndarray], a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    """`table` with both accuracies in each slice, and its share of the whole difference."""
    whole, error = float((b - a).mean()), float((b - a).std() / np.sqrt(len(a)))
    shares = [[float(side[mask].mean()) if mask.any() else np.nan for side in (a, b)] for mask in inside]
    table[["accuracy_a", "accuracy_b"]] = np.array(shares, float).reshape(-1, 2)
    weight = table["support"].astype(float) / len(a)
    table["share"] = weight * table["gap"].astype(float) / whole if abs(whole) > Z * error else np.nan
    return table


def apart(slices: Slices, name: str) -> pd.DataFrame:
    """How the images of a slice differ from the rest in the other properties searched, by the condition of each that
    is most over- or under-represented inside: columns condition, inside, outside (shares), z (of their difference),
    largest |z| first. Empty where the slice is not known, or holds all images or none.
    """
    mask, its = slices.mask(name), {slices.conditions[row] for row in slices.joined(name) or ()}
    others = [each for each in slices.bins if not each.property.of_models and not its & set(each.conditions)]
    return apart_of(others, np.zeros(slices.n_images, bool) if mask is None else mask)


def apart_of(bins: Iterable[Bins], mask: np.ndarray, over: bool = False) -> pd.DataFrame:
    """As `apart`, of the images `mask`, bool (N,), in each of the `bins`; with `over` by the condition of each that is
    most over-represented.
    """
    columns = ["condition", "inside", "outside", "z"]
    if not 0 < mask.sum() < len(mask):
        return pd.DataFrame(columns=columns)
    rows = []
    for each in bins:
        inside, outside, every = (each.masks[:, part].mean(axis=1) for part in (mask, ~mask, np.ones_like(mask)))
        error = np.sqrt(every * (1 - every) * (1 / mask.sum() + 1 / (~mask).sum()))
        z = (inside - outside) / np.where(error > 0, error, np.inf)
        most = int((z if over else np.abs(z)).argmax())
        rows.append((each.conditions[most], inside[most], outside[most], z[most]))
    return pd.DataFrame(rows, columns=columns).sort_values("z", key=np.abs, ascending=False, ignore_index=True)


def accuracy_by(runs_a: Sequence[Run], runs_b: Sequence[Run], bins: Bins) -> pd.DataFrame:
    """Columns bin, model, images, accuracy, low, high (95% over images, as `flips.share_interval`), mean over seeds."""
    rows = []
    for letter, runs in (("A", runs_a), ("B", runs_b)):
        correct = np.mean([run.correct for run in runs], axis=0)
        for label, mask in zip(bins.labels, bins.masks, strict=True):
            inside = correct[mask]
            error = float(inside.std(ddof=1)) / np.sqrt(len(inside)) if len(inside) > 1 else 0.0
            low, high = share_interval(PairMean(float(inside.mean()), error, Z), len(inside))
            rows.append((label, letter, len(inside), inside.mean(), low, high))
    return pd.DataFrame(rows, columns=["bin", "model", "images", "accuracy", "low", "high"])


def of_pixels(values: dict[str, np.ndarray]) -> list[Property]:
    """Properties of what image_properties measured."""
    properties = []
    for name, column in values.items():
        if name == "hue":
            properties.append(Property(name, np.nan_to_num(column, nan=-1).astype(int), "pixels", HUES))
        else:
            properties.append(Property(name, column, "pixels"))
    return properties


def of_images(run: Run) -> list[Property]:
    """What is known of the images without a model: superclass (or class, of few), duplicates, disputed labels."""
    properties = []
    names = tuple(distinct(map(spaced, run.class_names if run.superclass_names is None else run.superclass_names)))
    if run.superclass_of is not None:
        properties.append(Property("superclass", run.superclass_of[run.labels].astype(int), "known", names))
    elif run.n_classes <= MOST_CATEGORIES:
        properties.append(Property("class", run.labels.astype(int), "known", names))
    rows = known.official_rows(run)
    if (rows >= 0).any():
        kinds = tuple(_DUPLICATES[kind] for kind in DUPLICATE_KINDS)
        duplicate = np.where(rows < 0, -1, known_images().duplicate[rows])
        properties.append(Property("closest training image", duplicate, "known", kinds))
    if (votes := known.people(run)) is not None:
        disputed = np.where(rows < 0, -1, votes.disputed)
        properties.append(Property("label disputed by people", disputed, "known", ("no", "yes")))
    return properties


def of_runs(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> list[Property]:
    """What depends on the models: confidence, nearest training images and clusters of the first seed, errors."""
    properties = []
    for letter, runs in (("A", runs_a), ("B", runs_b)):
        first = runs[0]
        if not absent.why("confidence", *runs):
            sure = np.mean([softmax.confidence(run) for run in runs], axis=0)
            properties.append(Property(f"confidence of {letter}", sure, "model"))
        if first.train_neighbor_cosine is not None:
            cosine = first.train_neighbor_cosine[:, 0].astype(float)
            properties.append(Property(f"cosine to the nearest training image, {letter}", cosine, "model"))
            agree = (first.train_neighbor_labels == first.labels[:, None]).mean(axis=1)
            properties.append(Property(f"share of nearest training images of the same class, {letter}", agree, "model"))
        if first.clusters is not None:
            cluster = first.clusters.astype(int)
            properties.append(Property(f"cluster of {letter}", cluster, "model", _cluster_names(cluster, first)))
        wrong = np.sum([~run.correct for run in runs], axis=0).astype(float)
        properties.append(Property(f"seeds of {letter} that err", wrong, "outcome"))
    return properties


def _cluster_names(cluster: np.ndarray, run: Run) -> tuple[str, ...]:
    """Each cluster by its number and the classes that most of its images have."""
    names = []
    for k in range(int(cluster.max()) + 1):
        counts = np.bincount(run.labels[cluster == k], minlength=run.n_classes)
        most = [c for c in np.argsort(-counts, kind="stable")[:NAMED_CLASSES] if counts[c]]
        names.append(f"{k + 1} ({', '.join(plain(spaced(run.class_names[c])) for c in most)})")
    return tuple(names)


def columns_of(run: Run) -> dict[str, np.ndarray]:
    """The run's metadata by column: numbers, float (N,) with NaN where nothing is known (UNKNOWN), else text (N,)."""
    columns: dict[str, np.ndarray] = {}
    if run.metadata_names is None or run.metadata_values is None:
        return columns
    for name, values in zip(run.metadata_names.tolist(), run.metadata_values.T, strict=True):
        known = ~np.isin(np.char.lower(np.char.strip(values)), UNKNOWN)
        numbers = pd.to_numeric(pd.Series(np.where(known, values, None)), errors="coerce").to_numpy(float)
        columns[name] = numbers if known.any() and np.isfinite(numbers[known]).all() else values
    return columns


def of_columns(columns: dict[str, np.ndarray]) -> list[Property]:
    """The user's own: numbers, float (N,), or text, unicode (N,), where empty is not known."""
    properties = []
    for name, values in zip(distinct(columns), columns.values(), strict=True):
        categories: tuple[str, ...] = ()
        if values.dtype.kind != "f":
            texts, index = np.unique(values, return_inverse=True)
            values, categories = np.where(values == "", -1, index), tuple(distinct(texts.tolist()))
        properties.append(Property(name, values, "own", categories))
    return properties
