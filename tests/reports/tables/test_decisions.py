"""What people decide by, in sentences and tables of text, and as numbers in JSON."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import classes_only, made_run
from pages import two_models
from scipy.special import softmax

from cifarcore import compare
from cifarcore.evidence import abstention, equivalence, flips, power, shares, together
from cifarcore.reports.sides import Side, Sides
from cifarcore.reports.tables import decisions, models


def test_the_result_says_the_same_as_json_and_in_the_report(tmp_path):
    a, b = two_models()
    result = compare(a, b)
    written = json.loads(result.to_json())["decisions"]
    assert written["equivalence"]["outcome"] == "B is non-inferior"
    assert written["flips"]["churn"]["share"] == pytest.approx(flips.flips([a, b], 1).loc["churn", "share"])
    assert written["flips"]["seed_wins"]["value"] is None and written["detectable"]["difference"] > 0
    page = result.html()
    for title in (
        "Statistical power",
        "Can B replace A?",
        "Prediction flips (churn)",
        "Selective prediction (abstention)",
        "Ensemble and error overlap",
    ):
        assert f"<h2>{title}</h2>" in page
    assert decisions.detectable_text([a, b], 1).split(",")[0] in page


@pytest.mark.parametrize("rows", [np.arange(1), np.arange(3)])
def test_few_images_say_why_nothing_can_be_had(rows):
    runs = [run.take(rows) for run in (made_run(), made_run(model="resnet18"))]
    assert decisions.detectable_text(runs, 1) and decisions.flip_text(runs, 1) and decisions.together_text(runs, 1)
    assert decisions.equivalence_text(equivalence.equivalence(runs, 1), ("a", "b"))
    table, coverage = decisions.abstention_table(runs, 1)
    assert len(table) == 2 and decisions.abstention_text(coverage, 0.05, ("a", "b"))
    json.dumps(decisions.decisions(runs, 1), default=float)


def test_a_model_with_itself_claims_nothing():
    a = made_run()
    assert "unknown" in decisions.detectable_text([a, a], 1) and "no image" in decisions.flip_text([a, a], 1)
    assert "no CI" in decisions.together_text([a, a], 1)


def test_detectable_and_needed_in_words():
    a, b = two_models(seeds=(0, 1, 2))[:3], two_models(seeds=(0, 1, 2))[3:]
    for runs, n_a, start in (
        ([a[0], b[0]], 1, "With 500 images, McNemar's test detects"),
        ([*a, *b], 3, "With 500 images and 3 seeds each, this test detects"),
        ([*a, *b[:2]], 3, "With 500 images, 3 (A) and 2 (B) seeds, this test detects"),
        ([a[0], *b], 1, "With 500 images, 1 (A) and 3 (B) seeds, this test detects"),
    ):
        points = f"{100 * power.detectable(runs, n_a).difference:.2f}"
        assert decisions.detectable_text(runs, n_a) == (
            f"{start} a true difference of {points} points in accuracy with 80% power; smaller ones are often missed."
        )
    need = power.needed([a[0], b[0]], 1, 0.012)
    assert decisions.needed_text([a[0], b[0]], 1, 0.012) == (
        f"To detect 1.2 points with 80% power, about {need.number:,.0f} images are needed."
    )
    assert need.number > 1000
    none = power.needed([a[0], b[0]], 1, 0.9)
    assert decisions.needed_text([a[0], b[0]], 1, 0.9) == (
        f"To detect 90 points with 80% power, no number of images suffices: {none.why}."
    )


def share(low, high, one_each=True, df=np.inf):
    middle = (low + high) / 2
    return shares.ShareDifference(0.5, 0.5 + middle, low, high, 0.5, 0.01, df, 500, 0.1, 0.1, one_each)


@pytest.mark.parametrize(
    ("outcome", "start"),
    [
        ("equivalent", "Yes, by accuracy: new (B) and old (A) are equivalent within 1 point. "),
        ("B is non-inferior", "Yes, by accuracy: new (B) is at most 1 point worse than old (A) (non-inferior). "),
        (
            "A is non-inferior",
            "new (B) is not shown to be at most 1 point worse than old (A): it may be up to 0.40 points worse; old (A) "
            "is at most 1 point worse than new (B) (non-inferior). ",
        ),
        (
            "inconclusive",
            "new (B) is not shown to be at most 1 point worse than old (A): it may be up to 0.40 points worse, or up "
            "to 0.61 points better (inconclusive). ",
        ),
    ],
)
def test_equivalence_in_words(outcome, start):
    names = ("old", "new")
    judged = equivalence.Equivalence(outcome, 0.01, share(-0.004, 0.0061), 0.012, 0.00001)
    assert decisions.equivalence_text(judged, names) == (
        f"{start}B − A +0.10 points, 95% CI −0.40 to +0.61 (Tango's score interval). One-sided p of B worse by the "
        "margin or more: 0.0120; of B better by the margin or more: < 0.0001; significant below 0.025."
    )
    for df, method in ((3.5, "Student's t, seeds and images"), (np.inf, "normal, images alone: seeds add no variance")):
        seeds = equivalence.Equivalence(outcome, 0.025, share(-0.004, 0.006, one_each=False, df=df), 0.5, 0.5)
        text = decisions.equivalence_text(seeds, names)
        assert "2.5 points" in text and f"({method})" in text
    for low, high, said in (
        (0.0101, 0.02, "Yes, by accuracy: new (B) is more accurate than old (A) by more than 1 point. "),
        (-0.02, -0.0101, "No: old (A) is more accurate than new (B) by more than 1 point. "),
        (0.0099, 0.02, start.split(":")[0]),  # the answer, or what is not shown
    ):
        assert decisions.equivalence_text(
            equivalence.Equivalence(outcome, 0.01, share(low, high), 0, 1), names
        ).startswith(said)
    nothing = equivalence.Equivalence("inconclusive", 0.01, share(np.nan, np.nan), np.nan, np.nan, "no image")
    assert decisions.equivalence_text(nothing, names) == "Nothing can be said: no image."


def test_flips_as_text(monkeypatch):
    runs = two_models()
    found = flips.flips(runs, 1)
    table = decisions.flip_table(runs, 1)
    assert table["Change"].tolist() == [
        "Newly wrong (only A correct)", "Newly right (only B correct)", "Churn (predictions differ)",
    ]  # fmt: skip
    for shown, (_, row) in zip(table.itertuples(index=False), found.iterrows(), strict=True):
        assert shown[1:] == (f"{row['images']:,.0f}", f"{row['share']:.2%}", f"{row['low']:.2%} to {row['high']:.2%}")
    seeds = two_models(seeds=(0, 1, 2))
    images = flips.flips(seeds, 3)["images"]
    assert decisions.flip_table(seeds, 3)["Images"].tolist() == [f"{value:,.1f}" for value in images]
    odds, wins = flips.odds_ratio(runs, 1), flips.seed_wins(seeds, 3)
    assert decisions.flip_text(runs, 1) == (
        f"Newly right to newly wrong (odds ratio of matched pairs): {odds.value:.2f}, 95% CI {odds.low:.2f} to "
        f"{odds.high:.2f} (exact, conditional)."
    )
    assert decisions.flip_text(seeds, 3) == (
        f"A seed of B is more accurate than one of A with probability {wins.value:.0%}, 95% CI {wins.low:.0%} to "
        f"{wins.high:.0%}. By the criterion of Bouthillier et al. (2021), 75% or more and a CI above 50%, this is "
        "not shown to be a meaningful improvement; a few seeds rarely suffice."
    )
    for low, value, verdict in ((0.51, 0.75, "is a meaning"), (0.5, 0.9, "is not shown"), (0.6, 0.74, "is not shown")):
        monkeypatch.setattr(flips, "seed_wins", lambda *_, v=value, x=low: replace(wins, value=v, low=x))
        assert verdict in decisions.flip_text(seeds, 3)
    monkeypatch.undo()
    one_side = [seeds[0], *seeds[3:]]
    assert decisions.flip_text(one_side, 1) == (
        f"How often a seed of B beats one of A cannot be given: {flips.seed_wins(one_side, 1).why}."
    )


def test_abstention_as_text():
    runs = two_models()
    table, coverage = decisions.abstention_table(runs, 1, 0.2)
    area = abstention.compared_augrc(runs, 1)
    assert table.to_dict("records")[0] == {
        "Measure": "AUGRC (lower is better)", "A": f"{area.a:.4f}", "B": f"{area.b:.4f}",
        "B − A": f"{area.difference:+.4f}".replace("-", "−"),
        "95% CI": f"{area.low:+.4f} to {area.high:+.4f}".replace("-", "−"), "p": "< 0.0001",
    }  # fmt: skip
    expected = abstention.compared_coverage(runs, 1, 0.2)
    assert coverage == expected and table["Measure"][1] == "Coverage at 20% errors (points)"
    assert expected.resampled and expected.digits == 2  # of 500 images, resampled 400 times
    assert table.loc[1, ["A", "B"]].tolist() == [f"{100 * expected.a:.1f}", f"{100 * expected.b:.1f}"]
    assert decisions.abstention_table(runs, 1)[0]["Measure"][1] == "Coverage at 5% errors (points)"
    for width, points in ((0.02, "+12.5 points, 95% CI +11.5 to +13.5"), (0.08, "+12 points, 95% CI +8 to +16")):
        known = abstention.Abstention(0.5, 0.6249, 0.1249 - width / 2, 0.1249 + width / 2, 0.0123, resampled=True)
        assert decisions.abstention_text(known, 0.025, ("old", "new")) == (
            f"At 2.5% errors new (B) answers 62.5% of images and old (A) 50.0% (B − A {points})."
        )
    row = decisions._coverage(0.025, known)
    assert (row["B"], row["B − A"], row["95% CI"], row["p"]) == ("62.5", "+12", "+8 to +16", "0.01")
    shown = [decisions._coverage(0.1, replace(known, p=p))["p"] for p in (0.3456, 0.0468, 0.000123, 0.00001, np.nan)]
    assert shown == ["0.35", "0.05", "0.0001", "< 0.0001", ""]
    alike = abstention.Abstention(0.5, 0.5, np.nan, np.nan, np.nan, "both alike")
    assert decisions.abstention_text(alike, 0.1, ("old", "new")).endswith("(B − A +0.0 points, both alike).")
    none = abstention.Abstention(np.nan, 0.5, np.nan, np.nan, np.nan, "no scores")
    assert decisions.abstention_text(none, 0.1, ("old", "new")) == "Nothing can be said: no scores."


def test_curves_are_of_the_model_named():
    runs = two_models(seeds=(0, 1))
    frame = decisions.curve_frame(runs, 2)
    for run, letter in zip(runs, "AABB", strict=True):
        own = frame[frame["run"] == run.name]
        assert set(own["model"]) == {letter}
        pd.testing.assert_frame_equal(
            own[["coverage", "error", "confidence"]].reset_index(drop=True), abstention.risk_coverage(run)
        )
    assert frame.index.tolist() == list(range(len(frame)))


def test_combinations_as_text():
    runs = two_models(seeds=(0, 1))
    found, table = together.combinations(runs, 2), decisions.together_table(runs, 2)
    assert table["Combination"].tolist() == [
        "B alone", "Either model correct (oracle)", "Average of A and B", "Average of A's seeds",
        "Average of B's seeds",
    ]  # fmt: skip
    for shown, row in zip(table.itertuples(index=False), found.itertuples(), strict=True):
        points = [f"{100 * value:+.2f}".replace("-", "−") for value in (row.difference, row.low, row.high)]
        if shown[0] == "B alone":
            assert shown[1:] == (f"{row.accuracy:.4f}", "", "", "")
        else:
            assert shown[1:4] == (f"{row.accuracy:.4f}", points[0], f"{points[1]} to {points[2]}")
            assert (shown[4] == "") == (shown[0] == "Either model correct (oracle)")
    kappa = together.error_consistency(runs, 2)
    assert decisions.together_text(runs, 2) == (
        f"Error consistency (Cohen's κ of being correct): {kappa.value:.3f}, 95% CI {kappa.low:.3f} to "
        f"{kappa.high:.3f}; 1: the same errors; 0: agreement by chance."
    )


def test_pairs_and_groups_of_models():
    pairs = pd.DataFrame(
        {
            "first": ["a", "a", "b"], "second": ["b", "=c", "=c"], "difference": [0.01, -0.1, -0.11],
            "low": [-0.01, -0.15, -0.16], "high": [0.03, -0.05, -0.06], "p": [0.3, 0.00001, 0.002],
            "adjusted": [0.3, 0.00003, 0.004], "significant": [False, True, True],
        }
    )  # fmt: skip
    assert models.pair_table(pairs).to_numpy().tolist() == [
        ["a", "'=c", "−10.00", "−15.00 to −5.00", "< 0.0001", "< 0.0001", "yes"],
        ["b", "'=c", "−11.00", "−16.00 to −6.00", "0.0020", "0.0040", "yes"],
        ["a", "b", "+1.00", "−1.00 to +3.00", "0.3000", "0.3000", "no"],
    ]
    frame = models.group_frame({"a": 0.6, "b": 0.61, "=c": 0.5}, pairs)
    assert frame[["letter", "model", "accuracy", "letters"]].to_numpy().tolist() == [
        ["a", "b", 0.61, "a"], ["a", "a", 0.6, "a"], ["b", "'=c", 0.5, "b"],
    ]  # fmt: skip


def test_all_of_it_as_numbers():
    runs = two_models(seeds=(0, 1))
    found = decisions.decisions(runs, 2, 0.02)
    judged = equivalence.equivalence(runs, 2, 0.02)
    assert found["detectable"] == {
        "power": 0.8, "difference": power.detectable(runs, 2).difference, "why": "",
    }  # fmt: skip
    assert found["equivalence"] == {
        "margin": 0.02, "outcome": judged.outcome, "difference": judged.share.difference, "low": judged.share.low,
        "high": judged.share.high, "p_worse": judged.p_worse, "p_better": judged.p_better, "why": "",
    }  # fmt: skip
    assert found["flips"]["churn"]["share"] == flips.flips(runs, 2).loc["churn", "share"]
    assert found["flips"]["seed_wins"] == vars(flips.seed_wins(runs, 2))
    assert found["abstention"]["max_error"] == 0.05
    for name, one in (
        ("augrc", abstention.compared_augrc(runs, 2)), ("coverage", abstention.compared_coverage(runs, 2)),
    ):  # fmt: skip
        assert found["abstention"][name] == vars(one) | {"difference": one.b - one.a}
    assert found["together"]["error_consistency"] == vars(together.error_consistency(runs, 2))
    assert decisions.decisions(runs, 2)["equivalence"]["margin"] == 0.01


@pytest.mark.parametrize("n_b", [1, 2])
def test_images_left_unanswered_and_the_errors_among_the_others(n_b):
    runs = two_models(seeds=(0, 1))
    a, b = runs[:1], runs[2 : 2 + n_b]
    sides = Sides(Side("A", "cnn", tuple(a)), Side("B", "resnet18", tuple(b)), 0, 0, np.arange(10))
    sure = {letter: softmax(each[0].logits.astype(float), axis=1).max(axis=1) for letter, each in (("A", a), ("B", b))}
    least = {letter: np.argsort(of, kind="stable")[:100].tolist() for letter, of in sure.items()}
    expected = least | {"both": [row for row in least["A"] if row in least["B"]]}
    for whose, rows in expected.items():
        assert decisions.unanswered(sides, 0.8, whose).tolist() == rows and 0 < len(rows) <= 100
    wrong = {letter: np.delete(~each[0].correct, least[letter]).mean() for letter, each in (("A", a), ("B", b))}
    assert decisions.answered_text(sides, 80) == (
        f"Errors among the 80% that are answered (seed 0 of each): {wrong['A']:.2%} (A) and {wrong['B']:.2%} (B)."
    )


def test_errors_among_the_answered_where_confidence_is_not_known():
    a, b = two_models()
    hard = {letter: Side(letter, letter, (classes_only(run),)) for letter, run in (("A", a), ("B", b))}
    sides = Sides(hard["A"], Side("B", "B", (b,)), 0, 0, np.arange(10))
    assert "(A)" not in decisions.answered_text(sides, 50) and decisions.answered_text(sides, 50).endswith("% (B).")
    assert decisions.unanswered(sides, 0.5, "A").tolist() == decisions.unanswered(sides, 0.5, "both").tolist() == []
    assert decisions.answered_text(replace(sides, b=hard["B"]), 50) == decisions.answered_text(sides, 0) == ""
