"""A checkpoint scored on corrupted test images: which conditions, which images, and what is kept."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made import TINY, trained_run

from cifarcore.data.cifar100 import sample_ids
from cifarcore.data.corruptions import CORRUPTIONS, corrupted
from cifarcore.data.synthetic import make_synthetic
from cifarcore.errors import CifarcoreError
from cifarcore.runs.corrupted import corrupted_of, load_corrupted
from cifarcore.runs.run import load_run
from cifarcore.training.checkpoints import load_checkpoint
from cifarcore.training.evaluation import score
from cifarcore.training.robustness import conditions_of, evaluate_corrupted


def test_names_and_severities_that_are_asked_for():
    assert conditions_of(["fog:2", "snow", "fog:2"]) == (("fog", 2), ("snow", 1), ("snow", 3), ("snow", 5))
    assert conditions_of(["all:4"]) == tuple((name, 4) for name in CORRUPTIONS)
    assert len(conditions_of(["all"])) == 45


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("haze", "no corruption is called haze; there are all, gaussian_noise"),
        ("fog:6", "severity 6 of fog"),
        ("fog:", None),
        ("all:x", "severity x of all"),
        (":3", "no corruption is called ;"),
    ],
)
def test_what_is_not_known_is_refused_with_what_there_is(asked, said):
    if said is None:
        assert conditions_of([asked]) == conditions_of(["fog"])
        return
    with pytest.raises(CifarcoreError, match=said):
        conditions_of([asked])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint beside its run file, and the images it was evaluated on."""
    dataset = make_synthetic()
    run_file = trained_run(tmp_path_factory.mktemp("runs"), replace(TINY, preset="quick"), dataset)
    return SimpleNamespace(run=run_file, checkpoint=run_file.with_suffix(".pt"), dataset=dataset)


def test_predictions_are_the_networks_on_the_corrupted_images_under_the_clean_ids(trained):
    path, dataset = trained.checkpoint, trained.dataset
    heard = []
    conditions = conditions_of(["contrast:5", "impulse_noise:3"])
    out = evaluate_corrupted(path, dataset, conditions, 40, "cpu", lambda *said: heard.append(said))
    found = load_corrupted(out)
    rows = np.flatnonzero(np.isin(sample_ids(dataset.x_test), found.sample_ids))
    assert len(rows) == 40 and np.array_equal(sample_ids(dataset.x_test[rows]), found.sample_ids)
    for condition, predictions in zip(found.conditions, found.predictions, strict=True):
        pictures = corrupted(dataset.x_test[rows], found.sample_ids, *condition)
        logits, _ = score(load_checkpoint(path), pictures, "cpu")
        np.testing.assert_array_equal(predictions, logits.argmax(axis=1))
    accuracy = {(name, severity): value for name, severity, value in heard}
    row = found.conditions.index(("contrast", 5))
    assert accuracy[("contrast", 5)] == pytest.approx((found.predictions[row] == dataset.y_test[rows]).mean())
    assert corrupted_of(load_run(trained.run)).conditions == found.conditions


def test_other_images_are_refused_before_anything_is_scored(trained):
    evaluate_corrupted(trained.checkpoint, trained.dataset, conditions_of(["fog:1"]), 40, "cpu")
    with pytest.raises(CifarcoreError, match="of 40 images and this of 30"):
        evaluate_corrupted(
            trained.checkpoint, trained.dataset, conditions_of(["fog:1"]), 30, "cpu", lambda *_: pytest.fail("scored")
        )
