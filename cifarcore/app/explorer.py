"""Explorer: where each model puts the test images, and what is in a part of its map.

A box or a click marks the same images in both maps (in the browser) and fills the gallery (by NumPy on the run's map).
"""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import metrics
from cifarcore.app import images, map_charts
from cifarcore.app import maps as planes
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import one_of
from cifarcore.app.map_charts import BOX, POINT
from cifarcore.app.maps import Box, Plane
from cifarcore.app.state import View, escape, memo
from cifarcore.disagreement import FOUR_WAYS, four_way
from cifarcore.runs import Run

MAPS = {"t-SNE": "tsne", "UMAP": "umap"}
COLORS = ("four-way split", "right or wrong", "class", "superclass", "confidence")
SHOWN = ("wrong by either", "wrong by A", "wrong by B", "all, the wrong first")
ALL_CONFUSIONS = "all confusions"
PARAMETER = "marked"
_FIELDS = ("x from", "x to", "y from", "y to")
#: which chart it is (a new key resets its selection), and the selection it started with
_VERSION, _START = "explorer-version", "explorer-start"
#: the address as this page left it, and the runs whose maps were shown
_ADDRESS, _RUNS = "explorer-address", "explorer-runs"


def page(view: View) -> None:
    st.title("Explorer")
    if (
        view.a.first.tsne is None
        and view.b.first.tsne is None
        and view.a.first.umap is None
        and view.b.first.umap is None
    ):
        st.info(
            "These run files hold no map of the test images. `cifarcore project RUN RUN` adds a t-SNE "
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
    missing = [side for side, found in zip((view.a, view.b), positions, strict=True) if found is None]
    if len(missing) == 2:
        st.info(
            f"No `{kind}` map in these run files; `cifarcore project RUN RUN` adds it.", icon=":material/scatter_plot:"
        )
        return
    _titles(view, kind)
    for side in missing:
        st.info(
            f"Model {side.letter}'s run file holds no `{kind}` map; "
            "`cifarcore project` with both run files adds it, aligned.",
            icon=":material/scatter_plot:",
        )
    plane = planes.plane(*positions)
    _chart(view, kind, color, plane)
    _by_numbers(plane, positions)
    _marked_images(view, kind)


def _controls(view: View) -> tuple[str, str]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = one_of("Map", list(MAPS), "map", on_change=_forget)
        choices = [name for name in COLORS if name != "superclass" or view.a.first.superclass_of is not None]
        color = st.selectbox("Colour", choices, key="color", bind="query-params", width=220)
        st.button(
            "Clear selection", icon=":material/deselect:", on_click=_forget, disabled=PARAMETER not in st.query_params
        )
    return MAPS[kind], color


def _titles(view: View, kind: str) -> None:
    for column, side, color in zip(st.columns(2), (view.a, view.b), ("blue", "orange"), strict=True):
        quality = (side.first.meta.get("maps") or {}).get(kind, {})
        trust = quality.get("trustworthiness") if isinstance(quality, dict) else None
        told = f" · trustworthiness {trust:.3f}" if isinstance(trust, float) else ""
        column.markdown(
            f":{color}[■] **Model {side.letter}** {escape(side.first_title, 100)}{told}",
            help="Trustworthiness, 0 to 1: how far images that are near on the map are near in the features too "
            "(Venna and Kaski)"
            if told
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
        _frame(view, rows, kind, color),
        plane,
        names,
        _legend(view, color),
        color,
        f"{images.URL}/",
        _start(view, kind, plane, start),
    )
    st.altair_chart(
        chart, width="stretch", key=key, on_select=lambda: _selected(key, plane, view), selection_mode=[BOX, POINT]
    )


def _frame(view: View, rows: np.ndarray, kind: str, color: str) -> pd.DataFrame:
    """What map_charts.maps draws of the images `rows`."""
    columns: dict[str, np.ndarray] = {"row": rows.astype(np.int32), "label": view.labels[rows]}
    for side in (view.a, view.b):
        run, letter = side.first, side.letter.lower()
        positions = getattr(run, kind)
        if positions is not None:
            columns |= {f"{letter}_x": positions[rows, 0], f"{letter}_y": positions[rows, 1]}
        columns |= {
            f"{letter}_color": _codes(view, run, color)[rows],
            f"{letter}_class": run.predictions[rows].astype(np.int16),
            f"{letter}_sure": np.rint(100 * memo(metrics.confidence, run)[rows]).astype(np.int16),
        }
    known = view.pictures.knows(view.sample_ids[rows])
    columns["picture"] = np.array(
        [f"{i:016x}.png" if here else "" for i, here in zip(view.sample_ids[rows].tolist(), known, strict=True)]
    )
    return pd.DataFrame(columns)


def _codes(view: View, run: Run, color: str) -> np.ndarray:
    """Each image's place in the `_legend`, int16 (N,), or its confidence, float32 (N,)."""
    if color == "confidence":
        return memo(metrics.confidence, run).astype(np.float32)
    if color == "right or wrong":
        return (~run.correct).astype(np.int16)
    if color == "class":
        place = np.zeros(view.n_classes, np.int16)
        place[view.classes] = np.arange(len(view.classes))
        return place[view.labels]
    if color == "superclass":
        return view.a.first.superclass_of[view.labels]
    groups = memo(four_way, view.pair)
    return np.select([groups == group for group in FOUR_WAYS], range(len(FOUR_WAYS))).astype(np.int16)


def _legend(view: View, color: str) -> list[str] | None:
    if color == "confidence":
        return None
    if color == "right or wrong":
        return ["right", "wrong"]
    if color == "class":
        return [view.class_names[index] for index in view.classes]
    if color == "superclass":
        return view.superclass_names
    return list(FOUR_WAYS)


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
    letters = [letter for letter, found in zip("AB", positions, strict=True) if found is not None]
    with st.expander("Select by numbers", icon=":material/keyboard:"), st.form("explorer-box", border=False):
        columns = st.columns([1, 1, 1, 1, 1, 1], vertical_alignment="bottom")
        columns[0].selectbox("Map of model", letters, key="box-map")
        for column, name, end in zip(columns[1:5], _FIELDS, _ends(positions), strict=True):
            column.number_input(name, value=None, format="%.3f", step=0.1, key=f"box-{name}", placeholder=f"{end:.2f}")
        columns[5].form_submit_button("Select", width="stretch", on_click=_typed, args=(plane,))


def _ends(positions: list[np.ndarray | None]) -> tuple[float, float, float, float]:
    """Where the maps end, in the order of the fields."""
    found = np.concatenate([each for each in positions if each is not None])
    (x0, y0), (x1, y1) = found.min(axis=0), found.max(axis=0)
    return x0, x1, y0, y1


def _typed(plane: Plane) -> None:
    """Turn the numbers typed into the selection; an empty field leaves that side open."""
    letter = st.session_state["box-map"]
    whole = dict(zip(_FIELDS, (*plane.part(letter), *plane.y), strict=True))
    typed = {name: st.session_state[f"box-{name}"] for name in _FIELDS}
    x0, x1, y0, y1 = (whole[name] if value is None else float(value) for name, value in typed.items())
    _start_with(str(Box(letter, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))))


def _marked_images(view: View, kind: str) -> None:
    rows, told = _marked(view, kind)
    if rows is None:
        st.caption(
            "Draw a box on one map, or click a point: the same images are marked on the other map "
            "and listed here. A double click ends it."
        )
        return
    a, b = view.a.first, view.b.first
    if told is None:
        gallery(view, rows, "marked-images", "The image clicked")
        return
    st.markdown(
        f"**{len(rows):,}** images {told} · A right on **{a.correct[rows].sum():,}**, "
        f"B right on **{b.correct[rows].sum():,}**"
    )
    if not len(rows):
        return
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    shown = one_of("Show", SHOWN, "list", left)
    keep = {SHOWN[0]: ~a.correct | ~b.correct, SHOWN[1]: ~a.correct, SHOWN[2]: ~b.correct}.get(
        shown, np.ones(len(a.labels), bool)
    )
    rows = rows[keep[rows]]
    said_a = np.where(shown == SHOWN[2], view.labels[rows], a.predictions[rows])
    said_b = np.where(shown == SHOWN[1], view.labels[rows], b.predictions[rows])
    sure = np.maximum(memo(metrics.confidence, a), memo(metrics.confidence, b))[rows]
    order, group = planes.by_confusion(view.labels[rows], said_a, said_b, sure)
    table = planes.confusions(view.labels[rows], said_a, said_b)
    names = np.array(view.class_names)
    titles = [f"{names[t]} → {names[p]}" for t, p in zip(table["true"], table["predicted"], strict=True)]
    if st.session_state.get("confusion") not in (None, ALL_CONFUSIONS, *titles):
        del st.session_state["confusion"]
    confusion = right.selectbox(
        "Confusion (true → predicted)",
        [ALL_CONFUSIONS, *titles],
        key="confusion",
        bind="query-params",
    )
    if confusion != ALL_CONFUSIONS:
        true, predicted = table.loc[titles.index(confusion), ["true", "predicted"]]
        labels = view.labels[rows][order]
        fits = (labels == true) & ((said_a[order] == predicted) | (said_b[order] == predicted))
        order, group = order[fits], np.full(fits.sum(), titles.index(confusion))
    notes = [titles[g] if g >= 0 else "" for g in group]
    gallery(
        view,
        rows[order],
        "marked-images",
        escape(shown[0].upper() + shown[1:]),
        notes,
        "None of the marked images is misclassified.",
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
        return np.flatnonzero(box.holds(positions) & view.in_filter), f"in the box on model {box.letter}'s map"
    row = view.row_at(text)
    return (None, None) if row is None else (np.array([row]), None)


def _positions(view: View, kind: str, box: Box) -> np.ndarray | None:
    """The map that `box` lies on, float (N, 2); None where that run has none."""
    return getattr((view.a if box.letter == "A" else view.b).first, kind)
