"""Classes: where each model fails, class by class, down to the pictures of one class."""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app import charts, confusion_tables, tables
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import one_of
from cifarcore.app.state import CLASS_METRICS, HARDNESS, View, compared, escape

MOST_DRAWN = 300  # classes in the chart; the table behind it has them all
_KEY = "class"
_CHART = "classes-chart"
_ORDERS = ("hardest first", "largest B − A")


def page(view: View) -> None:
    metric = next(title for title, column in CLASS_METRICS.items() if column == view.class_metric)
    frame = tables.class_frame(view, compared(view), view.class_metric)
    st.title(f"{metric} of each class")
    _explorer(view, frame, metric)


@st.fragment
def _explorer(view: View, frame: pd.DataFrame, metric: str) -> None:
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        _classes(view, frame, metric)
    with right:
        chosen = _choose(view)
        _outcomes(view, chosen)
    _drill_down(view, chosen)


def _classes(view: View, frame: pd.DataFrame, metric: str) -> None:
    order = one_of("Order", _ORDERS, "order")
    if order == _ORDERS[1]:
        frame = frame.sort_values("difference", ascending=False, kind="stable")
    drawn = frame.head(MOST_DRAWN)
    seeds = len(view.a.runs), len(view.b.runs)
    over = "seeds and images" if min(seeds) > 1 else "images alone"
    test = f"tested over {over}" if view.several_seeds else "exact McNemar test"
    st.markdown(
        f":blue[●] A {escape(view.a.title)} :orange[◆] B {escape(view.b.title)}. Hardness is "
        f"{'the mean of A and B' if view.hardness == HARDNESS[0] else f'that of {view.hardness}'}; "
        "the thin line is the 95 % interval of B − A, from A's point. "
        f"▲ recall gained, ▼ recall lost: {test}, false discoveries held at 5 % (Benjamini-Hochberg)."
    )
    if len(drawn) < len(frame):
        st.caption(
            f"The first {len(drawn)} of {len(frame):,} classes are drawn; the filter in the sidebar chooses others."
        )
    with st.container(height=620 if len(drawn) > 28 else "content", border=False):
        st.altair_chart(charts.dumbbells(drawn, metric), width="stretch", key=_CHART, on_select=_clicked)
    with st.expander("Table", icon=":material/table:"):
        st.dataframe(
            frame.rename(
                columns={
                    "a": f"A: {metric}",
                    "b": f"B: {metric}",
                    "difference": "B − A",
                    "low": "interval from",
                    "high": "to",
                    "claim": "recall (tested)",
                }
            ),
            hide_index=True,
            column_config={
                name: st.column_config.NumberColumn(format="%.4f")
                for name in (f"A: {metric}", f"B: {metric}", "B − A", "interval from", "to")
            },
        )


def _clicked() -> None:
    """A click on the chart chooses in the list, so that the address and the keyboard know one choice."""
    points = st.session_state[_CHART]["selection"].get("class_clicked", [])
    if points:
        st.session_state[_KEY] = points[0]["class"]


def _choose(view: View) -> int:
    names = [view.class_names[c] for c in view.classes]
    if st.session_state.get(_KEY) not in names:
        st.session_state.pop(_KEY, None)
    chosen = st.selectbox("Class (or click one in the chart)", names, key=_KEY, bind="query-params")
    return int(view.classes[names.index(chosen)])


def _outcomes(view: View, chosen: int) -> None:
    name, superclass = escape(view.class_names[chosen]), escape(view.superclass(chosen))
    st.markdown(f"Where the test images of **{name}** went" + (f" ({superclass})" if superclass else ""))
    st.altair_chart(
        charts.outcomes(confusion_tables.outcome_frame(view, chosen)), width="stretch", key="classes-outcomes"
    )
    if view.filtered:
        outside = confusion_tables.share_outside(view, np.array([chosen]))
        st.caption(f"Sent to classes outside the filter: A {outside['A']:.1%}, B {outside['B']:.1%}")
    rivals = confusion_tables.rivals_frame(view, chosen)
    if len(rivals):
        seeds = ", mean over seeds" if view.several_seeds else ""
        st.markdown(f"Nearest rivals (test images{seeds}): → {name} taken for the rival, ← the rival taken for {name}")
        number = st.column_config.NumberColumn
        numbers = {
            column: number(format=tables.count_form(rivals[column], sign="+" if "−" in column else ""), width=50)
            for column in rivals.columns[1:]
        }
        st.dataframe(rivals, hide_index=True, height="content", column_config=numbers)
    else:
        st.caption("Neither model confuses this class with another.")


def _drill_down(view: View, chosen: int) -> None:
    rows = tables.wrong_first(view, np.flatnonzero(view.labels == chosen))
    name = escape(view.class_names[chosen])
    gallery(
        view,
        rows,
        "class-wrong",
        f"**{name}**: test images that some run gets wrong, those wrong in most runs first",
        empty=f"No run gets an image of {name} wrong.",
        name=f"wrong {view.class_names[chosen]}",
    )
