"""The explorer as a user drives it: what is marked is read from the chart's pixels, what is listed from a CSV."""

from dataclasses import dataclass

import numpy as np
import pytest
from driving import address, choose, csv_of, ids, parameters, settle

from cifarcore.data import cifar100 as data
from cifarcore.reports.tables.explorer import Box, Plane, plane

GALLERY = "marked-images"
MARKED, FAINT = 100, 60  # contrast, of 255, that a marked point exceeds and an unmarked one alone stays below


_CONTRAST = """
    const canvas = document.querySelector('[data-testid=stVegaLiteChart] canvas');
    const scale = canvas.width / canvas.clientWidth, middle = canvas.clientWidth / 2;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const place = (x, y) => 4 * (Math.round(y * scale) * canvas.width + Math.round(x * scale));
    const colour = (x, y) => [...pixels.slice(place(x, y), place(x, y) + 3)];
    const ground = colour(0, canvas.clientHeight - 2);
    const contrast = (x, y) => Math.max(...colour(x, y).map((value, channel) => Math.abs(value - ground[channel])));
"""


@dataclass(frozen=True)
class Chart:
    """Where the points of both maps are on the screen, from the run files and the line that parts the maps."""

    page: object
    plane: Plane
    positions: dict
    left: float
    top: float
    width: float
    plot_top: float
    plot_height: float

    def pixels(self, letter: str) -> np.ndarray:
        """Each image's place within the canvas, float (N, 2)."""
        x = self.positions[letter][:, 0] + (self.plane.shift if letter == "B" else 0)
        y = self.positions[letter][:, 1]
        (x0, x1), (y0, y1) = self.plane.x, self.plane.y
        return np.stack(
            [(x - x0) / (x1 - x0) * self.width, self.plot_top + (y1 - y) / (y1 - y0) * self.plot_height], axis=1
        )

    def contrast(self, letter: str, rows: np.ndarray) -> np.ndarray:
        """How far the chart's colour at the places of these images is from the background, 0..255."""
        return np.array(
            self.page.evaluate(
                f"places => {{ {_CONTRAST} return places.map(([x, y]) => contrast(x, y)); }}",
                self.pixels(letter)[rows].tolist(),
            )
        )

    def alone(self, letter: str, radius: float, rows=slice(None)) -> np.ndarray:
        """Which images have none of `rows` (other than themselves) within `radius` pixels on this map, bool (N,)."""
        pixels = self.pixels(letter)
        others = np.arange(len(pixels))[rows]
        near = np.array([(np.hypot(*(pixels[others] - pixel).T) < radius).sum() for pixel in pixels])
        return near - np.isin(np.arange(len(pixels)), others) == 0

    def move_to(self, letter: str, row: int) -> None:
        x, y = self.pixels(letter)[row]
        self.page.mouse.move(self.left + x, self.top + y)

    def drag(self, start, end) -> None:
        """Draw a box between two places on the canvas."""
        mouse = self.page.mouse
        mouse.move(self.left + start[0], self.top + start[1])
        mouse.down()
        mouse.move(self.left + (start[0] + end[0]) / 2, self.top + (start[1] + end[1]) / 2, steps=3)
        mouse.move(self.left + end[0], self.top + end[1], steps=3)
        mouse.up()
        settle(self.page)


def chart_of(page, app, kind="tsne") -> Chart:
    canvas = page.locator("[data-testid=stVegaLiteChart] canvas")
    canvas.wait_for()
    page.wait_for_timeout(500)
    box = canvas.bounding_box()
    # the line in the middle of the canvas that parts the two maps
    line = page.evaluate(
        f"() => {{ {_CONTRAST} const rows = [...Array(canvas.clientHeight).keys()]; "
        "return rows.map(y => contrast(middle, y)); }"
    )
    top, *_, bottom = max(
        np.split(drawn := np.flatnonzero(np.array(line) > 20), np.flatnonzero(np.diff(drawn) > 1) + 1), key=len
    ).tolist()
    positions = {side.letter: getattr(side.first, kind).astype(float) for side in app.sides()}
    return Chart(
        page, plane(positions["A"], positions["B"]), positions, box["x"], box["y"], box["width"], top, bottom - top
    )


def wrong(app):
    a, b = app.sides()
    return (a.first.logits.argmax(1) != a.first.labels) | (b.first.logits.argmax(1) != b.first.labels)


def ids_of(app, mask):
    return set(app.sides()[0].first.sample_ids[mask].tolist())


@pytest.mark.parametrize("letter", "AB")
def test_a_box_marks_its_images_in_both_maps_and_lists_exactly_the_misclassified(visit, app, letter):
    page = visit("explorer")
    chart = chart_of(page, app)
    offset = 0 if letter == "A" else chart.width / 2
    start = np.array([offset + 0.15 * chart.width, chart.plot_top + 0.4 * chart.plot_height])
    end = np.array([offset + 0.3 * chart.width, chart.plot_top + 0.62 * chart.plot_height])
    chart.drag(start, end)
    box = Box.parse(parameters(page)["marked"])
    assert box.letter == letter
    inside = box.holds(chart.positions[letter])
    drawn = chart.pixels(letter)
    within = ((drawn >= start) & (drawn <= end)).all(axis=1)
    assert 0 < inside.sum() < len(inside) and (inside != within).mean() < 0.01  # a pixel's width
    assert ids(csv_of(page, GALLERY)) == ids_of(app, inside & wrong(app))
    for other in "AB":
        marked = chart.contrast(other, np.flatnonzero(inside)[:400])
        assert (marked > MARKED).mean() > 0.9, other
        unmarked = np.flatnonzero(~inside & chart.alone(other, 7))[:400]
        assert len(unmarked) and (chart.contrast(other, unmarked) < FAINT).mean() > 0.97, other


def test_the_link_gives_the_same_box_and_list_elsewhere(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    chart.drag(
        (0.2 * chart.width, chart.plot_top + 0.2 * chart.plot_height),
        (0.4 * chart.width, chart.plot_top + 0.7 * chart.plot_height),
    )
    listed = csv_of(page, GALLERY)
    there = visit(address(page), elsewhere=True)
    assert csv_of(there, GALLERY)["sample_id"].tolist() == listed["sample_id"].tolist()
    inside = Box.parse(parameters(there)["marked"]).holds(chart.positions["A"])
    again = chart_of(there, app)
    assert (again.contrast("B", np.flatnonzero(inside)[:300]) > MARKED).mean() > 0.9
    # the button of the list was scrolled to, and the chart's corner may be out of sight
    page.locator("[data-testid=stVegaLiteChart] canvas").evaluate("chart => chart.scrollIntoView({block: 'center'})")
    chart = chart_of(page, app)
    page.mouse.dblclick(chart.left + 3, chart.top + chart.plot_top + 3)
    settle(page)
    assert "marked" not in parameters(page)


def test_another_page_and_back_begins_with_nothing_marked(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    chart.drag(
        (0.2 * chart.width, chart.plot_top + 0.2 * chart.plot_height),
        (0.4 * chart.width, chart.plot_top + 0.7 * chart.plot_height),
    )
    for title in ("ROC", "Explorer"):
        page.locator("[data-testid=stSidebarNav] a", has_text=title).click()
        settle(page)
    assert "marked" not in parameters(page)
    assert (chart_of(page, app).contrast("A", np.arange(300)) > FAINT).mean() > 0.97


def test_hovering_shows_the_picture_and_a_click_lists_it(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    a = app.sides()[0].first
    row = int(np.flatnonzero(chart.alone("B", 9))[0])
    chart.move_to("B", row)
    tooltip = page.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert a.class_names[a.labels[row]].replace("_", " ") in tooltip.inner_text()
    if (data.data_dir() / data.ARRAYS_FILE).exists():
        assert tooltip.locator("img").get_attribute("src").endswith(f"{a.sample_ids[row]:016x}.png")
        assert tooltip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    page.mouse.down()
    page.mouse.up()
    settle(page)
    assert parameters(page)["marked"] == f"{a.sample_ids[row]:016x}-{a.labels[row]}"
    tile = page.locator(f".st-key-{GALLERY}-tiles .card")
    assert tile.count() == 1 and tile.get_attribute("data-id") == f"{a.sample_ids[row]:016x}"
    tile.click()
    settle(page)
    assert f"{a.sample_ids[row]:016x}" in page.locator("[role=dialog]").inner_text()


def test_numbers_typed_select_and_clearing_ends_it(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    page.get_by_text("Select by coordinates").click()
    page.get_by_label("x from").fill("0.1")
    page.get_by_label("y to").fill("0.2")
    page.get_by_role("button", name="Select", exact=True).click()
    settle(page)
    x, y = app.sides()[0].first.tsne.T.astype(float)
    inside = (x >= 0.1) & (y <= 0.2)
    assert ids(csv_of(page, GALLERY)) == ids_of(app, inside & wrong(app))
    assert (chart.contrast("B", np.flatnonzero(inside)[:200]) > MARKED).mean() > 0.9
    page.get_by_role("button", name="Clear selection").click()
    settle(page)
    assert "marked" not in parameters(page) and page.locator(f".st-key-{GALLERY}-tiles").count() == 0


def test_every_control_changes_what_it_should(visit, app):
    page = visit("explorer?marked=A,-1e9,1e9,-1e9,1e9")
    a, b = (side.first for side in app.sides())
    assert ids(csv_of(page, GALLERY)) == ids_of(app, wrong(app))
    page.get_by_role("radio", name="misclassified by A").or_(
        page.get_by_role("button", name="misclassified by A")
    ).first.click()
    settle(page)
    frame = csv_of(page, GALLERY)
    assert ids(frame) == ids_of(app, a.logits.argmax(1) != a.labels)
    confusions = frame["label_name"] + " → " + frame["A_prediction_name"]
    commonest = confusions.value_counts().max()
    assert (confusions.iloc[:commonest] == confusions.iloc[0]).all() and confusions.value_counts()[
        confusions.iloc[0]
    ] == commonest
    choose(page, "Confusion (true → predicted)", confusions.iloc[0])
    assert len(csv_of(page, GALLERY)) == commonest
    legend = page.locator("[data-testid=stVegaLiteChart] canvas").screenshot()
    choose(page, "Colour", "superclass")
    assert page.locator("[data-testid=stVegaLiteChart] canvas").screenshot() != legend
    page.get_by_role("radio", name="UMAP").or_(page.get_by_role("button", name="UMAP")).first.click()
    settle(page)
    assert "marked" not in parameters(page)
    chart = chart_of(page, app, "umap")
    assert (chart.contrast("A", np.arange(200)) > FAINT).mean() > 0.97


def test_a_box_sends_a_small_part_of_what_the_page_sent(visit, app):
    page = visit("explorer")
    received = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    page.reload()
    settle(page)
    loaded = sum(received)
    chart = chart_of(page, app)
    received.clear()
    chart.drag(
        (0.2 * chart.width, chart.plot_top + 0.3 * chart.plot_height),
        (0.3 * chart.width, chart.plot_top + 0.6 * chart.plot_height),
    )
    assert 100_000 < loaded < 2_000_000
    assert 0 < sum(received) < 150_000
