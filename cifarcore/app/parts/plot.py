"""Draws a chart of `reports.charts` on a page; equal data draw it once for all sessions."""

import hashlib
import pickle
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st
from cachetools import LRUCache

if TYPE_CHECKING:  # see reports.charts
    import altair as alt

MOST_BYTES = 16 << 20  #: of the charts that are kept
_SPEC_BYTES = 20_000  #: about what a specification takes without its data


def _size_of(spec: dict) -> int:
    return _SPEC_BYTES + sum(map(len, spec["datasets"].values()))


_specs: LRUCache = LRUCache(MOST_BYTES, _size_of)
_lock = threading.Lock()


class _Chart:
    """A chart as Streamlit asks for it: without another check, and built only where no equal one was."""

    def __init__(self, draw: Callable[..., "alt.TopLevelMixin"], arguments: tuple[Any, ...]):
        self._draw, self._arguments = draw, arguments

    def to_dict(self) -> dict:
        key = hashlib.blake2b(
            pickle.dumps((self._draw.__module__, self._draw.__qualname__, self._arguments), 5)
        ).digest()
        with _lock:
            spec = _specs.get(key)
        if spec is None:
            import altair as alt
            from altair.utils import schemapi

            # The tests check every chart against Vega-Lite's schema; checking it and its parts anew wherever it is
            # drawn is a third of the time that a page of charts takes the server.
            schemapi.disable_debug_mode()
            spec = self._draw(*self._arguments).to_dict(validate=False)
            # where Streamlit's transformer has put the data, as it sends them
            spec["datasets"] = dict(alt.data_transformers.options["datasets"])
            with _lock:
                if _size_of(spec) <= MOST_BYTES:
                    _specs[key] = spec
        return dict(spec)


def plot(draw: Callable[..., "alt.TopLevelMixin"], *arguments: Any, place: Any = st, **options: Any) -> Any:
    """`place.altair_chart(draw(*arguments), **options)`; `draw` is one of the pure functions of reports.charts."""
    return place.altair_chart(_Chart(draw, arguments), **options)
