"""Measures of the report's claims with their intervals, against loops over images, classes and seeds."""

from dataclasses import replace

import numpy as np
import pytest
from leaving_out import macro_f1_influence
from made import made_run
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.proportion import proportion_confint

from cifarcore.evidence import claim_measures as measures
from cifarcore.evidence import delong, roc_curves, softmax

CLASSES = 12


def uneven(seed=0, accuracy=0.55, n_classes=CLASSES, n_images=900, **options):
    """A run with more images of the later classes than of the first."""
    run = made_run(n_classes, n_images, accuracy, seed, **options)
    keep = np.random.default_rng(5).random(n_images) < 0.4 + 0.6 * run.labels / n_classes
    return run.take(keep)


@pytest.fixture(scope="module")
def runs():
    """Three seeds that differ more than their images alone would have them."""
    return [uneven(seed, accuracy) for seed, accuracy in enumerate((0.45, 0.55, 0.7))]


def by_images(values, influences, labels):
    """Mean, low and high; `influences` (R, N) are what each image adds to each seed's value."""
    covariance = sum(
        (labels == c).sum() * np.cov(np.atleast_2d(influences)[:, labels == c]) for c in np.unique(labels)
    ).reshape(len(values), -1)
    n = len(values)
    if n == 1:
        half = 1.959964 * np.sqrt(covariance[0, 0])
    else:
        noise = covariance.diagonal().mean() - covariance[~np.eye(n, dtype=bool)].mean()
        seeds = max(np.var(values, ddof=1) - noise, 0) / n
        half = np.sqrt(stats.t.ppf(0.975, n - 1) ** 2 * seeds + 1.959964**2 * covariance.mean())
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


def share(counted, among, labels):
    """The share of `counted` in `among` (lists of (N,), one a seed), image by image."""
    values = [sum(x[d != 0] * d[d != 0]) / sum(d) for x, d in zip(counted, among, strict=True)]
    influences = [
        [(x - value) * d / sum(among_) for x, d in zip(counted_, among_, strict=True)]
        for counted_, among_, value in zip(counted, among, values, strict=True)
    ]
    return by_images(values, np.array(influences), labels)


def by_classes(statistic, runs, n_classes=CLASSES):
    """Mean, low and high of `statistic(run, classes)`, each class left out once."""
    every = list(range(n_classes))
    values = [statistic(run, every) for run in runs]
    without = [np.mean([statistic(run, [c for c in every if c != out]) for run in runs]) for out in every]
    variance = (n_classes - 1) / n_classes * sum((x - np.mean(without)) ** 2 for x in without)
    if len(runs) > 1:
        variance += np.var(values, ddof=1) / len(runs)
    half = stats.t.ppf(0.975, n_classes - 1) * np.sqrt(variance)
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


def one_hot(run, c):
    return (run.labels == c).astype(float), (run.predictions == c).astype(float)


@pytest.mark.parametrize("n", [1, 3])
def test_f1_minus_accuracy(runs, n):
    values = [f1_score(run.labels, run.predictions, average="macro") - run.correct.mean() for run in runs[:n]]
    influences = np.stack([macro_f1_influence(run) - run.correct / run.n_images for run in runs[:n]])
    expected = by_images(values, influences, runs[0].labels)
    assert measures.f1_minus_accuracy(runs[:n]) == pytest.approx(expected)


@pytest.mark.parametrize("n", [1, 3])
def test_shares_of_images(runs, n):
    chosen, labels = runs[:n], runs[0].labels
    ones = [np.ones(len(labels))] * n
    expected = share([run.correct for run in chosen], ones, labels)
    if n == 1:  # as of any share of images
        score = proportion_confint(chosen[0].correct.sum(), len(labels), method="wilson")
        assert expected[1:] != pytest.approx(score, abs=1e-4)
        expected = expected[0], *score
    assert measures.accuracy(chosen) == pytest.approx(expected)
    weights = [np.array([1 / (labels == label).sum() for label in labels])] * n
    assert measures.diagonal(chosen) == pytest.approx(share([run.correct for run in chosen], weights, labels))
    sure = [softmax.probabilities(run).max(axis=1).astype(float) for run in chosen]
    right = [run.correct.astype(float) for run in chosen]
    assert measures.confidence_when_right(chosen) == pytest.approx(share(sure, right, labels), abs=1e-6)
    place = [(run.logits > run.logits[np.arange(len(labels)), labels][:, None]).sum(axis=1) for run in chosen]
    expected = share([p < 5 for p in place], [~run.correct for run in chosen], labels)
    assert measures.true_class_ranks_high(chosen) == pytest.approx(expected, abs=2e-3)  # equal scores


def test_nothing_where_no_image_counts():
    run = uneven()
    perfect = replace(run, logits=np.eye(CLASSES, dtype=np.float16)[run.labels])
    assert np.isnan(measures.true_class_ranks_high([run, perfect])).all()


@pytest.mark.parametrize("n", [1, 3])
def test_macro_auc(runs, n):
    influence = delong.one_vs_rest(runs[:n]).influence
    values = [roc_curves.macro_auc(run) for run in runs[:n]]
    value, low, high = by_images(values, influence, runs[0].labels)
    assert measures.macro_auc(runs[:n]) == pytest.approx((value, low, min(high, 1)))


def strong(run, classes):
    """Share of `classes` of which another superclass's class takes a tenth."""
    hit = []
    for c in classes:
        given = run.predictions[run.labels == c]
        hit.append(
            any(
                run.superclass_of[p] != run.superclass_of[c] and (given == p).any() and (given == p).mean() >= 0.1
                for p in range(run.n_classes)
            )
        )
    return np.mean(hit)


@pytest.mark.parametrize("n", [1, 3])
def test_classes_with_strong_confusions(n):
    runs = [uneven(seed, accuracy) for seed, accuracy in enumerate((0.08, 0.14, 0.02))]
    value, low, high = by_classes(strong, runs[:n])
    assert 0 < value < 1
    expected = value, max(low, 0), min(high, 1)
    assert measures.classes_with_strong_confusions(runs[:n]) == pytest.approx(expected)


def test_a_class_without_images_has_no_strong_confusion(runs):
    run = runs[0].take(runs[0].labels != 3)
    found = measures.classes_with_strong_confusions([run])[0]
    with_images = [c for c in range(CLASSES) if c != 3]
    assert found == pytest.approx(strong(run, with_images) * len(with_images) / CLASSES)


def test_a_confusion_is_strong_from_one_tenth_on():
    run = made_run(10, 100)
    (other,) = np.flatnonzero(run.superclass_of != run.superclass_of[0])[:1]
    given = run.labels.copy()
    given[np.flatnonzero(run.labels == 0)[0]] = other
    logits = np.eye(10, dtype=np.float16)[given]
    assert measures.classes_with_strong_confusions([replace(run, logits=logits)])[0] == pytest.approx(0.1)
    given[np.flatnonzero(run.labels == 0)[0]] = 0
    sibling = np.flatnonzero(run.superclass_of == run.superclass_of[0])[1]
    given[np.flatnonzero(run.labels == 0)[:3]] = sibling
    logits = np.eye(10, dtype=np.float16)[given]
    assert measures.classes_with_strong_confusions([replace(run, logits=logits)])[0] == 0


@pytest.mark.parametrize("n", [1, 3])
def test_largest_block(runs, n):
    chosen, first = runs[:n], runs[0]
    groups = range(len(first.superclass_names))
    of_image = first.superclass_of[first.labels]
    shares = {
        (t, p): np.mean([(run.superclass_of[run.predictions[of_image == t]] == p).mean() for run in chosen])
        for t in groups
        for p in groups
        if t != p
    }
    true, predicted = max(shares, key=shares.get)
    counted = [run.superclass_of[run.predictions] == predicted for run in chosen]
    expected = share(counted, [(of_image == true).astype(float)] * n, first.labels)
    assert expected[0] == pytest.approx(max(shares.values()))
    assert measures.largest_block(chosen) == pytest.approx(expected)


def test_blocks_and_strong_confusions_need_superclasses(runs):
    bare = replace(runs[0], superclass_of=None, superclass_names=None)
    one = replace(runs[0], superclass_of=np.zeros(CLASSES, np.int16), superclass_names=np.array(["all"]))
    two = replace(
        runs[0], superclass_of=np.arange(CLASSES, dtype=np.int16) % 2, superclass_names=np.array(["even", "odd"])
    )
    for measure in (measures.largest_block, measures.classes_with_strong_confusions):
        assert np.isnan(measure([bare])).all()
    assert np.isnan(measures.largest_block([one])).all() and np.isfinite(measures.largest_block([two])).all()
    assert np.isnan(measures.neighbor_ratio([bare], "superclass")).all()
    assert np.isfinite(measures.neighbor_ratio([bare], "class")).all()


def nearest(run):
    """The ten nearest other images of each on the map, by all distances."""
    distance = np.linalg.norm(run.tsne[:, None].astype(float) - run.tsne[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1)[:, :10]


@pytest.mark.parametrize("n", [1, 3])
def test_neighbors_of_the_same_class_and_superclass(runs, n):
    chosen, labels = runs[:n], runs[0].labels
    total, size = len(labels), np.array([(labels == label).sum() for label in labels])
    near = [nearest(run) for run in chosen]
    same = [labels[rows] == labels[:, None] for rows in near]
    chance = np.mean((size - 1) / (total - 1))
    expected = np.array(share([x.mean(axis=1) for x in same], [np.ones(total)] * n, labels)) / chance
    assert measures.neighbor_ratio(chosen, "class") == pytest.approx(expected, rel=1e-3)
    group = chosen[0].superclass_of[labels]
    kin = [(group[rows] == group[:, None]) & ~x for rows, x in zip(near, same, strict=True)]
    others = [10 - x.sum(axis=1) for x in same]
    counted = [k.sum(axis=1) / np.where(d, d, 1) for k, d in zip(kin, others, strict=True)]
    chance = np.mean([((group == group[i]).sum() - size[i]) / (total - size[i]) for i in range(total)])
    expected = np.array(share(counted, others, labels)) / chance
    assert measures.neighbor_ratio(chosen, "superclass") == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("group", ["class", "superclass"])
def test_neighbors_need_a_map_and_more_images_than_neighbors(group):
    run = made_run(4, 40)
    assert np.isnan(measures.neighbor_ratio([run, replace(run, tsne=None)], group)).all()
    assert np.isnan(measures.neighbor_ratio([run.take(np.arange(10))], group)).all()
    assert np.isfinite(measures.neighbor_ratio([run.take(np.arange(11))], "class")).all()


def test_no_neighbor_can_be_of_the_superclass_where_each_has_one_class():
    run = made_run(4, 40)
    alone = replace(run, superclass_of=np.arange(4, dtype=np.int16), superclass_names=np.array(list("wxyz")))
    assert np.isnan(measures.neighbor_ratio([alone], "superclass")).all()


def centers(run, classes):
    return np.array([np.median(run.tsne[run.labels == c], axis=0) for c in classes])


def smooth(run, classes):
    scores = np.log(softmax.probabilities(run).astype(float))
    profiles = np.array([scores[run.labels == c].mean(axis=0) for c in classes])
    places = centers(run, classes)
    pairs = [(i, j) for i in range(len(classes)) for j in range(i)]
    return stats.spearmanr(
        [np.hypot(*(places[i] - places[j])) for i, j in pairs],
        [np.sqrt(((profiles[i] - profiles[j]) ** 2).sum()) for i, j in pairs],
    ).statistic


def variable(run, classes):
    middle = np.median(run.tsne, axis=0)
    places = centers(run, classes)
    scatter = [
        np.median(np.hypot(*(run.tsne[run.labels == c] - place).T)) for c, place in zip(classes, places, strict=True)
    ]
    return stats.spearmanr(np.hypot(*(places - middle).T), scatter).statistic


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    ("measure", "statistic"), [(measures.smoothness, smooth), (measures.center_variability, variable)]
)
def test_correlations_of_classes(runs, measure, statistic, n):
    value, low, high = by_classes(statistic, runs[:n])
    assert measure(runs[:n]) == pytest.approx((value, max(low, -1), min(high, 1)), abs=1e-3)


def test_rank_correlations_share_the_ranks_of_equal_values():
    x, y = np.array([1.0, 1, 2, 5, 5, 5, 7]), np.array([2.0, 2, 1, 5, 0, 5, 5])
    correlation = measures._rank_correlation(x, y)
    for kept in (np.ones(7, bool), np.arange(7) != 3, np.arange(7) > 1):
        assert correlation(kept) == pytest.approx(stats.spearmanr(x[kept], y[kept]).statistic)
    assert np.isnan(correlation(np.arange(7) < 2)), "equal values alone have no correlation"


@pytest.mark.parametrize("measure", [measures.smoothness, measures.center_variability])
def test_correlations_need_classes_with_images_and_places(measure):
    run = made_run(10, 100)
    assert np.isfinite(measure([run])).all()
    assert np.isnan(measure([made_run(9, 100)])).all()  # too few classes
    assert np.isnan(measure([run, replace(run, tsne=None)])).all()
    only = np.flatnonzero(run.labels == 4)
    assert np.isfinite(measure([run.take(~np.isin(np.arange(100), only[2:]))])).all()
    assert np.isnan(measure([run.take(~np.isin(np.arange(100), only[1:]))])).all()  # a class of one image
    assert np.isfinite(measure([made_run(200, 400)])[0]) and np.isnan(measure([made_run(201, 402)])).all()


@pytest.mark.parametrize("n", [1, 3])
def test_center_density(runs, n):
    inside, among = [], []
    for run in runs[:n]:
        distance = np.hypot(*(run.tsne - np.median(run.tsne, axis=0)).T)
        radius = np.quantile(distance, 0.95)
        among.append((distance <= radius).astype(float))
        inside.append(distance <= radius / 2)
    expected = 4 * np.array(share(inside, among, runs[0].labels))
    assert measures.center_density(runs[:n]) == pytest.approx(expected, rel=1e-5)
    assert np.isnan(measures.center_density([*runs[:n], replace(runs[0], tsne=None)])).all()


def unbalanced(run, classes):
    recalls = [run.correct[run.labels == c].mean() for c in classes]
    noise = [recall * (1 - recall) / ((run.labels == c).sum() - 1) for c, recall in zip(classes, recalls, strict=True)]
    return np.sqrt(max(np.var(recalls, ddof=1) - np.mean(noise), 0))


@pytest.mark.parametrize("n", [1, 3])
def test_imbalance(runs, n):
    value, low, high = by_classes(unbalanced, runs[:n])
    assert value > 0
    assert measures.imbalance(runs[:n]) == pytest.approx((value, max(low, 0), min(high, 1)))


def test_imbalance_needs_three_classes_of_two_images():
    assert np.isnan(measures.imbalance([made_run(2, 100)])).all()
    assert np.isfinite(measures.imbalance([made_run(3, 100)])).all()
    assert np.isfinite(measures.imbalance([made_run(3, 6)])[0])
    assert np.isnan(measures.imbalance([made_run(3, 5)])).all()
    equal = replace(made_run(4, 400), labels=np.arange(400, dtype=np.int16) % 4)
    half_right = np.where(np.arange(400) // 4 % 2, equal.labels, (equal.labels + 1) % 4)
    assert measures.imbalance([replace(equal, logits=np.eye(4, dtype=np.float16)[half_right])])[0] == 0


def test_intervals_keep_to_what_is_possible():
    """Shares stay within 0 and 1, differences and correlations within -1 and 1."""
    run = made_run(4, 12, 0.9)
    perfect = replace(run, logits=np.eye(4, dtype=np.float16)[run.labels] * 9)
    assert measures.accuracy([run])[2] < 1.0
    wilson = 12 / (12 + stats.norm.ppf(0.975) ** 2)  # nothing varies, and still the interval has a width
    assert measures.accuracy([perfect]) == pytest.approx((1, wilson, 1))
    wrong = replace(run, logits=np.eye(4, dtype=np.float16)[(run.labels + 1) % 4] * 9)
    assert measures.accuracy([wrong]) == pytest.approx((0, 0, 1 - wilson))
    by_class = 4 / (4 + stats.norm.ppf(0.975) ** 2)  # four classes, which count alike however many images they have
    uneven = [each.take(np.arange(11)) for each in (wrong, perfect)]
    assert measures.diagonal(uneven[:1]) == pytest.approx((0, 0, 1 - by_class), abs=1e-12)
    assert measures.diagonal(uneven[1:]) == pytest.approx((1, by_class, 1))
    rare = replace(run, logits=np.eye(4, dtype=np.float16)[(run.labels + (np.arange(12) > 0)) % 4] * 9)
    value, low, high = measures.diagonal([rare.take(np.arange(11))])
    assert low == 0 < value < high  # one image of eleven: without the bound it would be less


@pytest.mark.parametrize(
    ("measure", "statistic"), [(measures.smoothness, smooth), (measures.center_variability, variable)]
)
def test_a_map_that_says_nothing_has_an_interval_on_both_sides_of_zero(runs, measure, statistic):
    places = np.random.default_rng(1).permutation(CLASSES)  # each class lies where another one should
    shuffled = []
    for run in runs:
        middle = centers(run, range(CLASSES)).astype(np.float32)
        shuffled.append(replace(run, tsne=run.tsne + (middle[places] - middle)[run.labels]))
    value, low, high = by_classes(statistic, shuffled)
    assert low < -0.02 and high > 0.02
    assert measure(shuffled) == pytest.approx((value, max(low, -1), min(high, 1)), abs=1e-3)
