"""The app: lists the pages and hands each what the sidebar chose. Called anew by the script for every change."""

import gc
import threading
import time
from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st
from PIL import Image

from cifarcore.app.parts import card, retraining, sidebar, upload
from cifarcore.app.parts.layout import page_frame
from cifarcore.app.parts.sidebar import Problem
from cifarcore.app.safe_text import told
from cifarcore.app.view import View
from cifarcore.data.cifar100 import data_dir
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import findings
from cifarcore.files import runs_dir
from cifarcore.reports.charts.colors import COLORS
from cifarcore.runs.memo import memo

#: module of cifarcore.app.pages, title, icon
PAGES = (
    ("overview", "Overview", "balance"),
    ("classes", "Classes", "category"),
    ("confusion", "Confusion matrix", "grid_on"),
    ("roc", "ROC", "show_chart"),
    ("explorer", "Explorer", "scatter_plot"),
    ("disagreements", "Disagreements", "compare_arrows"),
    ("slices", "Slices", "data_thresholding"),
    ("retrained", "Retrained", "model_training"),
    ("findings", "Replication", "fact_check"),
)


_BEGAN = "session-began"
#: a collection waits for a pause of the script, and no longer than the last of these seconds
_COLLECT_SECONDS, _PAUSE_SECONDS, _MOST_SECONDS = 5.0, 3.0, 60.0
_ran = 0.0  #: when the script last began, in time.monotonic's seconds


def show(root: Path) -> None:
    """Draw the app; `root` is the folder of the script that Streamlit runs, below which pictures are served."""
    st.set_page_config(page_title="cifarcore", page_icon=_icon(), layout="wide")
    _forget_old_sessions()
    try:
        runs_dir(root)
        data_dir()
    except CifarcoreError as error:
        st.error(told(error, 400), icon=":material/error:")
        return
    status = st.sidebar.container()  # in sight above the models, on a low screen too
    models = st.sidebar.container()
    actions = st.sidebar.container(gap="xsmall")  # above the filter, which would push them out of the first screen
    view = sidebar.choose(root, models)
    upload.offer(root, view, actions)
    retraining.sidebar(root, status, actions)
    compared = not isinstance(view, Problem)
    if compared:
        retraining.remember(view)
    replicable = compared and memo(findings.is_about, view.a.first)
    page = st.navigation(
        [
            st.Page(
                partial(_draw, name, view),
                title=title,
                icon=f":material/{icon}:",
                url_path=name,
                default=name == "overview",
                visibility="hidden" if name == "findings" and not replicable else "visible",
            )
            for name, title, icon in PAGES
        ]
    )
    page.run()
    if compared and not retraining.is_open():  # there is one dialog at a time
        card.reopen(view)


def _draw(name: str, view: View | Problem) -> None:
    page_frame(import_module(f"cifarcore.app.pages.{name}").page, view)


def _icon() -> Image.Image:
    """The two models' colours; Streamlit would fetch an icon named here from another host."""
    icon = Image.new("RGB", (32, 32), COLORS["A"])
    icon.paste(COLORS["B"], (16, 0, 32, 32))
    return icon


def _forget_old_sessions() -> None:
    """Collect, a moment after a session began, what earlier ones left: each holds files until it is collected, and no
    collection follows the script (see runner.postScriptGC).
    """
    global _ran
    _ran = time.monotonic()
    if not st.session_state.get(_BEGAN):
        st.session_state[_BEGAN] = True
        timer = threading.Timer(_COLLECT_SECONDS, _collect_in_a_pause)
        timer.daemon = True
        timer.start()


def _collect_in_a_pause() -> None:
    """All scripts wait for a collection: a reader who goes from page to page has none between."""
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < min(until, _ran + _PAUSE_SECONDS):
        time.sleep(0.1)
    gc.collect()
