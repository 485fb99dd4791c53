"""Images that were marked on their cards ("more like these"): their classes can be the focus of a retraining."""

from collections import Counter

import streamlit as st

from cifarcore.app.view import View
from cifarcore.runs.run import Run
from cifarcore.text import counted, spaced

_MARKED = "marked-images"  #: session state: address of an image -> its class, as the run file names it


def mark_button(view: View, row: int) -> None:
    """Draw the button that marks the view's image `row`, or takes its mark away."""
    marked = view.address(row) in _marks()
    st.button(
        "Marked: more like this" if marked else "More like this",
        icon=":material/bookmark_added:" if marked else ":material/bookmark_add:",
        key="card-mark",
        on_click=_toggle,
        args=(view.address(row), str(view.a.first.class_names[view.labels[row]])),
        help="The classes of the marked images can be the focus of a short retraining",
    )


def classes_of_marks(run: Run) -> dict[str, int]:
    """How many images of each class of `run` are marked, most first; only classes with any."""
    known = set(run.class_names.tolist())
    return dict(Counter(name for name in _marks().values() if name in known).most_common())


def shown(classes: dict[str, int]) -> str:
    """The marked images by class, in words; names as they stand in the file, not escaped."""
    of_each = ", ".join(f"{spaced(name)} {count}" for name, count in classes.items())
    return f"{counted(sum(classes.values()), 'marked image')}: {of_each}"


def clear() -> None:
    st.session_state.pop(_MARKED, None)


def _marks() -> dict[str, str]:
    return st.session_state.get(_MARKED, {})


def _toggle(address: str, name: str) -> None:
    marks = dict(_marks())
    if marks.pop(address, None) is None:
        marks[address] = name
    st.session_state[_MARKED] = marks
