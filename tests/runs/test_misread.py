"""What may be taken for something else: numbers with commas, labels for scores, percentages, other labels."""

import json

import numpy as np
import pandas as pd
import pytest
from import_checks import refused, taken
from made import made_run
from pictures import plain
from scipy.special import softmax

from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.known_images import known_images
from cifarcore.errors import CifarcoreError
from cifarcore.runs.scores import as_logits


@pytest.fixture
def made(tmp_path):
    return plain(tmp_path / "pictures", each=20)


def csv(path, frame, **options):
    frame.to_csv(path, index=False, **options)
    return path


def test_a_comma_that_may_part_thousands_is_refused(tmp_path, made):
    frame = made.frame(file=made.files)
    frame[made.names] = (1e4 * made.probabilities).astype(int)
    written = frame.copy()
    for name in made.names:
        written[name] = [f"{value:,}" for value in frame[name]]
    said = refused(csv(tmp_path / "theirs.csv", written), tmp_path, images=str(made.root))
    assert "may be thousands or a decimal comma; write numbers without a comma" in said
    found = taken(csv(tmp_path / "theirs.csv", frame), tmp_path, images=str(made.root), scores="logits").run
    assert found.correct.mean() == made.accuracy
    # decimals with three digits are told from them by one below one
    for name in made.names:
        written[name] = [f"{value:.3f}".replace(".", ",") for value in made.probabilities[:, made.names.index(name)]]
    made.check(taken(csv(tmp_path / "theirs.csv", written), tmp_path, images=str(made.root)).run)


@pytest.mark.parametrize("role", ["label", "prediction"])
def test_classes_by_number_may_have_been_floats(tmp_path, made, role):
    frame = made.frame(file=made.files, label=made.labels.astype(float))
    if role == "prediction":
        frame = pd.DataFrame({"file": made.files, "prediction": made.probabilities.argmax(axis=1).astype(float)})
    run = taken(csv(tmp_path / "theirs.csv", frame), tmp_path, images=str(made.root)).run
    assert run.correct.mean() == made.accuracy
    if role == "label":
        frame["label"] += 0.5
        assert "(such as 'label')" in refused(csv(tmp_path / "theirs.csv", frame), tmp_path, images=str(made.root))


def test_a_class_may_be_called_like_a_float(tmp_path):
    run = made_run(3, 40)
    names = ["2.0", "1.0", "0.0"]
    table = pd.DataFrame(dict(zip(names, run.logits.T.astype(float), strict=True)))
    table["label"], table["sample_id"] = np.array(names)[run.labels], run.sample_ids
    found = taken(csv(tmp_path / "theirs.csv", table), tmp_path).run
    assert found.correct.mean() == run.correct.mean()


def test_labels_are_no_scores(tmp_path, made):
    path = tmp_path / "theirs.npz"
    np.savez(path, labels=np.eye(3, dtype=np.float32)[made.labels])
    assert "no array of scores among labels" in refused(path, tmp_path, images=str(made.root))
    np.savez(path, probs=made.probabilities, y_test=np.eye(3)[made.labels])
    made.check(taken(path, tmp_path, images=str(made.root)).run)
    one_hot = made.frame(file=made.files)
    one_hot[made.names] = np.eye(3)[made.labels]
    notes = taken(csv(tmp_path / "theirs.csv", one_hot), tmp_path, images=str(made.root)).notes
    assert any("does the file hold the labels instead of predictions?" in note for note in notes)


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_percentages_are_no_logits_however_they_were_rounded(digits):
    percent = np.round(100 * softmax(np.random.default_rng(0).normal(0, 3, (200, 60)), axis=1), digits)
    with pytest.raises(CifarcoreError, match="sums to 100, not to one; divide them by 100"):
        as_logits(percent.astype(np.float32))
    assert as_logits(percent.astype(np.float32), "logits")[1] == "logits"
    assert as_logits(np.abs(np.random.default_rng(0).normal(0, 3, (200, 60))).astype(np.float32))[1] == "logits"


def test_labels_of_cifar100s_images_are_held_against_its_own(tmp_path):
    known = known_images()
    scores = np.random.default_rng(0).normal(0, 1, (10_000, 100)).astype(np.float32)
    arrays = {"logits": scores, "sample_ids": known.sample_ids, "class_names": np.array(CLASS_NAMES)}
    path = tmp_path / "theirs.npz"
    np.savez(path, labels=known.labels // 5, **arrays)
    said = refused(path, tmp_path)
    assert "are CIFAR-100's test images, but the labels of" in said and "give the fine labels" in said
    labels = known.labels.copy()
    labels[:7] = (labels[:7] + 1) % 100
    np.savez(path, labels=labels, **arrays)
    assert "the labels of 7 images are not those of CIFAR-100's test set" in taken(path, tmp_path).notes
    np.savez(path, labels=known.labels, **arrays)
    found = taken(path, tmp_path)
    assert found.run.meta["dataset"]["name"] == "CIFAR-100" and not any("not those of" in note for note in found.notes)


def test_row_numbers_in_a_column_of_their_own_are_used(tmp_path, made):
    order = np.random.default_rng(0).permutation(60)
    for numbers in (order[:, None], order[None], order):
        np.savez(tmp_path / "theirs.npz", probs=made.probabilities[order], indices=numbers)
        made.check(taken(tmp_path / "theirs.npz", tmp_path, images=str(made.root)).run)


def test_arrays_without_names_are_scores_and_labels_in_either_order(tmp_path, made):
    path = tmp_path / "theirs.npz"
    for arrays in ((made.probabilities, made.labels), (made.labels[:, None], made.probabilities)):
        np.savez(path, *arrays)
        made.check(taken(path, tmp_path, images=str(made.root)).run)
    shuffled = np.random.default_rng(1).permutation(60)
    np.savez(path, made.probabilities[shuffled], made.labels[shuffled])
    assert "are not those of" in refused(path, tmp_path, images=str(made.root))
    np.savez(path, made.probabilities, made.labels, made.labels)  # which are the labels is not said
    assert any("'arr_1'" in note for note in taken(path, tmp_path, images=str(made.root)).notes)
    np.savez(path, made.labels)  # predicted classes
    assert not taken(path, tmp_path, images=str(made.root)).run.has_scores


def test_rows_that_were_never_filled_and_equal_scores_are_told(tmp_path, made):
    def written(scores):
        path = tmp_path / "theirs.npz"
        np.savez(path, logits=scores, files=np.array(made.files), class_names=np.array(made.names))
        return path

    scores = np.log(made.probabilities) + 1
    scores[-3:] = 0
    said = refused(written(scores), tmp_path, images=str(made.root))
    assert f"3 of {len(scores)} rows have the score 0 for every class (first: row {len(scores) - 3})" in said
    found = taken(written(scores), tmp_path, images=str(made.root), scores="logits")
    assert "3 images with the same score for every class: predicted as the first one" in found.notes
    scores[-3:, 0], scores[-3:, 1:] = -1, 2
    found = taken(written(scores), tmp_path, images=str(made.root))
    assert "3 images with equal highest scores: predicted as the first of these classes" in found.notes
    assert (found.run.predictions[-3:] == 1).all()


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (lambda shares: 100 * shares, "every row of the scores sums to 100, not to one; divide them by 100"),
        (lambda shares: 3 * shares, "every row of the scores sums to 3, not to one"),
        (
            np.log10,
            "10 to the power of the scores sums to one in each row: decimal logarithms; multiply them by 2.302585",
        ),
        (np.log2, "2 to the power of the scores sums to one in each row: binary logarithms; multiply them by 0.693147"),
    ],
)
@pytest.mark.parametrize("name", ["logits", "scores"])
def test_an_array_called_logits_may_hold_something_else(tmp_path, made, of, said, name):
    arrays = {name: of(made.probabilities), "files": np.array(made.files), "class_names": np.array(made.names)}
    np.savez(tmp_path / "theirs.npz", **arrays)
    assert said in refused(tmp_path / "theirs.npz", tmp_path, images=str(made.root))
    assert (
        taken(tmp_path / "theirs.npz", tmp_path, images=str(made.root), scores="logits").run.meta["scores"] == "logits"
    )


@pytest.mark.parametrize(("steps", "zero"), [(255, 0), (256, 128)])
@pytest.mark.parametrize("name", ["logits", "scores"])
def test_scores_of_a_quantised_network_are_no_logits(tmp_path, steps, zero, name):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(100, 0.05), 40)  # of which the sums differ, as most of them round to zero
    whole = np.clip(np.round(probabilities * steps) - zero, -zero, steps - 1 - zero)
    known = {"labels": rng.integers(0, 100, 40), "class_names": CLASS_NAMES}
    rows = {"order": "rows", "test_set": "shop"}
    np.savez(tmp_path / "theirs.npz", **{name: whole.astype(np.int32)}, **known)
    assert "the scores are whole numbers" in refused(tmp_path / "theirs.npz", tmp_path, **rows)
    np.savez(tmp_path / "theirs.npz", **{name: (whole + zero) / steps}, **known)  # as the refusal asks
    assert taken(tmp_path / "theirs.npz", tmp_path, **rows).run.meta["scores"] == "log_probabilities"


def test_sigmoids_and_the_best_few_scores_are_told(tmp_path, made):
    def notes(name, scores):
        np.savez(tmp_path / "theirs.npz", files=made.files, **{name: scores})
        return " ".join(taken(tmp_path / "theirs.npz", tmp_path, images=str(made.root)).notes)

    logits = np.log(made.probabilities)
    sigmoids = 1 / (1 + np.exp(-logits - 3))
    assert "no score is below zero" in notes("logits", sigmoids)
    assert "no score is below zero" in notes("scores", 100 * sigmoids)
    assert "below zero" not in notes("logits", logits + 3)


def test_logits_of_the_best_few_classes_are_told(tmp_path):
    logits = np.random.default_rng(0).normal(size=(60, 12))
    best = np.where(logits >= np.sort(logits, axis=1)[:, [-3]], logits, -1)
    known = {"labels": logits.argmax(axis=1), "class_names": [f"c{i}" for i in range(12)]}
    for scores, told in ((best, True), (logits, False)):
        np.savez(tmp_path / "theirs.npz", logits=scores, **known)
        notes = taken(tmp_path / "theirs.npz", tmp_path, order="rows", test_set="shop").notes
        assert any("most classes share the lowest score in 60 images" in note for note in notes) == told


def test_headings_that_stand_among_the_rows_are_no_image(tmp_path, made):
    answers = [made.names[place] for place in made.probabilities.argmax(axis=1)]
    truth = [file.split("/")[0] for file in made.files]
    path = csv(tmp_path / "theirs.csv", pd.DataFrame({"label": truth, "prediction": answers}))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:9], lines[0], *lines[9:]]) + "\n")  # cat part-0.csv part-1.csv
    assert "row 8 has the headings again" in refused(path, tmp_path, order="rows", test_set="shop")


def test_rows_that_are_there_again_are_told_where_nothing_names_the_images(tmp_path, made):
    frame = made.frame(label=[file.split("/")[0] for file in made.files])
    rows = {"order": "rows", "test_set": "shop"}
    padded = csv(tmp_path / "theirs.csv", pd.concat([frame, frame[:2]]))
    (note,) = (note for note in taken(padded, tmp_path, **rows).notes if "earlier row" in note)
    assert f"of 2 rows are those of an earlier row (first: rows 0 and {len(frame)})" in note
    assert "earlier row" not in " ".join(taken(csv(tmp_path / "theirs.csv", frame), tmp_path, **rows).notes)


def test_labels_are_held_against_the_images_where_openmmlab_has_them(tmp_path, made):
    rows = [
        {"img_path": f"/data/{file}", "gt_label": int(label), "pred_scores": scores}
        for file, label, scores in zip(made.files, made.labels, made.probabilities.tolist(), strict=True)
    ]
    (tmp_path / "theirs.json").write_text(json.dumps(rows))
    made.check(taken(tmp_path / "theirs.json", tmp_path, images=str(made.root)).run)
    for row in rows:
        row["gt_label"] = (row["gt_label"] + 1) % len(made.names)
    (tmp_path / "theirs.json").write_text(json.dumps(rows))
    assert "counts the classes in another order" in refused(tmp_path / "theirs.json", tmp_path, images=str(made.root))


def test_votes_of_a_few_models_are_whole_scores_and_marks_are_not():
    votes = np.random.default_rng(0).integers(0, 3, (40, 5)).astype(np.float32)
    assert set(np.unique(votes)) == {0, 1, 2}
    with pytest.raises(CifarcoreError, match="the scores are whole numbers from 0 to 2"):
        as_logits(votes)
    assert as_logits(votes, "logits").kind == as_logits(5 * (votes > 0)).kind == "logits"
