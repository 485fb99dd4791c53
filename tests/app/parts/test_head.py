"""The report that the app exports: it says of two files what `cifarcore compare` says of them."""

from dataclasses import replace

import numpy as np
import pytest
from pages import two_models, write

from cifarcore.app.catalog import find_runs, load_sides
from cifarcore.app.parts import head
from cifarcore.app.view import View, other_seeds
from cifarcore.reports import html
from cifarcore.reports.result import compare


def _view(folder, seeds=slice(None)):
    catalog = find_runs(folder)
    names = ("cnn-made", "resnet18-made")
    a, b, only = load_sides(*(catalog.groups[name][seeds] for name in names), names)
    return View(a, b, *only[:2], np.arange(10), None, "A and B", "f1", folder.parent)


def _parts_of_the_images(a, b):
    a, b = (replace(one, meta=one.meta | {"dataset": {}}) for one in (a, b))
    return a.take(np.arange(350)), b.take(np.arange(150, 500))


def _other_labels(a, b):
    labels = b.labels.copy()
    labels[:20] = (labels[:20] + 1) % 10
    return a, replace(b, labels=labels)


def _other_superclasses(a, b):
    of = b.superclass_of.copy()
    of[0] = of[-1]
    return a, replace(b, superclass_of=of)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            _parts_of_the_images,
            "Only the 200 images that all runs share are compared; up to 150 of a run are left out.",
        ),
        (_other_labels, "20 of them because the files give them different labels."),
        (_other_superclasses, "the classes are in other superclasses"),
    ],
)
def test_the_exported_report_is_that_of_the_command(folder, monkeypatch, changed, said):
    write(folder, *changed(*two_models(maps=False, neighbors=False, val=False)))
    monkeypatch.setattr(html, "datetime", _Noon)
    page = head._report(_view(folder)).decode()
    assert said in page
    assert page == compare(folder / "cnn-made-0.npz", folder / "resnet18-made-0.npz").html()


def test_all_further_seeds_count_however_many_there_are(folder):
    options = {"maps": False, "neighbors": False, "val": False, "superclasses": False, "history": False, "n_images": 50}
    write(folder, *two_models(seeds=range(14), **options))
    assert len(other_seeds(_view(folder, slice(1)))) == 26


def test_no_further_seeds_are_read_that_take_more_memory_than_there_is(folder, monkeypatch):
    write(folder, *two_models(seeds=(0, 1)))
    view = _view(folder, slice(1))
    assert len(other_seeds(view)) == 2
    monkeypatch.setattr("cifarcore.memory.memory_bytes", lambda: 1)
    assert other_seeds(view) == ()


class _Noon:
    @staticmethod
    def now(_):
        from datetime import datetime

        return datetime(2026, 1, 1, 12)
