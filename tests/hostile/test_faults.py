"""Faults that are really provoked: after each a clear message, and everything that was whole is whole."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from made import made_run
from places import child, contents, fill
from processes import ROOT, cifarcore

from cifarcore.config import RetrainConfig
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, jobs, progress, setup
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run, save_run

HEAD = RetrainConfig(focus="hardest:3", train_layers="head", seconds=1)


def written(folder, *models):
    folder.mkdir(parents=True, exist_ok=True)
    for model in models or ("cnn", "resnet18"):
        save_run(made_run(n_images=200, model=model, preset="quick"), folder / f"{model}-quick-0.npz")
        (folder / f"{model}-quick-0.pt").write_bytes(b"weights")
    return folder


def one_line(done: subprocess.CompletedProcess) -> str:
    """What a failed command said: one line, no traceback."""
    assert done.returncode in (1, 2), done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("cifarcore: "), done.stderr
    return lines[0]


# Full disk


def test_a_full_disk_leaves_the_old_run_file(small_disk):
    path = save_run(made_run(n_images=200), small_disk / "run.npz")
    filler = fill(small_disk)
    before = contents(small_disk)
    with pytest.raises(OSError) as caught:
        save_run(made_run(n_images=2000), path)
    assert caught.value.errno == errno.ENOSPC
    assert contents(small_disk) == before and load_run(path).n_images == 200
    filler.unlink()
    assert load_run(save_run(made_run(n_images=400), path)).n_images == 400


def test_a_command_on_a_full_disk_says_so_in_one_line(small_disk, tmp_path):
    runs = written(tmp_path / "runs")
    (small_disk / "summary.txt").write_text("the old summary")
    fill(small_disk)
    before = contents(tmp_path / "runs") | contents(small_disk)
    done = cifarcore("compare", *sorted(runs.glob("*.npz")), "--out", small_disk / "summary.txt")
    assert "No space left on device" in one_line(done) and "free space" in done.stderr
    assert contents(runs) | contents(small_disk) == before


def test_a_retraining_on_a_full_disk_is_refused_and_leaves_nothing(small_disk):
    runs = written(small_disk / "runs", "cnn")
    before = contents(runs)
    with pytest.raises(jobs.DiskFull, match="MiB free and a retraining needs"):
        setup.create(HEAD, runs / "cnn-quick-0.npz", runs)
    assert contents(runs) == before


# Read-only, permission denied


def test_read_only_checkpoints_can_be_compared_and_are_never_changed(small_disk):
    runs = written(small_disk / "runs")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    before = contents(small_disk)
    paths = sorted(runs.glob("*.npz"))
    with pytest.raises(OSError) as caught:
        save_run(made_run(n_images=100), paths[0])
    assert caught.value.errno == errno.EROFS
    with pytest.raises(CifarcoreError, match="[Rr]ead-only file system; check the folder and its permissions"):
        setup.start(replace(HEAD, focus="all"), paths[0], runs)
    said = one_line(cifarcore("compare", *paths, "--out", runs / "summary.txt"))
    assert "Read-only file system" in said and "check the folder" in said
    assert contents(small_disk) == before
    assert cifarcore("compare", *paths, "--out", small_disk.parent / "summary.txt").returncode == 0


def test_another_users_run_files_are_refused_with_the_reason(open_folder):
    written(open_folder)
    (open_folder / "cnn-quick-0.npz").chmod(0)
    before = contents(open_folder)
    done = child(
        """
from pathlib import Path
from cifarcore.app.catalog import find_runs
from cifarcore.runs.layout import RunFileError
from cifarcore.runs.run import load_run
folder = Path(sys.argv[1])
drop()
try:
    load_run(folder / "cnn-quick-0.npz")
except RunFileError as error:
    print(error)
catalog = find_runs(folder)
print(list(catalog.groups), catalog.refused)
""",
        open_folder,
        as_nobody=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.endswith("cannot be read (Permission denied); check its permissions, or write it again")
    assert second.startswith("['resnet18-quick'] {'cnn-quick-0.npz'") and "Permission denied" in second
    assert contents(open_folder) == before


def test_in_another_users_folder_nothing_is_started_stopped_renamed_or_deleted(open_folder):
    written(open_folder)
    job = setup.create(HEAD, open_folder / "cnn-quick-0.npz", open_folder, "theirs")
    save_run(made_run(), folders.retrained_path(job))
    for path in (open_folder, *open_folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = contents(open_folder)
    done = child(
        """
from pathlib import Path
import scipy.optimize, sklearn.metrics
from cifarcore.errors import CifarcoreError
from cifarcore.evidence import metrics
from cifarcore.retraining import folders, jobs, setup
from cifarcore.config import RetrainConfig
folder = Path(sys.argv[1])
drop()
for work in (
    lambda: setup.create(RetrainConfig(focus="all"), folder / "cnn-quick-0.npz", folder, "mine"),
    lambda: folders.rename(folder, "theirs", "mine"),
    lambda: folders.delete(folder, "theirs"),
    lambda: jobs.stop(folder / "retrained" / "theirs"),
):
    try:
        work()
    except CifarcoreError as error:
        print(error)
    else:
        sys.exit("was done")
""",
        open_folder,
        as_nobody=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4 and all("Permission denied; check the folder and its permissions" in line for line in lines)
    assert contents(open_folder) == before


# A process killed


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one(tmp_path):
    path = save_run(made_run(n_images=300), tmp_path / "run.npz")
    code = (
        "from made import made_run\nfrom cifarcore.runs.run import save_run\nruns = [made_run(n_images=n) for n "
        "in (300, 3000)]\n"
    )
    code += "print('ready', flush=True)\nfor turn in range(10**6):\n    save_run(runs[turn % 2], sys.argv[1])"
    chance = random.Random(0)
    for _ in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", f"import sys\nsys.path[:0] = {sys.path!r}\n{code}", str(path)],
            stdout=subprocess.PIPE,
        )
        writer.stdout.readline()
        time.sleep(chance.random() * 0.5)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert load_run(path).n_images in (300, 3000)
    from cifarcore.app.catalog import find_runs

    catalog = find_runs(tmp_path)
    assert len(catalog.groups) == 1 and not catalog.refused  # what the kill left over is not taken for a run


# A clock that jumps back

_WORKING = """
from pathlib import Path
import time
from cifarcore.retraining import jobs, processes
processes.NICE = 0
folder = Path(sys.argv[1])
with jobs.working(folder) as record:
    record("learning", learned=1.0, left=30.0)
    print("ready", flush=True)
    sys.stdin.readline()
    now = time.time
    time.time = lambda: now() - 7200  # the clock of this process jumps back by two hours
    record("learning", learned=2.0, left=20.0)
    record.end("finished", "in spite of the clock")
"""
# Linux tells when a process began by the system's start, and that by the clock: both follow when it is set.
_CLOCK_SET_BACK = """
import time, psutil
import psutil._pslinux as linux
boot, now = linux.boot_time, time.time
linux.boot_time, time.time = (lambda: boot() - 3600), (lambda: now() - 3600)
from pathlib import Path
from cifarcore.errors import CifarcoreError
from cifarcore.retraining import folders, jobs
folder = Path(sys.argv[1])
print(jobs.read_job(folder).state)
for work in (jobs.refuse_if_busy, lambda: folders.delete(folder.parents[1], folder.name)):
    try:
        work()
    except CifarcoreError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="fakes what Linux says of its start: run on Linux")
def test_a_clock_that_jumps_back_loses_no_job(tmp_path):
    folder = tmp_path / "retrained" / "job"
    folder.mkdir(parents=True)
    (folder / progress.SETUP).write_text("{}")
    command = [sys.executable, "-c", f"import sys\nsys.path[:0] = {sys.path!r}\n{_WORKING}", str(folder)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "ready\n"
        done = child(_CLOCK_SET_BACK, folder)
        lines = done.stdout.splitlines()
        assert lines[0] == "running", done.stdout + done.stderr
        assert "one retraining at a time" in lines[1] and "still running; stop it first" in lines[2]
        worker.stdin.write("\n")
        worker.stdin.flush()
        assert worker.wait(60) == 0
    finally:
        worker.kill()
        worker.communicate()
    job = jobs.read_job(folder)
    assert job.state == "finished" and [line["learned"] for line in job.progress.series("left")] == [1.0, 2.0]


def test_a_folder_of_others_does_not_stop_what_was_asked_for(open_folder):
    """Beside other people's runs nothing can be written, and nothing needs to be."""
    shared, own = open_folder / "shared", open_folder / "own"
    written(shared, "cnn", "resnet18")
    shared.chmod(0o555)
    own.mkdir()
    own.chmod(0o777)
    code = """
from cifarcore.cli.main import main
import cifarcore.reports.result, cifarcore.cli.comparing
drop()
sys.argv = ["cifarcore", "compare", *sys.argv[1:3], "--html", sys.argv[3]]
main()
"""
    done = child(code, *sorted(shared.glob("*.npz")), own / "r.html", as_nobody=True)
    assert done.returncode == 0, done.stderr
    assert "Each model, mean over its seeds" in done.stdout and (own / "r.html").stat().st_size > 10_000
    assert not (shared / "compare_summary.txt").exists()


# Two apps over one folder


def test_two_apps_looking_at_jobs_that_come_and_go(tmp_path):
    runs = written(tmp_path / "runs", "cnn")
    looking = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import sys\nsys.path[:0] = {sys.path!r}\nimport time\nfrom cifarcore.retraining import folders\nfrom "
            "cifarcore.app.catalog import find_runs\n"
            "from pathlib import Path\nprint('ready', flush=True)\nend = time.monotonic() + 3\nfolder = "
            "Path(sys.argv[1])\n"
            "while time.monotonic() < end:\n    folders.jobs(folder)\n    find_runs(folder)\n",
            str(runs),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    looking.stdout.readline()
    config = replace(HEAD, focus="all")
    while looking.poll() is None:
        folder = setup.create(config, runs / "cnn-quick-0.npz", runs, "short")
        save_run(made_run(n_images=20), folders.retrained_path(folder))
        folders.rename(runs, "short", "renamed")
        folders.delete(runs, "renamed")
    assert looking.returncode == 0, looking.communicate()[1]
    assert sorted(contents(runs)) == ["cnn-quick-0.npz", "cnn-quick-0.pt"]


# Nothing reaches outside its folder


@pytest.mark.parametrize("place", ["retrained", "retrained/job", "retrained/job.npz", "retrained/features"])
def test_a_link_in_the_folder_of_jobs_reaches_nothing_outside(tmp_path, place):
    runs = written(tmp_path / "runs", "cnn")
    outside = tmp_path / "outside"
    (outside / "job").mkdir(parents=True)
    for name in (
        "config.json",
        "job/config.json",
        "job.npz",
        "job.pt",
        "job/.a.tmp",
        ".a.tmp",
        ".job.b.tmp",
        "precious.txt",
    ):
        (outside / name).write_bytes(b"precious")
    digest = folders.file_digest(outside / "job.pt")
    (outside / f"{digest}-data.npz").write_bytes(b"precious")
    link = runs / place
    link.parent.mkdir(exist_ok=True)
    if place == "retrained/features":
        (runs / "retrained" / "job.pt").write_bytes(b"precious")
    link.symlink_to({"retrained/job.npz": outside / "job.npz"}.get(place, outside))
    before = contents(outside)
    for work in (
        lambda: folders.delete(runs, "job"),
        lambda: folders.rename(runs, "job", "other"),
        lambda: folders.rename(runs, "precious", "job"),
        lambda: setup.create(replace(HEAD, focus="all"), runs / "cnn-quick-0.npz", runs, "job"),
    ):
        try:
            work()
        except CifarcoreError as error:
            assert "\n" not in str(error)
    folders.jobs(runs)
    assert contents(outside) == before
    assert not [
        path for path in outside.rglob("*") if path.name not in {name.rpartition("/")[2] for name in before} | {"job"}
    ]


def test_a_run_file_deleted_or_replaced_between_header_and_reading(tmp_path):
    """What another process may do at any moment."""
    from cifarcore.app.catalog import find_runs, load_sides

    runs = written(tmp_path / "runs")
    groups = find_runs(runs).groups
    sides = [groups[name] for name in ("cnn-quick", "resnet18-quick")]
    (runs / "cnn-quick-0.npz").write_bytes((runs / "cnn-quick-0.npz").read_bytes()[:-100])
    with pytest.raises(RunFileError, match="not a readable .npz run file"):
        load_sides(*sides, ("cnn-quick", "resnet18-quick"))
    (runs / "cnn-quick-0.npz").unlink()
    with pytest.raises(OSError):
        load_sides(*sides, ("cnn-quick", "resnet18-quick"))


def test_a_memory_map_is_not_used(tmp_path):
    """A file overwritten in place while its run is in use: what was read stays as it was."""
    path = save_run(made_run(n_images=200), tmp_path / "run.npz")
    run = load_run(path)
    before = run.logits.copy()
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
    assert np.array_equal(run.logits, before)
    with pytest.raises(RunFileError):
        load_run(path)


def test_the_checkout_is_where_the_children_import_from():
    done = child("import cifarcore\nprint(cifarcore.__file__)")
    assert done.stdout.startswith(str(ROOT)), done.stderr
