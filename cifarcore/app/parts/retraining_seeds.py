"""The same retraining with other seeds: what they gain on average, and a button that has more of them learn."""

from pathlib import Path

import streamlit as st

from cifarcore.app.catalog import find_runs, loaded_run
from cifarcore.app.parts.numbers import headed
from cifarcore.app.parts.retraining_settings import attempt
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison
from cifarcore.files import version
from cifarcore.reports import headings
from cifarcore.reports.tables import retrained_seeds as tables
from cifarcore.retraining import folders, repeats
from cifarcore.runs.memo import memo
from cifarcore.runs.run import Run, seed_of
from cifarcore.text import counted


def other_seeds(view: View, run: Run, focus: tuple[int, ...], folder: Path, busy: bool) -> None:
    """Draw the gains of the seeds of the retraining `run` of the run A; no more can be begun while this machine is
    `busy`.
    """
    st.subheader("Other seeds", anchor=False)
    try:
        given = [view.a.first, *_seeds_of(run, folder)]
        before, *after = comparison.on_shared_images(given)
    except (CifarcoreError, OSError) as error:  # a file that was replaced or deleted meanwhile
        st.warning(told(error, 300), icon=":material/casino:")
        return
    if len(after) > 1:
        table = memo(tables.seeds_table, before, tuple(after), focus)
        verdict = headings.of_retraining(table, (view.a.first.name, f"the mean of {len(after)} seeds"))
        st.markdown(f"**{escape(verdict[:1].upper() + verdict[1:], 400)}**")
        shown = tables.seeds_text(table, after)
        st.dataframe(shown, hide_index=True, height="content", column_config=headed(shown, view.names))
        for doubt in comparison.doubts(given, [before, *after], 1):
            st.caption(escape(doubt, 400))
        st.caption(
            "Each seed against the one parent. 95% CI and p: t-test, seeds and images as random effects, so the gain "
            "must exceed what both vary by."
        )
    else:
        st.caption("One seed cannot distinguish a real gain from chance; the same retraining with other seeds can.")
    if not (folders.retrained_dir(folder) / run.name).is_dir():
        st.caption("Its settings are not in this folder any more, so it cannot be repeated here.")
        return
    more = repeats.next_seeds([seed_of(each.meta) for each in after])
    seconds = run.meta.get("train_seconds")
    takes = (
        f"{counted(len(more), 'retraining')} of {seconds:.0f} s each, with their scoring"
        if isinstance(seconds, (int, float))
        else ""
    )
    if st.button(
        f"Repeat with seeds {' and '.join(map(str, more))}",
        icon=":material/casino:",
        key="retrained-repeat",
        disabled=busy,
        help=takes or None,
    ) and attempt(lambda: repeats.start(folder, run.name, more)):
        st.rerun(scope="app")


def _seeds_of(run: Run, folder: Path) -> list[Run]:
    """`run` and the other retrainings that differ in nothing but the seed, one of each, by their seeds."""
    headers = [header for group in find_runs(folder).groups.values() for header in group]
    by_seed = {seed_of(run.meta): run}
    for header in headers:
        if header.path.parent.name == folders.FOLDER and repeats.same_but_seed(run.meta, header.meta):
            by_seed.setdefault(header.seed, loaded_run(version(header.path)))
    return [by_seed[seed] for seed in sorted(by_seed)]
