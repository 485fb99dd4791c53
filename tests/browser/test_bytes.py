"""What the app sends for a page, its own bundles apart: the benchmark's walk through it, of which no time is
asserted.
"""

from cifarcore.experiments.bench_app import PAGES, drive
from cifarcore.experiments.bench_browser import opened

MOST_MB = 2.0


def test_no_page_is_larger_than_the_limit(app, chromium):
    page, received = opened(chromium, app.url)
    first = received["bytes"] / 1e6
    sizes = {row["what"]: row["value"] for row in drive(page, received) if row["unit"] == "MB"}
    page.context.close()
    assert len(sizes) == len(PAGES) and 0 < first <= MOST_MB
    assert all(0 < size <= MOST_MB for size in sizes.values()), sizes
