"""The short retraining as a user drives it: a real job on real data where both are there, else on the synthetic set."""

import os
import re
import signal
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from driving import ROOT, TIMEOUT_MS, parameters, press, serve, settle
from made import TINY, trained_run
from processes import wait_until
from test_accessibility import serious

from cifarcore.data.cifar100 import load_test_images
from cifarcore.retraining import folders
from cifarcore.retraining.jobs import read_job
from cifarcore.retraining.progress import PROCESS, read_json
from cifarcore.runs.run import load_run

PARENT = "cnn-quick-0"
LONG = 1200  # seconds of a job that a test ends, however slow the machine


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of its own with a parent and its weights."""
    folder = tmp_path_factory.mktemp("retraining") / "runs"
    folder.mkdir()
    committed = ROOT / "checkpoints"
    if (
        load_test_images() is not None
        and (committed / f"{PARENT}.pt").exists()
        and (committed / f"{PARENT}.npz").exists()
    ):
        for suffix in (".npz", ".pt"):
            (folder / f"{PARENT}{suffix}").write_bytes((committed / f"{PARENT}{suffix}").read_bytes())
        return folder
    return trained_run(folder, replace(TINY, preset="quick")).parent


@pytest.fixture(scope="module")
def own_app(runs):
    with serve(runs, runs.parent / "server.log", XDG_CACHE_HOME=str(runs.parent / "cache")) as served:
        yield served


@pytest.fixture
def browse(own_app, chromium):
    """`browse(path)` opens a page in a context of its own."""
    contexts = []

    def open_page(path=""):
        context = chromium.new_context(viewport={"width": 1280, "height": 1400})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"{own_app.url}/{path}")
        drawn(page)
        return page

    yield open_page
    for context in contexts:
        context.close()


def drawn(page):
    """Wait for the sidebar's last part. While a job runs a page never stands still, so nothing waits for that."""
    page.locator(".st-key-retrain button").wait_for()


def go_to(page, title):
    page.locator("[data-testid=stSidebarNav] a", has_text=title).click()
    page.wait_for_url(f"**/{title.lower()}*")
    drawn(page)


def compared(page, name=""):
    """Wait until the retraining `name` (by default any) is model B, as the sidebar shows it.

    The address may hold no B: beside a single parent its retraining is the default.
    """
    page.wait_for_function(
        """name => {
            const box = document.querySelector('.st-key-B'), input = box?.querySelector('input');
            return `${box?.innerText} ${input?.value}`.includes(`retrained/${name}`);
        }""",
        arg=name,
    )


def open_dialog(page):
    press(page.locator(".st-key-retrain button"), page.locator("[role=dialog]").is_visible)


def open_settings(page, seconds=None):
    open_dialog(page)
    page.locator("[role=dialog] .st-key-retrain-start button").wait_for()
    if seconds == LONG:  # on kept features it would end by itself, after some passes
        page.locator(".st-key-retrain-layers input").first.click()
        page.get_by_role("option", name="Everything", exact=True).click()
    if seconds:
        page.get_by_label("Budget", exact=True).fill(str(seconds))
        page.get_by_label("Budget", exact=True).press("Enter")


def stop_button(page):
    return page.locator(".st-key-retrain-stop button")


def stop(page, runs):
    """Stop the one job that runs, from the sidebar, and wait until it has ended."""
    press(stop_button(page), lambda: jobs(runs)[0].stopping or jobs(runs)[0].state == "stopped")
    wait_until(lambda: jobs(runs)[0].state == "stopped")


def steps(page) -> int:
    text = page.locator("[data-testid=stSidebar]").inner_text()
    found = re.search(r"step ([\d,]+)", text)
    return int(found[1].replace(",", "")) if found else -1


@contextmanager
def started(page, seconds):
    """A retraining of `seconds`, started from the dialog; it is cleared away at the end whatever happens."""
    open_settings(page, seconds)
    press(page.locator(".st-key-retrain-start button"), stop_button(page).is_visible)
    page.locator("[role=dialog]").wait_for(state="detached")
    yield


def jobs(runs):
    return folders.jobs(runs)


@pytest.fixture(autouse=True)
def clear_away(runs):
    yield
    for job in jobs(runs):
        wait_until(lambda job=job: not job.folder.exists() or read_job(job.folder).state != "starting")
        if not job.folder.exists():
            continue
        if read_job(job.folder).state == "running":
            os.kill(read_json(job.folder / PROCESS)["pid"], signal.SIGKILL)
            wait_until(lambda job=job: read_job(job.folder).state != "running")
        folders.delete(runs, job.name)


def test_start_watch_browse_reload_stop_elsewhere_compare_delete(browse, runs):
    page = browse()
    with started(page, LONG):
        wait_until(lambda: steps(page) > 0)
        first = steps(page)
        wait_until(lambda: steps(page) > first)
        go_to(page, "Classes")
        page.get_by_role("textbox", name="Search", exact=True).fill("ee")
        page.get_by_role("textbox", name="Search", exact=True).press("Enter")
        page.wait_for_function("() => new URLSearchParams(location.search).get('search') === 'ee'")
        page.reload()
        drawn(page)
        stop_button(page).wait_for()
        assert parameters(page)["search"] == "ee"
        elsewhere = browse()
        stop(elsewhere, runs)
    job = jobs(runs)[0]
    run = load_run(folders.retrained_path(job.folder))
    assert run.meta["parent"]["name"] == PARENT and run.meta["retraining"]["stopped"] is True
    for each in (page, elsewhere):
        compared(each, job.name)
    assert parameters(page).get("A", "cnn-quick") == "cnn-quick"
    page = browse(f"retrained?A=cnn-quick&B=retrained/{job.name}")
    settle(page)
    main = page.locator("[data-testid=stMainBlockContainer]")
    assert f"Retrained: {job.name}" in main.inner_text() and "Mean F1 of the focus classes" in main.inner_text()
    before = load_run(runs / f"{PARENT}.npz")
    fixed = int((~before.correct & run.correct).sum())
    assert serious(page) == []
    assert "Newly right: only correct after; " in main.inner_text() and f"· {fixed:,}" in main.inner_text()
    sure = page.get_by_role("button", name="Delete it")
    press(page.get_by_role("button", name="Delete", exact=False).first, sure.is_visible)
    press(sure, lambda: not jobs(runs))
    settle(page)
    assert not folders.retrained_path(job.folder).exists() and (runs / f"{PARENT}.npz").exists()
    assert not parameters(page).get("B", "").startswith("retrained/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation_in_the_dialog(browse, scheme):
    page = browse()
    page.emulate_media(color_scheme=scheme)
    open_settings(page)
    page.get_by_text("measured here").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.locator("[role=dialog]").wait_for(state="detached")


def test_a_job_is_discarded_from_the_dialog_and_leaves_nothing(browse, runs):
    page = browse()
    with started(page, LONG):
        wait_until(lambda: steps(page) > 0)
    before = sorted(path.name for path in runs.glob("retrained/*.npz"))
    open_dialog(page)
    page.locator("[role=dialog] [data-testid=stVegaLiteChart]").nth(1).wait_for()  # of accuracy and of loss
    assert "validation images, which are never trained on" in page.locator("[role=dialog]").inner_text()
    press(page.locator("[role=dialog] .st-key-retrain-discard-dialog button").first, lambda: not jobs(runs))
    page.get_by_text("was discarded; no run was written").wait_for()
    page.locator(".st-key-retrain-stop").wait_for(state="detached")
    assert sorted(path.name for path in runs.glob("retrained/*.npz")) == before


def test_from_start_to_the_verdict_of_three_seeds(browse, runs):
    page = browse()
    with started(page, 5):
        wait_until(lambda: [job.state for job in jobs(runs)] == ["finished"], 600)
    name = jobs(runs)[0].name
    compared(page, name)
    go_to(page, "Retrained")
    settle(page)
    main = page.locator("[data-testid=stMainBlockContainer]")
    assert (
        f"Retrained: {name}" in main.inner_text()
        and "One seed cannot distinguish a real gain from chance" in main.inner_text()
    )
    press(page.locator(".st-key-retrained-repeat button").first, lambda: len(jobs(runs)) > 1)
    wait_until(lambda: [job.state for job in jobs(runs)] == ["finished"] * 3, 600)
    page.get_by_text("mean of 3 seeds").first.wait_for()
    compared(page, name)
    runs_of = [load_run(folders.retrained_path(job.folder)) for job in jobs(runs)]
    assert sorted(run.meta["seed"] for run in runs_of) == [0, 1, 2]


def test_a_killed_job_is_told_with_its_log_and_goes_on(browse, runs):
    page = browse()
    with started(page, 30):
        wait_until(lambda: steps(page) > 0)
    name = jobs(runs)[0].name
    os.kill(read_json(jobs(runs)[0].folder / PROCESS)["pid"], signal.SIGKILL)
    page.get_by_text("was killed").wait_for()
    open_dialog(page)
    assert "starting" in page.locator("[role=dialog] [data-testid=stCode]").inner_text()
    press(
        page.get_by_role("button", name="Continue from the last checkpoint"),
        lambda: jobs(runs)[0].state in ("starting", "running", "finished"),
    )
    wait_until(lambda: jobs(runs)[0].state == "finished", 600)
    compared(page, name)


def test_two_that_press_at_once_start_one_job(browse, runs):
    pages = [browse(), browse()]
    for page in pages:
        open_settings(page, LONG)
    for page in pages:
        settle(page)  # what is pressed while the page is still drawn may be lost
    for page in pages:
        page.locator(".st-key-retrain-start button").click(no_wait_after=True)
    for page in pages:
        press(page.locator(".st-key-retrain-start button"), stop_button(page).is_visible)
    assert [job.state for job in jobs(runs)].count("running") <= 1
    wait_until(lambda: [job.state for job in jobs(runs)] == ["running"])  # what was refused is cleared away
    stop(pages[0], runs)


def test_who_presses_while_another_browser_s_job_runs_is_shown_it(browse, runs):
    """The dialog had been drawn before: it showed the job, and the sidebar nothing to stop it by."""
    pages = [browse(), browse()]
    for page in pages:
        open_settings(page, LONG)
        page.get_by_text("measured here").wait_for(timeout=300_000)
        settle(page)
    start = pages[0].locator(".st-key-retrain-start button")
    press(start, lambda: [job.state for job in jobs(runs)] == ["running"])
    press(pages[1].locator(".st-key-retrain-start button"), stop_button(pages[1]).is_visible)
    stop(pages[0], runs)


@pytest.mark.parametrize("wait", [0.0, *(pytest.param(wait, marks=pytest.mark.slow) for wait in (0.7, 1.9, 3.3, 6.1))])
def test_the_job_outlives_the_app(chromium, runs, tmp_path, wait):
    """kill -9 of the app, `wait` seconds after the job's first steps were shown."""
    log = tmp_path / "server.log"
    cache = {"XDG_CACHE_HOME": str(runs.parent / "cache")}
    for number in range(2):
        context = chromium.new_context(viewport={"width": 1280, "height": 1400})
        try:
            with serve(runs, log, **cache) as app:
                page = context.new_page()
                page.set_default_timeout(TIMEOUT_MS)
                page.goto(app.url)
                drawn(page)
                if number == 0:
                    with started(page, LONG):
                        wait_until(lambda: steps(page) > 0)
                    time.sleep(wait)
                    os.kill(app.pid, signal.SIGKILL)
                else:
                    stop(page, runs)
                    compared(page)
        finally:
            context.close()
    assert [job.state for job in jobs(runs)] == ["stopped"]
