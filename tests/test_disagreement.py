"""Single images: each function against a plain loop."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy.stats import fisher_exact

from cifarcore import data, disagreement
from cifarcore.runs import align


@pytest.fixture(scope="module")
def pair():
    return align(made_run(20, 600, 0.5, model="cnn"), made_run(20, 600, 0.65, model="resnet18"))


def test_four_way(pair):
    found = disagreement.four_way(pair)
    words = {(True, True): "both right", (True, False): "only A", (False, True): "only B", (False, False): "both wrong"}
    assert found.tolist() == [
        words[a, b] for a, b in zip(pair.a.correct.tolist(), pair.b.correct.tolist(), strict=True)
    ]


def test_over_represented_is_fishers_exact_test(pair):
    inside = disagreement.four_way(pair) == "only B"
    table = disagreement.over_represented_among(pair.a, inside)
    assert table["kind"].value_counts().to_dict() == {"class": 20, "superclass": 4}
    for _, row in table.iterrows():
        member = (pair.a.labels if row["kind"] == "class" else pair.a.superclass_of[pair.a.labels]) == row["index"]
        cells = [
            [(inside & member).sum(), (inside & ~member).sum()],
            [(~inside & member).sum(), (~inside & ~member).sum()],
        ]
        assert row["images"] == cells[0][0]
        assert row["p"] == pytest.approx(fisher_exact(cells, alternative="greater").pvalue)
        assert row["ratio"] == pytest.approx(row["images"] / (member.sum() * inside.mean()))


def test_a_class_full_of_one_outcome_is_over_represented(pair):
    a_logits, b_logits = pair.a.logits.copy(), pair.b.logits.copy()
    rows = np.flatnonzero(pair.a.labels == 7)
    a_logits[rows, 7], b_logits[rows, 7] = -100, 100
    changed = replace(pair, a=replace(pair.a, logits=a_logits), b=replace(pair.b, logits=b_logits))
    first = disagreement.over_represented_among(changed.a, disagreement.four_way(changed) == "only B").iloc[0]
    assert (first["kind"], first["index"], first["over"]) == ("class", 7, True)


def test_no_image_in_the_group():
    run = made_run(10, 100)
    table = disagreement.over_represented_among(run, np.zeros(100, bool))
    assert not table["over"].any() and (table["images"] == 0).all()


def test_severity_against_chance(pair):
    run, table = pair.a, disagreement.severity(pair.a)
    wrong = np.flatnonzero(~run.correct)
    within = sum(run.superclass_of[run.labels[i]] == run.superclass_of[run.predictions[i]] for i in wrong)
    assert table["images"].tolist() == [within, len(wrong) - within]
    assert table.loc["within superclass", "chance"] == pytest.approx(4 / 19)
    assert table["share"].sum() == pytest.approx(1) and table["chance"].sum() == pytest.approx(1)
    assert disagreement.severity(made_run(superclasses=False)).empty


def test_suspect_labels_are_agreed_on_by_every_run():
    runs = [made_run(20, 600, 0.6, seed, model) for model in ("cnn", "resnet18") for seed in (0, 1)]
    table = disagreement.suspect_labels(runs)
    predictions = np.stack([run.predictions for run in runs])
    expected = [i for i in range(600) if len(set(predictions[:, i])) == 1 and predictions[0, i] != runs[0].labels[i]]
    assert sorted(table["row"]) == expected and len(expected) > 3
    assert (np.diff(table["confidence"]) <= 0).all()
    assert (table["predicted"] == predictions[0, table["row"]]).all()


def test_duplicates_are_known_by_their_bytes():
    run = made_run(10, 100)
    ids, cosine = run.train_neighbor_ids.copy(), np.full((100, 5), 0.5, np.float16)
    ids[3, 2] = run.sample_ids[3]
    ids[4, 0] = run.sample_ids[5]  # another image's bytes
    cosine[6] = 0.999
    marks = disagreement.duplicates(replace(run, train_neighbor_ids=ids, train_neighbor_cosine=cosine))
    assert {i: mark for i, mark in enumerate(marks.tolist()) if mark} == {3: "in training", 6: "near-duplicate"}
    bare = made_run(10, 100, neighbors=False)
    assert (disagreement.duplicates(bare) == "").all()
    ids = bare.sample_ids.copy()
    ids[7] = data.DUPLICATES[0]  # CIFAR-100's own copies need no nearest training images
    assert np.flatnonzero(disagreement.duplicates(replace(bare, sample_ids=ids)) == "in training").tolist() == [7]
