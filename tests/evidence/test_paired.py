"""Exact tests, intervals, false discoveries against statsmodels and scipy."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cifarcore.evidence import paired

COUNTS = [(0, 0), (0, 5), (0, 6), (6, 0), (3, 14), (40, 41), (991, 1805), (5000, 4800)]


@pytest.mark.parametrize(("only_a", "only_b"), COUNTS)
def test_mcnemar_equals_statsmodels_and_scipy(only_a, only_b):
    found = paired.mcnemar_p(only_a, only_b)
    assert found == pytest.approx(min(mcnemar([[10, only_a], [only_b, 10]], exact=True).pvalue, 1), rel=1e-9)
    if only_a + only_b:
        assert found == pytest.approx(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue, rel=1e-9)


def test_fewer_discordant_images_than_the_family_asks_for_cannot_reach_five_percent():
    assert paired.mcnemar_p(0, paired.MIN_DISCORDANT) <= paired.ALPHA < paired.mcnemar_p(0, paired.MIN_DISCORDANT - 1)


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (57, 100), (6524, 10000)])
def test_wilson_equals_statsmodels(successes, n):
    np.testing.assert_allclose(
        paired.wilson_interval(successes, n), proportion_confint(successes, n, method="wilson"), atol=1e-12
    )


def test_wilson_of_nothing_is_undefined():
    assert np.isnan(paired.wilson_interval(0, 0)).all()


def test_benjamini_hochberg_within_the_family():
    p = np.array([0.001, 0.2, 0.012, 0.04, 0.9, 0.03])
    family = np.array([True, True, True, True, False, True])
    found = paired.q_values(p, family)
    np.testing.assert_allclose(found[family], stats.false_discovery_control(p[family]))
    np.testing.assert_allclose(found[family], multipletests(p[family], method="fdr_bh")[1])
    assert np.isnan(found[~family]).all()
    assert np.isnan(paired.q_values(p, np.zeros(6, bool))).all()


def test_five_percent():
    assert paired.ALPHA == 0.05 and paired.Z == pytest.approx(1.9599640)
