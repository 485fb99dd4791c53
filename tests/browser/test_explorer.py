"""The explorer as a user drives it: what is marked is read from the canvas's pixels, what is listed from a CSV."""

from dataclasses import dataclass

import numpy as np
import pytest
from driving import address, choose, csv_of, ids, parameters, settle

from cifarcore.data import cifar100 as data
from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.explorer import Box, Lasso
from cifarcore.reports.tables.explorer_map import superclass_places

GALLERY = "marked-images"
MARKED, FAINT = 100, 60  # contrast, of 255, that a marked point exceeds and an unmarked one alone stays below


_CONTRAST = """(canvas, places) => {
    const scale = canvas.width / canvas.clientWidth;
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const place = (x, y) => 4 * (Math.round(y * scale) * canvas.width + Math.round(x * scale));
    const colour = (x, y) => [...pixels.slice(place(x, y), place(x, y) + 3)];
    const ground = colour(3, canvas.clientHeight - 3);
    return places.map(([x, y]) => Math.max(...colour(x, y).map((value, at) => Math.abs(value - ground[at]))));
}"""
GAP, FILLED = 16, 0.94  # between the maps, and how much of its part of the canvas a map takes


@dataclass(frozen=True)
class Chart:
    """Where the points of both maps are on the screen while both are shown whole, from the run files."""

    page: object
    canvas: object
    positions: dict
    left: float
    top: float
    width: float
    height: float

    def pixels(self, letter: str) -> np.ndarray:
        """Each image's place within the canvas, float (N, 2)."""
        every = np.concatenate(list(self.positions.values()))
        low, high = every.min(axis=0), every.max(axis=0)
        across = (self.width - GAP) / 2
        scale = FILLED * min(across / (high[0] - low[0]), self.height / (high[1] - low[1]))
        middle = np.array([across / 2 + (letter == "B") * (across + GAP), self.height / 2])
        return middle + (self.positions[letter] - (low + high) / 2) * [scale, -scale]

    def contrast(self, letter: str, rows: np.ndarray) -> np.ndarray:
        """How far the colour at the places of these images is from the background, 0..255."""
        return np.array(self.canvas.evaluate(_CONTRAST, self.pixels(letter)[rows].tolist()))

    def alone(self, letter: str, radius: float, rows=slice(None)) -> np.ndarray:
        """Which images have none of `rows` (other than themselves) within `radius` pixels on this map, bool (N,)."""
        pixels = self.pixels(letter)
        others = np.arange(len(pixels))[rows]
        near = np.array([(np.hypot(*(pixels[others] - pixel).T) < radius).sum() for pixel in pixels])
        return near - np.isin(np.arange(len(pixels)), others) == 0

    def move_to(self, letter: str, row: int) -> None:
        x, y = self.pixels(letter)[row]
        self.page.mouse.move(self.left + x, self.top + y)

    def drag(self, *places) -> None:
        """Press at the first of these places on the canvas and let go at the last."""
        mouse = self.page.mouse
        mouse.move(self.left + places[0][0], self.top + places[0][1])
        mouse.down()
        for x, y in places[1:]:
            mouse.move(self.left + x, self.top + y, steps=4)
        mouse.up()
        settle(self.page)


def chart_of(page, app, kind="tsne") -> Chart:
    canvas = page.locator("canvas.maps")
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    names = page.get_by_role("button", name="Names", exact=True)
    if names.get_attribute("aria-pressed") == "true":  # they cover points
        names.click()
    canvas.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = canvas.bounding_box()
    positions = {side.letter: getattr(side.first, kind).astype(float) for side in app.sides()}
    return Chart(page, canvas, positions, box["x"], box["y"], box["width"], box["height"])


def drawn_until(chart, letter, rows, share) -> bool:
    """Whether at least `share` of these images come to be drawn in full; what is drawn follows within moments."""
    for _ in range(50):
        if (chart.contrast(letter, rows) > MARKED).mean() > share:
            return True
        chart.page.wait_for_timeout(100)
    return False


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
    start = np.array([offset + 0.15 * chart.width, 0.4 * chart.height])
    end = np.array([offset + 0.3 * chart.width, 0.62 * chart.height])
    chart.drag(start, end)
    box = Box.parse(parameters(page)["marked"])
    assert box.letter == letter
    inside = box.holds(chart.positions[letter])
    drawn = chart.pixels(letter)
    within = ((drawn >= start) & (drawn <= end)).all(axis=1)
    assert 0 < inside.sum() < len(inside) and (inside != within).mean() < 0.01  # a pixel's width
    assert ids(csv_of(page, GALLERY)) == ids_of(app, inside & wrong(app))
    for other in "AB":
        errors = np.flatnonzero(inside & wrong(app))[:400]  # what both have right is pale
        assert drawn_until(chart, other, errors, 0.9), other
        unmarked = np.flatnonzero(~inside & chart.alone(other, 5, np.flatnonzero(inside)))[:400]
        assert len(unmarked) and (chart.contrast(other, unmarked) < FAINT).mean() > 0.97, other


def test_the_link_gives_the_same_box_and_list_elsewhere(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    chart.drag(
        (0.2 * chart.width, 0.2 * chart.height),
        (0.4 * chart.width, 0.7 * chart.height),
    )
    listed = csv_of(page, GALLERY)
    there = visit(address(page), elsewhere=True)
    assert csv_of(there, GALLERY)["sample_id"].tolist() == listed["sample_id"].tolist()
    inside = Box.parse(parameters(there)["marked"]).holds(chart.positions["A"])
    again = chart_of(there, app)
    assert drawn_until(again, "B", np.flatnonzero(inside & wrong(app))[:300], 0.9)
    # the button of the list was scrolled to, and the canvas may be out of sight
    page.locator("canvas.maps").evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
    chart = chart_of(page, app)
    page.mouse.dblclick(chart.left + 30, chart.top + 30)
    settle(page)
    assert "marked" not in parameters(page)


def test_another_page_and_back_begins_with_nothing_marked(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    chart.drag(
        (0.2 * chart.width, 0.2 * chart.height),
        (0.4 * chart.width, 0.7 * chart.height),
    )
    for title in ("ROC", "Explorer"):
        page.locator("[data-testid=stSidebarNav] a", has_text=title).click()
        settle(page)
    assert "marked" not in parameters(page)
    assert drawn_until(chart_of(page, app), "A", np.flatnonzero(wrong(app))[:300], 0.9)


def test_hovering_shows_the_picture_and_a_click_lists_it(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    a = app.sides()[0].first
    row = int(np.flatnonzero(chart.alone("B", 9))[0])
    chart.move_to("B", row)
    tooltip = page.locator(".tip:not([hidden])")
    tooltip.wait_for()
    assert a.class_names[a.labels[row]].replace("_", " ") in tooltip.inner_text()
    if (data.data_dir() / data.ARRAYS_FILE).exists():
        assert tooltip.locator("img").get_attribute("src").endswith(f"{a.sample_ids[row]:016x}.png")
        assert tooltip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    page.mouse.down()
    page.mouse.up()
    settle(page)
    assert parameters(page)["marked"] == f"{a.sample_ids[row]:016x}-{a.class_names[a.labels[row]]}".replace("_", " ")
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
    chart = chart_of(page, app)
    assert drawn_until(chart, "B", np.flatnonzero(inside & wrong(app))[:200], 0.9)
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
    before = page.locator("canvas.maps").screenshot()
    choose(page, "Colour", "superclass")
    assert page.locator("canvas.maps").screenshot() != before
    superclasses = [name.replace("_", " ") for name in a.superclass_names]
    assert page.locator(".legend button").all_inner_texts()[0].split("\n")[0] == superclasses[0]
    page.get_by_role("radio", name="UMAP").or_(page.get_by_role("button", name="UMAP")).first.click()
    settle(page)
    assert "marked" not in parameters(page)
    assert drawn_until(chart_of(page, app, "umap"), "A", np.arange(200), 0.8)


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
        (0.2 * chart.width, 0.3 * chart.height),
        (0.3 * chart.width, 0.6 * chart.height),
    )
    assert 100_000 < loaded < 2_000_000
    assert 0 < sum(received) < 150_000


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def test_a_lasso_holds_what_it_encloses_and_the_link_keeps_it(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    press(page, "Lasso")
    centre, size = np.array([0.25 * chart.width, 0.5 * chart.height]), 0.12 * chart.width
    around = [centre + size * np.array([np.cos(t), np.sin(t)]) for t in np.linspace(0, 2 * np.pi, 14)]
    chart.drag(*around)
    lasso = Lasso.parse(parameters(page)["marked"])
    inside = lasso.holds(chart.positions["A"])
    circle = np.hypot(*(chart.pixels("A") - centre).T) < size
    assert 0 < inside.sum() < len(inside) and (inside != circle).mean() < 0.03
    listed = csv_of(page, GALLERY)
    assert ids(listed) == ids_of(app, inside & wrong(app))
    there = visit(address(page), elsewhere=True)
    assert csv_of(there, GALLERY)["sample_id"].tolist() == listed["sample_id"].tolist()


def test_keys_and_wheel_zoom_and_move_and_a_box_drawn_zoomed_holds_what_it_shows(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    chart.canvas.focus()
    whole = chart.canvas.screenshot()
    for _ in range(4):
        page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")  # what the left map shows
    settle(page)
    box = Box.parse(parameters(page)["marked"])
    x, y = chart.positions["A"].T
    assert box.letter == "A" and box.x[1] - box.x[0] < 0.2 * (x.max() - x.min())
    assert ids(csv_of(page, GALLERY)) == ids_of(app, box.holds(chart.positions["A"]) & wrong(app))
    chart.canvas.focus()
    page.keyboard.press("Escape")
    settle(page)
    assert "marked" not in parameters(page)
    chart.canvas.focus()
    page.keyboard.press("0")
    chart = chart_of(page, app)
    page.mouse.move(chart.left + chart.width / 4, chart.top + chart.height / 2)
    page.mouse.wheel(0, -600)
    for _ in range(50):
        if (zoomed := chart.canvas.screenshot()) != whole:
            break
        page.wait_for_timeout(100)
    assert zoomed != whole


_WRITTEN = """async (canvas) => {
    const written = new Set(), write = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
        written.add(text);
        return write.call(this, text, ...place);
    };
    canvas.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowLeft"}));
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    CanvasRenderingContext2D.prototype.fillText = write;
    return [...written];
}"""


def test_superclasses_are_named_on_the_whole_map_and_classes_once_zoomed_in(visit, app):
    page = visit("explorer")
    canvas = page.locator("canvas.maps")
    a, b = app.sides()
    sides = Sides(a, b, 0, 0, np.arange(100))
    clustered = {name for side in (a, b) for name, *_ in superclass_places(sides, side.first.tsne)}
    classes, superclasses = set(sides.class_names), set(sides.superclass_names)
    whole = set(canvas.evaluate(_WRITTEN)) - {"A", "B"}
    assert whole and whole <= (clustered or classes)
    for _ in range(3):
        page.get_by_role("button", name="+", exact=True).click()
    near = set(canvas.evaluate(_WRITTEN)) - {"A", "B"}
    assert near and near <= classes and not near & (superclasses - classes)


def test_the_legend_hides_a_group_and_leaves_the_map_where_it_is(visit, app):
    page = visit("explorer")
    chart = chart_of(page, app)
    a, b = (side.first for side in app.sides())
    neither = (a.logits.argmax(1) != a.labels) & (b.logits.argmax(1) != b.labels)
    rows = np.flatnonzero(neither & chart.alone("A", 5))[:100]
    assert len(rows) and drawn_until(chart, "A", rows, 0.9)
    button = page.locator(".legend button", has_text="neither correct")
    assert f"{neither.sum():,}" in button.inner_text()
    button.click()
    for _ in range(50):
        if (chart.contrast("A", rows) < FAINT).mean() > 0.9:
            break
        page.wait_for_timeout(100)
    else:
        raise AssertionError("the group is still drawn")
    again = chart_of(page, app)
    assert (again.width, again.height, button.get_attribute("aria-pressed")) == (chart.width, chart.height, "false")


def test_the_panel_counts_the_selection_and_a_click_narrows_the_list(visit, app):
    page = visit("explorer?marked=A,-1e9,1e9,-1e9,1e9")
    a, b = (side.first for side in app.sides())
    right_a, right_b = (each.logits.argmax(1) == each.labels for each in (a, b))
    press_in_panel(page, "outcome:only B")
    assert ids(csv_of(page, GALLERY)) == ids_of(app, right_b & ~right_a)
    commonest = page.locator(".list", has_text="True class").locator("button").first
    name = commonest.locator(".name").inner_text()
    press_in_panel(page, f"within:{name}")
    index = [each.replace("_", " ") for each in a.class_names].index(name)
    assert ids(csv_of(page, GALLERY)) == ids_of(app, right_b & ~right_a & (a.labels == index))
    there = visit(address(page), elsewhere=True)
    assert ids(csv_of(there, GALLERY)) == ids_of(app, right_b & ~right_a & (a.labels == index))
    press_in_panel(page, "outcome:only B")  # once more: all again
    assert ids(csv_of(page, GALLERY)) == ids_of(app, wrong(app) & (a.labels == index))
    commonest = page.locator(".list", has_text="Confusion (true").locator("button")
    commonest.filter(has_not_text=f"{name} → ").first.click()
    settle(page)
    assert (
        f"No longer limited to {name}, which holds no such confusion"
        in page.locator("[data-testid=stMain]").inner_text()
    )
    assert "within" not in parameters(page)


def test_what_the_errors_have_in_common_is_counted_and_narrows_the_list(visit, app):
    page = visit("explorer?marked=A,-1e9,1e9,-1e9,1e9")
    run = app.sides()[0].first
    first = page.locator(".list", has_text="Superclass, of").locator("button").first
    name, count = (first.locator(f".{part}").inner_text() for part in ("name", "count"))
    first.click()
    settle(page)
    of = [each.replace("_", " ") for each in run.superclass_names].index(name)
    inside = wrong(app) & (run.superclass_of[run.labels] == of)
    expected = ids_of(app, inside)
    assert inside.sum() == int(count.replace(",", "")) and ids(csv_of(page, GALLERY)) == expected
    assert ids(csv_of(visit(address(page)), GALLERY)) == expected


def press_in_panel(page, value):
    page.locator(f".lists button[data-value='{value}']").click()
    settle(page)


_FINGER = """(canvas, [kind, x, y]) => {
    const { left, top } = canvas.getBoundingClientRect(), at = { clientX: left + x, clientY: top + y };
    canvas.setPointerCapture = () => {};
    const event = { ...at, bubbles: true, pointerId: 7, pointerType: "touch" };
    canvas.dispatchEvent(new PointerEvent(`pointer${kind}`, event));
}"""


def test_a_finger_that_moves_down_is_left_to_the_page_and_selects_nothing(visit):
    page = visit("explorer")
    canvas = page.locator("canvas.maps").first
    touch = lambda: canvas.evaluate("canvas => canvas.style.touchAction")  # noqa: E731
    assert touch() == "pan-y"
    for kind, x, y in (("down", 100, 100), ("move", 102, 160), ("cancel", 102, 160)):
        canvas.evaluate(_FINGER, [kind, x, y])
    settle(page)
    assert "marked" not in parameters(page)
    for kind, x, y in (("down", 100, 100), ("move", 200, 160), ("up", 200, 160)):
        canvas.evaluate(_FINGER, [kind, x, y])
    settle(page)
    assert parameters(page)["marked"].startswith("A,")
    page.get_by_role("button", name="Lasso").click()
    assert touch() == "none"
