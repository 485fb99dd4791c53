"""The disagreements page's groups, ranks and chances against NumPy and SciPy."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made import made_run
from pages import run, text, two_models, write
from scipy.special import softmax
from scipy.stats import fisher_exact

from cifarcore.app.pages import disagreements
from cifarcore.data import cifar100 as data
from cifarcore.data.known_images import known_images
from cifarcore.evidence import disagreement
from cifarcore.reports.tables.disagreements import GROUPS


@pytest.fixture
def listed(monkeypatch):
    """The rows and notes that the page's gallery was given last."""
    seen = SimpleNamespace(rows=None, notes=None, twins=None)

    def gallery(view, rows, key, title="", notes=None, empty="", name="", twins=None):
        seen.rows, seen.notes, seen.twins = rows, notes, twins

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
        "only A correct": (right_a & ~right_b, clash),
        "only B correct": (right_b & ~right_a, clash),
        "both wrong": (~right_a & ~right_b, clash),
        "same wrong class": (~right_a & (said_a == said_b), clash),
        "confidently wrong": (sure >= 0.9, sure),
        "suspect labels": (~right_a & (said_a == said_b), (confidence(a) + confidence(b)) / 2),
    }[group]


def test_each_group_holds_its_images_in_their_order(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "disagreements")
    names = [name for name in GROUPS if name != "disputed labels"]  # nobody was asked about made images
    shown = app.segmented_control(key="group").options
    assert len(shown) == len(names) and shown[0].startswith("newly wrong ") and shown[1].startswith("newly right ")
    for group, counted in zip(names, shown, strict=True):
        if group != "train-test duplicates":
            app.segmented_control(key="group").set_value(group).run()
            assert app.query_params["group"] == group and counted.endswith(f" {len(listed.rows):,}")
            mask, score = by_hand(group, a, b)
            assert mask.any() and sorted(listed.rows) == np.flatnonzero(mask).tolist(), group
            assert (np.diff(score[listed.rows]) <= 1e-6).all(), group
            assert len(listed.notes) == len(listed.rows)


def test_which_seeds_the_groups_are_counted_by_is_said_once(folder):
    write(folder, *two_models(seeds=(0, 1)))
    app = run(folder, "disagreements")
    assert app.title[0].value.replace("\\", "").endswith("(seed 0 of each)")
    assert app.segmented_control(key="group").label == "Images (suspect labels by all seeds)"
    assert text(app).count("seed 0") == 2, "the title, and the gallery's key to its tiles"
    app = run(folder, "disagreements", {"seedA": "seed 0", "seedB": "seed 1"})
    assert app.segmented_control(key="group").label == "Images" and "seed 0 of" not in text(app)


def test_what_holds_in_every_seed(folder, listed):
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    app = run(folder, "disagreements")
    right = np.array([each.logits.argmax(1) == each.labels for each in runs]).reshape(2, 3, -1)
    expected = {
        "only A correct": right[0].all(0) & ~right[1].any(0),
        "only B correct": right[1].all(0) & ~right[0].any(0),
        "both wrong": ~right.any((0, 1)),
    }
    for group, mask in expected.items():
        app.segmented_control(key="group").set_value(group).run()
        app.toggle(key="every").set_value(True).run()
        assert sorted(listed.rows) == np.flatnonzero(mask).tolist() and f"**{mask.sum()}** of 500" in text(app), group


def test_suspect_labels_take_the_agreement_of_all_seeds(folder, listed):
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    run(folder, "disagreements", group="suspect labels")
    said = np.array([each.logits.argmax(1) for each in runs])
    assert sorted(listed.rows) == np.flatnonzero((said == said[0]).all(0) & (said[0] != runs[0].labels)).tolist()


def test_how_sure_is_sure_can_be_chosen(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    run(folder, "disagreements", group="confidently wrong", sure=60)
    _, score = by_hand("confidently wrong", a, b)
    assert sorted(listed.rows) == np.flatnonzero(score >= 0.6).tolist()


def test_a_link_that_says_how_sure_is_counted_by_that(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    app = run(folder, "disagreements", {"group": "confidently wrong", "sure": "60"})
    _, score = by_hand("confidently wrong", a, b)
    count = (score >= 0.6).sum()
    assert count > (score >= 0.9).sum() and f"**{count}** of 500" in text(app)
    assert f"confidently wrong {count}" in app.segmented_control(key="group").options


def test_images_also_in_training_the_exact_ones_first(folder, listed):
    a, b = two_models()
    ids, cosine = a.train_neighbor_ids.copy(), np.full(a.train_neighbor_cosine.shape, 0.5, np.float16)
    ids[[3, 70], [2, 0]] = a.sample_ids[[3, 70]]
    cosine[[8, 9], 0] = 0.99, 0.98
    write(
        folder,
        replace(a, train_neighbor_ids=ids, train_neighbor_cosine=cosine),
        replace(b, train_neighbor_cosine=cosine),
    )
    app = run(folder, "disagreements", group="train-test duplicates")
    assert sorted(listed.rows[:2]) == [3, 70] and listed.rows[2:].tolist() == [8, 9]
    assert listed.notes[:3] == ["exact copy of a training image"] * 2 + ["cosine 0.990 by A's features"]
    assert "**4** of 500" in text(app) and "a hint, not a judgement" in text(app)


def test_without_nearest_training_images_the_page_names_the_command(folder, listed):
    write(folder, *two_models(neighbors=False))
    assert "cifarcore project" in text(run(folder, "disagreements", group="train-test duplicates"))


def test_chance_is_fishers_exact_test():
    run_a = made_run()
    inside = ~run_a.correct
    table = disagreement.over_represented_among(run_a, inside).set_index(["kind", "index"])
    for c in range(10):
        own = run_a.labels == c
        counts = [[(inside & own).sum(), (inside & ~own).sum()], [(~inside & own).sum(), (~inside & ~own).sum()]]
        assert table.loc[("class", c), "p"] == pytest.approx(fisher_exact(counts, alternative="greater").pvalue)
        assert table.loc[("class", c), "expected"] == pytest.approx(own.sum() * inside.mean())


def test_a_class_and_the_filter_narrow_the_list(folder, listed):
    a, b = two_models()
    write(folder, a, b)
    mask, _ = by_hand("only B correct", a, b)
    name, superclass = (
        str(text).replace("_", " ") for text in (a.class_names[4], a.superclass_names[a.superclass_of[4]])
    )
    app = run(folder, "disagreements", group="only B correct", of=name)
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.labels == 4)).tolist()
    app.selectbox(key="of").set_value(superclass).run()
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.superclass_of[a.labels] == a.superclass_of[4])).tolist()
    app.text_input(key="search").set_value(name).run()
    assert sorted(listed.rows) == np.flatnonzero(mask & (a.labels == 4)).tolist()
    assert "the filter in the sidebar excludes" in text(app)


@pytest.mark.parametrize(
    "options", [{"n_classes": 2, "n_images": 100}, {"n_classes": 200, "n_images": 600}, {"superclasses": False}]
)
def test_other_runs(folder, listed, options):
    write(folder, *two_models(**options))
    app = run(folder, "disagreements")
    for group in GROUPS:
        if group != "disputed labels":
            app.segmented_control(key="group").set_value(group).run()
        assert not app.exception


def test_two_models_without_a_disagreement(folder, listed):
    write(folder, *two_models(n_images=100)[:1])
    app = run(folder, "disagreements")
    assert "**0** of 100" in text(app) and not len(listed.rows)


@pytest.fixture
def official(folder):
    """Two runs of 600 of CIFAR-100's test images, known by content; a model's features find every one near."""
    published = known_images()
    rows = np.random.default_rng(0).permutation(10_000)[:600]
    for model, seed in (("cnn", 1), ("resnet18", 2)):
        made = made_run(100, 600, model=model, neighbors=False)
        logits = np.random.default_rng(seed).normal(size=(600, 100)).astype(np.float16)
        logits[np.arange(600), published.labels[rows]] += 2
        logits[np.arange(600), np.where(published.asked, published.other_label, 0)[rows]] += 2
        near = np.ones((600, 5), np.float16)
        ids = np.random.default_rng(3).integers(2**63, size=(600, 5), dtype=np.uint64)
        write(
            folder,
            replace(
                made, sample_ids=published.sample_ids[rows], labels=published.labels[rows], logits=logits,
                train_neighbor_ids=ids, train_neighbor_labels=published.labels[rows][:, None].repeat(5, 1),
                train_neighbor_cosine=near,
            ),
        )  # fmt: skip
    return published, rows


def test_the_official_images_duplicates_are_those_that_people_found(folder, listed, official):
    published, rows = official
    app = run(folder, "disagreements", group="train-test duplicates")
    kinds = published.duplicate[rows]
    assert sorted(listed.rows) == np.flatnonzero(kinds).tolist()
    assert (np.diff(kinds[listed.rows]) >= 0).all(), "exact, near, similar"
    np.testing.assert_array_equal(listed.twins, published.twin_id[rows][listed.rows])
    starts = ["exact duplicate of", "near duplicate of", "similar to"]
    for note, row in zip(listed.notes, listed.rows, strict=True):
        twin = data.CLASS_NAMES[published.twin_label[rows[row]]].replace("_", " ")
        assert note == f"{starts[kinds[row] - 1]} a training image of {twin}"
    assert "Barz and Denzler" in text(app) and "cosine" not in text(app)


def test_disputed_labels_with_the_votes(folder, listed, official):
    published, rows = official
    app = run(folder, "disagreements", group="disputed labels")
    votes = published.votes[rows]
    disputed = (votes.sum(axis=1) == 5) & (votes[:, 0] < 3)
    assert sorted(listed.rows) == np.flatnonzero(disputed).tolist() and f"**{disputed.sum()}** of 600" in text(app)
    assert (np.diff(votes[listed.rows, 0]) >= 0).all(), "least confirmed first"
    for note, row in zip(listed.notes, listed.rows, strict=True):
        given, other, neither, both = votes[row]
        label, offered = (
            data.CLASS_NAMES[classes[rows[row]]].replace("_", " ")
            for classes in (published.labels, published.other_label)
        )
        undecided = (f", {both} both" if both else "") + (f", {neither} neither" if neither else "")
        assert note == f"five people: {given} {label}, {other} {offered}{undecided}"
    assert "Northcutt" in text(app)


def test_suspect_labels_stand_beside_the_votes(folder, listed, official):
    published, rows = official
    app = run(folder, "disagreements", group="suspect labels")
    asked = published.asked[rows][listed.rows]
    assert 0 < asked.sum() < len(asked)
    assert ["five people: " in note for note in listed.notes] == asked.tolist()
    disputed = published.disputed[rows][listed.rows].sum()
    assert f"asked about {asked.sum()} of these {len(asked)} images" in text(app)
    assert f"dispute the label of {disputed} " in text(app).replace("\\", "") and "Northcutt" in text(app)


def test_an_address_of_a_group_that_these_images_do_not_have_shows_the_first(folder, listed):
    write(folder, *two_models())
    app = run(folder, "disagreements", {"group": "disputed labels"})
    assert app.segmented_control(key="group").value == "only A correct"
    app = run(folder, "disagreements", group="disputed labels")
    assert app.segmented_control(key="group").value == "only A correct"
