"""Tables as they are shown: numbers with a true minus, columns headed by the models' names. Sorting goes by the numbers
themselves, and exports keep the columns' own names.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from cifarcore.text import keyed, number

if TYPE_CHECKING:  # with a library of templates, which the first page does without
    from pandas.io.formats.style import Styler

_KEY = re.compile(r"\b[AB]\b(?! −)(?<!− B)(?<!− A)")  # a model's own, not that of B − A


def shown(frame: pd.DataFrame, forms: dict[str, str]) -> "Styler":
    """`frame` with the columns of `forms` in these forms (`text.number`); a column that is not there is ignored."""
    return frame.style.format({name: partial(number, form=form) for name, form in forms.items() if name in frame})


def headed(
    columns: Iterable[str], names: tuple[str, str], limit: int = 18, more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The `column_config` of a table: each column of A or of B is headed by the model's key and name, cut to `limit`
    letters. `more` are configurations of columns, whose labels are treated alike.
    """
    config = dict(more or {})
    for column in columns:
        given = config.get(column) or st.column_config.Column()
        label = given.get("label") or column
        if _KEY.search(label):
            title = _KEY.sub(lambda key: keyed(key[0], names["AB".index(key[0])], limit), label)
            config[column] = given | {"label": title}
    return config
