"""The slices page: what it names is what was found, and its pictures are those of the slice chosen."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pages import run, text, two_models, write

from cifarcore.app.pages import slices
from cifarcore.evidence.slices import find, of_images
from cifarcore.runs.corrupted import Corrupted, corrupted_path, save_corrupted
from cifarcore.runs.selections import delete_selection, save_selection, selections


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
    assert f"of {len(found.table)} listed" in text(app)


def test_runs_that_are_too_small_to_search_say_so(folder, listed):
    write(folder, *two_models(n_images=60, superclasses=False))
    assert "These images have no known properties" in text(run(folder, "slices"))


def test_own_slices_are_tested_exported_and_imported(folder, listed):
    a, b = two_models(n_images=2000)
    write(folder, a, b)
    rows = np.flatnonzero(b.correct & ~a.correct)
    save_selection(folder, "better", a.sample_ids[rows], a.labels[rows])
    save_selection(folder, "first", a.sample_ids[:100], a.labels[:100])
    app = run(folder, "slices", {"saved": "first"})
    table = app.dataframe[-1].value.set_index("Slice")
    assert table["Significant"].to_dict() == {"better": "yes", "first": ""}
    assert table.loc["better", "B − A (points)"] == "+100.0"
    assert sorted(listed.rows) == list(range(100)) and "a family of their own" in text(app)


def test_own_slices_are_shown_under_a_filter_of_classes(folder, listed):
    """Both halves of the page offer to clear it, and the second was an error."""
    a, b = two_models(n_images=500)
    write(folder, a, b)
    save_selection(folder, "first", a.sample_ids[:100], a.labels[:100])
    app = run(folder, "slices", {"saved": "first", "hardest": "4"})
    inside = np.isin(a.labels[:100], np.unique(a.labels[listed.rows]))
    assert sorted(listed.rows) == np.flatnonzero(inside).tolist() and 0 < inside.sum() < 100
    assert len({each.key for each in app.button if each.label == "Clear filter"}) == 2
    next(each for each in reversed(app.button) if each.label == "Clear filter").click().run()
    assert not app.exception and sorted(listed.rows) == list(range(100))


def test_a_slice_that_another_tab_deleted_takes_no_other_with_it(folder, listed):
    """The first slice of the list was deleted in place of the one that was shown."""
    a, b = two_models(n_images=500)
    write(folder, a, b)
    for name, rows in (("first", slice(0, 100)), ("second", slice(100, 200))):
        save_selection(folder, name, a.sample_ids[rows], a.labels[rows])
    app = run(folder, "slices", {"saved": "second"})
    delete_selection(folder, "second")
    next(each for each in app.button if each.label == "Delete this slice").click().run()
    assert [each.name for each in selections(folder)[0]] == ["first"]
    assert "has changed since it was shown" in text(app)
    next(each for each in app.button if each.label == "Delete this slice").click().run()
    assert selections(folder) == ([], []) and "has changed" not in text(app) and not app.exception


def test_without_slices_of_ones_own_the_way_to_some_is_said(folder, listed):
    write(folder, *two_models(n_images=2000))
    assert "or import a CSV" in text(run(folder, "slices"))


def test_what_else_the_images_have_in_common_is_said(folder, listed):
    a, b = two_models(n_images=2000)
    place = np.argsort(np.argsort(a.correct.astype(int) - b.correct, kind="stable"))
    size, dark = np.where(place < 500, "3", "1"), np.where(place < 450, "dark", "light")
    a = replace(a, metadata_names=np.array(["size", "light"]), metadata_values=np.stack([size, dark], axis=1))
    write(folder, a, b)
    app = run(folder, "slices", {"slice": "size: 3"})
    assert "differ most from the rest in: light: dark (90%; elsewhere 0%)" in text(app).replace("\\", "")
    assert re.search(r"explorer\?\S*slice=size%3A\+3&color=slice\)", text(app))


def test_robustness_is_compared_where_both_models_were_scored_on_corrupted_images(folder, listed):
    a, b = two_models(n_images=300)
    write(folder, a, b)
    shown = {"robustness-open": True}
    assert "`cifarcore evaluate CHECKPOINT --corruption all`" in text(run(folder, "slices", **shown))
    for each, drop in ((a, 0.4), (b, 0.1)):
        changed = np.where(np.random.default_rng(0).random((2, 300)) < drop, 0, each.predictions).astype(np.int16)
        found = Corrupted(
            each.sample_ids, each.predictions.astype(np.int16), (("fog", 1), ("jpeg_compression", 5)), changed
        )
        save_corrupted(found, corrupted_path(folder / f"{each.group}-0.npz"))
    app = run(folder, "slices", **shown)
    said = text(app).replace("\\", "")
    assert "Under 2 corruptions at severity 1, 5" in said and "of 300 test images correctly" in said
    assert "resnet18-made loses less" in said
    table = next(each.value for each in app.dataframe if "Corruption" in each.value)
    assert set(table["Corruption"]) == {"fog", "jpeg compression"} and "Mean corruption error of B over A 0." in said
    corrupted_path(folder / "cnn-made-0.npz").write_bytes(b"no archive")
    said = text(run(folder, "slices", **shown)).replace("\\", "")
    assert "cnn-made-0.corruptions" in said and str(folder) not in said
