"""The ranking of models as text."""

import numpy as np
import pandas as pd

from cifarcore.reports.tables.ranking import ranking_table


def test_each_model_with_its_difference_from_the_best():
    nan = np.nan
    ranked = pd.DataFrame(
        {
            "model": ["vit", "=cnn"], "seeds": [3, 1], "why": ["", ""], "accuracy": [0.81234, 0.7],
            "std_accuracy": [0.00456, nan], "macro_f1": [0.8, 0.69], "std_macro_f1": [0.01, nan],
            "macro_auc": [0.99, nan], "std_macro_auc": [0.002, nan], "difference": [nan, -0.11234],
            "low": [nan, -0.12], "high": [nan, -0.1], "p": [nan, 0.00001],
            "verdict": ["most accurate", "significantly less accurate"],
        }
    )  # fmt: skip
    assert ranking_table(ranked).to_dict("list") == {
        "Model": ["vit", "'=cnn"],
        "Seeds": ["3", "1"],
        "Accuracy": ["0.8123 ± 0.0046", "0.7000"],
        "Macro-F1": ["0.8000 ± 0.0100", "0.6900"],
        "Macro-AUC": ["0.9900 ± 0.0020", ""],
        "Accuracy − best": ["", "−0.1123"],
        "95% CI": ["", "−0.1200 to −0.1000"],
        "p": ["", "< 0.0001"],
        "Against the best": ["most accurate", "significantly less accurate"],
    }
