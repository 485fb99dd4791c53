"""Where another headline metric points significantly the other way than accuracy, by which the verdict is made."""

import numpy as np
import pandas as pd

from cifarcore.evidence.paired import ALPHA
from cifarcore.text import number, p_value

LOWER_IS_BETTER = ("ece", "brier", "log_loss")
_IN_SENTENCE = {
    "top5": "top-5 accuracy", "macro_f1": "macro-F1", "macro_auc": "macro-AUC",
    "superclass_accuracy": "superclass accuracy", "brier": "Brier score", "log_loss": "log loss",
}  # fmt: skip


def opposing(letter: str, table: pd.DataFrame) -> list[str]:
    """The metrics by which the model that is not `letter` ("A" or "B") is significantly better; none where it is "".

    `table` as verdict.metric_differences. Significant: p below 5%, or, of a metric without a test, a 95% CI that
    excludes 0. The calibration error does not count: its interval is one to go by, not a test.
    """
    if not letter:
        return []
    rows = table.loc[[name for name in _IN_SENTENCE if name in table.index]]
    sign = pd.Series({name: -1 if name in LOWER_IS_BETTER else 1 for name in rows.index})
    other_way = sign * rows["difference"] * (1 if letter == "B" else -1) < 0
    excludes_zero = (rows["low"] > 0) | (rows["high"] < 0)
    significant = np.where(rows["p"].notna(), rows["p"] < ALPHA, excludes_zero)
    return [str(name) for name in rows.index[other_way & significant]]


def sentence(letter: str, names: tuple[str, str], table: pd.DataFrame) -> str:
    """These metrics with both values, as a sentence; nothing where there is none."""
    against = opposing(letter, table)
    if not against:
        return ""
    other = "A" if letter == "B" else "B"
    parts = []
    for name in against:
        row = table.loc[name]
        values = f"{number(row[other.lower()], '.4f')} ({other}) against {number(row[letter.lower()], '.4f')}"
        p = p_value(row["p"])
        test = f"p {p}" if p.startswith("<") else f"p = {p}" if p else "the 95% CI excludes 0"
        parts.append(f"{_IN_SENTENCE[name]} ({values}, {test})")
    return f"But {names['AB'.index(other)]} ({other}) is better by {', '.join(parts)}."
