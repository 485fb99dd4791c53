"""A class that an address names and no model has: another one is shown, and the page says so."""

import pytest
from pages import run, text, two_models, write


@pytest.mark.parametrize(("page", "key"), [("classes", "class"), ("roc", "first"), ("confusion", "true")])
def test_a_class_of_an_address_that_no_model_has_is_told(folder, page, key):
    write(folder, *two_models())
    app = run(folder, page, {key: "no such class"})
    assert "names no such class, which is no class of these models" in text(app)
    assert "no class of these models" not in text(run(folder, page, {key: "otter"}))
