"""What an address names and is not there: something else is shown, and the page says so."""

import pytest
from pages import run, text, two_models, write

from cifarcore.runs.selections import save_selection

GONE = "no such name"


@pytest.mark.parametrize(("page", "key"), [("classes", "class"), ("roc", "first"), ("confusion", "true")])
def test_a_class_of_an_address_that_no_model_has_is_told(folder, page, key):
    write(folder, *two_models())
    app = run(folder, page, {key: GONE})
    assert f"names {GONE}, which is no class of these models" in text(app)
    assert "no class of these models" not in text(run(folder, page, {key: "otter"}))


@pytest.mark.parametrize(
    ("page", "key", "there", "what"),
    [
        ("disagreements", "group", "only B correct", "no group of these models"),
        ("disagreements", "of", "otter", "not among these images"),
        ("slices", "slice", "", "no slice of these models"),
        ("slices", "slices-of", "", "not offered here"),
        ("slices", "property", "", "not offered here"),
        ("slices", "saved", "mine", "none of your slices"),
        ("explorer", "saved", "mine", "no slice here"),
        ("explorer", "slice", "", "no slice here"),
        ("explorer", "color", "class", "not offered here"),
        ("explorer", "map", "UMAP", "not offered here"),
        ("overview", "split", "newly wrong", "not offered here"),
        ("overview", "metric", "F1", "not offered here"),
        ("overview", "by", "A", "not offered here"),
        ("overview", "super", "aquatic mammals", "no superclass of these models"),
        ("overview", "image", "", "no image that both models have"),
        ("confusion", "level", "classes", "not offered here"),
        ("confusion", "show", "A", "not offered here"),
        ("confusion", "truesuper", "aquatic mammals", "no superclass of these models"),
        ("classes", "order", "largest B − A", "not offered here"),
        ("roc", "apart", "one-vs-rest", "not offered here"),
        ("roc", "point", "5%", "not offered here"),
    ],
)
def test_a_choice_of_an_address_that_is_not_there_is_told_once(folder, page, key, there, what):
    models = two_models()
    write(folder, *models)
    save_selection(folder, "mine", models[0].sample_ids[:50], models[0].labels[:50])
    app = run(folder, page, {key: GONE})
    assert text(app).count(f"The address names {GONE}, which is {what}; it is not shown.") == 1
    app.run()
    kept = page == "explorer" or key == "image"  # by the address alone: no widget has it
    assert kept or "The address names" not in text(app)
    assert "The address names" not in text(run(folder, page, {key: there} if there else {}))


def test_your_slices_are_told_where_there_are_none(folder):
    write(folder, *two_models())
    assert "names mine, which is none of your slices" in text(run(folder, "slices", {"saved": "mine"}))
