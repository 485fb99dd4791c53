"""Scores as a run file keeps them: logits, or the logarithms of probabilities, which are known by their sums."""

from typing import NamedTuple

import numpy as np

from cifarcore.errors import CifarcoreError
from cifarcore.runs.precision import FOREMOST, blurs, merges
from cifarcore.text import counted

LOG_PROBABILITIES = "log_probabilities"
KINDS = ("logits", "probabilities", LOG_PROBABILITIES)
#: what `meta.scores` says of a run that holds predicted classes alone: its logits then tell nothing else
CLASSES = "classes"
#: the logit of every class but the predicted one where there are no scores
NOT_PREDICTED = -100.0
#: a probability of zero has no logarithm; it is kept as this one, about the smallest that float32 holds in full
FLOOR = 1e-38
#: float16's smallest number, by which logits differ at least; and how far those of an image have to be from each other
SMALLEST, CLOSEST = np.float32(2**-24), 1e-4
#: how far from one the probabilities of an image may sum, where they were not rounded to few digits
SUM_TOLERANCE = 0.01
#: a run's `meta` keeps under this key of how many images the own class had a probability of zero: without a log loss
ZEROS = "zero_probabilities"
#: and under this one of how many images the logits, kept as such as asked for, look as after softmax
SOFTMAX = "through_softmax"
#: and under this one that scores are kept as float32, since as float16 too many would be equal
STORED_AS, PRECISE = "scores_stored_as", "float32"
#: images from which scores that are all whole are no coincidence
TELLING = 10


class Stored(NamedTuple):
    """Scores as a run file keeps them."""

    logits: np.ndarray  #: (N, C)
    kind: str  #: `logits`, `log_probabilities` or CLASSES
    floored: int = 0  #: probabilities kept as FLOOR
    precise: bool = False  #: see STORED_AS

    @property
    def meta(self) -> dict[str, str]:
        """What a run's `meta` says of them."""
        return {"scores": self.kind} | ({STORED_AS: PRECISE} if self.precise else {})


def as_logits(scores: np.ndarray, kind: str = "") -> Stored:
    """Scores (N, C) as a run file keeps them.

    `kind` is one of KINDS; empty: probabilities are known by their sums. Rows of one 1 and else 0 are predicted classes
    unless they are said to be logits. Probabilities become their logarithms, those below FLOOR that of FLOOR, in steps
    of float16: equal ones stay equal, of whatever image. Where they lie too close for that, as of a model that is sure
    of no image, they stay float32. Logits are shifted in each row to a highest score of 0, which changes no softmax and
    keeps the best apart in float16; they stay float32 where a class's lie too close for that from image to image.

    Raises CifarcoreError where the scores are not of that kind.
    """
    low, high = float(scores.min()), float(scores.max())
    if kind != "logits" and (low, high) == (0, 1) and is_one_hot(scores):
        return Stored(np.where(scores == 1, np.float32(0), np.float32(NOT_PREDICTED)), CLASSES)
    unit = low >= 0 and high <= 1 + SUM_TOLERANCE
    if kind in ("", "probabilities"):
        refuse_rescaled(scores)
        refuse_whole(scores)
    if not kind and not unit:
        kind = LOG_PROBABILITIES if high <= 0 and _off(np.exp(scores)) is None else "logits"
    if kind == LOG_PROBABILITIES:
        _check_sums(np.exp(scores))
        return _in_steps(scores)
    if kind != "logits":
        if not unit:
            raise CifarcoreError(f"probabilities reach from {low:.4g} to {high:.4g}, outside 0..1")
        _check_sums(scores)
        floored = int((scores < FLOOR).sum())
        return _in_steps(np.log(np.maximum(scores, FLOOR)))._replace(floored=floored)
    shifted = scores - scores.max(axis=1, keepdims=True)
    _refuse_too_close(shifted)
    if shifted.min() >= np.finfo(np.float16).min and blurs(shifted):
        return Stored(shifted, kind, precise=True)
    lost = (shifted < 0) & (shifted > -SMALLEST)  # what would be equal to the highest in float16
    return Stored(np.where(lost, -SMALLEST, shifted), kind)


def _refuse_too_close(shifted: np.ndarray) -> None:
    """Raises CifarcoreError where float16 cannot tell the scores of any image apart, (N, C), the highest 0."""
    widest = -float(shifted.min())
    if 0 < widest < CLOSEST:
        raise CifarcoreError(
            f"the scores of an image differ by at most {widest:.2g}, too little for the float16 in which they are "
            "kept; multiply them, or give their ranks"
        )


def _in_steps(logarithms: np.ndarray) -> Stored:
    """Log-probabilities (N, C) rounded to float16, in their own type; what rounding made equal to a row's highest is a
    step lower. Those that lie too close for it as they are.
    """
    with np.errstate(over="ignore"):  # saving refuses what float16 cannot hold
        rounded = logarithms.astype(np.float16)
    best = logarithms.argmax(axis=1)[:, None]
    highest, top = (np.take_along_axis(each, best, axis=1) for each in (logarithms, rounded))
    below = (rounded == top) & (logarithms < highest)
    rounded = np.where(below, np.nextafter(top, np.float16(-np.inf)), rounded).astype(logarithms.dtype)
    if merges(logarithms, rounded) or blurs(logarithms):
        return Stored(logarithms.astype(np.float32, copy=False), LOG_PROBABILITIES, precise=True)
    return Stored(rounded, LOG_PROBABILITIES)


def refuse_unfilled(scores: np.ndarray) -> None:
    """Raises CifarcoreError where all scores (N, C) of an image are 0, as in an array not filled to its end."""
    empty = ~scores.any(axis=1) if scores.ndim == 2 else np.zeros(1, bool)
    if empty.any():
        raise CifarcoreError(
            f"{empty.sum():,} of {len(scores):,} rows have the score 0 for every class (first: row {empty.argmax()}), "
            "as where not every batch was written; give these images their scores or leave them out, or use --scores "
            "logits if the network gave them"
        )


def zeros(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, int]:
    """What `meta` keeps of probabilities (N, C) that are zero, or below FLOOR, for an image's own class; {} of none."""
    count = int((probabilities[np.arange(len(labels)), labels] < FLOOR).sum())
    return {ZEROS: count} if count else {}


def is_softmax(scores: np.ndarray) -> bool:
    """Whether what is called logits (N, C) was through softmax: all within 0..1, each row's sum one; not one-hot.

    False for a single image, of which logits may look so.
    """
    if len(scores) < 2 or scores.min() < 0 or scores.max() > 1 + SUM_TOLERANCE:
        return False
    return _off(scores) is None and not is_one_hot(scores)


def sum_to_one(scores: np.ndarray) -> bool:
    """Whether each row (N, C) is probabilities, or logarithms of them, that sum to one."""
    if scores.min() >= 0:
        return bool(scores.max() <= 1 + SUM_TOLERANCE) and _off(scores) is None
    return bool(scores.max() <= 0) and _off(np.exp(scores)) is None


def of_part(scores: np.ndarray, kind: str = "") -> np.ndarray | None:
    """Probabilities (N, C) of some of the classes, of which the others were left out, made to sum to one; None for
    scores that are something else, or sum to one already.
    """
    if scores.ndim != 2 or kind not in ("", "probabilities") or scores.min() < 0:
        return None
    sums = scores.sum(axis=1, dtype=np.float64)
    if not ((sums > 0) & (sums <= 1 + SUM_TOLERANCE)).all() or (np.abs(sums - 1) <= SUM_TOLERANCE).all():
        return None
    return (scores / sums[:, None]).astype(scores.dtype)


def without_noise(scores: np.ndarray) -> np.ndarray:
    """Scores (N, C) that are probabilities but for a few just below zero, as what is left of one after all others, or
    after rounding: these become 0. All else as it is, also a single row, of which logits may look so.
    """
    if len(scores) < 2 or not -SUM_TOLERANCE <= scores.min() < 0 or scores.max() > 1 + SUM_TOLERANCE:
        return scores
    return np.maximum(scores, 0) if _off(scores) is None else scores


def is_one_hot(scores: np.ndarray) -> bool:
    """Whether every row (N, C) is one 1 and else 0."""
    return bool(((scores == 0) | (scores == 1)).all() and (np.count_nonzero(scores, axis=1) == 1).all())


def one_hot(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Class indices (N,) as rows of one 1 and else 0, float32 (N, C)."""
    return np.equal.outer(classes, np.arange(n_classes)).astype(np.float32)


def _tolerance(probabilities: np.ndarray) -> float:
    """How far from one the rows may sum: with two to four decimals, or in steps of 1/255 or 1/256 as of a quantised
    network, by half of a step for each class, at most 1/2.

    A model of 100 classes that is written with three decimals may sum to anything from .95 to 1.05.
    """
    if (probabilities % 1 != 0).any():
        for step in (1e-2, 1 / 255, 1 / 256, 1e-3, 1e-4):
            parts = probabilities / step
            if np.abs(parts - np.round(parts)).max() < 0.01:  # beyond what float32 leaves of a decimal
                return min(max(SUM_TOLERANCE, probabilities.shape[1] * step / 2), 0.5)
    return SUM_TOLERANCE


def _off(probabilities: np.ndarray) -> int | None:
    """The first row that does not sum to one."""
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) > _tolerance(probabilities)
    return int(off.argmax()) if off.any() else None


def refuse_rescaled(scores: np.ndarray) -> None:
    """Raises CifarcoreError for percentages, sums over several networks and decimal logarithms (N, C): taken as logits,
    they would spoil the calibration unnoticed.
    """
    shifted = (
        scores.max(axis=1).min() > -SUM_TOLERANCE
    )  # logits with a highest of 0 in each row, which is no sign of any
    below = len(scores) > 1 and scores.max() <= 0 and not shifted
    for base, called, factor in ((10.0, "decimal", 2.302585), (2.0, "binary", 0.693147)) if below else ():
        if _off(np.exp(scores)) is not None and _off(base**scores) is None:
            raise CifarcoreError(
                f"{base:g} to the power of the scores sums to one in each row: {called} logarithms; multiply them by "
                f"{factor} (ln {base:g}), or use --scores logits if they come before softmax"
            )
    if scores.min() < 0:
        return
    if len(scores) > 1 and scores.max() > 1 and _off(np.exp(-scores)) is None:
        raise CifarcoreError(
            "e to the power of the negated scores sums to one in each row: negative log-probabilities, of which the "
            "lowest is best; negate them"
        )
    sums = scores.sum(axis=1, dtype=np.float64)
    middle = float(np.median(sums))
    alike = len(sums) > 1 and middle > 0 and (np.abs(sums - middle) <= SUM_TOLERANCE * middle).all()
    if scores.max() > 2 and _off(scores / 100) is None:  # also where percentages were rounded
        alike, middle = True, 100
    if alike and abs(middle - 1) > _tolerance(scores):
        raise CifarcoreError(
            f"every row of the scores sums to {middle:.4g}, not to one; divide them by {middle:.4g} if they are "
            "probabilities, or use --scores logits if they come before softmax"
        )


def refuse_whole(scores: np.ndarray) -> None:
    """Raises CifarcoreError for scores (N, C) that are all whole numbers, as of a quantised network: their softmax
    would be sure of nearly every image. Two values alone are marks of classes.
    """
    for part in (scores[:TELLING], scores):  # the first rows tell of nearly all
        if len(part) < TELLING or (part != np.floor(part)).any():
            return
    if len(np.unique(scores)) < 3:
        return
    raise CifarcoreError(
        f"the scores are whole numbers from {scores.min():.0f} to {scores.max():.0f}, as of a quantised network or of "
        "votes: give what they stand for, such as (scores - zero_point) * scale (TensorFlow Lite), or use --scores "
        "logits"
    )


def notes_on(scores: np.ndarray, kind: str, asked: bool, softmax: bool) -> list[str]:
    """What is to be known of scores (N, C) that are taken for `kind`: as logits that were `asked` for or recognised;
    `softmax` says that they are called logits, and are none.
    """
    notes, recognised = [], kind == "logits" and not asked and len(scores) >= TELLING
    if recognised and scores.min() >= 0:
        notes.append(
            "no score is below zero, as after a sigmoid for each class, or of percentages; they are read as logits: if "
            "they are none, calibration and log loss are wrong"
        )
    if recognised and scores.min() < 0 < scores.max() and _off(scores) is None:
        notes.append(
            "the scores of each row sum to one, but some are below zero, as of a regression; they are read as logits: "
            "if they are none, calibration and log loss are wrong"
        )
    if kind == "logits" and scores.shape[1] > FOREMOST:
        ties = np.count_nonzero(scores == scores.min(axis=1, keepdims=True), axis=1) > scores.shape[1] / 2
        if ties.mean() > 0.5:
            notes.append(
                f"most classes share the lowest score in {counted(int(ties.sum()), 'image')}, as where only the best "
                "few were kept: these are ties in AUC and top-5 accuracy"
            )
    if softmax:
        taken = "kept as logits, as asked for" if kind == "logits" else "read as probabilities"
        notes.append(f"the logits lie within 0..1 and sum to one in each row, as after softmax; they are {taken}")
    return notes


def _check_sums(probabilities: np.ndarray) -> None:
    if (row := _off(probabilities)) is None:
        return
    sums = probabilities.sum(axis=1, dtype=np.float64)
    count = int((np.abs(sums - 1) > _tolerance(probabilities)).sum())
    raise CifarcoreError(
        f"the probabilities of {count:,} of {len(sums):,} rows do not sum to one (row {row}: {sums[row]:.4g}); "
        "give softmax outputs, or use --scores logits if the scores come before softmax"
    )
