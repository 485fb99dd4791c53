"""A chart reaches the page as Streamlit's own call sends it, without the check against Vega-Lite's schema."""

import json

from altair.utils import schemapi
from streamlit.testing.v1 import AppTest


def page():
    import altair as alt
    import pandas as pd
    import streamlit as st

    from cifarcore.app.parts.plot import plot

    frame = pd.DataFrame({"x": [0.5, 1.5], "y": ["a", "b"]})
    chart = alt.Chart(frame).mark_bar().encode(x="x", y="y").add_params(alt.selection_point(name="bar"))
    st.altair_chart(chart, key="theirs", width="stretch", on_select="rerun")
    plot(chart, key="ours", width="stretch", on_select="rerun")
    plot(chart, st.container(), key="elsewhere", width="stretch", on_select="rerun")


def test_what_is_drawn_is_what_streamlit_draws(monkeypatch):
    checked = []
    check = schemapi.validate_jsonschema
    monkeypatch.setattr(
        schemapi, "validate_jsonschema", lambda *spec, **options: checked.append(spec) or check(*spec, **options)
    )
    app = AppTest.from_function(page).run()
    assert not app.exception
    theirs, *ours = (element.proto for element in app.get("vega_lite_chart"))
    assert len(ours) == 2 and len(checked) == 1
    for each in ours:
        assert json.loads(each.spec) == json.loads(theirs.spec)
        assert [dataset.data.data for dataset in each.datasets] == [dataset.data.data for dataset in theirs.datasets]
