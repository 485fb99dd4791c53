"""From the overview's sentence on a slice to its pictures, to its place on the maps, and back."""

import numpy as np
import pytest
from driving import address, csv_of, ids, parameters, serve, settle
from made import made_run

from cifarcore.reports.sides import Sides
from cifarcore.reports.tables.slices import mask_of
from cifarcore.runs.run import save_run
from cifarcore.runs.selections import save_selection


def follow(visit, link):
    """Where a link leads; it opens a tab of its own."""
    assert link.get_attribute("target") == "_blank"
    return visit(link.get_attribute("href"))


def test_from_the_overviews_sentence_to_the_pictures_to_the_maps_and_back(visit, app):
    a, b = app.sides()
    sides = Sides(a, b, 0, 0, np.arange(a.first.n_classes))
    page = visit()
    page.locator("summary", has_text="Where the difference comes from").click()
    settle(page)
    links = page.locator("a[href*='slices?']")
    if not links.count():
        pytest.skip("no slice of these runs differs significantly: run on the bundled ones, where some do")
    links.first.wait_for(state="visible")
    name = links.first.inner_text()
    expected = set(sides.sample_ids[mask_of(sides, name)].tolist())
    pictures = follow(visit, links.first)
    assert parameters(pictures)["slice"] == name
    assert ids(csv_of(pictures, "slices")) == expected
    explorer = follow(visit, pictures.get_by_role("link", name="Highlight in the explorer"))
    said = explorer.locator("[data-testid=stMain]").inner_text()
    assert f"{len(expected):,} images in the slice {name}" in said
    assert explorer.get_by_text("other images").count() == 1, "the legend of the maps"
    back = follow(visit, explorer.get_by_role("link", name="Slices").last)
    assert ids(csv_of(back, "slices")) == expected
    chart = back.locator(".st-key-slices-forest .vega-embed").first
    chart.scroll_into_view_if_needed()
    row = chart.bounding_box()
    back.mouse.click(row["x"] + row["width"] / 2, row["y"] + row["height"] * 0.7)
    settle(back)
    clicked = parameters(back)["slice"]
    assert clicked != name and ids(csv_of(back, "slices")) == set(sides.sample_ids[mask_of(sides, clicked)].tolist())
    assert "slices" in address(back)


def test_a_link_opens_and_marks_a_slice_of_ones_own(tmp_path, shared_context):
    runs = tmp_path / "runs"
    runs.mkdir()
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.65)):
        a = made_run(10, 600, accuracy, 0, model, "quick")
        save_run(a, runs / f"{model}-quick-0.npz")
    # an address leaves out the first one, which is the default
    save_selection(runs, "another", a.sample_ids[200:], a.labels[200:])
    save_selection(runs, "blurred", a.sample_ids[:90], a.labels[:90])
    expected = set(a.sample_ids[:90].tolist())
    with serve(runs, tmp_path / "server.log") as served:

        def visit(path):
            page = shared_context.new_page()
            page.set_viewport_size({"width": 1280, "height": 1000})
            page.goto(f"{served.url}/{path.removeprefix(served.url).lstrip('/')}")
            settle(page)
            return page

        pictures = visit("slices?saved=blurred")
        assert ids(csv_of(pictures, "saved-images")) == expected
        explorer = follow(visit, pictures.locator("a[href*='explorer?'][href*='saved=blurred']"))
        assert "90 images in the slice blurred" in explorer.locator("[data-testid=stMain]").inner_text()
        assert explorer.get_by_text("other images").count() == 1, "the legend of the maps"
        back = follow(visit, explorer.locator("a[href*='slices?'][href*='saved=blurred']"))
        assert parameters(back)["saved"] == "blurred" and ids(csv_of(back, "saved-images")) == expected
        for page in (pictures, explorer, back):
            page.close()


def test_the_pictures_of_a_slice_are_narrowed_to_errors_and_the_link_does_so_again(visit, app):
    a, b = app.sides()
    page = visit("slices")
    name = parameters(page)["slice"]
    inside = mask_of(Sides(a, b, 0, 0, np.arange(a.first.n_classes)), name)
    wrong_a, wrong_b = (side.first.logits.argmax(axis=1) != side.first.labels for side in (a, b))
    for shown, errs in (
        ("newly wrong", wrong_b & ~wrong_a), ("newly right", wrong_a & ~wrong_b), ("misclassified by B", wrong_b),
    ):  # fmt: skip
        expected = a.first.sample_ids[inside & errs]
        page.locator(".st-key-slices-of button", has_text=f"{shown} {len(expected):,}").click()
        settle(page)
        assert parameters(page)["slices-of"] == shown
        assert not len(expected) or ids(csv_of(page, "slices")) == set(expected.tolist())
    again = visit(address(page))
    assert parameters(again)["slice"] == name and ids(csv_of(again, "slices")) == ids(csv_of(page, "slices"))
    words = page.locator("[data-testid=stMain]").inner_text()
    assert (
        f"{name}, misclassified by B, the most confident prediction of either model first" in words
        and "Ordered by q" in words
    )


def test_on_a_narrow_screen_the_names_of_slices_stand_above_their_rows(visit):
    page = visit("slices", viewport={"width": 400, "height": 1000})
    for width, narrow in ((400, True), (1280, False), (400, True)):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(1000)
        settle(page)
        plot = page.locator(".st-key-slices-forest .vega-embed svg.marks")
        drawn = plot.bounding_box()
        grid = plot.locator(".role-axis-grid").first.bounding_box()
        assert (grid["width"] > 0.8 * drawn["width"]) == narrow, width
        name = plot.get_by_text(parameters(page)["slice"][:12]).first.bounding_box()
        assert name["x"] >= drawn["x"] and (name["x"] + 5 > grid["x"]) == narrow
