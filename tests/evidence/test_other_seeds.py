"""What other seeds imply for a comparison of one seed each, against NumPy, repetition, and the bundled runs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import made_run
from scipy.stats import norm

from cifarcore.evidence import comparison, other_seeds, paired
from cifarcore.runs.run import load_run

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
A = [made_run(10, 600, accuracy, seed, "cnn") for seed, accuracy in enumerate((0.5, 0.53, 0.58))]
B = [made_run(10, 600, accuracy, seed, "resnet18") for seed, accuracy in enumerate((0.6, 0.55))]


def test_all_seeds_are_compared_as_the_comparison_does():
    found = other_seeds.with_other_seeds(A[1], B[0], [A[0], A[2]], [B[1]])
    accuracy = comparison.compare([A[1], A[0], A[2]], B).metrics.loc["accuracy"]
    assert (found.n_a, found.n_b) == (3, 2)
    share = found.share
    assert (share.difference, share.low, share.high, share.p) == pytest.approx(
        tuple(accuracy[name] for name in ("difference", "low", "high", "p"))
    )


@pytest.mark.parametrize(("others_a", "others_b"), [(A[1:], B[1:]), (A[1:], []), ([], B[1:])])
def test_spread_and_false_claims_are_of_the_seeds_that_are_there(others_a, others_b):
    found = other_seeds.with_other_seeds(A[0], B[0], others_a, others_b)
    labels, variances = A[0].labels, []
    for runs in ([A[0], *others_a], [B[0], *others_b]):
        if len(runs) > 1:
            right = np.stack([run.correct for run in runs]).astype(float)
            covariance = sum((labels == c).sum() * np.cov(right[:, labels == c]) for c in range(10)) / 600**2
            off = covariance[~np.eye(len(runs), dtype=bool)].mean()
            variances.append(max(right.mean(axis=1).var(ddof=1) - (covariance.diagonal().mean() - off), 0))
    assert found.spread == pytest.approx(np.sqrt(np.mean(variances))) and found.spread > 0
    gain = B[0].correct.astype(float) - A[0].correct
    error = np.sqrt(sum((labels == c).sum() * gain[labels == c].var(ddof=1) for c in range(10))) / 600
    rng = np.random.default_rng(0)
    drawn = error * rng.standard_normal(400_000) + np.sqrt(2) * found.spread * rng.standard_normal(400_000)
    assert found.false_claims == pytest.approx((np.abs(drawn) > norm.ppf(0.975) * error).mean(), abs=0.003)


def test_without_other_seeds_nothing_is_implied():
    assert other_seeds.with_other_seeds(A[0], B[0], [], []) is None


@pytest.mark.parametrize(("spread", "rate"), [(0.0, 0.05), (0.0026, 0.14), (0.005, 0.34)])
def test_mcnemar_between_recipes_errs_as_stated(spread, rate):
    """Two made seeds of equal recipes on 10,000 images, 17% of them correct under one alone, drawn anew each time."""
    rng, claims = np.random.default_rng(0), 0
    for _ in range(1500):
        gain = spread * (rng.standard_normal() - rng.standard_normal())
        only_a, only_b, _ = rng.multinomial(10_000, [0.085 - gain / 2, 0.085 + gain / 2, 0.83])
        claims += paired.mcnemar_p(only_a, only_b) < 0.05
    predicted = float(other_seeds.false_claims(np.sqrt(0.17 / 10_000), spread))
    assert claims / 1500 == pytest.approx(predicted, abs=0.03) and predicted == pytest.approx(rate, abs=0.02)


def test_the_bundled_seeds():
    runs = {
        name: [load_run(CHECKPOINTS / f"{name}-quick-{seed}.npz") for seed in range(3)] for name in ("cnn", "resnet18")
    }
    found = other_seeds.with_other_seeds(runs["cnn"][0], runs["resnet18"][0], runs["cnn"][1:], runs["resnet18"][1:])
    accuracies = [np.mean([run.correct.mean() for run in of]) for of in runs.values()]
    assert found.share.difference == pytest.approx(accuracies[1] - accuracies[0]) and found.share.low > 0.09
    assert 0.05 <= found.false_claims < 0.1 and found.spread < 0.003


def test_a_run_that_is_there_twice_is_one_seed():
    again = replace(A[0], meta=A[0].meta | {"seed": 9}, digest="written again")
    turned = replace(B[0].take(np.arange(600)[::-1]), digest="turned")
    assert other_seeds.with_other_seeds(A[0], B[0], [again], [turned]) is None
    found, expected = (
        other_seeds.with_other_seeds(A[0], B[0], others, []) for others in ([again, A[1], again], A[1:2])
    )
    assert (found.n_a, found.n_b, found.spread) == (2, 1, pytest.approx(expected.spread))
    assert found.share == expected.share
