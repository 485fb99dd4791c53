"""The scores of imported predictions as a run keeps them, and what their reader should know of them."""

import numpy as np

from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs import hard_labels
from cifarcore.runs.classes import Classes
from cifarcore.runs.predictions import Predictions
from cifarcore.runs.scores import (
    CLASSES,
    FLOOR,
    KINDS,
    SOFTMAX,
    ZEROS,
    as_logits,
    is_softmax,
    notes_on,
    of_part,
    refuse_rescaled,
    refuse_unfilled,
    refuse_whole,
    zeros,
)
from cifarcore.text import counted


def logits_of(
    predictions: Predictions, classes: Classes, config: ImportConfig
) -> tuple[np.ndarray, dict[str, object], list[str]]:
    """Scores (N, C) as a run keeps them, what its `meta` says of them, and notes."""
    given, columns = predictions.scores, classes.columns
    if classes.left_out and is_softmax(given[:, columns]):  # what is left out are no probabilities, such as an epoch
        given, columns = given[:, columns], np.arange(len(columns))
    stated = config.scores if config.scores in KINDS and predictions.kind != CLASSES else predictions.kind
    if config.scores != "logits":
        refuse_unfilled(given)
    if stated == "logits" and config.scores not in KINDS:  # so says a heading, as of an array that holds something else
        refuse_rescaled(given)
        refuse_whole(given)
    softmax = stated == "logits" and is_softmax(given)
    part = of_part(given, stated)
    rescaled = part is not None and config.classes == "shared"
    try:
        stored = as_logits(part if rescaled else given, "" if softmax and config.scores not in KINDS else stated)
    except CifarcoreError as error:
        if part is None:
            raise
        raise CifarcoreError(f"{error}, or --classes shared if columns of other classes were left out") from None
    every = np.array_equal(columns, np.arange(given.shape[1]))  # no copy: they may be a gigabyte
    scores, kind, floored = stored.logits if every else stored.logits[:, columns], stored.kind, stored.floored
    if kind == CLASSES and (scores.max(axis=1) < 0).any():
        raise CifarcoreError(
            "images are predicted as classes that are left out; without scores there is no other class"
        )
    if classes.left_out:
        scores = scores - scores.max(axis=1, keepdims=True)
    truth = np.asarray(classes.labels)
    known = np.flatnonzero(truth >= 0)
    meta: dict[str, object] = {**stored.meta}
    meta |= zeros(given[known][:, columns], truth[known]) if floored else {}
    meta |= {SOFTMAX: len(scores)} if softmax and kind == "logits" else {}
    notes = []
    if rescaled:
        notes.append("the probabilities of each row are divided by their sum, as those of other classes are left out")
    if classes.left_out:
        left_out = counted(classes.left_out, "column")
        notes.append(f"left out: {left_out} of classes that the test set lacks")
    if kind == CLASSES:
        notes.append(hard_labels.NOTE)
    notes += notes_on(given, kind, config.scores == "logits", softmax)
    if floored:
        notes.append(
            f"{floored:,} probabilities, zero or below {FLOOR:g}, are kept as {FLOOR:g}: ties in AUC and top-5 accuracy"
        )
    if ZEROS in meta:
        notes.append(
            f"the true class of {counted(meta[ZEROS], 'image')} has a probability of zero, so there is no log loss"
        )
    with np.errstate(over="ignore"):  # saving refuses what float16 cannot hold
        rounded = scores if stored.precise else scores.astype(np.float16)
    if changed := int((rounded.argmax(axis=1) != scores.argmax(axis=1)).sum()):
        notes.append(f"rounding the scores to float16 changes the prediction on {counted(changed, 'image')}")
    return scores, meta, notes
