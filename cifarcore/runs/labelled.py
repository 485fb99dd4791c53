"""What pandas' objects call their rows and columns, held against the other arguments of `Run.from_predictions`."""

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from cifarcore.errors import CifarcoreError
from cifarcore.runs.class_names import names_of
from cifarcore.runs.predictions import as_sample_ids
from cifarcore.runs.readers.tables import without_prefix

#: a heading that counts the classes, such as LABEL_7 or 7.0
_NUMBERED = re.compile(r"(?P<before>\D*)(?P<number>\d{1,9})(\.0+)?(?P<after>\D*)")


def refuse_labelled(argument: str, values: Any) -> None:
    """Raises CifarcoreError for rows and columns with labels of their own that nothing holds against the others': of
    labelled arrays only pandas' frames and series are.
    """
    if hasattr(values, "coords"):  # as xarray's have
        raise CifarcoreError(
            f"{argument}: a {type(values).__name__} with coordinates of its own; bring it into the order of the other "
            f"arguments and give {argument}.to_numpy()"
        )
    if isinstance(values, list | tuple):
        for kind in {type(each) for each in values if hasattr(each, "coords") or isinstance(each, pd.Series)}:
            raise CifarcoreError(
                f"{argument}: a list of {kind.__name__}, whose order may be another in each; give one table, such as "
                f"pd.DataFrame({argument})[class_names]"
            )


def refuse_other_columns(argument: str, table: Any, names: tuple[str, ...]) -> None:
    """Raises CifarcoreError for a data frame whose columns are not called like the classes, or counted, in order."""
    headings = list(map(str, getattr(table, "column_names", getattr(table, "columns", ()))))
    if len(headings) < 2:
        return
    places, order = names_of(names).places(without_prefix(headings, names)), np.arange(len(headings))
    if np.array_equal(places, order) or headings == list(map(str, order)):  # as pandas counts
        return
    numbers = [_NUMBERED.fullmatch(heading) for heading in headings]
    around = {(number["before"], number["after"]) for number in numbers if number}
    if (places < 0).all() and all(numbers) and len(around) == 1:
        counted = np.array([int(number["number"]) for number in numbers if number])
        if np.array_equal(counted - counted[0], order) and counted[0] in (0, 1):
            return
    raise CifarcoreError(
        f"{argument}: its columns are called {', '.join(map(repr, headings[:3]))[:100]}, … and class_names are "
        f"{', '.join(map(repr, names[:3]))[:100]}, …; give both in one order, or {argument}.to_numpy() if they are"
    )


def refuse_other_count(class_names: Any) -> None:
    """Raises CifarcoreError for names of classes in a series whose index counts them in another order."""
    if isinstance(class_names, pd.Series):
        numbers = pd.to_numeric(class_names.index.to_series(), errors="coerce")
        if numbers.notna().all() and not numbers.is_monotonic_increasing:
            raise CifarcoreError(
                "class_names: its index counts the classes in another order; give class_names.sort_index(), or "
                "class_names.tolist() if they are in the order of the columns"
            )


def refuse_other_index(ids: np.ndarray | None, arguments: Mapping[str, Any]) -> None:
    """Raises CifarcoreError where pandas' indices have the same rows in different orders, or an index the sample ids
    `ids` in another order: either may hold.
    """
    indexed = {name: each.index for name, each in arguments.items() if isinstance(each, pd.DataFrame | pd.Series)}
    counted = {name for name, index in indexed.items() if index.equals(pd.RangeIndex(len(index)))}  # nobody's ids
    if ids is not None:
        own = _as_ids(pd.Index(ids.ravel()))
        for name in indexed.keys() - counted:
            levels = map(indexed[name].get_level_values, range(indexed[name].nlevels))
            if any(_in_another_order(own, _as_ids(level)) for level in levels):
                raise CifarcoreError(
                    f"{name}: its index has the sample_ids in another order; give {name}.loc[sample_ids], or "
                    f"{name}.reset_index(drop=True) if its rows are in the order of sample_ids"
                )
    for first, name in combinations(indexed, 2):
        if _in_another_order(_as_ids(indexed[first]), _as_ids(indexed[name])):
            raise CifarcoreError(
                f"{name}: its index has the rows of {first} in another order; bring both into one order, or give "
                f"{name}.reset_index(drop=True), and {first} so, if they are in one"
            )


def _as_ids(index: pd.Index) -> pd.Index:
    """Sample ids in one form, be they numbers or text of them; any other index as it is."""
    try:
        return index if index.nlevels > 1 else pd.Index(as_sample_ids(index.to_numpy()))
    except CifarcoreError:
        return index


def _in_another_order(one: pd.Index, other: pd.Index) -> bool:
    return len(one) == len(other) and not one.equals(other) and not len(one.symmetric_difference(other, sort=False))
