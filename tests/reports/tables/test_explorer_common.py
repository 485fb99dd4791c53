"""What the errors of a selection have in common, against counts by NumPy."""

from dataclasses import replace

import numpy as np
from pages import two_models

from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.explorer_common import having, in_common
from cifarcore.reports.tables.slices import slices_of


def test_superclasses_and_properties_of_the_errors_are_counted():
    a, b = two_models(n_images=2000)
    wrong = ~(a.correct & b.correct)
    rng = np.random.default_rng(0)
    light = np.where(wrong & (rng.random(2000) < 0.8), "dark", np.where(rng.random(2000) < 0.3, "dark", "bright"))
    a = replace(a, metadata_names=np.array(["light", "even"]), metadata_values=np.stack([light, list("xxyy") * 500], 1))
    sides = Sides(Side("A", "a", (a,)), Side("B", "b", (b,)), 0, 0, np.arange(a.n_classes))
    rows = np.arange(0, 2000, 2)
    errors = np.isin(np.arange(2000), rows) & wrong
    kinds, properties = in_common(sides, rows, "light: dark")
    of_super = {str(name).replace("_", " "): int((errors & (a.superclass_of[a.labels] == k)).sum()) for k, name in
                enumerate(a.superclass_names)}  # fmt: skip
    assert kinds["title"] == f"Superclass, of {errors.sum():,} images misclassified by either"
    assert properties["title"] == f"More frequent among these {errors.sum():,} than among all other test images"
    assert [item["count"] for item in kinds["items"]] == sorted(of_super.values(), reverse=True)[:6]
    assert {item["name"]: item["count"] for item in kinds["items"]}.items() <= of_super.items()
    (item,) = properties["items"]  # what is even among the errors and elsewhere is left out
    dark = light == "dark"
    assert item["value"] == "light: dark" == properties["chosen"] and item["count"] == (errors & dark).sum()
    assert item["name"] == f"light: dark · {dark[errors].mean():.0%}, others {dark[~errors].mean():.0%}"
    assert having(sides, "light: dark").tolist() == dark.tolist() and having(sides, "light: odd") is None
    assert in_common(sides, np.flatnonzero(~wrong), "") == []


def test_conditions_that_would_be_called_alike_are_told_apart():
    """Headings and values may be joined alike, and numbers rounded alike: one name stood for the images of two."""
    a, b = two_models(n_images=200)
    halves, fifths = np.arange(200) % 2, np.arange(200) % 5
    values = [
        np.where(halves, "b: c", "d"),
        np.where(fifths == 0, "c", "e"),
        np.where(halves, "1.00001", "1.00002"),
    ]
    named = {"metadata_names": np.array(["a", "a: b", "x"]), "metadata_values": np.stack(values, 1)}
    a = replace(a, **named)
    sides = Sides(Side("A", "a", (a,)), Side("B", "b", (b,)), 0, 0, np.arange(a.n_classes))
    assert having(sides, "a: b: c").tolist() == (halves != 0).tolist()
    assert having(sides, "a: b: c (2)").tolist() == (fifths == 0).tolist()
    assert having(sides, "a: b: e").tolist() == (fifths != 0).tolist()
    assert having(sides, "x: 1.00001").tolist() == (halves != 0).tolist() and having(sides, "x: 1") is None
    found = slices_of(sides)
    assert {"x: 1.00001", "x: 1.00002", "a: b: c (2)"} <= set(found.conditions)
    assert found.mask("a: b: c (2)").tolist() == (fifths == 0).tolist()
