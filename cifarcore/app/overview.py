"""Overview: which model is better."""

import numpy as np
import streamlit as st

from cifarcore.app.gallery import gallery
from cifarcore.app.state import View


def page(view: View) -> None:
    st.title("Overview")
    gallery(view, np.flatnonzero(view.a.wrong_in > 0), "wrong", "Wrong by A")
