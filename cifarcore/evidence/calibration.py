"""How well one run's confidence fits its accuracy: reliability, calibration error, Brier score, log loss."""

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from cifarcore.evidence import absent
from cifarcore.evidence.softmax import confidence, log_normalizer, per_image, ratio
from cifarcore.runs.run import Run

ECE_BINS = 15


def reliability(run: Run, bins: int = ECE_BINS) -> pd.DataFrame:
    """Confidence against accuracy in `bins` bins of equal width, [low, high), the last one closed.

    Columns bin_low, bin_high, count, and the bin's mean confidence and accuracy (NaN where it is empty). All bins are
    empty where the run has no calibration error, see `absent`.
    """
    edges = np.linspace(0, 1, bins + 1)
    sure = confidence(run)
    known = np.full(len(sure), not absent.why("ece", run))
    index = confidence_bin(sure[known], bins)
    count, sum_sure, sum_right = (
        np.bincount(index, weights, minlength=bins) for weights in (None, sure[known], run.correct[known])
    )
    return pd.DataFrame(
        {
            "bin_low": edges[:-1],
            "bin_high": edges[1:],
            "count": count,
            "confidence": ratio(sum_sure, count),
            "accuracy": ratio(sum_right, count),
        }
    )


def confidence_bin(confidences: np.ndarray, bins: int = ECE_BINS) -> np.ndarray:
    """The bin of `reliability` that each confidence falls in, int (N,)."""
    return np.digitize(confidences, np.linspace(0, 1, bins + 1)[1:-1])


def expected_calibration_error(run: Run, bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over the bins of `reliability`, weighted by their images.

    Naeini et al., AAAI 2015, as Guo et al., ICML 2017, use it. Biased upwards by noise in thinly filled bins.
    """
    table = reliability(run, bins)
    table = table[table["count"] > 0]
    if table.empty:
        return float("nan")
    return float(np.average((table["accuracy"] - table["confidence"]).abs(), weights=table["count"]))


def brier_score(run: Run) -> float:
    """Mean over images of the summed squared error of all C probabilities, 0 to 2 (Brier, 1950)."""
    return float(brier_terms(run).mean())


def brier_terms(run: Run) -> np.ndarray:
    """Each image's summed squared error, float (N,); NaN without scores."""
    return per_image(run).brier if run.has_scores else np.full(run.n_images, np.nan)


def log_loss(run: Run) -> float:
    """Mean of -ln p(true class), in nats."""
    return float(log_loss_terms(run).mean())


def log_loss_terms(run: Run) -> np.ndarray:
    """-ln p(true class) of each image, float (N,), in nats; from the logits, so that it is never infinite."""
    return log_normalizer(run) - run.logits[np.arange(run.n_images), run.labels]


def score_terms(run: Run, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Each image's Brier score and log loss where the logits are divided by `temperature`, float (N,) each."""
    if temperature == 1:
        return brier_terms(run), log_loss_terms(run)
    brier, loss = np.empty(run.n_images), np.empty(run.n_images)
    for rows in run.blocks():
        logs = log_softmax(run.logits[rows].astype(np.float64) / temperature, axis=1)
        at_labels = np.arange(len(logs)), run.labels[rows]
        loss[rows], errors = -logs[at_labels], np.exp(logs)
        errors[at_labels] -= 1
        brier[rows] = np.einsum("ij,ij->i", errors, errors)
    return brier, loss


def fit_temperature(run: Run) -> float | None:
    """The temperature T > 0 whose softmax(logits / T) has least log loss on the validation split; None without one.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Below 1 where the model is too unsure.
    """
    if run.val_logits is None:
        return None
    below = run.val_logits.astype(np.float64)
    below -= below.max(axis=1, keepdims=True)  # once: a dozen temperatures are tried
    true, scaled = below[np.arange(len(below)), run.val_labels].mean(), np.empty_like(below)

    def loss(log_temperature: float) -> float:
        factor = np.exp(-log_temperature)
        sums = np.exp(np.multiply(below, factor, out=scaled), out=scaled).sum(axis=1)
        return np.log(sums).mean() - factor * true

    from scipy.optimize import minimize_scalar  # here, see `distributions`

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded").x))
