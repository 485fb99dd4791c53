"""Picture tiles: the one way in which test and training images are drawn, alone or with what the models say of them.

Drawn by a small component (tiles.js, tiles.css) that sets every text as text, since names come from files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from cifarcore.app import pictures
from cifarcore.app.view import View
from cifarcore.reports.charts.colors import KEY_COLORS
from cifarcore.reports.tables.galleries import predictions
from cifarcore.reports.tables.known import twin_labels
from cifarcore.text import plain

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "cifarcore_tiles",
    css=(_HERE / "tiles.css").read_text(encoding="utf-8"),
    js=(_HERE / "tiles.js").read_text(encoding="utf-8"),
)


def tiles(
    content: list[dict], key: str, compact: bool = False, clickable: bool = True, pictured: bool = True
) -> int | None:
    """Draw tiles (see `items`; with `images` for several URLs); the place in `content` of the one clicked in this
    rerun, else None. Without `pictured` no place is left for pictures that are not here.
    """
    shown = {"items": content, "colors": KEY_COLORS, "compact": compact, "clickable": clickable, "pictured": pictured}
    result = _component(data=shown, key=key, on_clicked_change=lambda: None)
    clicked = result.clicked
    return int(clicked) if isinstance(clicked, (int, float)) and 0 <= clicked < len(content) else None


def items(
    view: View, rows: np.ndarray, notes: Sequence[str] | None = None, twins: np.ndarray | None = None
) -> list[dict]:
    """What the tiles of `rows` say: id, picture's URL or None, true label, and each model's prediction with confidence;
    beside it the training image that it duplicates, by its id in `twins`, uint64 (n,): its label, and its picture where
    that is here.
    """
    names = view.class_names
    beside, of_twins = [None] * len(rows), [""] * len(rows)
    if twins is not None and (twins > 0).any():
        beside, labels = pictures.train_pictures().urls(twins), twin_labels(view)
        of_twins = [labels[row] for row in rows]
    urls = view.pictures.urls(view.sample_ids[rows])
    captions = [predictions(side, rows, names, view.several_seeds) for side in (view.a, view.b)]
    return [
        {
            "id": f"{view.sample_ids[row]:016x}",
            "image": urls[i],
            "twin": beside[i],
            "twin_label": of_twins[i],
            "label": names[view.labels[row]],
            "models": [captions[0][i], captions[1][i]],
            "note": plain(notes[i]) if notes is not None else "",
        }
        for i, row in enumerate(rows)
    ]
