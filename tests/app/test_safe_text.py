"""Text from files on pages stays text, and downloads of tables read well in spreadsheets and pandas."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from processes import ROOT

from cifarcore.app.safe_text import csv, escape, told
from cifarcore.text import plain

HOSTILE = [
    "<script>alert(1)</script>",
    "[click](javascript:alert(1))",
    "**bold** _it_ `code` $x$ :red[no] # head | cell ~gone~",
    "two\nlines\r\tand\x00more\x1b[31m",
    "\u202eright to left",
    "x" * 10_000,
    "![](http://example.org/a.png)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_names_stay_text(text):
    line = plain(text)
    assert line.isprintable() and len(line) <= 80
    shown = escape(text)
    for special in "*_`$:[]()<>#|~!":
        assert shown.count(special) == shown.count(f"\\{special}")


def read(frame):
    return pd.read_csv(io.BytesIO(csv(frame)))


def test_numbers_are_numbers_and_intervals_have_two_columns():
    shown = pd.DataFrame(
        {
            "metric": ["accuracy", "thé", "x"],
            "B − A": ["−0.1267", "+0.5", ""],
            "95% CI": ["−0.1767 to −0.0767", "0.1 to 0.2", ""],
            "±": ["0.5 ± 0.1", "−1 ± 2", ""],
            "n": [1, 2, 3],
        }
    )
    table = read(shown)
    assert list(table.columns) == ["metric", "B − A", "95% CI low", "95% CI high", "±", "n"]
    assert table["B − A"].tolist()[:2] == [-0.1267, 0.5] and np.isnan(table["B − A"][2])
    assert table["95% CI low"].tolist()[:2] == [-0.1767, 0.1] and table["95% CI high"].tolist()[:2] == [-0.0767, 0.2]
    assert table["±"].tolist()[:2] == ["0.5 ± 0.1", "-1 ± 2"] and table["metric"][1] == "thé"


def test_a_large_number_leaves_its_column_one_of_numbers():
    """The overview's metrics and the parameters of the networks stand in one column; a class may be called 1,000."""
    shown = pd.DataFrame(
        {"A": ["0.6000", "1,261,284", ""], "B": ["−0.05", "+11,220,132", "−1,234.5"], "class": "1,000"}
    )
    table = pd.read_csv(io.BytesIO(csv(shown, measured=("A", "B"))))
    assert table["A"].tolist()[:2] == [0.6, 1261284] and table["B"].tolist() == [-0.05, 11220132, -1234.5]
    assert table["class"].tolist() == ["1,000"] * 3


def test_a_spreadsheet_knows_the_encoding():
    content = csv(pd.DataFrame({"class": ["thé"]}))
    assert content.startswith(b"\xef\xbb\xbf") and content.decode("utf-8-sig") == "class\nthé\n"


def test_text_that_only_looks_like_an_interval_stays_text():
    assert read(pd.DataFrame({"a": ["1 to 2", "from 1 to 2"]}))["a"].tolist() == ["1 to 2", "from 1 to 2"]
    assert read(pd.DataFrame({"a": ["−cmd|x", "=1+1"]}))["a"].tolist() == ["−cmd|x", "'=1+1"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("/srv/my runs/imported/link.npz: is a link", "link.npz: is a link"),
        ("a: no such job in /srv/runs/retrained; start one", "a: no such job in retrained; start one"),
        ("C:\\Users\\me\\runs\\x.npz: gone", "x.npz: gone"),
        ("row 0: '/srv/test/bee/10.png' or 'bee/10.png'", "row 0: '10.png' or 'bee/10.png'"),
        (FileNotFoundError(2, "No such file or directory", "/srv/runs/y.npz"), "y.npz: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        ("give them as A / B / C or and/or; see 1/2", "give them as A / B / C or and/or; see 1/2"),
    ],
)
def test_an_error_tells_no_folder_of_the_server(error, shown):
    assert told(error, 300).replace("\\", "") == shown


def test_errors_reach_a_page_in_no_other_way():
    shown_as_they_are = re.compile(r"escape\((str\()?(error|busy|problem|job\.message)\b")
    assert not [
        path for path in (ROOT / "cifarcore" / "app").rglob("*.py") if shown_as_they_are.search(path.read_text())
    ]
