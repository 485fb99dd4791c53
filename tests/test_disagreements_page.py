"""The disagreements page's groups, ranks and chances against NumPy and SciPy."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run
from scipy.special import softmax
from scipy.stats import fisher_exact
from test_app import folder, run, text, two_models, write  # noqa: F401, folder is a fixture

from cifarcore import data, disagreement
from cifarcore.app import disagreement_charts, disagreements
from cifarcore.app.disagreement_tables import GROUPS


@pytest.fixture
def listed(monkeypatch):
    """The rows and notes that the page's gallery was given last."""
    seen = SimpleNamespace(rows=None, notes=None)

    def gallery(view, rows, key, title="", notes=None, empty="", name=""):
        seen.rows, seen.notes = rows, notes

    monkeypatch.setattr(disagreements, "gallery", gallery)
    return seen


def confidence(run):
    return softmax(run.logits.astype(np.float64), axis=1).max(1)


def by_hand(group, a, b):
    """Who belongs to the group, and by what it is ranked, from the logits."""
    said_a, said_b = a.logits.argmax(1), b.logits.argmax(1)
    right_a, right_b = said_a == a.labels, said_b == a.labels
    clash = confidence(a) * confidence(b)
    sure = np.maximum(np.where(right_a, 0, confidence(a)), np.where(right_b, 0, confidence(b)))
    return {
        "only A right": (right_a & ~right_b, clash),
        "only B right": (right_b & ~right_a, clash),
        "both wrong": (~right_a & ~right_b, clash),
        "same wrong answer": (~right_a & (said_a == said_b), clash),
        "confidently wrong": (sure >= 0.9, sure),
        "suspect labels": (~right_a & (said_a == said_b), (confidence(a) + confidence(b)) / 2),
    }[group]


def test_each_group_holds_its_images_in_their_order(folder, listed):  # noqa: F811
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "disagreements")
    for group in GROUPS:
        if group != "also in training":
            app.segmented_control(key="group").set_value(group).run()
            mask, score = by_hand(group, a, b)
            assert mask.any() and sorted(listed.rows) == np.flatnonzero(mask).tolist(), group
            assert (np.diff(score[listed.rows]) <= 1e-6).all(), group
            assert len(listed.notes) == len(listed.rows)


def test_what_holds_in_every_seed(folder, listed):  # noqa: F811
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    app = run(folder, "disagreements")
    right = np.array([each.logits.argmax(1) == each.labels for each in runs]).reshape(2, 3, -1)
    expected = {
        "only A right": right[0].all(0) & ~right[1].any(0),
        "only B right": right[1].all(0) & ~right[0].any(0),
        "both wrong": ~right.any((0, 1)),
    }
    for group, mask in expected.items():
        app.segmented_control(key="group").set_value(group).run()
        app.toggle(key="every").set_value(True).run()
        assert sorted(listed.rows) == np.flatnonzero(mask).tolist() and f"**{mask.sum()}** of 500" in text(app), group


def test_suspect_labels_take_the_agreement_of_all_seeds(folder, listed):  # noqa: F811
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    run(folder, "disagreements", group="suspect labels")
    said = np.array([each.logits.argmax(1) for each in runs])
    assert sorted(listed.rows) == np.flatnonzero((said == said[0]).all(0) & (said[0] != runs[0].labels)).tolist()


def test_how_sure_is_sure_can_be_chosen(folder, listed):  # noqa: F811
    a, b = two_models()
    write(folder, a, b)
    run(folder, "disagreements", group="confidently wrong", sure=60)
    _, score = by_hand("confidently wrong", a, b)
    assert sorted(listed.rows) == np.flatnonzero(score >= 0.6).tolist()


def test_images_also_in_training_the_exact_ones_first(folder, listed):  # noqa: F811
    a, b = two_models()
    ids, cosine = a.train_neighbor_ids.copy(), np.full(a.train_neighbor_cosine.shape, 0.5, np.float16)
    ids[[3, 70], [2, 0]] = a.sample_ids[[3, 70]]
    cosine[[8, 9], 0] = 0.99, 0.98
    write(
        folder,
        replace(a, train_neighbor_ids=ids, train_neighbor_cosine=cosine),
        replace(b, train_neighbor_cosine=cosine),
    )
    app = run(folder, "disagreements", group="also in training")
    assert sorted(listed.rows[:2]) == [3, 70] and listed.rows[2:].tolist() == [8, 9]
    assert listed.notes[2] == "near-duplicate, cosine 0.990"
    assert "**4** of 500" in text(app)


def test_without_nearest_training_images_the_page_names_the_command(folder, listed):  # noqa: F811
    write(folder, *two_models(neighbors=False))
    assert "cifarcore project" in text(run(folder, "disagreements", group="also in training"))


def test_chance_is_fishers_exact_test():
    run_a = made_run()
    inside = ~run_a.correct
    table = disagreement.over_represented_among(run_a, inside).set_index(["kind", "index"])
    for c in range(10):
        own = run_a.labels == c
        counts = [[(inside & own).sum(), (inside & ~own).sum()], [(~inside & own).sum(), (~inside & ~own).sum()]]
        assert table.loc[("class", c), "p"] == pytest.approx(fisher_exact(counts, alternative="greater").pvalue)
        assert table.loc[("class", c), "expected"] == pytest.approx(own.sum() * inside.mean())


def test_a_class_and_the_filter_narrow_the_list(folder, listed):  # noqa: F811
    a, b = two_models()
    write(folder, a, b)
    mask, _ = by_hand("only B right", a, b)
    name, superclass = str(a.class_names[4]), str(a.superclass_names[a.superclass_of[4]])
    app = run(folder, "disagreements", group="only B right", of=name)
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.labels == 4)).tolist()
    app.selectbox(key="of").set_value(superclass).run()
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.superclass_of[a.labels] == a.superclass_of[4])).tolist()
    app.text_input(key="search").set_value(name).run()
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.labels == 4)).tolist()
    assert "the filter in the sidebar leaves out" in text(app)


@pytest.mark.parametrize(
    "options", [{"n_classes": 2, "n_images": 100}, {"n_classes": 200, "n_images": 600}, {"superclasses": False}]
)
def test_other_runs(folder, listed, options):  # noqa: F811
    write(folder, *two_models(**options))
    app = run(folder, "disagreements")
    for group in GROUPS:
        app.segmented_control(key="group").set_value(group).run()
        assert not app.exception


def test_two_models_without_a_disagreement(folder, listed):  # noqa: F811
    write(folder, *two_models(n_images=100)[:1])
    app = run(folder, "disagreements")
    assert "**0** of 100" in text(app) and not len(listed.rows)


def test_the_bars_order_is_in_the_specification():
    """The browser keeps the old order when only the data of a chart change."""
    table = disagreement.over_represented_among(made_run(), ~made_run().correct)
    table = table[table["kind"] == "class"]
    for frame in (table, table[::-1]):
        layers = disagreement_charts.against_chance(frame, "class").to_dict()["layer"]
        assert all(layer["encoding"]["y"]["scale"]["domain"] == frame["name"].tolist() for layer in layers)


def test_the_chart_names_its_field():
    table = disagreement.over_represented_among(made_run(), ~made_run().correct)
    spec = disagreement_charts.against_chance(table, "class").to_dict()
    (selection,) = [param["select"] for param in spec["params"] if "select" in param]
    assert selection["fields"] == ["name"] and "class" in spec["description"]


def test_exact_copies_of_cifar_100_are_known_without_nearest_training_images(folder, listed):  # noqa: F811
    runs = two_models(neighbors=False)
    ids = np.r_[np.array(data.DUPLICATES, np.uint64), runs[0].sample_ids[10:]]
    write(folder, *(replace(one, sample_ids=ids) for one in runs))
    app = run(folder, "disagreements", group="also in training")
    assert sorted(ids[listed.rows].tolist()) == sorted(data.DUPLICATES)
    assert set(listed.notes) == {"in training"} and "cifarcore project" in text(app)
