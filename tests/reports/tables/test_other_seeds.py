"""Other seeds in words, in the report and on the page: only where one seed of each of two models is compared."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from pages import run, text, two_models, write

from cifarcore.evidence.other_seeds import with_other_seeds
from cifarcore.reports.result import compare
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables.other_seeds import other_seeds_among, other_seeds_text

A = [made_run(accuracy=accuracy, seed=seed) for seed, accuracy in enumerate((0.5, 0.52, 0.55))]
B = [made_run(accuracy=accuracy, seed=seed, model="resnet18") for seed, accuracy in enumerate((0.7, 0.72))]


def sides(a, b):
    return Sides(Side("A", a[0].group, tuple(a)), Side("B", b[0].group, tuple(b)), 0, 0, np.arange(10))


def test_others_are_further_seeds_of_the_two_models():
    assert other_seeds_among(sides(A[:1], B[:1]), [*A, *B]) == (A[1:], B[1:])
    assert other_seeds_among(sides(A[:1], B[:1]), [*A[:1], made_run(model="vit"), *B]) == ([], B[1:])
    imported = replace(
        A[1], meta=A[1].meta | {"imported": {"file": "x.csv"}}
    )  # called like A, and nobody knows what it is
    assert other_seeds_among(sides(A[:1], B[:1]), [*A[:1], imported, A[2], *B]) == (A[2:], B[1:])
    for several in (sides(A[:2], B[:1]), sides(A[:1], A[1:2])):
        assert other_seeds_among(several, [*A, *B]) == ([], [])


def test_the_sentence_has_the_numbers_of_all_seeds():
    found, said = with_other_seeds(A[0], B[0], A[1:], B[1:]), other_seeds_text(sides(A[:1], B[:1]), [*A, *B])
    share = found.share
    assert f"Over all of them (3 of A and 2 of B) B − A is {100 * share.difference:+.2f} points" in said
    assert f"95% CI {100 * share.low:+.2f} to {100 * share.high:+.2f}, significant as a claim" in said.replace("−", "-")
    assert f"± {100 * found.spread:.2f} points" in said and f"in {found.false_claims:.0%} of cases" in said
    alike = [made_run(accuracy=accuracy, seed=seed, model="vit") for seed, accuracy in enumerate((0.5, 0.53))]
    assert ", not significant as a claim" in other_seeds_text(sides(A[:1], alike[:1]), [*A, *alike])


def test_it_is_said_that_another_seed_holds_only_a_part_of_the_images():
    part = A[1].take(np.arange(60))
    assert "(2 of A and 1 of B; on the 60 images alone that all of them share)" in other_seeds_text(
        sides(A[:1], B[:1]), [part]
    )
    assert compare(A[0], B[0], others=[part]).to_dict()["other_seeds"]["n_images"] == 60
    whole = other_seeds_text(sides([part], [B[0].take(np.arange(60))]), [A[0]])
    assert "(2 of A and 1 of B)" in whole


def test_nothing_is_said_without_other_seeds_or_of_other_images():
    assert other_seeds_text(sides(A[:1], B[:1]), [A[0], B[0]]) == ""
    elsewhere = replace(A[1], sample_ids=~A[1].sample_ids)
    assert other_seeds_text(sides(A[:1], B[:1]), [elsewhere]) == ""


@pytest.mark.parametrize(("listed", "there"), [((*A, *B), True), ((), False)])
def test_the_report_says_it(listed, there):
    page = compare(A[0], B[0]).html(listed)
    assert ("Over all of them (3 of A and 2 of B)" in page) == there


def test_the_page_says_it_where_one_seed_of_each_is_chosen(folder):
    write(folder, *two_models(seeds=(0, 1)))
    one = text(run(folder, "overview", {"seedA": "seed 0", "seedB": "seed 1"})).replace("\\", "")
    assert "Over all of them (2 of A and 2 of B)" in one
    assert "Over all of them" not in text(run(folder, "overview"))
