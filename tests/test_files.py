"""Files are written whole or not at all, their names lead nowhere else, and every user has a folder for them."""

import os
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from processes import ROOT

from cifarcore import files, places
from cifarcore.data.cifar100 import data_dir
from cifarcore.errors import CifarcoreError
from cifarcore.files import atomic_write, check_plain, download_name, open_file, plain_name, read_whole, runs_dir


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "sub" / "file.bin"
    with atomic_write(path) as file:
        file.write(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
def test_the_error_of_a_full_disk_names_the_file(tmp_path, monkeypatch, step):
    """The system's own names none while it writes, and the temporary one as it renames."""

    def full(*places, **_):
        raise OSError(28, "No space left on device", *(str(place) for place in places if step == "os.replace"))

    monkeypatch.setattr(step, full if step == "os.fsync" else lambda old, new: full(old))
    with pytest.raises(OSError) as refused, atomic_write(tmp_path / "file") as file:
        file.write(b"x")
    assert refused.value.filename == str(tmp_path / "file") and not list(tmp_path.iterdir())


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("resnet18-best-0", "resnet18-best-0"),
        ("../a b.c", "a-b-c"),
        ("«»", "run"),
        ("_x_", "x"),
        ("a" * 75 + "--b--c", "a" * 75 + "-b-c"),
    ],
)
def test_any_text_becomes_a_plain_name(text, name):
    assert plain_name(text) == name
    check_plain(name)


@pytest.mark.parametrize("name", ["", "-a", "_a", "a b", "a\n", "a/b", "..", "é", "a" * 81])
def test_what_is_no_plain_name_is_refused(name):
    with pytest.raises(CifarcoreError, match="beginning with a letter or digit"):
        check_plain(name)


def test_a_download_keeps_the_letters_of_any_language():
    assert download_name("gained by B", "modèle/1", "..", suffix=".csv") == "gained-by-B_modèle-1_.csv"


posix = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has neither these modes nor these files: run on Linux or macOS"
)


def written(path, content=b"new"):
    with atomic_write(path) as file:
        file.write(content)
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_user_asks_of_all(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        assert written(tmp_path / "file") == mode
    finally:
        os.umask(before)


@posix
def test_a_replaced_file_keeps_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for mode in (0o600, 0o640, 0o664):
        path.chmod(mode)
        assert written(path) == mode


def test_a_file_system_that_refuses_modes_gets_the_file(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    written(path)
    assert path.read_bytes() == b"new" and [entry.name for entry in tmp_path.iterdir()] == ["file"]


@posix
def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "old").write_bytes(b"old")
    for target in ("there/old", "there/new"):
        link = tmp_path / f"link-{target[-3:]}"
        link.symlink_to(target)
        written(link)
        assert link.is_symlink() and (tmp_path / target).read_bytes() == b"new"
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["new", "old"]


@posix
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        with atomic_write(pipe) as file:
            file.write(b"through")
        assert read.result(30) == b"through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@posix
def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        for read in (open_file, partial(read_whole, most=9)):
            with pytest.raises(OSError, match="is no file"):
                read(path)
    (tmp_path / "long").write_bytes(bytes(3 << 20))
    with pytest.raises(OSError, match="has more than the 2 MiB that are read"):
        read_whole(tmp_path / "long", 2 << 20)
    assert read_whole(tmp_path / "long", 3 << 20) == bytes(3 << 20)


def test_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, "."):
        with pytest.raises(IsADirectoryError), atomic_write(folder) as file:
            file.write(b"x")
    assert tmp_path.is_dir() and not list(tmp_path.iterdir())


@posix
def test_a_user_without_a_home_gets_a_folder_of_his_own(tmp_path, monkeypatch):
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for home in ("/nonexistent-home", str(tmp_path / "file")):
        monkeypatch.setenv("HOME", home)
        if not os.access("/", os.W_OK) or home != "/nonexistent-home":
            assert places.cache_folder() == places.data_home() == tmp_path / "tmp" / f"cifarcore-{os.getuid()}"
            assert stat.S_IMODE(places.cache_folder().stat().st_mode) == 0o700
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    folder = places.cache_folder()
    assert folder.parent == tmp_path / "tmp"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(CifarcoreError, match="set XDG_CACHE_HOME"):
        places.cache_folder()
    with pytest.raises(CifarcoreError, match="no such user's home"):
        places.expanded("~nosuchuser/x")
    monkeypatch.setenv("CIFARCORE_DATA", "~nosuchuser/x")
    with pytest.raises(CifarcoreError, match="write the path in full"):
        data_dir()


def test_names_in_other_scripts_stay_apart():
    names = ["模型-0", "网络-0", "résnet", "rösnet", "Ελλάδα", "модель"]
    found = [plain_name(name) for name in names]
    assert len(set(found)) == len(names) and found[2].startswith("r-snet-")
    for name in found:
        check_plain(name)
    assert plain_name("模型-0") == found[0] and plain_name("«cnn» — 0") == "cnn-0"


def test_long_names_that_differ_in_their_end_stay_apart():
    """An end that is cut is that of the seed."""
    found = [plain_name(f"{'model-' * 20}{seed}") for seed in range(3)]
    assert len(set(found)) == 3 and all(name.startswith("model-" * 12) for name in found)
    for name in found:
        check_plain(name)


def test_the_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv("CIFARCORE_RUNS", raising=False)
    assert runs_dir(tmp_path) == tmp_path / "checkpoints"
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path / "other"))
    assert runs_dir(tmp_path) == tmp_path / "other"


def test_where_no_lock_can_be_made_a_line_says_so(tmp_path, monkeypatch):
    """Deleting and renaming a retraining ended in a traceback where the cache folder was full."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.filelock.FileLock, "acquire", full)
    with pytest.raises(CifarcoreError, match=r"run\.npz: cannot be locked \(No space left on device\); make room in"):
        with files.sole_writer(tmp_path / "run.npz"):
            pass


def test_where_nothing_is_nothing_was_seen(tmp_path):
    (tmp_path / "file").touch()
    for name in ("gone", "file/below", "null\x00character"):
        assert files.seen(tmp_path / name) is None
    assert files.seen(tmp_path / "file") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only there it is a link to a pipe: run on Linux")
def test_standard_output_is_written_to_where_it_is_a_pipe():
    code = "from cifarcore.files import atomic_write\nwith atomic_write('/dev/stdout') as file: file.write(b'page')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == (b"page", b"")
