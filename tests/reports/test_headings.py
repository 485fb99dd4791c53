"""The titles of pages, which say of which seeds they count."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from made import made_run

from cifarcore.evidence import disagreement
from cifarcore.reports import headings
from cifarcore.reports.sides import Side, Sides
from cifarcore.runs.alignment import align


def test_counts_of_the_first_seeds_say_so():
    runs = [made_run(model=m, seed=s, accuracy=right) for m, right in (("old", 0.4), ("new", 0.8)) for s in (0, 1)]
    split = disagreement.split_frame(disagreement.four_way(align(runs[0], runs[2])))
    classes = np.arange(runs[0].n_classes)
    wrong = [~run.correct for run in (runs[0], runs[2])]
    assert (wrong[0] & ~wrong[1]).sum() > (wrong[1] & ~wrong[0]).sum() > 0
    for n, seeds in ((2, " (seed 0 of each)"), (1, "")):
        sides = Sides(Side("A", "old", tuple(runs[:n])), Side("B", "new", tuple(runs[2 : 2 + n])), 0, 0, classes)
        both = (wrong[0] & wrong[1]).sum()
        only_a, only_b = ((wrong[k] & ~wrong[1 - k]).sum() for k in (1, 0))
        assert headings.of_outcomes(split, sides) == (
            f"new fixes {only_b} errors of old and introduces {only_a} new ones{seeds}"
        )
        assert headings.of_map(split, sides) == (
            f"Errors: old {wrong[0].sum()}, new {wrong[1].sum()}, shared {both}{seeds}"
        )


def test_the_heading_of_slices_names_the_clearest_one_or_says_that_none_differs():
    columns = ["slice", "difference", "rest", "significant"]
    rows = [("brightness: lowest fifth", -0.021, 0.104, True), ("hue: red", 0.2, 0.1, True), ("trees", 0.3, 0.1, False)]
    table = pd.DataFrame(rows, columns=columns)
    slices = SimpleNamespace(significant=table[table["significant"]])
    assert headings.of_slices(slices, ("cnn", "resnet")) == (
        "resnet against cnn, accuracy: −2.1 points in the slice “brightness: lowest fifth”, +10.4 points elsewhere"
    )
    slices = SimpleNamespace(significant=table[:0])
    assert headings.of_slices(slices, ("cnn", "resnet")).startswith("No slice of the images differs significantly")


def test_the_heading_of_areas_names_the_model_that_separates_better():
    areas = pd.DataFrame({"auc": [0.7639, 0.8488, 0.0849], "p": [np.nan, np.nan, 0.001]}, index=["A", "B", "B − A"])
    assert headings.of_areas(areas, "girl against woman", ("cnn", "resnet")) == (
        "resnet separates girl from woman better than cnn: AUC 0.8488 against 0.7639"
    )
    areas.loc["B − A"] = (-0.0849, 0.001)
    areas.loc[["A", "B"], "auc"] = (0.8488, 0.7639)
    assert headings.of_areas(areas, "otter against the rest", ("cnn", "resnet")) == (
        "cnn separates otter from the rest better than resnet: AUC 0.8488 against 0.7639"
    )
    areas["p"] = 0.2
    assert headings.of_areas(areas, "girl against woman", ("cnn", "resnet")) == (
        "No significant difference in the AUC of girl against woman between cnn and resnet"
    )


def test_the_heading_of_confusions_says_where_it_is_of_superclasses():
    cell = {"true": 0, "predicted": 1, "true_name": "fish", "predicted_name": "large_carnivores", "errors": True}
    cell |= {"a": 39.25, "b": 21.0, "difference": -18.25, "claim": "fewer in B"}
    claimed, none = pd.DataFrame([cell]), pd.DataFrame([cell | {"claim": ""}])
    changed = "fish as large carnivores less often: 39.2 → 21 images"
    for cells, superclass_cells, heading in (
        (claimed, none, f"new misclassifies {changed}"),
        (claimed, claimed, f"new misclassifies {changed}"),
        (none, claimed, f"new misclassifies the superclass {changed}"),
        (none, none, "No significant difference in any single confusion between old and new"),
    ):
        result = SimpleNamespace(cells=cells, superclass_cells=superclass_cells, names=("old", "new"))
        assert headings.of_confusions(result) == heading
