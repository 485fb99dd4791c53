"""What a comparison can say of seeds that it does not have, and where its intervals err (`experiments/simulation.md`).

A sentence each.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from cifarcore.evidence import crossed
from cifarcore.evidence.shares import seeds_agree
from cifarcore.runs.run import Run, seed_given
from cifarcore.text import plain

#: errors that two trainings would not make all alike
TELLING_ERRORS = 10
#: settings that seeds of one model may differ in
MACHINE = frozenset({"seed", "device", "threads", "num_workers", "loader", "precision"})


def seed_notes(runs: Sequence[Run], n_a: int) -> list[str]:
    """Where seeds are few, and what all seeds have in common, of A's `n_a` runs and then B's."""
    sides = {"A": runs[:n_a], "B": runs[n_a:]}
    single = [letter for letter, side in sides.items() if len(side) == 1]
    if len(single) == 2:
        seeds = all(seed_given(run.meta) is not None for run in runs)
        return [
            f"With one {'seed' if seeds else 'run'} each, this compares these two trained models, not how they were "
            "trained: another training of either may come out differently."
        ]
    notes = [note for side in sides.values() for note in (*_alike(side), *_other_settings(side))]
    if single:
        other = "B" if single == ["A"] else "A"
        notes.append(
            f"There is only one seed of {single[0]}: its seeds are assumed to vary as much as those of {other}; where "
            "they vary more, intervals are too narrow, and where they vary less, too wide."
        )
    two = [letter for letter, side in sides.items() if len(side) == 2]
    if two:
        notes.append(
            f"With two seeds of {' and of '.join(two)} the variance between seeds is poorly known: intervals are wide, "
            "and still too narrow where the seeds of one model vary much more than those of the other."
        )
    if _vary_no_more_than_images(runs, n_a):
        notes.append(
            "In accuracy the variance between these seeds is not significant beyond that of their test images. If "
            "seeds add no variance, the interval is a little too wide (it covers 97%), so small differences are missed "
            "more often."
        )
    start = [letter for letter, side in sides.items() if any(_pretrained(run) for run in side)]
    shared = f", and those of {' and of '.join(start)} start from the same pretrained weights" if start else ""
    notes.append(f"All seeds share one training set{shared}: the variation that others would add is not included.")
    return notes


def mean_notes(*sides: Sequence[Run]) -> list[str]:
    """Where CIs of one model's mean over its seeds err, of the runs of A and then of B."""
    two = [letter for letter, side in zip("AB", sides, strict=True) if len(side) == 2]
    if not two:
        return []
    return [
        f"With two seeds of {' and of '.join(two)} the variance between seeds is poorly known: CIs of a model's mean "
        "are wide, and still too narrow where its seeds vary much more than its images make them."
    ]


def _alike(side: Sequence[Run]) -> list[str]:
    """Runs of one model that classify every image alike: scores that were scaled or saved otherwise hide one run."""
    return [
        f"{plain(a.name)} and {plain(b.name)} predict the same class of every image: if they are one training, saved "
        "twice, give it once; the interval is too narrow."
        for a, b in combinations(side, 2)
        if np.array_equal(a.predictions, b.predictions) and (~a.correct).sum() >= TELLING_ERRORS
    ]


def _other_settings(side: Sequence[Run]) -> list[str]:
    """Settings in which runs of one model differ though only the seed should."""
    configs = [config for run in side if isinstance(config := run.meta.get("config"), dict)]
    known = set.intersection(*map(set, configs)) - MACHINE if configs else set()
    differing = sorted(name for name in known if any(each[name] != configs[0][name] for each in configs))
    if not differing:
        return []
    shown = ", ".join(plain(name) for name in differing[:5]) + (", …" if len(differing) > 5 else "")
    return [
        f"The runs of {plain(side[0].group)} were trained with other settings ({shown}), not with other seeds alone: "
        "their spread is of these too; compare runs of one setting."
    ]


def _vary_no_more_than_images(runs: Sequence[Run], n_a: int) -> bool:
    correct = np.stack([run.correct for run in runs])
    if seeds_agree(correct, n_a) or correct.shape[1] < 2:
        return False
    covariance = crossed.image_covariance(correct / correct.shape[1], *crossed.strata(runs[0].labels))
    sides = [side for side in (slice(0, n_a), slice(n_a, len(runs))) if len(runs[side]) > 1]
    return not any(crossed.seeds_vary(correct[side].mean(axis=1), covariance[side, side]) for side in sides)


def _pretrained(run: Run) -> bool:
    """Whether the run started from weights that are not random, as far as it says."""
    start = str(run.meta.get("initialised_from") or "random")
    return not start.lower().startswith("random")
