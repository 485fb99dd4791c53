"""Tables as they are shown: the models' names stand over their columns, cut in the middle, with their keys."""

import pandas as pd
import streamlit as st

from cifarcore.app.parts.numbers import headed
from cifarcore.app.safe_text import csv
from cifarcore.text import keyed, shortened


def test_columns_of_a_model_are_headed_by_its_name_and_those_of_the_difference_are_not():
    names = ("cnn", "a-very-long-name-that-ends-in-seven")
    helped = {"A": st.column_config.NumberColumn(width=90, help="of A"), "p": st.column_config.Column(width=50)}
    columns = ["Metric", "A", "B", "B − A", "95% CI of B − A", "→ B", "A: F1", "Before (A)", "A and B", "Baboon"]
    config = headed(columns, names, 12, helped)
    labels = {name: each["label"] for name, each in config.items() if each["label"]}
    assert labels == {
        "A": "A cnn", "B": "B a-very…seven", "→ B": "→ B a-very…seven", "A: F1": "A cnn: F1",
        "Before (A)": "Before (A cnn)", "A and B": "A cnn and B a-very…seven",
    }  # fmt: skip
    assert config["A"]["width"] == 90 and config["A"]["help"] == "of A" and config["p"] == helped["p"]


def test_exports_keep_the_columns_own_names():
    assert csv(pd.DataFrame({"A": [1], "B": [2]})).decode("utf-8-sig").splitlines()[0] == "A,B"


def test_what_is_long_is_cut_in_its_middle_and_keeps_both_ends():
    assert shortened("0123456789", 10) == "0123456789"
    for limit in range(3, 10):
        cut = shortened("0123456789", limit)
        assert len(cut) == limit and cut[0] == "0" and cut[-1] == "9" and cut.count("…") == 1
    assert keyed("B", "retrained/cnn-quick-0-hardest10", 16) == "B retraine…rdest10"
