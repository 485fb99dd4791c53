"""The image card: one test image enlarged, what both models make of it, what is near it, and where it stands.

The open card is in the address (`image=<id>-<label>`), so a reload or a copied link opens it again.
"""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import metrics
from cifarcore.app import charts, images
from cifarcore.app.state import Side, View, escape
from cifarcore.app.tiles import items, tiles
from cifarcore.runs import Run

PARAMETER = "image"
NEIGHBORS = 6
BACKDROP = 1500  # points of a map that give its shape


def show(view: View, row: int) -> None:
    """Open the card of the view's image `row`; at most once in a rerun."""
    st.query_params[PARAMETER] = view.address(row)
    _dialog(view)


def reopen(view: View) -> None:
    """Open the card that the address asks for, if any; called once, at the end of a full run."""
    if PARAMETER in st.query_params:
        if _row(view) is None:
            _closed()
        else:
            _dialog(view)


def near_on_map(positions: np.ndarray, row: int, n: int = NEIGHBORS) -> np.ndarray:
    """The `n` rows nearest to `row` on a map (N, 2) by Euclidean distance, nearest first, without `row` itself."""
    distance = ((positions - positions[row]) ** 2).sum(axis=1)
    distance[row] = np.inf
    return np.argsort(distance, kind="stable")[:n]


def _closed() -> None:
    st.query_params.pop(PARAMETER, None)


@st.dialog("Test image", width="large", on_dismiss=_closed)
def _dialog(view: View) -> None:
    row = _row(view)
    if row is None:
        st.info("This image is not among the images that both models share.")
        return
    label = int(view.labels[row])
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
        st.caption(f"Sample id {view.sample_ids[row]:016x}")
    with right:
        for side in (view.a, view.b):
            wrong = f"wrong in {side.wrong_in[row]} of {len(side.runs)} seeds" if len(side.runs) > 1 else ""
            verdict = "right" if side.first.correct[row] else "wrong"
            st.markdown(
                f"**Model {side.letter}** {escape(side.first_title, 100)}: {verdict}" + (f" · {wrong}" if wrong else "")
            )
            st.altair_chart(
                charts.top_classes(_top(view, side.first, row), side.letter),
                width="stretch",
                key=f"card-top-{side.letter}",
            )
    _neighbors(view, row)
    for column, side in zip(st.columns(2, gap="medium"), (view.a, view.b), strict=True):
        with column:
            _training_neighbors(view, side, row)
            _place(view, side, row)


def _top(view: View, run: Run, row: int, n: int = 5) -> pd.DataFrame:
    probabilities = metrics.probabilities(run.take(np.array([row])))[0]
    top = np.argsort(-probabilities, kind="stable")[:n]
    return pd.DataFrame(
        {
            "name": [view.class_names[c] for c in top],
            "probability": probabilities[top],
            "is_label": top == run.labels[row],
        }
    )


def _neighbors(view: View, row: int) -> None:
    positions = view.a.first.tsne
    if positions is None:
        return
    st.markdown(f"Nearest test images on the t-SNE map of model A, {escape(view.a.first_title, 100)}")
    near = near_on_map(positions, row)
    clicked = tiles(items(view, near), "card-near", compact=True)
    if clicked is not None:
        st.query_params[PARAMETER] = view.address(int(near[clicked]))
        st.rerun(scope="fragment")


def _training_neighbors(view: View, side: Side, row: int) -> None:
    run = side.first
    st.markdown(f"Model {side.letter}: nearest training images, by cosine of its features")
    if run.train_neighbor_ids is None:
        st.caption("Not in this run file; `cifarcore project RUN` adds them.")
        return
    ids = run.train_neighbor_ids[row]
    urls = images.train_pictures(view.root).urls(ids)
    content = [
        {"id": f"{i:016x}", "image": url, "label": view.class_names[c], "note": f"cosine {cosine:.3f}"}
        for i, url, c, cosine in zip(
            ids, urls, run.train_neighbor_labels[row], run.train_neighbor_cosine[row], strict=True
        )
    ]
    tiles(content, f"card-train-{side.letter}", compact=True, clickable=False)


def _place(view: View, side: Side, row: int) -> None:
    positions = side.first.tsne
    if positions is None:
        st.caption("No map in this run file; `cifarcore project RUN` adds it.")
        return
    same = view.labels == view.labels[row]
    backdrop = np.arange(0, len(positions), max(1, len(positions) // BACKDROP))
    rows = np.union1d(np.union1d(backdrop, np.flatnonzero(same)), row)
    frame = pd.DataFrame(
        {
            "x": positions[rows, 0],
            "y": positions[rows, 1],
            "what": np.select([rows == row, same[rows]], ["this image", "same true class"], "other test images"),
        }
    )
    title = f"Model {side.letter}: place on its t-SNE map"
    st.altair_chart(charts.place_on_map(frame, title), width="stretch", key=f"card-map-{side.letter}")


def _row(view: View) -> int | None:
    return view.row_at(st.query_params.get(PARAMETER, ""))
