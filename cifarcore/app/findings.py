"""Findings: what the report claims, each claim beside a measurement on the two models chosen, and where B's gain comes from."""

import pandas as pd
import streamlit as st

from cifarcore import findings, report
from cifarcore.app import charts, state, tables
from cifarcore.app.state import View, escape, memo

_VERDICTS = {
    findings.HOLDS: ":green[✓ holds]",
    findings.FAILS: ":red[✗ does not hold]",
    findings.UNKNOWN: ":gray[? cannot be told]",
}


def page(view: View) -> None:
    st.title("What the report found, measured again")
    if view.filtered:
        st.caption("The filter of classes does not act here: every number is of all images.")
    if findings.is_about(view.a.first):
        _claims(view)
    else:
        st.info(
            "The report's claims are about CIFAR-100 and these images are not of it, so none is judged.",
            icon=":material/fact_check:",
        )
        _download_report(view)
    _gain(view)


def _claims(view: View) -> None:
    st.markdown(
        f":blue[■] **A** {escape(view.a.title)} :orange[■] **B** {escape(view.b.title)}. "
        "The report is the study of CIFAR-100 classifiers that this project implements. A claim of it holds where the whole 95 % interval of its measurement lies within the bounds, which were written down before "
        "anything was measured; it does not hold where the whole interval lies outside; else it cannot be told. Intervals are over test images, and over seeds where there are several, "
        "or over classes where a number is of classes; they are cut to the values that are possible."
    )
    with st.spinner("Measuring the report's claims…"):
        found = memo(findings.findings, view.a.runs, view.b.runs, state.same_models(view))
    table = tables.findings_table(found)
    counts = found["verdict"].value_counts()
    st.markdown(" · ".join(f"{mark}: **{counts.get(verdict, 0)}**" for verdict, mark in _VERDICTS.items()))
    for column in ("Holds where", "Value (95 % interval)"):
        table[column] = table[column].str.replace(
            " ", "\N{NO-BREAK SPACE}"
        )  # at 1280 pixels the words wrap, the numbers do not
    st.table(table.replace({"Verdict": _VERDICTS}).map(_text), border="horizontal", hide_index=True)
    with st.container(horizontal=True):
        _download_report(view)
        st.download_button(
            "Findings (CSV)",
            state.csv(found),
            "cifarcore-findings.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _download_report(view: View) -> None:
    st.download_button(
        "HTML report",
        data=lambda: _report(view),
        file_name="cifarcore-report.html",
        mime="text/html",
        icon=":material/description:",
        on_click="ignore",
        help="The whole comparison as one file that needs no network; takes some seconds. By hand: `cifarcore compare RUN... --html FILE`",
    )


def _text(cell: str) -> str:
    if cell in _VERDICTS.values():
        return cell.replace(" ", "\N{NO-BREAK SPACE}")
    return "\N{NO-BREAK SPACE}".join(escape(part, 300) for part in cell.split("\N{NO-BREAK SPACE}"))


def _report(view: View) -> bytes:
    runs = (*view.a.runs, *view.b.runs, *state.same_models(view))
    return report.html_page(view.a.group, view.b.group, list(view.a.runs), list(view.b.runs), runs).encode()


def _gain(view: View) -> None:
    st.subheader("Where the difference comes from")
    gain: pd.DataFrame = memo(findings.gain_by_superclass, view.a.runs, view.b.runs)
    if gain.empty:
        st.info(state.NO_SUPERCLASSES)
        return
    st.markdown(
        "B − A in recall of the fine classes, by superclass, with 95 % intervals; false discoveries held at 5 % over the superclasses."
    )
    st.altair_chart(charts.gains(gain.assign(name=[state.plain(name) for name in gain["name"]])), width="stretch")
