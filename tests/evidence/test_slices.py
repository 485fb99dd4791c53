"""Properties, their bins and the slices found of two models, against NumPy; on the bundled pair among others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import made_run
from scipy.stats import t as student
from scipy.stats import ttest_ind
from statsmodels.stats.proportion import proportion_confint

from cifarcore.data.known_images import known_images
from cifarcore.evidence import slices
from cifarcore.evidence.slice_bins import Bins, Property, bins_of, cut
from cifarcore.evidence.slice_search import halves
from cifarcore.evidence.slices import (
    accuracy_by,
    apart,
    columns_of,
    find,
    of_columns,
    of_images,
    of_pixels,
    of_runs,
    of_user,
)
from cifarcore.reports.tables.slices import count_text, sentences
from cifarcore.runs.run import Run, load_run

BUNDLED = Path(__file__).resolve().parents[2] / "checkpoints"


def two(n_classes=10, n_images=1000, **more):
    return [
        [made_run(n_classes, n_images, accuracy, seed, model, **more) for seed in (0, 1)]
        for model, accuracy in (("cnn", 0.5), ("resnet18", 0.65))
    ]


def test_numbers_are_cut_into_fifths_and_what_is_not_known_is_in_none():
    values = np.r_[np.arange(100.0), np.full(7, np.nan)]
    bins = bins_of(Property("size", values, "own"))
    assert [mask.sum() for mask in bins.masks] == [20] * 5 and not bins.masks[:, 100:].any()
    assert bins.labels[0].startswith("lowest fifth (to 19") and bins.labels[4].startswith("highest fifth (above 79")
    tied = bins_of(Property("size", np.r_[np.zeros(50), np.arange(1, 51.0)], "own"))
    assert sum(mask.sum() for mask in tied.masks) == 100 and not any("fifth" in label for label in tied.labels)
    few = bins_of(Property("seeds", np.array([0.0, 1, 2, 2, 1]), "own"))
    assert few.labels == ("0", "1", "2") and few.masks.sum(1).tolist() == [1, 2, 2]


def test_numbers_that_round_alike_have_labels_of_as_many_digits_as_tell_them_apart():
    few = bins_of(Property("x", np.array([1.00001, 1.00002, 1.00002, 2.5]), "own"))
    assert few.labels == ("1.00001", "1.00002", "2.5")
    many = bins_of(Property("x", 1000 + np.arange(10) / 1000, "own"))
    assert len(set(many.labels)) == 5 and many.labels[0].startswith("lowest fifth (to 1000.002")
    assert bins_of(Property("x", np.array([1.0, np.nextafter(1, 2)]), "own")).labels == ("1", "1.0000000000000002")


def test_conditions_that_headings_and_values_join_alike_are_numbered():
    ones = np.arange(4) % 2
    bins = cut([Property("a", ones, "own", ("x", "b: c")), Property("a: b", ones, "own", ("c", "d"))])
    assert [each.conditions for each in bins] == [("a: x", "a: b: c"), ("a: b: c (2)", "a: b: d")]


def test_a_property_of_one_value_is_no_property():
    assert bins_of(Property("flat", np.ones(9), "own")) is None
    assert bins_of(Property("unknown", np.full(9, np.nan), "own")) is None
    assert bins_of(Property("one", np.zeros(9, int), "own", ("only",))) is None


def test_own_columns_are_numbers_or_categories():
    number, text = of_columns({"size": np.array([1.0, np.nan]), "=cam": np.array(["b", ""])})
    assert number.categories == () and text.name == "'=cam" and text.categories[text.values[0]] == "b"
    assert text.values[1] == -1


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (10, 1000), (1000, 5000)])
def test_runs_of_any_size_are_searched_without_pictures(n_classes, n_images):
    a, b = two(n_classes, n_images, superclasses=n_classes <= 100)
    rng = np.random.default_rng(0)
    properties = [*of_images(a[0]), *of_runs(a, b), *of_columns({"noise": rng.standard_normal(n_images)})]
    for with_models in (False, True):
        found = find(a, b, properties, with_models)
        assert found.n_images == n_images and len(found.masks) == len(found.conditions)
        assert any("confidence of A" in name for name in found.conditions) == with_models
        assert not any("that err" in name for name in found.conditions)


def test_a_search_that_would_take_minutes_leaves_out_the_last_properties_and_says_so(monkeypatch):
    runs_a, runs_b = two(n_images=400)
    values = np.random.default_rng(0).integers(0, 4, (5, 400))
    properties = [Property(f"p{i}", each, "own", tuple("abcd")) for i, each in enumerate(values)]
    assert count_text(find(runs_a, runs_b, properties)).endswith(" listed")
    monkeypatch.setattr(slices, "MOST_SEARCHED", 400 * 12**2)
    found = find(runs_a, runs_b, properties)
    assert found.left_out == 2 and len(found.masks) == 12 and len(found.bins) == 5
    assert count_text(found).endswith("(2 properties not searched, the last: with them it would take minutes)")
    monkeypatch.setattr(slices, "MOST_SEARCHED", 1)
    assert find(runs_a, runs_b, properties).table.empty


def test_what_was_planted_is_named_with_numbers_of_numpy():
    a, b = two(10, 2000)
    difference = np.mean([r.correct for r in b], 0) - np.mean([r.correct for r in a], 0)
    camera = np.where(difference > 0, "new", "old")
    camera[np.random.default_rng(0).random(2000) < 0.4] = "old"
    found = find(a, b, of_columns({"camera": camera}))
    row = found.significant.iloc[0]
    mask = camera == "new"
    assert row["slice"] == "camera: new" and np.array_equal(found.mask("camera: new"), mask)
    assert row["support"] == mask.sum() and row["accuracy_b"] == pytest.approx(
        np.mean([r.correct for r in b], 0)[mask].mean()
    )
    assert row["accuracy_a"] == pytest.approx(np.mean([r.correct[mask] for r in a]))
    assert row["share"] == pytest.approx(mask.mean() * row["gap"] / difference.mean())
    assert found.difference == pytest.approx(difference.mean()) and found.mask("camera: none") is None


def wilson(correct):
    """Of as many images as a simple share needs to vary as much as these means over seeds (n,), at most n."""
    share, images = correct.mean(), len(correct)
    if 0 < share < 1 and images > 1 and correct.var() > 0:
        images = min(share * (1 - share) * images / correct.var(ddof=1), images)
    return proportion_confint(share * images, images, method="wilson")


def test_accuracy_by_bins_is_the_mean_over_seeds_with_its_interval():
    a, b = two(10, 1000)
    bins = bins_of(of_images(a[0])[0])
    table = accuracy_by(a, b, bins).set_index(["bin", "model"])
    correct = np.mean([run.correct for run in b], 0)[bins.masks[0]]
    row = table.loc[(bins.labels[0], "B")]
    assert row["accuracy"] == pytest.approx(correct.mean()) and row["images"] == len(correct)
    assert (row["low"], row["high"]) == pytest.approx(wilson(correct))


def test_hues_are_categories():
    hue, sharp = of_pixels({"hue": np.array([0, 12, np.nan], np.float32), "sharpness": np.ones(3, np.float32)})
    assert hue.categories[0] == "red" and hue.values.tolist() == [0, 12, -1] and sharp.categories == ()


def test_the_twenty_most_frequent_categories_are_searched_in_their_own_order():
    sizes = np.r_[np.arange(30, 5, -1), 0]  # of 26 categories, the last of which nothing is in
    order = np.random.default_rng(0).permutation(26)
    values = np.repeat(np.argsort(order), sizes)
    names = tuple(f"kind {k}" for k in range(26))
    bins = bins_of(Property("kind", values, "own", names))
    frequent = sorted(np.argsort(order)[:20])
    assert bins.labels == tuple(names[k] for k in frequent)
    np.testing.assert_array_equal(bins.masks, [values == k for k in frequent])
    two_kinds = bins_of(Property("kind", np.array([-1, 1, 2, 1]), "own", ("x", "y", "z")))
    assert two_kinds.labels == ("y", "z") and two_kinds.masks.tolist() == [[False, True, False, True], [0, 0, 1, 0]]


def test_five_values_are_named_and_six_are_cut():
    five = bins_of(Property("n", np.array([0.0, 1.25, 1.25, 2, 3, 4]), "own"))
    assert five.labels == ("0", "1.25", "2", "3", "4") and five.masks.sum(axis=1).tolist() == [1, 2, 1, 1, 1]
    six = bins_of(Property("n", np.arange(6.0), "own"))
    assert six.masks.sum() == 6 and six.labels[0] == "to 1" and six.labels[-1] == "above 4"


def test_fifths_and_their_ranges():
    values = np.random.default_rng(0).permutation(100) / 100
    bins = bins_of(Property("x", values, "own"))
    assert bins.labels == (
        "lowest fifth (to 0.198)", "second fifth (0.198 to 0.396)", "middle fifth (0.396 to 0.594)",
        "fourth fifth (0.594 to 0.792)", "highest fifth (above 0.792)",
    )  # fmt: skip
    for k, mask in enumerate(bins.masks):
        assert sorted(values[mask]) == [round(x / 100, 2) for x in range(20 * k, 20 * k + 20)]
    uneven = bins_of(Property("x", np.r_[np.zeros(30), np.arange(1, 71.0)], "own"))
    assert not any("fifth" in label for label in uneven.labels) and uneven.masks.sum() == 100
    edge = bins_of(Property("x", np.r_[np.zeros(23), np.arange(1, 78.0)], "own"))
    assert not any("fifth" in label for label in edge.labels), "23 of 100 are no fifth"


def test_what_is_known_of_images_and_of_runs():
    a, b = two(30, 600)
    kin, *_ = of_images(a[0])
    assert (kin.name, kin.kind, kin.of_models) == ("superclass", "known", False)
    np.testing.assert_array_equal(kin.values, a[0].superclass_of[a[0].labels])
    assert kin.categories == tuple(str(name).replace("_", " ") for name in a[0].superclass_names)
    for n_classes, expected in ((20, ["class"]), (21, [])):
        bare = made_run(n_classes, 200, superclasses=False)
        assert [each.name for each in of_images(bare)] == expected
    np.testing.assert_array_equal(of_images(made_run(20, 200, superclasses=False))[0].values, made_run(20, 200).labels)
    found = {each.name: each for each in of_runs(a, b)}
    assert list(found) == [
        text.format(letter) for letter in "AB" for text in (
            "confidence of {}", "cosine to the nearest training image, {}",
            "share of nearest training images of the same class, {}", "seeds of {} that err",
        )
    ]  # fmt: skip
    for letter, runs in (("A", a), ("B", b)):
        p = [np.exp(run.logits.astype(float)) for run in runs]
        sure = np.mean([(x / x.sum(axis=1, keepdims=True)).max(axis=1) for x in p], axis=0)
        np.testing.assert_allclose(found[f"confidence of {letter}"].values, sure, atol=1e-6)
        nearest = found[f"cosine to the nearest training image, {letter}"].values
        np.testing.assert_array_equal(nearest, runs[0].train_neighbor_cosine[:, 0].astype(float))
        agree = [np.mean(row == label) for row, label in zip(runs[0].train_neighbor_labels, a[0].labels, strict=True)]
        of_class = found[f"share of nearest training images of the same class, {letter}"]
        assert of_class.values == pytest.approx(agree) and of_class.of_models and of_class.kind == "model"
        err = found[f"seeds of {letter} that err"]
        assert err.values.tolist() == [sum(not run.correct[i] for run in runs) for i in range(600)]
        assert err.kind == "outcome" and err.of_models
    cluster = np.arange(600) % 3
    of_cluster = {each.name: each for each in of_runs([replace(a[0], clusters=cluster.astype(np.int16))], b)}
    found = of_cluster["cluster of A"]
    most = np.argsort(-np.bincount(a[0].labels[cluster == 1], minlength=30), kind="stable")[:3]
    assert found.categories[1] == f"2 ({', '.join(str(a[0].class_names[c]).replace('_', ' ') for c in most)})"
    assert found.of_models and np.array_equal(found.values, cluster) and "cluster of B" not in of_cluster
    bare = [made_run(neighbors=False)]
    assert [each.name[:10] for each in of_runs(bare, bare)] == ["confidence", "seeds of A", "confidence", "seeds of B"]


def test_known_duplicates_and_disputed_labels_are_of_official_images_alone():
    known = known_images()
    run = made_run(100, 10_000)
    rows = np.r_[np.random.default_rng(0).choice(np.arange(1, 10_000), 299, replace=False), 0]
    ids, labels = known.sample_ids[rows].copy(), known.labels[rows].astype(np.int16)
    ids[:100] += np.uint64(1)
    part = replace(run.take(np.arange(300)), sample_ids=ids, labels=labels)
    found = {each.name: each for each in of_images(part)}
    for name, column in (("closest training image", known.duplicate), ("label disputed by people", known.disputed)):
        assert (found[name].values[:100] == -1).all() and found[name].kind == "known"
        np.testing.assert_array_equal(found[name].values[100:], column[rows[100:]])
    assert found["label disputed by people"].categories == ("no", "yes")
    assert found["closest training image"].categories[0] == "no duplicate"


def test_the_share_of_a_slice_is_known_where_the_models_differ():
    a, b = two(10, 2000)
    camera = np.where(np.arange(2000) % 4 == 0, "new", "old")
    found = find(a, b, of_columns({"camera": camera}))
    difference = np.mean([r.correct for r in b], 0) - np.mean([r.correct for r in a], 0)
    assert found.difference == pytest.approx(difference.mean()) and found.n_images == 2000
    for row in found.table.itertuples():
        mask = found.mask(row.slice)
        assert row.share == pytest.approx(mask.mean() * row.gap / difference.mean())
        assert (row.accuracy_a, row.accuracy_b) == pytest.approx(
            tuple(np.mean([run.correct[mask].mean() for run in side]) for side in (a, b))
        )
    assert len(found.table) and find(a, a, of_columns({"camera": camera})).table["share"].isna().all()


def test_accuracy_by_bins_of_both_models():
    a, b = two(10, 40)
    masks = np.array([np.arange(40) == 3, np.arange(40) >= 20])
    table = accuracy_by(a, b[:1], Bins(Property("x", np.zeros(40), "own"), ("one", "half"), masks))
    assert table[["bin", "model"]].to_numpy().tolist() == [["one", "A"], ["half", "A"], ["one", "B"], ["half", "B"]]
    for row, (side, mask) in zip(table.itertuples(), [(s, m) for s in (a, b[:1]) for m in masks], strict=True):
        correct = np.mean([run.correct[mask] for run in side], axis=0)
        assert row.images == mask.sum() and row.accuracy == pytest.approx(correct.mean())
        assert (row.low, row.high) == pytest.approx(wilson(correct))
    eye = np.eye(10, dtype=np.float16)
    sure = [replace(a[0], logits=eye[(a[0].labels + up) % 10], digest=f"up {up}") for up in (0, 1)]
    ends = accuracy_by(sure[:1], sure[1:], Bins(Property("x", np.zeros(40), "own"), ("all",), np.ones((1, 40), bool)))
    expected = [wilson(np.ones(40)), wilson(np.zeros(40))]
    np.testing.assert_allclose(ends[["low", "high"]], expected, atol=1e-12)  # nothing varies, and they have a width


def by_hand(difference, mask, first):
    """Of one slice by NumPy, and p by SciPy's Welch test with the variance inside at least that of all images."""
    halves_of = [difference[half & mask] for half in (first, ~first)]
    everything = [difference[half] for half in (first, ~first)]
    errors = [max(x.var(ddof=1), y.var(ddof=1)) / len(x) for x, y in zip(halves_of, everything, strict=True)]
    inside, outside = difference[mask], difference[~mask]
    variance = np.array([max(inside.var(ddof=1), difference.var(ddof=1)) / len(inside),
                         outside.var(ddof=1) / len(outside)])  # fmt: skip
    df = variance.sum() ** 2 / (variance**2 / [len(inside) - 1, len(outside) - 1]).sum()
    p = 2 * student.sf(abs(inside.mean() - outside.mean()) / np.sqrt(variance.sum()), df)
    rest = np.mean([difference[half & ~mask].mean() for half in (first, ~first)])
    value, error = np.mean([x.mean() for x in halves_of]), np.sqrt(sum(errors)) / 2
    margin = student.ppf(0.975, min(len(x) for x in halves_of) - 1) * error
    return value, value - margin, value + margin, rest, p


@pytest.mark.skipif(
    not (BUNDLED / "cnn-quick-0.npz").exists(), reason="needs the bundled run files: run in a clone of the repository"
)
def test_on_the_bundled_pair_near_duplicates_of_training_images_explain_a_part_by_numpy_alone():
    a, b = ([load_run(BUNDLED / f"{model}-quick-{seed}.npz") for seed in range(3)] for model in ("cnn", "resnet18"))
    found = find(a, b, of_images(a[0]))
    row = found.significant.iloc[0]
    assert row["slice"] == "closest training image: near duplicate"
    correct = [np.mean([r.logits.astype(np.float32).argmax(1) == r.labels for r in runs], 0) for runs in (a, b)]
    difference = correct[1] - correct[0]
    known = known_images()
    kind = {
        (i, c): k
        for i, c, k in zip(known.sample_ids.tolist(), known.labels.tolist(), known.duplicate.tolist(), strict=True)
    }
    mask = np.array([kind[key] == 2 for key in zip(a[0].sample_ids.tolist(), a[0].labels.tolist(), strict=True)])
    order = np.argsort(a[0].sample_ids, kind="stable")
    first = np.zeros(len(mask), bool)
    first[order[np.random.default_rng(0).permutation(len(mask))[: len(mask) // 2]]] = True
    effect, low, high, rest, p = by_hand(difference, mask, first)
    assert (row["support"], row["chosen_by"]) == (mask.sum(), 2) and effect < 0.02 < 0.1 < rest
    assert tuple(row[["difference", "low", "high", "rest"]]) == pytest.approx((effect, low, high, rest))
    assert row["p"] == pytest.approx(p, rel=1e-3)
    assert row["share"] == pytest.approx(mask.mean() * (effect - rest) / difference.mean())
    assert row["accuracy_a"] == pytest.approx(correct[0][mask].mean())
    ((_, sentence),) = [each for each in sentences(found) if each[0] == row["slice"]]
    told = (
        f"B − A is {100 * effect:+.1f} points on {mask.sum()} images (95% CI {100 * low:+.1f} to {100 * high:+.1f}), "
    )
    told = f"{told}{100 * rest:+.1f} on the others".replace("-", "−")
    readme = " ".join((BUNDLED.parent / "README.md").read_text(encoding="utf-8").split())
    assert f"{told} (q < 0.0001)" in readme and row["q"] < 0.0001
    assert sentence.endswith("; q < 0.0001.") and told.removeprefix("B − A is ") in sentence


@pytest.mark.skipif(
    not (BUNDLED / "cnn-quick-0.npz").exists(), reason="needs the bundled run files: run in a clone of the repository"
)
def test_every_slice_of_the_bundled_pair_by_numpy_alone():
    a, b = ([load_run(BUNDLED / f"{model}-quick-{seed}.npz") for seed in range(3)] for model in ("cnn", "resnet18"))
    found = find(a, b, of_images(a[0]))
    correct = [np.mean([r.logits.astype(np.float32).argmax(1) == r.labels for r in runs], 0) for runs in (a, b)]
    difference = correct[1] - correct[0]
    kin = np.array([str(name).replace("_", " ") for name in a[0].superclass_names])[a[0].superclass_of[a[0].labels]]
    rows = known_images().rows_of(a[0].sample_ids, a[0].labels)
    kind = np.array(["no duplicate", "exact duplicate", "near duplicate", "similar"])[known_images().duplicate[rows]]
    disputed = np.array(["no", "yes"])[known_images().disputed[rows].astype(int)]
    values = {"superclass": kin, "closest training image": kind, "label disputed by people": disputed}
    first = halves(a[0].sample_ids)
    for row in found.table.itertuples():
        mask = np.all([values[text.split(": ")[0]] == text.split(": ")[1] for text in row.slice.split(" & ")], axis=0)
        effect, low, high, rest, p = by_hand(difference, mask, first)
        assert row.support == mask.sum() and row.p == pytest.approx(p, rel=2e-3)
        assert (row.accuracy_a, row.accuracy_b) == pytest.approx([side[mask].mean() for side in correct])
        if row.chosen_by == 2:
            assert (row.difference, row.low, row.high, row.rest) == pytest.approx((effect, low, high, rest))
        else:
            held_out = [[difference[half & mask].mean(), difference[half & ~mask].mean()] for half in (first, ~first)]
            assert any(each == pytest.approx([row.difference, row.rest]) for each in held_out)
        assert row.share == pytest.approx(mask.mean() * (row.difference - row.rest) / difference.mean())
    assert len(found.table) > 10 and found.significant["slice"].tolist()[:2] == [
        "closest training image: near duplicate", "closest training image: similar",
    ]  # fmt: skip


def test_slices_of_the_user_are_a_family_of_their_own():
    a, b = two(10, 2000)
    difference = np.mean([r.correct for r in b], 0) - np.mean([r.correct for r in a], 0)
    rng = np.random.default_rng(0)
    masks = np.array([(difference > 0) & (rng.random(2000) < 0.5), np.arange(2000) < 300, np.arange(2000) < 1])
    found = of_user(a, b, ["good", "a: b & c", "one"], masks)
    table = found.table
    tested = [ttest_ind(difference[m], difference[~m], equal_var=False) for m in masks[:2]]
    assert table["p"][1] == pytest.approx(tested[1].pvalue, rel=0.2) and table["p"][0] < 1e-9
    assert table["q"][1] == pytest.approx(max(table["p"][1], 2 * table["p"][0])) and np.isnan(table["q"][2])
    assert table["significant"].tolist()[::2] == [True, False] and table["support"].tolist() == [masks[0].sum(), 300, 1]
    assert table["difference"][1] == pytest.approx(difference[:300].mean())
    assert table["rest"][1] == pytest.approx(difference[300:].mean())
    for letter, runs in (("a", a), ("b", b)):
        assert table[f"accuracy_{letter}"][1] == pytest.approx(np.mean([r.correct[:300] for r in runs]))
    assert (found.difference, found.n_images) == (pytest.approx(difference.mean()), 2000)
    assert table["share"][1] == pytest.approx(0.15 * table["gap"][1] / difference.mean())
    np.testing.assert_array_equal(found.mask("a: b & c"), masks[1])


def test_a_slice_is_told_apart_by_the_other_properties():
    a, b = two(10, 2000)
    rng = np.random.default_rng(0)
    camera = np.where(np.arange(2000) < 400, "new", "old")
    size = np.where((np.arange(2000) < 400) & (rng.random(2000) < 0.9), 5.0, rng.random(2000))
    found = find(a, b, of_columns({"camera": camera, "size": size, "noise": rng.random(2000)}))
    table = apart(found, "camera: new")
    inside = size > np.quantile(size, 0.8)
    assert table["condition"].tolist()[0].startswith("size:") and len(table) == 2
    first, mask = table.iloc[0], camera == "new"
    of_size = next(each for each in found.bins if each.property.name == "size")
    bins = {f"size: {label}": m for label, m in zip(of_size.labels, of_size.masks, strict=True)}
    chosen = bins[first["condition"]]
    assert (first["inside"], first["outside"]) == (chosen[mask].mean(), chosen[~mask].mean())
    p = chosen.mean()
    error = np.sqrt(p * (1 - p) * (1 / 400 + 1 / 1600))
    assert first["z"] == pytest.approx((chosen[mask].mean() - chosen[~mask].mean()) / error) and inside.any()
    gaps = {name: m[mask].mean() - m[~mask].mean() for name, m in bins.items()}
    assert first["condition"] == max(gaps, key=lambda name: abs(gaps[name]))
    assert apart(found, "camera: no").empty
    for held in (False, True):
        assert apart(replace(found, conditions=("one",), masks=np.full((1, 2000), held)), "one").empty


@pytest.mark.parametrize("unknown", ["", "NA", "n/a", "NaN", "None", " null ", "#N/A"])
def test_an_unknown_number_leaves_the_others_numbers(unknown):
    ages = [*map(str, range(20, 59)), unknown]
    run = Run.from_predictions(
        np.eye(2)[np.arange(40) % 2], np.arange(40) % 2, class_names=["cat", "dog"], sample_ids=range(1, 41),
        metadata={"age": ages, "country": ["NA", "FR"] * 20},
    )  # fmt: skip
    columns = columns_of(run)
    assert columns["age"][:39].tolist() == list(range(20, 59)) and np.isnan(columns["age"][39])
    assert columns["country"].tolist() == ["NA", "FR"] * 20  # a name, where the others are none
