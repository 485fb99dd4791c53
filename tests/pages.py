"""What the tests of pages share: run files written, and one page run over them as the app does it."""

import numpy as np
from made import made_run
from scipy.special import softmax
from streamlit.testing.v1 import AppTest

from cifarcore.reports.sides import Side
from cifarcore.runs.run import save_run

PAGES = ("overview", "classes", "confusion", "roc", "explorer", "disagreements", "slices", "findings")
# well above what a page takes, for a machine that does other things as well
TIMEOUT = 60


def show_page(name, root):
    """What streamlit_app.py does for one page; runs inside AppTest."""
    from importlib import import_module
    from pathlib import Path

    from cifarcore.app.parts import layout, sidebar

    view = sidebar.choose(Path(root))
    layout.page_frame(import_module(f"cifarcore.app.pages.{name}").page, view)


def write(folder, *runs):
    for run in runs:
        save_run(run, folder / f"{run.group}-{run.meta['seed']}.npz")


def two_models(seeds=(0,), **options):
    return [
        made_run(model=model, accuracy=accuracy, seed=seed, **options)
        for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7))
        for seed in seeds
    ]


def run(folder, page, query=None, **state):
    app = AppTest.from_function(show_page, kwargs={"name": page, "root": str(folder.parent)}, default_timeout=TIMEOUT)
    for key, value in (query or {}).items():
        app.query_params[key] = value
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def text(element) -> str:
    """All that stands in an app, or in a part of it."""
    return "\n".join(
        str(each.value)
        for kind in ("title", "subheader", "markdown", "caption", "warning", "info", "error", "code")
        for each in element.get(kind)
    )


def side(letter, *runs):
    return Side(letter, runs[0].group, runs)


def pair_by_hand(run, first, second):
    """p(first) / (p(first) + p(second)) in float64 on the images of both, and which are of the first."""
    rows = np.flatnonzero(np.isin(run.labels, (first, second)))
    p = softmax(run.logits[rows].astype(np.float64), axis=1)
    return p[:, first] / (p[:, first] + p[:, second]), run.labels[rows] == first, rows
