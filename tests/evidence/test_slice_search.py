"""The search for slices against NumPy and SciPy on small made-up test sets, and its bounds on equal models."""

import time

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from cifarcore.evidence import slice_search
from cifarcore.evidence.paired import q_values
from cifarcore.evidence.slice_search import MOST_PROPOSED, Conditions, halves, least_support, search


def made(n=4000, n_properties=6, bins=5, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(bins, size=(n_properties, n))
    masks = np.concatenate([values == k for k in range(bins)])
    groups = np.tile(np.arange(n_properties), bins)
    return rng, values, Conditions(masks, groups), rng.choice([-1.0, 0, 1], n, p=[0.1, 0.75, 0.15])


def test_halves_depend_on_ids_alone():
    ids = np.random.default_rng(0).integers(2**63, size=101).astype(np.uint64)
    first = halves(ids)
    order = np.random.default_rng(1).permutation(101)
    assert first.sum() == 50 and np.array_equal(halves(ids[order]), first[order])


def test_a_gap_in_one_condition_is_found_and_its_numbers_are_of_the_half_that_did_not_choose():
    rng, values, conditions, difference = made()
    inside = values[2] == 3
    difference[inside] = rng.choice([-1.0, 0, 1], inside.sum(), p=[0.05, 0.55, 0.4])
    first = halves(np.arange(4000).astype(np.uint64))
    row = search(difference, conditions, first).iloc[0]
    assert np.array_equal(conditions.masks[row["first"]], inside) and row["second"] == -1
    assert row["significant"] and row["tests"] == 2 and row["support"] == inside.sum()
    effect = [difference[half & inside].mean() for half in (first, ~first)]
    rest = [difference[half & ~inside].mean() for half in (first, ~first)]
    assert row["difference"] == pytest.approx(np.mean(effect)) and row["rest"] == pytest.approx(np.mean(rest))
    assert row["gap"] == pytest.approx(np.mean(effect) - np.mean(rest))
    p = [ttest_ind(difference[h & inside], difference[h & ~inside], equal_var=False, alternative="greater").pvalue
         for h in (first, ~first)]  # fmt: skip
    assert row["p"] == pytest.approx(min(p))
    error = np.sqrt(sum(difference[h & inside].var(ddof=1) / (h & inside).sum() for h in (first, ~first))) / 2
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * error, rel=0.02)


def test_a_gap_where_two_conditions_meet_is_found_as_that():
    rng, values, conditions, difference = made()
    inside = (values[0] == 1) & (values[4] == 2)
    difference[inside] = rng.choice([-1.0, 0, 1], inside.sum(), p=[0.5, 0.45, 0.05])
    row = search(difference, conditions, halves(np.arange(4000).astype(np.uint64))).iloc[0]
    assert np.array_equal(conditions.masks[row["first"]] & conditions.masks[row["second"]], inside)
    assert row["significant"] and row["gap"] < -0.3


def test_equal_models_and_models_without_a_difference_bring_nothing():
    reported = []
    for seed in range(60):
        _, _, conditions, difference = made(1000, seed=seed)
        reported.append(search(difference, conditions, halves(np.arange(1000).astype(np.uint64)))["significant"].any())
    assert np.mean(reported) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    table = search(np.zeros(1000), conditions, halves(np.arange(1000).astype(np.uint64)))
    assert not table["significant"].any()


def test_slices_have_support_and_no_more_than_half_and_differ_from_one_another():
    _, _, conditions, difference = made(1000, bins=2)
    table = search(difference, conditions, halves(np.arange(1000).astype(np.uint64)))
    assert len(table) and len(table) <= 4 * MOST_PROPOSED
    assert (table["support"] >= 0.8 * least_support(1000)).all() and (table["support"] <= 520).all()


@pytest.mark.parametrize("n", [2, 3, 100])
def test_few_images_and_no_conditions_bring_an_empty_table(n):
    first = halves(np.arange(n).astype(np.uint64))
    none = Conditions(np.zeros((0, n), dtype=bool), np.zeros(0, int))
    assert search(np.ones(n), none, first).empty
    one = Conditions(np.ones((1, n), dtype=bool), np.zeros(1, int))
    assert search(np.ones(n), one, first).empty


def test_fifty_thousand_images_and_forty_properties_are_searched_in_seconds():
    _, _, conditions, difference = made(50_000, 40)
    started = time.process_time()
    search(difference, conditions, halves(np.arange(50_000).astype(np.uint64)))
    assert time.process_time() - started < 40  # of both cores together: 20 s on two


def test_a_hundredth_of_the_images_from_40_to_200():
    sizes = {100: 40, 4000: 40, 4100: 41, 10_000: 100, 20_000: 200, 20_100: 200, 50_000: 200}
    assert {n: least_support(n) for n in sizes} == sizes
    assert (MOST_PROPOSED, slice_search.MOST_OVERLAP, slice_search.BEYOND_PARENT) == (10, 0.5, 2.0)


def test_a_half_more_or_less_one_image():
    ids = np.random.default_rng(0).integers(2**63, size=7).astype(np.uint64)
    assert halves(ids).sum() == 3 and halves(ids[:0]).shape == (0,) and not halves(ids[:1]).any()


def of_one_half(n=600, seed=0):
    rng = np.random.default_rng(seed)
    masks = rng.random((5, n)) < np.array([0.1, 0.2, 0.3, 0.4, 0.6])[:, None]
    return masks, rng.choice([-1.0, 0, 1], n) + 0.2 * masks[1]


def test_z_is_the_difference_from_the_rest_in_standard_errors():
    masks, values = of_one_half()
    bits, centred = masks.astype(float), values - values.mean()
    counts, sums = bits @ bits.T, (bits * centred) @ bits.T
    z = slice_search._z(sums, counts, 600, values.var())
    beyond = slice_search._beyond(sums, counts, values.var(), z)
    for i in range(5):
        for j in range(5):
            inside = masks[i] & masks[j]
            error = np.sqrt(values.var() * (1 / inside.sum() + 1 / (~inside).sum()))
            expected = (values[inside].mean() - values[~inside].mean()) / error
            assert z[i, j] == pytest.approx(expected)
            alone = masks[i] & ~masks[j]
            if alone.any():
                error = np.sqrt(values.var() * (1 / inside.sum() + 1 / alone.sum()))
                apart = (values[inside].mean() - values[alone].mean()) / error
                assert beyond[i, j] == pytest.approx(apart * np.sign(expected))
            else:
                assert i == j and beyond[i, j] == 0
    nothing = slice_search._z(np.zeros((1, 1)), np.zeros((1, 1)), 5, 0.0)
    assert nothing.tolist() == [[0]]


def test_what_one_half_proposes():
    """Conditions by |z|, but for those of most images; of two, none of one property."""
    masks, values = of_one_half(1000)
    values = values + 2.0 * (masks[0] & masks[3])
    groups = np.array([0, 1, 2, 3, 4])
    found = slice_search._proposed(values, masks, groups)
    single = [pair for pair, _, _ in found if pair[1] == -1]
    z = {}
    for k in range(5):
        inside = masks[k]
        error = np.sqrt(values.var() * (1 / inside.sum() + 1 / (~inside).sum()))
        z[k] = (values[inside].mean() - values[~inside].mean()) / error
    expected = sorted((k for k in range(4)), key=lambda k: -abs(z[k]))
    assert [pair[0] for pair in single] == expected, "the fifth holds most images"
    assert ((0, 3), 1.0, 1.0) in found
    for pair, sign, weight in found:
        if pair[1] == -1:
            assert sign == np.sign(z[pair[0]]) and weight == pytest.approx(1 / (1 + expected.index(pair[0])))
    same_property = slice_search._proposed(values, masks, np.array([0, 1, 2, 0, 4]))
    assert (0, 3) not in [pair for pair, _, _ in same_property]
    assert slice_search._proposed(values, masks[:0], groups[:0]) == []


def test_slices_need_half_of_the_support_in_each_half():
    """2,000 images in all need 40, so that one half needs 20."""
    values = np.r_[np.ones(20), np.zeros(980)]
    masks = np.array([np.arange(1000) < 20, np.arange(1000) < 19])
    found = [pair for pair, _, _ in slice_search._proposed(values, masks[:1], np.array([0]))]
    assert found == [(0, -1)]
    assert slice_search._proposed(values, masks[1:], np.array([0])) == []
    half = np.array([np.arange(1000) < 500, np.arange(1000) < 501])
    assert len(slice_search._proposed(values, half[:1], np.array([0]))) == 1
    assert slice_search._proposed(values, half[1:], np.array([0])) == []


def test_proposals_share_at_most_half_of_their_images():
    n = 90
    of = [np.isin(np.arange(n), rows) for rows in (range(30), range(10, 40), range(11, 41), range(30, 90))]
    kept = slice_search._apart([(0, -1), (1, -1)], np.array(of), [])
    assert kept == [(0, -1), (1, -1)], "20 of 40 shared"
    assert slice_search._apart([(1, -1)], np.array(of), [np.isin(np.arange(n), range(9, 39))]) == []
    assert slice_search._apart([(0, -1), (3, -1)], np.array(of), []) == [(0, -1)], "what another leaves out"
    many = np.eye(30, dtype=bool)
    assert slice_search._apart([(k, -1) for k in range(30)], many, []) == [(k, -1) for k in range(10)]


def test_a_slice_is_tested_by_welchs_t_with_no_less_variance_than_all_images():
    rng = np.random.default_rng(0)
    values, inside = rng.choice([-1.0, 0, 1], 300), np.arange(300) < 60
    values[:60] = np.where(values[:60] == 0, 1, values[:60])  # more spread inside than among all
    for sign, alternative in ((1, "greater"), (-1, "less")):
        within, rest, error, df, p = slice_search._tested(values, inside, sign)
        expected = ttest_ind(values[:60], values[60:], equal_var=False, alternative=alternative)
        assert (within, rest) == (values[:60].mean(), values[60:].mean())
        assert (df, p) == pytest.approx((expected.df, expected.pvalue))
        assert error == pytest.approx(values[:60].std(ddof=1) / np.sqrt(60))
    values[:60] = 1
    within, rest, error, df, p = slice_search._tested(values, inside, 1)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(60)) and 0 < p < 1e-9
    assert slice_search._tested(np.zeros(9), np.arange(9) < 4, 1) == (0, 0, 0, 7, 1)


def test_q_values_weigh_what_was_proposed_first():
    _, _, conditions, difference = made(2000)
    first = halves(np.arange(2000).astype(np.uint64))
    tests = []
    for choosing in (first, ~first):
        for pair, sign, weight in slice_search._proposed(
            difference[choosing], conditions.masks[:, choosing], conditions.groups
        ):
            inside = slice_search._mask(conditions.masks, pair)[~choosing]
            tests.append((pair, weight, slice_search._tested(difference[~choosing], inside, sign)))
    weights = np.array([weight for _, weight, _ in tests])
    p = np.array([numbers[-1] for *_, numbers in tests])
    q = q_values(np.minimum(p * weights.mean() / weights, 1), np.ones(len(p), bool))
    table = search(difference, conditions, first)
    assert table["q"].is_monotonic_increasing and (table["significant"] == (table["q"] <= 0.05)).all()
    for row in table.itertuples():
        mine = [k for k, (pair, *_) in enumerate(tests) if pair == (row.first, row.second)]
        assert (
            row.tests == len(mine) and row.q == pytest.approx(q[mine].min()) and row.p == pytest.approx(p[mine].min())
        )
        numbers = np.array([tests[k][2] for k in mine])
        assert row.difference == pytest.approx(numbers[:, 0].mean()) and row.rest == pytest.approx(numbers[:, 1].mean())
        half = student.ppf(0.975, numbers[:, 3].min()) * np.sqrt((numbers[:, 2] ** 2).sum()) / len(mine)
        assert (row.low, row.high) == pytest.approx((row.difference - half, row.difference + half))
        assert row.gap == pytest.approx(row.difference - row.rest)
        assert row.support == slice_search._mask(conditions.masks, (row.first, row.second)).sum()
    assert set(table["tests"]) == {1, 2} and (table["second"] >= 0).any()
