"""What could have been detected, and what a smaller difference would take, step by step from the variances."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import optimize, stats

from cifarcore.evidence import crossed, power, shares

A, B = made_run(accuracy=0.6), made_run(model="resnet18", accuracy=0.66)
SEEDS = [made_run(accuracy=0.6, seed=s) for s in range(2)] + [
    made_run(model="resnet18", accuracy=0.64, seed=s) for s in range(4)
]
PERFECT = replace(A, logits=np.eye(10, dtype=np.float16)[A.labels], digest="perfect")
DISCORDANT = (A.correct != B.correct).mean()


def connor(discordant, difference, wanted):
    z = stats.norm.ppf([0.975, wanted])
    return (z[0] * np.sqrt(discordant) + z[1] * np.sqrt(discordant - difference**2)) / difference


@pytest.mark.parametrize("wanted", [0.8, 0.9])
def test_one_run_each_is_planned_by_its_discordant_images(wanted):
    found = power.detectable([A, B], 1, wanted)
    assert found.why == "" and connor(DISCORDANT, found.difference, wanted) == pytest.approx(np.sqrt(500))
    for wished in (0.02, 0.1, DISCORDANT):
        need = power.needed([A, B], 1, wished, wanted)
        assert (need.unit, need.why) == ("images", "")
        assert need.number == np.ceil(connor(DISCORDANT, wished, wanted) ** 2)
    beyond = power.needed([A, B], 1, DISCORDANT + 1e-6, wanted)
    assert np.isnan(beyond.number) and beyond.unit == "images"
    assert beyond.why.startswith(f"only {DISCORDANT:.2%} of images are correct under one model only")


def test_four_in_five_are_the_power_where_none_is_named():
    assert power.POWER == 0.8
    assert power.detectable([A, B], 1).difference == power.detectable([A, B], 1, 0.8).difference
    assert power.needed(SEEDS, 2, 0.3).number == power.needed(SEEDS, 2, 0.3, 0.8).number


def test_too_few_discordant_images_would_not_show_even_if_all_favoured_one_model():
    # of n images with the share d discordant, all for one model: (z_a + 0) / sqrt(d) <= sqrt(n)
    share, least = 0.1, (stats.norm.ppf(0.975) * np.sqrt(0.1) + stats.norm.ppf(0.8) * np.sqrt(0.1 - 0.01)) ** 2 / 0.01
    assert np.isnan(power.smallest_paired(share, int(least)))
    assert power.smallest_paired(share, int(least) + 1) == pytest.approx(share, rel=0.02)
    few = power.detectable([A.take(np.arange(12)), B.take(np.arange(12))], 1)
    assert np.isnan(few.difference) and few.why.startswith("too few images are correct under one model only")


def test_what_no_image_or_no_seed_tells():
    said = "no image is correct under one model only"
    for run in (A, PERFECT):
        need = power.needed([run, run], 1, 0.05)
        assert need.unit == "images" and np.isnan(need.number) and need.why == said
        found = power.detectable([run, run], 1)
        assert np.isnan(found.difference) and found.why == f"{said}, so that the share of such images is unknown"
    for n_a in (1, 2):  # seeds that agree on every image say as much as one
        found = power.detectable([PERFECT] * 4, n_a)
        assert np.isnan(found.difference) and said in found.why
        need = power.needed([PERFECT] * 4, n_a, 0.05)
        assert need.unit == "images" and np.isnan(need.number) and said in need.why
    nothing = [run.take(np.arange(0)) for run in (A, B)]
    for found in (power.detectable(nothing, 1), power.needed(nothing, 1, 0.05)):
        assert found.why == "there is no image to compare on"


def parts(runs, n_a):
    """Of B - A: the variance of what the runs' images bring in all, of what those shared bring, and of the rest."""
    n = runs[0].n_images
    holds = np.stack([run.correct for run in runs])
    covariance = sum(
        (runs[0].labels == c).sum() * np.cov(holds[:, runs[0].labels == c]) for c in range(10)
    ) / n**2  # fmt: skip
    sides = range(n_a), range(n_a, len(runs))
    sign = np.r_[[-1 / n_a] * n_a, [1 / len(sides[1])] * len(sides[1])]
    images = sum(covariance[i, j] * u * v for i, u in enumerate(sign) for j, v in enumerate(sign))
    off = [[covariance[i, j] for i in side for j in side if i != j] for side in sides]
    shared = np.nan
    if min(map(len, sides)) > 1:
        shared = min(max(np.mean(off[0]) + np.mean(off[1]) - 2 * covariance[:n_a, n_a:].mean(), 0), images)
    return images, shared, max(shares.accuracy_difference(runs, n_a).error ** 2 - images, 0)


def smallest(images, seeds, df, power_=0.8):
    """The difference detected with margins of both variances in quadrature."""
    total = images + seeds
    margin = np.sqrt((1.959964**2 * images + stats.t.ppf(0.975, df) ** 2 * seeds) / total)
    of_total = optimize.brentq(lambda log: stats.t.ppf(0.975, np.exp(log)) - margin, np.log(df) - 1e-9, 25)
    return np.sqrt(total) * power.smallest_ratio(np.exp(of_total), power_)


@pytest.mark.parametrize(("n_a", "runs"), [(1, [SEEDS[0], *SEEDS[2:]]), (2, SEEDS[:3])])
def test_with_one_seed_on_a_side_images_are_needed_until_seeds_set_the_limit(n_a, runs):
    images, _, seeds = parts(runs, n_a)
    for wished in (0.002, 0.015, 0.2, 0.6):
        need = power.needed(runs, n_a, wished, 0.9)
        limit = np.sqrt(seeds) * power.smallest_ratio(len(runs) - 2, 0.9)
        assert need.unit == "images" and np.isnan(need.number) == (limit >= wished)
        if limit >= wished:
            assert need.why.startswith(f"these seeds can detect {100 * limit:.2f} points at best")
        else:
            found = smallest(images * 500 / need.number, seeds, len(runs) - 2, 0.9)
            assert found == pytest.approx(wished, rel=1 / need.number + 1e-5)
    share = shares.accuracy_difference(runs, n_a)
    ratio = power.smallest_ratio(share.df, 0.9)
    assert power.detectable(runs, n_a, 0.9).difference == pytest.approx(share.error * ratio)


@pytest.mark.parametrize(("n_a", "runs"), [(2, SEEDS), (2, SEEDS[:5]), (4, [*SEEDS[2:], *SEEDS[:2]])])
def test_the_seeds_needed_are_the_fewest_that_detect_the_wished_difference(n_a, runs):
    images, shared, seeds = parts(runs, n_a)
    alike = 2 / (1 / n_a + 1 / (len(runs) - n_a))

    def detected(n):
        return smallest(shared + (images - shared) * alike / n, seeds * alike / n, 2 * (n - 1))

    assert power.needed(runs, n_a, detected(2) * (1 + 1e-5)) == power.Needed("seeds of each model", 2)
    for n in (3, 4, 7, 60):
        assert power.needed(runs, n_a, detected(n) * (1 + 1e-5)) == power.Needed("seeds of each model", n)
    assert power.needed(runs, n_a, detected(1000) * (1 + 1e-5)).number == pytest.approx(1000, rel=0.01)
    best = 100 * np.sqrt(shared) * stats.norm.ppf([0.975, 0.8]).sum()
    need = power.needed(runs, n_a, detected(1000) * (1 - 1e-5))
    assert np.isnan(need.number) and need.unit == "seeds of each model"
    assert need.why == f"with any number of seeds these 500 images can detect {best:.2f} points at best"


def test_seeds_that_do_not_vary_beyond_their_images_are_still_needed():
    share = shares.accuracy_difference(SEEDS, 2)
    found = power.detectable(SEEDS, 2)
    assert found.difference == pytest.approx(share.error * power.smallest_ratio(share.df)) and found.why == ""
    assert power.needed([A, A, B, B], 2, 0.05) == power.needed([A, B], 1, 0.05)  # more seeds would not help


@pytest.mark.parametrize("df", [1, 2.5, 12])
def test_the_ratio_is_that_of_the_noncentral_t(df):
    ratio, critical = power.smallest_ratio(df, 0.7), stats.t.ppf(0.975, df)
    rng = np.random.default_rng(0)
    statistic = (rng.standard_normal(400_000) + ratio) / np.sqrt(rng.chisquare(df, 400_000) / df)
    assert (np.abs(statistic) > critical).mean() == pytest.approx(0.7, abs=0.005)


def test_the_covariance_of_two_runs_is_the_mean_of_what_is_off_the_diagonal():
    assert power._off_diagonal(np.array([[9.0, 1, 2], [1, 9, 6], [2, 6, 9]])) == pytest.approx(3)
    assert crossed.strata(np.array([0, 0, 1, 1]))[1].tolist() == [2, 2]
