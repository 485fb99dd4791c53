"""Which images a page of the gallery holds, and which one a click opens."""

import math

import numpy as np
import pytest
from made import made_run
from pages import TIMEOUT, run, side, two_models, write
from streamlit.testing.v1 import AppTest

from cifarcore.app.parts import gallery
from cifarcore.reports.sides import Sides


def gallery_alone(root, n):
    """A gallery of the first `n` images in reverse; runs inside AppTest."""
    from pathlib import Path

    import numpy as np

    from cifarcore.app.parts import gallery, sidebar

    gallery.gallery(sidebar.choose(Path(root)), np.arange(n)[::-1], "some", notes=[f"note {i}" for i in range(n)][::-1])


@pytest.fixture
def pages_of(folder, monkeypatch):
    """`pages_of(n, page)`: the tiles of that page of a gallery of `n` images, the row a click on the last opens,
    and the captions."""
    write(folder, *two_models())
    drawn, opened = [], []

    def last_clicked(content, *_, **__):
        drawn.append(content)
        return len(content) - 1

    monkeypatch.setattr(gallery, "tiles", last_clicked)
    monkeypatch.setattr(gallery.card, "show", lambda view, row, among: opened.append(row))

    def pages_of(n, page):
        app = AppTest.from_function(gallery_alone, kwargs={"root": str(folder.parent), "n": n}, default_timeout=TIMEOUT)
        if page > 1:
            app.query_params["some-page"] = str(page)
        app.run()
        assert not app.exception, app.exception
        return drawn[-1], opened[-1], [element.value for element in app.caption]

    return pages_of


@pytest.mark.parametrize(
    ("n", "page", "first", "count"),
    [(29, 1, 28, 29), (30, 1, 29, 30), (31, 1, 30, 30), (31, 2, 0, 1), (75, 2, 44, 30), (75, 3, 14, 15)],
)
def test_each_page_holds_its_thirty_images_and_a_click_opens_the_one_clicked(pages_of, n, page, first, count):
    content, opened, captions = pages_of(n, page)
    rows = list(range(first, first - count, -1))
    run = made_run(accuracy=0.5)
    assert [tile["id"] for tile in content] == [f"{run.sample_ids[row]:016x}" for row in rows]
    assert [tile["note"] for tile in content] == [f"note {row}" for row in rows]
    assert opened == rows[-1]
    paged = [caption for caption in captions if caption.startswith("page ")]
    assert paged == ([f"page {page} of {math.ceil(n / 30)}"] if n > 30 else [])
    for tile in content:
        assert [model["letter"] for model in tile["models"]] == ["A", "B"]


def test_a_gallery_begins_with_its_first_page_when_it_shows_other_images(folder):
    write(folder, *two_models(n_images=3000))
    app = run(folder, "classes", {"class-wrong-page": "3"})
    assert app.session_state["class-wrong-page"] == 3  # as the address says
    app.selectbox(key="class").set_value(app.selectbox(key="class").options[1]).run()
    assert app.session_state["class-wrong-page"] == 1


def test_a_download_is_cut_to_what_a_spreadsheet_takes(monkeypatch):
    a, b = two_models()
    sides = Sides(side("A", a), side("B", b), 0, 0, np.arange(10))
    rows = np.arange(40)[::-1]
    monkeypatch.setattr(gallery, "MOST_CSV_ROWS", 30)
    lines = gallery.images_csv(sides, rows, [f"note {row}" for row in rows]).decode("utf-8-sig").splitlines()
    assert len(lines) == 31 and lines[0].startswith("sample_id,label,") and lines[-1].endswith(",note 10")
    assert len(gallery.images_csv(sides, rows).decode("utf-8-sig").splitlines()) == 31
