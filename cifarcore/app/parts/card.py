"""The image card: one test image enlarged, what both models make of it, what is near it, and where it stands.

The open card is in the address (`image=<id>-<label>`), so a reload or a copied link opens it again.
"""

import numpy as np
import streamlit as st

from cifarcore.app import addresses, pictures
from cifarcore.app.parts.head import key_badge
from cifarcore.app.parts.marked import mark_button
from cifarcore.app.parts.plot import plot
from cifarcore.app.parts.tiles import items, tiles
from cifarcore.app.parts.why import why
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.evidence import absent
from cifarcore.reports import charts
from cifarcore.reports.sides import Side
from cifarcore.reports.tables import card as tables
from cifarcore.reports.tables.known import (
    DUPLICATES_STUDY,
    LABELS_STUDY,
    duplicate_kinds,
    twin_ids,
    twin_labels,
    vote_lines,
)
from cifarcore.text import plain

PARAMETER = addresses.IMAGE
_AMONG = "card-among"  #: the runs compared and the rows of the gallery from which the card was opened


def show(view: View, row: int, among: np.ndarray) -> None:
    """Open the card of the view's image `row`, one of the gallery's rows `among`, int (n,), through which the card
    leads; at most once in a rerun.
    """
    st.query_params[PARAMETER] = view.address(row)
    st.session_state[_AMONG] = (view.a.key, view.b.key, among)
    _dialog(view)


def reopen(view: View) -> None:
    """Open the card that the address asks for, if any; called once, at the end of a full run."""
    if PARAMETER in st.query_params:
        if _row(view) is None:
            _closed()
        else:
            _dialog(view)


def _closed() -> None:
    st.query_params.pop(PARAMETER, None)


@st.dialog("Test image", width="large", on_dismiss=_closed)
def _dialog(view: View) -> None:
    row = _row(view)
    if row is None:
        st.info("This image is not among the images that both models share.")
        return
    label = int(view.labels[row])
    _turn_pages(view, row)
    with st.container(key="card-title"):
        st.subheader(escape(tables.heading(view, row), 300), anchor=False)
    left, right = st.columns([1, 2.1], gap="medium")
    with left:
        url = view.pictures.urls(view.sample_ids[[row]])[0]
        if url:
            st.image(f"/{url}", width=256, alt=view.class_names[label])
        else:
            st.caption(view.pictures.problem or "This image is not in the data folder.")
        superclass = view.superclass(label)
        st.markdown(
            f"True label: **{escape(view.class_names[label])}**" + (f" ({escape(superclass)})" if superclass else "")
        )
        if votes := vote_lines(view, np.array([row]))[0]:
            st.caption(f"{escape(votes[0].upper() + votes[1:], 400)} ({LABELS_STUDY})")
        st.caption(f"Sample id {view.sample_ids[row]:016x}")
        mark_button(view, row)
        _duplicate(view, row)
    with right:
        for side in (view.a, view.b):
            n = len(side.runs)
            seeds = f"correct in {n - side.wrong_in[row]} of {n} seeds" if n > 1 else ""
            verdict = "correct" if side.first.correct[row] else "wrong"
            st.markdown(
                f"{key_badge(side.letter)} {escape(side.first_title, 100)}: {verdict}"
                + (f" · {seeds}" if seeds else "")
            )
            if side.first.has_scores:
                plot(
                    charts.card.top_classes,
                    tables.top_classes(view, side, row),
                    side.letter,
                    width="stretch",
                    key=f"card-top-{side.letter}",
                )
            else:
                st.markdown(f"Predicted: **{escape(view.class_names[side.first.predictions[row]])}**")
                st.caption(escape(absent.note("confidence", side.first), 300))
        if view.a.first.has_scores or view.b.first.has_scores:
            st.caption(charts.card.TOP_LEGEND)
    why(view, row)
    _neighbors(view, row)
    for column, side in zip(st.columns(2, gap="medium"), (view.a, view.b), strict=True):
        with column:
            _training_neighbors(view, side, row)
            _place(view, side, row)
    if view.a.first.tsne is not None or view.b.first.tsne is not None:
        st.caption(charts.card.MAP_LEGEND)


def _turn_pages(view: View, row: int) -> None:
    """Lead to the previous and the next picture of the gallery from which the card was opened."""
    *runs, among = st.session_state.get(_AMONG, ((), (), np.empty(0, int)))
    places = np.flatnonzero(among == row)
    if runs != [view.a.key, view.b.key] or not len(places):
        return
    at = int(places[0])
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, key, to in (("Previous", "Left", at - 1), ("Next", "Right", at + 1)):
            there = 0 <= to < len(among)
            st.button(
                label,
                key=f"card-{label.lower()}",
                shortcut=key,
                disabled=not there,
                on_click=_open,
                args=(view.address(int(among[to])) if there else "",),
            )
        st.caption(f"{at + 1:,} of {len(among):,}", width="content")


def _open(address: str) -> None:
    st.query_params[PARAMETER] = address


def _duplicate(view: View, row: int) -> None:
    """The training image that this one duplicates, as people found."""
    if kind := str(duplicate_kinds(view)[row]):
        what = {"exact": "An exact duplicate", "near": "A near duplicate", "similar": "A similar image"}[kind]
        label = twin_labels(view)[row]
        st.caption(f"{what} is in the training set{f', as {escape(label)}' if label else ''} ({DUPLICATES_STUDY})")
        twin = twin_ids(view)[[row]]
        if twin[0] and (url := pictures.train_pictures().urls(twin)[0]):
            st.image(f"/{url}", width=96, alt=f"training image of {label}")


def _neighbors(view: View, row: int) -> None:
    positions = view.a.first.tsne
    if positions is None:
        return
    st.markdown(f"Nearest test images on the t-SNE map of {key_badge('A')} {escape(view.a.first_title, 100)}")
    near = tables.near_on_map(positions, row)
    clicked = tiles(items(view, near), "card-near", compact=True)
    if clicked is not None:
        st.query_params[PARAMETER] = view.address(int(near[clicked]))
        st.rerun(scope="fragment")


def _training_neighbors(view: View, side: Side, row: int) -> None:
    run = side.first
    st.markdown(
        f"{key_badge(side.letter)} {escape(side.group)}: nearest training images, by cosine similarity of its features"
    )
    if run.train_neighbor_ids is None:
        st.caption("Not in this run file; `cifarcore project RUN` adds them.")
        return
    ids = run.train_neighbor_ids[row]
    urls = pictures.train_pictures().urls(ids)
    content = [
        {"id": f"{i:016x}", "image": url, "label": view.class_names[c], "note": f"cosine {cosine:.3f}"}
        for i, url, c, cosine in zip(
            ids, urls, run.train_neighbor_labels[row], run.train_neighbor_cosine[row], strict=True
        )
    ]
    tiles(content, f"card-train-{side.letter}", compact=True, clickable=False)


def _place(view: View, side: Side, row: int) -> None:
    if side.first.tsne is None:
        st.caption("No map in this run file; `cifarcore project RUN` adds it.")
        return
    title = f"{plain(side.group)}: position on its t-SNE map"
    st.markdown(f"{key_badge(side.letter)} {escape(title, 200)}")
    around = tables.map_around(view, side, row)
    plot(charts.card.place_on_map, around, title, width="content", key=f"card-map-{side.letter}")


def _row(view: View) -> int | None:
    return view.row_at(st.query_params.get(PARAMETER, ""))
