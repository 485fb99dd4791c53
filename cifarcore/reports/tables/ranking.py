"""The ranking of all models on the same test images, as text."""

import pandas as pd

from cifarcore.evidence import ranking
from cifarcore.reports.summary import TITLES
from cifarcore.text import interval, number, p_value, plain, with_spread


def ranking_table(table: pd.DataFrame) -> pd.DataFrame:
    """`ranking.table` as text: a row for each model, the most accurate first, and its difference from the best."""
    columns = {"Model": [plain(name) for name in table["model"]], "Seeds": table["seeds"].astype(str)}
    for name in ranking.METRICS:
        rows = table[[name, f"std_{name}"]].itertuples(index=False)
        columns[TITLES[name]] = [with_spread(*row, ".4f") for row in rows]
    columns["Accuracy − best"] = [number(value, "+.4f") for value in table["difference"]]
    columns["95% CI"] = [interval(*row, "+.4f") for row in table[["low", "high"]].itertuples(index=False)]
    columns["p"] = [p_value(value) for value in table["p"]]
    columns["Against the best"] = table["verdict"]
    return pd.DataFrame(columns)
