"""The two models of `two_seeds`, side by side and compared."""

import numpy as np
import pytest
from two_seeds import RUNS, C

from cifarcore.evidence import comparison
from cifarcore.reports.sides import Side, Sides


@pytest.fixture
def view():
    a, b = (Side(letter, letter, runs) for letter, runs in RUNS.items())
    return Sides(a, b, 0, 0, np.arange(C))


@pytest.fixture(scope="session")
def result():
    return comparison.compare(*RUNS.values())
