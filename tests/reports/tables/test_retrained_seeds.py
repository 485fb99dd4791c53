"""The gains of several retraining seeds, against scikit-learn and a t-test by hand."""

import numpy as np
import pytest
from made import made_run
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from cifarcore.reports import headings
from cifarcore.reports.headings import FOCUS, OVERALL
from cifarcore.reports.tables.retrained import change_table
from cifarcore.reports.tables.retrained_seeds import seeds_table, seeds_text

BEFORE = made_run(n_images=2000, accuracy=0.5)
AFTER = [made_run(n_images=2000, accuracy=accuracy, seed=seed) for seed, accuracy in enumerate((0.53, 0.54, 0.56))]


def test_each_seed_and_their_mean_are_scikit_learns():
    table = seeds_table(BEFORE, AFTER, (2, 5)).set_index("measure")

    def f1(run):
        return f1_score(run.labels, run.predictions, average=None)[[2, 5]].mean()

    def accuracy(run):
        return accuracy_score(run.labels, run.predictions)

    for measure, of in ((FOCUS, f1), (OVERALL, accuracy)):
        row, changes = table.loc[measure], [of(run) - of(BEFORE) for run in AFTER]
        assert row["changes"] == pytest.approx(changes)
        assert row["difference"] == pytest.approx(np.mean(changes))
        assert row["low"] < row["difference"] < row["high"]
    assert table.loc[OVERALL, "better"] == "B"
    # with one seed images alone vary, as in the table of a single retraining
    one = seeds_table(BEFORE, AFTER[:1], (2, 5)).iloc[0]
    alone = change_table(BEFORE, AFTER[0], (2, 5)).set_index("measure").loc[FOCUS]
    for column in ("difference", "low", "high", "p"):
        assert one[column] == pytest.approx(alone[column])
    assert seeds_table(BEFORE, AFTER, ())["measure"].tolist() == [OVERALL]


def test_a_gain_that_seeds_do_not_agree_on_is_not_significant():
    """Seeds that vary much more than the noise of 2,000 images: the interval is close to the t-test over seeds."""
    after = [made_run(n_images=2000, accuracy=accuracy, seed=seed) for seed, accuracy in enumerate((0.47, 0.5, 0.65))]
    row = seeds_table(BEFORE, after, ()).iloc[0]
    changes = np.array(row["changes"])
    by_seeds = stats.ttest_1samp(changes, 0.0)
    low, high = by_seeds.confidence_interval()
    assert by_seeds.pvalue > 0.05 and row["p"] > 0.05 and row["better"] == ""
    assert (row["low"], row["high"]) == pytest.approx((low, high), rel=0.1)
    one = seeds_table(BEFORE, after[2:], ()).iloc[0]
    assert one["better"] == "B"  # which this seed alone would not tell


def test_the_seeds_as_text():
    table = seeds_table(BEFORE, AFTER, (2, 5))
    text = seeds_text(table, AFTER)
    assert text["Seed"].tolist() == ["0", "1", "2", "", "", ""]
    assert text["Run"].tolist() == ["cnn-made-0", "cnn-made-1", "cnn-made-2", "mean ± SD", "95% CI", "p"]
    changes = [after.correct.mean() - BEFORE.correct.mean() for after in AFTER]
    column = text["Accuracy, B − A"].tolist()
    assert column[:4] == [*(f"{change:+.4f}" for change in changes),
                          f"{np.mean(changes):+.4f} ± {np.std(changes, ddof=1):.4f}"]  # fmt: skip
    assert headings.of_retraining(table, ("cnn", "the mean of 3 seeds")).startswith("the mean of 3 seeds raises ")
