"""Every pair of several models compared in accuracy, and the groups of models that do not differ significantly.

Each pair is tested as `comparison` tests it, with seeds counted; Holm's method keeps all claims together to 5%.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from string import ascii_lowercase

import numpy as np
import pandas as pd

from cifarcore.evidence.paired import ALPHA
from cifarcore.evidence.shares import share_difference
from cifarcore.runs.run import Run

#: beyond which none is drawn: families of models of which only relatives differ have as many groups as one of each can
#: be chosen
MOST_GROUPS = 100


def all_pairs(models: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """One row for each pair: first, second, difference (second − first), low, high (95%), p, adjusted, significant.

    `models` holds each model's runs, all on the same images in the same order. The intervals are of each pair alone;
    `adjusted` is Holm's p-value over all pairs (Scand. J. Stat. 6:65, 1979).
    """
    correct = {name: np.stack([run.correct for run in runs]) for name, runs in models.items()}
    return pairs_of(correct, next(iter(models.values()))[0].labels)


def pairs_of(correct: Mapping[str, np.ndarray], labels: np.ndarray) -> pd.DataFrame:
    """As `all_pairs`, of what each model's runs have correct, bool (R, N), on images of the classes `labels` (N,)."""
    rows = []
    for first, second in combinations(correct, 2):
        share = share_difference(np.concatenate([correct[first], correct[second]]), labels, len(correct[first]))
        rows.append((first, second, share.difference, share.low, share.high, share.p))
    table = pd.DataFrame(rows, columns=["first", "second", "difference", "low", "high", "p"])
    table["adjusted"] = holm(table["p"].to_numpy(float))
    table["significant"] = table["adjusted"] < ALPHA
    return table


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values (n,); NaN stays, and does not count."""
    p = np.asarray(p, float)
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def letters(names: Sequence[str], pairs: pd.DataFrame) -> dict[str, str]:
    """The compact letter display: two models share a letter where they do not differ significantly, and only there.

    `names` in the order of the letters, the best first; `pairs` as `all_pairs`. Insert and absorb: Piepho, J. Comput.
    Graph. Stat. 13:456, 2004. Letters after z are aa, ab and so on, separated by commas there. Beyond MOST_GROUPS
    groups nobody has a letter.
    """
    members = _members(names, pairs)
    between = "" if len(members) <= len(ascii_lowercase) else ","
    return {name: between.join(letter for letter, group in members.items() if name in group) for name in names}


def group_lines(names: Sequence[str], pairs: pd.DataFrame) -> pd.DataFrame:
    """For a plot in the manner of critical-difference diagrams: columns letter, model, one row for each membership.

    In the order of the letters, as `letters` gives them. Demšar, JMLR 7:1, 2006, draws one bar for each group of models
    that do not differ significantly. Beyond MOST_GROUPS a row for each model, whose letter is empty.
    """
    groups = _members(names, pairs) or {"": frozenset(names)}
    rows = [(letter, name) for letter, group in groups.items() for name in names if name in group]
    return pd.DataFrame(rows, columns=["letter", "model"])


def _members(names: Sequence[str], pairs: pd.DataFrame) -> dict[str, frozenset[str]]:
    """The models of each letter; nothing beyond MOST_GROUPS."""
    groups: list[frozenset[str]] = [frozenset(names)]
    for row in pairs[pairs["significant"]].itertuples():
        split: list[frozenset[str]] = []
        for group in groups:
            apart = {row.first, row.second} <= group
            split += [group - {row.first}, group - {row.second}] if apart else [group]
        if len(split) > 2 * MOST_GROUPS:
            return {}
        groups = [g for i, g in enumerate(split) if not any(g < o or (g == o and j < i) for j, o in enumerate(split))]
    if len(groups) > MOST_GROUPS:
        return {}
    place = {name: index for index, name in enumerate(names)}
    groups.sort(key=lambda group: sorted(place[name] for name in group))
    return {_letter(index): group for index, group in enumerate(groups)}


def _letter(index: int) -> str:
    before, last = divmod(index, len(ascii_lowercase))
    return (ascii_lowercase[before - 1] if before else "") + ascii_lowercase[last]
