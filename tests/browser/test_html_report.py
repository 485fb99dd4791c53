"""The HTML report in a real browser that has no network."""

from cifarcore.reports.result import first_two


def test_chromium_draws_it_with_the_network_off(app, chromium, tmp_path):
    a, b = app.sides()
    path = first_two([*a.runs, *b.runs]).to_html(tmp_path / "report.html")
    assert path.stat().st_size < 3 * 2**20
    said, asked = [], []
    context = chromium.new_context(offline=True, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("[...document.images].every(image => image.complete)")
    sizes = page.evaluate("[...document.images].map(image => [image.naturalWidth, image.naturalHeight])")
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    # outcomes, maps, classes, superclasses, calibration, learning curves, risk and coverage
    assert len(sizes) == 7 and min(min(size) for size in sizes) > 30
    assert width <= 1280
