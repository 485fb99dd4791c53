"""Which images a group of disagreements holds, in which order and with which note, against plain loops."""

from dataclasses import replace

import numpy as np
import pytest
from made import classes_only, made_run

from cifarcore.evidence import disagreement, softmax
from cifarcore.reports.charts import disagreements as disagreement_charts
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import disagreements


def test_the_bars_order_is_in_the_specification():
    """The browser keeps the old order when only the data of a chart change."""
    table = disagreement.over_represented_among(made_run(), ~made_run().correct)
    table = table[table["kind"] == "class"]
    for frame in (table, table[::-1]):
        chart = disagreement_charts.against_chance(frame, "class").to_dict()
        assert chart["encoding"]["y"]["scale"]["domain"] == frame["name"].tolist()
        assert not any("y" in layer["encoding"] for layer in chart["layer"])


def test_the_chart_names_its_field():
    table = disagreement.over_represented_among(made_run(), ~made_run().correct)
    spec = disagreement_charts.against_chance(table, "class").to_dict()
    (selection,) = [param["select"] for param in spec["params"] if "select" in param]
    assert selection["fields"] == ["name"] and "class" in spec["description"]


SEEDS = {
    letter: tuple(made_run(10, 400, accuracy, seed, model) for seed in (0, 1, 2))
    for letter, model, accuracy in (("A", "cnn", 0.5), ("B", "resnet18", 0.65))
}


def sides_of(a=SEEDS["A"], b=SEEDS["B"]):
    return Sides(Side("A", a[0].group, tuple(a)), Side("B", b[0].group, tuple(b)), 0, 0, np.arange(a[0].n_classes))


def literal(group, a, b, i, sure):
    right_a, right_b = a.correct[i], b.correct[i]
    wrong = max(
        (softmax.confidence(run)[i] for run, right in ((a, right_a), (b, right_b)) if not right), default=0
    )  # fmt: skip
    return {
        "only A correct": right_a and not right_b,
        "only B correct": right_b and not right_a,
        "both wrong": not right_a and not right_b,
        "same wrong class": not right_a and a.predictions[i] == b.predictions[i],
        "confidently wrong": wrong >= sure,
    }[group]


@pytest.mark.parametrize(
    "group", ["only A correct", "only B correct", "both wrong", "same wrong class", "confidently wrong"]
)
def test_what_belongs_to_a_group_by_the_first_seeds(group):
    sides = sides_of()
    for sure in (0.9, 0.5):
        mask = disagreements.inside(sides, group, sure)
        assert mask.tolist() == [literal(group, SEEDS["A"][0], SEEDS["B"][0], i, sure) for i in range(400)]
        assert mask.any() and not mask.all()
    assert disagreements.SURE == 0.9
    assert (disagreements.inside(sides, group) == disagreements.inside(sides, group, 0.9)).all()


def test_what_every_seed_agrees_on():
    sides = sides_of()
    right = {letter: np.sum([run.correct for run in runs], axis=0) for letter, runs in SEEDS.items()}
    for group, of_a, of_b in (("only A correct", 3, 0), ("only B correct", 0, 3), ("both wrong", 0, 0)):
        found = disagreements.in_every_seed(sides, group)
        assert found.tolist() == ((right["A"] == of_a) & (right["B"] == of_b)).tolist() and found.any()
    assert disagreements.in_every_seed(sides, "same wrong class") is None


def test_suspects_are_of_all_seeds_the_surest_first():
    sides = sides_of()
    runs = [*SEEDS["A"], *SEEDS["B"]]
    given = np.stack([run.predictions for run in runs])
    mask = (given == given[0]).all(axis=0) & (given[0] != runs[0].labels)
    assert disagreements.inside(sides, "suspect labels").tolist() == mask.tolist() and mask.sum() > 3
    chosen = mask & (runs[0].labels < 7)
    rows, notes = disagreements.ranked(sides, "suspect labels", chosen)
    sure = np.mean([softmax.confidence(run) for run in runs], axis=0)
    assert rows.tolist() == sorted(np.flatnonzero(chosen), key=lambda i: -sure[i])
    assert notes == [f"mean confidence {sure[i]:.0%}" for i in rows]
    table = disagreements.suspect_table(sides)
    assert table["Sample id"].tolist() == [f"{runs[0].sample_ids[i]:016x}" for i in sorted(
        np.flatnonzero(mask), key=lambda i: -sure[i]
    )]  # fmt: skip
    assert all(text.endswith("%") and "." in text for text in table["Mean confidence"])
    assert (table["Label"] != table["Every run predicts"]).all()


def test_the_order_and_the_notes_of_a_group():
    a, b, sides = SEEDS["A"][0], SEEDS["B"][0], sides_of()
    joint = softmax.confidence(a) * softmax.confidence(b)
    rows, notes = disagreements.ranked(sides, "both wrong", ~a.correct & ~b.correct)
    assert (np.diff(joint[rows]) <= 0).all() and notes == [f"joint confidence {joint[i]:.2f}" for i in rows]
    wrong = np.maximum(*(np.where(run.correct, 0, softmax.confidence(run)) for run in (a, b)))
    rows, notes = disagreements.ranked(sides, "confidently wrong", wrong >= 0.6)
    assert sorted(rows) == np.flatnonzero(wrong >= 0.6).tolist() and (np.diff(wrong[rows]) <= 0).all()
    assert notes == [f"wrong at {wrong[i]:.1%} confidence" for i in rows]


def test_train_test_duplicates_of_either_model():
    a, b = SEEDS["A"][0], SEEDS["B"][0]
    cosines = [np.full((400, 5), 0.5, np.float16) for _ in "AB"]
    ids = [run.train_neighbor_ids.copy() for run in (a, b)]
    cosines[0][3, 0], cosines[1][3, 0], cosines[1][4, 0], cosines[0][5, 0] = 0.99, 0.985, 0.995, 0.99
    ids[0][6, 2], ids[1][5, 1] = a.sample_ids[6], a.sample_ids[5]
    runs = [
        replace(run, train_neighbor_ids=i, train_neighbor_cosine=c, digest=f"{run.digest} near")
        for run, i, c in zip((a, b), ids, cosines, strict=True)
    ]
    sides = sides_of(runs[:1], runs[1:])
    mask = disagreements.inside(sides, "train-test duplicates")
    assert np.flatnonzero(mask).tolist() == [3, 4, 5, 6]
    rows, notes = disagreements.ranked(sides, "train-test duplicates", mask)
    assert rows.tolist() == [5, 6, 4, 3]
    assert notes == [
        *["exact copy of a training image"] * 2,
        f"cosine {float(cosines[1][4, 0]):.3f} by B's features",
        f"cosine {float(cosines[0][3, 0]):.3f} by A's features",
    ]
    bare = [replace(run, train_neighbor_ids=None, train_neighbor_labels=None, train_neighbor_cosine=None, digest="")
            for run in (a, b)]  # fmt: skip
    sides = sides_of(bare[:1], bare[1:])
    assert not disagreements.inside(sides, "train-test duplicates").any()


def test_the_order_in_words():
    scored, hard = sides_of(), sides_of(*([classes_only(run) for run in runs] for runs in SEEDS.values()))
    mixed = sides_of(SEEDS["A"][:1], [classes_only(SEEDS["B"][0])])
    for group, words in (
        ("train-test duplicates", ("exact ones first",) * 3),
        ("disputed labels", ("least confirmed first",) * 3),
        ("suspect labels", ("most confident first", "", "most confident first")),
        ("confidently wrong", ("most confident first", "", "most confident first")),
        ("both wrong", ("highest joint confidence first", "", "")),
    ):
        assert tuple(disagreements.order_words(sides, group) for sides in (scored, hard, mixed)) == words
    _, notes = disagreements.ranked(hard, "both wrong", np.arange(400) < 3)
    assert notes == ["", "", ""]


def test_what_would_find_near_duplicates():
    a, b = SEEDS["A"][0], SEEDS["B"][0]
    bare = [replace(run, train_neighbor_ids=None, train_neighbor_labels=None, train_neighbor_cosine=None)
            for run in (a, b)]  # fmt: skip
    imported = [replace(run, meta=run.meta | {"imported": {}}) for run in bare]
    assert disagreements.want_of_neighbors(sides_of([a], bare[1:])) == ""
    assert disagreements.want_of_neighbors(sides_of(bare[:1], [b])) == ""
    assert "`cifarcore project RUN`" in disagreements.want_of_neighbors(sides_of(bare[:1], bare[1:]))
    assert "`cifarcore project RUN`" in disagreements.want_of_neighbors(sides_of(bare[:1], imported[1:]))
    assert "imported predictions do not hold" in disagreements.want_of_neighbors(sides_of(imported[:1], imported[1:]))


def test_classes_over_represented_have_names_fit_to_show():
    sides = sides_of()
    mask = disagreements.inside(sides, "only B correct")
    table = disagreements.over_represented(sides, mask)
    expected = disagreement.over_represented_among(SEEDS["A"][0], mask)
    assert table["p"].tolist() == expected["p"].tolist()
    assert table["name"].tolist() == [str(name).replace("_", " ") for name in expected["name"]]


def test_images_of_one_class_or_superclass():
    sides = sides_of()
    labels, kin = SEEDS["A"][0].labels, SEEDS["A"][0].superclass_of
    assert disagreements.of_name(sides, None).all() and len(disagreements.of_name(sides, None)) == 400
    np.testing.assert_array_equal(disagreements.of_name(sides, sides.class_names[3]), labels == 3)
    superclass = sides.superclass_names[kin[3]]
    np.testing.assert_array_equal(disagreements.of_name(sides, superclass), kin[labels] == kin[3])
    assert (labels == 3).sum() < (kin[labels] == kin[3]).sum() < 400
    assert not disagreements.of_name(sides, "no such class").any()


def test_a_superclass_called_as_a_class_is_another_choice():
    names = SEEDS["A"][0].superclass_names.copy()
    kin = SEEDS["A"][0].superclass_of
    names[kin[3]] = SEEDS["A"][0].class_names[3]
    sides = sides_of(*([replace(run, superclass_names=names) for run in SEEDS[letter]] for letter in "AB"))
    mask = disagreements.inside(sides, "both wrong")
    table = disagreements.over_represented(sides, mask)
    assert table["name"].is_unique
    for row in table.itertuples():
        assert (mask & disagreements.of_name(sides, row.name)).sum() == row.images, row.name
