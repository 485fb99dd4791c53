"""A chart reaches the page as Streamlit's own call sends it, without the check against Vega-Lite's schema, and equal
data draw it once.
"""

import json

import altair as alt
from altair.utils import schemapi
from streamlit.testing.v1 import AppTest

DRAWN = []


def bars(frame, title):
    DRAWN.append(title)
    chart = alt.Chart(frame).mark_bar().encode(x=alt.X("x", title=title), y="y")
    return chart.add_params(alt.selection_point(name="bar"))


def page(bars):
    import pandas as pd
    import streamlit as st

    from cifarcore.app.parts.plot import plot

    frame = pd.DataFrame({"x": [0.5, 1.5], "y": ["a", "b"]})
    st.altair_chart(bars(frame, "x"), key="theirs", width="stretch", on_select="rerun")
    plot(bars, frame, "x", key="ours", width="stretch", on_select="rerun")
    plot(bars, frame.copy(), "x", place=st.container(), key="elsewhere", width="stretch", on_select="rerun")
    plot(bars, frame.assign(x=frame["x"] + 1), "x", key="of other data")
    plot(bars, frame, "z", key="otherwise")


def test_what_is_drawn_is_what_streamlit_draws(monkeypatch):
    checked = []
    check = schemapi.validate_jsonschema
    monkeypatch.setattr(
        schemapi, "validate_jsonschema", lambda *spec, **options: checked.append(spec) or check(*spec, **options)
    )
    app = AppTest.from_function(page, kwargs={"bars": bars}).run()
    assert not app.exception
    theirs, *ours, shifted, titled = (element.proto for element in app.get("vega_lite_chart"))
    assert len(ours) == 2 and len(checked) == 1
    for each in ours:
        assert json.loads(each.spec) == json.loads(theirs.spec)
        assert data_of(each) == data_of(theirs)
    assert data_of(shifted) != data_of(theirs) and data_of(titled) == data_of(theirs)
    assert '"title": "z"' in titled.spec and '"title": "z"' not in theirs.spec


def test_what_equal_data_drew_is_not_drawn_again():
    AppTest.from_function(page, kwargs={"bars": bars}).run()
    before = len(DRAWN)
    app = AppTest.from_function(page, kwargs={"bars": bars}).run()
    assert DRAWN[before:] == ["x"]  # Streamlit's own
    theirs, ours, *_ = (element.proto for element in app.get("vega_lite_chart"))
    assert json.loads(ours.spec) == json.loads(theirs.spec) and data_of(ours) == data_of(theirs)


def data_of(proto):
    return [dataset.data.data for dataset in proto.datasets]
