"""The head of every page: its finding as the title, what can be taken along, the two models' keys, the filter."""

from pathlib import Path

import streamlit as st

from cifarcore.app.parts import ahead
from cifarcore.app.parts.download import missing_pictures
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View, same_models
from cifarcore.evidence import comparison
from cifarcore.files import download_name
from cifarcore.reports.sides import Side, all_classes
from cifarcore.runs.memo import memo
from cifarcore.text import plain

_HERE = Path(__file__).parent
_copy_link = st.components.v2.component(
    "cifarcore_copy_link",
    css=(_HERE / "copy_link.css").read_text(encoding="utf-8"),
    js=ahead.script() + (_HERE / "copy_link.js").read_text(encoding="utf-8"),  # on every page
)
_COLORS = {"A": "blue", "B": "orange"}
#: keys of session state of the sidebar's filter, and what each is when it keeps every class
_UNFILTERED = {"super": [], "search": ""}


def head(view: View, finding: str) -> None:
    """Draw the page's title, `finding`, with what stands on every page; called once, before all else."""
    st.title(escape(finding, 300), anchor=False)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="page-head"):
        st.markdown(" &nbsp; ".join(key_of(side) for side in (view.a, view.b)), width="stretch")
        _copy_link(key="copy-link", width="content")
        st.download_button(
            "Export report",
            data=lambda: _report(view),
            file_name=download_name("cifarcore-report", plain(view.a.group), plain(view.b.group), suffix=".html"),
            mime="text/html",
            icon=":material/description:",
            on_click="ignore",
            key="export-report",
            help="The whole comparison as one HTML file that needs no network; takes a few seconds. In a terminal: "
            "`cifarcore compare RUN... --html FILE`",
        )
    for text, icon in view.warnings:
        st.warning(text, icon=icon)
    missing_pictures(view)


def key_of(side: Side) -> str:
    """A model's key with its name and seeds, in Markdown."""
    return f"{key_badge(side.letter)} {escape(side.title)}"


def key_badge(letter: str) -> str:
    """A model's key in its colour, in Markdown."""
    return f":{_COLORS[letter]}-badge[**{letter}**]"


def filter_note(view: View, filtered: str, whole: str, key: str = "clear-filter") -> None:
    """Where the class filter is active, its parts as chips, what it acts on ("the gallery is") and what it does not
    ("the numbers are"), and a way to clear it, whose `key` is another where a page has two.
    """
    if not view.filtered:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        chips = " ".join(f":gray-badge[{chip}]" for chip in _chips(view))
        st.markdown(
            f"{chips} The filter keeps {len(view.classes):,} of {view.n_classes:,} classes: {filtered} of these "
            f"classes only, {whole} of all images.",
            width="stretch",
        )
        icon = ":material/filter_alt_off:"
        if st.button("Clear filter", icon=icon, type="tertiary", on_click=_clear, args=(view,), key=key):
            st.rerun()  # the sidebar is no part of the fragment that most pages draw this in


def _chips(view: View) -> list[str]:
    """The filter's parts in words, as Markdown; the classes kept in the order that the sidebar narrows them in."""
    state = st.session_state
    hardest, search = state.get("hardest", view.n_classes), str(state.get("search") or "").strip()
    by = "A and B" if view.hardness == "A and B" else f"model {view.hardness}"
    metric = {"f1": "F1", "auc": "AUC"}.get(view.class_metric, view.class_metric)
    return [
        *(escape(name) for name in state.get("super") or []),
        *([f"name contains “{escape(search)}”"] if search else []),
        *([f"{hardest:,} most difficult by {metric} of {by}"] if hardest < view.n_classes else []),
    ]


def _clear(view: View) -> None:
    """Runs as a callback, before the sidebar's widgets are drawn."""
    st.session_state.update(_UNFILTERED | {"hardest": view.n_classes})


def _report(view: View) -> bytes:
    from cifarcore.reports.result import Result  # here, with all charts: few ask for a report

    a, b = view.a.given, view.b.given  # as `cifarcore compare` has them: it says what is left out of the files
    return Result(a, b, all_classes(view), memo(comparison.compare, a, b)).html((*a, *b, *same_models(view))).encode()
