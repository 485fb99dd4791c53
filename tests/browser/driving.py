"""What the browser tests share: the app under test, waiting for it, its address, and its galleries' downloads."""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from processes import wait_until

from cifarcore.app.catalog import find_runs, load_sides

# it ends what hangs; a loaded machine of two cores takes its time
TIMEOUT_MS = 180_000
ANSWERED_S = 20  # in which a click has been answered, on a loaded machine too
TITLES = ("Classes", "Confusion matrix", "ROC", "Explorer", "Disagreements", "Replication", "Overview")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class App:
    url: str
    folder: Path
    log: Path
    pid: int

    def sides(self):
        """Both models as the app opens them: all seeds of its defaults, on the same images."""
        catalog = find_runs(self.folder)
        a, b = catalog.defaults()
        return load_sides(catalog.groups[a], catalog.groups[b], (a, b))[:2]


@contextmanager
def serve(folder, log, **environment) -> Iterator[App]:
    """The app over the run files in `folder`; at the end its log must hold no traceback."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.fileWatcherType", "none"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"CIFARCORE_RUNS": str(folder), "PYTHONPATH": path} | environment
    with log.open("w") as file:
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        wait_for(url, server, log)
        yield App(url, folder, log, server.pid)
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


def wait_for(url, server, log):
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
    raise AssertionError(f"the server did not start: {log.read_text()}")


# Put into every page: when something was last sent to the server, and when a script last began or ended. A click on a
# loaded machine is answered late, and the calm until then is that of the page before.
WATCH = """
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        window.sentAt = performance.now();
        // a script that ends within a frame is never shown to run
        this.addEventListener('message', () => { window.ranAt = performance.now(); }, {once: true});
        return send.call(this, data);
    };
    new MutationObserver(() => { window.ranAt = performance.now(); }).observe(
        document, {subtree: true, attributes: true, attributeFilter: ['data-test-script-state']});
"""
UNANSWERED_MS = 10_000  # after which what was sent is one of the few messages that no script answers


def settle(page):
    """Wait until what was asked for last has run and what it drew is there."""
    page.wait_for_selector("[data-testid=stMainBlockContainer]")
    page.wait_for_timeout(100)
    page.evaluate("window.calmSince = undefined")
    page.wait_for_function(
        """unanswered => {
            const now = performance.now(), app = document.querySelector('[data-testid=stApp]');
            const answered = !(window.sentAt > (window.ranAt ?? 0)) || now - window.sentAt > unanswered;
            const calm = answered && app.dataset.testScriptState === 'notRunning'
                && !document.querySelector('[data-testid=stSkeleton]');
            window.calmSince = calm ? (window.calmSince ?? now) : undefined;
            return calm && now - window.calmSince > 400;
        }""",
        arg=UNANSWERED_MS,
        polling=50,
    )
    assert page.locator("[data-testid=stException]").count() == 0, page.locator(
        "[data-testid=stException]"
    ).first.inner_text()


def press(button, done):
    """Click until `done()`, as a user does: what is clicked while Streamlit draws the page may be lost."""
    from playwright.sync_api import TimeoutError as NotThere

    def pressed():
        if not done():
            with suppress(NotThere):  # it may go once it was pressed
                button.click(timeout=ANSWERED_S * 1000)
            answered = time.monotonic() + ANSWERED_S
            while not done() and time.monotonic() < answered:
                button.page.wait_for_timeout(100)
        return done()

    wait_until(pressed)


def address(page) -> str:
    """The page's address as the browser shows it, without the server."""
    return page.evaluate("location.pathname.slice(1) + location.search")


def parameters(page) -> dict[str, str]:
    return dict(page.evaluate("[...new URLSearchParams(location.search)]"))


def csv_of(page, key) -> pd.DataFrame:
    """The whole gallery `key`, by its download."""
    with page.expect_download() as download:
        page.click(f".st-key-{key}-csv button")
    return pd.read_csv(io.BytesIO(Path(download.value.path()).read_bytes()))


def ids(frame) -> set[int]:
    return {int(text, 16) for text in frame["sample_id"]}


def choose(page, label, option):
    """Choose in a selectbox by typing, as the keyboard does."""
    box = page.get_by_label(label, exact=True)
    box.click()
    box.fill(option)
    page.locator("[role=option]", has_text=option).first.click()
    settle(page)
