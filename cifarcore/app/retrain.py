"""The short retraining in the sidebar: settings, start, progress, stop, and what to do when a job died.

One fragment, which refreshes only itself and only while something runs. The work is done in processes of their own.
"""

import time
from pathlib import Path

import pandas as pd
import streamlit as st

from cifarcore import CifarcoreError, jobs, retraining, speeds
from cifarcore.app import retrain_charts, state
from cifarcore.app.sidebar import choose_next
from cifarcore.app.state import escape
from cifarcore.config import RECIPES, RetrainConfig
from cifarcore.jobs import Busy, Job
from cifarcore.runs import Run, RunFileError, RunHeader, load_run, read_header

REFRESH_SECONDS = 1.0
#: settings are kept while a job runs, when none of them is drawn
_KEPT = "session"
#: a budget is to end within this many times its seconds, see `_expectation`
HOLDS = 1.25
HARDEST, CHOSEN, ALL = "hardest classes", "chosen classes", "all classes"
LAYERS = {"Everything": "all", "Last two blocks": "last_two_blocks", "Last block": "last_block", "Head only": "head"}
AUGMENTATIONS = {"Crop and flip": None, "CutMix": "cutmix", "MixUp": "mixup", "RandAugment": "randaugment"}
_PHASES = {
    "starting": "Starting",
    "caching": "Computing the parent's features, once",
    "learning": "Learning",
    "evaluating": "Scoring the test and validation images",
    "writing": "Writing the run file",
}
# keys of session state: the job that this browser follows, and what is told of it once
_FOLLOWED, _SAID = "retrain-followed", "retrain-said"


def sidebar(root: Path) -> None:
    """Draw the short retraining into the sidebar; `root` is the folder of streamlit_app.py."""
    folder = state.runs_dir(root)
    busy = _running(retraining.jobs(folder)) is not None or speeds.measuring(folder)[0]
    with st.sidebar:
        st.fragment(_panel, run_every=REFRESH_SECONDS if busy else None)(folder, busy)


def choice_of(folder: Path, name: str) -> dict[str, str]:
    """The sidebar's choices that set the retraining `name` as model B against its parent as A; {} where it is not there."""
    catalog = state.find_runs(folder)
    own = f"{retraining.FOLDER}/{name}"
    if own not in catalog.groups:
        return {}
    header = catalog.groups[own][0]
    choice = {"B": own, "seedB": state.seed_label(header)}
    parent = header.meta.get("parent")
    parent = parent.get("name") if isinstance(parent, dict) else None
    for group, headers in catalog.groups.items():
        for other in headers:
            if other.name == parent and other.path != header.path:
                return choice | {"A": group, "seedA": state.seed_label(other)}
    return choice


def _panel(folder: Path, refreshing: bool) -> None:
    if said := st.session_state.pop(_SAID, None):
        st.toast(said, icon=":material/model_training:", duration="long")
    found = retraining.jobs(folder)
    running = _running(found)
    followed = st.session_state.pop(_FOLLOWED, None)
    if running:
        st.session_state[_FOLLOWED] = running.name
    elif followed:
        _select_result(folder, next((job for job in found if job.name == followed), None))
    if refreshing != (running is not None or speeds.measuring(folder)[0]):
        st.rerun(scope="app")  # only the whole app can begin or end the refreshing
    if running:
        _progress(running)
        return
    for job in found:
        if job.can_go_on:
            _died(folder, job)
    box = st.expander("Short retraining", icon=":material/model_training:", key="retrain-open", on_change="rerun")
    if box.open:
        with box:
            _settings(folder)
        if speeds.measuring(folder)[0] and not refreshing:  # begun while this was drawn, here or by another browser
            st.rerun(scope="app")


def _running(found: list[Job]) -> Job | None:
    under_way = [job for job in found if job.is_under_way]
    return next((job for job in under_way if job.state == "running"), under_way[0] if under_way else None)


def _select_result(folder: Path, job: Job | None) -> None:
    if job and job.state in ("finished", "stopped"):
        choose_next(choice_of(folder, job.name))
        st.session_state[_SAID] = f"**{escape(job.name)}** {escape(job.state)}: {escape(job.message, 300)}."
        st.rerun(scope="app")


def _progress(job: Job) -> None:
    progress = job.progress
    last = progress.last
    share = (
        last.get("fraction", 0.0)
        if last["phase"] == "learning"
        else last.get("done", 0.0) / max(last.get("total", 0.0), 1.0)
    )
    left = f", {_duration(max(0.0, last['left'] - (time.time() - last.get('at', 0.0))))} left" if "left" in last else ""
    with st.container(border=True):
        st.markdown(f"**:material/model_training: {escape(job.name)}**")
        st.progress(min(1.0, max(0.0, share)), f"{_PHASES[last['phase']]}{left}")
        if loss := progress.series("loss"):
            most = max(1.0, loss[-1]["learned"] / max(loss[-1].get("fraction", 1.0), 0.01))
            frame = pd.DataFrame(
                {"seconds": [line["learned"] for line in loss], "loss": [line["loss"] for line in loss]}
            )
            st.altair_chart(retrain_charts.loss_curve(frame, most), width="stretch", key="retrain-loss")
        looks = progress.series("val_accuracy")
        if loss and looks:
            records = [
                {"seconds": line["learned"], "accuracy": line[key], "classes": kind}
                for line in looks
                for key, kind in zip(("val_accuracy", "val_focus_accuracy"), retrain_charts.KINDS, strict=True)
                if key in line
            ]
            st.altair_chart(
                retrain_charts.accuracy_curves(pd.DataFrame(records), most), width="stretch", key="retrain-accuracy"
            )
            st.caption(f"Of {looks[-1].get('val_images', 0):,.0f} validation images, which are never trained on.")
        learning = [line for line in progress.lines if line["phase"] == "learning"]
        if learning:
            now = learning[-1]
            st.caption(
                f"Step {now.get('step', 0):,.0f} · {now.get('passes', 0):.2f} passes · {now.get('images_per_second', 0):,.0f} images/s"
            )
        if progress.corrupt:
            st.caption(f"{progress.corrupt} unreadable lines of its progress were left out.")
        stopping = job.stopping
        st.button(
            "Stopping…" if stopping else "Stop and keep", on_click=_stop, args=(job,),
            icon=":material/stop_circle:", disabled=stopping or job.state == "starting", width="stretch", key="retrain-stop",
        )  # fmt: skip


def _stop(job: Job) -> None:
    try:
        jobs.stop(job.folder)
    except CifarcoreError as error:
        st.session_state[_SAID] = escape(error, 400)


def _died(folder: Path, job: Job) -> None:
    with st.container(border=True):
        word = "was killed" if job.state == "killed" else "failed"
        st.error(f"**{escape(job.name)}** {word}: {escape(job.message, 400)}.", icon=":material/dangerous:")
        if tail := job.log_tail:
            st.code(tail, language=None, wrap_lines=True)
        saved = (job.folder / retraining.STATE).exists()
        with st.container(horizontal=True):
            again = st.button(
                "Go on from the last checkpoint" if saved else "Start again",
                key=f"retrain-again-{job.name}",
                icon=":material/play_arrow:",
            )
            discard = st.button("Discard", key=f"retrain-discard-{job.name}", icon=":material/delete:")
    if again and _try(lambda: retraining.go_on(job.folder)):
        st.rerun(scope="app")
    if discard and _try(lambda: retraining.delete(folder, job.name)):
        st.rerun(scope="app")


def _settings(folder: Path) -> None:
    paths = retraining.parents(folder)
    if not paths:
        st.info(
            "No weights (`.pt`) lie beside the run files; `cifarcore train` and `cifarcore evaluate` write both.",
            icon=":material/inventory_2:",
        )
        return
    if st.session_state.get("retrain-parent") not in paths:
        st.session_state.pop("retrain-parent", None)
    parent = st.selectbox(
        "Parent",
        paths,
        format_func=lambda path: path.relative_to(folder).with_suffix("").as_posix(),
        key="retrain-parent",
        persist_state=_KEPT,
    )
    try:
        header, run = read_header(parent), _parent(parent, parent.stat().st_mtime_ns)
    except (RunFileError, OSError) as error:
        st.error(escape(error, 400))
        return
    dataset = run.meta.get("dataset")
    if isinstance(dataset, dict) and dataset.get("name"):
        st.caption(
            f"This parent has {run.n_classes:,} classes of {escape(dataset['name'])}; models A and B may be of other data."
        )
    layers = LAYERS[
        st.selectbox(
            "Train",
            list(LAYERS),
            key="retrain-layers",
            persist_state=_KEPT,
            help="The head learns on features of the parent that are computed once and kept",
        )
    ]
    try:
        config = RetrainConfig(**_focus(run), **_budget(), **_learning(layers), train_layers=layers)
        focus = retraining.choose_focus(run, config)
    except CifarcoreError as error:
        st.warning(escape(error, 400), icon=":material/block:")
        return
    if focus:
        how = "chosen by F1 on the validation split, never on the test images" if config.hardest else "as chosen"
        names = ", ".join(str(run.class_names[index]) for index in focus[:12])
        more = f" and {len(focus) - 12} more" if len(focus) > 12 else ""
        st.caption(
            f"{escape(names, 400)}{more}: {how}. They are {config.focus_share:.0%} of each batch, the other classes the rest."
        )
    _expectation(folder, header, config)
    measuring = speeds.measuring(folder)[0]  # each would slow the other down, and a wrong speed be kept
    if st.button(
        "Start", type="primary", icon=":material/play_arrow:", width="stretch", key="retrain-start", disabled=measuring
    ):
        with st.spinner("Starting…"):
            started = _try(lambda: retraining.start(config, parent, folder))
        if started or _running(retraining.jobs(folder)):  # another browser was faster: show what it started
            st.rerun(scope="app")


def _focus(run: Run) -> dict[str, str]:
    kind = st.selectbox("Focus", [HARDEST, CHOSEN, ALL], key="retrain-focus", persist_state=_KEPT)
    if kind == HARDEST:
        most = min(50, run.n_classes - 1)
        count = (
            st.slider("How many", 1, most, min(10, most), key=f"retrain-hardest-{most}", persist_state=_KEPT)
            if most > 1
            else 1
        )
        return {"focus": f"hardest:{count}"}
    if kind == CHOSEN:
        names = st.multiselect(
            "Classes",
            run.class_names.tolist(),
            key=f"retrain-classes-{run.digest}",
            persist_state=_KEPT,
            placeholder="choose classes",
        )
        return {"focus": f"classes:{','.join(names)}"}
    return {"focus": "all"}


def _budget() -> dict[str, float]:
    left, right = st.columns([2, 3], gap="small", vertical_alignment="bottom")
    unit = right.selectbox("Budget in", ["seconds", "passes"], key="retrain-unit", persist_state=_KEPT)
    if unit == "seconds":
        return {
            "seconds": float(
                left.number_input("Budget", 5, 3600, 60, step=5, key="retrain-seconds", persist_state=_KEPT)
            )
        }
    return {
        "epochs": float(
            left.number_input("Budget", 0.1, 100.0, 1.0, step=0.5, key="retrain-epochs", persist_state=_KEPT)
        )
    }


def _learning(layers: str) -> dict[str, object]:
    rate = st.number_input(
        "Learning rate", 1e-5, 1.0, RECIPES[layers].learning_rate, format="%.5f", step=0.001, key=f"retrain-rate-{layers}", persist_state=_KEPT,
        help="The highest; it rises to it and falls to zero within the budget",
    )  # fmt: skip
    if layers == "head":
        return {"learning_rate": rate}
    chosen = st.pills(
        "Augmentation",
        list(AUGMENTATIONS),
        selection_mode="multi",
        default=["Crop and flip"],
        key="retrain-augmentation",
        persist_state=_KEPT,
    )
    mixes = [AUGMENTATIONS[name] for name in ("CutMix", "MixUp") if name in chosen]
    return {
        "learning_rate": rate,
        "crop_padding": 4 if "Crop and flip" in chosen else 0,
        "flip": "Crop and flip" in chosen,
        "mix": ("none", *mixes)[len(mixes)] if len(mixes) < 2 else "both",
        "policy": "randaugment" if "RandAugment" in chosen else "none",
    }


def _expectation(folder: Path, header: RunHeader, config: RetrainConfig) -> None:
    """What to expect, by what was measured on this machine; measures it where that was never done."""
    expected = speeds.expect(header, config, folder)
    running, said = speeds.measuring(folder)
    if running:
        st.caption(":material/speed: Measuring how fast this machine learns…")
        return
    if expected is None:
        asked = f"retrain-measured-{header.name}-{config.train_layers}-{config.policy}"
        if st.session_state.get(asked):
            st.caption(f":material/speed: The speed could not be measured: {escape(said or 'no reason given', 300)}")
            return
        st.session_state[asked] = True
        if _try(lambda: speeds.start_measuring(config, header.path, folder)):
            st.rerun(scope="app")
        return
    end = time.strftime("%H:%M:%S", time.localtime(time.time() + expected.total))
    parts = [
        f"**{expected.images_per_second:,.0f} images/s** measured here",
        f"**{expected.passes:.2g} passes** over the training images",
    ]
    if expected.caching:
        parts.append(f"{_duration(expected.caching)} once for the parent's features")
    if expected.scoring > 1:
        parts.append(f"{_duration(expected.scoring)} of scoring at the end")
    st.caption(f":material/schedule: {', '.join(parts)}: ends about **{end}**.")
    if expected.learning + expected.scoring > HOLDS * max(expected.learning, 1.0):
        st.caption(
            f":material/hourglass_top: Scoring makes this longer than the budget: about {_duration(expected.total)} in all."
        )
    if st.button("Measure again", type="tertiary", key="retrain-measure", icon=":material/speed:") and _try(
        lambda: speeds.start_measuring(config, header.path, folder)
    ):
        st.rerun(scope="app")


def _try(work) -> bool:
    """Do `work`; where it is refused, say why."""
    try:
        work()
    except Busy as busy:
        st.warning(escape(busy, 400), icon=":material/lock:")
        return False
    except CifarcoreError as error:
        st.error(escape(error, 400), icon=":material/error:")
        return False
    return True


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


@st.cache_resource(show_spinner=False, max_entries=8)
def _parent(path: Path, mtime_ns: int) -> Run:
    return load_run(path)
