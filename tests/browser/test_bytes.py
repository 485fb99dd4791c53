"""What the app sends for a page, its own bundles apart: the benchmark's walk through it, of which no time is
asserted.
"""

from cifarcore.experiments.bench_app import PAGES, drive
from cifarcore.experiments.bench_browser import ANSWERED, WATCH, opened

MOST_MB = 2.0


def test_no_page_is_larger_than_the_limit(app, chromium):
    page, received = opened(chromium, app.url)
    first = received["bytes"] / 1e6
    sizes = {row["what"]: row["value"] for row in drive(page, received) if row["unit"] == "MB"}
    page.context.close()
    assert len(sizes) == len(PAGES) and 0 < first <= MOST_MB
    assert all(0 < size <= MOST_MB for size in sizes.values()), sizes


def test_an_answer_counts_though_the_script_was_never_shown_to_run(chromium):
    page = chromium.new_page()
    page.evaluate("window.benchSend = () => {}")
    page.evaluate(WATCH)
    page.evaluate("window.socket = new EventTarget(); WebSocket.prototype.send.call(socket, 'a click')")
    assert page.evaluate(ANSWERED) is False
    page.evaluate("socket.dispatchEvent(new Event('message'))")
    assert page.evaluate(ANSWERED) == "ran"
    page.close()
