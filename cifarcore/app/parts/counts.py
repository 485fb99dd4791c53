"""Lists of names with their counts as bars, each of which can be clicked (counts.js, counts.css): what a selection
holds.
"""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "cifarcore_counts",
    css=(_HERE / "counts.css").read_text(encoding="utf-8"),
    js=(_HERE / "counts.js").read_text(encoding="utf-8"),
)


def counts(lists: list[dict], colors: dict[str, str], key: str, on_chosen: Callable[[str, str], None]) -> None:
    """Draw `lists` side by side: each has a name `key`, a `title`, `items` of value, name and count, and the value
    `chosen`; `colors` are those of values that have one. `on_chosen` is called with a list's name and the value
    clicked, "" where that was the one chosen.
    """

    def clicked() -> None:
        of, value = st.session_state[key]["chosen"] or ("", "")
        on_chosen(str(of), str(value))

    _component(data={"lists": lists, "colors": colors}, key=key, on_chosen_change=clicked)
