"""Every shared chart is a valid Vega-Lite spec with a description, keeps its rows, and names what a click selects."""

import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest

from cifarcore.reports.charts import (
    card,
    classes,
    colors,
    confusion,
    decisions,
    disagreements,
    findings,
    overview,
    retrained,
    robustness,
    roc,
    slices,
)

NAMES = ["<b>apple</b>", "bear", "x" * 60]


def bands() -> alt.TopLevelMixin:
    texts = ("title", "claim", "text", "model", "bounds", "shown", "least_text", "most_text")
    words = dict.fromkeys(texts, "words")
    numbers = {"value": 0.5, "low": 0.4, "high": 0.6, "least": 0.1, "most": 0.9}
    return findings.bands(pd.DataFrame({"row": [0, 1], **words, "verdict": ["holds", "does not hold"], **numbers}))


def split() -> alt.TopLevelMixin:
    return overview.split_bar(
        pd.DataFrame(
            {
                "group": list(colors.SPLIT_COLORS),
                "name": list("abcd"),
                "images": [4, 3, 2, 1],
                "share": [0.4, 0.3, 0.2, 0.1],
            }
        )
    )


def curves() -> alt.TopLevelMixin:
    columns = {"epoch": [1.0, 2], "val_accuracy": [0.1, 0.2], "train_loss": [4.0, 3], "minutes": [1.0, 2]}
    return overview.learning_curves(pd.DataFrame({"model": "A", "run": "cnn-0", **columns}))


def reliability() -> alt.TopLevelMixin:
    return overview.reliability(
        pd.DataFrame({"model": ["A"], "run": "r", "confidence": [0.5], "accuracy": [0.4], "count": [10]})
    )


def dumbbells() -> alt.TopLevelMixin:
    return classes.dumbbells(
        pd.DataFrame(
            {
                "class": NAMES,
                "superclass": "s",
                "support": 10,
                "a": [0.1, 0.5, np.nan],
                "b": [0.3, 0.4, 0.5],
                "difference": [0.2, -0.1, np.nan],
                "low": [0.1, -0.2, np.nan],
                "high": [0.3, 0.0, np.nan],
                "claim": ["improved", "declined", ""],
            }
        ),
        "F1",
    )


def heatmap(show: str = "B − A") -> alt.TopLevelMixin:
    frame = pd.DataFrame(
        {
            "true": NAMES[:2],
            "predicted": NAMES[1:],
            "value": [2.0, -3],
            "a": [1.0, 3],
            "b": [3.0, 0],
            "difference": [2.0, -3],
            "claim": ["claimed", "not significant"],
            "muted": [False, True],
            "chosen": [True, False],
        }
    )
    return confusion.heatmap(frame, NAMES, NAMES, show, NAMES[:1])


def outcomes() -> alt.TopLevelMixin:
    frame = {
        "predicted": ["bear", "bear"],
        "model": ["A", "B"],
        "images": [3, 4],
        "share": [0.3, 0.4],
        "kind": ["correct", "correct"],
    }
    return classes.outcomes(pd.DataFrame(frame))


def top() -> alt.TopLevelMixin:
    return card.top_classes(
        pd.DataFrame(
            {"name": NAMES, "probability": [0.6, 0.3, 0.1], "rank": [1, 2, 3], "is_label": [False, True, False]}
        ),
        "B",
    )


def place() -> alt.TopLevelMixin:
    return card.place_on_map(
        pd.DataFrame({"x": [0.0, 1], "y": [1.0, 2], "what": ["this image", "other test images"]}), "Place"
    )


def gains() -> alt.TopLevelMixin:
    numbers = {
        "images": [5, 5],
        "improved": [1.0, -1],
        "a": [0.1, 0.4],
        "b": [0.3, 0.2],
        "difference": [0.2, -0.2],
        "low": [0.1, -0.3],
        "high": [0.3, 0.1],
    }
    return classes.gains(pd.DataFrame({"name": NAMES[:2], **numbers, "claim": ["improved", ""]}))


def margin() -> alt.TopLevelMixin:
    return decisions.margin_chart(0.4, -0.2, 1.0, 1.0)


def risk() -> alt.TopLevelMixin:
    frame = {"model": ["A", "B"], "run": ["r", "s"], "coverage": [0.5, 1.0], "error": [0.1, 0.2], "confidence": 0.9}
    return decisions.risk_coverage(pd.DataFrame(frame), ("old", "new"), 0.05)


def chance() -> alt.TopLevelMixin:
    numbers = {"images": [5, 1], "expected": [2.0, 1.5], "ratio": [2.5, 0.7], "p": [0.01, 0.8], "q": [0.02, 0.8]}
    return disagreements.against_chance(pd.DataFrame({"name": NAMES[:2], **numbers, "over": [True, False]}), "class")


def losses() -> alt.TopLevelMixin:
    return retrained.loss_curve(pd.DataFrame({"seconds": [1.0, 2], "loss": [3.0, 2]}), 60)


def accuracies() -> alt.TopLevelMixin:
    frame = pd.DataFrame({"seconds": [1.0], "accuracy": [0.5], "classes": ["focus classes"], "parent": [0.4]})
    frame["change"] = 100 * (frame["accuracy"] - frame["parent"])
    return retrained.accuracy_curves(frame, 60)


def curves_of(corner: bool, banded: bool) -> alt.TopLevelMixin:
    low = [0.0, 0.9] if banded else [np.nan] * 2
    frame = pd.DataFrame({"model": "A", "fpr": [0.0, 1], "tpr": [0.0, 1], "low": low, "high": [1.0, 1]})
    points = pd.DataFrame({"model": ["A", "B"], "fpr": 0.1, "tpr": 0.8, "right": 0.85}) if banded else None
    return roc.roc(frame, points, names_at("fpr", "tpr"), "cats", corner)


def names_at(x: str, y: str) -> pd.DataFrame:
    return pd.DataFrame({"model": ["A", "B"], "text": ["A old", "B new"], x: 0.1, y: 0.9, "above": [True, False]})


def precision() -> alt.TopLevelMixin:
    frame = pd.DataFrame({"model": "A", "recall": [0.0, 1], "precision": [1.0, 0.1], "low": np.nan, "high": np.nan})
    points = pd.DataFrame({"model": ["A", "B"], "tpr": 0.8, "precision": [0.5, np.nan], "right": 0.85})
    return roc.precision_recall(frame, points, names_at("recall", "precision"), 0.01, "cats")


def roc_whole() -> alt.TopLevelMixin:
    return curves_of(corner=False, banded=False)


def roc_corner() -> alt.TopLevelMixin:
    return curves_of(corner=True, banded=True)


def forest() -> alt.TopLevelMixin:
    numbers = {"support": 100, "difference": 0.2, "low": 0.1, "high": 0.3, "rest": 0.1, "q": 0.01, "share": 0.2}
    return slices.forest(pd.DataFrame({"slice": NAMES[:2], **numbers, "significant": [True, False]}), 0.12)


def severities() -> alt.TopLevelMixin:
    frame = pd.DataFrame({"severity": [0, 3] * 2, "model": list("AABB"), "accuracy": [0.7, 0.4, 0.8, 0.55]})
    return robustness.by_severity(frame, ("old", "new"))


def bins() -> alt.TopLevelMixin:
    frame = {"bin": ["low", "high"], "model": ["A", "B"], "images": 10, "accuracy": 0.5, "low": 0.4, "high": 0.6}
    return slices.accuracy_by_bin(pd.DataFrame(frame), ("old", "new"))


def heatmap_of_counts() -> alt.TopLevelMixin:
    return heatmap("A")


ALL = (
    split, curves, reliability, dumbbells, heatmap, heatmap_of_counts, outcomes, gains, top, place, margin, risk,
    chance, losses, accuracies, roc_whole, roc_corner, precision,
    forest, bins, severities, bands,
)  # fmt: skip


def test_the_matrix_is_square_ruled_between_superclasses_and_fades_to_the_page():
    spec = heatmap("B − A").to_dict()
    assert spec["width"] == spec["height"] and spec["autosize"]["type"] == "pad"  # axes come outside the square
    rules = [layer["encoding"] for layer in spec["layer"] if layer["mark"]["type"] == "rule"]
    assert [list(each) for each in rules] == [["x"], ["y"]]
    cells = spec["layer"][0]["encoding"]
    assert cells["opacity"]["scale"] == {"domain": [0, 1], "range": [0, 1]}  # no difference: nothing is drawn


@pytest.mark.parametrize("make", [dumbbells, gains, forest], ids=lambda make: make.__name__)
def test_differences_are_in_points_which_no_axis_calls_percent(make):
    drawn = io.StringIO()
    make().properties(width=600).save(drawn, format="svg")
    signed = re.findall(r">([+−][\d.]+%?)<", drawn.getvalue())
    assert len(signed) >= 3 and not [text for text in signed if text.endswith("%")] and "points" in drawn.getvalue()


def test_a_matrix_whose_classes_have_no_room_for_names_has_no_text_at_all():
    """Streamlit draws so many cells on a canvas, where the page's rules for grey text do not reach."""
    for n, title in ((40, "true"), (41, None)):
        names = [f"class {k}" for k in range(n)]
        frame = pd.DataFrame({"true": names, "predicted": names, "value": 1.0, "a": 0.0, "b": 1.0, "difference": 1.0})
        frame = frame.assign(claim="", muted=False, chosen=False)
        axis = confusion.heatmap(frame, names, names, "B").to_dict()["layer"][0]["encoding"]["y"]
        assert axis["title"] == title and axis["axis"]["labels"] == (title is not None)


def test_the_names_of_a_propertys_values_stand_apart_on_a_narrow_page():
    names = [f"superclass of a long name {k}" for k in range(20)]
    numbers = {"images": 500, "accuracy": 0.5, "low": 0.4, "high": 0.6}
    frame = pd.DataFrame([{"bin": name, "model": model, **numbers} for name in names for model in "AB"])
    drawn = io.StringIO()
    slices.accuracy_by_bin(frame, ("old", "new")).properties(width=180).save(drawn, format="svg")
    labels = re.findall(
        r'<text text-anchor="end" transform="translate\(([-\d.]+),([-\d.]+)\)"[^>]*>superclass', drawn.getvalue()
    )
    assert len(labels) == len(names), "level and whole"
    assert (np.diff([float(y) for _, y in labels]) > 15).all()


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_valid_described_and_without_data_urls(make):
    spec = make().to_dict()  # validates against the Vega-Lite schema
    assert len(spec["description"]) > 4
    assert "data:image" not in str(spec)


@pytest.mark.parametrize("make", [dumbbells, heatmap, gains, chance, top, forest], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "names", [("constructor", "__proto__", "toString"), ("a.b", "a[0]", "b\\\\c"), ("'", '"', "</svg>")]
)
def test_names_that_mean_something_to_javascript_are_drawn(make, names, monkeypatch):
    """Also to Vega, which reads brackets and dots in the names of fields."""
    monkeypatch.setitem(globals(), "NAMES", list(names))
    drawn = io.StringIO()
    make().save(drawn, format="svg")
    shown = set(re.findall(r"<text[^>]*>([^<]*)</text>", drawn.getvalue()))
    assert set(names[:2]) <= {re.sub(r"^✓ |, rank \d+$", "", html.unescape(text)) for text in shown}


@pytest.mark.parametrize("names", [("constructor", "toString"), ("__proto__", 'it\'s "q"\\\\')])
def test_models_of_such_names_stand_in_the_legend(names):
    row = {"model": ["A", "B"], "run": names, "confidence": [0.5, 0.6], "accuracy": [0.4, 0.7], "count": 10}
    drawn = io.StringIO()
    overview.reliability(pd.DataFrame(row), names).save(drawn, format="svg")
    shown = {html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawn.getvalue())}
    assert {f"A {names[0]}", f"B {names[1]}"} <= shown


def selections(chart):
    spec = chart.to_dict()
    return {param["name"]: param["select"].get("fields") for param in spec["params"] if "select" in param}


def test_clicks_select_named_fields():
    assert selections(split()) == {"outcome": ["group"]}
    assert selections(dumbbells()) == {"class_clicked": ["class"]}
    assert selections(heatmap()) == {"cell": ["true", "predicted"]}


def test_a_class_is_marked_by_the_metric_drawn_and_an_arrow_says_what_was_tested():
    """A mark filled by the test of recall looked wrong beside an interval of F1."""
    spec = dumbbells().to_dict()
    *marks, tested, row = spec["layer"][1]["layer"]
    assert "claim" not in str([mark["encoding"] for mark in marks]) and "fill" not in str(marks[-1]["encoding"])
    (rows,) = (rows for rows in spec["datasets"].values() if "class" in rows[0])
    assert tested["encoding"]["text"]["field"] == "arrow" and [each["arrow"] for each in rows] == ["▲", "▼", ""]
    axis = spec["layer"][0]["encoding"]["x"]["axis"]
    assert tested["encoding"]["x"]["datum"] == axis["values"][-1] and "'recall'" in axis["labelExpr"]


@pytest.mark.parametrize("show", ["B − A", "A"])
def test_a_cell_without_a_difference_has_the_background_of_the_page(show):
    spec = heatmap(show).to_dict()
    cells = spec["layer"][0]
    assert cells["encoding"]["opacity"]["scale"] == {"domain": [0, 1], "range": [0, 1]}
    (rows,) = (rows for rows in spec["datasets"].values() if "strength" in rows[0])
    # |value| over the greatest, its root for counts; half of it where it is not significant
    share = np.sqrt(2 / 3) if show == "A" else 2 / 3
    assert [row["strength"] for row in rows] == pytest.approx([share, 0.5])


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2) of an sRGB colour."""
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("background", ["#ffffff", "#0e1117"], ids=["light", "dark"])
@pytest.mark.parametrize("letter", ["A", "B"])
def test_model_colours_stand_out_from_both_backgrounds(letter, background):
    low, high = sorted((luminance(colors.COLORS[letter]), luminance(background)))
    assert (high + 0.05) / (low + 0.05) >= 2.8


SPECS = Path(__file__).with_name("chart_specs.txt")
#: what Altair numbers by itself, what data are, and where their schema lies
_NOT_OURS = ("$schema", "config", "data", "datasets", "name")


def test_a_is_blue_and_b_is_orange():
    def channels(color):
        return [int(color[i : i + 2], 16) for i in (1, 3, 5)]

    (red, _, blue), (other_red, _, other_blue) = channels(colors.COLORS["A"]), channels(colors.COLORS["B"])
    assert blue > red and other_red > other_blue


def encoded(spec, path: str = "") -> Iterator[str]:
    """A line for each value of a specification: where it stands, and what it is."""
    if isinstance(spec, dict) or (isinstance(spec, list) and any(isinstance(value, dict) for value in spec)):
        for key, value in spec.items() if isinstance(spec, dict) else enumerate(spec):
            if not (key in _NOT_OURS and (key != "name" or str(value).startswith(("view_", "param_")))):
                yield from encoded(value, f"{path}.{key}")
    else:
        yield f"{path} = {json.dumps(spec, ensure_ascii=False)}"


def all_encoded() -> str:
    return "".join(f"{make.__name__}{line}\n" for make in ALL for line in encoded(make().to_dict()))


def test_every_chart_encodes_what_was_reviewed():
    """Fields, titles, formats, scales and colours of every mark; `python tests/reports/test_charts.py` writes them."""
    assert all_encoded().splitlines() == SPECS.read_text(encoding="utf-8").splitlines()


def test_a_small_change_while_it_learns_has_each_mark_of_its_axis_once():
    frame = pd.DataFrame({"seconds": [0.0, 3], "accuracy": [0.8, 0.802], "classes": "focus classes", "parent": 0.8})
    frame["change"] = 100 * (frame["accuracy"] - frame["parent"])
    drawn = io.StringIO()
    retrained.accuracy_curves(frame, 60).save(drawn, format="svg")
    assert re.findall(r">([+−][\d.]+)<", drawn.getvalue()) == ["+0", "+0.1", "+0.2"]


if __name__ == "__main__":
    SPECS.write_text(all_encoded(), encoding="utf-8")
