"""The explorer's maps, boxes and lists against NumPy and scikit-learn on the run files."""

import re
from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st
from made import made_run
from pages import run, text, two_models, write

from cifarcore.app.pages import explorer
from cifarcore.app.parts import selection
from cifarcore.evidence.slices import find, of_images
from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.tables import explorer as maps
from cifarcore.reports.tables.explorer import Lasso
from cifarcore.runs.selections import save_selection, selections

NUMBER = st.floats(-1e6, 1e6)


@pytest.fixture
def listed(monkeypatch):
    """The rows and notes that the page's gallery was given last, and the frame that its maps were made of."""
    seen = SimpleNamespace(rows=None, notes=None, frame=None)

    def gallery(view, rows, key, title="", notes=None, empty="", name=""):
        seen.rows, seen.notes = rows, notes

    def drawn(frame, *arguments):
        seen.frame = frame
        return draw(frame, *arguments)

    draw = map_charts.content
    monkeypatch.setattr(explorer, "gallery", gallery)
    monkeypatch.setattr(selection, "gallery", gallery)
    monkeypatch.setattr(map_charts, "content", drawn)
    explorer._content.cache_clear()
    return seen


def test_maps_are_made_once_for_all_selections_and_anew_for_what_they_show(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "explorer")
    first = listed.frame
    app.query_params["marked"] = "A,0,1,0,1"
    app.run()
    assert listed.rows is not None and listed.frame is first and "pictures below the maps" in text(app)
    app.query_params["marked"] = "A,1000,1001,0,1"
    app.run()
    assert "**0** images in the box" in text(app) and "pictures below the maps" not in text(app)
    app.query_params["marked"] = "A,0,1,0,1"
    app.run()
    app.selectbox(key="color").set_value("class").run()
    assert listed.frame is not first and not listed.frame["a_color"].equals(first["a_color"])
    second = listed.frame
    app.slider(key="hardest").set_value(3).run()
    assert len(listed.frame) < len(second)
    write(folder, made_run(model="cnn", accuracy=0.9), b)
    app.run()
    assert not app.exception and (listed.frame["a_class"] == listed.frame["label"]).mean() > 0.8


def inside(positions, x0, x1, y0, y1):
    x, y = positions.T.astype(float)
    return (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)


@pytest.mark.parametrize(("letter", "kind"), [("A", "t-SNE"), ("B", "UMAP")])
def test_a_box_lists_exactly_the_misclassified_images_inside(folder, listed, letter, kind):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    bounds = (-0.8, 0.1, -0.5, 0.9)
    app = run(folder, "explorer", map=kind, query={"marked": ",".join([letter, *map(str, bounds)])})
    within = inside(getattr({"A": a, "B": b}[letter], explorer.MAPS[kind]), *bounds)
    wrong_a, wrong_b = a.logits.argmax(1) != a.labels, b.logits.argmax(1) != b.labels
    assert 0 < (within & (wrong_a | wrong_b)).sum() < within.sum()
    assert sorted(listed.rows) == np.flatnonzero(within & (wrong_a | wrong_b)).tolist()
    for choice, kept in (
        ("misclassified by A", wrong_a),
        ("misclassified by B", wrong_b),
        ("all, misclassified first", np.ones(2000, bool)),
    ):
        app.segmented_control(key="list").set_value(choice).run()
        assert sorted(listed.rows) == np.flatnonzero(within & kept).tolist()
    last = (wrong_a | wrong_b)[listed.rows]
    assert last[: last.sum()].all()


def test_one_confusion_can_be_chosen(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    app = run(folder, "explorer", query={"marked": "A,-9,9,-9,9"})
    chosen = app.selectbox(key="confusion").options[1].split(" · ")[0]
    app.selectbox(key="confusion").set_value(chosen).run()
    true, predicted = (a.class_names.tolist().index(name) for name in chosen.split(" → "))
    by_hand = (a.labels == true) & ((a.logits.argmax(1) == predicted) | (b.logits.argmax(1) == predicted))
    assert sorted(listed.rows) == np.flatnonzero(by_hand).tolist()
    assert set(listed.notes) <= {f"{letters}: {chosen}" for letters in ("A", "B", "A and B")}


def test_a_click_lists_that_image_whether_right_or_wrong(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    row = int(np.flatnonzero(a.correct & b.correct)[0])
    run(folder, "explorer", query={"marked": f"{a.sample_ids[row]:016x}-{a.labels[row]}"})
    assert listed.rows.tolist() == [row]


def test_the_filter_leaves_the_points_and_the_list_of_its_classes(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    run(folder, "explorer", search=str(a.class_names[3]), query={"marked": "A,-9,9,-9,9"})
    assert listed.frame["id"].tolist() == a.sample_ids[a.labels == 3].tolist()
    assert sorted(listed.rows) == np.flatnonzero((a.labels == 3) & ~(a.correct & b.correct)).tolist()


def test_every_colour_of_every_point(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "explorer")
    for color, (side, letter) in product(explorer.COLORS, ((a, "a"), (b, "b"))):
        app.selectbox(key="color").set_value(color).run()
        found = listed.frame[f"{letter}_color"].to_numpy()
        if color == "confidence":
            p = np.exp(side.logits.astype(float) - side.logits.astype(float).max(1, keepdims=True))
            assert found == pytest.approx(p.max(1) / p.sum(1), abs=1e-6)
        elif color == "correct or wrong":
            assert np.array_equal(found, side.logits.argmax(1) != side.labels)
        elif color == "superclass":
            assert np.array_equal(found, side.superclass_of[side.labels])
        elif color == "class":
            assert len(set(zip(found, side.labels, strict=True))) == 10
        else:
            right_a, right_b = (each.logits.argmax(1) == each.labels for each in (a, b))
            assert np.array_equal(found, np.where(right_a, np.where(right_b, 0, 1), np.where(right_b, 2, 3)))
    assert np.array_equal(listed.frame[["a_x", "a_y"]], a.tsne) and np.array_equal(listed.frame[["b_x", "b_y"]], b.tsne)


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (200, 1000)])
def test_other_numbers_of_classes(folder, listed, n_classes, n_images):
    a, b = two_models(n_classes=n_classes, n_images=n_images)
    write(folder, a, b)
    run(folder, "explorer", color="class", query={"marked": "B,-0.5,2,-2,2"})
    assert sorted(listed.rows) == np.flatnonzero(inside(b.tsne, -0.5, 2, -2, 2) & ~(a.correct & b.correct)).tolist()


def test_of_many_images_some_are_drawn_and_all_are_listed(folder, listed, monkeypatch):
    monkeypatch.setattr(maps, "MOST_DRAWN", 300)
    monkeypatch.setattr(maps.drawn, "__defaults__", (300,))
    a, b = two_models(n_images=1000)
    write(folder, a, b)
    app = run(folder, "explorer", query={"marked": "A,-9,9,-9,9"})
    assert len(listed.frame) == 300 and "300 of 1,000 images are drawn" in text(app)
    assert len(listed.rows) == (~(a.correct & b.correct)).sum()


def test_missing_maps_name_the_command(folder, listed):
    a, b = two_models(maps=False)
    write(folder, a, b)
    assert "cifarcore project" in text(run(folder, "explorer"))
    a, b = two_models()
    write(folder, a, replace(b, tsne=None))
    app = run(folder, "explorer", query={"marked": "A,-9,9,-9,9"})
    assert " has no `" in text(app) and len(listed.rows)
    assert "b_x" not in listed.frame


def test_without_superclasses_they_are_no_colour(folder, listed):
    write(folder, *two_models(superclasses=False))
    assert "superclass" not in run(folder, "explorer").selectbox(key="color").options


def test_numbers_typed_select_and_clearing_ends_it(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    assert not run(folder, "explorer").number_input  # the fields are drawn once they are asked for
    app = run(folder, "explorer", {"coordinates-open": "true"})
    assert listed.rows is None
    app.selectbox(key="box-map").set_value("B")
    app.number_input(key="box-x from").set_value(0.25)
    app.number_input(key="box-y to").set_value(0.5)
    next(button for button in app.button if button.label == "Select").click().run()
    assert not app.exception
    assert (
        sorted(listed.rows)
        == np.flatnonzero((b.tsne[:, 0] >= 0.25) & (b.tsne[:, 1] <= 0.5) & ~(a.correct & b.correct)).tolist()
    )
    listed.rows = None
    next(button for button in app.button if button.label == "Clear selection").click().run()
    assert listed.rows is None and "marked" not in app.query_params


def test_a_change_of_map_ends_the_selection(folder, listed):
    write(folder, *two_models())
    app = run(folder, "explorer", query={"marked": "A,-9,9,-9,9"})
    app.segmented_control(key="map").set_value("UMAP").run()
    assert "marked" not in app.query_params


def test_seeds_after_the_first_do_not_move_the_map(folder, listed):
    write(folder, *two_models(seeds=(0, 1)))
    app = run(folder, "explorer")
    assert np.array_equal(listed.frame[["a_x", "a_y"]], made_run(model="cnn", accuracy=0.5).tsne)
    assert "seed 0" in text(app)


@pytest.fixture
def begun(monkeypatch):
    """The selection and the turn with which the maps were drawn, each time."""
    seen = []
    monkeypatch.setattr(explorer, "maps", lambda content, start, turn, key, on_marked: seen.append((start, turn)))
    return seen


def test_a_box_on_a_map_that_is_not_there_marks_nothing(folder, listed):
    a, b = two_models()
    write(folder, replace(a, tsne=None, umap=None), b)
    run(folder, "explorer", {"marked": "A,-3,3,-3,3"})
    assert listed.rows is None
    run(folder, "explorer", {"marked": "B,-3,3,-3,3"})
    assert len(listed.rows)


def test_the_maps_follow_the_address_and_forget_a_box_on_another_runs_map(folder, begun):
    write(folder, *two_models(seeds=(0, 1)), made_run(model="third"))
    box, other = "A,-3,3,-3,3", "A,-1,1,-1,1"
    app = run(folder, "explorer", {"A": "cnn-made", "B": "resnet18-made", "marked": box})
    app.query_params["marked"] = other  # as Back does
    app.run()
    assert begun[0][0] == box and begun[-1][0] == other and begun[-1][1] > begun[0][1]
    app.selectbox(key="B").set_value("third-made").run()
    assert app.query_params["marked"] == other and begun[-1][0] == other
    app.selectbox(key="A").set_value("resnet18-made").run()
    assert "marked" not in app.query_params and begun[-1][0] == "" and not app.exception


def test_a_lasso_lists_what_it_holds(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    lasso = Lasso("B", ((-1.0, -1.0), (1.5, -0.5), (0.0, 1.0)))
    app = run(folder, "explorer", query={"marked": str(lasso), "list": "all, misclassified first"})
    assert 0 < lasso.holds(b.tsne).sum() < 2000
    assert sorted(listed.rows) == np.flatnonzero(lasso.holds(b.tsne)).tolist()
    assert "in the lasso on the map of B" in text(app)


def test_what_was_clicked_in_the_panel_narrows_the_list(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    name = str(a.class_names[3]).replace("_", " ")
    run(folder, "explorer", query={"marked": "A,-9,9,-9,9", "outcome": "only B", "within": name})
    assert sorted(listed.rows) == np.flatnonzero(~a.correct & b.correct & (a.labels == 3)).tolist()
    run(folder, "explorer", query={"marked": "A,-9,9,-9,9", "outcome": "nonsense", "within": "no class"})
    assert sorted(listed.rows) == np.flatnonzero(~(a.correct & b.correct)).tolist()


def test_a_selection_is_saved_beside_the_runs_and_the_slices_list_it(folder):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "explorer", query={"marked": "A,-1,1,-1,1"})
    app.text_input(key="explorer-slice").set_value("hard animals/../x")
    next(button for button in app.button if button.label == "Save").click().run()
    (saved,) = app.success
    assert not app.exception and "see Slices" in saved.value
    (kept,), refused = selections(folder)
    assert refused == [] and kept.name == "hard-animals-x"
    within = inside(a.tsne, -1, 1, -1, 1)
    assert kept.among(a.sample_ids, a.labels).tolist() == within.tolist()
    app = run(folder, "slices", {"saved": "hard-animals-x"})
    table = app.dataframe[-1].value
    difference = b.correct[within].mean() - a.correct[within].mean()
    assert table["Slice"].tolist() == ["hard-animals-x"]
    assert table["B − A (points)"].tolist() == [f"{100 * difference:+.1f}".replace("-", "−")]
    assert f"· **{within.sum():,}**" in text(app)
    next(button for button in app.button if button.label == "Delete this slice").click().run()
    assert selections(folder) == ([], []) and not app.exception


def test_a_slice_of_ones_own_that_the_address_names_is_marked_and_listed(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    rows = np.random.default_rng(0).choice(2000, 150, replace=False)
    save_selection(folder, "blurred", a.sample_ids[rows], a.labels[rows])
    app = run(folder, "explorer", query={"saved": "blurred", "color": "slice"})
    assert app.selectbox(key="color").value == "slice" and "**150** images in the slice blurred" in text(app)
    mask = np.isin(np.arange(2000), rows)
    assert all((listed.frame[f"{letter}_color"].to_numpy() == mask).all() for letter in "ab")
    assert len(listed.rows) and set(listed.rows) <= set(rows)
    assert re.search(r"\(slices\?\S*saved=blurred\)", text(app))
    next(button for button in app.button if button.label == "Clear selection").click().run()
    assert "saved" not in app.query_params and not app.exception and app.selectbox(key="color").value != "slice"
    assert "color" not in run(folder, "explorer", query={"saved": "no such", "color": "slice"}).query_params
    there = text(run(folder, "slices", {"saved": "blurred"}))
    assert re.search(r"\(explorer\?\S*saved=blurred&color=slice\)", there)


def test_a_slice_that_the_address_names_is_marked_and_listed(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    found = find([a], [b], of_images(a))
    name = found.conditions[0]
    app = run(folder, "explorer", query={"slice": name, "color": "slice"})
    mask = found.mask(name)
    assert app.selectbox(key="color").value == "slice"
    assert all((listed.frame[f"{letter}_color"].to_numpy() == mask).all() for letter in "ab")
    assert f"**{mask.sum():,}** images in the slice" in text(app) and set(listed.rows) <= set(np.flatnonzero(mask))
    next(button for button in app.button if button.label == "Clear selection").click().run()
    assert "slice" not in app.query_params and not app.exception and app.selectbox(key="color").value != "slice"
    assert "color" not in run(folder, "explorer", query={"slice": "no such"}).query_params
