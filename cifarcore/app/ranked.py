"""All models of the folder in one table, computed when it is opened; two of its rows become models A and B."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import streamlit as st

from cifarcore import ranking
from cifarcore.app import state
from cifarcore.app.state import Catalog, View, plain
from cifarcore.as_text import interval, number, p_value, with_spread
from cifarcore.runs import Run, RunFileError, RunHeader, load_run

#: a run file and when it was written: equal, equal content
Files = tuple[tuple[Path, int], ...]
_KEY = "ranking"
_MODELS, _KEPT = f"{_KEY}-models", f"{_KEY}-kept"


def panel(view: View) -> None:
    """Draw the ranking, closed at first; nothing where no more than two models are of these images."""
    catalog = state.find_runs(state.runs_dir(view.root))
    # the header, since the run itself may be cut to the images that it shares with B
    own = [h for headers in catalog.groups.values() for h in headers if h.path == view.a.first.path]
    n_fitting = len(_fitting(catalog, own[0])) if own else 0
    if n_fitting < 3:
        return
    box = st.expander(
        f"All {n_fitting} models ranked", icon=":material/leaderboard:", key="ranking-open", on_change="rerun"
    )
    if not box.open:
        return
    with box:
        try:
            found, left_out = _ranked(catalog, view)
        except (RunFileError, OSError) as error:
            st.error(state.escape(error, 400), icon=":material/error:")
            return
        if found.empty:
            st.info("No run file could be read.", icon=":material/inventory_2:")
            return
        st.dataframe(
            shown(found),
            hide_index=True,
            height="content" if len(found) <= 15 else "auto",
            key=_KEY,
            on_select=_choose,
            selection_mode="multi-row",
            column_config={
                "Accuracy − best": st.column_config.TextColumn(help="This model's mean accuracy minus the best's"),
                "p": st.column_config.TextColumn(help="Of the comparison with the best alone"),
            },
        )
        st.session_state[_MODELS] = found["model"].tolist()
        st.caption(
            "Select two rows to compare them: the upper one becomes model A, the lower one model B. Each verdict is that "
            "of comparing a model with the best; the best was chosen on these same images, so the more models, the more its lead is overestimated."
            + (f" Left out, since their run files are of other images or classes: {left_out}." if left_out else "")
        )


def shown(found: pd.DataFrame) -> pd.DataFrame:
    """`ranking.table` as text."""
    columns = {"Model": [plain(name) for name in found["model"]], "Seeds": found["seeds"].astype(str)}
    for name, title in zip(ranking.METRICS, ("Accuracy", "Macro-F1", "Macro-AUC"), strict=True):
        columns[title] = [with_spread(*row, ".4f") for row in found[[name, f"std_{name}"]].itertuples(index=False)]
    columns["Accuracy − best"] = [number(value, "+.4f") for value in found["difference"]]
    columns["95 % interval"] = [interval(*row, "+.4f") for row in found[["low", "high"]].itertuples(index=False)]
    columns["p"] = [p_value(value) for value in found["p"]]
    columns["Against the best"] = found["verdict"]
    return pd.DataFrame(columns)


def _ranked(catalog: Catalog, view: View) -> tuple[pd.DataFrame, int]:
    """ranking.table of all models on the images of A's first run file, and how many models are left out."""
    files = {name: _files(headers) for name, headers in catalog.groups.items()}
    first = view.a.first.path
    key = (first, tuple(files.items()))
    if st.session_state.get(_KEPT, (None,))[0] != key:
        st.session_state[_KEPT] = (key, *_rank(files, catalog, load_run(first)))
    return st.session_state[_KEPT][1:]


def _rank(files: Mapping[str, Files], catalog: Catalog, reference: Run) -> tuple[pd.DataFrame, int]:
    fitting = _fitting(catalog, reference)
    bar = st.progress(0.0, "Reading the run files…")
    found: dict[str, Mapping[str, float]] = {}
    for done, name in enumerate(fitting):
        bar.progress(done / len(fitting) / 2, f"Reading {plain(name)}")
        if (values := _scores(files[name], reference.digest, reference)) is not None:
            found[name] = values
    best = ranking.best_of(found) if found else ""
    differences = {}
    for done, name in enumerate(found):
        bar.progress(0.5 + done / len(found) / 2, f"Comparing {plain(name)} with {plain(best)}")
        if name != best:
            differences[name] = _against(files[best], files[name])
    bar.empty()
    return ranking.table(found, differences) if found else pd.DataFrame(), len(files) - len(found)


def _fitting(catalog: Catalog, reference: Run | RunHeader) -> list[str]:
    """The models whose headers say nothing else than that they are of the reference's images and classes."""
    named = _fingerprint(reference)
    return [
        name
        for name, headers in catalog.groups.items()
        if all(
            (h.n_images, h.n_classes) == (reference.n_images, reference.n_classes)
            and (named is None or _fingerprint(h) in (None, named))
            for h in headers
        )
    ]


def _fingerprint(run: Run | RunHeader) -> str | None:
    dataset = run.meta.get("dataset")
    return dataset.get("fingerprint") if isinstance(dataset, dict) else None


def _choose() -> None:
    """Two rows selected: the upper one's model becomes A, the lower one's B; runs before the sidebar's widgets."""
    rows = sorted(st.session_state[_KEY]["selection"]["rows"])
    models = st.session_state.get(_MODELS, [])
    if len(rows) == 2 and rows[1] < len(models):
        for letter, row in zip("AB", rows, strict=True):
            st.session_state[letter] = models[row]
            st.session_state[f"seed{letter}"] = state.ALL_SEEDS  # the means are what was ranked


def _files(headers: tuple[RunHeader, ...]) -> Files:
    return tuple((header.path, header.path.stat().st_mtime_ns) for header in headers)


@st.cache_resource(show_spinner=False, max_entries=2048)
def _scores(files: Files, reference: str, _reference: Run) -> dict[str, float] | None:
    """None where the files are not of the reference's images, or cannot be read; `reference` is its digest."""
    try:
        runs = [load_run(path) for path, _ in files]
        return ranking.scores(runs) if ranking.on_images_of(_reference, runs) else None
    except (RunFileError, OSError):
        return None


@st.cache_resource(show_spinner=False, max_entries=2048)
def _against(best: Files, files: Files) -> dict[str, float | str]:
    # read again and let go: two hundred runs need not lie in memory at once
    return ranking.against(*([load_run(path) for path, _ in side] for side in (best, files)))
