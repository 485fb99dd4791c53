"""The dialog that asks before a run is deleted."""

import pytest
from pages import TIMEOUT, text
from streamlit.testing.v1 import AppTest


def dialog_alone(refused):
    """The dialog on a run of an odd name; runs inside AppTest."""
    import streamlit as st

    from cifarcore.app.parts import deletion
    from cifarcore.errors import CifarcoreError

    def delete():
        if refused:
            raise CifarcoreError("the file is [in use]; close it")
        st.session_state["deleted"] = True

    if "deleted" not in st.session_state:
        deletion.ask("Delete this run?", "<b>x", "its run file.", delete)


@pytest.fixture(params=[False, True], ids=["deletes", "is refused"])
def app(request):
    return AppTest.from_function(dialog_alone, kwargs={"refused": request.param}, default_timeout=TIMEOUT).run()


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception, app.exception


def test_it_names_the_run_and_what_goes_with_it_as_text(app):
    assert any("its run file." in element.value and "\\<b" in element.value for element in app.markdown), text(app)
    assert "deleted" not in app.session_state


def test_only_delete_it_deletes(app):
    press(app, "Keep it")
    assert "deleted" not in app.session_state and not app.error


@pytest.mark.parametrize("app", [False], indirect=True)
def test_delete_it_deletes_and_closes(app):
    press(app, "Delete it")
    assert app.session_state["deleted"] and not app.button


@pytest.mark.parametrize("app", [True], indirect=True)
def test_a_refusal_is_one_line_and_the_dialog_stays_open(app):
    press(app, "Delete it")
    assert app.error[0].value == "the file is \\[in use\\]; close it"
    assert [button.label for button in app.button] == ["Delete it", "Keep it"]
