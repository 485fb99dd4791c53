"""Numbers and names as text."""

import numpy as np
import pytest

from cifarcore.text import number, rough


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (-0.04, "+.1f", "+0.0"),
        (-0.04, ".1f", "0.0"),
        (-0.0004, "+.1%", "+0.0%"),
        (-0.06, "+.1f", "−0.1"),
        (-1234.5, "+,.1f", "−1,234.5"),
        (0.04, "+.1f", "+0.0"),
        (0, ",", "0"),
        (np.nan, "+.1f", ""),
    ],
)
def test_what_is_rounded_to_zero_has_no_minus(value, form, shown):
    assert number(value, form) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0361, "0.036"),
        (1.23, "1.2"),
        (9.94, "9.9"),
        (9.97, "10"),
        (123.4, "120"),
        (12345, "12,000"),
        (0.00003, "0.00003"),
        (0.0, "0"),
    ],
)
def test_two_digits_have_no_exponent(value, shown):
    assert rough(value) == shown
