"""The colours of text, of the theme and of the pages' own rules: a contrast of 4.5 (WCAG 2.2, AA) in both themes."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cifarcore.app.parts import layout
from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.charts.colors import COLORS, KEY_COLORS, NEUTRAL

CSS = (Path(layout.__file__).parent / "page.css").read_text(encoding="utf-8")
THEME = tomllib.loads((Path(layout.__file__).parents[1] / "streamlit.toml").read_text(encoding="utf-8"))["theme"]
BACKGROUNDS = {"light": ("#ffffff", "#f0f2f6"), "dark": ("#0e1117", "#262730")}  #: Streamlit's, page and sidebar


def luminance(color: str) -> float:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", BACKGROUNDS)
def test_text_stands_out_from_both_backgrounds(scheme):
    named = [color for name, color in THEME[scheme].items() if name.endswith("TextColor")]
    pairs = re.findall(r"light-dark\((#\w{6}), (#\w{6})\)", CSS)
    assert len(named) == 3 and len(pairs) >= 5
    for color in (*named, *(pair[scheme == "dark"] for pair in pairs)):
        assert min(contrast(color, ground) for ground in BACKGROUNDS[scheme]) >= 4.5, color


@pytest.mark.parametrize("scheme", BACKGROUNDS)
def test_the_letters_of_the_maps_stand_out_from_the_page(scheme):
    frame = {"id": np.zeros(1, np.uint64), "label": np.zeros(1, np.int16), "pictured": np.ones(1, bool)}
    frame |= {f"{letter}_{axis}": np.zeros(1, np.float32) for letter in "ab" for axis in "xy"}
    frame |= {f"{letter}_{name}": np.zeros(1, int) for letter in "ab" for name in ("color", "class", "sure")}
    both = {"A": "one", "B": "two"}
    sent = map_charts.content(pd.DataFrame(frame), both, {"A": [], "B": []}, ["cat"], ["cat"], "pictures/")
    for pair in sent["keys"].values():
        assert contrast(pair[scheme == "dark"], BACKGROUNDS[scheme][0]) >= 4.5


def test_buttons_in_a_row_wrap_where_the_screen_is_narrow():
    def show():
        import streamlit as st

        from cifarcore.app.parts.layout import one_of

        one_of("Show", ["a", "b"], "list", st.columns(2)[0])

    assert AppTest.from_function(show).run().segmented_control(key="list").proto.wrap


def test_white_letters_stand_out_from_the_keys():
    assert min(contrast("#ffffff", color) for color in KEY_COLORS.values()) >= 4.5


def test_the_rules_know_the_colours_of_text_in_charts():
    """Charts know no theme: each colour that they give to text is replaced by one for each theme."""
    assert set(re.findall(r'text\[fill="(#\w{6})"\]', CSS)) == {NEUTRAL, *COLORS.values()}
