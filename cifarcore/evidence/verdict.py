"""The headline of a comparison: each metric's difference with its interval and test, the verdict, and the words for it.

Methods are in `paired`, `delong` and `crossed`; here is which one goes with which number, and how it is worded.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, crossed, delong, known, metrics, paired, seed_notes, shares
from cifarcore.runs import class_order
from cifarcore.runs.run import Run
from cifarcore.text import counted, number, p_value, spaced, std
from cifarcore.threads import each

#: the model that is more accurate, or neither
Letter = Literal["A", "B", ""]
METRICS = ("accuracy", "top5", "macro_f1", "macro_auc", "superclass_accuracy", "ece", "brier", "log_loss")


def metric_differences(runs: Sequence[Run], n_a: int, areas: delong.OneVsRest) -> pd.DataFrame:
    """The headline metrics of both models and their difference; columns as Comparison.metrics.

    `runs` holds A's `n_a` runs, then B's, row i of each the same image.
    """
    known_auc = zip(runs, crossed.macro_auc_values(areas), strict=True)
    values = pd.DataFrame(each(lambda of: metrics.headline(*of), known_auc))
    parts = pd.DataFrame(
        [crossed.influences(run) | {"macro_auc": row} for run, row in zip(runs, areas.influence, strict=True)]
    )
    groups = crossed.strata(runs[0].labels)
    rows = {}
    for name in METRICS:
        value = values[name].to_numpy()
        a, b = value[:n_a], value[n_a:]
        low, high, p, method = np.nan, np.nan, np.nan, ""
        why = absent.why(name, *runs)
        difference = np.nan if why else b.mean() - a.mean()
        if not np.isfinite(difference):
            pass
        elif name == "ece":
            method = "no interval (biased); see Brier score, log loss"
        elif name not in shares.SHARES and len(runs[0].labels) < crossed.FEW_IMAGES:
            method = f"no interval: fewer than {crossed.FEW_IMAGES} images"
        elif name in shares.SHARES:
            share = shares.share_difference(np.stack([shares.SHARES[name](run) for run in runs]), runs[0].labels, n_a)
            low, high, p, method = share.low, share.high, share.p, share.method
        else:
            estimate = crossed.difference(value, crossed.image_covariance(np.stack(list(parts[name])), *groups), n_a)
            low, high, p = float(estimate.low), float(estimate.high), float(estimate.p)
            method = _method(name, runs, estimate)
        rows[name] = {"a": a.mean(), "b": b.mean(), "difference": difference, "low": low, "high": high,
                      "std_a": std(a), "std_b": std(b), "p": p, "method": method,
                      "why": why}  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def _method(name: str, runs: Sequence[Run], estimate: crossed.Difference) -> str:
    """The test and the interval of a metric that is no share of images, in words; why there is none."""
    if np.isnan(estimate.low):
        single = int((np.bincount(runs[0].labels) == 1).sum()) if name in ("macro_f1", "macro_auc") else 0
        classes = "class has" if single == 1 else "classes have"
        return f"no interval: {f'{single} {classes} a single image' if single else 'nothing varies'}"
    return (
        "paired DeLong test"
        if name == "macro_auc" and len(runs) == 2
        else crossed.method(float(estimate.df), len(runs) > 2)
    )


def of(difference: float, p: float) -> Letter:
    """Which model has more by a test at 5%, "A", "B", or "" for neither: every verdict on B − A is made here."""
    if not p < paired.ALPHA:
        return ""
    return "B" if difference > 0 else "A"


def better(accuracy: pd.Series) -> Letter:
    """`of` the test of accuracy, a row of metric_differences."""
    return of(accuracy["difference"], accuracy["p"])


def headline(letter: Letter, names: tuple[str, str], difference: float) -> str:
    """The verdict in a few words; `names` are those of A and B, `difference` is B − A in accuracy (0..1)."""
    if not letter:
        return no_difference("accuracy", names)
    winner, loser = names if letter == "A" else names[::-1]
    return f"{winner} beats {loser} by {points_text(difference)} in accuracy"


def points_text(difference: float) -> str:
    """How large a difference (0..1) is, in percentage points; for what is significant, and so never 0.0."""
    points = 100 * abs(difference)
    return f"{points:{'.1f' if points >= 0.95 else '.2f'}} points"


def no_difference(what: str, names: tuple[str, str]) -> str:
    """The words for a difference in `what` that is not significant."""
    return f"No significant difference in {what} between {names[0]} and {names[1]}"


def sentence(
    letter: Letter,
    names: tuple[str, str],
    accuracy: pd.Series,
    runs: Sequence[Run],
    n_a: int,
    class_table: pd.DataFrame,
) -> str:
    """The verdict in words: both accuracies, the difference with interval and test, and where it comes from."""
    difference, low, high = (_points(accuracy[name]) for name in ("difference", "low", "high"))
    points = f"B − A {difference} percentage points, {f'95% CI {low} to {high}' if low else 'no CI'}"
    p = p_value(accuracy["p"])
    p = f"p {p}" if p.startswith("<") else f"p = {p}" if p else "no test"
    n_b = len(runs) - n_a
    if shares.seeds_agree(np.stack([run.correct for run in runs]), n_a):
        right_a, right_b = runs[0].correct, runs[n_a].correct
        test = (
            f"only B is correct on {counted((right_b & ~right_a).sum(), 'image')}, only A on "
            f"{(right_a & ~right_b).sum():,} (exact McNemar test, {p})"
        )
    else:
        test = f"{accuracy['method']}; {p}"
    numbers = (
        f"{names[1]} (B) correctly classifies {accuracy['b']:.2%} of {counted(runs[0].n_images, 'image')} and "
        f"{names[0]} (A) {accuracy['a']:.2%} ({_seeds(n_a, n_b)}{points}); {test}."
    )
    return " ".join(filter(None, (numbers, _origin(letter, class_table))))


def notes(accuracy: pd.Series, runs: Sequence[Run], n_a: int, left_out: int, relabelled: int = 0) -> list[str]:
    """What the headline leaves open, a sentence each; `left_out` images of a run are not shared, of which `relabelled`
    are in all runs under different labels.
    """
    notes = [*absent.notes(runs), *left_out_note(runs[0].n_images, left_out, relabelled)]
    notes += class_order_notes(runs, n_a)
    notes += seed_notes.seed_notes(runs, n_a)
    inside = accuracy["low"] <= 0 <= accuracy["high"]
    if np.isfinite([accuracy["p"], accuracy["low"]]).all() and inside == (accuracy["p"] < paired.ALPHA):
        notes.append(
            "Test and confidence interval disagree on accuracy: the interval "
            f"{'includes' if inside else 'excludes'} zero; the test, which decides, gives p = {accuracy['p']:.4f}."
        )
    return [*notes, *known.notes(runs, n_a)]


def class_order_notes(runs: Sequence[Run], n_a: int) -> list[str]:
    """For each side, that its accuracy is far better with the classes in another order."""
    sides = (("A", runs[:n_a]), ("B", runs[n_a:]))
    found = ((letter, next(filter(None, map(class_order.doubt, side)), "")) for letter, side in sides)
    return [f"Of {letter}, {doubt}" for letter, doubt in found if doubt]


def left_out_note(n_images: int, left_out: int, relabelled: int = 0) -> list[str]:
    """That only `n_images` are compared, as `notes` has it; nothing where none is `left_out`."""
    if not left_out:
        return []
    return [
        f"Only the {counted(n_images, 'image')} that all runs share {'is' if n_images == 1 else 'are'} compared; "
        f"up to {left_out:,} of a run are left out"
        + (f", {relabelled:,} of them because the files give them different labels." if relabelled else ".")
    ]


def _seeds(n_a: int, n_b: int) -> str:
    """How many seeds the accuracies are means of, with a semicolon after; nothing for one run each."""
    if n_a == n_b == 1:
        return ""
    if n_a == n_b:
        return f"mean of {n_a} seeds each; "
    counts = (f"{n} seed{'s' if n > 1 else ''} ({letter})" for letter, n in (("A", n_a), ("B", n_b)))
    return f"means of {' and '.join(counts)}; "


def _origin(letter: Letter, class_table: pd.DataFrame) -> str:
    """Which superclasses (or classes) bring most of the difference, and in how many classes recall changes
    significantly. Only those that change the way accuracy does, by one image at least.
    """
    claims = class_table["claim"].value_counts()
    improved, declined = claims.get("improved", 0), claims.get("declined", 0)
    changed = (
        f"ecall improved in {counted(improved, 'class', 'classes')} and declined in {declined} "
        "(significant; FDR controlled at 5%)."
    )
    if not letter:
        return f"R{changed}" if improved + declined else ""
    by = "superclass" if class_table["superclass"].ne("").all() else "name"
    images = (class_table["recall_difference"] * class_table["support"]).groupby(class_table[by]).sum()
    images = images.sort_values(ascending=letter != "B", kind="stable").head(3)
    images = images[images >= 0.5] if letter == "B" else images[images <= -0.5]
    if images.empty:
        return f"R{changed}"
    of_each = ((spaced(name), number(count, "+.0f")) for name, count in images.items())
    most = ", ".join(f"{name} ({gain} image{'' if gain[1:] == '1' else 's'})" for name, gain in of_each)
    return f"B {'gains' if letter == 'B' else 'loses'} most in {most}; r{changed}"


def _points(share: float) -> str:
    return number(100 * share, "+.2f")
