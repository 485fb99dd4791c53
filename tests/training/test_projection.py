import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run
from processes import cifarcore
from scipy.spatial import procrustes
from sklearn.manifold import trustworthiness

from cifarcore.config import ProjectConfig
from cifarcore.data.cifar100 import fingerprint
from cifarcore.errors import CifarcoreError
from cifarcore.runs.alignment import matching_rows
from cifarcore.runs.run import load_run, save_run
from cifarcore.training import projection
from cifarcore.training.projection import (
    MAPS,
    map_quality,
    nearest_rows,
    project,
    standardise,
    tsne_map,
    turn_onto,
    umap_map,
    unit_rows,
)

N, D, M = 400, 16, 400
CONFIG = ProjectConfig(perplexity=10, umap_neighbors=10)  # for so few images


def made_features(run, seed=0, spread=0.7):
    """Clusters by class; a row depends on its image, not on its place."""
    centers = np.random.default_rng(seed).standard_normal((run.n_classes, D))
    noise = np.stack([np.random.default_rng([seed, int(i)]).standard_normal(D) for i in run.sample_ids])
    return (centers[run.labels] + spread * noise).astype(np.float32)


@pytest.fixture(scope="module")
def run():
    return made_run(n_images=N, maps=False, neighbors=False)


@pytest.fixture(scope="module")
def train():
    rng = np.random.default_rng(7)
    labels = np.arange(M) % 10
    features = np.random.default_rng(0).standard_normal((10, D))[labels] + 0.7 * rng.standard_normal((M, D))
    return features.astype(np.float16), rng.integers(2**64, size=M, dtype=np.uint64), labels


@pytest.fixture(scope="module")
def projected(run, train):
    return project(run, made_features(run), *train, config=CONFIG)


def test_maps_neighbours_and_meta_make_a_valid_run_file(projected, tmp_path):
    read = load_run(save_run(projected, tmp_path / "run.npz"))
    for name in MAPS:
        positions = getattr(read, name)
        assert positions.shape == (N, 2) and positions.dtype == np.float32
        assert np.allclose(positions.mean(axis=0), 0, atol=1e-5)
        assert np.isclose(np.mean(positions**2), 1, atol=1e-5)
        assert 0.8 < read.meta["maps"][name]["trustworthiness"] <= 1
        assert 0.2 < read.meta["maps"][name]["neighbor_preservation"] <= 1
    assert read.meta["map_source"] == "features"
    assert read.train_neighbor_ids.shape == (N, 5)
    assert read.train_neighbor_labels.dtype == np.int16 and read.train_neighbor_cosine.dtype == np.float16
    assert np.mean(read.train_neighbor_labels == read.labels[:, None]) > 0.8
    sizes = np.bincount(read.clusters)
    assert read.clusters.dtype == np.int16 and len(sizes) == min(20, N // 64) and (np.diff(sizes) <= 0).all()
    purity = np.mean([np.bincount(read.labels[read.clusters == k]).max() / size for k, size in enumerate(sizes)])
    assert purity > 2 * np.bincount(read.labels).max() / N, "clusters gather classes"


def test_order_of_the_test_images_changes_nothing(run, train, projected):
    shuffled = run.take(np.random.default_rng(1).permutation(N))
    assert fingerprint(shuffled.sample_ids, shuffled.labels) == fingerprint(run.sample_ids, run.labels)
    again = project(shuffled, made_features(shuffled), *train, config=CONFIG)
    here, there = matching_rows(projected, again)
    for name in (*MAPS, "clusters", "train_neighbor_ids", "train_neighbor_labels", "train_neighbor_cosine"):
        assert np.array_equal(getattr(projected, name)[here], getattr(again, name)[there]), name
    assert again.meta["maps"] == projected.meta["maps"]


def test_second_map_lies_on_the_first_whatever_the_order(run, projected):
    other = replace(run, meta=run.meta | {"model": "resnet18"})
    features = made_features(run, seed=1)  # as another model's: the same classes, elsewhere in another space
    alone, aligned = (project(other, features, align_to=reference, config=CONFIG) for reference in (None, projected))
    order = np.random.default_rng(2).permutation(N)
    shuffled = project(other.take(order), features[order], align_to=projected, config=CONFIG)
    for name in MAPS:
        assert np.array_equal(getattr(shuffled, name), getattr(aligned, name)[order])
        first = getattr(projected, name)

        def disparity(second):
            return procrustes(first, getattr(second, name))[2]

        # UMAP's first steps are long: on so few images they move all of them
        assert disparity(aligned) < {"tsne": 0.5, "umap": 0.9}[name] * disparity(alone)
        facts, before = (second.meta["maps"][name] for second in (aligned, alone))
        assert facts["trustworthiness"] > before["trustworthiness"] - 0.02
        assert facts["disparity"] == pytest.approx(disparity(aligned), abs=1e-4)
        assert facts["aligned_to"] == projected.name


def test_align_to_a_run_with_some_of_the_images_only(run, projected):
    few = projected.take(np.arange(0, N, 2))
    aligned = project(run, made_features(run), align_to=few, config=CONFIG)
    for name in MAPS:
        there = getattr(aligned, name)[np.arange(0, N, 2)]
        assert np.corrcoef(there.ravel(), getattr(few, name).ravel())[0, 1] > 0.8


def test_without_features_the_log_probabilities_are_mapped(run):
    mapped = project(run, config=CONFIG)
    assert mapped.meta["map_source"] == "log-probabilities"
    assert mapped.train_neighbor_ids is None
    assert mapped.meta["maps"]["tsne"]["trustworthiness"] > 0.7


def test_training_labels_follow_their_ids(run, train):
    features, ids, labels = train
    projected = project(run, made_features(run), features, ids, labels, config=CONFIG)
    label_of = dict(zip(ids.tolist(), labels.tolist(), strict=True))
    found = [[label_of[i] for i in row] for row in projected.train_neighbor_ids.tolist()]
    assert np.array_equal(found, projected.train_neighbor_labels)


@pytest.mark.parametrize("k", [1, 5, 60])
def test_nearest_rows_against_a_full_sort(k):
    rng = np.random.default_rng(0)
    queries, base = unit_rows(rng.standard_normal((1203, 8))), unit_rows(rng.standard_normal((50, 8)))
    rows, cosine = nearest_rows(queries, base, k)
    k = min(k, 50)
    similarity = queries @ base.T
    assert np.array_equal(rows, np.argsort(-similarity, axis=1)[:, :k])
    # float32, and two ways to sum: a cosine near 0 is a difference of numbers up to 1, exact to some 1e-7
    assert np.allclose(cosine, -np.sort(-similarity, axis=1)[:, :k], rtol=0, atol=1e-6)


def test_trustworthiness_against_scikit_learn():
    rng = np.random.default_rng(0)
    points = unit_rows(rng.standard_normal((1100, 20)))
    positions = points[:, :2] + 0.1 * rng.standard_normal((1100, 2))
    quality = map_quality(points, positions, k=15)
    assert quality["trustworthiness"] == pytest.approx(trustworthiness(points, positions, n_neighbors=15), abs=1e-6)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    on_map = np.linalg.norm(positions[:, None] - positions, axis=2)
    nearest, shown = (np.argsort(d, axis=1)[:, 1:16] for d in (distance, on_map))
    shared = np.mean([len(set(a) & set(b)) / 15 for a, b in zip(nearest, shown, strict=True)])
    assert quality["neighbor_preservation"] == pytest.approx(shared, abs=1e-6)


def test_a_perfect_map_is_wholly_trusted():
    points = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    assert map_quality(points, points) == {"trustworthiness": 1.0, "neighbor_preservation": 1.0}


def test_turn_onto_undoes_rotation_reflection_scale_and_shift():
    reference = standardise(np.random.default_rng(0).standard_normal((50, 2)) * [3, 1])
    angle = 1.1
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])  # turns and mirrors
    rows = np.arange(5, 45)
    turned, disparity = turn_onto(7 * reference @ turn + [3, -9], reference[rows], rows)
    assert np.allclose(turned, reference)
    assert disparity == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("make", [tsne_map, umap_map])
def test_the_seed_decides_and_is_heeded(make, run):
    points, start = unit_rows(made_features(run))[:200], standardise(made_run(n_images=N).tsne)[:200]
    first, again, other = (make(points, start, ProjectConfig(seed=seed))[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert make is tsne_map or not np.array_equal(first, other)  # t-SNE from a given start draws nothing


def test_bad_input_is_refused_with_one_line(run, projected):
    with pytest.raises(CifarcoreError, match="test features have shape"):
        project(run, made_features(run)[1:])
    with pytest.raises(CifarcoreError, match="NaN"):
        project(run, np.full((N, D), np.nan))
    with pytest.raises(CifarcoreError, match="no tsne map to align to"):
        project(run, align_to=run)
    with pytest.raises(CifarcoreError, match="needs at least"):
        project(run.take(np.arange(8)))
    with pytest.raises(CifarcoreError, match="share no test image"):
        project(run, align_to=replace(projected, sample_ids=~projected.sample_ids))
    with pytest.raises(CifarcoreError, match="share 2 test images, too few to lay one map over the other"):
        project(run, align_to=projected.take(np.arange(2)))


def test_umap_is_imported_only_when_a_map_is_made():
    code = "import sys, cifarcore.training.projection; assert not {'umap', 'torch', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("told", ["", "elsewhere"])
def test_what_numba_compiles_is_kept_where_this_user_may_write(tmp_path, monkeypatch, told):
    """Beside the package, which may be another user's, it cannot: all of t-SNE was lost."""

    class Umap:
        def __init__(self, **_):
            kept.append(os.environ["NUMBA_CACHE_DIR"])

        def fit_transform(self, points):
            return points[:, :2]

    kept = []
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Umap))
    monkeypatch.setattr(projection, "cache_folder", lambda: tmp_path)
    monkeypatch.setenv("NUMBA_CACHE_DIR", told)
    if not told:
        monkeypatch.delenv("NUMBA_CACHE_DIR")
    umap_map(np.random.default_rng(0).random((20, 3)), None, CONFIG)
    assert kept == [told or str(tmp_path / "numba")]


@pytest.mark.parametrize("kind", ["one point", "zeros", "one ray"])
def test_features_that_are_all_alike_are_a_line_of_text_and_no_crash(kind):
    """As of a collapsed network: scikit-learn's start is 0/0 there, and its tree of points ends the process."""
    run = made_run(n_images=60, maps=False, neighbors=False)
    lengths = np.random.default_rng(0).uniform(0.5, 2, (60, 1))
    features = {"one point": np.ones((60, 8)), "zeros": np.zeros((60, 8)), "one ray": lengths * np.ones((60, 8))}[kind]
    with pytest.raises(CifarcoreError, match="has the same features for all 60 test images"):
        project(run, features)


@pytest.mark.parametrize("kind", ["a line", "one dimension", "three points", "one apart"])
def test_lines_and_repeated_points_have_a_map(kind):
    run = made_run(n_images=60, maps=False, neighbors=False)
    rng = np.random.default_rng(0)
    features = {
        "a line": np.outer(rng.normal(size=60), np.ones(8)),
        "one dimension": rng.normal(size=(60, 1)),
        "three points": rng.normal(size=(3, 8))[np.arange(60) % 3],
        "one apart": np.where(np.arange(60)[:, None] == 7, -1.0, 1.0) * np.ones((60, 8)),
    }[kind]
    train = features[:20]
    projected = project(run, features, train, np.arange(20, dtype=np.uint64), np.zeros(20, np.int64))
    assert all(np.isfinite(getattr(projected, name)).all() for name in ("tsne", "umap"))
    assert projected.train_neighbor_cosine.max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("line", [(0, 1), (1, 0), (1, 2), (0, 0)])
def test_a_reference_that_is_no_plane_is_refused(line):
    run = made_run(n_images=60, maps=False, neighbors=False)
    flat = np.outer(np.linspace(-1, 1, 60), line).astype(np.float32)
    features = np.random.default_rng(0).normal(size=(60, 8))
    with pytest.raises(CifarcoreError, match="tsne map of .* is a line or a point"):
        project(run, features, align_to=replace(run, tsne=flat, umap=flat))


def test_a_file_without_a_map_does_not_stop_the_others(tmp_path):
    run = made_run(n_images=60, maps=False, neighbors=False)
    collapsed = replace(run, logits=np.zeros_like(run.logits))
    paths = [
        save_run(each, tmp_path / f"{name}.npz")
        for name, each in (("collapsed", collapsed), ("sound", run), ("also", made_run(n_images=60, accuracy=0.6)))
    ]
    done = cifarcore("project", *paths)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "collapsed has the same" in done.stderr
    assert [load_run(path).tsne is None for path in paths] == [True, False, False]
    assert load_run(paths[2]).meta["maps"]["tsne"]["aligned_to"] == "sound"
