"""`cifarcore app`: which runs it opens, and the app started from an installed wheel, far from the repository."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from made import made_run
from pages import two_models, write
from processes import ROOT

from cifarcore.app import start
from cifarcore.app.catalog import find_runs
from cifarcore.errors import CifarcoreError
from cifarcore.runs.run import load_run, save_run


@pytest.fixture(autouse=True)
def own_folders(own_place, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def test_a_folder_is_opened_as_it_is(tmp_path, monkeypatch):
    assert start.runs_folder([tmp_path]) == tmp_path.resolve()
    monkeypatch.chdir(tmp_path)
    assert start.runs_folder([]) == tmp_path.resolve()
    (tmp_path / "checkpoints").mkdir()
    assert start.runs_folder([]) == tmp_path.resolve() / "checkpoints"
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path))
    assert start.runs_folder([]) == tmp_path.resolve()


def test_run_files_of_several_folders_are_opened_together(tmp_path):
    paths = []
    for model in ("cnn", "resnet18"):
        (tmp_path / model).mkdir()
        paths.append(save_run(made_run(model=model, n_images=20), tmp_path / model / f"{model}.npz"))
    paths[0].with_suffix(".pt").write_bytes(b"weights")
    save_run(made_run(n_images=20), tmp_path / "cnn" / "another.npz")
    folder = start.runs_folder(paths)
    assert sorted(path.name for path in folder.iterdir()) == ["cnn.npz", "cnn.pt", "resnet18.npz"]
    assert load_run(folder / "cnn.npz").digest == load_run(paths[0]).digest
    assert start.runs_folder(paths[::-1]) == folder
    assert start.runs_folder(paths[:1]) != folder
    paths[0].with_suffix(".corruptions").write_bytes(b"predictions")
    paths[0].with_suffix(".pt").unlink()
    start.runs_folder(paths)
    assert sorted(path.name for path in folder.iterdir()) == ["cnn.corruptions", "cnn.npz", "resnet18.npz"]


def test_a_file_is_listed_once_and_whatever_the_capitals_of_its_ending(tmp_path):
    paths = [
        save_run(made_run(model=model, n_images=20), tmp_path / model / name)
        for model, name in (("cnn", "small.npz"), ("resnet18", "LARGE.NPZ"))
    ]
    folder = start.runs_folder([*paths, tmp_path / "cnn" / ".." / "cnn" / "small.npz"])
    assert sorted(find_runs(folder).groups) == ["cnn-made", "resnet18-made"]


def test_of_two_files_of_one_name_both_are_named(tmp_path):
    paths = [save_run(made_run(model=model, n_images=20), tmp_path / model / "run.npz") for model in ("a", "b")]
    with pytest.raises(CifarcoreError) as refused:
        start.runs_folder(paths)
    assert all(str(path) in str(refused.value) for path in paths)


def test_what_cannot_be_opened_is_refused(tmp_path):
    run = save_run(made_run(n_images=20), tmp_path / "a" / "run.npz")
    with pytest.raises(CifarcoreError, match="no such file"):
        start.runs_folder([tmp_path / "nothing.npz"])
    with pytest.raises(CifarcoreError, match="one folder or only run files"):
        start.runs_folder([tmp_path, run])
    same = save_run(made_run(n_images=20), tmp_path / "b" / "run.npz")
    with pytest.raises(CifarcoreError, match="share their name; rename one"):
        start.runs_folder([run, same])
    other = same.rename(same.with_suffix(".NPZ"))  # its weights would stand beside the other
    with pytest.raises(CifarcoreError, match="share their name; rename one"):
        start.runs_folder([run, other])


def test_the_settings_are_those_of_the_checkout():
    packaged = (ROOT / "cifarcore" / "app" / "streamlit.toml").read_bytes()
    assert packaged == (ROOT / ".streamlit" / "config.toml").read_bytes()
    place = start.prepared()
    assert (place / ".streamlit" / "config.toml").read_bytes() == packaged
    (place / start.SCRIPT).write_text("raise SystemExit")
    start.prepared()
    assert "draw(" in (place / start.SCRIPT).read_text()


def test_the_wheel_starts_the_app_in_an_empty_folder(tmp_path, chromium):
    shutil.copytree(ROOT / "cifarcore", tmp_path / "source" / "cifarcore", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "source")
    installed = tmp_path / "installed"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(installed),
        str(tmp_path / "source"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode and "setuptools" in done.stderr:
        pytest.skip("no wheel can be built here: setuptools 77 or newer cannot be downloaded; run with a network")
    assert done.returncode == 0, done.stderr
    runs, empty = tmp_path / "runs", tmp_path / "empty"
    runs.mkdir()
    empty.mkdir()
    write(runs, *two_models())
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    paths = sorted(map(str, runs.glob("*.npz")))
    code = (
        "import cifarcore, sys; assert sys.argv.pop(1) in cifarcore.__file__; from cifarcore.cli.main import "
        "main; main()"
    )
    command = [sys.executable, "-c", code, str(installed), "app", *paths, "--no-browser", "--port", str(port)]
    server = subprocess.Popen(
        command,
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _answers(f"http://localhost:{port}/_stcore/health", server)
        page = chromium.new_page()
        page.goto(f"http://localhost:{port}")
        page.get_by_text(" beats ").first.wait_for(timeout=180_000)
        page.close()
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    assert not list(empty.iterdir()) and sorted(path.name for path in runs.iterdir()) == [Path(p).name for p in paths]


def _answers(url: str, server: subprocess.Popen) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert server.poll() is None and time.monotonic() < deadline, server.stdout.read()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


def test_a_file_of_predictions_is_no_run_and_leads_to_the_import(tmp_path):
    (tmp_path / "theirs.csv").write_text("file,label,cat,dog\n")
    with pytest.raises(CifarcoreError, match=r"theirs\.csv: not a run file \(\.npz\); .*`cifarcore import` makes"):
        start.runs_folder([tmp_path / "theirs.csv"])
    with pytest.raises(CifarcoreError, match=r"theirs\.csv: not a run file \(\.npz\); .*`cifarcore import` makes"):
        load_run(tmp_path / "theirs.csv")
    with pytest.raises(CifarcoreError, match=r"theirs: no such file; .*`cifarcore import PREDICTIONS` write"):
        load_run(tmp_path / "theirs")
