"""How fast the app answers, measured in headless Chromium as a user sees it, and how much it sends.

A bare Streamlit page with one chart of 10,000 points is timed in the same run: what no app of this kind can be under.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from cifarcore import CifarcoreError

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 60_000
PAGES = ("Classes", "Confusion", "ROC", "Explorer", "Disagreements", "Findings", "Overview")
CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"
_BARE = """
import altair as alt, numpy as np, pandas as pd, streamlit as st
points = pd.DataFrame(np.random.default_rng(0).normal(size=(10_000, 2)), columns=["x", "y"])
st.altair_chart(alt.Chart(points).mark_circle().encode(x="x", y="y"))
"""
# The script has ended, nothing is left to draw, and both have held for two frames.
_CALM = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    const calm = app && app.dataset.testScriptState === 'notRunning' && !document.querySelector('[data-testid=stSkeleton]');
    window.benchCalm = calm ? (window.benchCalm || 0) + 1 : 0;
    return window.benchCalm > 2;
}"""


def app_table(root: Path, runs: Path | None = None, rounds: int = 3) -> pd.DataFrame:
    """Medians over `rounds`: seconds of the first chart, a page switch, a filter change and a box selection; MB a page.

    `root` is the folder of streamlit_app.py. Raises CifarcoreError without Chromium or playwright.
    """
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        raise CifarcoreError(
            "the app is measured in a browser: install the package chromium, and playwright by pip install 'cifarcore[test]'"
        )
    rows = []
    with sync_playwright() as engine, tempfile.TemporaryDirectory() as folder:
        browser = engine.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        bare = Path(folder) / "bare.py"
        bare.write_text(_BARE)
        for _ in range(rounds):
            with _server(bare, {}) as (url, ready):
                page, _ = _open(browser, url)
                rows.append(
                    {
                        "what": "reference: bare page, server ready to chart",
                        "value": time.monotonic() - ready,
                        "unit": "s",
                    }
                )
                page.context.close()
            with _server(root / "streamlit_app.py", {"CIFARCORE_RUNS": str(runs)} if runs else {}) as (url, ready):
                page, received = _open(browser, url)
                rows.append({"what": "server ready to first chart", "value": time.monotonic() - ready, "unit": "s"})
                rows += _drive(page, received)
                page.context.close()
        browser.close()
    table = pd.DataFrame(rows).groupby(["what", "unit"], sort=False).value
    return table.agg(["median", "min", "max"]).reset_index()


def _drive(page, received: dict[str, int]) -> list[dict]:
    rows = []
    for title in PAGES:
        before = received["bytes"]
        seconds = _timed(page, lambda title=title: page.locator("[data-testid=stSidebarNav] a", has_text=title).click())
        rows.append({"what": "page switch", "value": seconds, "unit": "s"})
        rows.append({"what": f"received by {title}", "value": (received["bytes"] - before) / 1e6, "unit": "MB"})
    page.locator("[data-testid=stSidebarNav] a", has_text="Classes").click()
    page.wait_for_function(_CALM, polling="raf")
    slider = page.locator(".st-key-hardest input[type=range], .st-key-hardest [role=slider]").first
    for key in ("ArrowLeft", "ArrowLeft", "ArrowRight"):
        rows.append({"what": "filter change", "value": _timed(page, lambda key=key: slider.press(key)), "unit": "s"})
    page.locator("[data-testid=stSidebarNav] a", has_text="Explorer").click()
    page.wait_for_function(_CALM, polling="raf")
    box = page.locator(CHART).first.bounding_box()
    x, y = box["x"] + 0.2 * box["width"], box["y"] + 0.4 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 60, steps=5)
    started = time.monotonic()
    page.mouse.up()
    page.wait_for_selector("[data-testid=stMain] .card", timeout=TIMEOUT_MS)
    rows.append({"what": "box selection to gallery", "value": time.monotonic() - started, "unit": "s"})
    return rows


def _timed(page, act) -> float:
    started = time.monotonic()
    act()
    # the click reaches the server within a frame or two; calm before that would be the calm of the old page
    page.wait_for_timeout(50)
    page.evaluate("window.benchCalm = 0")
    page.wait_for_function(_CALM, polling="raf", timeout=TIMEOUT_MS)
    return time.monotonic() - started


def _open(browser, url: str):
    """A page in a new context, with a count of the bytes received but for Streamlit's own bundles."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    received = {"bytes": 0}
    own = set()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")

    def on_response(event) -> None:
        path = event["response"]["url"].removeprefix(url).split("?")[0]
        if path in ("/", "/favicon.png") or path.startswith("/static/"):
            own.add(event["requestId"])

    def on_finished(event) -> None:
        if event["requestId"] not in own:
            received["bytes"] += int(event["encodedDataLength"])

    def on_frame(event) -> None:
        payload = event["response"]
        size = len(payload["payloadData"])
        received["bytes"] += size * 3 // 4 if payload["opcode"] == 2 else size  # binary frames are told in base64

    wire.on("Network.responseReceived", on_response)
    wire.on("Network.loadingFinished", on_finished)
    wire.on("Network.webSocketFrameReceived", on_frame)
    page.goto(url)
    page.wait_for_selector(CHART)
    return page, received


@contextmanager
def _server(script: Path, environment: dict[str, str]) -> Iterator[tuple[str, float]]:
    """A Streamlit server on a free port: its address and the moment at which it answered."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    command += ["--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false"]
    path = os.pathsep.join(filter(None, (str(script.parent), os.environ.get("PYTHONPATH"))))
    server = subprocess.Popen(
        command,
        cwd=script.parent,
        env=os.environ | environment | {"PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://localhost:{port}"
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise CifarcoreError(
                        f"the server of {script.name} did not start; run `streamlit run {script.name}` to see why"
                    ) from None
                time.sleep(0.05)
        yield url, time.monotonic()
    finally:
        server.terminate()
        server.wait()
