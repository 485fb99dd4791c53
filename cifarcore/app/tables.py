"""What charts and tables show, as DataFrames: pure functions of runs and of metrics' and comparison's results.

Counts and rates over several seeds are the means of the per-seed numbers. No rule of evidence lives here.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cifarcore import metrics
from cifarcore.comparison import Comparison
from cifarcore.app.state import Side, View, mean_class_table, memo, plain
from cifarcore.runs import Run

SPLIT = ("both right", "only A", "only B", "both wrong")
#: comparison's metrics in the order of the overview: title and format
METRICS = {
    "accuracy": ("Accuracy", ".4f"),
    "top5": ("Top-5 accuracy", ".4f"),
    "macro_f1": ("Macro-F1", ".4f"),
    "macro_auc": ("Macro-AUC (one-vs-rest)", ".4f"),
    "superclass_accuracy": ("Superclass accuracy", ".4f"),
    "ece": ("Expected calibration error", ".4f"),
    "brier": ("Brier score", ".4f"),
    "log_loss": ("Log loss (nats)", ".4f"),
}


def split_frame(groups: np.ndarray) -> pd.DataFrame:
    """Columns group, images, share (0..1) of the four-way split `groups`, str (N,), in the order of SPLIT."""
    images = [int((groups == group).sum()) for group in SPLIT]
    return pd.DataFrame({"group": SPLIT, "images": images, "share": np.divide(images, max(len(groups), 1))})


def metric_table(view: View, result: Comparison) -> pd.DataFrame:
    """The overview's table as text: a row for each metric, with the mean ± std over seeds and the interval of B − A."""
    records = []
    for key, (title, form) in METRICS.items():
        if key not in result.metrics.index:
            continue
        row = result.metrics.loc[key]
        records.append(
            {
                "Metric": title,
                "A": _with_spread(row["a"], row["std_a"], form),
                "B": _with_spread(row["b"], row["std_b"], form),
                "B − A": _number(row["difference"], "+" + form),
                "95 % interval of B − A": _interval(row["low"], row["high"], "+" + form),
                "p": _p(row["p"]),
            }
        )
    for title, form, value in RUN_FACTS:
        a, b = ([value(run) for run in side.runs] for side in (view.a, view.b))
        mean_a, mean_b = _mean(a), _mean(b)
        if np.isnan(mean_a) and np.isnan(mean_b):
            continue
        records.append(
            {
                "Metric": title,
                "A": _with_spread(mean_a, _std(a), form),
                "B": _with_spread(mean_b, _std(b), form),
                "B − A": _number(mean_b - mean_a, "+" + form),
                "95 % interval of B − A": "",
                "p": "",
            }
        )
    return pd.DataFrame(records)


def class_frame(view: View, result: Comparison, metric: str) -> pd.DataFrame:
    """A row for each class that the filter leaves, hardest first; `metric` is a column of metrics.class_table.

    Columns class, superclass, support, a, b, difference (B − A), low, high (95 %, NaN where comparison gives none), claim.
    """
    classes = view.classes
    a, b = (mean_class_table(side.runs).iloc[classes] for side in (view.a, view.b))
    tested = result.class_table.loc[classes]
    interval = {name: tested.get(f"{metric}_{name}", pd.Series(np.nan, index=tested.index)).to_numpy() for name in ("low", "high")}
    return pd.DataFrame(
        {
            "class": [plain(view.class_names[c]) for c in classes],
            "superclass": [plain(view.superclass(c)) for c in classes],
            "support": a["support"].to_numpy(int),
            "a": a[metric].to_numpy(),
            "b": b[metric].to_numpy(),
            "difference": b[metric].to_numpy() - a[metric].to_numpy(),
            **interval,
            "claim": tested["claim"].to_numpy(),
        }
    )


def claimed_classes(view: View, result: Comparison, claim: str) -> list[str]:
    """The names of the classes that comparison claims as «gained» or «lost», the largest change first."""
    table = result.class_table[result.class_table["claim"] == claim]
    order = (table["recall_b"] - table["recall_a"]).abs().sort_values(ascending=False).index
    return [view.class_names[index] for index in order]


def surest_first(view: View, rows: np.ndarray) -> np.ndarray:
    """`rows`, those first on which either model (its first seed) is surest."""
    sure = np.maximum(memo(metrics.confidence, view.a.first), memo(metrics.confidence, view.b.first))
    return rows[np.argsort(-sure[rows], kind="stable")]


def history_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """Columns model, run, epoch, val_accuracy, train_loss, minutes: a row for each epoch of each run that has a history."""
    frames = [
        pd.DataFrame(
            {
                "model": side.letter,
                "run": plain(run.name),
                "epoch": run.history["epoch"],
                "val_accuracy": run.history["val_accuracy"],
                "train_loss": run.history["train_loss"],
                "minutes": run.history["seconds"] / 60,
            }
        )
        for side in sides
        for run in side.runs
        if run.history
    ]
    columns = ["model", "run", "epoch", "val_accuracy", "train_loss", "minutes"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def reliability_frame(sides: Sequence[Side]) -> pd.DataFrame:
    """metrics.reliability of every run, with columns model and run; bins without an image are left out."""
    frames = [
        memo(metrics.reliability, run).assign(model=side.letter, run=plain(run.name)) for side in sides for run in side.runs
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame[frame["count"] > 0]


def mean_confusion(runs: Sequence[Run]) -> np.ndarray:
    """Mean over `runs` of metrics.confusion, float (C, C): row = true, column = predicted."""
    return memo(_mean_confusion, tuple(runs))


def outcome_frame(view: View, class_index: int, most: int = 8) -> pd.DataFrame:
    """Where the images of a class went. Columns predicted, model, images, share, kind («right», «wrong», «left the filter»).

    The `most` common answers of both models together, and «other classes» for the rest.
    """
    names = np.array([plain(name) for name in view.class_names])
    rows = {side.letter: mean_confusion(side.runs)[class_index] for side in (view.a, view.b)}
    total = rows["A"] + rows["B"]
    order = [class_index] + [int(c) for c in np.argsort(-total, kind="stable") if c != class_index and total[c] > 0]
    shown, rest = order[: most + 1], order[most + 1 :]
    support = max(rows["A"].sum(), 1)
    inside = set(view.classes.tolist())
    records = []
    for letter, row in rows.items():
        for c in shown:
            kind = "right" if c == class_index else "wrong" if c in inside else "left the filter"
            records.append((names[c], letter, row[c], row[c] / support, kind))
        if rest:
            records.append(("other classes", letter, row[rest].sum(), row[rest].sum() / support, "wrong"))
    return pd.DataFrame(records, columns=["predicted", "model", "images", "share", "kind"])


def share_outside(view: View, class_index: int) -> dict[str, float]:
    """The share (0..1) of a class's images that each model sends to classes that the filter leaves out."""
    outside = np.ones(view.n_classes, dtype=bool)
    outside[view.classes] = False
    rows = {side.letter: mean_confusion(side.runs)[class_index] for side in (view.a, view.b)}
    return {letter: float(row[outside].sum() / max(row.sum(), 1)) for letter, row in rows.items()}


def share_outside_all(view: View) -> dict[str, float]:
    """As `share_outside`, for all images of the classes that the filter leaves."""
    outside = np.ones(view.n_classes, dtype=bool)
    outside[view.classes] = False
    rows = {side.letter: mean_confusion(side.runs)[view.classes] for side in (view.a, view.b)}
    return {letter: float(row[:, outside].sum() / max(row.sum(), 1)) for letter, row in rows.items()}


def rivals_frame(view: View, class_index: int, most: int = 6) -> pd.DataFrame:
    """The classes that this one is most confused with, either way and by both models together (images, mean over seeds)."""
    a, b = (mean_confusion(side.runs) for side in (view.a, view.b))
    both_ways = a[class_index] + a[:, class_index] + b[class_index] + b[:, class_index]
    both_ways[class_index] = 0
    order = [int(c) for c in np.argsort(-both_ways, kind="stable")[:most] if both_ways[c] > 0]
    return pd.DataFrame(
        {
            "Rival": [plain(view.class_names[c]) for c in order],
            "Taken for it: A, B, B − A": [_trio(a[class_index, c], b[class_index, c]) for c in order],
            "It taken for this: A, B, B − A": [_trio(a[c, class_index], b[c, class_index]) for c in order],
        }
    )


def wrong_first(view: View, rows: np.ndarray) -> np.ndarray:
    """`rows` that some run gets wrong, those that most runs of both models get wrong first."""
    wrong = view.a.wrong_in[rows] + view.b.wrong_in[rows]
    order = np.argsort(-wrong, kind="stable")
    return rows[order][wrong[order] > 0]


def _config(run: Run, key: str) -> float:
    config = run.meta.get("config")
    value = config.get(key) if isinstance(config, dict) else None
    return _float(value)


def _float(value: object) -> float:
    """A number from a file's meta, NaN where it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan


def _images_per_second(run: Run) -> float:
    """Training images seen in a second of training: epochs x images of an epoch / seconds; NaN where meta does not say."""
    return _float(run.meta.get("images_per_second"))


#: what a run file's meta tells of the model and its training: title, format, function of a run
RUN_FACTS = (
    ("Parameters", ",.0f", lambda run: _float(run.meta.get("parameters"))),
    ("Training minutes", ",.1f", lambda run: _float(run.meta.get("train_seconds")) / 60),
    ("Training images per second", ",.0f", _images_per_second),
    ("Epochs", ",.0f", lambda run: _config(run, "epochs")),
)


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _std(values: list[float]) -> float:
    """Sample standard deviation over seeds; NaN for one seed, and where all are equal (the number of parameters)."""
    return float(np.std(values, ddof=1)) if len(set(values)) > 1 else np.nan


def _number(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form).replace("-", "−")


def _trio(a: float, b: float) -> str:
    return f"{a:.1f}, {b:.1f}, {_number(b - a, '+.1f')}"


def _with_spread(mean: float, std: float, form: str) -> str:
    return _number(mean, form) + ("" if np.isnan(std) else f" ± {_number(std, form)}")


def _interval(low: float, high: float, form: str) -> str:
    return "" if np.isnan(low) or np.isnan(high) else f"{_number(low, form)} to {_number(high, form)}"


def _p(value: float) -> str:
    return "" if np.isnan(value) else "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def confusion_frame(
    view: View, result: Comparison, show: str, rows: np.ndarray, columns: np.ndarray, errors_only: bool
) -> pd.DataFrame:
    """The cells of true classes `rows` and predicted classes `columns` that hold an image under A or B.

    `show` is «A», «B» or «B − A». Columns true, predicted, value, a, b, difference (images, means over seeds), claim,
    muted (a difference that comparison does not claim).
    """
    a, b = (mean_confusion(side.runs)[np.ix_(rows, columns)] for side in (view.a, view.b))
    is_claimed = _claimed_matrix(view, result)[np.ix_(rows, columns)]
    left_out = rows[:, None] == columns[None, :] if errors_only else None
    names = ([plain(view.class_names[c]) for c in classes] for classes in (rows, columns))
    return _cells(a, b, *names, show, is_claimed, left_out)


def superclass_frame(view: View, result: Comparison, show: str, errors_only: bool) -> pd.DataFrame:
    """As `confusion_frame`, folded to superclasses; with `errors_only` the diagonal holds errors within a superclass.

    A folded cell counts as claimed where comparison claims a cell of classes in it.
    """
    run = view.a.first
    fold = np.eye(len(run.superclass_names))[run.superclass_of]  # (C, S)
    a, b = (mean_confusion(side.runs) for side in (view.a, view.b))
    if errors_only:
        a, b = (counts - np.diag(np.diag(counts)) for counts in (a, b))
    is_claimed = fold.T @ _claimed_matrix(view, result) @ fold > 0
    names = [plain(name) for name in run.superclass_names]
    return _cells(fold.T @ a @ fold, fold.T @ b @ fold, names, names, show, is_claimed, None)


def superclass_order(view: View) -> np.ndarray:
    """All classes, those of a superclass next to each other; in their own order where there are no superclasses."""
    superclass_of = view.a.first.superclass_of
    return np.arange(view.n_classes) if superclass_of is None else np.argsort(superclass_of, kind="stable")


def cell_images(
    view: View, true: np.ndarray, predicted: np.ndarray, letters: str, errors_only: bool
) -> tuple[np.ndarray, list[str]]:
    """The images of classes `true` that some run of the sides in `letters` gives one of the classes `predicted`.

    Returns rows, those that most runs put there first, and a note for each: how many runs of each side do.
    `errors_only` leaves out right answers (in a cell of several classes, or on the diagonal).
    """
    of_class = np.isin(view.labels, true)
    sides = [side for side in (view.a, view.b) if side.letter in letters]

    def here(run: Run) -> np.ndarray:
        in_cell = np.isin(run.predictions, predicted) & of_class
        return in_cell & ~run.correct if errors_only else in_cell

    hits = {side.letter: np.sum([here(run) for run in side.runs], axis=0) for side in sides}
    total = np.sum(list(hits.values()), axis=0)
    rows = np.flatnonzero(total)
    rows = rows[np.argsort(-total[rows], kind="stable")]
    notes = [" · ".join(f"{s.letter}: {hits[s.letter][row]} of {len(s.runs)} here" for s in sides) for row in rows]
    return rows, notes


def _claimed_matrix(view: View, result: Comparison) -> np.ndarray:
    """Whether comparison claims a difference in each confusion cell, bool (C, C)."""
    claimed = np.zeros((view.n_classes, view.n_classes), dtype=bool)
    cells = result.cells[result.cells["claim"] != ""]
    claimed[cells["true"].to_numpy(int), cells["predicted"].to_numpy(int)] = True
    return claimed


def _cells(a, b, true_names, predicted_names, show, is_claimed, left_out) -> pd.DataFrame:
    filled = (a > 0) | (b > 0)
    if left_out is not None:
        filled &= ~left_out
    t, p = np.nonzero(filled)
    a, b, is_claimed = a[t, p], b[t, p], is_claimed[t, p]
    return pd.DataFrame(
        {
            "true": pd.Categorical.from_codes(t, true_names),
            "predicted": pd.Categorical.from_codes(p, predicted_names),
            "value": {"A": a, "B": b}.get(show, b - a),
            "a": a,
            "b": b,
            "difference": b - a,
            "claim": np.where(is_claimed, "claimed", "not claimed"),
            "muted": ~is_claimed if show == "B − A" else False,
        }
    )


def _mean_confusion(runs: tuple[Run, ...]) -> np.ndarray:
    mean = np.mean([metrics.confusion(run) for run in runs], axis=0)
    mean.flags.writeable = False
    return mean
