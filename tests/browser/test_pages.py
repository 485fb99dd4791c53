"""Overview, Classes, Confusion and Findings as a user drives them; what they show is recomputed by NumPy from the
files.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from driving import TITLES, address, choose, csv_of, ids, parameters, press, settle

from cifarcore.app.catalog import find_runs


def tiles(page, key):
    return page.locator(f".st-key-{key}-tiles .card")


def predictions(side):
    return [run.logits.argmax(axis=1) for run in side.runs]


def test_only_b_shows_exactly_the_images_that_only_b_gets_right(visit, app):
    page = visit()
    a, b = app.sides()
    page.get_by_role("radio", name="newly right").or_(page.get_by_role("button", name="newly right")).first.click()
    settle(page)
    run_a, run_b = a.first, b.first
    expected = (predictions(a)[0] != run_a.labels) & (predictions(b)[0] == run_b.labels)
    frame = csv_of(page, "split")
    assert ids(frame) == set(run_a.sample_ids[expected].tolist())
    assert len(frame) == expected.sum()
    again = visit(address(page))
    assert parameters(again)["split"] == "newly right"
    assert tiles(again, "split").first.get_attribute("data-id") == tiles(page, "split").first.get_attribute("data-id")
    assert tiles(page, "split").first.get_attribute("data-id") == frame["sample_id"][0]


def test_a_part_of_the_bar_chooses_its_pictures_and_keeps_the_focus(visit, app):
    page = visit()
    assert "newly wrong (only A correct) " in page.locator(".st-key-overview-split .legend").inner_text()
    bar = page.locator(".st-key-overview-split")
    right = [side.first.correct for side in app.sides()]
    counts = {"newly wrong": (right[0] & ~right[1]).sum(), "newly right": (~right[0] & right[1]).sum()}
    for (name, images), letter in zip(counts.items(), "AB", strict=True):
        assert bar.get_by_text(f"{name} (only {letter} correct) {images:,}").count() == 1
        part = bar.get_by_role("button", name=f"{name}: {images:,} images")
        part.focus()
        page.keyboard.press("Enter")
        settle(page)
        assert parameters(page)["split"] == name and part.get_attribute("aria-pressed") == "true"
        assert part.evaluate("part => part.getRootNode().activeElement === part")
        assert len(csv_of(page, "split")) == images  # whose button takes the focus


def test_a_picture_opens_its_card_and_the_link_opens_it_again(visit, app):
    page = visit("?split=both+wrong")
    tile = tiles(page, "split").nth(2)
    sample_id, label = tile.get_attribute("data-id"), tile.locator(".label").inner_text()
    tile.click()
    settle(page)
    card = page.locator("[role=dialog]")
    assert sample_id in card.inner_text() and label in card.inner_text()
    assert "nearest training images" in card.inner_text().lower()
    assert parameters(page)["image"].startswith(sample_id)
    again = visit(address(page), elsewhere=True)
    assert sample_id in again.locator("[role=dialog]").inner_text()
    neighbour = card.locator(".st-key-card-near .card").first
    neighbour_id = neighbour.get_attribute("data-id")
    neighbour.click()
    settle(page)
    assert neighbour_id in card.inner_text()
    page.keyboard.press("Escape")
    settle(page)
    assert card.count() == 0 and "image" not in parameters(page)


def test_pages_of_a_gallery(visit):
    page = visit("?split=both+wrong")
    frame = csv_of(page, "split")
    first = [tile.get_attribute("data-id") for tile in tiles(page, "split").all()]
    page.locator(".st-key-split-page").get_by_text("2", exact=True).click()
    settle(page)
    second = [tile.get_attribute("data-id") for tile in tiles(page, "split").all()]
    assert first + second == frame["sample_id"].head(len(first) + len(second)).tolist()
    again = visit(address(page))
    assert [tile.get_attribute("data-id") for tile in tiles(again, "split").all()] == second


def test_one_seed_and_another_model_change_the_verdict_and_the_address(visit, app):
    page = visit()
    before = page.locator("[data-testid=stMain]").inner_text()
    choose(page, "Seeds of model A", "seed 0")
    assert parameters(page)["seedA"] == "seed 0"
    after = page.locator("[data-testid=stMain]").inner_text()
    assert after != before and re.search(r"seed 0\b", after)
    assert visit(address(page)).locator("[data-testid=stMain]").inner_text() == after


def test_the_filter_changes_the_classes_shown(visit, app):
    page = visit("classes")
    n_classes = app.sides()[0].first.n_classes
    assert f"{n_classes} of {n_classes} classes" in page.locator("[data-testid=stSidebar]").inner_text()
    slider = page.locator(".st-key-hardest").locator("[role=slider], input[type=range]").first
    slider.press("ArrowLeft")
    settle(page)
    assert f"{n_classes - 1} of {n_classes} classes" in page.locator("[data-testid=stSidebar]").inner_text()
    assert parameters(page)["hardest"] == str(n_classes - 1)
    choose(page, "Metric", "Recall")
    assert page.get_by_role("heading", name="Recall of each class").count() == 1
    search = page.locator(".st-key-search input")
    search.fill("tree")
    search.press("Enter")
    settle(page)
    names = [name.replace("_", " ") for name in app.sides()[0].first.class_names if "tree" in name]
    assert f"{len(names)} of {n_classes} classes" in page.locator("[data-testid=stSidebar]").inner_text()
    again = visit(address(page))
    assert f"{len(names)} of {n_classes} classes" in again.locator("[data-testid=stSidebar]").inner_text()


def test_a_class_clicked_shows_exactly_its_images_that_some_run_gets_wrong(visit, app):
    page = visit("classes")
    chart = page.locator(".st-key-classes-chart .vega-embed").first
    box = chart.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 150)
    settle(page)
    name = parameters(page)["class"]
    a, b = app.sides()
    of_class = a.first.labels == [text.replace("_", " ") for text in a.first.class_names].index(name)
    wrong = np.any([answer != a.first.labels for answer in (*predictions(a), *predictions(b))], axis=0)
    assert ids(csv_of(page, "class-wrong")) == set(a.first.sample_ids[of_class & wrong].tolist())
    assert visit(address(page)).get_by_label("Class (or click one in the chart)").input_value() == name


def test_a_confusion_cell_holds_exactly_its_images(visit, app):
    a, b = app.sides()
    names = [name.replace("_", " ") for name in a.first.class_names]
    errors = np.bincount(
        a.first.labels.astype(int) * len(names) + predictions(a)[0], minlength=len(names) ** 2
    ).reshape(len(names), -1)
    np.fill_diagonal(errors, 0)
    true, predicted = np.unravel_index(errors.argmax(), errors.shape)
    page = visit(f"confusion?level=classes&true={names[true]}&predicted={names[predicted]}")
    here = np.any([answer == predicted for answer in (*predictions(a), *predictions(b))], axis=0)
    here &= a.first.labels == true
    assert ids(csv_of(page, "cell")) == set(a.first.sample_ids[here].tolist())


def test_a_folded_cell_is_chosen_by_a_click_and_unfolds(visit, app):
    page = visit("confusion")
    a, b = app.sides()
    if a.first.superclass_of is None:
        pytest.skip("these runs have no superclasses: run on the bundled ones, which have")
    box = page.locator(".st-key-confusion-folded .vega-embed").first.bounding_box()
    for step in range(12):  # across the diagonal, until a cell that holds images is hit
        page.mouse.click(box["x"] + 0.7 * box["width"], box["y"] + (0.36 + 0.012 * step) * box["height"])
        settle(page)
        chosen = parameters(page)
        if "truesuper" in chosen:
            break
    groups = [name.replace("_", " ") for name in a.first.superclass_names]
    of = a.first.superclass_of
    true, predicted = groups.index(chosen["truesuper"]), groups.index(chosen["predictedsuper"])
    labels = a.first.labels
    here = np.any(
        [(of[answer] == predicted) & (answer != labels) for answer in (*predictions(a), *predictions(b))], axis=0
    )
    expected = set(a.first.sample_ids[here & (of[labels] == true)].tolist())
    assert ids(csv_of(page, "cell")) == expected
    assert page.locator(".st-key-confusion-unfolded").count() == 1
    page.get_by_text("classes", exact=True).last.click()
    settle(page)
    assert parameters(page)["level"] == "classes"


def test_right_answers_can_be_shown(visit):
    page = visit("confusion?level=classes")
    page.get_by_text("Errors only", exact=True).click()
    settle(page)
    assert parameters(page)["errors"].lower() == "false"


def test_findings_show_each_verdict_and_the_report_downloads(visit, app):
    page = visit("findings")
    page.locator("[data-testid=stExpander] summary", has_text="Table").click()
    a, b = app.sides()
    accuracy = np.mean([np.mean(answer == a.first.labels) for answer in predictions(a)])
    rows = page.locator("[data-testid=stTable] tr").all_inner_texts()
    assert any("0.55" in row and f"{accuracy:.3f}" in row for row in rows)
    assert all(
        any(verdict in row.replace("\N{NO-BREAK SPACE}", " ") for row in rows) for verdict in ("holds", "inconclusive")
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Export report").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert a.group in text and b.group in text and len(text) < 3e6


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_reached_from_the_sidebar_and_none_is_wider_than_the_window(visit, scheme):
    page = visit(color_scheme=scheme)
    for title in TITLES:
        page.locator("[data-testid=stSidebarNav] a", has_text=title).click()
        settle(page)
        assert page.locator("[data-testid=stSidebarNav] a[aria-current=page]", has_text=title).count() == 1
        for width in (1280, 1920):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(200)
            main = page.locator("[data-testid=stMain]")
            assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0, title


def test_no_torch_in_the_server(visit, app):
    visit()
    with open(f"/proc/{app.pid}/maps") as maps:
        assert "torch" not in maps.read()


def test_the_overview_ranks_all_models_beside_the_metrics_and_below_them_on_a_narrow_screen(visit, app):
    if len(find_runs(app.folder).groups) < 3:
        pytest.skip("a ranking needs three models: run on the bundled runs, which have them")
    page = visit()
    metrics = page.locator("[data-testid=stMain] figure.marks", has_text="Macro-F1").first
    ranked = page.locator("[data-testid=stMain] figure.marks", has_text="group").first
    a, b = metrics.bounding_box(), ranked.bounding_box()
    assert b["x"] > a["x"] + a["width"] - 1 and abs(b["y"] - a["y"]) < 120
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_function("document.querySelector('[data-testid=stMain]').clientWidth <= 400")
    a, b = metrics.bounding_box(), ranked.bounding_box()
    assert b["y"] > a["y"] + a["height"] - 1


def test_notes_are_one_line_until_they_are_opened(visit):
    page = visit()
    box = page.locator(
        "[data-testid=stExpander]", has=page.locator("summary", has_text=re.compile(r"\d+ notes?"))
    ).first
    note = box.locator("[data-testid=stCaptionContainer]").first
    assert not note.is_visible()
    press(box.locator("summary"), note.is_visible)


def test_arrow_keys_lead_through_the_gallery_and_escape_leaves_the_focus_on_the_last_picture(visit):
    page = visit("?split=both+wrong")
    every = [tile.get_attribute("data-id") for tile in tiles(page, "split").all()[:3]]
    tiles(page, "split").nth(1).focus()
    page.keyboard.press("Enter")
    card = page.locator("[role=dialog]")
    card.get_by_text(f"Sample id {every[1]}").wait_for()
    settle(page)
    for key, shown in (("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 0)):
        page.keyboard.press(key)
        card.get_by_text(f"Sample id {every[shown]}").wait_for()
        settle(page)
    assert card.get_by_role("button", name="Previous").is_disabled()
    assert parameters(page)["image"].startswith(every[0])
    page.keyboard.press("Escape")
    card.wait_for(state="detached")
    settle(page)
    focused = """() => {
        let at = document.activeElement;
        while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
        return at?.dataset.id;
    }"""
    assert page.wait_for_function(focused).json_value() == every[0]


def test_the_cards_maps_are_square(visit):
    page = visit("?split=both+wrong")
    tiles(page, "split").first.click()
    settle(page)
    drawn = page.locator("[role=dialog] [data-testid=stVegaLiteChart]").locator("svg, canvas")
    drawn.nth(3).wait_for()
    for chart in drawn.all()[2:]:  # behind the two models' bars
        box = chart.bounding_box()
        assert box["width"] == box["height"] > 200


def test_a_link_opens_the_sections_that_were_open(visit):
    page = visit()
    page.locator("summary", has_text="Prediction flips").click()
    settle(page)
    again = visit(address(page), elsewhere=True)
    opened = again.locator("[data-testid=stMain] details[open] summary")
    assert [text.split()[-1] for text in opened.all_inner_texts()] == ["(churn)"]


def test_a_matrix_that_a_narrow_screen_cuts_is_said_to_be_moved(visit):
    page = visit("confusion", viewport={"width": 400, "height": 1000})
    hint = page.get_by_text("move it sideways").first
    frame = page.locator(".st-key-confusion-folded").first
    for width, said in ((400, True), (1280, False)):
        page.set_viewport_size({"width": width, "height": 1000})
        settle(page)
        assert hint.is_visible() == said
        moves = """each => [each, ...each.querySelectorAll('*')].some(part => part.scrollWidth > part.clientWidth + 20
            && /auto|scroll/.test(getComputedStyle(part).overflowX))"""
        assert frame.evaluate(moves) or not said


def test_runs_are_added_and_retrained_from_the_first_screen(visit):
    """At 1280 x 720 both buttons lay behind the class filter, below the screen."""
    page = visit(viewport={"width": 1280, "height": 720})
    page.set_viewport_size({"width": 1280, "height": 720})
    settle(page)
    for name in ("Add a run", "Short retraining"):
        box = page.locator("[data-testid=stSidebar]").get_by_role("button", name=name).bounding_box()
        assert box["y"] + box["height"] <= 720, name
