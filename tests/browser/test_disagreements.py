"""The disagreements page as a user drives it, against NumPy on the run files."""

import numpy as np
from driving import address, choose, csv_of, ids, parameters, settle


def test_a_group_lists_exactly_its_images(visit, app):
    page = visit("disagreements")
    name = "suspect labels"
    page.get_by_role("radio", name=name).or_(page.get_by_role("button", name=name)).first.click()
    settle(page)
    a = app.sides()[0].first
    said = np.array([run.logits.argmax(1) for side in app.sides() for run in side.runs])
    suspect = (said == said[0]).all(0) & (said[0] != a.labels)
    assert ids(csv_of(page, "disagreements")) == set(a.sample_ids[suspect].tolist())
    assert parameters(page)["group"] == name


def test_a_class_clicked_or_chosen_narrows_the_list_and_the_link_keeps_it(visit, app):
    a, b = (side.first for side in app.sides())
    names = [name.replace("_", " ") for name in a.class_names]
    page = visit("disagreements?group=only+B+right")
    chart = page.locator(".st-key-disagreements-class [data-testid=stVegaLiteChart]").locator("canvas, svg").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.click(box["x"] + 0.45 * box["width"], box["y"] + 12)
    settle(page)
    clicked = parameters(page)["of"]
    mask = (b.logits.argmax(1) == a.labels) & (a.logits.argmax(1) != a.labels)
    listed = csv_of(page, "disagreements")
    assert ids(listed) == set(a.sample_ids[mask & (a.labels == names.index(clicked))].tolist())
    there = visit(address(page), elsewhere=True)
    assert csv_of(there, "disagreements")["sample_id"].tolist() == listed["sample_id"].tolist()
    other = names[(names.index(clicked) + 1) % len(names)]
    choose(page, "Only images of the class or superclass (or click one in a chart)", other)
    assert ids(csv_of(page, "disagreements")) == set(a.sample_ids[mask & (a.labels == names.index(other))].tolist())


def test_the_confidence_of_a_sure_error_is_chosen_by_keyboard(visit, app):
    page = visit("disagreements?group=confidently+wrong")
    before = len(csv_of(page, "disagreements"))
    page.locator("[data-testid=stMain] input[type=range]").press("ArrowLeft")
    settle(page)
    assert parameters(page)["sure"] == "89" and len(csv_of(page, "disagreements")) >= before


def test_segments_count_and_dots_say_how_many_seeds_are_correct(visit, app):
    page = visit("disagreements?group=only+B+correct")
    a, b = app.sides()
    right_a, right_b = (side.first.logits.argmax(1) == side.first.labels for side in (a, b))
    counts = {"newly wrong": right_a & ~right_b, "newly right": ~right_a & right_b, "both wrong": ~right_a & ~right_b}
    for name, images in counts.items():
        shown = page.get_by_text(f"{name} {images.sum():,}", exact=True)
        shown.wait_for()
    assert parameters(page)["group"] == "only B correct"
    tile = page.locator(".st-key-disagreements-tiles .card").first
    row = np.flatnonzero(a.first.sample_ids == int(tile.get_attribute("data-id"), 16))[0]
    correct = sum(run.logits[row].argmax() == run.labels[row] for run in b.runs)
    said = f"B: correct in {correct} of {len(b.runs)} seeds"
    dots = tile.locator(".seeds").nth(1)
    assert dots.get_attribute("aria-label") == said and dots.inner_text().count("●") == correct
    assert page.get_by_text(f"○ correct in {len(b.runs) - 1} of {len(b.runs)} seeds").count() == 1


def test_the_filter_of_classes_is_cleared_on_the_page(visit):
    """The sidebar is drawn anew too, which is no part of the page's fragment."""
    page = visit("disagreements?hardest=5")
    clear = page.get_by_role("button", name="Clear filter")
    clear.click()
    settle(page)
    assert "hardest" not in parameters(page) and not clear.count()
