"""The disagreements page as a user drives it, against NumPy on the run files."""

import numpy as np
import pytest
from driving import address, choose, csv_of, ids, parameters, settle

from cifarcore.app.disagreement_tables import GROUPS


def groups(app):
    """The images of the groups that NumPy alone tells, bool (N,) each."""
    a, b = (side.first for side in app.sides())
    said_a, said_b = a.logits.argmax(1), b.logits.argmax(1)
    right_a, right_b = said_a == a.labels, said_b == a.labels
    seeds = np.array([run.logits.argmax(1) for side in app.sides() for run in side.runs])
    return {
        "only A right": right_a & ~right_b,
        "only B right": right_b & ~right_a,
        "both wrong": ~right_a & ~right_b,
        "same wrong answer": ~right_a & (said_a == said_b),
        "suspect labels": (seeds == seeds[0]).all(0) & ~right_a,
    }


@pytest.mark.parametrize("group", ["only A right", "only B right", "both wrong", "same wrong answer", "suspect labels"])
def test_each_group_lists_exactly_its_images(visit, app, group):
    page = visit("disagreements")
    page.get_by_role("radio", name=group).or_(page.get_by_role("button", name=group)).first.click()
    settle(page)
    assert ids(csv_of(page, "disagreements")) == set(app.sides()[0].first.sample_ids[groups(app)[group]].tolist())
    assert parameters(page).get("group", list(GROUPS)[0]) == group


def test_a_class_clicked_or_chosen_narrows_the_list_and_the_link_keeps_it(visit, app):
    a = app.sides()[0].first
    names = a.class_names.tolist()
    page = visit("disagreements?group=only+B+right")
    box = page.locator(".st-key-disagreements-class canvas, .st-key-disagreements-class svg").first.bounding_box()
    page.mouse.click(box["x"] + 0.45 * box["width"], box["y"] + 12)
    settle(page)
    clicked = parameters(page)["of"]
    mask = groups(app)["only B right"]
    listed = csv_of(page, "disagreements")
    assert ids(listed) == set(a.sample_ids[mask & (a.labels == names.index(clicked))].tolist())
    there = visit(address(page), elsewhere=True)
    assert csv_of(there, "disagreements")["sample_id"].tolist() == listed["sample_id"].tolist()
    other = names[(names.index(clicked) + 1) % len(names)]
    choose(page, "Only of the class or superclass (or click one in a chart)", other)
    assert ids(csv_of(page, "disagreements")) == set(a.sample_ids[mask & (a.labels == names.index(other))].tolist())


def test_the_confidence_of_a_sure_error_is_chosen_by_keyboard(visit, app):
    page = visit("disagreements?group=confidently+wrong")
    before = len(csv_of(page, "disagreements"))
    page.locator("[data-testid=stMain] input[type=range]").press("ArrowLeft")
    settle(page)
    assert parameters(page)["sure"] == "89" and len(csv_of(page, "disagreements")) >= before


def test_a_picture_opens_its_card(visit):
    page = visit("disagreements")
    tile = page.locator(".st-key-disagreements-tiles .card").first
    sample_id = tile.get_attribute("data-id")
    tile.click()
    settle(page)
    assert sample_id in page.locator("[role=dialog]").inner_text()
    assert "nearest training images" in page.locator("[role=dialog]").inner_text().lower()
