"""How fast the app answers, measured in headless Chromium as a user sees it, and how much it sends.

A bare Streamlit page with one chart of 10,000 points is timed in the same run: what no app of this kind can be under.
"""

import tempfile
import time
from pathlib import Path

import pandas as pd

from cifarcore.experiments.bench_browser import CHART, TIMEOUT_MS, chromium, opened, server, timed

PAGES = ("Classes", "Confusion matrix", "ROC", "Explorer", "Disagreements", "Replication", "Overview")
_BARE = """
import altair as alt, numpy as np, pandas as pd, streamlit as st
points = pd.DataFrame(np.random.default_rng(0).normal(size=(10_000, 2)), columns=["x", "y"])
st.altair_chart(alt.Chart(points).mark_circle().encode(x="x", y="y"))
"""


def app_table(root: Path, runs: Path | None = None, rounds: int = 3) -> pd.DataFrame:
    """Medians over `rounds`: seconds of the first chart, a page switch, a filter change and a box selection; MB a page.

    `root` is the folder of streamlit_app.py. Raises CifarcoreError without Chromium or playwright.
    """
    rows = []
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(_BARE, encoding="utf-8")
        for _ in range(rounds):
            with server(bare, {}) as (url, ready):
                page, _ = opened(browser, url)
                rows.append(
                    {
                        "what": "reference: bare page, server ready to chart",
                        "value": time.monotonic() - ready,
                        "unit": "s",
                    }
                )
                page.context.close()
            with server(root / "streamlit_app.py", {"CIFARCORE_RUNS": str(runs)} if runs else {}) as (url, ready):
                page, received = opened(browser, url)
                rows.append({"what": "server ready to first chart", "value": time.monotonic() - ready, "unit": "s"})
                rows += drive(page, received)
                page.context.close()
    table = pd.DataFrame(rows).groupby(["what", "unit"], sort=False).value
    return table.agg(["median", "min", "max"]).reset_index()


def drive(page, received: dict[str, int]) -> list[dict]:
    """Visit every page, change the filter and draw a box: rows of what, value, unit (seconds, and MB received by a
    page).
    """
    rows = []
    for title in PAGES:
        before = received["bytes"]
        seconds = _switch(page, title)
        rows.append({"what": "page switch", "value": seconds, "unit": "s"})
        rows.append({"what": f"received by {title}", "value": (received["bytes"] - before) / 1e6, "unit": "MB"})
    rows += [{"what": "filter change", "value": seconds, "unit": "s"} for seconds in filter_changes(page)]
    _switch(page, "Explorer")
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


def _switch(page, title: str) -> float:
    """Seconds from the click on a page's name until that page stands still."""
    return timed(page, lambda: page.locator("[data-testid=stSidebarNav] a", has_text=title).click())


def filter_changes(page, keys: tuple[str, ...] = ("ArrowLeft", "ArrowLeft", "ArrowRight")) -> list[float]:
    """Seconds that the page Classes takes to follow the slider of the hardest classes, for each key pressed on it."""
    _switch(page, "Classes")
    slider = page.locator(".st-key-hardest input[type=range], .st-key-hardest [role=slider]").first
    return [timed(page, lambda key=key: slider.press(key)) for key in keys]
