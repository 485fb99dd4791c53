"""Maps of a run's test images (t-SNE and UMAP), their clusters and nearest training images, from penultimate features.

Knows no torch. Images are worked on in the order of their ids and on one thread wherever sums decide, so the same
images give the same maps, bit for bit, in whatever order they come and however many cores there are.
"""

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

from cifarcore.config import ProjectConfig
from cifarcore.errors import CifarcoreError
from cifarcore.places import cache_folder
from cifarcore.runs.alignment import matching_rows
from cifarcore.runs.run import Run
from cifarcore.text import counted

MAPS = ("tsne", "umap")
QUALITY_NEIGHBORS = 15
# Barnes-Hut's angle: on 10,000 images of CIFAR-100 as trustworthy as scikit-learn's 0.5 (0.9758 and 0.9759, the same
# 0.360 of the neighbours kept) in two thirds of its time. Fewer iterations (750, 500) or both cost some of that.
TSNE_ANGLE = 0.8
SAME = 1e-6  # of a vector's elements that are equal but for rounding
MIN_IMAGES = 32  # below this, neither neighbourhoods of 15 nor a map of them mean anything
FEWEST_SHARED = 3  # points below which a map can be turned onto another in many ways
CLUSTERS = 20  # as many as categories are searched for slices
_CHUNK = 500


def project(
    run: Run,
    test_features: np.ndarray | None = None,
    train_features: np.ndarray | None = None,
    train_ids: np.ndarray | None = None,
    train_labels: np.ndarray | None = None,
    align_to: Run | None = None,
    config: ProjectConfig = ProjectConfig(),
) -> Run:
    """`run` with both maps, clusters and, where training features are given, each test image's nearest training images.

    test_features: float (N, D), row i of `run`'s row i; None maps the log-probabilities of the run's own scores.
    train_features: float (M, D), with train_ids uint64 (M,) and train_labels (M,).
    align_to: a run with maps; this run's maps start from them and are turned onto them, on the images both have.
    Raises CifarcoreError where shapes do not fit, images are too few or all alike, or `align_to` has no maps, such as
    are no plane, or no shared image.
    """
    if run.n_images < MIN_IMAGES:
        raise CifarcoreError(f"{run.name} has {run.n_images} test images; a map needs at least {MIN_IMAGES}")
    order = np.lexsort((run.labels, run.sample_ids))
    if test_features is None:
        source, points = "log-probabilities", log_softmax(run.logits[order].astype(np.float32), axis=1)
    else:
        source, points = "features", unit_rows(_checked(test_features, run.n_images, "test"))[order]
    if np.abs(points - points[0]).max() < SAME:
        raise CifarcoreError(
            f"{run.name} has the same {source} for all {run.n_images} test images, as of a collapsed network; there is "
            "no map of them"
        )
    if points.shape[1] == 1:
        points = np.pad(points, ((0, 0), (0, 1)))  # a map has two dimensions

    changes: dict = {"digest": "", "clusters": _unordered(clusters(points, config.seed).astype(np.int16), order)}
    if test_features is not None and train_features is not None:
        train = unit_rows(_checked(train_features, len(train_ids), "training"))
        rows, cosine = nearest_rows(points[:, : train.shape[1]], train, config.neighbors)
        nearest = {"ids": np.asarray(train_ids)[rows], "labels": np.asarray(train_labels)[rows], "cosine": cosine}
        types = {"ids": np.uint64, "labels": run.labels.dtype, "cosine": np.float16}
        changes |= {f"train_neighbor_{name}": _unordered(v, order).astype(types[name]) for name, v in nearest.items()}

    ordered = run.take(order)
    quality = {}
    for name, make in zip(MAPS, (tsne_map, umap_map), strict=True):
        reference = None if align_to is None else _reference(ordered, align_to, name)
        start = None if reference is None else _starting_map(points, *reference)
        positions, facts = make(points, start, config)
        positions = standardise(positions)
        if reference is not None:
            positions, facts["disparity"] = turn_onto(positions, *reference)
            facts["aligned_to"] = align_to.name
        quality[name] = facts | map_quality(points, positions)
        changes[name] = _unordered(positions.astype(np.float32), order)
    return replace(run, meta=run.meta | {"map_source": source, "maps": quality}, **changes)


def clusters(points: np.ndarray, seed: int) -> np.ndarray:
    """k-means (Lloyd 1982, k-means++ starts: scikit-learn) of points (N, D): each one's cluster, int (N,), the largest
    first. As many as half of N / 32, at most CLUSTERS.
    """
    from sklearn.cluster import KMeans

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of fewer distinct points than clusters
        k = min(CLUSTERS, max(len(points) // (2 * MIN_IMAGES), 1))
        cluster_of = KMeans(k, n_init=3, random_state=seed).fit_predict(points)
    rank = np.argsort(np.argsort(-np.bincount(cluster_of, minlength=k), kind="stable"), kind="stable")
    return np.asarray(rank[cluster_of])


def tsne_map(points: np.ndarray, start: np.ndarray | None, config: ProjectConfig) -> tuple[np.ndarray, dict]:
    """t-SNE (van der Maaten & Hinton 2008, Barnes-Hut, scikit-learn) of points (N, D) -> (N, 2) and what made it.

    `start` (N, 2) is scaled down as scikit-learn scales its PCA start (Kobak & Berens 2019). It has its clusters
    already, so there is no early exaggeration, which would tear it apart: the map stays as true and far closer to it.
    """
    from sklearn.manifold import TSNE

    perplexity = min(config.perplexity, (len(points) - 1) / 3)
    init, exaggeration = (
        ("pca", 12.0) if start is None else ((start / start[:, 0].std() * 1e-4).astype(np.float32), 1.0)
    )
    # One thread: the gradient's sum would differ in its last bits with the number of threads, and then all points.
    with threadpool_limits(1):
        tsne = TSNE(
            perplexity=perplexity,
            init=init,
            early_exaggeration=exaggeration,
            angle=TSNE_ANGLE,
            random_state=config.seed,
            n_jobs=1,
        )
        positions = tsne.fit_transform(points)
    return positions, {"perplexity": float(perplexity), "kl_divergence": float(tsne.kl_divergence_)}


def umap_map(points: np.ndarray, start: np.ndarray | None, config: ProjectConfig) -> tuple[np.ndarray, dict]:
    """UMAP (McInnes, Healy & Melville 2018, umap-learn) of points (N, D) -> (N, 2) and what made it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies' future versions
        # numba keeps what it compiled beside the package, which may be another user's
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
        from umap import UMAP  # compiles for seconds

        neighbors = min(config.umap_neighbors, len(points) - 1)
        with threadpool_limits(1):
            positions = UMAP(
                n_neighbors=neighbors,
                min_dist=config.umap_min_dist,
                init="pca" if start is None else start.astype(np.float32),
                random_state=config.seed,
                n_jobs=1,
            ).fit_transform(points)
    return positions, {"n_neighbors": neighbors, "min_dist": config.umap_min_dist}


def nearest_rows(queries: np.ndarray, base: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of queries (N, D) the k rows of base (M, D) with the highest cosine; both of unit length.

    Returns row numbers (N, k) and cosines float32 (N, k), nearest first; k is at most M.
    """
    # scikit-learn's NearestNeighbors(algorithm="brute") gives the same rows, but takes 1.5 times as long by Euclidean
    # distance, whose cosines differ in the last digits, and 3 times by cosine (1,000 queries, 20,000 rows, D 256)
    k = min(k, len(base))
    rows = np.empty((len(queries), k), np.int64)
    cosine = np.empty((len(queries), k), np.float32)
    for chunk in _chunks(len(queries)):
        similarity = queries[chunk] @ base.T
        best = np.sort(np.argpartition(similarity, -k, axis=1)[:, -k:], axis=1)
        value = np.take_along_axis(similarity, best, axis=1)
        by_value = np.argsort(-value, axis=1, kind="stable")
        rows[chunk] = np.take_along_axis(best, by_value, axis=1)
        cosine[chunk] = np.take_along_axis(value, by_value, axis=1)
    return rows, np.clip(cosine, -1, 1)


def map_quality(points: np.ndarray, positions: np.ndarray, k: int = QUALITY_NEIGHBORS) -> dict[str, float]:
    """How far the k nearest of each point on the map are its nearest in truth; points (N, D), positions (N, 2).

    `trustworthiness` (Venna & Kaski 2001; as sklearn.manifold.trustworthiness, without its N x N memory) and
    `neighbor_preservation`, the share of the k nearest points that are among the k nearest on the map too.
    Both are 1 for a perfect map; N must be above 2k.
    """
    from sklearn.neighbors import NearestNeighbors

    n = len(points)
    on_map = NearestNeighbors(n_neighbors=k).fit(positions).kneighbors(return_distance=False)
    lengths = np.einsum("nd,nd->n", points, points)
    ranks = np.empty((n, k), np.int64)
    for chunk in _chunks(n):
        distance = lengths - 2 * (points[chunk] @ points.T)  # squared, less a constant of the row
        here = np.arange(len(distance))
        distance[here, chunk.start + here] = -np.inf
        for j in range(k):
            there = distance[here, on_map[chunk, j]][:, None]
            ranks[chunk, j] = np.count_nonzero(distance < there, axis=1)
    penalty = np.maximum(ranks - k, 0).sum()
    return {
        "trustworthiness": float(1 - 2 * penalty / (n * k * (2 * n - 3 * k - 1))),
        "neighbor_preservation": float(np.mean(ranks <= k)),
    }


def standardise(positions: np.ndarray) -> np.ndarray:
    """Shift to mean 0 and scale both axes together to a mean square of 1 per axis; (N, 2) -> float64 (N, 2)."""
    centered = positions - positions.mean(axis=0, dtype=np.float64)
    return centered / (np.sqrt(np.mean(centered**2)) or 1.0)


def turn_onto(positions: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Shift, scale, turn and mirror a map (N, 2) onto reference (M, 2), whose points are `rows` of it.

    Orthogonal Procrustes (Schönemann 1966, scipy) with both maps of equal spread: the least-squares scale would draw
    the second map smaller the less the two agree. Returns the map and scipy.spatial.procrustes' disparity on the
    shared points, 0 (the same map) to 1 (nothing in common).
    """
    shared, target = positions[rows], standardise(reference)
    center = shared.mean(axis=0)
    scale = np.sqrt(np.mean((shared - center) ** 2)) or 1.0
    turn, agreement = orthogonal_procrustes((shared - center) / scale, target)
    spread = np.sqrt(np.mean((reference - reference.mean(axis=0, dtype=np.float64)) ** 2))
    turned = (positions - center) / scale @ turn * spread + reference.mean(axis=0, dtype=np.float64)
    return turned, float(max(0.0, 1 - (agreement / target.size) ** 2))


def unit_rows(features: np.ndarray) -> np.ndarray:
    """Rows (N, D) scaled to length 1 as float32, so that Euclidean and cosine neighbours are the same."""
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _reference(run: Run, align_to: Run, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The other run's map of the shared images (M, 2) and their rows in `run` (M,)."""
    if getattr(align_to, name) is None:
        raise CifarcoreError(f"{align_to.name} has no {name} map to align to; run `cifarcore project` on it first")
    rows, rows_there = matching_rows(run, align_to)
    if len(rows) < FEWEST_SHARED:
        raise CifarcoreError(
            f"{run.name} and {align_to.name} share {counted(len(rows), 'test image')}, too few to lay one map over the "
            "other; align to a run on the same images"
        )
    reference = getattr(align_to, name)[rows_there]
    spread = np.linalg.svd(standardise(reference), compute_uv=False)
    if spread[-1] <= SAME * max(spread[0], 1):
        raise CifarcoreError(
            f"the {name} map of {align_to.name} is a line or a point; align to another run, or project that one again"
        )
    return reference, rows


def _starting_map(points: np.ndarray, reference: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where each point starts: at its place on the reference, or at that of the nearest point which has one."""
    start = np.empty((len(points), 2))
    start[rows] = standardise(reference)
    missing = np.setdiff1d(np.arange(len(points)), rows)
    if len(missing):
        from sklearn.neighbors import NearestNeighbors

        nearest = NearestNeighbors(n_neighbors=1).fit(points[rows]).kneighbors(points[missing], return_distance=False)
        start[missing] = start[rows[nearest[:, 0]]]
    return start


def _checked(features: np.ndarray, n: int, split: str) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2 or len(features) != n:
        raise CifarcoreError(f"{split} features have shape {features.shape}, expected ({n}, D); evaluate the run again")
    if not np.isfinite(features).all():
        raise CifarcoreError(f"{split} features hold NaN or infinite values; evaluate the run again")
    return features


def _unordered(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    result = np.empty_like(values)
    result[order] = values
    return result


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK))
