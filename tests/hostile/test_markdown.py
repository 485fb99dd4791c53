"""Text from files in the real page: what Streamlit knows as directives, links, icons and arrows stays as written."""

import os
import socket
import subprocess
import sys

import pytest
from driving import settle, wait_for
from processes import ROOT

from cifarcore.app.safe_text import escape
from cifarcore.text import one_line

TEXTS = (
    "www.evil.example/x", "WWW.Evil.Example", "http://evil.example/y", "see https://evil.example", "mail@evil.example",
    "ftp://evil.example", "mailto:a@evil.example", "xmpp:a@evil.example/x", "www.evil.example](http://evil.example",
    "[x](http://evil.example)", "[x]: http://evil.example", "<http://evil.example>", "![p](http://evil.example/p.png)",
    ":smile:", ":+1:", ":material/delete:", ":material_delete:", "x:material/home:y", ":streamlit:", ":a:b:smile:",
    ":red[x]", ":red-background[x]", ":orange-badge[x]", ":small[x]", ":rainbow[x]", ":gray[:material/home:]",
    "a -> b", "a <- b", "a <-> b", "a -- b", "a >= b", "a <= b", "a ~= b", "-> b", "a ->",
    "$x^2$", "$$x$$", "*a* _b_ **c** ~~d~~", "`code`", "# heading", "> quote", "- item", "+ item", "1. item",
    "12. item", "1) item", "| a | b |", "---", "===", "<b>bold</b>", "<img src=x onerror=alert(1)>", "&lt; &amp; &#65;",
    "[^1]", "\\*", "a\\", "(c) (tm)", "__proto__", "constructor", "12:30:15", "cnn-quick", "C:\\runs\\a.npz",
)  # fmt: skip
SCRIPT = f"""
import sys
sys.path[:0] = {[str(ROOT), str(ROOT / "tests" / "hostile"), str(ROOT / "tests"), str(ROOT / "tests" / "browser")]!r}
import streamlit as st
from test_markdown import TEXTS
from cifarcore.app.safe_text import escape

for number, text in enumerate(TEXTS):
    with st.container(key=f"case-{{number}}"):
        safe = escape(text)
        st.markdown(safe)
        st.markdown(f"**B** {{safe}} x")
        st.caption(safe)
        st.warning(safe)
        st.button(safe, key=f"b{{number}}")
        st.checkbox(safe, key=f"c{{number}}")
        st.expander(safe, expanded=True).write("x")
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory, chromium):
    place = tmp_path_factory.mktemp("markdown")
    (place / "app.py").write_text(SCRIPT)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.fileWatcherType", "none", "--browser.gatherUsageStats", "false"]
    log = place / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            command, cwd=place, stdout=file, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
    try:
        wait_for(f"http://localhost:{port}", server, log)
        page = chromium.new_page()
        page.goto(f"http://localhost:{port}")
        settle(page)
        yield page
        page.close()
    finally:
        server.kill()
        server.wait()


def test_every_text_is_shown_as_it_is_written(page):
    wrong = {}
    for number, text in enumerate(TEXTS):
        case = page.locator(f".st-key-case-{number}")
        shown = case.locator("[data-testid=stMarkdownContainer]").all_inner_texts()
        shown = [each.replace("\u2060", "") for each in shown if each != "x"]
        wanted = one_line(text, 80)
        others = [each for each in shown if each not in (wanted, f"B {wanted} x")]
        made = case.locator("[data-testid=stMarkdownContainer]").locator(
            "a, img, code, h1, blockquote, li, table, hr, del, em, b, .katex, [data-testid=stIconMaterial], "
            "[class*=stMarkdownColored], [class*=stMarkdownBadge]"
        )
        if others or len(shown) < 6 or made.count():
            wrong[text] = others, len(shown), made.evaluate_all("found => found.map(each => each.outerHTML)")
    assert not wrong


def test_what_no_pattern_knows_stays_to_the_byte():
    for text in ("otter", "large omnivores", "größte Bären", "a:b", "x@", "a - b", "1.5 and 2", "www", "a--b"):
        assert escape(text).replace("\\", "") == text
