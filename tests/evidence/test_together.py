"""Agreement beyond chance and its error against a numerical derivative, and combinations against plain counts."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from cifarcore.evidence import pairwise, together
from cifarcore.evidence.shares import tango_interval

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.66)
SEEDS = [made_run(accuracy=0.6, seed=s) for s in range(3)] + [
    made_run(model="resnet18", accuracy=0.62, seed=s) for s in range(2)
]


def weighted_kappa(a, b, weights):
    share = weights / weights.sum()
    agreed, of_a, of_b = share[a == b].sum(), share[a].sum(), share[b].sum()
    by_chance = of_a * of_b + (1 - of_a) * (1 - of_b)
    return (agreed - by_chance) / (1 - by_chance)


def test_the_influence_of_an_image_is_the_derivative_by_its_weight():
    kappa, influence = together._kappa(A.correct, B.correct)
    assert kappa == pytest.approx(cohen_kappa_score(A.correct, B.correct))
    for row in range(0, 500, 25):
        weights = np.ones(500)
        weights[row] += 1e-5
        moved = weighted_kappa(A.correct, B.correct, weights) - kappa
        assert influence[row] == pytest.approx(moved / 1e-5, abs=1e-7)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("runs", "n_a"), [([A, B], 1), (SEEDS, 3)])
def test_the_interval_is_that_of_the_mean_influence(runs, n_a):
    pairs = [[together._kappa(a.correct, b.correct) for b in runs[n_a:]] for a in runs[:n_a]]
    influence = np.array([[influence for _, influence in row] for row in pairs])
    values = np.array([[value for value, _ in row] for row in pairs])
    mean = pairwise.pair_mean(values, influence.mean(axis=1), influence.mean(axis=0), A.labels)
    found = together.error_consistency(runs, n_a)
    assert (found.value, found.low, found.high, found.why) == (mean.value, *mean.interval, "")


def answering(right):
    """A run that is right on just these images."""
    labels = A.labels[: len(right)]
    given = np.where(right, labels, (labels + 1) % 10)
    return replace(A.take(np.arange(len(right))), logits=np.eye(10, dtype=np.float16)[given], digest=f"{right}")


def test_agreement_ends_at_one_and_needs_both_kinds_of_answers():
    few = [answering([True, True, False, False]), answering([True, True, False, True])]
    found = together.error_consistency(few, 1)
    assert found.high == 1.0 and -1 <= found.low < found.value == 0.5
    against = together.error_consistency([few[0], answering([False, False, True, False])], 1)
    assert against.low == -1.0 and against.value < 0
    for extreme in ([True] * 4, [False] * 4):
        for runs in ([few[0], answering(extreme)], [answering(extreme), few[0]]):
            found = together.error_consistency(runs, 1)
            assert np.isnan(found.value) and found.why == "one of the models is right, or wrong, on all images"
    assert together.error_consistency([few[0]] * 2, 1).why.startswith("the same images are correct")
    assert together.error_consistency([A.take(np.arange(0))] * 2, 1).why == "there is no image"


def test_combinations_are_counted_against_the_better_model():
    for runs, n_a, letter in ((SEEDS, 3, "B"), ([*SEEDS[3:], *SEEDS[:3]], 2, "A")):
        first, second = runs[0], runs[n_a]
        better = first if letter == "A" else second
        assert better.correct.mean() == max(first.correct.mean(), second.correct.mean())
        table = together.combinations(runs, n_a)
        assert table["what"].tolist() == [
            f"{letter} alone", together.ORACLE, together.AVERAGE, "average of A's seeds", "average of B's seeds",
        ]  # fmt: skip
        assert table["runs"].tolist() == [1, 2, 2, n_a, 5 - n_a]
        either = first.correct | second.correct
        oracle = table.iloc[1]
        won = (either & ~better.correct).sum()
        assert oracle["accuracy"] == either.mean() and oracle["difference"] == won / 500
        assert (oracle["low"], oracle["high"]) == pytest.approx(tuple(map(float, tango_interval(0, won, 500))))
        correct = together.averaged_correct([first, second])
        lost, won = (better.correct & ~correct).sum(), (correct & ~better.correct).sum()
        average = table.iloc[2]
        assert average["difference"] == pytest.approx((won - lost) / 500)
        assert average["p"] == pytest.approx(stats.binomtest(lost, lost + won).pvalue)
        assert (average["low"], average["high"]) == pytest.approx(tuple(map(float, tango_interval(lost, won, 500))))
    equal = together.combinations([A, A], 1)
    assert equal["what"][0] == "A alone" and equal["accuracy"][0] == A.correct.mean() and len(equal) == 3
