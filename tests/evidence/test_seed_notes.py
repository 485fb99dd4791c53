"""What a comparison says of seeds that it does not have."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run

from cifarcore.evidence import crossed
from cifarcore.evidence.seed_notes import mean_notes, seed_notes

A = [made_run(4, 400, accuracy, seed) for seed, accuracy in enumerate((0.3, 0.5, 0.7))]
B = [made_run(4, 400, accuracy, seed, "resnet18") for seed, accuracy in enumerate((0.4, 0.55, 0.7))]
ONE_SET = "All seeds share one training set: the variation that others would add is not included."


def test_one_seed_each():
    (text,) = seed_notes([A[0], B[0]], 1)
    assert text == (
        "With one seed each, this compares these two trained models, not how they were trained: another training of "
        "either may come out differently."
    )
    unnamed = [replace(run, meta={"imported": {}, "seed": 0}) for run in (A[0], B[0])]
    (text,) = seed_notes(unnamed, 1)
    assert text.startswith("With one run each, this compares these two trained models, not how they")


@pytest.mark.parametrize(("runs", "n_a", "one", "other"), [([*A, B[0]], 3, "B", "A"), ([A[0], *B], 1, "A", "B")])
def test_one_seed_of_one_model(runs, n_a, one, other):
    first, second = seed_notes(runs, n_a)
    assert first == (
        f"There is only one seed of {one}: its seeds are assumed to vary as much as those of {other}; where they vary "
        "more, intervals are too narrow, and where they vary less, too wide."
    )
    assert second == ONE_SET


@pytest.mark.parametrize(("n_a", "n_b", "named"), [(2, 2, "A and of B"), (2, 3, "A"), (3, 2, "B"), (3, 3, "")])
def test_two_seeds(n_a, n_b, named):
    found = seed_notes([*A[:n_a], *B[:n_b]], n_a)
    assert found[-1] == ONE_SET and len(found) == 1 + bool(named)
    assert not named or found[0].startswith(f"With two seeds of {named} the variance between seeds is poorly known")


@pytest.mark.parametrize(("n_a", "n_b", "named"), [(2, 2, "A and of B"), (2, 3, "A"), (1, 2, "B"), (3, 1, "")])
def test_means_of_two_seeds(n_a, n_b, named):
    said = (
        f"With two seeds of {named} the variance between seeds is poorly known: CIs of a model's mean are wide, and "
        "still too narrow where its seeds vary much more than its images make them."
    )
    assert mean_notes(A[:n_a], B[:n_b]) == ([said] if named else [])


def test_seeds_that_vary_no_more_than_their_images_are_said_to_have_wide_intervals():
    alike = [[made_run(4, 400, 0.6, seed, model) for seed in range(3)] for model in ("cnn", "resnet18")]
    said = (
        "In accuracy the variance between these seeds is not significant beyond that of their test images. If seeds "
        "add no variance, the interval is a little too wide (it covers 97%), so small differences are missed more "
        "often."
    )
    assert said in seed_notes([*alike[0], *alike[1]], 3) and said in seed_notes([*alike[0], B[0]], 3)
    for runs, n_a in (([*A, *alike[1]], 3), ([*alike[0], *B], 3), ([A[0], *B], 1)):
        assert said not in seed_notes(runs, n_a)
    assert said not in seed_notes([A[0], A[0], B[0], B[0]], 2)  # seeds that agree are as one, and tested so


def test_seeds_vary_by_the_chi_square_test_of_their_variance():
    rng = np.random.default_rng(0)
    covariance = 0.3 * np.eye(4) + 0.7  # of each seed's own images 0.3
    drawn = np.sqrt(0.3) * rng.standard_normal((4000, 4))
    assert np.mean([crossed.seeds_vary(values, covariance) for values in drawn]) == pytest.approx(0.05, abs=0.012)
    assert crossed.seeds_vary(np.array([0, 3.0]), np.zeros((2, 2)))
    assert not crossed.seeds_vary(np.ones(2), np.zeros((2, 2)))


def test_weights_that_all_seeds_start_from():
    start = [replace(run, meta=run.meta | {"initialised_from": "ImageNet (IMAGENET1K_V1)"}) for run in B]
    for runs, named in (([*A, *start], "B"), ([*start, *A], "A"), ([*start, *start], "A and of B")):
        assert seed_notes(runs, 3) == [
            f"All seeds share one training set, and those of {named} start from the same pretrained weights: the "
            "variation that others would add is not included."
        ]
    silent = [replace(run, meta={}) for run in A]
    assert seed_notes([*silent, *B], 3) == [ONE_SET]


def test_seeds_that_predict_alike_may_be_one_training():
    again = replace(A[1], logits=A[1].logits * 2, digest="", meta=A[1].meta | {"seed": 7})
    notes = seed_notes([A[0], A[1], again, *B], 3)
    assert notes[0] == (
        f"{A[1].name} and {again.name} predict the same class of every image: if they are one training, saved twice, "
        "give it once; the interval is too narrow."
    )
    assert not any("same class" in note for note in seed_notes([*A, *B], 3))
    assert not any("same class" in note for note in seed_notes([A[0], A[1], again], 2)), "of two models"
    wrong, right = np.flatnonzero(~A[1].correct), np.flatnonzero(A[1].correct)[:50]
    for errors, told in ((9, False), (10, True)):  # nine may be alike by chance
        part = [run.take(np.r_[right, wrong[:errors]]) for run in (A[1], again, B[0])]
        assert any("same class" in note for note in seed_notes(part, 2)) == told


def test_runs_of_other_settings_are_no_seeds_of_one_model():
    def trained(run, **settings):
        return replace(run, meta=run.meta | {"config": {"epochs": 4, "mix": "none", "threads": 1} | settings})

    alike = [trained(run, seed=run.meta["seed"], threads=run.meta["seed"]) for run in A]
    other = [*alike[:2], trained(A[2], epochs=2, mix="both")]
    told = (
        f"The runs of {A[0].group} were trained with other settings (epochs, mix), not with other seeds alone: their "
        "spread is of these too; compare runs of one setting."
    )
    assert seed_notes([*other, *B], 3)[0] == told and told in seed_notes([*B, *other], 3)
    assert not any("other settings" in note for note in seed_notes([*alike, *B], 3))
