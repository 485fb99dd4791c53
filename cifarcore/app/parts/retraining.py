"""The short retraining in the sidebar: settings, start, progress, stop, and what to do when a job died.

One fragment, which refreshes only itself and only while something runs. The work is done in processes of their own.
"""

import time
from pathlib import Path

import streamlit as st

from cifarcore.app.catalog import digest_of, find_runs
from cifarcore.app.parts.retraining_settings import attempt, duration, running_job, settings_form
from cifarcore.app.parts.sidebar import choose_next
from cifarcore.app.safe_text import escape
from cifarcore.errors import CifarcoreError
from cifarcore.files import runs_dir
from cifarcore.reports.charts import retrained as charts
from cifarcore.reports.sides import seed_label
from cifarcore.reports.tables import progress as tables
from cifarcore.retraining import folders, jobs, setup, speeds
from cifarcore.retraining.jobs import Job
from cifarcore.runs.importing import FOLDER as IMPORTED

REFRESH_SECONDS = 1.0


_PHASES = {
    "starting": "Starting",
    "caching": "Computing the parent's features, once",
    "learning": "Learning",
    "evaluating": "Scoring the test and validation images",
    "writing": "Writing the run file",
}


# keys of session state: the job that this browser follows, and what is told of it once
_FOLLOWED, _MESSAGE = "retrain-followed", "retrain-said"


def sidebar(root: Path) -> None:
    """Draw the short retraining into the sidebar; `root` is the folder of streamlit_app.py."""
    folder = runs_dir(root)
    busy = running_job(folders.jobs(folder)) is not None or speeds.measuring(folder)[0]
    with st.sidebar:
        st.fragment(_panel, run_every=REFRESH_SECONDS if busy else None)(folder, busy)


def choice_of(folder: Path, name: str) -> dict[str, str]:
    """The sidebar's choices that set the retraining `name` as model B against its parent as A; {} where it is not
    there.
    """
    catalog = find_runs(folder)
    found = catalog.of(folders.retrained_path(folders.retrained_dir(folder) / name))
    if found is None:
        return {}
    own, header = found
    choice = {"B": own, "seedB": seed_label(header)}
    parent = header.meta.get("parent")
    parent = parent if isinstance(parent, dict) else {}
    called = [
        (group, other)
        for group, headers in catalog.groups.items()
        for other in headers
        if other.name == parent.get("name") and other.path != header.path
    ]
    # the very file, else one of its name that is no import: `project` adds maps to a parent
    called = [each for each in called if digest_of(each[1]) == parent.get("digest")] or [
        each for each in called if each[1].path.parent.name != IMPORTED
    ]
    return choice | ({"A": called[0][0], "seedA": seed_label(called[0][1])} if called else {})


def _panel(folder: Path, refreshing: bool) -> None:
    if message := st.session_state.pop(_MESSAGE, None):
        st.toast(message, icon=":material/model_training:", duration="long")
    jobs_here = folders.jobs(folder)
    running = running_job(jobs_here)
    followed = st.session_state.pop(_FOLLOWED, None)
    if running:
        st.session_state[_FOLLOWED] = running.name
    elif followed:
        _select_result(folder, next((job for job in jobs_here if job.name == followed), None))
    if refreshing != (running is not None or speeds.measuring(folder)[0]):
        st.rerun(scope="app")  # only the whole app can begin or end the refreshing
    if running:
        _progress(running)
        return
    for job in jobs_here:
        if job.can_go_on:
            _died(folder, job)
    box = st.expander("Short retraining", icon=":material/model_training:", key="retrain-open", on_change="rerun")
    if box.open:
        with box:
            settings_form(folder)
        if speeds.measuring(folder)[0] and not refreshing:  # begun while this was drawn, here or by another browser
            st.rerun(scope="app")


def _select_result(folder: Path, job: Job | None) -> None:
    if job and job.state in ("finished", "stopped"):
        choose_next(choice_of(folder, job.name))
        st.session_state[_MESSAGE] = f"**{escape(job.name)}** {escape(job.state)}: {escape(job.message, 300)}."
        st.rerun(scope="app")


def _progress(job: Job) -> None:
    progress = job.progress
    left = f", {duration(seconds)} left" if (seconds := progress.seconds_left(time.time())) is not None else ""
    with st.container(border=True):
        st.markdown(f"**:material/model_training: {escape(job.name)}**")
        st.progress(progress.share, f"{_PHASES[progress.last['phase']]}{left}")
        loss, accuracy = tables.loss_frame(progress), tables.accuracy_frame(progress)
        if len(loss):
            most = tables.seconds_in_all(progress)
            st.altair_chart(charts.loss_curve(loss, most), width="stretch", key="retrain-loss")
            if len(accuracy):
                st.altair_chart(charts.accuracy_curves(accuracy, most), width="stretch", key="retrain-accuracy")
                images = progress.series("val_accuracy")[-1].get("val_images", 0)
                st.caption(f"Of {images:,.0f} validation images, which are never trained on.")
        if now := progress.learning:
            st.caption(
                f"Step {now.get('step', 0):,.0f} · {now.get('passes', 0):.2f} epochs · "
                f"{now.get('images_per_second', 0):,.0f} images/s"
            )
        if progress.corrupt:
            st.caption(f"{progress.corrupt} unreadable lines of its progress file were skipped.")
        stopping = job.stopping
        st.button(
            "Stopping…" if stopping else "Stop and keep",
            on_click=_stop,
            args=(job,),
            icon=":material/stop_circle:",
            disabled=stopping or job.state == "starting",
            width="stretch",
            key="retrain-stop",
        )


def _stop(job: Job) -> None:
    try:
        jobs.stop(job.folder)
    except CifarcoreError as error:
        st.session_state[_MESSAGE] = escape(error, 400)


def _died(folder: Path, job: Job) -> None:
    with st.container(border=True):
        word = "was killed" if job.state == "killed" else "failed"
        st.error(f"**{escape(job.name)}** {word}: {escape(job.message, 400)}.", icon=":material/dangerous:")
        if tail := job.log_tail:
            st.code(tail, language=None, wrap_lines=True)
        saved = (job.folder / folders.STATE).exists()
        with st.container(horizontal=True):
            again = st.button(
                "Continue from the last checkpoint" if saved else "Start again",
                key=f"retrain-again-{job.name}",
                icon=":material/play_arrow:",
            )
            discard = st.button("Discard", key=f"retrain-discard-{job.name}", icon=":material/delete:")
    if again and attempt(lambda: setup.go_on(job.folder)):
        st.rerun(scope="app")
    if discard and attempt(lambda: folders.delete(folder, job.name)):
        st.rerun(scope="app")
