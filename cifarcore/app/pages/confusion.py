"""Confusion matrix: what each model misclassifies as what, folded to superclasses or class by class, down to a cell's
pictures.
"""

import numpy as np
import streamlit as st

from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.layout import model_names, one_of
from cifarcore.app.parts.plot import plot
from cifarcore.app.parts.tiles import tiles
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View, compared
from cifarcore.reports import headings
from cifarcore.reports.charts.confusion import MOST_LABELLED, heatmap
from cifarcore.reports.tables.classes import share_outside
from cifarcore.reports.tables.confusion import (
    cell_images,
    cells_text,
    confusion_frame,
    ranked_cells,
    superclass_ends,
    superclass_frame,
    superclass_order,
)

SHOWN = ("B − A", "A", "B")
LEVELS = ("superclasses", "classes")
MOST_DRAWN = 150  # classes along an axis
PICTURES = 3  # of each ranked cell
NARROW = 9  # classes that a narrow screen holds
_FOLDED, _UNFOLDED, _WHOLE = "confusion-folded", "confusion-unfolded", "confusion-whole"


def page(view: View) -> None:
    head(view, headings.of_confusions(compared(view)))
    _confusion(view)


@st.fragment
def _confusion(view: View) -> None:
    result = compared(view)
    models = model_names(view)
    folds = view.a.first.superclass_of is not None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        show = one_of("Show", SHOWN, "show", shown={SHOWN[0]: f"difference {SHOWN[0]}", **models})
        level = one_of("Level", LEVELS if folds else LEVELS[1:], "level")
        errors_only = st.toggle(
            "Errors only", value=True, key="errors", bind="query-params", help="Leaves out correct predictions"
        )
    letters = "AB" if show == SHOWN[0] else show
    st.caption(
        f"A cell counts the test images of the true {level.removesuffix('es')} that a model classifies as the predicted"
        " one"
        + (", mean over seeds. " if view.several_seeds else ". ")
        + (
            f"Orange: more {'errors' if errors_only else 'images'} under {escape(view.names[1])}; blue: fewer; "
            "background colour: no difference. "
            if show == SHOWN[0]
            else ""
        )
        + "An empty cell holds no image under either model"
        + (", or correct predictions." if errors_only else ".")
    )
    if level == LEVELS[0]:
        true, predicted = _superclasses(view, result, show, errors_only)
    else:
        true, predicted = _classes(view, result, show, errors_only)
    if true is None:
        return
    rows, notes = cell_images(view, true[1], predicted[1], letters, errors_only)
    by = "at least one run" if letters == "AB" else f"at least one run of {models[letters]}"
    gallery(
        view, rows, "cell", f"**{escape(true[0])}** classified as **{escape(predicted[0])}** by {by}", notes,
        empty=f"No image of {escape(true[0])} is classified as {escape(predicted[0])} by {by}.",
        name=f"{true[0]} as {predicted[0]}",
    )  # fmt: skip


def _superclasses(view, result, show, errors_only):
    """The folded matrix, and unfolded the pair of superclasses chosen; (name, classes) of the cell, or (None, None)."""
    names, targets = view.superclass_names, ("truesuper", "predictedsuper")
    frame = superclass_frame(view, result, show, errors_only)
    filter_note(view, "the level “classes” is", "this matrix and its pictures are")
    classes_of = {name: np.flatnonzero(view.a.first.superclass_of == index) for index, name in enumerate(names)}
    _ranked(view, frame, show, errors_only, classes_of, targets)
    left, right = st.columns([1.5, 1], gap="medium")
    with right:
        first, second = st.columns(2, gap="small")
        true = _pick(first, "True superclass", names, targets[0])
        predicted = _pick(second, "Predicted superclass", names, targets[1])
    with left:
        _heatmap(view, frame, names, names, show, (true, predicted), _FOLDED, targets)
    if true is None or predicted is None:
        right.info("Click a cell, or choose both superclasses, to see its classes.", icon=":material/touch_app:")
        return None, None
    rows, columns = classes_of[true], classes_of[predicted]
    with right:
        cell = _class_cell(view, result, show, errors_only, rows, columns)
    return cell if cell[0] else ((true, rows), (predicted, columns))


def _class_cell(view, result, show, errors_only, rows, columns):
    """The classes of one pair of superclasses; the cell chosen in it, or (None, None)."""
    chart_place = st.container()
    first, second = st.columns(2, gap="small")
    row_names, column_names = ([view.class_names[c] for c in classes] for classes in (rows, columns))
    true = _pick(first, "True class", row_names, "true")
    predicted = _pick(second, "Predicted class", column_names, "predicted")
    frame = confusion_frame(view, result, show, rows, columns, errors_only)
    with chart_place:
        if frame.empty:
            st.info("No image in this cell.")
        else:
            _heatmap(view, frame, row_names, column_names, show, (true, predicted), _UNFOLDED, ("true", "predicted"))
    if true is None or predicted is None:
        return None, None
    return (true, rows[[row_names.index(true)]]), (predicted, columns[[column_names.index(predicted)]])


def _classes(view, result, show, errors_only):
    """The matrix of all classes that the filter leaves; (name, classes) of the cell chosen, or (None, None)."""
    order = superclass_order(view)
    hardest = view.classes[:MOST_DRAWN]
    order = order[np.isin(order, hardest)]
    names, targets = [view.class_names[c] for c in order], ("true", "predicted")
    frame = confusion_frame(view, result, show, order, order, errors_only)
    filter_note(view, "the matrix and the pictures are", "the heading is")
    classes_of = dict(zip(names, order[:, None], strict=True))
    _ranked(view, frame, show, errors_only, classes_of, targets)
    left, right = st.columns([1.5, 1], gap="medium")
    with right:
        if len(hardest) < len(view.classes):
            st.caption(f"The {MOST_DRAWN} most difficult classes are shown; the filter in the sidebar chooses others.")
        if view.filtered:
            models = model_names(view)
            outside = share_outside(view, view.classes)
            st.caption(
                f"Of the images of these {len(order)} classes, {models['A']} classifies {outside['A']:.1%} "
                f"and {models['B']} {outside['B']:.1%} as classes outside the filter."
            )
        first, second = st.columns(2, gap="small")
        true = _pick(first, "True class", names, targets[0])
        predicted = _pick(second, "Predicted class", names, targets[1])
    with left:
        if frame.empty:
            st.info("No image to show between these classes.")
        else:
            groups = [names[i] for i in superclass_ends(view, order)]
            _heatmap(view, frame, names, names, show, (true, predicted), _WHOLE, targets, groups)
    if true is None or predicted is None:
        right.info("Click a cell, or choose both classes, to see its pictures.", icon=":material/touch_app:")
        return None, None
    return (true, classes_of[true]), (predicted, classes_of[predicted])


def _ranked(view, frame, show, errors_only, classes_of, targets) -> None:
    """The cells that differ most, or hold most images, with pictures; one clicked is chosen in the lists `targets`."""
    cells = ranked_cells(frame, show)
    if cells.empty:
        return
    letters = "AB" if show == SHOWN[0] else show
    kind = "superclass" if "truesuper" in targets else "class"
    counts = " and ".join(model_names(view)[letter] for letter in letters)
    st.markdown(
        f"**{'Largest changes' if show == SHOWN[0] else 'Largest cells'}**: true {kind} → predicted {kind}, with the "
        f"number of images under {counts}"
    )
    content = []
    for cell in cells.itertuples():
        rows, _ = cell_images(view, classes_of[cell.true], classes_of[cell.predicted], letters, errors_only)
        urls = view.pictures.urls(view.sample_ids[rows[:PICTURES]])
        label = f"{cell.true} → {cell.predicted}"
        content.append({"id": label, "images": [url for url in urls if url], "label": label, "note": cell.text})
    clicked = tiles(content, f"ranked-{targets[0]}", pictured=view.pictures.available)
    if clicked is not None:  # before the lists are drawn
        for target, name in zip(targets, ("true", "predicted"), strict=True):
            st.session_state[target] = str(cells.iloc[clicked][name])


def _pick(place, label: str, options: list[str], key: str) -> str | None:
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    return place.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="any")


def _heatmap(view, frame, rows, columns, show, chosen, key, targets, groups=()) -> None:
    """Draw a matrix; a click on a cell chooses in the two lists, so that the address and the keyboard know one
    choice.
    """

    def clicked() -> None:
        cells = st.session_state[key]["selection"].get("cell", [])
        if cells:
            st.session_state[targets[0]], st.session_state[targets[1]] = cells[0]["true"], cells[0]["predicted"]

    claimed = (frame["claim"] != "not significant").any()
    level = LEVELS[0] if key == _FOLDED else LEVELS[1]
    if show == SHOWN[0]:
        st.caption(escape(cells_text(compared(view), frame, level), 600))
    frame = frame.assign(
        muted=frame["muted"] & claimed, chosen=(frame["true"] == chosen[0]) & (frame["predicted"] == chosen[1])
    )
    if len(columns) > MOST_LABELLED:
        lines = ", parted by superclass" if groups else ""
        st.caption(f"Rows: true class; columns: predicted class{lines}. Point at a cell to see its classes.")
    if len(columns) > NARROW:
        with st.container(key=f"{key}-narrow-hint"):
            st.caption("The matrix is wider than a narrow screen: move it sideways.")
    plot(heatmap, frame, rows, columns, show, groups, width="content", key=key, on_select=clicked)
