"""Every page over runs whose images are known by the numbers of rows: it runs, and says why there are no pictures."""

import pytest
from made import made_run
from pages import PAGES, run, text, write

from cifarcore import Run


def numbered(made):
    return Run.from_predictions(
        made.logits, made.labels, class_names=made.class_names, test_set="shop", model=made.meta["model"]
    )


@pytest.mark.parametrize("page", PAGES)
def test_each_page(folder, page):
    write(folder, numbered(made_run()), numbered(made_run(accuracy=0.7, model="resnet18")))
    shown = text(run(folder, page))
    assert "500 test images of shop" in shown
    if page in ("classes", "disagreements"):
        assert "by row number alone" in shown and "cifarcore data" not in shown


def test_other_orders_are_refused_on_the_page(folder):
    a, b = numbered(made_run()), made_run(accuracy=0.7, model="resnet18")
    b = numbered(b.take(list(range(1, 500)) + [0]))
    write(folder, a, b)
    asked = {"A": a.group, "B": b.group}  # of its own accord the app begins with a pair that can be compared
    assert "in different orders" in text(run(folder, "overview", asked)).replace("\\", "")
