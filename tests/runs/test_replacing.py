"""A run that is replaced takes its pictures along, and of two writers of one name the second is refused."""

import subprocess
import sys

import numpy as np
import pytest
from import_checks import write
from made import made_run
from pictures import plain
from processes import invoke

from cifarcore import files
from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import import_file
from cifarcore.runs.run import load_run
from cifarcore.runs.test_sets import pack_path


def test_a_run_without_pictures_replaces_one_with_them(tmp_path):
    made = plain(tmp_path / "pictures")
    out = tmp_path / "runs" / "mine.npz"
    np.save(tmp_path / "first.npy", made.probabilities)
    import_file(tmp_path / "first.npy", out, ImportConfig(images=str(made.root)))
    assert pack_path(out).exists()
    run = made_run(5, 60)
    second = write(tmp_path / "second.csv", run, label=run.labels, sample_id=run.sample_ids)
    import_file(second, out, ImportConfig(), overwrite=True)
    assert not pack_path(out).exists() and load_run(out).n_images == 60


def test_the_command_writes_where_the_app_reads(tmp_path, monkeypatch):
    run = made_run(5, 60)
    path = write(tmp_path / "theirs.csv", run, label=run.labels, sample_id=run.sample_ids)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path / "elsewhere"))
    invoke("import", path)
    assert load_run(tmp_path / "elsewhere" / "imported" / "theirs.npz").n_images == 60
    assert not (tmp_path / "checkpoints").exists()


_SLOW = """
import sys, time
from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs import importing
save_run = importing.save_run
def slowly(run, out):
    print("writes", flush=True)
    time.sleep(1)
    return save_run(run, out)
importing.save_run = slowly
print("ready", flush=True)
sys.stdin.readline()
try:
    importing.import_file(sys.argv[1], sys.argv[2], ImportConfig())
    print("kept", sys.argv[1])
except CifarcoreError as error:
    print("refused:", error)
"""


def test_of_two_processes_that_import_one_name_the_second_is_refused(tmp_path):
    paths, processes = [], []
    for accuracy in (0.9, 0.2):
        run = made_run(5, 60, accuracy=accuracy)
        paths.append(write(tmp_path / f"{accuracy}.csv", run, label=run.labels, sample_id=run.sample_ids))
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", _SLOW, paths[-1], tmp_path / "out.npz"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0] for process in processes]
    kept = [path for path, text in zip(paths, said, strict=True) if f"kept {path}" in text]
    assert len(kept) == 1 and sum("the run exists already" in text for text in said) == 1
    assert load_run(tmp_path / "out.npz").meta["imported"]["file"] == kept[0].name


def test_a_writer_that_takes_long_is_not_waited_for_forever(tmp_path, monkeypatch):
    run = made_run(5, 60)
    path = write(tmp_path / "theirs.csv", run, label=run.labels, sample_id=run.sample_ids)
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    with files.sole_writer(tmp_path / "out.npz"):
        with pytest.raises(CifarcoreError, match="is being written by another process; try again"):
            import_file(path, tmp_path / "out.npz", ImportConfig())
        import_file(path, tmp_path / "other.npz", ImportConfig())
    import_file(path, tmp_path / "out.npz", ImportConfig())
