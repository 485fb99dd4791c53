"""Classes: where each model fails, class by class, down to the pictures of one class."""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app.parts import numbers
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import head
from cifarcore.app.parts.layout import one_of
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View, compared
from cifarcore.reports import headings
from cifarcore.reports.charts.classes import ARROWS_LEGEND, dumbbells, gains, outcomes
from cifarcore.reports.tables.classes import (
    CLASS_METRICS,
    HARDNESS,
    class_confusions,
    class_frame,
    class_text,
    outcome_frame,
    share_outside,
)
from cifarcore.reports.tables.findings import superclass_gains
from cifarcore.reports.tables.galleries import wrong_first
from cifarcore.text import count_form

# classes in the chart, whose table has them all; of more marks Streamlit makes a canvas, whose text knows no theme
MOST_DRAWN = 280
_KEY = "class"
_CHART = "classes-chart"
_ORDERS = ("hardest first", "largest B − A")


def page(view: View) -> None:
    metric = next(title for title, column in CLASS_METRICS.items() if column == view.class_metric)
    result = compared(view)
    frame = class_frame(view, result, view.class_metric)
    head(view, headings.of_classes(result))
    _explorer(view, frame, metric)
    _gains(view)


@st.fragment
def _explorer(view: View, frame: pd.DataFrame, metric: str) -> None:
    left, right = st.columns([1.05, 1], gap="medium")
    with right:  # the choice comes first, since the chart marks it
        chosen = _choose(view)
        _outcomes(view, chosen)
    with left:
        _classes(view, frame, metric, view.class_names[chosen])
    _drill_down(view, chosen)


def _classes(view: View, frame: pd.DataFrame, metric: str, chosen: str) -> None:
    order = one_of("Order", _ORDERS, "order", shown={_ORDERS[1]: f"{_ORDERS[1]} in {metric}"})
    if order == _ORDERS[1]:
        frame = frame.sort_values("difference", ascending=False, kind="stable")
    drawn = frame.head(MOST_DRAWN)
    st.subheader(f"{metric} of each class")
    test = "t-test, seeds and images as random effects" if view.several_seeds else "mid-p McNemar test"
    interval = " with its 95% CI, of each class alone" if frame["low"].notna().any() else ""
    difficulty = "the mean of A and B" if view.hardness == HARDNESS[0] else f"that of {view.hardness}"
    st.caption(
        f":blue[●] A :orange[◆] B; to the right B − A in {metric}{interval}. "
        f"{ARROWS_LEGEND} ({test}, FDR controlled at 5% over all classes, Benjamini-Hochberg). "
        f"Difficulty is {difficulty}."
    )
    if len(drawn) < len(frame):
        st.caption(
            f"The first {len(drawn)} of {len(frame):,} classes are shown; the filter in the sidebar chooses others."
        )
    scrolls = len(drawn) > 28
    if scrolls:
        st.caption(f"The chart scrolls: it holds {len(drawn)} classes.")
    with st.container(height=620 if scrolls else "content", border=scrolls):
        plot(dumbbells, drawn, metric, chosen, width="stretch", key=_CHART, on_select=_clicked)
    box = st.expander("Table", icon=":material/table:", key="table-open", bind="query-params")
    if not box.open:
        return
    titles = {"a": f"A: {metric}", "b": f"B: {metric}", "difference": "B − A", "low": "95% CI from", "high": "to"}
    forms = {title: ".4f" if name in "ab" else "+.4f" for name, title in titles.items()}
    table = frame.rename(columns=titles | {"claim": "recall, tested"})
    box.dataframe(numbers.shown(table, forms), hide_index=True, column_config=numbers.headed(table.columns, view.names))


@st.fragment
def _gains(view: View) -> None:
    if view.a.first.superclass_of is None:
        return
    box = st.expander("By superclass", icon=":material/category:", key="superclasses-open", bind="query-params")
    if not box.open:
        return
    gain = superclass_gains(view.a.runs, view.b.runs)
    with box:
        st.markdown(
            "B − A in recall of the classes, by superclass, with 95% CIs; FDR controlled at 5% over the superclasses."
        )
        plot(gains, gain, width="stretch", key="classes-gains")


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
    st.markdown(f"**{escape(class_text(view, chosen), 300)}**" + (f" ({superclass})" if superclass else ""))
    plot(outcomes, outcome_frame(view, chosen), width="stretch", key="classes-outcomes")
    if view.filtered:
        outside = share_outside(view, np.array([chosen]))
        st.caption(f"Classified outside the filter: A {outside['A']:.1%}, B {outside['B']:.1%}")
    confusions = class_confusions(view, chosen)
    if len(confusions):
        seeds = ", mean over seeds" if view.several_seeds else ""
        st.markdown(f"Most frequent confusions with {name} (test images{seeds})")
        form = count_form(confusions["A"], confusions["B"])
        st.dataframe(
            numbers.shown(confusions, {"A": form, "B": form}),
            hide_index=True,
            height="content",
            column_config=numbers.headed("AB", view.names, 14, {"confusion": {"label": "true → predicted"}}),
        )
    else:
        st.caption("Neither model confuses this class with another.")


def _drill_down(view: View, chosen: int) -> None:
    rows = wrong_first(view, np.flatnonzero(view.labels == chosen))
    name = escape(view.class_names[chosen])
    gallery(
        view,
        rows,
        "class-wrong",
        f"**{name}**: images misclassified by at least one run, those that most runs misclassify first",
        empty=f"Every run classifies all images of {name} correctly.",
        name=f"wrong {view.class_names[chosen]}",
    )
