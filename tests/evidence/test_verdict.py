"""The headline's numbers, each with the interval and test that its method names, and the words, in full."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from leaving_out import macro_f1_influence
from made import made_run
from scipy import stats

from cifarcore.evidence import calibration, crossed, delong, metrics, seed_notes, shares, verdict
from cifarcore.evidence.comparison import compare

NAMES = "cnn-made", "resnet18-made"


@pytest.fixture(scope="module")
def groups():
    a = [made_run(10, 600, accuracy, seed, "cnn") for seed, accuracy in enumerate((0.5, 0.52, 0.56))]
    b = [made_run(10, 600, accuracy, seed, "resnet18") for seed, accuracy in enumerate((0.6, 0.65, 0.62))]
    return a, b


def influence(run, name):
    """What each image adds to a metric, (N,)."""
    n, rank = run.n_images, metrics.true_rank(run)
    if name == "macro_f1":
        return macro_f1_influence(run)
    if name == "macro_auc":
        return delong.one_vs_rest([run]).influence[0]
    terms = {
        "accuracy": run.correct,
        "top5": rank < 5,
        "superclass_accuracy": metrics.superclass_correct(run),
        "brier": calibration.brier_terms(run),
        "log_loss": calibration.log_loss_terms(run),
    }
    return terms[name] / n


def crossed_by_hand(a, b, name):
    runs, labels = [*a, *b], a[0].labels
    influences = np.array([influence(run, name) for run in runs])
    covariance = sum((labels == c).sum() * np.cov(influences[:, labels == c]) for c in range(10))
    return crossed.difference(np.array([metrics.headline(run)[name] for run in runs]), covariance, len(a))


@pytest.mark.parametrize("name", [name for name in verdict.METRICS if name != "ece"])
def test_intervals_over_seeds(groups, name):
    a, b = groups
    for sides in ((a, b), (a[:1], b), (a, b[:1])):
        row, found = compare(*sides).metrics.loc[name], crossed_by_hand(*sides, name)
        assert (row["difference"], row["low"], row["high"]) == pytest.approx((found.difference, found.low, found.high))
        method = f"t-test, seeds and images as random effects, df {found.df:.1f}"
        if np.isinf(found.df):
            method = "z-test, images as random effects (seeds add no variance)"
        assert row["p"] == pytest.approx(float(found.p)) and row["method"] == method


def test_intervals_of_one_run_each(groups):
    a, b = (side[0] for side in groups)
    table = compare([a], [b]).metrics
    rights = {
        "accuracy": (a.correct, b.correct),
        "top5": tuple(metrics.true_rank(run) < 5 for run in (a, b)),
        "superclass_accuracy": tuple(metrics.superclass_correct(run) for run in (a, b)),
    }
    for name, row in table.iterrows():
        if name in rights:
            only_a, only_b = (rights[name][0] & ~rights[name][1]).sum(), (rights[name][1] & ~rights[name][0]).sum()
            expected = tuple(map(float, shares.tango_interval(only_a, only_b, 600)))
            assert (row["low"], row["high"]) == pytest.approx(expected), name
            assert row["p"] == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)
            assert row["method"] == "exact McNemar test, Tango's score interval"
            continue
        if name == "ece":
            continue
        normal = crossed_by_hand([a], [b], name)
        assert (row["low"], row["high"]) == pytest.approx((normal.low, normal.high)), name
        assert row["p"] == pytest.approx(float(normal.p))
        kind = "paired DeLong test" if name == "macro_auc" else "z-test, images as random effects"
        assert row["method"] == kind


@pytest.mark.parametrize("n", [1, 3])
def test_the_calibration_error_has_no_interval(groups, n):
    a, b = groups
    row = compare(a[:n], b[:n]).metrics.loc["ece"]
    assert np.isfinite([row["a"], row["b"]]).all() and np.isnan([row["low"], row["high"], row["p"]]).all()
    assert row["method"] == "no interval (biased); see Brier score, log loss"


def test_a_metric_that_is_not_defined_has_no_interval():
    a, b = (made_run(4, 200, model=model, superclasses=False) for model in ("cnn", "resnet18"))
    table = compare([a], [b]).metrics
    for name in ("top5", "superclass_accuracy"):
        assert table.loc[name, ["a", "b", "difference", "low", "high", "p"]].isna().all()
        assert table.loc[name, "method"] == ""


@pytest.mark.parametrize(
    ("difference", "p", "letter"), [(0.1, 0.049, "B"), (-0.1, 0.049, "A"), (0.1, 0.05, ""), (-0.1, np.nan, "")]
)
def test_who_is_more_accurate(difference, p, letter):
    assert verdict.better(pd.Series({"difference": difference, "p": p})) == letter


def test_the_headline_names_the_better_model():
    assert verdict.headline("A", NAMES, -0.0989) == "cnn-made beats resnet18-made by 9.9 points in accuracy"
    assert verdict.headline("B", NAMES, 0.0004) == "resnet18-made beats cnn-made by 0.04 points in accuracy"
    equal = "No significant difference in accuracy between cnn-made and resnet18-made"
    assert verdict.headline("", NAMES, 0.01) == equal


def table_of_classes(**columns):
    return pd.DataFrame(
        {
            "name": ["sweet_pepper", "oak_tree", "sea", "road"],
            "superclass": ["fruit_and_vegetables", "trees", "scenes", "scenes"],
            "support": [100, 100, 100, 50],
            "recall_difference": [0.1, -0.05, 0.03, 0.02],
            "claim": ["improved", "declined", "improved", ""],
        }
        | columns
    )


def sentence(letter, runs, n_a, classes, p=0.0213):
    accuracy = pd.Series({"a": 0.5, "b": 0.6, "difference": 0.1, "low": -0.005, "high": 0.2054, "p": p})
    accuracy["method"] = "t-test, df 3.4"
    return verdict.sentence(letter, NAMES, accuracy, runs, n_a, classes)


def test_the_sentence_over_seeds(groups):
    a, b = groups
    start = "resnet18-made (B) correctly classifies 60.00% of 600 images and cnn-made (A) 50.00% "
    points = "B − A +10.00 percentage points, 95% CI −0.50 to +20.54); "
    assert sentence("B", [*a, *b], 3, table_of_classes()) == (
        f"{start}(mean of 3 seeds each; {points}t-test, df 3.4; p = 0.0213. "
        "B gains most in fruit and vegetables (+10 images), scenes (+4 images); "
        "recall improved in 2 classes and declined in 1 (significant; FDR controlled at 5%)."
    )
    assert sentence("", [*a[:1], *b], 1, table_of_classes(claim=[""] * 4), 1e-6) == (
        f"{start}(means of 1 seed (A) and 3 seeds (B); {points}t-test, df 3.4; p < 0.0001."
    )
    one_side = sentence("", [*a, b[0]], 3, table_of_classes(claim=["improved", "", "", ""]))
    assert "means of 3 seeds (A) and 1 seed (B); " in one_side and "t-test" in one_side
    assert one_side.endswith(" Recall improved in 1 class and declined in 0 (significant; FDR controlled at 5%).")
    two = sentence("", [*a[:2], *b], 2, table_of_classes(claim=["declined", "", "", ""]))
    assert "means of 2 seeds (A) and 3 seeds (B); " in two and "t-test" in two
    assert two.endswith(" Recall improved in 0 classes and declined in 1 (significant; FDR controlled at 5%).")


def test_the_sentence_names_the_test_that_the_table_names(groups):
    for sides in (groups, (groups[0][:1], groups[1]), [[made_run(10, 600, 0.5, s, m) for s in range(2)] for m in "ab"]):
        result = compare(*sides)
        row = result.metrics.loc["accuracy"]
        assert f"; {row['method']}; p " in result.sentence


def test_without_an_interval_the_sentence_says_why():
    image = [run.take(np.flatnonzero(np.array([True] + [False] * 599))) for run in many_seeds()]
    result = compare(image[:2], image[2:])
    assert "no CI); no interval: one image is too few to estimate a variance; no test." in result.sentence


def many_seeds():
    """Two seeds each, of which one of A alone is right on the first image."""
    runs = [made_run(10, 600, 0.6, seed, model) for model in ("cnn", "resnet18") for seed in range(2)]
    first = runs[0].labels[0]
    given = [first, (first + 1) % 10, (first + 1) % 10, (first + 2) % 10]
    return [
        replace(run, logits=np.concatenate([[9 * np.eye(10)[of]], run.logits[1:]]).astype(np.float16), digest=str(i))
        for i, (run, of) in enumerate(zip(runs, given, strict=True))
    ]


def test_the_sentence_of_one_run_each(groups):
    a, b = (side[0] for side in groups)
    only_a, only_b = (a.correct & ~b.correct).sum(), (b.correct & ~a.correct).sum()
    text = sentence("A", [a, b], 1, table_of_classes(superclass=["fruit", "", "", ""]))
    assert text == (
        "resnet18-made (B) correctly classifies 60.00% of 600 images and cnn-made (A) 50.00% "
        "(B − A +10.00 percentage points, 95% CI −0.50 to +20.54); "
        f"only B is correct on {only_b} images, only A on {only_a} (exact McNemar test, p = 0.0213). "
        "B loses most in oak tree (−5 images); "
        "recall improved in 2 classes and declined in 1 (significant; FDR controlled at 5%)."
    )


def test_what_changes_the_other_way_or_by_no_image_is_not_named(groups):
    """Superclasses gained: fruit +0.4 of an image, trees -5, scenes +4."""
    runs = [side[0] for side in groups]
    classes = table_of_classes(recall_difference=[0.004, -0.05, 0.03, 0.02])
    assert " B gains most in scenes (+4 images); recall improved in 2 classes" in sentence("B", runs, 1, classes)
    assert " B loses most in trees (−5 images); recall improved" in sentence("A", runs, 1, classes)
    none = sentence("B", runs, 1, table_of_classes(recall_difference=[-0.1, -0.05, -0.03, 0.004]))
    one = table_of_classes(recall_difference=[0.01, -0.05, 0.0, 0.0])
    assert " B gains most in fruit and vegetables (+1 image); recall" in sentence("B", runs, 1, one)
    assert none.endswith("). Recall improved in 2 classes and declined in 1 (significant; FDR controlled at 5%).")


def notes(runs, n_a=1, left_out=0, relabelled=0, low=0.01, high=0.2, p=0.01):
    """All notes but those on seeds."""
    found = verdict.notes(pd.Series({"low": low, "high": high, "p": p}), runs, n_a, left_out, relabelled)
    of_seeds = seed_notes.seed_notes(runs, n_a)
    return [note for note in found if note not in of_seeds]


@pytest.fixture(scope="module")
def plain(groups):
    """Two seeds each without any train-test duplicates."""
    return [*groups[0][:2], *groups[1][:2]]


def test_no_note_where_nothing_is_open(plain):
    assert notes(plain, 2) == []
    (text,) = notes(plain, 2, left_out=1400)
    assert text == (
        "Only the 600 images that all runs share are compared; up to 1,400 of a run are left out."
    )  # fmt: skip
    _, text = notes([run.take(np.array([4])) for run in plain], 2, left_out=1400)
    assert text.startswith("Only the 1 image that all runs share is compared; up to 1,400 of")
    (text,) = notes(plain, 2, left_out=1400, relabelled=12)
    assert text.endswith(" left out, 12 of them because the files give them different labels.")


def test_notes_on_seeds_are_those_of_seed_notes(plain):
    for runs, n_a in ((plain, 2), (plain[:3], 1), (plain[1:3], 1)):
        found = verdict.notes(pd.Series({"low": 0.01, "high": 0.2, "p": 0.01}), runs, n_a, 0)
        assert found == seed_notes.seed_notes(runs, n_a) != []


@pytest.mark.parametrize(
    ("low", "high", "p", "word"),
    [
        (0.0, 0.1, 0.03, "includes zero; the test, which decides, gives p = 0.0300"),
        (-0.1, 0.0, 0.03, "includes zero; the test, which decides, gives p = 0.0300"),
        (0.01, 0.1, 0.05, "excludes zero; the test, which decides, gives p = 0.0500"),
        (-0.2, -0.1, 0.3, "excludes zero; the test, which decides, gives p = 0.3000"),
        (-0.1, 0.1, 0.05, ""),
        (0.01, 0.1, 0.049, ""),
        (0.01, 0.1, np.nan, ""),
    ],
)
def test_a_note_says_where_test_and_interval_disagree(plain, low, high, p, word):
    found = notes(plain, 2, low=low, high=high, p=p)
    if word:
        assert found == [f"Test and confidence interval disagree on accuracy: the interval {word}."]
    else:
        assert found == []


def test_notes_on_duplicates(plain):
    def marked(exact):
        ids = plain[0].train_neighbor_ids.copy()
        ids[:exact, 3] = plain[0].sample_ids[:exact]
        near = plain[3].train_neighbor_cosine * 0 + 1  # what resembles a training image by its features is no duplicate
        return [replace(plain[0], train_neighbor_ids=ids), *plain[1:3], replace(plain[3], train_neighbor_cosine=near)]

    def without(n):
        a, b = (np.mean([run.correct[n:].mean() for run in side]) for side in (plain[:2], plain[2:]))
        return f"accuracy is {a:.4f} (A) and {b:.4f} (B), B − A {100 * (b - a):+.2f} points".replace("-", "−")

    (copies,) = notes(marked(4), 2)
    assert copies == (
        "4 test images are exact copies of training images (train-test duplicates); without them " + without(4) + "."
    )
    (one,) = notes(marked(1), 2)
    assert one == (
        "1 test image is an exact copy of a training image (train-test duplicate); without it " + without(1) + "."
    )
    (every,) = notes(marked(600), 2)
    assert every.endswith("; these are all there are.")
