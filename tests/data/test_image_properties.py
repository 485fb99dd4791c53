"""Properties of images against their formulas, and on pictures whose properties are plain to see."""

import numpy as np
import pytest
from scipy import ndimage

from cifarcore.data.image_properties import HUES, PROPERTIES, measure


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(256, size=(7, 12, 9, 3), dtype=np.uint8)


def flat(*color):
    return np.full((1, 8, 8, 3), color, np.uint8)


def test_values_are_those_of_the_formulas(images):
    values = measure(images)
    assert set(values) == set(PROPERTIES)
    for i, image in enumerate(images):
        r, g, b = image.astype(float).transpose(2, 0, 1)
        luma = (0.299 * r + 0.587 * g + 0.114 * b) / 255
        rg, yb = r - g, (r + g) / 2 - b
        gradient = np.hypot(*(ndimage.sobel(luma, axis, mode="nearest") for axis in (0, 1))) / 8
        expected = {
            "brightness": luma.mean(),
            "contrast": luma.std(),
            "colorfulness": np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()),
            "sharpness": ndimage.laplace(luma, mode="nearest").var(),
            "edge density": (gradient > 0.1).mean(),
        }
        counts = np.unique((luma * 64).astype(int), return_counts=True)[1] / luma.size
        expected["entropy"] = -(counts * np.log2(counts)).sum()
        for name, value in expected.items():
            assert values[name][i] == pytest.approx(value, rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize(
    ("color", "hue"),
    [((255, 0, 0), "red"), ((255, 255, 0), "yellow"), ((0, 255, 0), "green"), ((0, 0, 255), "blue"),
     ((255, 128, 0), "orange"), ((255, 0, 120), "pink"), ((90, 90, 90), "grey")],
)  # fmt: skip
def test_the_dominant_hue_has_its_name(color, hue):
    assert HUES[int(measure(flat(*color))["hue"][0])] == hue


def test_an_object_on_a_plain_ground_leaves_the_ground():
    image = flat(255, 255, 255)
    image[:, 2:6, 2:6] = 0
    assert measure(image)["background"][0] == pytest.approx(0.75)
    assert measure(flat(7, 7, 7))["background"][0] == 1


def test_blocks_make_no_difference_and_progress_ends_at_the_whole(images, monkeypatch):
    whole = measure(images)
    monkeypatch.setattr("cifarcore.data.image_properties.BLOCK_PIXELS", 200)
    seen = []
    parts = measure(images, lambda done, total: seen.append((done, total)))
    for name in PROPERTIES:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-5)
    assert seen[0][0] == 1 and seen[-1] == (7, 7)


def test_pictures_of_one_pixel_are_measured():
    assert all(np.isfinite(values).all() for values in measure(np.full((1, 1, 1, 3), 9, np.uint8)).values())
