"""The explorer's maps, a component of our own: one canvas, drawn in the browser, that fetches nothing but pictures.

It tells what was marked in the words of the page's address.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_SCRIPTS = ("map_drawing.js", "map_selection.js", "maps.js")  # in this order
_component = st.components.v2.component(
    "cifarcore_maps",
    css=(_HERE / "maps.css").read_text(encoding="utf-8"),
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
)


def maps(content: dict, start: str, turn: int, key: str, on_marked: Callable[[str], None]) -> None:
    """Draw charts.explorer.content; `start` is the selection, as the address has it, that each new `turn` begins with.

    What changes nothing of these is not sent again. `on_marked` is called with each selection made, "" for none.
    """
    _component(
        data=content | {"start": start, "turn": turn},
        key=key,
        on_marked_change=lambda: on_marked(str(st.session_state[key]["marked"] or "")),
    )
