"""What all pages look like: the few style rules, and what stands there when nothing can be compared."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from cifarcore.app.addresses import (
    CLASSES,
    IMAGE,
    SUPERCLASSES,
    begin_with_address,
    name_in_address,
    tell_unknown,
)
from cifarcore.app.parts.sidebar import Problem
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.reports.charts import marks
from cifarcore.reports.sides import lines_text
from cifarcore.text import keyed

# our own constant text, no name from a file
_STYLE = f"<style>{Path(__file__).with_name('page.css').read_text(encoding='utf-8')}{marks.STYLE}</style>"


def one_of(
    label: str, options: Sequence[str], key: str, place=st, shown: Mapping[str, str] | None = None, **more
) -> str:
    """A row of buttons, one of them always chosen, the first to begin with; bound to the address by `key`.

    `shown` are other words, in Markdown, for some of the `options`; the address names an option all the same. An
    address that names none (`?key=`) means the first too: Streamlit takes it for no choice, `required` or not.
    """
    with nullcontext() if place is st else place:
        tell_unknown(options, key)
    if shown is None:
        more["bind"] = "query-params"
    else:  # bound, the address would name the words shown
        more["format_func"] = lambda option: shown.get(option, option)
        begin_with_address(key, options)
    more["wrap"] = True  # in a column too, where what is beyond a narrow screen would be out of sight
    chosen = place.segmented_control(label, options, default=options[0], required=True, key=key, **more) or options[0]
    if shown is not None:
        name_in_address(**{key: chosen})
    return chosen


def model_names(view: View) -> dict[str, str]:
    """Both models by letter, in Markdown: the key and the name, cut in its middle."""
    return {letter: escape(keyed(letter, name)) for letter, name in zip("AB", view.names, strict=True)}


def lines_caption(view: View) -> None:
    """Say which runs a chart of a line each leaves out; nothing where it draws all."""
    if text := lines_text(len(view.a.runs), len(view.b.runs)):
        st.caption(text)


def notes(lines: Sequence[str]) -> None:
    """Draw notes, in Markdown, as one line that says how many there are and opens; nothing where there is none."""
    if lines:
        with st.expander(f"{len(lines)} note{'s' if len(lines) > 1 else ''}", icon=":material/notes:"):
            st.caption("\n\n".join(lines))  # one element for all


def page_frame(page: Callable[[View], None], view: View | Problem) -> None:
    """Run `page(view)`, or say what is missing and which command adds it."""
    st.html(_STYLE)
    if isinstance(view, Problem):
        st.title("Compare two classifiers")
        st.warning(f"**{view.what}.** {view.remedy}", icon=":material/inventory_2:")
        return
    tell_unknown(view.class_names, *CLASSES, what="no class of these models")
    tell_unknown(view.superclass_names, *SUPERCLASSES, what="no superclass of these models")
    shown = [address for address in st.query_params.get_all(IMAGE) if view.row_at(address) is not None]
    tell_unknown(shown, IMAGE, what="no image that both models have")
    page(view)


def page_link(text: str, page: str, parameters: dict[str, str]) -> str:
    """A link to another page, in Markdown, with the models that the address names; the filter is left behind."""
    models = {key: st.query_params[key] for key in ("A", "seedA", "B", "seedB") if key in st.query_params}
    return f"[{escape(text, 200)}]({page}?{urlencode(models | parameters)})"
