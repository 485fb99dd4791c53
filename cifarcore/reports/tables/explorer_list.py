"""The images marked on the explorer's map as it lists them: misclassified ones by confusion, the commonest first."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cifarcore.evidence import softmax
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.explorer import by_confusion, confusions
from cifarcore.runs.memo import memo

SHOWN = ("misclassified by either", "misclassified by A", "misclassified by B", "all, misclassified first")


@dataclass(frozen=True)
class Listing:
    """Images in the order shown, each with the confusion ("true → predicted") under which it stands."""

    rows: np.ndarray  #: int (n,)
    notes: list[str]  #: "" for an image that is not misclassified by a model shown
    confusions: list[str]  #: that these images hold, most images first
    of_models: pd.DataFrame  #: a, b: each model's confusion of each row, "" where it is not misclassified or not shown

    def only(self, confusion: str) -> "Listing":
        """Its images that a model confuses so, each under this confusion."""
        fits = (self.of_models == confusion).any(axis=1).to_numpy()
        notes = [confusion] * int(fits.sum())
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
    of_models = pd.DataFrame(
        {
            letter: [
                "" if true == predicted else _title(sides, true, predicted)
                for true, predicted in zip(labels[order], given[order], strict=True)
            ]
            for letter, given in (("a", given_a), ("b", given_b))
        }
    )
    return Listing(rows[order], [titles[place] if place >= 0 else "" for place in group], titles, of_models)


def _title(sides: Sides, true: int, predicted: int) -> str:
    return f"{sides.class_names[true]} → {sides.class_names[predicted]}"
