"""The short form of the simulation: small test sets, few of them, the same code and bounds with room for chance."""

import numpy as np
import pytest

from cifarcore import simulation

SETS = 80


@pytest.fixture(scope="module")
def checks():
    patch = pytest.MonkeyPatch()
    for name, value in {"N_IMAGES": 1000, "N_CLASSES": 10, "POPULATION": 2000}.items():
        patch.setattr(simulation, name, value)
    yield list(simulation.checks(SETS))
    patch.undo()


def test_every_check_holds_but_for_chance(checks):
    assert len(checks) == 1 + 2 * len(simulation.SEED_SPREADS) + 4 + 3
    for check in checks:
        slack = 3.5 * np.sqrt(0.05 * 0.95 / SETS)
        assert check.low - slack <= check.measured <= check.high + slack, check


def test_intervals_are_not_simply_wide(checks):
    """An interval that covered always would pass one bound and fail the other."""
    covers = [check.measured for check in checks if "covers the truth" in check.name]
    assert len(covers) == 3 and np.mean(covers) < 0.985


def test_true_changes_are_found():
    rng = np.random.default_rng(0)
    right = simulation._right_or_wrong(rng, 200_000, 2, shift=0.1)
    assert right.mean(axis=1) == pytest.approx([0.6, 0.7], abs=0.005)
    assert np.corrcoef(right)[0, 1] > 0.2


def test_seeds_scatter_as_stated_and_are_right_on_average():
    rng = np.random.default_rng(0)
    accuracies = np.array([simulation._right_or_wrong(rng, 10_000, 6, 0.03).mean(axis=1) for _ in range(150)])
    assert accuracies.mean() == pytest.approx(0.6, abs=0.004)
    assert accuracies[:, :3].std(axis=1, ddof=1).mean() == pytest.approx(0.03 * 0.886, rel=0.15)  # c4 of three


def test_a_check_out_of_bounds_says_so():
    assert "NOT HELD" in str(simulation.Check("coverage", 0.9, 0.935, 0.965))
    assert "NOT HELD" not in str(simulation.Check("coverage", 0.95, 0.935, 0.965))
