"""Pictures in the report: those that are on this machine, by content, embedded; without them nothing is missing."""

import io
import re

import numpy as np
import pytest
from pages import two_models
from PIL import Image

from cifarcore.data import cifar100
from cifarcore.reports import html, thumbnails
from cifarcore.reports.result import compare


@pytest.fixture
def here(monkeypatch):
    """`here(images)`: these are the test images in the data folder, uint8 (N, H, W, 3)."""

    def put(images):
        monkeypatch.setattr(thumbnails.cifar100, "load_test_images", lambda: (images, np.zeros(len(images))))

    return put


def test_pictures_are_found_by_content(here):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    here(images)
    ids = cifar100.sample_ids(images)
    found = thumbnails.thumbnails(np.array([ids[3], 12345], np.uint64), ())
    assert list(found) == [int(ids[3])]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found[int(ids[3])]))), images[3])
    assert thumbnails.thumbnails(ids[:0], ()) == {}


def test_the_report_embeds_what_it_names_and_says_the_same_without(monkeypatch):
    a, b = two_models()
    png = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(png, "PNG")
    monkeypatch.setattr("cifarcore.reports.examples.thumbnails", lambda ids, runs: {})
    without = compare(a, b).html()
    assert 'class="picture"' not in without and "Newly wrong, highest" not in without
    monkeypatch.setattr("cifarcore.reports.examples.thumbnails", lambda ids, runs: {i: png.getvalue() for i in ids})
    page = compare(a, b).html()
    suspects = int(((a.predictions == b.predictions) & ~a.correct).sum())
    assert page.count('class="picture"') == 16 + 16 + min(suspects, html.MAX_ROWS)
    broken, fixed = (a.correct & ~b.correct).sum(), (~a.correct & b.correct).sum()
    order = "highest joint confidence first, the first 16 of"
    assert f"Newly wrong, {order} {broken}:" in page and f"Newly right, {order} {fixed}:" in page
    tables = re.findall(r"<table.*?</table>", page, re.S)
    assert tables == re.findall(r"<table.*?</table>", without, re.S)
