"""The maps of both models in one plane, boxes on them and the confusions inside, against NumPy and scikit-learn."""

import altair as alt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import classes_only
from pages import two_models
from sklearn.metrics import confusion_matrix
from streamlit.dataframe_util import convert_pandas_df_to_arrow_bytes

from cifarcore.reports.charts import explorer as map_charts
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import explorer as maps
from cifarcore.reports.tables import explorer_map
from cifarcore.reports.tables.explorer import Box

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


def test_a_box_belongs_to_the_map_that_holds_its_centre():
    a, b = np.array([[0.0, 0], [10, 10]]), np.array([[2.0, -5], [12, 8]])
    plane = maps.plane(a, b)
    assert plane.shift > 12  # B begins where A has ended
    on_a, on_b = plane.box([1, 3], [0, 5]), plane.box([plane.shift + 3, plane.shift + 1], [5, 0])
    assert (on_a.letter, on_a.x, on_a.y) == ("A", (1, 3), (0, 5))
    assert on_b.letter == "B" and on_b.x == pytest.approx((1, 3)) and on_b.y == (0, 5)
    assert plane.bounds(on_b)["x"] == pytest.approx([plane.shift + 1, plane.shift + 3])
    assert plane.box([1, 1], [0, 5]) is None
    for letter in "AB":  # a box larger than its map stays its own map's
        assert plane.box(**plane.bounds(Box(letter, (1, 1e9), (-1e9, 0)))).letter == letter
    assert (
        maps.plane(None, b).box([1, 3], [0, 5]).letter == "B"
        and maps.plane(a, None).box([11, 12], [0, 5]).letter == "A"
    )


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


def test_the_chart_names_its_fields_and_sends_ten_thousand_points_in_less_than_a_megabyte():
    rng = np.random.default_rng(0)
    n = 10_000
    frame = pd.DataFrame(
        {"row": np.arange(n, dtype=np.int32), "label": np.zeros(n, np.int16)}
        | {f"{letter}_{axis}": rng.standard_normal(n).astype(np.float32) for letter in "ab" for axis in "xy"}
        | {f"{letter}_{name}": np.zeros(n, np.int16) for letter in "ab" for name in ("color", "class", "sure")}
        | {"picture": [f"{i:016x}.png" for i in rng.integers(2**63, size=n)]}
    )
    plane = maps.plane(frame[["a_x", "a_y"]].to_numpy(), frame[["b_x", "b_y"]].to_numpy())
    chart = map_charts.maps(
        frame,
        plane,
        ["one"],
        ["correct", "misclassified"],
        "correct or wrong",
        "pictures/",
        {"box": {"x": [0, 1], "y": [0, 1]}},
    )
    with alt.data_transformers.enable("default", max_rows=None):
        spec = chart.to_dict()
    selections = {param["name"]: param["select"] for param in spec["params"] if "select" in param}
    assert selections["point"]["fields"] == ["row"] and selections["box"]["encodings"] == ["x", "y"]
    assert len(convert_pandas_df_to_arrow_bytes(frame)) < 1_000_000


def test_a_box_holds_its_borders():
    box = Box("A", (0.0, 2.0), (-1.0, 3.0))
    points = np.array([[0, -1], [2, 3], [1, 0], [-0.1, 0], [2.1, 0], [1, -1.1], [1, 3.1]], np.float32)
    assert box.holds(points).tolist() == [True, True, True, False, False, False, False]
    assert str(box) == "A,0,2,-1,3" and Box.parse("A,2,0,3,-1") == box and Box.parse("B,0,2,-1,3") != box


def test_two_maps_side_by_side():
    a, b = np.array([[0.0, 0], [10, 10]], np.float32), np.array([[2.0, -5], [12, 8]], np.float32)
    plane = maps.plane(a, b)
    width, height = 12, 15  # of both together
    assert plane.x == pytest.approx((-0.36, 12 + plane.shift + 0.36)) and plane.shift == pytest.approx(1.06 * width)
    assert plane.y == pytest.approx((-5 - 0.03 * height, 10 + 0.03 * height))
    assert plane.middle == pytest.approx(12.36)
    assert plane.part("A") == pytest.approx((-0.36, 12.36)) and plane.part("B") == pytest.approx((-0.36, 12.36))
    for points, letter, part in ((a, "A", (-0.3, 10.3)), (b, "B", (1.7, 12.3))):
        alone = maps.plane(*((points, None) if letter == "A" else (None, points)))
        assert alone.shift == 0 and alone.x == pytest.approx(part) and alone.part(letter) == pytest.approx(part)
        assert alone.middle == (np.inf if letter == "A" else -np.inf)
        assert alone.y == pytest.approx(
            (points[0, 1] - 0.03 * np.ptp(points[:, 1]), points[1, 1] + 0.03 * np.ptp(points[:, 1]))
        )
    point = maps.plane(np.zeros((2, 2)), None)
    assert point.x == point.y == pytest.approx((-3e-8, 3e-8)), "one point has an area around it"


def test_boxes_are_cut_to_their_own_map():
    plane = maps.Plane(10.0, 9.0, (0.0, 20.0), (0.0, 5.0))
    assert plane.bounds(Box("A", (-1, 30), (-2, 3))) == {"x": [0, 9], "y": [0, 3]}
    assert plane.bounds(Box("B", (-5, 4), (1, 9))) == {"x": [9, 14], "y": [1, 5]}
    assert plane.box([4, 13.9], [5, 1]) == Box("A", (4, 13.9), (1, 5))
    assert plane.box([4, 14], [1, 5]) == Box("B", (-6, 4), (1, 5))
    assert plane.box([4, 4], [1, 5]) is None and plane.box([4, 5], [1, 1]) is None


def test_of_many_rows_the_same_are_drawn():
    rows = np.arange(100, 200)
    assert maps.drawn(rows, 100) is rows
    few = maps.drawn(rows, 99)
    assert len(few) == 99 == len(set(few)) and set(few) < set(rows) and (np.diff(few) > 0).all()
    np.testing.assert_array_equal(few, maps.drawn(rows, 99))
    assert maps.MOST_DRAWN == 20_000 and len(maps.drawn(np.arange(20_001))) == 20_000


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
    assert frame["row"].tolist() == [7, 3] and frame["label"].tolist() == a.labels[rows].tolist()
    for letter, run in (("a", a), ("b", b)):
        assert frame[[f"{letter}_x", f"{letter}_y"]].to_numpy().tolist() == run.tsne[rows].tolist()
        assert frame[f"{letter}_class"].tolist() == run.predictions[rows].tolist()
        p = np.exp(run.logits[rows].astype(float))
        assert frame[f"{letter}_sure"].tolist() == np.rint(100 * (p / p.sum(1, keepdims=True)).max(1)).tolist()
        assert frame[f"{letter}_sure"].dtype == np.int16
    assert frame["picture"].tolist() == [f"{a.sample_ids[7]:016x}.png", ""]
    hard = classes_only(b)
    bare = Sides(both.a, Side("B", "b", (hard,)), 0, 0, both.classes)
    frame = explorer_map.map_frame(bare, rows, "umap", "class", np.array([True, True]))
    assert "b_x" not in frame and frame["b_sure"].isna().all() and frame["a_x"].tolist() == a.umap[rows, 0].tolist()


def test_colours_of_a_legend_are_its_own_or_differ():
    assert map_charts._range(["only B", "neither"]) == ["#e07b1a", "#5f6670"]
    assert map_charts._range(["correct", "misclassified"]) == ["#8f96a0", "#d6336c"]
    assert map_charts._range(["x", "y", "z", "w"]) == [
        "hsl(0, 70%, 48%)", "hsl(138, 55%, 60%)", "hsl(275, 70%, 38%)", "hsl(53, 55%, 48%)",
    ]  # fmt: skip
    assert len(set(map_charts._range([str(i) for i in range(100)]))) == 100


def test_legends_of_up_to_24_names_are_drawn_in_five_columns():
    for n, columns in ((2, 2), (6, 6), (7, 5), (24, 5)):
        legend = map_charts._color([str(k) for k in range(n)], "colour").to_dict()["legend"]
        assert legend["columns"] == columns
    assert map_charts._color([str(k) for k in range(25)], "colour").to_dict()["legend"] is None


def test_numbers_typed_make_a_box_and_none_leaves_a_side_open():
    plane = maps.Plane(10.0, 9.0, (0.0, 20.0), (0.0, 5.0))
    assert plane.typed("A", 4.0, 1.0, 2.0, 3.0) == Box("A", (1.0, 4.0), (2.0, 3.0))
    assert plane.typed("A", None, 4.0, None, 3.0) == Box("A", (0.0, 4.0), (0.0, 3.0))
    assert plane.typed("B", 1.0, None, 2.0, None) == Box("B", (1.0, 10.0), (2.0, 5.0))
    assert plane.typed("B", None, None, None, None) == Box("B", (-1.0, 10.0), (0.0, 5.0))


def test_where_the_maps_end():
    a, b = np.array([[0.0, -1], [10, 3]], np.float32), np.array([[2.0, -5], [12, 1]], np.float32)
    assert maps.ends([a, b]) == (0.0, 12.0, -5.0, 3.0)
    assert maps.ends([a, None]) == (0.0, 10.0, -1.0, 3.0) and maps.ends([None, b]) == (2.0, 12.0, -5.0, 1.0)
