"""The one gallery of all pages: test images with their true label and both models' predictions, ending at the image
card.

Pages choose the rows and their order; how a picture looks, is paged, downloaded and opened is decided here alone.
"""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from cifarcore.app.parts import card
from cifarcore.app.parts.tiles import items, tiles
from cifarcore.app.safe_text import MOST_CSV_ROWS, csv
from cifarcore.app.view import View
from cifarcore.files import download_name
from cifarcore.reports.tables.galleries import image_table, seeds_legend
from cifarcore.text import plain

PAGE_SIZE = 30


@st.fragment
def gallery(
    view: View,
    rows: np.ndarray,
    key: str,
    title: str = "",
    notes: Sequence[str] | None = None,
    empty: str = "No image fits this choice.",
    name: str = "",
    twins: np.ndarray | None = None,
) -> None:
    """Show the images `rows`, int (n,), of the view in the order given, `PAGE_SIZE` a page, with a CSV of all of them.

    `key` names the gallery on its page and, with `-page`, its page number in the address. `title` is Markdown (escape
    names); `notes` are one line for each of `rows`; `name` is what the CSV's file is called, by default `key`; `twins`,
    uint64 (n,), are ids of training images to show beside (0: none). A click opens the image's card.
    """
    rows = np.asarray(rows, dtype=np.int64)
    if not len(rows):
        st.info(empty, icon=":material/image_search:")
        return
    n_pages = -(-len(rows) // PAGE_SIZE)
    page_key, shown_key = f"{key}-page", f"{key}-shown"
    shown = hash(rows.tobytes())
    if st.session_state.get(shown_key, shown) != shown:  # other images begin with their first page
        st.session_state[page_key] = 1
    st.session_state[shown_key] = shown
    if st.session_state.get(page_key, 1) > n_pages:
        st.session_state[page_key] = n_pages
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{title or 'Images'} · **{len(rows):,}**", width="stretch")
        if legend := seeds_legend(view):
            st.caption(legend, width="content")
        page = 1
        if n_pages > 1:
            page = st.pagination(n_pages, key=page_key, bind="query-params")
            st.caption(f"page {page:,} of {n_pages:,}", width="content")
        st.download_button(
            "CSV",
            data=lambda: images_csv(view, rows, notes),
            file_name=download_name(*map(plain, (name or key, view.a.group, view.b.group)), suffix=".csv"),
            mime="text/csv",
            icon=":material/download:",
            key=f"{key}-csv",
            on_click="ignore",
            help="Ids, labels, predictions and probabilities of both models for all these images"
            + (f" (the first {MOST_CSV_ROWS:,})" if len(rows) > MOST_CSV_ROWS else ""),
        )
    part = slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE)
    shown = items(view, rows[part], *(None if each is None else each[part] for each in (notes, twins)))
    clicked = tiles(shown, f"{key}-tiles", pictured=view.pictures.available)
    if clicked is not None:
        card.show(view, int(rows[part][clicked]), rows)


def images_csv(view: View, rows: np.ndarray, notes: Sequence[str] | None = None) -> bytes:
    """UTF-8 CSV of galleries.image_table, at most MOST_CSV_ROWS rows."""
    return csv(image_table(view, rows[:MOST_CSV_ROWS], None if notes is None else notes[:MOST_CSV_ROWS]))
