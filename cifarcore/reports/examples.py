"""The pictures of a report: images that replacing A by B breaks and fixes, and those whose labels are suspect.

Lays out what tables.disagreements chooses; nothing where the pictures are not on this machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from cifarcore.reports import markup
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables import disagreements
from cifarcore.reports.tables.galleries import predictions
from cifarcore.reports.thumbnails import thumbnails

MOST_EXAMPLES = 16  #: of each group
_GROUPS = {"only A correct": "Newly wrong", "only B correct": "Newly right"}


@dataclass(frozen=True)
class Examples:
    """Pieces of HTML."""

    outcomes: list[str]
    suspects: str


def examples(sides: Sides, most_suspects: int) -> Examples:
    """Of each group the images that `disagreements.ranked` puts first."""
    rows = {
        group: disagreements.ranked(sides, group, disagreements.inside(sides, group))[0]
        for group in (*_GROUPS, "suspect labels")
    }
    cut = {
        group: images[: most_suspects if group == "suspect labels" else MOST_EXAMPLES] for group, images in rows.items()
    }
    named = np.unique(sides.sample_ids[np.concatenate(list(cut.values())).astype(int)])
    pictures = thumbnails(named, (*sides.a.runs, *sides.b.runs))
    outcomes = []
    for group, title in _GROUPS.items():
        if drawn := _pictures(sides, cut[group], pictures):
            order = disagreements.order_words(sides, group)
            which = ", ".join(filter(None, (order, f"the first {len(cut[group])} of {len(rows[group]):,}")))
            outcomes += [f"<p>{escape(f'{title}, {which}: true class, and what A and B predict')}</p>", drawn]
    return Examples(outcomes, _pictures(sides, cut["suspect labels"], pictures))


def _pictures(sides: Sides, rows: Sequence[int], pictures: dict[int, bytes]) -> str:
    given = [predictions(side, np.asarray(rows, int), sides.class_names, False) for side in (sides.a, sides.b)]
    shown = []
    for row, a, b in zip(rows, *given, strict=True):
        text = f"{sides.class_names[sides.labels[row]]} (A: {a['name']}, B: {b['name']})"
        shown.append((pictures.get(int(sides.sample_ids[row])), text))
    return markup.pictures(shown)
