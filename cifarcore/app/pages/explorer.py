"""Explorer: where each model puts the test images, and what is in a part of its map.

A box or a click marks the same images in both maps (in the browser) and fills the gallery (by NumPy on the run's map).
"""

import numpy as np
import streamlit as st

from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import head
from cifarcore.app.parts.layout import one_of
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.evidence import absent, disagreement
from cifarcore.reports import headings
from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.charts.explorer import BOX, POINT
from cifarcore.reports.tables import explorer as planes
from cifarcore.reports.tables.explorer import Box, Plane
from cifarcore.reports.tables.explorer_list import SHOWN, listing
from cifarcore.reports.tables.explorer_map import color_legend, map_frame
from cifarcore.runs.memo import memo

MAPS = {"t-SNE": "tsne", "UMAP": "umap"}


COLORS = ("correctness", "correct or wrong", "class", "superclass", "confidence")


ALL_CONFUSIONS = "all confusions"


PARAMETER = "marked"


_FIELDS = ("x from", "x to", "y from", "y to")


#: which chart it is (a new key resets its selection), and the selection it started with
_VERSION, _START = "explorer-version", "explorer-start"


#: the address as this page left it, and the runs whose maps were shown
_ADDRESS, _RUNS = "explorer-address", "explorer-runs"


def page(view: View) -> None:
    split = disagreement.split_frame(memo(disagreement.four_way, view.pair))
    head(view, headings.of_map(split, view))
    if all(getattr(side.first, kind) is None for side in (view.a, view.b) for kind in MAPS.values()):
        if note := absent.note("maps", view.a.first, view.b.first):
            st.info(
                f"These run files have no map of the test images. {escape(note, 300)}", icon=":material/scatter_plot:"
            )
            return
        st.info(
            "These run files have no map of the test images. `cifarcore project RUN RUN` adds a t-SNE "
            "and a UMAP map to both, the second aligned to the first.",
            icon=":material/scatter_plot:",
        )
        return
    _explorer(view)


@st.fragment
def _explorer(view: View) -> None:
    _follow_address(view)
    kind, color = _controls(view)
    positions = [getattr(side.first, kind) for side in (view.a, view.b)]
    missing = [side for side, each in zip((view.a, view.b), positions, strict=True) if each is None]
    if len(missing) == 2:
        st.info(
            f"No `{kind}` map in these run files; `cifarcore project RUN RUN` adds it.", icon=":material/scatter_plot:"
        )
        return
    _titles(view, kind)
    if note := _without_confidence(view):
        st.caption(escape(note, 300))
    for side in missing:
        remedy = "`cifarcore project` with both run files adds it, aligned."
        remedy = escape(absent.note("maps", side.first), 300) or remedy
        st.info(f"{escape(side.group)} ({side.letter}) has no `{kind}` map. {remedy}", icon=":material/scatter_plot:")
    plane = planes.plane(*positions)
    _chart(view, kind, color, plane)
    _by_numbers(plane, positions)
    _marked_images(view, kind)


def _controls(view: View) -> tuple[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = one_of("Map", list(MAPS), "map", on_change=_forget)
        lacking = {"superclass": view.a.first.superclass_of is None, "confidence": bool(_without_confidence(view))}
        choices = [name for name in COLORS if not lacking.get(name)]
        if st.session_state.get("color") not in choices:
            st.session_state.pop("color", None)
        color = st.selectbox("Colour", choices, key="color", bind="query-params", width=220)
        st.button(
            "Clear selection", icon=":material/deselect:", on_click=_forget, disabled=PARAMETER not in st.query_params
        )
    return MAPS[kind], color


def _without_confidence(view: View) -> str:
    return absent.note("confidence", view.a.first, view.b.first)


def _titles(view: View, kind: str) -> None:
    for column, side, color in zip(st.columns(2), (view.a, view.b), ("blue", "orange"), strict=True):
        quality = (side.first.meta.get("maps") or {}).get(kind, {})
        trust = quality.get("trustworthiness") if isinstance(quality, dict) else None
        quality_text = f" · trustworthiness {trust:.3f}" if isinstance(trust, float) else ""
        column.markdown(
            f":{color}[■ **{side.letter}**] {escape(side.first_title, 100)}{quality_text}",
            help="Trustworthiness, 0 to 1: how far neighbours on the map are neighbours in the features too "
            "(Venna and Kaski)"
            if quality_text
            else None,
        )


def _chart(view: View, kind: str, color: str, plane: Plane) -> None:
    rows = planes.drawn(np.flatnonzero(view.in_filter))
    if len(rows) < view.in_filter.sum():
        st.caption(
            f"{len(rows):,} of {view.in_filter.sum():,} images are drawn, chosen at random; "
            "a box selects among all of them."
        )
    key = f"explorer-{kind}-{st.session_state.get(_VERSION, 0)}"
    if key not in st.session_state:  # a new chart, or the page opened again
        st.session_state[_START] = st.query_params.get(PARAMETER, "")
    start = st.session_state[_START]
    names = view.class_names
    chart = map_charts.maps(
        map_frame(view, rows, kind, color, view.pictures.knows(view.sample_ids[rows])),
        plane,
        names,
        color_legend(view, color),
        color,
        view.pictures.url,
        _start(view, kind, plane, start),
    )
    st.altair_chart(
        chart, width="stretch", key=key, on_select=lambda: _selected(key, plane, view), selection_mode=[BOX, POINT]
    )


def _start(view: View, kind: str, plane: Plane, text: str) -> dict:
    """The selection that the chart begins with, from the address."""
    box = Box.parse(text)
    if box is not None:
        return {} if _positions(view, kind, box) is None else {BOX: plane.bounds(box)}
    row = view.row_at(text)
    return {} if row is None else {POINT: row}


def _selected(key: str, plane: Plane, view: View) -> None:
    """Write what was selected in the chart into the address, from which everything else reads it."""
    selection = st.session_state[key]["selection"]
    box = selection.get(BOX) or {}
    chosen = plane.box(box["x"], box["y"]) if "x" in box and "y" in box else None
    point = selection.get(POINT) or []
    if chosen is not None:
        st.query_params[PARAMETER] = str(chosen)
    elif point:
        st.query_params[PARAMETER] = view.address(int(point[0]["row"]))
    else:
        st.query_params.pop(PARAMETER, None)
    st.session_state[_ADDRESS] = st.query_params.get(PARAMETER, "")


def _follow_address(view: View) -> None:
    """Begin a new chart where Back or a link changed the address, and where a box's map is now another run's."""
    runs = {side.letter: side.first.digest for side in (view.a, view.b)}
    before = st.session_state.get(_RUNS, runs)
    st.session_state[_RUNS] = runs
    address = st.query_params.get(PARAMETER, "")
    box = Box.parse(address)
    if box is not None and before[box.letter] != runs[box.letter]:
        _start_with("")
    elif st.session_state.setdefault(_ADDRESS, address) != address:
        _start_with(address)


def _forget() -> None:
    _start_with("")


def _start_with(text: str) -> None:
    """Begin a new chart with this selection, since a chart's selection cannot be set from here."""
    st.session_state[_VERSION] = st.session_state.get(_VERSION, 0) + 1
    if text:
        st.query_params[PARAMETER] = text
    else:
        st.query_params.pop(PARAMETER, None)
    st.session_state[_ADDRESS] = text


def _by_numbers(plane: Plane, positions: list[np.ndarray | None]) -> None:
    letters = [letter for letter, each in zip("AB", positions, strict=True) if each is not None]
    with st.expander("Select by coordinates", icon=":material/keyboard:"), st.form("explorer-box", border=False):
        columns = st.columns([1, 1, 1, 1, 1, 1], vertical_alignment="bottom")
        columns[0].selectbox("Map of", letters, key="box-map")
        for column, name, end in zip(columns[1:5], _FIELDS, planes.ends(positions), strict=True):
            column.number_input(name, value=None, format="%.3f", step=0.1, key=f"box-{name}", placeholder=f"{end:.2f}")
        columns[5].form_submit_button("Select", width="stretch", on_click=_typed, args=(plane,))


def _typed(plane: Plane) -> None:
    """Turn the numbers typed into the selection; an empty field leaves that side open."""
    typed = [st.session_state[f"box-{name}"] for name in _FIELDS]
    _start_with(str(plane.typed(st.session_state["box-map"], *typed)))


def _marked_images(view: View, kind: str) -> None:
    rows, where = _marked(view, kind)
    if rows is None:
        st.caption(
            "Draw a box on one map, or click a point: the same images are highlighted on the other map "
            "and listed here. Double-click to clear."
        )
        return
    a, b = view.a.first, view.b.first
    if where is None:
        gallery(view, rows, "marked-images", "The image clicked")
        return
    st.markdown(
        f"**{len(rows):,}** images {where} · A classifies **{a.correct[rows].sum():,}** correctly, "
        f"B **{b.correct[rows].sum():,}**"
    )
    if not len(rows):
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    shown = one_of("Show", SHOWN, "list", left)
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
    gallery(
        view,
        listed.rows,
        "marked-images",
        escape(shown[0].upper() + shown[1:]),
        listed.notes,
        "None of the selected images is misclassified.",
        f"marked {shown}",
    )


def _marked(view: View, kind: str) -> tuple[np.ndarray | None, str | None]:
    """The rows that the address marks, and what holds them: a box (in Markdown) or, None, a click.

    None instead of rows where nothing is marked.
    """
    text = st.query_params.get(PARAMETER, "")
    box = Box.parse(text)
    if box is not None:
        positions = _positions(view, kind, box)
        if positions is None:
            return None, None
        return np.flatnonzero(box.holds(positions) & view.in_filter), f"in the box on the map of {box.letter}"
    row = view.row_at(text)
    return (None, None) if row is None else (np.array([row]), None)


def _positions(view: View, kind: str, box: Box) -> np.ndarray | None:
    """The map that `box` lies on, float (N, 2); None where that run has none."""
    return getattr((view.a if box.letter == "A" else view.b).first, kind)
