"""The overview over made run files: its numbers are those of the runs, and what is missing is named."""

from dataclasses import replace

import numpy as np
import pytest
from pages import run, text, two_models, write


def test_missing_arrays_name_the_command_that_adds_them(folder):
    write(folder, *two_models(history=False, superclasses=False))
    assert "cifarcore evaluate" in text(run(folder, "overview", **{"learning-curves-open": True}))
    assert "superclass" in text(run(folder, "overview"))


def test_overview_shows_the_numbers_of_the_runs(folder):
    runs = two_models(seeds=(0, 1, 2))
    write(folder, *runs)
    table = run(folder, "overview").dataframe[0].value.set_index("Metric")
    accuracy = [np.mean(run.logits.argmax(1) == run.labels) for run in runs]
    a, b = np.array(accuracy[:3]), np.array(accuracy[3:])
    assert table.loc["Accuracy", "A"] == f"{a.mean():.4f} ± {a.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B"] == f"{b.mean():.4f} ± {b.std(ddof=1):.4f}"
    assert table.loc["Accuracy", "B − A"] == f"{b.mean() - a.mean():+.4f}"


@pytest.mark.parametrize("without", ["A", "AB"])
def test_a_run_without_validation_split_has_no_learning_curve_and_says_so(folder, without):
    for letter, one in zip("AB", two_models(), strict=True):
        if letter in without:
            unknown = one.history | {"val_accuracy": np.full_like(one.history["val_accuracy"], np.nan)}
            one = replace(one, history=unknown, val_sample_ids=None, val_labels=None, val_logits=None)
        write(folder, one)
    said = text(run(folder, "overview", **{"learning-curves-open": True}))
    assert ("These runs have no validation accuracy" in said) == (without == "AB")
    assert ("cnn\\-made has no validation accuracy" in said) == (without == "A")
