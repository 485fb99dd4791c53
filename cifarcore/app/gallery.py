"""The one gallery of all pages: test images with their true label and both models' predictions, ending at the image card.

Pages choose the rows and their order; how a picture looks, is paged, downloaded and opened is decided here alone.
"""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import metrics
from cifarcore.app import card, state
from cifarcore.app.state import View, plain
from cifarcore.app.tiles import items, tiles

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
) -> None:
    """Show the images `rows`, int (n,), of the view in the order given, `PAGE_SIZE` a page, with a CSV of all of them.

    `key` names the gallery on its page and, with `-page`, its page number in the address. `title` is Markdown (escape
    names); `notes` are one line for each of `rows`; `name` is what the CSV's file is called, by default `key`. A click
    opens the image's card.
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
        page = 1
        if n_pages > 1:
            page = st.pagination(n_pages, key=page_key, bind="query-params")
            st.caption(f"page {page:,} of {n_pages:,}", width="content")
        st.download_button(
            "CSV",
            data=lambda: csv(view, rows, notes),
            file_name=file_name(view, name or key),
            mime="text/csv",
            icon=":material/download:",
            key=f"{key}-csv",
            on_click="ignore",
            help="Ids, labels, predictions and probabilities of both models for all these images"
            + (f" (the first {state.MOST_CSV_ROWS:,})" if len(rows) > state.MOST_CSV_ROWS else ""),
        )
    if view.pictures.problem:
        st.caption(view.pictures.problem)
    part = slice((page - 1) * PAGE_SIZE, page * PAGE_SIZE)
    clicked = tiles(items(view, rows[part], notes[part] if notes is not None else None), f"{key}-tiles")
    if clicked is not None:
        card.show(view, int(rows[part][clicked]))


def file_name(view: View, name: str) -> str:
    """What a gallery's CSV is called: `name` and both models, as any file system takes them."""
    return "_".join(re.sub(r"\W+", "-", plain(part)).strip("-") for part in (name, view.a.group, view.b.group)) + ".csv"


def csv(view: View, rows: np.ndarray, notes: Sequence[str] | None = None) -> bytes:
    """UTF-8 CSV of the images `rows`: id, label, and of each model prediction, probabilities and seeds that are wrong."""
    rows = rows[: state.MOST_CSV_ROWS]
    names = np.array(view.class_names)
    labels = view.labels[rows]
    table: dict[str, object] = {
        "sample_id": [f"{i:016x}" for i in view.sample_ids[rows]],
        "label": labels,
        "label_name": names[labels],
    }
    for side in (view.a, view.b):
        run = side.first.take(rows)
        probabilities = metrics.probabilities(run)
        at = np.arange(len(rows))
        table |= {
            f"{side.letter}_run": plain(side.first.name),
            f"{side.letter}_prediction": run.predictions,
            f"{side.letter}_prediction_name": names[run.predictions],
            f"{side.letter}_probability_of_prediction": probabilities[at, run.predictions],
            f"{side.letter}_probability_of_label": probabilities[at, labels],
            f"{side.letter}_wrong_seeds": side.wrong_in[rows],
            f"{side.letter}_seeds": len(side.runs),
        }
    if notes is not None:
        table["note"] = [plain(note) for note in notes[: len(rows)]]
    return state.csv(pd.DataFrame(table))
