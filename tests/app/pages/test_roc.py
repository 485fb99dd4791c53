"""The ROC page's numbers against scikit-learn, and what it lists against NumPy."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run
from pages import pair_by_hand, run, side, text, two_models, write
from sklearn.metrics import roc_auc_score

from cifarcore.app.pages import roc
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables import roc as roc_tables
from cifarcore.reports.tables.roc import SOURCES, Task


@pytest.fixture
def listed(monkeypatch):
    """The rows that the page's gallery was given last."""
    seen = SimpleNamespace(rows=None)
    monkeypatch.setattr(roc, "gallery", lambda view, rows, *_, **__: setattr(seen, "rows", rows))
    return seen


def test_the_page_shows_the_pair_that_the_address_names_and_its_flips(folder, listed):
    runs = two_models(seeds=(0, 1))
    write(folder, *runs)
    names = runs[0].class_names.tolist()
    app = run(folder, "roc", first=names[4], second=names[2], point="20%")
    assert app.selectbox(key="first").value == names[4] and app.selectbox(key="second").value == names[2]
    table = app.dataframe[-1].value.set_index("Model")
    for letter, seeds in ((f"A {runs[0].group}", runs[:2]), (f"B {runs[2].group}", runs[2:])):
        by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(r, 4, 2) for r in seeds)]
        assert table.loc[letter, "AUC"] == f"{np.mean(by_hand):.4f} ± {np.std(by_hand, ddof=1):.4f}"
    scores, rows = [pair_by_hand(r, 4, 2)[0] for r in (runs[0], runs[2])], pair_by_hand(runs[0], 4, 2)[2]
    flipped = [(p >= 0.2) != (p >= 0.5) for p in scores]
    assert sorted(listed.rows) == sorted(rows[flipped[0] | flipped[1]])
    app.segmented_control(key="flips").set_value("flipped by B").run()
    assert sorted(listed.rows) == sorted(rows[flipped[1]])
    assert app.query_params["flips"] in ("flipped by B", ["flipped by B"])
    assert app.segmented_control(key="flips").options[2].replace("\\", "") == f"flipped by B {runs[2].group}"
    assert app.segmented_control(key="pairs").options[0].replace("\\", "") == f"errors of A {runs[0].group}"
    assert f"B {runs[2].group} flips **" in text(app).replace("\\", "")
    app.segmented_control(key="flips").set_value("A and B decide differently").run()
    assert sorted(listed.rows) == sorted(rows[(scores[0] >= 0.2) != (scores[1] >= 0.2)])
    app.select_slider(key="point").set_value("50%").run()
    assert sorted(listed.rows) == sorted(rows[(scores[0] >= 0.5) != (scores[1] >= 0.5)]) and "away from 50%" in text(
        app
    )
    said = [each.logits.argmax(1)[rows] for each in (runs[0], runs[2])]
    confused = [(label != told) & np.isin(told, (4, 2)) for told in said for label in [runs[0].labels[rows]]]
    for shown, mask in zip(roc.CONFUSED, (confused[0] | confused[1], *confused), strict=True):
        app.segmented_control(key="confused").set_value(shown).run()
        assert sorted(listed.rows) == sorted(rows[mask]), shown


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (10, 500), (200, 600)])
def test_every_mode_with_other_numbers_of_classes(folder, listed, n_classes, n_images):
    write(folder, *two_models(n_classes=n_classes, n_images=n_images))
    app = run(folder, "roc")
    for mode in roc.MODES:
        app.segmented_control(key="apart").set_value(mode).run()
        assert not app.exception and "AUC" in app.dataframe[-1].value


def test_a_narrow_screen_holds_the_table_of_pairs(folder, listed):
    write(folder, *two_models())
    (table,) = (each for each in run(folder, "roc").dataframe if "Pair" in each.value)
    widths = {name: column["width"] for name, column in json.loads(table.proto.columns).items() if "width" in column}
    assert set(widths) == {"Pair", "A", "B", "AUC B − A"} and sum(widths.values()) <= 400 - 2 * 14 - 40


def test_the_class_lists_obey_the_filter(folder, listed):
    write(folder, *two_models())
    app = run(folder, "roc", hardest=4)
    assert len(app.selectbox(key="first").options) == 4 and len(app.selectbox(key="second").options) == 3


def test_a_class_without_images_has_no_curve(folder, listed):
    a, b = (each.take(np.flatnonzero(each.labels != 5)) for each in two_models())
    write(folder, a, b)
    assert "No curve" in text(run(folder, "roc", apart=roc.MODES[1], first=str(a.class_names[5])))


def test_a_filter_of_one_class_offers_it_alone_or_says_that_a_pair_needs_two(folder):
    write(folder, *two_models())
    only = made_run().class_names[3]
    app = run(folder, "roc", {"search": only, "apart": "one-vs-rest"})
    assert app.selectbox(key="first").options == [only] and "list of classes is of these" in text(app)
    app = run(folder, "roc", {"search": only})
    assert len(app.selectbox(key="first").options) == 10 and "two are needed" in text(app)
    assert len(app.dataframe[0].value) > 0
    app = run(folder, "roc", {"search": only, "apart": "macro-average"})
    assert "does not apply here" in text(app) and "list of classes" not in text(app)


def test_the_macro_average_claims_nothing_of_each_class(folder):
    write(folder, *two_models())
    (title,) = run(folder, "roc", apart=roc.MODES[2]).title
    assert "the average class" in title.value and "each class" not in title.value


def test_the_page_says_that_it_adjusts_for_the_choice(folder):
    a, b = two_models()
    write(folder, a, b)
    view = Sides(side("A", a), side("B", b), 0, 0, np.arange(10))
    pair = roc_tables.pair_frame(view, SOURCES[2]).loc[0]
    names = {key: str(a.class_names[int(pair[key])]).replace("_", " ") for key in ("first", "second")}
    for source, chosen in ((SOURCES[2], True), (SOURCES[0], False)):
        app = run(folder, "roc", names | {"pairs": source})
        assert ("adjusted for the choice among 45 pairs" in text(app)) == chosen
        expected = roc_tables.auc_frame(
            view.a, view.b, Task(int(pair["first"]), int(pair["second"])), 45 if chosen else 1
        )
        shown = next(one.value for one in app.dataframe if list(one.value.columns)[:2] == ["Model", "AUC"])
        assert shown[["AUC", "95% CI", "p"]].to_dict() == roc_tables.auc_table(expected).drop(columns="Model").to_dict()


def test_precision_stands_beside_one_class_against_the_rest_alone(folder, listed):
    write(folder, *two_models())
    for mode, charts in ((roc.MODES[0], 1), (roc.MODES[1], 2), (roc.MODES[2], 1)):
        app = run(folder, "roc", apart=mode)
        assert len(app.get("vega_lite_chart")) == charts
        assert ("Average precision" in app.dataframe[-1].value) == (charts == 2)
        assert len([one for one in app.dataframe if "AUC" in one.value]) == 1
