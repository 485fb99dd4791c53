"""The page of classes: in which order they are, and that it says so; what is drawn when it is opened."""

from pages import run, two_models, write

from cifarcore.app.pages import classes


def test_the_order_names_the_metric_that_it_sorts_by(folder, monkeypatch):
    write(folder, *two_models())
    drawn = []
    monkeypatch.setattr(classes, "plot", lambda draw, frame, *_, **__: drawn.append((draw, frame)))
    for metric in ("Precision", "F1"):
        drawn.clear()
        app = run(folder, "classes", {"metric": metric, "order": "largest B − A"})
        control = app.segmented_control(key="order")
        assert control.options == ["hardest first", f"largest B − A in {metric}"]
        assert control.value == "largest B − A" and app.query_params["order"] in ("largest B − A", ["largest B − A"])
        frame = next(frame for draw, frame in drawn if draw is classes.dumbbells)
        assert frame["difference"].is_monotonic_decreasing and not frame["a"].is_monotonic_increasing


def drawn(app):
    return len(app.dataframe), len(app.get("vega_lite_chart"))


def test_table_and_superclasses_are_drawn_when_they_are_opened(folder):
    write(folder, *two_models())
    tables, charts = drawn(run(folder, "classes"))
    assert drawn(run(folder, "classes", {"table-open": "true"})) == (tables + 1, charts)
    assert drawn(run(folder, "classes", {"superclasses-open": "true"})) == (tables, charts + 1)
