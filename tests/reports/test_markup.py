"""Pieces of the HTML report, and the outcome of a gate as XML and JSON."""

import base64
import re
import subprocess
import sys
from xml.etree import ElementTree

import altair as alt
import numpy as np
import pandas as pd
import pytest

from cifarcore.evidence.gate import Outcome, Requirement
from cifarcore.reports import gate, markup


def test_commands_in_a_sentence_are_code():
    assert markup.prose("<b>: `cifarcore properties` adds it") == "&lt;b&gt;: <code>cifarcore properties</code> adds it"
    assert markup.prose("one ` alone") == "one ` alone"


def test_tables_are_cut_and_say_so():
    rows = pd.DataFrame({"<b>": [f"r{k}" for k in range(1200)], "n": [np.nan, *range(1199)]})
    whole, first = markup.table(rows[:3]), markup.table(rows, 2)
    assert "&lt;b&gt;" in whole and whole.count("<tr") == 4 and "The first" not in whole and "NaN" not in whole
    assert (
        first.count("<tr") == 3 and '<p class="note">The first 2 of 1,200.</p>' in first and 'border="0"' not in first
    )
    assert "The first" not in markup.table(rows[:2], 2) and markup.table(rows).count("<tr") == 1201
    assert markup.table(rows[:0]) == '<p class="note">None.</p>'
    assert not re.search(r"<th>\d+</th>", whole), "no numbers of rows"


def test_a_chart_is_drawn_whatever_its_texts_hold():
    """What is no character of XML ends the process that draws, which was the app's."""
    hostile = ("\x1b]0;title\x07", "\x00", "\ufffe", "\u202etxt", "plain")
    code = f"""
import altair as alt, pandas as pd
from cifarcore.reports import markup
frame = pd.DataFrame({{"a": {hostile!r}, "b": 1}})
bars = alt.Chart(frame).mark_bar().encode(x="a:N", y="b:Q").properties(title="\\ufffe title")
svg, png = markup.drawn(bars, "svg"), markup.drawn(alt.hconcat(bars, bars), "png")
assert svg.startswith(b"<svg") and b"plain" in svg and png.startswith(b"\\x89PNG")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_sections_and_images_escape_what_they_are_given():
    assert markup.section("a < b", "<p>x</p>", "<p>y</p>") == "<h2>a &lt; b</h2>\n<p>x</p>\n<p>y</p>"
    shown = markup.image(b"\x89PNG", "image/png", 'a "b"')
    assert f"data:image/png;base64,{base64.b64encode(bytes([0x89]) + b'PNG').decode()}" in shown
    assert 'alt="a &quot;b&quot;"' in shown and "<figcaption>a &quot;b&quot;</figcaption>" in shown


def test_a_chart_is_an_image_of_the_width_asked_for():
    drawing = alt.Chart(pd.DataFrame({"x": [1]})).mark_point().encode(x="x:Q").properties(description="dots")
    drawn = markup.chart(drawing, 333)
    svg = base64.b64decode(re.search(r"base64,([^\"]+)", drawn)[1])
    assert b'width="3' in svg and "<figcaption>dots</figcaption>" in drawn
    assert "<figcaption>other</figcaption>" in markup.chart(drawing, 333, "other")


def test_a_gate_in_xml_and_json():
    met = Outcome(Requirement("accuracy >= 0", "accuracy", "", ">=", 0), True, 1.0, 0.5, 1.5)
    failed = Outcome(Requirement("brier <= 0", "brier", "", "<=", 0), False, np.nan, np.nan, np.inf, "none")
    assert gate.records([met, failed]) == [
        {"requirement": "accuracy >= 0", "met": True, "difference": 1.0, "low": 0.5, "high": 1.5, "unit": "points",
         "why": "", "p": None},
        {"requirement": "brier <= 0", "met": False, "difference": None, "low": None, "high": None, "unit": "",
         "why": "none", "p": None},
    ]  # fmt: skip
    written = gate.junit([met, failed, failed], ("old\x00", "new"))
    assert written.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
    (suite,) = ElementTree.fromstring(written)
    assert dict(suite.items()) == {"name": "cifarcore", "tests": "3", "failures": "2", "errors": "0", "skipped": "0"}
    first, second, _ = suite
    assert first.get("classname") == "new against old" and first.get("name") == "accuracy >= 0"
    assert [part.tag for part in first] == ["system-out"] and first[0].text == met.line and not first[0].items()
    assert [part.tag for part in second] == ["failure"]
    assert second[0].text == second[0].get("message") == failed.line


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of addresses: run on Linux or macOS")
def test_a_limit_of_addresses_ends_no_process():
    """The library that draws ends it, with what was still to be written."""
    code = (
        "import resource, altair, pandas; from cifarcore.errors import CifarcoreError; from cifarcore.reports import "
        "markup\nresource.setrlimit(resource.RLIMIT_AS, (32 << 30, resource.RLIM_INFINITY))\n"
        "chart = altair.Chart(pandas.DataFrame({'x': [1]})).mark_point().encode(x='x:Q')\n"
        "try: markup.drawn(chart, 'svg')\nexcept CifarcoreError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "charts cannot be drawn under this shell's limit" in done.stdout, done.stderr[-500:]
