"""Disagreements: the images on which the two models part, or fail together, and the classes that they come from."""

import numpy as np
import streamlit as st

from cifarcore.app.addresses import begin_with_address, name_in_address, tell_unknown
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View
from cifarcore.evidence import absent, disagreement, known
from cifarcore.reports import headings
from cifarcore.reports.charts import disagreements as disagreement_charts
from cifarcore.reports.tables import disagreements as disagreement_tables
from cifarcore.reports.tables.disagreements import SURE
from cifarcore.reports.tables.known import DUPLICATES, LABELS, coincidence_text
from cifarcore.runs.memo import memo

MOST_DRAWN = {"class": 12, "superclass": 12}
ALL = "all classes"
_SURE = round(100 * SURE)


def page(view: View) -> None:
    split = disagreement.split_frame(memo(disagreement.four_way, view.pair))
    head(view, headings.of_outcomes(split, view))
    _disagreements(view)


@st.fragment
def _disagreements(view: View) -> None:
    groups = disagreement_tables.groups(view)
    bar = st.container()  # drawn once it is known how confident is confidently wrong, which an address may say
    group = _group(list(groups))
    scored = view.a.first.has_scores or view.b.first.has_scores
    sure = st.session_state.get("sure", _SURE)
    if group == "confidently wrong":
        for note in absent.notes((view.a.first, view.b.first), ("confidence",)):
            st.info(escape(note, 300), icon=":material/speed:")
        if scored:
            sure = st.slider("Confident at or above (%)", 50, 100, _SURE, key="sure", bind="query-params")
    sure /= 100
    with bar:
        _buttons(disagreement_tables.counted(view, list(groups), sure), disagreement_tables.counted_by(view))
    if group == "confidently wrong" and not scored:
        return
    mask = disagreement_tables.inside(view, group, sure)
    if group == "train-test duplicates" and (want := disagreement_tables.want_of_neighbors(view)):
        extent = "Exact copies only." if mask.any() else "The training images are not known here."
        st.info(f"{extent} {want}", icon=":material/content_copy:")
        if not mask.any():
            return
    every = disagreement_tables.in_every_seed(view, group) if view.several_seeds else None
    if every is not None and st.toggle(
        f"In every seed ({every.sum():,})",
        key="every",
        bind="query-params",
        help="Every seed of each model is correct, or wrong, on the image",
    ):
        mask = every
    by = " (in every seed of both)" if mask is every else ""
    kept = f"; **{(mask & view.in_filter).sum():,}** of them in the classes of the filter" if view.filtered else ""
    st.markdown(
        f"{groups[group].format(a=escape(view.names[0]), b=escape(view.names[1]))}{by}: **{mask.sum():,}** of "
        f"{len(mask):,} test images, {mask.mean():.1%}{kept}"
    )
    if group == "suspect labels":
        st.markdown(escape(coincidence_text(memo(known.coincidence, (*view.a.runs, *view.b.runs))), 1000))
    source = {"suspect labels": LABELS, "disputed labels": LABELS, "train-test duplicates": DUPLICATES}.get(group, "")
    if source and memo(known.judged, view.a.first):
        st.caption(source)
    filter_note(view, "the gallery is", "the charts are")
    table = disagreement_tables.over_represented(view, mask)
    within = _within(view, table)
    rows, notes = disagreement_tables.ranked(view, group, mask & within & view.in_filter)
    order = disagreement_tables.order_words(view, group)
    title = ", ".join(filter(None, (disagreement_tables.called(group).capitalize(), order)))
    outside = int((mask & within).sum()) - len(rows)
    twins = disagreement_tables.twins_of(view, group, rows)
    gallery(view, rows, "disagreements", title, notes, "No image of these classes is in this group.", group, twins)
    if len(rows) and "joint confidence" in order:
        st.caption(
            "Joint confidence: A's confidence times B's, from 0 to 1; near 1, both are confident in their predictions."
        )
    if outside:
        st.caption(f"{outside:,} more are of classes that the filter in the sidebar excludes.")
    if mask.any():
        st.subheader("Classes of these images")
        _against_chance(table)


def _group(names: list[str]) -> str:
    """The group chosen, before its buttons are drawn."""
    tell_unknown(names, "group", what="no group of these models")
    begin_with_address("group", names)
    return str(st.session_state.get("group") or names[0])


def _buttons(shown: dict[str, str], by: str) -> None:
    """The groups with their counts; `by` says by which seeds some are. The address names the one chosen by its name,
    which no count is part of.
    """
    group = st.segmented_control(
        f"Images ({by})" if by else "Images",
        list(shown),
        default=next(iter(shown)),
        required=True,
        key="group",
        format_func=lambda name: shown[name],
    )
    name_in_address(group=group)


def _against_chance(table) -> None:
    kinds = [kind for kind in MOST_DRAWN if (table["kind"] == kind).any()]
    for column, kind in zip(st.columns(2, gap="large"), kinds, strict=False):
        of_kind = table[(table["kind"] == kind) & (table["images"] > 0)]
        key = f"disagreements-{kind}"
        plural = {"class": "classes", "superclass": "superclasses"}[kind]
        with column:
            st.markdown(
                f"**{of_kind['over'].sum()}** of {(table['kind'] == kind).sum():,} {plural} over-represented, "
                "FDR controlled at 5%"
            )
            shown = of_kind.head(MOST_DRAWN[kind]).sort_values("ratio", ascending=False, kind="stable")
            plot(
                disagreement_charts.against_chance,
                shown,
                kind,
                width="stretch",
                key=key,
                on_select=lambda key=key: _clicked(key),
            )
    with st.expander("Table", icon=":material/table:"):
        number = st.column_config.NumberColumn
        st.dataframe(
            table.drop(columns="index").rename(
                columns={"expected": "expected by chance", "ratio": "times chance", "over": "significant"}
            ),
            hide_index=True,
            column_config={
                "expected by chance": number(format="%.1f"),
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
    tell_unknown(options, "of", what="not among these images")
    if st.session_state.get("of") not in options:
        st.session_state.pop("of", None)
    chosen = st.selectbox(
        "Only images of the class or superclass (or click one in a chart)",
        options,
        key="of",
        bind="query-params",
        width=420,
    )
    return disagreement_tables.of_name(view, None if chosen == ALL else chosen)
