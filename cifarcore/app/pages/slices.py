"""Slices: parts of the test images, by their properties, where B - A differs most from the rest, and their pictures."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app.addresses import begin_with_address, name_in_address, tell_unknown
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.layout import one_of, page_link
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import absent
from cifarcore.evidence.slices import Slices, accuracy_by
from cifarcore.files import Version, runs_dir, seen
from cifarcore.reports import headings
from cifarcore.reports.charts.robustness import by_severity
from cifarcore.reports.charts.slices import accuracy_by_bin, forest
from cifarcore.reports.tables import robustness as tables
from cifarcore.reports.tables import slices as slice_tables
from cifarcore.reports.tables.galleries import WITHIN_SLICE, surest_words, within_slice
from cifarcore.runs.selections import delete_selection, exported, import_selections, selection_path, selections

PARAMETER = "slice"
KEPT = "saved"  #: the parameter that names a selection of the user's
_NOT_DELETED = "slices-not-deleted"  #: why the slice that was asked to go is still there
_CHART, _KEPT_CHART = "slices-forest", "saved-forest"


def page(view: View) -> None:
    head(view, headings.of_slices(slice_tables.slices_of(view), view.names))
    _measure(view)
    _slices(view)
    _robustness(view)
    _kept(view)


def _measure(view: View) -> None:
    lacking = slice_tables.lacking(view)
    if not lacking:
        return
    st.info(lacking, icon=":material/image_search:")
    if st.button("Measure the pictures", key="measure"):
        runs = [str(run.path) for run in (*view.a.runs, *view.b.runs) if run.path]
        with st.spinner("Measuring the pictures…"):
            done = subprocess.run(
                [sys.executable, "-m", "cifarcore", "properties", *runs], capture_output=True, text=True
            )
        if done.returncode:
            st.error(told(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "stopped", 400))
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
        st.info(slice_tables.NOTHING_KNOWN, icon=":material/search_off:")
    else:
        st.markdown(f"{slice_tables.DEFINED} {slice_tables.count_text(slices)}{slice_tables.drawn_text(slices)}.")
        st.caption(f"{slice_tables.LEGEND} {slice_tables.BY_Q}")
        _forest(slices, slice_tables.forest_frame(slices), slice_tables.METHOD, _CHART, PARAMETER)
        _pictures(view, slices)
    _by_property(view, slices)


def _forest(slices: Slices, frame: pd.DataFrame, method: str, chart: str, key: str) -> None:
    """The slices as a forest plot, where a click sets the list `key`, and as a table."""
    plot(forest, frame, slices.difference, width="stretch", key=chart, on_select=partial(_clicked, chart, key))
    st.caption(method)
    with st.expander("Table", icon=":material/table:"):
        st.dataframe(slice_tables.slice_table(slices), hide_index=True)


def _clicked(chart: str, key: str) -> None:
    """A click on the chart chooses in the list, so that the address and the keyboard know one choice."""
    chosen = st.session_state[chart]["selection"].get("slice_clicked", [])
    if chosen:
        st.session_state[key] = chosen[0]["slice"]


def _pictures(view: View, slices) -> None:
    options = slices.table["slice"].tolist()
    tell_unknown(options, PARAMETER, what="no slice of these models")
    begin_with_address(PARAMETER, options)
    chosen = st.selectbox("Pictures of the slice (or click one in the chart)", options, key=PARAMETER)
    name_in_address(**{PARAMETER: chosen})  # the first one too: where the pictures are measured, another is
    mask = slices.mask(chosen)
    filter_note(view, "the gallery below is", "the charts are")
    if apart := slice_tables.apart_text(slices, chosen):
        st.markdown(escape(apart, 600))
    st.markdown(page_link("Highlight in the explorer", "explorer", {PARAMETER: chosen, "color": "slice"}))
    _gallery(view, mask, "slices", chosen)


def _gallery(view: View, mask: np.ndarray, key: str, name: str) -> None:
    """The pictures of the slice `name`, all or those that one of the models gets wrong."""
    kept = within_slice(view, np.flatnonzero(mask & view.in_filter))
    shown = one_of("Show", WITHIN_SLICE, f"{key}-of", shown={each: f"{each} {len(kept[each]):,}" for each in kept})
    words = name if shown == WITHIN_SLICE[0] else f"{name}, {shown}"
    title = escape(words + surest_words(view), 300)
    gallery(view, kept[shown], key, title, empty="No image of this slice is that.", name=words)


def _by_property(view: View, slices) -> None:
    st.subheader("Accuracy by property")
    bins = {each.property.name: each for each in slices.bins}
    if not bins:
        return
    tell_unknown(bins, "property")
    name = st.selectbox("Property", list(bins), key="property", bind="query-params", width=420)
    chosen = bins[name]
    if chosen.property.of_models:
        st.caption("This property depends on the models.")
    table = accuracy_by(view.a.runs, view.b.runs, chosen)
    plot(accuracy_by_bin, table, view.names, width="stretch", key="slices-property")


@st.fragment
def _robustness(view: View) -> None:
    box = st.expander(
        "Robustness to corruptions", icon=":material/blur_on:", key="robustness-open", bind="query-params"
    )
    if not box.open:
        return
    with box:
        if why := tables.why_not(view):
            st.info(why if why == tables.HOW else told(why, 400), icon=":material/blur_on:")
            return
        robustness = tables.robustness_of(view)
        st.markdown(escape(tables.summary_text(robustness, view), 800))
        plot(by_severity, tables.severity_frame(robustness), view.names, width="stretch", key="robustness-severity")
        table = tables.corruption_table(robustness)
        st.dataframe(table, hide_index=True, height="content", column_config=headed(table, view.names))
        st.caption(tables.METHOD)


@st.fragment
def _kept(view: View) -> None:
    """The slices that were saved on the explorer's maps, or imported."""
    folder = runs_dir(view.root)
    if problem := st.session_state.pop(_NOT_DELETED, ""):
        st.error(told(problem, 300))
    kept, refused = selections(folder)
    for line in refused:
        st.warning(told(line, 300), icon=":material/description:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Your slices", width="stretch")
        _import(folder)
        if kept:
            st.download_button(
                "Export",
                lambda: exported(kept),
                "slices.csv",
                "text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
    if not kept:
        tell_unknown((), KEPT, what="none of your slices")
        st.caption("Select images on the explorer's maps and save them as a slice, or import a CSV.")
        return
    slices = slice_tables.of_selections(view, kept)
    names = slices.table["slice"].tolist()
    st.caption(slice_tables.LEGEND)
    _forest(slices, slice_tables.forest_frame(slices, most=None), slice_tables.METHOD_OF_USER, _KEPT_CHART, KEPT)
    tell_unknown(names, KEPT, what="none of your slices")
    if st.session_state.get(KEPT) not in names:
        st.session_state.pop(KEPT, None)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Pictures of your slice", names, key=KEPT, bind="query-params", width=420)
        file = kept[names.index(name)].name
        # as a callback of the slice that was shown: another tab may have deleted it since
        shown = seen(selection_path(folder, file))
        st.button("Delete this slice", icon=":material/delete:", on_click=_delete, args=(folder, file, shown))
    filter_note(view, "the gallery below is", "the charts are", "clear-filter-saved")
    st.markdown(page_link("Highlight in the explorer", "explorer", {KEPT: name, "color": "slice"}))
    _gallery(view, slices.masks[names.index(name)], "saved-images", name)


def _delete(folder: Path, name: str, shown: Version | None) -> None:
    try:
        delete_selection(folder, name, shown)
    except CifarcoreError as error:
        st.session_state[_NOT_DELETED] = str(error)


def _import(folder: Path) -> None:
    with st.popover("Import", icon=":material/upload:"), st.form("import-slices", border=False, clear_on_submit=True):
        file = st.file_uploader("CSV with sample_id and label, and slice where it holds several", "csv")
        if st.form_submit_button("Import") and file is not None:
            try:
                import_selections(folder, file.name, file.getvalue())
            except CifarcoreError as error:
                st.error(told(error, 300))
            else:
                st.rerun()
