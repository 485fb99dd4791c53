"""The slices page: what it names is what was found, and its pictures are those of the slice chosen."""

from types import SimpleNamespace

import numpy as np
import pytest
from pages import run, text, two_models, write

from cifarcore.app.pages import slices
from cifarcore.evidence.slices import find, of_images


@pytest.fixture
def listed(monkeypatch):
    seen = SimpleNamespace(rows=None)
    monkeypatch.setattr(slices, "gallery", lambda view, rows, *args, **more: setattr(seen, "rows", rows))
    return seen


def test_the_pictures_are_those_of_the_slice_that_the_address_names(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    found = find([a], [b], of_images(a))
    name = found.table["slice"].iloc[-1]
    app = run(folder, "slices", {"slice": name})
    assert app.selectbox(key="slice").value == name
    assert sorted(listed.rows) == np.flatnonzero(found.mask(name)).tolist()
    assert f"of {len(found.table)} tested" in text(app)


def test_runs_that_are_too_small_to_search_say_so(folder, listed):
    write(folder, *two_models(n_images=60, superclasses=False))
    assert "These images have no known properties" in text(run(folder, "slices"))
