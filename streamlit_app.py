"""The app's entry: `streamlit run streamlit_app.py`. It lists the pages and hands each what the sidebar chose."""

from functools import partial
from importlib import import_module
from pathlib import Path

import streamlit as st

from cifarcore.app import card, retrain, sidebar, upload
from cifarcore.app.layout import page_frame

ROOT = Path(__file__).resolve().parent
#: module of cifarcore.app, title, icon
PAGES = (
    ("overview", "Overview", "balance"),
    ("classes", "Classes", "category"),
    ("confusion", "Confusion", "grid_on"),
    ("roc", "ROC", "show_chart"),
    ("explorer", "Explorer", "scatter_plot"),
    ("disagreements", "Disagreements", "compare_arrows"),
    ("retrained", "Retrained", "model_training"),
    ("findings", "Findings", "fact_check"),
)

st.set_page_config(page_title="cifarcore", page_icon=":material/balance:", layout="wide")
view = sidebar.choose(ROOT)
upload.panel(ROOT, view)
retrain.sidebar(ROOT)
page = st.navigation(
    [
        st.Page(
            partial(page_frame, import_module(f"cifarcore.app.{name}").page, view),
            title=title,
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "overview",
        )
        for name, title, icon in PAGES
    ]
)
page.run()
if not isinstance(view, sidebar.Problem):
    card.reopen(view)
