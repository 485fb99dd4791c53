"""The maps of both models, boxes and lassos on them and the confusions inside, against NumPy and scikit-learn."""

import base64
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import classes_only
from pages import two_models
from sklearn.metrics import confusion_matrix

from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import explorer as maps
from cifarcore.reports.tables import explorer_list, explorer_map
from cifarcore.reports.tables.explorer import Box, Lasso

NUMBER = st.floats(-1e6, 1e6)


@settings(deadline=None)
@given(st.sampled_from("AB"), NUMBER, NUMBER, NUMBER, NUMBER)
def test_a_box_survives_the_address(letter, x0, x1, y0, y1):
    box = Box(letter, (min(x0, x1), max(x0, x1)), (min(y0, y1), max(y0, y1)))
    found = Box.parse(str(box))
    assert found.letter == letter and np.allclose([*found.x, *found.y], [*box.x, *box.y], rtol=1e-9, atol=0)


@pytest.mark.parametrize("text", ["", "A", "C,1,2,3,4", "A,1,2,3", "A,1,2,3,nan", "A,1,2,inf,4", "A,a,b,c,d", "00ff-3"])
def test_what_is_no_box_is_none(text):
    assert Box.parse(text) is None


def test_a_lasso_survives_the_address_and_holds_what_shapely_would():
    corners = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0))  # a notch from above
    lasso = Lasso("B", corners)
    assert Lasso.parse(str(lasso)) == lasso == maps.marked(str(lasso)) and Box.parse(str(lasso)) is None
    points = np.array([[2, 0.5], [2, 2], [1, 2], [3.5, 3], [-1, 1], [5, 1], [2, -1]], np.float32)
    assert lasso.holds(points).tolist() == [True, False, True, True, False, False, False]
    square = Lasso("A", ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)))
    rng = np.random.default_rng(0)
    many = rng.uniform(-2, 2, (1000, 2))
    assert np.array_equal(square.holds(many), Box("A", (-1, 1), (-1, 1)).holds(many))


@pytest.mark.parametrize("text", ["", "A~", "A~1,2,3,4", "A~1,2,3,4,5", "C~0,0,1,0,1,1", "A~0,0,1,0,1,nan", "A,0,1,0"])
def test_what_is_no_lasso_is_none(text):
    assert Lasso.parse(text) is None
    assert Lasso.parse("A~" + ",".join(["1"] * 2 * (maps.MOST_CORNERS + 1))) is None


def test_confusions_are_scikit_learns_off_the_diagonal():
    a, b = two_models()
    table = maps.confusions(a.labels, a.predictions, b.predictions)
    for column, each in (("a", a), ("b", b)):
        matrix = confusion_matrix(each.labels, each.predictions, labels=range(10))
        np.fill_diagonal(matrix, 0)
        found = np.zeros((10, 10), int)
        found[table["true"], table["predicted"]] = table[column]
        assert np.array_equal(found, matrix)
    assert (table["images"].diff().dropna() <= 0).all()
    same = (a.labels == table["true"][0]) & (
        (a.predictions == table["predicted"][0]) | (b.predictions == table["predicted"][0])
    )
    assert table["images"][0] == same.sum()


def test_images_of_one_confusion_stand_together_the_commonest_first_and_the_right_last():
    a, b = two_models()
    order, group = maps.by_confusion(a.labels, a.predictions, b.predictions, np.linspace(0, 1, 500))
    assert sorted(order) == list(range(500))
    wrong = ~(a.correct & b.correct)[order]
    assert wrong[: wrong.sum()].all() and np.array_equal(group >= 0, wrong)
    assert (np.diff(group[wrong]) >= 0).all()
    table = maps.confusions(a.labels, a.predictions, b.predictions)
    for row, place in zip(order[wrong], group[wrong], strict=True):
        true, predicted = table.loc[place, ["true", "predicted"]]
        assert a.labels[row] == true and predicted in (a.predictions[row], b.predictions[row])


def test_fifty_thousand_points_are_sent_in_less_than_two_megabytes():
    rng = np.random.default_rng(0)
    n = 50_000
    frame = pd.DataFrame(
        {"id": rng.integers(2**63, size=n, dtype=np.uint64), "label": rng.integers(100, size=n).astype(np.int16)}
        | {f"{letter}_{axis}": rng.standard_normal(n).astype(np.float32) for letter in "ab" for axis in "xy"}
        | {f"{letter}_{name}": rng.integers(100, size=n) for letter in "ab" for name in ("color", "class", "sure")}
        | {"pictured": np.ones(n, bool)}
    )
    names = [f"class {k}" for k in range(100)]
    sent = map_charts.content(frame, {"A": "a", "B": "b"}, {"A": [], "B": []}, names, names, "pictures/")
    assert len(json.dumps(sent)) < 1_800_000
    assert sent["picture_url"] == "/pictures/"


def unpacked(text):
    kind, _, body = text.partition(":")
    return np.frombuffer(base64.b64decode(body), f"<{kind}")


def test_what_is_sent_is_what_was_given(both):
    rows = np.arange(5)
    frame = explorer_map.map_frame(both, rows, "tsne", "correctness", np.array([True, False, True, True, True]))
    sent = map_charts.content(
        frame, {"A": "one", "B": "two"}, {"A": [("cat", 0.5, 1.0)], "B": []}, both.class_names,
        explorer_map.color_legend(both, "correctness"), "pictures/", {"only A": "only one correct"},
        {"A": [("pets", 0.25, 2.0)], "B": []},
    )  # fmt: skip
    x0, x1, y0, y1 = sent["bounds"]
    for of, run in zip(sent["maps"], (both.a.first, both.b.first), strict=True):
        places = unpacked(of["xy"]).reshape(-1, 2) / 65535 * [x1 - x0, y1 - y0] + [x0, y0]
        np.testing.assert_allclose(places, run.tsne[:5], atol=(x1 - x0) / 60000)
        assert unpacked(of["given"]).tolist() == run.predictions[:5].tolist()
    assert unpacked(sent["ids"]).tolist() == both.sample_ids[:5].tolist()
    assert unpacked(sent["pictured"]).tolist() == [1, 0, 1, 1, 1] and sent["ordered"]
    assert (
        sent["maps"][0]["names"] == [["cat", 0.5, 1.0]]
        and sent["maps"][1]["superclasses"] == []
        and sent["groups"][1] == "only one correct"
    )
    assert sent["maps"][0]["superclasses"] == [["pets", 0.25, 2.0]]
    again = map_charts.content(frame, {"A": "one", "B": "two"}, {"A": [], "B": []}, both.class_names, ["x"] * 4, "p/")
    assert again["version"] != sent["version"] and not again["ordered"]


def test_numbers_take_as_few_bytes_as_they_need():
    for value, kind in ((0, "u1"), (255, "u1"), (256, "u2"), (65536, "u8"), (2**64 - 1, "u8")):
        text = map_charts.packed(np.array([value], np.uint64))
        assert text.startswith(f"{kind}:") and unpacked(text).tolist() == [value]
    assert unpacked(map_charts.packed(np.array([], int))).tolist() == []


def test_names_stand_at_the_medians_the_tightest_first(both):
    found = explorer_map.places(both, both.a.first.tsne)
    assert {name for name, *_ in found} == {both.class_names[c] for c in both.classes}
    spread = []
    for name, x, y in found:
        own = both.a.first.tsne[both.labels == both.class_names.index(name)].astype(float)
        assert (x, y) == pytest.approx(tuple(np.median(own, axis=0)))
        spread.append(np.abs(own - np.median(own, axis=0)).mean())
    assert spread == sorted(spread)


def test_of_many_classes_the_superclasses_that_cluster_are_named_too():
    runs = two_models(n_classes=100, n_images=3000)
    a, b = (Side(letter, letter, (run,)) for letter, run in zip("AB", runs, strict=True))
    sides = Sides(a, b, 0, 0, np.arange(100))
    of = runs[0].superclass_of[sides.labels]
    positions = np.random.default_rng(0).normal(size=(3000, 2))
    positions[of < 3] = 0.1 * positions[of < 3] + 5 * np.arange(1, 4)[of[of < 3], None]  # the others are one cloud
    found = explorer_map.superclass_places(sides, positions)
    assert {name for name, *_ in found} == set(sides.superclass_names[:3])
    for name, x, y in found:
        middle = np.median(positions[of == sides.superclass_names.index(name)], axis=0)
        assert (x, y) == pytest.approx(tuple(middle))
    few = replace(sides, classes=np.flatnonzero(runs[0].superclass_of < 4))
    assert len(few.classes) == 20 and explorer_map.superclass_places(few, positions) == []
    without = [replace(run, superclass_names=None, superclass_of=None) for run in runs]
    a, b = (Side(letter, letter, (run,)) for letter, run in zip("AB", without, strict=True))
    assert explorer_map.superclass_places(Sides(a, b, 0, 0, np.arange(100)), positions) == []


def test_a_box_holds_its_borders():
    box = Box("A", (0.0, 2.0), (-1.0, 3.0))
    points = np.array([[0, -1], [2, 3], [1, 0], [-0.1, 0], [2.1, 0], [1, -1.1], [1, 3.1]], np.float32)
    assert box.holds(points).tolist() == [True, True, True, False, False, False, False]
    assert str(box) == "A,0,2,-1,3" and Box.parse("A,2,0,3,-1") == box and Box.parse("B,0,2,-1,3") != box


def test_of_many_rows_the_same_are_drawn():
    rows = np.arange(100, 200)
    assert maps.drawn(rows, 100) is rows
    few = maps.drawn(rows, 99)
    assert len(few) == 99 == len(set(few)) and set(few) < set(rows) and (np.diff(few) > 0).all()
    np.testing.assert_array_equal(few, maps.drawn(rows, 99))
    assert maps.MOST_DRAWN == 50_000 and len(maps.drawn(np.arange(50_001))) == 50_000


def test_confusions_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    a, b = np.array([0, 1, 1, 1, 0, 2, 0]), np.array([2, 1, 0, 1, 0, 2, 1])
    assert maps.confusions(labels, a, b).to_numpy().tolist() == [
        [0, 1, 2, 1, 2], [0, 2, 0, 1, 1], [1, 0, 1, 1, 1], [2, 0, 1, 0, 1], [2, 1, 0, 1, 1],
    ]  # fmt: skip
    sure = np.array([0.1, 0.2, 0.9, 0.5, 0.5, 0.7, 0.8])
    order, group = maps.by_confusion(labels, a, b, sure)
    assert order.tolist() == [2, 1, 0, 4, 6, 5, 3] and group.tolist() == [0, 0, 1, 2, 3, -1, -1]


@pytest.fixture
def both():
    a, b = two_models()
    return Sides(Side("A", "a", (a,)), Side("B", "b", (b,)), 0, 0, np.array([4, 2, 7]))


def test_colours_of_images(both):
    a, b = both.a.first, both.b.first
    assert explorer_map.color_codes(both, b, "correct or wrong").tolist() == (~b.correct).astype(int).tolist()
    p = np.exp(b.logits.astype(float))
    np.testing.assert_allclose(
        explorer_map.color_codes(both, b, "confidence"), (p / p.sum(1, keepdims=True)).max(1), rtol=1e-5
    )
    codes = explorer_map.color_codes(both, a, "class")
    assert all(codes[a.labels == c].tolist() == [k] * (a.labels == c).sum() for k, c in enumerate((4, 2, 7)))
    assert explorer_map.color_codes(both, a, "superclass").tolist() == a.superclass_of[a.labels].tolist()
    words = ["both correct", "only A", "only B", "neither"]
    right = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    expected = [right[x, y] for x, y in zip(a.correct.tolist(), b.correct.tolist(), strict=True)]
    assert explorer_map.color_codes(both, a, "correctness").tolist() == expected
    assert explorer_map.color_legend(both, "correctness") == words
    assert explorer_map.color_legend(both, "confidence") is None
    assert explorer_map.color_legend(both, "correct or wrong") == ["correct", "misclassified"]
    assert explorer_map.color_legend(both, "class") == [str(a.class_names[c]).replace("_", " ") for c in (4, 2, 7)]
    assert explorer_map.color_legend(both, "superclass") == both.superclass_names


def test_the_frame_of_the_maps(both):
    a, b = both.a.first, both.b.first
    rows = np.array([7, 3])
    frame = explorer_map.map_frame(both, rows, "tsne", "correct or wrong", np.array([True, False]))
    assert frame["id"].tolist() == both.sample_ids[rows].tolist() and frame["label"].tolist() == a.labels[rows].tolist()
    for letter, run in (("a", a), ("b", b)):
        assert frame[[f"{letter}_x", f"{letter}_y"]].to_numpy().tolist() == run.tsne[rows].tolist()
        assert frame[f"{letter}_class"].tolist() == run.predictions[rows].tolist()
        p = np.exp(run.logits[rows].astype(float))
        assert frame[f"{letter}_sure"].tolist() == np.rint(100 * (p / p.sum(1, keepdims=True)).max(1)).tolist()
        assert frame[f"{letter}_sure"].dtype == np.int16
    assert frame["pictured"].tolist() == [True, False]
    hard = classes_only(b)
    bare = Sides(both.a, Side("B", "b", (hard,)), 0, 0, both.classes)
    frame = explorer_map.map_frame(bare, rows, "umap", "class", np.array([True, True]))
    assert "b_x" not in frame and frame["b_sure"].isna().all() and frame["a_x"].tolist() == a.umap[rows, 0].tolist()


def test_colours_of_a_legend_are_its_own_or_differ():
    assert map_charts.palette(["only B", "neither"]) == [("#e07b1a", "#e07b1a"), ("#d6336c", "#ff5c93")]
    pale = map_charts.palette(["both correct", "correct", "misclassified"])
    assert pale[0] == pale[1] != pale[2]
    for ground in (0, 1):
        many = [pair[ground] for pair in map_charts.palette([f"class {i}" for i in range(100)])]
        assert len(set(many)) == 100
    assert map_charts._hex(210, 1.0, 0.6) == "#3399ff" and map_charts._hex(360 + 60, 1.0, 0.5) == "#ffff00"
    shares = [color for color, _ in map_charts.palette(None)]
    assert len(shares) == 101 and (shares[0], shares[50], shares[-1]) == ("#440154", "#21918c", "#fde725")


def test_numbers_typed_make_a_box_and_none_leaves_a_side_open():
    maps_of = [np.array([[0.0, -1], [10, 3]]), np.array([[2.0, -5], [12, 1]])]
    assert maps.typed("A", maps_of, 4.0, 1.0, 2.0, 3.0) == Box("A", (1.0, 4.0), (2.0, 3.0))
    assert maps.typed("A", maps_of, None, 4.0, None, 3.0) == Box("A", (0.0, 4.0), (-5.0, 3.0))
    assert maps.typed("B", maps_of, None, None, None, None) == Box("B", (0.0, 12.0), (-5.0, 3.0))


def test_the_panel_counts_outcomes_classes_and_confusions(both):
    a, b = both.a.first, both.b.first
    rows = np.arange(0, 400)
    outcome, classes, wrong = explorer_list.holds(both, rows, "only A", "", "")
    right_a, right_b = a.correct[rows], b.correct[rows]
    counts = {item["value"]: item["count"] for item in outcome["items"]}
    assert counts == {
        "both correct": (right_a & right_b).sum(), "only A": (right_a & ~right_b).sum(),
        "only B": (~right_a & right_b).sum(), "neither": (~right_a & ~right_b).sum(),
    }  # fmt: skip
    assert outcome["chosen"] == "only A" and classes["chosen"] == ""
    of_class = np.bincount(both.labels[rows], minlength=10)
    assert [item["count"] for item in classes["items"]] == sorted(of_class, reverse=True)[: explorer_list.MOST_LISTED]
    for item in wrong["items"]:
        true, predicted = (both.class_names.index(name) for name in item["value"].split(" → "))
        so = (a.predictions[rows] == predicted) | (b.predictions[rows] == predicted)
        assert item["count"] == ((both.labels[rows] == true) & so).sum()


def test_where_the_maps_end():
    a, b = np.array([[0.0, -1], [10, 3]], np.float32), np.array([[2.0, -5], [12, 1]], np.float32)
    assert maps.ends([a, b]) == (0.0, 12.0, -5.0, 3.0)
    assert maps.ends([a, None]) == (0.0, 10.0, -1.0, 3.0) and maps.ends([None, b]) == (2.0, 12.0, -5.0, 1.0)
