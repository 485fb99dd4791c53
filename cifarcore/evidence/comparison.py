"""Two models on the same test images: the verdict, its metrics with intervals, and the classes behind it.

Model A first, model B second; a difference is always B minus A. What the app and the report show comes from here; the
rules are in `verdict` (headline) and `claims` (classes, cells, pairs). Of single images `disagreement` tells.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.evidence import claims, delong, opposing, softmax, verdict
from cifarcore.evidence.seed_notes import TELLING_ERRORS
from cifarcore.memory import refuse_beyond_memory
from cifarcore.runs.alignment import align, relabelled
from cifarcore.runs.class_names import names_of as names_of_classes
from cifarcore.runs.run import Run, RunHeader, seed_of
from cifarcore.text import counted, distinct, plain

TELLING_SCORES = 20  #: so many different scores of one class, at other images in another run, are no chance


@dataclass(frozen=True, eq=False)
class Comparison:
    """What can be said about B against A."""

    names: tuple[str, str]  #: of A and B, as the sentences have them
    better: verdict.Letter  #: which is more accurate by the test at 5%: "A", "B", or "" for no significant difference
    verdict: str  #: the same in words
    #: the verdict with its numbers and its test, where the difference comes from, and metrics that point the other way
    sentence: str
    #: index verdict.METRICS; a, b (means over seeds), difference, low, high, std_a, std_b, p, method, why (absent)
    metrics: pd.DataFrame
    notes: tuple[str, ...]  #: what the numbers leave open, a sentence each
    class_table: pd.DataFrame  #: see claims.class_claims
    cells: pd.DataFrame  #: see claims.cell_claims
    superclass_cells: pd.DataFrame  #: see claims.superclass_cell_claims
    pairs: pd.DataFrame  #: see claims.pair_claims


def compare(runs_a: Sequence[Run], runs_b: Sequence[Run], names: tuple[str, str] | None = None) -> Comparison:
    """Compare two models, each given as the runs of its seeds, on the images that all runs share.

    `names` are those of A and B; without them as `names_of` has them.

    One run each: exact McNemar tests and Tango's intervals of shares of images, DeLong's of areas, normal ones of other
    numbers. Several each: seeds and images as crossed random effects (`crossed.difference`). Raises RunFileError where
    classes differ or no image is shared, CifarcoreError where a side has one run twice.
    """
    if not runs_a or not runs_b:
        raise CifarcoreError("one of the two models has no run; name at least one run file for each")
    for side in (runs_a, runs_b):
        refuse_copies(side)
    refuse_too_large([*runs_a, *runs_b])
    n_a = len(runs_a)
    runs = on_shared_images([*runs_a, *runs_b])
    for side in (runs[:n_a], runs[n_a:]):
        refuse_copies(side)  # also of other rows or orders
    given = [*runs_a, *runs_b]
    regrouped = other_superclasses(given)
    for run in runs:  # all of it is asked for below: one pass over the scores, not two
        if run.has_scores:
            softmax.per_image(run)
    areas = delong.one_vs_rest(runs)
    table = verdict.metric_differences(runs, n_a, areas)
    class_table = claims.class_claims(runs, n_a, areas)
    accuracy, names = table.loc["accuracy"], names or names_of(runs_a, runs_b)
    better = verdict.better(accuracy)
    sentence = verdict.sentence(better, names, accuracy, runs, n_a, class_table)
    return Comparison(
        names=names,
        better=better,
        verdict=verdict.headline(better, names, accuracy["difference"]),
        sentence=" ".join(filter(None, (sentence, opposing.sentence(better, names, table)))),
        metrics=table,
        notes=(*_in_both(runs, n_a), *regrouped, *verdict.notes(accuracy, runs, n_a, *_left_out(given, runs))),
        class_table=class_table,
        cells=claims.cell_claims(runs, n_a),
        superclass_cells=claims.superclass_cell_claims(runs, n_a),
        pairs=claims.pair_claims(runs, n_a),
    )


def refuse_too_large(runs: Sequence[Run | RunHeader]) -> None:
    """Raises CifarcoreError where comparing `runs` would take more memory than this machine should give."""
    scores = sum(run.n_images * run.n_classes for run in runs)
    refuse_beyond_memory(6 * scores, f"comparing {counted(len(runs), 'run')} with {scores:,} scores")  # as measured
    for run in runs:
        if isinstance(run, Run) and run.superclass_of is not None:
            folded = len(run.superclass_names)  # whose matrix is drawn whole
            refuse_beyond_memory(60 * folded**2, f"the confusion matrix of {folded:,} superclasses")
        if isinstance(run, Run) and run.metadata_values is not None:
            n, columns = run.metadata_values.shape
            # of each column up to 20 conditions, and which images meet them, of all images and of halves of them
            refuse_beyond_memory(
                60 * n * columns, f"searching the slices of {n:,} images by {columns} columns of metadata"
            )


def names_of(runs_a: Sequence[Run], runs_b: Sequence[Run]) -> tuple[str, str]:
    """What A and B are called: their groups; of one group the runs' names, or the group with its seeds."""
    sides = (runs_a, runs_b)
    names = [runs[0].group for runs in sides]
    if names[0] == names[1]:
        names = [runs[0].name if len(runs) == 1 else f"{runs[0].group} ({_seeds(runs)})" for runs in sides]
    paths = [runs[0].path for runs in sides]
    if names[0] == names[1] and paths[0] == paths[1] is not None or runs_a[0] is runs_b[0]:
        return plain(names[0]), plain(names[1])  # the same run on both sides
    if names[0] == names[1]:  # files of one name in two folders
        names = [f"{path.parent.name}/{name}" if path else name for path, name in zip(paths, names, strict=True)]
    a, b = distinct(names)
    return a, b


def _seeds(runs: Sequence[Run]) -> str:
    return "seeds " + ", ".join(str(seed_of(run.meta)) for run in runs)


def refuse_copies(side: Sequence[Run]) -> None:
    """Raises where a model's seeds hold one run twice, known by its content: a mean over copies would look surer.

    Also where it was written again under another seed: by the scores, of images in one order.
    """
    for place, run in enumerate(side):
        for other in side[:place]:
            if same_run(run, other):
                raise CifarcoreError(
                    f"{plain(other.name)} and {plain(run.name)} are one and the same run, not two seeds; give it once"
                )


def same_run(a: Run, b: Run) -> bool:
    """Whether two runs are one by their content; other orders of images are only seen once they are aligned."""
    return a is b or bool(a.digest and a.digest == b.digest) or _same_scores(a, b)


def beside(compared: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """`others` without those that are compared. Raises CifarcoreError where one of them is given twice."""
    by_group: dict[str, list[Run]] = {}
    for run in others:
        if not any(run.group == one.group and same_run(run, one) for one in compared):
            by_group.setdefault(run.group, []).append(run)
    for seeds in by_group.values():
        refuse_copies(seeds)
    return [run for seeds in by_group.values() for run in seeds]


def doubts(given: Sequence[Run], shared: Sequence[Run], n_a: int) -> list[str]:
    """What whoever reads a single number of a comparison must know, a sentence each: that runs stand on both sides or
    at other images, and how many images of the runs as `given` are not among those `shared`.
    """
    return [*_in_both(shared, n_a), *left_out_notes(given, shared)]


def left_out_notes(given: Sequence[Run], shared: Sequence[Run]) -> list[str]:
    """A sentence where some images of the runs as `given` are not among those `shared`."""
    return verdict.left_out_note(shared[0].n_images, *_left_out(given, shared))


def other_superclasses(runs: Sequence[Run]) -> list[str]:
    """A sentence where runs put the same classes into other superclasses than the first that has any, whose hold."""
    grouped = [run for run in runs if run.superclass_of is not None]
    differ = []
    for run in grouped[1:]:
        places = names_of_classes(grouped[0].class_names.tolist()).places(run.class_names.tolist())
        pairs = np.stack([grouped[0].superclass_of[places], run.superclass_of])
        if len({np.unique(each, axis=1).shape[1] for each in (pairs, pairs[:1], pairs[1:])}) > 1:  # not one to one
            differ.append(plain(run.name))
    if not differ:
        return []
    first = plain(grouped[0].name)
    return [
        f"{', '.join(dict.fromkeys(differ))}: the classes are in other superclasses than those of {first}, by which "
        "both models are judged."
    ]


def _left_out(given: Sequence[Run], shared: Sequence[Run]) -> tuple[int, int]:
    """How many images of a run as `given` are not among those `shared`, and how many of them have several labels."""
    count = max(run.n_images for run in given) - shared[0].n_images
    return count, relabelled(given, shared[0].sample_ids) if count else 0


def _in_both(runs: Sequence[Run], n_a: int) -> list[str]:
    """A sentence where a run stands on both sides, by its scores, or with its scores at other images."""
    same = [plain(a.name) for a in runs[:n_a] if any(a is b or _same_scores(a, b) for b in runs[n_a:])]
    notes = [f"{', '.join(same)}: the same scores are in A and in B."] if same else []
    known = [(run, _scores_in_any_order(run)) for run in runs]  # once of each: sorting those of all pairs takes minutes
    for (a, of_a), (b, of_b) in product(known[:n_a], known[n_a:]):
        if of_a and of_a == of_b and not np.array_equal(a.logits[:, :2], b.logits[:, :2]):
            notes.append(
                f"{plain(a.name)} and {plain(b.name)} hold the same scores for different images: the rows of one of "
                "them may have been matched to the wrong images; check the order that it was imported with."
            )
    return notes


def _scores_in_any_order(run: Run) -> tuple[int, bytes] | None:
    """What runs that differ in the order of their rows alone have in common, by the scores of two classes; None where
    scores tell nothing.
    """
    if run.n_classes < 2 or not run.has_scores or len(np.unique(run.logits[:, 0])) < TELLING_SCORES:
        return None
    ordered = np.sort(run.logits[:, :2].astype(np.float64), axis=0) + 0.0  # of -0, 0
    return run.n_classes, hashlib.blake2b(ordered.tobytes(), digest_size=16).digest()


def _same_scores(a: Run, b: Run) -> bool:
    """Whether all scores are equal, and tell seeds apart: predicted classes alone do with enough errors among them."""
    arrays = [(x.logits, x.labels, x.sample_ids) for x in (a, b)]
    if not a.n_images or a.logits.shape != b.logits.shape or not np.array_equal(a.logits[0], b.logits[0]):
        return False
    if not all(np.array_equal(one, other) for one, other in zip(*arrays, strict=True)):
        return False
    return len(np.unique(a.logits)) > 2 or int((~a.correct).sum()) >= TELLING_ERRORS


def on_shared_images(runs: Sequence[Run]) -> list[Run]:
    """The same runs on the images that all of them hold, in one order of images and classes.

    Raises RunFileError where classes differ or no image is shared.
    """
    base = reduce(lambda base, run: align(base, run).a, runs[1:], runs[0])
    return [run if run is base else align(base, run).b for run in runs]
