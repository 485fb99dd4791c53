"""The fifteen corruptions of Hendrycks and Dietterich (ICLR 2019), own code from their descriptions.

What is random depends on the image's id, the corruption and its severity alone, so that every model sees the same.
Frost is drawn here instead of blended from photos, and strengths are this module's: figures compare within this tool.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np
import scipy  # which imports ndimage when it is first used: the app reads the names alone
from PIL import Image

from cifarcore.errors import CifarcoreError

SEVERITIES = (1, 2, 3, 4, 5)
#: strengths are those of pictures of this many pixels a side; lengths grow with larger ones
SIDE = 32


class _Draws:
    """Random numbers of each image, from a generator of its own."""

    def __init__(self, ids: np.ndarray, name: str, severity: int):
        key = zlib.crc32(name.encode())
        self._generators = [np.random.default_rng([int(i), key, severity]) for i in ids]

    def normal(self, *shape: int) -> np.ndarray:
        return np.stack([g.standard_normal(shape, np.float32) for g in self._generators])

    def uniform(self, *shape: int) -> np.ndarray:
        return np.stack([g.random(shape, np.float32) for g in self._generators])

    def poisson(self, means: np.ndarray) -> np.ndarray:
        return np.stack([g.poisson(mean) for g, mean in zip(self._generators, means, strict=True)])


def corrupted(images: np.ndarray, ids: np.ndarray, name: str, severity: int) -> np.ndarray:
    """The images, uint8 RGB (N, H, W, 3) with ids uint64 (N,), under the corruption `name` at `severity`, 1 to 5: uint8
    of the same shape.

    Raises CifarcoreError for a name or a severity that is not known.
    """
    if name not in CORRUPTIONS:
        raise CifarcoreError(f"no corruption is called {name}; there are {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise CifarcoreError(f"severity {severity}: it is one of {', '.join(map(str, SEVERITIES))}")
    if not len(images):
        return images.copy()
    make, strengths = CORRUPTIONS[name]
    changed = make(images.astype(np.float32) / 255, strengths[severity - 1], _Draws(ids, name, severity))
    return np.rint(255 * np.clip(changed, 0, 1)).astype(np.uint8)


def _scale(x: np.ndarray) -> float:
    return min(x.shape[1:3]) / SIDE


def _gaussian_noise(x: np.ndarray, deviation: float, draws: _Draws) -> np.ndarray:
    return x + deviation * draws.normal(*x.shape[1:])


def _shot_noise(x: np.ndarray, photons: float, draws: _Draws) -> np.ndarray:
    return draws.poisson(photons * x) / photons


def _impulse_noise(x: np.ndarray, share: float, draws: _Draws) -> np.ndarray:
    at = draws.uniform(*x.shape[1:])
    return np.where(at < share / 2, 0, np.where(at > 1 - share / 2, 1, x))


def _defocus_blur(x: np.ndarray, radius: float, draws: _Draws) -> np.ndarray:
    radius, fine = radius * _scale(x), 9
    half = int(np.ceil(radius))
    place = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    disk = (np.hypot.outer(place, place) <= radius).astype(np.float32)
    kernel = disk.reshape(2 * half + 1, fine, -1, fine).mean(axis=(1, 3))
    return scipy.ndimage.convolve(x, (kernel / kernel.sum())[None, :, :, None], mode="nearest")


def _blurred(x: np.ndarray, deviation: float) -> np.ndarray:
    return scipy.ndimage.gaussian_filter(x, (0, deviation, deviation, 0), mode="nearest")


def _glass_blur(x: np.ndarray, strength: tuple[float, float], draws: _Draws) -> np.ndarray:
    """Blurred, a share of the pixels exchanged with near ones in turn, and blurred again."""
    deviation, share = strength[0] * _scale(x), strength[1]
    reach = max(1, round(_scale(x)))
    x, (n, height, width, _) = _blurred(x, deviation), x.shape
    step = np.floor((2 * reach + 1) * draws.uniform(height, width, 2)).astype(int).clip(0, 2 * reach) - reach
    step *= draws.uniform(height, width, 1) < share
    every = np.arange(n)
    for row in range(height):
        for column in range(width):
            other = (row + step[:, row, column, 0]).clip(0, height - 1)
            beside = (column + step[:, row, column, 1]).clip(0, width - 1)
            kept = x[:, row, column].copy()
            x[:, row, column] = x[every, other, beside]
            x[every, other, beside] = kept
    return _blurred(x, deviation)


def _along(x: np.ndarray, length: float, angles: np.ndarray) -> np.ndarray:
    """Each image's mean along a line of its own angle, `length` pixels long, by bilinear interpolation."""
    steps = np.linspace(-length / 2, length / 2, 2 * int(np.ceil(length)) + 1)
    blurred = np.zeros_like(x)
    for i, angle in enumerate(angles):
        for step in steps:
            shift = (step * np.sin(angle), step * np.cos(angle), 0)
            blurred[i] += scipy.ndimage.shift(x[i], shift, order=1, mode="nearest")
    return blurred / len(steps)


def _motion_blur(x: np.ndarray, length: float, draws: _Draws) -> np.ndarray:
    return _along(x, length * _scale(x), np.pi * (draws.uniform() - 0.5) / 2)


def _magnified(size: int, factor: float) -> np.ndarray:
    """The matrix (size, size) that takes a row of pixels to its middle part, `factor` times as large."""
    middle = (size - 1) / 2
    places = (np.arange(size) - middle) / factor + middle
    low = np.floor(places).astype(int).clip(0, max(size - 2, 0))
    part = (places - low).astype(np.float32)
    matrix = np.zeros((size, size), np.float32)
    matrix[np.arange(size), low] += 1 - part
    matrix[np.arange(size), np.minimum(low + 1, size - 1)] += part
    return matrix


def _zoom_blur(x: np.ndarray, most: float, draws: _Draws) -> np.ndarray:
    factors = np.arange(1, most, 0.01)
    zoomed = np.zeros_like(x)
    for factor in factors:
        down, across = _magnified(x.shape[1], factor), _magnified(x.shape[2], factor)
        zoomed += np.einsum("ab,nbwc,vw->navc", down, x, across, optimize=True)
    return zoomed / len(factors)


def _plasma(x: np.ndarray, decay: float, draws: _Draws) -> np.ndarray:
    """Fractal noise, 0 to 1, (N, H, W, 1): octaves of noise, each of twice the frequency and 1 / decay the height."""
    n, height, width, _ = x.shape
    total, weight, cells = np.zeros((n, height, width), np.float32), 1.0, 2
    while cells <= 2 * max(height, width):
        coarse = draws.uniform(cells + 1, cells + 1)
        rows, columns = (np.linspace(0, cells, size) for size in (height, width))
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"))
        total += weight * np.stack([scipy.ndimage.map_coordinates(c, places, order=1, mode="nearest") for c in coarse])
        weight, cells = weight / decay, 2 * cells
    low = total.min(axis=(1, 2), keepdims=True)
    return ((total - low) / np.maximum(total.max(axis=(1, 2), keepdims=True) - low, 1e-6))[..., None]


def _snow(x: np.ndarray, strength: tuple[float, float], draws: _Draws) -> np.ndarray:
    """Flakes that fall aslant, on a picture that is paler and greyer for them."""
    share, whiter = strength
    flakes = (draws.uniform(*x.shape[1:3]) < share).astype(np.float32)[..., None]
    angles = np.pi / 2 + np.pi * (draws.uniform() - 0.5) / 3
    fallen = np.clip(2.5 * _along(_blurred(flakes, 0.4 * _scale(x)), 3 * _scale(x), angles), 0, 1)
    grey = x.mean(axis=-1, keepdims=True)
    return (1 - whiter) * x + whiter * np.maximum(x, 0.5 * grey + 0.5) + fallen


def _frost(x: np.ndarray, strength: tuple[float, float], draws: _Draws) -> np.ndarray:
    """Ridges of fractal noise, as ice grows on a pane, pale and bluish over a darker picture."""
    kept, ice = strength
    ridges = (1 - np.abs(2 * _plasma(x, 1.4, draws) - 1)) ** 3
    return kept * x + ice * ridges * np.array([0.85, 0.95, 1.0], np.float32)


def _fog(x: np.ndarray, strength: tuple[float, float], draws: _Draws) -> np.ndarray:
    amount, decay = strength
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    return (x + amount * _plasma(x, decay, draws)) * brightest / (brightest + amount)


def _brightness(x: np.ndarray, added: float, draws: _Draws) -> np.ndarray:
    """Value (HSV) raised; hue and saturation as they were."""
    value = x.max(axis=-1, keepdims=True)
    raised = np.minimum(value + added, 1)
    return np.where(value > 0, x * raised / np.maximum(value, 1e-6), raised)


def _contrast(x: np.ndarray, kept: float, draws: _Draws) -> np.ndarray:
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + kept * (x - mean)


def _elastic(x: np.ndarray, strength: tuple[float, float], draws: _Draws) -> np.ndarray:
    """Pixels displaced by smooth noise: `strength` is its deviation and its smoothness, in pixels."""
    height, smooth = (part * _scale(x) for part in strength)
    noise = scipy.ndimage.gaussian_filter(
        2 * draws.uniform(2, *x.shape[1:3]) - 1, (0, 0, smooth, smooth), mode="reflect"
    )
    noise *= height / np.maximum(noise.std(axis=(2, 3), keepdims=True), 1e-6)
    grid = np.stack(np.meshgrid(*map(np.arange, x.shape[1:3]), indexing="ij"))
    warped = np.empty_like(x)
    for i, displacement in enumerate(noise):
        for channel in range(x.shape[-1]):
            place = grid + displacement
            warped[i, ..., channel] = scipy.ndimage.map_coordinates(x[i, ..., channel], place, order=1, mode="reflect")
    return warped


def _pictures(x: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    whole = np.rint(255 * x).astype(np.uint8)
    return np.stack([np.asarray(change(Image.fromarray(picture))) for picture in whole]).astype(np.float32) / 255


def _pixelate(x: np.ndarray, kept: float, draws: _Draws) -> np.ndarray:
    size = (x.shape[2], x.shape[1])
    small = tuple(max(1, round(kept * side)) for side in size)
    return _pictures(
        x, lambda picture: picture.resize(small, Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
    )


def _jpeg(x: np.ndarray, quality: int, draws: _Draws) -> np.ndarray:
    def packed(picture: Image.Image) -> Image.Image:
        with io.BytesIO() as file:
            picture.save(file, "JPEG", quality=quality)
            return Image.open(io.BytesIO(file.getvalue())).convert("RGB")

    return _pictures(x, packed)


#: name -> how it is made, and its strength at severities 1 to 5
CORRUPTIONS: dict[str, tuple[Callable[..., np.ndarray], tuple]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": (_shot_noise, (500, 250, 100, 75, 50)),
    "impulse_noise": (_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus_blur": (_defocus_blur, (0.7, 1.0, 1.3, 1.6, 2.0)),
    "glass_blur": (_glass_blur, ((0.4, 0.2), (0.45, 0.35), (0.5, 0.55), (0.55, 0.75), (0.6, 1.0))),
    "motion_blur": (_motion_blur, (2, 3, 4, 5, 7)),
    "zoom_blur": (_zoom_blur, (1.08, 1.12, 1.17, 1.22, 1.28)),
    "snow": (_snow, ((0.02, 0.1), (0.04, 0.2), (0.06, 0.25), (0.08, 0.3), (0.11, 0.35))),
    "frost": (_frost, ((0.9, 0.25), (0.85, 0.35), (0.75, 0.45), (0.7, 0.55), (0.65, 0.65))),
    "fog": (_fog, ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))),
    "brightness": (_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic_transform": (_elastic, ((0.5, 3.0), (0.7, 3.0), (0.9, 2.5), (1.1, 2.0), (1.3, 1.8))),
    "pixelate": (_pixelate, (0.95, 0.7, 0.6, 0.45, 0.35)),
    "jpeg_compression": (_jpeg, (80, 65, 50, 35, 20)),
}
