"""What the report's claims are measured by: one number of a model's seeds at a time, with its 95% CI.

Images are random within their classes and seeds between trainings (`crossed`); classes by the jackknife. Student's t
for several seeds and for classes, else normal, cut to the values that are possible; a share of all images as `shares`.
"""

from collections.abc import Callable

import numpy as np

from cifarcore.evidence import absent, crossed, delong, metrics, softmax
from cifarcore.evidence.distributions import student_quantile
from cifarcore.evidence.paired import ALPHA, wilson_interval
from cifarcore.evidence.shares import model_share
from cifarcore.runs.run import Run

STRONG = 0.1  #: a strong confusion takes one image in ten of a class: ten times what an even spread of all errors gives
TOP = 5  #: "ranks high": among the first five, as top-5 accuracy has it
NEIGHBORS = 10  #: on the map; a tenth of a class of CIFAR-100's test split

Interval = tuple[float, float, float]  #: value, low, high (95%)
NOTHING: Interval = (np.nan, np.nan, np.nan)  #: where the runs do not hold what is measured


def _by_images(runs: list[Run], counted: list[np.ndarray], among: list[np.ndarray]) -> Interval:
    """Share of `counted` in `among` (numbers or bools (N,) for each run), mean over runs, seeds and images random."""
    sums = [total.sum() for total in among]
    if not all(sums):
        return NOTHING
    if all(x.dtype == bool for x in counted) and all((d == d[0]).all() for d in among):  # a share of all images
        return model_share(np.stack(counted), runs[0].labels)
    values = np.array([(x * d).sum() / total for x, d, total in zip(counted, among, sums, strict=True)])
    influence = [(x - value) * d / total for x, d, value, total in zip(counted, among, values, sums, strict=True)]
    value, low, high = _interval(
        crossed.mean(values, crossed.image_covariance(np.stack(influence), *crossed.strata(runs[0].labels)))
    )
    return _all_or_none(value, np.mean(sums)) if np.isnan(low) else (value, low, high)


def _all_or_none(value: float, n: float) -> Interval:
    """A share of all `n`, or of none, in every run: nothing varies, and Wilson's score interval has a width."""
    low, high = wilson_interval(value * n, n) if value in (0, 1) else (np.nan, np.nan)
    return value, float(low), float(high)


def _by_classes(
    statistics: list[Callable[[np.ndarray], float]], n_classes: int, least: float = 0.0, most: float = 1.0
) -> Interval:
    """Mean over runs of a statistic, `least` to `most`, of a set of classes (indices).

    Classes are random by the jackknife (Tukey, 1958), seeds by their spread; no interval where neither varies.
    """
    every = np.arange(n_classes)
    values = np.array([statistic(every) for statistic in statistics])
    left_out = np.array([[statistic(np.delete(every, c)) for c in every] for statistic in statistics]).mean(axis=0)
    variance = (n_classes - 1) * left_out.var()
    if len(values) > 1:
        variance += values.var(ddof=1) / len(values)
    half = student_quantile(1 - ALPHA / 2, n_classes - 1) * np.sqrt(variance) if variance > 0 else np.nan
    low, high = np.clip([values.mean() - half, values.mean() + half], least, most)
    return float(values.mean()), float(low), float(high)


def _interval(difference: crossed.Difference, least: float = 0.0, most: float = 1.0) -> Interval:
    low, high = np.clip([difference.low, difference.high], least, most)
    return float(difference.difference), float(low), float(high)


def f1_minus_accuracy(runs: list[Run]) -> Interval:
    parts = [crossed.influences(run) for run in runs]
    influence = np.stack([part["macro_f1"] - part["accuracy"] for part in parts])
    values = np.array([metrics.macro_f1(run) - metrics.accuracy(run) for run in runs])
    return _interval(crossed.mean(values, crossed.image_covariance(influence, *crossed.strata(runs[0].labels))), -1)


def accuracy(runs: list[Run]) -> Interval:
    return _by_images(runs, [run.correct for run in runs], [np.ones(run.n_images) for run in runs])


def macro_auc(runs: list[Run]) -> Interval:
    if absent.why("macro_auc", *runs):
        return NOTHING
    areas = delong.one_vs_rest(runs)
    covariance = crossed.image_covariance(areas.influence, *crossed.strata(runs[0].labels))
    return _interval(crossed.mean(crossed.macro_auc_values(areas), covariance))


def diagonal(runs: list[Run]) -> Interval:
    """Mean recall of the classes: each image counts by its class's size."""
    weight = 1 / np.bincount(runs[0].labels)[runs[0].labels]
    return _by_images(runs, [run.correct for run in runs], [weight] * len(runs))


def confidence_when_right(runs: list[Run]) -> Interval:
    if absent.why("confidence", *runs):
        return NOTHING
    return _by_images(runs, [softmax.confidence(run) for run in runs], [run.correct for run in runs])


def classes_with_strong_confusions(runs: list[Run]) -> Interval:
    if runs[0].superclass_of is None:
        return NOTHING
    superclass_of = runs[0].superclass_of

    def of(run: Run) -> Callable[[np.ndarray], float]:
        counts = metrics.confusion(run)
        cells, support = counts.tocoo(), counts.sum(axis=1)
        unrelated = superclass_of[cells.row] != superclass_of[cells.col]
        strong = np.zeros(run.n_classes, bool)
        strong[cells.row[unrelated & (cells.data >= STRONG * support[cells.row])]] = True
        return lambda classes: strong[classes].mean()

    value, low, high = _by_classes([of(run) for run in runs], runs[0].n_classes)
    return _all_or_none(value, runs[0].n_classes) if np.isnan(low) else (value, low, high)


def largest_block(runs: list[Run]) -> Interval:
    first = runs[0]
    if first.superclass_of is None or len(first.superclass_names) < 2:
        return NOTHING
    fold = softmax.superclass_fold(first)
    counts = np.mean([(fold.T @ metrics.confusion(run) @ fold).toarray() for run in runs], axis=0)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    true, predicted = np.unravel_index(shares.argmax(), shares.shape)
    among = first.superclass_of[first.labels] == true
    return _by_images(runs, [first.superclass_of[run.predictions] == predicted for run in runs], [among] * len(runs))


def true_class_ranks_high(runs: list[Run]) -> Interval:
    if absent.why("top5", *runs):
        return NOTHING
    return _by_images(runs, [metrics.true_rank(run) < TOP for run in runs], [~run.correct for run in runs])


def neighbor_ratio(runs: list[Run], group: str) -> Interval:
    """Map neighbours of the same class, or, of those of another class, of the same superclass: share / chance."""
    labels, superclass_of = runs[0].labels, runs[0].superclass_of
    if (
        any(run.tsne is None for run in runs)
        or len(labels) <= NEIGHBORS
        or (group == "superclass" and superclass_of is None)
    ):
        return NOTHING
    near = [labels[_nearest(run.tsne)] for run in runs]
    size = np.bincount(labels)[labels]
    same = [neighbors == labels[:, None] for neighbors in near]
    if group == "class":
        counted, among = [x.mean(axis=1) for x in same], [np.ones(len(labels))] * len(runs)
        chance = ((size - 1) / (len(labels) - 1)).mean()
    else:
        of_image = superclass_of[labels]
        kin = [superclass_of[neighbors] == of_image[:, None] for neighbors in near]
        among = [(~x).sum(axis=1) for x in same]
        counted = [(k & ~x).sum(axis=1) / np.maximum(d, 1) for k, x, d in zip(kin, same, among, strict=True)]
        chance = ((np.bincount(of_image)[of_image] - size) / (len(labels) - size)).mean()
    if not chance > 0:
        return NOTHING
    value, low, high = _by_images(runs, counted, among)
    return value / chance, low / chance, high / chance


def _nearest(points: np.ndarray) -> np.ndarray:
    """Rows of the NEIGHBORS nearest other points of each point, (N, NEIGHBORS)."""
    from sklearn.neighbors import NearestNeighbors  # here: it takes a tenth of a second, and few pages ask for it

    return NearestNeighbors(n_neighbors=NEIGHBORS).fit(points).kneighbors(return_distance=False)


def smoothness(runs: list[Run]) -> Interval:
    """Rank correlation of class distances on the map with those between the classes' mean log-probabilities."""

    if absent.why("confidence", *runs):
        return NOTHING

    from scipy.spatial.distance import pdist  # here: it takes a tenth of a second, and only the replication asks for it

    def of(run: Run) -> Callable[[np.ndarray], float]:
        centers, _ = _class_centers(run)
        scores = run.logits - softmax.log_normalizer(run)[:, None]
        profiles = np.stack([scores[run.labels == c].mean(axis=0) for c in range(run.n_classes)])
        correlation = _rank_correlation(pdist(centers), pdist(profiles))
        first, second = np.triu_indices(run.n_classes, 1)  # the pairs in the order of pdist
        return lambda classes: correlation(np.isin(first, classes) & np.isin(second, classes))

    return _by_classes([of(run) for run in runs], runs[0].n_classes, -1) if _can_correlate_classes(runs) else NOTHING


def center_density(runs: list[Run]) -> Interval:
    """Images within half of the radius that holds 95% of them, over the quarter of the area that this is of."""
    if any(run.tsne is None for run in runs):
        return NOTHING
    inside, among = [], []
    for run in runs:
        distance = np.linalg.norm(run.tsne - np.median(run.tsne, axis=0), axis=1)
        radius = np.quantile(distance, 0.95)
        among.append(distance <= radius)
        inside.append(distance <= radius / 2)
    value, low, high = _by_images(runs, inside, among)
    return 4 * value, 4 * low, 4 * high


def center_variability(runs: list[Run]) -> Interval:
    """Rank correlation of how far a class lies from the middle of the map with how far its images scatter."""

    def of(run: Run) -> Callable[[np.ndarray], float]:
        centers, scatter = _class_centers(run)
        correlation = _rank_correlation(np.linalg.norm(centers - np.median(run.tsne, axis=0), axis=1), scatter)
        return lambda classes: correlation(np.isin(np.arange(run.n_classes), classes))

    return _by_classes([of(run) for run in runs], runs[0].n_classes, -1) if _can_correlate_classes(runs) else NOTHING


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], float]:
    """Spearman's correlation of those places, bool (n,), of `x` and `y` that are kept; NaN where one does not vary.

    SciPy's would sort and test anew for every class that the jackknife leaves out.
    """
    orders = [np.argsort(values, kind="stable") for values in (x, y)]

    def of(kept: np.ndarray) -> float:
        ranks = np.zeros((2, len(kept)))
        for rank, values, order in zip(ranks, (x, y), orders, strict=True):
            places = order[kept[order]]
            first = np.append(True, np.diff(values[places]) > 0)  # of equal values, which share the mean of their ranks
            ends = np.append(np.flatnonzero(first), len(places))
            group = np.cumsum(first)
            rank[places] = (ends[group - 1] + ends[group] - len(places)) / 2
        return float(ranks[0] @ ranks[1] / size) if (size := np.linalg.norm(ranks, axis=1).prod()) > 0 else np.nan

    return of


def _class_centers(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Median place of each class on the map (C, 2), and the median distance of its images from it (C,)."""
    places = [run.tsne[run.labels == c] for c in range(run.n_classes)]
    centers = np.stack([np.median(place, axis=0) for place in places])
    return centers, np.array([np.median(np.linalg.norm(p - c, axis=1)) for p, c in zip(places, centers, strict=True)])


def _can_correlate_classes(runs: list[Run]) -> bool:
    """Enough classes for a correlation of them (few enough for a jackknife), each with images and a place."""
    n_classes, counts = runs[0].n_classes, np.bincount(runs[0].labels, minlength=runs[0].n_classes)
    return all(run.tsne is not None for run in runs) and 10 <= n_classes <= 200 and counts.min() >= 2


def imbalance(runs: list[Run]) -> Interval:
    """Standard deviation of recall between classes, less what the few images of each class bring."""
    size = np.bincount(runs[0].labels, minlength=runs[0].n_classes)
    if size.min() < 2 or len(size) < 3:
        return NOTHING

    def of(run: Run) -> Callable[[np.ndarray], float]:
        recall = np.bincount(run.labels[run.correct], minlength=run.n_classes) / size
        noise = recall * (1 - recall) / (size - 1)
        return lambda classes: np.sqrt(max(recall[classes].var(ddof=1) - noise[classes].mean(), 0))

    return _by_classes([of(run) for run in runs], runs[0].n_classes)
