"""The sidebar: which two models, which of their seeds, and the class filter that every page obeys.

Every widget is bound to the address, so a reload or a copied link brings the same choice.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from cifarcore.app import images, state
from cifarcore.app.state import Catalog, Side, View
from cifarcore.importing import pack_path
from cifarcore.runs import RunFileError

# keys of session state: the choice that the next run begins with, how many classes the slider was of
_NEXT, _CLASSES = "sidebar-next", "sidebar-classes"
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


def choose(root: Path) -> View | Problem:
    """Draw the sidebar and return what it chooses; `root` is the folder of streamlit_app.py."""
    for key, value in st.session_state.pop(_NEXT, {}).items():
        st.session_state[key] = value
    catalog = state.find_runs(state.runs_dir(root))
    if not catalog.groups:
        _refused(catalog)
        return Problem(
            f"No run file in `{catalog.folder.name}/`",
            "`cifarcore train --model cnn --preset quick --folder FOLDER`, then `cifarcore evaluate CHECKPOINT`, writes one "
            "into that folder; the same with `--model resnet18` gives the second model.",
        )
    names = _two_models(catalog)
    try:
        a, b, only = state.load_sides(*(catalog.chosen(*name) for name in names), (names[0][0], names[1][0]))
    except (RunFileError, OSError) as error:
        _refused(catalog)
        return Problem("These two models cannot be compared", state.escape(error, 400))
    with st.sidebar:
        classes, hardness, metric = _class_filter(a, b)
    pictures = images.test_pictures(root, a.first.sample_ids, *_other_pictures(a, b))
    most = max(header.n_images for name in names for header in catalog.chosen(*name))
    _status(catalog, a, b, only, most, pictures)
    return View(a, b, *only, pictures, classes, hardness, metric, root)


def _two_models(catalog: Catalog) -> tuple[tuple[str, str], tuple[str, str]]:
    chosen = []
    for letter, default, color in zip("AB", catalog.defaults(), ("blue", "orange"), strict=True):
        with st.sidebar.container(gap="xsmall"):
            # the default stands first, since a widget that is set from elsewhere may have no default of its own
            options = list(dict.fromkeys((default, *catalog.groups)))
            asked = st.query_params.get(letter)
            _keep_valid(letter, options)
            group = st.selectbox(
                f":{color}[■] Model {letter}",
                options,
                key=letter,
                bind="query-params",
                help=f"Run files in `{state.escape(catalog.folder.name)}/`, grouped by model and preset",
            )
            if asked and asked not in options:
                st.warning(
                    f"No run {state.escape(asked)}; shown instead: {state.escape(group)}.", icon=":material/link_off:"
                )
            seeds = catalog.seeds(group)
            _keep_valid(f"seed{letter}", seeds)
            if len(seeds) == 1:
                st.session_state.pop(f"seed{letter}", None)
                seed = seeds[0]
            else:
                seed = st.selectbox(
                    f"Seeds of model {letter}",
                    seeds,
                    key=f"seed{letter}",
                    bind="query-params",
                    label_visibility="collapsed",
                )
        chosen.append((group, seed))
    return chosen[0], chosen[1]


def _class_filter(a: Side, b: Side) -> tuple[np.ndarray, str, str]:
    """Draw the filter; indices of the classes it leaves (hardest first), hardness and the metric's column."""
    run = a.first
    with st.expander("Classes", expanded=True, icon=":material/filter_alt:"):
        slider_place = st.empty()
        left, right = st.columns(2, gap="small")
        hardness = left.selectbox(
            "Hardness by", state.HARDNESS, key="by", bind="query-params", help="A and B: the mean of their values"
        )
        metric = right.selectbox("Metric", list(state.CLASS_METRICS), key="metric", bind="query-params")
        column = state.CLASS_METRICS[metric]
        order = state.hardest_first(a, b, hardness, column)
        if run.superclass_of is None:
            st.caption(state.NO_SUPERCLASSES)
        else:
            superclasses = st.multiselect(
                "Superclasses", run.superclass_names.tolist(), key="super", bind="query-params", placeholder="all"
            )
            wanted = np.isin(run.superclass_names, superclasses)[run.superclass_of]
            if wanted.any():
                order = order[wanted[order]]
            elif superclasses:
                st.warning("No class is of this superclass; it is left out.", icon=":material/search_off:")
        search = st.text_input("Search", key="search", bind="query-params", placeholder="part of a class name")
        found = np.array([search.strip().lower() in name.lower() for name in run.class_names.tolist()])
        if found[order].any():
            order = order[found[order]]
        else:
            st.warning(
                f"No name of these {len(order):,} classes contains this; the search is left out.",
                icon=":material/search_off:",
            )
        if run.n_classes > 1:
            before = st.session_state.get(_CLASSES, run.n_classes)
            st.session_state[_CLASSES] = run.n_classes
            hardest = st.session_state.get("hardest", 0)
            if hardest > run.n_classes or (hardest == before != run.n_classes):
                del st.session_state["hardest"]  # all classes, as it was, or as there are no more
            hardest = slider_place.slider(
                "Hardest classes", 1, run.n_classes, run.n_classes, key="hardest", bind="query-params",
                help="Keeps at most this many classes, those with the lowest value of the metric",
            )  # fmt: skip
            order = order[:hardest]
        st.caption(f"{len(order):,} of {run.n_classes:,} classes")
    return order, hardness, column


def _other_pictures(a: Side, b: Side) -> tuple[tuple[Path, ...], bool]:
    """The packs of pictures beside these runs, and whether any run is of the drawn data set."""
    packs = dict.fromkeys(pack_path(run.path) for run in (*a.runs, *b.runs) if run.path)
    datasets = [run.meta.get("dataset") for run in (*a.runs, *b.runs)]
    drawn = any(isinstance(dataset, dict) and dataset.get("name") == "synthetic" for dataset in datasets)
    return tuple(path for path in packs if path.is_file()), drawn


def _status(catalog: Catalog, a: Side, b: Side, only: tuple[int, int], most: int, pictures: images.Album) -> None:
    """What is compared: how many images, of the `most` that a file holds, and what could not be opened."""
    dataset = a.first.meta.get("dataset")
    name = dataset.get("name", "") if isinstance(dataset, dict) else ""
    with st.sidebar:
        st.caption(f"{a.first.n_images:,} test images" + (f" of {state.escape(name)}" if name else ""))
        if any(only):
            st.warning(
                f"Compared on the {a.first.n_images:,} images that both have: {only[0]:,} are only in A's run, "
                f"{only[1]:,} only in B's. {_ON_ALL}",
                icon=":material/join_inner:",
            )
        elif a.first.n_images < most:
            st.warning(
                f"Compared on the {a.first.n_images:,} images that all seeds have; a file holds up to {most:,}. "
                + _ON_ALL,
                icon=":material/join_inner:",
            )
        if a.group == b.group and a.key == b.key:
            st.info("Both sides are the same run.", icon=":material/content_copy:")
        if pictures.problem:
            st.info(pictures.problem, icon=":material/hide_image:")
    _refused(catalog)


def _refused(catalog: Catalog) -> None:
    if catalog.refused:
        with st.sidebar.expander(f"{len(catalog.refused)} files not opened", icon=":material/error:"):
            for name, reason in catalog.refused.items():
                st.markdown(f"**{state.escape(name)}** {state.escape(reason, 400)}")


def _keep_valid(key: str, options) -> None:
    """Forget a choice that is no longer offered, so that the widget starts from its default."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
