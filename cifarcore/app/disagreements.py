"""Disagreements: the images on which the two models part, or fail together, and the classes that they come from."""

import numpy as np
import streamlit as st

from cifarcore.app import disagreement_charts, disagreement_tables
from cifarcore.app.disagreement_tables import GROUPS, SURE
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import filter_note, one_of
from cifarcore.app.state import View

MOST_DRAWN = {"class": 12, "superclass": 12}
ALL = "all classes"


def page(view: View) -> None:
    st.title("Disagreements")
    _disagreements(view)


@st.fragment
def _disagreements(view: View) -> None:
    names = list(GROUPS)
    group = one_of("Images", names, "group")
    sure = SURE
    if group == "confidently wrong":
        sure = (
            st.slider(
                "Sure means a confidence of at least (%)", 50, 100, round(100 * SURE), key="sure", bind="query-params"
            )
            / 100
        )
    mask = disagreement_tables.inside(view, group, sure)
    if group == "also in training" and (want := disagreement_tables.want_of_neighbors(view)):
        known = "Only exact copies, known by their bytes." if mask.any() else "The training images are not known here."
        st.info(f"{known} {want}", icon=":material/content_copy:")
        if not mask.any():
            return
    every = disagreement_tables.in_every_seed(view, group) if view.several_seeds else None
    if every is not None and st.toggle(
        "In every seed",
        key="every",
        bind="query-params",
        help="Every seed of each model is right, or wrong, on the image",
    ):
        mask = every
    by = (
        ""
        if not view.several_seeds or group == "suspect labels"
        else " (in every seed of both)"
        if mask is every
        else f" ({view.first_seeds})"
    )
    kept = f"; **{(mask & view.in_filter).sum():,}** of them in the classes of the filter" if view.filtered else ""
    st.markdown(f"{GROUPS[group]}{by}: **{mask.sum():,}** of {len(mask):,} test images, {mask.mean():.1%}{kept}")
    filter_note(view, "the gallery below is", "the charts are")
    table = disagreement_tables.over_represented(view, mask)
    if mask.any():
        _against_chance(table)
    within = _within(view, table)
    rows, notes = disagreement_tables.ranked(view, group, mask & within & view.in_filter)
    ranked = {
        "suspect labels": "the surest first",
        "also in training": "exact copies first",
        "confidently wrong": "the surest first",
    }
    title = f"{group[0].upper() + group[1:]}, {ranked.get(group, 'those first on which both models are sure')}"
    outside = int((mask & within).sum()) - len(rows)
    gallery(view, rows, "disagreements", title, notes, "No image of these classes is in this group.", group)
    if len(rows) and group not in ranked:
        st.caption(
            "Clash, or both sure: A's confidence times B's, from 0 to 1; near 1, both are sure of their answers."
        )
    if outside:
        st.caption(f"{outside:,} more are of classes that the filter in the sidebar leaves out.")


def _against_chance(table) -> None:
    kinds = [kind for kind in MOST_DRAWN if (table["kind"] == kind).any()]
    for column, kind in zip(st.columns(2, gap="large"), kinds, strict=False):
        of_kind = table[(table["kind"] == kind) & (table["images"] > 0)]
        key = f"disagreements-{kind}"
        plural = {"class": "classes", "superclass": "superclasses"}[kind]
        with column:
            st.markdown(
                f"**{of_kind['over'].sum()}** of {(table['kind'] == kind).sum():,} {plural} over-represented, "
                "false discoveries held at 5 %"
            )
            shown = of_kind.head(MOST_DRAWN[kind]).sort_values("ratio", ascending=False, kind="stable")
            st.altair_chart(
                disagreement_charts.against_chance(shown, kind),
                width="stretch",
                key=key,
                on_select=lambda key=key: _clicked(key),
            )
    with st.expander("Table", icon=":material/table:"):
        number = st.column_config.NumberColumn
        st.dataframe(
            table.drop(columns="index").rename(
                columns={"expected": "by chance", "ratio": "times chance", "over": "claimed"}
            ),
            hide_index=True,
            column_config={
                "by chance": number(format="%.1f"),
                "times chance": number(format="%.2f"),
                "p": number(format="%.2g"),
                "q": number(format="%.2g"),
            },
        )


def _clicked(key: str) -> None:
    """A click on the chart chooses in the list, so that the address and the keyboard know one choice."""
    names = st.session_state[key]["selection"].get("name_clicked", [])
    if names:
        st.session_state["of"] = names[0]["name"]


def _within(view: View, table) -> np.ndarray:
    """Which images are of the class or superclass chosen, bool (N,)."""
    options = [ALL, *dict.fromkeys(table.loc[table["images"] > 0, "name"])]
    if st.session_state.get("of") not in options:
        st.session_state.pop("of", None)
    chosen = st.selectbox(
        "Only of the class or superclass (or click one in a chart)", options, key="of", bind="query-params", width=420
    )
    if chosen == ALL:
        return np.ones(len(view.labels), dtype=bool)
    of_class = np.array([chosen in (name, view.superclass(c)) for c, name in enumerate(view.class_names)])
    return of_class[view.labels]
