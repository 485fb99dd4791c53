"""What a page shows: the two models, their pictures and the filter of classes."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from cifarcore.app.catalog import find_runs, loaded_run
from cifarcore.app.pictures import Album
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import comparison
from cifarcore.files import runs_dir, version
from cifarcore.reports.sides import Sides
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.memo import is_kept, memo
from cifarcore.runs.run import Run, RunHeader

MOST_OTHERS = 12


NO_SUPERCLASSES = "These runs have no superclasses; `cifarcore import --superclasses FILE` adds them to predictions."


@dataclass(frozen=True)
class View(Sides):
    """Everything that a page shows: the two sides, their pictures, and the filter's classes, hardest first."""

    pictures: Album
    hardness: str  #: one of HARDNESS
    class_metric: str  #: column of metrics.class_table that defines hardness
    root: Path  #: the folder of streamlit_app.py
    warnings: tuple[tuple[str, str], ...] = ()  #: what must be known of the comparison: Markdown and an icon each


def same_models(view: View) -> tuple[Run, ...]:
    """Further runs of the two models chosen, trained with other settings: at most MOST_OTHERS, the first by name."""
    catalog = find_runs(runs_dir(view.root))
    models = {run.meta.get("model") for run in (*view.a.runs, *view.b.runs)} - {None, ""}
    chosen = {run.path for run in (*view.a.runs, *view.b.runs)}
    others = [
        h
        for headers in catalog.groups.values()
        for h in headers
        if h.meta.get("model") in models and h.path not in chosen
    ]
    return _loaded([h for h in others if h.n_classes == view.n_classes][:MOST_OTHERS])


def other_seeds(view: View) -> tuple[Run, ...]:
    """Further seeds of the two models where one seed of each is compared, as far as they can be read: all of them, or
    none where they would take more memory than this machine should give.
    """
    if view.several_seeds or view.a.group == view.b.group:
        return ()
    catalog = find_runs(runs_dir(view.root))
    chosen = {view.a.first.path, view.b.first.path}
    headers = [h for name in (view.a.group, view.b.group) for h in catalog.groups.get(name, ()) if h.path not in chosen]
    headers = [h for h in headers if h.n_classes == view.n_classes]
    try:
        comparison.refuse_too_large(headers or view.a.runs)
    except CifarcoreError:
        return ()
    return _loaded(headers)


def _loaded(headers: list[RunHeader]) -> tuple[Run, ...]:
    """These runs, as far as they can be read."""
    loaded = []
    for header in headers:
        try:
            loaded.append(loaded_run(version(header.path)))
        except (RunFileError, OSError):  # damaged behind its header, or deleted meanwhile: the page can do without
            continue
    return tuple(loaded)


def compared(view: View) -> comparison.Comparison:
    """comparison.compare of the two sides, computed once (seconds for 10,000 x 100 the first time)."""
    what = (comparison.compare, view.a.runs, view.b.runs)
    with nullcontext() if is_kept(*what) else st.spinner("Comparing the two models…"):
        return memo(*what)
