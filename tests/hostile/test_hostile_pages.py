"""Every page over hostile run files: it runs, renders nothing that a file says, and can be downloaded without harm."""

import io
import json
import re
import socket
import subprocess
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import made_run
from places import mount
from processes import ROOT
from streamlit.testing.v1 import AppTest

from cifarcore.app import main
from cifarcore.app.safe_text import MOST_CSV_ROWS, csv
from cifarcore.retraining import setup
from cifarcore.runs.run import save_run

PAGES = [name for name, *_ in main.PAGES]
NAMES = (
    "<img src=x onerror=\"document.title='hacked'\">",
    "[x](javascript:alert(1))",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\u202etxt.exe",
    "w" * 900,
    "![p](http://localhost:1/p.png)",
    "</script><script>document.title='hacked'</script>",
    ":red[no] $x^2$ `c`",
    "-2+3+cmd|' /C calc'!A0",
)
META = {
    "model": "<b>model</b>",
    "preset": "=preset|![p](http://localhost:1/p.png)",
    "seed": -(2**62),
    "initialised_from": "<i>x</i>",
    "device": "[d](x)",
    "created": "<script>",
    "scores": "what",
    "map_source": "*x*",
    "train_seconds": 1e300,
    "parameters": 2**62,
    "config": {"epochs": {}, "learning_rate": "<u>", "preset": [1], "widths": None},
    "dataset": {"name": "<h1>data</h1>", "fingerprint": [1]},
    "versions": {"numpy": {}},
    "maps": {"tsne": 3, "umap": {"trustworthiness": "high"}},
    "parent": {"name": {"a": 1}},
    "retraining": {
        "focus": [{"a": 1}, "<b>"],
        "images": 10**300,
        "passes": "<img src=x>",
        "settings": [1],
        "stopped": "no",
    },
    "training_data": {"images": 10**300},
}
# what Markdown or HTML would make an element of; a backslash before it keeps it text
# (links to the app's own pages are the app's, as long as all that they say is encoded)
RENDERED = re.compile(r"(?<!\\)(<(img|b|i|u|h1|script)\b|!?\[[^\]]*\]\((?!(classes|explorer)\?[\w.%+=&-]*\))|:red\[no)")
# where Streamlit finds the icon of a page's tab; no text of a file is in it
ICONS = "https://fonts.gstatic.com/s/i/short-term/release/materialsymbolsrounded/"
TIMEOUT = 60


def show_page(name, root):
    """What streamlit_app.py does for one page, with the dialog of a retraining on it; runs inside AppTest."""
    from importlib import import_module
    from pathlib import Path

    from cifarcore.app.parts import layout, retraining, sidebar
    from cifarcore.files import runs_dir

    view = sidebar.choose(Path(root))
    retraining.sidebar(Path(root))
    retraining.body(runs_dir(root), True)
    layout.page_frame(import_module(f"cifarcore.app.pages.{name}").page, view)


def hostile_runs(**changes):
    for model, accuracy in (("cnn", 0.5), ("resnet18", 0.7)):
        run = made_run(model=model, accuracy=accuracy)
        names = {"class_names": np.array(NAMES), "superclass_names": np.array(["<b>s</b>", "=t()"])}
        yield replace(run, **{**names, "meta": META | {"model": f"{META['model']}{model}"}, **changes})


@pytest.fixture
def folder(tmp_path):
    runs = tmp_path / "checkpoints"
    (runs / "retrained").mkdir(parents=True)
    a, b = hostile_runs()
    save_run(a, runs / "=a.npz")
    save_run(b, runs / "retrained" / "[b](x).npz")
    (runs / "=a.pt").write_bytes(b"weights")
    return runs


def open_page(folder, page, **state_of_session):
    app = AppTest.from_function(show_page, kwargs={"name": page, "root": str(folder.parent)}, default_timeout=TIMEOUT)
    for key, value in state_of_session.items():
        app.session_state[key] = value
    app.run()
    assert not app.exception, app.exception
    return app


def texts_of(app) -> list[str]:
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "warning", "error", "success")
    found = [str(element.value) for place in (app.main, app.sidebar) for kind in kinds for element in place.get(kind)]
    return found + [
        str(widget.label) for place in (app.main, app.sidebar) for widget in (*place.button, *place.selectbox)
    ]


def is_safe(cell) -> bool:
    return (
        not isinstance(cell, str)
        or cell[:1] not in "=+-@\t\r"
        or bool(re.fullmatch(r"[+-]?[\d.,]*%?( (to|±) [+-]?[\d.,]+%?)?( points)?", cell))
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_page_shows_names_as_text_and_tables_without_formulas(folder, page):
    app = open_page(folder, page, B="retrained/[b](x)", **{"metrics-open": True})
    for text in texts_of(app):
        assert not RENDERED.search(text), text
        assert "\u202e" not in text and len(text) < 5000
    for element in (*app.main.markdown, *app.sidebar.markdown, *app.caption):
        assert not getattr(element, "allow_html", False)
    for table in (*app.dataframe, *app.table):
        for column in table.value.columns:
            assert all(map(is_safe, table.value[column])), column


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(
    "changes",
    [
        {"logits": np.zeros((500, 10))},
        {"logits": np.full((500, 10), -65504.0)},
        {"tsne": np.zeros((500, 2)), "umap": np.full((500, 2), 3e38)},
        {"labels": np.zeros(500, int)},
    ],
    ids=["all scores equal", "lowest scores", "maps without extent", "one class alone"],
)
def test_every_page_of_degenerate_numbers(folder, page, changes):
    a, b = hostile_runs(**changes)
    save_run(a, folder / "=a.npz")
    save_run(b, folder / "retrained" / "[b](x).npz")
    open_page(folder, page)


def test_a_run_file_replaced_or_deleted_while_it_is_open(folder):
    for path in folder.rglob("*.npz"):
        path.unlink()
    a, b = (made_run(model=model, preset="quick") for model in ("cnn", "resnet18"))
    paths = [save_run(run, folder / f"{run.group}-0.npz") for run in (a, b)]
    app = open_page(folder, "overview", **{"metrics-open": True})
    before = app.dataframe[0].value.set_index("Metric").loc["Accuracy", "B"]
    save_run(made_run(model="resnet18", preset="quick", accuracy=0.9), paths[1])
    app.run()
    assert not app.exception and app.dataframe[0].value.set_index("Metric").loc["Accuracy", "B"] != before
    paths[1].write_bytes(b"half of a file")
    app.run()
    assert not app.exception and any("not a readable .npz" in re.sub(r"\\", "", text) for text in texts_of(app))
    paths[1].unlink()
    app.run()
    assert not app.exception and any("same run" in text for text in texts_of(app))
    paths[0].unlink()
    app.run()
    assert not app.exception and any("cifarcore train" in text for text in texts_of(app))
    save_run(a, paths[0])
    app.run()
    assert not app.exception and app.dataframe[0].value.set_index("Metric").loc["Accuracy", "A"]


@pytest.mark.parametrize("page", PAGES)
def test_another_run_of_the_same_model_may_be_damaged(folder, page):
    """Its header is whole and its scores are not: found only when it is loaded, for a page of many runs."""
    for path in folder.rglob("*.npz"):
        path.unlink()
    for model in ("cnn", "resnet18"):
        save_run(made_run(model=model, preset="quick"), folder / f"{model}-quick-0.npz")
    path = folder / "cnn-other-0.npz"
    np.savez(folder / "plain.npz", **_arrays(folder / "cnn-quick-0.npz", preset="other"))
    content = bytearray((folder / "plain.npz").read_bytes())
    at = content.index(made_run(model="cnn", preset="quick").logits.tobytes())
    content[at + 40] ^= 1
    path.write_bytes(content)
    (folder / "plain.npz").unlink()
    open_page(folder, page)


def _arrays(path, **meta):
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays | {"meta": np.array(json.dumps(json.loads(arrays["meta"].item()) | meta))}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_over_a_read_only_disk(tmp_path, page, monkeypatch):
    monkeypatch.setattr(setup, "lacks_images", lambda *arguments: False)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount(disk, "20m")
    try:
        (disk / "checkpoints").mkdir()
        for model in ("cnn", "resnet18"):
            save_run(made_run(model=model), disk / "checkpoints" / f"{model}-0.npz")
        (disk / "checkpoints" / "cnn-0.pt").write_bytes(b"weights")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        app = open_page(disk / "checkpoints", page)
        assert any("Read-only file system" in text.replace("\\", "") for text in texts_of(app))
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_no_cell_of_a_csv_is_a_formula_and_numbers_stay_numbers():
    frame = pd.DataFrame(
        {
            "text": [*NAMES[:4], "+0.0123", "-1.5", "+0.1 to +0.2", "-", "", "\t=1", "\r=1", "＝1"],
            "number": np.linspace(-1, 1, 12),
            "whole": range(-6, 6),
        }
    )
    read = pd.read_csv(io.BytesIO(csv(frame)), keep_default_na=False)
    assert all(map(is_safe, read["text"])) and not read["text"].str.startswith("＝").any()
    assert read["text"][4:8].tolist() == ["+0.0123", "-1.5", "+0.1 to +0.2", "-"]
    assert read["whole"].tolist() == list(range(-6, 6)) and np.allclose(read["number"], frame["number"], atol=1e-5)
    assert len(csv(pd.DataFrame({"n": range(200_000)})).splitlines()) == MOST_CSV_ROWS + 1


# The server


def test_the_app_listens_on_this_machine_alone_and_takes_uploads_of_bounded_size():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["server"]
    assert config["address"] == "localhost" and 0 < config["maxUploadSize"] <= 200
    assert config.get("enableXsrfProtection", True) and config.get("enableCORS", True)


def test_nothing_answers_on_another_address(folder, tmp_path):
    """By the running server: another address of this machine is refused."""
    from browser.driving import serve

    other = _own_address()
    with serve(folder, tmp_path / "server.log") as app:
        port = int(app.url.rpartition(":")[2])
        with socket.create_connection(("localhost", port), timeout=5):
            pass
        with pytest.raises(OSError):
            socket.create_connection((other, port), timeout=5)


def _own_address() -> str:
    """An address of this machine that others reach; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but localhost: run on one in a network")
        return probe.getsockname()[0]


@pytest.mark.browser
def test_in_a_real_browser_no_page_renders_what_a_file_says(folder, chromium, tmp_path):
    from browser.driving import serve, settle

    asked = []
    with serve(folder, tmp_path / "server.log") as app:
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(180_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
        for name in PAGES:
            page.goto(f"{app.url}/{'' if name == 'overview' else name}?B=retrained/[b](x)")
            settle(page)
            assert page.title() != "hacked"
            for element in ("img[src=x]", "b >> text=model", "h1 >> text=data", "a[href^=javascript]", "a[href=x]"):
                assert page.locator(element).count() == 0, f"{name}: {element}"
        context.close()
    own = (app.url, "data:", "blob:", app.url.replace("http", "ws"), ICONS)
    outside = [url for url in asked if not url.startswith(own)]
    assert outside == []
