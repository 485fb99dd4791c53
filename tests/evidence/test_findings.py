"""Every finding recomputed by plain NumPy straight from the arrays of a run file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import made_run, of_cifar100

from cifarcore.evidence import findings, softmax
from cifarcore.reports.result import compare
from cifarcore.runs.run import load_run, save_run

BUNDLED = Path(__file__).parents[2] / "checkpoints"

MAP = "t-SNE (CI for this one map of a run): "


def ranks(values):
    """Average ranks, by comparing all pairs."""
    values = np.asarray(values)
    return np.array([(values < x).sum() + (values == x).sum() / 2 for x in values])


def plain_findings(path):
    """Measure -> value, of one run file, with NumPy alone."""
    file = np.load(path)
    z, y, group = file["logits"].astype(np.float64), file["labels"].astype(int), file["superclass_of"].astype(int)
    n, c = z.shape
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    given, right = z.argmax(1), z.argmax(1) == y
    table = np.zeros((c, c))
    np.add.at(table, (y, given), 1)
    recall = np.diag(table) / table.sum(1)
    f1 = 2 * np.diag(table) / (table.sum(0) + table.sum(1))
    auc = []
    for k in range(c):
        order = np.argsort(np.argsort(p[:, k] if n > 2000 else ranks(p[:, k]), kind="stable"), kind="stable") + 1
        if n <= 2000:
            order = ranks(p[:, k]) + 0.5
        m = (y == k).sum()
        auc.append((order[y == k].sum() - m * (m + 1) / 2) / (m * (n - m)))
    unrelated = group[:, None] != group[None]
    strong = ((table / table.sum(1, keepdims=True) >= 0.1) & unrelated).any(1)
    blocks = np.zeros((group.max() + 1,) * 2)
    np.add.at(blocks, (group[y], group[given]), 1)
    shares = blocks / blocks.sum(1, keepdims=True)
    np.fill_diagonal(shares, 0)
    place = (np.argsort(-z, axis=1, kind="stable") == y[:, None]).argmax(1)
    xy = file["tsne"].astype(np.float64)
    same, kin, others = [], [], []
    for i in range(n):
        distance = ((xy - xy[i]) ** 2).sum(1)
        distance[i] = np.inf
        near = np.argpartition(distance, 10)[:10]
        same.append((y[near] == y[i]).mean())
        others.append((y[near] != y[i]).sum())
        kin.append(((group[y[near]] == group[y[i]]) & (y[near] != y[i])).sum())
    size, family = np.bincount(y)[y], np.bincount(group[y])[group[y]]
    middle = np.median(xy, axis=0)
    radius = np.hypot(*(xy - middle).T)
    inside = radius <= np.quantile(radius, 0.95)
    centers = np.array([np.median(xy[y == k], axis=0) for k in range(c)])
    scatter = [np.median(np.hypot(*(xy[y == k] - centers[k]).T)) for k in range(c)]
    profile = np.array([np.log(p[y == k]).mean(0) for k in range(c)])
    i, j = np.triu_indices(c, 1)
    apart, unlike = np.hypot(*(centers[i] - centers[j]).T), np.sqrt(((profile[i] - profile[j]) ** 2).sum(1))
    noise = recall * (1 - recall) / (np.bincount(y) - 1)
    return {
        "macro-F1 minus accuracy": f1.mean() - right.mean(),
        "macro-AUC": np.mean(auc),
        "accuracy": right.mean(),
        "mean recall: the diagonal of the confusion matrix": recall.mean(),
        "mean confidence when correct": p.max(1)[right].mean(),
        "share of classes with 10% of their images or more misclassified as one class of another "
        "superclass": strong.mean(),
        "largest share of one superclass's images misclassified as one other superclass": shares.max(),
        "share of errors whose true class is among the first 5": (place[~right] < 5).mean(),
        MAP + "share of the 10 nearest images of the same class, times chance": np.mean(same)
        / ((size - 1) / (n - 1)).mean(),
        MAP + "share of the same superclass among the 10 nearest images of other classes, times chance": np.sum(kin)
        / np.sum(others)
        / ((family - size) / (n - size)).mean(),
        MAP + "rank correlation of distances between classes with those of their mean log-probabilities": np.corrcoef(
            ranks(apart), ranks(unlike)
        )[0, 1],
        MAP + "density of images in the inner quarter of the area, times the mean": 4
        * (radius <= np.quantile(radius, 0.95) / 2).sum()
        / inside.sum(),
        MAP + "rank correlation of a class's distance from the middle with the scatter of its images": np.corrcoef(
            ranks(np.hypot(*(centers - middle).T)), ranks(scatter)
        )[0, 1],
        "standard deviation of recall between classes, beyond sampling noise": np.sqrt(
            max(recall.var(ddof=1) - noise.mean(), 0)
        ),
    }


def check(table, paths, model):
    plain = plain_findings(paths[0])
    found = table[(table["model"] == model)].set_index("measure")["value"]
    assert set(found.index) == set(plain)
    for measure, expected in plain.items():
        # equally far neighbours on the map, and float32: far below the last digit shown
        assert found[measure] == pytest.approx(expected, abs=1e-5, rel=1e-4), measure


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [save_run(made_run(20, 1200, 0.55, seed, "cnn"), folder / f"cnn-{seed}.npz") for seed in range(3)]


def test_every_measure_equals_plain_numpy(paths):
    run = load_run(paths[0])
    check(findings.findings([run], [run]), paths, "A")


def test_every_measure_of_the_bundled_runs_equals_plain_numpy():
    paths = [BUNDLED / f"{name}-quick-0.npz" for name in ("cnn", "resnet18")]
    if not all(path.exists() for path in paths):
        pytest.skip("the bundled quick runs are not there; cifarcore train, evaluate and project make them")
    table = findings.findings(*([load_run(path)] for path in paths))
    check(table, paths[:1], "A")
    check(table, paths[1:], "B")
    a, b = (load_run(path).correct for path in paths)
    gain = table.set_index("measure").loc["B − A in accuracy, all images"]
    assert gain["value"] == pytest.approx(b.mean() - a.mean()) and gain["verdict"] == findings.HOLDS


def test_seeds_are_averaged_and_widen_the_interval(paths):
    runs = [load_run(path) for path in paths]
    three = findings.findings(runs, runs[:1])
    a = three[three["model"] == "A"].set_index("measure")["value"]
    each = [findings.findings([run], [run]) for run in runs]
    each = [table[table["model"] == "A"].set_index("measure")["value"] for table in each]
    means = sum(each) / 3
    blocks = "largest share of one superclass's images misclassified as one other superclass"
    # the block is chosen by the mean
    np.testing.assert_allclose(a.drop(blocks), means.drop(blocks))


def test_verdicts_follow_the_interval():
    for interval, bounds, verdict in (
        ((0.5, 0.45, 0.55), (0.4, 0.6), findings.HOLDS),
        ((0.5, 0.35, 0.55), (0.4, 0.6), findings.UNKNOWN),
        ((0.7, 0.65, 0.75), (0.4, 0.6), findings.FAILS),
        ((0.1, 0.05, 0.15), (0.4, np.inf), findings.FAILS),
        ((np.nan, np.nan, np.nan), (0.4, 0.6), findings.UNKNOWN),
    ):
        assert findings._row("claim", "measure", bounds, "A", interval)["verdict"] == verdict


def test_intervals_cover_what_repeating_would_give():
    """Shares of images and statistics of classes against drawing images, or classes, anew."""
    run = made_run(20, 2000, 0.6)
    table = findings.findings([run], [run])
    row = table[(table["measure"] == "mean confidence when correct") & (table["model"] == "A")].iloc[0]
    rng, drawn = np.random.default_rng(0), []
    sure = softmax.confidence(run)
    for _ in range(1000):
        rows = np.concatenate([rng.choice(np.flatnonzero(run.labels == c), 100) for c in range(20)])
        drawn.append(sure[rows][run.correct[rows]].mean())
    assert (row["high"] - row["low"]) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.1)


def test_input_size_is_told_from_runs_that_differ_in_nothing_else():
    def at(size, accuracy, seed):
        run = made_run(10, 800, accuracy, seed, "resnet18")
        return replace(run, meta=run.meta | {"config": run.meta["config"] | {"image_size": size, "seed": seed}})

    small, large = [at(32, 0.5, seed) for seed in (0, 1)], [at(64, 0.7, seed) for seed in (0, 1)]
    row = findings.findings(small, small, others=large).query("claim == 'low resolution limits accuracy'").iloc[0]
    assert row["value"] == pytest.approx(0.2, abs=0.01) and row["verdict"] == findings.HOLDS
    assert "64 pixels minus that at 32" in row["measure"] and "images" not in row["measure"]
    part = [replace(run.take(np.arange(300)), digest="part") for run in large[:1]]
    row = findings.findings(small, small, others=part).query("claim == 'low resolution limits accuracy'").iloc[0]
    assert row["measure"].endswith("(resnet18, the rest alike, on the 300 images that these share)")
    others = {
        "another recipe": at(64, 0.7, 0).meta["config"] | {"epochs": 99},
        "no size": at(64, 0.7, 0).meta["config"] | {"image_size": [64]},
    }
    other_runs = [replace(large[0], meta=large[0].meta | {"config": config}) for config in others.values()]
    other_images = replace(large[0], sample_ids=large[0].sample_ids + np.uint64(1))
    for other in (*other_runs, other_images):
        row = findings.findings(small, small, others=[other]).query("claim == 'low resolution limits accuracy'").iloc[0]
        assert np.isnan(row["value"]) and row["verdict"] == findings.UNKNOWN


def test_the_pretrained_claim_is_only_about_such_a_pair():
    a, b = made_run(10, 500, 0.5, model="cnn"), made_run(10, 500, 0.7, model="resnet18")
    claim = "the pretrained ResNet-18 beats the CNN"
    assert findings.findings([a], [b]).set_index("claim").loc[[claim]]["value"].isna().all()
    b = replace(b, meta=b.meta | {"initialised_from": "ImageNet (IMAGENET1K_V1)"})
    rows = findings.findings([a], [b]).set_index("claim").loc[[claim]]
    assert rows.iloc[0]["value"] == pytest.approx(0.2, abs=0.005) and rows.iloc[0]["verdict"] == findings.HOLDS
    # the two halves add up to the whole
    assert rows["value"].iloc[1:].mean() == pytest.approx(rows["value"].iloc[0], abs=0.01)


def test_gain_by_superclass_adds_up():
    a, b = made_run(20, 1000, 0.5, model="cnn"), made_run(20, 1000, 0.6, model="resnet18")
    table = findings.gain_by_superclass([a], [b])
    assert table["gained"].sum() == pytest.approx(b.correct.sum() - a.correct.sum())
    assert findings.gain_by_superclass([made_run(superclasses=False)], [made_run(superclasses=False)]).empty


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (3, 12), (150, 450)])
def test_other_sizes_and_missing_arrays(n_classes, n_images):
    a = made_run(n_classes, n_images, 0.5, maps=False, superclasses=n_classes != 3)
    table = findings.findings([a], [made_run(n_classes, n_images, 0.5, 1, superclasses=n_classes != 3)])
    maps = table[table["measure"].str.startswith("t-SNE") & (table["model"] == "A")]
    assert maps["value"].isna().all() and (maps["verdict"] == findings.UNKNOWN).all()


def test_intervals_hold_only_what_is_possible():
    run = made_run(3, 30, 0.97)
    table = findings.findings([run], [run]).set_index("measure")
    for measure in ("macro-AUC", "accuracy", "mean recall: the diagonal of the confusion matrix"):
        rows = table.loc[measure]
        assert (rows["high"] <= 1).all() and (rows["low"] < rows["value"]).all(), measure
    assert (table.loc["macro-AUC", "high"] == 1).all()


def test_the_claims_are_about_cifar_100_alone():
    """Known by its images: others may have classes of the same names."""
    named, official = made_run(100, 200), of_cifar100(made_run(100, 200))
    assert findings.is_about(official) and not findings.is_about(named) and not findings.is_about(made_run(10, 100))
    assert findings.is_about(official.take(np.arange(50)))
    assert not findings.is_about(replace(official, class_names=np.array([f"class {c}" for c in range(100)])))
    title = "Replication of the report"
    assert title not in compare(named, made_run(100, 200, 0.7)).html()
    assert title in compare(official, of_cifar100(made_run(100, 200, 0.7))).html()


def test_bounds_are_the_reports_own_words_and_numbers():
    run = made_run(10, 200)
    table = findings.findings([run], [run])
    auc = "macro-AUC is about 0.98 while accuracy is about 0.58"
    beats = "the pretrained ResNet-18 beats the CNN"
    centre = "the map shows a dense centre of variable classes"
    assert table[table["model"] != "B"][["claim", "bounds"]].to_numpy().tolist() == [
        ["macro-F1 is close to accuracy", "−0.01 to 0.01"],
        [auc, "0.97 to 0.99"],
        [auc, "0.55 to 0.61"],
        ["high diagonal confidence, 0.8 to 0.9", "0.8 to 0.9"],
        ["high diagonal confidence, 0.8 to 0.9", "0.8 to 0.9"],
        ["few strong confusions between unrelated classes", "at most 0.1"],
        ["errors do not form blocks of whole categories", "at most 0.1"],
        ["a misclassified image's true class still ranks high", "at least 0.5"],
        ["the map shows local clusters", "at least 10"],
        ["the map shows overlap between similar classes", "at least 2"],
        ["the map shows a smooth global structure", "at least 0.3"],
        [centre, "at least 1"],
        [centre, "at most −0.3"],
        ["performance is balanced across classes", "at most 0.1"],
        ["low resolution limits accuracy", "above 0"],
        [beats, "above 0"],
        [beats, "above 0"],
        [beats, "above 0"],
    ]


def test_the_interval_may_reach_the_bounds():
    for low, high, verdict in (
        (0.4, 0.6, findings.HOLDS),
        (0.39, 0.6, findings.UNKNOWN),
        (0.4, 0.61, findings.UNKNOWN),
        (0.61, 0.7, findings.FAILS),
        (0.6, 0.7, findings.UNKNOWN),
        (0.3, 0.39, findings.FAILS),
        (0.3, 0.4, findings.UNKNOWN),
        (0.4, np.inf, findings.UNKNOWN),
    ):
        row = findings._row("claim", "measure", (0.4, 0.6), "A", (0.5, low, high))
        assert row == {
            "claim": "claim", "measure": "measure", "bounds": "0.4 to 0.6", "least": 0.4, "most": 0.6, "model": "A",
            "value": 0.5, "low": low, "high": high, "verdict": verdict,
        }  # fmt: skip


def test_the_gain_is_that_of_the_halves_that_a_is_surer_of_and_less_sure_of():
    a = [made_run(10, 501, accuracy, seed, "cnn") for seed, accuracy in enumerate((0.5, 0.55))]
    b = [made_run(10, 501, 0.7, seed, "resnet18") for seed in (0, 1)]
    b = [replace(run, meta=run.meta | {"initialised_from": "ImageNet (IMAGENET1K_V1)"}) for run in b]
    rows = findings.findings(a, b).set_index("measure")
    sure = np.mean([softmax.probabilities(run).max(axis=1) for run in a], axis=0)
    difference = np.mean([run.correct for run in b], axis=0) - np.mean([run.correct for run in a], axis=0)
    for text, subset in (
        ("all images", sure >= 0),
        ("the half on which A is less confident", sure <= np.sort(sure)[250]),
        ("the half on which A is more confident", sure > np.sort(sure)[250]),
    ):
        row = rows.loc[f"B − A in accuracy, {text}"]
        assert row["value"] == pytest.approx(difference[subset].mean()) and row["model"] == "B − A"
    assert "A is less" in findings.findings(b, a).iloc[-2]["measure"]
    for others in (a[:1] + b[:1], [replace(run, meta=run.meta | {"model": "vit"}) for run in b]):
        assert findings.findings(a, others)["value"].tail(3).isna().all()
    trained = replace(a[0], meta=a[0].meta | {"initialised_from": "ImageNet (IMAGENET1K_V1)"})
    assert findings.findings([a[1], trained], b)["value"].tail(3).isna().all()


def test_input_sizes_are_the_smallest_and_the_largest():
    def at(size, accuracy, **config):
        run = made_run(10, 300, accuracy, model="resnet18")
        config = run.meta["config"] | {"image_size": size} | config
        return replace(run, meta=run.meta | {"config": config}, digest=f"{size} {config}")

    runs = [at(64, 0.6, threads=4), at(32, 0.5, seed=7, device="cuda"), at(128, 0.8, preset="other", num_workers=3)]
    row = findings.findings(runs[:1], runs[1:2], runs[2:]).query("claim == 'low resolution limits accuracy'").iloc[0]
    assert row["measure"] == "accuracy at 128 pixels minus that at 32 (resnet18, the rest alike)"
    assert row["value"] == pytest.approx(runs[2].correct.mean() - runs[1].correct.mean())
    shared = made_run(10, 300, 0.6)
    row = findings.findings([shared], [shared]).query("claim == 'low resolution limits accuracy'").iloc[0]
    assert row["measure"].startswith("accuracy at a larger input size minus that at a smaller (needs runs")


def test_gain_by_superclass_is_the_recall_of_its_classes():
    a = [made_run(20, 600, accuracy, seed, "cnn") for seed, accuracy in enumerate((0.4, 0.45))]
    b = [made_run(20, 600, 0.7, seed, "resnet18") for seed in range(3)]
    table = findings.gain_by_superclass(a, b)
    of_image = a[0].superclass_of[a[0].labels]
    assert sorted(table["name"]) == sorted(a[0].superclass_names) and (np.diff(table["gained"]) <= 0).all()
    for row in table.itertuples():
        rows = of_image == a[0].superclass_names.tolist().index(row.name)
        recall = [np.mean([run.correct[rows].mean() for run in side]) for side in (a, b)]
        assert row.images == rows.sum() and [row.a, row.b] == pytest.approx(recall)
        assert row.gained == pytest.approx((recall[1] - recall[0]) * rows.sum())
    assert "improved" in set(table["claim"])
    back = findings.gain_by_superclass(b, a)
    assert "declined" in set(back["claim"]) and "improved" not in set(back["claim"])


def test_a_model_is_known_by_how_its_name_begins():
    run = made_run()
    for model, start, expected in (
        ("ResNet18", "ImageNet-1k", True),
        ("resnet", "random", False),
        ("cnn", "ImageNet", False),
    ):
        meta = run.meta | {"model": model, "initialised_from": start}
        assert findings._is(replace(run, meta=meta), "resnet", "imagenet") == expected
    assert not findings._is(replace(run, meta={}), "resnet", "imagenet")
