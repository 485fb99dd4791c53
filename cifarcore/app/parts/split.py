"""How the test images split in four, as one bar whose parts can be clicked (split.js, split.css)."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import streamlit as st

from cifarcore.reports.charts.colors import SPLIT_COLORS

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "cifarcore_split",
    css=(_HERE / "split.css").read_text(encoding="utf-8"),
    js=(_HERE / "split.js").read_text(encoding="utf-8"),
)


def split_bar(frame: pd.DataFrame, key: str, chosen: str, on_chosen: Callable[[str], None]) -> None:
    """Draw the bar; columns as charts.overview.split_bar: group, name, said, images, share (0..1). `chosen` is the name
    that is chosen, "" for none; `on_chosen` is called with the name that was clicked.
    """

    def clicked() -> None:
        if name := st.session_state[key]["clicked"]:
            on_chosen(str(name))

    parts = frame.assign(color=frame["group"].map(SPLIT_COLORS)).drop(columns="group").to_dict("records")
    _component(data={"parts": parts, "chosen": chosen}, key=key, on_clicked_change=clicked)
