"""A procedural data set of CIFAR-100's form, for tests and for use without a network: drawn, never photographed.

Superclasses are shapes with a texture, their five classes differ by a hue that wavers, so siblings are confused
most and no classifier reaches 100%. Nothing is asymmetric in a way that mirroring an image would change its class.
"""

from itertools import product

import numpy as np

from cifarcore.data.cifar100 import Dataset
from cifarcore.errors import CifarcoreError

SIDE = 32
SHAPES = ("cross", "disc", "ring", "square", "triangle")
TEXTURES = ("checked", "dotted", "solid", "striped")
HUES = ("red", "yellow", "green", "blue", "violet")
HUE_SPREAD = 0.055  # standard deviation in turns; the hues stand 0.2 apart, so some 7% pass for a neighbour
NOISE = 0.08  # standard deviation of each pixel's channels, of 1
_CHUNK = 1000

SUPERCLASS_NAMES = tuple(f"{texture} {shape}" for shape, texture in product(SHAPES, TEXTURES))
CLASS_NAMES = tuple(f"{hue} {group}" for group, hue in product(SUPERCLASS_NAMES, HUES))
SUPERCLASS_OF = tuple(index // len(HUES) for index in range(len(CLASS_NAMES)))


def make_synthetic(n_train: int = 5000, n_test: int = 1000, seed: int = 0) -> Dataset:
    """Draw the data set: 100 balanced classes in random order, images uint8 (n, 32, 32, 3), labels int64 (n,).

    Equal arguments give equal bytes. Raises CifarcoreError where a split would have no image.
    """
    if min(n_train, n_test) < 1:
        raise CifarcoreError(f"{n_train} training and {n_test} test images asked for; give at least 1 of each")
    x_train, y_train = _draw_split(n_train, np.random.default_rng([seed, 0]))
    x_test, y_test = _draw_split(n_test, np.random.default_rng([seed, 1]))
    return Dataset("synthetic", x_train, y_train, x_test, y_test, CLASS_NAMES, SUPERCLASS_NAMES, SUPERCLASS_OF)


def _draw_split(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.permutation(np.arange(n) % len(CLASS_NAMES))
    return np.concatenate([_draw(labels[i : i + _CHUNK], rng) for i in range(0, n, _CHUNK)]), labels


def _draw(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One textured shape on a blurred background for each label (n,) -> uint8 (n, 32, 32, 3)."""
    n = len(labels)

    def uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (n, *shape)).astype(np.float32)

    group, hue = np.divmod(labels, len(HUES))
    shape, texture = np.divmod(group, len(TEXTURES))
    # pixels in the shape's own coordinates: shifted, turned and stretched, its body within about -1..1
    grid = (np.arange(SIDE, dtype=np.float32) + 0.5) / (SIDE / 2) - 1
    y, x = (axis - uniform(-0.2, 0.2, 1, 1) for axis in np.meshgrid(grid, grid, indexing="ij"))
    angle, size, stretch = uniform(-0.4, 0.4, 1, 1), uniform(0.6, 0.85, 1, 1), uniform(0.9, 1.1, 1, 1)
    u = (np.cos(angle) * x + np.sin(angle) * y) / (size * stretch)
    v = (np.cos(angle) * y - np.sin(angle) * x) / (size / stretch)

    distance = np.choose(shape[:, None, None], _distances(u, v))
    coverage = np.clip(0.5 - distance * size * SIDE / 2, 0, 1)
    shade = np.choose(texture[:, None, None], _textures(u, v, uniform(1.5, 2.5, 1, 1)))
    turns = (hue / len(HUES) + HUE_SPREAD * rng.standard_normal(n)).astype(np.float32)
    body = _rgb(turns, uniform(0.45, 0.95), uniform(0.55, 1.0))[:, None, None, :]
    image = body * (1 - uniform(0.5, 0.8, 1, 1, 1) * shade[..., None])
    image = (
        _background(uniform(0.3, 0.7, 4, 4, 1) + uniform(-0.2, 0.2, 4, 4, 3)) * (1 - coverage[..., None])
        + image * coverage[..., None]
    )
    image += NOISE * rng.standard_normal(image.shape, dtype=np.float32)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _distances(u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """About the distance to the edge of each of SHAPES, negative inside."""
    radius, box = np.hypot(u, v), np.maximum(abs(u), abs(v))
    cross = np.maximum(box - 1, np.minimum(abs(u), abs(v)) - 0.32)
    triangle = np.maximum(0.87 * abs(u) + 0.5 * v - 0.5, -v - 0.8)
    return [cross, radius - 0.9, abs(radius - 0.7) - 0.28, box - 0.8, triangle]


def _textures(u: np.ndarray, v: np.ndarray, frequency: np.ndarray) -> list[np.ndarray]:
    """How dark each pixel is under each of TEXTURES, 0..1."""
    wave_u, wave_v = np.sin(2 * np.pi * frequency * u), np.sin(2 * np.pi * frequency * v)
    steps = (wave_u * wave_v, wave_u + wave_v - 0.9, -np.ones_like(u), wave_v)
    return [np.clip(0.5 + 4 * step, 0, 1) for step in steps]


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """HSV to RGB, each (n,) in 0..1 with the hue in turns -> (n, 3). Formula: en.wikipedia.org/wiki/HSL_and_HSV."""
    k = (np.array([5, 3, 1], np.float32) + 6 * hue[:, None]) % 6
    return value[:, None] * (1 - saturation[:, None] * np.clip(np.minimum(k, 4 - k), 0, 1))


def _background(corners: np.ndarray) -> np.ndarray:
    """(n, 4, 4, 3) coarse colours, blended linearly -> (n, 32, 32, 3)."""
    position = np.linspace(0, corners.shape[1] - 1, SIDE)
    weight = np.clip(1 - abs(position[:, None] - np.arange(corners.shape[1])), 0, 1).astype(np.float32)
    return np.einsum("ia,jb,nabc->nijc", weight, weight, corners, optimize=True)
