"""Replication: how the report's claims hold here, each interval against the band that it must lie in."""

import streamlit as st

from cifarcore.app.parts.head import head
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import csv, escape
from cifarcore.app.view import View, same_models
from cifarcore.evidence import absent, findings, seed_notes
from cifarcore.reports import headings
from cifarcore.reports.charts.findings import bands
from cifarcore.reports.tables.findings import band_frame, findings_table
from cifarcore.runs.memo import memo

_VERDICTS = {
    findings.FAILS: ":red[✗ does not hold]",
    findings.UNKNOWN: ":gray[? inconclusive]",
    findings.HOLDS: ":green[✓ holds]",
}


def page(view: View) -> None:
    if not findings.is_about(view.a.first):
        head(view, "Nothing to replicate on these images")
        st.info("This page is about the test images of CIFAR-100.", icon=":material/fact_check:")
        return
    with st.spinner("Measuring the report's claims…"):
        measured = memo(findings.findings, view.a.runs, view.b.runs, same_models(view))
    head(view, headings.of_claims(measured))
    if view.filtered:
        st.caption("The class filter does not apply here: every number is of all images.")
    counts = measured["verdict"].value_counts()
    st.markdown(" · ".join(f"{mark}: **{counts.get(verdict, 0)}**" for verdict, mark in _VERDICTS.items()))
    st.caption(
        "The report is the published study of CIFAR-100 classifiers that this project implements. Each row is on a "
        "scale of its own. Grey: the band in which the claim holds, with its bounds. Mark and line: the measurement "
        "with its 95% CI."
    )
    plot(bands, band_frame(measured, view.names), width="stretch", key="findings-bands")
    lacking = absent.notes((*view.a.runs, *view.b.runs), ("macro_auc", "top5", "confidence"))
    for note in (*lacking, *seed_notes.mean_notes(view.a.runs, view.b.runs)):
        st.caption(escape(note, 300))
    with st.expander("How a claim is judged", icon=":material/rule:"):
        st.markdown(
            "A claim holds where the whole 95% CI of its measurement lies within the bounds, which were written down "
            "before anything was measured; it does not hold where the whole CI lies outside; otherwise it is "
            "inconclusive. Intervals are over test images, over seeds too where there are several, or over classes "
            "where a number is of classes. Those of t-SNE hold for this one map of each run: t-SNE with another random "
            "start gives another, which they do not count."
        )
    with st.expander("Table", icon=":material/table:"):
        _table(measured)
    st.download_button(
        "Claims (CSV)",
        csv(measured),
        "cifarcore-findings.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _table(measured) -> None:
    table = findings_table(measured)
    table.insert(0, "Verdict", table.pop("Verdict"))  # in sight on a narrow screen too
    for column in ("Holds where", "Value (95% CI)"):  # the words wrap, the numbers do not
        table[column] = table[column].str.replace(" ", "\N{NO-BREAK SPACE}")
    st.table(table.replace({"Verdict": _VERDICTS}).map(_text), border="horizontal", hide_index=True)


def _text(cell: str) -> str:
    if cell in _VERDICTS.values():
        return cell.replace(" ", "\N{NO-BREAK SPACE}")
    return "\N{NO-BREAK SPACE}".join(escape(part, 300) for part in cell.split("\N{NO-BREAK SPACE}"))
