"""Two models on the same test images: the verdict, its metrics with intervals, and the classes behind it.

Model A first, model B second; a difference is always B minus A. What the app and the report show comes from here; the
rules are in `verdict` (headline) and `claims` (classes, cells, pairs). Of single images `disagreement` tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd

from cifarcore import CifarcoreError, claims, delong, verdict
from cifarcore.runs import Run, align


@dataclass(frozen=True, eq=False)
class Comparison:
    """What can be said about B against A."""

    verdict: str  #: «B is better», «A is better» or «not distinguishable», by the test of accuracy at 5 %
    sentence: str  #: the verdict with its numbers and its test, and where the difference comes from
    #: index verdict.METRICS; a, b (means over seeds), difference, low, high, std_a, std_b, p, method
    metrics: pd.DataFrame
    notes: tuple[str, ...]  #: what the numbers leave open, a sentence each
    class_table: pd.DataFrame  #: see claims.class_claims
    cells: pd.DataFrame  #: see claims.cell_claims
    pairs: pd.DataFrame  #: see claims.pair_claims


def compare(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> Comparison:
    """Compare two models, each given as the runs of its seeds, on the images that all runs share.

    One run each: exact McNemar tests, within-class bootstrap and DeLong intervals. Several each: seeds and images as
    crossed random effects (`crossed.difference`). Raises RunFileError where classes differ or no image is shared.
    """
    if not runs_a or not runs_b:
        raise CifarcoreError("one of the two models has no run; name at least one run file for each")
    n_a = len(runs_a)
    runs = on_shared_images([*runs_a, *runs_b])
    left_out = max(run.n_images for run in [*runs_a, *runs_b]) - runs[0].n_images
    areas = delong.one_vs_rest(runs)
    resampled = verdict.resampled_differences(runs) if len(runs) == 2 else None
    table = verdict.metric_table(runs, n_a, areas, resampled)
    class_table = claims.class_claims(runs, n_a, areas, None if resampled is None else resampled["f1"])
    word = verdict.word(table.loc["accuracy"])
    return Comparison(
        verdict=word,
        sentence=verdict.sentence(word, table.loc["accuracy"], runs, n_a, class_table),
        metrics=table,
        notes=tuple(verdict.notes(table.loc["accuracy"], runs, n_a, left_out)),
        class_table=class_table,
        cells=claims.cell_claims(runs, n_a),
        pairs=claims.pair_claims(runs, n_a),
    )


def on_shared_images(runs: Sequence[Run]) -> list[Run]:
    """The same runs on the images that all of them hold, in one order of images and classes.

    Raises RunFileError where classes differ or no image is shared.
    """
    base = reduce(lambda base, run: align(base, run).a, runs[1:], runs[0])
    return [run if run is base else align(base, run).b for run in runs]
