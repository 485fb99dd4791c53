"""What the benchmarks in a browser share: headless Chromium, a server of an app, and waiting until a page stands
still.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cifarcore.errors import CifarcoreError

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_MS = 60_000
CHART = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg, canvas.maps, figure.marks"
# The script has ended, nothing is left to draw, and both have held for two looks more: the milliseconds since they
# began to.
CALM = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    const calm = app && app.dataset.testScriptState === 'notRunning'
        && !document.querySelector('[data-testid=stSkeleton]');
    window.benchCalm = calm ? (window.benchCalm || 0) + 1 : 0;
    if (window.benchCalm === 1) window.benchCalmSince = performance.now();
    return window.benchCalm > 2 && 1e-3 + performance.now() - window.benchCalmSince;
}"""
# Whether the script has run since `WATCH`: a click on a busy machine is answered late, and the calm until then is
# that of the page before. What is clicked while Streamlit draws the page anew may be lost altogether, and is clicked
# again, as a user does; the wait counts. A script that ends within a frame is never shown to run: its answer counts.
WATCH = """() => {
    window.benchRan = false;
    window.benchAsked = performance.now();
    const send = (window.benchSend ??= WebSocket.prototype.send);
    WebSocket.prototype.send = function (data) {
        WebSocket.prototype.send = send;
        this.addEventListener('message', () => { window.benchRan = true; }, {once: true});
        return send.call(this, data);
    };
    const watch = new MutationObserver(() => { window.benchRan = true; watch.disconnect(); });
    watch.observe(document, {subtree: true, attributes: true, attributeFilter: ['data-test-script-state']});
}"""
TRIES, LOST_MS = 6, 10_000
ANSWERED = f"() => window.benchRan ? 'ran' : performance.now() - window.benchAsked > {LOST_MS} && 'lost'"


def chromium_path() -> str:
    """Where Chromium is. Raises CifarcoreError without it or without playwright."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None or importlib.util.find_spec("playwright") is None:
        raise CifarcoreError(
            "the app is measured in a browser: install the package chromium, "
            "and playwright by pip install 'cifarcore[test]'"
        )
    return path


@contextmanager
def chromium() -> Iterator:
    """A browser of playwright's. Raises CifarcoreError without Chromium or playwright."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


def timed(page, act) -> float:
    """Seconds from `act` on a page that stands still until it begins to stand still again."""
    page.wait_for_function(CALM, polling="raf", timeout=TIMEOUT_MS)
    started = time.monotonic()
    for _ in range(TRIES):
        page.evaluate(WATCH)
        act()
        if page.wait_for_function(ANSWERED, polling="raf", timeout=TIMEOUT_MS).json_value() == "ran":
            break
    else:
        raise CifarcoreError(f"the app did not answer {TRIES} clicks")
    page.evaluate("window.benchCalm = 0")
    held = page.wait_for_function(CALM, polling="raf", timeout=TIMEOUT_MS)
    elapsed = time.monotonic() - started
    return elapsed - held.json_value() / 1000


def opened(browser, url: str):
    """A page in a new context, with a count of the bytes received but for Streamlit's own bundles."""
    page = browser.new_context(viewport={"width": 1280, "height": 1000}).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    received = {"bytes": 0}
    children = set()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")

    def on_response(event) -> None:
        path = event["response"]["url"].removeprefix(url).split("?")[0]
        if path in ("/", "/favicon.png") or path.startswith("/static/"):
            children.add(event["requestId"])

    def on_finished(event) -> None:
        if event["requestId"] not in children:
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
def server(script: Path, environment: dict[str, str]) -> Iterator[tuple[str, float]]:
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
    process = subprocess.Popen(
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
                if process.poll() is not None or time.monotonic() > deadline:
                    raise CifarcoreError(
                        f"the server of {script.name} did not start; run `streamlit run {script.name}` to see why"
                    ) from None
                time.sleep(0.05)
        yield url, time.monotonic()
    finally:
        process.terminate()
        process.wait()
