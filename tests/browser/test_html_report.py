"""The HTML report in a real browser that has no network."""

import base64
import re

from cifarcore.data.cifar100 import load_test_images
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
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure img')].map(image => [image.naturalWidth, image.naturalHeight])"
    )
    pictured = page.locator(".picture img").count()
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    # outcomes, maps, classes, superclasses, calibration, learning curves, risk and coverage, slices
    assert len(sizes) == 8 and min(min(size) for size in sizes) > 30
    assert width <= 1280
    here = load_test_images() is not None and "CIFAR-100" in str(a.first.meta.get("dataset"))
    assert (pictured > 40) == here


def test_no_table_is_cut_and_charts_can_be_read_in_the_dark(app, chromium, tmp_path):
    a, b = app.sides()
    path = first_two([*a.runs, *b.runs]).to_html(tmp_path / "report.html")
    page = chromium.new_page(viewport={"width": 1280, "height": 1000}, color_scheme="dark")
    page.goto(path.as_uri())
    cut = "[...document.querySelectorAll('.scroll, figure')].filter(each => each.scrollWidth > each.clientWidth + 1)"
    assert page.evaluate(f"{cut}.map(each => each.innerText.slice(0, 60))") == []
    page.set_viewport_size({"width": 400, "height": 1000})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("Math.min(...[...document.querySelectorAll('figure img')].map(each => each.width))") >= 400
    charts = page.locator("figure img[src^='data:image/svg']").evaluate_all("images => images.map(image => image.src)")
    drawn = """image => {
        const canvas = document.createElement('canvas');
        canvas.getContext('2d').drawImage(image, 0, 0);
        return [...canvas.getContext('2d').getImageData(2, 2, 1, 1).data];
    }"""
    maps = page.locator("figure img[src^='data:image/png']")
    assert maps.evaluate(drawn)[3] == 0 and maps.evaluate("e => getComputedStyle(e).backgroundColor") == CLEAR
    for scheme, ground in (("dark", 0x14), ("light", 0xFF)):
        page.emulate_media(color_scheme=scheme)
        for source in charts:
            page.set_content(base64.b64decode(source.split(",", 1)[1]).decode())
            fills = set(
                page.locator("svg text").evaluate_all("texts => texts.map(text => getComputedStyle(text).fill)")
            )
            colors = [tuple(map(int, re.findall(r"\d+", fill)[:3])) for fill in fills if fill != "none"]
            assert colors and min(contrast(color, (ground,) * 3) for color in colors) >= 4.5, (scheme, fills)
    page.close()


CLEAR = "rgba(0, 0, 0, 0)"


def contrast(one, other):
    """WCAG's, of two colours of sRGB."""

    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in color)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_on_paper_no_column_and_no_label_is_lost(app, chromium, tmp_path):
    a, b = app.sides()
    path = first_two([*a.runs, *b.runs]).to_html(tmp_path / "report.html")
    page = chromium.new_page(viewport={"width": 700, "height": 1000})  # what A4 leaves between its margins
    page.emulate_media(media="print")
    page.goto(path.as_uri())
    wide = page.evaluate(
        "[...document.querySelectorAll('table')].filter(each => each.getBoundingClientRect().right > 700)"
        ".map(each => each.querySelector('tr').innerText)"
    )
    assert wide == []
    assert page.locator(".verdict").is_visible() and not page.locator("nav").is_visible()
    charts = page.locator("figure img[src^='data:image/svg']").evaluate_all("images => images.map(image => image.src)")
    for source in charts:  # each chart as the browser's own fonts draw it: every text lies within
        page.goto("about:blank")
        page.set_content(base64.b64decode(source.split(",", 1)[1]).decode())
        cut = page.evaluate("""() => {
            const whole = document.querySelector('svg').getBoundingClientRect();
            return [...document.querySelectorAll('svg text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < whole.left - 1 || box.right > whole.right + 1;
            }).map(text => text.textContent);
        }""")
        assert cut == []
    page.close()
