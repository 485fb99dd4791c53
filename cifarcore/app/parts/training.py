"""Two of the overview's sections, on what training left: calibration and learning curves."""

import streamlit as st

from cifarcore.app.parts.layout import lines_caption, notes
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.evidence import absent
from cifarcore.reports import charts
from cifarcore.reports.tables.overview import (
    calibration_notes,
    calibration_table,
    history_frame,
    history_note,
    reliability_frame,
)


def calibration(view: View) -> None:
    frame = reliability_frame((view.a, view.b))
    for note in absent.notes((*view.a.runs, *view.b.runs), ("ece",)):
        st.info(escape(note, 300), icon=":material/speed:")
    if not frame.empty:
        plot(charts.overview.reliability, frame, view.names, width="stretch")
        lines_caption(view)
    table = calibration_table(view)
    if not table.empty:
        st.dataframe(table, hide_index=True, height="content", column_config=headed(table, view.names))
    notes([escape(note, 300) for note in calibration_notes(view)])


def curves(view: View) -> None:
    history = history_frame((view.a, view.b))
    if history.empty:
        st.info(
            "These runs have no validation accuracy; `cifarcore evaluate` records it for models trained here with a "
            "validation split."
        )
        return
    plot(charts.overview.learning_curves, history, view.names, width="stretch")
    lines_caption(view)
    if text := history_note((view.a, view.b)):
        st.caption(text)
    without = [side.letter for side in (view.a, view.b) if side.letter not in set(history["model"])]
    if without:
        st.caption(f"{escape(dict(zip('AB', view.names, strict=True))[without[0]])} has no validation accuracy.")
