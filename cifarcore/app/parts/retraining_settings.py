"""The settings of a short retraining, and what to expect of them on this machine."""

from functools import partial
from pathlib import Path

import numpy as np
import streamlit as st

from cifarcore.app.catalog import loaded_run
from cifarcore.app.parts import download, marked, retraining_duplicates
from cifarcore.app.safe_text import escape, told
from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.files import version
from cifarcore.presets import RECIPES
from cifarcore.reports.tables import progress as tables
from cifarcore.retraining import folders, setup, speeds
from cifarcore.retraining.jobs import Busy, Job
from cifarcore.runs.layout import RunFileError, dataset_name
from cifarcore.runs.run import Run, RunHeader, read_header
from cifarcore.text import rough, spaced

#: settings are kept while a job runs, when none of them is drawn
KEPT = "session"


#: a budget is to end within this many times its seconds, see `_expectation`
HOLDS = 1.25


WATCH_SECONDS = 2.0


#: the least budget, the most, and by what it grows
SECONDS, EPOCHS = (5, 3600, 5), (0.1, 100.0, 0.1)


HARDEST, CHOSEN, ALL = "hardest classes", "chosen classes", "all classes"
MARKED = "classes of the marked images"


LAYERS = {"Last block": "last_block", "Head only": "head", "Last two blocks": "last_two_blocks", "Everything": "all"}


AUGMENTATIONS = {"Crop and flip": None, "CutMix": "cutmix", "MixUp": "mixup", "RandAugment": "randaugment"}


def settings_form(folder: Path) -> bool:
    """Draw the settings; whether a job was started with them, here or by another browser that was faster."""
    paths = setup.parents(folder)
    if not paths:
        st.info(
            "There are no weights (`.pt`) beside the run files; `cifarcore train` and `cifarcore evaluate` write both.",
            icon=":material/inventory_2:",
        )
        return False
    if st.session_state.get("retrain-parent") not in paths:
        st.session_state.pop("retrain-parent", None)
    parent = st.selectbox(
        "Run to retrain",
        paths,
        format_func=lambda path: path.relative_to(folder).with_suffix("").as_posix(),
        key="retrain-parent",
        persist_state=KEPT,
    )
    try:
        header, run = read_header(parent), loaded_run(version(parent))
    except (RunFileError, OSError) as error:
        st.error(told(error, 400))
        return False
    if name := dataset_name(run.meta):
        st.caption(f"This run has {run.n_classes:,} classes of {escape(name)}.")
    layers = LAYERS[
        st.selectbox(
            "Train",
            list(LAYERS),
            key="retrain-layers",
            persist_state=KEPT,
            help="The last block and the head learn from what the layers before them give, computed once and cached",
        )
    ]
    try:
        chosen = _focus(run) | _budget() | _learning(layers) | retraining_duplicates.choice(run)
        config = RetrainConfig(**chosen, train_layers=layers)
        focus = setup.choose_focus(run, config)
    except CifarcoreError as error:
        st.warning(told(error, 400), icon=":material/block:")
        return False
    if focus:
        how = "chosen by F1 on the validation split, never on the test images" if config.hardest else "as chosen"
        names = ", ".join(spaced(run.class_names[index]) for index in focus[:12])
        more = f" and {len(focus) - 12} more" if len(focus) > 12 else ""
        st.caption(
            f"{escape(names, 400)}{more}: {how}. They make up {config.focus_share:.0%} of each batch, the "
            "classes most often confused with them and all others the rest."
        )
    if setup.lacks_images(header, config, folder):  # measuring the speed needs them too
        download.offer("The images of CIFAR-100, which it learns from, are not on this machine.", "retrain-download")
        return False
    st.caption(f":material/science: {tables.GAIN}")
    of_images = float(np.isin(run.labels, focus).mean()) if focus else 1.0
    _expectation(folder, header, config, of_images)
    measuring = speeds.measuring(folder)[0]  # each would slow the other down, and a wrong speed be kept
    if not st.button(
        "Start", type="primary", icon=":material/play_arrow:", width="stretch", key="retrain-start", disabled=measuring
    ):
        return False
    with st.spinner("Starting…"):
        started = attempt(lambda: setup.start(config, parent, folder))
    return started or running_job(folders.jobs(folder)) is not None


def _focus(run: Run) -> dict[str, str]:
    marks = marked.classes_of_marks(run)
    kinds = [HARDEST, CHOSEN, ALL, *([MARKED] if marks else [])]
    if st.session_state.get("retrain-focus", HARDEST) not in kinds:
        del st.session_state["retrain-focus"]
    kind = st.selectbox(
        "Focus",
        kinds,
        key="retrain-focus",
        persist_state=KEPT,
        help="Images are marked on their cards, which a click in any gallery opens",
    )
    if kind == MARKED:
        st.caption(
            f"{escape(marked.shown(marks), 400)}. Chosen by test images, so the gain measured on these classes may be "
            "optimistic."
        )
        st.button("Clear the marks", type="tertiary", key="retrain-unmark", on_click=marked.clear)
        return {"focus": f"classes:{','.join(marks)}"}
    if kind == HARDEST:
        most = min(50, run.n_classes - 1)
        count = (
            st.slider("How many", 1, most, min(10, most), key=f"retrain-hardest-{most}", persist_state=KEPT)
            if most > 1
            else 1
        )
        return {"focus": f"hardest:{count}"}
    if kind == CHOSEN:
        names = st.multiselect(
            "Classes",
            run.class_names.tolist(),
            format_func=spaced,
            key=f"retrain-classes-{run.digest}",
            persist_state=KEPT,
            placeholder="choose classes",
        )
        return {"focus": f"classes:{','.join(names)}"}
    return {"focus": "all"}


def _budget() -> dict[str, float]:
    left, right = st.columns([2, 3], gap="small", vertical_alignment="bottom")
    unit = right.selectbox("Budget in", ["seconds", "epochs"], key="retrain-unit", persist_state=KEPT)
    if unit == "seconds":
        return {
            "seconds": float(
                left.number_input(
                    "Budget", *SECONDS[:2], 60, step=SECONDS[2], key="retrain-seconds", persist_state=KEPT
                )
            )
        }
    return {
        "epochs": float(
            left.number_input("Budget", *EPOCHS[:2], 1.0, step=0.5, key="retrain-epochs", persist_state=KEPT)
        )
    }


def _learning(layers: str) -> dict[str, object]:
    rate = st.number_input(
        "Learning rate",
        1e-5,
        1.0,
        RECIPES[layers].learning_rate,
        format="%.5f",
        step=0.001,
        key=f"retrain-rate-{layers}",
        persist_state=KEPT,
        help="The peak; the rate warms up to it and decays to zero within the budget",
    )
    if layers in ("head", "last_block"):  # on cached inputs
        return {"learning_rate": rate}
    chosen = st.pills(
        "Augmentation",
        list(AUGMENTATIONS),
        selection_mode="multi",
        default=["Crop and flip"],
        key="retrain-augmentation",
        persist_state=KEPT,
    )
    mixes = [AUGMENTATIONS[name] for name in ("CutMix", "MixUp") if name in chosen]
    return {
        "learning_rate": rate,
        "crop_padding": 4 if "Crop and flip" in chosen else 0,
        "flip": "Crop and flip" in chosen,
        "mix": ("none", *mixes)[len(mixes)] if len(mixes) < 2 else "both",
        "policy": "randaugment" if "RandAugment" in chosen else "none",
    }


def _expectation(folder: Path, header: RunHeader, config: RetrainConfig, of_images: float) -> None:
    """What to expect, by what was measured on this machine; measures it where that was never done. The focus classes
    hold the share `of_images` of the images.
    """
    expected = speeds.expect(header, config, folder)
    running, last_line = speeds.measuring(folder)
    if running:
        st.fragment(_measured, run_every=WATCH_SECONDS)(folder)
        return
    if expected is None:
        asked = f"retrain-measured-{header.name}-{config.train_layers}-{config.policy}"
        if st.session_state.get(asked):
            st.caption(f":material/speed: The speed could not be measured: {told(last_line or 'no reason given', 300)}")
            return
        st.session_state[asked] = True
        if attempt(lambda: speeds.start_measuring(config, header.path, folder)):
            st.rerun(scope="app")
        return
    rounds = tables.focus_rounds(expected, config.focus_share if of_images < 1 else 1.0, of_images)
    parts = [
        f"{expected.images_per_second:,.0f} images/s measured here",
        f"{rough(expected.passes)} epochs",
    ]
    if of_images < 1:
        parts.append(f"each focus image {rough(rounds)} times on average")
    if expected.caching:
        parts.append(f"{duration(expected.caching)} once for the features of this run")
    if expected.scoring > 1:
        parts.append(f"{duration(expected.scoring)} of scoring at the end")
    st.caption(f":material/schedule: Takes about **{duration(expected.total)}**: {', '.join(parts)}.")
    if expected.busy:
        st.caption(":material/speed: Measured while this machine was busy: left alone it will be faster.")
    budget = expected.learning if config.epochs else config.seconds
    if expected.learning + expected.scoring > HOLDS * max(budget, 1.0):
        st.caption(f":material/hourglass_top: Scoring makes this longer than the budget of {duration(budget)}.")
    if rounds < 1:
        _too_short(config, rounds, expected)
    if st.button("Measure again", type="tertiary", key="retrain-measure", icon=":material/speed:") and attempt(
        lambda: speeds.start_measuring(config, header.path, folder)
    ):
        st.rerun(scope="app")


def _too_short(config: RetrainConfig, rounds: float, expected: speeds.Expectation) -> None:
    """Say which budget is the shortest that shows the network each image of the focus once, and offer it."""
    key, learning, scoring, (_, most, step) = "retrain-seconds", expected.learning, expected.scoring, SECONDS
    if config.epochs:
        key, learning, scoring, (_, most, step) = "retrain-epochs", config.epochs, 0.0, EPOCHS
    needed = tables.shortest(learning, rounds, step, scoring)
    unit = "epochs" if config.epochs else "s"
    images = "images of the focus" if config.focus != "all" else "images"
    other = "" if config.train_layers == "head" else " Head only is faster: it learns from cached features."
    st.warning(
        f"Too short to change much: only {rounds:.0%} of the {images} would be seen. Each is seen once in "
        f"**{needed:,.4g} {unit}**.{other}",
        icon=":material/hourglass_bottom:",
    )
    if needed <= most:
        st.button(f"Use {needed:,.4g} {unit}", key="retrain-shortest", on_click=partial(_set, key, type(most)(needed)))


def _set(key: str, value: float) -> None:
    st.session_state[key] = value


def _measured(folder: Path) -> None:
    """A measurement under way, which goes on while this is drawn again and again."""
    speeds.watch(folder)
    st.caption(":material/speed: Measuring how fast this machine trains…")
    if st.button("Stop measuring", type="tertiary", key="retrain-measure-stop", icon=":material/stop_circle:"):
        attempt(lambda: speeds.stop_measuring(folder))


def attempt(work) -> bool:
    """Do `work`; where it is refused, say why."""
    try:
        work()
    except Busy as busy:
        st.warning(told(busy, 400), icon=":material/lock:")
        return False
    except CifarcoreError as error:
        st.error(told(error, 400), icon=":material/error:")
        return False
    return True


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def running_job(candidates: list[Job]) -> Job | None:
    """The job that is under way, one that runs before one that starts."""
    under_way = [job for job in candidates if job.is_under_way]
    return next((job for job in under_way if job.state == "running"), under_way[0] if under_way else None)
