"""Picture tiles: the one way in which test and training images are drawn, alone or with what the models say of them.

Drawn by a small component (tiles.js, tiles.css) that sets every text as text, since names come from files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from cifarcore import metrics
from cifarcore.app.charts import COLORS
from cifarcore.app.state import Side, View, plain

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "cifarcore_tiles",
    css=(_HERE / "tiles.css").read_text(encoding="utf-8"),
    js=(_HERE / "tiles.js").read_text(encoding="utf-8"),
)


def tiles(content: list[dict], key: str, compact: bool = False, clickable: bool = True) -> int | None:
    """Draw tiles (see `items`); the place in `content` of the one clicked in this rerun, else None."""
    shown = {"items": content, "colors": COLORS, "compact": compact, "clickable": clickable}
    result = _component(data=shown, key=key, on_clicked_change=lambda: None)
    clicked = result.clicked
    return int(clicked) if isinstance(clicked, (int, float)) and 0 <= clicked < len(content) else None


def items(view: View, rows: np.ndarray, notes: Sequence[str] | None = None) -> list[dict]:
    """What the tiles of `rows` say: id, picture's URL or None, true label, and each model's prediction with confidence."""
    names = view.class_names
    urls = view.pictures.urls(view.sample_ids[rows])
    said = [_predictions(side, rows, names, view.several_seeds) for side in (view.a, view.b)]
    return [
        {
            "id": f"{view.sample_ids[row]:016x}",
            "image": urls[i],
            "label": names[view.labels[row]],
            "models": [said[0][i], said[1][i]],
            "note": plain(notes[i]) if notes is not None else "",
        }
        for i, row in enumerate(rows)
    ]


def _predictions(side: Side, rows: np.ndarray, names: list[str], several_seeds: bool) -> list[dict]:
    run = side.first.take(rows)
    confidence = metrics.confidence(run)
    n = len(side.runs)
    return [
        {
            "letter": side.letter,
            "name": names[predicted],
            "confidence": f"{share:.0%}",
            "right": bool(right),
            "seeds": f"wrong in {wrong} of {n} seeds" if several_seeds else "",
        }
        for predicted, share, right, wrong in zip(
            run.predictions, confidence, run.correct, side.wrong_in[rows], strict=True
        )
    ]
