"""The app's entry in a checkout: `streamlit run streamlit_app.py`; installed, `cifarcore app` starts the same."""

from pathlib import Path

import streamlit as st

from cifarcore.app.serving import MIDDLEWARE, draw, routes

ROOT = Path(__file__).resolve().parent
if __name__ == "__main__":  # a session's run of the script
    draw(ROOT)
else:  # the server, once
    app = st.App(__file__, routes=routes(ROOT), middleware=MIDDLEWARE)
