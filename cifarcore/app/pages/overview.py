"""Overview: which model is better, by how much, how sure that is, and on which images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app import kept
from cifarcore.app.addresses import tell_unknown
from cifarcore.app.catalog import find_runs, load_sides
from cifarcore.app.parts import decisions, ranking
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head, key_badge
from cifarcore.app.parts.layout import notes
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.split import split_bar
from cifarcore.app.safe_text import csv, escape
from cifarcore.app.view import View, compared, other_seeds
from cifarcore.evidence import comparison, disagreement
from cifarcore.evidence.comparison import Comparison
from cifarcore.files import is_link, runs_dir
from cifarcore.reports.charts import marks
from cifarcore.reports.summary import SUMMARY
from cifarcore.reports.tables.classes import CLASS_METRICS, HARDNESS, hardest_first
from cifarcore.reports.tables.galleries import OUTCOMES, surest_first, surest_words
from cifarcore.reports.tables.other_seeds import other_seeds_text
from cifarcore.reports.tables.overview import (
    costs,
    metric_rows,
    metric_table,
    split_frame,
)
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import number

MOST_SUMMARY_BYTES = 1 << 20
_SPLIT_HELP = {
    "both correct": "Both models are correct",
    "only A": "{a} is correct, {b} is wrong",
    "only B": "{b} is correct, {a} is wrong",
    "neither": "Both models are wrong",
}
_GROUPS = {name: group for group, name in OUTCOMES.items()}


def read_ahead(root: Path) -> None:
    """Compute what this page shows of the models that are chosen at first, before anybody asks for it."""
    catalog = find_runs(runs_dir(root))
    names = catalog.defaults()
    chosen = [catalog.chosen(name, catalog.seeds(name)[0]) for name in names]
    comparison.refuse_too_large([header for headers in chosen for header in headers])
    a, b, _ = load_sides(chosen[0], chosen[1], names)
    hardest_first(a, b, HARDNESS[0], next(iter(CLASS_METRICS.values())))  # the sidebar's
    kept.compare_ahead(a, b)
    memo(_metric_rows, a.runs, b.runs)
    ranking.read_ahead(catalog, a.first)


def page(view: View) -> None:
    result = compared(view)
    head(view, result.verdict)
    _verdict(view, result)
    filter_note(view, "the pictures below are", "all numbers here are")
    left, right = st.columns([1.6, 1], gap="medium")
    rows = memo(_metric_rows, view.a.runs, view.b.runs)
    with left:
        if len(rows):
            st.html(marks.metric_rows(rows, view.names))
    with right:
        beside = st.container()  # drawn last, since it reads further run files
    lines = [escape(note, 400) for note in result.notes]
    if not result.better:
        lines.append(escape(decisions.detectable(view), 400))
    if implied := other_seeds_text(view, other_seeds(view)):
        lines.append(escape(implied, 800))
    notes(lines)
    _costs(view)
    _split(view)
    decisions.sections(view)
    ranking.panel(view)
    box = st.expander("Table of metrics", icon=":material/table:", key="metrics-open", bind="query-params")
    if box.open:  # a table takes the browser as much code to load as all else on the page
        with box:
            _table(metric_table(view, result), view.names)
    _downloads(view, result)
    with beside:
        ranking.beside(view)


def _metric_rows(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> pd.DataFrame:
    return metric_rows(memo(comparison.compare, runs_a, runs_b))


def _verdict(view: View, result: Comparison) -> None:
    """Both accuracies large, and the interval of their difference."""
    accuracy = result.metrics.loc["accuracy"]
    with st.container(border=True):
        columns = st.columns([1, 1, 2.4], vertical_alignment="center")
        for column, letter, name in zip(columns, "AB", view.names, strict=False):
            column.metric(f"{key_badge(letter)} {escape(name, 24)}", number(accuracy[letter.lower()], ".2%"))
        if np.isfinite(accuracy["low"]):
            columns[2].html(marks.difference_interval(accuracy, view.names))
        st.markdown(escape(result.sentence, 1000))


def _costs(view: View) -> None:
    strip = costs(view)
    for column, (title, a, b) in zip(st.columns(max(1, len(strip))), strip, strict=False):
        column.markdown(f"**{title}**  \n{key_badge('A')} {a}  \n{key_badge('B')} {b}")


def _table(table: pd.DataFrame, names: tuple[str, str]) -> None:
    helped = {
        "B − A": st.column_config.TextColumn(help="Always B minus A"),
        "Method": st.column_config.TextColumn(
            width="large",
            help="The test and the interval; df: degrees of freedom of Student's t, the fewer, the wider the interval",
        ),
        "p": st.column_config.TextColumn(
            help="Probability of a result at least this extreme if both models had equal accuracy "
            "(in other rows: an equal expectation of that metric)"
        ),
    }
    st.dataframe(table, hide_index=True, height="content", column_config=headed(table, names, more=helped))


@st.fragment
def _split(view: View) -> None:
    seeds = f" ({view.first_seeds})" if view.several_seeds else ""
    st.subheader(f"Correctness on the same images{seeds}")
    bar = st.container()  # drawn once it is known what is chosen
    tell_unknown(_GROUPS, "split")
    chosen = st.segmented_control(
        "Show the pictures of",
        list(_GROUPS),
        key="split",
        bind="query-params",
        help="Newly wrong: A is correct and B is wrong. Newly right: the other way round.",
    )
    with bar:
        split_bar(split_frame(view), "overview-split", chosen or "", _choose)
    if chosen:
        group = _GROUPS[chosen]
        rows = np.flatnonzero((memo(disagreement.four_way, view.pair) == group) & view.in_filter)
        rows = surest_first(view, rows)
        inside = " in the classes of the filter" if view.filtered else ""
        gallery(
            view,
            rows,
            "split",
            _SPLIT_HELP[group].format(a=escape(view.names[0]), b=escape(view.names[1])) + inside + surest_words(view),
            name=chosen,
        )


def _choose(outcome: str) -> None:
    """A click on the bar chooses below it, so that the address and the keyboard know one choice."""
    if outcome in _GROUPS:
        st.session_state["split"] = outcome


def _downloads(view: View, result: Comparison) -> None:
    summary = runs_dir(view.root) / SUMMARY
    with st.container(horizontal=True):
        st.download_button(
            "Metrics (CSV)",
            lambda: csv(metric_table(view, result), ("A", "B", "B − A")),
            "cifarcore-metrics.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        if summary.is_file() and not is_link(summary) and summary.stat().st_size < MOST_SUMMARY_BYTES:
            st.download_button(
                "Summary as last written",
                summary.read_bytes(),
                SUMMARY,
                "text/plain",
                icon=":material/description:",
                on_click="ignore",
                help="By `cifarcore compare`: of the runs that it names, as they were then",
            )
        else:
            st.caption(f"`cifarcore compare RUN... --out {SUMMARY}` writes the summary of all runs.")
