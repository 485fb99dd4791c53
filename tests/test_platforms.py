"""What Windows and macOS have and Linux has not, faked where this package meets the system."""

import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
from made import made_run
from pages import two_models, write
from processes import ROOT

from cifarcore import files, memory, places
from cifarcore.app import serving
from cifarcore.app.catalog import find_runs
from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import processes, setup
from cifarcore.retraining.learning import worker
from cifarcore.runs import importing
from cifarcore.runs.run import load_run, save_run


@pytest.fixture
def windows(monkeypatch):
    """No `resource`, and none of the functions of `os` that Windows lacks."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)  # importing it fails
    for name in ("getuid", "geteuid", "nice", "sched_getaffinity", "fork", "mkfifo"):
        monkeypatch.delattr(os, name, raising=False)


def open_elsewhere(monkeypatch, times):
    """The first `times` that a file is to be replaced, another process has it open."""
    replace, left = os.replace, [times]

    def refuse(*paths):
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        replace(*paths)

    monkeypatch.setattr(os, "replace", refuse)


def test_windows_waits_for_who_reads_a_file_that_is_replaced(tmp_path, monkeypatch, windows):
    path = save_run(made_run(n_images=20), tmp_path / "run.npz")
    open_elsewhere(monkeypatch, 3)
    save_run(made_run(n_images=30), path)
    assert load_run(path).n_images == 30 and [each.name for each in tmp_path.iterdir()] == ["run.npz"]


def test_what_stays_open_is_left_as_it_was(tmp_path, monkeypatch, windows):
    path = save_run(made_run(n_images=20), tmp_path / "run.npz")
    open_elsewhere(monkeypatch, -1)
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    with pytest.raises(PermissionError):
        save_run(made_run(n_images=30), path)
    assert load_run(path).n_images == 20 and [each.name for each in tmp_path.iterdir()] == ["run.npz"]


def test_elsewhere_a_refusal_is_one_at_once(tmp_path, monkeypatch):
    if sys.platform == "win32":
        pytest.skip("how other systems refuse: run on Linux or macOS")
    open_elsewhere(monkeypatch, 1)
    with pytest.raises(PermissionError):
        save_run(made_run(n_images=20), tmp_path / "run.npz")


@pytest.mark.parametrize("place", ["imported", "retrained"])
def test_a_junction_is_a_link(folder, monkeypatch, place):
    """Windows' links to folders, which need no right, and which Python calls no symbolic links."""
    write(folder, *two_models())
    save_run(made_run(), folder / place / "theirs.npz")
    lstat = os.lstat
    junction = SimpleNamespace(st_mode=stat.S_IFDIR | 0o777, st_reparse_tag=0xA0000003)
    monkeypatch.setattr(type(folder), "lstat", lambda path: junction if path == folder / place else lstat(path))
    catalog = find_runs(folder)
    assert set(catalog.groups) == {"cnn-made", "resnet18-made"} and list(catalog.refused) == [f"{place}/"]
    with pytest.raises(CifarcoreError, match="is a link out of its folder"):
        files.refuse_links(folder / place)
    assert setup.parents(folder) == []


def test_a_parent_on_another_drive_is_found_again(folder, monkeypatch):
    write(folder, *two_models())
    (folder / "cnn-made-0.pt").write_bytes(b"weights")

    def other_drive(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    job = setup.create(RetrainConfig(focus="all"), folder / "cnn-made-0.npz", folder)
    assert setup.read_setup(job).parent == (folder / "cnn-made-0.npz").resolve()


def test_what_windows_lacks_is_not_needed(folder, monkeypatch, windows):
    memory.memory_bytes.cache_clear()
    try:
        assert memory.memory_bytes() > 0
    finally:
        memory.memory_bytes.cache_clear()
    serving.with_handles()
    set_to = []
    monkeypatch.setattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", "below normal", raising=False)
    monkeypatch.setattr(psutil.Process, "nice", lambda self, value: set_to.append(value))
    processes.lower_priority()
    assert set_to == ["below normal"] and worker.all_cores() >= 1
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: (_ for _ in ()).throw(OSError()))
    assert places.cache_folder().name == "cifarcore-user"
    write(folder, *two_models())
    with files.sole_writer(folder / "x.npz"):
        pass
    assert importing.import_file(
        folder / "cnn-made-0.npz", importing.imported_path(folder, "x"), importing.ImportConfig()
    ).path.exists()


def test_names_that_a_file_system_takes_for_one_are_two_runs_nowhere(folder, monkeypatch):
    """Without regard to capitals, as on Windows and macOS: the second of two names is refused."""
    write(folder, *two_models())
    kept = importing.imported_path(folder, "Mine")
    importing.import_file(folder / "cnn-made-0.npz", kept, importing.ImportConfig())
    exists = type(folder).exists
    monkeypatch.setattr(
        type(folder), "exists", lambda path, **options: exists(path, **options) or path == kept.with_name("mine.npz")
    )
    with pytest.raises(CifarcoreError, match="exists already"):
        importing.import_file(
            folder / "cnn-made-0.npz", importing.imported_path(folder, "mine"), importing.ImportConfig()
        )


def test_files_are_read_and_written_alike_whatever_the_default_encoding(folder, tmp_path):
    """Windows' is none of UTF-8; here it is ASCII alone."""
    write(folder, *two_models())
    (tmp_path / "names.txt").write_text("café\nthé\n", encoding="utf-8")
    (tmp_path / "scores.csv").write_text("sample_id,label,café,thé\n1,thé,0.2,0.8\n2,café,0.7,0.3\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("# é\n<!-- results: -->\n<!-- /results -->\n", encoding="utf-8")
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    runs = sorted(map(str, folder.glob("*.npz")))
    for arguments in (
        ["compare", *runs, "--html", "r.html", "--readme", "README.md", "--json", "r.json", "--out", "s.txt"],
        ["import", "scores.csv", "--out", "mine.npz", "--class-names", "names.txt"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "cifarcore", *arguments], cwd=tmp_path, env=os.environ | environment,
            capture_output=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert load_run(tmp_path / "mine.npz").class_names.tolist() == ["café", "thé"]
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("# é\n")
    assert "±" in (tmp_path / "s.txt").read_text(encoding="utf-8")
