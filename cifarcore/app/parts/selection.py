"""What the images marked on the explorer's maps have in common: outcomes, classes and confusions, counted and
clickable, their pictures, and a way to keep them as a slice.
"""

import numpy as np
import streamlit as st

from cifarcore.app.parts.counts import counts
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.layout import one_of
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.disagreement import FOUR_WAYS, four_way
from cifarcore.files import runs_dir
from cifarcore.reports.charts.colors import SPLIT_COLORS
from cifarcore.reports.tables.explorer_common import having, in_common
from cifarcore.reports.tables.explorer_list import SHOWN, holds, listing
from cifarcore.reports.tables.galleries import OUTCOMES_SAID
from cifarcore.reports.tables.slices import lacking
from cifarcore.runs.memo import memo
from cifarcore.runs.selections import save_selection

ALL_CONFUSIONS = "all confusions"
#: parameters of the address that narrow the list to what was clicked
NARROWED = ("outcome", "within", "having")
_ENDED = "explorer-ended"  #: session state: what a click on a confusion ended


def selection(view: View, rows: np.ndarray) -> None:
    """Draw the panel and the pictures of the images `rows`."""
    if not len(rows):
        return
    if ended := st.session_state.pop(_ENDED, ""):
        st.caption(f"No longer limited to {escape(ended)}, which holds no such confusion.")
    outcome, within, condition = (st.query_params.get(name, "") for name in NARROWED)
    lists = holds(view, rows, outcome, within, str(st.session_state.get("confusion") or ""))
    counts([*lists, *in_common(view, rows, condition)], SPLIT_COLORS, "explorer-counts", _narrow)
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", gap="small"):
        if missing := lacking(view):
            st.caption(missing, width="stretch")
        _save(view, rows)
    inside = having(view, condition) if condition else None
    if inside is not None:
        rows = rows[inside[rows]]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    shown = one_of("Show", SHOWN, "list", left, disabled=outcome in OUTCOMES_SAID)
    if outcome in OUTCOMES_SAID:  # it says what is correct itself
        shown, rows = SHOWN[-1], rows[memo(four_way, view.pair)[rows] == outcome]
    if within in view.class_names:
        rows = rows[view.labels[rows] == view.class_names.index(within)]
    listed = listing(view, rows, shown)
    if st.session_state.get("confusion") not in (None, ALL_CONFUSIONS, *listed.confusions):
        del st.session_state["confusion"]
    confusion = right.selectbox(
        "Confusion (true → predicted)",
        [ALL_CONFUSIONS, *listed.confusions],
        key="confusion",
        bind="query-params",
    )
    if confusion != ALL_CONFUSIONS:
        listed = listed.only(confusion)
    kept = (within if within in view.class_names else "", condition if inside is not None else "")
    title = ", ".join(filter(None, (OUTCOMES_SAID.get(outcome, shown), *kept)))
    gallery(
        view,
        listed.rows,
        "marked-images",
        escape(title[0].upper() + title[1:]),
        listed.notes,
        "None of the selected images matches." if any((outcome, *kept)) else "None of the images is misclassified.",
        f"marked {shown}",
    )


def widen() -> None:
    """List all that is marked again."""
    for name in NARROWED:
        st.query_params.pop(name, None)


def _narrow(of: str, value: str) -> None:
    """Runs as a callback: list only what was clicked, or all again; what contradicts it ends, and is said."""
    if of == "confusion":
        st.session_state["confusion"] = value or ALL_CONFUSIONS
        if st.session_state.get("list") in SHOWN[1:3]:  # the panel counts the errors of both
            st.session_state["list"] = SHOWN[0]
        ended = []
        if st.query_params.get("outcome") == FOUR_WAYS[0]:
            ended.append(OUTCOMES_SAID[st.query_params.pop("outcome")])
        if value and "within" in st.query_params and not value.startswith(f"{st.query_params['within']} → "):
            ended.append(st.query_params.pop("within"))
        st.session_state[_ENDED] = " and ".join(ended)
    elif of in NARROWED and value:
        st.query_params[of] = value
    elif of in NARROWED:
        st.query_params.pop(of, None)


def _save(view: View, rows: np.ndarray) -> None:
    """A field that keeps the selection under a name, for the page Slices."""
    with st.popover("Save as a slice", icon=":material/bookmark_add:"), st.form("explorer-save", border=False):
        name = st.text_input("Name of the slice", max_chars=80, key="explorer-slice")
        st.caption(f"Keeps the ids of these {len(rows):,} images beside the runs; the page Slices lists it.")
        if st.form_submit_button("Save"):
            try:
                saved = save_selection(runs_dir(view.root), name, view.sample_ids[rows], view.labels[rows])
                st.success(f"Saved as {escape(saved)}; see Slices.")
            except CifarcoreError as error:
                st.error(told(error, 300))
