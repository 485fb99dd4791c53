"""All models of the folder in one table, computed when it is opened; two of its rows become models A and B."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from cifarcore.app.catalog import ALL_SEEDS, Catalog, find_runs, loaded_run, may_share
from cifarcore.app.safe_text import told
from cifarcore.app.view import View
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison, groups, ranking
from cifarcore.files import Version, runs_dir, version
from cifarcore.reports.charts.marks import group_rows
from cifarcore.reports.tables import models as tables
from cifarcore.reports.tables.ranking import ranking_table
from cifarcore.runs.alignment import align
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import Run, RunHeader, load_run
from cifarcore.text import plain

#: a run file and when it was written: equal, equal content
Files = tuple[Version, ...]
_KEY = "ranking"
_MODELS = f"{_KEY}-models"
MOST_AT_ONCE = 16  #: run files that are read without being asked for


def panel(view: View) -> None:
    """Draw the ranking, closed at first; nothing where no more than two models are of these images."""
    catalog = find_runs(runs_dir(view.root))
    n_fitting = len(_fitting(catalog, view.a.first))
    if n_fitting < 3:
        return
    box = st.expander(
        f"All {n_fitting} models ranked", icon=":material/leaderboard:", key="ranking-open", bind="query-params"
    )
    if not box.open:
        return
    with box:
        try:
            with st.spinner("Comparing each model with the best…", show_time=True):
                table, left_out = _ranked(catalog, view)
        except (CifarcoreError, OSError) as error:
            st.error(told(error, 400), icon=":material/error:")
            return
        if table.empty:
            st.info("No run file could be read.", icon=":material/inventory_2:")
            return
        st.dataframe(
            ranking_table(table),
            hide_index=True,
            height="content" if len(table) <= 15 else "auto",
            key=_KEY,
            on_select=_choose,
            selection_mode="multi-row",
            column_config={
                "Accuracy − best": st.column_config.TextColumn(help="This model's mean accuracy minus the best's"),
                "p": st.column_config.TextColumn(
                    help="Of the comparison with the best, not adjusted for the number of models"
                ),
            },
        )
        st.session_state[_MODELS] = table["model"].tolist()
        st.caption(
            "Select two rows to compare them: the upper one becomes A, the lower one B. Each model is compared with "
            "the best; the best was chosen on these same images, so the more models, the more its lead is "
            "overestimated."
            + (
                f" Left out, because their images or classes differ or two of their seeds are one run: {left_out}."
                if left_out
                else ""
            )
        )
        if len(table) > 1 and st.toggle("All pairs and groups", key="all-pairs", bind="query-params"):
            try:
                _all_pairs(table["model"].tolist(), catalog, view)
            except (CifarcoreError, OSError) as error:
                st.error(told(error, 400), icon=":material/error:")


def beside(view: View) -> None:
    """Draw all models by accuracy, and the groups without a significant difference; nothing for fewer than three, or
    where that would read more than MOST_AT_ONCE run files.
    """
    catalog = find_runs(runs_dir(view.root))
    if not (names := _drawn_beside(catalog, view.a.first)):
        return
    st.markdown(f"**All {len(names)} models** by accuracy", help=tables.GROUPS)
    try:
        _groups(names, catalog, view)
        st.caption(tables.LETTERS)
    except (CifarcoreError, OSError):  # of other images behind the header, or damaged: the panel says which
        st.caption("“All models ranked” below lists those that can be compared.")


def read_ahead(catalog: Catalog, first: Run) -> None:
    """Compute what `beside` draws of model A's first run, before anybody asks for it."""
    if names := _drawn_beside(catalog, first):
        _pairs(_named_files(names, catalog), version(first.path))


def _drawn_beside(catalog: Catalog, first: Run) -> list[str]:
    names = _fitting(catalog, first)
    drawn = len(names) >= 3 and sum(len(catalog.groups[name]) for name in names) <= MOST_AT_ONCE
    return names if drawn else []


def _groups(names: list[str], catalog: Catalog, view: View) -> pd.DataFrame:
    """Draw the groups, the models compared in their colours; returns all pairs."""
    with st.spinner("Comparing every two models…"):
        frame, pairs = _pairs(_named_files(names, catalog), version(view.a.first.path))
    keys = {plain(side.group): side.letter for side in (view.a, view.b)}
    st.html(group_rows(frame, keys))
    return pairs


def _all_pairs(models: list[str], catalog: Catalog, view: View) -> None:
    """Every two of the models ranked, and the groups that do not differ significantly."""
    if len(models) > tables.MOST_PAIRED:
        st.caption(f"The {tables.MOST_PAIRED} most accurate of {len(models)} models.")
    pairs = _groups(models[: tables.MOST_PAIRED], catalog, view)
    st.caption(tables.GROUPS)
    st.dataframe(tables.pair_table(pairs), hide_index=True, height="auto")


# here and below by files and their times: hundreds of runs are ranked, which need not lie in memory as for `memo`
@st.cache_resource(show_spinner=False, max_entries=16)
def _pairs(files: tuple[tuple[str, Files], ...], first: Version) -> tuple[pd.DataFrame, pd.DataFrame]:
    """tables.group_frame and groups.pairs_of of all models; of each run only what is correct is kept."""
    reference = loaded_run(first)
    correct = {}
    for name, of_model in files:
        runs = [loaded_run(file) for file in of_model]
        if not ranking.on_images_of(reference, runs):
            raise RunFileError(f"{name} is of other images")
        correct[name] = np.stack([run.correct for run in _each_once(reference, runs)])
    accuracies = {name: float(each.mean()) for name, each in correct.items()}
    pairs = groups.pairs_of(correct, reference.labels)
    return tables.group_frame(accuracies, pairs), pairs


def _each_once(reference: Run, runs: Sequence[Run]) -> list[Run]:
    """A model's runs in the order of the reference's images. Raises CifarcoreError where one of them stands twice."""
    aligned = [align(reference, run).b for run in runs]
    comparison.refuse_copies(aligned)
    return aligned


def _ranked(catalog: Catalog, view: View) -> tuple[pd.DataFrame, int]:
    """ranking.table of all models on the images of A's first run file, and how many models are left out."""
    first = view.a.first.path
    reference = loaded_run(version(first))
    files = {name: _files(catalog.groups[name]) for name in _fitting(catalog, view.a.first)}
    scores = {name: _scores(each, reference.digest, reference) for name, each in files.items()}
    fitting = {name: values for name, values in scores.items() if values is not None}
    if not fitting:
        return pd.DataFrame(), len(catalog.groups)
    best = ranking.best_of(fitting)
    differences = {name: _against(files[best], files[name]) for name in fitting if name != best}
    return ranking.table(fitting, differences), len(catalog.groups) - len(fitting)


def _fitting(catalog: Catalog, first: Run) -> list[str]:
    """The models that may be of the images and classes of model A's first run: of its file, since the run may be cut to
    the images shared with B.
    """
    headers = (h for of_model in catalog.groups.values() for h in of_model if h.path == first.path)
    if not (header := next(headers, None)):
        return []
    return [name for name, headers in catalog.groups.items() if all(may_share(header, each) for each in headers)]


def _choose() -> None:
    """Two rows selected: the upper one's model becomes A, the lower one's B; runs before the sidebar's widgets."""
    rows = sorted(st.session_state[_KEY]["selection"]["rows"])
    models = st.session_state.get(_MODELS, [])
    if len(rows) == 2 and rows[1] < len(models):
        for letter, row in zip("AB", rows, strict=True):
            st.session_state[letter] = models[row]
            st.session_state[f"seed{letter}"] = ALL_SEEDS  # the means are what was ranked


def _named_files(names: list[str], catalog: Catalog) -> tuple[tuple[str, Files], ...]:
    return tuple((name, _files(catalog.groups[name])) for name in names)


def _files(headers: tuple[RunHeader, ...]) -> Files:
    return tuple(version(header.path) for header in headers)


@st.cache_resource(show_spinner=False, max_entries=2048)
def _scores(files: Files, reference: str, _reference: Run) -> dict[str, float | str] | None:
    """None where the files are not of the reference's images, or cannot be read; `reference` is its digest."""
    try:
        runs = [load_run(file.path) for file in files]
        if not ranking.on_images_of(_reference, runs):
            return None
        _each_once(_reference, runs)
        return ranking.scores(runs)
    except (CifarcoreError, OSError):
        return None


@st.cache_resource(show_spinner=False, max_entries=2048)
def _against(best: Files, files: Files) -> dict[str, float | str]:
    # read again and let go: two hundred runs need not lie in memory at once
    return ranking.against(*([load_run(file.path) for file in side] for side in (best, files)))
