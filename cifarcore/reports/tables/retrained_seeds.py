"""What the same retraining gains with several seeds, each against the one parent: is a gain the seed's luck?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore.evidence import crossed, metrics, verdict
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.runs.run import Run, seed_of
from cifarcore.text import interval, number, p_value, std


def seeds_table(before: Run, after: Sequence[Run], focus: tuple[int, ...]) -> pd.DataFrame:
    """The mean change over the runs `after`, retrained from `before` with a seed each, on the same images in the same
    order.

    Columns measure (accuracy, and where there are `focus` classes (indices) mean F1 of these), difference, low, high, p
    (seeds and images as random effects, `crossed.mean`), better (`verdict.of`), changes: of each run, in their order.
    """
    groups = crossed.strata(before.labels)

    def tested(measure: str, values: list[float], added: np.ndarray) -> dict:
        mean = crossed.mean(np.array(values), crossed.image_covariance(added, *groups))
        numbers = {"difference": mean.difference, "low": mean.low, "high": mean.high, "p": mean.p}
        return {"measure": measure, **{name: float(value) for name, value in numbers.items()}, "changes": values}

    gained = np.stack([run.correct.astype(float) - before.correct for run in after])
    records = [tested(OVERALL, gained.mean(axis=1).tolist(), gained / before.n_images)]
    if focus:
        classes = np.array(focus)
        one = metrics.macro_f1(before, classes), crossed.macro_f1_influence(before, classes)
        values = [metrics.macro_f1(run, classes) - one[0] for run in after]
        added = np.stack([crossed.macro_f1_influence(run, classes) - one[1] for run in after])
        records.insert(0, tested(FOCUS, values, added))
    table = pd.DataFrame(records)
    return table.assign(better=[verdict.of(*row) for row in table[["difference", "p"]].itertuples(index=False)])


def seeds_text(table: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """`seeds_table` as text, a row for each seed and one for their mean ± standard deviation with its 95% CI and p."""
    seeds = [str(seed_of(run.meta)) for run in runs]
    names = [run.name for run in runs]
    text = {"Seed": [*seeds, "", "", ""], "Run": [*names, "mean ± SD", "95% CI", "p"]}
    for row in table.to_dict("records"):
        mean = f"{number(row['difference'], '+.4f')} ± {std(row['changes']):.4f}"
        below = [mean, interval(row["low"], row["high"], "+.4f"), p_value(row["p"])]
        text[f"{row['measure']}, B − A"] = [*(number(value, "+.4f") for value in row["changes"]), *below]
    return pd.DataFrame(text)
