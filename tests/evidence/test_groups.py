"""All pairs and their letters against statsmodels, the comparison of two models, and the letters' definition."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from made import made_run
from statsmodels.stats.multitest import multipletests

from cifarcore.evidence import comparison, groups

MODELS = {
    "cnn": [made_run(accuracy=0.55, seed=seed) for seed in (0, 1, 2)],
    "resnet18": [made_run(model="resnet18", accuracy=0.7)],
    "vit": [made_run(model="vit", accuracy=0.69)],
    "mlp": [made_run(model="mlp", accuracy=0.3, seed=seed) for seed in (0, 1)],
}


def test_each_pair_is_tested_as_the_comparison_of_the_two():
    table = groups.all_pairs(MODELS)
    assert len(table) == 6
    for row in table.itertuples():
        expected = comparison.compare(MODELS[row.first], MODELS[row.second]).metrics.loc["accuracy"]
        assert (row.difference, row.p) == pytest.approx((expected["difference"], expected["p"]))
        assert row.low < row.difference < row.high
    np.testing.assert_allclose(table["adjusted"], multipletests(table["p"], method="holm")[1])


def test_holm_is_statsmodels_and_leaves_out_what_is_not_known():
    p = np.random.default_rng(0).random(40) ** 3
    np.testing.assert_allclose(groups.holm(p), multipletests(p, method="holm")[1])
    found = groups.holm(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])
    assert not len(groups.holm(np.zeros(0)))


def test_models_share_a_letter_just_where_they_do_not_differ():
    rng = np.random.default_rng(1)
    for _ in range(150):
        names = [f"m{i}" for i in range(rng.integers(1, 8))]
        pairs = pd.DataFrame(list(combinations(names, 2)), columns=["first", "second"])
        pairs["significant"] = rng.random(len(pairs)) < rng.random()
        shown = groups.letters(names, pairs)
        for row in pairs.itertuples():
            assert bool(set(shown[row.first]) & set(shown[row.second])) != row.significant
        members = [{n for n in names if letter in shown[n]} for letter in set("".join(shown.values()))]
        assert not any(one < other for one in members for other in members)  # no group within another
        assert "a" in shown[names[0]]


def test_ranked_models_that_overlap_get_two_letters():
    pairs = pd.DataFrame({"first": ["a", "a", "b"], "second": ["b", "c", "c"], "significant": [False, True, False]})
    assert groups.letters(["a", "b", "c"], pairs) == {"a": "a", "b": "ab", "c": "b"}
    lines = groups.group_lines(["a", "b", "c"], pairs)
    assert list(lines.itertuples(index=False, name=None)) == [("a", "a"), ("a", "b"), ("b", "b"), ("b", "c")]


def test_a_copy_of_a_model_is_in_its_group():
    table = groups.all_pairs({"one": MODELS["vit"], "copy": MODELS["vit"]})
    assert table["difference"].item() == 0 and table["low"].item() < 0 < table["high"].item()
    assert groups.letters(["one", "copy"], table) == {"one": "a", "copy": "a"}


def test_more_than_26_groups_have_two_letters_and_commas_between():
    """28 models, each different from all but its neighbour: 27 groups of two."""
    names = [f"m{k:02d}" for k in range(28)]
    pairs = pd.DataFrame(list(combinations(names, 2)), columns=["first", "second"])
    pairs["significant"] = [int(second[1:]) - int(first[1:]) > 1 for first, second in combinations(names, 2)]
    shown = groups.letters(names, pairs)
    assert [shown[name] for name in ("m00", "m01", "m25", "m26", "m27")] == ["a", "a,b", "y,z", "z,aa", "aa"]
    lines = groups.group_lines(names, pairs)
    assert lines["letter"].tolist() == [letter for k in range(27) for letter in [groups._letter(k)] * 2]
    assert lines["model"].tolist() == [name for k in range(27) for name in names[k : k + 2]]
    one_fewer = groups.letters(names[:27], pairs[(pairs["first"] != "m27") & (pairs["second"] != "m27")])
    assert one_fewer["m25"] == "yz", "26 letters need no commas"
    assert [groups._letter(index) for index in (0, 25, 26, 51, 52)] == ["a", "z", "aa", "az", "ba"]


def test_families_of_models_have_no_letters_where_they_would_have_too_many():
    """Of models that differ from their relatives alone there are as many groups as one of each family can be chosen:
    729 had no letters left, and 20,000 would have taken hours.
    """
    for families, each, expected in ((3, 3, 27), (7, 2, 0), (6, 3, 0), (13, 3, 0)):
        names = [f"{family}-{member}" for member in range(each) for family in range(families)]
        rows = [(one, other, one.split("-")[0] == other.split("-")[0]) for one, other in combinations(names, 2)]
        pairs = pd.DataFrame(rows, columns=["first", "second", "significant"])
        lines, letters = groups.group_lines(names, pairs), groups.letters(names, pairs)
        assert lines["letter"].nunique() == max(expected, 1) and set(lines["model"]) == set(names)
        assert all(map(len, letters.values())) == bool(expected) == (lines["letter"] != "").all()


def test_what_is_significant_is_below_five_percent_after_holm():
    """Two models apart by ever more images, beside two equal ones."""
    labels = np.zeros(400, int)
    rng = np.random.default_rng(0)
    right = {"one": rng.random((1, 400)) < 0.5}
    for name, more in (("two", 14), ("three", 30)):
        right[name] = right["one"].copy()
        right[name][0, np.flatnonzero(~right["one"][0])[:more]] = True
    table = groups.pairs_of(right, labels)
    assert table[["first", "second"]].to_numpy().tolist() == [["one", "two"], ["one", "three"], ["two", "three"]]
    assert table["difference"].tolist() == pytest.approx([14 / 400, 30 / 400, 16 / 400])
    assert (table["significant"] == (table["adjusted"] < 0.05)).all()
    np.testing.assert_allclose(table["adjusted"], multipletests(table["p"], method="holm")[1])
    assert groups.holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    two_seeds = {"a": np.repeat(right["one"], 2, axis=0), "b": np.repeat(right["three"], 3, axis=0)}
    (row,) = groups.pairs_of(two_seeds, labels).itertuples()
    assert row.difference == pytest.approx(30 / 400) and row.low < row.difference < row.high
