"""What can be measured of an image's pixels without any model: brightness, colour, sharpness and the like.

NumPy alone. Pictures larger than SIDE are to be scaled down first, so that values of photos of any size compare.
"""

from collections.abc import Callable

import numpy as np

#: the longest side at which photos are measured
SIDE = 128
BLOCK_PIXELS = 2**19
#: a Sobel gradient, in shares of the full range a pixel, from which a pixel counts as an edge
EDGE = 0.1
#: Euclidean distance in RGB (0 to 1) from the border's median colour below which a pixel counts as background
NEAR_BORDER = 0.25
#: mean chroma (0 to 1) below which an image has no dominant hue
LEAST_CHROMA = 0.06
LEVELS = 64
#: of 30 degrees each, the first centred on red; the last where there is no colour
HUES = (
    "red", "orange", "yellow", "yellow-green", "green", "blue-green", "cyan", "azure", "blue", "violet", "magenta",
    "pink", "grey",
)  # fmt: skip
#: name -> what it is, with its source; all but `hue` (an index into HUES) are numbers
PROPERTIES = {
    "brightness": "mean luma, 0 to 1 (ITU-R BT.601)",
    "contrast": "RMS contrast: standard deviation of luma, 0 to 1 (Peli, JOSA A 1990)",
    "colorfulness": "Hasler and Süsstrunk, Human Vision and Electronic Imaging 2003; 0 grey, above 109 extreme",
    "sharpness": "variance of the Laplacian of luma (Pech-Pacheco et al., ICPR 2000)",
    "edge density": f"share of pixels whose Sobel gradient of luma is above {EDGE} (Sobel and Feldman 1968)",
    "entropy": f"entropy of luma in {LEVELS} levels, bits (Shannon 1948)",
    "background": "share of pixels near the border's median colour (boundary prior: Wei et al., ECCV 2012)",
    "hue": "most frequent hue of 30°, pixels weighted by chroma (HSV)",
}


def measure(images: np.ndarray, on_progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, np.ndarray]:
    """Every one of PROPERTIES of each image: uint8 RGB (N, H, W, 3), H and W at least 1, -> float32 (N,) each."""
    values = {name: np.empty(len(images), np.float32) for name in PROPERTIES}
    step = max(BLOCK_PIXELS // max(int(np.prod(images.shape[1:3])), 1), 1)
    for start in range(0, len(images), step):
        for name, block in _measured(images[start : start + step]).items():
            values[name][start : start + step] = block
        on_progress(min(start + step, len(images)), len(images))
    return values


def _measured(images: np.ndarray) -> dict[str, np.ndarray]:
    n = len(images)
    rgb = images.astype(np.float32) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    levels = np.minimum((luma * LEVELS).astype(np.int64), LEVELS - 1).reshape(n, -1)
    counts = np.bincount((levels + LEVELS * np.arange(n)[:, None]).ravel(), minlength=n * LEVELS).reshape(n, LEVELS)
    share = counts / levels.shape[1]
    padded = np.pad(luma, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return {
        "brightness": luma.mean(axis=(1, 2)),
        "contrast": luma.std(axis=(1, 2)),
        "colorfulness": _colorfulness(red, green, blue),
        "sharpness": _laplacian(padded).var(axis=(1, 2)),
        "edge density": (_sobel(padded) > EDGE).mean(axis=(1, 2)),
        "entropy": -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(axis=1),
        "background": _background(rgb),
        "hue": _hue(rgb),
    }


def _colorfulness(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    rg, yb = 255 * (red - green), 255 * ((red + green) / 2 - blue)
    spread = np.sqrt(rg.var(axis=(1, 2)) + yb.var(axis=(1, 2)))
    return spread + 0.3 * np.sqrt(rg.mean(axis=(1, 2)) ** 2 + yb.mean(axis=(1, 2)) ** 2)


def _laplacian(padded: np.ndarray) -> np.ndarray:
    inner = padded[:, 1:-1, 1:-1]
    return padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:] - 4 * inner


def _sobel(padded: np.ndarray) -> np.ndarray:
    """The gradient's length, in units a pixel."""
    down = padded[:, 2:] - padded[:, :-2]
    right = padded[:, :, 2:] - padded[:, :, :-2]
    vertical = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    horizontal = right[:, :-2] + 2 * right[:, 1:-1] + right[:, 2:]
    return np.hypot(vertical, horizontal) / 8


def _background(rgb: np.ndarray) -> np.ndarray:
    n = len(rgb)
    border = np.concatenate([rgb[:, 0], rgb[:, -1], rgb[:, :, 0], rgb[:, :, -1]], axis=1)
    distance = np.linalg.norm(rgb - np.median(border, axis=1).reshape(n, 1, 1, 3), axis=-1)
    return (distance < NEAR_BORDER).mean(axis=(1, 2))


def _hue(rgb: np.ndarray) -> np.ndarray:
    n = len(rgb)
    high, low = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = high - low
    safe = np.where(chroma > 0, chroma, 1)
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    sixth = np.select(
        [high == red, high == green],
        [((green - blue) / safe) % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    place = np.round(2 * sixth).astype(np.int64) % 12
    keys = place.reshape(n, -1) + 12 * np.arange(n)[:, None]
    weight = np.bincount(keys.ravel(), chroma.ravel(), minlength=12 * n).reshape(n, 12)
    return np.where(chroma.mean(axis=(1, 2)) < LEAST_CHROMA, len(HUES) - 1, weight.argmax(axis=1))
