"""Every shared chart is a valid Vega-Lite spec with a description, keeps its rows, and names what a click selects."""

import altair as alt
import numpy as np
import pandas as pd
import pytest

from cifarcore.app import charts

NAMES = ["<b>apple</b>", "bear", "x" * 60]


def split() -> alt.TopLevelMixin:
    return charts.split_bar(
        pd.DataFrame({"group": list(charts.SPLIT_COLORS), "images": [4, 3, 2, 1], "share": [0.4, 0.3, 0.2, 0.1]})
    )


def curves() -> alt.TopLevelMixin:
    columns = {"epoch": [1.0, 2], "val_accuracy": [0.1, 0.2], "train_loss": [4.0, 3], "minutes": [1.0, 2]}
    return charts.learning_curves(pd.DataFrame({"model": "A", "run": "cnn-0", **columns}))


def reliability() -> alt.TopLevelMixin:
    return charts.reliability(
        pd.DataFrame({"model": ["A"], "run": "r", "confidence": [0.5], "accuracy": [0.4], "count": [10]})
    )


def dumbbells() -> alt.TopLevelMixin:
    return charts.dumbbells(
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
                "claim": ["gained", "lost", ""],
            }
        ),
        "F1",
    )


def heatmap(signed: bool = True) -> alt.TopLevelMixin:
    frame = pd.DataFrame(
        {
            "true": NAMES[:2],
            "predicted": NAMES[1:],
            "value": [2.0, -3],
            "a": [1.0, 3],
            "b": [3.0, 0],
            "difference": [2.0, -3],
            "claim": ["claimed", "not claimed"],
            "muted": [False, True],
            "chosen": [True, False],
        }
    )
    return charts.heatmap(frame, NAMES, NAMES, signed, 300)


def outcomes() -> alt.TopLevelMixin:
    frame = {
        "predicted": ["bear", "bear"],
        "model": ["A", "B"],
        "images": [3, 4],
        "share": [0.3, 0.4],
        "kind": ["right", "right"],
    }
    return charts.outcomes(pd.DataFrame(frame))


def top() -> alt.TopLevelMixin:
    return charts.top_classes(
        pd.DataFrame({"name": NAMES, "probability": [0.6, 0.3, 0.1], "is_label": [False, True, False]}), "B"
    )


def place() -> alt.TopLevelMixin:
    return charts.place_on_map(
        pd.DataFrame({"x": [0.0, 1], "y": [1.0, 2], "what": ["this image", "other test images"]}), "Place"
    )


def gains() -> alt.TopLevelMixin:
    numbers = {
        "images": [5, 5],
        "gained": [1.0, -1],
        "a": [0.1, 0.4],
        "b": [0.3, 0.2],
        "difference": [0.2, -0.2],
        "low": [0.1, -0.3],
        "high": [0.3, 0.1],
    }
    return charts.gains(pd.DataFrame({"name": NAMES[:2], **numbers, "claim": ["gained", ""]}))


ALL = (split, curves, reliability, dumbbells, heatmap, outcomes, gains, top, place)


@pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)
def test_valid_described_and_without_data_urls(make):
    spec = make().to_dict()  # validates against the Vega-Lite schema
    assert len(spec["description"]) > 4
    assert "data:image" not in str(spec)


def selections(chart):
    spec = chart.to_dict()
    return {param["name"]: param["select"].get("fields") for param in spec["params"] if "select" in param}


def test_clicks_select_named_fields():
    assert selections(dumbbells()) == {"class_clicked": ["class"]}
    assert selections(heatmap()) == {"cell": ["true", "predicted"]}


def test_a_signed_heatmap_is_centred_on_no_difference():
    scale = heatmap(signed=True).to_dict()["encoding"]["color"]["scale"]
    assert scale["domain"] == [-3, 0, 3] and scale["range"] == charts.DIVERGING
    assert heatmap(signed=False).to_dict()["encoding"]["color"]["scale"]["domain"] == [0, 3]


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2) of an sRGB colour."""
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("background", ["#ffffff", "#0e1117"], ids=["light", "dark"])
@pytest.mark.parametrize("letter", ["A", "B"])
def test_model_colours_stand_out_from_both_backgrounds(letter, background):
    low, high = sorted((luminance(charts.COLORS[letter]), luminance(background)))
    assert (high + 0.05) / (low + 0.05) >= 2.8
