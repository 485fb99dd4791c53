"""The colours of text, of the theme and of the pages' own rules: a contrast of 4.5 (WCAG 2.2, AA) in both themes."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cifarcore.app.parts import layout
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


def test_white_letters_stand_out_from_the_keys():
    assert min(contrast("#ffffff", color) for color in KEY_COLORS.values()) >= 4.5


def test_the_rules_know_the_colours_of_text_in_charts():
    """Charts know no theme: each colour that they give to text is replaced by one for each theme."""
    assert set(re.findall(r'text\[fill="(#\w{6})"\]', CSS)) == {NEUTRAL, *COLORS.values()}
