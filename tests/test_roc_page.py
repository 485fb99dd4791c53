"""The ROC page's numbers against scikit-learn, and what it lists against NumPy."""

from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve
from test_app import folder, run, text, two_models, write  # noqa: F401, folder is a fixture

from cifarcore import metrics
from cifarcore.app import roc, roc_charts, roc_tables
from cifarcore.app.roc_tables import SOURCES, Task
from cifarcore.app.state import Side


@pytest.fixture
def listed(monkeypatch):
    """The rows that the page's gallery was given last."""
    seen = SimpleNamespace(rows=None)
    monkeypatch.setattr(roc, "gallery", lambda view, rows, *_, **__: setattr(seen, "rows", rows))
    return seen


def side(letter, *runs):
    return Side(letter, runs[0].group, runs)


def pair_by_hand(run, first, second):
    """p(first) / (p(first) + p(second)) in float64 on the images of both, and which are of the first."""
    rows = np.flatnonzero(np.isin(run.labels, (first, second)))
    p = softmax(run.logits[rows].astype(np.float64), axis=1)
    return p[:, first] / (p[:, first] + p[:, second]), run.labels[rows] == first, rows


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (10, 500), (100, 2000)])
def test_auc_of_a_pair_is_scikit_learns(n_classes, n_images):
    a, b = (
        made_run(n_classes, n_images, accuracy=accuracy, model=model)
        for model, accuracy in (("cnn", 0.4), ("resnet18", 0.6))
    )
    frame = roc_tables.auc_frame(side("A", a), side("B", b), Task(1, 0))
    by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(run, 1, 0) for run in (a, b))]
    assert frame.loc[["A", "B"], "auc"].to_numpy() == pytest.approx(by_hand, abs=1e-12)
    assert frame.loc["B − A", "auc"] == pytest.approx(by_hand[1] - by_hand[0], abs=1e-12)
    for _, row in frame.iterrows():
        assert row["low"] <= row["auc"] <= row["high"]


def test_auc_of_one_class_and_of_all_is_scikit_learns():
    a, b = two_models()
    p = softmax(a.logits.astype(np.float64), axis=1)
    frame = roc_tables.auc_frame(side("A", a), side("B", b), Task(3, None))
    assert frame.loc["A", "auc"] == pytest.approx(roc_auc_score(a.labels == 3, p[:, 3]), abs=1e-12)
    assert roc_tables.macro_frame(SimpleNamespace(a=side("A", a), b=side("B", b))).loc["A", "auc"] == pytest.approx(
        roc_auc_score(a.labels, p / p.sum(1, keepdims=True), multi_class="ovr"), abs=1e-9
    )


def test_areas_of_all_pairs_are_scikit_learns():
    a = made_run()
    pairs = np.array(list(combinations(range(10), 2)))
    by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(a, *pair) for pair in pairs)]
    assert metrics.pair_aucs(a, pairs) == pytest.approx(by_hand, abs=1e-12)


def test_scores_that_underflow_as_probabilities_still_rank():
    """p(first) and p(second) are both 0 in any float, their logits are not."""
    logits = np.array([[900, -800, -810], [900, -810, -800], [900, -800, -805], [900, -806, -800]], np.float32)
    hopeless = replace(made_run(3, 4), logits=logits, labels=np.array([1, 2, 1, 2], np.int16))
    assert softmax(logits.astype(float), axis=1)[:, 1:].max() == 0
    assert metrics.pair_aucs(hopeless, np.array([[1, 2]])) == [1.0]
    scores, truth, _ = Task(1, 2).scores(hopeless)
    assert scores == pytest.approx(expit([10, -10, 5, -6])) and truth.tolist() == [True, False, True, False]


def test_the_curve_of_one_seed_is_scikit_learns_and_of_several_their_mean_and_range():
    seeds = [made_run(seed=seed) for seed in range(3)]
    task = Task(0, 1)
    single = roc_tables.curve_frame([side("A", seeds[0])], task.curve)
    score, truth, _ = pair_by_hand(seeds[0], 0, 1)
    fpr, tpr, _ = roc_curve(truth, score)
    assert single["fpr"].to_numpy() == pytest.approx(fpr) and single["tpr"].to_numpy() == pytest.approx(tpr)
    assert single["low"].isna().all()
    mean = roc_tables.curve_frame([side("A", *seeds)], task.curve)
    at = []
    for seed in seeds:
        score, truth, _ = pair_by_hand(seed, 0, 1)
        fpr, tpr, _ = roc_curve(truth, score)
        at.append(np.interp(mean["fpr"], fpr, tpr))
    assert mean["tpr"].to_numpy() == pytest.approx(np.mean(at, axis=0))
    assert mean["low"].to_numpy() == pytest.approx(np.min(at, axis=0)) and mean["high"].to_numpy() == pytest.approx(
        np.max(at, axis=0)
    )


@pytest.mark.parametrize("share", [0.001, 0.3, 0.5, 0.98])
@pytest.mark.parametrize("negative", [1, None])
def test_operating_points_and_flips(share, negative):
    runs = [made_run(seed=seed) for seed in range(2)]
    task = Task(0, negative)
    rates, flipped = [], []
    for each in runs:
        if negative is None:
            p, truth = softmax(each.logits.astype(np.float64), axis=1)[:, 0], each.labels == 0
        else:
            p, truth, _ = pair_by_hand(each, 0, 1)
        called = p >= share
        rates.append(
            [(called & ~truth).sum() / (~truth).sum(), (called & truth).sum() / truth.sum(), (called == truth).mean()]
        )
        flipped.append(called != (p >= 0.5))
    points = roc_tables.operating_points([side("A", *runs)], task, share)
    assert points.loc[0, ["fpr", "tpr", "right"]].tolist() == pytest.approx(np.mean(rates, axis=0).tolist())
    assert np.array_equal(roc_tables.flips(runs[0], task, share), flipped[0])


@pytest.mark.parametrize("source", SOURCES)
def test_pairs_worth_a_look(source):
    a, b = (
        tuple(made_run(accuracy=accuracy, seed=seed, model=model) for seed in range(2))
        for model, accuracy in (("cnn", 0.4), ("resnet18", 0.7))
    )
    view = SimpleNamespace(a=side("A", *a), b=side("B", *b), classes=np.array([7, 2, 5, 1, 0, 3]))
    records = []
    for first, second in combinations(sorted(view.classes.tolist()), 2):
        confused, areas = [], []
        for runs in (a, b):
            tables = [confusion_matrix(run.labels, run.logits.argmax(1), labels=range(10)) for run in runs]
            confused.append(np.mean([table[first, second] + table[second, first] for table in tables]))
            areas.append(
                np.mean(
                    [
                        roc_auc_score(truth, score)
                        for score, truth, _ in (pair_by_hand(run, first, second) for run in runs)
                    ]
                )
            )
        records.append((first, second, *confused, *areas))
    value = {SOURCES[0]: lambda r: r[2], SOURCES[1]: lambda r: r[3], SOURCES[2]: lambda r: abs(r[5] - r[4])}[source]
    best = sorted(records, key=value, reverse=True)[:5]
    frame = roc_tables.pair_frame(view, source, 5)
    assert [
        value(tuple(row)) for row in frame[["first", "second", "confused_a", "confused_b", "auc_a", "auc_b"]].to_numpy()
    ] == pytest.approx([value(record) for record in best])
    known = {record[:2]: record for record in records}
    for row in frame.itertuples():
        assert known[row.first, row.second][2:] == pytest.approx((row.confused_a, row.confused_b, row.auc_a, row.auc_b))


def test_the_page_shows_the_pair_that_the_address_names_and_its_flips(folder, listed):  # noqa: F811
    runs = two_models(seeds=(0, 1))
    write(folder, *runs)
    names = runs[0].class_names.tolist()
    app = run(folder, "roc", first=names[4], second=names[2], point="20 %")
    assert app.selectbox(key="first").value == names[4] and app.selectbox(key="second").value == names[2]
    table = app.dataframe[-1].value.set_index("Model")
    for letter, seeds in (("A", runs[:2]), ("B", runs[2:])):
        by_hand = [roc_auc_score(truth, score) for score, truth, _ in (pair_by_hand(r, 4, 2) for r in seeds)]
        assert table.loc[letter, "AUC"] == f"{np.mean(by_hand):.4f} ± {np.std(by_hand, ddof=1):.4f}"
    scores, rows = [pair_by_hand(r, 4, 2)[0] for r in (runs[0], runs[2])], pair_by_hand(runs[0], 4, 2)[2]
    flipped = [(p >= 0.2) != (p >= 0.5) for p in scores]
    assert sorted(listed.rows) == sorted(rows[flipped[0] | flipped[1]])
    app.segmented_control(key="flips").set_value("flipped by B").run()
    assert sorted(listed.rows) == sorted(rows[flipped[1]])
    app.segmented_control(key="flips").set_value("A and B decide differently").run()
    assert sorted(listed.rows) == sorted(rows[(scores[0] >= 0.2) != (scores[1] >= 0.2)])
    app.select_slider(key="point").set_value("50 %").run()
    assert sorted(listed.rows) == sorted(rows[(scores[0] >= 0.5) != (scores[1] >= 0.5)]) and "away from 50 %" in text(
        app
    )
    said = [each.logits.argmax(1)[rows] for each in (runs[0], runs[2])]
    confused = [(label != told) & np.isin(told, (4, 2)) for told in said for label in [runs[0].labels[rows]]]
    for shown, mask in zip(roc.CONFUSED, (confused[0] | confused[1], *confused), strict=True):
        app.segmented_control(key="confused").set_value(shown).run()
        assert sorted(listed.rows) == sorted(rows[mask]), shown


@pytest.mark.parametrize(("n_classes", "n_images"), [(2, 100), (10, 500), (200, 600)])
def test_every_mode_with_other_numbers_of_classes(folder, listed, n_classes, n_images):  # noqa: F811
    write(folder, *two_models(n_classes=n_classes, n_images=n_images))
    app = run(folder, "roc")
    for mode in roc.MODES:
        app.segmented_control(key="apart").set_value(mode).run()
        assert not app.exception and "AUC" in app.dataframe[-1].value


def test_the_class_lists_obey_the_filter(folder, listed):  # noqa: F811
    write(folder, *two_models())
    app = run(folder, "roc", hardest=4)
    assert len(app.selectbox(key="first").options) == 4 and len(app.selectbox(key="second").options) == 3


def test_a_class_without_images_has_no_curve(folder, listed):  # noqa: F811
    a, b = (each.take(np.flatnonzero(each.labels != 5)) for each in two_models())
    write(folder, a, b)
    assert "No curve" in text(run(folder, "roc", apart=roc.MODES[1], first=str(a.class_names[5])))


def test_the_chart_draws_both_models_and_can_zoom():
    seeds = [made_run(seed=seed) for seed in range(2)]
    curves = roc_tables.curve_frame([side("A", *seeds), side("B", *seeds)], Task(0, 1).curve)
    points = roc_tables.operating_points([side("A", *seeds), side("B", *seeds)], Task(0, 1), 0.5)
    chart = roc_charts.roc(curves, points, "cats against dogs", corner=True).to_dict()
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["line", "area", "line", "point"]
    assert chart["layer"][2]["encoding"]["x"]["scale"]["domain"] == [0, roc_charts.CORNER]
    assert "cats against dogs" in chart["description"]


def test_a_filter_of_one_class_offers_it_alone_or_says_that_a_pair_needs_two(folder):  # noqa: F811
    write(folder, *two_models())
    only = made_run().class_names[3]
    app = run(folder, "roc", {"search": only, "apart": "one-vs-rest"})
    assert app.selectbox(key="first").options == [only] and "list of classes is of these" in text(app)
    app = run(folder, "roc", {"search": only})
    assert len(app.selectbox(key="first").options) == 10 and "two are needed" in text(app)
    assert len(app.dataframe[0].value) > 0
    app = run(folder, "roc", {"search": only, "apart": "macro-average"})
    assert "does not act here" in text(app) and "list of classes" not in text(app)
