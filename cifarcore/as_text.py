"""Numbers as text, the same in the app, in reports and in the verdict: a true minus, nothing where there is no number.

`form` is a format such as ".4f"; with a leading + the sign is always written. A leaf: knows NumPy alone.
"""

from collections.abc import Sequence

import numpy as np


def number(value: float, form: str) -> str:
    """A number as text, with a true minus; nothing for NaN."""
    return "" if np.isnan(value) else format(value, form).replace("-", "−")


def interval(low: float, high: float, form: str) -> str:
    """«low to high» as text; nothing where either is NaN."""
    return "" if np.isnan(low) or np.isnan(high) else f"{number(low, form)} to {number(high, form)}"


def p_value(value: float) -> str:
    """A p-value, or a q-value, as text; nothing for NaN."""
    return "" if np.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def std(values: Sequence[float]) -> float:
    """Sample standard deviation (n-1) of values (n,), in their unit; NaN for a single one."""
    return float(np.std(np.asarray(values, float), ddof=1)) if len(values) > 1 else np.nan


def with_spread(mean: float, spread: float, form: str) -> str:
    """Mean ± standard deviation as text, the mean alone where there is none (NaN)."""
    return number(mean, form) + ("" if np.isnan(spread) else f" ± {number(spread, form)}")


def mean_with_spread(values: Sequence[float], form: str) -> str:
    """`with_spread` of values (n,)."""
    return with_spread(float(np.mean(np.asarray(values, float))), std(values), form)
