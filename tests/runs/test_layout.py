"""The limits of a run file, each at its last number allowed and at the next, from headers and texts alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from cifarcore.runs import layout
from cifarcore.runs.layout import LAYOUT, RunFileError, check_shapes, parse_meta

WHERE = Path("x.npz")
SIZES = {"N": 60, "V": 20, "C": 10, "S": 3, "K": 5, "E": 8, "M": 4}
TYPES = {"u8": "u8", "iu": "i2", "f": "f4", "U": "U9"}


def headers(dtypes=None, **sizes):
    sizes = SIZES | sizes
    return {
        name: (
            np.dtype((dtypes or {}).get(name, TYPES[kinds])),
            tuple(sizes.get(symbol, symbol) for symbol in shape),
        )
        for name, (kinds, shape) in LAYOUT.items()
    }


@pytest.mark.parametrize(
    ("letter", "most", "name"),
    [
        ("N", 2_000_000, "sample_ids"),
        ("V", 2_000_000, "val_sample_ids"),
        ("C", 20_000, "class_names"),
        ("S", 20_000, "superclass_names"),
        ("K", 1_000, "train_neighbor_ids"),
        ("E", 1_000_000, "history_epoch"),
        ("M", 100, "metadata_names"),
    ],
)
def test_as_many_as_the_limit_are_read_and_not_one_more(letter, most, name):
    check_shapes(headers(**{letter: most}), WHERE)
    check_shapes(headers(**{letter: 2 if letter == "C" else 1}), WHERE)
    with pytest.raises(RunFileError, match=f"'{name}' has length {most + 1}, more than the {most} that are read"):
        check_shapes(headers(**{letter: most + 1}), WHERE)


@pytest.mark.parametrize(("name", "most"), [("class_names", 1_000), ("superclass_names", 1_000), ("meta", 1_000_000)])
def test_texts_as_long_as_the_limit_are_read_and_not_longer(name, most):
    check_shapes(headers({name: f"U{most}"}), WHERE)
    with pytest.raises(RunFileError, match=f"'{name}' has text of {most + 1} characters, more than the {most} that"):
        check_shapes(headers({name: f"U{most + 1}"}), WHERE)


def test_at_most_one_gibibyte_is_read():
    assert layout.MAX_BYTES == 2**30 and layout.SCHEMA == 1


def test_maps_have_two_columns_and_classes_are_two_at_least():
    with pytest.raises(RunFileError, match="one name; a classifier needs at least two classes"):
        check_shapes(headers(C=1), WHERE)
    broken = headers()
    broken["tsne"] = (np.dtype("f4"), (60, 1))
    with pytest.raises(RunFileError, match=r"'tsne' has shape \(60, 1\), expected 2 columns"):
        check_shapes(broken, WHERE)


def meta_of(**values):
    return parse_meta(np.array(json.dumps(values)), WHERE)


@pytest.mark.parametrize("key", ["seed", "parameters", "train_seconds"])
def test_numbers_of_64_bits(key):
    for value in (2**63 - 1, 1 - 2**63, 0):
        assert meta_of(**{key: value}) == {key: value}
    for value in (2**63, -(2**63)):
        with pytest.raises(RunFileError, match=f"a {key} beyond 64 bits"):
            meta_of(**{key: value})
    with pytest.raises(RunFileError, match=f"a {key} of the wrong type .bool"):
        meta_of(**{key: True})


def test_types_of_meta():
    whole = {"model": "cnn", "config": {"a": 1}, "seed": 3, "train_seconds": 1.5, "mine": [True, None], "device": None}
    assert meta_of(**whole) == whole and parse_meta(None, WHERE) == {}
    for key, value in (("seed", 1.5), ("model", 1), ("maps", []), ("versions", "1"), ("scores", {})):
        with pytest.raises(RunFileError, match=f"a {key} of the wrong type .{type(value).__name__}"):
            meta_of(**{key: value})


@pytest.mark.parametrize("key", ["model", "preset"])
def test_names_in_meta_are_short_and_can_be_shown(key):
    assert meta_of(**{key: "x" * 1000})[key] == "x" * 1000
    for text in ("x" * 1001, "a\x1b[1m", "\x00"):
        with pytest.raises(RunFileError, match=f"a {key} with control characters or of great length"):
            meta_of(**{key: text})


def test_a_refusal_is_one_line_of_a_thousand_characters():
    message = str(layout.refusal(Path("a\nb"), "x " * 2000))
    assert message.startswith("a b: x x") and len(message) == 1000
