"""Two runs brought onto the test images that they share: the same images, classes and superclasses in the same
order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from cifarcore.data.ids import image_keys, rows_of
from cifarcore.runs.archive import opened, read_array
from cifarcore.runs.class_names import names_of
from cifarcore.runs.digests import derived_digest
from cifarcore.runs.layout import BY_ROW, RunFileError
from cifarcore.runs.run import Run
from cifarcore.runs.test_sets import files_in_common
from cifarcore.runs.unchanging import owned

FEW = 0.05  #: of the rows whose labels differ where some were corrected; of rows in another order, most do


@dataclass(frozen=True)
class AlignedPair:
    """Two runs on the test images that they share: row i of `a` and row i of `b` are one image."""

    a: Run
    b: Run
    only_a: int  #: images that only A has
    only_b: int
    relabelled: int = 0  #: images that both have, with different labels

    @property
    def partial(self) -> bool:
        return self.only_a > 0 or self.only_b > 0 or self.relabelled > 0


def align(a: Run, b: Run) -> AlignedPair:
    """Match two runs on the test images that they share, by (sample id, label), in A's order of images and classes.

    Classes are matched by name, so B may list the same classes in another order. Superclasses are of the classes, not
    of a model: a run that names none gets the other's, and where both do, A's are both's.
    Raises RunFileError where the classes differ or no image is shared.
    """
    b = _with_classes_of(a, b)
    a = _with_superclasses_of(b, a) if a.superclass_of is None else a
    b = _with_superclasses_of(a, b)
    rows_a, rows_b = matching_rows(a, b)
    left_a, left_b = a.n_images - len(rows_a), b.n_images - len(rows_b)
    both = relabelled([a, b], a.sample_ids[rows_a]) if left_a and left_b else 0
    if left_a or not np.array_equal(rows_a, np.arange(a.n_images)):
        a = a.take(rows_a)
    if left_b or not np.array_equal(rows_b, np.arange(b.n_images)):
        b = b.take(rows_b)
    return AlignedPair(a, b, left_a - both, left_b - both, both)


def relabelled(runs: Sequence[Run], shared: np.ndarray) -> int:
    """How many images are in every run but without a label that all agree on.

    `shared` (M,) are the sample ids of the images that the runs share, label included; an image with two labels
    stands there twice.
    """

    def left_out(run: Run) -> np.ndarray:
        ids, counts = np.unique(run.sample_ids, return_counts=True)
        known, kept = np.unique(shared, return_counts=True)
        here: np.ndarray = np.append(kept, 0)[rows_of(known, ids)]  # the 0 is of ids that are not shared
        return ids[counts > here]

    return len(reduce(np.intersect1d, map(left_out, runs)))


def matching_rows(a: Run, b: Run) -> tuple[np.ndarray, np.ndarray]:
    """Rows (M,) of A and (M,) of B that hold the same images, in A's order; matched by sample id and class name.

    Raises RunFileError where the classes differ or no image is shared.
    """
    b = _with_classes_of(a, b)
    _refuse_other_rows(a, b)
    keys = image_keys(np.concatenate([a.sample_ids, b.sample_ids]), np.concatenate([a.labels, b.labels]))
    rows_b = rows_of(keys[a.n_images :], keys[: a.n_images])
    rows_a = np.flatnonzero(rows_b >= 0)
    if not len(rows_a):
        if both := relabelled([a, b], a.sample_ids[:0]):
            raise RunFileError(
                f"{a.name} and {b.name} give different labels to all {both:,} images that both have; write both with "
                "the same labels"
            )
        if files := files_in_common(a, b):
            raise RunFileError(
                f"{a.name} and {b.name} share no test image, but {files:,} of their files have the same names: the "
                "pixels differ, as of pictures that were resized or re-saved. To compare them by file, import one of "
                "them again with --like and the run file of the other"
            )
        raise RunFileError(
            f"{a.name} and {b.name} share no test image; compare runs that were evaluated on the same test set"
        )
    return rows_a, rows_b[rows_a]


def _refuse_other_rows(a: Run, b: Run) -> None:
    """Raises RunFileError where images are known by the numbers of rows and the labels show that these are others."""
    sets = [run.meta.get("dataset") or {} for run in (a, b)]
    if [each.get("matched_by") for each in sets] != [BY_ROW] * 2 or sets[0].get("name") != sets[1].get("name"):
        return
    rows_b = rows_of(b.sample_ids, a.sample_ids)
    rows_a = np.flatnonzero(rows_b >= 0)
    other = a.labels[rows_a] != b.labels[rows_b[rows_a]]
    if other.any() and other.mean() <= FEW:
        raise RunFileError(
            f"{a.name} and {b.name} give different labels to {other.sum():,} of the {len(rows_a):,} rows of "
            f"{str(sets[0].get('name'))[:60]!r}, so few that some were probably corrected in one of "
            "them; import both with the same labels (--labels FILE), or by pictures or sample ids: then only these "
            "images are left out"
        )
    if other.any():
        raise RunFileError(
            f"{a.name} and {b.name} number the rows of {str(sets[0].get('name'))[:60]!r} in different orders: the "
            f"labels of {other.sum():,} of {len(rows_a):,} rows differ; bring both into one order, or import them by "
            "pictures or sample ids"
        )


def _with_classes_of(a: Run, b: Run) -> Run:
    """B with its classes in A's order."""
    if np.array_equal(a.class_names, b.class_names):
        return b
    to_a = names_of(a.class_names.tolist()).places(b.class_names.tolist())
    if sorted(to_a.tolist()) != list(range(a.n_classes)):
        different = sorted(set(a.class_names.tolist()) ^ set(b.class_names.tolist()))
        raise RunFileError(
            f"{a.name} and {b.name} have different classes ({len(different)} names in one only, such as "
            f"{different[0]!r}); compare runs with the same class names"
        )
    to_a = to_a.astype(b.labels.dtype)
    columns = np.argsort(to_a)
    logits = np.ascontiguousarray(b.logits[:, columns])
    predicted = np.arange(b.n_images), to_a[b.predictions]
    tied = logits.argmax(axis=1) != predicted[1]  # among equals the first counts, in B's own order
    predicted = predicted[0][tied], predicted[1][tied]
    logits[predicted] = np.nextafter(logits[predicted], logits.dtype.type(np.inf))
    changes = {"class_names": a.class_names, "labels": to_a[b.labels], "logits": owned(logits)}
    if b.val_labels is not None:
        changes |= {"val_labels": to_a[b.val_labels], "val_logits": np.asarray(b.val_logits)[:, columns]}
    if b.superclass_of is not None:
        changes["superclass_of"] = b.superclass_of[columns]
    if b.train_neighbor_labels is not None:
        changes["train_neighbor_labels"] = to_a[b.train_neighbor_labels]
    return replace(b, **changes, digest=derived_digest(b.digest, columns))


def places_of_file(run: Run) -> np.ndarray:
    """Where each class of the run's file, in that order, stands among those of the run, int64 (C,); -1 for none: what
    is kept beside the file counts as that does, the run may be in another's order. Raises RunFileError.
    """
    with opened(Path(run.path or "")) as (_, archive, headers):
        written = read_array(archive, headers["class_names"][0])
    return names_of(run.class_names.tolist()).places(written.tolist())


def _with_superclasses_of(run: Run, other: Run) -> Run:
    """`other`, of the same classes in the same order, with the superclasses of `run`, if that has any."""
    if run.superclass_of is None or run.superclass_names is None:
        return other
    if (
        other.superclass_of is not None
        and other.superclass_names is not None
        and np.array_equal(run.superclass_names, other.superclass_names)
        and np.array_equal(run.superclass_of, other.superclass_of)
    ):
        return other
    named = run.superclass_names[run.superclass_of]
    return replace(
        other,
        superclass_names=run.superclass_names,
        superclass_of=run.superclass_of,
        digest=derived_digest(other.digest, named),
    )
