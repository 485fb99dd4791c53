"""Retrained: what a short retraining changed, measured on the same test images, and which pictures it fixed and broke."""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore import CifarcoreError, retraining
from cifarcore.app import retrain, retrain_tables
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import filter_note
from cifarcore.app.sidebar import choose_next
from cifarcore.app.state import View, escape, find_runs, memo, runs_dir
from cifarcore.app.tables import surest_first
from cifarcore.as_text import interval, number, p_value
from cifarcore.runs import Run

_UNCLEAR = "No clear change"


def page(view: View) -> None:
    run = view.b.first
    folder = runs_dir(view.root)
    told = run.meta.get("retraining")
    if not isinstance(told, dict) or run.path is None or run.path.parent.name != retraining.FOLDER:
        _none_chosen(view)
        return
    parent = run.meta.get("parent")
    parent = str(parent.get("name", "")) if isinstance(parent, dict) else ""
    st.title(f"Retrained: {escape(run.name)}")
    _described(run, told, parent)
    if view.a.first.name != parent:
        choice = retrain.choice_of(folder, run.name)
        gone = "" if "A" in choice else " No run of that name is in this folder now."
        st.warning(
            f"Model A is {escape(view.a.first.name)}, not the parent {escape(parent)}.{gone}",
            icon=":material/family_history:",
        )
        if not gone:
            st.button("Compare with the parent", on_click=_choose, args=(choice,), icon=":material/compare_arrows:")
    focus = _focus(view, told)
    table = memo(retrain_tables.change_table, view.a.first, run, focus)
    _verdict(table)
    st.dataframe(_shown(table), hide_index=True, height="content")
    st.caption(
        "95 % intervals: of accuracy by Bonett and Price with McNemar's exact test, of F1 by the paired bootstrap within classes. Always B minus A."
    )
    _pictures(view, focus)
    _housekeeping(view, run)


def _none_chosen(view: View) -> None:
    st.title("Retrained")
    found = [name for name in find_runs(runs_dir(view.root)).groups if name.startswith(f"{retraining.FOLDER}/")]
    if not found:
        st.info(
            "No run was retrained here yet; «Short retraining» in the sidebar starts one.",
            icon=":material/model_training:",
        )
        return
    st.info("Model B is no retrained run. Choose one to see it against its parent:", icon=":material/model_training:")
    for name in found:
        short = name.removeprefix(f"{retraining.FOLDER}/")
        st.button(
            escape(short),
            key=f"retrained-{short}",
            on_click=_choose,
            args=(retrain.choice_of(runs_dir(view.root), short),),
        )


def _choose(choice: dict[str, str]) -> None:
    """Runs as a callback, before the sidebar's widgets are drawn."""
    for key, value in choice.items():
        st.session_state[key] = value


def _described(run: Run, told: dict, parent: str) -> None:
    settings = told.get("settings") if isinstance(told.get("settings"), dict) else {}
    names = [str(name) for name in told.get("focus", [])] if isinstance(told.get("focus"), list) else []
    if names:
        how = (
            "the lowest F1 on the parent's validation split, never chosen on the test images"
            if str(settings.get("focus")).startswith("hardest")
            else "chosen by name"
        )
        st.markdown(f"**Focus:** {escape(', '.join(names), 600)} ({how}).")
    seconds = run.meta.get("train_seconds")
    parts = [
        f"{seconds:.0f} s of learning" if isinstance(seconds, (int, float)) else "",
        f"{told['images']:,} images ({escape(told.get('passes'))} passes)"
        if isinstance(told.get("images"), int)
        else "",
        f"trained: {escape(settings.get('train_layers', ''))}",
        "stopped by request before its budget was used" if told.get("stopped") is True else "",
    ]
    st.caption(f"From {escape(parent)}. {', '.join(filter(None, parts))}.")


def _focus(view: View, told: dict) -> tuple[int, ...]:
    names = told.get("focus")
    position = {name: index for index, name in enumerate(view.class_names)}
    return (
        tuple(position[name] for name in names if isinstance(name, str) and name in position)
        if isinstance(names, list)
        else ()
    )


def _verdict(table: pd.DataFrame) -> None:
    rows = table.set_index("measure")
    sentences, unsure = [], []
    for measure in ("Mean F1 of the focus classes", "Accuracy"):
        if measure not in rows.index:
            continue
        row = rows.loc[measure]
        words = f"{measure}: {row['before']:.4f} before, {row['after']:.4f} after ({row['difference']:+.4f}, 95 % interval {row['low']:+.4f} to {row['high']:+.4f})."
        sentences.append(words.replace("-", "−"))
        if not row["sure"]:
            unsure.append(measure)
    st.markdown("  \n".join(sentences))
    if unsure:
        st.warning(
            f"**{_UNCLEAR}:** {', '.join(unsure)}. The 95 % interval includes 0. It is over test images alone: how much another minute with another seed would differ is not in it.",
            icon=":material/water:",
        )


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "Measure": table["measure"],
        "Before (A)": [number(value, ".4f") for value in table["before"]],
        "After (B)": [number(value, ".4f") for value in table["after"]],
        "B − A": [number(value, "+.4f") for value in table["difference"]],
        "95 % interval": [interval(*row, "+.4f") for row in table[["low", "high"]].itertuples(index=False)],
        "p": [p_value(value) for value in table["p"]],
        "Images": table["images"],
        "Interval without 0": np.where(table["sure"], "yes", "no"),
    }
    return pd.DataFrame(columns)


def _pictures(view: View, focus: tuple[int, ...]) -> None:
    filter_note(view, "the pictures below are", "the numbers above are")
    before, after = view.a.first, view.b.first
    in_focus = np.isin(view.labels, focus)
    fixed, broken = (
        (one & ~other & view.in_filter)
        for one, other in ((after.correct, before.correct), (before.correct, after.correct))
    )
    for images, key, title in (
        (fixed, "fixed", "Fixed: wrong before, right after"),
        (broken, "broken", "Broken: right before, wrong after"),
    ):
        rows = surest_first(view, np.flatnonzero(images))
        rows = rows[np.argsort(~in_focus[rows], kind="stable")]  # those of the focus first
        st.subheader(title.partition(":")[0])
        gallery(
            view, rows, key, f"{title}; {int(in_focus[rows].sum()):,} of them of the focus classes" if focus else title
        )


def _housekeeping(view: View, run: Run) -> None:
    st.subheader("This run")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        new = st.text_input("Name", run.name, key=f"retrained-name-{run.name}")
        if st.button("Rename", icon=":material/edit:", disabled=new == run.name):
            try:
                renamed = retraining.rename(runs_dir(view.root), run.name, new)
                choose_next(retrain.choice_of(runs_dir(view.root), renamed.name))
            except CifarcoreError as error:
                st.error(escape(error, 300))
            else:
                st.rerun()
        if st.button("Delete", icon=":material/delete:"):
            _delete(view, run)


@st.dialog("Delete this retrained run?")
def _delete(view: View, run: Run) -> None:
    st.markdown(
        f"**{escape(run.name)}**: its run file, its weights and its log. This cannot be undone; its parent stays."
    )
    with st.container(horizontal=True):
        if st.button("Delete it", type="primary", icon=":material/delete:"):
            try:
                retraining.delete(runs_dir(view.root), run.name)
            except CifarcoreError as error:
                st.error(escape(error, 300))
                return
            st.rerun()
        if st.button("Keep it"):
            st.rerun()
