"""The code of charts and tables is loaded before a page needs it, and after the first page is drawn."""

import re

import pytest
from driving import TIMEOUT_MS, settle

BUNDLES = ("ArrowVegaLiteChart", "embed", "DataFrame")
# when the first page had ended drawing its charts
DRAWN = """
    new MutationObserver(() => {
        const app = document.querySelector('[data-testid=stApp]');
        if (app?.dataset.testScriptState === 'notRunning' && document.querySelector('figure.marks .metrics'))
            window.drawnAt ??= performance.now();
    }).observe(document, {subtree: true, childList: true, attributes: true});
"""
# when each of them was asked for
ASKED = """names => Object.fromEntries(performance.getEntriesByType('resource').flatMap(({name, startTime}) =>
    names.filter(each => name.includes(`/static/js/${each}.`)).map(each => [each, startTime])))"""


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.failures = []
    page.on("pageerror", lambda error: page.failures.append(error))
    yield page
    context.close()


def asked(page):
    return page.evaluate(ASKED, list(BUNDLES))


def test_charts_and_tables_are_loaded_once_the_first_page_is_drawn(app, page):
    page.add_init_script(DRAWN)
    page.goto(app.url)
    page.wait_for_function(f"names => Object.keys(({ASKED})(names)).length === names.length", arg=list(BUNDLES))
    assert min(asked(page).values()) > page.evaluate("window.drawnAt") > 0
    assert not page.failures


def test_a_page_stands_and_others_are_drawn_where_nothing_can_be_loaded_ahead(app, page):
    refused = []
    bundles = re.compile(rf"/static/js/({'|'.join(BUNDLES)})\.")
    page.route(bundles, lambda route: (refused.append(route.request.url), route.fulfill(status=404)))
    page.goto(app.url)
    settle(page)
    page.wait_for_timeout(2000)
    assert len(refused) == len(BUNDLES) and not page.failures
    page.unroute(bundles)
    page.locator("[data-testid=stSidebarNav] a", has_text="Explorer").click()
    settle(page)
    assert page.locator("canvas.maps").count() == 1 and not page.failures


def test_without_a_bundle_of_that_name_nothing_is_asked_for(page, tmp_path):
    from cifarcore.app.parts.ahead import script

    (tmp_path / "DataFrame.x.js").touch()
    assert script(tmp_path).startswith('const AHEAD = ["DataFrame.x.js"];')
    (tmp_path / "DataFrame.x.js").unlink()
    page.set_content('<div data-testid="stApp" data-test-script-state="notRunning"></div>')
    requests = []
    page.on("request", lambda request: requests.append(request))
    page.add_script_tag(content=script(tmp_path), type="module")
    page.wait_for_timeout(500)
    assert not page.failures and not requests
