"""The small charts as HTML: each mark lies where its number says, is told in words, and no name is markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from cifarcore.reports.charts import marks
from cifarcore.reports.charts.colors import COLORS, NEUTRAL
from cifarcore.reports.tables.models import group_frame


class Parsed(HTMLParser):
    """The elements of a page, each its tag, attributes and style, with the text that stands in it itself."""

    def __init__(self, page):
        super().__init__()
        self.elements, self._open = [], []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        style = dict(part.split(":", 1) for part in given.get("style", "").split(";") if part)
        self.elements.append({"tag": tag, "text": "", **given, "style": style})
        self._open.append(self.elements[-1])

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        self._open[-1]["text"] += data

    def of(self, kind):
        return [each for each in self.elements if kind in each.get("class", "").split()]


def left(element):
    return float(element["style"]["left"].removesuffix("%"))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_lies_on_its_scale_with_its_interval(sign):
    low, high = sorted((sign * 0.05, sign * 0.15))
    row = pd.Series({"difference": sign * 0.1, "low": low, "high": high})
    page = Parsed(marks.difference_interval(row, ("a", "b")))
    (dot,), (line,), (said, *ticks) = page.of("dot"), page.of("line"), page.of("at")
    at = {float(tick["text"].replace("−", "-")): left(tick) for tick in ticks}
    slope, zero = np.polyfit(list(at), list(at.values()), 1)
    assert zero == pytest.approx(50, abs=0.02) and 0.0 in at and len(at) >= 3
    assert left(dot) == pytest.approx(zero + slope * sign * 10, abs=0.05) == left(said)
    assert left(line) == pytest.approx(zero + slope * 100 * low, abs=0.05)
    assert float(line["style"]["width"].removesuffix("%")) == pytest.approx(slope * 10, abs=0.05)
    assert said["text"] == ("+10.00" if sign > 0 else "−10.00")
    assert dot["style"]["background"] == COLORS["B" if sign > 0 else "A"]


@pytest.mark.parametrize("reach", [1.25, 2.4, 9.99, 10, 12.4, 37, 124])
def test_ticks_are_few_round_and_about_zero(reach):
    ticks = marks._ticks(reach)
    assert 3 <= len(ticks) <= 7 and ticks == [-tick for tick in reversed(ticks)] and max(ticks) <= reach
    assert all(len(format(tick, "+g")) <= 5 for tick in ticks)


def rows(**changed):
    given = {
        "metric": ["<b>Accuracy</b>", "ECE"],
        "shown": ["0.1 → 0.2 · +0.1", "0.3 → 0.4 · +0.1"],
        "brief": "+0.1",
        "ci": ["0.05 to 0.15", ""],
        "lacking": ["", "no CI (biased)"],
        "x": [0.8, np.nan],
        "low": [0.6, np.nan],
        "high": [1.0, np.nan],
        "significant": [True, False],
        "color": ["B", "A"],
        "method": "t-test",
    }
    return pd.DataFrame(given | changed)


def test_a_metric_has_its_dot_and_interval_or_why_there_is_none():
    page = Parsed(marks.metric_rows(rows(), ("old", "<i>new")))
    assert [each["text"] for each in page.of("name")] == ["<b>Accuracy</b>", "ECE"]
    assert [each["text"] for each in page.of("shown")] == ["0.1 → 0.2 · +0.1", "0.3 → 0.4 · +0.1"]
    (dot,), (line,), (why,) = page.of("dot"), page.of("line"), page.of("why")
    assert left(dot) == pytest.approx(50 + 50 * 0.8 / 1.1, abs=0.01)
    assert left(line) + float(line["style"]["width"].removesuffix("%")) == pytest.approx(50 + 50 / 1.1, abs=0.02)
    assert why["text"] == "no CI (biased)" and len(page.of("zero")) == 1, "no line through the words"
    assert "95% CI: 0.05 to 0.15\nt-test" in page.of("plot")[1]["title"]
    assert "<i>new is better than old" in page.elements[0]["aria-label"]


def test_a_dot_is_filled_where_its_difference_is_significant():
    page = Parsed(marks.metric_rows(rows(x=[0.5, -0.5], low=[0.4, -0.9], high=[0.6, 0.1]), ("old", "new")))
    filled, hollow = (dot["style"] for dot in page.of("dot"))
    assert filled["background"] == COLORS["B"] and hollow["background"] == "transparent"
    assert hollow["border-color"] == COLORS["A"]


def test_an_interval_that_was_turned_is_drawn_as_well():
    turned = Parsed(marks.metric_rows(rows(x=[0.5, -0.5], low=[0.6, 0.1], high=[0.4, -0.9]), ("old", "new")))
    straight = Parsed(marks.metric_rows(rows(x=[0.5, -0.5], low=[0.4, -0.9], high=[0.6, 0.1]), ("old", "new")))
    assert turned.of("line") == straight.of("line")
    assert all(float(line["style"]["width"].removesuffix("%")) > 0 for line in turned.of("line"))


def test_models_that_do_not_differ_share_a_column():
    accuracies = {"far": 0.4, "best": 0.8, "near": 0.78, "<u>next": 0.76}
    apart = pd.DataFrame([("best", "<u>next"), *((name, "far") for name in ("best", "near", "<u>next"))])
    frame = group_frame(accuracies, apart.set_axis(["first", "second"], axis=1).assign(significant=True))
    assert list(frame["letters"]) == ["a", "ab", "ab", "b", "c"]
    page = Parsed(marks.group_rows(frame, {"best": "A", "far": "B"}))
    names = page.of("name")
    assert [each["text"] for each in names] == sorted(accuracies, key=lambda name: -accuracies[name])
    row_of = {each["text"]: each["style"]["grid-row"] for each in names}
    letters = [each for each in page.of("plot") if re.fullmatch("[a-z]", each["text"])]
    column_of = {each["text"]: each["style"]["grid-column"] for each in letters}
    cells = {(each["style"]["grid-row"], each["style"]["grid-column"]) for each in page.of("plot") if "title" in each}
    assert cells == {(row_of[row.model], column_of[row.letter]) for row in frame.itertuples()}
    for line, (_, of) in zip(page.of("joined"), frame.groupby("letter", sort=False), strict=True):
        first, last = (int(end) for end in line["style"]["grid-row"].split("/"))
        assert {row_of[name] for name in of["model"]} >= {str(first), str(last - 1)}
    colors = {each["style"]["background"] for each in page.of("dot")}
    assert colors == {COLORS["A"], COLORS["B"], NEUTRAL}
    assert [each["text"] for each in page.of("number")] == [
        f"{100 * value:.1f}%" for value in sorted(accuracies.values(), reverse=True)
    ]


def test_models_of_too_many_groups_are_drawn_without_columns():
    frame = pd.DataFrame({"letter": "", "model": ["x", "y"], "accuracy": [0.7, 0.5], "letters": ""})
    drawn = marks.group_rows(frame)
    assert "70.0%" in drawn and "50.0%" in drawn and "too many to be drawn" in drawn
    assert (
        "repeat" not in drawn and "joined" not in drawn and 'class="dot"' not in drawn and "share a column" not in drawn
    )


@pytest.mark.parametrize("name", ["<script>x</script>", '" onmouseover="x', "</figure>", "&lt;"])
def test_names_are_text(name):
    frame = pd.DataFrame({"letter": ["a"], "model": [name], "accuracy": [0.5], "letters": ["a"]})
    row = pd.Series({"difference": 0.1, "low": 0.05, "high": 0.15})
    for page in (marks.difference_interval(row, (name, name)), marks.group_rows(frame)):
        parsed = Parsed(page)
        assert {each["tag"] for each in parsed.elements} <= {"figure", "div", "span", "i", "figcaption"}
        assert not any("onmouseover" in each for each in parsed.elements)
        assert name in "\n".join(each["text"] for each in parsed.elements)
