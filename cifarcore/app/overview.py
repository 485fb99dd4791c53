"""Overview: which model is better, by how much, how sure that is, and on which images."""

from urllib.parse import urlencode

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import disagreement
from cifarcore.app import charts, ranked, tables
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import filter_note
from cifarcore.app.state import View, compared, csv, escape, memo, runs_dir
from cifarcore.comparison import Comparison
from cifarcore.summary import SUMMARY

MOST_SUMMARY_BYTES = 1 << 20
MOST_NAMED = 30  # classes that gained or lost, before they are folded away
_SPLIT_HELP = {
    "both right": "Both models are right",
    "only A": "Model A is right, model B wrong",
    "only B": "Model B is right, model A wrong",
    "both wrong": "Both models are wrong",
}


def page(view: View) -> None:
    st.title("Which model is better, and by how much")
    result = compared(view)
    _verdict(view, result)
    filter_note(view, "the pictures below are", "all numbers here are")
    table = tables.metric_table(view, result)
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config={
            "B − A": st.column_config.TextColumn(help="Always model B minus model A"),
            "Method": st.column_config.TextColumn(
                width="large",
                help="The test and the interval; df: the degrees of freedom of Student's t, the fewer, the wider the interval",
            ),
            "p": st.column_config.TextColumn(
                help="Probability of a difference at least this large if the models were equal"
            ),
        },
    )
    for note in result.notes:
        st.caption(escape(note, 400))
    ranked.panel(view)
    _split(view)
    _curves(view)
    _downloads(view, table)


def _verdict(view: View, result: Comparison) -> None:
    color = {"B is better": "orange", "A is better": "blue"}.get(result.verdict, "gray")
    icon = {"B is better": ":material/trending_up:", "A is better": ":material/trending_down:"}.get(
        result.verdict, ":material/drag_handle:"
    )
    with st.container(border=True):
        st.markdown(f"## :{color}[{icon} {escape(result.verdict)}]")
        st.markdown(escape(result.sentence, 1000))
        st.markdown(f":blue[■] **A** {escape(view.a.title)} :gray[against] :orange[■] **B** {escape(view.b.title)}")
        for claim, arrow in (("gained", "▲"), ("lost", "▼")):
            names = tables.claimed_classes(view, result, claim)
            if names:
                title = f"{arrow} **{claim.capitalize()} recall in B ({len(names)}):** "
                st.markdown(title + ", ".join(_link(name) for name in names[:MOST_NAMED]))
                if len(names) > MOST_NAMED:
                    with st.expander(f"{len(names) - MOST_NAMED} more"):
                        st.markdown(", ".join(_link(name) for name in names[MOST_NAMED:]))


def _link(name: str) -> str:
    """A link to the class on the page Classes, with the models that the address names; the filter is left behind."""
    models = {key: st.query_params[key] for key in ("A", "seedA", "B", "seedB") if key in st.query_params}
    return f"[{escape(name)}](classes?{urlencode(models | {'class': name})})"


@st.fragment
def _split(view: View) -> None:
    st.subheader("Same images, four outcomes")
    groups = memo(disagreement.four_way, view.pair)
    frame = disagreement.split_frame(groups)
    st.altair_chart(charts.split_bar(frame), width="stretch", key="overview-split-chart")
    counted = " · ".join(f"{group} {images:,}" for group, images in zip(frame["group"], frame["images"], strict=True))
    st.caption(counted + (f" ({view.first_seeds})" if view.several_seeds else ""))
    chosen = st.segmented_control(
        "Show the pictures of",
        list(disagreement.FOUR_WAYS),
        key="split",
        bind="query-params",
        help="Only A: model A is right, model B wrong. Only B: the other way round.",
    )
    if chosen:
        rows = np.flatnonzero((groups == chosen) & view.in_filter)
        rows = tables.surest_first(view, rows)
        inside = " in the classes of the filter" if view.filtered else ""
        gallery(
            view,
            rows,
            "split",
            f"{_SPLIT_HELP[chosen]}{inside}, those first on which either model is surest",
            name=chosen,
        )


def _curves(view: View) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("Learning curves")
        history = tables.history_frame((view.a, view.b))
        if history.empty:
            st.info(
                "These runs tell no validation accuracy by epoch; `cifarcore evaluate` writes it of models that were trained "
                "here with a validation split."
            )
        else:
            st.altair_chart(charts.learning_curves(history), width="stretch")
            without = [side.letter for side in (view.a, view.b) if side.letter not in set(history["model"])]
            if without:
                st.caption(f"Model {without[0]} tells no validation accuracy by epoch.")
    with right:
        st.subheader("Calibration")
        st.altair_chart(charts.reliability(tables.reliability_frame((view.a, view.b))), width="stretch")


def _downloads(view: View, table: pd.DataFrame) -> None:
    summary = runs_dir(view.root) / SUMMARY
    with st.container(horizontal=True):
        st.download_button(
            "Metrics (CSV)",
            csv(table),
            "cifarcore-metrics.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        if summary.is_file() and summary.stat().st_size < MOST_SUMMARY_BYTES:
            st.download_button(
                "Summary of all runs",
                summary.read_bytes(),
                SUMMARY,
                "text/plain",
                icon=":material/description:",
                on_click="ignore",
            )
        else:
            st.caption("`cifarcore compare RUN...` writes the summary of all runs.")
