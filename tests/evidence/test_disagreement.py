"""Single images: each function against a plain loop."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy.special import softmax
from scipy.stats import false_discovery_control, fisher_exact

from cifarcore.evidence import disagreement
from cifarcore.runs.alignment import align


@pytest.fixture(scope="module")
def pair():
    return align(made_run(20, 600, 0.5, model="cnn"), made_run(20, 600, 0.65, model="resnet18"))


def test_four_way(pair):
    found = disagreement.four_way(pair)
    words = {(True, True): "both correct", (True, False): "only A", (False, True): "only B", (False, False): "neither"}
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


def test_images_and_shares_of_each_outcome():
    table = disagreement.split_frame(np.array(["only B", "neither", "only B", "both correct"]))
    assert table["group"].tolist() == ["both correct", "only A", "only B", "neither"]
    assert table["images"].tolist() == [1, 0, 2, 1] and table["share"].tolist() == [0.25, 0, 0.5, 0.25]
    assert (disagreement.split_frame(np.array([], str))["share"] == 0).all()
    assert disagreement.split_frame(np.array(["only A"]))["share"].tolist() == [0, 1, 0, 0]


def test_joint_confidence_and_the_confidence_of_errors(pair):
    sure = [softmax(run.logits.astype(float), axis=1).max(axis=1) for run in (pair.a, pair.b)]
    np.testing.assert_allclose(disagreement.both_sure(pair), sure[0] * sure[1], rtol=1e-6)
    expected = [
        max(0 if a else sure_a, 0 if b else sure_b)
        for a, b, sure_a, sure_b in zip(pair.a.correct, pair.b.correct, *sure, strict=True)
    ]
    np.testing.assert_allclose(disagreement.wrong_confidence(pair), expected, rtol=1e-6)


def test_a_class_without_images_is_no_part_of_the_family(pair):
    run = pair.a.take(pair.a.labels != 3)
    inside = np.arange(run.n_images) % 3 == 0
    table = disagreement.over_represented_among(run, inside)
    empty = table.query("kind == 'class' and index == 3").iloc[0]
    assert (empty["images"], empty["expected"]) == (0, 0) and np.isnan([empty["ratio"], empty["q"]]).all()
    for kind in ("class", "superclass"):
        rows = table[(table["kind"] == kind) & (table["index"] != (3 if kind == "class" else -1))]
        np.testing.assert_allclose(rows["q"], false_discovery_control(rows["p"]))
    assert not table["over"].any() and table["p"].is_monotonic_increasing
    nobody = disagreement.over_represented_among(run, np.zeros(run.n_images, bool))
    assert nobody["ratio"].isna().all() and (nobody["p"] == 1).all()


def test_severity_where_siblings_are_not_as_many(pair):
    """Superclasses of two, three and five classes: chance is the mean over the errors."""
    run = made_run(10, 400, 0.4)
    group = np.repeat([0, 1, 2], [2, 3, 5]).astype(np.int16)
    run = replace(run, superclass_of=group, superclass_names=np.array(["two", "three", "five"]))
    table = disagreement.severity(run)
    wrong = np.flatnonzero(~run.correct)
    chance = np.mean([(np.sum(group == group[run.labels[i]]) - 1) / 9 for i in wrong])
    assert table["chance"].tolist() == pytest.approx([chance, 1 - chance])
    assert table["share"].tolist() == pytest.approx((table["images"] / len(wrong)).tolist())
    assert table["ratio"].tolist() == pytest.approx((table["share"] / table["chance"]).tolist())
    perfect = disagreement.severity(replace(run, logits=np.eye(10, dtype=np.float16)[run.labels]))
    assert (perfect[["images", "share"]] == 0).all(axis=None) and perfect[["chance", "ratio"]].isna().all(axis=None)
    error = disagreement.severity(run.take(wrong[:1]))
    assert error["images"].sum() == 1 and error["share"].tolist() == error["images"].tolist()
    one = replace(run, superclass_of=np.zeros(10, np.int16), superclass_names=np.array(["all"]))
    assert disagreement.severity(one)["ratio"].tolist() == pytest.approx([1, np.nan], nan_ok=True)


def test_suspect_labels_say_what_they_are_taken_for():
    runs = [made_run(20, 600, 0.6, seed, "cnn") for seed in (0, 1)]
    table = disagreement.suspect_labels(runs)
    sure = np.mean([softmax(run.logits.astype(float), axis=1).max(axis=1) for run in runs], axis=0)
    for row in table.itertuples():
        assert row.sample_id == runs[0].sample_ids[row.row] and row.label == runs[0].labels[row.row]
        assert row.label_name == runs[0].class_names[row.label]
        assert row.predicted_name == runs[1].class_names[runs[1].predictions[row.row]]
        assert row.confidence == pytest.approx(sure[row.row], rel=1e-5)


def test_what_resembles_a_training_image_is_known_by_the_nearest_one():
    run = made_run(10, 100)
    cosine = np.full((100, 5), 0.5, np.float32)
    cosine[3, 0], cosine[4, 1], cosine[5, 0] = 0.98, 0.99, 0.9799
    assert np.flatnonzero(disagreement.resembling(replace(run, train_neighbor_cosine=cosine))).tolist() == [3]
    assert not disagreement.resembling(made_run(10, 100, neighbors=False)).any()


def test_classes_of_one_image_and_rare_outcomes_count():
    """Fifty classes of one to two images, of which a few are inside: less than one is expected of each."""
    run = made_run(50, 75, superclasses=False)
    inside = np.arange(75) < 12
    table = disagreement.over_represented_among(run, inside).set_index("index").sort_index()
    size = np.bincount(run.labels, minlength=50)
    images = np.bincount(run.labels[inside], minlength=50)
    assert set(size) == {1, 2} and table["ratio"].tolist() == pytest.approx((images / (size * 12 / 75)).tolist())
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))
