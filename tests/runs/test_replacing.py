"""A run that is replaced takes its pictures along, and of two writers of one name the second is refused."""

import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from import_checks import saved, write
from made import made_run
from pictures import plain
from processes import invoke

from cifarcore import files
from cifarcore.config import ImportConfig
from cifarcore.errors import CifarcoreError
from cifarcore.runs.importing import delete, import_file, imported_path
from cifarcore.runs.run import load_run, save_run
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


@pytest.mark.parametrize("pictures", [False, True], ids=["rows", "pictures"])
def test_an_archive_that_nobody_named_stays(tmp_path, pictures):
    """The pictures' archive stands beside the run file: what was there went, or was replaced."""
    made, out = plain(tmp_path / "pictures"), tmp_path / "mine.npz"
    np.save(tmp_path / "first.npy", made.probabilities)
    config = ImportConfig(images=str(made.root))
    first = import_file(tmp_path / "first.npy", out, config)
    pack = pack_path(out)
    run = made_run(5, 60)
    rows = write(tmp_path / "second.csv", run, label=run.labels, sample_id=run.sample_ids)
    arguments = (tmp_path / "first.npy", out, config) if pictures else (rows, out, ImportConfig())
    out.unlink()
    before = pack.read_bytes()
    with pytest.raises(CifarcoreError, match=r"mine.pictures.zip: the pictures of a run exist .*use --overwrite"):
        import_file(*arguments)
    assert pack.read_bytes() == before and not out.exists()
    with zipfile.ZipFile(pack, "w") as archive:
        archive.writestr("holiday.txt", "mine")
    before = pack.read_bytes()
    with pytest.raises(CifarcoreError, match=r"mine.pictures.zip: holds no pictures of a run.*move it away"):
        import_file(*arguments, overwrite=True)
    assert pack.read_bytes() == before and not out.exists()
    save_run(first.run, imported_path(tmp_path, "mine"))
    shutil.copy(pack, pack_path(imported_path(tmp_path, "mine")))
    delete(tmp_path, "mine")
    assert pack_path(imported_path(tmp_path, "mine")).read_bytes() == before


def test_no_file_that_is_read_is_replaced(tmp_path):
    """`--out` and the predictions were one file: it held a run afterwards, its table was lost."""
    run = saved(tmp_path, 60)
    source = write(tmp_path / "x.npz", run, label=run.labels, sample_id=run.sample_ids)
    (tmp_path / "linked.npz").symlink_to(source)
    ours = tmp_path / "ours.npz"
    scores = write(tmp_path / "scores.npy", run)
    cases = ((source, source, {}), (source, tmp_path / "linked.npz", {}), (scores, ours, {"like": str(ours)}))
    for source, out, options in cases:
        before = out.read_bytes()
        with pytest.raises(CifarcoreError, match=f"{out.name}: is one of the files that are read; choose another"):
            import_file(source, out, ImportConfig(**options), overwrite=True)
        assert out.read_bytes() == before


def test_no_other_model_is_replaced_by_a_name_that_is_as_plain(tmp_path, monkeypatch):
    """ "A+" and "A" are kept under one plain name: the run of one went by --overwrite of the other."""
    monkeypatch.setenv("CIFARCORE_RUNS", str(tmp_path / "runs"))
    run = made_run(5, 60)
    path = write(tmp_path / "x.csv", run, label=run.labels, sample_id=run.sample_ids)
    for given in (("--model", "A"), ("--model", "A-long"), ("--model", "A", "--preset", "x")):
        invoke("import", path, *given)
    for given in (("--model", "A+"), ("--model", "A", "--preset", "long"), ("--model", "A", "--preset", "x+")):
        with pytest.raises(CifarcoreError, match="choose another --model, or name the file with --out"):
            invoke("import", path, *given, "--overwrite")
    assert load_run(imported_path(tmp_path / "runs", "A-0")).meta["model"] == "A"
    invoke("import", path, "--model", "A", "--overwrite")
    invoke("import", path, "--model", "A+", "--overwrite", "--out", tmp_path / "runs" / "imported" / "A-0.npz")
    assert load_run(imported_path(tmp_path / "runs", "A-0")).meta["model"] == "A+"


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
