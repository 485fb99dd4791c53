"""A real server and a real Chromium over run files: the committed ones where there are two models, else made ones."""

from pathlib import Path

import pytest
from driving import ROOT, TIMEOUT_MS, serve, settle
from made import made_run

from cifarcore.app.catalog import find_runs
from cifarcore.runs.run import save_run


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    catalog = find_runs(ROOT / "checkpoints")
    if len(catalog.groups) >= 2:
        return ROOT / "checkpoints"
    made = tmp_path_factory.mktemp("runs")
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.65)):
        for seed in (0, 1):
            save_run(made_run(100, 3000, accuracy, seed, model, "quick"), made / f"{model}-quick-{seed}.npz")
    return made


@pytest.fixture(scope="session")
def app(folder, tmp_path_factory):
    with serve(folder, tmp_path_factory.mktemp("app") / "server.log") as served:
        yield served


@pytest.fixture(scope="session")
def shared_context(chromium):
    """One browser that has the app's bundles in its cache; nothing else is kept between its pages."""
    context = chromium.new_context(accept_downloads=True)
    yield context
    context.close()


@pytest.fixture
def visit(app, chromium, shared_context):
    """`visit(path)` opens a page of the app and waits until it stands still.

    `elsewhere=True` opens it in a browser context of its own, as another user's browser is; so do context options.
    """
    opened = []

    def open_page(path="", elsewhere=False, **options):
        context = chromium.new_context(accept_downloads=True, **options) if elsewhere or options else shared_context
        page = context.new_page()
        opened.append(page if context is shared_context else context)
        page.set_viewport_size({"width": 1280, "height": 1000})
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{app.url}/{path}")
        settle(page)
        return page

    yield open_page
    for one in opened:
        one.close()
