"""Names of files that are no text (Linux allows any bytes): no page and no command ends with them, all else works."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from made import made_run
from pages import PAGES, two_models, write
from pages import run as page
from processes import cifarcore

from cifarcore.app import start
from cifarcore.app.catalog import find_runs
from cifarcore.config import ImportConfig
from cifarcore.data.property_files import kept_at
from cifarcore.errors import CifarcoreError
from cifarcore.runs import importing
from cifarcore.runs.run import Run, load_run, read_header, save_run

NAME = os.fsdecode(b"mod\xe8le.npz")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have names of text alone: run on Linux")


@pytest.fixture
def runs(folder):
    write(folder, *two_models())
    run = made_run(accuracy=0.6)
    nameless = Run(run.class_names, run.sample_ids, run.labels, run.logits, {})
    save_run(nameless, folder / NAME)
    save_run(nameless, folder / "imported" / NAME)
    save_run(nameless, folder / "retrained" / NAME)
    (folder / os.fsdecode(b"broken\xff.npz")).write_bytes(b"no")
    return folder


def test_such_files_are_listed_with_what_is_no_text_escaped(runs):
    catalog = find_runs(runs)
    assert {"mod\\xe8le", "imported/mod\\xe8le", "retrained/mod\\xe8le"} <= {
        name.encode("ascii").decode() for name in catalog.groups
    }
    assert list(catalog.refused) == ["broken\\xff.npz"]
    assert not catalog.refused["broken\\xff.npz"].startswith("/")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_shows_them_and_the_others(runs, name):
    app = page(runs, name, query={"B": "imported/mod\\xe8le"})
    assert app.sidebar.selectbox(key="B").value == "imported/mod\\xe8le"
    assert any("broken" in each.value for each in app.sidebar.markdown)
    page(runs, name)


def test_commands_work_with_them(runs, tmp_path):
    report = tmp_path / os.fsdecode(b"r\xff.html")
    done = cifarcore("compare", runs / NAME, runs / "cnn-made-0.npz", "--html", report, "--out", tmp_path / "s.txt")
    assert done.returncode == 0, done.stderr
    assert "mod\\xe8le" in (tmp_path / "s.txt").read_text() and "mod\\xe8le" in report.read_text()
    done = cifarcore("compare", runs / os.fsdecode(b"broken\xff.npz"))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "broken\\xff.npz" in done.stderr
    done = cifarcore("import", runs / NAME, "--out", tmp_path / "kept.npz")
    assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "kept.npz").meta["imported"]["file"] == "mod\\xe8le.npz"


def test_names_and_messages_can_be_encoded(runs):
    load_run(runs / NAME).name.encode()
    read_header(runs / NAME).group.encode()
    with pytest.raises(CifarcoreError) as refused:
        load_run(runs / os.fsdecode(b"broken\xff.npz"))
    assert "broken\\xff.npz" in str(refused.value)


def test_folders_of_files_with_such_names_are_opened(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    assert len(find_runs(start.runs_folder([runs / NAME, runs / "cnn-made-0.npz"])).groups) == 2
    place = tmp_path / os.fsdecode(b"\xff")
    place.mkdir()
    assert kept_at(place).name.encode()
    np.save(place / NAME, np.zeros(3))
    with pytest.raises(CifarcoreError):
        importing.import_file(place / NAME, tmp_path / "x.npz", ImportConfig(order="data"), data_folder=Path(place))
