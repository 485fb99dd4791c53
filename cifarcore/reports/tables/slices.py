"""The slices page's tables and sentences: where B - A differs most from the rest of the test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cifarcore.data.property_files import kept_at, properties_of, sources
from cifarcore.evidence import slices
from cifarcore.evidence.slices import Slices, columns_of
from cifarcore.reports.sides import Sides
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.runs.selections import Selection
from cifarcore.runs.test_sets import pack_path
from cifarcore.text import interval, number, p_value, plain

MOST_SHOWN = 15


def picture_sources(sides: Sides) -> tuple[Path, ...]:
    """Where pictures of these test images may be: CIFAR-100's file in the data folder, and packs beside the runs."""
    packs = dict.fromkeys(pack_path(run.path) for run in (*sides.a.runs, *sides.b.runs) if run.path)
    return tuple(sources(None, list(packs)))


def slices_of(sides: Sides, with_models: bool = False) -> Slices:
    """What slices.find finds by the properties that are known here, computed once."""
    kept = [(source, kept_at(source)) for source in picture_sources(sides)]
    measured = tuple((source, path.stat().st_mtime_ns) for source, path in kept if path.is_file())
    return memo(_found, sides.a.runs, sides.b.runs, measured, with_models)


def _found(
    runs_a: Sequence[Run], runs_b: Sequence[Run], measured: Sequence[tuple[Path, int]], with_models: bool
) -> Slices:
    pixels = properties_of(runs_a[0].sample_ids, [source for source, _ in measured])
    properties = [*slices.of_pixels(pixels), *slices.of_images(runs_a[0]), *slices.of_runs(runs_a, runs_b)]
    own = columns_of(runs_b[0]) | columns_of(runs_a[0])
    taken = {each.name for each in properties}
    properties += slices.of_columns({f"{name} (metadata)" if name in taken else name: own[name] for name in own})
    return slices.find(runs_a, runs_b, properties, with_models)


def forest_frame(slices: Slices) -> pd.DataFrame:
    """The significant slices and the nearest to it, at most MOST_SHOWN, as charts.slices.forest takes them."""
    columns = ["slice", "support", "difference", "low", "high", "rest", "q", "significant", "share"]
    return slices.table[columns].head(MOST_SHOWN)


def slice_table(slices: Slices) -> pd.DataFrame:
    """Every slice that was tested, as text."""
    table = slices.table
    return pd.DataFrame(
        {
            "Slice": table["slice"],
            "Images": [f"{n:,}" for n in table["support"]],
            "A": [f"{value:.1%}" for value in table["accuracy_a"]],
            "B": [f"{value:.1%}" for value in table["accuracy_b"]],
            "B − A": [number(value, "+.1%") for value in table["difference"]],
            "95% CI": [interval(low, high, "+.1%") for low, high in zip(table["low"], table["high"], strict=True)],
            "B − A elsewhere": [number(value, "+.1%") for value in table["rest"]],
            "Share of the difference": [number(value, "+.1%") for value in table["share"]],
            "q": [p_value(value) for value in table["q"]],
            "Significant": ["yes" if value else "" for value in table["significant"]],
        }
    )


def kept_table(sides: Sides, kept: Sequence[Selection]) -> pd.DataFrame:
    """What the user's own selections hold: images here, both accuracies (mean over seeds) and B - A; no test, since
    they were chosen by what the models make of them.
    """
    a, b = (np.mean([run.correct for run in side.runs], axis=0) for side in (sides.a, sides.b))
    rows = []
    for each in kept:
        inside = each.among(sides.sample_ids, sides.labels)
        shares = [float(side[inside].mean()) if inside.any() else np.nan for side in (a, b)]
        rows.append(
            (plain(each.name), f"{inside.sum():,}", *(number(share, ".1%") for share in shares))
            + (number(shares[1] - shares[0], "+.1%"),)
        )
    return pd.DataFrame(rows, columns=["Slice", "Images", "A", "B", "B − A"])


def sentences(slices: Slices) -> list[tuple[str, str]]:
    """(slice, sentence) for the clearest significant slice where B - A is greater than elsewhere, and where smaller."""
    lines = []
    for more, word in ((True, "greater"), (False, "smaller")):
        rows = slices.significant
        rows = rows[(rows["gap"] > 0) == more]
        if len(rows):
            row = rows.iloc[0]
            lines.append(
                (
                    row["slice"],
                    f"B − A is {word} there: {number(100 * row['difference'], '+.1f')} points on {row['support']:,} "
                    f"images (95% CI {interval(100 * row['low'], 100 * row['high'], '+.1f')}), "
                    f"{number(100 * row['rest'], '+.1f')} on the others; q {_equal(p_value(row['q']))}.",
                )
            )
    return lines


def _equal(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"
