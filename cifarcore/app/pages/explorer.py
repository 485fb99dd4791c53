"""Explorer: where each model puts the test images, and what is in a part of its map.

A box, a lasso or a click marks the same images in both maps (in the browser) and fills what stands below (by NumPy on
the run's map).
"""

import threading

import numpy as np
import streamlit as st
from cachetools import LRUCache, cached
from streamlit.delta_generator import DeltaGenerator

from cifarcore.app.addresses import tell_unknown
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import head
from cifarcore.app.parts.layout import one_of, page_link
from cifarcore.app.parts.maps import maps
from cifarcore.app.parts.selection import selection, widen
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.evidence import absent, disagreement
from cifarcore.files import runs_dir
from cifarcore.reports import headings
from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.tables import explorer as parts_of_maps
from cifarcore.reports.tables import explorer_map as drawn
from cifarcore.reports.tables import slices as slice_tables
from cifarcore.reports.tables.card import heading
from cifarcore.reports.tables.explorer import Box, Lasso, marked
from cifarcore.reports.tables.explorer_list import selection_text
from cifarcore.reports.tables.galleries import OUTCOMES_SAID
from cifarcore.runs.memo import memo
from cifarcore.runs.selections import selections

MAPS = {"t-SNE": "tsne", "UMAP": "umap"}
MOST_MAPS = 8  #: that are kept as they are sent: 2 MB each of 50,000 images


COLORS = ("correctness", "correct or wrong", "class", "superclass", "confidence")


PARAMETER = "marked"
SLICE = "slice"  #: the parameter that names a slice to be marked, and the colour that marks it
SAVED = "saved"  #: the parameter that names one of the user's own instead


_FIELDS = ("x from", "x to", "y from", "y to")


#: how often the maps began anew, and the selection that they began with
_TURN, _START = "explorer-turn", "explorer-start"


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
    inside = _slice(view)
    kind, color = _controls(view, inside)
    answer = st.container()  # above the maps, in sight; what is marked is known below them
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
    _maps(view, kind, color, positions, inside)
    _by_numbers(positions)
    _marked_images(view, kind, inside, answer)


def _slice(view: View) -> np.ndarray | None:
    """Which images are in the slice that the address names, bool (N,): one of the user's own, else one found."""
    name, inside = st.query_params.get(SLICE, ""), None
    if own := st.query_params.get(SAVED, ""):
        inside = slice_tables.mask_of_own(view, selections(runs_dir(view.root))[0], own)
    elif name:
        inside = slice_tables.mask_of(view, name)
    tell_unknown(() if inside is None else (own, name), SAVED if own else SLICE, what="no slice here")
    return inside


def _controls(view: View, inside: np.ndarray | None) -> tuple[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = one_of("Map", list(MAPS), "map", on_change=_forget)
        lacking = {"superclass": view.a.first.superclass_of is None, "confidence": bool(_without_confidence(view))}
        choices = [name for name in COLORS if not lacking.get(name)] + ([] if inside is None else [SLICE])
        tell_unknown((*choices, SLICE), "color")  # of a slice that is gone it was told already
        if st.session_state.get("color") not in choices:
            st.session_state.pop("color", None)
        color = st.selectbox("Colour", choices, key="color", bind="query-params", width=220)
        st.button(
            "Clear selection",
            icon=":material/deselect:",
            on_click=_forget,
            disabled=PARAMETER not in st.query_params and inside is None,
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


def _maps(view: View, kind: str, color: str, positions: list[np.ndarray | None], inside: np.ndarray | None) -> None:
    if (shown := int(view.in_filter.sum())) > parts_of_maps.MOST_DRAWN:
        st.caption(
            f"{parts_of_maps.MOST_DRAWN:,} of {shown:,} images are drawn, chosen at random; "
            "a selection is among all of them."
        )
    key = f"explorer-{kind}"
    if key not in st.session_state:  # the page opened again
        st.session_state[_START] = st.query_params.get(PARAMETER, "")
    content = _content(view, kind, color, positions, inside)
    maps(content, st.session_state[_START], st.session_state.get(_TURN, 0), key, lambda text: _selected(view, text))


def _known_by(
    view: View, kind: str, color: str, positions: list[np.ndarray | None], inside: np.ndarray | None
) -> tuple:
    """Everything that the maps show; what is marked on them is no part of it."""
    runs = [(side.first.digest or id(side.first), side.first_title) for side in (view.a, view.b)]
    chosen = (view.classes.tobytes(), None if inside is None else inside.tobytes())
    return (*runs, kind, color, *chosen, view.pictures.name)


# a box or a click draws the page again, and the maps are what they were
@cached(LRUCache(MOST_MAPS), key=_known_by, condition=threading.Condition())
def _content(view: View, kind: str, color: str, positions: list[np.ndarray | None], inside: np.ndarray | None) -> dict:
    rows = parts_of_maps.drawn(np.flatnonzero(view.in_filter))
    of_side = {side.letter: each for side, each in zip((view.a, view.b), positions, strict=True) if each is not None}
    return map_charts.content(
        drawn.map_frame(view, rows, kind, color, view.pictures.knows(view.sample_ids[rows]), inside),
        drawn.titles(view),
        {letter: drawn.places(view, each) for letter, each in of_side.items()},
        view.class_names,
        drawn.color_legend(view, color),
        view.pictures.url,
        OUTCOMES_SAID,
        {letter: drawn.superclass_places(view, each) for letter, each in of_side.items()},
    )


def _selected(view: View, text: str) -> None:
    """Write what was selected on the maps into the address, from which everything else reads it."""
    widen()
    if marked(text) is not None or view.row_at(text) is not None:
        st.query_params[PARAMETER] = text
    else:
        st.query_params.pop(PARAMETER, None)
    st.session_state[_ADDRESS] = st.query_params.get(PARAMETER, "")


def _follow_address(view: View) -> None:
    """Have the maps begin anew where Back or a link changed the address, and where a box's map is now another run's."""
    runs = {side.letter: side.first.digest for side in (view.a, view.b)}
    before = st.session_state.get(_RUNS, runs)
    st.session_state[_RUNS] = runs
    address = st.query_params.get(PARAMETER, "")
    part = marked(address)
    if part is not None and before[part.letter] != runs[part.letter]:
        _start_with("")
    elif st.session_state.setdefault(_ADDRESS, address) != address:
        _start_with(address)


def _forget() -> None:
    widen()
    for parameter in (SLICE, SAVED):
        st.query_params.pop(parameter, None)
    _start_with("")


def _start_with(text: str) -> None:
    """Have the maps begin anew with this selection."""
    st.session_state[_TURN] = st.session_state.get(_TURN, 0) + 1
    st.session_state[_START] = text
    if text:
        st.query_params[PARAMETER] = text
    else:
        st.query_params.pop(PARAMETER, None)
    st.session_state[_ADDRESS] = text


def _by_numbers(positions: list[np.ndarray | None]) -> None:
    letters = [letter for letter, each in zip("AB", positions, strict=True) if each is not None]
    box = st.expander("Select by coordinates", icon=":material/keyboard:", key="coordinates-open", bind="query-params")
    if not box.open:
        return
    with box, st.form("explorer-box", border=False):
        columns = st.columns([1, 1, 1, 1, 1, 1], vertical_alignment="bottom")
        columns[0].selectbox("Map of", letters, key="box-map")
        for column, name, end in zip(columns[1:5], _FIELDS, parts_of_maps.ends(positions), strict=True):
            column.number_input(name, value=None, format="%.3f", step=0.1, key=f"box-{name}", placeholder=f"{end:.2f}")
        columns[5].form_submit_button("Select", width="stretch", on_click=_typed, args=(positions,))


def _typed(positions: list[np.ndarray | None]) -> None:
    """Turn the numbers typed into the selection; an empty field leaves that side open."""
    given = [st.session_state[f"box-{name}"] for name in _FIELDS]
    widen()
    _start_with(str(parts_of_maps.typed(st.session_state["box-map"], positions, *given)))


def _marked_images(view: View, kind: str, inside: np.ndarray | None, answer: DeltaGenerator) -> None:
    """Say in the place `answer` what is marked, and draw its lists and pictures."""
    rows, where = _marked(view, kind)
    if rows is None and inside is not None:
        parameter = SAVED if st.query_params.get(SAVED) else SLICE
        name = st.query_params[parameter]
        back = page_link("Slices", "slices", {parameter: name})
        rows, where = np.flatnonzero(inside & view.in_filter), f"in the slice {escape(name, 200)} ({back})"
    if rows is None:
        answer.caption(
            "Draw a box or a lasso on one map, or click a point: the same images are highlighted on the other map "
            "and listed below. Scroll to zoom. Double-click to clear."
        )
    elif where is None:
        answer.markdown(f"Clicked: {escape(heading(view, int(rows[0])), 300)}")
        gallery(view, rows, "marked-images", "The image clicked")
    else:
        text = escape(selection_text(view, rows), 600)
        below = " · pictures below the maps" if len(rows) else ""
        answer.markdown(f"**{len(rows):,}** images {where} · {text}{below}")
        selection(view, rows)


def _marked(view: View, kind: str) -> tuple[np.ndarray | None, str | None]:
    """The rows that the address marks, and what holds them (in Markdown), or None for a click.

    None instead of rows where nothing is marked.
    """
    text = st.query_params.get(PARAMETER, "")
    part = marked(text)
    if part is not None:
        positions = _positions(view, kind, part)
        if positions is None:
            return None, None
        what = "box" if isinstance(part, Box) else "lasso"
        return np.flatnonzero(part.holds(positions) & view.in_filter), f"in the {what} on the map of {part.letter}"
    row = view.row_at(text)
    return (None, None) if row is None else (np.array([row]), None)


def _positions(view: View, kind: str, part: Box | Lasso) -> np.ndarray | None:
    """The map that `part` lies on, float (N, 2); None where that run has none."""
    return getattr((view.a if part.letter == "A" else view.b).first, kind)
