"""Runs of predicted classes without scores: what classes tell is as of the scored run, all else is absent and says
why.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from made import classes_only, made_run
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from cifarcore.evidence import (
    absent,
    abstention,
    calibration,
    comparison,
    delong,
    disagreement,
    findings,
    flips,
    gate,
    metrics,
    roc_curves,
    slices,
    softmax,
    together,
)
from cifarcore.runs.alignment import AlignedPair
from cifarcore.runs.run import Run, load_run, save_run

REASON = "cnn-classes gives the predicted class of each image, without scores"
ABSENT = ["top5", "macro_auc", "ece", "brier", "log_loss"]


@pytest.fixture
def scored():
    return made_run(10, 500, 0.55), made_run(10, 500, 0.65, model="resnet18")


@pytest.fixture
def hard(scored):
    return tuple(map(classes_only, scored))


def test_classes_are_kept_and_come_back_from_a_file(tmp_path, scored, hard):
    loaded = load_run(save_run(hard[0], tmp_path / "hard.npz"))
    for run in (hard[0], loaded):
        assert not run.has_scores and run.take(np.arange(5)).has_scores is False
        np.testing.assert_array_equal(run.predictions, scored[0].predictions)
    assert scored[0].has_scores


def test_a_single_run_has_the_numbers_of_its_classes(hard):
    run = hard[0]
    found = metrics.headline(run)
    assert found["accuracy"] == accuracy_score(run.labels, run.predictions)
    assert found["macro_f1"] == pytest.approx(f1_score(run.labels, run.predictions, average="macro"))
    np.testing.assert_array_equal(metrics.confusion(run).toarray(), confusion_matrix(run.labels, run.predictions))
    kin = run.superclass_of
    assert found["superclass_accuracy"] == np.mean(kin[run.predictions] == kin[run.labels])
    assert [name for name, value in found.items() if np.isnan(value)] == ABSENT


def test_no_number_of_the_stored_scores_leaks(hard):
    """Each function of probabilities or ranks, asked by itself."""
    run = hard[0]
    assert np.isnan(softmax.confidence(run)).all() and np.isnan(softmax.probabilities(run)).all()
    for number in (
        metrics.top_k_accuracy, roc_curves.macro_auc, calibration.expected_calibration_error, calibration.brier_score,
        calibration.log_loss, abstention.augrc, abstention.coverage_at,
    ):  # fmt: skip
        assert np.isnan(number(run)), number.__name__
    assert np.isnan(roc_curves.class_auc(run)).all()
    assert np.isnan(roc_curves.pair_aucs(run, np.array([[0, 1]]))).all()
    assert roc_curves.roc(*roc_curves.pair_scores(run, 0, 1)[:2]).empty
    assert roc_curves.roc(*roc_curves.rest_scores(run, 0)[:2]).empty
    assert roc_curves.macro_roc(run)["tpr"].isna().all()
    assert calibration.reliability(run)["count"].sum() == 0 and calibration.fit_temperature(run) is None
    assert abstention.risk_coverage(run).empty and not len(abstention.abstained(run, 0.5))
    assert np.isnan(abstention.error_at(run, 0.5))


def test_two_models_are_compared_by_their_classes(scored, hard):
    """Tests, intervals and claims that need no scores are those of the scored runs, to the digit."""
    with_scores, without = comparison.compare([scored[0]], [scored[1]]), comparison.compare([hard[0]], [hard[1]])
    columns = ["a", "b", "difference", "low", "high", "p"]
    for name in ("accuracy", "macro_f1"):
        np.testing.assert_array_equal(
            without.metrics.loc[name, columns].astype(float), with_scores.metrics.loc[name, columns].astype(float)
        )
    assert without.metrics.loc[ABSENT, columns].isna().all(axis=None)
    assert without.class_table["claim"].tolist() == with_scores.class_table["claim"].tolist()
    assert without.cells["q"].tolist() == with_scores.cells["q"].tolist()
    assert without.pairs["confused"].tolist() == with_scores.pairs["confused"].tolist()
    assert without.pairs[["a", "b", "p"]].isna().all(axis=None)
    assert flips.flips(hard, 1).equals(flips.flips(scored, 1))
    np.testing.assert_array_equal(
        disagreement.four_way(AlignedPair(*hard, 0, 0)), disagreement.four_way(AlignedPair(*scored, 0, 0))
    )


def test_the_reason_is_said_once_and_with_each_number(hard):
    result = comparison.compare([hard[0]], [hard[1]])
    both = "cnn-classes and resnet18-classes give the predicted class of each image, without scores"
    assert [note for note in result.notes if "Not available" in note] == [
        "Not available: top-5 accuracy, ROC curves and AUC, calibration error, Brier score, log loss, confidence, "
        f"averaged probabilities, maps of the scores; {both}."
    ]
    assert result.metrics["why"].to_dict() == {name: both if name in ABSENT else "" for name in result.metrics.index}


def test_one_scored_model_keeps_its_numbers(scored, hard):
    result = comparison.compare([hard[0]], [scored[1]])
    for name, value in metrics.headline(scored[1]).items():
        assert result.metrics.loc[name, "b"] == pytest.approx(value)
    assert result.metrics.loc[ABSENT, ["a", "difference", "low", "high", "p"]].isna().all(axis=None)
    assert (result.metrics.loc[ABSENT, "why"] == REASON).all()
    found = abstention.compared_augrc([hard[0], scored[1]], 1)
    assert np.isnan(found.a) and found.b == abstention.augrc(scored[1]) and found.why == REASON
    areas = delong.one_vs_rest([hard[0], scored[1]])
    assert np.isnan(areas.auc[0]).all() and np.isfinite(areas.auc[1]).all()


def test_several_seeds_where_one_has_no_scores(scored, hard):
    result = comparison.compare([scored[0], hard[0]], [scored[1], made_run(10, 500, 0.65, 1, model="resnet18")])
    assert np.isfinite(result.metrics.loc["accuracy", "p"]) and np.isnan(result.metrics.loc["macro_auc", "a"])
    assert result.metrics.loc["log_loss", "why"] == REASON


def test_images_without_confidence(scored, hard):
    both = AlignedPair(*hard, 0, 0)
    assert not disagreement.wrong_confidence(both).any() and np.isnan(disagreement.both_sure(both)).all()
    mixed = disagreement.wrong_confidence(AlignedPair(hard[0], scored[1], 0, 0))
    np.testing.assert_array_equal(mixed, np.where(scored[1].correct, 0, softmax.confidence(scored[1])))
    assert disagreement.suspect_labels(hard)["row"].tolist() == sorted(disagreement.suspect_labels(scored)["row"])
    assert not [each for each in slices.of_runs([hard[0]], [hard[1]]) if "confidence" in each.name]


def test_combinations_without_averages(scored, hard):
    rows = together.combinations(hard, 1)["what"].tolist()
    assert rows == [rows[0], together.ORACLE]
    assert together.combinations([*hard, scored[1], scored[1]], 1)["what"].tolist()[-1] == together.ORACLE


def test_a_gate_says_why_it_cannot_judge(hard):
    outcomes = gate.check(
        [gate.requirement("macro_auc >= -1"), gate.requirement("accuracy >= -99")], *map(list, zip(hard))
    )
    assert not outcomes[0].met and outcomes[1].met
    assert outcomes[0].line.endswith("resnet18-classes give the predicted class of each image, without scores")
    five = gate.check([gate.requirement("top5 >= -1")], [hard[0]], [hard[1]])
    assert "without scores" in five[0].line


def test_claims_of_the_report_that_need_scores_are_not_judged():
    runs = [classes_only(made_run(100, 1000, 0.5)), classes_only(made_run(100, 1000, 0.6, model="resnet18"))]
    table = findings.findings(runs[:1], runs[1:]).query("model == 'A'").set_index("measure")
    assert np.isfinite(table.loc["accuracy", "value"]) and np.isfinite(table.loc["macro-F1 minus accuracy", "value"])
    assert np.isnan(table.loc[["macro-AUC", "mean confidence when correct"], "value"]).all()
    assert table.filter(like="true class is among", axis=0)["verdict"].tolist() == [findings.UNKNOWN]


@pytest.mark.parametrize("given", ["numbers", "names", "one-hot", "one-hot columns"])
def test_predicted_classes_in_any_form(given):
    from cifarcore import Run

    run = made_run(10, 100)
    forms = {
        "numbers": run.predictions.astype(np.int32),
        "names": run.class_names[run.predictions],
        "one-hot": np.eye(10)[run.predictions],
        "one-hot columns": np.eye(10, dtype=int)[run.predictions],
    }
    found = Run.from_predictions(
        forms[given], run.labels, class_names=run.class_names, sample_ids=run.sample_ids, model="m"
    )
    np.testing.assert_array_equal(found.predictions, run.predictions)
    assert not found.has_scores and found.meta["scores"] == "classes"


def test_scores_that_only_look_like_classes_are_scores():
    from cifarcore import CifarcoreError, Run

    images = {"class_names": ["cat", "dog"], "sample_ids": [1, 2], "labels": [0, 1]}
    assert Run.from_predictions([[1.0, 0], [0, 1]], **images, kind="logits").has_scores
    assert Run.from_predictions([[1.0, 0], [0.1, 0.9]], **images).has_scores
    with pytest.raises(CifarcoreError, match="scores: .*one row per image"):
        Run.from_predictions([0.9, 0.1], **images)
    with pytest.raises(CifarcoreError, match="scores: label 2 is outside"):
        Run.from_predictions([0, 2], **images)


def test_whether_a_number_can_be_had(scored, hard):
    assert absent.why("accuracy", *hard) == "" and absent.why("log_loss", *scored) == ""
    assert absent.why("log_loss", scored[1], hard[0]) == REASON


def test_images_of_one_class_have_no_roc_curve(scored):
    one = [run.take(np.flatnonzero(run.labels == 1)) for run in scored]
    found = comparison.compare(one[:1], one[1:2])
    assert np.isnan(found.metrics.loc["macro_auc", "difference"])
    assert found.metrics.loc["macro_auc", "why"].endswith("images of one class alone")
    assert not found.metrics.loc["brier", "why"] and not absent.why("macro_auc", *scored)


def test_nothing_warns(hard):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        comparison.compare([hard[0]], [hard[1]])


def rounded(run, digits=3):
    given = softmax.probabilities(run).astype(np.float64).round(digits)
    names = [str(name) for name in run.class_names]
    return given, Run.from_predictions(
        given, run.labels, class_names=names, sample_ids=run.sample_ids, model=f"{run.meta['model']}-rounded"
    )


def test_zeros_among_probabilities_leave_no_log_loss_and_the_file_remembers(tmp_path, scored):
    given, run = rounded(scored[0], 2)
    zero = int((given[np.arange(500), run.labels] == 0).sum())
    assert zero > 0 and run.meta["zero_probabilities"] == zero
    other = scored[1]
    why = "cnn-rounded gives the true class of some images a probability of zero"
    for one in (run, load_run(save_run(run, tmp_path / "rounded.npz"))):
        assert absent.why("log_loss", one, other) == why and not absent.why("brier", one, other)
        found = metrics.headline(one)
        assert np.isnan(found["log_loss"]) and np.isfinite([found["ece"], found["brier"], found["macro_auc"]]).all()
        result = comparison.compare([one], [other])
        row = result.metrics.loc["log_loss"]
        assert np.isnan(row[["a", "difference", "low", "high", "p"]].astype(float)).all() and row["why"] == why
        assert f"Not available: log loss; {why}." in result.notes
        (outcome,) = gate.check([gate.requirement("log_loss <= 0.1")], [one], [other])
        assert not outcome.met and outcome.why == why
    exact = Run.from_predictions(
        softmax.probabilities(other), other.labels, class_names=list(map(str, other.class_names)),
        sample_ids=other.sample_ids,
    )  # fmt: skip
    assert "zero_probabilities" not in exact.meta and not absent.why("log_loss", exact)


def test_logits_that_were_through_softmax_are_noticed(tmp_path, scored):
    a, b = scored
    given = softmax.probabilities(a)
    names = [str(name) for name in a.class_names]
    asked = Run.from_predictions(given, a.labels, class_names=names, sample_ids=a.sample_ids, kind="logits")
    # a run file that someone wrote by hand, and one made of what was said to be logits
    written = load_run(save_run(replace(a, logits=given), tmp_path / "hand.npz"))
    for run in (written, load_run(save_run(asked, tmp_path / "asked.npz"))):
        for number in ("ece", "brier", "log_loss"):
            assert "as after softmax; import these scores as probabilities" in absent.why(number, run)
            assert np.isnan(metrics.headline(run)[number]) and not absent.why(number, a)
    assert metrics.headline(written)["accuracy"] == pytest.approx(a.correct.mean(), abs=0.01)
    notes = comparison.compare([written], [b]).notes
    assert any(note.startswith("Not available: calibration error, Brier score, log loss; cnn-made") for note in notes)


def test_superclasses_by_probabilities_and_by_predicted_classes_are_two_measures(scored, hard):
    result = comparison.compare([scored[0]], [hard[1]])
    row = result.metrics.loc["superclass_accuracy"]
    assert row["why"].endswith("the other model's superclass is that of the highest summed probability")
    assert np.isnan([row["difference"], row["low"], row["p"]]).all() and np.isfinite([row["a"], row["b"]]).all()
    (outcome,) = gate.check([gate.requirement("superclass_accuracy >= -99")], [scored[0]], [hard[1]])
    assert not outcome.met and outcome.why == row["why"]
    assert any("a comparison of superclass accuracy" in note for note in absent.notes((scored[0], hard[1])))
    for pair in (scored, hard):
        assert np.isfinite(comparison.compare([pair[0]], [pair[1]]).metrics.loc["superclass_accuracy", "low"])
