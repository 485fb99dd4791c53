"""ROC: how well each model separates two classes, or one from the rest, and which images a threshold moves."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from cifarcore.app.addresses import tell_unknown
from cifarcore.app.parts import numbers
from cifarcore.app.parts.gallery import gallery
from cifarcore.app.parts.head import filter_note, head
from cifarcore.app.parts.layout import model_names, one_of
from cifarcore.app.parts.plot import plot
from cifarcore.app.safe_text import escape
from cifarcore.app.view import View, compared
from cifarcore.evidence import absent
from cifarcore.reports import headings
from cifarcore.reports.charts import roc as roc_charts
from cifarcore.reports.tables import roc as roc_tables
from cifarcore.reports.tables.roc import SOURCES, Task
from cifarcore.reports.tables.roc_images import CONFUSED, FLIPS, flip_text, listed
from cifarcore.reports.tables.roc_precision import average_precisions, label_frame, page_table, precision_frame
from cifarcore.text import count_form

MODES = ("two classes", "one-vs-rest", "macro-average")
#: probabilities of the slider: as far from one half on both sides, in odds
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
SHARES = (*SHARES, *(round(1 - share, 3) for share in SHARES[-2::-1]))
LABELS = {f"{100 * share:.4g}%": share for share in SHARES}
_PAIRS = "roc-pairs"


def page(view: View) -> None:
    if note := absent.note("macro_auc", *view.a.runs, *view.b.runs):
        head(view, "ROC")
        st.info(
            f"{escape(note, 300)} What each model confuses is on the page Confusion matrix.",
            icon=":material/show_chart:",
        )
        return
    _roc(view)


@st.fragment
def _roc(view: View) -> None:
    top = st.container()  # the finding is known when the areas are
    mode = one_of("Compare", MODES, "apart")
    if mode == MODES[1]:
        filter_note(view, "the list of classes is", "the curves and areas are")
    elif mode == MODES[2] and view.filtered:
        st.caption("The class filter does not apply here: the curves and areas are of all images.")
    elif len(view.classes) < 2:
        st.caption("The filter keeps one class and two are needed, so all classes are offered.")
    above = st.container(width=420)
    left, right = st.columns(2, gap="medium")
    with right if mode == MODES[0] else above:
        if mode == MODES[0] and view.n_classes > 2:
            _pairs(view)
        task = _task(view, mode)
    if task is None:
        title, curve = "the average class against the rest", roc_tables.macro_curve
    else:
        title, curve = _title(view, task), task.curve
    with st.spinner("Drawing the curves…"):
        curves = roc_tables.curve_frame((view.a, view.b), curve)
    if curves.empty:
        with top:
            head(view, f"No curve of {title}")
        st.info("No curve: these run files have no test image of one of the two classes.", icon=":material/show_chart:")
        return
    if task is None:
        choices, areas = 1, roc_tables.macro_frame(view, compared(view))
    else:
        choices = roc_tables.choices(view, st.session_state.get("pairs", SOURCES[0]), task)
        areas = roc_tables.auc_frame(view.a, view.b, task, choices)
    with top:
        head(view, headings.of_areas(areas, title, view.names))
    with left:
        place = st.container(key="roc-plot")
        corner = st.toggle("Zoom into the upper left corner", key="corner", bind="query-params")
        share = None if task is None else _operating_point(view, task)
    points = None if task is None else roc_tables.operating_points((view.a, view.b), task, share)
    at = 0.5 * roc_charts.CORNER if corner else 0.5
    labels = label_frame(curves, view.names, "fpr", "tpr", at)
    plot(roc_charts.roc, curves, points, labels, title, corner, place=place, width="content", key="roc-chart")
    precisions = None
    if task is not None and task.negative is None:
        precisions = average_precisions((view.a, view.b), task)
        with right:
            _precision(view, task, points, title)
    if view.several_seeds:
        st.caption("Bands: range over seeds.")
    _numbers(page_table(areas, points, precisions, view.names), choices)
    if task is not None:
        _flips(view, task, share)


def _precision(view: View, task: Task, points: pd.DataFrame, title: str) -> None:
    """Precision and recall beside the ROC curve of one class among many, which looks good whatever the precision."""
    curves = precision_frame((view.a, view.b), task)
    prevalence = float((view.labels == task.positive).mean())
    labels = label_frame(curves, view.names, "recall", "precision", 0.5)
    with st.container(key="roc-precision-plot"):
        given = (curves, points, labels, prevalence, title)
        plot(roc_charts.precision_recall, *given, width="content", key="roc-precision")
    st.caption(
        f"{prevalence:.2%} of the images are of this class: even a low false positive rate can mean more false alarms "
        "than hits, which precision shows. Dashed: chance."
    )


def _pairs(view: View) -> None:
    """Pairs worth a look; a row chosen sets the two lists of classes."""
    by = model_names(view)
    ranked = dict(zip(SOURCES, (f"errors of {by['A']}", f"errors of {by['B']}", "AUC"), strict=True))  # one line's room
    source = one_of("Pairs ranked by", SOURCES, "pairs", shown=ranked)
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

    number = st.column_config.NumberColumn
    counts = count_form(frame["confused_a"], frame["confused_b"])
    # beside the boxes to tick, all that a narrow screen holds
    config = {"Pair": st.column_config.TextColumn(width=140), "AUC B − A": number(width=86)}
    config |= {letter: number(width=52) for letter in "AB"}
    st.dataframe(
        numbers.shown(roc_tables.pair_choices(view, frame), {"A": counts, "B": counts, "AUC B − A": "+.4f"}),
        hide_index=True,
        height=220,
        key=_PAIRS,
        on_select=choose,
        selection_mode="single-row",
        column_config=config,
    )
    seeds = ", mean over seeds" if view.several_seeds else ""
    st.caption(f"A, B: images of either class that the model misclassifies as the other{seeds}. Tick one to draw it.")


def _task(view: View, mode: str) -> Task | None:
    if mode == MODES[2]:
        return None
    names = view.class_names
    options = [names[c] for c in view.classes]
    if mode == MODES[1]:
        return Task(names.index(_pick(st, "Class", options, "first", options[0])), None)
    options = [names[c] for c in roc_tables.offered(view)]
    pair = [names[c] for c in roc_tables.first_pair(view)]
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
    tell_unknown(LABELS, "point")
    label = st.select_slider(
        f"An image counts as {name} when {needs}", list(LABELS), value="50%", key="point", bind="query-params"
    )
    return LABELS[label]


def _numbers(table: pd.DataFrame, choices: int) -> None:
    st.dataframe(
        table,
        hide_index=True,
        key="roc-numbers",
        column_config={
            "AUC": st.column_config.TextColumn(help="Area under the curve; ± is the standard deviation of the seeds'"),
            "95% CI": st.column_config.TextColumn(
                help="DeLong, over test images; of B − A over seeds too where both models have several"
            ),
            "p": st.column_config.TextColumn(
                help="Probability of a difference at least this large if both models had the same AUC"
            ),
            "Average precision": st.column_config.TextColumn(
                help="Mean precision over all recalls (area under the precision-recall curve), mean over seeds"
            ),
            "True positive rate": st.column_config.TextColumn(help="At the operating point, as what follows"),
        },
    )
    if choices > 1:
        st.caption(
            f"This pair is listed because it differs most: p and CI of B − A are adjusted for the choice among "
            f"{choices:,} pairs (Bonferroni)."
        )


def _worded(view: View, options: Sequence[str]) -> dict[str, str]:
    """`options` that end with a model's letter, and the one of both letters, in words with the models' names."""
    names = model_names(view)
    words = {option: f"{option[:-1]}{names[option[-1]]}" if option[-1] in names else option for option in options}
    return words | {FLIPS[3]: "models decide differently"}


def _flips(view: View, task: Task, share: float) -> None:
    """The images that are decided differently at the operating point, by the first seed of each model."""
    words = _worded(view, (*FLIPS, *CONFUSED))
    if share == roc_tables.HALF:
        shown = FLIPS[3]
        st.markdown("Move the operating point away from 50% to see which images flip.")
        if task.negative is not None:
            shown = one_of(
                "Show",
                (FLIPS[3], *CONFUSED),
                "confused",
                shown=words,
                help="Decided: choosing between these two classes. Confused: choosing among all classes, "
                "the model misclassifies one of the two as the other.",
            )
    else:
        st.markdown(
            flip_text(view, task, share, model_names(view)) + (f" ({view.first_seeds})" if view.several_seeds else "")
        )
        shown = one_of("Show", FLIPS, "flips", shown=words)
    rows, notes = listed(view, task, share, shown)
    empty = "No image flips between 50% and this point."
    if shown == FLIPS[3]:
        empty = "Both models make the same decision on every image at this point."
    if shown in CONFUSED:
        empty = "No image of the two classes is misclassified as the other."
    title = words[shown]
    gallery(view, rows, "flips-images", title[0].upper() + title[1:], notes, empty, shown)
