"""The page of classes: in which order they are, and that it says so."""

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
