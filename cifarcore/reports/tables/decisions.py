"""What people decide by, as sentences and tables of text: detectable differences, margins, flips, abstention, averages.

Words what `evidence` computes of runs on the same images, A's `n_a` first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.evidence import absent, abstention, equivalence, flips, power, together
from cifarcore.evidence.abstention import Abstention
from cifarcore.evidence.equivalence import Equivalence
from cifarcore.reports.sides import MOST_LINES, Sides
from cifarcore.runs.run import Run
from cifarcore.text import counted, interval, number, p_value, plain

_CHANGES = {
    flips.NEWLY_WRONG: "Newly wrong (only A correct)",
    flips.NEWLY_RIGHT: "Newly right (only B correct)",
    flips.CHURN: "Churn (predictions differ)",
}


def detectable_text(runs: Sequence[Run], n_a: int) -> str:
    """The smallest difference in accuracy that such a comparison detects, as a sentence."""
    smallest = power.detectable(runs, n_a)
    if np.isnan(smallest.difference):
        return f"No smallest detectable difference can be given: {smallest.why}."
    means = "McNemar's test" if smallest.share.one_each else "this test"
    return (
        f"With {counted(smallest.share.n, 'image')}{_seeds(n_a, len(runs) - n_a)}, {means} detects a true difference "
        f"of {100 * smallest.difference:.2f} points in accuracy with 80% power; smaller ones are often missed."
    )


def needed_text(runs: Sequence[Run], n_a: int, wished: float) -> str:
    """How many images or seeds a difference of `wished` (a share) takes, as a sentence."""
    sample = power.needed(runs, n_a, wished)
    start = f"To detect {100 * wished:g} points with 80% power"
    if np.isnan(sample.number):
        return f"{start}, no number of {sample.unit} suffices: {sample.why}."
    return f"{start}, about {sample.number:,.0f} {sample.unit} are needed."


def equivalence_text(judged: Equivalence, names: tuple[str, str]) -> str:
    """Whether B is good enough by the margin, as a sentence with the interval and both one-sided tests."""
    a, b = names
    points = f"{100 * judged.margin:g} point{'' if judged.margin == 0.01 else 's'}"
    if judged.why:
        return f"Nothing can be said: {judged.why}."
    share = judged.share
    not_shown = (
        f"{b} (B) is not shown to be at most {points} worse than {a} (A): it may be up to {-100 * share.low:.2f} "
        "points worse"
    )
    start = {
        "equivalent": f"{b} (B) and {a} (A) are equivalent within {points}",
        "B is non-inferior": f"{b} (B) is at most {points} worse than {a} (A) (non-inferior)",
        "A is non-inferior": f"{not_shown}; {a} (A) is at most {points} worse than {b} (B) (non-inferior)",
        "inconclusive": f"{not_shown}, or up to {100 * share.high:.2f} points better (inconclusive)",
    }[judged.outcome]
    by_more = f"{{}} is more accurate than {{}} by more than {points}"
    if share.low > judged.margin:
        start = f"Yes, by accuracy: {by_more.format(f'{b} (B)', f'{a} (A)')}"
    elif share.high < -judged.margin:
        start = f"No: {by_more.format(f'{a} (A)', f'{b} (B)')}"
    elif judged.outcome in ("equivalent", "B is non-inferior"):
        start = f"Yes, by accuracy: {start}"
    method = "Tango's score interval" if share.one_each else "Student's t, seeds and images"
    if np.isinf(share.df) and not share.one_each:
        method = "normal, images alone: seeds add no variance"
    return (
        f"{start}. B − A {number(100 * share.difference, '+.2f')} points, 95% CI "
        f"{interval(100 * share.low, 100 * share.high, '+.2f')} ({method}). One-sided p of B worse by the margin "
        f"or more: {p_value(judged.p_worse)}; of B better by the margin or more: {p_value(judged.p_better)}; "
        "significant below 0.025."
    )


def flip_table(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """Change, Images, Share, 95% CI."""
    changes = flips.flips(runs, n_a)
    form = ",.0f" if len(runs) == 2 else ",.1f"
    return pd.DataFrame(
        {
            "Change": [_CHANGES[name] for name in changes.index],
            "Images": [number(value, form) for value in changes["images"]],
            "Share": [number(value, ".2%") for value in changes["share"]],
            "95% CI": [interval(*row, ".2%") for row in changes[["low", "high"]].itertuples(index=False)],
        }
    )


def flip_text(runs: Sequence[Run], n_a: int) -> str:
    """The odds of newly right to newly wrong for one seed each; for several how often a seed of B beats one of A."""
    if len(runs) == 2:
        odds = flips.odds_ratio(runs, n_a)
        if odds.why:
            return f"No odds ratio can be given: {odds.why}."
        return (
            f"Newly right to newly wrong (odds ratio of matched pairs): {odds.value:.2f}, 95% CI "
            f"{odds.low:.2f} to {odds.high:.2f} (exact, conditional)."
        ).replace("inf", "∞")
    wins = flips.seed_wins(runs, n_a)
    if wins.why:
        return f"How often a seed of B beats one of A cannot be given: {wins.why}."
    meaningful = wins.value >= flips.MEANINGFUL and wins.low > 0.5
    return (
        f"A seed of B is more accurate than one of A with probability {wins.value:.0%}, 95% CI {wins.low:.0%} to "
        f"{wins.high:.0%}. By the criterion of Bouthillier et al. (2021), {flips.MEANINGFUL:.0%} or more and a CI "
        f"above 50%, this is {'' if meaningful else 'not shown to be '}a meaningful improvement; a few seeds "
        "rarely suffice."
    )


def abstention_text(coverage: Abstention, max_error: float, names: tuple[str, str]) -> str:
    """How many images each model answers at an error rate, as a sentence."""
    if coverage.why and np.isnan(coverage.difference):
        return f"Nothing can be said: {coverage.why}."
    form = _points_form(coverage)
    points = f"{number(100 * coverage.difference, form)} points"
    ci = f"95% CI {interval(100 * coverage.low, 100 * coverage.high, form)}" if not coverage.why else coverage.why
    return (
        f"At {100 * max_error:g}% errors {names[1]} (B) answers {coverage.b:.1%} of images and {names[0]} (A) "
        f"{coverage.a:.1%} (B − A {points}, {ci})."
    )


def abstention_table(
    runs: Sequence[Run], n_a: int, max_error: float = abstention.MAX_ERROR
) -> tuple[pd.DataFrame, Abstention]:
    """Measure, A, B, B − A, 95% CI, p; and the coverage at `max_error`, of which `abstention_text` speaks."""
    area = abstention.compared_augrc(runs, n_a)
    coverage = abstention.compared_coverage(runs, n_a, max_error)
    rows = [
        _measure("AUGRC (lower is better)", area),
        _coverage(max_error, coverage),
    ]
    return pd.DataFrame(rows), coverage


def answered_text(sides: Sides, percent: int) -> str:
    """The errors of each model's first seed among the `percent` of images on which it is most confident, as a sentence;
    nothing where neither is known.
    """
    errors = {side.letter: abstention.error_at(side.first, percent / 100) for side in (sides.a, sides.b)}
    shown = " and ".join(f"{error:.2%} ({letter})" for letter, error in errors.items() if np.isfinite(error))
    return f"Errors among the {percent}% that are answered ({sides.first_seeds}): {shown}." if shown else ""


def unanswered(sides: Sides, coverage: float, whose: str) -> np.ndarray:
    """The images left unanswered at a coverage in [0, 1] by the first seed of "A", of "B", or of "both", int (n,), the
    least confident first; those of both in A's order.
    """
    a, b = (abstention.abstained(side.first, coverage) for side in (sides.a, sides.b))
    return {"A": a, "B": b}.get(whose, a[np.isin(a, b)])


def curve_frame(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """abstention.risk_coverage of every run that is drawn (`sides.MOST_LINES`), with columns model ("A", "B") and
    run.
    """
    frames = [
        abstention.risk_coverage(run).assign(model=letter, run=plain(run.name))
        for letter, side in (("A", runs[:n_a]), ("B", runs[n_a:]))
        for run in side[:MOST_LINES]
    ]
    return pd.concat(frames, ignore_index=True)


def together_text(runs: Sequence[Run], n_a: int) -> str:
    """How far the models' errors agree beyond chance, as a sentence; and why there are no averages, where there are
    none.
    """
    kappa = together.error_consistency(runs, n_a)
    absent_averages = absent.note("average", *runs)
    if np.isnan(kappa.value):
        return f"No error consistency can be given: {kappa.why}. {absent_averages}".strip()
    ci = f"95% CI {interval(kappa.low, kappa.high, '.3f')}" if not kappa.why else f"no CI: {kappa.why}"
    return (
        f"Error consistency (Cohen's κ of being correct): {number(kappa.value, '.3f')}, {ci}; 1: the same errors; "
        f"0: agreement by chance. {absent_averages}"
    ).strip()


def together_table(runs: Sequence[Run], n_a: int) -> pd.DataFrame:
    """Combination, Accuracy, minus the better one (points), 95% CI, p."""
    combined = together.combinations(runs, n_a)
    points = [[100 * float(value) for value in row] for row in combined[["difference", "low", "high"]].to_numpy(float)]
    return pd.DataFrame(
        {
            "Combination": [what[0].upper() + what[1:] for what in combined["what"]],
            "Accuracy": [number(value, ".4f") for value in combined["accuracy"]],
            "Minus the better one (points)": [number(row[0], "+.2f") for row in points],
            "95% CI": [interval(row[1], row[2], "+.2f") for row in points],
            "p": [p_value(value) for value in combined["p"].astype(float)],
        }
    )


def decisions(runs: Sequence[Run], n_a: int, margin: float = equivalence.MARGIN) -> dict[str, Any]:
    """All of it as numbers for JSON: detectable, equivalence, flips, abstention, together. NaN where none is."""
    judged, smallest = equivalence.equivalence(runs, n_a, margin), power.detectable(runs, n_a)
    odds, wins = flips.odds_ratio(runs, n_a), flips.seed_wins(runs, n_a)
    kappa = together.error_consistency(runs, n_a)
    changes = {str(name): dict(row) for name, row in flips.flips(runs, n_a).iterrows()}
    areas = {"augrc": abstention.compared_augrc(runs, n_a), "coverage": abstention.compared_coverage(runs, n_a)}
    return {
        "detectable": {"power": power.POWER, "difference": smallest.difference, "why": smallest.why},
        "equivalence": {
            "margin": margin, "outcome": judged.outcome, "difference": judged.share.difference,
            "low": judged.share.low, "high": judged.share.high, "p_worse": judged.p_worse,
            "p_better": judged.p_better, "why": judged.why,
        },
        "flips": changes | {"odds_ratio": vars(odds), "seed_wins": vars(wins)},
        "abstention": {"max_error": abstention.MAX_ERROR}
        | {name: vars(one) | {"difference": one.difference} for name, one in areas.items()},
        "together": {
            "error_consistency": vars(kappa),
            "combinations": together.combinations(runs, n_a).to_dict("records"),
        },
    }  # fmt: skip


def _measure(title: str, one: Abstention) -> dict[str, str]:
    form, p = f".{one.digits}f", p_value(one.p)
    return {
        "Measure": title, "A": number(one.a, form), "B": number(one.b, form),
        "B − A": number(one.difference, "+" + form), "95% CI": interval(one.low, one.high, "+" + form), "p": p,
    }  # fmt: skip


def _coverage(max_error: float, one: Abstention) -> dict[str, str]:
    """As `abstention_text` has it, in points with the digits that resamples hold; so has p."""
    form, p = _points_form(one), p_value(one.p)
    if p and not p.startswith("<"):
        p = f"{one.p:.2f}" if one.p >= 0.095 else f"{one.p:.1g}"
    return {
        "Measure": f"Coverage at {100 * max_error:g}% errors (points)", "A": number(100 * one.a, ".1f"),
        "B": number(100 * one.b, ".1f"), "B − A": number(100 * one.difference, form),
        "95% CI": interval(100 * one.low, 100 * one.high, form), "p": p,
    }  # fmt: skip


def _points_form(one: Abstention) -> str:
    return f"+.{int(one.digits > 2)}f"


def _seeds(n_a: int, n_b: int) -> str:
    if n_a == n_b == 1:
        return ""
    return f" and {n_a} seeds each" if n_a == n_b else f", {n_a} (A) and {n_b} (B) seeds"
