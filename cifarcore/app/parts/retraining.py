"""The short retraining: a dialog with its settings, a status line in the sidebar, and what to do when a job died.

The status refreshes only itself and only while something runs. The work is done in processes of their own.
"""

import time
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifarcore.app.catalog import digest_of, find_runs
from cifarcore.app.parts.plot import plot
from cifarcore.app.parts.retraining_settings import attempt, duration, running_job, settings_form
from cifarcore.app.parts.sidebar import choose_next
from cifarcore.app.safe_text import escape, told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.files import runs_dir
from cifarcore.reports import charts
from cifarcore.reports.sides import seed_label
from cifarcore.reports.tables import progress as tables
from cifarcore.retraining import folders, jobs, repeats, setup, speeds
from cifarcore.retraining.jobs import Job
from cifarcore.retraining.repeats import Repeats
from cifarcore.runs.importing import FOLDER as IMPORTED
from cifarcore.runs.run import Run, RunHeader
from cifarcore.text import without_folders

REFRESH_SECONDS = 1.0


_PHASES = {
    "starting": "Starting",
    "caching": "Computing the parent's features, once",
    "learning": "Learning",
    "evaluating": "Scoring the test and validation images",
    "writing": "Writing the run file",
}


# keys of session state: the job that this browser follows, what is told of it once, whether the dialog is open
_FOLLOWED, _MESSAGE, _OPENED = "retrain-followed", "retrain-said", "retrain-opened"
_REPEATING = "retrain-repeating"
#: the choice of the sidebar before a retraining became model B
_BEFORE, _CHOICE = "retrain-before", ("A", "seedA", "B", "seedB")


def sidebar(root: Path, status: DeltaGenerator | None = None, place: DeltaGenerator | None = None) -> None:
    """Draw the button into the sidebar, or into the `place` there, the status into the place `status`, and the dialog
    where it is open; `root` is the folder of streamlit_app.py.
    """
    folder = runs_dir(root)
    busy = is_busy(folder)
    icon = ":material/model_training:"
    (place or st.sidebar).button("Short retraining", icon=icon, width="stretch", key="retrain", on_click=_open)
    with status or st.sidebar:
        st.fragment(_status, run_every=REFRESH_SECONDS if busy else None)(folder, busy)
    if is_open():  # drawn anew in every run of the app, which would close it
        st.dialog("Short retraining", width="medium", on_dismiss=close)(body)(folder, busy)


def remember(view: View) -> None:
    """Keep what is compared, to come back to, unless B is a retraining."""
    path = view.b.first.path
    if path is not None and path.parent.name != folders.FOLDER:
        st.session_state[_BEFORE] = {key: st.query_params[key] for key in _CHOICE if key in st.query_params}


def pair_before(folder: Path) -> dict[str, str]:
    """The choice that `remember` kept, where its models are still there; else {}."""
    choice, groups = st.session_state.get(_BEFORE, {}), find_runs(folder).groups
    return choice if all(choice.get(letter) in groups for letter in "AB") else {}


def is_busy(folder: Path) -> bool:
    """Whether a job, a measurement or a series of repeats is under way."""
    under_way = running_job(folders.jobs(folder)) is not None or speeds.measuring(folder)[0]
    return under_way or repeats.read(folder).under_way


def is_open() -> bool:
    return st.session_state.get(_OPENED, False)


def close() -> None:
    st.session_state.pop(_OPENED, None)


def body(folder: Path, busy: bool) -> None:
    """What the dialog shows: how the job under way learns, else jobs that died and the settings of a new one."""
    jobs_here = folders.jobs(folder)
    if running := running_job(jobs_here):
        if not busy:  # begun by another browser: only the whole app can begin the status in the sidebar
            st.rerun(scope="app")
        st.fragment(_progress, run_every=REFRESH_SECONDS)(folder, running.name)
        return
    for job in jobs_here:
        if job.can_go_on:
            _died(folder, job)
    if settings_form(folder):
        close()
        st.rerun(scope="app")
    if speeds.measuring(folder)[0] and not busy:  # begun while this was drawn, here or by another browser
        st.rerun(scope="app")


def choice_of(folder: Path, name: str) -> dict[str, str]:
    """The sidebar's choices that set the retraining `name` as model B against its parent as A; {} where it is not
    there.
    """
    catalog = find_runs(folder)
    listed = catalog.of(folders.retrained_path(folders.retrained_dir(folder) / name))
    if listed is None:
        return {}
    name_of_group, header = listed
    choice = {"B": name_of_group, "seedB": seed_label(header)}
    parent = parent_of(folder, header)
    return choice | ({"A": parent[0], "seedA": seed_label(parent[1])} if parent else {})


def parent_of(folder: Path, run: RunHeader | Run) -> tuple[str, RunHeader] | None:
    """The run of the folder from which `run` was retrained, and its group: the very file under whatever name, else one
    of its name that is no import (`project` adds maps to a parent); None where there is neither.
    """
    groups = find_runs(folder).groups
    every = [(group, other) for group, headers in groups.items() for other in headers if other.path != run.path]
    parent = run.meta.get("parent")
    parent = parent if isinstance(parent, dict) else {}
    called = [each for each in every if each[1].name == parent.get("name")]
    others = [each for each in every if each not in called]
    digest = parent.get("digest")
    found = next((each for each in called + others if digest and digest_of(each[1]) == digest), None)
    return found or next((each for each in called if each[1].path.parent.name != IMPORTED), None)


def _open() -> None:
    st.session_state[_OPENED] = True


def _status(folder: Path, refreshing: bool) -> None:
    jobs_here = folders.jobs(folder)
    running, repeating = running_job(jobs_here), repeats.read(folder)
    followed = st.session_state.pop(_FOLLOWED, None)
    if running and running.name not in repeating.names:  # whoever repeats stays with what is repeated
        st.session_state[_FOLLOWED] = running.name
    elif followed:
        _select_result(folder, next((job for job in jobs_here if job.name == followed), None))
    _tell_repeats(repeating)
    if refreshing != is_busy(folder):
        st.rerun(scope="app")  # only the whole app can begin or end the refreshing
    if message := st.session_state.pop(_MESSAGE, None):
        st.toast(message, icon=":material/model_training:", duration="long")
    if running:
        progress = running.progress
        step = progress.learning.get("step") if progress.learning else None
        of_repeats = repeating.names.index(running.name) + 1 if running.name in repeating.names else 0
        parts = [
            f"**{escape(running.name)}**",
            f"{of_repeats} of {repeating.total} repeats" if of_repeats else "",
            _PHASES[progress.last["phase"]],
            "" if step is None else f"step {step:,.0f}",
            _left(running),
        ]
        st.progress(progress.share, " · ".join(filter(None, parts)))
        _stop_buttons(folder, running)
        return
    for job in jobs_here:
        if job.can_go_on:
            st.error(f"{_what_died(job)}; see “Short retraining”.", icon=":material/dangerous:")


def _select_result(folder: Path, job: Job | None) -> None:
    if job and job.state in ("finished", "stopped"):
        choose_next(choice_of(folder, job.name))
        close()
        st.session_state[_MESSAGE] = f"**{escape(job.name)}** {escape(job.state)}: {told(job.message, 300)}."
        st.rerun(scope="app")


def _tell_repeats(repeating: Repeats) -> None:
    """Say once how the repeats ended that this browser saw under way, and draw the page with them."""
    if repeating.under_way:
        st.session_state[_REPEATING] = True
    elif st.session_state.pop(_REPEATING, False):
        what = f"{told(repeating.problem, 300)}." if repeating.problem else f"repeated with {repeating.total} seeds."
        st.session_state[_MESSAGE] = f"**{escape(repeating.of)}**: {what}"
        st.rerun(scope="app")


def _progress(folder: Path, name: str) -> None:
    """How the job `name` learns; nothing once it has ended, when the whole app is drawn anew."""
    job = next((job for job in folders.jobs(folder) if job.name == name and job.is_under_way), None)
    if job is None:
        return
    progress = job.progress
    st.markdown(f"**{escape(job.name)}**")
    st.progress(progress.share, " · ".join(filter(None, (_PHASES[progress.last["phase"]], _left(job)))))
    loss, accuracy = tables.loss_frame(progress), tables.accuracy_frame(progress)
    if len(loss):
        most = tables.seconds_in_all(progress)
        if len(accuracy):
            if accuracy["change"].notna().any():
                plot(charts.retrained.accuracy_curves, accuracy, most, width="stretch", key="retrain-accuracy")
            st.caption(tables.accuracy_sentence(progress))
        plot(charts.retrained.loss_curve, loss, most, width="stretch", key="retrain-loss")
    if now := progress.learning:
        st.caption(
            f"Step {now.get('step', 0):,.0f} · {now.get('passes', 0):.2f} epochs · "
            f"{now.get('images_per_second', 0):,.0f} images/s"
        )
    if progress.corrupt:
        st.caption(f"{progress.corrupt} unreadable lines of its progress file were skipped.")
    _stop_buttons(folder, job, "-dialog")


def _left(job: Job) -> str:
    seconds = job.progress.seconds_left(time.time())
    return "" if seconds is None else f"{duration(seconds)} left"


def _stop_buttons(folder: Path, job: Job, place: str = "") -> None:
    stopping = job.stopping
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Stopping…" if stopping else "Stop and keep",
            on_click=_stop,
            args=(job,),
            icon=":material/stop_circle:",
            disabled=stopping or job.state == "starting",
            width="stretch",
            key=f"retrain-stop{place}",
        )
        st.button(
            "Stop and discard",
            on_click=_discard,
            args=(folder, job.name),
            icon=":material/delete:",
            width="stretch",
            key=f"retrain-discard{place}",
            help="Ends it at once; no run is left behind",
        )


def _stop(job: Job) -> None:
    try:
        jobs.stop(job.folder)
    except CifarcoreError as error:
        st.session_state[_MESSAGE] = told(error, 400)


def _discard(folder: Path, name: str) -> None:
    try:
        folders.discard(folder, name)
    except CifarcoreError as error:
        st.session_state[_MESSAGE] = told(error, 400)
    else:
        close()
        st.session_state[_MESSAGE] = f"**{escape(name)}** was discarded; no run was written."


def _what_died(job: Job) -> str:
    return f"**{escape(job.name)}** {'was killed' if job.state == 'killed' else 'failed'}"


def _died(folder: Path, job: Job) -> None:
    with st.container(border=True):
        st.error(f"{_what_died(job)}: {told(job.message, 400)}.", icon=":material/dangerous:")
        if tail := job.log_tail:
            st.code(without_folders(tail), language=None, wrap_lines=True)
        saved = (job.folder / folders.STATE).exists()
        with st.container(horizontal=True):
            again = st.button(
                "Continue from the last checkpoint" if saved else "Start again",
                key=f"retrain-again-{job.name}",
                icon=":material/play_arrow:",
            )
            discard = st.button("Discard", key=f"retrain-discard-{job.name}", icon=":material/delete:")
    if again and attempt(lambda: setup.go_on(job.folder)):
        close()
        st.rerun(scope="app")
    if discard and attempt(lambda: folders.delete(folder, job.name)):
        st.rerun(scope="app")
