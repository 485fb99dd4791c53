"""What the explorer's maps are drawn from: a pure function of a DataFrame, packed so that 50,000 images take little.

The drawing and the marking happen in the browser (app/parts/maps.js), with no further data sent.
"""

import base64
import colorsys
import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.reports.charts.colors import DARK_KEY_COLORS, KEY_COLORS, SPLIT_COLORS
from cifarcore.reports.tables.explorer_map import OF_SLICE

WRONG = SPLIT_COLORS["neither"]
UNKNOWN = 255  #: a confidence that is not known, in per cent
_PALE = ("#c3c8cf", "#4b515a")  #: on a light and on a dark ground: what is right steps back
_FIXED = {name: (color, color) for name, color in SPLIT_COLORS.items()} | {
    OF_SLICE[1]: ("#7a3fc4", "#b98bff"),
    **dict.fromkeys(("both correct", "correct", OF_SLICE[0]), _PALE),
    "neither": (WRONG, "#ff5c93"),
    "misclassified": (WRONG, "#ff5c93"),
}
_VIRIDIS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
_STEPS = 101  #: of a colour that is a share, one a per cent


def content(
    frame: pd.DataFrame,
    titles: dict[str, str],
    places: dict[str, list[tuple[str, float, float]]],
    names: list[str],
    legend: list[str] | None,
    picture_url: str,
    shown: dict[str, str] | None = None,
    superclasses: dict[str, list[tuple[str, float, float]]] | None = None,
) -> dict:
    """What maps.js draws, fit for JSON: both maps (or the one that is there) on one scale.

    Columns of `frame`: id (uint64), label, a_class, b_class (indices into `names`), a_x, a_y, b_x, b_y (each map's own
    units; a pair may be missing), a_color, b_color (index into `legend`, or a number from 0 to 1 where `legend` is
    None), a_sure, b_sure (confidence in per cent, NaN where not known), pictured (bool). `titles` are the maps', by
    letter; `places` are the names written on each and where; `shown` are other words for names of the `legend`;
    `superclasses` are the names written instead while the whole of a map is seen, where there are any. Positions are
    sent in 16 bits.
    """
    letters = [letter for letter in "AB" if f"{letter.lower()}_x" in frame]
    bounds = _bounds(frame, letters)
    drawn = [
        {
            "letter": letter,
            "title": titles[letter],
            "xy": packed(_quantised(frame[[f"{letter.lower()}_x", f"{letter.lower()}_y"]].to_numpy(float), bounds)),
            "codes": packed(_codes(frame[f"{letter.lower()}_color"], legend)),
            "names": _written(places[letter]),
            "superclasses": _written((superclasses or {}).get(letter, [])),
        }
        for letter in letters
    ]
    for each in drawn:
        of = str(each["letter"]).lower()
        each["given"] = packed(frame[f"{of}_class"].to_numpy())
        each["sure"] = packed(frame[f"{of}_sure"].fillna(UNKNOWN).to_numpy())
    sent = {
        "maps": drawn,
        "bounds": list(bounds),
        "labels": packed(frame["label"].to_numpy()),
        "ids": packed(frame["id"].to_numpy(np.uint64)),
        "pictured": packed(frame["pictured"].to_numpy(np.uint8)),
        "names": names,
        "groups": None if legend is None else [(shown or {}).get(name, name) for name in legend],
        "ramp": None if legend is not None else ["0%", "100%"],
        "ordered": legend is not None and set(legend) <= set(_FIXED),
        "colors": palette(legend),
        "keys": {letter: [KEY_COLORS[letter], DARK_KEY_COLORS[letter]] for letter in KEY_COLORS},
        "picture_url": f"/{picture_url}" if frame["pictured"].any() else "",
        "description": "Maps of the test images by "
        + " and ".join(f"{letter} ({titles[letter]})" for letter in letters)
        + "; near points are similar images.",
    }
    return sent | {"version": hashlib.blake2b(json.dumps(sent).encode(), digest_size=8).hexdigest()}


def _written(places: list[tuple[str, float, float]]) -> list[list]:
    return [[name, round(float(x), 4), round(float(y), 4)] for name, x, y in places]


def packed(values: np.ndarray) -> str:
    """Whole numbers from 0 in as few bytes as they need, little-endian, in base64 behind their type."""
    most = int(values.max(initial=0))
    size = 1 if most < 1 << 8 else 2 if most < 1 << 16 else 8
    return f"u{size}:{base64.b64encode(values.astype(f'<u{size}').tobytes()).decode()}"


def palette(legend: Sequence[str] | None) -> list[tuple[str, str]]:
    """The colour of each code, on a light and on a dark ground; of a share (None) one for each per cent."""
    if legend is None:
        anchors = np.array([[int(color[at : at + 2], 16) for at in (1, 3, 5)] for color in _VIRIDIS])
        at = np.linspace(0, len(anchors) - 1, _STEPS)
        rgb = np.stack([np.interp(at, range(len(anchors)), anchors[:, k]) for k in range(3)], axis=1)
        return [(color, color) for color in ("#{:02x}{:02x}{:02x}".format(*row) for row in np.rint(rgb).astype(int))]
    if set(legend) <= set(_FIXED):
        return [_FIXED[name] for name in legend]
    # neighbours in the list differ in hue by a golden turn, and in lightness
    return [
        (_hex(index * 137.508, (0.70, 0.55)[index % 2], light), _hex(index * 137.508, 0.7, light + 0.12))
        for index, light in ((index, (0.48, 0.60, 0.38)[index % 3]) for index in range(len(legend)))
    ]


def _hex(hue: float, saturation: float, lightness: float) -> str:
    """A colour of HSL, the hue in degrees, as #rrggbb."""
    rgb = colorsys.hls_to_rgb(hue / 360 % 1, lightness, saturation)
    return "#{:02x}{:02x}{:02x}".format(*(round(255 * value) for value in rgb))


def _bounds(frame: pd.DataFrame, letters: Sequence[str]) -> tuple[float, float, float, float]:
    """The least and greatest x and y of all maps; never without an extent."""
    ends = []
    for axis in "xy":
        values = frame[[f"{letter.lower()}_{axis}" for letter in letters]].to_numpy(float)
        low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
        ends += [low, high] if high - low > 1e-9 else [low - 0.5, low + 0.5]
    return ends[0], ends[1], ends[2], ends[3]


def _quantised(positions: np.ndarray, bounds: tuple[float, float, float, float]) -> np.ndarray:
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    return np.rint((positions - low) / (high - low) * 65535).astype(np.uint16).ravel()


def _codes(color: pd.Series, legend: list[str] | None) -> np.ndarray:
    return color.to_numpy() if legend is not None else np.rint(color.to_numpy() * (_STEPS - 1)).astype(np.uint8)
