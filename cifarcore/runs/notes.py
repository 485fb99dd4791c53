"""What may be wrong with imported predictions although everything fits, and images that are there twice."""

from typing import TYPE_CHECKING

import numpy as np

from cifarcore.data.ids import image_keys
from cifarcore.errors import CifarcoreError
from cifarcore.runs import class_order
from cifarcore.text import counted

if TYPE_CHECKING:
    from cifarcore.runs.run import Run
    from cifarcore.runs.test_sets import TestSet

#: standard errors by which the images that another order gets right must outnumber those that this one does
SURE = 3.0
LEAST = 50  #: images from which an accuracy is held against chance
UNLIKELY = 20  #: bits of coincidence that chance does not make
SHORTEST = 10  #: images of a test set; fewer, again and again, are classes that take turns
#: most rows of one image in a row that are looked for; how much more alike than the rows of two images these then are,
#: as a correlation, and by how many standard errors
MOST_IN_A_ROW, ALIKE, CERTAIN = 32, 0.3, 6.0
TOO_SURE = 0.4  #: by which the mean confidence exceeds the accuracy of few models, and of many whose labels are others'


def doubts(
    run: "Run", test: "TestSet | None", labels_given: bool, files_given: bool, numbered: bool = False
) -> list[str]:
    """What may be wrong with the order of rows or columns although everything fits; `numbered` columns have no name."""
    notes = []
    in_order = test is not None and not test.by_file
    if in_order and files_given and test.folder is None:
        notes.append("the names of files were not used; to find the images by them, give --images FOLDER")
    if in_order and not labels_given:
        notes.append(
            f"without labels the order of the rows cannot be checked; it is assumed to be that of {test.title}"
        )
    # what the same answers would score if they were dealt out anew among the images
    shares = [np.bincount(rows, minlength=run.n_classes) / run.n_images for rows in (run.labels, run.predictions)]
    chance = float(shares[0] @ shares[1])
    accuracy = float(run.correct.mean())
    by_chance = chance + 2 * (chance * (1 - chance) / run.n_images) ** 0.5
    guessed = run.n_images >= LEAST and accuracy < 1 and accuracy <= by_chance
    if guessed:
        ask = "are the rows in this order?" if in_order else "are the columns in the order of these classes?"
        notes.append(f"the accuracy, {accuracy:.4f}, is no better than chance, {chance:.4f}: {ask}")
    if (in_order or not guessed) and (doubt := class_order.doubt(run)):  # else this is asked already
        notes.append(doubt)
    elif not guessed and run.n_images >= LEAST and (confidence := _mean_confidence(run)) - accuracy > TOO_SURE:
        ask = "are the labels in the order of the rows?"
        notes.append(f"the mean confidence is {confidence:.4f}, the accuracy {accuracy:.4f}: {ask}")
    if test is not None and test.others and tuple(run.class_names.tolist()) == test.class_names:
        right = {other.name: run.predictions == (other.counted if numbered else other.labels) for other in test.others}
        best = max(right, key=lambda name: right[name].sum())
        better, worse = int((right[best] & ~run.correct).sum()), int((run.correct & ~right[best]).sum())
        if better - worse > SURE * (better + worse) ** 0.5:
            notes.append(
                f"in the order {best} the accuracy would be {right[best].mean():.4f}, not {accuracy:.4f}: is --order "
                f"{best} theirs?"
            )
    highest = run.logits.max(axis=1, keepdims=True)
    ties = np.count_nonzero(run.logits == highest, axis=1)
    if alike := int((ties == run.n_classes).sum()):
        notes.append(f"{counted(alike, 'image')} with the same score for every class: predicted as the first one")
    if several := int((ties > 1).sum()) - alike:
        notes.append(f"{counted(several, 'image')} with equal highest scores: predicted as the first of these classes")
    absent = [name for name, share in zip(run.class_names.tolist(), shares[0], strict=True) if not share]
    if test is None and labels_given and run.n_images >= LEAST and absent:
        shown = ", ".join(repr(name[:60]) for name in absent[:5]) + (", …" if len(absent) > 5 else "")
        notes.append(f"no image has the label {shown}: leave these columns out if they are not classes")
    if run.n_images >= LEAST and accuracy == 1 and (test is None or not run.has_scores):
        ask = "does the file hold the labels instead of predictions?"
        if run.has_scores:
            ask = "are the labels in the file the model's own answers?"
        notes.append(f"every predicted class is the true one: {ask}")
    return notes


def _mean_confidence(run: "Run") -> float:
    """The mean probability of the predicted class; zero where there are only predicted classes."""
    if not run.has_scores:
        return 0.0
    total = 0.0
    for rows in run.blocks():
        scores = run.logits[rows].astype(np.float32)
        total += float((1 / np.exp(scores - scores.max(axis=1, keepdims=True)).sum(axis=1)).sum())
    return total / run.n_images


def not_told_by_labels(test: "TestSet", given: np.ndarray) -> list[str]:
    """What the labels of a file, int64 or text (N,), leave open: other usual orders of the files have the same."""
    as_numbers = given.dtype.kind != "U"
    alike = [
        f"--order {other.name}"
        for other in test.others
        if other.moved
        and any(np.array_equal(test.labels, each) for each in (other.labels, other.counted)[: 1 + as_numbers])
    ]
    return [
        f"{' and '.join(alike)} would give the same labels but other pictures, and the labels cannot tell which is "
        "right: check the order"
    ] * bool(alike)


def numbered_rows(test_set: str, files_given: bool) -> list[str]:
    """What is to be known of rows that are known by their numbers."""
    notes = [
        f"row i is compared as image i of {test_set!r}: only equal labels suggest the same order; without "
        "pictures there are no galleries"
    ]
    return notes + ["the names of files were not used; give --images FOLDER to find the images by them"] * files_given


def repeated_rows(run: "Run") -> list[str]:
    """A note on rows that have the scores and the label of an earlier one, as those that a distributed sampler repeats
    or a file that was appended to, where nothing says which image each is. Votes of trees may have them, too.
    """
    pairs = zip(run.logits, run.labels.tolist(), strict=True)
    kinds = np.fromiter((hash((scores.tobytes(), label)) for scores, label in pairs), np.int64, run.n_images)
    _, first, which = np.unique(kinds, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[which] != np.arange(run.n_images))
    if not run.has_scores or not len(again):
        return _repeated_labels(run.labels) or _alike_in_a_row(run)
    same, row = first[which[again[0]]], again[0]
    return [
        f"the scores and the label of {counted(len(again), 'row')} are those of an earlier row (first: rows {same} and "
        f"{row}), as in a file written twice or padded for a distributed run: is each image there once? If not, every "
        "interval is too narrow"
    ]


def _repeated_labels(labels: np.ndarray) -> list[str]:
    """A note on labels (N,) that come again in the same order, or so many times in a row, as where one file has the
    rows of several models or epochs, one after the other or image by image.
    """
    starts = np.flatnonzero(np.diff(labels, prepend=-1))
    lengths = np.diff(starts, append=len(labels))
    each, n_classes = int(np.gcd.reduce(lengths)), len(np.unique(labels))
    ask = (
        "as of several models or epochs in one file: is each image there once? If not, the accuracy is their mean, and "
        "every interval is too narrow"
    )
    if each > 1 and len(lengths) - n_classes > UNLIKELY:  # labels in the order of the classes stand in a row, too
        return [f"every label stands {each} times in a row, or a multiple of it, {ask}"]
    after = _period(labels)
    share = np.bincount(labels)[labels[after:]] / len(labels)
    taking_turns = after < SHORTEST or len(np.unique(labels[:after])) == after
    if not taking_turns and -np.log2(share).sum() > UNLIKELY + np.log2(len(labels)):
        return [f"from row {after:,} on the labels are those of the first rows again, in the same order, {ask}"]
    return []


def _alike_in_a_row(run: "Run") -> list[str]:
    """A note on rows that are alike so many at a time, as those of one image under several augmentations or models,
    where the labels do not tell as they are in the order of the classes.
    """
    own = np.concatenate([_of_own_class(run, rows) for rows in run.blocks()] or [np.zeros(0)])
    counts = np.maximum(np.bincount(run.labels), 1)
    own -= (np.bincount(run.labels, own) / counts)[run.labels]
    spread = np.sqrt(np.bincount(run.labels, own**2) / counts)[run.labels]
    own = np.clip(own / np.where(spread > 0, spread, 1), -3, 3)
    products = np.where(np.diff(run.labels) == 0, own[:-1] * own[1:], np.nan)  # of each row and the next
    rows, found = np.flatnonzero(np.isfinite(products)), (0.0, 0)
    for each in (k for k in range(2, MOST_IN_A_ROW + 1) if run.n_images % k == 0):
        last = (rows + 1) % each == 0
        # films' frames are alike, too, but grow unlike little by little: those beside the last of each tell
        near = products[np.clip([rows[last] - 1, rows[last] + 1], 0, len(products) - 1)]
        within, between, beside = products[rows[~last]], products[rows[last]], near[np.isfinite(near)]
        if min(map(len, (within, between, beside))) < SHORTEST:
            continue
        more, at_once = (float(part.mean() - between.mean()) for part in (within, beside))
        error = float(within.var() / len(within) + between.var() / len(between)) ** 0.5
        if error and more > max(ALIKE, CERTAIN * error) and at_once > more / 2:
            found = max(found, (more / error, each))
    return [
        f"the scores are alike {found[1]} rows at a time, as of one image under several augmentations or models: is "
        "each image there once? If not, the accuracy is their mean, and every interval is too narrow"
    ] * bool(found[1])


def _of_own_class(run: "Run", rows: slice) -> np.ndarray:
    """How far the score of each row's own class is above those of the others, on average."""
    scores, labels = run.logits[rows].astype(np.float32), run.labels[rows]
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), axis=1)[:, 0]
    return (own - scores.mean(axis=1)).astype(np.float64)


def _period(labels: np.ndarray) -> int:
    """After how many rows the labels (N,) come again, to their end; N where they do not (Knuth, Morris and Pratt)."""
    given, borders = labels.tolist(), [0] * len(labels)
    length = 0
    for row in range(1, len(given)):
        while length and given[row] != given[length]:
            length = borders[length - 1]
        length += given[row] == given[length]
        borders[row] = length
    return len(given) - length


def refuse_repeated(run: "Run") -> None:
    keys = image_keys(run.sample_ids, run.labels)
    _, first, counts = np.unique(keys, return_index=True, return_counts=True)
    if len(first) < len(keys):
        rows = np.flatnonzero(keys == keys[first[counts > 1].min()])
        raise CifarcoreError(
            f"{len(keys) - len(first):,} rows repeat an image (first: rows {rows[0]} and {rows[1]}, sample id "
            f"{run.sample_ids[rows[0]]:016x}); give each image once"
        )


def without_repeated(run: "Run") -> tuple["Run", list[str]]:
    """The first row of each picture: a folder may hold the same one twice."""
    _, first = np.unique(image_keys(run.sample_ids, run.labels), return_index=True)
    repeated = run.n_images - len(first)
    if not repeated:
        return run, []
    return run.take(np.sort(first)), [f"{repeated:,} pictures are in the folder twice and count once"]
