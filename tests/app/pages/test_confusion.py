"""The page of the confusion matrix: a cell holds the images of the models shown."""

import numpy as np
from pages import run, text, two_models, write

from cifarcore.app.pages import confusion


def test_a_confusion_cell_holds_the_images_of_the_models_shown(folder, monkeypatch):
    a, b = two_models()
    write(folder, a, b)
    listed = []
    monkeypatch.setattr(confusion, "gallery", lambda view, rows, *_, **__: listed.append(rows))
    app = run(folder, "confusion", {"level": "classes", "true": "beaver", "predicted": "dolphin"})
    true, predicted = (a.class_names.tolist().index(name) for name in ("beaver", "dolphin"))
    in_a, in_b = ((a.labels == true) & (one.logits.argmax(1) == predicted) for one in (a, b))
    for show, here in (("B − A", in_a | in_b), ("A", in_a), ("B", in_b)):
        app.segmented_control(key="show").set_value(show).run()
        assert sorted(listed[-1]) == np.flatnonzero(here).tolist(), show


def test_models_go_by_their_names_and_the_address_by_their_letters(folder):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "confusion", {"show": "B", "level": "classes", "true": "beaver", "predicted": "dolphin"})
    control = app.segmented_control(key="show")
    assert control.value == "B" and app.query_params["show"] in ("B", ["B"])
    assert control.options == [
        "difference B − A",
        f"A {a.group}".replace("-", r"\-"),
        f"B {b.group}".replace("-", r"\-"),
    ]
    assert f"images under B {b.group}" in text(app).replace("\\", "")


def test_the_words_are_of_the_level_that_is_shown(folder):
    write(folder, *two_models())
    for level, kind in (("superclasses", "superclass"), ("classes", "class")):
        said = text(run(folder, "confusion", {"level": level}))
        assert f"true {kind} → predicted {kind}" in said and f"the true {kind} that" in said
    assert "Rows: true class" not in said  # ten are named on the axes
    write(folder, *two_models(n_classes=50))
    assert "Rows: true class; columns: predicted class" in text(run(folder, "confusion", {"level": "classes"}))
