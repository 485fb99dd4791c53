"""The verdict is about accuracy; where other metrics point significantly the other way, the sentence names them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from cifarcore.evidence import opposing
from cifarcore.evidence.comparison import compare
from cifarcore.runs.run import Run, load_run

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
BUNDLED = [CHECKPOINTS / f"{name}-0.npz" for name in ("resnet18-quick", "resnet18-longer", "cnn-quick")]
needs_bundled = pytest.mark.skipif(
    not all(path.exists() for path in BUNDLED), reason="needs the bundled run files: run in a clone of the repository"
)
NAMES = "small", "large"


def table(**changes):
    """B better by everything, significantly; `changes` are of single metrics."""
    rows = {
        name: {"a": 0.5, "b": 0.6, "difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.001}
        for name in ("accuracy", "top5", "macro_f1", "macro_auc", "superclass_accuracy")
    }
    for name in ("ece", "brier", "log_loss"):
        rows[name] = {"a": 0.6, "b": 0.5, "difference": -0.1, "low": -0.15, "high": -0.05, "p": 0.001}
    return pd.DataFrame.from_dict({name: row | changes.get(name, {}) for name, row in rows.items()}, orient="index")


UP = {"a": 0.5, "b": 0.6, "difference": 0.1, "low": 0.05, "high": 0.15}
DOWN = {"a": 0.6, "b": 0.5, "difference": -0.1, "low": -0.15, "high": -0.05}


def test_higher_is_better_but_for_errors():
    assert opposing.opposing("B", table()) == []
    assert opposing.opposing("A", table()) == [
        "top5", "macro_f1", "macro_auc", "superclass_accuracy", "brier", "log_loss",
    ]  # fmt: skip
    assert opposing.opposing("B", table(macro_auc=DOWN, log_loss=UP)) == ["macro_auc", "log_loss"]
    assert opposing.opposing("", table(macro_auc=DOWN)) == []


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"p": 0.0499}, True),
        ({"p": 0.05}, False),
        ({"p": np.nan}, True),  # no test: the interval excludes 0
        ({"p": np.nan, "high": 0.01}, False),
        ({"p": np.nan, "low": np.nan, "high": np.nan}, False),
    ],
)
def test_only_what_is_significant(change, counts):
    assert opposing.opposing("B", table(macro_f1=DOWN | change)) == ["macro_f1"] * counts


def test_the_calibration_error_is_not_tested_and_does_not_count():
    assert opposing.opposing("B", table(ece=UP)) == []


def test_the_sentence():
    assert opposing.sentence("B", NAMES, table()) == ""
    assert opposing.sentence("B", NAMES, table(macro_auc=DOWN | {"p": 0.0009}, brier=UP | {"p": np.nan})) == (
        "But small (A) is better by macro-AUC (0.6000 (A) against 0.5000, p = 0.0009), Brier score (0.5000 (A) against "
        "0.6000, the 95% CI excludes 0)."
    )
    assert opposing.sentence("A", NAMES, table(accuracy=DOWN)).startswith(
        "But large (B) is better by top-5 accuracy (0.6000 (B) against 0.5000, p = 0.0010), macro-F1 ("
    )


@needs_bundled
def test_more_accurate_but_a_lower_macro_auc():
    """Two bundled runs: the longer training gains accuracy and loses macro-AUC; its p-value is DeLong's by hand."""
    runs = [load_run(CHECKPOINTS / f"resnet18-{name}-0.npz") for name in ("quick", "longer")]
    result = compare(*([run] for run in runs))
    assert result.verdict.startswith("resnet18-longer beats resnet18-quick by ")
    means, gains = [], np.zeros((2, 10_000))
    for which, run in enumerate(runs):
        scores = np.exp(run.logits.astype(float))
        scores /= scores.sum(axis=1, keepdims=True)
        means.append(np.mean([roc_auc_score(run.labels == c, scores[:, c]) for c in range(100)]))
        for c in range(100):
            of, rest = scores[run.labels == c, c], scores[run.labels != c, c]
            above = (of[:, None] > rest) + 0.5 * (of[:, None] == rest)
            gains[which, run.labels == c] += above.mean(axis=1) / 100
            gains[which, run.labels != c] += above.mean(axis=0) / 9900
    added = (gains[1] - gains[0]) / 100
    variance = sum(100 * added[runs[0].labels == c].var(ddof=1) for c in range(100))
    p = 2 * norm.sf(abs(means[1] - means[0]) / np.sqrt(variance))
    assert means[1] < means[0] and f"{p:.4f}" == "0.0009"
    assert result.sentence.endswith(
        f" But resnet18-quick (A) is better by macro-AUC ({means[0]:.4f} (A) against {means[1]:.4f}, p = {p:.4f})."
    )


def test_a_constant_predictor_of_the_majority():
    """More accurate than a model that ranks well with a poor threshold, and no better than chance by AUC."""
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) > 0.7).astype(int)
    score = 2 * (labels == 0) - 1 + 1.2 * rng.standard_normal(2000) - 1.0
    facts = {"class_names": ["common", "rare"], "sample_ids": np.arange(2000), "seed": 0}
    a = Run.from_predictions(np.c_[score, -score], labels=labels, model="ranks", kind="logits", **facts)
    b = Run.from_predictions(np.tile([1.0, 0.0], (2000, 1)), labels=labels, model="constant", kind="logits", **facts)
    result = compare([a], [b])
    assert result.better == "B" and result.metrics.loc["macro_auc", "b"] == 0.5
    assert "But ranks" in result.sentence and "(A) is better by macro-F1" in result.sentence
    auc = roc_auc_score(labels, -score)
    assert f"macro-AUC ({auc:.4f} (A) against 0.5000, p < 0.0001)" in result.sentence


@needs_bundled
def test_a_comparison_whose_metrics_agree_says_no_but():
    runs = [load_run(CHECKPOINTS / f"{name}-quick-0.npz") for name in ("cnn", "resnet18")]
    assert " But " not in compare(*([run] for run in runs)).sentence
