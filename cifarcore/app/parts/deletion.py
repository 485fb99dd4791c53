"""The dialog that asks before a run is deleted, for imported and retrained runs alike."""

from collections.abc import Callable

import streamlit as st

from cifarcore.app.safe_text import escape, told
from cifarcore.errors import CifarcoreError


def ask(title: str, name: str, what: str, delete: Callable[[], None]) -> None:
    """Open a dialog that names the run `name` and `what` goes with it; "Delete it" calls `delete` and reruns the app.

    A CifarcoreError of `delete` is shown in the dialog, which then stays open.
    """
    # the title differs, so the decorator is applied here
    st.dialog(title)(confirm)(name, what, delete)


def confirm(name: str, what: str, delete: Callable[[], None]) -> None:
    """What the dialog shows; in a dialog that is open already, the same."""
    st.markdown(f"**{escape(name)}**: {what}")
    with st.container(horizontal=True):
        confirmed = st.button("Delete it", type="primary", icon=":material/delete:")
        kept = st.button("Keep it")
    if confirmed:
        try:
            delete()
        except CifarcoreError as error:
            st.error(told(error, 300))
            return
    if confirmed or kept:
        st.rerun()
