"""Draws a chart of `reports.charts` on a page."""

from typing import Any

import altair as alt
import streamlit as st
from altair.utils import schemapi

# The tests check every chart against Vega-Lite's schema; checking it and its parts anew wherever it is drawn is a third
# of the time that a page of charts takes the server.
schemapi.disable_debug_mode()


class _Checked:
    """A chart as Streamlit asks for it, without another check."""

    def __init__(self, chart: alt.TopLevelMixin):
        self._chart = chart

    def to_dict(self) -> dict:
        return self._chart.to_dict(validate=False)


def plot(chart: alt.TopLevelMixin, place: Any = st, **options: Any) -> Any:
    """`place.altair_chart(chart, **options)`."""
    return place.altair_chart(_Checked(chart), **options)
