"""The fifteen corruptions: what each does to pictures, that strength grows with severity, and that every model sees the
same.
"""

import numpy as np
import pytest
from scipy import ndimage

from cifarcore.data.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from cifarcore.errors import CifarcoreError

IDS = np.arange(1, 13, dtype=np.uint64)


@pytest.fixture(scope="module")
def images():
    """Smooth pictures with an edge, of colours that leave room either way."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(len(IDS), 32, 32, 3)), (0, 3, 3, 0))
    smooth = 128 + 45 * smooth / smooth.std()
    smooth[:, :, 16:] += 30
    return smooth.clip(0, 255).astype(np.uint8)


def distance(images, name, severity, ids=IDS):
    return float(np.sqrt(((corrupted(images, ids, name, severity).astype(float) - images) ** 2).mean()))


def test_there_are_the_fifteen_that_were_published():
    assert len(CORRUPTIONS) == 15 and all(len(strengths) == 5 for _, strengths in CORRUPTIONS.values())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_strength_grows_with_severity(images, name):
    steps = [distance(images, name, severity) for severity in SEVERITIES]
    assert steps[0] > 0.5 and all(np.diff(steps) > 0), steps


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_whatever_stands_beside_it(images, name):
    before = images.copy()
    whole = corrupted(images, IDS, name, 3)
    assert whole.dtype == np.uint8 and whole.shape == images.shape and np.array_equal(images, before)
    order = np.random.default_rng(1).permutation(len(IDS))[:5]
    np.testing.assert_array_equal(corrupted(images[order], IDS[order], name, 3), whole[order])


RANDOM = {
    "gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "motion_blur", "snow", "frost", "fog",
    "elastic_transform",
}  # fmt: skip


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_is_random_depends_on_the_id(images, name):
    other = corrupted(images, IDS + np.uint64(100), name, 4)
    assert np.array_equal(other, corrupted(images, IDS, name, 4)) == (name not in RANDOM)


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (64, 48)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_pictures_of_any_size(name, size):
    images = np.full((2, *size, 3), 90, np.uint8)
    assert corrupted(images, IDS[:2], name, 5).shape == images.shape
    assert corrupted(images[:0], IDS[:0], name, 5).shape == (0, *size, 3)


def test_noise_has_the_deviation_and_the_share_that_it_names():
    grey = np.full((20, 32, 32, 3), 128, np.uint8)
    ids = np.arange(20, dtype=np.uint64)
    assert corrupted(grey, ids, "gaussian_noise", 5).std() == pytest.approx(0.10 * 255, rel=0.02)
    assert corrupted(grey, ids, "shot_noise", 5).std() == pytest.approx(255 * np.sqrt(128 / 255 / 50), rel=0.02)
    salted = corrupted(grey, ids, "impulse_noise", 5)
    assert (salted == 0).mean() == pytest.approx(0.035, rel=0.1) == pytest.approx((salted == 255).mean(), rel=0.1)
    assert ((salted == 128) | (salted == 0) | (salted == 255)).all()


def test_contrast_and_brightness_are_those_of_the_formulas(images):
    x = images.astype(float) / 255
    mean = x.mean(axis=(1, 2), keepdims=True)
    expected = np.rint(255 * (mean + 0.3 * (x - mean)))
    assert np.abs(corrupted(images, IDS, "contrast", 4) - expected).max() <= 1
    value = x.max(axis=-1, keepdims=True)
    lighter = np.rint(255 * x * np.minimum(value + 0.2, 1) / value)
    assert np.abs(corrupted(images, IDS, "brightness", 4) - lighter).max() <= 1
    black = np.zeros((1, 4, 4, 3), np.uint8)
    assert np.unique(corrupted(black, IDS[:1], "brightness", 5)).tolist() == [round(0.3 * 255)]


def test_blurs_spread_a_point_and_keep_its_light():
    point = np.zeros((1, 33, 33, 3), np.uint8)
    point[0, 16, 16] = 255
    disk = corrupted(point, IDS[:1], "defocus_blur", 5).astype(int)
    assert abs(disk[0, ..., 0].sum() - 255) < 20 and disk[0, 16, 18, 0] > 0 == disk[0, 16, 20, 0]
    np.testing.assert_array_equal(disk, disk.transpose(0, 2, 1, 3))
    line = corrupted(point, IDS[:1], "motion_blur", 5)[0, ..., 0]
    rows, columns = np.nonzero(line > 5)
    assert np.ptp(columns) >= 4 and np.ptp(columns) > np.ptp(rows), "within 45 degrees of horizontal"


def test_zoom_blur_leaves_the_middle_and_draws_the_rest_outwards():
    ring = np.zeros((1, 33, 33, 3), np.uint8)
    ring[0, :, 22] = 200
    drawn = corrupted(ring, IDS[:1], "zoom_blur", 5)[0, 16, :, 0]
    assert drawn[22] > 0 and drawn[23] > 0 and not drawn[:21].any()


def test_pixelate_draws_blocks():
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[:, None, None], (32, 32, 3))[None]
    rows = corrupted(ramp, IDS[:1], "pixelate", 5)[0, :, 0, 0]
    assert len(np.unique(rows)) == round(0.35 * 32) and (np.diff(rows.astype(int)) >= 0).all()


@pytest.mark.parametrize(
    ("name", "severity", "said"),
    [("gaussian", 3, "no corruption is called"), ("fog", 0, "severity 0"), ("fog", 6, "6")],
)
def test_what_is_not_known_is_refused(images, name, severity, said):
    with pytest.raises(CifarcoreError, match=said):
        corrupted(images, IDS, name, severity)
