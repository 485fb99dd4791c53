"""The app under fingers, as Chromium gets them from a touch screen: pinching the maps, tapping pictures."""

import pytest
from driving import parameters, settle

from cifarcore.reports.tables.explorer import Box


@pytest.fixture
def fingers(visit):
    """`fingers(path)`: a page on a touch screen, and a function that puts fingers on it: each step a list of places."""

    def open_page(path):
        page = visit(path, has_touch=True, viewport={"width": 800, "height": 1000})
        wire = page.context.new_cdp_session(page)

        def touch(*steps):
            for kind, places in zip(["touchStart", *["touchMove"] * (len(steps) - 1)], steps, strict=True):
                points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
                wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            wire.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            settle(page)

        return page, touch

    return open_page


def shown_on_the_left(page) -> Box:
    """What the left map shows: the key Enter selects it."""
    page.locator("canvas.maps").focus()
    page.keyboard.press("Enter")
    settle(page)
    return Box.parse(parameters(page)["marked"])


def pinch(canvas, share, apart, steps=6):
    """Two fingers about a place in the left map, going from `apart[0]` to `apart[1]` pixels apart."""
    box = canvas.bounding_box()
    x, y = box["x"] + share * box["width"], box["y"] + 0.5 * box["height"]
    start, end = apart
    for step in range(steps):
        half = (start + (end - start) * step / (steps - 1)) / 2
        yield [(x - half, y), (x + half, y)]


def test_two_fingers_zoom_the_map_and_select_nothing(fingers):
    page, touch = fingers("explorer")
    canvas = page.locator("canvas.maps").first
    canvas.scroll_into_view_if_needed()
    for share in (0.2, 0.25, 0.3):  # about a point too, where one finger alone would choose its image
        touch(*pinch(canvas, share, (40, 60)))
        assert "marked" not in parameters(page)
    touch(*pinch(canvas, 0.25, (40, 160)))
    assert "marked" not in parameters(page)
    near = shown_on_the_left(page)
    page.keyboard.press("0")
    whole = shown_on_the_left(page)
    assert near.x[1] - near.x[0] < (whole.x[1] - whole.x[0]) / 3
    assert whole.x[0] < near.x[0] and near.x[1] < whole.x[1]
    touch(*pinch(canvas, 0.25, (40, 160)))
    touch(*pinch(canvas, 0.25, (160, 40)))
    back = shown_on_the_left(page)
    assert back.x[1] - back.x[0] > 0.9 * (whole.x[1] - whole.x[0])


def test_a_tap_on_a_picture_opens_its_card(fingers):
    page, _ = fingers("?split=newly+wrong")
    tile = page.locator(".st-key-split-tiles .card").nth(1)
    tile.tap()
    settle(page)
    assert tile.get_attribute("data-id") in page.locator("[role=dialog]").inner_text()
    page.locator("[role=dialog]").get_by_role("button", name="Next").tap()
    settle(page)
    following = page.locator(".st-key-split-tiles .card").nth(2).get_attribute("data-id")
    assert following in page.locator("[role=dialog]").inner_text()
