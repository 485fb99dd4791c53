"""Tables of one row for each image and class, brought into one row for each image."""

import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.readers.pairs import NAME, SCORE
from cifarcore.runs.readers.roles import SCORES, role_of
from cifarcore.text import quoted


def one_row_each(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]] | None:
    """The table with its classes and scores in one cell for each image, and its columns that differ within an image;
    None where its rows are images already.
    """
    scores = [name for name in table if name.lower() in (*SCORE, *SCORES) and table[name].dtype.kind == "f"]
    images = [
        name for name in table if role_of(name) in ("files", "sample_ids", "place") and table[name].duplicated().any()
    ]
    if len(scores) != 1 or not images:
        return None
    score = scores[0]
    image = min(images, key=lambda name: ("files", "sample_ids", "place").index(role_of(name)))
    if (empty := table[image].isna()).any():  # which groups leave out
        raise CifarcoreError(f"column {quoted(image)} is empty in row {int(empty.to_numpy().argmax())}")
    within = table.groupby(image, sort=False)
    differ = [name for name in table if name not in (image, score) and (within[name].nunique(dropna=False) > 1).any()]
    named = [name for name in differ if name.lower() in NAME and not table.duplicated([image, name]).any()]
    if not named:
        return None
    if len(named) > 1:
        raise CifarcoreError(
            f"columns {quoted(named[0])} and {quoted(named[1])} may both name the class of a score; keep one"
        )
    pairs = [dict(zip(rows[named[0]].astype(str), rows[score], strict=True)) for _, rows in within]
    wide = within.first().reset_index()[[name for name in table if name not in (score, *differ)]]
    return wide.assign(**{score: pairs}), tuple(name for name in differ if name != named[0])
