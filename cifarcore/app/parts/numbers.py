"""Tables of numbers as they are shown, with a true minus; sorting and Streamlit's CSV go by the numbers themselves."""

from functools import partial

import pandas as pd
from pandas.io.formats.style import Styler

from cifarcore.text import number


def shown(frame: pd.DataFrame, forms: dict[str, str]) -> Styler:
    """`frame` with the columns of `forms` in these forms (`text.number`); a column that is not there is ignored."""
    return frame.style.format({name: partial(number, form=form) for name, form in forms.items() if name in frame})
