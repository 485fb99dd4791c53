"""What people open the app for, each in at most three clicks from the first page, counted as the browser gets them."""

import re

import numpy as np
import pytest
from driving import address, settle

from cifarcore.evidence import equivalence
from cifarcore.evidence.comparison import compare

MOST_CLICKS = 3
_COUNT = """() => {
    window.clicks = 0;
    window.addEventListener('pointerdown', () => { window.clicks += 1; }, true);
}"""


@pytest.fixture
def user(visit):
    """The first page, on which a drag counts as a click."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.evaluate(_COUNT)
    yield page
    assert 0 < page.evaluate("window.clicks") <= MOST_CLICKS


def click(page, target):
    target.click()
    settle(page)


def test_which_classes_the_resnet_gained_on_and_ten_images_that_it_newly_gets_wrong(user, app):
    a, b = app.sides()
    click(user, user.locator("summary", has_text="Where the difference comes from"))
    (line,) = [
        text
        for text in user.locator("[data-testid=stMain] p").all_inner_texts()
        if text.startswith("▲ Recall improved")
    ]
    table = compare(a.runs, b.runs).class_table
    gained = [name.replace("_", " ") for name in table["name"][table["claim"] == "improved"]]
    assert sorted(line.split(": ", 1)[1].split(", ")) == sorted(gained)
    click(user, user.get_by_role("radio", name="newly wrong").or_(user.get_by_role("button", name="newly wrong")).first)
    shown = user.locator(".st-key-split-tiles .card")
    first = {int(tile.get_attribute("data-id"), 16) for tile in shown.all()[:10]}
    newly = a.first.correct & ~b.first.correct
    assert len(first) == 10 and first <= set(a.first.sample_ids[newly].tolist())


def test_what_the_errors_in_a_cluster_have_in_common(user, app):
    click(user, user.locator("[data-testid=stSidebarNav] a", has_text="Explorer"))
    canvas = user.locator("canvas.maps")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = box["x"] + 0.1 * box["width"], box["y"] + 0.3 * box["height"]
    user.mouse.move(x, y)
    user.mouse.down()
    user.mouse.move(x + 0.15 * box["width"], y + 0.3 * box["height"], steps=4)
    user.mouse.up()
    settle(user)
    shared = user.locator(".list", has_text="Superclass")
    assert shared.count() >= 1 and shared.first.locator("button").count() >= 1
    errors = int(re.search(r"of ([\d,]+) images", shared.first.inner_text())[1].replace(",", ""))
    counts = [int(text.replace(",", "")) for text in shared.first.locator(".count").all_inner_texts()]
    assert 0 < sum(counts) <= errors and user.locator(".st-key-marked-images-tiles .card").count() > 0


def test_whether_a_may_be_replaced_by_b(user, app):
    a, b = app.sides()
    click(user, user.locator("summary", has_text="Can B replace A?"))
    said = user.locator("details", has_text="Can B replace A?").locator("p").all_inner_texts()
    (verdict,) = [text for text in said if "95% CI" in text]
    accuracies = [np.mean([run.correct.mean() for run in side.runs]) for side in (a, b)]
    assert f"B − A {100 * (accuracies[1] - accuracies[0]):+.2f} points" in verdict.replace("−0", "-0")
    judged = equivalence.equivalence((*a.runs, *b.runs), len(a.runs), equivalence.MARGIN)
    assert (judged.share.low > -judged.margin) == bool(re.match(r".* \(B\) (is(?! not shown)|and) ", verdict))


def test_what_is_seen_is_shared_by_a_link_that_shows_the_same(user, visit):
    click(user, user.get_by_role("radio", name="newly wrong").or_(user.get_by_role("button", name="newly wrong")).first)
    click(user, user.get_by_role("button", name="Copy link"))
    link = user.evaluate("navigator.clipboard.readText()")
    assert link.endswith(address(user))
    first = [tile.get_attribute("data-id") for tile in user.locator(".st-key-split-tiles .card").all()[:10]]
    other = visit(address(user), elsewhere=True)
    assert [tile.get_attribute("data-id") for tile in other.locator(".st-key-split-tiles .card").all()[:10]] == first
