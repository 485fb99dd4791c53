"""What the tests of the short retraining share: run files, a finished retraining, and the app over them."""

from dataclasses import replace

from made import made_run
from streamlit.testing.v1 import AppTest

from cifarcore.config import RetrainConfig
from cifarcore.retraining import folders, progress, setup, speeds
from cifarcore.runs.run import save_run

TIMEOUT = 120


def with_weights(folder, monkeypatch):
    """The runs of one model with weights, of another without, images for them, and no speed is measured."""
    monkeypatch.setattr(setup, "lacks_images", lambda *arguments: False)
    monkeypatch.setattr(speeds, "start_measuring", lambda *arguments: None)
    for model in ("cnn", "resnet18"):
        save_run(made_run(model=model, preset="quick"), folder / f"{model}-quick-0.npz")
    (folder / "cnn-quick-0.pt").write_bytes(b"weights")
    return folder


def retrained(folder, name="minute", parent="cnn-quick-0", accuracy=0.7, seed=0, seconds=60.0):
    """A run as a retraining leaves it, with the job's folder."""
    config = RetrainConfig(focus="hardest:3", seed=seed or -1, seconds=seconds)
    job = setup.create(config, folder / "cnn-quick-0.npz", folder, name)
    run = made_run(model="cnn", preset="quick-retrained", accuracy=accuracy, seed=seed)
    own = {
        "settings": config.to_dict(),
        "focus": run.class_names[:3].tolist(),
        "passes": 0.7,
        "images": 31500,
        "steps": 492,
        "stopped": False,
    }
    save_run(
        replace(run, meta=run.meta | {"parent": {"name": parent, "digest": "x"}, "retraining": own}),
        folders.retrained_path(job),
    )
    folders.retrained_path(job).with_suffix(".pt").write_bytes(b"weights")
    progress.write_json(job / "result.json", {"state": "finished", "message": "done"})
    return job


def whole_app(root, opened):
    """The page with the dialog's content on it: AppTest runs no dialog for itself."""
    from pathlib import Path

    import streamlit as st

    from cifarcore.app.pages import retrained
    from cifarcore.app.parts import layout, retraining, sidebar
    from cifarcore.files import runs_dir

    view = sidebar.choose(Path(root))
    retraining.remember(view)
    retraining.sidebar(Path(root))
    if opened:
        with st.container(key="dialog"):
            retraining.body(runs_dir(root), True)
    layout.page_frame(retrained.page, view)


def run(folder, opened=True, **state):
    arguments = {"root": str(folder.parent), "opened": opened}
    app = AppTest.from_function(whole_app, kwargs=arguments, default_timeout=TIMEOUT)
    for key, value in state.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def labels(app) -> list[str]:
    return [button.label for button in app.button]
