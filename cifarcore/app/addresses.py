"""Addresses (URLs): what they name although it is the default, and what values of earlier versions are called now, so
that old links show the same view.
"""

import re
from collections.abc import Collection, Sequence

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

#: where the pictures are: Streamlit's address of an app's own files, the only one that st.image takes for a URL
PICTURES = "app/static/pictures"

#: query parameter -> value of an earlier version -> its name now
_RENAMED = {
    "split": {
        "both right": "both correct",
        "both wrong": "neither",
        "only A": "newly wrong",
        "only B": "newly right",
    },
    "group": {
        "only A right": "only A correct",
        "only B right": "only B correct",
        "same wrong answer": "same wrong class",
        "also in training": "train-test duplicates",
    },
    "color": {"four-way split": "correctness", "right or wrong": "correct or wrong"},
    "list": {
        "wrong by either": "misclassified by either",
        "wrong by A": "misclassified by A",
        "wrong by B": "misclassified by B",
        "all, the wrong first": "all, misclassified first",
    },
}
#: parameters that name classes or superclasses, which once had underscores for spaces
_NAMES = ("super", "class", "true", "predicted", "truesuper", "predictedsuper", "first", "second", "of", "confusion")
#: parameters that name an image, by View.address, and a superclass
IMAGE, SUPERCLASSES = "image", ("truesuper", "predictedsuper")
#: parameters that name a class
CLASSES = ("class", "true", "predicted", "first", "second", "within")


def renamed(parameter: str, value: str) -> str:
    """The value of a query parameter as it is called now."""
    if parameter in _NAMES:
        return value.replace("_", " ")
    if parameter == "point":
        return re.sub(r" %$", "%", value)
    return _RENAMED.get(parameter, {}).get(value, value)


def follow_renamed() -> None:
    """Bring an old address up to date before any widget begins with what it names."""
    old = {name: st.query_params.get_all(name) for name in (*_RENAMED, *_NAMES, "point")}
    new = {name: [renamed(name, value) for value in values] for name, values in old.items()}
    if changed := {name: values for name, values in new.items() if values != old[name]}:
        with get_script_run_ctx().session_state.query_params() as params:
            for name, values in changed.items():  # of a widget that is there already, where the reader went back
                params.set_corrected_value(name, values if len(values) > 1 else values[0], "string_array_value")
            params.set_initial_query_params_from_current()  # what a widget begins with is kept apart from the address


def begin_with_address(key: str, options: Sequence[str]) -> str:
    """Have the widget `key` begin with what the address names, at first and where the reader goes back; returns what is
    chosen and not among `options` any more.

    What Streamlit binds is left out of the address where it is the default, and another day has another default.
    """
    named, went_back = st.query_params.get(key), get_script_run_ctx().is_history_navigation
    if went_back or f"{key}-began" not in st.session_state:
        st.session_state[f"{key}-began"] = True
        if went_back:
            st.session_state.pop(key, None)
        if named:
            st.session_state[key] = named
    chosen = st.session_state.get(key, options[0])
    if chosen in options:
        return ""
    del st.session_state[key]
    return chosen


def tell_unknown(known: Collection[str], *parameters: str, what: str = "not offered here") -> None:
    """Say what the address names by `parameters` and is not among `known`: widgets begin with their default without a
    word. Called before the widget is drawn, which brings the address up to date.
    """
    from cifarcore.app.safe_text import escape  # with pandas, which starting the server does not need

    named = (value for parameter in parameters for value in st.query_params.get_all(parameter))
    if unknown := dict.fromkeys(value for value in named if value and value not in known):
        told = f"The address names {escape(', '.join(unknown), 200)}, which is {what}; it is not shown."
        st.warning(told, icon=":material/link_off:")


def name_in_address(**values: str) -> None:
    """Have the address name what these keys are, default or not; told to the browser once for all of them."""
    if any(st.query_params.get(key) != value for key, value in values.items()):
        st.query_params.update(values)
