"""The report's claims and the gains of superclasses as tables."""

import numpy as np
import pandas as pd
from two_seeds import RUNS

from cifarcore.evidence import findings
from cifarcore.reports.tables.findings import findings_table, superclass_gains


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
