"""Every page against axe-core, in both themes, and what leaves the browser while they are open."""

import importlib.util
import re
from pathlib import Path

import pytest
from driving import TIMEOUT_MS, settle

PAGES = ("", "classes", "confusion", "roc", "explorer", "disagreements", "slices", "retrained", "findings")


def axe_script() -> Path | None:
    """axe-core as the package axe-playwright-python carries it; None where that is not installed."""
    spec = importlib.util.find_spec("axe_playwright_python")
    return None if spec is None else Path(spec.submodule_search_locations[0]) / "axe.min.js"


def serious(page) -> list[tuple]:
    """What axe-core finds on the page that is serious or worse: rule, element and what is wrong with it."""
    script = axe_script()
    if script is None:
        pytest.skip("axe-core is not here: pip install axe-playwright-python brings it")
    page.add_script_tag(path=script)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    return [
        (rule["id"], node["target"], node["failureSummary"][:200])
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_serious_violation(visit, path, scheme):
    assert serious(visit(path, color_scheme=scheme)) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_with_a_card_open(visit, scheme):
    page = visit("disagreements", color_scheme=scheme)
    page.locator(".st-key-disagreements-tiles .card").first.click()
    card = page.locator("[role=dialog]")
    card.get_by_text("Sample id").first.wait_for()
    settle(page)
    assert serious(page) == []


def test_nothing_is_asked_of_another_host(app, chromium):
    context = chromium.new_context()
    page, hosts = context.new_page(), set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]) if "://" in request.url else None)
    page.set_default_timeout(TIMEOUT_MS)
    for path in PAGES:
        page.goto(f"{app.url}/{path}")
        settle(page)
    context.close()
    assert hosts == {app.url.split("/")[2]}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_one_title_a_link_to_copy_and_the_report_and_fits_400_pixels(visit, path):
    page = visit(path, permissions=["clipboard-read", "clipboard-write"])
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("button", name="Export report").count() == 1
    page.get_by_role("button", name="Copy link").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.evaluate("location.href")
    page.set_viewport_size({"width": 400, "height": 900})
    page.wait_for_timeout(500)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("element => element.scrollWidth - element.clientWidth") <= 0


def test_names_that_are_read_aloud_are_words(visit):
    page = visit()
    labels = page.evaluate("[...document.querySelectorAll('[aria-label]')].map(each => each.ariaLabel)")
    assert labels and not [label for label in labels if re.search(r"\*\*|:\w+\[|:material", label)]


def test_the_gap_between_numbers_of_pages_is_as_dark_as_they_are(visit):
    page = visit("classes?class=bear")
    gap = page.get_by_test_id("stPaginationEllipsis").first
    color = "element => getComputedStyle(element).color"
    assert gap.evaluate(color) == gap.locator("..").evaluate(color)
