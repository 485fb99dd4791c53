"""The overview's closed sections, each computed when it is opened: where the difference comes from, questions before a
model is used, and training.
"""

import pandas as pd
import streamlit as st

from cifarcore.app.parts import training
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.layout import lines_caption, one_of, page_link
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View, compared
from cifarcore.evidence import absent, equivalence, known
from cifarcore.reports import charts
from cifarcore.reports.tables import decisions as tables
from cifarcore.reports.tables.classes import changed_classes
from cifarcore.reports.tables.known import SOURCES, repeat_table, repeat_text
from cifarcore.reports.tables.slices import sentences, slices_of
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run


def sections(view: View) -> None:
    """Draw the closed sections."""
    judged = (("Duplicates and disputed labels", "content_copy", "known", _known),)
    for title, icon, key, draw in (
        ("Where the difference comes from", "category", "origin", _origin),
        ("Statistical power", "search", "detectable", _detectable),
        ("Can B replace A?", "rule", "good-enough", _good_enough),
        ("Prediction flips (churn)", "swap_horiz", "flips", _flips),
        ("Selective prediction (abstention)", "front_hand", "abstention", _abstention),
        ("Ensemble and error overlap", "group", "together", _together),
        *(judged if memo(known.judged, view.a.first) else ()),
        ("Calibration", "speed", "calibration", training.calibration),
        ("Learning curves", "show_chart", "learning-curves", training.curves),
    ):
        box = st.expander(title, icon=f":material/{icon}:", key=f"{key}-open", bind="query-params")
        if box.open:
            with box:
                draw(view)


def runs_of(view: View) -> tuple[tuple[Run, ...], int]:
    """A's runs, then B's, and how many are A's."""
    return (*view.a.runs, *view.b.runs), len(view.a.runs)


def detectable(view: View) -> str:
    """Which true difference these images would have shown."""
    return memo(tables.detectable_text, *runs_of(view))


def _origin(view: View) -> None:
    """The classes whose recall changes, and, beyond classes, a sentence for the clearest slice either way."""
    for claim, arrow in (("improved", "▲"), ("declined", "▼")):
        names = changed_classes(view, compared(view), claim)["class"].tolist()
        if names:
            title = f"{arrow} **Recall {claim} ({len(names)} classes):** "
            st.markdown(title + ", ".join(page_link(name, "classes", {"class": name}) for name in names))
    for name, sentence in sentences(slices_of(view)):
        st.markdown(f"{page_link(name, 'slices', {'slice': name})}: {escape(sentence, 400)}")


@st.fragment
def _detectable(view: View) -> None:
    st.markdown(escape(memo(tables.detectable_text, *runs_of(view)), 400))
    wished = st.number_input(
        "Difference to detect (percentage points)", 0.01, 99.0, 0.5, 0.1, key="wished", bind="query-params"
    )
    st.markdown(escape(memo(tables.needed_text, *runs_of(view), wished / 100), 400))
    st.caption("Connor, Biometrics 1987, from the discordant images; for several seeds, from their variance.")


@st.fragment
def _good_enough(view: View) -> None:
    margin = st.number_input(
        "Margin (percentage points)",
        0.01,
        99.0,
        100 * equivalence.MARGIN,
        0.1,
        key="margin",
        bind="query-params",
        help="The loss in accuracy that would not matter; choose it before looking at the numbers",
    )
    judged = memo(equivalence.equivalence, *runs_of(view), margin / 100)
    st.markdown(escape(tables.equivalence_text(judged, view.names), 800))
    if not judged.why:
        share = judged.share
        ends = (100 * share.difference, 100 * share.low, 100 * share.high)
        plot(charts.decisions.margin_chart, *ends, margin, width="stretch")


def _table(view: View, table: pd.DataFrame) -> None:
    st.dataframe(table, hide_index=True, height="content", column_config=headed(table, view.names))


def _flips(view: View) -> None:
    _table(view, memo(tables.flip_table, *runs_of(view)))
    st.markdown(escape(memo(tables.flip_text, *runs_of(view)), 400))
    if view.several_seeds:
        st.caption("Mean over all pairs of one seed of A and one of B.")


@st.fragment
def _abstention(view: View) -> None:
    percent = st.number_input("Errors allowed (%)", 0.1, 99.0, 5.0, 0.5, key="allowed", bind="query-params")
    table, coverage = memo(tables.abstention_table, *runs_of(view), percent / 100)
    st.markdown(escape(tables.abstention_text(coverage, percent / 100, view.names), 400))
    frame = memo(tables.curve_frame, *runs_of(view))
    if frame.empty:  # the sentence has said why
        return
    plot(charts.decisions.risk_coverage, frame, view.names, percent / 100, width="stretch")
    lines_caption(view)
    _table(view, table)
    st.caption(
        "AUGRC: the probability that an image is misclassified with more confidence than another (Traub et al., "
        "NeurIPS 2024). Confidence is the probability of the predicted class."
    )
    answered = st.slider("Coverage (%)", 0, 100, 80, key="coverage", bind="query-params")
    whose = one_of("Images left unanswered by", ["A", "B", "both"], "abstains")
    if errors := tables.answered_text(view, answered):
        st.caption(escape(errors, 300))
    if unknown := absent.notes(runs_of(view)[0], ("confidence",)):
        st.caption(escape(unknown[0], 300))
    rows = tables.unanswered(view, answered / 100, whose)
    gallery(
        view,
        rows[view.in_filter[rows]],
        "abstained",
        "Least confident first",
        empty="No image is left unanswered.",
    )


def _known(view: View) -> None:
    repeats = memo(known.repeats, *runs_of(view))
    st.markdown(escape(repeat_text(repeats), 400))
    _table(view, repeat_table(repeats))
    st.caption(SOURCES)


def _together(view: View) -> None:
    st.markdown(escape(memo(tables.together_text, *runs_of(view)), 400))
    _table(view, memo(tables.together_table, *runs_of(view)))
    st.caption(
        f"Compared with the more accurate of the two ({escape(view.first_seeds)}); averages are of probabilities. "
        "The oracle counts an image where either model is correct: what a perfect choice between them would give."
    )
