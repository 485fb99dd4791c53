"""What the page Slices names on the bundled pair, from the pixels to q, each number a second time by NumPy alone."""

import colorsys
from math import lgamma, log2
from pathlib import Path

import numpy as np
import pytest

from cifarcore.data.cifar100 import data_dir, load_test_images
from cifarcore.data.ids import sample_ids
from cifarcore.data.image_properties import HUES, measure
from cifarcore.data.known_images import known_images
from cifarcore.evidence.slices import find, of_images, of_pixels
from cifarcore.reports import headings
from cifarcore.reports.tables.slices import sentences, slice_table
from cifarcore.runs.run import load_run

BUNDLED = Path(__file__).resolve().parents[2] / "checkpoints"
NODES = np.polynomial.legendre.leggauss(400)
FIFTHS = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")


def by_loops(image):
    """The properties of one picture, uint8 (H, W, 3), a pixel at a time; and by how little the hue is what it is."""
    height, width, _ = image.shape
    place = [(y, x) for y in range(height) for x in range(width)]
    rgb = {at: tuple(int(v) / 255 for v in image[at]) for at in place}
    luma = {at: 0.299 * r + 0.587 * g + 0.114 * b for at, (r, g, b) in rgb.items()}

    def at(y, x):
        return luma[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]

    laplacian, slope, hues, chroma = [], [], np.zeros(12), []
    for y, x in place:
        laplacian.append(at(y - 1, x) + at(y + 1, x) + at(y, x - 1) + at(y, x + 1) - 4 * at(y, x))
        across = sum(w * (at(y + d, x + 1) - at(y + d, x - 1)) for d, w in ((-1, 1), (0, 2), (1, 1)))
        along = sum(w * (at(y + 1, x + d) - at(y - 1, x + d)) for d, w in ((-1, 1), (0, 2), (1, 1)))
        slope.append((across**2 + along**2) ** 0.5 / 8)
        chroma.append(max(rgb[y, x]) - min(rgb[y, x]))
        hues[round(12 * colorsys.rgb_to_hsv(*rgb[y, x])[0]) % 12] += chroma[-1]
    rg = np.array([255 * (r - g) for r, g, _ in rgb.values()])
    yb = np.array([255 * ((r + g) / 2 - b) for r, g, b in rgb.values()])
    levels = [min(int(v * 64), 63) for v in luma.values()]
    shares = [levels.count(level) / len(place) for level in set(levels)]
    border = [*image[0], *image[-1], *image[:, 0], *image[:, -1]]
    ground = np.median(np.array(border) / 255, axis=0)
    near = [sum((v - g) ** 2 for v, g in zip(rgb[p], ground, strict=True)) ** 0.5 < 0.25 for p in place]
    values = np.array(list(luma.values()))
    return {
        "brightness": values.mean(),
        "contrast": values.std(),
        "colorfulness": (rg.var() + yb.var()) ** 0.5 + 0.3 * (rg.mean() ** 2 + yb.mean() ** 2) ** 0.5,
        "sharpness": np.var(laplacian),
        "edge density": np.mean(np.array(slope) > 0.1),
        "entropy": -sum(share * log2(share) for share in shares),
        "background": np.mean(near),
        "hue": 12 if np.mean(chroma) < 0.06 else int(hues.argmax()),
    }, np.diff(np.sort(hues))[-1]


def check_pixels(images):
    values = measure(images)
    for i, image in enumerate(images):
        expected, margin = by_loops(image)
        assert set(expected) == set(values)
        for name, value in expected.items():
            if name == "hue":
                assert values[name][i] == value or margin < 1e-3
                continue
            # a pixel on a threshold falls to either side of it by rounding
            pixel = {"edge density": 2.5 / image[..., 0].size, "background": 2.5 / image[..., 0].size}
            assert values[name][i] == pytest.approx(value, rel=1e-3, abs=pixel.get(name, 1e-4)), (name, i)


def test_pixels_of_made_pictures():
    rng = np.random.default_rng(0)
    noise = rng.integers(256, size=(60, 9, 13, 3), dtype=np.uint8)
    smooth = noise[:, :3, :4].repeat(3, axis=1).repeat(3, axis=2)
    dull = (smooth.mean(axis=3, keepdims=True) + smooth % 20 / 2).astype(np.uint8)
    for images in (noise, smooth, dull):
        check_pixels(images)


@pytest.fixture(scope="module")
def pictures():
    read = load_test_images(data_dir())
    if read is None:
        pytest.skip(f"no CIFAR-100 in {data_dir()}: set CIFARCORE_DATA or run `cifarcore data`")
    return read[0]


def test_pixels_of_real_pictures(pictures):
    check_pixels(pictures[np.random.default_rng(0).choice(len(pictures), 200, replace=False)])


def tail(t, df):
    """P(T > t) of Student's t, t and df (n,): its density, integrated by Gauss and Legendre."""
    nodes, weights = NODES
    x = np.asarray(t, float)[..., None] + 25 * (nodes + 1)
    df = np.asarray(df, float)[..., None]
    scale = np.vectorize(lgamma)((df + 1) / 2) - np.vectorize(lgamma)(df / 2) - np.log(df * np.pi) / 2
    return 25 * (np.exp(scale - (df + 1) / 2 * np.log1p(x**2 / df)) * weights).sum(axis=-1)


def quantile(df):
    """The t beyond which 2.5% are."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, df) > 0.025 else (low, middle)
    return low


def mean_and_error(difference, inside):
    """B - A inside and outside, the standard error inside (its variance at least that of all), and n."""
    within = difference[inside]
    variance = max(within.var(ddof=1), difference.var(ddof=1))
    return within.mean(), difference[~inside].mean(), (variance / len(within)) ** 0.5, len(within)


def q_by_numpy(difference, parts):
    """Membership of (property, value) -> bool (N,): q of each slice of one or two conditions, by its conditions."""
    keys, n = list(parts), len(difference)
    tested, t, df, family = [], [], [], []
    for i, one in enumerate(keys):
        for two in keys[i:]:
            inside = parts[one] & parts[two]
            if (one != two and one[0] == two[0]) or not n / 100 <= inside.sum() <= n / 2:
                continue
            mean, rest, error, size = mean_and_error(difference, inside)
            error_rest = (difference[~inside].var(ddof=1) / (n - size)) ** 0.5
            squares = np.array([error**2, error_rest**2])
            tested.append(tuple(dict.fromkeys((one, two))))
            family.append((one == two, frozenset((one[0], two[0]))))
            t.append(abs(mean - rest) / squares.sum() ** 0.5)
            df.append(squares.sum() ** 2 / (squares**2 / [size - 1, n - size - 1]).sum())
    p = 2 * tail(np.array(t), np.array(df))
    kinds = {kind: len({each for each in family if each[0] == kind}) for kind in (True, False)}
    weight = np.array([0.5 / kinds[each[0]] / family.count(each) for each in family])
    weighted = np.minimum(p / (weight / weight.sum() * len(p)), 1)
    q, least = np.empty(len(p)), 1.0
    for rank, k in reversed(list(enumerate(np.argsort(weighted), 1))):
        least = min(least, weighted[k] * len(p) / rank)
        q[k] = least
    return dict(zip(tested, zip(p, q, strict=True), strict=True))


def parts_of(values, fifths):
    """(property, value) -> which images: numbers by ranks into fifths, hues and text as they are."""
    parts = {}
    for name, column in values.items():
        if name in fifths:
            order = np.sort(column.astype(float))
            edges = []
            for k in range(1, 5):
                at = k * (len(order) - 1) / 5
                below, above = order[int(at)], order[min(int(at) + 1, len(order) - 1)]
                edges.append(below + (at - int(at)) * (above - below))
            place = sum((column > edge).astype(int) for edge in edges)
            parts |= {(name, FIFTHS[k]): place == k for k in range(5)}
        else:
            parts |= {(name, str(value)): column == value for value in np.unique(column)}
    return parts


@pytest.mark.skipif(
    not (BUNDLED / "cnn-quick-0.npz").exists(), reason="needs the bundled run files: run in a clone of the repository"
)
def test_what_is_named_on_the_bundled_pair(pictures):
    a, b = ([load_run(BUNDLED / f"{model}-quick-{seed}.npz") for seed in range(3)] for model in ("cnn", "resnet18"))
    place = {sample_id: row for row, sample_id in enumerate(sample_ids(pictures).tolist())}
    measured = measure(pictures[[place[sample_id] for sample_id in a[0].sample_ids.tolist()]])
    found = find(a, b, [*of_pixels(measured), *of_images(a[0])])

    row = known_images().rows_of(a[0].sample_ids, a[0].labels)
    values = measured | {
        "hue": np.array(HUES)[measured["hue"].astype(int)],
        "superclass": np.char.replace(a[0].superclass_names, "_", " ")[a[0].superclass_of[a[0].labels]],
        "closest training image": np.array(["no duplicate", "exact duplicate", "near duplicate", "similar"])[
            known_images().duplicate[row]
        ],
        "label disputed by people": np.where(known_images().disputed[row], "yes", "no"),
    }
    parts = parts_of(values, set(measured) - {"hue"})
    correct = [np.mean([r.logits.argmax(1) == r.labels for r in runs], axis=0) for runs in (a, b)]
    difference = correct[1] - correct[0]
    first = np.zeros(len(difference), bool)
    order = np.argsort(a[0].sample_ids, kind="stable")
    first[order[np.random.default_rng(0).permutation(len(order))[: len(order) // 2]]] = True
    tested = q_by_numpy(difference, parts)

    shown = slice_table(found).set_index("Slice")
    significant = set()
    for row in found.table.itertuples():
        pairs = [tuple(text.split(" (")[0].split(": ")) for text in row.slice.split(" & ")]
        inside = np.all([parts[pair] for pair in pairs], axis=0)
        np.testing.assert_array_equal(found.mask(row.slice), inside)
        assert row.support == inside.sum()
        assert (row.accuracy_a, row.accuracy_b) == pytest.approx([side[inside].mean() for side in correct])
        held_out = [mean_and_error(difference[half], inside[half]) for half in (~first, first)]
        options = [held_out] if row.chosen_by == 2 else [[half] for half in held_out]
        numbers = []
        for option in options:
            means, rests, errors, sizes = np.array(option).T
            margin = quantile(sizes.min() - 1) * (errors**2).sum() ** 0.5 / len(option)
            numbers.append((means.mean(), means.mean() - margin, means.mean() + margin, rests.mean()))
        given = (row.difference, row.low, row.high, row.rest)
        assert any(given == pytest.approx(each, abs=1e-5) for each in numbers), row.slice
        assert row.gap == pytest.approx(row.difference - row.rest)
        assert row.share == pytest.approx(inside.mean() * row.gap / difference.mean())
        p, q = next(tested[key] for key in (tuple(pairs), tuple(pairs[::-1])) if key in tested)
        assert (row.p, row.q) == pytest.approx((p, q), rel=5e-3), row.slice
        significant |= {row.slice} if q <= 0.05 else set()
        assert shown.loc[row.slice, "B − A elsewhere (points)"].replace("−", "-") == f"{100 * row.rest:+.1f}"
    assert set(found.significant["slice"]) == significant and len(significant) >= 2 and len(found.table) >= 20

    strongest = found.table.iloc[0]
    points = [f"{100 * strongest[name]:+.1f}".replace("-", "−") for name in ("difference", "rest", "low", "high")]
    told = headings.of_slices(found, ("CNN", "ResNet-18"))
    assert f"{points[0]} points in the slice “{strongest['slice']}”, {points[1]} points elsewhere" in told
    ((_, sentence),) = [each for each in sentences(found) if each[0] == strongest["slice"]]
    assert f"{points[0]} points on {strongest['support']:,} images (95% CI {points[2]} to {points[3]})" in sentence
