"""Robustness as text: the sentence names each model's own numbers, and why there is nothing to say."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from made import made_run

from cifarcore import compare
from cifarcore.evidence.robustness import Ratio, Robustness
from cifarcore.reports.tables.robustness import corruption_table, severity_frame, summary_text
from cifarcore.runs.corrupted import corrupted_path
from cifarcore.runs.run import load_run, save_run

COLUMNS = ["accuracy_a", "accuracy_b", "difference", "low", "high", "p"]


def made(lost_p=0.001, relative=np.nan, seeds=(1, 1)):
    overall = pd.DataFrame(
        [
            [0.7, 0.8, 0.1, 0.08, 0.12, 0.0],
            [0.4, 0.55, 0.15, 0.13, 0.17, 0.0],
            [0.3, 0.25, -0.05, -0.07, -0.03, lost_p],
        ],
        index=["clean", "corrupted", "lost"], columns=COLUMNS,
    )  # fmt: skip
    by_severity = overall.iloc[:2].drop(columns="p").assign(severity=[0, 3])
    by_corruption = pd.DataFrame([[0.5, 0.4, -0.1, -0.12, -0.08, 0.0], [0.3, 0.7, 0.4, 0.3, 0.5, 0.0]], columns=COLUMNS)
    by_corruption = by_corruption.assign(
        corruption=["fog", "jpeg_compression"], q=[0.04, 0.2], significant=[True, False]
    )
    ratio = Ratio(relative, 0.7, 0.9)
    return Robustness(2000, seeds, by_severity, by_corruption, overall, Ratio(0.75, 0.72, 0.78), ratio)


def sides(of_a=1, of_b=1):
    return SimpleNamespace(names=("old", "new"), a=SimpleNamespace(runs=[0] * of_a), b=SimpleNamespace(runs=[0] * of_b))


def test_the_sentence():
    assert summary_text(made(), sides()) == (
        "Under 2 corruptions at severity 3, old classifies 40.0% of 2,000 test images correctly and new 55.0%: B − A "
        "+15.0 points (95% CI +13.0 to +17.0). Corruption costs old 30.0 points and new 25.0: new loses less, −5.0 "
        "points (95% CI −7.0 to −3.0). Mean corruption error of B over A 0.75 (95% CI 0.72 to 0.78)."
    )


@pytest.mark.parametrize(
    ("made_of", "given", "said"),
    [
        ({"lost_p": 0.051}, (1, 1), "no significant difference in what they lose, −5.0 points"),
        ({"relative": 0.8}, (1, 1), "Relative mean corruption error of B over A 0.80 (95% CI 0.70 to 0.90)."),
        ({"seeds": (3, 1)}, (3, 1), "(mean of 3 and 1 runs)"),
        ({}, (3, 1), "(of 1 of A's 3 runs and 1 of B's 1: no others were scored on them)"),
        ({}, (1, 2), "(of 1 of A's 1 runs and 1 of B's 2: no others were scored on them)"),
    ],
)
def test_what_else_it_says(made_of, given, said):
    assert said in summary_text(made(**made_of), sides(*given))


def test_the_table_names_the_largest_gain_first():
    table = corruption_table(made())
    assert table["Corruption"].tolist() == ["jpeg compression", "fog"] and table["A"].tolist() == ["30.0%", "50.0%"]
    assert table["B − A (points)"].tolist() == ["+40.0", "−10.0"] and table["Significant"].tolist() == ["", "yes"]


def test_a_line_for_each_model():
    frame = severity_frame(made())
    assert frame.set_index(["model", "severity"])["accuracy"].to_dict() == {
        ("A", 0): 0.7, ("A", 3): 0.4, ("B", 0): 0.8, ("B", 3): 0.55,
    }  # fmt: skip


def test_a_damaged_file_is_named_without_the_folders_of_this_machine(tmp_path):
    paths = [save_run(made_run(n_images=60, model=model), tmp_path / f"{model}.npz") for model in ("cnn", "vit")]
    a, b = map(load_run, paths)
    corrupted_path(a.path).write_bytes(b"no archive")
    corrupted_path(b.path).write_bytes(b"no archive")
    page = compare(a, b).html()
    assert "cnn.corruptions" in page and str(tmp_path) not in page
