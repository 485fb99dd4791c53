"""The sidebar: which two models, which of their seeds, and the class filter that every page obeys.

Every widget is bound to the address, so a reload or a copied link brings the same choice; the models are always named.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cifarcore.app.addresses import begin_with_address, follow_renamed, name_in_address, tell_unknown
from cifarcore.app.catalog import Catalog, find_runs, load_sides, other_superclasses
from cifarcore.app.pictures import test_pictures
from cifarcore.app.safe_text import escape, told
from cifarcore.app.start import is_chosen
from cifarcore.app.view import NO_SUPERCLASSES, View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import absent, comparison
from cifarcore.evidence.verdict import class_order_notes
from cifarcore.files import runs_dir
from cifarcore.reports.sides import Side
from cifarcore.reports.tables.classes import CLASS_METRICS, HARDNESS, hardest_first
from cifarcore.runs.layout import BY_ROW, dataset_name
from cifarcore.runs.memo import memo
from cifarcore.runs.test_sets import pack_path
from cifarcore.text import counted, distinct, spaced

# keys of session state: the choice that the next run begins with, how many classes the slider was of
_NEXT, _CLASSES = "sidebar-next", "sidebar-classes"
_FILES = "sidebar-files-"  #: with A or B: the name chosen, and the file of each seed that it stood for then
_ON_ALL = (
    "To compare on all, give both models predictions of the same images: `cifarcore evaluate CHECKPOINT` for those "
    "trained here, `cifarcore import` for others."
)


@dataclass(frozen=True)
class Problem:
    """Why nothing can be compared, and what mends it; both are Markdown."""

    what: str
    remedy: str


def choose_next(choice: dict[str, str]) -> None:
    """Have the next run of the app begin with this choice, by the keys of the sidebar's widgets."""
    st.session_state[_NEXT] = choice


def choose(root: Path, models: DeltaGenerator | None = None) -> View | Problem:
    """Draw the sidebar, the two models in the place `models` there, and return what it chooses; `root` is the folder
    of streamlit_app.py.
    """
    for key, value in st.session_state.pop(_NEXT, {}).items():
        st.session_state[key] = value
    follow_renamed()
    catalog = find_runs(runs_dir(root))
    if not catalog.groups:
        _refused(catalog)
        return Problem(
            f"No run file in {escape(catalog.folder.name)}/",
            "`cifarcore train --model cnn --preset quick --folder FOLDER`, then `cifarcore evaluate CHECKPOINT`, "
            "writes one "
            "into that folder; the same with `--model resnet18` gives the second model.",
        )
    names = _two_models(catalog, models or st.sidebar)
    try:
        with st.spinner("Reading the run files…"):
            comparison.refuse_too_large([header for name in names for header in catalog.chosen(*name)])
            a, b, only = load_sides(*(catalog.chosen(*name) for name in names), (names[0][0], names[1][0]))
            regrouped = other_superclasses([header for name in names for header in catalog.chosen(*name)])
    except (CifarcoreError, OSError) as error:
        _refused(catalog)
        return Problem("These two models cannot be compared", told(error, 400))
    with st.sidebar:
        classes, hardness, metric = _class_filter(a, b)
    pictures = test_pictures(a.first.sample_ids, *_other_pictures(a, b))
    warnings = _status(catalog, a, b, only)
    warnings += tuple((escape(line, 400), ":material/account_tree:") for line in regrouped)
    miscounted = memo(class_order_notes, (*a.runs, *b.runs), len(a.runs))
    warnings += tuple((escape(line, 400), ":material/swap_vert:") for line in miscounted)
    return View(a, b, *only[:2], classes, pictures, hardness, metric, root, warnings)


def _two_models(catalog: Catalog, place: DeltaGenerator) -> tuple[tuple[str, str], tuple[str, str]]:
    chosen = []
    for letter, default in zip("AB", catalog.defaults(), strict=True):
        with place.container(gap="xsmall"):
            # the default stands first, since a widget that is set from elsewhere may have no default of its own
            options = list(dict.fromkeys((default, *catalog.groups)))
            asked = st.query_params.get(letter)
            missing = begin_with_address(letter, options)
            group = st.selectbox(
                f"Model {letter}",
                options,
                key=letter,
                help=f"Run files in {escape(catalog.folder.name)}/, grouped by model and preset",
            )
            seeds, of_seeds = catalog.seeds(group), f"seed{letter}"
            missing_seed = begin_with_address(of_seeds, seeds)
            if len(seeds) == 1:
                st.session_state.pop(of_seeds, None)
                seed = seeds[0]
            else:
                seed = st.selectbox(f"Seeds of model {letter}", seeds, key=of_seeds, label_visibility="collapsed")
            if missing:
                st.warning(f"{escape(missing)} was not found; showing {escape(group)}.", icon=":material/link_off:")
            elif missing_seed and asked in (None, group):  # of another model it may well be missing
                what = f"{escape(missing_seed)} of {escape(group)} was not found; showing {escape(seed)}."
                st.warning(what, icon=":material/link_off:")
            if other := _of_another(catalog, letter, group):
                st.warning(other, icon=":material/swap_horiz:")
        chosen.append((group, seed))
    (group_a, seed_a), (group_b, seed_b) = chosen
    name_in_address(A=group_a, seedA=seed_a, B=group_b, seedB=seed_b)
    return chosen[0], chosen[1]


def _of_another(catalog: Catalog, letter: str, group: str) -> str:
    """That the name `group` has become another model's since it was chosen, as Markdown; "" where it has not: a name
    goes to whichever file says that it is of that model, and files come and go.
    """
    now = {header.seed: f"{header.name}.npz" for header in catalog.groups[group]}
    chosen, before = st.session_state.get(key := f"{_FILES}{letter}", ("", {}))
    if chosen != group:
        st.session_state[key] = group, now
        return ""
    alike = [seed for seed in before if seed in now]
    if changed := [(before[seed], now[seed]) for seed in alike if before[seed] != now[seed]]:
        was, has = changed[0]
    elif not alike:
        was, has = next(iter(before.values())), next(iter(now.values()))
    else:
        return ""
    return f"{escape(group)} was {escape(was)} when it was chosen, and is {escape(has)} now."


def _class_filter(a: Side, b: Side) -> tuple[np.ndarray, str, str]:
    """Draw the filter; indices of the classes it leaves (hardest first), hardness and the metric's column."""
    run = a.first
    with st.expander("Classes", expanded=True, icon=":material/filter_alt:"):
        slider_place = st.empty()
        left, right = st.columns(2, gap="small")
        tell_unknown(HARDNESS, "by")
        hardness = left.selectbox(
            "Rank difficulty by", HARDNESS, key="by", bind="query-params", help="A and B: the mean of their values"
        )
        without_auc = absent.note("macro_auc", *a.runs, *b.runs)
        metrics = [name for name, column in CLASS_METRICS.items() if column != "auc" or not without_auc]
        tell_unknown(metrics, "metric")
        _keep_valid("metric", metrics)
        metric = right.selectbox("Metric", metrics, key="metric", bind="query-params", help=without_auc or None)
        column = CLASS_METRICS[metric]
        order = hardest_first(a, b, hardness, column)
        if run.superclass_of is None:
            st.caption(NO_SUPERCLASSES)
        else:
            names = distinct(map(spaced, run.superclass_names))
            tell_unknown(names, "super", what="no superclass of these models")
            superclasses = st.multiselect("Superclasses", names, key="super", bind="query-params", placeholder="all")
            wanted = np.isin(names, superclasses)[run.superclass_of]
            if wanted.any():
                order = order[wanted[order]]
            elif superclasses:
                st.warning("No class belongs to this superclass; the filter is ignored.", icon=":material/search_off:")
        search = st.text_input("Search", key="search", bind="query-params", placeholder="part of a class name")
        part = spaced(search.strip()).lower()
        matching = np.array([part in spaced(name).lower() for name in run.class_names.tolist()])
        if matching[order].any():
            order = order[matching[order]]
        else:
            st.warning(
                f"None of these {len(order):,} class names contains this; the search is ignored.",
                icon=":material/search_off:",
            )
        if run.n_classes > 1:
            before = st.session_state.get(_CLASSES, run.n_classes)
            st.session_state[_CLASSES] = run.n_classes
            hardest = st.session_state.get("hardest", 0)
            if hardest > run.n_classes or (hardest == before != run.n_classes):
                del st.session_state["hardest"]  # all classes, as it was, or as there are no more
            hardest = slider_place.slider(
                "Most difficult classes", 1, run.n_classes, run.n_classes, key="hardest", bind="query-params",
                help="Keeps at most this many classes, those with the lowest value of the metric",
            )  # fmt: skip
            order = order[:hardest]
        st.caption(f"{len(order):,} of {run.n_classes:,} classes")
    return order, hardness, column


def _other_pictures(a: Side, b: Side) -> tuple[tuple[Path, ...], bool, bool]:
    """The packs of pictures beside these runs, whether any run is of the drawn data set, and whether they number rows
    alone.
    """
    packs = dict.fromkeys(pack_path(run.path) for run in (*a.runs, *b.runs) if run.path)
    datasets = [run.meta.get("dataset") or {} for run in (*a.runs, *b.runs)]
    drawn = any(dataset.get("name") == "synthetic" for dataset in datasets)
    numbered = all(dataset.get("matched_by") == BY_ROW for dataset in datasets)
    return tuple(path for path in packs if path.is_file()), drawn, numbered


def _status(catalog: Catalog, a: Side, b: Side, only: tuple[int, int, int]) -> tuple[tuple[str, str], ...]:
    """Say how many images are compared; what must be known of that, for the page itself: (Markdown, icon) each."""
    name = dataset_name(a.first.meta)
    st.sidebar.caption(f"{a.first.n_images:,} test images" + (f" of {escape(name)}" if name else ""))
    _refused(catalog)
    warnings = []
    if len(a.runs) + len(b.runs) > 2:  # `only` counts the first of each, and any other may have fewer
        left_out = memo(comparison.left_out_notes, (*a.given, *b.given), (*a.runs, *b.runs))
        warnings = [f"{note} {_ON_ALL}" for note in left_out]
    elif any(only):
        relabelled = f", and {only[2]:,} in both with different labels" if only[2] else ""
        warnings.append(
            f"Compared on the {a.first.n_images:,} images that both have: {only[0]:,} are only in A, {only[1]:,} only "
            f"in B{relabelled}. {_ON_ALL}"
        )
    shown = [(text, ":material/join_inner:") for text in warnings]
    if a.group == b.group and a.key == b.key:
        shown.append(("Both sides are the same run.", ":material/content_copy:"))
    return tuple(shown)


def _refused(catalog: Catalog) -> None:
    if catalog.refused:
        with st.sidebar.expander(
            f"{counted(len(catalog.refused), 'file')} could not be opened", icon=":material/error:"
        ):
            for name, reason in catalog.refused.items():
                st.markdown(f"**{escape(name)}** {told(reason, 400)}")
    if catalog.linked and not is_chosen(catalog.folder):  # whoever named the files knows where they are
        names = ", ".join(map(escape, catalog.linked[:3])) + (", …" if len(catalog.linked) > 3 else "")
        st.sidebar.caption(f"Symbolic links to run files elsewhere ({len(catalog.linked)}): {names}")
    if catalog.alone:
        with st.sidebar.expander(
            f"In two files: {counted(len(catalog.alone), 'seed')}", icon=":material/content_copy:"
        ):
            for name, reason in catalog.alone.items():
                st.markdown(f"**{escape(name)}** {told(reason, 400)}")


def _keep_valid(key: str, options) -> None:
    """Forget a choice that is no longer offered, so that the widget starts from its default."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
