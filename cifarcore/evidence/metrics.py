"""The numbers of one run: accuracy, F1, confusion, superclass accuracy, and all headline numbers together.

Each is a function of a Run's logits and labels alone. Knows nothing of a second run, of intervals, or of the app.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from cifarcore.evidence import absent
from cifarcore.evidence.calibration import brier_score, expected_calibration_error, log_loss
from cifarcore.evidence.roc_curves import class_auc, macro_auc
from cifarcore.evidence.softmax import per_image, ratio
from cifarcore.runs.run import Run


def accuracy(run: Run) -> float:
    """Share of images whose highest score is their label's."""
    return float(run.correct.mean())


def true_rank(run: Run) -> np.ndarray:
    """How many classes score higher than the true one, int (N,); among equal scores the lower index counts as higher.

    0 is right, so that `true_rank(run) == 0` is `run.correct`.
    """
    return per_image(run).true_rank


def top_k_accuracy(run: Run, k: int = 5) -> float:
    """Share of images whose true class is among the `k` highest scores; NaN without scores."""
    return float((true_rank(run) < k).mean()) if run.has_scores else float("nan")


def confusion(run: Run) -> csr_array:
    """Images by true class (row) and predicted class (column), int (C, C); sparse, as there may be thousands."""
    images = np.ones(run.n_images, np.int64), (run.labels, run.predictions)
    return csr_array(images, shape=(run.n_classes, run.n_classes))


def f1_scores(hits: np.ndarray, support: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """F1 = 2 TP / (images of the class + images given the class), any shape; NaN for a class without images.

    van Rijsbergen, Information Retrieval, 1979; equal to scikit-learn's f1_score.
    """
    return np.where(np.asarray(support) > 0, ratio(2 * hits, support + predicted), np.nan)


def class_counts(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right images, images and predictions of each class, int (C,) each."""
    right = run.labels[run.correct]
    hits, support, predicted = (np.bincount(x, minlength=run.n_classes) for x in (right, run.labels, run.predictions))
    return hits, support, predicted


def macro_f1(run: Run, classes: np.ndarray | None = None) -> float:
    """Unweighted mean of F1 over the classes that have images: the same classes for every model, whatever it predicts.

    Equal to scikit-learn's f1_score with `labels=np.unique(run.labels)`; without `labels` that also averages over
    classes that are only predicted. `classes` (indices) leaves out all others; NaN where none of them has images.
    """
    f1 = f1_scores(*class_counts(run))
    f1 = f1[slice(None) if classes is None else classes]
    f1 = f1[np.isfinite(f1)]
    return float(f1.mean()) if len(f1) else float("nan")


def superclass_predictions(run: Run) -> np.ndarray | None:
    """The superclass of highest probability, summed over its classes, int (N,); None without superclasses.

    Without scores it is that of the predicted class.
    """
    if run.superclass_of is None:
        return None
    if not run.has_scores:
        return run.superclass_of[run.predictions].astype(np.intp)
    return per_image(run).superclass


def superclass_correct(run: Run) -> np.ndarray | None:
    """Whether `superclass_predictions` is the label's superclass, bool (N,); None without superclasses."""
    predicted = superclass_predictions(run)
    return None if predicted is None else predicted == run.superclass_of[run.labels]


def superclass_accuracy(run: Run) -> float:
    """Share of images of `superclass_correct`; NaN without superclasses."""
    correct = superclass_correct(run)
    return float("nan") if correct is None else float(correct.mean())


def headline(run: Run, known_macro_auc: float | None = None) -> dict[str, float]:
    """All headline numbers: shares in [0, 1] (`brier` in [0, 2], `log_loss` in nats), NaN where there is none.

    `absent.why` knows the reason where the run does not hold what a number needs.

    The macro-AUC takes most of the time; give it where it is known already.
    """
    numbers: dict[str, Callable[[Run], float]] = {
        "accuracy": accuracy,
        "top5": lambda run: top_k_accuracy(run) if run.n_classes > 5 else float("nan"),  # of five, the first are all
        "macro_f1": macro_f1,
        "macro_auc": lambda run: macro_auc(run) if known_macro_auc is None else float(known_macro_auc),
        "superclass_accuracy": superclass_accuracy,
        "ece": expected_calibration_error,
        "brier": brier_score,
        "log_loss": log_loss,
    }
    return {name: float("nan") if absent.why(name, run) else number(run) for name, number in numbers.items()}


def class_table(run: Run, auc: bool = True) -> pd.DataFrame:
    """One row for each class: name, superclass ("" without), support, precision, recall, f1, auc (one-vs-rest).

    NaN where a number is not defined: recall and F1 of a class with no images, precision of one never predicted. The
    areas take most of the time, seconds for 1,000 classes; without `auc` there is no such column.
    """
    hits, support, predicted = class_counts(run)
    superclass = [""] * run.n_classes if run.superclass_of is None else run.superclass_names[run.superclass_of]
    return pd.DataFrame(
        {
            "name": run.class_names,
            "superclass": superclass,
            "support": support,
            "precision": ratio(hits, predicted),
            "recall": ratio(hits, support),
            "f1": f1_scores(hits, support, predicted),
            **({"auc": class_auc(run)} if auc else {}),
        }
    )
