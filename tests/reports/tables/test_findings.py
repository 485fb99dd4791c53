"""The report's claims and the gains of superclasses as tables."""

import numpy as np
import pandas as pd
import pytest
from two_seeds import RUNS

from cifarcore.evidence import findings
from cifarcore.reports.tables.findings import band_frame, findings_table, superclass_gains


def test_findings_as_text():
    measured = pd.DataFrame(
        {
            "claim": ["one", "one", "one", "two"], "measure": ["m", "m", "n", "n"], "bounds": ["b", "b", "c", "c"],
            "model": ["A", "B", "A", "A"], "value": [0.51234, 12.34, np.nan, -10], "low": [0.5, np.nan, np.nan, -20],
            "high": [0.6, np.nan, np.nan, 5], "verdict": ["holds", "inconclusive", "inconclusive", "holds"],
        }
    )  # fmt: skip
    assert findings_table(measured).to_numpy().tolist() == [
        ["one", "m", "b", "A", "0.512 (0.500 to 0.600)", "holds"],
        ["", "", "", "B", "12.3", "inconclusive"],
        ["", "n", "c", "A", "not measured", "inconclusive"],
        ["two", "n", "c", "A", "−10.0 (−20.0 to 5.0)", "holds"],
    ]
    gains = superclass_gains(RUNS["A"], RUNS["B"])
    expected = findings.gain_by_superclass(RUNS["A"], RUNS["B"])
    assert gains["gained"].tolist() == expected["gained"].tolist()
    assert gains["name"].tolist() == [str(name).replace("_", " ") for name in expected["name"]]


def test_the_ends_of_each_band_are_its_rows_ticks():
    measured = pd.DataFrame(
        {
            "claim": "c", "measure": ["m", "n", "B − A in o"], "bounds": "b", "model": ["A", "B", "B − A"],
            "value": [0.7, 0.2, np.nan], "low": [0.6, 0.1, np.nan], "high": [0.8, 0.3, np.nan],
            "least": [0.55, -np.inf, 0.0], "most": [0.65, 0.4, np.inf],
            "verdict": [findings.UNKNOWN, findings.HOLDS, findings.FAILS],
        }
    )  # fmt: skip
    frame = band_frame(measured, ("old", "new"))
    assert frame["verdict"].tolist() == [findings.FAILS, findings.UNKNOWN, findings.HOLDS]  # failures first
    assert [title.split(" · ")[1:] for title in frame["title"]] == [["B − A in o"], ["old", "m"], ["new", "n"]]
    assert frame["least_text"].tolist() == ["0", "0.55", ""] and frame["most_text"].tolist() == ["", "0.65", "0.4"]
    assert frame["most"].iloc[0] == 1 and frame["least"].iloc[2] == 0  # a band without an end goes to the edge
    row = frame.iloc[1]
    span = row["high"] - row["least"]  # from 0.55 to 0.8
    for name, at in (("most", 0.65), ("low", 0.6), ("value", 0.7)):
        assert row[name] - row["least"] == pytest.approx((at - 0.55) / 0.25 * span)
