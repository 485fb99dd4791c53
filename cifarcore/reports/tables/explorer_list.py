"""The images marked on the explorer's map as it lists them: misclassified ones by confusion, the commonest first."""

from dataclasses import dataclass

import numpy as np

from cifarcore.evidence import softmax
from cifarcore.evidence.disagreement import FOUR_WAYS, four_way
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.explorer import by_confusion, confusions, places_of
from cifarcore.reports.tables.galleries import OUTCOMES_SAID
from cifarcore.runs.memo import memo
from cifarcore.text import counted

SHOWN = ("misclassified by either", "misclassified by A", "misclassified by B", "all, misclassified first")
MOST_LISTED = 6  #: classes and confusions that the panel of a selection counts


@dataclass(frozen=True)
class Listing:
    """Images in the order shown, each with the confusion ("true → predicted") under which it stands."""

    rows: np.ndarray  #: int (n,)
    notes: list[str]  #: with the models that confuse so; "" for an image that is not misclassified by a model shown
    confusions: list[str]  #: that these images hold, most images first
    of_models: np.ndarray  #: int (n, 2): A's and B's confusion of each row, -1 where it is right or not shown

    def only(self, confusion: str) -> "Listing":
        """Its images that a model confuses so, each under this confusion."""
        called = [place for place, name in enumerate(self.confusions) if name == confusion]
        fits = np.isin(self.of_models, called).any(axis=1)
        notes = _notes(self.confusions, self.of_models[fits], np.full(int(fits.sum()), called[0] if called else -1))
        return Listing(self.rows[fits], notes, self.confusions, self.of_models[fits])


def listing(sides: Sides, rows: np.ndarray, shown: str) -> Listing:
    """The images `rows` of which `shown`, one of SHOWN, is true, by the first seed of each model.

    Within a confusion the images on which either model is most confident come first.
    """
    a, b = sides.a.first, sides.b.first
    keep = {SHOWN[0]: ~a.correct | ~b.correct, SHOWN[1]: ~a.correct, SHOWN[2]: ~b.correct}.get(shown)
    rows = rows if keep is None else rows[keep[rows]]
    labels = sides.labels[rows]
    given_a = labels if shown == SHOWN[2] else a.predictions[rows]
    given_b = labels if shown == SHOWN[1] else b.predictions[rows]
    sure = np.fmax(memo(softmax.confidence, a), memo(softmax.confidence, b))[rows]
    order, group = by_confusion(labels, given_a, given_b, sure)
    table = confusions(labels, given_a, given_b)
    titles = [_title(sides, *pair) for pair in table[["true", "predicted"]].itertuples(index=False)]
    of_models = np.stack([places_of(table, labels, given)[order] for given in (given_a, given_b)], axis=1)
    return Listing(rows[order], _notes(titles, of_models, group), titles, of_models)


def selection_text(sides: Sides, rows: np.ndarray) -> str:
    """What the images `rows` are, on one line: how many each model's first run classifies correctly, and, of any, the
    most frequent true class and confusion.
    """
    labels, (a, b) = sides.labels[rows], (sides.a.first, sides.b.first)
    parts = [f"A classifies {a.correct[rows].sum():,} correctly, B {b.correct[rows].sum():,}"]
    if len(rows):
        of_class = np.bincount(labels)
        parts.append(f"most frequent true class: {sides.class_names[of_class.argmax()]} ({of_class.max():,})")
    for row in confusions(labels, a.predictions[rows], b.predictions[rows]).head(1).itertuples():
        title = _title(sides, row.true, row.predicted)
        parts.append(f"most frequent confusion: {title} (A {row.a:,}, B {row.b:,})")
    return " · ".join(parts)


def holds(sides: Sides, rows: np.ndarray, outcome: str, within: str, confusion: str) -> list[dict]:
    """What the images `rows` are, as the panel of the selection counts them: outcomes, and the most frequent classes
    and confusions (by either model). Each list has key, title, items (value, name, count) and the value chosen.
    """
    labels = sides.labels[rows]
    groups = memo(four_way, sides.pair)[rows]
    outcomes = [
        {"value": group, "name": OUTCOMES_SAID[group], "count": int((groups == group).sum())} for group in FOUR_WAYS
    ]
    of_class = np.bincount(labels, minlength=sides.n_classes)
    classes = [
        {"value": sides.class_names[index], "name": sides.class_names[index], "count": int(of_class[index])}
        for index in np.argsort(-of_class, kind="stable")[:MOST_LISTED]
        if of_class[index]
    ]
    table = confusions(labels, sides.a.first.predictions[rows], sides.b.first.predictions[rows]).head(MOST_LISTED)
    titles = [_title(sides, *pair) for pair in table[["true", "predicted"]].itertuples(index=False)]
    wrong = [
        {"value": title, "name": title, "count": int(images)}
        for title, images in zip(titles, table["images"], strict=True)
    ]
    every, errors = f"of {counted(len(rows), 'image')}", int((groups != FOUR_WAYS[0]).sum())
    lists = (
        ("outcome", f"Outcome, {every}", outcomes, outcome),
        ("within", f"True class, {every}", classes, within),
        ("confusion", f"Confusion (true → predicted), {of_errors(errors)}", wrong, confusion),
    )
    return [
        {"key": key, "title": title, "items": items, "chosen": chosen} for key, title, items, chosen in lists if items
    ]


def of_errors(count: int) -> str:
    """What the lists of errors are of, in words."""
    return f"of {counted(count, 'image')} misclassified by either"


def _notes(titles: list[str], of_models: np.ndarray, places: np.ndarray) -> list[str]:
    """Of each image the confusion at its place among `titles`, and which models confuse so; "" for the place -1."""
    return [
        f"{' and '.join(letter for letter, own in zip('AB', both, strict=True) if own == place)}: {titles[place]}"
        if place >= 0
        else ""
        for both, place in zip(of_models, places, strict=True)
    ]


def _title(sides: Sides, true: int, predicted: int) -> str:
    return f"{sides.class_names[true]} → {sides.class_names[predicted]}"
