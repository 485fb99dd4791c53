"""The tables of classes: each class's numbers, and how its images were classified. Means over seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from cifarcore.evidence import metrics
from cifarcore.evidence.comparison import Comparison
from cifarcore.reports.sides import Side, Sides
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import count_form, number

CLASS_METRICS = {"F1": "f1", "Precision": "precision", "Recall": "recall", "AUC": "auc"}


HARDNESS = ("A and B", "A", "B")


def class_frame(sides: Sides, result: Comparison, metric: str) -> pd.DataFrame:
    """A row for each class that the filter leaves, hardest first; `metric` is a column of metrics.class_table.

    Columns class, superclass, support, a, b, difference (B − A), low, high (95%, NaN where comparison gives none),
    claim.
    """
    classes = sides.classes
    a, b = (mean_class_table(side.runs, metric).iloc[classes] for side in (sides.a, sides.b))
    tested = result.class_table.loc[classes]
    interval = {
        name: tested.get(f"{metric}_{name}", pd.Series(np.nan, index=tested.index)).to_numpy()
        for name in ("low", "high")
    }
    return pd.DataFrame(
        {
            "class": [sides.class_names[c] for c in classes],
            "superclass": [sides.superclass(c) for c in classes],
            "support": a["support"].to_numpy(int),
            "a": a[metric].to_numpy(),
            "b": b[metric].to_numpy(),
            "difference": b[metric].to_numpy() - a[metric].to_numpy(),
            **interval,
            "claim": tested["claim"].to_numpy(),
        }
    )


def changed_classes(sides: Sides, result: Comparison, claim: str) -> pd.DataFrame:
    """The classes that comparison claims as "improved" or "declined", largest change first. Columns class, difference
    (of recall).
    """
    table = result.class_table[result.class_table["claim"] == claim]
    order = table["recall_difference"].abs().sort_values(ascending=False, kind="stable").index
    return pd.DataFrame(
        {"class": [sides.class_names[c] for c in order], "difference": table.loc[order, "recall_difference"].to_numpy()}
    )


def by_recall_change(result: Comparison, most: int) -> np.ndarray:
    """Class indices, largest gain of recall first and largest loss last; of more than `most` classes those that change
    most.
    """
    change = result.class_table["recall_difference"].dropna()
    if len(change) > most:
        change = change.loc[change.abs().nlargest(most).index]
    return change.sort_values(ascending=False, kind="stable").index.to_numpy(int)


def mean_class_table(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """metrics.class_table with every number the mean over `runs` (the seeds of one model).

    Its column `auc`, which takes seconds for 1,000 classes, is there only where that is the `metric` asked for.
    """
    return memo(_mean_class_table, tuple(runs), metric == "auc")


def hardest_first(a: Side, b: Side, hardness: str, metric: str) -> np.ndarray:
    """All classes, lowest `metric` first (by A, by B or by the mean of both); those without a value last."""
    return memo(_hardest_first, a.runs, b.runs, hardness, metric)


def mean_confusion(runs: Sequence[Run]) -> csr_array:
    """Mean over `runs` of metrics.confusion, float (C, C), sparse: row = true, column = predicted."""
    return memo(_mean_confusion, tuple(runs))


def outcome_frame(sides: Sides, class_index: int, most: int = 8) -> pd.DataFrame:
    """How the images of a class were classified. Columns predicted, model, images, share, kind.

    `kind` is "correct", "wrong" or "outside the filter".

    The `most` common predictions of both models together, and "other classes" for the rest.
    """
    names = np.array(sides.class_names)
    rows = {side.letter: _answers(side.runs, class_index) for side in (sides.a, sides.b)}
    total = rows["A"] + rows["B"]
    order = [class_index] + [int(c) for c in np.argsort(-total, kind="stable") if c != class_index and total[c] > 0]
    shown, rest = order[: most + 1], order[most + 1 :]
    support = max(rows["A"].sum(), 1)
    inside = set(sides.classes.tolist())
    records = []
    for letter, row in rows.items():
        for c in shown:
            kind = "correct" if c == class_index else "wrong" if c in inside else "outside the filter"
            records.append((names[c], letter, row[c], row[c] / support, kind))
        if rest:
            records.append(("other classes", letter, row[rest].sum(), row[rest].sum() / support, "wrong"))
    return pd.DataFrame(records, columns=["predicted", "model", "images", "share", "kind"])


def class_text(sides: Sides, class_index: int, most: int = 3) -> str:
    """What becomes of one class, as a sentence: its recall under A and B, and where B's errors go; means over seeds."""
    rows = [_answers(side.runs, class_index) for side in (sides.a, sides.b)]
    support = max(rows[0].sum(), 1)
    name = sides.class_names[class_index]
    recall = ", ".join(f"{row[class_index] / support:.0%} ({letter})" for row, letter in zip(rows, "AB", strict=True))
    text = f"{name[:1].upper()}{name[1:]}: recall {recall}"
    errors = rows[1].copy()
    errors[class_index] = 0
    if not errors.any():
        return f"{text}; B makes no error"
    form = count_form(errors)
    named = [c for c in np.argsort(-errors, kind="stable")[:most] if errors[c] >= 2]
    parts = [f"{sides.class_names[c]} {number(errors[c], form)}" for c in named]
    elsewhere = errors.sum() - errors[named].sum()
    if elsewhere:
        parts.append(f"{number(elsewhere, form)} in other classes")
    unit = "images per seed" if len(sides.b.runs) > 1 else "images"
    return f"{text}; B's errors ({unit}): {', '.join(parts)}"


def share_outside(sides: Sides, classes: np.ndarray) -> dict[str, float]:
    """The share (0..1) of the images of `classes` that each model classifies as a class outside the filter."""
    outside = np.ones(sides.n_classes, dtype=bool)
    outside[sides.classes] = False
    rows = {side.letter: mean_confusion(side.runs)[classes] for side in (sides.a, sides.b)}
    return {letter: float(row[:, outside].sum() / max(row.sum(), 1)) for letter, row in rows.items()}


def class_confusions(sides: Sides, class_index: int, most: int = 8) -> pd.DataFrame:
    """The most frequent confusions of one class, as the true or as the predicted one, by both models together.

    Columns confusion ("true → predicted"), A, B: images (means over seeds).
    """
    others = np.delete(np.arange(sides.n_classes), class_index)
    true = np.append(np.full(len(others), class_index), others)
    predicted = np.append(others, np.full(len(others), class_index))
    counts = [mean_confusion(side.runs) for side in (sides.a, sides.b)]
    a, b = (np.append(each[[class_index]].toarray()[0, others], each[:, [class_index]].toarray()[others, 0])
            for each in counts)  # fmt: skip
    both = a + b
    order = [k for k in np.argsort(-both, kind="stable")[:most] if both[k] > 0]
    true, predicted = true[order], predicted[order]
    names = sides.class_names
    return pd.DataFrame(
        {
            "confusion": [f"{names[t]} → {names[p]}" for t, p in zip(true, predicted, strict=True)],
            "A": a[order],
            "B": b[order],
        }
    )


def _mean_confusion(runs: tuple[Run, ...]) -> csr_array:
    total = metrics.confusion(runs[0])
    for run in runs[1:]:
        total = total + metrics.confusion(run)
    return total / len(runs)


def _answers(runs: Sequence[Run], class_index: int) -> np.ndarray:
    """The images of a class by predicted class, mean over runs, float (C,)."""
    return mean_confusion(runs)[[class_index]].toarray()[0]


def _mean_class_table(runs: tuple[Run, ...], auc: bool) -> pd.DataFrame:
    tables = [metrics.class_table(run, auc) for run in runs]
    mean = tables[0].copy()
    numbers = mean.select_dtypes("number").columns
    mean[numbers] = np.mean([table[numbers].to_numpy(float) for table in tables], axis=0)
    return mean


def _hardest_first(a: tuple[Run, ...], b: tuple[Run, ...], hardness: str, metric: str) -> np.ndarray:
    of_a, of_b = (mean_class_table(runs, metric)[metric].to_numpy() for runs in (a, b))
    value = {"A": of_a, "B": of_b}.get(hardness, (of_a + of_b) / 2)
    order = np.argsort(value, kind="stable")  # NumPy sorts NaN last
    order.flags.writeable = False
    return order
