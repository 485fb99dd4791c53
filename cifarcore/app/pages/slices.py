"""Slices: parts of the test images, by their properties, where B - A differs most from the rest, and their pictures."""

import subprocess
import sys

import numpy as np
import streamlit as st

from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.data.property_files import kept_at
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import absent
from cifarcore.evidence.slices import accuracy_by
from cifarcore.files import runs_dir
from cifarcore.reports import headings
from cifarcore.reports.charts.slices import accuracy_by_bin, forest
from cifarcore.reports.tables import slices as slice_tables
from cifarcore.reports.tables.galleries import surest_first
from cifarcore.runs.selections import delete_selection, selections

PARAMETER = "slice"
KEPT = "saved"  #: the parameter that names a selection of the user's
METHOD = (
    "One half of the images proposes slices of one or two conditions, the other half tests them (Welch's t), both ways "
    "round; FDR controlled at 5% over all tests. Effects and intervals are from the half that did not choose. Images "
    "are random, seeds are fixed. Share: the part of the whole difference that would disappear if the slice were like "
    "the rest."
)


def page(view: View) -> None:
    head(view, headings.of_slices(slice_tables.slices_of(view), view.names))
    _measure(view)
    _slices(view)
    _kept(view)


def _measure(view: View) -> None:
    missing = [source for source in slice_tables.picture_sources(view) if not kept_at(source).is_file()]
    if not missing:
        return
    st.info(
        "The images' pixels have not been measured yet; once they are, the search includes brightness, contrast, "
        "sharpness, colour and more.",
        icon=":material/image_search:",
    )
    if st.button("Measure the pictures", key="measure"):
        runs = [str(run.path) for run in (*view.a.runs, *view.b.runs) if run.path]
        with st.spinner("Measuring the pictures…"):
            done = subprocess.run(
                [sys.executable, "-m", "cifarcore", "properties", *runs], capture_output=True, text=True
            )
        if done.returncode:
            st.error(escape(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "stopped", 400))
        else:
            st.rerun()


@st.fragment
def _slices(view: View) -> None:
    with_models = st.toggle(
        "Include properties that depend on the models",
        key="models",
        bind="query-params",
        help="Confidence and nearest training images: a gap there may follow from how they are defined",
    )
    if with_models:
        for note in absent.notes((*view.a.runs, *view.b.runs), ("confidence",)):
            st.caption(escape(note, 300))
    with st.spinner("Searching for slices…"):
        slices = slice_tables.slices_of(view, with_models)
    if slices.table.empty:
        st.info("These images have no known properties to search.", icon=":material/search_off:")
    else:
        count = len(slices.significant)
        plural = "slice differs" if count == 1 else "slices differ"
        st.markdown(f"**{count}** {plural} from the rest in B − A, of {len(slices.table)} tested")
        plot(
            forest(slice_tables.forest_frame(slices), slices.difference),
            width="stretch",
            key="slices-forest",
            on_select=_clicked,
        )
        st.caption(METHOD)
        with st.expander("Table", icon=":material/table:"):
            st.dataframe(slice_tables.slice_table(slices), hide_index=True)
        _pictures(view, slices)
    _by_property(view, slices)


def _clicked() -> None:
    """A click on the chart chooses in the list, so that the address and the keyboard know one choice."""
    chosen = st.session_state["slices-forest"]["selection"].get("slice_clicked", [])
    if chosen:
        st.session_state[PARAMETER] = chosen[0]["slice"]


def _pictures(view: View, slices) -> None:
    options = slices.table["slice"].tolist()
    if st.session_state.get(PARAMETER) not in options:
        st.session_state.pop(PARAMETER, None)
    chosen = st.selectbox(
        "Pictures of the slice (or click one in the chart)", options, key=PARAMETER, bind="query-params"
    )
    mask = slices.mask(chosen)
    filter_note(view, "the gallery below is", "the charts are")
    rows = surest_first(view, np.flatnonzero(mask & view.in_filter))
    gallery(view, rows, "slices", escape(chosen, 200), name=chosen)


def _by_property(view: View, slices) -> None:
    st.subheader("Accuracy by property")
    bins = {each.property.name: each for each in slices.bins}
    if not bins:
        return
    name = st.selectbox("Property", list(bins), key="property", bind="query-params", width=420)
    chosen = bins[name]
    if chosen.property.of_models:
        st.caption("This property depends on the models.")
    table = accuracy_by(view.a.runs, view.b.runs, chosen)
    plot(accuracy_by_bin(table, view.names), width="stretch", key="slices-property")


@st.fragment
def _kept(view: View) -> None:
    """The selections that were saved on the explorer's maps."""
    folder = runs_dir(view.root)
    kept, refused = selections(folder)
    for line in refused:
        st.warning(escape(line, 300), icon=":material/description:")
    if not kept:
        return
    st.subheader("Saved selections")
    st.dataframe(slice_tables.kept_table(view, kept), hide_index=True)
    st.caption("Chosen by hand on the explorer's maps: described, not tested. A and B: accuracy, mean over seeds.")
    names = [each.name for each in kept]
    if st.session_state.get(KEPT) not in names:
        st.session_state.pop(KEPT, None)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Pictures of the saved selection", names, key=KEPT, bind="query-params", width=420)
        if st.button("Delete this slice", icon=":material/delete:"):
            try:
                delete_selection(folder, name)
            except CifarcoreError as error:
                st.error(escape(error, 300))
            else:
                st.rerun()
    mask = kept[names.index(name)].among(view.sample_ids, view.labels)
    rows = surest_first(view, np.flatnonzero(mask & view.in_filter))
    gallery(view, rows, "saved-images", escape(name, 200), name=name)
