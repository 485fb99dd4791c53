"""Retrained: what a short retraining changed, measured on the same test images, and which pictures are newly
right and newly wrong.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app.catalog import find_runs, loaded_run
from cifarcore.app.parts import deletion, retraining, retraining_duplicates
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.plot import plot
from cifarcore.app.parts.retraining_seeds import other_seeds
from cifarcore.app.parts.sidebar import choose_next
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence.flips import NEWLY_RIGHT, NEWLY_WRONG
from cifarcore.files import Version, runs_dir, seen, version
from cifarcore.reports import headings
from cifarcore.reports.charts.classes import ARROWS_LEGEND, dumbbells
from cifarcore.reports.tables import retrained as retrain_tables
from cifarcore.reports.tables.galleries import surest_words
from cifarcore.retraining import folders
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run
from cifarcore.text import rough, spaced

_NOT_KEPT = "retrained-not-kept"  #: session state: why the run was not renamed


def page(view: View) -> None:
    run = view.b.first
    folder = runs_dir(view.root)
    record = run.meta.get("retraining")
    if not isinstance(record, dict) or run.path is None or run.path.parent.name != folders.FOLDER:
        _none_chosen(view)
        return
    parent = run.meta.get("parent")
    parent = str(parent.get("name", "")) if isinstance(parent, dict) else ""
    focus = retrain_tables.focus_classes(view.a.first, record.get("focus"))
    table = memo(retrain_tables.change_table, view.a.first, run, focus)
    head(view, headings.of_retraining(table, view.names))
    st.markdown("  \n".join(retrain_tables.change_sentences(table)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"Retrained: {escape(run.name)}", anchor=False)
        if before := retraining.pair_before(folder):
            st.button(
                f"Back to {escape(before['A'])} against {escape(before['B'])}",
                on_click=_choose,
                args=(before,),
                icon=":material/arrow_back:",
                key="retrained-back",
            )
    _described(run, record, parent)
    found = retraining.parent_of(folder, run)
    is_parent = found is not None and found[1].path == view.a.first.path
    if not is_parent:
        choice = retraining.choice_of(folder, run.name)
        gone = "" if found else " No run of that name is in this folder now."
        parent = found[1].name if found else parent
        st.warning(
            f"A is {escape(view.a.first.name)}, not the parent {escape(parent)}.{gone}",
            icon=":material/family_history:",
        )
        if not gone:
            st.button("Compare with the parent", on_click=_choose, args=(choice,), icon=":material/compare_arrows:")
    elif (digest := _parent_digest(run)) and digest != _digest_now(view.a.first):
        st.caption(f"The run file of {escape(parent)} has changed since the retraining.")
    _focus_classes(view, focus)
    if is_parent:
        other_seeds(view, run, focus, folder, retraining.is_busy(folder))
    _table(table, view.names)
    _pictures(view, focus)
    _housekeeping(view, run)


def _parent_digest(run: Run) -> str:
    """Of the run file that was retrained, as Run.digest; "" where it is not told."""
    parent = run.meta.get("parent")
    digest = parent.get("digest") if isinstance(parent, dict) else None
    return digest if isinstance(digest, str) else ""


def _digest_now(run: Run) -> str:
    """Of the run file as it is now; "" where it cannot be read any more."""
    try:
        return "" if run.path is None else loaded_run(version(run.path)).digest
    except (CifarcoreError, OSError):
        return ""


def _none_chosen(view: View) -> None:
    head(view, "No retrained run is compared")
    every = find_runs(runs_dir(view.root)).groups.values()
    retrained = [header.name for (header, *_) in every if header.path.parent.name == folders.FOLDER]
    if not retrained:
        st.info(
            "No run has been retrained here yet; “Short retraining” in the sidebar starts one.",
            icon=":material/model_training:",
        )
        return
    st.info("B is not a retrained run. Choose one to compare it with its parent:", icon=":material/model_training:")
    for short in retrained:
        st.button(
            escape(short),
            key=f"retrained-{short}",
            on_click=_compare,  # its parent is looked for then: among all files, for each of the runs listed
            args=(runs_dir(view.root), short),
        )


def _compare(folder: Path, name: str) -> None:
    _choose(retraining.choice_of(folder, name))


def _choose(choice: dict[str, str]) -> None:
    """Runs as a callback, before the sidebar's widgets are drawn."""
    for key, value in choice.items():
        st.session_state[key] = value


def _described(run: Run, record: dict, parent: str) -> None:
    settings = record.get("settings") if isinstance(record.get("settings"), dict) else {}
    names = [str(name) for name in record.get("focus", [])] if isinstance(record.get("focus"), list) else []
    if names:
        how = (
            "the lowest F1 on the parent's validation split, never chosen on the test images"
            if str(settings.get("focus")).startswith("hardest")
            else "chosen by name"
        )
        st.markdown(f"**Focus:** {escape(', '.join(map(spaced, names)), 600)} ({how}).")
    seconds = run.meta.get("train_seconds")
    parts = [
        f"{seconds:.0f} s of training" if isinstance(seconds, (int, float)) else "",
        f"{record['images']:,} images ({_epochs(record.get('passes'))})"
        if isinstance(record.get("images"), int)
        else "",
        f"trained: {escape(spaced(str(settings.get('train_layers', ''))))}",
        "stopped by request before its budget was used" if record.get("stopped") is True else "",
    ]
    st.caption(f"From {escape(parent)}. {', '.join(filter(None, parts))}.")
    retraining_duplicates.told(settings, record)


def _epochs(passes: object) -> str:
    return f"{rough(passes)} epochs" if isinstance(passes, (int, float)) else "epochs not recorded"


def _focus_classes(view: View, focus: tuple[int, ...]) -> None:
    """Each focus class before and after, in one chart."""
    if not focus:
        return
    st.subheader("The focus classes before and after", anchor=False)
    with st.spinner("Comparing the classes…"):
        frame = retrain_tables.focus_frame(view, focus)
    plot(dumbbells, frame, "F1", width="stretch", key="retrained-focus")
    st.caption(
        ":blue[●] before (A) :orange[◆] after (B); to the right B − A in F1 with its 95% CI. "
        f"{ARROWS_LEGEND} (FDR controlled at 5% over all classes)."
    )


def _table(table: pd.DataFrame, names: tuple[str, str]) -> None:
    with st.expander("Table", icon=":material/table:"):
        shown = retrain_tables.change_text(table)
        st.dataframe(shown, hide_index=True, height="content", column_config=headed(shown, names))
        st.caption(
            "95% CIs: accuracy by Tango's score interval with the exact McNemar test, F1 by a z-test over images. "
            "Always B minus A. The tests account for the choice of test images, not for variation between retraining "
            "seeds."
        )


def _pictures(view: View, focus: tuple[int, ...]) -> None:
    """What is newly right and what is newly wrong, side by side."""
    filter_note(view, "the pictures below are", "the numbers above are")
    if view.several_seeds:
        st.caption(f"For {view.first_seeds}; the overview compares all chosen seeds.")
    changed = retrain_tables.changed_images(view, focus)
    for place, key, kind, what in zip(
        st.columns(2, gap="medium"),
        ("fixed", "broken"),  # as addresses name their pages
        (NEWLY_RIGHT, NEWLY_WRONG),
        ("only correct after", "only correct before"),
        strict=True,
    ):
        rows = changed[kind]
        of_focus = f"; {np.isin(view.labels[rows], focus).sum():,} in focus, these first" if focus else ""
        with place:
            gallery(view, rows, key, f"**{kind.capitalize()}**: {what}{of_focus}{surest_words(view)}", name=kind)


def _rename(folder: Path, name: str, shown: Version | None, key: str) -> None:
    try:
        renamed = folders.rename(folder, name, st.session_state[key], shown)
        choose_next(retraining.choice_of(folder, renamed.name))
    except CifarcoreError as error:
        st.session_state[_NOT_KEPT] = told(error, 300)


def _housekeeping(view: View, run: Run) -> None:
    st.subheader("Keep this run", anchor=False)
    if problem := st.session_state.pop(_NOT_KEPT, ""):
        st.error(problem)
    st.caption(f"It is kept as {escape(view.b.group)} until you delete it; a name of your own makes it easier to find.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        key = f"retrained-name-{run.name}"
        new = st.text_input("Name", run.name, key=key)
        # as a callback of the run that was shown: another tab may have put another in its place since
        st.button(
            "Keep as my run",
            icon=":material/bookmark_added:",
            disabled=new == run.name,
            key="retrained-keep",
            on_click=_rename,
            args=(runs_dir(view.root), run.name, seen(run.path), key),
        )
        if st.button("Delete", icon=":material/delete:"):
            deletion.ask(
                "Delete this retrained run?",
                run.name,
                "its run file, its weights and its log. This cannot be undone; its parent stays.",
                partial(folders.delete, runs_dir(view.root), run.name, seen(run.path)),
            )
