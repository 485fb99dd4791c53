"""Confusion: what each model takes for what, folded to superclasses or class by class, down to a cell's pictures."""

import numpy as np
import streamlit as st

from cifarcore.app import charts, confusion_tables
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import filter_note, one_of
from cifarcore.app.state import View, compared, escape
from cifarcore.app.tables import count_form

SHOWN = ("B − A", "A", "B")
LEVELS = ("superclasses", "classes")
MOST_DRAWN = 150  # classes along an axis
_FOLDED, _UNFOLDED, _WHOLE = "confusion-folded", "confusion-unfolded", "confusion-whole"


def page(view: View) -> None:
    st.title("What is taken for what")
    _confusion(view)


@st.fragment
def _confusion(view: View) -> None:
    result = compared(view)
    folds = view.a.first.superclass_of is not None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        show = one_of("Show", SHOWN, "show")
        level = one_of("Level", LEVELS if folds else LEVELS[1:], "level")
        errors_only = st.toggle(
            "Errors only", value=True, key="errors", bind="query-params", help="Leaves out the right answers"
        )
    letters = "AB" if show == SHOWN[0] else show
    st.caption(
        "A cell counts the test images of the true class that a model takes for the predicted one, in this one direction"
        + (", mean over seeds. " if view.several_seeds else ". ")
        + ("B − A: orange cells hold more under B, blue ones more under A. " if show == SHOWN[0] else "")
        + "An empty cell holds no image under either model"
        + (", or right answers." if errors_only else ".")
    )
    left, right = st.columns([1.35, 1], gap="medium")
    if level == LEVELS[0]:
        true, predicted = _superclasses(view, result, show, errors_only, left, right)
    else:
        true, predicted = _classes(view, result, show, errors_only, left, right)
    if true is None:
        return
    rows, notes = confusion_tables.cell_images(view, true[1], predicted[1], letters, errors_only)
    by = "some run of either model" if letters == "AB" else f"some run of model {letters}"
    gallery(
        view, rows, "cell", f"**{escape(true[0])}** taken for **{escape(predicted[0])}** by {by}", notes,
        empty=f"No image of {escape(true[0])} is taken for {escape(predicted[0])} by {by}.",
        name=f"{true[0]} taken for {predicted[0]}",
    )  # fmt: skip


def _superclasses(view, result, show, errors_only, left, right):
    """The folded matrix, and unfolded the pair of superclasses chosen; (name, classes) of the cell, or (None, None)."""
    run = view.a.first
    names = view.superclass_names
    with right:
        first, second = st.columns(2, gap="small")
        true = _pick(first, "True superclass", names, "truesuper")
        predicted = _pick(second, "Predicted superclass", names, "predictedsuper")
    frame = confusion_tables.superclass_frame(view, result, show, errors_only)
    with left:
        filter_note(view, "the level «classes» is", "this matrix and its pictures are")
        _heatmap(frame, names, names, show, (true, predicted), _FOLDED, ("truesuper", "predictedsuper"), 620)
    if true is None or predicted is None:
        with right:
            st.info("Click a cell, or choose both superclasses, to unfold it.", icon=":material/touch_app:")
            _largest(frame, show, "largest-folded", ("truesuper", "predictedsuper"))
        return None, None
    rows, columns = (np.flatnonzero(run.superclass_of == names.index(name)) for name in (true, predicted))
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
    frame = confusion_tables.confusion_frame(view, result, show, rows, columns, errors_only)
    with chart_place:
        if frame.empty:
            st.info("No image in this cell.")
        else:
            _heatmap(frame, row_names, column_names, show, (true, predicted), _UNFOLDED, ("true", "predicted"), 330)
    if true is None or predicted is None:
        return None, None
    return (true, rows[[row_names.index(true)]]), (predicted, columns[[column_names.index(predicted)]])


def _classes(view, result, show, errors_only, left, right):
    """The matrix of all classes that the filter leaves; (name, classes) of the cell chosen, or (None, None)."""
    order = confusion_tables.superclass_order(view)
    hardest = view.classes[:MOST_DRAWN]
    order = order[np.isin(order, hardest)]
    names = [view.class_names[c] for c in order]
    with right:
        if len(hardest) < len(view.classes):
            st.caption(f"The {MOST_DRAWN} hardest classes are drawn; the filter in the sidebar chooses others.")
        if view.filtered:
            outside = confusion_tables.share_outside(view, view.classes)
            st.caption(
                f"Of the images of these {len(order)} classes, A sends {outside['A']:.1%} and B {outside['B']:.1%} to classes outside the filter."
            )
        first, second = st.columns(2, gap="small")
        true = _pick(first, "True class", names, "true")
        predicted = _pick(second, "Predicted class", names, "predicted")
    frame = confusion_tables.confusion_frame(view, result, show, order, order, errors_only)
    with left:
        if frame.empty:
            st.info("No image to show between these classes.")
        else:
            _heatmap(frame, names, names, show, (true, predicted), _WHOLE, ("true", "predicted"), 620)
    with right:
        _largest(frame, show, "largest-whole", ("true", "predicted"))
    if true is None or predicted is None:
        right.info("Click a cell, or choose both classes, to see its pictures.", icon=":material/touch_app:")
        return None, None
    return (true, order[[names.index(true)]]), (predicted, order[[names.index(predicted)]])


def _largest(frame, show, key, targets) -> None:
    """The cells with the most images, or that differ most; a row clicked chooses in the two lists as a cell does."""
    largest = frame.reindex(frame["value"].abs().sort_values(ascending=False, kind="stable").index).head(12)

    def choose() -> None:
        rows = st.session_state[key]["selection"]["rows"]
        if rows:
            for target, name in zip(targets, ("true", "predicted"), strict=True):
                st.session_state[target] = str(largest.iloc[rows[0]][name])

    st.markdown(
        ("Largest cells" if show != SHOWN[0] else "Largest changes")
        + " (images, true → predicted; a row chooses its cell)"
    )
    number = st.column_config.NumberColumn
    claimed = largest["claim"] != "not claimed"
    table = largest.drop(columns=["value", "muted"] if claimed.any() else ["value", "muted", "claim"])
    st.dataframe(
        table.replace({"claim": {"not claimed": ""}}).rename(columns={"a": "A", "b": "B", "difference": "B − A"}),
        hide_index=True,
        height="content",
        key=key,
        on_select=choose,
        selection_mode="single-row",
        column_order=("A", "B", "B − A", "true", "predicted", "claim"),  # long names run on to the right
        column_config={
            "A": number(format=count_form(frame["a"]), width=46),
            "B": number(format=count_form(frame["b"]), width=46),
            "B − A": number(format=count_form(frame["difference"], sign="+"), width=50),
        },
    )


def _pick(place, label: str, options: list[str], key: str) -> str | None:
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    return place.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="any")


def _heatmap(frame, rows, columns, show, chosen, key, targets, height) -> None:
    """Draw a matrix; a click on a cell chooses in the two lists, so that the address and the keyboard know one choice."""

    def clicked() -> None:
        cells = st.session_state[key]["selection"].get("cell", [])
        if cells:
            st.session_state[targets[0]], st.session_state[targets[1]] = cells[0]["true"], cells[0]["predicted"]

    claimed = (frame["claim"] != "not claimed").any()
    if show == SHOWN[0]:
        tested = "tested class by class, false discoveries held at 5 %"
        st.caption(
            f"Cells that do not differ reliably are muted; a cell of superclasses differs where one of its classes' does ({tested})."
            if claimed
            else f"No cell differs reliably ({tested}): read these as noise or as hints."
        )
    frame = frame.assign(
        muted=frame["muted"] & claimed, chosen=(frame["true"] == chosen[0]) & (frame["predicted"] == chosen[1])
    )
    chart = charts.heatmap(frame, rows, columns, signed=show == SHOWN[0], height=height)
    st.altair_chart(chart, width="stretch", key=key, on_select=clicked)
