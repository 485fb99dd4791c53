"""What other seeds of the two models say of a comparison of one seed each, in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import verdict
from cifarcore.evidence.other_seeds import AllSeeds, with_other_seeds
from cifarcore.reports.sides import Sides
from cifarcore.runs.run import Run, model_key
from cifarcore.text import counted, interval, number, p_value


def other_seeds_among(sides: Sides, runs: Sequence[Run]) -> tuple[list[Run], list[Run]]:
    """The other seeds of A and of B among `runs`; none where several seeds, or seeds of one model, are compared."""
    a, b = sides.a.first, sides.b.first
    if sides.several_seeds or a.group == b.group:
        return [], []
    compared = {sides.a.first.path, sides.b.first.path}
    others = [run for run in runs if run.path is None or run.path not in compared]
    others = [run for run in others if run is not a and run is not b]
    return [run for run in others if _one_model(run, a)], [run for run in others if _one_model(run, b)]


def _one_model(run: Run, other: Run) -> bool:
    """Whether the files say so; an imported or retrained run may be called like another model."""
    return run.group == other.group and model_key(run.meta) == model_key(other.meta)


def all_seeds(sides: Sides, runs: Sequence[Run]) -> AllSeeds | None:
    """The two seeds compared with the others among `runs`; None where there is none, or nothing follows from them."""
    try:
        over_all = with_other_seeds(sides.a.first, sides.b.first, *other_seeds_among(sides, runs))
    except CifarcoreError:  # of other images or classes
        return None
    return None if over_all is None or np.isnan(over_all.share.low) else over_all


def other_seeds_numbers(sides: Sides, runs: Sequence[Run]) -> dict[str, Any] | None:
    """`all_seeds` as numbers for JSON, shares, with the sentences; None where there is none."""
    if (over_all := all_seeds(sides, runs)) is None:
        return None
    share = over_all.share
    return {
        "seeds_a": over_all.n_a, "seeds_b": over_all.n_b, "n_images": over_all.n_images,
        "difference": share.difference, "low": share.low, "high": share.high, "p": share.p,
        "spread": over_all.spread, "false_claims": over_all.false_claims, "text": other_seeds_text(sides, runs),
    }  # fmt: skip


def other_seeds_text(sides: Sides, runs: Sequence[Run]) -> str:
    """What the other seeds among `runs` imply for a verdict on one seed each, as sentences; "" where there is none."""
    if (over_all := all_seeds(sides, runs)) is None:
        return ""
    share, p = over_all.share, p_value(over_all.share.p)
    significant = "significant" if verdict.of(share.difference, share.p) else "not significant"
    counts = f"{over_all.n_a} of A and {over_all.n_b} of B"
    if over_all.n_images < sides.a.first.n_images:
        counts += f"; on the {counted(over_all.n_images, 'image')} alone that all of them share"
    return (
        f"Other seeds of these models are in this folder. Over all of them ({counts}) B − A is "
        f"{number(100 * share.difference, '+.2f')} points in accuracy, 95% CI "
        f"{interval(100 * share.low, 100 * share.high, '+.2f')}, {significant} as a claim about how the models were "
        f"trained (p {p if p.startswith('<') else f'= {p}'}). Their accuracy varies by ± {100 * over_all.spread:.2f} "
        "points between seeds beyond the noise of the test images; with that, a test of one seed each finds a "
        f"significant difference between equal recipes in {over_all.false_claims:.0%} of cases."
    )
