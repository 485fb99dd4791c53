"""The title of each page of the app: what it finds of these two models. Verdicts are worded by evidence.verdict."""

from collections.abc import Sequence

import pandas as pd

from cifarcore.evidence import findings, verdict
from cifarcore.evidence.comparison import Comparison
from cifarcore.evidence.disagreement import FOUR_WAYS
from cifarcore.evidence.slices import Slices
from cifarcore.reports.sides import Sides
from cifarcore.text import number, plain, spaced

#: the two measures of a retraining that its verdict is on
OVERALL, FOCUS = "Accuracy", "Mean F1 of the focus classes"


def of_classes(result: Comparison) -> str:
    """In how many classes recall changes."""
    counts = result.class_table["claim"].value_counts()
    improved, declined = int(counts.get("improved", 0)), int(counts.get("declined", 0))
    if not improved + declined:
        return verdict.no_difference("the recall of any class", result.names)
    total = f"of {len(result.class_table):,} classes"
    a, b = result.names
    if improved and declined:
        return f"{b} has higher recall than {a} in {improved} {total}, lower recall in {declined}"
    return f"{b} has {'higher' if improved else 'lower'} recall than {a} in {improved or declined} {total}"


def of_confusions(result: Comparison) -> str:
    """The error that changes most, of classes, else of superclasses."""
    for cells, level in ((result.cells, ""), (result.superclass_cells, "the superclass ")):
        if "errors" in cells:
            cells = cells[cells["errors"] & (cells["true"] != cells["predicted"])]
        claimed = cells[cells["claim"] != ""]
        if len(claimed):
            row = claimed.loc[claimed["difference"].abs().idxmax()]
            true, predicted = (plain(spaced(row[column])) for column in ("true_name", "predicted_name"))
            word = "less" if row["difference"] < 0 else "more"
            counts = " → ".join(number(row[letter], ".1f").removesuffix(".0") for letter in "ab")
            return f"{result.names[1]} misclassifies {level}{true} as {predicted} {word} often: {counts} images"
    return verdict.no_difference("any single confusion", result.names)


def of_areas(areas: pd.DataFrame, what: str, names: tuple[str, str]) -> str:
    """Which model separates better: `areas` as tables.roc.auc_frame, `what` is "otter against seal", for example."""
    gain = areas.loc["B − A"]
    letter = verdict.of(gain["auc"], gain["p"])
    if not letter:
        return verdict.no_difference(f"the AUC of {what}", names)
    winner, loser = (names, "AB") if letter == "A" else (names[::-1], "BA")
    first, second = (f"{areas.loc[key, 'auc']:.4f}" for key in loser)
    pair = what.replace(" against ", " from ", 1)
    return f"{winner[0]} separates {pair} better than {winner[1]}: AUC {first} against {second}"


def of_outcomes(split: pd.DataFrame, sides: Sides) -> str:
    """What replacing A by B breaks and fixes, of their first seeds; `split` as disagreement.split_frame."""
    images = dict(zip(split["group"], split["images"], strict=True))
    _, only_a, only_b, _ = (f"{images[group]:,}" for group in FOUR_WAYS)
    a, b = sides.names
    return f"{b} fixes {only_b} errors of {a} and introduces {only_a} new ones{_first_seeds(sides)}"


def of_map(split: pd.DataFrame, sides: Sides) -> str:
    """How many errors there are to be seen on the maps, which are the first seeds'."""
    images = dict(zip(split["group"], split["images"], strict=True))
    wrong_a, wrong_b = images["only B"] + images["neither"], images["only A"] + images["neither"]
    a, b = (f"{name} {wrong:,}" for wrong, name in zip((wrong_a, wrong_b), sides.names, strict=True))
    return f"Errors: {a}, {b}, shared {images['neither']:,}{_first_seeds(sides)}"


def _first_seeds(sides: Sides) -> str:
    return f" ({sides.first_seeds})" if sides.several_seeds else ""


def of_slices(slices: Slices, names: tuple[str, str]) -> str:
    """The slice in which the difference stands out most."""
    significant = slices.significant
    if significant.empty:
        return f"No slice of the images differs significantly from the rest in how {names[0]} and {names[1]} compare"
    row = significant.iloc[0]
    points = [f"{number(100 * row[column], '+.1f')} points" for column in ("difference", "rest")]
    return f"{names[1]} against {names[0]}, accuracy: {points[0]} in the slice “{row['slice']}”, {points[1]} elsewhere"


def of_claims(measured: pd.DataFrame) -> str:
    """How many of the report's claims are reproduced, by each pair of models that they were checked on."""
    counts = measured["verdict"].value_counts()
    holds, fails = int(counts.get(findings.HOLDS, 0)), int(counts.get(findings.FAILS, 0))
    return f"{holds} of {len(measured)} checked claims of the report are reproduced, {fails} are not"


def of_retraining(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """What a retraining changed in its focus classes and overall; `table` as tables.retrained.change_table, `names` are
    those of the runs before and after.
    """
    rows = table.set_index("measure")
    if FOCUS not in rows.index:
        return verdict.headline(rows.loc[OVERALL, "better"], names, rows.loc[OVERALL, "difference"])
    changed, unsure = [], []
    for measure, what in ((FOCUS, "mean F1 of the focus classes"), (OVERALL, "accuracy")):
        row = rows.loc[measure]
        if row["better"]:
            word = "raises" if row["better"] == "B" else "lowers"
            changed.append(f"{word} {what} by {verdict.points_text(row['difference'])}")
        else:
            unsure.append(what)
    if not changed:
        return verdict.no_difference(" or ".join(unsure), names)
    rest = f"; no significant change in {unsure[0]}" if unsure else ""
    return f"{names[1]} {' and '.join(changed)}{rest}"


def of_image(label: str, predictions: Sequence[tuple[str, str, str]]) -> str:
    """One image: its true class, and of each model name, prediction and confidence ("" where it is not known)."""
    parts = [f"{name}: {f'{prediction} {confidence}'.rstrip()}" for name, prediction, confidence in predictions]
    return f"{label[:1].upper()}{label[1:]} — {', '.join(parts)}"
