"""The search for slices against NumPy and SciPy on small made-up test sets, and its bounds on equal models."""

import time
import tracemalloc

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
    assert row["significant"] and row["chosen_by"] == 2 and row["support"] == inside.sum()
    effect = [difference[half & inside].mean() for half in (first, ~first)]
    rest = [difference[half & ~inside].mean() for half in (first, ~first)]
    assert row["difference"] == pytest.approx(np.mean(effect)) and row["rest"] == pytest.approx(np.mean(rest))
    assert row["gap"] == pytest.approx(np.mean(effect) - np.mean(rest))
    assert row["p"] == pytest.approx(ttest_ind(difference[inside], difference[~inside], equal_var=False).pvalue)
    error = np.sqrt(sum(difference[h & inside].var(ddof=1) / (h & inside).sum() for h in (first, ~first))) / 2
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * error, rel=0.02)


@pytest.mark.parametrize(("held_out", "halves_that_choose"), [(1, 1), (2, 2)])
def test_two_images_held_out_are_the_fewest_that_a_slice_is_measured_on(held_out, halves_that_choose):
    inside, first = np.arange(400) < 50, np.arange(400) % 2 == 0
    first[:50] = np.arange(50) >= held_out
    difference = inside - 1.0 * (np.arange(400) % 5 == 0)
    for half in (first, ~first):
        table = search(difference, Conditions(inside[None], np.array([0])), half)
        assert table["chosen_by"].tolist() == [halves_that_choose]


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
    half = slice_search._sums(values, masks)
    z = slice_search._z(half, values.var())
    beyond = slice_search._beyond(half, values.var(), z)
    for i in range(5):
        for j in range(5):
            inside = masks[i] & masks[j]
            error = np.sqrt(values.var() * (1 / inside.sum() + 1 / (~inside).sum()))
            expected = (values[inside].mean() - values[~inside].mean()) / error
            assert z[i, j] == pytest.approx(expected, rel=1e-4, abs=1e-4)
            alone = masks[i] & ~masks[j]
            if alone.any():
                error = np.sqrt(values.var() * (1 / inside.sum() + 1 / alone.sum()))
                apart = (values[inside].mean() - values[alone].mean()) / error
                assert beyond[i, j] == pytest.approx(apart * np.sign(expected), rel=1e-3, abs=1e-3)
            else:
                assert i == j and beyond[i, j] == 0
    nothing = slice_search._z(slice_search._Sums(5, *np.zeros((3, 1, 1)), 0.0), 0.0)
    assert nothing.tolist() == [[0]]


def test_what_one_half_proposes():
    """Conditions by |z|; of two, only those that go beyond both alone."""
    masks, values = of_one_half(1000)
    values = values + 2.0 * (masks[0] & masks[3])
    usable = np.triu(np.ones((5, 5), dtype=bool))
    usable[4, 4] = False
    found = slice_search._proposed(values, masks, usable)
    z = []
    for inside in masks[:4]:
        error = np.sqrt(values.var() * (1 / inside.sum() + 1 / (~inside).sum()))
        z.append((values[inside].mean() - values[~inside].mean()) / error)
    assert [pair[0] for pair in found if pair[1] == -1] == np.argsort(-np.abs(z)).tolist()
    assert (0, 3) in found
    usable[0, 3] = False
    assert (0, 3) not in slice_search._proposed(values, masks, usable)


def test_two_conditions_go_beyond_both_and_not_only_the_first():
    rng = np.random.default_rng(0)
    masks = np.array([np.arange(2000) < 800, np.arange(2000) % 5 < 2])
    strong = rng.normal(size=2000) + 2.0 * masks[1]  # all of it is the second's
    for order in ([0, 1], [1, 0]):
        assert (0, 1) not in slice_search._proposed(strong, masks[order], np.triu(np.ones((2, 2), dtype=bool)))


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
    expected = ttest_ind(values[:60], values[60:], equal_var=False)
    mean, low, high, rest, p = slice_search.against_rest(values, inside)
    assert (mean, rest) == (values[:60].mean(), values[60:].mean()) and p == pytest.approx(expected.pvalue, rel=1e-4)
    half = student.ppf(0.975, 59) * values[:60].std(ddof=1) / np.sqrt(60)
    assert (low, high) == pytest.approx((mean - half, mean + half))
    values[:60] = 1
    mean, low, high, rest, p = slice_search.against_rest(values, inside)
    error = values.std(ddof=1) / np.sqrt(60)
    assert high - 1 == pytest.approx(student.ppf(0.975, 59) * error)
    by_hand = np.array([error**2, values[60:].var(ddof=1) / 240])
    df = by_hand.sum() ** 2 / (by_hand**2 / [59, 239]).sum()
    assert p == pytest.approx(2 * student.sf((1 - rest) / np.sqrt(by_hand.sum()), df), rel=1e-4)
    assert slice_search.against_rest(np.zeros(9), np.arange(9) < 4)[-1] == 1
    assert slice_search.against_rest(values, inside & (np.arange(300) < 1))[-1] == 1
    assert np.isnan(slice_search.against_rest(values, inside | True)[0])
    for few in (np.arange(300) < 2, np.arange(300) >= 2):  # two inside, and two outside, are enough
        assert np.isfinite(slice_search.against_rest(values, few)).all()
        assert np.isnan(slice_search.against_rest(values, few ^ (np.arange(300) == 1))[0])


def test_what_is_looked_at_has_support_and_is_of_two_properties():
    counts = np.array([[40, 40, 39], [40, 500, 60], [39, 60, 501]])
    usable = slice_search._usable(slice_search._Sums(1000, counts, counts, counts, 1.0), np.array([1, 0, 0]))
    assert usable.tolist() == [[True, False, False], [True, True, False], [False, False, False]]


def test_each_property_has_an_equal_share_of_each_half():
    single = np.array([True] * 6 + [False] * 6)
    first = np.array([0, 0, 0, 0, 0, 1] + [0] * 5 + [1])
    second = np.array([0, 0, 0, 0, 0, 1] + [1] * 5 + [2])
    share = slice_search._shares(single, first, second)
    np.testing.assert_allclose(share, [*[0.05] * 5, 0.25] * 2)
    np.testing.assert_allclose(slice_search._shares(single[:6], first[:6], second[:6]), [*[0.1] * 5, 0.5])


def test_every_slice_looked_at_is_in_the_family_that_q_is_of():
    _, _, conditions, difference = made(2000)
    first = halves(np.arange(2000).astype(np.uint64))
    masks, groups = conditions.masks, conditions.groups
    slices = [(i, -1) for i in range(30)] + [(i, j) for i in range(30) for j in range(30) if groups[i] < groups[j]]
    slices = [pair for pair in slices if 40 <= slice_search._mask(masks, pair).sum() <= 1000]
    p = np.array([slice_search.against_rest(difference, slice_search._mask(masks, pair))[-1] for pair in slices])
    single = np.array([pair[1] < 0 for pair in slices])
    n_properties = [(groups[i], groups[i] if j < 0 else groups[j]) for i, j in slices]
    share = np.array([0.5 / (6 if one else 15) for one in single]) / [n_properties.count(of) for of in n_properties]
    q = dict(zip(slices, q_values(np.minimum(p / (share * len(p)), 1), np.ones(len(p), bool)), strict=True))
    table = search(difference, conditions, first)
    assert table["q"].is_monotonic_increasing and (table["significant"] == (table["q"] <= 0.05)).all()
    proposed = [slice_search._proposed(difference[h], masks[:, h], slice_search._usable(
        slice_search._sums(difference, masks), groups)) for h in (first, ~first)]  # fmt: skip
    for row in table.itertuples():
        pair = (row.first, row.second)
        held_out = [half for half, pairs in zip((~first, first), proposed, strict=True) if pair in pairs]
        inside = slice_search._mask(masks, pair)
        assert row.chosen_by == len(held_out) and row.q == pytest.approx(q[pair], rel=1e-3)
        means = [difference[half & inside].mean() for half in held_out]
        assert row.difference == pytest.approx(np.mean(means)) and row.support == inside.sum()
        assert row.gap == pytest.approx(row.difference - row.rest)
    assert set(table["chosen_by"]) == {1, 2} and (table["second"] >= 0).any()


def test_sums_are_the_same_whatever_is_summed_at_once(monkeypatch):
    rng = np.random.default_rng(5)
    values, masks = rng.normal(size=1003), rng.random((7, 1003)) < 0.3
    whole = slice_search._sums(values, masks)
    monkeypatch.setattr(slice_search, "_AT_ONCE", 7 * 100)
    parts = slice_search._sums(values, masks)
    np.testing.assert_array_equal(parts.counts, masks.astype(int) @ masks.T.astype(int))
    for name in ("sums", "squares", "total"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-4, atol=1e-4)


def test_sums_of_many_images_take_little_memory(monkeypatch):
    masks = np.random.default_rng(5).random((100, 50_000)) < 0.3
    monkeypatch.setattr(slice_search, "_AT_ONCE", 100 * 1000)
    tracemalloc.start()
    slice_search._sums(np.arange(50_000.0), masks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20, "20 MB of bits alone"
