"""Names that mean something to JavaScript or to Vega's fields, in the charts of every page."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.runs.run import save_run

NAMES = (
    "constructor", "__proto__", "toString", "hasOwnProperty", "valueOf", "a.b", "a[0]", "b\\c", "it's \"q\"", "length",
)  # fmt: skip
PAGES = ("", "classes", "confusion", "explorer?color=class", "disagreements")


@pytest.mark.browser
def test_every_page_draws_such_names(folder, chromium, tmp_path):
    from browser.driving import serve, settle

    for model, accuracy in (("constructor", 0.45), ("__proto__", 0.75)):
        run = made_run(model=model, accuracy=accuracy, preset="")
        own = {"class_names": np.array(NAMES), "superclass_names": np.array(["prototype", "toLocaleString"])}
        save_run(replace(run, **own), folder / f"{model}-0.npz")
    wrong = []
    with serve(folder, tmp_path / "server.log") as app:
        page = chromium.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(180_000)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console",
            lambda message: (
                wrong.append(f"{page.url} {message.text}") if message.type in ("error", "warning") else None
            ),
        )
        for name in PAGES:
            page.goto(f"{app.url}/{name}")
            settle(page)
            if name.startswith("explorer"):
                assert page.locator(".legend button").count() == len(NAMES)
                continue
            charts = page.locator("[data-testid=stVegaLiteChart]")
            if not name:  # the overview's charts are no Vega's
                assert "__proto__" in page.locator("figure.marks").first.inner_text()
                continue
            assert charts.count()
            for chart in charts.all():
                assert chart.locator("svg, canvas").count(), name
            if name == "classes":
                shown = {text.strip() for text in charts.first.locator("text").all_text_contents()}
                assert {name.replace("_", " ").strip() for name in NAMES} <= shown
        page.goto(f"{app.url}/classes?class=constructor")
        settle(page)
        assert "Constructor: recall " in page.locator("[data-testid=stMain]").inner_text()
        page.close()
    assert not [text for text in wrong if "vega" in text.lower() or "TypeError" in text], wrong
