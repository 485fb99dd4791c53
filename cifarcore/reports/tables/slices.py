"""The slices page's tables and sentences: where B - A differs most from the rest of the test images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.data.property_files import measured_folders, properties_of, sources, when_measured
from cifarcore.evidence import known, slices
from cifarcore.evidence.slice_bins import Bins, Property, cut
from cifarcore.evidence.slices import Slices, columns_of
from cifarcore.reports.sides import Sides
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.runs.selections import Selection
from cifarcore.runs.test_sets import pack_path
from cifarcore.text import counted, distinct, interval, number, p_value, plain

MOST_SHOWN = 15
#: properties that a slice is said to differ in from the rest, and by how many standard errors at least
MOST_APART, LEAST_Z = 4, 4.0
METHOD = (
    "Every slice of one or two conditions with enough images is tested against the rest on all images (Welch's t), FDR "
    "controlled at 5% over all of these tests; each property counts as much as another (weighted Benjamini-Hochberg). "
    "Slices are found on one half of the images, and their effect and interval estimated on the other half. "
    "Images are random, seeds are fixed. Share: the part of the whole difference that would disappear if the slice "
    "were like the rest."
)
METHOD_OF_USER = (
    "Your slices are a family of their own: each against the rest by Welch's t on all images, FDR controlled at 5% "
    "over them. This holds for slices chosen without knowing which images the models classify correctly; those picked "
    "for their errors differ by selection."
)
DEFINED = "A slice is the test images that meet one or two conditions on their properties."
#: what the marks of the chart mean, in Markdown
LEGEND = (
    ":orange[●] B − A is greater than on the other images, :blue[●] smaller; pale: not significant. Line: 95% CI; "
    "dashed: B − A of all images."
)
BY_Q = "Ordered by q, the smallest first."
HELD_OUT = "B − A, held out"  #: the effect in the half of the images that did not propose the slice
NOTHING_KNOWN = "These images have no known properties to search."
NOT_MEASURED = (
    "Properties of the pixels (brightness, contrast, sharpness, colour and more) have not been computed, so they are "
    "not searched; `cifarcore properties` computes them once."
)


def picture_sources(sides: Sides) -> tuple[Path, ...]:
    """Where pictures of these test images may be: CIFAR-100's file in the data folder, and packs beside the runs."""
    packs = list(dict.fromkeys(pack_path(run.path) for run in (*sides.a.runs, *sides.b.runs) if run.path))
    official = (known.official_rows(sides.a.first) >= 0).any()
    return tuple(path for path in sources(None, packs) if official or path in packs)


def slices_of(sides: Sides, with_models: bool = False) -> Slices:
    """What slices.find finds by the properties that are known here, computed once."""
    return memo(_found, sides.a.runs, sides.b.runs, _measured(sides), with_models)


def bins_of_images(sides: Sides) -> tuple[Bins, ...]:
    """What `slices_of` searches that does not depend on the models, without a search."""
    every: tuple[Bins, ...] = memo(_bins, sides.a.runs, sides.b.runs, _measured(sides))
    return every


def _measured(sides: Sides) -> tuple[tuple[Path, int], ...]:
    """The sources whose pictures are measured, and when they were."""
    kept = [(source, when_measured(source)) for source in picture_sources(sides)]
    return (*((source, time) for source, time in kept if time is not None), *measured_folders())


def _bins(runs_a: Sequence[Run], runs_b: Sequence[Run], measured: Sequence[tuple[Path, int]]) -> tuple[Bins, ...]:
    properties = _properties(runs_a, runs_b, measured)
    return tuple(each for each in cut(properties) if not each.property.of_models)


def _found(
    runs_a: Sequence[Run], runs_b: Sequence[Run], measured: Sequence[tuple[Path, int]], with_models: bool
) -> Slices:
    return slices.find(runs_a, runs_b, _properties(runs_a, runs_b, measured), with_models)


def _properties(runs_a: Sequence[Run], runs_b: Sequence[Run], measured: Sequence[tuple[Path, int]]) -> list[Property]:
    pixels = properties_of(runs_a[0].sample_ids, [source for source, _ in measured])
    properties = [*slices.of_pixels(pixels), *slices.of_images(runs_a[0]), *slices.of_runs(runs_a, runs_b)]
    known = _of_both(columns_of(runs_a[0]), columns_of(runs_b[0]))
    taken = {each.name for each in properties}
    named: dict[str, Any] = {}
    for name in known:
        shown = name
        while plain(shown) in taken or shown in named or (shown != name and shown in known):
            shown += " (metadata)"
        named[shown] = known[name]
    return properties + slices.of_columns(named)


def _of_both(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the files of both models say of the images; columns of one name that contradict one another are two."""
    columns = dict(a)
    for name, values in b.items():
        if name not in a:
            columns[name] = values
        elif a[name].dtype.kind != values.dtype.kind or (_known(a[name]) & _known(values) & (a[name] != values)).any():
            columns[f"{name} (by B's file)"] = values
    return columns


def _known(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) if values.dtype.kind == "f" else values != ""


def forest_frame(slices: Slices, most: int | None = MOST_SHOWN) -> pd.DataFrame:
    """The first slices, at most `most`, as charts.slices.forest takes them."""
    columns = ["slice", "support", "difference", "low", "high", "rest", "q", "significant", "share"]
    return slices.table[columns].head(len(slices.table) if most is None else most)


def slice_table(slices: Slices) -> pd.DataFrame:
    """Every slice that is listed, as text; A and B are of all its images."""
    table = slices.table
    return pd.DataFrame(
        {
            "Slice": table["slice"],
            "Images": [f"{n:,}" for n in table["support"]],
            "A": [f"{value:.1%}" for value in table["accuracy_a"]],
            "B": [f"{value:.1%}" for value in table["accuracy_b"]],
            f"{HELD_OUT if 'chosen_by' in table else 'B − A'} (points)": _points(table["difference"]),
            "95% CI": [interval(*ends, "+.1f") for ends in 100 * table[["low", "high"]].to_numpy()],
            "B − A elsewhere (points)": _points(table["rest"]),
            "Share of the difference": [number(value, "+.1%") for value in table["share"]],
            "q": [p_value(value) for value in table["q"]],
            "Significant": ["yes" if value else "" for value in table["significant"]],
        }
    )


def _points(shares: pd.Series) -> list[str]:
    return [number(100 * share, "+.1f") for share in shares]


def of_selections(sides: Sides, kept: Sequence[Selection]) -> Slices:
    """The user's own slices as slices.of_user finds them."""
    masks = [each.among(sides.sample_ids, sides.labels) for each in kept]
    return slices.of_user(sides.a.runs, sides.b.runs, _names_of(kept), np.array(masks).reshape(len(kept), -1))


def mask_of(sides: Sides, name: str) -> np.ndarray | None:
    """Which images are in the slice `name` of the search, bool (N,); None where none is called that."""
    masks = (slices_of(sides, with_models).mask(name) for with_models in (False, True))
    return next((mask for mask in masks if mask is not None), None)


def mask_of_own(sides: Sides, kept: Sequence[Selection], name: str) -> np.ndarray | None:
    """Which images are in the user's slice `name`, bool (N,); None where none is called that."""
    named = dict(zip(_names_of(kept), kept, strict=True))
    return named[name].among(sides.sample_ids, sides.labels) if name in named else None


def _names_of(kept: Sequence[Selection]) -> list[str]:
    """What each is called where it is shown: its file may have been given any name."""
    return distinct(each.name for each in kept)


def apart_text(slices_found: Slices, name: str) -> str:
    """In what else the images of a slice differ most from the rest; "" where in nothing that is known."""
    rows = slices.apart(slices_found, name)
    rows = rows[rows["z"].abs() >= LEAST_Z].head(MOST_APART)
    parts = [f"{row.condition} ({row.inside:.0%}; elsewhere {row.outside:.0%})" for row in rows.itertuples()]
    return f"These images differ most from the rest in: {'; '.join(parts)}." if parts else ""


def count_text(slices: Slices) -> str:
    """How many differ, in a sentence without its full stop."""
    count, listed = len(slices.significant), len(slices.table)
    verb = "slice differs" if count == 1 else "slices differ"
    left_out = f" ({text})" if (text := left_out_text(slices)) else ""
    return f"{count} {verb} significantly from the rest in B − A, of {listed} listed{left_out}"


def left_out_text(slices: Slices) -> str:
    """How many properties are not searched; "" where all are."""
    if not slices.left_out:
        return ""
    return (
        f"{counted(slices.left_out, 'property', 'properties')} not searched, the last: with them it would take minutes"
    )


def drawn_text(slices: Slices) -> str:
    """Which of the slices listed are drawn, to follow `count_text`; "" where all are."""
    return f"; the {MOST_SHOWN} of smallest q are drawn, the table has all" if len(slices.table) > MOST_SHOWN else ""


def lacking(sides: Sides) -> str:
    """Why properties of the pixels are not searched; "" where they are, or no pictures are here."""
    if all(when_measured(source) is not None for source in picture_sources(sides)):
        return ""
    return "" if memo(_all_measured, sides.a.first, _measured(sides)) else NOT_MEASURED


def _all_measured(run: Run, measured: Sequence[tuple[Path, int]]) -> bool:
    """Whether every image of the run is, wherever its picture was found."""
    pixels = properties_of(run.sample_ids, [source for source, _ in measured])
    return "brightness" in pixels and bool(np.isfinite(pixels["brightness"]).all())


def slice_numbers(sides: Sides) -> dict[str, Any]:
    """For the JSON: found, the rows of Slices.table, and note, why something is not searched (None: nothing)."""
    search = slices_of(sides)
    rows = search.table.drop(columns=["first", "second"]).to_dict("records")
    notes = "; ".join(filter(None, (lacking(sides), left_out_text(search))))
    return {"found": rows, "note": notes or (None if rows else NOTHING_KNOWN)}


def sentences(slices: Slices) -> list[tuple[str, str]]:
    """(slice, sentence) for the clearest significant slice where B - A is larger than elsewhere, and where smaller."""
    lines = []
    for more, word in ((True, "larger"), (False, "smaller")):
        rows = slices.significant
        rows = rows[(rows["gap"] > 0) == more]
        if len(rows):
            row = rows.iloc[0]
            what = "The gain" if min(row["difference"], row["rest"]) > 0 else "B − A"
            lines.append(
                (
                    row["slice"],
                    f"{what} is {word} there: {number(100 * row['difference'], '+.1f')} points on {row['support']:,} "
                    f"images (95% CI {interval(100 * row['low'], 100 * row['high'], '+.1f')}), "
                    f"{number(100 * row['rest'], '+.1f')} on the others; q {_equal(p_value(row['q']))}.",
                )
            )
    return lines


def _equal(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"
