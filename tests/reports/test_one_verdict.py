"""One function makes every verdict on accuracy: no two pages disagree about the same two runs."""

from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from scipy import stats

from cifarcore.evidence import comparison, findings, ranking
from cifarcore.experiments.study_plan import BASE
from cifarcore.experiments.study_table import study_table
from cifarcore.reports import headings
from cifarcore.reports.tables.retrained import change_sentences, change_table, change_text


def pair(only_a, only_b, n=200):
    """Two runs of two hundred images, of which so many are right under one of them alone."""
    base = made_run(10, n, 0.6, superclasses=False)
    right = np.zeros((2, n), bool)
    right[:, : n // 2] = True
    right[0, n // 2 : n // 2 + only_a] = right[1, n // 2 + only_a : n // 2 + only_a + only_b] = True
    logits = [np.eye(10, dtype=np.float16)[np.where(of, base.labels, (base.labels + 1) % 10)] * 5 for of in right]
    study = {"change": BASE}, {"change": "other"}
    return [
        replace(base, logits=each, digest=f"{only_a} {only_b} {k}", meta=base.meta | {
            "model": ("cnn", "resnet18")[k], "initialised_from": ("random", "imagenet")[k], "study": study[k],
        })
        for k, each in enumerate(logits)
    ]  # fmt: skip


#: 5 to 0: the score interval excludes zero and the exact test does not reach 5%; the test decides, on every page
@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 5), (5, 0), (0, 6), (10, 24), (24, 10), (9, 12)])
def test_every_page_says_what_the_test_says(only_a, only_b):
    a, b = pair(only_a, only_b)
    p = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    expected = "" if p >= 0.05 else "B" if only_b > only_a else "A"
    result = comparison.compare([a], [b])
    assert result.better == expected
    table = change_table(a, b, (1, 2))
    assert table.set_index("measure").loc["Accuracy", "better"] == expected
    sentences = change_sentences(table)
    assert len(sentences) == 2 and "95% CI" in sentences[1] and ("not significant" in sentences[1]) == (expected == "")
    assert headings.of_retraining(change_table(a, b, ()), result.names) == result.verdict
    title = headings.of_retraining(table, result.names)
    assert {"B": "raises accuracy by", "A": "lowers accuracy by", "": "No significant difference in"}[expected] in title
    assert change_text(table)["Significant"].tolist() == ["yes" if letter else "no" for letter in table["better"]]
    word = {"B": ranking.BEST, "A": ranking.WORSE, "": ranking.UNSURE}[expected]
    assert ranking.against([a], [b])["verdict"] == word
    rows = findings.findings([a], [b])
    (held,) = rows.loc[rows["measure"] == "B − A in accuracy, all images", "verdict"]
    assert held == {"B": findings.HOLDS, "A": findings.FAILS, "": findings.UNKNOWN}[expected]
    other = replace(b, meta=b.meta | {"model": "cnn", "preset": "study-other"})
    brought = study_table([a, other]).set_index("change").loc["other", "verdict"]
    assert brought == {"B": "better", "A": "worse", "": "not significant"}[expected]
