"""ROC: how well each model tells two classes apart, or one from the rest, and which images a threshold moves."""

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app import roc_charts, roc_tables, tables
from cifarcore.app.gallery import gallery
from cifarcore.app.layout import filter_note, one_of
from cifarcore.app.roc_tables import SOURCES, Task
from cifarcore.app.state import View, escape

MODES = ("two classes", "one-vs-rest", "macro-average")
#: probabilities of the slider: as far from one half on both sides, in odds
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
SHARES = (*SHARES, *(round(1 - share, 3) for share in SHARES[-2::-1]))
LABELS = {f"{100 * share:.4g} %": share for share in SHARES}
FLIPS = ("flipped by either", "flipped by A", "flipped by B", "A and B decide differently")
CONFUSED = ("confused by either", "confused by A", "confused by B")
_PAIRS = "roc-pairs"


def page(view: View) -> None:
    st.title("ROC")
    _roc(view)


@st.fragment
def _roc(view: View) -> None:
    mode = one_of("Tell apart", MODES, "apart")
    if mode == MODES[1]:
        filter_note(view, "the list of classes is", "the curves and areas are")
    elif mode == MODES[2] and view.filtered:
        st.caption("The filter of classes does not act here: the curves and areas are of all images.")
    elif len(view.classes) < 2:
        st.caption("The filter leaves one class and two are needed, so all classes are offered.")
    left, right = st.columns(2, gap="medium")
    with right:
        if mode == MODES[0] and view.n_classes > 2:
            _pairs(view)
        task = _task(view, mode)
    if mode == MODES[2]:
        title, curve = "mean of the one-against-the-rest curves of all classes", roc_tables.macro_curve
    else:
        title, curve = _title(view, task), task.curve
    with st.spinner("Drawing the curves…"):
        curves = roc_tables.curve_frame((view.a, view.b), curve)
    if curves.empty:
        st.info("No curve: one of the two sides has no test image in these run files.", icon=":material/show_chart:")
        return
    points, share = None, None
    with right:
        if task is not None:
            share = _operating_point(view, task)
            points = roc_tables.operating_points((view.a, view.b), task, share)
            st.dataframe(roc_tables.point_table(points), hide_index=True)
        _areas(view, task)
    with left:
        st.markdown(
            f":blue[●] A {escape(view.a.title)} :orange[◆] B {escape(view.b.title)}"
            + (" · band: least and greatest of the seeds" if view.several_seeds else "")
        )
        corner = st.toggle("Zoom into the upper left corner", key="corner", bind="query-params")
        st.altair_chart(roc_charts.roc(curves, points, title, corner), width="stretch", key="roc-chart")
    if task is not None:
        _flips(view, task, share)


def _pairs(view: View) -> None:
    """Pairs worth a look; a row chosen sets the two lists of classes."""
    source = one_of("Pairs", SOURCES, "pairs")
    frame = roc_tables.pair_frame(view, source)
    names = view.class_names

    def choose() -> None:
        chosen = st.session_state[_PAIRS]["selection"]["rows"]
        if chosen:
            pair = frame.loc[chosen[0]]
            st.session_state["first"], st.session_state["second"] = (
                names[int(pair["first"])],
                names[int(pair["second"])],
            )

    shown = pd.DataFrame(
        {
            "Pair": [
                f"{names[first]} · {names[second]}"
                for first, second in zip(frame["first"], frame["second"], strict=True)
            ],
            "A": frame["confused_a"],
            "B": frame["confused_b"],
            "AUC B − A": frame["difference"],
        }
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        shown,
        hide_index=True,
        height=220,
        key=_PAIRS,
        on_select=choose,
        selection_mode="single-row",
        column_config={
            "Pair": st.column_config.TextColumn(width=150),
            "A": number(
                "A confuses",
                format=tables.count_form(frame["confused_a"]),
                width=74,
                help="Test images of either class that A takes for the other, both directions together, mean over seeds",
            ),
            "B": number(
                "B confuses",
                format=tables.count_form(frame["confused_b"]),
                width=74,
                help="Test images of either class that B takes for the other, both directions together, mean over seeds",
            ),
            "AUC B − A": number(format="%+.4f", width=74),
        },
    )


def _task(view: View, mode: str) -> Task | None:
    if mode == MODES[2]:
        return None
    names = view.class_names
    options = [names[c] for c in view.classes]
    if mode == MODES[1]:
        return Task(names.index(_pick(st, "Class", options, "first", options[0])), None)
    options = [names[c] for c in roc_tables.offered(view)]
    if view.n_classes > 2:
        best = roc_tables.pair_frame(view, SOURCES[0], 1)
        pair = [names[int(best.iloc[0][column])] for column in ("first", "second")] if len(best) else options[:2]
    else:
        pair = options[:2]
    columns = st.columns(2)
    first = _pick(columns[0], "Class", options, "first", pair[0])
    others = [name for name in options if name != first]
    second = _pick(columns[1], "against", others, "second", pair[1] if pair[1] != first else pair[0])
    return Task(names.index(first), names.index(second))


def _pick(place, label: str, options: list[str], key: str, default: str) -> str:
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    # the default stands first, since a widget that is set from elsewhere may have no default of its own
    return place.selectbox(label, list(dict.fromkeys((default, *options))), key=key, bind="query-params")


def _title(view: View, task: Task) -> str:
    names = view.class_names
    return f"{names[task.positive]} against " + ("the rest" if task.negative is None else names[task.negative])


def _operating_point(view: View, task: Task) -> float:
    name = escape(view.class_names[task.positive])
    if task.negative is None:
        needs = f"its probability of {name} is at least"
    else:
        needs = f"its probability of {name}, of these two classes, is at least"
    label = st.select_slider(
        f"An image is called {name} when {needs}", list(LABELS), value="50 %", key="point", bind="query-params"
    )
    return LABELS[label]


def _areas(view: View, task: Task | None) -> None:
    areas = roc_tables.macro_frame(view) if task is None else roc_tables.auc_frame(view.a, view.b, task)
    st.dataframe(
        roc_tables.auc_table(areas),
        hide_index=True,
        column_config={
            "AUC": st.column_config.TextColumn(help="Area under the curve; ± is the standard deviation of the seeds'"),
            "95 % interval": st.column_config.TextColumn(
                help="DeLong's, over test images; of B − A over seeds too, where both models have several"
            ),
            "p": st.column_config.TextColumn(
                help="Probability of a difference at least this large if the models were equal"
            ),
        },
    )


def _flips(view: View, task: Task, share: float) -> None:
    """The images that are decided differently at the operating point, by the first seed of each model."""
    _, is_positive, rows = task.scores(view.a.first)
    called = [task.positives(side.first, share) for side in (view.a, view.b)]
    flipped = [roc_tables.flips(side.first, task, share) for side in (view.a, view.b)]
    if share == roc_tables.HALF:
        shown = FLIPS[3]
        st.markdown("Move the operating point away from 50 % to see which images flip.")
        if task.negative is not None:
            shown = one_of(
                "Show",
                (FLIPS[3], *CONFUSED),
                "confused",
                help="Decided: asked for one of these two classes. Confused: asked for one of all classes, "
                "the model takes one of the two for the other.",
            )
    else:
        told = []
        for side, now, moved in zip((view.a, view.b), called, flipped, strict=True):
            right = int((moved & (now == is_positive)).sum())
            told.append(f"{side.letter} flips **{moved.sum():,}** ({right:,} of them to the right answer)")
        seeds = f" ({view.first_seeds})" if view.several_seeds else ""
        st.markdown(f"From 50 % to {100 * share:.4g} %: " + ", ".join(told) + seeds)
        shown = one_of("Show", FLIPS, "flips")
    keep = {FLIPS[0]: flipped[0] | flipped[1], FLIPS[1]: flipped[0], FLIPS[2]: flipped[1]}.get(
        shown, called[0] != called[1]
    )
    if shown in CONFUSED:
        confused = [task.confused(side.first) for side in (view.a, view.b)]
        keep = {CONFUSED[1]: confused[0], CONFUSED[2]: confused[1]}.get(shown, confused[0] | confused[1])
    names = view.class_names
    probability = [task.probability(task.scores(side.first)[0])[keep] for side in (view.a, view.b)]
    notes = [f"{names[task.positive]}: A {a:.1%} · B {b:.1%}" for a, b in zip(*probability, strict=True)]
    order = np.argsort(-np.abs(probability[1] - probability[0]), kind="stable")
    empty = "No image flips between 50 % and this point."
    if shown == FLIPS[3]:
        empty = "A and B decide every image alike at this point."
    if shown in CONFUSED:
        empty = "No image of the two classes is taken for the other."
    gallery(
        view,
        rows[keep][order],
        "flips-images",
        escape(shown[0].upper() + shown[1:]),
        [notes[i] for i in order],
        empty,
        shown,
    )
