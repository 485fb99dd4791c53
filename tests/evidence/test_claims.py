"""Claims about shares, classes, cells and pairs of classes over several seeds, against loops over runs and images."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats

from cifarcore.evidence import claims, crossed, delong, moderation
from cifarcore.evidence.shares import tango_interval

N_A = 3


@pytest.fixture(scope="module")
def runs():
    a = [made_run(10, 800, accuracy, seed, "cnn") for seed, accuracy in enumerate((0.5, 0.53, 0.55))]
    b = [made_run(10, 800, accuracy, seed, "resnet18") for seed, accuracy in enumerate((0.6, 0.64))]
    return [*a, *b]


@pytest.fixture(scope="module")
def indicators():
    """Five runs on groups of images: B has more, A has more, as many, too few discordant, no image."""
    rng = np.random.default_rng(0)

    def group(n, a, b):
        level = rng.random(n)
        return np.array([level + 0.1 * rng.random(n) < share for share in (a, a, a, b, b)])

    alike = group(100, 0.5, 0.5)
    alike[N_A:] = alike[N_A:, ::-1]
    return [group(200, 0.3, 0.7), group(150, 0.9, 0.4), alike, group(4, 0.2, 0.9), group(0, 0, 1)]


def test_shares_of_several_seeds(indicators):
    table = claims.rate_claims(indicators, 5, N_A, ("more", "fewer"))
    for k, x in enumerate(indicators[:4]):
        n, row = x.shape[1], table.loc[k]
        values = np.array([one.sum() / n for one in x])
        assert row["a"] == pytest.approx(values[:3].mean()) and row["b"] == pytest.approx(values[3:].mean())
        assert row["difference"] == pytest.approx(row["b"] - row["a"])
        found = crossed.difference(values, np.cov(x) / n, N_A)
        if k == 3:  # the seeds of each model agree on all four images, so that they say as much as one run each
            low, high = map(float, tango_interval((x[0] & ~x[3]).sum(), (x[3] & ~x[0]).sum(), 4))
        else:
            low, high = np.clip([found.low, found.high], -1, 1)
        assert (row["low"], row["high"]) == pytest.approx((low, high))
        about_zero = np.array([[(one & other).sum() for other in x] for one in x]) / n**2
        assert row["p"] == pytest.approx(float(crossed.difference(values, about_zero, N_A).p))
        for name, ones, others in (("only_a", x[:3], x[3:]), ("only_b", x[3:], x[:3])):
            counts = [(one & ~other).sum() for one in ones for other in others]
            assert row[name] == pytest.approx(np.mean(counts))
    family = table["only_a"] + table["only_b"] >= 6
    assert family.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(table["q"][:3], stats.false_discovery_control(table["p"][:3]))
    assert table["q"][3:].isna().all()
    assert table["claim"].tolist() == ["more", "fewer", "", "", ""]
    assert table.loc[4, ["a", "b", "difference", "low", "high", "p"]].isna().all()
    assert table.loc[4, ["only_a", "only_b"]].tolist() == [0, 0]


def test_variances_between_seeds_are_drawn_together_in_units_of_a_share():
    """Of many groups, of different sizes and shares: each group's unit is p (1 - p) / n of all its runs' images."""
    rng = np.random.default_rng(1)
    groups = []
    for n, level in zip(rng.integers(40, 400, 16), rng.uniform(0.15, 0.8, 16), strict=True):
        luck = rng.normal(0, 0.04, 5) + np.r_[np.zeros(3), np.full(2, 0.08)]
        groups.append(rng.random(n) + 0.3 * rng.standard_normal((5, n)) < level + luck[:, None])
    table = claims.rate_claims(groups, 5, N_A, ("more", "fewer"))
    assert (table["only_a"] + table["only_b"] >= 6).all()
    values, units, least, about_mean, about_zero = [], [], [], [], []
    for x in groups:
        n, right = x.shape[1], sum(int(one.sum()) for one in x)
        share = (right + 0.5) / (5 * n + 1)
        values.append([one.sum() / n for one in x])
        units.append(share * (1 - share) / n)
        least.append(1 / (24 * n * n))
        about_mean.append(np.cov(x) / n)
        about_zero.append([[(one & other).sum() / n**2 for other in x] for one in x])
    alike = moderation.Rows(np.array(units), np.array(least))
    found = crossed.difference(np.array(values), np.array(about_mean), N_A, alike)
    np.testing.assert_allclose(table[["low", "high"]], np.clip([found.low, found.high], -1, 1).T)
    tested = crossed.difference(np.array(values), np.array(about_zero), N_A, alike)
    np.testing.assert_allclose(table["p"], tested.p)
    apart = crossed.difference(np.array(values), np.array(about_mean), N_A)
    assert np.abs(apart.low - found.low).max() > 0.01, "drawn together they are others"


def mid_p(only_a, only_b):
    """Outcomes less likely than this one, and this one by half, either way, by summing over all of them."""
    n, fewer = only_a + only_b, min(only_a, only_b)
    likely = [stats.binom.pmf(k, n, 0.5) for k in range(n + 1)]
    return min(2 * (sum(likely[:fewer]) + likely[fewer] / 2), 1)


def test_shares_of_one_run_each(indicators):
    pairs = [x[[0, 3]] for x in indicators]
    table = claims.rate_claims(pairs, 2, 1, ("more", "fewer"))
    for k, (a, b) in enumerate(pairs[:4]):
        only_a, only_b = (a & ~b).sum(), (b & ~a).sum()
        assert table.loc[k, ["only_a", "only_b"]].tolist() == [only_a, only_b]
        assert table.loc[k, "p"] == pytest.approx(mid_p(only_a, only_b))
        expected = tango_interval(only_a, only_b, len(a))
        assert table.loc[k, ["low", "high"]].tolist() == pytest.approx(list(map(float, expected)))
    assert table["claim"].tolist() == ["more", "fewer", "", "", ""]
    assert table.loc[4, ["a", "low", "high", "p", "q"]].isna().all()


def test_six_discordant_images_make_the_family():
    six, five = np.zeros((2, 20), bool), np.zeros((2, 20), bool)
    six[1, :6] = five[1, :5] = True
    table = claims.rate_claims([six, five], 2, 1, ("more", "fewer"))
    assert table["q"].notna().tolist() == [True, False] and table["claim"].tolist() == ["more", ""]


def test_nothing_to_compare_gives_an_empty_table():
    for n_runs, n_a in ((2, 1), (5, 3)):
        assert claims.rate_claims([], n_runs, n_a, ("more", "fewer")).empty


def test_f1_intervals_of_several_seeds(runs):
    """What each image adds to a class's F1: its derivative by the image's weight, numerically."""
    table = claims.class_claims(runs, N_A, delong.one_vs_rest(runs))
    labels = runs[0].labels
    for c in range(10):
        values, influences = [], []
        for run in runs:
            truth, given = (labels == c).astype(float), (run.predictions == c).astype(float)
            hits, size, step = truth @ given, truth.sum() + given.sum(), 1e-6
            values.append(2 * hits / size)
            influences.append((2 * (hits + step * truth * given) / (size + step * given) - values[-1]) / step)
        covariance = sum(
            (labels == k).sum() * np.cov(np.array(influences)[:, labels == k]) for k in range(10)
        )  # fmt: skip
        found = crossed.difference(np.array(values), covariance, N_A)
        row = table.loc[c]
        assert row["f1_difference"] == pytest.approx(found.difference)
        assert (row["f1_low"], row["f1_high"]) == pytest.approx((found.low, found.high), abs=1e-6)


def test_f1_of_one_image_has_no_interval_and_of_two_it_has(runs):
    of_zero, others = np.flatnonzero(runs[0].labels == 0), np.flatnonzero(runs[0].labels != 0)
    for images in (1, 2):
        kept = [run.take(np.r_[of_zero[:images], others]) for run in runs]
        row = claims.class_claims(kept, N_A, delong.one_vs_rest(kept)).loc[0]
        assert row["support"] == images and np.isfinite([row["f1_low"], row["f1_high"]]).all() == (images == 2)


def test_auc_intervals_of_several_seeds(runs):
    areas = delong.one_vs_rest(runs)
    table = claims.class_claims(runs, N_A, areas)
    for c in range(10):
        found = crossed.difference(areas.auc[:, c], areas.covariance[c], N_A)
        row = table.loc[c, ["auc_difference", "auc_low", "auc_high"]].tolist()
        assert row == pytest.approx([found.difference, found.low, found.high])


def test_cells_of_several_seeds(runs):
    table = claims.cell_claims(runs, N_A)
    labels, names = runs[0].labels, runs[0].class_names
    counts = np.zeros((5, 10, 10))
    for r, run in enumerate(runs):
        for label, given in zip(labels, run.predictions, strict=True):
            counts[r, label, given] += 1
    a, b = counts[:N_A].mean(axis=0), counts[N_A:].mean(axis=0)
    assert len(table) > 5 and not (table["true"] == table["predicted"]).any()
    for _, row in table.iterrows():
        cell = row["true"], row["predicted"]
        assert (row["true_name"], row["predicted_name"]) == (names[cell[0]], names[cell[1]])
        assert (row["a"], row["b"], row["difference"]) == pytest.approx((a[cell], b[cell], b[cell] - a[cell]))
        assert row["only_b"] - row["only_a"] == pytest.approx(row["difference"])
        assert row["claim"] in (("", "more in B") if row["difference"] > 0 else ("", "fewer in B"))
        assert (row["claim"] != "") == (row["q"] <= 0.05)
    assert table["q"].is_monotonic_increasing and (table["only_a"] + table["only_b"] >= 6).all()
    assert (table.groupby("q")["p"].diff().dropna() >= 0).all()


@pytest.mark.parametrize("errors", [True, False])
def test_cells_of_superclasses_are_tested_themselves(runs, errors):
    """By loops over runs and images; the errors and the diagonal with correct predictions are a family each."""
    table = claims.superclass_cell_claims(runs, N_A)
    table = table[table["errors"] == errors]
    of, names = runs[0].superclass_of, runs[0].superclass_names
    n, indicators, cells = len(names), [], []
    for true in range(n):
        rows = [row for row, label in enumerate(runs[0].labels) if of[label] == true]
        for predicted in range(n):
            x = [[False] * len(rows) for _ in runs]
            for r, run in enumerate(runs):
                for k, row in enumerate(rows):
                    label, given = run.labels[row], run.predictions[row]
                    counted = given != label if errors else true == predicted
                    x[r][k] = bool(of[given] == predicted and counted)
            indicators.append(np.array(x))
            cells.append((true, predicted))
    expected = claims.rate_claims(indicators, len(runs), N_A, ("more in B", "fewer in B"))
    expected = {cell: row for cell, (_, row) in zip(cells, expected.iterrows(), strict=True) if np.isfinite(row["q"])}
    assert len(expected) >= 2 and {(t, p) for t, p in table[["true", "predicted"]].to_numpy()} == set(expected)
    for _, row in table.iterrows():
        cell, (true, predicted) = expected[row["true"], row["predicted"]], (row["true"], row["predicted"])
        size = (of[runs[0].labels] == true).sum()
        assert (row["true_name"], row["predicted_name"]) == (names[true], names[predicted])
        assert (row["p"], row["q"], row["difference"]) == pytest.approx(
            (cell["p"], cell["q"], cell["difference"] * size)
        )
        assert row["claim"] == cell["claim"]
    assert errors or (table["true"] == table["predicted"]).all()


def test_without_superclasses_there_are_no_such_cells():
    runs = [made_run(6, 120, 0.5, seed, superclasses=False) for seed in range(2)]
    assert claims.superclass_cell_claims(runs, 1).empty


def test_only_pairs_that_are_confused_are_listed():
    """Two classes are confused, by one of the two models; the others never."""
    run = made_run(6, 120)
    given = run.labels.copy()
    given[np.flatnonzero(run.labels == 4)[:3]] = 1
    given[np.flatnonzero(run.labels == 1)[:2]] = 4
    perfect, other = (replace(run, logits=np.eye(6, dtype=np.float16)[shown]) for shown in (run.labels, given))
    table = claims.pair_claims([perfect, other], 1)
    assert table[["first", "second", "confused"]].to_numpy().tolist() == [[1, 4, 5]]
    assert table[["first_name", "second_name"]].iloc[0].tolist() == [run.class_names[1], run.class_names[4]]
    assert table.loc[0, "a"] == 1 and table.loc[0, "b"] < 1
    assert claims.pair_claims([perfect, perfect], 1).empty


def test_no_more_pairs_than_the_family_holds(runs, monkeypatch):
    monkeypatch.setattr(claims, "MOST_CONFUSED_PAIRS", 7)
    table = claims.pair_claims(runs, N_A)
    assert len(table) == 7 and (np.diff(table["confused"]) <= 0).all()
    np.testing.assert_allclose(table["q"], stats.false_discovery_control(table["p"]))
    np.testing.assert_allclose(table["difference"], table["b"] - table["a"])
    for _, row in table.iterrows():
        assert row["claim"] == ("" if row["q"] > 0.05 else "improved" if row["difference"] > 0 else "declined")


def test_cells_of_many_classes_are_counted_where_they_are():
    """More than 181 classes have more cells than an int16, in which labels are kept, can count."""
    runs = [made_run(200, 4000, 0.3, seed) for seed in range(2)]
    runs = [replace(run, labels=np.maximum(run.labels, 197).astype(np.int16)) for run in runs]
    table = claims.cell_claims(runs, 1)
    assert len(table) > 3
    for row in table.itertuples():
        counts = [((run.labels == row.true) & (run.predictions == row.predicted)).sum() for run in runs]
        assert [row.a, row.b] == pytest.approx(counts)


def test_the_family_of_pairs_is_the_hundred_most_confused():
    assert claims.MOST_CONFUSED_PAIRS == 100
    a, b = made_run(20, 2000, 0.2), made_run(20, 2000, 0.3, model="resnet18")
    assert len(claims.pair_claims([a, b], 1)) == 100
